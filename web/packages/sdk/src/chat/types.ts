import type { Outcome } from '../replies.js';
import type { Store } from '../room/types.js';
import type { ChatMessage, ChatSanction, ChatSettings } from '../types.js';
import type { ChatLine, MessageLine } from './log.js';
import type { Pending } from './outbox.js';

/** How a chat is for whoever reads it, as the server said last. */
export interface ChatStatus {
  /** The server has said it on this connection. */
  open: boolean;
  /** Null until the server has said for the first time what numbers its messages have. */
  epoch: number | null;
  /** The highest number when the server said it last. */
  last: number;
  /** `from` of one's own messages; null until it is known. */
  me: string | null;
  settings: ChatSettings;
  pinned: ChatMessage | null;
  /** May delete, time out, ban, pin and change the settings. */
  moderator: boolean;
  /** What keeps one from writing; one that has an end (`until`) may be over. */
  sanction: ChatSanction | null;
  /**
   * When one may write again in slow mode, on the clock of `Date.now()`; 0 where it has not to be waited for. The server
   * decides: this page knows only what it has sent itself.
   */
  slowUntil: number;
  /** More comes than anybody reads, so that a sample is shown: how many messages a second come. Null otherwise. */
  busy: number | null;
}

/** What is older than the oldest line. */
export interface ChatPast {
  /** The server may have older messages. */
  more: boolean;
  state: 'idle' | 'loading' | 'failed';
}

/** What a message may have beside its text. */
export interface SendOptions {
  /** What it answers. */
  replyTo?: Pick<ChatMessage, 'seq' | 'name' | 'text'>;
  /** Whom alone it is for: somebody in the call. */
  to?: { id: string; name: string };
  /** Guest name, where no token says it. */
  name?: string;
}

/** Whom a moderator means: the author of a message, or somebody by the id that its messages have as `from`. */
export type Whom = { seq: number } | { person: string };

/** What moderators do in a chat; an {@link Outcome} says what became of it. */
export interface ChatModeration {
  /** Keeps somebody from writing for a while. */
  timeout(whom: Whom, seconds: number, reason?: string): Promise<Outcome>;
  /** Keeps somebody from writing until it is lifted; `address`: whoever else comes from there too. */
  ban(whom: Whom, options?: { address?: boolean; delete?: boolean; reason?: string }): Promise<Outcome>;
  /** Lifts a time-out or a ban. */
  unban(person: string): Promise<Outcome>;
  /** Who may not write: `bans` of the outcome. */
  bans(): Promise<Outcome>;
  /** Seconds between two messages of a person; 0 is off. */
  slow(seconds: number): Promise<Outcome>;
  /** Minutes that a person has to be known here before it writes; null is off. */
  followers(minutes: number | null): Promise<Outcome>;
  /** Puts a message above the chat; null takes it away. */
  pin(seq: number | null): Promise<Outcome>;
}

/** The chat of a room. What comes is shown once a frame. */
export interface RoomChat {
  /** Messages and gaps, the oldest first. */
  readonly lines: Store<readonly ChatLine[]>;
  /** The messages among them. */
  readonly messages: Store<readonly MessageLine[]>;
  /** What the server has not confirmed yet, or refused. */
  readonly pending: Store<readonly Pending[]>;
  readonly status: Store<ChatStatus>;
  readonly past: Store<ChatPast>;
  readonly moderate: ChatModeration;
  /** `false` if too many wait already: the text should stay in the field. */
  send(text: string, options?: SendOptions): boolean;
  /** Sends again what was refused. */
  retry(id: string): void;
  /** Forgets what was refused. */
  drop(id: string): void;
  /** Changes a message of one's own. */
  edit(seq: number, text: string): Promise<Outcome>;
  /** Deletes a message of one's own, or as a moderator. */
  delete(seq: number): Promise<Outcome>;
  /** Fetches older messages; whether there is anything new above. */
  older(): Promise<boolean>;
  /** Fetches older messages until that one is there, within reason; whether it is. */
  find(seq: number): Promise<boolean>;
  /**
   * Where somebody reads: the number of a message further up, around which nothing is dropped from memory; null where
   * the newest ones are looked at.
   */
  read(at: number | null): void;
  /** Lets go of everything above a place, a gap for example, so that {@link older} brings all of it. */
  reveal(after: number): Promise<boolean>;
}
