import type { ChatMessage } from '@madang/sdk';

/** A place in a chat. The time counts first: a server that started anew counts from the beginning. */
export interface Place {
  at: number;
  seq: number;
}

/** Where a chat ends; null before anything was written. */
export function endOf(messages: readonly ChatMessage[]): Place | null {
  const last = messages.at(-1);
  return last === undefined ? null : { at: last.at, seq: last.seq };
}

/** How many messages of others come after a place. */
export function unreadAfter(messages: readonly ChatMessage[], seen: Place | null, me: string | null): number {
  return messages.filter((message) => message.from !== me && (seen === null || isBehind(message, seen)))
    .length;
}

export function isBehind(message: Place, seen: Place): boolean {
  return message.at > seen.at || (message.at === seen.at && message.seq > seen.seq);
}
