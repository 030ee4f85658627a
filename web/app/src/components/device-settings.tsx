import type { ReactNode } from 'react';
import { Meter, useRoom, useStoreValue, useTracks } from '@madang/react';
import { canBlur } from '../lib/blur/effect';
import { useBlur } from '../lib/blur/state';
import { blurCamera } from '../lib/blur/switch';
import { deviceWords } from '../lib/call-words';
import { chooseDevice, chooseSpeaker, useDevices, useSpeaker } from '../lib/devices';
import { t } from '../texts';
import { DeviceSelect, namedDevices } from './device-select';
import { Dialog } from './dialog';
import { ChevronIcon, SettingsIcon } from './icons';
import { Menu, type MenuItem } from './menu';
import { Notice } from './message';
import { TestSound } from './test-sound';

/** The dialog of camera, microphone, loudspeaker and background in a call. */
export function DeviceSettings({ onClose }: { onClose: () => void }): ReactNode {
  return (
    <Dialog title={t.devices} className="device-settings" onClose={onClose} testId="device-settings">
      <div className="form">
        <CameraSettings />
        <MicrophoneSettings />
        <SpeakerSettings />
      </div>
    </Dialog>
  );
}

function CameraSettings(): ReactNode {
  const room = useRoom();
  const { track, deviceId, failure, state } = useStoreValue(room.me.camera.state);
  const devices = useDevices('videoinput');
  const preview = useTracks<HTMLVideoElement>(track);
  return (
    <div className="field">
      <span>{t.camera}</span>
      <DeviceSelect
        kind="camera"
        label={t.camera}
        devices={devices}
        chosen={deviceId}
        onChoose={(id) => chooseDevice(room, 'camera', id)}
      />
      {state === 'on' ? (
        <video
          ref={preview}
          className="device-preview"
          autoPlay
          playsInline
          muted
          aria-label={t.preview}
          data-testid="device-preview"
        />
      ) : (
        <small className="quiet">{t.previewCameraOff}</small>
      )}
      <BlurSwitch />
      {failure === null ? null : <Notice tone="error">{deviceWords('camera', failure)}</Notice>}
    </div>
  );
}

function BlurSwitch(): ReactNode {
  const room = useRoom();
  const { on, busy, failed } = useBlur();
  if (!canBlur()) return <small className="quiet">{t.blurFailed}</small>;
  return (
    <label className="device-switch">
      <input
        type="checkbox"
        role="switch"
        checked={on}
        onChange={({ target }) => void blurCamera(room, target.checked)}
        data-testid="device-blur"
      />
      <span>{t.blur}</span>
      {busy ? <span className="spinner small" /> : null}
      <small className="quiet" role="status">
        {failed ? t.blurFailed : t.blurHint}
      </small>
    </label>
  );
}

function MicrophoneSettings(): ReactNode {
  const room = useRoom();
  const { track, deviceId, failure } = useStoreValue(room.me.mic.state);
  const devices = useDevices('audioinput');
  return (
    <div className="field">
      <span>{t.microphone}</span>
      <DeviceSelect
        kind="microphone"
        label={t.microphone}
        devices={devices}
        chosen={deviceId}
        onChoose={(id) => chooseDevice(room, 'microphone', id)}
      />
      <Meter className="meter" track={track} label={t.inputLevel} />
      {failure === null ? null : <Notice tone="error">{deviceWords('microphone', failure)}</Notice>}
    </div>
  );
}

function SpeakerSettings(): ReactNode {
  const room = useRoom();
  const chosen = useSpeaker(({ id }) => id);
  const devices = useDevices('audiooutput');
  return (
    <div className="field">
      <span>{t.speaker}</span>
      <div className="device-speaker">
        {devices.length === 0 ? (
          <span className="quiet">{t.speakerDefault}</span>
        ) : (
          <DeviceSelect
            kind="speaker"
            label={t.speaker}
            devices={devices}
            chosen={chosen}
            onChoose={(id) => void chooseSpeaker(room, id).catch(() => undefined)}
          />
        )}
        <TestSound key={chosen} speakerId={chosen} />
      </div>
    </div>
  );
}

/** The small button beside that of a device: which one is used. Stands in the same `position: relative` box. */
export function DeviceMenu(props: { kind: 'microphone' | 'camera'; onSettings: () => void }): ReactNode {
  const { kind, onSettings } = props;
  const room = useRoom();
  const device = kind === 'microphone' ? room.me.mic : room.me.camera;
  const chosen = useStoreValue(device.state, ({ deviceId }) => deviceId);
  const devices = namedDevices(kind, useDevices(kind === 'microphone' ? 'audioinput' : 'videoinput'));
  const isThere = devices.some(({ id }) => id === chosen);
  const items: MenuItem[] = [
    {
      key: '',
      label: kind === 'microphone' ? t.microphoneDefault : t.cameraDefault,
      checked: !isThere,
      onSelect: () => chooseDevice(room, kind, null),
    },
    ...devices.map(({ id, name }) => ({
      key: id,
      label: name,
      checked: id === chosen,
      onSelect: () => chooseDevice(room, kind, id),
    })),
    { key: 'settings', label: t.deviceMore, icon: <SettingsIcon />, onSelect: onSettings },
  ];
  return (
    <Menu
      className="device-menu-button"
      label={kind === 'microphone' ? t.deviceMicrophones : t.deviceCameras}
      button={<ChevronIcon />}
      items={items}
      testId={`${kind}-menu`}
    />
  );
}
