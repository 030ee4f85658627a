import { type ReactNode, useEffect, useState } from 'react';
import { createStore } from 'zustand';
import { usePeople, useRoom, useRoomState, useStoreValue } from '@madang/react';
import type { Room } from '@madang/sdk';
import { endOf, isBehind, type Place, unreadAfter } from '../lib/unread';
import { type ChatRoom, RoomProvider, type RoomState } from '../store/room';
import { Chat } from './chat';

/** What was written before one came arrives within this time. */
const HISTORY_MS = 1_000;

/** The chat of a call, as the chat of any room is shown. */
class CallChatRoom implements ChatRoom {
  readonly store;

  constructor(private readonly room: Room) {
    this.store = createStore<RoomState>(() => this.now());
  }

  /** Follows the room until the returned function is called. */
  follow(): () => void {
    const { state, chat } = this.room;
    const update = (): void => this.store.setState(this.now());
    update();
    const stops = [state, chat.messages, chat.pending].map((part) => part.subscribe(update));
    return () => stops.forEach((stop) => stop());
  }

  write(text: string): boolean {
    return this.room.chat.send(text);
  }

  drop(id: string): void {
    this.room.chat.drop(id);
  }

  private now(): RoomState {
    const { state, chat } = this.room;
    return {
      connection: state.get().signaling,
      lines: chat.messages.get(),
      pending: chat.pending.get(),
      viewerCount: null,
      chatting: null,
      broadcast: null,
    };
  }
}

/** The chat of a call. */
export function CallChat({ onClose }: { onClose: () => void }): ReactNode {
  const room = useRoom();
  const [chat] = useState(() => new CallChatRoom(room));
  useEffect(() => chat.follow(), [chat]);
  const me = useRoomState(({ participant }) => participant);
  // Until the room has told who may what, the server decides.
  const silenced = usePeople((people) => {
    const own = me === null ? undefined : people.get(me);
    return own?.rights.includes('chat') === false;
  });
  return (
    <RoomProvider value={chat}>
      <Chat own={me} closed={false} silenced={silenced} named onClose={onClose} />
    </RoomProvider>
  );
}

/** Messages of others that came while the chat was not open. */
export function useUnread(open: boolean): number {
  const room = useRoom();
  const messages = useStoreValue(room.chat.messages);
  const me = useRoomState(({ participant }) => participant);
  const connected = useRoomState(({ signaling }) => signaling === 'connected');
  const [hasHistory, setHasHistory] = useState(false);
  const [seen, setSeen] = useState<Place | null>(null);
  useEffect(() => {
    if (!connected || hasHistory) return;
    const timer = setTimeout(() => setHasHistory(true), HISTORY_MS);
    return () => clearTimeout(timer);
  }, [connected, hasHistory]);
  const end = endOf(messages);
  const sees = open || !hasHistory;
  if (sees && end !== null && (seen === null || isBehind(end, seen))) setSeen(end);
  return sees ? 0 : unreadAfter(messages, seen, me);
}
