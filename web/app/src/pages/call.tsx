import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { useStore } from 'zustand';
import { TrackSound, useTracks } from '@madang/react';
import type { CallFailure, CallPerson, CallSlot } from '@madang/sdk';
import { CameraIcon, CameraOffIcon, LinkIcon, MicIcon, MicOffIcon, SoundIcon } from '../components/icons';
import { Message, Notice } from '../components/message';
import { useCopy, useTitle } from '../lib/hooks';
import { navigate } from '../lib/router';
import { keptCallToken } from '../lib/storage';
import { openCall, type OpenCall, slotOf } from '../store/call';
import { t } from '../texts';

const FAILURES: Readonly<Record<CallFailure, string>> = {
  unauthorized: t.callUnauthorized,
  'not-found': t.callNotFound,
  full: t.callFull,
  locked: t.callLocked,
  removed: t.callRemoved,
  network: t.callNetwork,
  media: t.callMedia,
  server: t.callServer,
};

/** The call of a group: a door with a name, then everybody in a plain grid. */
export function CallPage({ group }: { group: string }): ReactNode {
  useTitle(t.callTitle);
  const [call, setCall] = useState<{ open: OpenCall; name: string } | null>(null);
  useEffect(() => () => call?.open.close(), [call]);
  if (call !== null) return <InCall call={call.open} name={call.name} onLeave={() => navigate('/')} />;
  return <Door group={group} onJoin={(name) => setCall({ open: openCall(group, name), name })} />;
}

function Door({ group, onJoin }: { group: string; onJoin: (name: string) => void }): ReactNode {
  // Under the same name a reload comes back as the same participant.
  const [name, setName] = useState(() => keptCallToken.read(group)?.name ?? '');
  return (
    <form
      className="page call-door"
      onSubmit={(event) => {
        event.preventDefault();
        onJoin(name.trim());
      }}
    >
      <h1>{t.callTitle}</h1>
      <p>{t.callHint}</p>
      <label>
        <span>{t.callName}</span>
        <input
          value={name}
          maxLength={64}
          autoComplete="name"
          onChange={(event) => setName(event.target.value)}
          data-testid="call-name"
        />
      </label>
      <button type="submit" className="button primary large" data-testid="call-join">
        {t.callJoin}
      </button>
    </form>
  );
}

function InCall({ call, name, onLeave }: { call: OpenCall; name: string; onLeave: () => void }): ReactNode {
  const view = useStore(call.view);
  const { state, failure, people, slots, camera, speaks, shows } = view;
  const [blocked, setBlocked] = useState(false);
  const [allowed, setAllowed] = useState(0);
  const onBlocked = useCallback(() => setBlocked(true), []);
  const link = useCopy(location.href);
  if (state === 'failed') {
    return (
      <Message
        heading={1}
        art="alert"
        title={t.callFailed}
        hint={FAILURES[failure ?? 'server']}
        testId="call-failed"
      >
        <button type="button" className="button primary" onClick={() => location.reload()}>
          {t.retry}
        </button>
      </Message>
    );
  }
  const sounds = slots.filter(({ kind }) => kind === 'voice' || kind === 'screen_audio');
  return (
    <div className="page call" data-testid="call" data-state={state}>
      <h1 className="visually-hidden">{t.callTitle}</h1>
      {state === 'reconnecting' ? <Notice tone="info">{t.callReconnecting}</Notice> : null}
      <ul className="call-grid">
        <Tile name={name === '' ? t.callYou : name} track={shows ? camera : null} mirrored self />
        {people.map((person) => (
          <PersonTile key={person.participant} person={person} slots={slots} />
        ))}
      </ul>
      {people.length === 0 && state === 'connected' ? <p className="call-alone">{t.callAlone}</p> : null}
      {sounds.map(({ mid, track }) => (
        <TrackSound
          key={mid}
          track={track}
          muted={false}
          volume={1}
          allowed={allowed}
          onBlocked={onBlocked}
        />
      ))}
      <div className="call-bar" role="toolbar" aria-label={t.callTitle}>
        {blocked ? (
          <button
            type="button"
            className="button primary"
            onClick={() => {
              setBlocked(false);
              setAllowed((count) => count + 1);
            }}
          >
            <SoundIcon />
            {t.callHear}
          </button>
        ) : null}
        <button
          type="button"
          className="button"
          aria-pressed={speaks}
          disabled={view.microphone === null}
          onClick={() => call.toggle('microphone')}
          data-testid="call-microphone"
        >
          {speaks ? <MicIcon /> : <MicOffIcon />}
          {speaks ? t.callMute : t.callUnmute}
        </button>
        <button
          type="button"
          className="button"
          aria-pressed={shows}
          disabled={camera === null}
          onClick={() => call.toggle('camera')}
          data-testid="call-camera"
        >
          {shows ? <CameraIcon /> : <CameraOffIcon />}
          {shows ? t.callCameraOff : t.callCameraOn}
        </button>
        <button type="button" className="button" onClick={link.copy}>
          <LinkIcon />
          {link.label}
        </button>
        <button type="button" className="button" onClick={onLeave} data-testid="call-leave">
          {t.callLeave}
        </button>
      </div>
    </div>
  );
}

function PersonTile({ person, slots }: { person: CallPerson; slots: readonly CallSlot[] }): ReactNode {
  const slot = slotOf(slots, person, 'camera');
  const name = person.name === '' ? t.callGuest : person.name;
  return <Tile name={name} track={slot?.track ?? null} participant={person.participant} />;
}

function Tile(props: {
  name: string;
  track: MediaStreamTrack | null;
  participant?: string;
  mirrored?: boolean;
  self?: boolean;
}): ReactNode {
  const { name, track, participant, mirrored = false, self = false } = props;
  const video = useTracks<HTMLVideoElement>(track);
  return (
    <li className="call-tile" data-testid={self ? 'call-self' : 'call-tile'} data-participant={participant}>
      <video
        ref={video}
        className={mirrored ? 'mirrored' : undefined}
        hidden={track === null}
        autoPlay
        playsInline
        muted
      />
      <span className="call-name">{name}</span>
    </li>
  );
}
