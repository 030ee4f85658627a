import { expect, it } from 'vitest';
import { dice } from '../dice.test.util.js';
import type { Person, RoomDelta, RoomSnapshot, RoomUpdate } from '../types.js';
import { KnownRoom } from './known-room.js';
import type { Happened } from './people.js';

/** A room that changes, and a line to one page on which messages are late, lost and repeated. */
class World {
  private readonly people = new Map<string, Person>();
  private epoch = 1;
  private seq = 0;
  private order = 0;
  private locked = false;
  private line: RoomUpdate[] = [];
  private listener: ((update: RoomUpdate) => void) | null = null;
  subscriptions = 0;
  /** Who is there and whose hand is up, by what the page was told of happenings. */
  readonly followed = new Map<string, boolean>();
  readonly known: KnownRoom;

  constructor(private readonly roll: (n: number) => number) {
    this.known = new KnownRoom(
      {
        onRoom: (_, listener) => {
          this.subscriptions += 1;
          this.listener = listener;
          // What was on its way to the subscription before is for nobody.
          this.line = [this.told()];
          return () => (this.listener = null);
        },
      },
      'grp_a',
      (happened) => this.follow(happened),
    );
  }

  get state(): RoomSnapshot {
    const people = [...this.people.values()];
    return { epoch: this.epoch, seq: this.seq, locked: this.locked, people };
  }

  change(): void {
    const delta: RoomDelta = { epoch: this.epoch, seq: this.seq + 1 };
    const id = `par_${this.roll(6)}`;
    const person = this.people.get(id);
    if (person === undefined) {
      this.order += 1;
      const joined = {
        participant: id,
        order: this.order,
        name: id,
        rights: [],
        sources: [],
        quality: 'good' as const,
      };
      this.people.set(id, joined);
      delta.joined = [joined];
    } else if (this.roll(3) === 0) {
      this.people.delete(id);
      delta.gone = [{ participant: id, why: 'left' }];
    } else {
      const hand = this.roll(2) * (this.order + 1);
      this.people.set(id, { ...person, hand });
      delta.changed = [{ participant: id, hand }];
    }
    if (this.roll(5) === 0) delta.locked = this.locked = !this.locked;
    this.seq += 1;
    this.line.push({ type: 'delta', ...delta });
  }

  /** The room has another home, where it begins anew with the same people. */
  move(): void {
    this.epoch += 1;
    this.seq = 0;
    this.line.push(this.told());
  }

  hear(): void {
    const [first] = this.line;
    if (first === undefined) return;
    const fate = this.roll(8);
    if (fate !== 0) this.line.shift();
    if (fate !== 1) this.listener?.(first);
  }

  /** The connection is another one: it subscribes again. */
  cut(): void {
    this.line = this.listener === null ? [] : [this.told()];
  }

  settle(): void {
    this.cut();
    while (this.line.length > 0) {
      const first = this.line.shift();
      if (first !== undefined) this.listener?.(first);
    }
  }

  told(): RoomUpdate {
    return { type: 'snapshot', ...this.state };
  }

  private follow({ name, value }: Happened): void {
    if (name === 'joined') this.followed.set(value.participant, (value.hand ?? 0) !== 0);
    if (name === 'left') this.followed.delete(value.person.participant);
    if (name === 'hand') this.followed.set(value.person.participant, value.up);
  }
}

it('knows what the room is in the end, and has told all that happened, whatever was lost or repeated', () => {
  let gaps = 0;
  for (let seed = 0; seed < 300; seed += 1) {
    const roll = dice(seed);
    const world = new World(roll);
    world.settle();
    const steps = [
      () => world.change(),
      () => world.change(),
      () => world.hear(),
      () => world.hear(),
      () => world.hear(),
      () => (roll(4) === 0 ? world.cut() : undefined),
      () => (roll(8) === 0 ? world.move() : undefined),
      // A session that is resumed brings what it knows, which may be old by now.
      () => (roll(4) === 0 ? world.known.begin(world.state) : undefined),
    ];
    for (let step = 0; step < 80; step += 1) steps[roll(steps.length)]?.();
    world.settle();
    const known = [...world.known.people.get().values()];
    const people = [...world.state.people].sort((a, b) => a.order - b.order);
    const plain = (all: readonly Person[]): unknown[] =>
      all.map(({ hand = 0, ...rest }) => ({ ...rest, hand }));
    expect(plain(known), `seed ${seed}`).toEqual(plain(people));
    expect(world.known.locked.get(), `seed ${seed}`).toBe(world.state.locked);
    const there = people.map(({ participant, hand = 0 }): [string, boolean] => [participant, hand !== 0]);
    expect([...world.followed].sort(), `seed ${seed}: what was told`).toEqual(there.sort());
    gaps += world.subscriptions - 1;
  }
  expect(gaps, 'some changes were missed').toBeGreaterThan(50);
});
