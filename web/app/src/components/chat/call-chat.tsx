import { type ReactNode, useMemo } from 'react';
import { useStore } from 'zustand';
import { usePeople, useRoom, useRoomState } from '@madang/react';
import { displayName } from '../../lib/call-words';
import { rankOf } from '../../lib/ranks';
import { deskOf } from '../../store/chat-desk';
import { Chat } from './panel';

/** The chat of a call. */
export function CallChat({ onClose }: { onClose: () => void }): ReactNode {
  const { chat, group } = useRoom();
  const me = useRoomState(({ participant }) => participant);
  const connection = useRoomState(({ signaling }) => signaling);
  // Until the room has told who may what, the server decides.
  const silenced = usePeople((people) => {
    const own = me === null ? undefined : people.get(me);
    return own?.rights.includes('chat') === false;
  });
  const moderator = usePeople((people) => {
    const own = me === null ? undefined : people.get(me);
    return own !== undefined && rankOf(own) !== 'guest';
  });
  // One text for each, which compares; names have no line ends.
  const others = usePeople((people) =>
    [...people.values()].flatMap((person) =>
      person.participant === me ? [] : [`${person.participant}\n${displayName(person)}`],
    ),
  );
  const people = useMemo(
    () =>
      others.map((other) => {
        const [id = '', name = ''] = other.split('\n');
        return { id, name };
      }),
    [others],
  );
  return <Chat {...{ chat, connection, silenced, moderator, people, onClose }} room={group} own={me} named />;
}

/** Messages of others that were not in view yet. */
export function useUnread(): number {
  const { chat, group } = useRoom();
  return useStore(deskOf(chat, group).mark.store, (state) => state.unread);
}
