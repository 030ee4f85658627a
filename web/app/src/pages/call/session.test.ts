import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { RoomState } from '@madang/sdk';
import type { LobbyChoice } from '../lobby/choice';
import { FakeStore } from './fake';

const { joinRoom, guests } = vi.hoisted(() => ({
  joinRoom: vi.fn(),
  guests: [] as { left: number; forgot: number }[],
}));
vi.mock('@madang/sdk', async (original) => ({ ...(await original<object>()), joinRoom }));
vi.mock('../../store/call-guest', () => ({
  CallGuest: class {
    left = 0;
    forgot = 0;
    constructor() {
      guests.push(this);
    }
    token = (): Promise<string> => Promise.resolve('token');
    leave(): void {
      this.left += 1;
    }
    forget(): void {
      this.forgot += 1;
    }
  },
}));
vi.mock('../lobby/choice', () => ({ joinTracks: () => ({}) }));

import { ApiError, NetworkError } from '@madang/sdk';
import { enter, Refused } from './session';

const NEW: RoomState = {
  call: 'connecting',
  failure: null,
  signaling: 'connecting',
  locked: false,
  participant: null,
};
const stop = vi.fn();
const leave = vi.fn(() => Promise.resolve());
const choice = { name: 'Anna', microphone: { stop }, camera: null } as unknown as LobbyChoice;
let state: FakeStore<RoomState>;
let aborts: AbortController;

beforeEach(() => {
  state = new FakeStore(NEW);
  aborts = new AbortController();
  guests.length = 0;
  joinRoom.mockResolvedValue({ state, leave });
});
afterEach(() => vi.clearAllMocks());

const become = (change: Partial<RoomState>): void => state.set((before) => ({ ...before, ...change }));
const outcome = (): Promise<string> =>
  enter('grp_a', choice, aborts.signal).then(
    () => 'there',
    (error: unknown) => (error instanceof Refused ? error.failure : String(error)),
  );

it('is there as soon as it has a participant, and not before', async () => {
  const entered = outcome();
  await vi.waitFor(() => expect(joinRoom).toHaveBeenCalled());
  become({ call: 'reconnecting', failure: 'network' });
  become({ call: 'connected', failure: null, participant: 'par_a' });
  expect(await entered).toBe('there');
  expect(leave).not.toHaveBeenCalled();
});

it('says why it did not get in, and leaves nothing behind', async () => {
  const entered = outcome();
  await vi.waitFor(() => expect(joinRoom).toHaveBeenCalled());
  become({ call: 'failed', failure: 'unauthorized' });
  expect(await entered).toBe('unauthorized');
  expect(leave).toHaveBeenCalledTimes(1);
  expect(guests).toMatchObject([{ left: 1, forgot: 1 }]);
});

it('knows a room that was over before anybody looked', async () => {
  become({ call: 'failed', failure: 'full' });
  expect(await outcome()).toBe('full');
});

it('gives everything back to who thinks better of it, before the room is there or after', async () => {
  const before = outcome();
  aborts.abort();
  await before;
  aborts = new AbortController();
  const later = outcome();
  await vi.waitFor(() => expect(joinRoom).toHaveBeenCalledTimes(2));
  aborts.abort();
  await later;
  expect(leave).toHaveBeenCalledTimes(2);
  expect(guests).toMatchObject([{ left: 1 }, { left: 1 }]);
});

it('stops the devices of who gets no token, and says why', async () => {
  for (const [error, failure] of [
    [new NetworkError('away'), 'network'],
    [new ApiError(404, '', ''), 'not-found'],
    [new ApiError(403, 'removed', ''), 'removed'],
    [new ApiError(403, '', ''), 'unauthorized'],
    [new ApiError(500, '', ''), 'server'],
    [new Error('a bug'), 'server'],
  ] as const) {
    joinRoom.mockRejectedValueOnce(error);
    expect(await outcome()).toBe(failure);
  }
  expect(stop).toHaveBeenCalledTimes(6);
  expect(guests.every(({ left }) => left === 1)).toBe(true);
});
