/**
 * Chat messages on their way: what a person has written is kept until the server has it, and is sent again where no
 * answer came. One at a time, in the order of writing; the id of a message lets the server and every reader know a
 * repetition. Pure: it is told what happens and at what time, and says what to send.
 */

import type { Outcome } from '../replies.js';

/** How a message stands. */
export type PendingState =
  /** It is sent when it is its turn. */
  | { kind: 'waiting' }
  /** Sent, and not answered. */
  | { kind: 'sending' }
  /** The server has it; it comes back as a line of the room, if that has not happened yet. */
  | { kind: 'sent'; seq: number | null }
  /** The server does not take it now; the person may change it, or send it again later. */
  | { kind: 'refused'; refusal: Refusal };

/** An outcome of a message that was not sent. */
export type Refusal = Extract<Outcome, { sent: false }>;

/** What a person has written. */
export interface Written {
  readonly id: string;
  readonly text: string;
  readonly name: string;
  /** What it answers. */
  readonly replyTo?: { readonly seq: number; readonly name: string; readonly text: string };
  /** Whom alone it is for. */
  readonly to?: { readonly id: string; readonly name: string };
}

/** A message that is not a line of the room yet. */
export interface Pending extends Written {
  readonly state: PendingState;
}

/** Messages on their way. */
export interface Outbox {
  readonly pending: readonly Pending[];
  readonly connected: boolean;
  /** Nothing is sent before, in the milliseconds of whoever asks: the server said so. */
  readonly notBefore: number;
}

/** Messages that wait at most; who has written so many writes no more until one of them is gone. */
export const MAX_PENDING = 20;
/** Before a message is repeated on a connection that is there. */
const AGAIN_MS = 1_000;
/** So long a message waits by itself for the rate to allow it; for longer the person gets it back. */
const SOON_MS = 5_000;

export const EMPTY_OUTBOX: Outbox = { pending: [], connected: false, notBefore: 0 };

/** A person has written something. Unchanged where too much waits: the text stays in the field. */
export function write(outbox: Outbox, message: Written): Outbox {
  if (outbox.pending.length >= MAX_PENDING) return outbox;
  return { ...outbox, pending: [...outbox.pending, { ...message, state: { kind: 'waiting' } }] };
}

/**
 * The connection is there, or is not any more: then what was not answered waits again, and what the server has comes
 * with the history of the next one, if the server still has it.
 */
export function connected(outbox: Outbox, now: boolean): Outbox {
  if (now) return { ...outbox, connected: true };
  const kept = outbox.pending.filter(({ state }) => state.kind !== 'sent');
  const pending = kept.map((message) =>
    message.state.kind === 'sending' ? { ...message, state: { kind: 'waiting' as const } } : message,
  );
  return { ...outbox, pending, connected: false };
}

/** What to send at `nowMs`; nothing while something is unanswered or may not be sent yet. */
export function nextToSend(outbox: Outbox, nowMs: number): Pending | null {
  if (!outbox.connected || nowMs < outbox.notBefore) return null;
  const first = outbox.pending.find(({ state }) => state.kind === 'waiting' || state.kind === 'sending');
  return first?.state.kind === 'waiting' ? first : null;
}

/** The message with this id is on its way. */
export function sending(outbox: Outbox, id: string): Outbox {
  return withState(outbox, id, ({ kind }) => (kind === 'waiting' ? { kind: 'sending' } : null));
}

/** What became of a message that was sent. A late word of one that waits again counts too. */
export function settled(outbox: Outbox, id: string, outcome: Outcome, nowMs: number): Outbox {
  if (outcome.sent) return withState(outbox, id, () => ({ kind: 'sent', seq: outcome.seq }));
  const { reason, retryAfterMs } = outcome;
  // The server's store may be away: then it says after which time to ask again.
  const isPassing = reason === 'rate' || (reason === 'state' && retryAfterMs !== null);
  const later = reason === 'lost' || (isPassing && (retryAfterMs ?? 0) <= SOON_MS);
  if (!later) return withState(outbox, id, () => ({ kind: 'refused', refusal: outcome }));
  const waits = withState(outbox, id, ({ kind }) => (kind === 'sent' ? null : { kind: 'waiting' }));
  return { ...waits, notBefore: nowMs + (outcome.retryAfterMs ?? AGAIN_MS) };
}

/** A line of the room: what it brings is no longer on its way. A later number says that the line was passed by. */
export function heard(outbox: Outbox, line: { id?: string | undefined; seq: number }): Outbox {
  const gone = ({ id, state }: Pending): boolean =>
    id === line.id || (state.kind === 'sent' && state.seq !== null && state.seq <= line.seq);
  if (!outbox.pending.some(gone)) return outbox;
  return { ...outbox, pending: outbox.pending.filter((message) => !gone(message)) };
}

/** The person has read why a message was not sent, or does not want it sent any more. */
export function drop(outbox: Outbox, id: string): Outbox {
  return { ...outbox, pending: outbox.pending.filter((message) => message.id !== id) };
}

function withState(outbox: Outbox, id: string, next: (state: PendingState) => PendingState | null): Outbox {
  const pending = outbox.pending.map((message) => {
    const state = message.id === id ? next(message.state) : null;
    return state === null ? message : { ...message, state };
  });
  return { ...outbox, pending };
}
