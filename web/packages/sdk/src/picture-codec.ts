/** In which of the agreed codecs pictures are sent: the server says it, and the browser changes without negotiation. */

import type { Encoding } from './simulcast.js';
import { scalabilityMode } from './simulcast.js';
import type { PictureCodec } from './types.js';

/** What a sender's parameters say of codecs. */
export interface CodecParameters {
  /** Those agreed to, the first one sent where no encoding names another; older browsers do not say. */
  codecs?: readonly RTCRtpCodecParameters[];
  encodings: readonly { active?: boolean; codec?: RTCRtpCodec }[];
}

function isOf({ mimeType }: RTCRtpCodec, name: PictureCodec): boolean {
  return mimeType.toLowerCase() === `video/${name.toLowerCase()}`;
}

/** The codec in which a sender sends; undefined where the browser does not say. */
export function codecNow({ codecs = [], encodings }: CodecParameters): RTCRtpCodec | undefined {
  return encodings[0]?.codec ?? codecs[0];
}

/**
 * What an encoding's settings have to be for it to be sent in `wanted`; null where it is so already, or where that was not
 * agreed to. `modes`: the layers of each codec.
 */
export function changeTo(
  wanted: PictureCodec,
  parameters: CodecParameters,
  modes: Readonly<Record<PictureCodec, string>>,
): Pick<Encoding, 'codec' | 'scalabilityMode'> | null {
  const now = codecNow(parameters);
  const codec = parameters.codecs?.find((codec) => isOf(codec, wanted));
  if (now === undefined || isOf(now, wanted) || codec === undefined) return null;
  return { codec, scalabilityMode: modes[wanted] };
}

/** Half of the frames, and half of those, may be left out. */
export const LAYERED = 'L1T3';

let asked: Promise<string> | null = null;

/** The layers in which this machine sends H.264: those of frames, unless its hardware encodes it only without. */
export function h264Mode(): Promise<string> {
  asked ??= (async () => {
    const flat = scalabilityMode('H264');
    const [layered, plain] = await Promise.all([LAYERED, flat].map(isEfficient));
    return layered !== true && plain === true ? flat : LAYERED;
  })();
  return asked;
}

async function isEfficient(mode: string): Promise<boolean> {
  const known = (navigator as { mediaCapabilities?: MediaCapabilities }).mediaCapabilities;
  try {
    const answer = await known?.encodingInfo({
      type: 'webrtc',
      video: {
        contentType: 'video/H264;profile-level-id=42e01f;packetization-mode=1',
        width: 1280,
        height: 720,
        bitrate: 2_500_000,
        framerate: 30,
        scalabilityMode: mode,
      },
    });
    return answer?.supported === true && answer.powerEfficient;
  } catch {
    // A browser that does not know the question.
    return false;
  }
}
