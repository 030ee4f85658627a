import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dice } from '../dice.test.util.js';
import type { Outcome } from '../replies.js';
import type { Person, RoomCommand, SourceState } from '../types.js';
import { Switches } from './switches.js';

const DONE: Outcome = { sent: true, seq: null };
const LOST: Outcome = { sent: false, reason: 'lost', retryAfterMs: null };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function me(state: SourceState): Person {
  return {
    participant: 'par_me',
    order: 1,
    name: '',
    rights: [],
    quality: 'good',
    sources: [{ source: 'microphone', csrc: 5, state }],
  };
}

/** A page, and a room that takes commands and tells what it knows sooner or later, unless that is lost. */
class World {
  room: SourceState = 'off';
  on = false;
  connected = false;
  commands = 0;
  private line: { command: RoomCommand; answer: (outcome: Outcome) => void }[] = [];
  private told: SourceState[] = [];
  readonly switches = new Switches({
    send: (command) => {
      this.commands += 1;
      if (!this.connected) return Promise.resolve(LOST);
      return new Promise((answer) => this.line.push({ command, answer }));
    },
    muted: () => this.set(false),
  });

  set(on: boolean): void {
    this.on = on;
    this.switches.set('microphone', on);
  }

  /** The room does what came first. */
  serve(): void {
    const first = this.line.shift();
    if (first?.command.type !== 'switch') return;
    this.become(first.command.on ? 'on' : this.room === 'muted' ? 'muted' : 'off');
    first.answer(DONE);
  }

  mute(): void {
    this.become('muted');
  }

  tell(): void {
    const state = this.told.shift();
    if (state !== undefined && this.connected) this.switches.take(me(state));
  }

  cut(): void {
    this.connected = false;
    this.told = [];
    for (const { answer } of this.line.splice(0)) answer(LOST);
    this.switches.connect(false);
  }

  connect(): void {
    if (this.connected) return;
    this.connected = true;
    this.switches.connect(true);
    // A snapshot.
    this.told = [this.room];
  }

  private become(state: SourceState): void {
    if (state === this.room) return;
    this.room = state;
    this.told.push(state);
  }
}

async function settle(world: World): Promise<void> {
  world.connect();
  for (let round = 0; round < 40; round += 1) {
    world.serve();
    world.tell();
    await vi.advanceTimersByTimeAsync(500);
  }
}

describe('what the room says of our own sources', () => {
  it('comes true with one command, and none where it is true already', async () => {
    const world = new World();
    world.set(true);
    await settle(world);
    expect([world.room, world.commands]).toEqual(['on', 1]);
    world.cut();
    await settle(world);
    expect([world.room, world.commands]).toEqual(['on', 1]);
    world.switches.close();
  });

  it('is heard where a moderator mutes, and changed by the person alone', async () => {
    const world = new World();
    world.set(true);
    await settle(world);
    world.mute();
    await settle(world);
    expect([world.room, world.on]).toEqual(['muted', false]);
    world.set(true);
    await settle(world);
    expect([world.room, world.on]).toEqual(['on', true]);
    world.switches.close();
  });

  it('ends where the right is gone', async () => {
    const muted = vi.fn();
    const refused: Outcome = { sent: false, reason: 'right', retryAfterMs: null };
    const switches = new Switches({ send: () => Promise.resolve(refused), muted });
    switches.connect(true);
    switches.take(me('off'));
    switches.set('microphone', true);
    await vi.advanceTimersByTimeAsync(100);
    expect(muted.mock.calls).toEqual([['microphone']]);
    switches.close();
  });

  it('agrees with the page in the end, whatever was lost and whoever did what in which order', async () => {
    let muted = 0;
    for (let seed = 0; seed < 150; seed += 1) {
      const roll = dice(seed);
      const world = new World();
      const steps: (() => void)[] = [
        () => world.set(roll(2) === 0),
        () => world.set(roll(2) === 0),
        () => world.serve(),
        () => world.serve(),
        () => world.tell(),
        () => world.tell(),
        () => (roll(3) === 0 ? world.cut() : undefined),
        () => world.connect(),
        () => (roll(2) === 0 ? world.mute() : undefined),
      ];
      for (let step = 0; step < 60; step += 1) {
        steps[roll(steps.length)]?.();
        await vi.advanceTimersByTimeAsync(roll(4) === 0 ? 1_000 : 10);
      }
      await settle(world);
      expect(world.room === 'on', `seed ${seed}: the room says ${world.room}`).toBe(world.on);
      muted += world.room === 'muted' ? 1 : 0;
      world.switches.close();
    }
    expect(muted).toBeGreaterThan(10);
  });
});
