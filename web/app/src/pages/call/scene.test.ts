import { describe, expect, it } from 'vitest';
import type { Rect } from './layout';
import { gridRects } from './layout';
import { keyOf, type Means, rolesOf, sceneOf, type Seat, sharedScreens, type Wish } from './scene';

const DESK: Means = { tiles: 12, screens: 2, small: false };
const PHONE: Means = { tiles: 6, screens: 1, small: true };
const WISH: Wish = { view: 'grid', pin: null, away: new Set(), selfView: true };
const SIZES = [
  [360, 520],
  [390, 700],
  [780, 380],
  [1232, 660],
  [900, 900],
  [2500, 1300],
] as const;

function person(n: number, shares = false): Seat {
  return { participant: `par_${n}`, shares };
}

function crowd(n: number, screens = 0): Seat[] {
  return Array.from({ length: n }, (_, index) => person(index, index > 0 && index <= screens));
}

const overlap = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

describe('a scene', () => {
  it('has a place for every picture on some page, inside the stage, over no other', () => {
    const wrong: string[] = [];
    let checked = 0;
    for (const [width, height] of SIZES)
      for (const means of [DESK, PHONE])
        for (const n of [1, 2, 3, 5, 7, 12, 13, 30, 100])
          for (const view of ['grid', 'speaker'] as const)
            for (const screens of [0, 1, 2, 4].filter((count) => count < n)) {
              const scene = sceneOf(crowd(n, screens), 'par_0', { ...WISH, view }, means, { width, height });
              const rects = [...scene.main.map(({ rect }) => rect), ...scene.places];
              const inside = (rect: Rect): boolean =>
                rect.x >= 0 && rect.y >= 0 && rect.x + rect.width <= width && rect.y + rect.height <= height;
              const clear = rects.every(
                (rect, index) => !rects.slice(index + 1).some((other) => overlap(rect, other)),
              );
              const large = rects.every((rect) => Math.min(rect.width, rect.height) > 40);
              const small =
                n +
                screens -
                scene.main.filter(({ key }) => key !== 'speaker').length -
                (scene.corner ? 1 : 0);
              const enough =
                small === 0 ||
                (scene.places.length > 0 && scene.places.length <= Math.min(small, means.tiles));
              checked += 1;
              if (!rects.every(inside) || !clear || !large || !enough)
                wrong.push(`${width}x${height}, ${n} people, ${view}, ${screens} screens`);
            }
    expect(wrong).toEqual([]);
    expect(checked).toBeGreaterThan(500);
  });

  it('keeps from the small places what is large, in the corner, hidden, or one’s own screen', () => {
    const size = { width: 1232, height: 660 };
    const without = (wish: Partial<Wish>, n = 5) =>
      sceneOf(crowd(n, 1), 'par_0', { ...WISH, ...wish }, DESK, size).without;
    expect(without({})).toEqual(['screen par_1', 'screen par_0']);
    expect(without({ pin: 'camera par_2' })).toEqual(['camera par_2', 'screen par_0']);
    expect(without({ selfView: false, away: new Set(['screen par_1']) })).toEqual([
      'camera par_0',
      'screen par_0',
    ]);
  });

  it('uses the stage well', () => {
    for (const [n, width, height, share] of [
      [1, 1232, 660, 0.85],
      [2, 1232, 660, 0.65],
      [5, 1232, 660, 0.8],
      [12, 1232, 660, 0.9],
      [2, 378, 680, 0.95],
      [6, 378, 680, 0.9],
    ] as const) {
      const rects = gridRects(n, { x: 0, y: 0, width, height }, 10);
      const used = rects.reduce((sum, rect) => sum + rect.width * rect.height, 0);
      expect(used / (width * height), `${n} in ${width}x${height}`).toBeGreaterThan(share * 0.9);
    }
  });
});

describe('who is large', () => {
  const at = (people: Seat[], wish: Partial<Wish> = {}, means = DESK) => {
    const { mode, main, rest, corner } = rolesOf(people, 'par_0', { ...WISH, ...wish }, means);
    return { mode, main: main.map(keyOf), rest: rest.map(keyOf), corner: corner && keyOf(corner) };
  };

  it('is a screen as soon as one is shared, until it is put away; a new one is not', () => {
    expect(at(crowd(4, 1)).main).toEqual(['screen par_1']);
    const away = new Set(sharedScreens(crowd(4, 1), 'par_0'));
    expect(at(crowd(4, 1), { away })).toMatchObject({ mode: 'grid', main: [] });
    expect(at(crowd(4, 1), { away }).rest[1]).toBe('screen par_1');
    expect(at(crowd(4, 2), { away })).toMatchObject({ mode: 'screen', main: ['screen par_2'] });
    expect(at(crowd(6, 3)).main).toEqual(['screen par_1', 'screen par_2']);
    expect(at(crowd(6, 3), {}, PHONE).main).toEqual(['screen par_1']);
  });

  it('is never one’s own screen', () => {
    expect(at([person(0, true), person(1)])).toMatchObject({ mode: 'grid', main: [] });
  });

  it('is who is pinned, until that picture is gone', () => {
    expect(at(crowd(4, 1), { pin: 'camera par_2' })).toMatchObject({ mode: 'pin', main: ['camera par_2'] });
    expect(at(crowd(4), { pin: 'camera par_9' })).toMatchObject({ mode: 'grid' });
    expect(at(crowd(4), { pin: 'camera par_0' }).rest).not.toContain('camera par_0');
  });

  it('is the speaker where that is wanted; of two the other one', () => {
    expect(at(crowd(4), { view: 'speaker' })).toMatchObject({ mode: 'speaker', main: ['speaker'] });
    expect(at(crowd(2), { view: 'speaker' })).toMatchObject({
      main: ['camera par_1'],
      rest: [],
      corner: 'camera par_0',
    });
    expect(at(crowd(1), { view: 'speaker' })).toMatchObject({ mode: 'grid', rest: ['camera par_0'] });
  });

  it('puts oneself in the corner of few, and nowhere if that is wanted', () => {
    expect(at(crowd(2))).toMatchObject({ rest: ['camera par_1'], corner: 'camera par_0' });
    expect(at(crowd(3)).corner).toBeNull();
    expect(at(crowd(3), {}, PHONE).corner).toBe('camera par_0');
    // Not over a screen: there is a strip beside it.
    expect(at(crowd(2, 1))).toMatchObject({
      main: ['screen par_1'],
      rest: ['camera par_0', 'camera par_1'],
      corner: null,
    });
    expect(at(crowd(2, 1), {}, PHONE).corner).toBeNull();
    expect(at(crowd(3), { selfView: false })).toMatchObject({
      rest: ['camera par_1', 'camera par_2'],
      corner: null,
    });
  });
});
