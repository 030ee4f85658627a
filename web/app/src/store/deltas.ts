import type { Broadcast, BroadcastState, Status } from '@madang/sdk';

/** Which broadcasts are shown. */
export type Filter = 'all' | Status;
/** In which order. */
export type Sort = 'newest' | 'viewers';

/** The rows on the page and the question that they answer. */
export interface Rows {
  byId: Readonly<Record<number, Broadcast>>;
  /** What the present question found, in order. */
  order: readonly number[];
  /** The live broadcast that is played on top, whatever is searched. */
  featured: number | null;
  query: string;
  filter: Filter;
  sort: Sort;
}

/** Rows with what signaling tells of broadcasts, at most `page` of them; nothing has to be asked for. */
export function applyStates<R extends Rows>(rows: R, states: Iterable<BroadcastState>, page: number): R {
  const byId = { ...rows.byId };
  const shown = new Set(rows.order);
  for (const state of states) {
    const known = byId[state.id];
    const next = known === undefined ? fromState(state) : merge(known, state);
    if (next === null) continue;
    byId[state.id] = next;
    const listed = shown.has(state.id);
    if (state.deleted === true || !passes(next, rows.filter)) shown.delete(state.id);
    // The service found the listed rows by its own search; only for new ones the page judges itself.
    else if (listed || found(next, rows.query)) shown.add(state.id);
  }
  const order = sorted([...shown], byId, rows.sort).slice(0, page);
  const featured = choose(rows.featured, byId);
  const kept = new Set(featured === null ? order : [...order, featured]);
  const left = Object.entries(byId).filter(([id]) => kept.has(Number(id)));
  return { ...rows, byId: Object.fromEntries(left), order, featured };
}

/** A broadcast with what signaling says of it now. */
export function merge(broadcast: Broadcast, state: BroadcastState): Broadcast {
  // CLOSED is final, and a late word of an earlier state changes nothing but the count.
  const closed = broadcast.status === 'CLOSED' && state.status !== 'CLOSED';
  const late = state.modified_at !== undefined && time(state.modified_at) < time(broadcast.modified_at);
  if (closed || late) return { ...broadcast, viewer_count: state.viewer_count };
  return {
    ...broadcast,
    viewer_count: state.viewer_count,
    status: state.status ?? broadcast.status,
    name: state.name ?? broadcast.name,
    description: state.description ?? broadcast.description,
    started_at: state.started_at ?? broadcast.started_at,
    ended_at: state.ended_at ?? broadcast.ended_at,
    modified_at: state.modified_at ?? broadcast.modified_at,
  };
}

/** A broadcast that only signaling has told of; null while it does not know enough. */
function fromState(state: BroadcastState): Broadcast | null {
  const { id, status, name, description, created_at, modified_at } = state;
  if (status === undefined || name === undefined || created_at === undefined) return null;
  return {
    id,
    name,
    description: description ?? '',
    status,
    viewer_count: state.viewer_count,
    started_at: state.started_at ?? null,
    ended_at: state.ended_at ?? null,
    created_at,
    modified_at: modified_at ?? created_at,
  };
}

function passes({ status }: Broadcast, filter: Filter): boolean {
  return filter === 'all' || status === filter;
}

/** Whether the name or description has every word of the query. */
function found({ name, description }: Broadcast, query: string): boolean {
  const text = `${name} ${description}`.toLocaleLowerCase();
  const words = query.trim().toLocaleLowerCase().split(/\s+/);
  return words.every((word) => text.includes(word));
}

function sorted(ids: number[], byId: Readonly<Record<number, Broadcast>>, sort: Sort): number[] {
  const viewers = (id: number): number => (sort === 'viewers' ? (byId[id]?.viewer_count ?? 0) : 0);
  return ids.sort((one, other) => viewers(other) - viewers(one) || other - one);
}

/** The present one while it is live, so that the picture on top does not change with each count. */
function choose(present: number | null, byId: Readonly<Record<number, Broadcast>>): number | null {
  if (present !== null && byId[present]?.status === 'STREAMING') return present;
  const live = Object.values(byId).filter(({ status }) => status === 'STREAMING');
  const [most] = live.sort((one, other) => other.viewer_count - one.viewer_count || other.id - one.id);
  return most?.id ?? null;
}

function time(rfc3339: string): number {
  return Date.parse(rfc3339);
}
