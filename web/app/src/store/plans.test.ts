import { beforeEach, describe, expect, it, vi } from 'vitest';

const { api } = vi.hoisted(() => ({ api: { create: vi.fn(), delete: vi.fn(), get: vi.fn() } }));
vi.mock('../lib/api', () => ({ api }));

import { ApiError, NetworkError } from '@madang/sdk';
import { keptPlans, MAX_PLANS } from '../lib/storage';
import { cancelPlan, checkPlans, plan, planFault, usePlans } from './plans';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const DAY_MS = 24 * 60 * 60_000;

function made(id: number): Record<string, unknown> {
  const keys = { stream_key: 's', owner_key: 'o', whip_url: 'w', watch_url: `/watch/${id}` };
  return { id, name: 'a', description: '', ...keys };
}

async function planned(id: number, atMs: number): Promise<void> {
  api.create.mockResolvedValueOnce(made(id));
  await plan({ name: 'a', description: '', atMs, creatorToken: '' });
}

describe('plans', () => {
  beforeEach(() => {
    localStorage.clear();
    usePlans.setState({ plans: [] });
    vi.resetAllMocks();
  });

  it('are kept with their keys, the next one first', async () => {
    await planned(1, NOW + 2 * DAY_MS);
    await planned(2, NOW + DAY_MS);
    expect(usePlans.getState().plans.map(({ id }) => id)).toEqual([2, 1]);
    expect(keptPlans.read()).toHaveLength(2);
    expect(keptPlans.read()[0]).toMatchObject({ id: 1, streamKey: 's', ownerKey: 'o' });
  });

  it('are asked for again under the same key after a lost answer, and under another one for something else', async () => {
    const wanted = { name: 'a', description: '', atMs: NOW + DAY_MS, creatorToken: '' };
    api.create.mockRejectedValueOnce(new NetworkError());
    await expect(plan(wanted)).rejects.toThrow();
    await planned(1, NOW + DAY_MS);
    await planned(2, NOW + DAY_MS);
    const [first, again, other] = api.create.mock.calls.map((call) => String(call[1]));
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    expect(keptPlans.read().map(({ id }) => id)).toEqual([1, 2]);
  });

  it('are not for the past, for years ahead, or for no time at all, and not without end', async () => {
    for (const atMs of [Number.NaN, NOW - 1, NOW, NOW + 367 * DAY_MS])
      expect(planFault({ atMs }, NOW), String(atMs)).toBe('past');
    expect(planFault({ atMs: NOW + 1 }, NOW)).toBeNull();
    for (let id = 1; id <= MAX_PLANS; id += 1) await planned(id, NOW + DAY_MS);
    expect(planFault({ atMs: NOW + 1 }, NOW)).toBe('full');
  });

  it('are forgotten when they are over or gone, and never because nobody answers', async () => {
    for (const id of [1, 2, 3, 4]) await planned(id, NOW + id * DAY_MS);
    const gone = new ApiError(404, '', '');
    api.get.mockImplementation((id: number) => {
      if (id === 1) return Promise.resolve({ status: 'CLOSED' });
      if (id === 2) return Promise.reject(gone);
      return id === 3 ? Promise.reject(new NetworkError()) : Promise.resolve({ status: 'READY' });
    });
    await checkPlans();
    expect(usePlans.getState().plans.map(({ id }) => id)).toEqual([3, 4]);
    const [third, fourth] = usePlans.getState().plans;
    if (third === undefined || fourth === undefined) throw new Error('plans are missing');
    api.delete.mockRejectedValueOnce(new NetworkError());
    await expect(cancelPlan(third)).rejects.toThrow();
    expect(keptPlans.read()).toHaveLength(2);
    api.delete.mockRejectedValueOnce(gone);
    await cancelPlan(third);
    api.delete.mockResolvedValueOnce(undefined);
    await cancelPlan(fourth);
    expect(keptPlans.read()).toEqual([]);
  });
});
