import type { Person } from '@madang/sdk';
import { describe, expect, it } from 'vitest';
import type { Rect } from './layout';
import { gridRects } from './layout';
import { keyOf, type Means, rolesOf, sceneOf, sharedScreens, type Wish } from './scene';

const DESK: Means = { tiles: 12, screens: 2, small: false };
const PHONE: Means = { tiles: 6, screens: 1, small: true };
const WISH: Wish = { view: 'grid', pin: null, away: new Set(), selfView: true, page: 0 };
const SIZES = [
  [360, 520],
  [390, 700],
  [780, 380],
  [1232, 660],
  [900, 900],
  [2500, 1300],
] as const;

function person(n: number, screen = false): Person {
  return {
    participant: `par_${n}`,
    name: `P${n}`,
    order: n,
    quality: 'good',
    rights: [],
    sources: screen ? [{ csrc: n * 4, source: 'screen', state: 'on' }] : [],
  };
}

function crowd(n: number, screens = 0): Person[] {
  return Array.from({ length: n }, (_, index) => person(index, index > 0 && index <= screens));
}

const overlap = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

describe('a scene', () => {
  it('puts every picture on exactly one page, inside the stage, over no other', () => {
    const wrong: string[] = [];
    for (const [width, height] of SIZES) {
      for (const means of [DESK, PHONE]) {
        for (const n of [1, 2, 3, 5, 7, 12, 13, 30, 100]) {
          for (const [view, screens] of [
            ['grid', 0],
            ['speaker', 0],
            ['grid', 1],
            ['grid', 2],
            ['grid', 4],
          ] as const) {
            if (screens >= n) continue;
            const people = crowd(n, screens);
            const first = sceneOf(people, 'par_0', { ...WISH, view }, means, { width, height });
            const seen = new Map<string, number>();
            for (let page = 0; page < first.pages; page += 1) {
              const scene = sceneOf(people, 'par_0', { ...WISH, view, page }, means, { width, height });
              expect(scene.pages).toBe(first.pages);
              const flat = scene.placed.filter(({ role }) => role !== 'corner');
              expect(flat.filter(({ role }) => role === 'tile').length).toBeLessThanOrEqual(means.tiles);
              flat.forEach(({ key, role, rect }, index) => {
                const inside =
                  rect.x >= 0 &&
                  rect.y >= 0 &&
                  rect.x + rect.width <= width &&
                  rect.y + rect.height <= height;
                const right =
                  inside &&
                  Math.min(rect.width, rect.height) > 40 &&
                  !flat.slice(index + 1).some((other) => overlap(rect, other.rect)) &&
                  (role !== 'tile' || scene.pageOf.get(key) === page);
                if (!right)
                  wrong.push(`${width}x${height}, ${n} people, ${view}, ${screens} screens: ${key}`);
                if (role === 'tile') seen.set(key, (seen.get(key) ?? 0) + 1);
              });
              if (page === 0) {
                for (const { key, role } of scene.placed) if (role !== 'tile') seen.set(key, 1);
              }
            }
            seen.delete('speaker');
            expect([...seen.values()].every((times) => times === 1)).toBe(true);
            expect(seen.size, `${width}x${height} ${n} ${view} ${screens}`).toBe(n + screens);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('moves nobody when somebody speaks, and keeps the sizes on the last page', () => {
    const stage = { width: 1232, height: 660 };
    const [first, last] = [0, 1].map((page) => sceneOf(crowd(15), 'par_0', { ...WISH, page }, DESK, stage));
    expect(last?.placed.length).toBe(3);
    expect(last?.placed.map(({ rect }) => rect)).toEqual(first?.placed.slice(0, 3).map(({ rect }) => rect));
  });

  it('clamps a page that is gone', () => {
    expect(sceneOf(crowd(13), 'par_0', { ...WISH, page: 9 }, DESK, { width: 1232, height: 660 }).page).toBe(
      1,
    );
    expect(sceneOf(crowd(3), 'par_0', { ...WISH, page: 9 }, DESK, { width: 1232, height: 660 }).page).toBe(0);
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
  const at = (people: Person[], wish: Partial<Wish> = {}, means = DESK) => {
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
    expect(at(crowd(3), { selfView: false })).toMatchObject({
      rest: ['camera par_1', 'camera par_2'],
      corner: null,
    });
  });
});
