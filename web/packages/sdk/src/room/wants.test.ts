import { describe, expect, it } from 'vitest';
import { dice } from '../dice.test.util.js';
import { MAX_WANTS } from '../types.js';
import { type Look, slotKinds, wantedHeight, wantsOf } from './wants.js';

const SLOTS = { tile: 12, stage: 1, screen: 2, voice: 4, screen_audio: 1 };

function look(csrc: number, more: Partial<Look> = {}): Look {
  return { csrc, source: 'camera', isSpeaker: false, height: 200, priority: 0, pin: false, ...more };
}

function wants(...looks: Look[]): string[] {
  return wantsOf(looks, slotKinds(looks, SLOTS), []).map(({ slot, source }) => `${slot} ${source}`);
}

describe('what is wanted', () => {
  it('puts the speaker, or else what is pinned, on the stage, and screens in their slots', () => {
    expect(wants(look(6), look(10, { isSpeaker: true }), look(14, { pin: true }))).toEqual([
      'tile 14',
      'tile 6',
      'stage 10',
    ]);
    expect(wants(look(6), look(14, { pin: true }), look(18, { pin: true }))).toEqual([
      'stage 14',
      'tile 18',
      'tile 6',
    ]);
    const screens = [1, 2, 3].map((csrc) => look(csrc, { source: 'screen' }));
    expect(wants(...screens)).toEqual(['screen 1', 'screen 2', 'tile 3']);
  });

  it('names what is looked at twice once, as high as the larger of them', () => {
    const twice = [look(6, { height: 100 }), look(6, { height: 700, priority: 3 })];
    expect(wantsOf(twice, slotKinds(twice, SLOTS), [9])).toEqual([
      { source: 6, slot: 'tile', height: 720, priority: 255 },
      { source: 9, slot: 'screen_audio', priority: 255 },
    ]);
  });

  it('changes its height in steps that are those of encodings', () => {
    expect([1, 240, 330, 340, 600, 700, 1_000, 1_500, 4_000].map(wantedHeight)).toEqual([
      240, 240, 240, 480, 480, 720, 720, 1_080, 2_160,
    ]);
  });

  it('is the same text for the same wishes in any order, and within what may be asked for', () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const roll = dice(seed);
      const looks = Array.from({ length: roll(100) }, (_, index) =>
        look(4 * index + 2, { height: roll(1_200), priority: roll(300) - 20 }),
      );
      const shuffled = looks
        .map((one) => ({ one, at: roll(1_000_000) }))
        .sort((a, b) => a.at - b.at)
        .map(({ one }) => one);
      const [first, second] = [looks, shuffled].map((list) => wantsOf(list, slotKinds(list, SLOTS), []));
      expect(second).toEqual(first);
      expect(first?.length).toBe(Math.min(looks.length, MAX_WANTS));
      const priorities = (first ?? []).map(({ priority = 0 }) => priority);
      expect(priorities.every((priority) => priority >= 0 && priority <= 255)).toBe(true);
      expect(priorities).toEqual([...priorities].sort((a, b) => b - a));
    }
  });
});
