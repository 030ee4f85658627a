import { createStore, type StoreApi } from 'zustand';
import type { MessageLine, Refusal, RoomChat, Written } from '@madang/sdk';
import { keptRead } from '../lib/storage';
import { ReadMark } from '../lib/read-mark';

/** What came back to the field because the server did not take it. */
export interface GivenBack {
  refusal: Refusal;
  /** When it came back, on the clock of `Date.now()`. */
  at: number;
}

/** What a person has at hand in a chat. It outlives the panel, so that closing the panel loses no text. */
export interface DeskState {
  /** What stands in the field. */
  text: string;
  replyTo: NonNullable<Written['replyTo']> | null;
  /** Whom alone the next message is for. */
  to: NonNullable<Written['to']> | null;
  /** The message that is being changed, and what stood in the field before. */
  editing: { seq: number; before: string } | null;
  givenBack: GivenBack | null;
}

const EMPTY: DeskState = { text: '', replyTo: null, to: null, editing: null, givenBack: null };

/** The desk of one chat: what is being written, what came back, how far it was read. */
export class ChatDesk {
  readonly store: StoreApi<DeskState> = createStore<DeskState>(() => EMPTY);
  readonly mark: ReadMark;

  constructor(
    readonly chat: RoomChat,
    room: string,
  ) {
    this.mark = new ReadMark(chat, {
      read: () => keptRead.read(room),
      write: (kept) => keptRead.write(room, kept),
    });
    chat.pending.subscribe(() => this.takeBack());
  }

  readonly set = (change: Partial<DeskState>): void => this.store.setState(change);

  /** Begins to change a message. */
  readonly edit = ({ seq, text }: MessageLine): void => {
    const { text: now, editing } = this.store.getState();
    this.set({ editing: { seq, before: editing?.before ?? now }, text, replyTo: null, givenBack: null });
  };

  /** Ends that; what stood in the field is there again. */
  readonly endEdit = (): void => {
    const { editing } = this.store.getState();
    if (editing !== null) this.set({ editing: null, text: editing.before });
    this.takeBack();
  };

  /** Puts a message that was refused back into the field, which has to be empty for it. */
  readonly putBack = (id: string): void => {
    const found = this.chat.pending.get().find((message) => message.id === id);
    const { text, editing } = this.store.getState();
    if (found?.state.kind !== 'refused' || text !== '' || editing !== null) return;
    const { replyTo = null, to = null, state } = found;
    this.set({ text: found.text, replyTo, to, givenBack: { refusal: state.refusal, at: Date.now() } });
    this.chat.drop(id);
  };

  /** What is refused comes back to the field, if nothing else stands there. */
  private takeBack(): void {
    const refused = this.chat.pending.get().find(({ state }) => state.kind === 'refused');
    if (refused !== undefined) this.putBack(refused.id);
  }
}

const desks = new WeakMap<RoomChat, ChatDesk>();

/** The desk of a chat: the same one for every part of the page. */
export function deskOf(chat: RoomChat, room: string): ChatDesk {
  const known = desks.get(chat);
  if (known !== undefined) return known;
  const desk = new ChatDesk(chat, room);
  desks.set(chat, desk);
  return desk;
}
