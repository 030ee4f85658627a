/** Camera, microphone and screen, with failures that a page can put into words. */

/** Why a device gives nothing. */
export type CaptureFailure =
  'denied' | 'missing' | 'busy' | 'insecure' | 'unsupported' | 'cancelled' | 'unknown';

/** A device gave nothing. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  constructor(readonly failure: CaptureFailure) {
    super(failure);
  }
}

const FAILURES: Readonly<Record<string, CaptureFailure>> = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

/** The failure that an error of `getUserMedia` or `getDisplayMedia` stands for. */
export function captureFailure(error: unknown): CaptureFailure {
  if (error instanceof CaptureError) return error.failure;
  return error instanceof Error ? (FAILURES[error.name] ?? 'unknown') : 'unknown';
}

/** The camera `deviceId`, or the default one, at 720p30 if it can. */
export function openCamera(deviceId?: string): Promise<MediaStreamTrack> {
  return openDevice('video', {
    video: {
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30 },
      ...(deviceId === undefined ? {} : { deviceId: { exact: deviceId } }),
    },
  });
}

/** The microphone `deviceId`, or the default one. */
export function openMicrophone(deviceId?: string): Promise<MediaStreamTrack> {
  return openDevice('audio', {
    audio: {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      ...(deviceId === undefined ? {} : { deviceId: { exact: deviceId } }),
    },
  });
}

async function openDevice(
  kind: 'audio' | 'video',
  constraints: MediaStreamConstraints,
): Promise<MediaStreamTrack> {
  requireCapture('getUserMedia');
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    const track = stream.getTracks().find((candidate) => candidate.kind === kind);
    if (track === undefined) throw new CaptureError('missing');
    return track;
  } catch (error) {
    throw new CaptureError(captureFailure(error));
  }
}

/** What the person shares. */
export interface SharedScreen {
  video: MediaStreamTrack;
  /** Its sound, where it was asked for and the browser has it. */
  audio: MediaStreamTrack | null;
}

/** Not yet in the DOM typings. */
interface OwnAudio {
  restrictOwnAudio?: boolean;
}

/**
 * What the person shares: a screen, window or tab. `sound`: with whatever is heard there; or with what is heard but not
 * from this page, so that nobody in a call hears itself: where the browser cannot keep that out, without sound.
 */
export async function openScreen(sound: 'all' | 'others' | 'none' = 'all'): Promise<SharedScreen> {
  requireCapture('getDisplayMedia');
  const restricted: MediaTrackConstraints & OwnAudio = { restrictOwnAudio: true };
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({
      video: { frameRate: { ideal: 30, max: 30 }, width: { max: 1920 }, height: { max: 1080 } },
      audio: sound === 'others' ? restricted : sound === 'all',
    });
    const [video] = stream.getVideoTracks();
    if (video === undefined) throw new CaptureError('missing');
    // Text must stay sharp; frames may be dropped for it.
    video.contentHint = 'detail';
    const [audio = null] = stream.getAudioTracks();
    const isRestricted = (audio?.getSettings() as OwnAudio | undefined)?.restrictOwnAudio === true;
    if (sound === 'all' || (sound === 'others' && isRestricted)) return { video, audio };
    audio?.stop();
    return { video, audio: null };
  } catch (error) {
    const failure = captureFailure(error);
    // Closing the picker is a decision, not a fault; browsers report both alike.
    throw new CaptureError(failure === 'denied' ? 'cancelled' : failure);
  }
}

/** Whether this browser can share a screen. */
export function canShareScreen(): boolean {
  return mediaDevices() !== undefined && 'getDisplayMedia' in navigator.mediaDevices;
}

/** Cameras and microphones, of `all` loudspeakers too; their labels are empty until one was allowed. */
export async function listDevices(which: 'inputs' | 'all' = 'inputs'): Promise<MediaDeviceInfo[]> {
  const devices =
    (await mediaDevices()
      ?.enumerateDevices()
      .catch(() => [])) ?? [];
  return devices.filter(
    ({ deviceId, kind }) => deviceId !== '' && (which === 'all' || kind !== 'audiooutput'),
  );
}

/** Calls back when devices come or go, until the returned function is called. */
export function onDevicesChanged(listener: () => void): () => void {
  const devices = mediaDevices();
  devices?.addEventListener('devicechange', listener);
  return () => devices?.removeEventListener('devicechange', listener);
}

function requireCapture(method: 'getUserMedia' | 'getDisplayMedia'): void {
  if (mediaDevices() === undefined) throw new CaptureError(isSecureContext ? 'unsupported' : 'insecure');
  if (!(method in navigator.mediaDevices)) throw new CaptureError('unsupported');
}

/** Absent on plain-HTTP pages, although it is typed as always there. */
function mediaDevices(): MediaDevices | undefined {
  return navigator.mediaDevices;
}
