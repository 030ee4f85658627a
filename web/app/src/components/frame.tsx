import type { ReactNode } from 'react';
import { useServer } from '../lib/api';
import { type Page, PAGES } from '../pages/registry';
import { t } from '../texts';
import { Mark } from './icons';
import { Link } from './link';

/** What every page has around it; `page` is null where there is none. */
export function Frame({ page, children }: { page: Page | null; children: ReactNode }): ReactNode {
  const config = useServer((state) => state.config);
  return (
    <>
      <a className="skip-link" href="#content">
        {t.skipToContent}
      </a>
      <header className="site-header">
        {config?.dev ? (
          <p className="dev-banner" role="note" data-testid="dev-banner">
            {t.devBanner}
          </p>
        ) : null}
        <div className="site-header-inner">
          <Link to="/" className="brand" label="Madang" current={page?.name === 'home'}>
            <Mark />
            <span className="brand-name">Madang</span>
          </Link>
          {page?.Lead === undefined ? null : (
            <Link to="/" className="button">
              {t.backHome}
            </Link>
          )}
          {PAGES.map(({ name, Lead }) =>
            Lead === undefined || name === page?.name ? null : <Lead key={name} />,
          )}
        </div>
      </header>
      <main id="content" tabIndex={-1} data-page={page?.name ?? 'not-found'}>
        {children}
      </main>
      <footer className="site-footer">{config === null ? null : t.version(config.version)}</footer>
    </>
  );
}
