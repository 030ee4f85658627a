import { type ReactNode, useState } from 'react';
import { useServer } from '../lib/api';
import { keptBanner } from '../lib/storage';
import { type Page, PAGES } from '../pages/registry';
import { t } from '../texts';
import { CloseIcon, Mark } from './icons';
import { Link } from './link';
import { Search } from './search';

/** What every page has around it; `page` is null where there is none. */
export function Frame({ page, children }: { page: Page | null; children: ReactNode }): ReactNode {
  const config = useServer((state) => state.config);
  if (page?.bare === true)
    return (
      <main id="content" tabIndex={-1} data-page={page.name}>
        {children}
      </main>
    );
  return (
    <>
      <a className="skip-link" href="#content">
        {t.skipToContent}
      </a>
      {config?.dev ? <DevBanner /> : null}
      <header className="site-header">
        <div className="site-header-inner">
          <Link to="/" className="brand" label="Madang" current={page?.name === 'home'}>
            <Mark />
            <span className="brand-name">Madang</span>
          </Link>
          {page?.hasSearch === true ? <Search /> : null}
          <span className="site-header-links">
            {page?.Lead === undefined ? null : (
              <Link to="/" className="button">
                {t.backHome}
              </Link>
            )}
            {PAGES.map(({ name, Lead }) =>
              Lead === undefined || name === page?.name ? null : <Lead key={name} />,
            )}
          </span>
        </div>
      </header>
      <main id="content" tabIndex={-1} data-page={page?.name ?? 'not-found'}>
        {children}
      </main>
      <footer className="site-footer">{config === null ? null : t.version(config.version)}</footer>
    </>
  );
}

/** Says that the server is open, until somebody has read it. */
function DevBanner(): ReactNode {
  const [read, setRead] = useState(keptBanner.read);
  if (read) return null;
  return (
    <aside className="dev-banner" aria-label={t.bannerName} data-testid="dev-banner">
      <p>{t.devBanner}</p>
      <button
        type="button"
        className="icon-button"
        aria-label={t.bannerDismiss}
        onClick={() => {
          keptBanner.write();
          setRead(true);
        }}
        data-testid="dev-banner-dismiss"
      >
        <CloseIcon />
      </button>
    </aside>
  );
}
