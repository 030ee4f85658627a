import { type ReactNode, StrictMode, Suspense, useEffect, useRef } from 'react';
import { createRoot } from 'react-dom/client';
import { ErrorBoundary } from './components/error-boundary';
import { Frame } from './components/frame';
import { Link } from './components/link';
import { Message } from './components/message';
import { serverConfig } from './lib/api';
import { useTitle } from './lib/hooks';
import { usePath } from './lib/router';
import { pageAt, PAGES } from './pages/registry';
import { loadFonts } from './styles/fonts';
import './styles/index.css';
import { language, t } from './texts';

/** After the first page is there. */
const LOAD_OTHERS_MS = 3_000;

function App(): ReactNode {
  const path = usePath((state) => state.path);
  const at = pageAt(path);
  const first = useRef(true);
  useEffect(() => {
    // A new page starts at its beginning for keyboards and screen readers too.
    if (!first.current) document.getElementById('content')?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  return (
    <Frame page={at?.page ?? null}>
      {/* Before the page, which may have more to say. */}
      <Title text={at === null ? t.pageNotFoundTitle : at.page.title} key={`title ${path}`} />
      <ErrorBoundary key={path}>
        <Suspense
          fallback={<div className="page page-waiting" aria-busy="true" aria-label={t.stateLoading} />}
        >
          {at === null ? <NotFoundPage /> : at.view}
        </Suspense>
      </ErrorBoundary>
    </Frame>
  );
}

function Title({ text }: { text: string }): null {
  useTitle(text);
  return null;
}

function NotFoundPage(): ReactNode {
  return (
    <Message
      heading={1}
      art="courtyard"
      title={t.pageNotFoundTitle}
      hint={t.pageNotFoundHint}
      testId="page-not-found"
    >
      <Link to="/" className="button primary">
        {t.backHome}
      </Link>
    </Message>
  );
}

document.documentElement.lang = language;
// Asked for at once; the others when there is time, so that a later click needs no server.
pageAt(location.pathname)?.page.load();
addEventListener('load', () => {
  setTimeout(() => {
    for (const { load } of PAGES) load();
  }, LOAD_OTHERS_MS);
});
void serverConfig();
loadFonts();
const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
