import { type ReactNode, useEffect, useState } from 'react';
import type { CaptureFailure } from '@madang/sdk';
import { Lobby, type LobbyChoice, type LobbyOptions, type LobbyState } from './lobby.js';
import type { LobbyDeviceState } from './lobby-device.js';
import { useTracks } from './media.js';
import { Meter } from './meter.js';
import { useStoreValue } from './store.js';
import { playTestSound } from './test-sound.js';

/** A lobby that is open while the part is on the page, and what it knows. `options` count when it first is. */
export function useLobby(options: LobbyOptions = {}): [Lobby, LobbyState] {
  const [lobby] = useState(() => new Lobby(options));
  useEffect(() => lobby.begin(), [lobby]);
  return [lobby, useStoreValue(lobby.state)];
}

/** What the page before a call says. */
export interface PreJoinWords {
  name: string;
  join: string;
  microphone: string;
  camera: string;
  speaker: string;
  /** The default device of a kind. */
  standard: string;
  level: string;
  test: string;
  /** Instead of the preview. */
  cameraOff: string;
  failure: (kind: 'microphone' | 'camera', failure: CaptureFailure) => string;
  /** Why joining did not work, and what can be done. */
  refused: (error: unknown) => string;
}

export interface PreJoinProps extends LobbyOptions {
  words: PreJoinWords;
  className?: string;
  /** Gets the tracks with the choice and owns them, unless it rejects: then all is as before, and the words say why. */
  onJoin: (choice: LobbyChoice) => Promise<void>;
  /** What else the form has, above its button. */
  children?: ReactNode;
}

/** The page before a call: preview, devices with meter and test sound, name. What is chosen is kept for the next time. */
export function PreJoin({ words, className, onJoin, children, ...options }: PreJoinProps): ReactNode {
  const [lobby, state] = useLobby(options);
  const { name, microphone, camera, speakerId, devices } = state;
  const preview = useTracks<HTMLVideoElement>(camera.track);
  const [joining, setJoining] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const join = async (): Promise<void> => {
    if (joining) return;
    const choice = lobby.choose();
    setJoining(true);
    setRefused(null);
    try {
      await onJoin(choice);
    } catch (error) {
      lobby.takeBack(choice);
      setRefused(words.refused(error));
    }
    setJoining(false);
  };
  const device = (kind: 'microphone' | 'camera', { on, deviceId, failure }: LobbyDeviceState): ReactNode => (
    <fieldset data-part={kind}>
      <label>
        <input type="checkbox" checked={on} onChange={() => void lobby.on(kind, !on)} />
        {words[kind]}
      </label>
      <DeviceList
        label={words[kind]}
        standard={words.standard}
        devices={devices[kind]}
        chosen={deviceId}
        onChoose={(id) => void lobby.device(kind, id)}
      />
      {failure === null ? null : <p role="alert">{words.failure(kind, failure)}</p>}
    </fieldset>
  );
  return (
    <form
      className={className}
      onSubmit={(event) => {
        event.preventDefault();
        void join();
      }}
      data-testid="pre-join"
    >
      <div data-part="preview">
        <video
          ref={preview}
          style={{ transform: 'scaleX(-1)' }}
          hidden={camera.track === null}
          autoPlay
          playsInline
          muted
        />
        {camera.track === null ? <p>{words.cameraOff}</p> : null}
      </div>
      {device('camera', camera)}
      {device('microphone', microphone)}
      <Meter track={microphone.track} label={words.level} />
      <fieldset data-part="speaker">
        {/* Only some browsers let a page choose. */}
        {devices.speaker.length === 0 ? null : (
          <DeviceList
            label={words.speaker}
            standard={words.standard}
            devices={devices.speaker}
            chosen={speakerId}
            onChoose={(id) => lobby.speaker(id)}
          />
        )}
        <button type="button" onClick={() => void playTestSound(speakerId).catch(() => undefined)}>
          {words.test}
        </button>
      </fieldset>
      <label>
        {words.name}
        <input
          value={name}
          maxLength={64}
          autoComplete="name"
          onChange={(event) => lobby.name(event.target.value)}
          data-testid="name"
        />
      </label>
      {children}
      {refused === null ? null : <p role="alert">{refused}</p>}
      <button type="submit" disabled={joining} data-testid="join">
        {words.join}
      </button>
    </form>
  );
}

function DeviceList(props: {
  label: string;
  standard: string;
  devices: readonly MediaDeviceInfo[];
  chosen: string | null;
  onChoose: (id: string | null) => void;
}): ReactNode {
  const { label, standard, devices, chosen, onChoose } = props;
  // Chromium lists the default one under this name as well.
  const others = devices.filter(({ deviceId }) => deviceId !== 'default' && deviceId !== '');
  const isThere = others.some(({ deviceId }) => deviceId === chosen);
  return (
    <select
      aria-label={label}
      value={isThere ? (chosen ?? '') : ''}
      onChange={({ target }) => onChoose(target.value === '' ? null : target.value)}
    >
      <option value="">{standard}</option>
      {others.map((device) => (
        <option key={device.deviceId} value={device.deviceId}>
          {device.label}
        </option>
      ))}
    </select>
  );
}
