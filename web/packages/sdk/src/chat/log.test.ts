import { describe, expect, it } from 'vitest';
import type { ChatHistory, ChatMessage } from '../contract.js';
import { dice } from '../dice.test.util.js';
import {
  type ChatLog,
  EMPTY_LOG,
  linesOf,
  type LogEvent,
  MAX_LINES,
  MAX_READ_LINES,
  type MessageLine,
  messagesOf,
  take,
  trim,
} from './log.js';

function message(seq: number, change: Partial<ChatMessage> = {}): MessageLine {
  return {
    ...{ type: 'message', seq, at: seq, from: 'par_a', name: 'A', host: false, text: `text ${seq}` },
    ...change,
  };
}

const YOU = { id: 'par_me', moderator: false };
const open = (last: number, epoch = 1): LogEvent => ({
  ...{ type: 'open', epoch, last, settings: { slow_seconds: 0 }, you: YOU },
});
const edited = (seq: number, text: string, edited_at: number): LogEvent => ({
  ...{ type: 'edited', seq, text, edited_at },
});
const deleted = (seq: number): LogEvent => ({ type: 'deleted', seq, by: 'author' });

const numbers = (log: ChatLog): number[] => log.messages.map(({ seq }) => seq);
const texts = (log: ChatLog): string[] => log.messages.map(({ text }) => text);
const from = (first: number, last: number): MessageLine[] =>
  Array.from({ length: last - first + 1 }, (_, index) => message(first + index));

describe('the log of a chat', () => {
  it('has each message once, in the order of the numbers', () => {
    const log = take(EMPTY_LOG, [open(3), message(1), message(3), message(2), message(3)]);
    expect(numbers(log)).toEqual([1, 2, 3]);
    expect(take(log, [message(2), open(3)]).messages).toBe(log.messages);
    expect(take(log, [message(2)])).toBe(log);
  });

  it('drops what it has when the numbers begin anew', () => {
    const log = take(EMPTY_LOG, [open(2), message(1), message(2)]);
    const anew = take(log, [open(1, 2), message(1, { text: 'of another time' })]);
    expect(texts(anew)).toEqual(['of another time']);
    // A server that has lost its last messages, and did not notice, has others of these numbers soon.
    expect(texts(take(log, [open(1), message(1)]))).toEqual(['text 1']);
    expect(texts(take(log, [open(0)]))).toEqual([]);
    // One that says no epochs.
    const old = take(EMPTY_LOG, [message(7, { at: 70 }), message(8, { at: 80 })]);
    expect(numbers(take(old, [message(7, { at: 70 })]))).toEqual([7, 8]);
    expect(numbers(take(old, [message(7, { at: 90 }), message(8, { at: 95 })]))).toEqual([7, 8]);
    expect(take(old, [message(1, { at: 90 })]).messages).toHaveLength(1);
  });

  it('applies what it hears of messages that it does not have when they come', () => {
    const log = take(EMPTY_LOG, [open(9), message(9), deleted(3), edited(4, 'old', 1), edited(4, 'new', 2)]);
    const page: ChatHistory = { messages: [message(3), message(4)], more: true };
    const paged = take(log, [{ type: 'page', before: 9, page }]);
    expect(texts(paged)).toEqual(['', 'new', 'text 9']);
    expect(paged.messages[0]?.deleted).toBe(true);
    expect(paged.late.size).toBe(0);
  });

  it('shows a quote as what is quoted stands now', () => {
    const reply_to = { seq: 1, from: 'par_b', name: 'B', text: 'text 1' };
    const log = take(EMPTY_LOG, [open(2), message(1, { from: 'par_b' }), message(2, { reply_to })]);
    const quote = (events: LogEvent[]) => messagesOf(take(log, events)).at(-1)?.reply_to;
    expect(quote([edited(1, 'x'.repeat(200), 5)])?.text).toBe('x'.repeat(100));
    expect(quote([deleted(1)])).toEqual({ ...reply_to, text: '', deleted: true });
    expect(quote([{ type: 'deleted_from', from: 'par_b', by: 'moderator' }])?.deleted).toBe(true);
    // The quoted one is not here.
    const alone = take(EMPTY_LOG, [open(2), message(2, { reply_to })]);
    expect(messagesOf(take(alone, [deleted(1)]))[0]?.reply_to?.text).toBe('');
    const gone = take(alone, [{ type: 'deleted_from', from: 'par_b', by: 'moderator' }]);
    expect(messagesOf(gone)[0]?.reply_to?.deleted).toBe(true);
    const late = take(EMPTY_LOG, [open(2), deleted(1), message(2, { reply_to })]);
    const [shown] = messagesOf(late);
    expect(shown?.reply_to?.text).toBe('');
    expect(messagesOf(take(late, [message(3)]))[0]).toBe(shown);
  });

  it('deletes what somebody has written, also what comes of it later, and not what they write after', () => {
    const purge: LogEvent = { type: 'deleted_from', from: 'par_b', by: 'moderator' };
    const log = take(EMPTY_LOG, [open(5), message(4, { from: 'par_b' }), message(5), purge]);
    const page: ChatHistory = { messages: [message(3, { from: 'par_b' })], more: false };
    const later = take(log, [{ type: 'page', before: 4, page }, message(6, { from: 'par_b' })]);
    expect(texts(later)).toEqual(['', '', 'text 5', 'text 6']);
  });

  it('says where messages are missing, until they come', () => {
    const log = take(EMPTY_LOG, [open(2), message(1), message(2), { type: 'gap', dropped: 3 }, message(6)]);
    const kinds = (one: ChatLog) =>
      linesOf(one, one.messages).map((line) => (line.type === 'gap' ? -line.dropped : line.seq));
    expect(kinds(log)).toEqual([1, 2, -3, 6]);
    const page: ChatHistory = { messages: from(2, 5), more: true };
    expect(kinds(take(log, [{ type: 'page', before: 6, page }]))).toEqual([1, 2, 3, 4, 5, 6]);
    // Read anew: what is between is not known to be whole.
    expect(kinds(take(log, [open(6), message(5), message(6)]))).toEqual([1, 2, 5, 6]);
  });

  it('has one gap for one busy time, at its end, and another one for the next', () => {
    const passed = (seq: number, run: number): LogEvent => ({ type: 'passed', seq, count: 1, run });
    const busy = take(EMPTY_LOG, [open(0), message(1), passed(2, 0), passed(3, 0), message(4), passed(5, 0)]);
    expect(linesOf(busy, busy.messages).map(({ type }) => type)).toEqual(['message', 'message', 'gap']);
    const again = take(busy, [message(6), message(7), passed(8, 1), message(9)]);
    expect(again.gaps.map(({ after, dropped }) => [after, dropped])).toEqual([
      [5, 3],
      [8, 1],
    ]);
  });

  it('stays within its bounds, and keeps what somebody reads', () => {
    const log = take(EMPTY_LOG, [open(5_000), ...from(1, 5_000)]);
    const followed = trim(log, null);
    expect(numbers(followed)).toEqual(from(5_001 - MAX_LINES, 5_000).map(({ seq }) => seq));
    expect(followed.more).toBe(true);
    expect(trim(followed, null)).toBe(followed);
    const read = trim(log, 100);
    expect(read.messages.length).toBeLessThanOrEqual(MAX_READ_LINES);
    expect(numbers(read)).toEqual(expect.arrayContaining([1, 100, 400, 4_900, 5_000]));
    const missing = read.gaps.reduce((sum, { dropped }) => sum + dropped, 0);
    expect(missing + read.messages.length).toBe(5_000);
    expect(numbers(trim(log, 4_990)).length).toBeLessThanOrEqual(MAX_READ_LINES);
    expect(numbers(trim(log, 4_990))).toContain(4_990);
  });

  it('lets go of what an earlier connection brought where nobody reads it', () => {
    const log = take(EMPTY_LOG, [open(50), ...from(1, 50)]);
    const anew = take(log, [open(60), ...from(56, 60)]);
    // 50 may have been deleted meanwhile, and 51 to 55 are not known.
    expect(numbers(trim(anew, null))).toEqual([56, 57, 58, 59, 60]);
    expect(trim(anew, 10)).toBe(anew);
    expect(numbers(trim(take(log, [open(60)]), null))).toHaveLength(50);
  });
});

/** The messages of a room, as its server has them, for one of its people. */
class Server {
  readonly messages: MessageLine[] = [];
  seq = 0;
  clock = 0;

  /** What everybody hears of it. */
  act(roll: (n: number) => number): LogEvent[] {
    this.clock += 1;
    const some = this.messages[roll(Math.max(1, this.messages.length))];
    const kind = roll(10);
    // A direct message of others takes a number and is not heard of.
    if (kind === 0) this.seq += 1;
    if (kind <= 5 || some === undefined) return kind === 0 ? [] : [this.write(roll, some)];
    if (kind <= 7) {
      if (some.deleted === true) return [];
      this.set(some.seq, { text: `edited ${this.clock}`, edited_at: this.clock });
      return [edited(some.seq, `edited ${this.clock}`, this.clock)];
    }
    if (kind === 8) {
      this.set(some.seq, { text: '', deleted: true });
      return [deleted(some.seq)];
    }
    if (roll(4) > 0) return [];
    for (const { seq, from: who } of this.messages)
      if (who === some.from) this.set(seq, { text: '', deleted: true });
    return [{ type: 'deleted_from', from: some.from, by: 'moderator' }];
  }

  page(before: number, limit: number): ChatHistory {
    const older = this.messages.filter(({ seq }) => seq < before);
    return { messages: older.slice(-limit).map((one) => this.told(one)), more: older.length > limit };
  }

  private write(roll: (n: number) => number, some: MessageLine | undefined): LogEvent {
    this.seq += 1;
    const who = `par_${roll(4)}`;
    const reply = some === undefined || roll(3) > 0 ? {} : { reply_to: { ...some, text: some.text } };
    const { reply_to: quoted } = reply;
    const quote =
      quoted === undefined
        ? {}
        : { reply_to: { seq: quoted.seq, from: quoted.from, name: quoted.name, text: quoted.text } };
    const written = message(this.seq, { from: who, text: `${this.clock}`, ...quote });
    this.messages.push(written);
    return this.told(written);
  }

  /** A message with its quote as it is at that moment. */
  told(one: MessageLine): MessageLine {
    const { reply_to: quote } = one;
    if (quote === undefined) return one;
    const quoted = this.messages.find(({ seq }) => seq === quote.seq);
    const now = { ...quote, text: quoted?.text ?? '' };
    return { ...one, reply_to: quoted?.deleted === true ? { ...now, deleted: true } : now };
  }

  private set(seq: number, change: Partial<MessageLine>): void {
    const at = this.messages.findIndex((one) => one.seq === seq);
    const known = this.messages[at];
    if (known === undefined) return;
    const next = { ...known, ...change };
    if (next.deleted === true) delete next.edited_at;
    this.messages[at] = next;
  }
}

const REPLAY = 6;
const PAGE = 4;

/** A page that hears the server over a line that breaks. */
class Reader {
  log = EMPTY_LOG;
  private up = false;
  private readonly line: LogEvent[] = [];
  private pages: { before: number; page: ChatHistory }[] = [];

  constructor(readonly server: Server) {}

  tell(events: LogEvent[]): void {
    if (this.up) this.line.push(...events);
  }

  connect(): void {
    this.cut();
    this.up = true;
    const { messages } = this.server.page(Infinity, REPLAY);
    this.line.push(open(this.server.seq), ...messages.map((one) => ({ type: 'message' as const, ...one })));
  }

  cut(): void {
    this.up = false;
    this.line.length = 0;
    this.pages = [];
  }

  /** The server has dropped the next ones for a slow reader. */
  drop(count: number): void {
    // Only what the log can know to be lost: after it the chat is read anew, as the page does.
    if (this.line.length <= count || !this.up) return;
    this.line.splice(0, count, { type: 'gap', dropped: count });
    const { messages } = this.server.page(Infinity, REPLAY);
    this.pages = [];
    this.line.push(open(this.server.seq), ...messages.map((one) => ({ type: 'message' as const, ...one })));
  }

  hear(count = 1): void {
    this.log = take(this.log, this.line.splice(0, count));
  }

  /** The answer is made now, and read whenever. */
  ask(): void {
    const { since, messages, last } = this.log;
    const first = messages[0]?.seq ?? last + 1;
    const before = since !== null && first < since ? since : first;
    if (this.up && !this.line.some(({ type }) => type === 'open'))
      this.pages.push({ before, page: this.server.page(before, PAGE) });
  }

  turn(): void {
    const next = this.pages.shift();
    if (next !== undefined) this.log = take(this.log, [{ type: 'page', ...next }]);
  }

  get isWhole(): boolean {
    const { since, messages, more } = this.log;
    const first = messages[0]?.seq;
    return !more && (first === undefined || since === null || first >= since);
  }
}

describe('whatever comes, in whatever order', () => {
  it('after a connection and the pages of the history the page has what the server has', () => {
    let most = 0;
    for (let seed = 0; seed < 250; seed += 1) {
      const roll = dice(seed);
      const server = new Server();
      const reader = new Reader(server);
      const steps: (() => void)[] = [
        ...Array.from({ length: 4 }, () => () => reader.tell(server.act(roll))),
        ...Array.from({ length: 4 }, () => () => reader.hear(1 + roll(3))),
        () => reader.ask(),
        () => reader.turn(),
        () => reader.drop(1 + roll(3)),
        () => (reader.log = trim(reader.log, roll(2) === 0 ? null : roll(server.seq + 1))),
        ...(roll(2) === 0 ? [() => reader.cut()] : []),
        ...Array.from({ length: 2 }, () => () => (roll(6) === 0 ? reader.connect() : undefined)),
      ];
      for (let step = 0; step < 150; step += 1) {
        steps[roll(steps.length)]?.();
        const seen = numbers(reader.log);
        if (seen.some((seq, at) => at > 0 && seq <= (seen[at - 1] ?? 0)))
          throw new Error(`seed ${seed}: not by number, or twice: ${seen.join()}`);
      }
      reader.connect();
      reader.hear(Infinity);
      for (let page = 0; page < 100 && !reader.isWhole; page += 1) {
        reader.ask();
        // Something happens while the answer is on its way.
        reader.tell(server.act(roll));
        reader.hear(Infinity);
        reader.turn();
      }
      reader.hear(Infinity);
      expect(reader.isWhole, `seed ${seed}`).toBe(true);
      expect(messagesOf(reader.log), `seed ${seed}`).toEqual(server.messages.map((one) => server.told(one)));
      expect(reader.log.gaps, `seed ${seed}`).toEqual([]);
      most = Math.max(most, server.messages.length);
    }
    expect(most).toBeGreaterThan(3 * REPLAY);
  }, 60_000);

  it('changes of messages count the same in any order, and repeated', () => {
    for (let seed = 0; seed < 300; seed += 1) {
      const roll = dice(seed);
      const server = new Server();
      const events = Array.from({ length: 25 }, () => server.act(roll)).flat();
      // Whose deletion comes before a message of theirs says nothing of that message: it needs its place.
      const loose = events.filter(({ type }) => type !== 'deleted_from');
      const end = messagesOf(take(EMPTY_LOG, [open(server.seq), ...loose]));
      const mixed = [...loose, ...loose]
        .map((event) => ({ event, at: roll(1_000_000) }))
        .sort((a, b) => a.at - b.at)
        .map(({ event }) => event);
      expect(messagesOf(take(EMPTY_LOG, [open(server.seq), ...mixed])), `seed ${seed}`).toEqual(end);
    }
  });
});
