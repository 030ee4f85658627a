import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const { groupToken } = vi.hoisted(() => ({
  groupToken: vi.fn<(group: string, body: object, bearer?: string) => Promise<object>>(),
}));

vi.mock('../lib/api', () => ({ api: { groupToken } }));

import { ApiError, NetworkError } from '@madang/sdk';
import { keptOwnerKey } from '../lib/storage';
import { CallGuest } from './call-guest';

const HOUR_MS = 3_600_000;
let given = 0;

/** Locks that tabs of one browser share; whoever would have to wait is refused. */
class FakeLocks {
  private readonly held = new Set<string>();

  request(name: string, _: unknown, run: () => Promise<void>): Promise<void> {
    if (this.held.has(name)) return Promise.reject(new DOMException('timed out', 'TimeoutError'));
    this.held.add(name);
    return run().finally(() => this.held.delete(name));
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  sessionStorage.clear();
  given = 0;
  groupToken.mockReset().mockImplementation((_group, _body, bearer) => {
    given += 1;
    return Promise.resolve({
      token: `token ${given}`,
      participant_id: bearer === undefined ? `par_${given}` : 'the same',
      expires_at: new Date(Date.now() + HOUR_MS).toISOString(),
    });
  });
  Object.defineProperty(navigator, 'locks', { value: new FakeLocks(), configurable: true });
});
afterEach(() => {
  Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true });
  vi.useRealTimers();
});

it('asks again after a try that failed, and once for all who ask at a time', async () => {
  groupToken.mockRejectedValueOnce(new NetworkError('away'));
  const guest = new CallGuest('grp_a', 'Anna');
  await expect(guest.token()).rejects.toThrow('away');
  expect(await Promise.all([guest.token(), guest.token()])).toEqual(['token 1', 'token 1']);
  expect(groupToken).toHaveBeenCalledTimes(2);
  expect(groupToken).toHaveBeenLastCalledWith('grp_a', { name: 'Anna' }, undefined);
});

it('renews a token before it ends, as the same participant', async () => {
  const guest = new CallGuest('grp_a', 'Anna');
  await guest.token();
  vi.advanceTimersByTime(HOUR_MS - 6 * 60_000);
  expect(await guest.token()).toBe('token 1');
  vi.advanceTimersByTime(2 * 60_000);
  expect(await guest.token()).toBe('token 2');
  expect(groupToken).toHaveBeenLastCalledWith('grp_a', {}, 'token 1');
});

it('becomes somebody new where its token does not hold any more, and not where it was removed', async () => {
  const guest = new CallGuest('grp_a', '');
  await guest.token();
  vi.advanceTimersByTime(HOUR_MS - 60_000);
  groupToken.mockRejectedValueOnce(new ApiError(403, 'removed', ''));
  await expect(guest.token()).rejects.toMatchObject({ code: 'removed' });
  groupToken.mockRejectedValueOnce(new ApiError(401, '', ''));
  expect(await guest.token()).toBe('token 2');
  expect(groupToken).toHaveBeenLastCalledWith('grp_a', {}, undefined);
});

it('comes back as the same participant after a reload, and under another name as another', async () => {
  const before = new CallGuest('grp_a', 'Anna');
  await before.token();
  before.leave();
  // A real lock is waited for until it is let go; this one has to be free.
  await vi.advanceTimersByTimeAsync(0);
  const after = new CallGuest('grp_a', 'Anna');
  expect(await after.token()).toBe('token 1');
  after.leave();
  expect(await new CallGuest('grp_b', 'Anna').token()).toBe('token 2');
  expect(await new CallGuest('grp_a', 'Bert').token()).toBe('token 3');
});

it('is somebody else in a duplicated tab, which has a copy of what the first one keeps', async () => {
  const first = new CallGuest('grp_a', 'Anna');
  expect(await first.token()).toBe('token 1');
  expect(await new CallGuest('grp_a', 'Anna').token()).toBe('token 2');
  expect(await first.token()).toBe('token 1');
});

it('comes as the owner where this tab has made the group, and as anyone once its key is refused', async () => {
  keptOwnerKey.write('grp_a', 'the key');
  await new CallGuest('grp_a', 'Anna').token();
  expect(groupToken).toHaveBeenLastCalledWith('grp_a', { name: 'Anna' }, 'the key');
  await new CallGuest('grp_b', 'Anna').token();
  expect(groupToken).toHaveBeenLastCalledWith('grp_b', { name: 'Anna' }, undefined);
  sessionStorage.removeItem('madang.call.grp_a');
  groupToken.mockRejectedValueOnce(new NetworkError('away'));
  await expect(new CallGuest('grp_a', 'Anna').token()).rejects.toThrow('away');
  groupToken.mockRejectedValueOnce(new ApiError(401, '', 'no such key'));
  await new CallGuest('grp_a', 'Anna').token();
  expect(groupToken).toHaveBeenLastCalledWith('grp_a', { name: 'Anna' }, undefined);
  expect(keptOwnerKey.read('grp_a')).toBeNull();
});
