import { create } from 'zustand';
import {
  ApiError,
  type Broadcast,
  type BroadcastState,
  type Fact,
  type Group,
  type Known,
  learn,
  type Listing,
  listing,
  type ListQuery,
  NetworkError,
  NOTHING_KNOWN,
  type ListPage,
  Signaling,
} from '@madang/sdk';
import { api, serverConfig, signalingEndpoint } from '../lib/api';
import type { Question, Show } from '../lib/question';
import { applyStates, belongs, choose, type List, type ListName, NO_LIST, type Rows } from './deltas';

/** The lists of Home. */
export interface CatalogueState extends Rows {
  phase: 'loading' | 'ready' | 'error';
  /** Which list is shown; the live one has the next few of the others below it. */
  show: Show;
  /** Calls, newest first; null where the server does not list them for everybody. */
  calls: readonly Group[] | null;
  /** Whether the next page of the shown list is on its way, or could not be loaded. */
  more: 'idle' | 'loading' | 'failed';
  /** What is known of the way to the server. */
  known: Known;
}

/** Broadcasts asked for at once. */
const PAGE = 24;
/** Of the lists below the one that is shown. */
const FEW = 8;
/** Most that the service gives at once, and most such pages of a list that is loaded anew. */
const MAX_PAGE = 100;
const MAX_PAGES = 5;
/** Calls in their list. */
const CALLS = 60;
/** The list is asked for again within this time while signaling is silent, and within the longer one while it talks. */
const SILENT_POLL_MS = 10_000;
const POLL_MS = 120_000;
/** After a loss or a reconnect, which many pages have at once, the list is asked for within this time. */
const SPREAD_MS = 5_000;
/** Changes are shown together this often, however many come. */
const GATHER_MS = 250;
/** Broadcasts whose changes are gathered; beyond, they are shown at once. */
const MAX_GATHERED = 1_000;

const NO_LISTS = { live: NO_LIST, upcoming: NO_LIST, ended: NO_LIST };

export const useCatalogue = create<CatalogueState>(() => ({
  phase: 'loading',
  known: NOTHING_KNOWN,
  byId: {},
  lists: NO_LISTS,
  calls: null,
  more: 'idle',
  featured: null,
  query: '',
  show: 'live',
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

/** Asks something else: what is shown until the answer is there says that it is loading. */
export function ask({ show, query }: Question): void {
  const before = useCatalogue.getState();
  if (before.show === show && before.query === query) return;
  useCatalogue.setState({ show, query, phase: 'loading', more: 'idle' });
  void load();
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
    useCatalogue.setState((state) => applyStates(state, gathered.values(), Date.now()));
  }
  gathered.clear();
}

/** What the service is asked for each list. */
const QUESTIONS: Readonly<Record<ListName, ListQuery>> = {
  live: { status: 'STREAMING', sort: 'viewers' },
  upcoming: { status: 'READY', sort: 'planned' },
  ended: { status: 'CLOSED', sort: 'newest' },
};

/** Loads what is shown now, as much of it as there was. */
export async function load(): Promise<void> {
  loading?.abort();
  const control = new AbortController();
  loading = control;
  const { query, show: shown, lists: before } = useCatalogue.getState();
  const words = query.trim();
  const wants = (name: ListName): Promise<Loaded> | null => {
    if (name === shown) return loadList(name, words, before[name].ids.length, control.signal);
    return name === 'upcoming' && shown === 'live' ? loadFew(name, words, control.signal) : null;
  };
  try {
    const [live, upcoming, ended, calls] = await Promise.all([
      wants('live'),
      wants('upcoming'),
      wants('ended'),
      shown === 'calls' || (shown === 'live' && words === '') ? loadCalls(shown, control.signal) : null,
    ]);
    noteWay({ of: 'request', answered: true });
    // What was gathered meanwhile is older than the answer, or is in it.
    useCatalogue.setState((state) => {
      const loaded = { live, upcoming, ended };
      const all = [live, upcoming, ended].flatMap((list) => list?.rows ?? []);
      const byId = Object.fromEntries(all.map((broadcast) => [broadcast.id, broadcast]));
      const listOf = (name: ListName): List =>
        loaded[name] === null
          ? NO_LIST
          : { ids: unique(loaded[name].rows.map(({ id }) => id)), next: loaded[name].next };
      const lists = { live: listOf('live'), upcoming: listOf('upcoming'), ended: listOf('ended') };
      const featured = choose(state.featured, lists.live.ids, byId);
      return { phase: 'ready', more: 'idle', byId, lists, calls: calls ?? state.calls, featured };
    });
  } catch (error) {
    if (control.signal.aborted) return;
    noteWay({ of: 'request', answered: !(error instanceof NetworkError) });
    // A list that is there stays; an old one helps more than none.
    const empty = useCatalogue.getState().phase !== 'ready';
    if (empty || error instanceof ApiError) useCatalogue.setState({ phase: empty ? 'error' : 'ready' });
  }
}

/** Loads the next page of the list that is shown; nothing where there is none, or it is on its way. */
export async function loadMore(): Promise<void> {
  const { show: shown, query, lists, more, phase } = useCatalogue.getState();
  if (shown === 'calls' || phase !== 'ready' || more === 'loading') return;
  const after = lists[shown].next;
  if (after === null) return;
  useCatalogue.setState({ more: 'loading' });
  const asked = loading;
  try {
    const page = await api.page({ ...QUESTIONS[shown], q: query.trim(), limit: PAGE }, after);
    // Meanwhile the whole list was loaded anew, or another is shown.
    if (asked !== loading) return;
    const { rows, next } = only(shown, page);
    useCatalogue.setState((state) => {
      const ids = unique([...state.lists[shown].ids, ...rows.map(({ id }) => id)]);
      const byId = {
        ...Object.fromEntries(rows.map((broadcast) => [broadcast.id, broadcast])),
        ...state.byId,
      };
      return { byId, more: 'idle', lists: { ...state.lists, [shown]: { ids, next } } };
    });
  } catch {
    if (asked === loading) useCatalogue.setState({ more: 'failed' });
  }
}

type Loaded = ListPage<Broadcast>;

/** At least as many rows as there were before, or what one page has. */
async function loadList(name: ListName, q: string, had: number, signal: AbortSignal): Promise<Loaded> {
  const rows: Broadcast[] = [];
  let next: string | null = null;
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const limit = Math.min(Math.max(had - rows.length, PAGE), MAX_PAGE);
    const page = only(name, await api.page({ ...QUESTIONS[name], q, limit }, next, signal));
    rows.push(...page.rows);
    next = page.next;
    if (next === null || rows.length >= had) break;
  }
  return { rows, next };
}

async function loadFew(name: ListName, q: string, signal: AbortSignal): Promise<Loaded> {
  return only(name, await api.page({ ...QUESTIONS[name], q, limit: FEW }, null, signal));
}

/** Calls, where the server lists them for everybody; a list that is refused takes no other with it. */
async function loadCalls(shown: Show, signal: AbortSignal): Promise<readonly Group[] | null> {
  if (!(await serverConfig()).dev) return null;
  try {
    return (await api.groups({ limit: shown === 'calls' ? CALLS : FEW }, null, undefined, signal)).rows;
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

/** What still belongs to the list when it arrives: a plan that has long passed does not. */
function only(name: ListName, { rows, next }: Loaded): Loaded {
  const now = Date.now();
  return { rows: rows.filter((broadcast) => belongs(name, broadcast, now)), next };
}

/** Counts change between two pages: who has moved from one to the next is in both. */
function unique(ids: readonly number[]): number[] {
  return [...new Set(ids)];
}
