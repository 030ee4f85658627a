import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CaptureError } from '../capture.js';
import { dice } from '../dice.test.util.js';
import { LocalDevice } from './device.js';
import type { Effect } from './types.js';

/** A track of a device; whoever stops it, or unplugs the device, ends it. */
class Track extends EventTarget {
  static readonly all: Track[] = [];
  readyState: 'live' | 'ended' = 'live';
  constructor(readonly of: string) {
    super();
    Track.all.push(this);
  }
  stop(): void {
    this.readyState = 'ended';
  }
  unplug(): void {
    if (this.readyState === 'ended') return;
    this.readyState = 'ended';
    this.dispatchEvent(new Event('ended'));
  }
  getSettings(): MediaTrackSettings {
    return { deviceId: this.of };
  }
}

const asTrack = (track: Track): MediaStreamTrack => track as unknown as MediaStreamTrack;
const blur: Effect = {
  apply: (track) => {
    const made = new Track(`blurred ${(track as unknown as Track).of}`);
    return Promise.resolve({ track: asTrack(made), stop: () => made.stop() });
  },
};

beforeEach(() => void Track.all.splice(0));

function live(): string[] {
  return Track.all.filter(({ readyState }) => readyState === 'live').map(({ of }) => of);
}

/** A device with what it was told to send, where each step takes as long as the test says. */
function deviceOf(staysOpen: boolean, open?: (id: string | null) => Promise<MediaStreamTrack>) {
  const world = { sent: null as Track | null, sends: false };
  const device = new LocalDevice({
    open: open ?? ((id) => Promise.resolve(asTrack(new Track(id ?? 'default')))),
    send: (track) => {
      world.sent = track as unknown as Track | null;
      return Promise.resolve();
    },
    sends: (on) => (world.sends = on),
    staysOpen,
  });
  return { device, world };
}

describe('a device', () => {
  it('is on, off, and another one', async () => {
    const { device, world } = deviceOf(false);
    await device.on();
    expect([device.state.get().state, world.sent?.of, live()]).toEqual(['on', 'default', ['default']]);
    await device.device('b');
    expect([device.state.get().deviceId, world.sent?.of, live()]).toEqual(['b', 'b', ['b']]);
    await device.effect(blur);
    expect([world.sent?.of, live()]).toEqual(['blurred b', ['b', 'blurred b']]);
    await device.off();
    expect([device.state.get().state, world.sent, world.sends, live()]).toEqual(['off', null, false, []]);
  });

  it('is never seen as it is by who wants an effect that fails', async () => {
    const { device, world } = deviceOf(false);
    let fails = true;
    const sometimes: Effect = {
      apply: (track) => (fails ? Promise.reject(new Error('no model')) : blur.apply(track)),
    };
    await device.effect(sometimes);
    await device.on();
    expect([device.state.get().state, device.state.get().failure, world.sent, live()]).toEqual([
      'off',
      'unknown',
      null,
      [],
    ]);
    fails = false;
    await device.on();
    expect([device.state.get().failure, world.sent?.of]).toEqual([null, 'blurred default']);
    fails = true;
    await device.device('b');
    expect([device.state.get().state, world.sent, live()]).toEqual(['off', null, []]);

    // Who is seen as it is and asks for an effect in vain goes on as it is, and knows.
    await device.effect(null);
    await device.on();
    await expect(device.effect(sometimes)).rejects.toThrow('no model');
    expect([device.state.get().state, world.sent?.of, live()]).toEqual(['on', 'b', ['b']]);
  });

  it('gives back a track that it got and may not use', async () => {
    for (const staysOpen of [false, true]) {
      const { device, world } = deviceOf(staysOpen);
      device.rule(false, false);
      await device.take(asTrack(new Track('given')));
      expect([device.state.get().state, world.sent, live()]).toEqual(['off', null, []]);
    }
  });

  it('goes on with the default one when it is unplugged, and says why where there is none', async () => {
    let isThere = true;
    const { device, world } = deviceOf(false, (id) =>
      isThere
        ? Promise.resolve(asTrack(new Track(id ?? 'default')))
        : Promise.reject(new CaptureError('missing')),
    );
    await device.device('headset');
    await device.on();
    world.sent?.unplug();
    await vi.waitFor(() => expect(world.sent?.of).toBe('default'));
    expect(device.state.get()).toMatchObject({ state: 'on', deviceId: null, failure: null });
    isThere = false;
    world.sent?.unplug();
    await vi.waitFor(() =>
      expect(device.state.get()).toMatchObject({ state: 'off', track: null, failure: 'missing' }),
    );
    expect([world.sent, world.sends]).toEqual([null, false]);
  });

  it('listens on while a microphone is off, and for no longer than the room lasts', async () => {
    const { device, world } = deviceOf(true);
    await device.off();
    expect(live()).toEqual([]);
    await device.on();
    await device.off();
    expect([world.sent, live(), device.raw !== null]).toEqual([null, ['default'], true]);
    await device.device('b');
    expect(live()).toEqual(['b']);
    device.close();
    await vi.waitFor(() => expect(live()).toEqual([]));
  });

  it('is blocked while a moderator has muted it, and starts until the room has heard that it is on again', async () => {
    const { device } = deviceOf(false);
    await device.on();
    device.rule(true, true);
    await device.off();
    expect(device.state.get().state).toBe('blocked');
    await device.on();
    expect(device.state.get().state).toBe('starting');
    device.rule(true, false);
    expect(device.state.get().state).toBe('on');
    await device.off();
    device.rule(false, true);
    await device.on();
    expect(device.state.get()).toMatchObject({ state: 'blocked', allowed: false });
  });

  it('goes on without an effect that fails, and says so to whoever asked for it', async () => {
    const { device, world } = deviceOf(false);
    await device.on();
    const bad: Effect = { apply: () => Promise.reject(new Error('no model')) };
    await expect(device.effect(bad)).rejects.toThrow('no model');
    expect([world.sent?.of, device.state.get().state]).toEqual(['default', 'on']);
  });

  it('does what was asked last, whatever was asked before and however long each step took', async () => {
    for (let seed = 0; seed < 300; seed += 1) {
      Track.all.splice(0);
      const roll = dice(seed);
      const opening: (() => void)[] = [];
      const staysOpen = roll(2) === 0;
      const { device, world } = deviceOf(staysOpen, (id) => {
        return new Promise((resolve, reject) => {
          opening.push(() =>
            id === 'gone'
              ? reject(new CaptureError('missing'))
              : resolve(asTrack(new Track(id ?? 'default'))),
          );
        });
      });
      const wish = { on: false, id: null as string | null, effect: null as Effect | null };
      const steps: (() => unknown)[] = [
        () => ((wish.on = true), device.on()),
        () => ((wish.on = false), device.off()),
        () => ((wish.id = ['a', 'b'][roll(3)] ?? null), device.device(wish.id)),
        () => ((wish.effect = roll(2) === 0 ? blur : null), device.effect(wish.effect)),
        () => opening.shift()?.(),
        () => opening.shift()?.(),
        () => Promise.resolve(),
      ];
      for (let step = 0; step < 30; step += 1) {
        void steps[roll(steps.length)]?.();
        for (let tick = roll(4); tick > 0; tick -= 1) await Promise.resolve();
      }
      // Everything that is still to open opens.
      for (let round = 0; round < 60; round += 1) {
        opening.shift()?.();
        await Promise.resolve();
      }
      const { on, id, effect } = wish;
      const name = id ?? 'default';
      const expected = on ? (effect === null ? name : `blurred ${name}`) : null;
      expect(world.sent?.of ?? null, `seed ${seed}`).toBe(expected);
      expect([device.state.get().state, world.sends], `seed ${seed}`).toEqual([on ? 'on' : 'off', on]);
      device.close();
      for (let round = 0; round < 10; round += 1) await Promise.resolve();
      expect(live(), `seed ${seed}: nothing stays open`).toEqual([]);
    }
  });
});
