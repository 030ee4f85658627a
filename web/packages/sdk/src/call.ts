import { Backoff, sleep } from './backoff.js';
import { type CallSlot, Connections } from './call-connections.js';
import { Emitter } from './emitter.js';
import type { IceServerSource } from './ice-servers.js';
import { ApiError, NetworkError, request } from './problem.js';
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

/** What resumes a session and ends it. */
interface Session {
  id: string;
  url: string;
}

/**
 * A participant of a call (docs/calls.md): one connection that publishes, one that receives through slots. Nothing is
 * negotiated again; what is lost is resumed as the same participant.
 */
export class Call extends Emitter<CallEvents> {
  private readonly tracks = new Map<Source, MediaStreamTrack>();
  private readonly control = new AbortController();
  private session: Session | null = null;
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
  get connections(): Pick<Connections, 'reports' | 'sent'> | null {
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
    if (session !== null) await end(session);
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
        await live.lost(signal);
        since = performance.now();
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
        if (!verdict.forgets) await sleep(verdict.waitMs ?? backoff.next(), signal);
      }
      this.emit('state', { state: trying, failure });
    }
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
    const headers: Record<string, string> = { 'Content-Type': 'application/json' };
    if (resume === null) headers.Authorization = `Bearer ${await this.options.token()}`;
    signal.throwIfAborted();
    // Not aborted by who leaves: only the answer says which session is to be ended.
    const response = await request(`${url}/rooms/${group}/sessions`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    const joined = (await response.json()) as JoinedCall;
    const session = { id: joined.session, url: `${url}/rooms/${group}/sessions/${joined.session}` };
    if (signal.aborted) await end(session);
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

/** Ends a session. A server that cannot be told notices by itself. */
async function end({ url }: Session): Promise<void> {
  await request(url, { method: 'DELETE', keepalive: true }).catch(() => undefined);
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
