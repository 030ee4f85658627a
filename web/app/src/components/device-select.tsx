import type { ReactNode } from 'react';
import { t } from '../texts';

const NUMBERED = { microphone: t.microphoneN, camera: t.cameraN, speaker: t.speakerN } as const;

const DEFAULTS = {
  microphone: t.microphoneDefault,
  camera: t.cameraDefault,
  speaker: t.speakerStandard,
} as const;

/** Chooses a device of a kind; null is the default one. */
export function DeviceSelect(props: {
  kind: keyof typeof NUMBERED;
  label: string;
  devices: readonly MediaDeviceInfo[];
  chosen: string | null;
  onChoose: (deviceId: string | null) => void;
}): ReactNode {
  const { kind, label, devices, chosen, onChoose } = props;
  const others = namedDevices(kind, devices);
  const isThere = others.some(({ id }) => id === chosen);
  return (
    <select
      className="select"
      aria-label={label}
      value={isThere ? (chosen ?? '') : ''}
      onChange={({ target }) => onChoose(target.value === '' ? null : target.value)}
      data-testid={`${kind}-select`}
    >
      <option value="">{DEFAULTS[kind]}</option>
      {others.map(({ id, name }) => (
        <option key={id} value={id}>
          {name}
        </option>
      ))}
    </select>
  );
}

/** The devices to choose from besides the default one, which Chromium lists under that name as well. */
export function namedDevices(
  kind: keyof typeof NUMBERED,
  devices: readonly MediaDeviceInfo[],
): { id: string; name: string }[] {
  const others = devices.filter(({ deviceId }) => !['', 'default', 'communications'].includes(deviceId));
  return others.map(({ deviceId, label }, index) => ({
    id: deviceId,
    name: label === '' ? NUMBERED[kind](index + 1) : label,
  }));
}
