import { expect, it } from 'vitest';
import { dice } from '../dice.test.util.js';
import { CALM, pass, perSecond, SHOWN_PER_SECOND } from './pace.js';

/** Feeds `perFrame(frame)` messages at 60 frames a second. */
function run(frames: number, perFrame: (frame: number) => number, start = CALM, from = 0) {
  let pace = start;
  let [came, shown] = [0, 0];
  const each: number[] = [];
  for (let frame = 0; frame < frames; frame += 1) {
    const count = perFrame(frame);
    const next = pass(pace, count, from + (frame * 1_000) / 60);
    pace = next.pace;
    [came, shown] = [came + count, shown + next.others];
    each.push(next.others);
  }
  return { pace, came, shown, each };
}

it('shows everything at a pace that somebody can read', () => {
  const { came, shown, pace } = run(60 * 60, (frame) => (frame % 6 === 0 ? 1 : 0));
  expect([came, shown, pace.busy]).toEqual([600, 600, false]);
  // So much at once is read afterwards.
  expect(pass(CALM, 30, 0).others).toBe(30);
});

it('shows an even sample of 10,000 a minute, and says how many come', () => {
  const { came, shown, pace, each } = run(60 * 60, (frame) => (frame % 18 === 0 ? 50 : 0));
  expect(came).toBe(10_000);
  expect(pace.busy).toBe(true);
  expect(perSecond(pace, 60_000)).toBeGreaterThan(140);
  // In batches of fifty, three times a second, each time at most what makes up for the pause.
  expect(Math.max(...each.slice(60))).toBeLessThanOrEqual(5);
  expect(shown).toBeLessThan(60 * SHOWN_PER_SECOND + 60);
  const smooth = run(60 * 60, (frame) => (frame % 3 === 0 ? 9 : 0));
  expect(Math.max(...smooth.each.slice(60))).toBe(1);
  expect(smooth.shown).toBeGreaterThan(59 * (SHOWN_PER_SECOND - 3));
});

it('shows everything again when it has been calm for a while', () => {
  const { pace } = run(60, () => 10);
  expect(pace.busy).toBe(true);
  const after = run(60 * 6, (frame) => (frame % 30 === 0 ? 1 : 0), pace, 1_000);
  expect(after.pace.busy).toBe(false);
  expect(after.pace.run).toBe(pace.run + 1);
  expect(run(60, (frame) => (frame % 30 === 0 ? 1 : 0), after.pace, 7_000).shown).toBe(2);
});

it('never shows more than came, nor forgets that it showed', () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const roll = dice(seed);
    let pace = CALM;
    let now = 0;
    const wrong: unknown[] = [];
    for (let step = 0; step < 200; step += 1) {
      now += roll(200);
      const count = roll(4) === 0 ? roll(300) : roll(3);
      const next = pass(pace, count, now);
      const isRight =
        next.others >= 0 &&
        next.others <= count &&
        (next.pace.busy || next.others === count) &&
        next.pace.times.length <= 1_000;
      if (!isRight) wrong.push({ step, count, others: next.others });
      ({ pace } = next);
    }
    expect(wrong, `seed ${seed}`).toEqual([]);
  }
});
