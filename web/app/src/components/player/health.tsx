import type { ReactNode } from 'react';
import { cover } from '../../pages/cover';
import { isTooSlow, type Quality, useWatch, useWatched } from '../../store/watch';
import { t } from '../../texts';
import { Link } from '../link';

const QUALITY: Readonly<Record<Exclude<Quality, null>, string>> = {
  good: t.qualityGood,
  fair: t.qualityFair,
  poor: t.qualityPoor,
};

/** Connection and latency at a glance. */
export function Health(): ReactNode {
  const link = useWatch((state) => state.known.link);
  const quality = useWatch((state) => state.quality);
  const latency = useWatch((state) => state.stats?.latencyMs ?? null);
  if (link !== 'connected' || quality === null) return null;
  return (
    <span className="health over-video" data-quality={quality} title={`${t.quality}: ${QUALITY[quality]}`}>
      <span className="health-dot" aria-hidden="true" />
      <span data-testid="quality">{QUALITY[quality]}</span>
      {latency === null ? null : (
        <span className="health-latency" title={t.latencyHint}>
          {t.latencyMs(latency)}
        </span>
      )}
    </span>
  );
}

/** Says why the picture on the screen does not move. */
export function SlowLine(): ReactNode {
  const slow = useWatch((state) => isTooSlow(state) && cover(state.known) === null);
  if (!slow) return null;
  return (
    <p className="slow-line over-video" role="status" data-testid="slow-line">
      <strong>{t.stateSlowLine}</strong> {t.stateSlowLineHint}
    </p>
  );
}

/** What the stage says while it has no picture; `home`: an ended broadcast leads to the others. */
export function Cover({ home }: { home: boolean }): ReactNode {
  const known = useWatch((state) => state.known);
  const hadPicture = useWatch((state) => state.hadPicture);
  const shown = cover(known, hadPicture);
  if (shown === null) return null;
  return (
    <div className="stage-overlay">
      <div className="cover" role="status" data-testid="cover" data-kind={shown.kind}>
        {shown.busy ? <span className="spinner" /> : null}
        <p className="cover-title">{shown.title}</p>
        {shown.hint === undefined ? null : <p className="cover-hint">{shown.hint}</p>}
        {shown.retry ? <RetryButton /> : null}
        {shown.kind === 'ended' && home ? (
          <Link to="/" className="button primary">
            {t.backHome}
          </Link>
        ) : null}
      </div>
    </div>
  );
}

/** Tries again after a failure. */
export function RetryButton(): ReactNode {
  const watched = useWatched();
  return (
    <button type="button" className="button primary" onClick={watched.retry}>
      {t.retry}
    </button>
  );
}
