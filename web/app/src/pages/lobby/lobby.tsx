import { type ReactNode, useEffect, useRef, useState } from 'react';
import { type LobbyDeviceState, Meter, useLobby, useTracks } from '@madang/react';
import { type CallFailure, MAX_NAME_CHARS } from '@madang/sdk';
import { DeviceSelect } from '../../components/device-select';
import { CameraIcon, CameraOffIcon, MicIcon, MicOffIcon, SoundIcon } from '../../components/icons';
import { Invite } from '../../components/invite';
import { Link } from '../../components/link';
import { Message, Notice } from '../../components/message';
import { TestSound } from '../../components/test-sound';
import { canCall } from '../../lib/able';
import { canBlur } from '../../lib/blur/effect';
import { useBlurred } from '../../lib/blur/use-blurred';
import { deviceWords, obstacleAdvice, refusedAdvice } from '../../lib/call-words';
import { useTitle } from '../../lib/hooks';
import { keptBlur, keptCallToken, keptName, keptOwnerKey } from '../../lib/storage';
import { t } from '../../texts';
import type { LobbyChoice } from './choice';
import { useGroup } from './group';
import { useObstacle } from './obstacle';

/** What the lobby does. */
interface LobbyProps {
  group: string;
  failure: CallFailure | null;
  joining: boolean;
  onJoin: (choice: LobbyChoice) => void;
}

/**
 * The page before a call. `failure`: why the last try to join failed; `joining` while one is under way. The tracks of
 * the choice are whoever's who takes it; what is not joined with is stopped.
 */
export function Lobby(props: LobbyProps): ReactNode {
  const { group, failure } = props;
  const [again, setAgain] = useState(0);
  const view = useGroup(group, again);
  // Whoever comes back to it while it is joined has given its devices away already.
  const [came] = useState(props.joining);
  if (!canCall()) {
    return (
      <Message heading={1} art="alert" title={t.lobbyOldTitle} hint={t.lobbyOldHint} testId="lobby-old" />
    );
  }
  if (view.is === 'gone' || failure === 'not-found') {
    return (
      <Message heading={1} art="alert" title={t.lobbyGoneTitle} hint={t.lobbyGoneHint} testId="lobby-gone">
        <Link to="/" className="button primary">
          {t.roomHome}
        </Link>
      </Message>
    );
  }
  if (came && props.joining) return <Message heading={1} art="spinner" title={t.lobbyJoining} />;
  const name = view.is === 'there' && view.name !== '' ? view.name : t.callTitle;
  return (
    <Open
      {...props}
      title={name}
      hint={view.is === 'there' && view.admission === 'key' ? t.lobbyByKey : t.callHint}
      away={view.is === 'away'}
      onAgain={() => setAgain((count) => count + 1)}
    />
  );
}

function Open(
  props: LobbyProps & { title: string; hint: string; away: boolean; onAgain: () => void },
): ReactNode {
  const { group, failure, joining, onJoin, title, hint, away, onAgain } = props;
  useTitle(title);
  // Under the same name a reload comes back as the same participant.
  const [name] = useState(() => keptCallToken.read(group)?.name ?? keptName.read());
  const [lobby, state] = useLobby(name === '' ? {} : { name });
  const [blurs, setBlurs] = useState(() => keptBlur.read() && canBlur());
  const preview = useBlurred(state.camera.track, blurs);
  // While it is being joined the tracks belong to the call; who was refused gets new ones.
  const wasJoining = useRef(joining);
  useEffect(() => {
    if (wasJoining.current && !joining) lobby.begin();
    wasJoining.current = joining;
  }, [lobby, joining]);
  const join = (): void => {
    keptName.write(state.name.trim());
    keptBlur.write(blurs);
    onJoin({ ...lobby.choose(), blur: blurs && !preview.failed });
  };
  return (
    <form
      className="page lobby"
      onSubmit={(event) => {
        event.preventDefault();
        if (!joining) join();
      }}
      data-testid="lobby"
    >
      <Preview
        state={state}
        track={preview.track}
        joining={joining}
        waits={blurs && state.camera.track !== null && !preview.failed}
        onToggle={(kind) => void lobby.on(kind, !state[kind].on)}
      />
      <div className="lobby-side">
        <div className="lobby-head">
          <h1>{title}</h1>
          <p className="quiet">{hint}</p>
        </div>
        {failure === null ? null : <Refused group={group} failure={failure} />}
        {away && failure === null ? (
          <Notice tone="error" testId="lobby-away">
            <p>{t.callNetwork}</p>
            <button type="button" className="button" onClick={onAgain}>
              {t.retry}
            </button>
          </Notice>
        ) : null}
        <div className="lobby-join">
          <label className="field">
            <span>{t.callName}</span>
            <input
              className="input"
              value={state.name}
              maxLength={MAX_NAME_CHARS}
              autoComplete="name"
              placeholder={t.callGuest}
              onChange={(event) => lobby.name(event.target.value)}
              data-testid="call-name"
            />
          </label>
          <button type="submit" className="button primary large" disabled={joining} data-testid="call-join">
            {joining ? <span className="spinner small" /> : null}
            {joining ? t.lobbyJoining : failure === null ? t.callJoin : t.retry}
          </button>
        </div>
        <fieldset className="lobby-devices" disabled={joining}>
          <legend className="visually-hidden">{t.devices}</legend>
          <Device
            kind="camera"
            state={state.camera}
            devices={state.devices.camera}
            onChoose={(id) => void lobby.device('camera', id)}
            onRetry={() => void lobby.on('camera', true)}
          />
          {canBlur() ? (
            <label className="lobby-switch">
              <input
                type="checkbox"
                role="switch"
                checked={blurs}
                onChange={(event) => setBlurs(event.target.checked)}
                data-testid="lobby-blur"
              />
              <span>{t.blur}</span>
              <small className="quiet">{preview.failed ? t.blurFailed : t.blurHint}</small>
            </label>
          ) : null}
          <Device
            kind="microphone"
            state={state.microphone}
            devices={state.devices.microphone}
            onChoose={(id) => void lobby.device('microphone', id)}
            onRetry={() => void lobby.on('microphone', true)}
          >
            <Meter className="meter" track={state.microphone.track} label={t.inputLevel} />
          </Device>
          <div className="lobby-device">
            <SoundIcon />
            <div className="lobby-speaker">
              {/* Only some browsers let a page choose. */}
              {state.devices.speaker.length === 0 ? (
                <span className="quiet">{t.speakerDefault}</span>
              ) : (
                <DeviceSelect
                  kind="speaker"
                  label={t.speaker}
                  devices={state.devices.speaker}
                  chosen={state.speakerId}
                  onChoose={(id) => lobby.speaker(id)}
                />
              )}
              <TestSound key={state.speakerId} speakerId={state.speakerId} />
            </div>
          </div>
        </fieldset>
        {keptOwnerKey.read(group) === null ? null : (
          <div className="lobby-invite">
            <p className="small quiet">{t.inviteHint}</p>
            <Invite url={location.href} title={title} />
          </div>
        )}
      </div>
    </form>
  );
}

/** Why somebody was not let in, and what can be done about it. */
function Refused({ group, failure }: { group: string; failure: CallFailure }): ReactNode {
  const obstacle = useObstacle(group, failure === 'media');
  const { title, hints } = obstacle === null ? refusedAdvice(failure) : obstacleAdvice(obstacle);
  return (
    <Notice tone="error" testId="lobby-refused">
      <p>{title}</p>
      {hints.length === 0 ? null : (
        <ul className="lobby-hints">
          {hints.map((hint) => (
            <li key={hint}>{hint}</li>
          ))}
        </ul>
      )}
    </Notice>
  );
}

function Preview(props: {
  state: { camera: LobbyDeviceState; microphone: LobbyDeviceState };
  track: MediaStreamTrack | null;
  /** A picture is to come. */
  waits: boolean;
  joining: boolean;
  onToggle: (kind: 'microphone' | 'camera') => void;
}): ReactNode {
  const { state, track, waits, joining, onToggle } = props;
  const { camera, microphone } = state;
  const video = useTracks<HTMLVideoElement>(track);
  const opens = camera.on && camera.failure === null;
  const says = joining ? t.lobbyJoining : opens || waits ? t.previewStarting : t.previewCameraOff;
  const speaks = microphone.on && microphone.failure === null;
  return (
    <div className="lobby-preview">
      <video ref={video} hidden={track === null} autoPlay playsInline muted data-testid="lobby-preview" />
      {track === null ? (
        <div className="lobby-blank" role="status">
          {opens || joining ? <span className="spinner" /> : <CameraOffIcon />}
          <p>{says}</p>
        </div>
      ) : null}
      <div className="lobby-toggles">
        <button
          type="button"
          className="lobby-toggle"
          aria-pressed={speaks}
          aria-label={speaks ? t.mute : t.unmute}
          title={speaks ? t.mute : t.unmute}
          disabled={joining}
          onClick={() => onToggle('microphone')}
          data-testid="lobby-microphone"
        >
          {speaks ? <MicIcon /> : <MicOffIcon />}
        </button>
        <button
          type="button"
          className="lobby-toggle"
          aria-pressed={opens}
          aria-label={camera.on ? t.cameraOff : t.cameraOn}
          title={camera.on ? t.cameraOff : t.cameraOn}
          disabled={joining}
          onClick={() => onToggle('camera')}
          data-testid="lobby-camera"
        >
          {opens ? <CameraIcon /> : <CameraOffIcon />}
        </button>
      </div>
    </div>
  );
}

/** One device: which one, and what is wrong with it. */
function Device(props: {
  kind: 'microphone' | 'camera';
  state: LobbyDeviceState;
  devices: readonly MediaDeviceInfo[];
  onChoose: (deviceId: string | null) => void;
  onRetry: () => void;
  children?: ReactNode;
}): ReactNode {
  const { kind, state, devices, onChoose, onRetry, children } = props;
  const { failure } = state;
  const hopeless = failure === 'insecure' || failure === 'unsupported';
  return (
    <div className="lobby-device">
      {kind === 'camera' ? <CameraIcon /> : <MicIcon />}
      <div>
        <DeviceSelect
          kind={kind}
          label={t[kind]}
          devices={devices}
          chosen={state.deviceId}
          onChoose={onChoose}
        />
        {children}
        {failure === null || !state.on ? null : (
          <Notice tone="error" testId={`${kind}-problem`}>
            <p>{deviceWords(kind, failure)}</p>
            {hopeless ? null : (
              <button type="button" className="button" onClick={onRetry}>
                {t.retry}
              </button>
            )}
          </Notice>
        )}
      </div>
    </div>
  );
}
