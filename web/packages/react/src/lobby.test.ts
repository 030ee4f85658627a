import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Room } from '@madang/sdk';
import { numbers } from '../test/numbers.js';
import { joinOptions, Lobby, settleIn } from './lobby.js';
import { LobbyDevice } from './lobby-device.js';

/** A track of a device that a test made. */
class Track extends EventTarget {
  readyState: 'live' | 'ended' = 'live';

  constructor(readonly deviceId: string) {
    super();
  }

  stop(): void {
    this.readyState = 'ended';
  }

  /** Its device is pulled out. */
  unplug(): void {
    this.readyState = 'ended';
    this.dispatchEvent(new Event('ended'));
  }
}

/** Devices that open when the test says so. */
class Desk {
  readonly tracks: Track[] = [];
  readonly waiting: (() => void)[] = [];
  readonly gone = new Set<string>();

  readonly open = (id: string | undefined): Promise<MediaStreamTrack> =>
    new Promise((resolve, reject) => {
      this.waiting.push(() => {
        if (id !== undefined && this.gone.has(id)) {
          reject(new DOMException('', 'OverconstrainedError'));
          return;
        }
        const track = new Track(id ?? 'default');
        this.tracks.push(track);
        resolve(track as unknown as MediaStreamTrack);
      });
    });

  get live(): Track[] {
    return this.tracks.filter(({ readyState }) => readyState === 'live');
  }

  /** One of the openings under way ends. */
  async settle(which: number): Promise<void> {
    this.waiting.splice(which % Math.max(this.waiting.length, 1), 1)[0]?.();
    await flush();
  }

  async settleAll(): Promise<void> {
    while (this.waiting.length > 0) await this.settle(0);
  }
}

async function flush(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

beforeEach(() => localStorage.clear());
afterEach(() => vi.restoreAllMocks());

describe('a device of a lobby', () => {
  it('comes to the last wish, whatever is asked and answered in whichever order, and holds nothing else', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const next = numbers(seed);
      const desk = new Desk();
      desk.gone.add('c');
      const device = new LobbyDevice(desk.open, () => undefined, { on: true, deviceId: null });
      let begun = false;
      for (let step = 0; step < 30; step++) {
        switch (next(6)) {
          case 0:
            void device.set({ on: next(2) === 0 });
            break;
          case 1:
            void device.set({ deviceId: ['a', 'b', 'c', null][next(4)] ?? null });
            break;
          case 2:
            begun = !begun;
            if (begun) void device.begin();
            else device.end();
            break;
          case 3:
            desk.live.at(-1)?.unplug();
            break;
          default:
            await desk.settle(next(5));
        }
        expect(desk.live.length).toBeLessThanOrEqual(1);
      }
      await desk.settleAll();
      const { on, track, deviceId } = device.now;
      const wanted = on && begun ? [deviceId ?? 'default'] : [];
      expect(
        desk.live.map((live) => live.deviceId),
        `seed ${seed}`,
      ).toEqual(wanted);
      expect(track === null ? [] : [track]).toEqual(desk.live);
      expect(deviceId).not.toBe(begun && on ? 'c' : undefined);
    }
  });

  it('says why it cannot be had, and tries again when it is switched on', async () => {
    const open = vi
      .fn()
      .mockRejectedValueOnce(new DOMException('', 'NotAllowedError'))
      .mockResolvedValue(new Track('default'));
    const device = new LobbyDevice(open, () => undefined, { on: true, deviceId: null });
    await device.begin();
    expect(device.now).toEqual({ on: true, track: null, failure: 'denied', deviceId: null });
    await device.set({ on: true });
    expect(device.now).toMatchObject({ failure: null, track: { deviceId: 'default' } });
  });
});

describe('a lobby', () => {
  function open(desk: Desk): Lobby {
    return new Lobby({ open: { microphone: desk.open, camera: desk.open } });
  }

  it('hands its tracks over, keeps the choice, and comes back as it was left', async () => {
    const desk = new Desk();
    const lobby = open(desk);
    const end = lobby.begin();
    await desk.settleAll();
    lobby.name(' Anna ');
    lobby.speaker('s');
    void lobby.on('camera', false);
    void lobby.device('camera', 'b');
    void lobby.device('microphone', 'a');
    await desk.settleAll();
    const choice = lobby.choose();
    end();
    // What was handed over is whoever's who took it.
    expect(desk.live.map(({ deviceId }) => deviceId)).toEqual(['a']);
    expect(joinOptions(choice)).toEqual({ name: 'Anna', mic: desk.live[0] });
    const calls: unknown[][] = [];
    const say =
      (name: string) =>
      (...given: unknown[]): Promise<void> =>
        Promise.resolve(void calls.push([name, ...given]));
    const room = {
      me: { mic: { device: say('mic') }, camera: { device: say('camera') } },
      sound: { output: say('out') },
    };
    await settleIn(room as unknown as Room, choice);
    expect(calls).toEqual([
      ['camera', 'b'],
      ['out', 's'],
    ]);

    const again = open(new Desk()).state.get();
    expect(again).toMatchObject({ name: ' Anna ', speakerId: 's' });
    expect(again.microphone).toMatchObject({ on: true, deviceId: 'a' });
    expect(again.camera).toMatchObject({ on: false, deviceId: 'b' });
  });

  it('starts from nothing where storage has something else or is off', () => {
    for (const value of [
      '{',
      '7',
      '{"name":1}',
      '{"name":"","microphone":{},"camera":{},"speakerId":null}',
    ]) {
      localStorage.setItem('madang.lobby', value);
      expect(open(new Desk()).state.get()).toMatchObject({ name: '', camera: { on: true, deviceId: null } });
    }
    vi.spyOn(Storage.prototype, 'getItem').mockImplementation(() => {
      throw new DOMException('', 'SecurityError');
    });
    vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
      throw new DOMException('', 'SecurityError');
    });
    const lobby = open(new Desk());
    lobby.name('Bert');
    expect(lobby.state.get().name).toBe('Bert');
  });
});
