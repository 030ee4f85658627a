import type { LiveMove, Point } from '../types.js';
import { fromSegment } from './points.js';
import { FARTHEST, hasText, type Shape, type Transform } from './shape.js';
import { layoutText, type Measure } from './text.js';

/** An upright rectangle. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export const NOWHERE: Box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };

export function isEmpty(box: Box): boolean {
  return box.left > box.right || box.top > box.bottom;
}

export function union(one: Box, other: Box): Box {
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}

export function grown(box: Box, by: number): Box {
  return { left: box.left - by, top: box.top - by, right: box.right + by, bottom: box.bottom + by };
}

export function meets(one: Box, other: Box): boolean {
  return (
    one.left <= other.right && other.left <= one.right && one.top <= other.bottom && other.top <= one.bottom
  );
}

export function contains(outer: Box, inner: Box): boolean {
  return (
    outer.left <= inner.left &&
    outer.right >= inner.right &&
    outer.top <= inner.top &&
    outer.bottom >= inner.bottom
  );
}

export function around(points: Iterable<Point>): Box {
  let box = NOWHERE;
  for (const [x, y] of points) box = union(box, { left: x, top: y, right: x, bottom: y });
  return box;
}

export function middleOf(box: Box): Point {
  return [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
}

/** From scaled local coordinates to the page. */
export function toPage([x, y, , , angle]: Transform, [localX, localY]: Point): Point {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [x + localX * cos - localY * sin, y + localX * sin + localY * cos];
}

/** From the page to scaled local coordinates. */
export function toLocal([x, y, , , angle]: Transform, point: Point): Point {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [dx, dy] = [point[0] - x, point[1] - y];
  return [dx * cos + dy * sin, dy * cos - dx * sin];
}

/** The points of a stroke or line on the page. */
export function pointsOnPage(shape: Shape): Point[] {
  const points: Point[] = [];
  const { points: local, t } = shape;
  if (local === null) return points;
  for (let index = 0; index + 1 < local.length; index += 2) {
    points.push(toPage(t, [(local[index] ?? 0) * t[2], (local[index + 1] ?? 0) * t[3]]));
  }
  return points;
}

const boxes = new WeakMap<Shape, Box>();
const allBounds = new WeakMap<Shape, Box>();

/** What an object takes up in scaled local coordinates, without the width of its line. */
export function boxOf(shape: Shape, measure: Measure): Box {
  const known = boxes.get(shape);
  if (known !== undefined) return known;
  const box = measured(shape, measure);
  boxes.set(shape, box);
  return box;
}

function measured(shape: Shape, measure: Measure): Box {
  const [, , scaleX, scaleY] = shape.t;
  if (shape.type === 'text') {
    const { width, height } = layoutText(shape, measure);
    return { left: 0, top: 0, right: width, bottom: height };
  }
  if (shape.points === null) {
    const [x, y] = [(shape.w * scaleX) / 2, (shape.h * scaleY) / 2];
    return { left: -x, top: -y, right: x, bottom: y };
  }
  let [left, top, right, bottom] = [0, 0, 0, 0];
  const { points } = shape;
  for (let index = 0; index + 1 < points.length; index += 2) {
    const [x, y] = [(points[index] ?? 0) * scaleX, (points[index + 1] ?? 0) * scaleY];
    if (x < left) left = x;
    else if (x > right) right = x;
    if (y < top) top = y;
    else if (y > bottom) bottom = y;
  }
  return { left, top, right, bottom };
}

/** The corners on the page, clockwise from the top left. */
export function cornersOf(shape: Shape, measure: Measure): [Point, Point, Point, Point] {
  const { left, top, right, bottom } = boxOf(shape, measure);
  return [
    toPage(shape.t, [left, top]),
    toPage(shape.t, [right, top]),
    toPage(shape.t, [right, bottom]),
    toPage(shape.t, [left, bottom]),
  ];
}

/** How long the sides of an arrow's head are. */
export function headOf(width: number): number {
  return 8 + 3 * width;
}

/** What an object draws on, on the page: with its line, and a little more. */
export function boundsOf(shape: Shape, measure: Measure): Box {
  const known = allBounds.get(shape);
  if (known !== undefined) return known;
  const line = shape.type === 'arrow' ? headOf(shape.width) + shape.width : shape.width / 2;
  // The letters of a font may be a little outside of their line, and a note has a shadow.
  const more = hasText(shape) ? Math.max(8, shape.fontSize * shape.t[3] * 0.4) : 0;
  const bounds = grown(around(cornersOf(shape, measure)), line + more + 1);
  allBounds.set(shape, bounds);
  return bounds;
}

/** Whether an object is under a point, give or take. */
export function isHit(shape: Shape, point: Point, reach: number, measure: Measure): boolean {
  const bounds = boundsOf(shape, measure);
  const [x, y] = point;
  if (x < bounds.left - reach || x > bounds.right + reach) return false;
  if (y < bounds.top - reach || y > bounds.bottom + reach) return false;
  return distanceTo(shape, point, measure) <= reach;
}

/** How far a point of the page is from what an object draws; 0 within. */
export function distanceTo(shape: Shape, point: Point, measure: Measure): number {
  if (shape.points !== null) {
    const points = pointsOnPage(shape);
    return Math.max(0, fromLine(points, point) - shape.width / 2);
  }
  const local = toLocal(shape.t, point);
  const box = boxOf(shape, measure);
  const line = shape.type === 'rectangle' || shape.type === 'ellipse' ? shape.width / 2 : 0;
  const signed = shape.type === 'ellipse' ? fromEllipse(box, local) : fromBox(box, local);
  const isOpen = line > 0 && shape.fill === null;
  return isOpen ? Math.max(0, Math.abs(signed) - line) : Math.max(0, signed - line);
}

function fromLine(points: readonly Point[], point: Point): number {
  const [first] = points;
  if (first === undefined) return Infinity;
  let nearest = Math.hypot(point[0] - first[0], point[1] - first[1]);
  for (let index = 1; index < points.length; index++) {
    const [a, b] = [points[index - 1], points[index]];
    if (a !== undefined && b !== undefined) nearest = Math.min(nearest, fromSegment(point, a, b));
  }
  return nearest;
}

/** Negative inside. */
function fromBox(box: Box, [x, y]: Point): number {
  const [midX, midY] = middleOf(box);
  const dx = Math.abs(x - midX) - (box.right - box.left) / 2;
  const dy = Math.abs(y - midY) - (box.bottom - box.top) / 2;
  if (dx <= 0 && dy <= 0) return Math.max(dx, dy);
  return Math.hypot(Math.max(0, dx), Math.max(0, dy));
}

/** Negative inside; near the line it is the distance, farther away about that. */
function fromEllipse(box: Box, [x, y]: Point): number {
  const [radiusX, radiusY] = [(box.right - box.left) / 2, (box.bottom - box.top) / 2];
  const [dx, dy] = [x / radiusX, y / radiusY];
  const out = Math.hypot(dx, dy);
  const slope = Math.hypot(dx / radiusX, dy / radiusY);
  return slope === 0 ? -Math.min(radiusX, radiusY) : ((out - 1) * out) / slope;
}

/** Whether a line from `a` to `b` comes within `reach` of an object. */
export function isCrossed(shape: Shape, a: Point, b: Point, reach: number, measure: Measure): boolean {
  if (!meets(grown(boundsOf(shape, measure), reach), around([a, b]))) return false;
  // In steps no longer than what it reaches: nothing is jumped over.
  const steps = Math.max(1, Math.ceil(Math.hypot(b[0] - a[0], b[1] - a[1]) / Math.max(0.5, reach)));
  for (let step = 0; step <= steps; step++) {
    const t = step / steps;
    if (distanceTo(shape, [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t], measure) <= reach)
      return true;
  }
  return false;
}

/** What is done to objects at once. */
export type Change = LiveMove['by'];

export const NO_CHANGE: Change = { x: 0, y: 0, scaleX: 1, scaleY: 1, axis: 0, angle: 0, dx: 0, dy: 0 };

/** Whether two directions are the same but for quarter turns: a box along one can be made wider along the other. */
export function isAligned(angle: number, axis: number): boolean {
  const quarters = (angle - axis) / (Math.PI / 2);
  return Math.abs(quarters - Math.round(quarters)) < 1e-3;
}

/** A transform after a change. */
export function changed(t: Transform, { x, y, scaleX, scaleY, axis, angle, dx, dy }: Change): Transform {
  let [px, py, sx, sy, a] = t;
  if (scaleX !== 1 || scaleY !== 1) {
    const [cos, sin] = [Math.cos(axis), Math.sin(axis)];
    const along = ((px - x) * cos + (py - y) * sin) * scaleX;
    const across = ((py - y) * cos - (px - x) * sin) * scaleY;
    [px, py] = [x + along * cos - across * sin, y + along * sin + across * cos];
    const isTurned = Math.round((a - axis) / (Math.PI / 2)) % 2 !== 0;
    if (!isAligned(a, axis)) {
      const both = Math.sqrt(scaleX * scaleY);
      [sx, sy] = [sx * both, sy * both];
    } else {
      [sx, sy] = isTurned ? [sx * scaleY, sy * scaleX] : [sx * scaleX, sy * scaleY];
    }
  }
  if (angle !== 0) {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    [px, py] = [x + (px - x) * cos - (py - y) * sin, y + (px - x) * sin + (py - y) * cos];
    a = wrappedAngle(a + angle);
  }
  return [place(px + dx), place(py + dy), scale(sx), scale(sy), rounded(a, 1e5)];
}

function wrappedAngle(angle: number): number {
  const turn = 2 * Math.PI;
  return angle - turn * Math.round(angle / turn);
}

function rounded(value: number, parts: number): number {
  return Math.round(value * parts) / parts;
}

function place(value: number): number {
  return rounded(Math.min(FARTHEST, Math.max(-FARTHEST, value)), 100);
}

function scale(value: number): number {
  return Math.min(1e4, Math.max(1e-4, rounded(value, 1e6)));
}

/** Whether an object can be given any size, or only larger and smaller as it is. */
export function isFree(shape: Shape): boolean {
  return shape.type !== 'image' && (shape.type !== 'text' || shape.w > 0);
}
