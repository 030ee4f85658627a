import { type ReactNode } from 'react';
import { useRoom, useRoomInstance } from '../../store/room';
import { Chat } from './panel';

/** The chat of a broadcast. */
export function BroadcastChat(props: {
  own: string | null;
  closed: boolean;
  moderator?: boolean;
}): ReactNode {
  const { id } = useRoomInstance();
  const chat = useRoom((state) => state.chat);
  const connection = useRoom((state) => state.connection);
  const chatting = useRoom((state) => state.chatting);
  return <Chat {...{ chat, connection, chatting }} {...props} room={String(id)} />;
}
