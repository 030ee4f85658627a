import { expect, it } from 'vitest';
import type { LinkStats, TrackStats } from '@madang/sdk';
import { Limits } from './limits';

function stats(
  limitation: TrackStats['limitation'],
  kbps = 900,
  availableKbps: number | null = 1_000,
): LinkStats {
  const camera = { source: 'camera', active: true, limitation } as TrackStats;
  return { kbps, availableKbps, tracks: [camera] } as unknown as LinkStats;
}

function after(seconds: number, each: LinkStats | null): string | null {
  const limits = new Limits();
  let said: string | null = null;
  for (let second = 0; second < seconds; second += 1) said = limits.next(each);
  return said;
}

it('blames a line that is full for ten seconds, and no other', () => {
  expect(after(9, stats('bandwidth'))).toBeNull();
  expect(after(10, stats('bandwidth'))).toBe('bandwidth');
  // On the loopback, and with nobody watching, hardly anything is sent.
  expect(after(60, stats('bandwidth', 222, 3_000))).toBeNull();
  expect(after(60, stats('bandwidth', 222, null))).toBeNull();
  expect(after(10, stats('cpu', 100, 3_000))).toBe('cpu');
  expect(after(60, stats(null))).toBeNull();
  expect(after(60, null)).toBeNull();
});

it('takes it back at once', () => {
  const limits = new Limits();
  for (let second = 0; second < 20; second += 1) limits.next(stats('bandwidth'));
  expect(limits.next(null)).toBeNull();
  expect(limits.next(stats('bandwidth'))).toBeNull();
});
