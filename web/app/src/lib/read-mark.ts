import { createStore, type StoreApi } from 'zustand';
import type { ChatStatus, MessageLine, RoomChat } from '@madang/sdk';

/** How far a chat was read. */
export interface ReadState {
  /** The numbers are of this epoch; null before anything is known. */
  epoch: number | null;
  /** All up to this number has been in view, or was there before this person came. */
  read: number;
  /** After this number it was new when the person came back to the chat; null where nothing was. */
  divider: number | null;
  /** The chat is looked at now. */
  watched: boolean;
  /** Messages of others after what was read. */
  unread: number;
}

/** What is kept of it over a reload. */
export interface KeptRead {
  epoch: number;
  read: number;
}

export const UNREAD: ReadState = { epoch: null, read: 0, divider: null, watched: false, unread: 0 };

/** How many messages of others come after a number. Deleted ones say nothing any more. */
export function unreadAfter(messages: readonly MessageLine[], read: number, me: string | null): number {
  return messages.filter(({ seq, from, deleted }) => seq > read && from !== me && deleted !== true).length;
}

/** The chat was opened: what is there already counts as read, but for what came since the kept mark. */
export function opened(state: ReadState, epoch: number, last: number, kept: KeptRead | null): ReadState {
  if (state.epoch === epoch) return state;
  const read = kept?.epoch === epoch ? Math.min(kept.read, last) : last;
  return { ...state, epoch, read, divider: null };
}

/** A message has been in view while the page was visible, and so have those above it. */
export function seen(state: ReadState, seq: number): ReadState {
  return seq > state.read ? { ...state, read: seq } : state;
}

/** The person looks at the chat, or not any more. */
export function watched(state: ReadState, is: boolean, unread: number): ReadState {
  if (is === state.watched) return state;
  // What came meanwhile stays marked while it is read.
  const divider = is && unread > 0 ? state.read : is ? state.divider : null;
  return { ...state, watched: is, divider };
}

/** Follows a chat and knows what of it was read. */
export class ReadMark {
  readonly store: StoreApi<ReadState> = createStore<ReadState>(() => UNREAD);

  constructor(
    private readonly chat: Pick<RoomChat, 'messages' | 'status'>,
    private readonly kept: { read: () => KeptRead | null; write: (kept: KeptRead) => void },
  ) {
    this.follow();
    chat.status.subscribe(() => this.follow());
    chat.messages.subscribe(() => this.become(this.store.getState()));
  }

  /** The message with this number is in view. */
  readonly see = (seq: number): void => {
    const before = this.store.getState();
    const state = seen(before, seq);
    if (state === before) return;
    this.become(state);
    if (state.epoch !== null) this.kept.write({ epoch: state.epoch, read: state.read });
  };

  /** Whether the chat is looked at. */
  readonly watch = (is: boolean): void => {
    const state = this.store.getState();
    this.become(watched(state, is, state.unread));
  };

  private follow(): void {
    const { epoch, last }: Pick<ChatStatus, 'epoch' | 'last'> = this.chat.status.get();
    if (epoch !== null) this.become(opened(this.store.getState(), epoch, last, this.kept.read()));
  }

  private become(state: ReadState): void {
    const { epoch, read } = state;
    const unread =
      epoch === null ? 0 : unreadAfter(this.chat.messages.get(), read, this.chat.status.get().me);
    const next = unread === state.unread ? state : { ...state, unread };
    if (next !== this.store.getState()) this.store.setState(next, true);
  }
}
