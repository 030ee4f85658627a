import { describe, expect, test } from 'vitest';

import { KINDS, PATCH, judge } from './labels';
import { CLOCK_MS, type Mark, PEOPLE, type Picture, type Rect, SIDE, SQUARE, TICK_MS } from './mark';
import { ageOf, cellsOf, markIn, markOf } from './mark';
import { readPng, writePng } from './png';

/** Numbers that look random and are the same in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function blank(width: number, height: number, channels = 3): Picture {
  return { width, height, channels, data: new Uint8Array(width * height * channels).fill(90) };
}

function fill(picture: Picture, { x, y, width, height }: Rect, colour: readonly number[]): void {
  for (let line = Math.round(y); line < Math.round(y + height); line += 1) {
    for (let column = Math.round(x); column < Math.round(x + width); column += 1) {
      if (line < 0 || column < 0 || line >= picture.height || column >= picture.width) continue;
      picture.data.set(colour, (line * picture.width + column) * picture.channels);
    }
  }
}

/** Draws what a camera shows into a rectangle, as `object-fit` would. */
function draw(
  picture: Picture,
  area: Rect,
  mark: Mark,
  how: { fit?: 'cover' | 'contain'; mirror?: boolean },
): void {
  const heights = [area.height, (area.width * 9) / 16];
  const shown = how.fit === 'contain' ? Math.min(...heights) : Math.max(...heights);
  const side = (shown * SQUARE) / SIDE;
  cellsOf(mark.person, mark.source === 'screen', mark.clock).forEach((isWhite, index) => {
    const column = index % SIDE;
    const x =
      area.x + area.width / 2 + ((how.mirror === true ? SIDE - 1 - column : column) - SIDE / 2) * side;
    const y = area.y + area.height / 2 + (Math.floor(index / SIDE) - SIDE / 2) * side;
    fill(picture, { x, y, width: side, height: side }, isWhite ? [230, 230, 230] : [20, 20, 20]);
  });
}

function label(picture: Picture, { x, y, width, height }: Rect, name: number, tile: number): void {
  const size = { width: PATCH, height: PATCH };
  fill(picture, { x: x + 2, y: y + 2, ...size }, [252, 8 * name + 4, 8 * tile + 4]);
  fill(picture, { x: x + width - 2 - PATCH, y: y + height - 2 - PATCH, ...size }, [4, 252, 8 * tile + 4]);
}

describe('a mark', () => {
  test('is read as it was written, whoever and whenever', () => {
    const next = random(1);
    for (let round = 0; round < 500; round += 1) {
      const person = Math.floor(next() * PEOPLE);
      const clock = Math.floor((next() * CLOCK_MS) / TICK_MS) * TICK_MS;
      const source = next() < 0.5 ? 'camera' : 'screen';
      expect(markOf(cellsOf(person, source === 'screen', clock))).toEqual({ person, source, clock });
    }
  });

  test('is nobody else with up to three wrong cells', () => {
    const next = random(2);
    for (let round = 0; round < 500; round += 1) {
      const cells = cellsOf(Math.floor(next() * PEOPLE), false, Math.floor(next() * CLOCK_MS));
      const wrong = new Set(
        Array.from({ length: 1 + Math.floor(next() * 3) }, () => Math.floor(next() * 36)),
      );
      for (const cell of wrong) cells[cell] = cells[cell] !== true;
      expect(markOf(cells)).toBeNull();
    }
  });

  test('is found in any rectangle, mirrored, cropped and between bars, through noise', () => {
    const next = random(3);
    for (let round = 0; round < 60; round += 1) {
      const picture = blank(400, 300);
      const area = { x: 11, y: 7, width: 150 + next() * 200, height: 90 + next() * 160 };
      const mark: Mark = { person: round % PEOPLE, source: 'camera', clock: round * 100 };
      // A square that is cropped cannot be read.
      const fit = area.width >= area.height && next() < 0.5 ? 'cover' : 'contain';
      draw(picture, area, mark, { fit, mirror: next() < 0.5 });
      picture.data.forEach((value, index) => (picture.data[index] = value + (next() - 0.5) * 40));
      expect(markIn(picture, area)).toEqual(mark);
    }
  });

  test('is not found where there is none', () => {
    const picture = blank(200, 120);
    const area = { x: 0, y: 0, width: 200, height: 120 };
    expect(markIn(picture, area)).toBeNull();
    const next = random(4);
    for (let round = 0; round < 50; round += 1) {
      picture.data.forEach((_, index) => (picture.data[index] = next() * 256));
      expect(markIn(picture, area)).toBeNull();
    }
  });

  test('has an age across the start of its clock', () => {
    const mark: Mark = { person: 1, source: 'camera', clock: CLOCK_MS - 40 };
    expect(ageOf(mark, 5 * CLOCK_MS + 60)).toBe(100);
    expect(ageOf(mark, 5 * CLOCK_MS - 45)).toBe(-5);
  });
});

describe('the judge', () => {
  test('reads names and pictures of every tile off one captured picture', () => {
    const picture = blank(640, 400, 4);
    const areas = [0, 1, 2, 3, 4, 5].map((index) => ({
      x: 8 + (index % 3) * 210,
      y: 10 + Math.floor(index / 3) * 160,
      width: 200,
      height: 113,
    }));
    areas.forEach((area, index) => {
      // The third tile is covered, the fifth shows somebody else than it says.
      if (index !== 2) {
        const person = index === 4 ? 20 : index + 1;
        draw(picture, area, { person, source: 'camera', clock: 5 * index }, {});
      }
      label(picture, area, index === 5 ? KINDS - 1 : index + 1, index);
    });
    const tiles = judge(picture);
    expect(tiles.map(({ tile }) => tile)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(tiles.map(({ area }) => area)).toEqual(areas);
    expect(tiles.map(({ says }) => says)).toEqual([1, 2, 3, 4, 5, null]);
    expect(tiles.map(({ shows }) => shows?.person ?? null)).toEqual([1, 2, null, 4, 20, 6]);
  });

  test('sees no tiles on a page without labels', () => {
    expect(judge(blank(64, 64))).toEqual([]);
  });
});

describe('a PNG', () => {
  test('is read as it was written', () => {
    const next = random(5);
    for (const channels of [3, 4]) {
      const picture = blank(17, 9, channels);
      picture.data.forEach((_, index) => (picture.data[index] = next() * 256));
      expect(readPng(writePng(picture))).toEqual(picture);
    }
  });

  test('of another kind is refused', () => {
    expect(() => readPng(Buffer.from('GIF89a..'))).toThrow('not a PNG');
    const file = writePng(blank(4, 4));
    file[24] = 16;
    expect(() => readPng(file)).toThrow('another kind');
  });
});
