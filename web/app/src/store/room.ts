import { createInstanceContext, type Instance } from '@madang/react';
import { createStore } from 'zustand';
import {
  addLine,
  type BroadcastState,
  type ChatLine,
  ChatSender,
  type Pending,
  Signaling,
  type SignalingState,
} from '@madang/sdk';
import { signalingEndpoint } from '../lib/api';

/** What is known of the room of a broadcast: chat, presence and state, as signaling tells them. */
export interface RoomState {
  connection: SignalingState;
  lines: readonly ChatLine[];
  /** What was written here and is no line yet. */
  pending: readonly Pending[];
  viewerCount: number | null;
  chatting: number | null;
  /** The latest state of the broadcast; null until signaling has told one. */
  broadcast: BroadcastState | null;
}

const EMPTY: RoomState = {
  connection: 'connecting',
  lines: [],
  pending: [],
  viewerCount: null,
  chatting: null,
  broadcast: null,
};

/** A room with a chat, of a broadcast or of a call. */
export interface ChatRoom extends Instance<RoomState> {
  /** Writes into the chat; `false` if it takes no more, and the text should stay where it is. */
  write(text: string, name: string): boolean;
  /** Forgets a message that was refused. */
  drop(id: string): void;
}

/** The room of a broadcast, as this page sees it while it is in it. */
export class Room implements ChatRoom {
  readonly store = createStore<RoomState>(() => EMPTY);
  private sender: ChatSender | null = null;

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
      const own = new ChatSender(signaling, room);
      this.sender = own;
      leave = (): void => {
        if (this.sender === own) this.sender = null;
        own.close();
        void signaling.close().catch(() => undefined);
      };
      own.on('pending', (pending) => set({ pending }));
      signaling.on('state', (connection) => set({ connection }));
      signaling.onBroadcast(this.id, (broadcast) => {
        set({ broadcast, viewerCount: broadcast.viewer_count });
      });
      signaling.onPresence(room, ({ viewer_count, chatting }) => {
        set({ viewerCount: viewer_count, chatting });
      });
      signaling.onChat(room, (event) => {
        if (left) return;
        const { lines } = this.store.getState();
        const line = event.type === 'gap' ? { ...event, seq: lines.at(-1)?.seq ?? -1 } : event;
        set({ lines: addLine(lines, line) });
        if (event.type === 'message') own.hear(event);
      });
      signaling.start();
    });
    return () => {
      left = true;
      leave();
    };
  }

  write(text: string, name: string): boolean {
    return this.sender?.write(text, name) ?? false;
  }

  drop(id: string): void {
    this.sender?.drop(id);
  }
}

/** The room that a part of the page belongs to. */
export const {
  Provider: RoomProvider,
  useInstance: useRoomInstance,
  useSelected: useRoom,
} = createInstanceContext<RoomState, ChatRoom>('room');
