import type { Broadcast, BroadcastState } from '@madang/sdk';

/** The lists of Home. */
export type ListName = 'live' | 'upcoming' | 'ended';

/** The part of a list that is loaded. */
export interface List {
  readonly ids: readonly number[];
  /** Where the server goes on; null where this is all of it. */
  readonly next: string | null;
}

/** The rows on the page and the words that they answer. */
export interface Rows {
  byId: Readonly<Record<number, Broadcast>>;
  lists: Readonly<Record<ListName, List>>;
  /** The live broadcast that is played on top. */
  featured: number | null;
  query: string;
}

export const NO_LIST: List = { ids: [], next: null };

const NAMES: readonly ListName[] = ['live', 'upcoming', 'ended'];
/** A plan that has passed by more than this is not upcoming any more. */
const LATE_MS = 60 * 60_000;
/** Most rows of a list that grows by what signaling tells. */
const MAX_ROWS = 1_000;

/** Rows with what signaling tells of broadcasts; nothing has to be asked for. */
export function applyStates<R extends Rows>(rows: R, states: Iterable<BroadcastState>, nowMs: number): R {
  const byId = { ...rows.byId };
  const touched = new Set<number>();
  const deleted = new Set<number>();
  for (const state of states) {
    const known = byId[state.id];
    const next = known === undefined ? fromState(state) : merge(known, state);
    if (next === null) continue;
    byId[state.id] = next;
    touched.add(state.id);
    if (state.deleted === true) deleted.add(state.id);
  }
  const lists = Object.fromEntries(
    NAMES.map((name) => [name, changed(name, rows, byId, touched, deleted, nowMs)]),
  ) as Record<ListName, List>;
  const featured = choose(rows.featured, lists.live.ids, byId);
  const kept = new Set(NAMES.flatMap((name) => lists[name].ids));
  if (featured !== null) kept.add(featured);
  const left = Object.entries(byId).filter(([id]) => kept.has(Number(id)));
  return { ...rows, byId: Object.fromEntries(left), lists, featured };
}

/** One list after some broadcasts have changed. The same object where nothing of it has. */
function changed(
  name: ListName,
  rows: Rows,
  byId: Readonly<Record<number, Broadcast>>,
  touched: ReadonlySet<number>,
  deleted: ReadonlySet<number>,
  nowMs: number,
): List {
  const before = rows.lists[name];
  const isListed = (id: number): boolean => {
    const broadcast = byId[id];
    return broadcast !== undefined && !deleted.has(id) && belongs(name, broadcast, nowMs);
  };
  const had = new Set(before.ids);
  const stays = before.ids.filter((id) => !touched.has(id) || isListed(id));
  const compare = (one: number, other: number): number => order(name, byId[one], byId[other]);
  const ids = [...stays];
  // The order of plans is what people look for; those who are live keep their places while somebody reads the list.
  if (name === 'upcoming') ids.sort(compare);
  for (const id of touched) {
    const broadcast = byId[id];
    // The service found the listed rows by its own search; only new ones are judged here.
    if (broadcast === undefined || had.has(id) || !isListed(id) || !found(broadcast, rows.query)) continue;
    const at = ids.findIndex((other) => compare(id, other) < 0);
    // Behind what is loaded the server will name it in its turn.
    if (at >= 0) ids.splice(at, 0, id);
    else if (before.next === null) ids.push(id);
  }
  const same = ids.length === before.ids.length && ids.every((id, at) => id === before.ids[at]);
  return same ? before : { ...before, ids: ids.slice(0, MAX_ROWS) };
}

/** Whether a broadcast is one of a list. */
export function belongs(name: ListName, { status, planned_at }: Broadcast, nowMs: number): boolean {
  switch (name) {
    case 'live':
      return status === 'STREAMING';
    case 'ended':
      return status === 'CLOSED';
    case 'upcoming':
      return status === 'READY' && planned_at != null && Date.parse(planned_at) >= nowMs - LATE_MS;
  }
}

/** The order of a list, as the service has it. */
export function order(name: ListName, one: Broadcast | undefined, other: Broadcast | undefined): number {
  if (one === undefined || other === undefined) return 0;
  switch (name) {
    case 'live':
      return other.viewer_count - one.viewer_count || other.id - one.id;
    case 'ended':
      return other.id - one.id;
    case 'upcoming':
      return time(one.planned_at ?? '') - time(other.planned_at ?? '') || one.id - other.id;
  }
}

/** A broadcast with what signaling says of it now. */
export function merge(broadcast: Broadcast, state: BroadcastState): Broadcast {
  // CLOSED is final, and a late word of an earlier state changes nothing but the count.
  const closed = broadcast.status === 'CLOSED' && state.status !== 'CLOSED';
  const late = state.modified_at !== undefined && time(state.modified_at) < time(broadcast.modified_at);
  if (closed || late) return { ...broadcast, viewer_count: state.viewer_count };
  const { planned_at: planned, ...rest } = broadcast;
  // Who tells all of it tells of no plan by leaving it out.
  const now = state.modified_at === undefined ? planned : state.planned_at;
  return {
    ...rest,
    ...(now === undefined ? {} : { planned_at: now }),
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
  const { id, status, name, description, created_at, modified_at, planned_at } = state;
  if (status === undefined || name === undefined || created_at === undefined) return null;
  return {
    id,
    name,
    description: description ?? '',
    status,
    viewer_count: state.viewer_count,
    started_at: state.started_at ?? null,
    ended_at: state.ended_at ?? null,
    ...(planned_at === undefined ? {} : { planned_at }),
    created_at,
    modified_at: modified_at ?? created_at,
  };
}

/** Whether name or description has the words, as the service looks for them. */
function found({ name, description }: Broadcast, query: string): boolean {
  return `${name}\n${description}`.toLowerCase().includes(query.trim().toLowerCase());
}

/** The present one while it is live, so that the picture on top does not change with each count. */
export function choose(
  present: number | null,
  live: readonly number[],
  byId: Readonly<Record<number, Broadcast>>,
): number | null {
  if (present !== null && byId[present]?.status === 'STREAMING') return present;
  const [most] = [...live].sort((one, other) => order('live', byId[one], byId[other]));
  return most ?? null;
}

function time(rfc3339: string): number {
  return Date.parse(rfc3339);
}
