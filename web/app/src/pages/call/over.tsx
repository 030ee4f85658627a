import { type CSSProperties, type ReactNode, useEffect, useRef, useState } from 'react';
import { Sound, useRoom, useRoomEvent, useRoomState, useStoreValue } from '@madang/react';
import { MicIcon, MicOffIcon, ScreenIcon, SoundIcon } from '../../components/icons';
import type { ReactionKind } from '@madang/sdk';
import { ReactionSign } from '../../components/reaction-sign';
import { displayName } from '../../lib/call-words';
import { t } from '../../texts';
import type { Actions } from './actions';
import { type Notable, sentences } from './announce';
import { useMutedTalk, useStanding } from './hooks';
import { useUi, useUiState } from './ui';
import { REACTIONS } from './words';

/** What happens in this time is said as one. */
const GATHER_MS = 700;
/** In a call of more people comings and goings are for screen readers only. */
const SEEN_COMINGS = 12;
/** Of more at once the oldest goes. */
const MAX_FLOATING = 12;
const FLOAT_MS = 4_000;
const LANES = 3;

/** How the call stands, where that is not simply well. */
export function Banner(): ReactNode {
  const now = useStanding();
  return (
    <div className="call-banner" role="status" data-standing={now?.kind} data-testid="call-banner">
      {now === null ? null : (
        <p>
          <span className="spinner small" />
          <strong>{now.text}</strong>
          {now.hint === null ? null : <span>{now.hint}</span>}
        </p>
      )}
    </div>
  );
}

/** What one should know of one's own microphone and screen, and the button for sound that the browser holds back. */
export function OwnNotices({ actions }: { actions: Actions }): ReactNode {
  const { mic, screen } = useRoom().me;
  const ui = useUi();
  const warns = useMutedTalk();
  const sharing = useStoreValue(screen.state);
  const micState = useStoreValue(mic.state, ({ state }) => state);
  const screenState = sharing.state;
  const before = useRef({ mic: micState, screen: screenState });
  useEffect(() => {
    // Said when it happens, not again by everything that draws this.
    if (micState === 'blocked' && before.current.mic === 'on') ui.say(t.roomMicBlocked);
    if (screenState === 'blocked' && before.current.screen === 'on') ui.say(t.roomScreenBlocked);
    before.current = { mic: micState, screen: screenState };
  }, [ui, micState, screenState]);
  return (
    <div className="call-notices">
      <Sound>
        {(start) => (
          <button
            type="button"
            className="button primary large call-hear"
            onClick={start}
            data-testid="call-hear"
          >
            <SoundIcon />
            {t.roomHear}
          </button>
        )}
      </Sound>
      {sharing.state === 'on' ? (
        <div className="call-notice" role="status" data-testid="call-sharing">
          <ScreenIcon />
          <span>
            {t.roomSharing}
            {sharing.audio === 'without' ? `, ${t.roomSharingSilent}` : ''}
          </span>
          <button type="button" className="button" onClick={actions.screen} data-testid="call-stop-sharing">
            {t.roomScreenOff}
          </button>
        </div>
      ) : null}
      <div role="status">
        {warns ? (
          <div className="call-notice" data-testid="call-you-are-muted">
            <MicOffIcon />
            <span>
              <strong>{t.roomYouAreMuted}.</strong> {t.roomYouAreMutedHint}
            </span>
            <button type="button" className="button primary" onClick={actions.microphone}>
              <MicIcon />
              {t.roomMicOn}
            </button>
          </div>
        ) : null}
      </div>
    </div>
  );
}

/** Words that pass, and for screen readers who comes, goes and raises a hand. */
export function Announcer(): ReactNode {
  const ui = useUi();
  const room = useRoom();
  const me = useRoomState(({ participant }) => participant);
  const toasts = useUiState((state) => state.toasts);
  const [said, setSaid] = useState('');
  const gathered = useRef<Notable[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const flush = (): void => {
    const happened = gathered.current.splice(0);
    timer.current = null;
    const quiet = room.people.get().size > SEEN_COMINGS;
    const seen = happened.filter(({ what }) => what === 'hand' || !quiet);
    for (const sentence of sentences(seen)) ui.say(sentence);
    setSaid(sentences(happened.filter((notable) => !seen.includes(notable))).join('. '));
  };
  const note = (what: Notable['what'], participant: string, name: string): void => {
    if (participant === me) return;
    gathered.current.push({ what, name });
    timer.current ??= setTimeout(flush, GATHER_MS);
  };
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
      timer.current = null;
    },
    [],
  );
  useRoomEvent('joined', (person) => note('joined', person.participant, displayName(person)));
  useRoomEvent('left', ({ person }) => note('left', person.participant, displayName(person)));
  useRoomEvent('hand', ({ person, up }) => {
    if (up) note('hand', person.participant, displayName(person));
  });
  return (
    <>
      <div className="call-toasts" role="status" data-testid="call-toasts">
        {toasts.map(({ id, text }) => (
          <p key={id}>{text}</p>
        ))}
      </div>
      <p className="visually-hidden" role="status" data-testid="call-announced">
        {said}
      </p>
    </>
  );
}

interface Floating {
  id: number;
  kind: ReactionKind;
  name: string;
  /** Which of the lanes beside each other, as a part of their width. */
  at: number;
}

/** Reactions rise and are soon gone; where motion is not wanted they stand, and go as soon. */
export function FloatingReactions(): ReactNode {
  const [floating, setFloating] = useState<readonly Floating[]>([]);
  const last = useRef(0);
  const timers = useRef(new Set<ReturnType<typeof setTimeout>>());
  useRoomEvent('reaction', ({ person, reaction }) => {
    // A server that is newer than the page may know more.
    if (!REACTIONS.some(({ kind }) => kind === reaction)) return;
    const id = ++last.current;
    const one: Floating = { id, kind: reaction, name: displayName(person), at: (id % LANES) / (LANES - 1) };
    setFloating((before) => [...before, one].slice(-MAX_FLOATING));
    const timer = setTimeout(() => {
      timers.current.delete(timer);
      setFloating((before) => before.filter((other) => other.id !== id));
    }, FLOAT_MS);
    timers.current.add(timer);
  });
  useEffect(() => {
    const running = timers.current;
    return () => {
      for (const timer of running) clearTimeout(timer);
      running.clear();
    };
  }, []);
  return (
    <ul className="call-floating" aria-hidden="true" data-testid="call-reactions">
      {floating.map(({ id, kind, name, at }) => (
        <li key={id} style={{ '--at': at } as CSSProperties}>
          <ReactionSign kind={kind} />
          <em>{name}</em>
        </li>
      ))}
    </ul>
  );
}
