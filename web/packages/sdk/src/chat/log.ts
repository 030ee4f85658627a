/**
 * What a page knows of the messages of a chat. Pure: it is told what came, in whatever order, however often, and says
 * what stands there. Whatever was lost on the way, after the next `open` or page of history it is what the server has.
 */

import {
  type ChatEvent,
  type ChatHistory,
  type ChatMessage,
  type ChatQuote,
  MAX_QUOTE_CHARS,
} from '../contract.js';

/** A place where messages came of which not all are here. */
export interface ChatGap {
  type: 'gap';
  /** Stands after the message with this number. */
  after: number;
  /** How many are not here. */
  dropped: number;
  /** `slow`: this page did not keep up. `busy`: there were more than anybody reads, so it shows some of them. */
  why: 'slow' | 'busy';
  /** Which busy time it was: each has one gap, at its end. */
  run?: number;
}

/** A line of a chat. */
export type ChatLine = (ChatMessage & { type: 'message' }) | ChatGap;

/** A message that is a line. */
export type MessageLine = Extract<ChatLine, { type: 'message' }>;

/** What becomes of a log. */
export type LogEvent =
  | Exclude<ChatEvent, { type: 'settings' | 'sanction' }>
  /** The answer to a question for what is before `before`. */
  | { type: 'page'; before: number; page: ChatHistory }
  /** Public messages that came and are not taken, because they are more than anybody reads. */
  | { type: 'passed'; seq: number; count: number; run: number }
  /** What is before this number goes from memory; the server has it. */
  | { type: 'forget'; before: number };

/** What is known of the messages of a chat. */
export interface ChatLog {
  /** Null until the server has said it. */
  readonly epoch: number | null;
  /** The highest number that was heard of; 0 before any. */
  readonly last: number;
  /** By rising number. */
  readonly messages: readonly MessageLine[];
  /** By rising place, at most one at each. */
  readonly gaps: readonly ChatGap[];
  /**
   * From this number on the messages are what the server has. Below it stand those of an earlier connection, of which
   * some may have been changed since. Null: nothing has come yet since the last `open`.
   */
  readonly since: number | null;
  /** The server may have older ones. */
  readonly more: boolean;
  /** What was heard of messages that are not here: a page that was made before may bring them as they were. */
  readonly late: ReadonlyMap<number, Late>;
  /** Of whom all messages up to a number were deleted. */
  readonly purged: ReadonlyMap<string, number>;
}

/** What became of a message that is not here. */
type Late = { deleted: true } | { deleted: false; text: string; edited_at: number };

export const EMPTY_LOG: ChatLog = {
  epoch: null,
  last: 0,
  messages: [],
  gaps: [],
  since: null,
  more: true,
  late: new Map(),
  purged: new Map(),
};

/** Lines that stay in memory while nobody reads further up. */
export const MAX_LINES = 300;
/** Lines that stay in memory at most, however far somebody has read back. */
export const MAX_READ_LINES = 2_000;
/** So many messages on both sides of the one that is read stay. */
const KEPT_AROUND = 400;
/** Changes of messages that are not here, and people whose messages were deleted, at most: the oldest one goes. */
const MAX_LATE = 500;

/** The log after these events, in their order; the same object if they change nothing. */
export function take(log: ChatLog, events: readonly LogEvent[]): ChatLog {
  const draft = new Draft(log);
  for (const event of events) draft.take(event);
  return draft.done();
}

/**
 * The log with no more lines than memory may hold. `reading`: the message that somebody reads further up; null where
 * the newest ones are looked at.
 */
export function trim(log: ChatLog, reading: number | null): ChatLog {
  const { messages } = log;
  if (reading === null) {
    // What an earlier connection brought is read again where somebody wants it.
    const stale = log.since === null ? 0 : place(messages, log.since);
    const surplus = Math.max(stale, messages.length - MAX_LINES);
    const first = messages[surplus];
    if (surplus <= 0) return log;
    return take(log, [{ type: 'forget', before: first?.seq ?? log.last + 1 }]);
  }
  if (messages.length <= MAX_READ_LINES) return log;
  const from = place(messages, reading) + KEPT_AROUND;
  const to = messages.length - MAX_LINES;
  if (from < to) return cutOut(log, from, to);
  // Whoever reads is at the end of it all: what is far above goes.
  const first = messages[messages.length - MAX_READ_LINES];
  return first === undefined ? log : take(log, [{ type: 'forget', before: first.seq }]);
}

/** The messages, each with what it quotes as that stands now. */
export function messagesOf(log: ChatLog): readonly MessageLine[] {
  if (!log.messages.some(({ reply_to: quote }) => quote !== undefined)) return log.messages;
  return log.messages.map((message) => quoting(log, message));
}

/** All lines, `messages` of {@link messagesOf} and gaps, in their order. */
export function linesOf({ gaps }: ChatLog, messages: readonly MessageLine[]): readonly ChatLine[] {
  if (gaps.length === 0) return messages;
  const lines: ChatLine[] = [];
  let next = 0;
  const passGaps = (before: number): void => {
    for (let gap = gaps[next]; gap !== undefined && gap.after < before; gap = gaps[next]) {
      lines.push(gap);
      next += 1;
    }
  };
  for (const message of messages) {
    passGaps(message.seq);
    lines.push(message);
  }
  passGaps(Infinity);
  return lines;
}

/** What was made of a message whose quote stands otherwise now: the same object as long as that is so. */
const requoted = new WeakMap<MessageLine, MessageLine>();

function quoting(log: ChatLog, message: MessageLine): MessageLine {
  const { reply_to: told } = message;
  if (told === undefined) return message;
  const now = quoteNow(log, told);
  const before = requoted.get(message) ?? message;
  if (now.text === before.reply_to?.text && now.deleted === before.reply_to.deleted) return before;
  const next = { ...message, reply_to: now };
  requoted.set(message, next);
  return next;
}

/** A quote as far as this page knows; of what is not here, as it was told. */
function quoteNow(log: ChatLog, quote: ChatQuote): ChatQuote {
  const known = messageOf(log.messages, quote.seq);
  const late = log.late.get(quote.seq);
  const isPurged = quote.seq <= (log.purged.get(quote.from) ?? 0);
  if (known?.deleted === true || late?.deleted === true || isPurged)
    return { ...quote, text: '', deleted: true };
  const text = known?.text ?? (late?.deleted === false ? late.text : undefined);
  if (text === undefined) return quote;
  return { ...quote, text: Array.from(text).slice(0, MAX_QUOTE_CHARS).join('') };
}

/** Where a message with this number is, or would be. */
export function place(messages: readonly { seq: number }[], seq: number): number {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((messages[middle]?.seq ?? Infinity) < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The message with this number, if it is here. */
export function messageOf(messages: readonly MessageLine[], seq: number): MessageLine | undefined {
  const found = messages[place(messages, seq)];
  return found?.seq === seq ? found : undefined;
}

function cutOut(log: ChatLog, from: number, to: number): ChatLog {
  const [last, next] = [log.messages[from - 1], log.messages[to]];
  if (last === undefined || next === undefined) return log;
  const inside = ({ after }: ChatGap): boolean => after >= last.seq && after < next.seq;
  const dropped = log.gaps.filter(inside).reduce((sum, gap) => sum + gap.dropped, to - from);
  const gap: ChatGap = { type: 'gap', after: last.seq, dropped, why: 'busy' };
  const gaps = [...log.gaps.filter((one) => !inside(one)), gap].sort((a, b) => a.after - b.after);
  return { ...log, gaps, messages: [...log.messages.slice(0, from), ...log.messages.slice(to)] };
}

/** Of two states of one message the later one. A deletion is for good. */
function later(known: MessageLine, other: MessageLine): MessageLine {
  if (known.deleted === true) return known;
  if (other.deleted === true) return other;
  const [before, after] = [known.edited_at ?? 0, other.edited_at ?? 0];
  if (after < before) return known;
  if (after > before || known.text !== other.text) return other;
  const isSameQuote =
    known.reply_to?.text === other.reply_to?.text && known.reply_to?.deleted === other.reply_to?.deleted;
  return isSameQuote ? known : other;
}

class Draft {
  private epoch: number | null;
  private last: number;
  private since: number | null;
  private more: boolean;
  private messages: MessageLine[];
  private gaps: ChatGap[];
  private late: Map<number, Late>;
  private purged: Map<string, number>;
  private changed = { messages: false, gaps: false, late: false, rest: false };

  constructor(private readonly before: ChatLog) {
    this.epoch = before.epoch;
    this.last = before.last;
    this.since = before.since;
    this.more = before.more;
    this.messages = [...before.messages];
    this.gaps = [...before.gaps];
    this.late = new Map(before.late);
    this.purged = new Map(before.purged);
  }

  done(): ChatLog {
    const { changed, before } = this;
    if (!Object.values(changed).includes(true)) return before;
    return {
      ...{ epoch: this.epoch, last: this.last, since: this.since, more: this.more },
      messages: changed.messages ? this.messages : before.messages,
      gaps: changed.gaps ? this.gaps : before.gaps,
      late: changed.late ? this.late : before.late,
      purged: changed.late ? this.purged : before.purged,
    };
  }

  take(event: LogEvent): void {
    switch (event.type) {
      case 'open':
        this.open(event.epoch, event.last);
        break;
      case 'message':
        this.hear(event);
        break;
      case 'edited':
        this.change(event.seq, { deleted: false, text: event.text, edited_at: event.edited_at });
        break;
      case 'deleted':
        this.change(event.seq, { deleted: true });
        break;
      case 'deleted_from':
        this.deleteFrom(event.from);
        break;
      case 'gap':
        this.miss({ type: 'gap', after: this.last, dropped: event.dropped, why: 'slow' });
        break;
      case 'passed':
        this.hearOf(event.seq);
        this.miss({
          type: 'gap',
          after: event.seq,
          dropped: event.count,
          why: 'busy',
          run: event.run,
        });
        break;
      case 'page':
        this.turn(event.before, event.page);
        break;
      case 'forget':
        this.forget(event.before);
        break;
    }
  }

  private open(epoch: number | null, last: number): void {
    this.changed.rest = true;
    // Numbers that begin again are those of other messages. So is a number above all that there are.
    const isNew = this.epoch !== epoch && this.epoch !== null;
    if (isNew || epoch === null || last < (this.messages.at(-1)?.seq ?? 0)) {
      this.forget(Infinity);
      this.late.clear();
      this.purged.clear();
      this.changed.late = true;
    }
    if (last === 0) this.forget(Infinity);
    [this.epoch, this.last, this.since] = [epoch, last, null];
    this.more = last > 0;
  }

  private hear(message: MessageLine): void {
    // A server that says no epochs is one that forgets, and then counts from the beginning.
    const newest = this.messages.at(-1);
    if (this.epoch === null && newest !== undefined && message.seq <= newest.seq && message.at > newest.at)
      this.open(null, message.seq);
    this.hearOf(message.seq);
    if (this.since === null) {
      this.since = message.seq;
      this.changed.rest = true;
      // Gaps of an earlier connection are filled by what comes now, or lie in what is read again.
      if (this.gaps.length > 0) [this.gaps, this.changed.gaps] = [[], true];
      if (message.seq === 1) this.more = false;
    }
    this.put(message);
  }

  private hearOf(seq: number): void {
    if (seq <= this.last) return;
    this.last = seq;
    this.changed.rest = true;
  }

  /** A page of the history is all that there is between its first message and `before`. */
  private turn(before: number, page: ChatHistory): void {
    const { messages } = page;
    // A page of nothing that says there is more would be asked for again and again.
    const more = page.more && messages.length > 0;
    const from = more ? (messages[0]?.seq ?? before) : 0;
    const told = new Set(messages.map(({ seq }) => seq));
    const isGone = ({ seq }: MessageLine): boolean => seq >= from && seq < before && !told.has(seq);
    if (this.messages.some(isGone)) {
      this.messages = this.messages.filter((message) => !isGone(message));
      this.changed.messages = true;
    }
    const filled = ({ after }: ChatGap): boolean => after >= from && after < before;
    if (this.gaps.some(filled)) {
      this.gaps = this.gaps.filter((gap) => !filled(gap));
      this.changed.gaps = true;
    }
    for (const message of messages) this.put({ type: 'message', ...message });
    const first = this.messages[0]?.seq ?? before;
    if (this.since !== null && before >= this.since && from < this.since) {
      this.since = from;
      this.changed.rest = true;
    }
    // What was kept from before reaches further up than this page, perhaps.
    if (first >= from && this.more !== more) {
      this.more = more;
      this.changed.rest = true;
    }
  }

  private put(message: MessageLine): void {
    const late = this.late.get(message.seq);
    const came = message.deleted === true ? blank(message) : message;
    const isPurged = message.seq <= (this.purged.get(message.from) ?? 0);
    const kept = isPurged ? blank(came) : came;
    const now = late === undefined ? kept : applied(kept, late);
    if (late !== undefined) {
      this.late.delete(message.seq);
      this.changed.late = true;
    }
    const at = place(this.messages, message.seq);
    const known = this.messages[at];
    if (known?.seq !== message.seq) {
      this.messages.splice(at, 0, now);
      this.changed.messages = true;
      return;
    }
    const next = later(known, now);
    if (next === known) return;
    this.messages[at] = next;
    this.changed.messages = true;
  }

  private change(seq: number, late: Late): void {
    const at = place(this.messages, seq);
    const known = this.messages[at];
    if (known?.seq === seq) {
      const next = later(known, applied(known, late));
      if (next === known) return;
      this.messages[at] = next;
      this.changed.messages = true;
      return;
    }
    const before = this.late.get(seq);
    if (before?.deleted === true) return;
    if (before !== undefined && !late.deleted && late.edited_at < before.edited_at) return;
    this.late.delete(seq);
    this.late.set(seq, late);
    this.changed.late = true;
    bound(this.late);
  }

  private deleteFrom(person: string): void {
    this.purged.delete(person);
    this.purged.set(person, this.last);
    bound(this.purged);
    this.changed.late = true;
    for (const { from, seq } of [...this.messages]) if (from === person) this.change(seq, { deleted: true });
  }

  private miss(gap: ChatGap): void {
    this.changed.gaps = true;
    const known = this.gaps.at(-1);
    const newest = this.messages.at(-1)?.seq ?? -1;
    const isSamePlace = known !== undefined && known.after >= newest;
    const isSameRun = gap.run !== undefined && known?.run === gap.run;
    if (known === undefined || !(isSamePlace || isSameRun)) {
      this.gaps.push(gap);
      return;
    }
    const why = known.why === 'slow' || gap.why === 'slow' ? 'slow' : 'busy';
    this.gaps[this.gaps.length - 1] = { ...known, ...gap, why, dropped: known.dropped + gap.dropped };
  }

  private forget(before: number): void {
    const at = place(this.messages, before);
    if (at > 0) {
      this.messages = this.messages.slice(at);
      this.changed.messages = true;
      this.changed.rest = true;
      this.more = true;
    }
    const kept = this.gaps.filter(({ after }) => after >= before);
    if (kept.length === this.gaps.length) return;
    this.gaps = kept;
    this.changed.gaps = true;
    this.more = true;
  }
}

function bound<Key>(map: Map<Key, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= MAX_LATE) break;
    map.delete(oldest);
  }
}

function applied(message: MessageLine, late: Late): MessageLine {
  if (late.deleted) return blank(message);
  return later(message, { ...message, text: late.text, edited_at: late.edited_at });
}

/** A deleted message: what is left of it is its place. */
function blank(message: MessageLine): MessageLine {
  const rest: MessageLine = { ...message, text: '', deleted: true };
  delete rest.edited_at;
  return rest;
}
