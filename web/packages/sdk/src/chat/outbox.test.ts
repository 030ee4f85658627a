import { describe, expect, it } from 'vitest';
import { dice } from '../dice.test.util.js';
import {
  connected,
  drop,
  EMPTY_OUTBOX,
  heard,
  MAX_PENDING,
  nextToSend,
  type Outbox,
  sending,
  settled,
  write,
} from './outbox.js';
import type { Outcome } from '../replies.js';

const LOST: Outcome = { sent: false, reason: 'lost', retryAfterMs: null };
const TOO_FAST: Outcome = { sent: false, reason: 'rate', retryAfterMs: 900 };
const SLOW: Outcome = { sent: false, reason: 'rate', retryAfterMs: 30_000, message: 'slow mode' };
const FORBIDDEN: Outcome = { sent: false, reason: 'right', retryAfterMs: null };

function written(...ids: string[]): Outbox {
  const all = ids.reduce((outbox, id) => write(outbox, { id, text: id, name: '' }), EMPTY_OUTBOX);
  return connected(all, true);
}

function kinds(outbox: Outbox): Record<string, string> {
  return Object.fromEntries(outbox.pending.map(({ id, state }) => [id, state.kind]));
}

describe('messages on their way', () => {
  it('go one at a time in the order of writing, and wait for a connection', () => {
    const before = connected(written('a', 'b'), false);
    expect(nextToSend(before, 0)).toBeNull();
    let outbox = connected(before, true);
    expect(nextToSend(outbox, 0)?.id).toBe('a');
    outbox = sending(outbox, 'a');
    expect(nextToSend(outbox, 0)).toBeNull();
    outbox = settled(outbox, 'a', { sent: true, seq: 7 }, 0);
    expect([kinds(outbox), nextToSend(outbox, 0)?.id]).toEqual([{ a: 'sent', b: 'waiting' }, 'b']);
    expect(kinds(heard(outbox, { id: 'a', seq: 7 }))).toEqual({ b: 'waiting' });
    // The line itself was dropped for a slow reader, and one after it came.
    expect(kinds(heard(outbox, { seq: 8 }))).toEqual({ b: 'waiting' });
    expect(heard(outbox, { seq: 6 })).toBe(outbox);
  });

  it('are kept and sent again where no answer came', () => {
    const cut = connected(sending(written('a'), 'a'), false);
    expect(kinds(cut)).toEqual({ a: 'waiting' });
    expect(nextToSend(connected(cut, true), 0)?.id).toBe('a');
    // The history shows that it had arrived.
    expect(kinds(heard(cut, { id: 'a', seq: 1 }))).toEqual({});
    const silent = settled(sending(written('a'), 'a'), 'a', LOST, 5_000);
    expect([nextToSend(silent, 5_999), nextToSend(silent, 6_000)?.id]).toEqual([null, 'a']);
  });

  it('wait as long as the server says, and are refused where waiting does not help', () => {
    const fast = settled(sending(written('a', 'b'), 'a'), 'a', TOO_FAST, 100);
    expect([nextToSend(fast, 999), nextToSend(fast, 1_000)?.id]).toEqual([null, 'a']);
    const refused = settled(sending(written('a', 'b'), 'a'), 'a', FORBIDDEN, 0);
    expect([kinds(refused), nextToSend(refused, 0)?.id]).toEqual([{ a: 'refused', b: 'waiting' }, 'b']);
    expect(kinds(drop(refused, 'a'))).toEqual({ b: 'waiting' });
    const away: Outcome = { sent: false, reason: 'state', retryAfterMs: 1_000 };
    expect(kinds(settled(sending(written('a'), 'a'), 'a', away, 0))).toEqual({ a: 'waiting' });
    // Half a minute of slow mode is no time to keep a text from who wrote it.
    const slow = settled(sending(written('a', 'b'), 'a'), 'a', SLOW, 0);
    expect([kinds(slow), slow.notBefore]).toEqual([{ a: 'refused', b: 'waiting' }, 0]);
    expect(slow.pending[0]?.state).toEqual({ kind: 'refused', refusal: SLOW });
  });

  it('are bounded', () => {
    const full = written(...Array.from({ length: MAX_PENDING }, (_, index) => String(index)));
    expect(write(full, { id: 'x', text: 'x', name: '' })).toBe(full);
    expect(write(drop(full, '3'), { id: 'x', text: 'x', name: '' }).pending).toHaveLength(MAX_PENDING);
  });
});

/** A page, a server that knows repetitions, and a line between them that breaks at any time. */
class World {
  outbox = EMPTY_OUTBOX;
  now = 0;
  readonly room: string[] = [];
  readonly shown: string[] = [];
  /** Messages that the server got although it had them. */
  repetitions = 0;
  private up: string[] = [];
  private answers: { id: string; outcome: Outcome }[] = [];
  private lines: { id: string; seq: number }[] = [];

  send(): void {
    const next = nextToSend(this.outbox, this.now);
    if (next === null) return;
    this.outbox = sending(this.outbox, next.id);
    this.up.push(next.id);
  }

  /** The server takes what has arrived, or says that it is too much. */
  serve(refuses: boolean): void {
    const id = this.up.shift();
    if (id === undefined) return;
    if (refuses) {
      this.answers.push({ id, outcome: TOO_FAST });
      return;
    }
    if (this.room.includes(id)) {
      this.repetitions += 1;
    } else {
      this.room.push(id);
      this.lines.push({ id, seq: this.room.length });
    }
    this.answers.push({ id, outcome: { sent: true, seq: this.room.indexOf(id) + 1 } });
  }

  answer(): void {
    const answer = this.answers.shift();
    if (answer !== undefined) this.outbox = settled(this.outbox, answer.id, answer.outcome, this.now);
  }

  read(): void {
    const line = this.lines.shift();
    if (line === undefined) return;
    this.outbox = heard(this.outbox, line);
    if (!this.shown.includes(line.id)) this.shown.push(line.id);
  }

  /** What was on its way is gone, either way. */
  cut(): void {
    this.outbox = connected(this.outbox, false);
    [this.up, this.answers, this.lines] = [[], [], []];
  }

  /** The history is on its way. */
  reconnect(): void {
    if (this.outbox.connected) return;
    this.outbox = connected(this.outbox, true);
    this.lines = this.room.map((id, index) => ({ id, seq: index + 1 }));
  }
}

describe('whatever is lost on the way', () => {
  it('the room has each message once, in the order of writing, and nothing stays behind', () => {
    let repeated = 0;
    for (let seed = 0; seed < 300; seed += 1) {
      const roll = dice(seed);
      const world = new World();
      const texts: string[] = [];
      const steps: (() => void)[] = [
        () => {
          const id = `m${texts.length}`;
          const next = write(world.outbox, { id, text: id, name: '' });
          if (next !== world.outbox) texts.push(id);
          world.outbox = next;
        },
        // The way up is the faster one, so that answers get lost.
        ...Array.from({ length: 3 }, () => () => world.send()),
        ...Array.from({ length: 3 }, () => () => world.serve(roll(4) === 0)),
        () => world.answer(),
        () => world.read(),
        () => world.cut(),
        ...Array.from({ length: 2 }, () => () => world.reconnect()),
        () => (world.now += 500),
      ];
      for (let step = 0; step < 120; step += 1) steps[roll(steps.length)]?.();
      world.cut();
      world.reconnect();
      texts.forEach(() => world.read());
      // Bounded: each message takes one round now.
      for (let round = 0; round < 2 * MAX_PENDING; round += 1) {
        world.now += 1_000;
        world.send();
        world.serve(false);
        world.answer();
        world.read();
      }
      expect(world.room, `seed ${seed}`).toEqual(texts);
      expect(world.shown, `seed ${seed}`).toEqual(texts);
      expect(world.outbox.pending, `seed ${seed}`).toEqual([]);
      repeated += world.repetitions;
    }
    expect(repeated, 'some answers were lost').toBeGreaterThan(20);
  });
});
