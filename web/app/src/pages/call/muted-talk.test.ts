import { expect, it } from 'vitest';
import { MutedTalk } from './muted-talk';

/** When it is said, for levels 50 ms apart. */
function said(levels: readonly number[], muted = true): number[] {
  const talk = new MutedTalk();
  return levels.flatMap((level, index) => (talk.level(level, muted, index * 50) ? [index * 50] : []));
}

it('is said once of speech, with its pauses, and again only much later', () => {
  const speech = Array.from({ length: 100 }, (_, index) => (index % 5 === 0 ? 0.01 : 0.3));
  expect(said(speech)).toHaveLength(1);
  expect(said(speech)[0]).toBeLessThan(600);
  expect(said(Array.from({ length: 600 }, () => 0.3))).toHaveLength(2);
});

it('is not said of a cough, of a quiet room, or of who is not muted', () => {
  expect(said([0, 0, 0.8, 0.8, 0.8, 0, 0, 0, 0, 0, 0, 0, 0])).toEqual([]);
  expect(said(Array.from({ length: 100 }, () => 0.05))).toEqual([]);
  expect(
    said(
      Array.from({ length: 100 }, () => 0.5),
      false,
    ),
  ).toEqual([]);
});

it('is said again of who was heard meanwhile', () => {
  const talk = new MutedTalk();
  const speak = (from: number): boolean[] => [0, 200, 400].map((ms) => talk.level(0.5, true, from + ms));
  expect(speak(0)).toContain(true);
  talk.level(0.5, false, 1_000);
  expect(speak(1_200)).toContain(true);
});
