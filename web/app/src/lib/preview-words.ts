import type { CaptureFailure } from '@madang/sdk';
import type { Device } from '../store/studio';
import { t } from '../texts';

/** What the preview says while it has no picture. */
export interface PreviewWords {
  kind: 'asking' | 'starting' | 'off' | CaptureFailure;
  title: string;
  hint?: string;
  busy: boolean;
}

const FAILED: Readonly<Record<CaptureFailure, string>> = {
  denied: t.previewCameraBlocked,
  cancelled: t.previewCameraBlocked,
  insecure: t.previewInsecure,
  missing: t.previewMissing,
  busy: t.previewBusy,
  unsupported: t.previewFailed,
  unknown: t.previewFailed,
};

/**
 * Why there is no picture. `granted` is false while the browser may be asking the person: then it is the person who is
 * waited for, not the camera. What to do about a failure stands with the device.
 */
export function previewWords(
  camera: Pick<Device, 'on' | 'opening' | 'failure'>,
  microphone: Pick<Device, 'failure'>,
  granted: boolean,
): PreviewWords {
  if (camera.opening)
    return granted
      ? { kind: 'starting', title: t.previewStarting, busy: true }
      : { kind: 'asking', title: t.previewAsking, hint: t.previewAskingHint, busy: true };
  const { failure } = camera;
  if (!camera.on || failure === null) return { kind: 'off', title: t.previewCameraOff, busy: false };
  const both = isBlocked(failure) && isBlocked(microphone.failure);
  return { kind: failure, title: both ? t.previewBlocked : FAILED[failure], busy: false };
}

/** What stands in the list of devices of a kind while there is none to choose. */
export function noDeviceWords(device: Pick<Device, 'opening' | 'failure'>, none: string): string {
  if (device.opening) return t.deviceAsking;
  if (isBlocked(device.failure)) return t.deviceBlocked;
  if (device.failure === 'insecure' || device.failure === 'unsupported') return t.deviceInsecure;
  return none;
}

function isBlocked(failure: CaptureFailure | null): boolean {
  return failure === 'denied' || failure === 'cancelled';
}
