import { describe, expect, it } from 'vitest';
import { person, switched } from '../test/fake-room.js';
import { numbers } from '../test/numbers.js';
import { arrange, type Arrangement, EMPTY_GRID, type Grid, tileKey, type Tiles } from './tiles.js';

function grid(names: readonly string[], change: Partial<Grid> = {}): Grid {
  // Orders by name, so that who comes back has its number.
  const people = new Map(names.map((name) => [name, person(name, Number(name.slice(1)))]));
  const rest = { me: null, speaker: null, pinned: [], without: [], screens: false, page: 0, size: 4 };
  return { people, ...rest, ...change };
}

function names({ tiles }: Tiles): string {
  return tiles.map(({ participant, source }) => participant + (source === 'screen' ? '*' : '')).join(' ');
}

/** What is shown after each of the grids in turn. */
function shown(...grids: Grid[]): string[] {
  let at = EMPTY_GRID;
  return grids.map((next) => names((at = arrange(at, next)).shown));
}

const SIX = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'];
const without = (...gone: string[]): string[] => SIX.filter((name) => !gone.includes(name));

describe('the grid', () => {
  it('has people in the order in which they came, oneself first', () => {
    expect(shown(grid(SIX), grid(SIX, { page: 1 }))).toEqual(['p1 p2 p3 p4', 'p5 p6']);
    expect(shown(grid(SIX, { me: 'p5' }))).toEqual(['p5 p1 p2 p3']);
  });

  it('fills a place from where nobody looks, and nobody who is shown moves', () => {
    expect(shown(grid(SIX), grid(without('p2')))).toEqual(['p1 p2 p3 p4', 'p1 p6 p3 p4']);
    // Nobody is left to move up: those after the gap do.
    expect(shown(grid(SIX.slice(0, 4)), grid(['p1', 'p3', 'p4']))).toEqual(['p1 p2 p3 p4', 'p1 p3 p4']);
    // On the last page it stays a gap of the first one until that is shown.
    const last = { page: 1 };
    expect(shown(grid(SIX, last), grid(without('p2'), last), grid(without('p2')))).toEqual([
      'p5 p6',
      'p5 p6',
      'p1 p6 p3 p4',
    ]);
  });

  it('gives somebody new the place of whoever left', () => {
    expect(shown(grid(SIX.slice(0, 4)), grid(['p1', 'p3', 'p4', 'p9']))).toEqual([
      'p1 p2 p3 p4',
      'p1 p9 p3 p4',
    ]);
  });

  it('shows the last page where the one that was asked for is gone', () => {
    const asked = { page: 7 };
    expect(shown(grid(SIX, asked), grid(SIX.slice(0, 3), asked), grid([], asked))).toEqual([
      'p5 p6',
      'p1 p2 p3',
      '',
    ]);
    expect(arrange(EMPTY_GRID, grid([], asked)).shown).toEqual({ tiles: [], page: 0, pages: 1, total: 0 });
  });

  it('brings who speaks to the first page, in the place of whoever was not heard for longest', () => {
    const says = (speaker: string | null, page = 0): Grid => grid(SIX, { me: 'p1', speaker, page });
    expect(shown(says('p3'), says('p4'), says('p5'), says('p6'), says('p4'))).toEqual([
      'p1 p2 p3 p4',
      'p1 p2 p3 p4',
      'p1 p5 p3 p4',
      'p1 p5 p6 p4',
      'p1 p5 p6 p4',
    ]);
    // Not under the eyes of who looks at another page.
    expect(shown(says(null), says('p5', 1), says('p5', 0))).toEqual(['p1 p2 p3 p4', 'p5 p6', 'p1 p2 p3 p5']);
  });

  it('has pinned tiles and screens on every page, before the others', () => {
    const pinned = [tileKey('p6'), tileKey('p2'), tileKey('nobody')];
    expect(shown(grid(SIX, { pinned }), grid(SIX, { pinned, page: 1 }))).toEqual([
      'p6 p2 p1 p3',
      'p6 p2 p4 p5',
    ]);
    const people = new Map(grid(SIX).people);
    people.set('p2', switched(person('p2', 2), 'screen', 'on'));
    expect(shown(grid(SIX, { people, screens: true }), grid(SIX, { people }))).toEqual([
      'p2* p1 p2 p3',
      'p1 p2 p3 p4',
    ]);
    // There is always a place for somebody else.
    expect(shown(grid(SIX, { pinned: SIX.map((name) => tileKey(name)), size: 2 }))).toEqual(['p1 p2']);
  });

  it('leaves out what is shown elsewhere', () => {
    expect(shown(grid(SIX, { without: [tileKey('p1'), tileKey('p4')] }))).toEqual(['p2 p3 p5 p6']);
  });
});

/** A grid after another change: somebody comes or goes, speaks, is pinned, or another page is shown. */
function changed(before: Grid, next: (below: number) => number): Grid {
  const people = new Map(before.people);
  const one = `p${next(20)}`;
  switch (next(8)) {
    case 0:
      return { ...before, page: next(5) };
    case 1:
      return { ...before, pinned: next(2) === 0 ? [] : [tileKey(one), tileKey(`p${next(20)}`)] };
    case 2:
      return { ...before, speaker: next(4) === 0 ? null : one };
    case 3:
      return { ...before, without: next(2) === 0 ? [] : [tileKey(one)] };
    default:
      if (!people.delete(one)) people.set(one, person(one, next(1_000)));
      return { ...before, people };
  }
}

/** Whoever is heard and there. */
function hears({ people, speaker }: Grid): string | null {
  return speaker !== null && people.has(speaker) ? speaker : null;
}

it('keeps its promises whatever happens in whichever order', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const next = numbers(seed);
    let wanted = grid([], { me: 'p0', size: 1 + next(6) });
    let at: Arrangement = EMPTY_GRID;
    for (let step = 0; step < 100; step++) {
      const before = at;
      const asked = wanted;
      wanted = changed(wanted, next);
      at = arrange(at, wanted);
      const { tiles, page, pages, total } = at.shown;
      // The same again changes nothing.
      expect(arrange(at, wanted).shown).toBe(at.shown);
      expect(page).toBeLessThan(pages);
      expect(tiles.length).toBeLessThanOrEqual(wanted.size);
      // Each person once, on some page, with a place that holds while somebody pages.
      const keys = [...wanted.people.keys()].map((name) => tileKey(name));
      expect(total).toBe(keys.filter((key) => !wanted.without.includes(key)).length);
      const seen = new Set<string>();
      let paged = at;
      for (let every = 0; every < pages; every++) {
        paged = arrange(paged, { ...wanted, speaker: null, page: every });
        for (const { key } of paged.shown.tiles) seen.add(key);
      }
      expect(seen.size, `seed ${seed} step ${step}`).toBe(total);
      // Who speaks is on the first page.
      const speaks = wanted.speaker ?? '';
      const shows = wanted.people.has(speaks) && !wanted.without.includes(tileKey(speaks));
      const mayMove = wanted.size > wanted.pinned.length + 1;
      if (page === 0 && shows && mayMove) expect(tiles.map((tile) => tile.participant)).toContain(speaks);
      // Where the same page is shown to the same speaker, of those who stay at most who comes after a gap moves.
      const same =
        wanted.pinned.length === 0 && asked.pinned === wanted.pinned && asked.without === wanted.without;
      if (same && hears(asked) === hears(wanted) && page === before.shown.page) {
        const places = before.shown.tiles.map(({ key }) => tiles.findIndex((tile) => tile.key === key));
        const stay = places.filter((place) => place >= 0);
        expect(stay, `seed ${seed} step ${step}`).toEqual([...stay].sort((a, b) => a - b));
        // Who is shown stays in sight.
        const left = before.shown.tiles.filter(({ participant }) => !wanted.people.has(participant));
        expect(stay.length, `seed ${seed} step ${step}`).toBe(before.shown.tiles.length - left.length);
        const full = before.shown.tiles.length === wanted.size && tiles.length === wanted.size;
        if (full) expect(places.every((place, index) => place < 0 || place === index)).toBe(true);
      }
    }
  }
});
