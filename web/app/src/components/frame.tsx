import type { ReactNode } from 'react';
import { useServer } from '../lib/api';
import { useRoute } from '../lib/router';
import { isOnAir, useStudio } from '../store/studio';
import { t } from '../texts';
import { CameraIcon, Mark } from './icons';
import { Link } from './link';

/** What every page has around it. */
export function Frame({ children }: { children: ReactNode }): ReactNode {
  const page = useRoute((state) => state.route.page);
  const onAir = useStudio(isOnAir);
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
          <Link to="/" className="brand" label="Madang" current={page === 'home'}>
            <Mark />
            <span className="brand-name">Madang</span>
          </Link>
          {page === 'studio' ? (
            <Link to="/" className="button">
              {t.backHome}
            </Link>
          ) : (
            <Link to="/studio" className={onAir ? 'button on-air' : 'button primary'}>
              <CameraIcon />
              {onAir ? t.navStudio : t.goLive}
            </Link>
          )}
        </div>
      </header>
      <main id="content" tabIndex={-1} data-page={page}>
        {children}
      </main>
      <footer className="site-footer">{config === null ? null : t.version(config.version)}</footer>
    </>
  );
}
