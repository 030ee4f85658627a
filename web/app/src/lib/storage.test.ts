import { afterEach, expect, it, vi } from 'vitest';
import { keptBanner, keptName, keptPlans, keptSound, keptToken, keptVideo, MAX_PLANS } from './storage';

afterEach(() => {
  vi.unstubAllGlobals();
  localStorage.clear();
});

it('works on where a browser refuses its storage, as in a frame of another site', () => {
  const refuse = (): never => {
    throw new DOMException('denied', 'SecurityError');
  };
  for (const name of ['localStorage', 'sessionStorage']) {
    vi.stubGlobal(name, undefined);
    Object.defineProperty(globalThis, name, { get: refuse, configurable: true });
  }
  expect(keptSound.read()).toEqual({ volume: 1, muted: false });
  expect([keptVideo.read(), keptName.read(), keptToken.read(1), keptBanner.read()]).toEqual([
    'auto',
    '',
    null,
    false,
  ]);
  keptSound.write({ volume: 0.5, muted: true });
  keptBanner.write();
  keptToken.clear(1);
});

it('takes nothing for what it has kept that is something else', () => {
  for (const kept of ['7', '"x"', 'null', '{', '{"volume":2,"muted":false}', '{"volume":"1","muted":1}']) {
    localStorage.setItem('madang.sound', kept);
    expect(keptSound.read()).toEqual({ volume: 1, muted: false });
  }
  for (const kept of ['{}', '[1]', '[{"id":1}]', 'null']) {
    localStorage.setItem('madang.plans', kept);
    expect(keptPlans.read()).toEqual([]);
  }
});

it('keeps a bounded number of plans, the latest ones', () => {
  const plan = (id: number) => ({
    ...{ id, streamKey: 's', ownerKey: 'o', whipUrl: 'w', watchUrl: 'p' },
    ...{ name: '', description: '', plannedAt: '2026-01-01T00:00:00Z' },
  });
  keptPlans.write(Array.from({ length: MAX_PLANS + 5 }, (_, id) => plan(id)));
  expect(keptPlans.read()).toHaveLength(MAX_PLANS);
  expect(keptPlans.read()[0]?.id).toBe(5);
});
