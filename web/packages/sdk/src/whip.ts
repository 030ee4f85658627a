import { followEvents } from './event-stream.js';
import type { HttpSession } from './http-session.js';
import { parseWanted, shorter, type WantedEncodings } from './layers.js';
import { type LinkEvents, type LinkOptions, PeerLink, type Verdict } from './peer-link.js';
import type { ApiError } from './problem.js';
import { negotiateExtensions, preferCodecs } from './rtp.js';
import { type Content, withAudioNack, withContent, withStartBitrate } from './sdp.js';
import {
  adjusted,
  silenced,
  affordable,
  cameraEncodings,
  codecOrder,
  type Encoding,
  sameEncodings,
  scalabilityMode,
  screenEncodings,
  sendEncodings,
  thisMachine,
} from './simulcast.js';
import { type LinkStats, StatsMeter } from './stats.js';
import type { Source } from './types.js';

/** Settings of a {@link WhipPublisher}. */
export interface PublisherOptions extends LinkOptions {
  /** The key of the broadcast; only ever sent in the Authorization header. */
  streamKey: string;
  /** Video codecs, the best first. */
  videoCodecs?: readonly string[];
}

interface Slot {
  source: Source;
  kind: 'audio' | 'video';
  content: Content;
}

/** The m-lines of every publish offer, in this order: a track comes and goes in its own without renegotiation. */
const SLOTS: readonly Slot[] = [
  { source: 'microphone', kind: 'audio', content: 'main' },
  { source: 'camera', kind: 'video', content: 'main' },
  { source: 'screen', kind: 'video', content: 'slides' },
  { source: 'screen_audio', kind: 'audio', content: 'slides' },
];
/** In bits per second: speech, and whatever a shared tab plays. */
const AUDIO_BITRATE = { microphone: 64_000, screen_audio: 96_000 } as const;
/** Where the bandwidth estimate starts, in kbit/s: enough for all encodings, or the full one comes seconds late. */
const START_KBPS = 2_000;
/** A publisher's room is kept this long after its media is lost. */
const RECONNECT_BUDGET_MS = 30_000;

/**
 * Sends camera, microphone and screen to a WHIP endpoint. A lost connection comes back with the same key within 30 s,
 * and its viewers stay.
 */
export class WhipPublisher extends PeerLink<LinkEvents> {
  private readonly tracks = new Map<Source, MediaStreamTrack>();
  private senders = new Map<Source, RTCRtpSender>();
  private mids = new Map<string, Source>();
  private meter = new StatsMeter();
  private readonly machine = thisMachine();
  /** What the server says is watched; all of it while it has not said. */
  private wanted: WantedEncodings = new Map();
  /** Settings of a sender are read and written in turns: two at a time fail. */
  private adjusting: Promise<void> = Promise.resolve();

  constructor(protected override readonly options: PublisherOptions) {
    super(options, RECONNECT_BUDGET_MS);
  }

  /** Sends `track` as `source` from now on; null sends nothing there. Works before and during a connection. */
  async setTrack(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (track === null) this.tracks.delete(source);
    else this.tracks.set(source, track);
    await this.senders.get(source)?.replaceTrack(track);
    // Another camera has another size; without a track some browsers send black.
    if (source === 'camera' || source === 'screen') await this.adjust();
  }

  /** Ends the broadcast's session at the server and leaves. */
  async end(): Promise<void> {
    await this.leave(true);
  }

  /** Leaves without a word, as a closed tab does. */
  async close(): Promise<void> {
    await this.leave(false);
  }

  /** Statistics since the last call; null without a connection. */
  async stats(): Promise<LinkStats | null> {
    const pc = this.pc;
    return pc === null ? null : this.meter.measure(await pc.getStats(), this.mids);
  }

  protected override prepare(pc: RTCPeerConnection): void {
    const streams = { main: new MediaStream(), slides: new MediaStream() };
    for (const slot of SLOTS) {
      const { source } = slot;
      const planned = this.planned(source);
      const codecs = this.options.videoCodecs ?? codecOrder(planned.length, this.machine);
      const transceiver = pc.addTransceiver(this.tracks.get(source) ?? slot.kind, {
        direction: 'sendonly',
        streams: [streams[slot.content]],
        sendEncodings:
          source === 'microphone' || source === 'screen_audio'
            ? [{ maxBitrate: AUDIO_BITRATE[source] }]
            : sendEncodings(planned, scalabilityMode(codecs[0] ?? '')),
      });
      negotiateExtensions(transceiver);
      if (slot.kind === 'video') preferCodecs(transceiver, codecs);
      this.senders.set(source, transceiver.sender);
    }
  }

  protected override opened(_pc: RTCPeerConnection, session: HttpSession, signal: AbortSignal): void {
    this.wanted = new Map();
    void this.adjust();
    if (session.eventsUrl === null) return;
    const all = (): void => {
      // Nobody tells any more what is watched: everything may be.
      this.wanted = new Map();
      void this.adjust();
    };
    followEvents(session.eventsUrl, session.bearer, signal, ({ type, data }) => {
      const wanted = type === 'encodings' ? parseWanted(data) : null;
      if (wanted === null) return;
      this.wanted = wanted;
      void this.adjust();
    }).then(all, () => undefined);
  }

  protected override bearer(): Promise<string> {
    return Promise.resolve(this.options.streamKey);
  }

  protected override outgoing(offer: string): string {
    const contents = new Map<string, Content>();
    this.mids = new Map();
    this.pc?.getTransceivers().forEach(({ mid }, index) => {
      const slot = SLOTS[index];
      if (mid === null || slot === undefined) return;
      contents.set(mid, slot.content);
      this.mids.set(mid, slot.source);
    });
    return withContent(withAudioNack(offer), contents);
  }

  protected override incoming(answer: string): string {
    return withStartBitrate(answer, START_KBPS);
  }

  protected override refusal(error: ApiError): Verdict | null {
    return error.status === 409 ? { fatal: 'ended' } : null;
  }

  protected override discarded(): void {
    this.senders = new Map();
    this.meter = new StatsMeter();
  }

  /** The encodings that a source has in several; none for sound. */
  private planned(source: Source): Encoding[] {
    const limit = affordable(this.machine);
    if (source === 'screen') return screenEncodings(limit);
    if (source !== 'camera') return [];
    const { width = 0, height = 0 } = this.tracks.get('camera')?.getSettings() ?? {};
    return cameraEncodings(height === 0 ? null : shorter(width, height), limit);
  }

  /** Brings the encodings of camera and screen to what is planned and watched. */
  private adjust(): Promise<void> {
    this.adjusting = this.adjusting.then(async () => {
      for (const [mid, source] of this.mids) {
        const sender = this.senders.get(source);
        const planned = this.planned(source);
        if (sender === undefined || planned.length === 0) continue;
        const parameters = sender.getParameters();
        const present = parameters.encodings as Encoding[];
        const encodings =
          this.machine.firefox && !this.tracks.has(source)
            ? silenced(present)
            : adjusted(present, planned, this.wanted.get(mid) ?? NONE);
        const codec = parameters.codecs[0]?.mimeType;
        for (const encoding of encodings) {
          if (codec !== undefined && encoding.scalabilityMode !== undefined)
            encoding.scalabilityMode = scalabilityMode(codec);
        }
        if (sameEncodings(encodings, parameters.encodings)) continue;
        // A connection that closes meanwhile refuses; the next one starts anew.
        await sender.setParameters({ ...parameters, encodings }).catch(() => undefined);
      }
    });
    return this.adjusting;
  }
}

const NONE: ReadonlyMap<string, boolean> = new Map();
