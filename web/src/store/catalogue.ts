import { create } from 'zustand';
import { ApiError, type Broadcast, type BroadcastState, Signaling, type Status } from '../../sdk';
import { api, signalingEndpoint } from '../lib/api';

/** Which broadcasts are shown. */
export type Filter = 'all' | Status;
/** In which order. */
export type Sort = 'newest' | 'viewers';

/** The list of broadcasts. */
export interface CatalogueState {
  phase: 'loading' | 'ready' | 'error';
  byId: Readonly<Record<number, Broadcast>>;
  /** What the present question found, in order. */
  order: readonly number[];
  /** The live broadcast with most viewers, whatever is searched. */
  featured: number | null;
  query: string;
  filter: Filter;
  sort: Sort;
}

/** Broadcasts asked for at once. */
const PAGE = 60;
/** Pause after typing before a search is sent. */
const TYPING_MS = 250;
/** Questions repeat this often while signaling is silent, and much less often while it talks. */
const POLL_MS = 10_000;
/** A broadcast that the list does not know starts a reload, at most this often. */
const RELOAD_MS = 1_000;

export const useCatalogue = create<CatalogueState>(() => ({
  phase: 'loading',
  byId: {},
  order: [],
  featured: null,
  query: '',
  filter: 'all',
  sort: 'newest',
}));

let loading: AbortController | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Changes the question. */
export function ask(change: Partial<Pick<CatalogueState, 'query' | 'filter' | 'sort'>>): void {
  useCatalogue.setState(change);
  schedule(change.query === undefined ? 0 : TYPING_MS);
}

/** Keeps the list current until the returned function is called. */
export function followCatalogue(): () => void {
  let left = false;
  let signaling: Signaling | null = null;
  void load();
  void signalingEndpoint().then((url) => {
    if (left) return;
    signaling = new Signaling({ url });
    signaling.onBroadcasts(applyState);
    // What changed while nobody listened is in the list.
    signaling.on('state', (state) => state === 'connected' && schedule(0));
    signaling.start();
  });
  const poll = setInterval(() => {
    if (!document.hidden) schedule(0);
  }, POLL_MS);
  return () => {
    left = true;
    clearInterval(poll);
    clearTimeout(timer);
    loading?.abort();
    void signaling?.close().catch(() => undefined);
  };
}

/** Loads the list now. */
export async function load(): Promise<void> {
  loading?.abort();
  const control = new AbortController();
  loading = control;
  const { query, filter, sort } = useCatalogue.getState();
  try {
    const [found, top] = await Promise.all([
      api.list(
        { q: query.trim(), sort, limit: PAGE, ...(filter === 'all' ? {} : { status: filter }) },
        control.signal,
      ),
      api.list({ status: 'STREAMING', sort: 'viewers', limit: 1 }, control.signal),
    ]);
    useCatalogue.setState({
      phase: 'ready',
      byId: Object.fromEntries([...found, ...top].map((broadcast) => [broadcast.id, broadcast])),
      order: found.map(({ id }) => id),
      featured: top[0]?.id ?? null,
    });
  } catch (error) {
    if (control.signal.aborted) return;
    // A list that is there stays; an old one helps more than none.
    const empty = useCatalogue.getState().phase !== 'ready';
    if (empty || error instanceof ApiError) useCatalogue.setState({ phase: empty ? 'error' : 'ready' });
  }
}

/** Takes a change of any broadcast. */
export function applyState(state: BroadcastState): void {
  const { byId } = useCatalogue.getState();
  const known = byId[state.id];
  const moved = known === undefined || (state.status !== undefined && state.status !== known.status);
  if (known !== undefined) useCatalogue.setState({ byId: { ...byId, [state.id]: merge(known, state) } });
  // Which rows are shown, and in which order, is the service's to say.
  if (moved) schedule(RELOAD_MS);
}

/** A broadcast with what signaling says of it now. */
export function merge(broadcast: Broadcast, state: BroadcastState): Broadcast {
  return {
    ...broadcast,
    viewer_count: state.viewer_count,
    // CLOSED is final: a late word of an earlier state must not bring it back.
    status: broadcast.status === 'CLOSED' ? 'CLOSED' : (state.status ?? broadcast.status),
    name: state.name ?? broadcast.name,
    description: state.description ?? broadcast.description,
  };
}

function schedule(ms: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => void load(), ms);
}
