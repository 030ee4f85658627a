import { type ReactNode, useEffect, useState } from 'react';
import { useStoreValue } from '@madang/react';
import type { CallFailure, Room } from '@madang/sdk';
import { Link } from '../../components/link';
import { Message } from '../../components/message';
import { useTitle } from '../../lib/hooks';
import { t } from '../../texts';
import { type LobbyChoice, settle } from '../lobby/choice';
import { Door } from './door';
import { CallRoom } from './room';
import { enter, type Entered, failureOf } from './session';

type At =
  | { at: 'lobby'; failure: CallFailure | null }
  | { at: 'asking'; choice: LobbyChoice }
  | { at: 'room'; entered: Entered; choice: LobbyChoice }
  | { at: 'left'; failure: CallFailure | null };

/** The call of a group: the lobby, the room, and what is said to who has left it. */
export function CallPage({ group }: { group: string }): ReactNode {
  return <CallOf key={group} group={group} />;
}

function CallOf({ group }: { group: string }): ReactNode {
  const [now, setNow] = useState<At>({ at: 'lobby', failure: null });
  useTitle(t.callTitle);
  const choice = now.at === 'asking' ? now.choice : null;
  useEffect(() => {
    if (choice === null) return;
    let over = false;
    enter(group, choice).then(
      (entered) => {
        if (over) entered.close();
        else setNow({ at: 'room', entered, choice });
      },
      (error: unknown) => {
        stop(choice);
        if (!over) setNow({ at: 'lobby', failure: failureOf(error) });
      },
    );
    return () => {
      over = true;
    };
  }, [group, choice]);
  const entered = now.at === 'room' ? now.entered : null;
  useEffect(() => () => entered?.close(), [entered]);
  switch (now.at) {
    case 'lobby':
    case 'asking':
      return (
        <Door
          group={group}
          joining={now.at === 'asking'}
          onJoin={(chosen) => setNow({ at: 'asking', choice: chosen })}
        />
      );
    case 'room':
      return (
        <InRoom
          key="room"
          group={group}
          room={now.entered.room}
          choice={now.choice}
          onLeave={() => setNow({ at: 'left', failure: null })}
          onRefused={(failure) => setNow({ at: 'lobby', failure })}
          onLost={(failure) => setNow({ at: 'left', failure })}
        />
      );
    case 'left':
      return <Left failure={now.failure} onRejoin={() => setNow({ at: 'lobby', failure: null })} />;
  }
}

/** The lobby stays until the room is there: who is refused has never left it. */
function InRoom(props: {
  group: string;
  room: Room;
  choice: LobbyChoice;
  onLeave: () => void;
  onRefused: (failure: CallFailure) => void;
  onLost: (failure: CallFailure | null) => void;
}): ReactNode {
  const { group, room, choice, onLeave, onRefused, onLost } = props;
  const { call, failure, participant } = useStoreValue(room.state);
  const wasThere = participant !== null;
  useEffect(() => {
    if (wasThere) void settle(room, choice).catch(() => undefined);
  }, [room, choice, wasThere]);
  useEffect(() => {
    if (call === 'closed') onLost(failure);
    else if (call === 'failed') (wasThere ? onLost : onRefused)(failure ?? 'server');
    // What to do then changes with each drawing, and means the same.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [call, failure, wasThere]);
  if (!wasThere) return <Door group={group} joining onJoin={() => undefined} />;
  return <CallRoom room={room} onLeave={onLeave} />;
}

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

function Left({ failure, onRejoin }: { failure: CallFailure | null; onRejoin: () => void }): ReactNode {
  return (
    <Message
      heading={1}
      art={failure === null ? 'courtyard' : 'alert'}
      title={failure === null ? t.roomLeftTitle : t.callFailed}
      hint={failure === null ? t.roomLeftHint : FAILURES[failure]}
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

/** Nobody else owns them any more. */
function stop({ microphone, camera }: LobbyChoice): void {
  microphone?.stop();
  camera?.stop();
}
