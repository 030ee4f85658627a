import type { ReactNode } from 'react';
import type { Status } from '@madang/sdk';
import { t } from '../texts';
import { EyeIcon } from './icons';

const LABELS: Readonly<Record<Status, string>> = {
  STREAMING: t.statusLive,
  READY: t.statusReady,
  CLOSED: t.statusEnded,
};

/** The status of a broadcast in a word: whether it is live still, nobody knows where that is not certain. */
export function StatusBadge({ status, certain }: { status: Status; certain: boolean }): ReactNode {
  const doubtful = status === 'STREAMING' && !certain;
  return (
    <span className="badge" data-status={doubtful ? 'DOUBTFUL' : status} data-testid="status">
      {doubtful ? t.statusDoubtful : LABELS[status]}
    </span>
  );
}

/** Viewers now. */
export function ViewerCount({ count }: { count: number }): ReactNode {
  return (
    <span className="viewers" title={t.viewers(count)} data-testid="viewer-count" data-count={count}>
      <EyeIcon />
      <span aria-hidden="true">{count.toLocaleString()}</span>
      <span className="visually-hidden">{t.viewers(count)}</span>
    </span>
  );
}
