import { Backoff, sleep } from './backoff.js';
import { type CallSlot, Connections } from './call-connections.js';
import { CallSession } from './call-session.js';
import { Emitter } from './emitter.js';
import type { IceServerSource } from './ice-servers.js';
import { ApiError, NetworkError } from './problem.js';
import type { Bound, JoinCall, JoinedCall, SlotKind, Source, Speakers, Want, Wants } from './types.js';

export type { CallSlot } from './call-connections.js';

/** How a call stands. `reconnecting`: a connection was lost and the session is being resumed. */
export type CallState = 'connecting' | 'connected' | 'reconnecting' | 'failed' | 'closed';

/** Why a call failed. */
export type CallFailure =
  'unauthorized' | 'not-found' | 'full' | 'locked' | 'removed' | 'network' | 'media' | 'server';

/** What a call tells its owner. */
export interface CallEvents {
  state: { state: CallState; failure: CallFailure | null };
  /** The session has begun, or goes on after a loss. */
  joined: JoinedCall;
  /** Every slot, whenever one of them shows something else. */
  slots: readonly CallSlot[];
  /** What the server says of the wants; `slots` comes first. */
  bound: Bound;
  /** Who speaks. */
  speakers: Speakers;
}

/** Settings of a {@link Call}. */
export interface CallOptions {
  /** Origin of the media server, without a slash at its end; empty means the page's own. */
  url: string;
  group: string;
  /** A join token of the group; asked for whenever a session begins anew. */
  token: () => Promise<string>;
  name: string;
  /** How many slots of each kind there are. */
  slots?: Partial<Record<SlotKind, number>>;
  /** What this participant may ever send; all there is where it is left out. */
  sources?: readonly Source[];
  iceServers?: IceServerSource;
}

/** What a computer's page shows at a time. */
const SLOTS: Readonly<Record<SlotKind, number>> = {
  tile: 12,
  stage: 1,
  screen: 2,
  voice: 4,
  screen_audio: 1,
};
const SOURCES: readonly Source[] = ['microphone', 'camera', 'screen', 'screen_audio'];
/** How long a lost call is fetched back. */
const RECONNECT_BUDGET_MS = 60_000;

/** How long a lost path is sought before the session is resumed with new connections: it lives 30 s without one. */
const REPAIR_MS = 20_000;
/** A restart has to help within this time. */
const RESTART_MS = 4_000;

/**
 * A participant of a call (docs/calls.md): one connection that publishes, one that receives through slots. Nothing is
 * negotiated again; what is lost is resumed as the same participant.
 */
export class Call extends Emitter<CallEvents> {
  private readonly tracks = new Map<Source, MediaStreamTrack>();
  private readonly control = new AbortController();
  private session: CallSession | null = null;
  private live: Connections | null = null;
  private wants: Wants = { generation: 0, sources: [] };
  private started = false;

  constructor(private readonly options: CallOptions) {
    super();
  }

  /** Joins and stays; the state tells how it goes. */
  start(): void {
    if (this.started) return;
    this.started = true;
    this.run(this.control.signal).catch(() => undefined);
  }

  /** Sends `track` as `source` from now on; null sends nothing there. */
  async setTrack(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (track === null) this.tracks.delete(source);
    else this.tracks.set(source, track);
    await this.live?.setTrack(source, track);
  }

  /** Says what the page wants to see, the whole of it. */
  want(sources: Want[]): void {
    this.wants = { generation: this.wants.generation + 1, sources };
    this.live?.say(this.wants);
  }

  /** The connections of the moment; null while there are none. */
  get connections(): Pick<Connections, 'captured' | 'reports'> | null {
    return this.live;
  }

  /** Leaves for good. */
  async leave(): Promise<void> {
    if (this.control.signal.aborted) return;
    this.control.abort();
    this.emit('state', { state: 'closed', failure: null });
    this.removeAllListeners();
    this.discard();
    const { session } = this;
    this.session = null;
    await session?.end();
  }

  private async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff();
    let since = performance.now();
    // Nothing is fetched back before it was there once.
    let trying: CallState = 'connecting';
    this.emit('state', { state: trying, failure: null });
    for (;;) {
      let failure: CallFailure = 'media';
      try {
        const live = await this.connect(signal);
        trying = 'reconnecting';
        this.emit('state', { state: 'connected', failure: null });
        backoff.reset();
        do since = await this.untilLost(live, signal);
        while (await this.repaired(live, signal));
        this.discard();
      } catch (error) {
        this.discard();
        signal.throwIfAborted();
        const verdict = judge(error);
        // The session was over before it was resumed: the next try joins anew.
        if (verdict.forgets) this.session = null;
        failure = verdict.failure;
        if (verdict.fatal || performance.now() - since > RECONNECT_BUDGET_MS) {
          this.emit('state', { state: 'failed', failure });
          return;
        }
        if (!verdict.forgets) await soon(verdict.waitMs ?? backoff.next(), signal);
      }
      this.emit('state', { state: trying, failure });
    }
  }

  /** Resolves with the time at which a path was lost. */
  private async untilLost(live: Connections, signal: AbortSignal): Promise<number> {
    await live.lost(signal);
    return performance.now();
  }

  /**
   * Tries to bring back the paths of connections that are there: by themselves, as after a short cut, or by ICE restarts.
   * `false` where the session has to be resumed.
   */
  private async repaired(live: Connections, signal: AbortSignal): Promise<boolean> {
    const { session } = this;
    if (session === null || live.isClosed) return false;
    this.emit('state', { state: 'reconnecting', failure: 'network' });
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal, AbortSignal.timeout(REPAIR_MS)]);
    let told = false;
    const tell = (): void => {
      if (!told && live.isFine && !signal.aborted) this.emit('state', { state: 'connected', failure: null });
      told ||= live.isFine;
    };
    // Whoever has come back by itself is there, although a restart is still under way.
    const settled = live.settled(either).then(tell, () => undefined);
    const isLost = (): boolean => !either.aborted && !live.isFine && !live.isClosed;
    const backoff = new Backoff(300, 2_000);
    try {
      while (isLost()) {
        let waitMs = RESTART_MS;
        try {
          await live.restart((body) => session.restart({ ...body, wants: this.wants }, either));
        } catch (error) {
          // The server knows the session no more, or takes no restart of it.
          if (error instanceof ApiError && error.status < 429) return false;
          waitMs = backoff.next();
        }
        await Promise.race([settled, soon(waitMs, either).catch(() => undefined)]);
      }
    } finally {
      over.abort();
    }
    signal.throwIfAborted();
    tell();
    return live.isFine;
  }

  private discard(): void {
    this.live?.close();
    this.live = null;
  }

  private async connect(signal: AbortSignal): Promise<Connections> {
    const iceServers = (await this.options.iceServers?.get()) ?? [];
    signal.throwIfAborted();
    const { url, group, name, slots, sources = SOURCES } = this.options;
    const live = new Connections(iceServers, { ...SLOTS, ...slots }, sources, this.tracks, {
      slots: (now, bound) => {
        this.emit('slots', now);
        this.emit('bound', bound);
      },
      speakers: (speakers) => this.emit('speakers', speakers),
    });
    this.live = live;
    const offers = await live.offer();
    const resume = this.session;
    const body: JoinCall = {
      ...offers,
      wants: this.wants,
      ...(name === '' ? {} : { name }),
      ...(resume === null ? {} : { resume: resume.id }),
    };
    const bearer = resume === null ? await this.options.token() : null;
    signal.throwIfAborted();
    // Not aborted by who leaves: only the answer says which session is to be ended.
    const { session, joined } = await CallSession.open(url, group, body, bearer);
    if (signal.aborted) await session.end();
    signal.throwIfAborted();
    this.session = session;
    this.emit('joined', joined);
    await live.answer(joined);
    await live.connected(signal);
    // What was wanted while the answer was on its way.
    if (this.wants.generation !== body.wants?.generation) live.say(this.wants);
    return live;
  }
}

/** Waits for so long, or until the browser says that there is a network again. */
async function soon(ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  addEventListener('online', () => over.abort(), { once: true, signal: over.signal });
  try {
    await sleep(ms, AbortSignal.any([signal, over.signal]));
  } catch (error) {
    if (signal.aborted) throw error;
  } finally {
    over.abort();
  }
}

interface Verdict {
  failure: CallFailure;
  fatal?: boolean;
  forgets?: boolean;
  waitMs?: number | undefined;
}

/** What to do after an error. */
function judge(error: unknown): Verdict {
  if (error instanceof NetworkError) return { failure: 'network' };
  if (!(error instanceof ApiError)) return { failure: 'media' };
  const waitMs = error.retryAfterMs;
  switch (error.code) {
    case 'no-session':
      return { failure: 'server', forgets: true };
    case 'room-full':
      return { failure: 'full', fatal: true };
    case 'locked':
      return { failure: 'locked', fatal: true };
    case 'removed':
      return { failure: 'removed', fatal: true };
  }
  if (error.status === 401 || error.status === 403) return { failure: 'unauthorized', fatal: true };
  if (error.status === 404) return { failure: 'not-found', fatal: true };
  return { failure: 'server', fatal: error.status < 429, waitMs };
}
