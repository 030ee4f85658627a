import { Backoff, sleep } from './backoff.js';
import { Emitter } from './emitter.js';
import type { IceServerSource } from './ice-servers.js';
import { PathMonitor, type PathState } from './path-monitor.js';
import { ApiError, NetworkError, request } from './problem.js';
import { preferCodecs } from './rtp.js';
import { mediaSections, withStartBitrate } from './sdp.js';
import {
  adjusted,
  affordable,
  cameraEncodings,
  type Encoding,
  sameEncodings,
  sendEncodings,
  silenced,
  thisMachine,
} from './simulcast.js';
import {
  type Binding,
  type Bound,
  CALL_CHANNEL,
  type CallEvent,
  type JoinCall,
  type JoinedCall,
  type OfferedSource,
  type PublishOffer,
  type SlotKind,
  type Source,
  type Want,
  type Wants,
} from './types.js';

/** How a call stands. `reconnecting`: a connection was lost and the session is being resumed. */
export type CallState = 'connecting' | 'connected' | 'reconnecting' | 'failed' | 'closed';

/** Why a call failed. */
export type CallFailure =
  'unauthorized' | 'not-found' | 'full' | 'locked' | 'removed' | 'network' | 'media' | 'server';

/** What a slot of the receiving connection shows. */
export interface CallSlot {
  mid: string;
  kind: SlotKind;
  track: MediaStreamTrack;
  /** Null while it shows nothing. */
  binding: Binding | null;
}

/** What a call tells its owner. */
export interface CallEvents {
  state: { state: CallState; failure: CallFailure | null };
  /** The session has begun, or goes on after a loss. */
  joined: JoinedCall;
  /** Every slot, whenever one of them shows something else. */
  slots: readonly CallSlot[];
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
const AUDIO_BITRATE = { microphone: 64_000, screen_audio: 96_000 } as const;
/** Every browser decodes the first; the second keeps the offer of twenty slots short. */
const CODECS = ['VP8', 'H264'] as const;
const START_KBPS = 2_000;
/** ICE and DTLS of both connections have to be done within this time after the answer. */
const CONNECT_TIMEOUT_MS = 15_000;
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
    const live = new Connections(iceServers, { ...SLOTS, ...this.options.slots }, this.tracks, (slots) =>
      this.emit('slots', slots),
    );
    this.live = live;
    const offers = await live.offer();
    const { url, group, name } = this.options;
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

/** Both connections of one life of a session. */
class Connections {
  private readonly publish: RTCPeerConnection;
  private readonly receive: RTCPeerConnection;
  private readonly channel: RTCDataChannel;
  private readonly senders = new Map<Source, RTCRtpTransceiver>();
  private readonly slots: { kind: SlotKind; transceiver: RTCRtpTransceiver }[] = [];
  private readonly machine = thisMachine();
  private bound: Bound = { generation: -1, wants: 0, slots: [] };
  private unsaid: Wants | null = null;
  private adjusting: Promise<void> = Promise.resolve();
  /** The encodings that are watched, by source and rid; all of them while nobody has said. */
  private watched = new Map<string, ReadonlyMap<string, boolean>>();

  constructor(
    iceServers: RTCIceServer[],
    layout: Readonly<Record<SlotKind, number>>,
    private readonly tracks: ReadonlyMap<Source, MediaStreamTrack>,
    private readonly onSlots: (slots: readonly CallSlot[]) => void,
  ) {
    const configuration: RTCConfiguration = {
      iceServers,
      bundlePolicy: 'max-bundle',
      rtcpMuxPolicy: 'require',
    };
    this.publish = new RTCPeerConnection(configuration);
    this.receive = new RTCPeerConnection(configuration);
    for (const source of SOURCES) this.addSource(source);
    for (const [kind, count] of Object.entries(layout) as [SlotKind, number][]) {
      for (let index = 0; index < count; index += 1) this.addSlot(kind);
    }
    this.channel = this.receive.createDataChannel(CALL_CHANNEL);
    this.channel.addEventListener('open', () => this.flush());
    this.channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => this.heard(data));
  }

  private addSource(source: Source): void {
    const isAudio = source === 'microphone' || source === 'screen_audio';
    const transceiver = this.publish.addTransceiver(
      this.tracks.get(source) ?? (isAudio ? 'audio' : 'video'),
      {
        direction: 'sendonly',
        sendEncodings: isAudio
          ? [{ maxBitrate: AUDIO_BITRATE[source] }]
          : sendEncodings(this.planned(source), 'L1T3'),
      },
    );
    if (!isAudio) preferCodecs(transceiver, CODECS);
    this.senders.set(source, transceiver);
  }

  private addSlot(kind: SlotKind): void {
    const isAudio = kind === 'voice' || kind === 'screen_audio';
    const transceiver = this.receive.addTransceiver(isAudio ? 'audio' : 'video', { direction: 'recvonly' });
    if (!isAudio) onlyCodecs(transceiver);
    this.slots.push({ kind, transceiver });
  }

  /** The offers of both connections. */
  async offer(): Promise<Required<Pick<JoinCall, 'publish' | 'receive'>>> {
    const [publish, receive] = await Promise.all([described(this.publish), described(this.receive)]);
    const sources: OfferedSource[] = [];
    for (const [source, { mid }] of this.senders) if (mid !== null) sources.push({ mid, source });
    const slots = this.slots.flatMap(({ kind, transceiver: { mid } }) =>
      mid === null ? [] : [{ mid, kind }],
    );
    return {
      publish: { sdp: publish, sources: sources as PublishOffer['sources'] },
      receive: { sdp: receive, slots },
    };
  }

  /** Applies the answers. */
  async answer({ publish_sdp: publish = '', receive_sdp: receive = '', bound }: JoinedCall): Promise<void> {
    await Promise.all([
      this.publish.setRemoteDescription({ type: 'answer', sdp: withStartBitrate(publish, START_KBPS) }),
      this.receive.setRemoteDescription({ type: 'answer', sdp: receive }),
    ]);
    this.show(bound);
  }

  /** Resolves when both are connected. */
  async connected(signal: AbortSignal): Promise<void> {
    await this.when((states) => states.every((state) => state === 'fine'), signal, CONNECT_TIMEOUT_MS);
    void this.adjust();
  }

  /** Resolves when one of them is lost. */
  async lost(signal: AbortSignal): Promise<void> {
    await this.when((states) => states.some((state) => state === 'silent' || state === 'closed'), signal);
  }

  private async when(
    wanted: (states: readonly PathState[]) => boolean,
    signal: AbortSignal,
    withinMs?: number,
  ): Promise<void> {
    const paths = [new PathMonitor(this.publish), new PathMonitor(this.receive)];
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const holds = (): boolean => wanted(paths.map(({ state }) => state));
    try {
      const waits = paths.map((path) => path.until(holds, either));
      for (const wait of waits) wait.catch(() => undefined);
      const late =
        withinMs === undefined ? [] : [sleep(withinMs, either).then(() => Promise.reject(new Error('late')))];
      for (const wait of late) wait.catch(() => undefined);
      await Promise.race([...waits, ...late]);
    } finally {
      over.abort();
      for (const path of paths) path.close();
    }
  }

  async setTrack(source: Source, track: MediaStreamTrack | null): Promise<void> {
    await this.senders.get(source)?.sender.replaceTrack(track);
    // Another camera has another size; without a track some browsers send black.
    if (source === 'camera' || source === 'screen') await this.adjust();
  }

  /** Says what is wanted, at once or when the channel is open; of several the last. */
  say(wants: Wants): void {
    this.unsaid = wants;
    this.flush();
  }

  private flush(): void {
    if (this.unsaid === null || this.channel.readyState !== 'open') return;
    this.channel.send(JSON.stringify(this.unsaid));
    this.unsaid = null;
  }

  private heard(data: unknown): void {
    const event = parseEvent(data);
    if (event?.type === 'bound') this.show(event);
    if (event?.type !== 'encodings') return;
    this.watched = new Map(
      event.media.map(({ mediaId, encodings }) => [
        mediaId,
        new Map(encodings.map(({ encodingId, wanted }) => [encodingId, wanted])),
      ]),
    );
    void this.adjust();
  }

  private show(bound: Bound): void {
    if (bound.generation < this.bound.generation) return;
    this.bound = bound;
    const bindings = new Map(bound.slots.map((binding) => [binding.mid, binding]));
    this.onSlots(
      this.slots.map(({ kind, transceiver: { mid, receiver } }) => ({
        mid: mid ?? '',
        kind,
        track: receiver.track,
        binding: bindings.get(mid ?? '') ?? null,
      })),
    );
  }

  private planned(source: Source): Encoding[] {
    const { width = 0, height = 0 } = this.tracks.get(source)?.getSettings() ?? {};
    if (source !== 'camera') return [{ active: true, maxBitrate: 2_500_000, scaleResolutionDownBy: 1 }];
    return cameraEncodings(height === 0 ? null : Math.min(width, height), affordable(this.machine));
  }

  /** Brings the encodings of camera and screen to what their size and their viewers need. */
  private adjust(): Promise<void> {
    this.adjusting = this.adjusting.then(async () => {
      for (const source of ['camera', 'screen'] as const) await this.adjustSource(source);
    });
    return this.adjusting;
  }

  private async adjustSource(source: 'camera' | 'screen'): Promise<void> {
    const transceiver = this.senders.get(source);
    if (transceiver === undefined || this.publish.connectionState === 'closed') return;
    const { mid, sender } = transceiver;
    const parameters = sender.getParameters();
    const present = parameters.encodings as Encoding[];
    const watched = this.watched.get(mid ?? '') ?? new Map<string, boolean>();
    const encodings =
      this.machine.firefox && !this.tracks.has(source)
        ? silenced(present)
        : adjusted(present, this.planned(source), watched);
    if (sameEncodings(encodings, present)) return;
    // A connection that closes meanwhile refuses; the next one starts anew.
    await sender.setParameters({ ...parameters, encodings }).catch(() => undefined);
  }

  close(): void {
    this.publish.close();
    this.receive.close();
  }
}

async function described(pc: RTCPeerConnection): Promise<string> {
  await pc.setLocalDescription();
  // Without candidates: the server is ICE-lite, and learns our address from our checks.
  const sdp = pc.localDescription?.sdp ?? '';
  if (mediaSections(sdp).length === 0) throw new Error('the browser made no offer');
  return sdp;
}

/** Offers few codecs on a slot: twenty slots with all of them are a long text. */
function onlyCodecs(transceiver: RTCRtpTransceiver): void {
  const all = RTCRtpReceiver.getCapabilities('video')?.codecs;
  if (all === undefined || !('setCodecPreferences' in transceiver)) return;
  const named = (name: string): RTCRtpCodec[] =>
    all.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${name.toLowerCase()}`);
  const chosen = CODECS.flatMap(named);
  if (chosen.length > 0) transceiver.setCodecPreferences([...chosen, ...named('rtx')]);
}

function parseEvent(data: unknown): CallEvent | null {
  if (typeof data !== 'string') return null;
  try {
    return JSON.parse(data) as CallEvent;
  } catch {
    return null;
  }
}
