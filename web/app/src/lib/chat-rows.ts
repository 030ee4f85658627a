import type { ChatGap, ChatLine, MessageLine } from '@madang/sdk';

/** What stands in a chat, one under the other. */
export type ChatRow =
  | { kind: 'day'; key: string; at: number }
  /** What is below was not seen yet. */
  | { kind: 'new'; key: string }
  | { kind: 'gap'; key: string; gap: ChatGap }
  | {
      kind: 'message';
      key: string;
      message: MessageLine;
      /** Goes on from the message above: the same person shortly after. */
      goesOn: boolean;
    };

/** Messages of one person within this time of each other stand under one name. */
const GROUP_MS = 5 * 60_000;

/** The rows of a chat. `unreadFrom`: after the message with this number it is new. */
export function rowsOf(lines: readonly ChatLine[], unreadFrom: number | null): ChatRow[] {
  const rows: ChatRow[] = [];
  let above: MessageLine | null = null;
  let day = '';
  let isNew = unreadFrom === null;
  for (const line of lines) {
    if (line.type === 'gap') {
      rows.push({ kind: 'gap', key: `gap-${line.after}`, gap: line });
      above = null;
      continue;
    }
    const today = dayOf(line.at);
    if (today !== day) {
      rows.push({ kind: 'day', key: `day-${line.seq}`, at: line.at });
      [day, above] = [today, null];
    }
    if (!isNew && line.seq > (unreadFrom ?? 0)) {
      rows.push({ kind: 'new', key: 'new' });
      [isNew, above] = [true, null];
    }
    const goesOn = above !== null && isTogether(above, line);
    rows.push({ kind: 'message', key: String(line.seq), message: line, goesOn });
    above = line;
  }
  return rows;
}

function isTogether(above: MessageLine, line: MessageLine): boolean {
  const isSamePerson = above.from === line.from && above.name === line.name && above.host === line.host;
  const isSameAudience = above.to?.id === line.to?.id;
  const isSoon = line.at - above.at < GROUP_MS && line.at >= above.at;
  return isSamePerson && isSameAudience && isSoon && line.reply_to === undefined;
}

function dayOf(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}
