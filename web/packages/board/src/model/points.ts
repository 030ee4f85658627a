import type { Point } from '../types.js';

/**
 * The points of a stroke as bytes: signed 16-bit differences, little endian, x and y in turn, in 1/32 of a local unit,
 * each from the point before. The first point is (0, 0) and is not written.
 */
const UNIT = 32;
const FARTHEST = 0x7fff;
/** More points than anybody draws in one stroke; what comes after them in a document is not shown. */
export const MAX_POINTS = 20_000;

/** Local coordinates, x and y in turn. */
export type Points = Float32Array;

/**
 * Writes points as differences. Errors of rounding do not add up: each difference is from where the reader is. A
 * difference that does not fit is written in equal parts, as points on the line between.
 */
export function encodePoints(points: ArrayLike<number>): Uint8Array {
  const steps: number[] = [];
  let [atX, atY] = [0, 0];
  for (let index = 2; index + 1 < points.length; index += 2) {
    const x = Math.round((points[index] ?? 0) * UNIT);
    const y = Math.round((points[index + 1] ?? 0) * UNIT);
    const parts = Math.max(1, Math.ceil(Math.max(Math.abs(x - atX), Math.abs(y - atY)) / FARTHEST));
    const [fromX, fromY] = [atX, atY];
    for (let part = 1; part <= parts; part++) {
      const nextX = Math.round(fromX + ((x - fromX) * part) / parts);
      const nextY = Math.round(fromY + ((y - fromY) * part) / parts);
      steps.push(nextX - atX, nextY - atY);
      [atX, atY] = [nextX, nextY];
    }
  }
  const bytes = new Uint8Array(steps.length * 2);
  const view = new DataView(bytes.buffer);
  steps.forEach((step, index) => view.setInt16(index * 2, step, true));
  return bytes;
}

/** Reads what {@link encodePoints} wrote. Bytes that are half of a point are passed over. */
export function decodePoints(bytes: Uint8Array): Points {
  const count = Math.min(bytes.length >> 2, MAX_POINTS - 1);
  const points = new Float32Array(2 * count + 2);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [x, y] = [0, 0];
  for (let index = 0; index < count; index++) {
    x += view.getInt16(index * 4, true);
    y += view.getInt16(index * 4 + 2, true);
    points[2 * index + 2] = x / UNIT;
    points[2 * index + 3] = y / UNIT;
  }
  return points;
}

/**
 * Leaves out points that say nothing: those that lie within `tolerance` of the line between their neighbours (Douglas
 * and Peucker). Gives the numbers of those that stay.
 */
export function simplified(points: readonly Point[], tolerance: number): number[] {
  if (points.length < 3) return points.map((_, index) => index);
  const stays = new Uint8Array(points.length);
  stays[0] = stays[points.length - 1] = 1;
  const open: [number, number][] = [[0, points.length - 1]];
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    const [from, to] = part;
    let [farthest, at] = [tolerance, -1];
    for (let index = from + 1; index < to; index++) {
      const distance = fromSegment(at2(points, index), at2(points, from), at2(points, to));
      if (distance > farthest) [farthest, at] = [distance, index];
    }
    if (at < 0) continue;
    stays[at] = 1;
    open.push([from, at], [at, to]);
  }
  return points.flatMap((_, index) => (stays[index] === 1 ? [index] : []));
}

function at2(points: readonly Point[], index: number): Point {
  return points[index] ?? [0, 0];
}

/** How far a point is from a line from `a` to `b`. */
export function fromSegment(point: Point, a: Point, b: Point): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length;
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(point[0] - a[0] - t * dx, point[1] - a[1] - t * dy);
}
