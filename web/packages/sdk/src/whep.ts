import { captureLatency, type CaptureSource, senderClockAhead } from './capture-time.js';
import type { HttpSession } from './http-session.js';
import { type Layers, requestOf, type VideoChoice } from './layers.js';
import { type LinkEvents, type LinkOptions, PeerLink, type Verdict } from './peer-link.js';
import type { ApiError } from './problem.js';
import { negotiateExtensions } from './rtp.js';
import { mediaSections, sources, withAudioNack, withReferenceTime } from './sdp.js';
import { type LinkStats, StatsMeter } from './stats.js';
import type { Source } from './types.js';

/** Settings of a {@link WhepPlayer}. */
export interface PlayerOptions extends LinkOptions {
  /** The bearer of each request; none where watching is open. */
  token?: () => Promise<string | undefined>;
}

/** A track that the server may send. */
export interface RemoteTrack {
  source: Source;
  track: MediaStreamTrack;
  /** The participant whose it is; null if the server does not say. */
  owner: string | null;
}

/** What a player tells its owner, besides its state. */
export interface PlayerEvents extends LinkEvents {
  /** The tracks of a new connection; they replace all earlier ones. */
  tracks: RemoteTrack[];
  /** What there is to choose from; null where the server lets nobody choose. */
  layers: Layers | null;
}

/** Statistics of a player. */
export interface PlayerStats extends LinkStats {
  /** Milliseconds from capture to screen; null where stream or browser does not tell. */
  latencyMs: number | null;
}

/** The m-lines of every watch offer; the server fills as many as there are tracks. */
const KINDS = ['audio', 'video', 'video', 'audio'] as const;
/** Wait between questions where the answer 409 names none. */
const WAIT_MS = 2_000;
/** How long a player tries to get lost media back. */
const RECONNECT_BUDGET_MS = 60_000;

/** Plays a broadcast from a WHEP endpoint; waits for it where it has not begun. */
export class WhepPlayer extends PeerLink<PlayerEvents> {
  private sources = new Map<string, Source>();
  private owners = new Map<string, string | null>();
  private meter = new StatsMeter();
  private choice: VideoChoice = 'auto';
  private layered: { session: HttpSession; signal: AbortSignal } | null = null;
  private readonly frames = new WeakMap<HTMLVideoElement, FrameClock>();

  constructor(protected override readonly options: PlayerOptions) {
    super(options, RECONNECT_BUDGET_MS);
  }

  /** Stops and tells the server, unless it is the server that has ended the session. */
  async close(tell = true): Promise<void> {
    // A server that cannot be told notices by itself.
    await this.leave(tell).catch(() => undefined);
  }

  /** Asks for another picture, or for none. Kept for later connections of this player. */
  async choose(choice: VideoChoice): Promise<void> {
    this.choice = choice;
    await this.exchange(true);
  }

  /** Asks what there is to choose from; the answer comes as the event `layers`. */
  async askLayers(): Promise<void> {
    await this.exchange(false);
  }

  /** Statistics since the last call, with the latency of what `video` shows; null without a connection. */
  async stats(video: HTMLVideoElement | null, source: Source = 'camera'): Promise<PlayerStats | null> {
    const pc = this.pc;
    if (pc === null) return null;
    const report = await pc.getStats();
    return {
      ...this.meter.measure(report, this.sources),
      latencyMs: this.latency(pc, report, video, source),
    };
  }

  protected override prepare(pc: RTCPeerConnection): void {
    for (const kind of KINDS) negotiateExtensions(pc.addTransceiver(kind, { direction: 'recvonly' }));
    pc.addEventListener('signalingstatechange', () => {
      if (pc === this.pc && pc.signalingState === 'stable') this.emit('tracks', this.remoteTracks(pc));
    });
  }

  protected override bearer(): Promise<string | undefined> {
    return this.options.token?.() ?? Promise.resolve(undefined);
  }

  protected override local(offer: string): string {
    return withReferenceTime(offer);
  }

  protected override outgoing(offer: string): string {
    return withAudioNack(offer);
  }

  protected override incoming(answer: string): string {
    const sections = mediaSections(answer);
    this.sources = sources(sections);
    this.owners = new Map(sections.map(({ mid, streamId }) => [mid, streamId]));
    return answer;
  }

  protected override refusal(error: ApiError): Verdict | null {
    if (error.status !== 409) return null;
    if (error.code === 'closed' || error.code === 'ended') return { fatal: 'ended' };
    return { failure: 'server', state: 'waiting', waitMs: error.retryAfterMs ?? WAIT_MS };
  }

  protected override discarded(): void {
    this.meter = new StatsMeter();
    this.layered = null;
  }

  protected override opened(_pc: RTCPeerConnection, session: HttpSession, signal: AbortSignal): void {
    const able = session.layersUrl !== null;
    this.layered = able ? { session, signal } : null;
    this.emit('layers', able ? { media: [] } : null);
    // A new session knows nothing of the choice; without one, there is nothing to say.
    if (this.choice !== 'auto') void this.exchange(true);
  }

  /** A server that cannot be asked right now leaves everything as it is. */
  private async exchange(change: boolean): Promise<void> {
    const { layered } = this;
    if (layered === null) return;
    const { session, signal } = layered;
    const layers = await session.layers(change ? requestOf(this.choice) : null, signal).catch(() => null);
    if (layers !== null && this.layered === layered) this.emit('layers', layers);
  }

  private remoteTracks(pc: RTCPeerConnection): RemoteTrack[] {
    const tracks: RemoteTrack[] = [];
    for (const { mid, currentDirection, receiver } of pc.getTransceivers()) {
      const source = this.sources.get(mid ?? '');
      if (mid === null || source === undefined || currentDirection !== 'recvonly') continue;
      tracks.push({ source, track: receiver.track, owner: this.owners.get(mid) ?? null });
    }
    return tracks;
  }

  private latency(
    pc: RTCPeerConnection,
    report: RTCStatsReport,
    video: HTMLVideoElement | null,
    source: Source,
  ): number | null {
    const receiver = pc.getTransceivers().find(({ mid }) => this.sources.get(mid ?? '') === source)?.receiver;
    if (video === null || receiver === undefined || !('requestVideoFrameCallback' in video)) return null;
    const clock = this.frames.get(video) ?? new FrameClock(video);
    this.frames.set(video, clock);
    const frame = clock.take(receiver);
    return frame === null ? null : captureLatency(frame.capture, frame, senderClockAhead(report));
  }
}

/** Remembers the newest frame that a video element has shown, with what the receiver said of its capture. */
class FrameClock {
  private frame: { rtpTimestamp: number; shownAtMs: number; capture: CaptureSource | undefined } | null =
    null;
  private receiver: RTCRtpReceiver | null = null;

  constructor(video: HTMLVideoElement) {
    const note = (_now: number, metadata: VideoFrameCallbackMetadata): void => {
      const sync = this.receiver?.getSynchronizationSources()[0] as CaptureSource | undefined;
      this.frame =
        metadata.rtpTimestamp === undefined
          ? null
          : {
              rtpTimestamp: metadata.rtpTimestamp,
              // The page's own time origin does not follow a clock that is set while the page is open.
              shownAtMs:
                Date.now() -
                performance.now() +
                Math.max(metadata.expectedDisplayTime, metadata.presentationTime),
              capture: sync,
            };
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  }

  /** The newest frame since the last call. */
  take(receiver: RTCRtpReceiver): typeof this.frame {
    this.receiver = receiver;
    const frame = this.frame;
    this.frame = null;
    return frame;
  }
}
