import { expect, it } from 'vitest';
import { layoutOf } from './layout.js';

const COMPUTER = { cores: 8, phone: false, firefox: false };

it('has fewer slots on phones, and never more than are taken', () => {
  expect(layoutOf({}, COMPUTER)).toEqual({ tile: 12, stage: 1, screen: 2, voice: 4, screen_audio: 1 });
  expect(layoutOf({}, { ...COMPUTER, phone: true })).toEqual({
    tile: 6,
    stage: 1,
    screen: 1,
    voice: 3,
    screen_audio: 1,
  });
  expect(layoutOf({ tiles: 100, voices: 2.5 }, COMPUTER)).toMatchObject({ tile: 18, voice: 2 });
  expect(layoutOf({ tiles: -1, screens: 0 }, COMPUTER)).toMatchObject({ tile: 0, screen: 0 });
});
