import { useEffect, useState } from 'react';
import { create } from 'zustand';
import { keepDevice } from '@madang/react';
import { listDevices, onDevicesChanged, type Room } from '@madang/sdk';

/** The loudspeaker of the call; null is the default one. */
export const useSpeaker = create<{ id: string | null }>(() => ({ id: null }));

/** Plays on another loudspeaker, in the next call too; one that is gone leaves what it was. */
export async function chooseSpeaker(room: Room, id: string | null): Promise<void> {
  await room.sound.output(id ?? '');
  useSpeaker.setState({ id });
  keepDevice('speaker', id);
}

/** Takes another camera or microphone, in the next call too; why it cannot be had is in the state of the device. */
export function chooseDevice(room: Room, kind: 'camera' | 'microphone', id: string | null): void {
  keepDevice(kind, id);
  void room.me[kind === 'microphone' ? 'mic' : 'camera'].device(id);
}

/** Calls back with all devices, now and when that changes, until the returned function is called. */
export function followDevices(listener: (devices: readonly MediaDeviceInfo[]) => void): () => void {
  let over = false;
  const list = (): void => {
    void listDevices('all').then((devices) => {
      if (!over) listener(devices);
    });
  };
  list();
  const stop = onDevicesChanged(list);
  return () => {
    over = true;
    stop();
  };
}

/** The devices of a kind. */
export function useDevices(kind: MediaDeviceKind): readonly MediaDeviceInfo[] {
  const [devices, setDevices] = useState<readonly MediaDeviceInfo[]>([]);
  useEffect(() => followDevices(setDevices), []);
  return devices.filter((device) => device.kind === kind);
}
