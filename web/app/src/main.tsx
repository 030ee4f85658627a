import { type ReactNode, StrictMode, useEffect, useRef } from 'react';
import { createRoot } from 'react-dom/client';
import '@fontsource-variable/inter/wght.css';
import '@fontsource-variable/noto-sans-kr/wght.css';
import { ErrorBoundary } from './components/error-boundary';
import { Frame } from './components/frame';
import { Link } from './components/link';
import { Message } from './components/message';
import { serverConfig } from './lib/api';
import { useTitle } from './lib/hooks';
import { useRoute } from './lib/router';
import { HomePage } from './pages/home';
import { StudioPage } from './pages/studio';
import { WatchPage } from './pages/watch';
import './styles/tokens.css';
import './styles/base.css';
import './styles/parts.css';
import './styles/media.css';
import './styles/pages.css';
import { language, t } from './texts';

function App(): ReactNode {
  const route = useRoute((state) => state.route);
  const path = useRoute((state) => state.path);
  const first = useRef(true);
  useEffect(() => {
    // A new page starts at its beginning for keyboards and screen readers too.
    if (!first.current) document.getElementById('content')?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  return (
    <Frame>
      <ErrorBoundary key={path}>
        {route.page === 'home' ? <HomePage /> : null}
        {route.page === 'studio' ? <StudioPage /> : null}
        {route.page === 'watch' ? <WatchPage id={route.id} key={route.id} /> : null}
        {route.page === 'not-found' ? <NotFoundPage /> : null}
      </ErrorBoundary>
    </Frame>
  );
}

function NotFoundPage(): ReactNode {
  useTitle(t.pageNotFoundTitle);
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
void serverConfig();
const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
