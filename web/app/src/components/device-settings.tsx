/* eslint-disable @typescript-eslint/no-unused-vars -- the signature, before what it does */
import type { ReactNode } from 'react';

/** The dialog of camera, microphone, loudspeaker and background in a call. */
export function DeviceSettings(_: { onClose: () => void }): ReactNode {
  return null;
}

/** The small button beside that of a device: which one is used. Stands in the same `position: relative` box. */
export function DeviceMenu(_: { kind: 'microphone' | 'camera'; onSettings: () => void }): ReactNode {
  return null;
}

/** Says what happened to a device of one's own: unplugged, taken away, blocked. Stands above the bar of a call. */
export function DeviceNotices(): ReactNode {
  return null;
}
