import { create } from 'zustand';
import {
  ApiError,
  type BroadcastState,
  type Fact,
  type Known,
  learn,
  type Listing,
  listing,
  NetworkError,
  NOTHING_KNOWN,
  Signaling,
} from '@madang/sdk';
import { api, signalingEndpoint } from '../lib/api';
import { applyStates, type Rows } from './deltas';

/** The list of broadcasts. */
export interface CatalogueState extends Rows {
  phase: 'loading' | 'ready' | 'error';
  /** What is known of the way to the server. */
  known: Known;
}

/** Broadcasts asked for at once. */
const PAGE = 60;
/** Pause after typing before a search is sent. */
const TYPING_MS = 250;
/** The list is asked for again within this time while signaling is silent, and within the longer one while it talks. */
const SILENT_POLL_MS = 10_000;
const POLL_MS = 120_000;
/** After a loss or a reconnect, which many pages have at once, the list is asked for within this time. */
const SPREAD_MS = 5_000;
/** Changes are shown together this often, however many come. */
const GATHER_MS = 250;
/** Broadcasts whose changes are gathered; beyond, they are shown at once. */
const MAX_GATHERED = 1_000;

export const useCatalogue = create<CatalogueState>(() => ({
  phase: 'loading',
  known: NOTHING_KNOWN,
  byId: {},
  order: [],
  featured: null,
  query: '',
  filter: 'all',
  sort: 'newest',
}));

/** Whether what the list says of now still holds. */
export function listingOf({ known }: CatalogueState): Listing {
  return listing(known);
}

/** Learns something of the way to the server; also from the preview, which notices a loss first. */
export function noteWay(fact: Fact): void {
  const { known } = useCatalogue.getState();
  const next = learn(known, fact);
  if (next === known) return;
  useCatalogue.setState({ known: next });
  if (listing(next) === 'old' && listing(known) !== 'old') doubt();
}

/** Asks soon whether the server is there; set while the page is open. */
let doubt = (): void => undefined;

let loading: AbortController | null = null;
let typing: ReturnType<typeof setTimeout> | undefined;

/** Changes the question. */
export function ask(change: Partial<Pick<CatalogueState, 'query' | 'filter' | 'sort'>>): void {
  useCatalogue.setState(change);
  clearTimeout(typing);
  typing = setTimeout(() => void load(), change.query === undefined ? 0 : TYPING_MS);
}

/** Keeps the list current until the returned function is called. `random` is below 1. */
export function followCatalogue(random: () => number = Math.random): () => void {
  let left = false;
  let signaling: Signaling | null = null;
  let poll: ReturnType<typeof setTimeout> | undefined;
  /** One list that is asked for at a random time: whoever has the same reason to ask must not ask at once. */
  const reloadWithin = (ms: number): void => {
    clearTimeout(poll);
    poll = setTimeout(() => {
      if (!document.hidden) void load();
      reloadWithin(signaling?.state === 'connected' ? POLL_MS : SILENT_POLL_MS);
    }, ms * random());
  };
  const network = (): void => {
    noteWay({ of: 'network', online: navigator.onLine });
    if (navigator.onLine) reloadWithin(SPREAD_MS);
  };
  useCatalogue.setState({ known: NOTHING_KNOWN });
  doubt = () => reloadWithin(SPREAD_MS);
  addEventListener('online', network);
  addEventListener('offline', network);
  network();
  void load();
  reloadWithin(SILENT_POLL_MS);
  void signalingEndpoint().then((url) => {
    if (left) return;
    signaling = new Signaling({ url });
    signaling.onBroadcasts(gather);
    // What changed while nobody listened is in the list.
    signaling.on('state', (state) => {
      noteWay({ of: 'signaling', state });
      if (state === 'connected') reloadWithin(SPREAD_MS);
    });
    signaling.start();
  });
  return () => {
    left = true;
    doubt = () => undefined;
    removeEventListener('online', network);
    removeEventListener('offline', network);
    clearTimeout(poll);
    clearTimeout(typing);
    show();
    loading?.abort();
    void signaling?.close().catch(() => undefined);
  };
}

const gathered = new Map<number, BroadcastState>();
let showing: ReturnType<typeof setTimeout> | undefined;

/** Takes a change of any broadcast: the latest of each is shown with the others, at a steady pace. */
export function gather(state: BroadcastState): void {
  gathered.set(state.id, state);
  if (gathered.size >= MAX_GATHERED) show();
  else showing ??= setTimeout(show, GATHER_MS);
}

function show(): void {
  clearTimeout(showing);
  showing = undefined;
  // Before there is a list, the list will have it.
  if (useCatalogue.getState().phase === 'ready') {
    useCatalogue.setState((state) => applyStates(state, gathered.values(), PAGE));
  }
  gathered.clear();
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
    noteWay({ of: 'request', answered: true });
    useCatalogue.setState({
      phase: 'ready',
      byId: Object.fromEntries([...found, ...top].map((broadcast) => [broadcast.id, broadcast])),
      order: found.map(({ id }) => id),
      featured: top[0]?.id ?? null,
    });
  } catch (error) {
    if (control.signal.aborted) return;
    noteWay({ of: 'request', answered: !(error instanceof NetworkError) });
    // A list that is there stays; an old one helps more than none.
    const empty = useCatalogue.getState().phase !== 'ready';
    if (empty || error instanceof ApiError) useCatalogue.setState({ phase: empty ? 'error' : 'ready' });
  }
}
