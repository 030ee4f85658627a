import { changeTo, codecNow, h264Mode, LAYERED } from './picture-codec.js';
import { DEPENDENCY_DESCRIPTOR, negotiateExtensions, preferCodecs } from './rtp.js';
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
import type { MediaEncodings, OfferedSource, PictureCodec, Source } from './types.js';

/** Every browser decodes the first; the second keeps the offer of twenty slots short. */
export const CALL_CODECS = ['VP8', 'H264'] as const;
/** Whoever refuses so often does not change the codec. */
const MAX_CODEC_REFUSALS = 3;
const AUDIO_BITRATE = { microphone: 32_000, screen_audio: 96_000 } as const;

/** What the publishing connection of a call sends: one m-line for each source from the start, then only tracks. */
export class CallSources {
  private readonly senders = new Map<Source, RTCRtpTransceiver>();
  private readonly machine = thisMachine();
  private adjusting: Promise<void> = Promise.resolve();
  private screenStaysSharp = false;
  /** The encodings that are watched, by mid and rid; all of them while nobody has said. */
  private watched = new Map<string, ReadonlyMap<string, boolean>>();
  /** The codec that pictures are to be sent in; the first of the answer while nobody has said. */
  private codec: PictureCodec | null = null;
  /** How often this browser did not change it although it was asked to. */
  private codecRefusals = 0;
  private readonly modes: Record<PictureCodec, string> = { VP8: LAYERED, H264: LAYERED };

  constructor(
    private readonly pc: RTCPeerConnection,
    sources: readonly Source[],
    private readonly tracks: ReadonlyMap<Source, MediaStreamTrack>,
  ) {
    for (const source of sources) this.add(source);
    void h264Mode().then((mode) => (this.modes.H264 = mode));
  }

  private add(source: Source): void {
    const isAudio = source === 'microphone' || source === 'screen_audio';
    const transceiver = this.pc.addTransceiver(this.tracks.get(source) ?? (isAudio ? 'audio' : 'video'), {
      direction: 'sendonly',
      sendEncodings: isAudio
        ? [{ maxBitrate: AUDIO_BITRATE[source] }]
        : sendEncodings(this.planned(source), LAYERED),
    });
    if (!isAudio) {
      preferCodecs(transceiver, CALL_CODECS);
      negotiateExtensions(transceiver, [DEPENDENCY_DESCRIPTOR]);
    }
    this.senders.set(source, transceiver);
  }

  /** Whether nothing may ever be sent. */
  get isEmpty(): boolean {
    return this.senders.size === 0;
  }

  /** Which m-line is which source, once there is an offer. */
  offered(): OfferedSource[] {
    return [...this.senders].flatMap(([source, { mid }]) => (mid === null ? [] : [{ mid, source }]));
  }

  async setTrack(source: Source, track: MediaStreamTrack | null): Promise<void> {
    await this.senders.get(source)?.sender.replaceTrack(track);
    // Another camera has another size; without a track some browsers send black.
    if (source === 'camera' || source === 'screen') await this.adjust();
  }

  /** Frames a second that a source captures; null where nobody counts them. */
  async captured(source: Source): Promise<number | null> {
    const report = await this.senders.get(source)?.sender.getStats();
    let fps: number | null = null;
    report?.forEach((entry: Record<string, unknown>) => {
      if (entry.type === 'media-source' && typeof entry.framesPerSecond === 'number')
        fps = entry.framesPerSecond;
    });
    return fps;
  }

  /** Which encodings anybody watches. */
  watch(media: readonly MediaEncodings[]): void {
    this.watched = new Map(
      media.map(({ mediaId, encodings }) => [
        mediaId,
        new Map(encodings.map(({ encodingId, wanted }) => [encodingId, wanted])),
      ]),
    );
    void this.adjust();
  }

  /** Sends pictures in this codec from now on, if it was agreed to and the browser can. */
  async sendIn(codec: PictureCodec): Promise<void> {
    this.codec = codec;
    await this.adjust();
  }

  /** Brings the encodings of camera and screen to what their size and their viewers need. */
  adjust(): Promise<void> {
    this.adjusting = this.adjusting.then(async () => {
      for (const source of ['camera', 'screen'] as const) await this.adjustSource(source);
    });
    return this.adjusting;
  }

  private async adjustSource(source: 'camera' | 'screen'): Promise<void> {
    const transceiver = this.senders.get(source);
    if (transceiver === undefined || this.pc.connectionState === 'closed') return;
    const { mid, sender } = transceiver;
    const parameters = sender.getParameters();
    const present = parameters.encodings as Encoding[];
    const watched = this.watched.get(mid ?? '') ?? new Map<string, boolean>();
    const wanted = this.codec;
    const change =
      wanted !== null && this.codecRefusals < MAX_CODEC_REFUSALS
        ? changeTo(wanted, parameters, this.modes)
        : null;
    const sized =
      this.machine.firefox && !this.tracks.has(source)
        ? silenced(present)
        : adjusted(present, this.planned(source), watched);
    const encodings = sized.map((encoding) => ({ ...encoding, ...change }));
    // What is read has to stay sharp: a screen loses frames first. Said once: each change may cost a keyframe.
    const prefers = source === 'screen' && !this.screenStaysSharp;
    if (sameEncodings(encodings, present) && !prefers) return;
    const preference = source === 'screen' ? { degradationPreference: 'maintain-resolution' as const } : {};
    // A connection that closes meanwhile refuses; the next one starts anew.
    const taken = await sender.setParameters({ ...parameters, ...preference, encodings }).then(
      () => true,
      () => false,
    );
    if (prefers && taken) this.screenStaysSharp = true;
    if (change === null) return;
    // Who does not know the setting ignores it; who does not like it takes nothing of the rest either.
    if (taken && codecNow(sender.getParameters())?.mimeType === change.codec?.mimeType) return;
    this.codecRefusals += 1;
    await this.adjustSource(source);
  }

  private planned(source: Source): Encoding[] {
    const { width = 0, height = 0 } = this.tracks.get(source)?.getSettings() ?? {};
    if (source !== 'camera') return [{ active: true, maxBitrate: 2_500_000, scaleResolutionDownBy: 1 }];
    return cameraEncodings(height === 0 ? null : Math.min(width, height), affordable(this.machine));
  }
}
