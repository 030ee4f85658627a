import { sleep } from './backoff.js';
import { CALL_CODECS, CallSources } from './call-sources.js';
import { PathMonitor, type PathState } from './path-monitor.js';
import { DEPENDENCY_DESCRIPTOR, negotiateExtensions } from './rtp.js';
import { answerAfterRestart, iceCredentials, mediaSections, withStartBitrate } from './sdp.js';
import {
  type Binding,
  type Bound,
  CALL_CHANNEL,
  type CallEvent,
  type IceRestart,
  type JoinCall,
  type JoinedCall,
  type PatchCall,
  type PatchedCall,
  type PublishOffer,
  type SlotKind,
  type Source,
  type Speakers,
  type Wants,
} from './types.js';

/** What a slot of the receiving connection shows. */
export interface CallSlot {
  mid: string;
  kind: SlotKind;
  track: MediaStreamTrack;
  receiver: RTCRtpReceiver;
  /** Null while it shows nothing. */
  binding: Binding | null;
}

/** What {@link Connections} tell their owner. */
export interface ConnectionsListener {
  /** Every slot, whenever one of them shows something else, and what `bound` said. */
  slots(slots: readonly CallSlot[], bound: Bound): void;
  speakers(speakers: Speakers): void;
}

const START_KBPS = 2_000;
/** ICE and DTLS of both connections have to be done within this time after the answer. */
const CONNECT_TIMEOUT_MS = 15_000;

/** Both connections of one life of a session. */
export class Connections {
  private readonly publish: RTCPeerConnection;
  private readonly receive: RTCPeerConnection;
  private readonly channel: RTCDataChannel;
  private readonly sources: CallSources;
  private readonly slots: { kind: SlotKind; transceiver: RTCRtpTransceiver }[] = [];
  private bound: Bound = { generation: -1, wants: 0, slots: [] };
  private unsaid: Wants | null = null;
  /** Of the connections that are used, once there are answers. */
  private paths: readonly PathMonitor[] = [];

  constructor(
    iceServers: RTCIceServer[],
    layout: Readonly<Record<SlotKind, number>>,
    sources: readonly Source[],
    tracks: ReadonlyMap<Source, MediaStreamTrack>,
    private readonly listener: ConnectionsListener,
  ) {
    const configuration: RTCConfiguration = {
      iceServers,
      bundlePolicy: 'max-bundle',
      rtcpMuxPolicy: 'require',
    };
    this.publish = new RTCPeerConnection(configuration);
    this.receive = new RTCPeerConnection(configuration);
    this.sources = new CallSources(this.publish, sources, tracks);
    for (const [kind, count] of Object.entries(layout) as [SlotKind, number][]) {
      for (let index = 0; index < count; index += 1) this.addSlot(kind);
    }
    this.channel = this.receive.createDataChannel(CALL_CHANNEL);
    this.channel.addEventListener('open', () => this.flush());
    // Without it nothing can be asked for: a session whose channel the server has ended is resumed with another.
    this.channel.addEventListener('close', () => this.receive.close());
    this.channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => this.heard(data));
  }

  private addSlot(kind: SlotKind): void {
    const isAudio = kind === 'voice' || kind === 'screen_audio';
    const transceiver = this.receive.addTransceiver(isAudio ? 'audio' : 'video', { direction: 'recvonly' });
    if (!isAudio) {
      onlyCodecs(transceiver);
      negotiateExtensions(transceiver, [DEPENDENCY_DESCRIPTOR]);
    }
    this.slots.push({ kind, transceiver });
  }

  /** The offers of both connections; none to publish for who may send nothing. */
  async offer(): Promise<Pick<JoinCall, 'publish' | 'receive'>> {
    const [publish, receive] = await Promise.all([
      this.sources.isEmpty ? '' : described(this.publish),
      described(this.receive),
    ]);
    const sources = this.sources.offered();
    const slots = this.slots.flatMap(({ kind, transceiver: { mid } }) =>
      mid === null ? [] : [{ mid, kind }],
    );
    return {
      ...(publish === '' ? {} : { publish: { sdp: publish, sources: sources as PublishOffer['sources'] } }),
      receive: { sdp: receive, slots },
    };
  }

  /** Applies the answers. */
  async answer({
    publish_sdp: publish,
    receive_sdp: receive = '',
    bound,
    pictures,
  }: JoinedCall): Promise<void> {
    await Promise.all([
      publish === undefined
        ? undefined
        : this.publish.setRemoteDescription({ type: 'answer', sdp: withStartBitrate(publish, START_KBPS) }),
      this.receive.setRemoteDescription({ type: 'answer', sdp: receive }),
    ]);
    this.show(bound);
    // Before anything is sent: a change costs a keyframe.
    if (pictures !== undefined) await this.sources.sendIn(pictures);
  }

  /** Resolves when both are connected. */
  async connected(signal: AbortSignal): Promise<void> {
    this.paths = this.used().map((pc) => new PathMonitor(pc));
    await this.when(() => this.isFine, signal, CONNECT_TIMEOUT_MS);
    void this.sources.adjust();
  }

  /** Resolves when one of them is lost. */
  async lost(signal: AbortSignal): Promise<void> {
    await this.when((states) => states.some((state) => state === 'silent' || state === 'closed'), signal);
  }

  /** Resolves when both are fine again, or one is beyond repair. */
  async settled(signal: AbortSignal): Promise<void> {
    await this.when(() => this.isFine || this.isClosed, signal);
  }

  get isFine(): boolean {
    return this.paths.every(({ state }) => state === 'fine');
  }

  /** Whether the server has closed one of them: no path to it would help. */
  get isClosed(): boolean {
    return this.paths.some(({ state }) => state === 'closed');
  }

  private async when(
    wanted: (states: readonly PathState[]) => boolean,
    signal: AbortSignal,
    withinMs?: number,
  ): Promise<void> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const holds = (): boolean => wanted(this.paths.map(({ state }) => state));
    try {
      const waits = this.paths.map((path) => path.until(holds, either));
      for (const wait of waits) wait.catch(() => undefined);
      const late =
        withinMs === undefined ? [] : [sleep(withinMs, either).then(() => Promise.reject(new Error('late')))];
      for (const wait of late) wait.catch(() => undefined);
      await Promise.race([...waits, ...late]);
    } finally {
      over.abort();
    }
  }

  /** Restarts ICE where the path is lost: `exchange` takes our credentials to the server and brings its own. */
  async restart(exchange: (body: PatchCall) => Promise<PatchedCall>): Promise<void> {
    const lost = this.used().filter((_, index) => this.paths[index]?.state !== 'fine');
    const nameOf = (pc: RTCPeerConnection): 'publish' | 'receive' =>
      pc === this.publish ? 'publish' : 'receive';
    try {
      const offered = await Promise.all(
        lost.map(async (pc) => [nameOf(pc), await newCredentials(pc)] as const),
      );
      const patched = await exchange(Object.fromEntries(offered));
      await Promise.all(lost.map((pc) => accept(pc, patched[nameOf(pc)])));
      this.show(patched.bound);
    } catch (error) {
      // A path that has come back by itself meanwhile goes on under its old name.
      for (const pc of lost) await pc.setLocalDescription({ type: 'rollback' }).catch(() => undefined);
      throw error;
    }
  }

  /** The connections that carry something. */
  private used(): RTCPeerConnection[] {
    return this.sources.isEmpty ? [this.receive] : [this.publish, this.receive];
  }

  captured(source: Source): Promise<number | null> {
    return this.sources.captured(source);
  }

  setTrack(source: Source, track: MediaStreamTrack | null): Promise<void> {
    return this.sources.setTrack(source, track);
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
    if (event?.type === 'speakers') this.listener.speakers(event);
    if (event?.type === 'encodings') this.sources.watch(event.media);
    if (event?.type === 'pictures') void this.sources.sendIn(event.codec);
  }

  private show(bound: Bound): void {
    if (bound.generation < this.bound.generation) return;
    this.bound = bound;
    const bindings = new Map(bound.slots.map((binding) => [binding.mid, binding]));
    const slots = this.slots.map(({ kind, transceiver: { mid, receiver } }) => ({
      mid: mid ?? '',
      kind,
      track: receiver.track,
      receiver,
      binding: bindings.get(mid ?? '') ?? null,
    }));
    this.listener.slots(slots, bound);
  }

  /** Reports of what is sent and of what is received; null of a connection that carries nothing. */
  async reports(): Promise<{ publish: RTCStatsReport | null; receive: RTCStatsReport }> {
    const [publish, receive] = await Promise.all([
      this.sources.isEmpty ? null : this.publish.getStats(),
      this.receive.getStats(),
    ]);
    return { publish, receive };
  }

  close(): void {
    for (const path of this.paths) path.close();
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

/** Our credentials after a restart. */
async function newCredentials(pc: RTCPeerConnection): Promise<IceRestart> {
  await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
  const credentials = iceCredentials(pc.localDescription?.sdp ?? '');
  if (credentials === null) throw new Error('the browser made no ICE credentials');
  return credentials;
}

/** Goes on with the server's credentials; all else is as it was answered first. */
async function accept(pc: RTCPeerConnection, ice: IceRestart | undefined): Promise<void> {
  const fragment = ice === undefined ? '' : `a=ice-ufrag:${ice.ufrag}\r\na=ice-pwd:${ice.pwd}\r\n`;
  const sdp = answerAfterRestart(pc.currentRemoteDescription?.sdp ?? '', fragment);
  if (sdp === null) throw new Error('the server did not restart ICE');
  await pc.setRemoteDescription({ type: 'answer', sdp });
}

/** Offers few codecs on a slot: twenty slots with all of them are a long text. */
function onlyCodecs(transceiver: RTCRtpTransceiver): void {
  const all = RTCRtpReceiver.getCapabilities('video')?.codecs;
  if (all === undefined || !('setCodecPreferences' in transceiver)) return;
  const named = (name: string): RTCRtpCodec[] =>
    all.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${name.toLowerCase()}`);
  const chosen = CALL_CODECS.flatMap(named);
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
