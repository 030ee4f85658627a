import { expect, it } from 'vitest';
import { Motion } from './motion.js';

function looks(...rates: number[]): string[] {
  const motion = new Motion();
  return rates.map((fps) => motion.look(fps));
}

it('takes a screen for text until it moves for a while, and for a film until it rests for a while', () => {
  expect(looks(30, 30, 30, 5, 30, 30, 30, 30).at(-1)).toBe('motion');
  expect(looks(30, 30, 30, 5, 30, 30, 30).at(-1)).toBe('detail');
  // Between the two it stays what it was.
  expect(looks(30, 30, 30, 30, 12, 12, 12, 12, 12).at(-1)).toBe('motion');
  expect(looks(30, 30, 30, 30, 1, 1, 1, 1).at(-1)).toBe('detail');
});
