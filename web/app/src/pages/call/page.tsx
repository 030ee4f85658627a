import { type ReactNode, useEffect, useState } from 'react';
import { useStoreValue } from '@madang/react';
import type { CallFailure } from '@madang/sdk';
import { Link } from '../../components/link';
import { Message } from '../../components/message';
import { refusedAdvice } from '../../lib/call-words';
import { useRevivals, useTitle } from '../../lib/hooks';
import { t } from '../../texts';
import { type LobbyChoice, settle } from '../lobby/choice';
import { Lobby } from '../lobby/lobby';
import { CallRoom } from './room';
import { enter, type Entered, Refused } from './session';

type At =
  | { at: 'lobby'; failure: CallFailure | null }
  | { at: 'entering'; choice: LobbyChoice }
  | { at: 'room'; entered: Entered }
  | { at: 'left'; failure: CallFailure | null };

/** The call of a group: the lobby, the room, and what is said to who has left it. */
export function CallPage({ group }: { group: string }): ReactNode {
  // A page that the browser brings back as it was has left its call: it begins again.
  return <CallOf key={`${group} ${useRevivals()}`} group={group} />;
}

function CallOf({ group }: { group: string }): ReactNode {
  const [now, setNow] = useState<At>({ at: 'lobby', failure: null });
  useTitle(t.callTitle);
  const choice = now.at === 'entering' ? now.choice : null;
  useEffect(() => {
    if (choice === null) return;
    const stopped = new AbortController();
    enter(group, choice, stopped.signal).then(
      (entered) => {
        if (stopped.signal.aborted) {
          entered.close();
          return;
        }
        setNow({ at: 'room', entered });
        // A device that cannot be had any more is said by the room.
        void settle(entered.room, choice).catch(() => undefined);
      },
      (error: unknown) => {
        const failure = error instanceof Refused ? error.failure : 'server';
        if (!stopped.signal.aborted) setNow({ at: 'lobby', failure });
      },
    );
    return () => stopped.abort();
  }, [group, choice]);
  const entered = now.at === 'room' ? now.entered : null;
  useEffect(() => () => entered?.close(), [entered]);
  switch (now.at) {
    case 'lobby':
    case 'entering':
      return (
        <Lobby
          group={group}
          failure={now.at === 'lobby' ? now.failure : null}
          joining={now.at === 'entering'}
          onJoin={(chosen) => setNow({ at: 'entering', choice: chosen })}
        />
      );
    case 'room':
      return <InRoom entered={now.entered} onLeft={(failure) => setNow({ at: 'left', failure })} />;
    case 'left':
      return <Left failure={now.failure} onRejoin={() => setNow({ at: 'lobby', failure: null })} />;
  }
}

/** The room, until it is over: by the person, by a moderator, or because nothing brings it back. */
function InRoom(props: { entered: Entered; onLeft: (failure: CallFailure | null) => void }): ReactNode {
  const { entered, onLeft } = props;
  const { room } = entered;
  const { call, failure } = useStoreValue(room.state);
  const isOver = call === 'failed' || call === 'closed';
  useEffect(() => {
    if (isOver) onLeft(call === 'failed' ? (failure ?? 'server') : null);
    // What is done then changes with each drawing, and means the same.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [isOver, call, failure]);
  return isOver ? null : <CallRoom room={room} onLeave={() => onLeft(null)} />;
}

function Left({ failure, onRejoin }: { failure: CallFailure | null; onRejoin: () => void }): ReactNode {
  const { title, hints } = refusedAdvice(failure ?? 'server');
  return (
    <Message
      heading={1}
      art={failure === null ? 'courtyard' : 'alert'}
      title={failure === null ? t.roomLeftTitle : t.callFailed}
      hint={failure === null ? t.roomLeftHint : [title, ...hints].join(' ')}
      testId={failure === null ? 'call-left' : 'call-failed'}
    >
      {failure === 'removed' || failure === 'not-found' ? null : (
        <button type="button" className="button primary" onClick={onRejoin} data-testid="call-rejoin">
          {t.roomRejoin}
        </button>
      )}
      <Link to="/" className="button">
        {t.roomHome}
      </Link>
    </Message>
  );
}
