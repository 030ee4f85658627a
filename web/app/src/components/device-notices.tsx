import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useRoom, useStoreValue } from '@madang/react';
import type { Device, DeviceState } from '@madang/sdk';
import { useBlur } from '../lib/blur/state';
import { deviceWords } from '../lib/call-words';
import { deviceNews, type DeviceNews, type Used } from '../lib/device-news';
import { chooseDevice, chooseSpeaker, followDevices, useSpeaker } from '../lib/devices';
import { t } from '../texts';
import { CloseIcon } from './icons';

/** Older news are of no use. */
const MAX_NEWS = 3;

/** Says what happened to a device of one's own: unplugged, plugged in, taken away. Stands above the bar of a call. */
export function DeviceNotices(): ReactNode {
  const { mic, camera } = useRoom().me;
  const [news, forget] = useNews();
  return (
    <>
      <Failure kind="microphone" device={mic} />
      <Failure kind="camera" device={camera} />
      <BlurFailure />
      {news.map((item) => (
        <News key={`${item.kind} ${item.what} ${item.deviceId}`} news={item} onClose={() => forget(item)} />
      ))}
    </>
  );
}

function Failure({ kind, device }: { kind: 'microphone' | 'camera'; device: Device }): ReactNode {
  const failure = useStoreValue(device.state, (state) => state.failure);
  const [read, setRead] = useState<DeviceState['failure']>(null);
  if (failure === null && read !== null) setRead(null);
  if (failure === null || failure === read) return null;
  return (
    <DeviceNotice tone="error" testId={`${kind}-failure`} onClose={() => setRead(failure)}>
      <span>{deviceWords(kind, failure)}</span>
      <button type="button" className="button" onClick={() => void device.on()}>
        {t.retry}
      </button>
    </DeviceNotice>
  );
}

function BlurFailure(): ReactNode {
  const failed = useBlur((state) => state.failed);
  if (!failed) return null;
  return (
    <DeviceNotice tone="error" testId="blur-failure" onClose={() => useBlur.setState({ failed: false })}>
      <span>{t.blurLost}</span>
    </DeviceNotice>
  );
}

function News({ news, onClose }: { news: DeviceNews; onClose: () => void }): ReactNode {
  const room = useRoom();
  const { kind, what, deviceId, name } = news;
  const words = what === 'lost' ? LOST[kind](name) : t.deviceCame(name);
  const use = (): void => {
    if (kind === 'speaker') void chooseSpeaker(room, deviceId).catch(() => undefined);
    else chooseDevice(room, kind, deviceId);
    onClose();
  };
  return (
    <DeviceNotice tone="info" testId={`device-${what}`} onClose={onClose}>
      <span>{words}</span>
      {what === 'came' ? (
        <button type="button" className="button" onClick={use}>
          {USE[kind]}
        </button>
      ) : null}
    </DeviceNotice>
  );
}

const LOST: Readonly<Record<DeviceNews['kind'], (name: string) => string>> = {
  microphone: t.deviceLostMicrophone,
  camera: t.deviceLostCamera,
  speaker: t.deviceLostSpeaker,
};

const USE: Readonly<Record<DeviceNews['kind'], string>> = {
  microphone: t.deviceUseMicrophone,
  camera: t.deviceUseCamera,
  speaker: t.deviceUseSpeaker,
};

function DeviceNotice(props: {
  tone: 'error' | 'info';
  testId: string;
  onClose: () => void;
  children: ReactNode;
}): ReactNode {
  const { tone, testId, onClose, children } = props;
  return (
    <div
      className="device-notice"
      data-tone={tone}
      role={tone === 'error' ? 'alert' : 'status'}
      data-testid={testId}
    >
      {children}
      <button type="button" className="icon-button" aria-label={t.close} onClick={onClose}>
        <CloseIcon />
      </button>
    </div>
  );
}

/** What has come and gone while the page is open. */
function useNews(): [readonly DeviceNews[], (item: DeviceNews) => void] {
  const { mic, camera } = useRoom().me;
  const [news, setNews] = useState<readonly DeviceNews[]>([]);
  const used = useRef<Record<'microphone' | 'camera', Used | null>>({ microphone: null, camera: null });
  useEffect(() => {
    // Once the list has changed the device may be another one already: what was used is noted while it is.
    const note = (): void => {
      used.current = {
        microphone: usedOf(mic) ?? used.current.microphone,
        camera: usedOf(camera) ?? used.current.camera,
      };
    };
    note();
    let before: readonly MediaDeviceInfo[] | null = null;
    const stops = [
      mic.state.subscribe(note),
      camera.state.subscribe(note),
      followDevices((after) => {
        const speaker = useSpeaker.getState().id;
        const own = { ...used.current, speaker: speaker === null ? null : { deviceId: speaker, label: '' } };
        const told = deviceNews(before ?? after, after, own);
        before = after;
        const isThere = ({ what, deviceId }: DeviceNews): boolean =>
          what === 'lost' || after.some((device) => device.deviceId === deviceId);
        if (told.some(({ kind, what }) => kind === 'speaker' && what === 'lost'))
          useSpeaker.setState({ id: null });
        setNews((old) => [...old.filter(isThere), ...told].slice(-MAX_NEWS));
      }),
    ];
    return () => stops.forEach((stop) => stop());
  }, [mic, camera]);
  return [news, (item) => setNews((old) => old.filter((other) => other !== item))];
}

/** The device that gives the track of a state; null while there is none. */
function usedOf(device: Device): Used | null {
  const { track, deviceId } = device.state.get();
  if (track === null) return null;
  return { deviceId: deviceId ?? track.getSettings().deviceId ?? null, label: track.label };
}
