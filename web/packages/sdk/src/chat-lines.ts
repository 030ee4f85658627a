import type { ChatMessage } from './types.js';

/** A line of the chat. */
export type ChatLine = ChatMessage | { type: 'gap'; seq: number; dropped: number };

/** Lines that stay in memory; older ones go. */
const MAX_LINES = 300;

/** `lines` with `line`; the same where it is there already, as in a history that comes again after a reconnect. */
export function addLine(lines: readonly ChatLine[], line: ChatLine): readonly ChatLine[] {
  if (line.type === 'message') {
    const { id } = line;
    if (id !== undefined && lines.some((old) => old.type === 'message' && old.id === id)) return lines;
    // A server that started anew counts from the beginning: then the text is new although the number is not.
    if (line.seq <= lastSeq(lines)) {
      const known = lines.some((old) => old.type === 'message' && old.seq === line.seq && old.at === line.at);
      if (known || lines.some((old) => old.type === 'message' && old.at > line.at)) return lines;
    }
  }
  return [...lines, line].slice(-MAX_LINES);
}

function lastSeq(lines: readonly ChatLine[]): number {
  return lines.at(-1)?.seq ?? -1;
}
