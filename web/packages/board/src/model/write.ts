import * as Y from 'yjs';
import { fromBase64, toBase64 } from './base64.js';
import { encodePoints } from './points.js';
import { hasPoints, hasText, readFields, type Shape } from './shape.js';

/** What a new object is made of; what is left out is as usual. */
export type Draft = Pick<Shape, 'type' | 't'> & Partial<Omit<Shape, 'type' | 't' | 'id'>>;

/** The map of a new object. What is as usual is not written. */
export function objectOf(draft: Draft & Pick<Shape, 'page' | 'order'>): Y.Map<unknown> {
  const { type } = draft;
  const map = new Y.Map<unknown>();
  map.set('type', type);
  map.set('page', draft.page);
  map.set('order', draft.order);
  map.set('t', [...draft.t]);
  if (draft.color !== undefined && draft.color !== 'ink') map.set('color', draft.color);
  if (draft.fill != null) map.set('fill', draft.fill);
  if (draft.width !== undefined && draft.width !== 2) map.set('width', draft.width);
  if (draft.dashed === true) map.set('dashed', true);
  if (hasPoints(draft)) map.set('points', encodePoints(draft.points ?? []));
  else {
    if (draft.w !== undefined && draft.w > 0) map.set('w', draft.w);
    if (draft.h !== undefined && draft.h > 0) map.set('h', draft.h);
  }
  if (draft.pressure != null) map.set('pressure', draft.pressure);
  if (hasText(draft)) {
    // There from the start: two people who write at once write into one text.
    map.set('text', new Y.Text(draft.text ?? ''));
    if (draft.fontSize !== undefined && draft.fontSize !== 20) map.set('fontSize', draft.fontSize);
  }
  if (draft.image !== undefined && draft.image !== '') map.set('image', draft.image);
  if (draft.locked === true) map.set('locked', true);
  if (draft.group != null) map.set('group', draft.group);
  return map;
}

/**
 * An object as JSON, as the server's snapshots have it: bytes are `{"$bytes": base64}`, a shared text is
 * `{"$text": "..."}`.
 */
export type Plain = Record<string, unknown>;

export function toPlain(shape: Shape): Plain {
  const { type, page, order, points, pressure, image, group, fill, dashed, locked } = shape;
  const plain: Plain = { type, page, order, t: shape.t, color: shape.color, width: shape.width };
  if (points !== null) plain.points = { $bytes: toBase64(encodePoints(points)) };
  else Object.assign(plain, { w: shape.w, h: shape.h });
  if (pressure !== null) plain.pressure = { $bytes: toBase64(pressure) };
  if (hasText(shape)) Object.assign(plain, { text: { $text: shape.text }, fontSize: shape.fontSize });
  if (image !== '') plain.image = image;
  if (group !== null) plain.group = group;
  if (fill !== null) plain.fill = fill;
  if (dashed) plain.dashed = true;
  if (locked) plain.locked = true;
  return plain;
}

/** Reads what {@link toPlain} or the server made, or somebody else: null if nothing can be shown of it. */
export function fromPlain(id: string, value: unknown): Shape | null {
  if (typeof value !== 'object' || value === null) return null;
  const plain = value as Plain;
  return readFields(id, (key) => {
    const field = Object.hasOwn(plain, key) ? plain[key] : undefined;
    if (typeof field !== 'object' || field === null || Array.isArray(field)) return field;
    const { $bytes, $text } = field as Record<string, unknown>;
    if (typeof $text === 'string') return $text;
    return typeof $bytes === 'string' ? fromBase64($bytes) : undefined;
  });
}
