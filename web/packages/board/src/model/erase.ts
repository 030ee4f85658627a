import type { Point } from '../types.js';
import { fromSegment } from './points.js';

/** A part of a stroke: its points on the page, and for each how far along the stroke it is (point number and share). */
export interface Piece {
  points: Point[];
  at: number[];
}

/** Where the rubber went: a line with a round tip. */
export interface Rubber {
  from: Point;
  to: Point;
  radius: number;
}

/** A stroke as one piece. */
export function whole(points: readonly Point[]): Piece {
  return { points: [...points], at: points.map((_, index) => index) };
}

/** What is left of a piece after one move of the rubber. The same piece if it was not touched. */
export function erased(piece: Piece, { from, to, radius }: Rubber): Piece[] {
  const { points, at } = piece;
  const distance = (point: Point): number => fromSegment(point, from, to);
  const [first] = points;
  if (first === undefined) return [];
  if (points.length === 1) return distance(first) < radius ? [] : [piece];
  const pieces: Piece[] = [];
  let open: Piece | null = null;
  let touched = false;
  for (let index = 1; index < points.length; index++) {
    const [a, b] = [points[index - 1] ?? first, points[index] ?? first];
    const [atA, atB] = [at[index - 1] ?? 0, at[index] ?? 0];
    const between = (t: number): [Point, number] => [
      [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t],
      atA + (atB - atA) * t,
    ];
    const hole = holeOf((t) => distance(between(t)[0]), radius);
    if (hole === null) {
      open ??= { points: [a], at: [atA] };
      open.points.push(b);
      open.at.push(atB);
      continue;
    }
    touched = true;
    if (hole[0] > 0) {
      open ??= { points: [a], at: [atA] };
      const [point, place] = between(hole[0]);
      open.points.push(point);
      open.at.push(place);
    }
    if (open !== null) pieces.push(open);
    open = null;
    if (hole[1] < 1) {
      const [point, place] = between(hole[1]);
      open = { points: [point, b], at: [place, atB] };
    }
  }
  if (!touched) return [piece];
  if (open !== null) pieces.push(open);
  return pieces;
}

/**
 * The part of a line, 0 to 1, that is nearer than `radius`. The distance to a round-tipped line is convex along a
 * straight one: it falls, then rises, so there is one such part at most.
 */
function holeOf(distance: (t: number) => number, radius: number): [number, number] | null {
  let [low, high] = [0, 1];
  for (let step = 0; step < 40 && high - low > 1e-6; step++) {
    const [one, two] = [low + (high - low) / 3, high - (high - low) / 3];
    if (distance(one) < distance(two)) high = two;
    else low = one;
  }
  const nearest = [0, (low + high) / 2, 1].reduce((best, t) => (distance(t) < distance(best) ? t : best));
  if (distance(nearest) >= radius) return null;
  return [edge(distance, radius, nearest, 0), edge(distance, radius, nearest, 1)];
}

/** Where the distance is `radius`, between a place that is nearer and an end that may not be. */
function edge(distance: (t: number) => number, radius: number, inside: number, end: number): number {
  if (distance(end) < radius) return end;
  let [near, far] = [inside, end];
  for (let step = 0; step < 30; step++) {
    const middle = (near + far) / 2;
    if (distance(middle) < radius) near = middle;
    else far = middle;
  }
  return far;
}
