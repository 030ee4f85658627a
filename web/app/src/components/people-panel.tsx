import { type ReactNode, useEffect, useRef, useState } from 'react';
import { stateOf, usePeople, useRoom, useRoomState } from '@madang/react';
import { displayName } from '../lib/call-words';
import { muteAll } from '../lib/mute-all';
import { handsOf, listPeople } from '../lib/people-list';
import { rankOf } from '../lib/ranks';
import { t } from '../texts';
import { Confirm } from './confirm';
import { CloseIcon, LockIcon, MicOffIcon, SearchIcon, UnlockIcon } from './icons';
import { PersonRow } from './person-row';
import { useCommand } from './use-command';

/** So few people are seen at a glance. */
const SEARCHED_FROM = 8;
const MAX_QUERY_CHARS = 64;

/** Who is in a call, and what moderators can do about it. */
export function PeoplePanel({ onClose }: { onClose: () => void }): ReactNode {
  const me = useRoomState(({ participant }) => participant);
  const count = usePeople((people) => people.size);
  const rank = usePeople((people) => {
    const own = me === null ? undefined : people.get(me);
    return own === undefined ? 'guest' : rankOf(own);
  });
  const [query, setQuery] = useState('');
  const asked = query.trim() !== '' && count >= SEARCHED_FROM;
  const hands = usePeople(handsOf);
  const found = usePeople((people) => listPeople(people, me, asked ? query : '', displayName));
  const [open, setOpen] = useState<string | null>(null);
  const toggle = (participant: string): void => setOpen(open === participant ? null : participant);
  return (
    <section className="people panel" aria-labelledby="people-title" data-testid="people">
      <header className="panel-header">
        <h2 id="people-title">
          {t.people} <span className="quiet">{count.toLocaleString()}</span>
        </h2>
        <button
          type="button"
          className="icon-button"
          onClick={onClose}
          aria-label={t.close}
          data-testid="people-close"
        >
          <CloseIcon />
        </button>
      </header>
      {rank === 'guest' ? <Locked /> : <RoomPowers me={me} />}
      {count < SEARCHED_FROM ? null : (
        <label className="search people-search">
          <SearchIcon />
          <span className="visually-hidden">{t.peopleSearch}</span>
          <input
            type="search"
            value={query}
            maxLength={MAX_QUERY_CHARS}
            placeholder={t.peopleSearch}
            onChange={(event) => setQuery(event.target.value)}
            data-testid="people-query"
          />
        </label>
      )}
      {/* Scrolled by keys, also where nothing in it takes them. */}
      <div className="people-body" role="group" aria-label={t.peopleAll} tabIndex={0}>
        {hands.length === 0 || asked ? null : (
          <>
            <h3 id="people-hands">{t.peopleHands}</h3>
            <ol className="people-list" aria-labelledby="people-hands" data-testid="people-hands">
              {hands.map((participant, index) => (
                <PersonRow
                  key={participant}
                  participant={participant}
                  me={me}
                  rank={rank}
                  hand={index + 1}
                  open={open === participant}
                  onToggle={() => toggle(participant)}
                />
              ))}
            </ol>
            {found.length === 0 ? null : <h3>{t.peopleOthers}</h3>}
          </>
        )}
        <ul className="people-list" aria-label={t.people} data-testid="people-list">
          {found.map((participant) => (
            <PersonRow
              key={participant}
              participant={participant}
              me={me}
              rank={rank}
              open={open === participant}
              onToggle={() => toggle(participant)}
            />
          ))}
        </ul>
        <p className="people-none quiet" role="status">
          {asked && found.length === 0 ? t.peopleNone : null}
        </p>
      </div>
    </section>
  );
}

/** Says to whoever cannot change it that nobody new comes in. */
function Locked(): ReactNode {
  const locked = useRoomState((state) => state.locked);
  if (!locked) return null;
  return (
    <p className="people-locked small quiet">
      <LockIcon />
      {t.peopleLocked}
    </p>
  );
}

/** What moderators do to the whole room. */
function RoomPowers({ me }: { me: string | null }): ReactNode {
  const room = useRoom();
  const locked = useRoomState((state) => state.locked);
  const speaking = usePeople((people) =>
    [...people.values()]
      .filter((person) => person.participant !== me && stateOf(person, 'microphone') === 'on')
      .map(({ participant }) => participant),
  );
  const { busy, refusal, run } = useCommand();
  const [asks, setAsks] = useState(false);
  const [said, setSaid] = useState<string | null>(null);
  const [muting, setMuting] = useState(false);
  const gone = useRef(false);
  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
    };
  }, []);
  const muteEverybody = async (): Promise<void> => {
    setAsks(false);
    setMuting(true);
    const { muted, refused } = await muteAll(speaking, (one) => room.moderate.mute(one, 'microphone'), {
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      stopped: () => gone.current,
      progress: (done) => setSaid(t.peopleMuting(done, speaking.length)),
    });
    if (gone.current) return;
    setMuting(false);
    setSaid(refused === null ? t.peopleMuted(muted) : t.peopleMutedSome(muted, speaking.length));
  };
  return (
    <div className="people-powers">
      <button
        type="button"
        className="button"
        aria-pressed={locked}
        disabled={busy}
        onClick={() => run(room.moderate.lock(!locked))}
        data-testid="people-lock"
      >
        {locked ? <LockIcon /> : <UnlockIcon />}
        {locked ? t.peopleUnlock : t.peopleLock}
      </button>
      <button
        type="button"
        className="button"
        disabled={muting || speaking.length === 0}
        onClick={() => setAsks(true)}
        data-testid="people-mute-all"
      >
        <MicOffIcon />
        {t.peopleMuteAll}
      </button>
      {locked ? <p className="small quiet">{t.peopleLockedHint}</p> : null}
      <p className="small quiet" role="status">
        {said}
      </p>
      {refusal === null ? null : (
        <p className="small people-refused" role="alert">
          {refusal}
        </p>
      )}
      {asks ? (
        <Confirm
          title={t.peopleMuteAllTitle}
          text={t.peopleMuteAllText}
          yes={t.peopleMuteAll}
          no={t.cancel}
          onYes={() => void muteEverybody()}
          onNo={() => setAsks(false)}
        />
      ) : null}
    </div>
  );
}
