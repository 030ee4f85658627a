import * as Y from 'yjs';
import { decodePoints, type Points } from './points.js';
import { isOrder } from './order.js';

/** Kinds of objects. What a later version adds is kept in the document and not shown. */
export const TYPES = [
  'pen',
  'marker',
  'line',
  'arrow',
  'rectangle',
  'ellipse',
  'text',
  'note',
  'image',
] as const;
export type ShapeType = (typeof TYPES)[number];

/**
 * Where an object is: its local coordinates are scaled, turned (radians, clockwise) and moved. Kept under one key, so
 * that a thousand drags leave one value.
 */
export type Transform = readonly [x: number, y: number, scaleX: number, scaleY: number, angle: number];

/** An object as it stands in a document: read, checked, and never changed. */
export interface Shape {
  readonly id: string;
  readonly type: ShapeType;
  readonly page: string;
  readonly order: string;
  readonly t: Transform;
  /** A name of the palette, or #rrggbb. */
  readonly color: string;
  /** Null is none. */
  readonly fill: string | null;
  /** Width of lines, in board units, whatever the scale. */
  readonly width: number;
  readonly dashed: boolean;
  /** Of strokes, lines and arrows: local coordinates, the first is (0, 0). */
  readonly points: Points | null;
  /** How hard the pencil was pressed at each point, 0 to 255; null draws all with the same width. */
  readonly pressure: Uint8Array | null;
  /** Size in local units of what is a box, around (0, 0). Of a text, 0 is as wide as it is. */
  readonly w: number;
  readonly h: number;
  readonly text: string;
  /** Board units. */
  readonly fontSize: number;
  /** Id of the image. */
  readonly image: string;
  readonly locked: boolean;
  readonly group: string | null;
}

/** Nothing lies farther out, in board units. */
export const FARTHEST = 1_000_000;
export const MAX_TEXT = 20_000;

export function isStroke(shape: Pick<Shape, 'type'>): boolean {
  return shape.type === 'pen' || shape.type === 'marker';
}

export function hasPoints(shape: Pick<Shape, 'type'>): boolean {
  return isStroke(shape) || shape.type === 'line' || shape.type === 'arrow';
}

export function hasText(shape: Pick<Shape, 'type'>): boolean {
  return shape.type === 'text' || shape.type === 'note';
}

export function isColor(value: unknown): value is string {
  return typeof value === 'string' && /^(#[0-9a-f]{6}|[a-z]{1,16})$/.test(value);
}

export function isTransform(value: unknown): value is Transform {
  if (!Array.isArray(value) || value.length !== 5) return false;
  const [x, y, scaleX, scaleY, angle] = value as unknown[];
  return (
    within(x, FARTHEST) &&
    within(y, FARTHEST) &&
    isScale(scaleX) &&
    isScale(scaleY) &&
    within(angle, FARTHEST)
  );
}

function within(value: unknown, most: number): value is number {
  return typeof value === 'number' && Math.abs(value) <= most;
}

function isScale(value: unknown): value is number {
  return typeof value === 'number' && value >= 1e-4 && value <= 1e4;
}

/** `value` if it is a number from `least` to `most`, else what is usual. */
function number(value: unknown, least: number, most: number, usual: number): number {
  return typeof value === 'number' && value >= least && value <= most ? value : usual;
}

/** Decoded once: Yjs gives the same bytes as long as nobody sets others. */
const decoded = new WeakMap<Uint8Array, Points>();

function pointsOf(bytes: unknown): Points | null {
  if (!(bytes instanceof Uint8Array)) return null;
  const known = decoded.get(bytes);
  if (known !== undefined) return known;
  const points = decodePoints(bytes);
  decoded.set(bytes, points);
  return points;
}

/**
 * Reads an object of a document. Anybody who draws can put anything there: what cannot be shown gives null, what is out
 * of its range is as usual.
 */
export function readShape(id: string, object: unknown): Shape | null {
  if (!(object instanceof Y.Map)) return null;
  const map = object as Y.Map<unknown>;
  return readFields(id, (key) => {
    const value = map.get(key);
    return value instanceof Y.Text ? value.toJSON() : value;
  });
}

/** Reads an object by its fields, texts as strings. */
export function readFields(id: string, get: (key: string) => unknown): Shape | null {
  const type = TYPES.find((known) => known === get('type'));
  const [t, page, order] = [get('t'), get('page'), get('order')];
  if (type === undefined || !isTransform(t) || !isId(page)) return null;
  const points = hasPoints({ type }) ? pointsOf(get('points')) : null;
  if (hasPoints({ type }) && points === null) return null;
  const isBox = type !== 'text' && points === null;
  const [pressure, text, image, group] = [get('pressure'), get('text'), get('image'), get('group')];
  return {
    id,
    type,
    page,
    order: isOrder(order) ? order : 'V',
    t,
    color: color(get('color')) ?? 'ink',
    fill: color(get('fill')),
    width: number(get('width'), 0.05, 400, 2),
    dashed: get('dashed') === true,
    points,
    pressure: pressure instanceof Uint8Array && points !== null ? pressure : null,
    w: number(get('w'), isBox ? 0.1 : 0, 100_000, isBox ? 100 : 0),
    h: number(get('h'), isBox ? 0.1 : 0, 100_000, isBox ? 100 : 0),
    text: typeof text === 'string' && hasText({ type }) ? text.slice(0, MAX_TEXT) : '',
    fontSize: number(get('fontSize'), 2, 1_000, 20),
    image: isId(image) ? image : '',
    locked: get('locked') === true,
    group: isId(group) ? group : null,
  };
}

function color(value: unknown): string | null {
  return isColor(value) ? value : null;
}

/** Whether a value can be the id of a page, a group, an image or an object. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 64;
}

const ID_SIGNS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** A random id that nobody else makes: 72 bits. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => ID_SIGNS.charAt(byte & 63)).join('');
}
