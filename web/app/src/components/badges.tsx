import type { ReactNode } from 'react';
import type { Status } from '@madang/sdk';
import { t } from '../texts';
import { EyeIcon } from './icons';

const LABELS: Readonly<Record<Shown, string>> = {
  STREAMING: t.statusLive,
  READY: t.statusReady,
  CLOSED: t.statusEnded,
  DOUBTFUL: t.statusDoubtful,
  INTERRUPTED: t.statusInterrupted,
  PLANNED: t.statusPlanned,
};

/** What a badge says beside the status itself: `DOUBTFUL`, nobody knows; `INTERRUPTED`, nothing comes. */
type Shown = Status | 'DOUBTFUL' | 'INTERRUPTED' | 'PLANNED';

/**
 * The status of a broadcast in a word: whether it is live still, nobody knows where that is not certain, and nothing that
 * nobody sees is live.
 */
export function StatusBadge(props: {
  status: Status;
  certain: boolean;
  /** Its publisher is lost, or its picture has stopped. */
  interrupted?: boolean;
  planned?: boolean;
}): ReactNode {
  const { status, certain, interrupted = false, planned = false } = props;
  let shown: Shown = planned && status === 'READY' ? 'PLANNED' : status;
  if (status === 'STREAMING' && !certain) shown = 'DOUBTFUL';
  else if (status === 'STREAMING' && interrupted) shown = 'INTERRUPTED';
  return (
    <span className="badge" data-status={shown} data-testid="status">
      {LABELS[shown]}
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
