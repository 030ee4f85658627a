import { Backoff, sleep } from './backoff.js';
import { Emitter } from './emitter.js';
import { HttpSession } from './http-session.js';
import type { IceServerSource } from './ice-servers.js';
import { PathMonitor } from './path-monitor.js';
import { ApiError, NetworkError } from './problem.js';

/**
 * How a link stands. `waiting`: the endpoint has nothing to play yet; `reconnecting`: media was lost and is being
 * fetched back; `failed`: given up, {@link PeerLink.retry} starts again.
 */
export type LinkState =
  'idle' | 'connecting' | 'waiting' | 'connected' | 'reconnecting' | 'failed' | 'closed';

/** Why a link failed. */
export type LinkFailure =
  'unauthorized' | 'not-found' | 'ended' | 'codec' | 'ice' | 'dtls' | 'full' | 'network' | 'server';

/** What a link tells its owner. */
export interface LinkEvents {
  state: { state: LinkState; failure: LinkFailure | null };
}

/** Settings that publishers and players share. */
export interface LinkOptions {
  /** The WHIP or WHEP endpoint. */
  url: string | (() => Promise<string>);
  /** STUN and TURN servers; none if absent. */
  iceServers?: IceServerSource | undefined;
  /** `relay` sends media through TURN only. */
  iceTransportPolicy?: RTCIceTransportPolicy | undefined;
}

/** The media path was not found or was lost. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  constructor(readonly part: 'ice' | 'dtls') {
    super(`${part} failed`);
  }
}

/** What to do after an error: give up, or try again after a while. */
export type Verdict = { fatal: LinkFailure } | { failure: LinkFailure; waitMs?: number; state?: LinkState };

/** ICE and DTLS have to be done within this time after the answer. */
const CONNECT_TIMEOUT_MS = 15_000;
/** A path that is silent this long gets an ICE restart; Wi-Fi hiccups heal by themselves sooner. */
const DISCONNECTED_GRACE_MS = 1_500;
/** An ICE restart has to help within this time, or a new session is opened. */
const RESTART_TIMEOUT_MS = 6_000;
/** Candidates that come within this time travel in one PATCH. */
const TRICKLE_BATCH_MS = 60;
/** Pause between the loss of a session and the next one. */
const REOPEN_MS = 250;
/** Longest wait for candidates where the endpoint takes no trickle. */
const GATHER_CAP_MS = 1_500;

/**
 * One WebRTC connection to a WHIP or WHEP endpoint that repairs itself: ICE restart first, then a new session with
 * backoff, until the budget since the loss is spent.
 */
export abstract class PeerLink<Events extends LinkEvents> extends Emitter<Events> {
  protected pc: RTCPeerConnection | null = null;
  private session: HttpSession | null = null;
  private control: AbortController | null = null;
  /** Aborts with the connection of the present attempt. */
  private life: AbortController | null = null;
  private trickles = true;
  private stopRenewal: (() => void) | undefined;
  private wake: (() => void) | null = null;
  /** The ICE restart of the present connection that is under way. */
  private restarting: Promise<void> | null = null;
  private current: LinkState = 'idle';
  private failed: LinkFailure | null = null;

  protected constructor(
    protected readonly options: LinkOptions,
    /** How long to try after a loss, in milliseconds. */
    private readonly budgetMs: number,
  ) {
    super();
  }

  /** The state now. */
  get state(): LinkState {
    return this.current;
  }

  /** Why it failed or what it fights with; null while all is well. */
  get failure(): LinkFailure | null {
    return this.failed;
  }

  /** Opens the link; the state tells how it goes. */
  start(): void {
    if (this.control !== null || this.current === 'closed') return;
    const control = new AbortController();
    this.control = control;
    this.setState('connecting', null);
    this.run(control.signal).catch((error: unknown) => {
      if (control.signal.aborted) return;
      const verdict = this.judge(error);
      this.discard();
      this.setState('failed', 'fatal' in verdict ? verdict.fatal : verdict.failure);
    });
  }

  /** Starts again after `failed`, and cuts a wait short otherwise. */
  retry(): void {
    if (this.current === 'failed') {
      this.control = null;
      this.start();
    } else {
      this.wake?.();
    }
  }

  /** Leaves for good. `remove` also ends the session at the server. */
  protected async leave(remove: boolean): Promise<void> {
    const session = this.session;
    this.control?.abort();
    this.setState('closed', null);
    this.removeAllListeners();
    try {
      // Before the connection closes: a server that sees it gone first takes this for a loss, not for an end.
      if (remove) await session?.remove(true);
    } finally {
      this.discard();
    }
  }

  /** Adds the m-lines of a new connection. */
  protected abstract prepare(pc: RTCPeerConnection): void;
  /** The bearer of the next request. */
  protected abstract bearer(): Promise<string | undefined>;
  /** The offer as the browser itself goes by it. */
  protected local(offer: string): string {
    return offer;
  }
  /** The offer as the server gets it. */
  protected abstract outgoing(offer: string): string;
  /** The answer as the browser gets it. */
  protected abstract incoming(answer: string): string;
  /** What this kind of link does about a refusal; null leaves it to the common rules. */
  protected abstract refusal(error: ApiError): Verdict | null;
  /** The connection of an attempt is gone. */
  protected abstract discarded(): void;
  /** An attempt has its answer; `signal` aborts with its connection. */
  protected abstract opened(pc: RTCPeerConnection, session: HttpSession, signal: AbortSignal): void;

  private async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff();
    let tryingSince = performance.now();
    for (;;) {
      try {
        const pc = await this.open(signal);
        this.setState('connected', null);
        backoff.reset();
        await this.watch(pc, signal);
        this.setState('reconnecting', 'ice');
        tryingSince = performance.now();
        // If this was the end, the word of it arrives meanwhile and nothing is asked in vain.
        await this.pause(REOPEN_MS, signal);
      } catch (error) {
        signal.throwIfAborted();
        const verdict = this.judge(error);
        if ('fatal' in verdict) {
          this.discard();
          this.setState('failed', verdict.fatal);
          return;
        }
        this.discard();
        const waits = verdict.state === 'waiting';
        if (waits) tryingSince = performance.now();
        else if (performance.now() - tryingSince > this.budgetMs) {
          this.setState('failed', verdict.failure);
          return;
        }
        this.setState(
          verdict.state ?? (this.current === 'connecting' ? 'connecting' : 'reconnecting'),
          verdict.failure,
        );
        await this.pause(verdict.waitMs ?? backoff.next(), signal);
        continue;
      }
      this.discard();
    }
  }

  /** One try: a new connection and session; resolves once media may flow. */
  private async open(signal: AbortSignal): Promise<RTCPeerConnection> {
    const iceServers = (await this.options.iceServers?.get()) ?? [];
    const bearer = await this.bearer();
    signal.throwIfAborted();
    const pc = new RTCPeerConnection({
      iceServers,
      iceTransportPolicy: this.options.iceTransportPolicy ?? 'all',
      bundlePolicy: 'max-bundle',
      rtcpMuxPolicy: 'require',
    });
    this.pc = pc;
    this.prepare(pc);
    const candidates = new CandidateBatch(pc);
    await this.describe(pc);
    if (!this.trickles) await Promise.race([candidates.complete, sleep(GATHER_CAP_MS, signal)]);
    const offer = pc.localDescription?.sdp ?? '';
    const { url } = this.options;
    const endpoint = typeof url === 'string' ? url : await url();
    const opened = await HttpSession.open(endpoint, this.outgoing(offer), bearer, signal).catch(
      (error: unknown) => {
        candidates.close();
        throw error;
      },
    );
    if (signal.aborted) {
      // Closed while the request was on its way: the server must not keep a session that nobody uses.
      opened.session.remove(true).catch(() => undefined);
      signal.throwIfAborted();
    }
    this.session = opened.session;
    if (iceServers.length === 0 && opened.iceServers.length > 0) {
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: opened.iceServers });
    }
    await pc.setRemoteDescription({ type: 'answer', sdp: this.incoming(opened.answer) });
    if (this.trickles) this.trickle(candidates, opened.session, offer, signal);
    this.life = new AbortController();
    this.opened(pc, opened.session, this.life.signal);
    await connected(pc, CONNECT_TIMEOUT_MS, ['failed', 'closed'], signal);
    this.stopRenewal = this.options.iceServers?.onRenewed((servers) => {
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
      this.restartWithRenewed(pc).catch(() => undefined);
    });
    return pc;
  }

  /** Makes and sets a local description; one that the browser refuses as edited is set as it came. */
  private async describe(pc: RTCPeerConnection, options?: RTCOfferOptions): Promise<void> {
    const offer = await pc.createOffer(options);
    const sdp = this.local(offer.sdp ?? '');
    await pc.setLocalDescription({ type: 'offer', sdp }).catch(() => pc.setLocalDescription(offer));
  }

  private trickle(batch: CandidateBatch, session: HttpSession, offer: string, signal: AbortSignal): void {
    const send = async (): Promise<void> => {
      for await (const { candidates, complete } of batch.batches(signal)) {
        await session.trickle(offer, candidates, complete);
      }
    };
    send().catch((error: unknown) => {
      // A server that takes no trickle gets whole offers from now on. Any other failure costs candidates only,
      // and the server finds our address from our checks.
      if (error instanceof ApiError && [405, 415, 501].includes(error.status)) this.trickles = false;
    });
  }

  /** Resolves when the connection is beyond repair. */
  private async watch(pc: RTCPeerConnection, signal: AbortSignal): Promise<void> {
    const path = new PathMonitor(pc);
    try {
      while (await this.lostAndFound(pc, path, signal)) this.setState('connected', null);
    } finally {
      path.close();
    }
  }

  /** Waits for a loss and repairs it; `false` if it is beyond repair. */
  private async lostAndFound(
    pc: RTCPeerConnection,
    path: PathMonitor,
    signal: AbortSignal,
  ): Promise<boolean> {
    await path.until((state) => state !== 'fine', signal);
    this.setState('reconnecting', 'ice');
    if (path.state === 'weak') {
      await Promise.race([
        path.until((state) => state !== 'weak', signal),
        this.pause(DISCONNECTED_GRACE_MS, signal),
      ]);
    }
    if (isFine(path)) return true;
    // A server that has closed DTLS has ended the session: another path to it would not help.
    if (path.state === 'closed') return false;
    // A path that comes back while the server is asked for another one is as good.
    const over = path.until((state) => state === 'fine' || state === 'closed', signal);
    over.catch(() => undefined);
    const late = this.restartIce(pc).then(() => sleep(RESTART_TIMEOUT_MS, signal));
    await Promise.race([over, late.catch(() => undefined)]);
    signal.throwIfAborted();
    return isFine(path);
  }

  /** A restart that is under way began with the old servers: another one follows it. */
  private async restartWithRenewed(pc: RTCPeerConnection): Promise<void> {
    await this.restarting?.catch(() => undefined);
    if (pc === this.pc) await this.restartIce(pc);
  }

  /** Two restarts at a time would take each other's answer: one that is under way serves whoever asks meanwhile. */
  private restartIce(pc: RTCPeerConnection): Promise<void> {
    if (this.restarting !== null) return this.restarting;
    const restart = this.exchangeRestart(pc).finally(() => {
      if (this.restarting === restart) this.restarting = null;
    });
    this.restarting = restart;
    return restart;
  }

  private async exchangeRestart(pc: RTCPeerConnection): Promise<void> {
    const session = this.session;
    if (session === null) throw new TransportError('ice');
    await this.describe(pc, { iceRestart: true });
    try {
      const answer = await session.restart(pc.localDescription?.sdp ?? '');
      await pc.setRemoteDescription({ type: 'answer', sdp: this.incoming(answer) });
    } catch (error) {
      // A path that has come back by itself meanwhile goes on under its old name.
      await pc.setLocalDescription({ type: 'rollback' }).catch(() => undefined);
      throw error;
    }
  }

  private judge(error: unknown): Verdict {
    if (error instanceof TransportError) return { failure: error.part };
    if (error instanceof NetworkError) return { failure: 'network' };
    if (!(error instanceof ApiError)) return { fatal: 'server' };
    const own = this.refusal(error);
    if (own !== null) return own;
    const wait = error.retryAfterMs === undefined ? {} : { waitMs: error.retryAfterMs };
    switch (error.status) {
      case 401:
      case 403:
        return { fatal: 'unauthorized' };
      case 404:
        return { fatal: 'not-found' };
      case 410:
        return { fatal: 'ended' };
      case 406:
      case 422:
        return { fatal: 'codec' };
      case 429:
      case 503:
        return { failure: 'full', ...wait };
      default:
        // Below 500 the request itself is at fault: repeating it does not help.
        return error.status < 500 ? { fatal: 'server' } : { failure: 'server', ...wait };
    }
  }

  /** A wait that {@link retry} ends. */
  private async pause(ms: number, signal: AbortSignal): Promise<void> {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.wake = wake;
    try {
      await Promise.race([sleep(ms, signal), woken]);
    } finally {
      // Where something else ended the wait sooner, a later one may have begun.
      if (this.wake === wake) this.wake = null;
    }
  }

  private discard(): void {
    this.session = null;
    this.restarting = null;
    this.life?.abort();
    this.life = null;
    this.stopRenewal?.();
    this.stopRenewal = undefined;
    const pc = this.pc;
    this.pc = null;
    if (pc === null) return;
    pc.close();
    this.discarded();
  }

  private setState(state: LinkState, failure: LinkFailure | null): void {
    if (this.current === 'closed' || (state === this.current && failure === this.failed)) return;
    this.current = state;
    this.failed = failure;
    this.emit('state', { state, failure });
  }
}

/** Collects the candidates of a connection into batches. */
class CandidateBatch {
  readonly complete: Promise<void>;
  private found: string[] = [];
  private done = false;
  private closed = false;
  private notify: (() => void) | null = null;

  constructor(pc: RTCPeerConnection) {
    this.complete = new Promise((resolve) => {
      pc.addEventListener('icecandidate', ({ candidate }) => {
        if (this.done || this.closed) return;
        if (candidate === null) {
          this.done = true;
          resolve();
        } else if (candidate.candidate !== '') {
          this.found.push(candidate.candidate);
        }
        this.notify?.();
      });
    });
  }

  close(): void {
    this.closed = true;
    this.notify?.();
  }

  async *batches(signal: AbortSignal): AsyncGenerator<{ candidates: string[]; complete: boolean }> {
    for (;;) {
      if (this.found.length === 0 && !this.done && !this.closed) {
        await new Promise<void>((resolve) => (this.notify = resolve));
      }
      await sleep(TRICKLE_BATCH_MS, signal);
      if (this.closed) return;
      const candidates = this.found;
      this.found = [];
      const complete = this.done;
      yield { candidates, complete };
      if (complete) return;
    }
  }
}

function isConnected(pc: RTCPeerConnection): boolean {
  return pc.connectionState === 'connected';
}

/** Resolves when `wanted` holds of the connection state. */
function until(
  pc: RTCPeerConnection,
  wanted: (state: RTCPeerConnectionState) => boolean,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = (): void => {
      if (signal.aborted) finish(() => reject(new DOMException('aborted', 'AbortError')));
      else if (wanted(pc.connectionState)) finish(resolve);
    };
    const finish = (settle: () => void): void => {
      pc.removeEventListener('connectionstatechange', check);
      signal.removeEventListener('abort', check);
      settle();
    };
    pc.addEventListener('connectionstatechange', check);
    signal.addEventListener('abort', check);
    check();
  });
}

/** Resolves when ICE and DTLS are done; fails at one of `ends` or when the time is over. */
async function connected(
  pc: RTCPeerConnection,
  timeoutMs: number,
  ends: readonly RTCPeerConnectionState[],
  signal: AbortSignal,
): Promise<void> {
  const late = sleep(timeoutMs, signal);
  const settled = until(pc, (state) => state === 'connected' || ends.includes(state), signal);
  await Promise.race([settled, late]);
  if (!isConnected(pc)) throw new TransportError(iceDone(pc) ? 'dtls' : 'ice');
}

function isFine(path: PathMonitor): boolean {
  return path.state === 'fine';
}

function iceDone(pc: RTCPeerConnection): boolean {
  return pc.iceConnectionState === 'connected' || pc.iceConnectionState === 'completed';
}
