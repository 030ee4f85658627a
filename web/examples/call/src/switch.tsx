import type { ReactNode } from 'react';
import { useStoreValue } from '@madang/react';
import type { Device, DeviceState, Screen, ScreenState } from '@madang/sdk';

/** The button of a device of one's own. */
export function Switch({ name, device }: { name: string; device: Device | Screen }): ReactNode {
  const { state, allowed, failure } = useStoreValue<DeviceState | ScreenState>(device.state);
  const on = (): Promise<void> => ('share' in device ? device.share() : device.on());
  const off = (): Promise<void> => ('share' in device ? device.stop() : device.off());
  return (
    <button
      aria-pressed={state === 'on'}
      disabled={!allowed || state === 'starting'}
      title={failure ?? undefined}
      onClick={() => void (state === 'on' ? off() : on())}
    >
      {name}
    </button>
  );
}
