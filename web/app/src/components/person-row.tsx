import { memo, type ReactNode, useState } from 'react';
import { stateOf, usePerson, useRoom, useSpeaks } from '@madang/react';
import type { Person, Quality, Right, SourceState } from '@madang/sdk';
import { displayName, qualityWords } from '../lib/call-words';
import { powersOver, type Powers, type Rank, rankOf } from '../lib/ranks';
import { t } from '../texts';
import { Confirm } from './confirm';
import {
  CameraIcon,
  CameraOffIcon,
  ChevronIcon,
  HandIcon,
  MicIcon,
  MicOffIcon,
  PersonOffIcon,
  ScreenIcon,
  ScreenOffIcon,
} from './icons';
import { useCommand } from './use-command';

/** Rights in the order in which they are offered. */
const RIGHTS: readonly [Right, string][] = [
  ['microphone', t.rightMicrophone],
  ['camera', t.rightCamera],
  ['screen', t.rightScreen],
  ['chat', t.rightChat],
  ['draw', t.rightDraw],
];

/** What a row draws of somebody: equal values are the same to it, however often they are said. */
interface Shown {
  name: string;
  rank: Rank;
  hand: boolean;
  microphone: SourceState;
  camera: SourceState;
  screen: SourceState;
  quality: Quality;
  /** In one text, which compares. */
  rights: string;
}

function shownOf(person: Person | null): Shown | null {
  if (person === null) return null;
  return {
    name: displayName(person),
    rank: rankOf(person),
    hand: (person.hand ?? 0) > 0,
    microphone: stateOf(person, 'microphone'),
    camera: stateOf(person, 'camera'),
    screen: stateOf(person, 'screen'),
    quality: person.quality,
    rights: person.rights.join(' '),
  };
}

/** Somebody in the list: marks, and what moderators may do. */
export const PersonRow = memo(function PersonRow(props: {
  participant: string;
  me: string | null;
  /** One's own. */
  rank: Rank;
  /** The place among the hands; absent where that is not what the list is about. */
  hand?: number;
  open: boolean;
  onToggle: () => void;
}): ReactNode {
  const { participant, me, rank, hand, open, onToggle } = props;
  const person = usePerson(participant, shownOf);
  const speaks = useSpeaks(participant);
  if (person === null) return null;
  const own = participant === me;
  const powers = powersOver(rank, person.rank);
  const offers = !own && powers.quieten;
  const panel = `person-${hand === undefined ? '' : 'hand-'}${participant}`;
  return (
    <li className="person" data-participant={participant} data-speaking={speaks} data-testid="person">
      <div className="person-line">
        <span className="person-face" aria-hidden="true">
          {hand ?? Array.from(person.name)[0]?.toUpperCase()}
        </span>
        <span className="person-who">
          <span className="person-name">{own ? t.roomYouNamed(person.name) : person.name}</span>
          <span className="person-about">
            {speaks ? <span className="visually-hidden">{t.personSpeaks}</span> : null}
            {person.rank === 'guest' ? null : (
              <span>{person.rank === 'host' ? t.rankHost : t.rankModerator}</span>
            )}
            {person.quality === 'good' ? null : (
              <span className="person-quality" data-quality={person.quality}>
                {qualityWords(person.quality)}
              </span>
            )}
          </span>
        </span>
        <Marks person={person} />
        {offers ? (
          <button
            type="button"
            className="icon-button person-more"
            aria-expanded={open}
            aria-controls={panel}
            aria-label={t.personMore(person.name)}
            onClick={onToggle}
            data-testid="person-more"
          >
            <ChevronIcon />
          </button>
        ) : null}
      </div>
      {offers && open ? (
        <PersonPowers id={panel} participant={participant} person={person} powers={powers} />
      ) : null}
    </li>
  );
});

function Marks({ person }: { person: Shown }): ReactNode {
  const { hand, microphone, camera, screen } = person;
  const muted = microphone === 'muted' ? t.personMuted : t.personMicOff;
  return (
    <span className="person-marks">
      {hand ? <PersonMark label={t.personHand} tone="hand" icon={<HandIcon />} /> : null}
      {screen === 'on' ? <PersonMark label={t.personScreen} tone="on" icon={<ScreenIcon />} /> : null}
      {camera === 'on' ? (
        <PersonMark label={t.personCameraOn} icon={<CameraIcon />} />
      ) : (
        <PersonMark label={t.personCameraOff} tone="off" icon={<CameraOffIcon />} />
      )}
      {microphone === 'on' ? (
        <PersonMark label={t.personMicOn} tone="mic" icon={<MicIcon />} />
      ) : (
        <PersonMark label={muted} tone="off" icon={<MicOffIcon />} />
      )}
    </span>
  );
}

function PersonMark({ label, tone, icon }: { label: string; tone?: string; icon: ReactNode }): ReactNode {
  return (
    <span role="img" aria-label={label} title={label} data-tone={tone}>
      {icon}
    </span>
  );
}

function PersonPowers(props: { id: string; participant: string; person: Shown; powers: Powers }): ReactNode {
  const { id, participant, person, powers } = props;
  const { moderate } = useRoom();
  const { busy, refusal, run } = useCommand();
  const [removes, setRemoves] = useState(false);
  const rights = person.rights.split(' ');
  const rightSwitch = (right: Right, label: string): ReactNode => (
    <label key={right}>
      <input
        type="checkbox"
        checked={rights.includes(right)}
        disabled={busy}
        onChange={({ target }) =>
          run(target.checked ? moderate.grant(participant, right) : moderate.revoke(participant, right))
        }
        data-testid={`right-${right}`}
      />
      <span>{label}</span>
    </label>
  );
  return (
    <div className="person-powers" id={id}>
      <div className="person-actions">
        <button
          type="button"
          className="button"
          disabled={busy || person.microphone !== 'on'}
          onClick={() => run(moderate.mute(participant, 'microphone'))}
          data-testid="person-mute"
        >
          <MicOffIcon />
          {t.mute}
        </button>
        <button
          type="button"
          className="button"
          disabled={busy || person.camera !== 'on'}
          onClick={() => run(moderate.mute(participant, 'camera'))}
          data-testid="person-camera-off"
        >
          <CameraOffIcon />
          {t.cameraOff}
        </button>
        {person.screen === 'on' ? (
          <button
            type="button"
            className="button"
            disabled={busy}
            onClick={() => run(moderate.mute(participant, 'screen'))}
            data-testid="person-stop-screen"
          >
            <ScreenOffIcon />
            {t.personStopScreen}
          </button>
        ) : null}
        {person.hand ? (
          <button
            type="button"
            className="button"
            disabled={busy}
            onClick={() => run(moderate.lowerHand(participant))}
            data-testid="person-lower-hand"
          >
            <HandIcon />
            {t.personLowerHand}
          </button>
        ) : null}
      </div>
      {powers.govern ? (
        <>
          <fieldset className="person-rights">
            <legend>{t.personRights}</legend>
            {RIGHTS.map(([right, label]) => rightSwitch(right, label))}
            {powers.promote ? rightSwitch('moderate', t.rightModerate) : null}
          </fieldset>
          <button
            type="button"
            className="button person-remove"
            disabled={busy}
            onClick={() => setRemoves(true)}
            data-testid="person-remove"
          >
            <PersonOffIcon />
            {t.personRemove}
          </button>
        </>
      ) : (
        <p className="small quiet">{t.personAbove}</p>
      )}
      {refusal === null ? null : (
        <p className="small people-refused" role="alert" data-testid="person-refused">
          {refusal}
        </p>
      )}
      {removes ? (
        <Confirm
          title={t.personRemoveTitle(person.name)}
          text={t.personRemoveText}
          yes={t.personRemove}
          no={t.cancel}
          onYes={() => {
            setRemoves(false);
            run(moderate.remove(participant));
          }}
          onNo={() => setRemoves(false)}
        />
      ) : null}
    </div>
  );
}
