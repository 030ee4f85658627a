import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Broadcast, type PlayerStats, WhepPlayer } from '@madang/sdk';

const { get, never } = vi.hoisted(() => ({
  get: vi.fn<(id: number) => Promise<unknown>>(),
  never: (): Promise<never> => new Promise(() => undefined),
}));

vi.mock('../lib/api', () => ({
  api: { get, token: never, iceServers: never },
  playEndpoint: never,
  signalingEndpoint: never,
}));

import { keptToken } from '../lib/storage';
import { Watched } from './watch';

const LIVE: Broadcast = {
  id: 7,
  name: 'a',
  description: 'b',
  status: 'STREAMING',
  viewer_count: 1,
  started_at: '2026-01-01T00:00:00Z',
  ended_at: null,
  created_at: '2026-01-01T00:00:00Z',
  modified_at: '2026-01-01T00:00:00Z',
};

describe('the end of a broadcast', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    keptToken.write(7, { token: 't', participantId: 'par_1', expiresAt: Date.now() + 3_600_000 });
    get.mockReset().mockResolvedValue(LIVE);
  });
  afterEach(() => void vi.useRealTimers());

  it('comes with its times, and nobody asks for them', async () => {
    const watched = new Watched(7);
    const leave = watched.open();
    await vi.advanceTimersByTimeAsync(0);
    expect(watched.store.getState().phase).toBe('open');
    const end = {
      status: 'CLOSED',
      ended_at: '2026-01-01T01:00:00Z',
      modified_at: '2026-01-01T01:00:00Z',
    } as const;
    watched.room.store.setState({ broadcast: { id: 7, viewer_count: 0, ...end } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(watched.store.getState().broadcast).toMatchObject({
      status: 'CLOSED',
      ended_at: '2026-01-01T01:00:00Z',
    });
    expect(get).toHaveBeenCalledOnce();
    leave();
  });
});

describe('a picture that stops', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    keptToken.write(7, { token: 't', participantId: 'par_1', expiresAt: Date.now() + 3_600_000 });
    get.mockReset().mockResolvedValue(LIVE);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it.each([
    { heard: false, arrives: true },
    { heard: true, arrives: false },
    { heard: null, arrives: false },
  ])('is missed only while something comes over the line: $heard', async ({ heard, arrives }) => {
    const camera = { source: 'camera', packets: 30, frames: 30, width: 1280 };
    const line = {
      kbps: 0,
      lossPercent: null,
      rttMs: null,
      relayed: null,
      availableKbps: null,
      latencyMs: null,
    };
    const stats = vi.spyOn(WhepPlayer.prototype, 'stats');
    const comes = (packets: number, any: boolean | null): unknown =>
      stats.mockResolvedValue({ ...line, heard: any, tracks: [{ ...camera, packets }] } as PlayerStats);
    const watched = new Watched(7);
    const leave = watched.open();
    comes(30, true);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(watched.store.getState().active.camera).toBe(true);
    comes(0, heard);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(watched.store.getState().active.camera).toBe(arrives);
    leave();
  });
});
