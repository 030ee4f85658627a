import type { ReactNode } from 'react';
import type { Status } from '@madang/sdk';
import { t } from '../texts';
import { EyeIcon } from './icons';

const LABELS: Readonly<Record<Status, string>> = {
  STREAMING: t.statusLive,
  READY: t.statusReady,
  CLOSED: t.statusEnded,
};

/** The status of a broadcast in a word. */
export function StatusBadge({ status }: { status: Status }): ReactNode {
  return (
    <span className="badge" data-status={status} data-testid="status">
      {LABELS[status]}
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
