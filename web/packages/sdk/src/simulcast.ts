/** Which encodings of a picture are sent: pure arithmetic, and the settings of the browser that follow from it. */

/** One encoding, for `sendEncodings`. */
export interface Encoding extends RTCRtpEncodingParameters {
  active: boolean;
  /** Not yet in the DOM typings. */
  scalabilityMode?: string;
  /** One of those agreed to; the first where it is left out. */
  codec?: RTCRtpCodec;
}

interface Rung {
  rid: string;
  /** Pixels of the shorter side; null is the picture's own. */
  height: number | null;
  maxBitrate: number;
}

/** The encodings of a camera, the lowest first: for lines of 400 kbit/s, 1 and 3 Mbit/s. */
const CAMERA: readonly Rung[] = [
  { rid: 'q', height: 240, maxBitrate: 220_000 },
  { rid: 'h', height: 480, maxBitrate: 800_000 },
  { rid: 'f', height: null, maxBitrate: 2_500_000 },
];
/** A screen in half its size is still read, and fits a line that its full size does not. */
const SCREEN: readonly Encoding[] = [
  { rid: 'h', active: true, maxBitrate: 400_000, scaleResolutionDownBy: 2 },
  { rid: 'f', active: true, maxBitrate: 2_500_000, scaleResolutionDownBy: 1 },
];
/** What a camera is taken for before it has opened. */
const USUAL_HEIGHT = 720;
/** An encoding less than this much smaller than the picture itself is not worth its work. */
const MIN_STEP = 1.25;

/** What a machine can encode at a time. */
export interface Machine {
  /** Logical processors. */
  cores: number;
  phone: boolean;
  firefox: boolean;
}

/** This machine. */
export function thisMachine(): Machine {
  const { userAgent, hardwareConcurrency } = navigator;
  const hints = (navigator as { userAgentData?: { mobile?: boolean } }).userAgentData;
  const phone = hints?.mobile ?? /\b(Mobi|Android)/.test(userAgent);
  return { cores: hardwareConcurrency, phone, firefox: /\bFirefox\//.test(userAgent) };
}

/** How many encodings of the camera a machine has the power for. */
export function affordable({ cores, phone }: Machine): number {
  if (cores < 2) return 1;
  return phone && cores <= 4 ? 2 : 3;
}

/**
 * The encodings of a camera whose shorter side has `height` pixels (null: not known yet), at most `limit`: the full
 * picture always, then the lowest, then the middle one.
 */
export function cameraEncodings(height: number | null, limit: number): Encoding[] {
  const own = height ?? USUAL_HEIGHT;
  const smaller = CAMERA.filter((rung) => rung.height !== null && own >= rung.height * MIN_STEP);
  const chosen = smaller.slice(0, Math.max(limit - 1, 0));
  return CAMERA.filter((rung) => rung.height === null || chosen.includes(rung)).map((rung) => ({
    rid: rung.rid,
    active: true,
    maxBitrate: rung.height === null ? fullBitrate(own) : rung.maxBitrate,
    scaleResolutionDownBy: rung.height === null ? 1 : own / rung.height,
  }));
}

/** The encodings of a screen share. */
export function screenEncodings(limit: number): Encoding[] {
  return SCREEN.slice(limit > 1 ? 0 : -1).map((encoding) => ({ ...encoding }));
}

/** Settings of a new sender. A single encoding has no rid: it is no simulcast. */
export function sendEncodings(planned: readonly Encoding[], mode: string): RTCRtpEncodingParameters[] {
  return planned.map(({ rid, ...encoding }) => ({
    ...encoding,
    ...(planned.length > 1 && rid !== undefined ? { rid } : {}),
    scalabilityMode: mode,
  }));
}

/** The full picture of a small camera needs less. */
function fullBitrate(height: number): number {
  if (height >= 600) return 2_500_000;
  return height >= 400 ? 1_000_000 : 500_000;
}

/**
 * The encodings of a sender as they are to be now: those of `planned` with their sizes, all others off; off, too, what
 * nobody watches, but never all: the lowest stays on, so that whoever comes sees something at once.
 */
export function adjusted<E extends RTCRtpEncodingParameters>(
  current: readonly E[],
  planned: readonly Encoding[],
  wanted: ReadonlyMap<string, boolean>,
): E[] {
  const single = current.length === 1;
  const plans = current.map(({ rid }) =>
    single ? planned.at(-1) : planned.find((plan) => plan.rid === rid),
  );
  const asked = current.map(({ rid }) => single || (wanted.get(rid ?? '') ?? true));
  const lowest = plans.findIndex((plan) => plan !== undefined);
  const none = !plans.some((plan, index) => plan !== undefined && asked[index]);
  return current.map((encoding, index) => {
    const plan = plans[index];
    if (plan === undefined) return { ...encoding, active: false };
    const { maxBitrate, scaleResolutionDownBy } = plan;
    const active = asked[index] === true || (none && index === lowest);
    return { ...encoding, maxBitrate, scaleResolutionDownBy, active };
  });
}

/**
 * The encodings of a source that has no track. Firefox would send a black picture a second for it, which viewers would
 * take for a camera.
 */
export function silenced<E extends RTCRtpEncodingParameters>(current: readonly E[]): E[] {
  return current.map((encoding) => ({ ...encoding, active: false }));
}

/** Whether nothing changes: each change of parameters may cost a keyframe. */
export function sameEncodings(
  next: readonly Encoding[],
  before: readonly RTCRtpEncodingParameters[],
): boolean {
  return next.every((encoding, index) => {
    const current = before[index] as Encoding | undefined;
    return (
      current?.active === encoding.active &&
      current.maxBitrate === encoding.maxBitrate &&
      (current.scaleResolutionDownBy ?? 1) === encoding.scaleResolutionDownBy &&
      current.scalabilityMode === encoding.scalabilityMode &&
      current.codec?.mimeType === encoding.codec?.mimeType
    );
  });
}

/** Temporal layers for the codec in use: SFUs cannot tell those of H.264 apart, and hardware encodes it without. */
export function scalabilityMode(codec: string): string {
  return /h26[45]/i.test(codec) ? 'L1T1' : 'L1T3';
}

/**
 * Video codecs in the order of preference. H.264 is what phones decode in hardware; VP9 before VP8 for its picture at
 * the same rate. Firefox sends several encodings of VP8 only.
 */
export function codecOrder(encodings: number, { firefox }: Machine): readonly string[] {
  return encodings > 1 && firefox ? ['VP8', 'H264', 'VP9'] : ['H264', 'VP9', 'VP8'];
}
