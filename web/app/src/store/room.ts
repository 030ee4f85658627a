import { createInstanceContext, type Instance } from '@madang/react';
import { createStore } from 'zustand';
import { type BroadcastState, Chat, type RoomChat, Signaling, type SignalingState } from '@madang/sdk';
import { signalingEndpoint } from '../lib/api';

/** What is known of the room of a broadcast: chat, presence and state, as signaling tells them. */
export interface RoomState {
  connection: SignalingState;
  /** Its chat; null until the page has found signaling. */
  chat: RoomChat | null;
  viewerCount: number | null;
  chatting: number | null;
  /** The latest state of the broadcast; null until signaling has told one. */
  broadcast: BroadcastState | null;
}

const EMPTY: RoomState = {
  connection: 'connecting',
  chat: null,
  viewerCount: null,
  chatting: null,
  broadcast: null,
};

/** The room of a broadcast, as this page sees it while it is in it. */
export class Room implements Instance<RoomState> {
  readonly store = createStore<RoomState>(() => EMPTY);

  constructor(
    readonly id: number,
    private readonly token: () => Promise<string | undefined>,
  ) {}

  /** Enters; the returned function leaves, and what was known is forgotten when it is entered again. */
  enter(): () => void {
    this.store.setState(EMPTY);
    let left = false;
    // A late word of a connection that was left is not of the one that is open now.
    const set = (change: Partial<RoomState>): void => {
      if (!left) this.store.setState(change);
    };
    let leave = (): void => undefined;
    void signalingEndpoint().then((url) => {
      if (left) return;
      const signaling = new Signaling({ url, token: this.token });
      const room = String(this.id);
      const chat = new Chat({ signaling, room });
      leave = (): void => {
        chat.close();
        void signaling.close().catch(() => undefined);
      };
      signaling.on('state', (connection) => set({ connection }));
      signaling.onBroadcast(this.id, (broadcast) => {
        set({ broadcast, viewerCount: broadcast.viewer_count });
      });
      signaling.onPresence(room, ({ viewer_count, chatting }) => {
        set({ viewerCount: viewer_count, chatting });
      });
      set({ chat });
      signaling.start();
    });
    return () => {
      left = true;
      leave();
    };
  }
}

/** The room that a part of the page belongs to. */
export const {
  Provider: RoomProvider,
  useInstance: useRoomInstance,
  useSelected: useRoom,
} = createInstanceContext<RoomState, Room>('room');
