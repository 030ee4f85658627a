import { useNow } from '@madang/react';
import { memo, type ReactNode } from 'react';
import type { Broadcast, Group } from '@madang/sdk';
import { ago, calendarTime } from '../lib/format';
import { listingOf, useCatalogue } from '../store/catalogue';
import { t } from '../texts';
import { StatusBadge, ViewerCount } from './badges';
import { PeopleIcon } from './call-icons';
import { Link } from './link';
import { Thumbnail } from './thumbnail';
import { Told } from './told';

/** When a broadcast began, ended, is to begin, or was made. */
export function timeLine(broadcast: Broadcast, nowMs: number): string {
  const { status, started_at: started, ended_at: ended, created_at: created } = broadcast;
  if (status === 'CLOSED' && ended !== null) return t.endedAgo(ago(ended, nowMs));
  if (status === 'READY' && broadcast.planned_at != null)
    return t.plannedFor(calendarTime(broadcast.planned_at));
  return started === null ? t.createdAgo(ago(created, nowMs)) : t.startedAgo(ago(started, nowMs));
}

/** One broadcast of the list. It reads its own row only, so a changed count draws one card again. */
export const BroadcastCard = memo(function BroadcastCard({ id }: { id: number }): ReactNode {
  const broadcast = useCatalogue((state) => state.byId[id]);
  const certain = useCatalogue((state) => listingOf(state) === 'current');
  const now = useNow(30_000);
  if (broadcast === undefined) return null;
  return (
    <li className="card" data-testid="broadcast-card" data-id={id}>
      <Link to={`/watch/${id}`} className="card-link">
        <div className="card-picture">
          <Thumbnail broadcast={broadcast} />
          <span className="card-badges">
            <StatusBadge status={broadcast.status} certain={certain} planned={broadcast.planned_at != null} />
            {broadcast.status === 'STREAMING' && certain ? (
              <ViewerCount count={broadcast.viewer_count} />
            ) : null}
          </span>
        </div>
        <h3 className="card-title">
          <Told text={broadcast.name.trim() === '' ? t.untitled : broadcast.name} />
        </h3>
        {broadcast.description.trim() === '' ? null : (
          <p className="card-text">
            <Told text={broadcast.description} />
          </p>
        )}
        <p className="card-time">{timeLine(broadcast, now)}</p>
      </Link>
    </li>
  );
});

/** One call: its link is the invitation. */
export function CallCard({ call }: { call: Group }): ReactNode {
  const now = useNow(30_000);
  const name = call.name.trim() === '' ? t.callUnnamed : call.name;
  return (
    <li className="card call-card" data-testid="call-card">
      <Link to={`/call/${call.id}`} className="card-link call-link">
        <span className="call-card-icon">
          <PeopleIcon />
        </span>
        <span className="call-card-text">
          <strong className="call-card-name">
            <Told text={name} />
          </strong>
          <span className="quiet small">
            {t.callSeats(call.max_participants)} · {t.createdAgo(ago(call.created_at, now))}
          </span>
        </span>
      </Link>
    </li>
  );
}

/** A card that is still loading. */
export function CardSkeleton(): ReactNode {
  return (
    <li className="card" aria-hidden="true">
      <div className="card-picture skeleton" />
      <div className="skeleton skeleton-line" />
      <div className="skeleton skeleton-line short" />
    </li>
  );
}
