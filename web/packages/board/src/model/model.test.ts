import { describe, expect, it } from 'vitest';
import { Dice } from '../../test/dice.js';
import { scribble } from '../../test/drafts.js';
import { erased, whole } from './erase.js';
import { changed, NO_CHANGE, toPage } from './geometry.js';
import { byOrder, isOrder, orderBetween, ordersBetween } from './order.js';
import { decodePoints, encodePoints, fromSegment, simplified } from './points.js';
import type { Transform } from './shape.js';
import { difference, roughly, wrapped } from './text.js';
import type { Point } from '../types.js';

describe('points', () => {
  it('come back as they were, to 1/64 of a unit, however long the stroke', () => {
    const dice = new Dice(1);
    for (let round = 0; round < 200; round++) {
      const points = scribble(dice, 1 + dice.below(300));
      const bytes = encodePoints(points);
      expect(bytes.length).toBe(points.length * 2 - 4);
      const read = decodePoints(bytes);
      expect(read.length).toBe(points.length);
      points.forEach((value, index) => expect(Math.abs(value - (read[index] ?? NaN))).toBeLessThan(1 / 60));
      // A stroke that was read is written as the same bytes.
      expect(encodePoints(read)).toEqual(bytes);
    }
  });

  it('go farther than 16 bits at once, along the line', () => {
    const read = decodePoints(encodePoints([0, 0, 5_000, -3_000, 5_000, 70_000]));
    expect([...read.slice(-2)]).toEqual([5_000, 70_000]);
    const points = Array.from({ length: read.length / 2 }, (_, at): Point => [
      read[2 * at] ?? 0,
      read[2 * at + 1] ?? 0,
    ]);
    for (const point of points) {
      const off = Math.min(
        fromSegment(point, [0, 0], [5_000, -3_000]),
        fromSegment(point, [5_000, -3_000], [5_000, 70_000]),
      );
      expect(off).toBeLessThan(0.1);
    }
  });

  it('are read from any bytes', () => {
    const dice = new Dice(2);
    for (let length = 0; length < 50; length++) {
      const points = decodePoints(Uint8Array.from({ length }, () => dice.below(256)));
      expect(points.length).toBe(2 * (length >> 2) + 2);
      expect(points.every((value) => Number.isFinite(value))).toBe(true);
    }
  });

  it('that are left out lie within the tolerance of what stays', () => {
    const dice = new Dice(3);
    for (let round = 0; round < 50; round++) {
      const flat = scribble(dice, 100);
      const points = Array.from({ length: 100 }, (_, at): Point => [
        flat[2 * at] ?? 0,
        flat[2 * at + 1] ?? 0,
      ]);
      const stays = simplified(points, 0.5);
      expect(stays[0]).toBe(0);
      expect(stays.at(-1)).toBe(99);
      for (let part = 1; part < stays.length; part++) {
        const [from = 0, to = 0] = [stays[part - 1], stays[part]];
        for (let index = from; index <= to; index++) {
          const [point, a, b] = [points[index], points[from], points[to]];
          if (point && a && b) expect(fromSegment(point, a, b)).toBeLessThanOrEqual(0.5);
        }
      }
    }
  });
});

describe('orders', () => {
  it('are between, wherever something is put', () => {
    const dice = new Dice(4);
    const list: string[] = [];
    for (let round = 0; round < 3_000; round++) {
      const at = dice.of([0, list.length, dice.below(list.length + 1)]);
      const order = orderBetween(list[at - 1] ?? null, list[at] ?? null, dice.random);
      expect(isOrder(order)).toBe(true);
      if (at > 0) expect(order > (list[at - 1] ?? '')).toBe(true);
      if (at < list.length) expect(order < (list[at] ?? '')).toBe(true);
      list.splice(at, 0, order);
    }
    expect(Math.max(...list.map((order) => order.length))).toBeLessThan(20);
  });

  it('stay short on top', () => {
    const orders = ordersBetween(null, null, 10_000);
    expect(orders.every((order) => order.length === 6)).toBe(true);
    expect([...orders].sort()).toEqual(orders);
  });

  it('are made of any two strings of their digits, and never end', () => {
    const dice = new Dice(5);
    const any = (): string =>
      Array.from({ length: 1 + dice.below(4) }, () => dice.of(['0', '1', 'y', 'z'])).join('');
    for (let round = 0; round < 5_000; round++) {
      const [low = '', high = ''] = [any(), any()].sort();
      const order = orderBetween(low, high, dice.random);
      expect(order > low).toBe(true);
      const leaves = high.replace(/0+$/, '') > low.replace(/0+$/, '');
      if (leaves) expect(order < high, `${low} ${order} ${high}`).toBe(true);
    }
  });

  it('of two who are equal are those of their ids', () => {
    expect(byOrder({ order: 'V', id: 'a' }, { order: 'V', id: 'b' })).toBe(-1);
    expect(byOrder({ order: 'V', id: 'a' }, { order: 'V', id: 'a' })).toBe(0);
  });
});

describe('a rubber', () => {
  it('takes what it went over and nothing else', () => {
    const dice = new Dice(6);
    let cut = 0;
    for (let round = 0; round < 80; round++) {
      const flat = scribble(dice, 2 + dice.below(30));
      const points = Array.from({ length: flat.length / 2 }, (_, at): Point => [
        flat[2 * at] ?? 0,
        flat[2 * at + 1] ?? 0,
      ]);
      const [x, y] = dice.of(points);
      const rubber = {
        from: [x + dice.between(-20, 20), y + dice.between(-20, 20)] as const,
        to: [x + dice.between(-20, 20), y + dice.between(-20, 20)] as const,
        radius: dice.between(1, 15),
      };
      const stroke = whole(points);
      const pieces = erased(stroke, rubber);
      if (pieces[0] === stroke) {
        expect(pieces.length).toBe(1);
      } else cut++;
      // Nothing that stays was under the rubber.
      for (const piece of pieces) {
        for (const point of along(piece.points)) {
          expect(fromSegment(point, rubber.from, rubber.to)).toBeGreaterThan(rubber.radius - 0.01);
        }
      }
      // Everything that was not is still there.
      for (const point of along(points)) {
        if (fromSegment(point, rubber.from, rubber.to) < rubber.radius + 0.05) continue;
        const off = Math.min(
          ...pieces.flatMap((piece) =>
            along(piece.points).map((other) => Math.hypot(point[0] - other[0], point[1] - other[1])),
          ),
        );
        expect(off).toBeLessThan(0.6);
      }
    }
    expect(cut).toBeGreaterThan(30);
  });
});

function along(points: readonly Point[]): Point[] {
  return points.slice(1).flatMap((b, index) => {
    const a = points[index] ?? b;
    const steps = Math.max(1, Math.ceil(Math.hypot(b[0] - a[0], b[1] - a[1]) * 2));
    return Array.from({ length: steps + 1 }, (_, step): Point => [
      a[0] + ((b[0] - a[0]) * step) / steps,
      a[1] + ((b[1] - a[1]) * step) / steps,
    ]);
  });
}

describe('a change', () => {
  const t: Transform = [10, 20, 1, 2, 0.5];

  it('moves what it moves', () => {
    expect(changed(t, { ...NO_CHANGE, dx: 5, dy: -5 })).toEqual([15, 15, 1, 2, 0.5]);
  });

  it('turns everything about one point', () => {
    const dice = new Dice(7);
    for (let round = 0; round < 100; round++) {
      const about: Point = [dice.between(-50, 50), dice.between(-50, 50)];
      const angle = dice.between(-3, 3);
      const local: Point = [dice.between(-50, 50), dice.between(-50, 50)];
      const before = toPage(t, local);
      const after = toPage(changed(t, { ...NO_CHANGE, x: about[0], y: about[1], angle }), local);
      const expected = toPage(
        [about[0], about[1], 1, 1, angle],
        [before[0] - about[0], before[1] - about[1]],
      );
      expect(Math.hypot(after[0] - expected[0], after[1] - expected[1])).toBeLessThan(0.02);
    }
  });

  it('scales along the sides of what is turned, quarter turns included', () => {
    for (const quarter of [-2, -1, 0, 1, 2, 3]) {
      const turned: Transform = [10, 20, 1, 1, 0.3 + (quarter * Math.PI) / 2];
      const [, , scaleX, scaleY] = changed(turned, { ...NO_CHANGE, axis: 0.3, scaleX: 2 });
      expect([scaleX, scaleY]).toEqual(quarter % 2 === 0 ? [2, 1] : [1, 2]);
    }
  });
});

describe('text', () => {
  it('is changed by as little as possible, and signs stay whole', () => {
    const dice = new Dice(8);
    const signs = ['a', 'b', '한', '😀', '😁', '\n'];
    const any = (): string => Array.from({ length: dice.below(8) }, () => dice.of(signs)).join('');
    for (let round = 0; round < 2_000; round++) {
      const [before, after] = [any(), any()];
      const { at, removed, inserted } = difference(before, after);
      expect(before.slice(0, at) + inserted + before.slice(at + removed)).toBe(after);
      // Half of a sign would not come back from bytes.
      const bytes = new TextEncoder().encode(inserted);
      expect(new TextDecoder().decode(bytes)).toBe(inserted);
    }
    expect(difference('one three', 'one two three')).toEqual({ at: 5, removed: 0, inserted: 'wo t' });
  });

  it('is broken into lines that fit, and loses nothing but spaces', () => {
    const dice = new Dice(9);
    for (let round = 0; round < 300; round++) {
      const text = Array.from({ length: 1 + dice.below(12) }, () =>
        dice.of(['a', 'word', 'averyveryverylongword', '한국어', '\n']),
      ).join(' ');
      const lines = wrapped(text, 10, 60, roughly);
      expect(lines.join('').replaceAll(/\s/g, '')).toBe(text.replaceAll(/\s/g, ''));
      for (const line of lines) expect(roughly(line, 10)).toBeLessThanOrEqual(60);
    }
  });
});
