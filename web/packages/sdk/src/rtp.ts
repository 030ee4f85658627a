/** Settings of transceivers that publishers and players share. */

/** When a frame was captured: browsers know it, and do not ask for it by themselves. */
export const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';
/**
 * The layers of a frame, likewise: without it AV1 with spatial layers is only seen in its lowest, and a server could not
 * tell the layers of what is encrypted from end to end.
 */
export const DEPENDENCY_DESCRIPTOR =
  'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

/** Not yet in the DOM typings. */
interface HeaderExtension {
  uri: string;
  direction: RTCRtpTransceiverDirection;
}
interface NegotiatesHeaderExtensions {
  getHeaderExtensionsToNegotiate?(): HeaderExtension[];
  setHeaderExtensionsToNegotiate?(extensions: HeaderExtension[]): void;
}

/** Asks for header extensions, where the browser can: capture times and layers where none is named. */
export function negotiateExtensions(
  transceiver: RTCRtpTransceiver,
  wanted: readonly string[] = [CAPTURE_TIME, DEPENDENCY_DESCRIPTOR],
): void {
  const negotiator = transceiver as NegotiatesHeaderExtensions;
  const extensions = negotiator.getHeaderExtensionsToNegotiate?.();
  if (extensions === undefined) return;
  for (const extension of extensions) {
    if (wanted.includes(extension.uri)) extension.direction = 'sendrecv';
  }
  negotiator.setHeaderExtensionsToNegotiate?.(extensions);
}

/** Puts the named codecs first; those that the browser lacks are left out, all others follow in its own order. */
export function preferCodecs(transceiver: RTCRtpTransceiver, names: readonly string[]): void {
  const all = RTCRtpSender.getCapabilities('video')?.codecs;
  // Absent in old Safari and Firefox, typed as always there.
  if (all === undefined || !('setCodecPreferences' in transceiver)) return;
  const rank = (codec: RTCRtpCodec): number => {
    const index = names.findIndex((name) => codec.mimeType.toLowerCase() === `video/${name.toLowerCase()}`);
    return index < 0 ? names.length : index;
  };
  transceiver.setCodecPreferences([...all].sort((a, b) => rank(a) - rank(b)));
}

/** Whether this browser can decode a codec, by its name in SDP. */
export function canDecode(kind: 'audio' | 'video', codec: string): boolean {
  const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs;
  return codecs?.some(({ mimeType }) => mimeType.toLowerCase() === `${kind}/${codec.toLowerCase()}`) ?? true;
}
