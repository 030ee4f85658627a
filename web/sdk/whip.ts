import { type LinkEvents, type LinkOptions, PeerLink, type Verdict } from './peer-link';
import type { ApiError } from './problem';
import { negotiateCaptureTime, preferCodecs } from './rtp';
import { type Content, withAudioNack, withContent, withStartBitrate } from './sdp';
import { type LinkStats, StatsMeter } from './stats';
import type { Source } from './types';

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
  /** One entry an encoding: simulcast adds entries with a `rid` each. */
  encodings: readonly RTCRtpEncodingParameters[];
}

/** The m-lines of every publish offer, in this order: a track comes and goes in its own without renegotiation. */
const SLOTS: readonly Slot[] = [
  { source: 'microphone', kind: 'audio', content: 'main', encodings: [{ maxBitrate: 64_000 }] },
  { source: 'camera', kind: 'video', content: 'main', encodings: [{ maxBitrate: 2_500_000 }] },
  { source: 'screen', kind: 'video', content: 'slides', encodings: [{ maxBitrate: 2_500_000 }] },
  { source: 'screen_audio', kind: 'audio', content: 'slides', encodings: [{ maxBitrate: 96_000 }] },
];
/** H.264 is what phones decode in hardware; VP9 before VP8 for its picture at the same rate. */
const VIDEO_CODECS = ['H264', 'VP9', 'VP8'] as const;
/** Where the bandwidth estimate starts, in kbit/s. */
const START_KBPS = 1_200;
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

  constructor(protected override readonly options: PublisherOptions) {
    super(options, RECONNECT_BUDGET_MS);
  }

  /** Sends `track` as `source` from now on; null sends nothing there. Works before and during a connection. */
  async setTrack(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (track === null) this.tracks.delete(source);
    else this.tracks.set(source, track);
    await this.senders.get(source)?.replaceTrack(track);
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
      const track = this.tracks.get(slot.source);
      const transceiver = pc.addTransceiver(track ?? slot.kind, {
        direction: 'sendonly',
        streams: [streams[slot.content]],
        sendEncodings: slot.encodings.map((encoding) => ({ ...encoding })),
      });
      negotiateCaptureTime(transceiver);
      if (slot.kind === 'video') preferCodecs(transceiver, this.options.videoCodecs ?? VIDEO_CODECS);
      this.senders.set(slot.source, transceiver.sender);
    }
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
}
