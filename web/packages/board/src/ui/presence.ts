import { fromBase64 } from '../model/base64.js';
import { type Change, changed } from '../model/geometry.js';
import { decodePoints } from '../model/points.js';
import { FARTHEST, isColor, isId, type Shape } from '../model/shape.js';
import { draftShape } from '../tools/draw.js';
import type { LiveMove, LiveStroke, Other, Point, PresenceState } from '../types.js';

const LIVE_TYPES = ['pen', 'marker', 'line', 'arrow', 'rectangle', 'ellipse'] as const;
const MOST_IDS = 500;

function isNumber(value: unknown, most = FARTHEST): value is number {
  return typeof value === 'number' && Math.abs(value) <= most;
}

function isPoint(value: unknown): value is Point {
  return Array.isArray(value) && value.length === 2 && value.every((part) => isNumber(part));
}

function ids(value: unknown): string[] {
  return Array.isArray(value) ? value.slice(0, MOST_IDS).filter(isId) : [];
}

/** What another page said of itself, as far as it makes sense: it may be any page's. */
export function readPresence(value: unknown): PresenceState {
  if (typeof value !== 'object' || value === null) return {};
  const given = value as Record<string, unknown>;
  const state: PresenceState = {};
  if (isId(given.page)) state.page = given.page;
  if (isPoint(given.cursor)) state.cursor = given.cursor;
  if (isPoint(given.laser)) state.laser = given.laser;
  if (given.presenting === true) state.presenting = true;
  const selection = ids(given.selection);
  if (selection.length > 0) state.selection = selection;
  const stroke = readStroke(given.stroke);
  if (stroke !== null) state.stroke = stroke;
  const moving = readMove(given.moving);
  if (moving !== null) state.moving = moving;
  const { x, y, width, height } = (given.view ?? {}) as Record<string, unknown>;
  if (isNumber(x) && isNumber(y) && isNumber(width) && isNumber(height) && width > 1 && height > 1) {
    state.view = { x, y, width, height };
  }
  return state;
}

function readStroke(value: unknown): LiveStroke | null {
  if (typeof value !== 'object' || value === null) return null;
  const { id, page, type, color, width, from, x, y, points } = value as Record<string, unknown>;
  const known = LIVE_TYPES.find((name) => name === type);
  if (!isId(id) || !isId(page) || known === undefined || !isColor(color)) return null;
  if (!isNumber(width, 400) || width <= 0 || !isNumber(from) || from < 0) return null;
  if (!isNumber(x) || !isNumber(y) || typeof points !== 'string' || points.length > 8_192) return null;
  return { id, page, type: known, color, width, from, x, y, points };
}

function readMove(value: unknown): LiveMove | null {
  if (typeof value !== 'object' || value === null) return null;
  const { ids: list, by } = value as Record<string, unknown>;
  if (typeof by !== 'object' || by === null) return null;
  const { x, y, scaleX, scaleY, axis, angle, dx, dy } = by as Record<string, unknown>;
  if (![x, y, axis, angle, dx, dy].every((part) => isNumber(part))) return null;
  if (!isNumber(scaleX, 1e4) || !isNumber(scaleY, 1e4) || scaleX <= 0 || scaleY <= 0) return null;
  return { ids: ids(list), by: by as Change };
}

interface Growing {
  last: LiveStroke;
  /** Points by their numbers; there may be holes where a message was lost. */
  pieces: { from: number; points: Point[] }[];
  /** When it was heard of last. */
  at: number;
}

/** So long is a stroke kept that nobody speaks of any more: its object is on the way. */
const PATIENCE_MS = 2_500;

/** The strokes that others are drawing, put together from what arrives. */
export class LiveStrokes {
  private readonly growing = new Map<number, Growing>();

  /** Takes what the others say; true if there is anything to draw otherwise. */
  take(others: ReadonlyMap<number, PresenceState>, isWritten: (id: string) => boolean, now: number): boolean {
    let differs = false;
    for (const [client, { stroke }] of others) {
      if (stroke === undefined || isWritten(stroke.id)) continue;
      const known = this.growing.get(client);
      if (known?.last === stroke) continue;
      differs = true;
      if (known?.last.id !== stroke.id || stroke.from < (known.pieces[0]?.from ?? 0)) {
        this.growing.set(client, { last: stroke, pieces: [pieceOf(stroke)], at: now });
        continue;
      }
      known.last = stroke;
      known.at = now;
      join(known.pieces, stroke);
    }
    return this.sweep(others, isWritten, now) || differs;
  }

  /** Forgets what is written by now, or nobody speaks of. */
  sweep(
    others: ReadonlyMap<number, PresenceState>,
    isWritten: (id: string) => boolean,
    now: number,
  ): boolean {
    let differs = false;
    for (const [client, { last, at }] of this.growing) {
      const isOn = others.get(client)?.stroke?.id === last.id;
      if (!isWritten(last.id) && (isOn || now - at < PATIENCE_MS)) continue;
      this.growing.delete(client);
      differs = true;
    }
    return differs;
  }

  /** What there is to draw on a page. */
  shapes(page: string): Shape[] {
    return [...this.growing.values()].flatMap(({ last, pieces }) =>
      last.page === page ? pieces.map((piece) => shapeOf(last, piece.points)) : [],
    );
  }

  get isEmpty(): boolean {
    return this.growing.size === 0;
  }
}

function pointsOf({ x, y, points }: LiveStroke): Point[] {
  const local = decodePoints(fromBase64(points) ?? new Uint8Array(0));
  return Array.from({ length: local.length / 2 }, (_, index): Point => [
    x + (local[2 * index] ?? 0),
    y + (local[2 * index + 1] ?? 0),
  ]);
}

function pieceOf(stroke: LiveStroke): Growing['pieces'][number] {
  return { from: stroke.from, points: pointsOf(stroke) };
}

function join(pieces: Growing['pieces'], stroke: LiveStroke): void {
  const last = pieces.at(-1);
  const points = pointsOf(stroke);
  // Figures are two points that are others each time.
  if (last === undefined || stroke.from > last.from + last.points.length) {
    pieces.push({ from: stroke.from, points });
  } else if (stroke.type === 'pen' || stroke.type === 'marker') {
    last.points.splice(stroke.from - last.from, last.points.length, ...points);
  } else {
    last.points = points;
  }
}

function shapeOf({ id, page, type, color, width }: LiveStroke, points: readonly Point[]): Shape {
  const [x, y] = points[0] ?? [0, 0];
  if (type === 'rectangle' || type === 'ellipse') {
    const [farX, farY] = points.at(-1) ?? [x, y];
    const [w, h] = [Math.max(1, Math.abs(farX - x)), Math.max(1, Math.abs(farY - y))];
    const t = [(x + farX) / 2, (y + farY) / 2, 1, 1, 0] as const;
    return draftShape(id, page, { type, t, w, h, color, width });
  }
  const local = Float32Array.from(points.flatMap(([px, py]) => [px - x, py - y]));
  return draftShape(id, page, { type, t: [x, y, 1, 1, 0], points: local, color, width });
}

/** Objects that others are moving, where they are now. */
export class LiveMoves {
  private readonly moves = new Map<number, { move: LiveMove; at: number }>();

  /** True if something is to be shown otherwise. */
  take(others: ReadonlyMap<number, PresenceState>, now: number): boolean {
    let differs = false;
    for (const [client, { moving }] of others) {
      if (moving === undefined || this.moves.get(client)?.move === moving) continue;
      this.moves.set(client, { move: moving, at: now });
      differs = true;
    }
    for (const [client, { at }] of this.moves) {
      if (others.get(client)?.moving !== undefined || now - at < 600) continue;
      this.moves.delete(client);
      differs = true;
    }
    return differs;
  }

  /** Objects were written: they are where they were moved to. */
  written(ids: ReadonlySet<string>): boolean {
    let differs = false;
    for (const [client, { move }] of this.moves) {
      if (!move.ids.some((id) => ids.has(id))) continue;
      this.moves.delete(client);
      differs = true;
    }
    return differs;
  }

  get isEmpty(): boolean {
    return this.moves.size === 0;
  }

  overrides(get: (id: string) => Shape | undefined): Map<string, Shape[]> {
    const overrides = new Map<string, Shape[]>();
    for (const { move } of this.moves.values()) {
      for (const id of move.ids) {
        const shape = get(id);
        if (shape !== undefined && !shape.locked) {
          overrides.set(id, [{ ...shape, t: changed(shape.t, move.by) }]);
        }
      }
    }
    return overrides;
  }
}

/** The colour of somebody, always the same. */
export function colorOf(from: string): string {
  let sum = 0;
  for (let index = 0; index < from.length; index++) sum = (sum * 31 + from.charCodeAt(index)) >>> 0;
  return NAME_COLORS[sum % NAME_COLORS.length] ?? '#1d66d6';
}

/** White letters can be read on them. */
const NAME_COLORS = [
  '#1d66d6',
  '#a8470a',
  '#7a3fd1',
  '#0d7272',
  '#b3246f',
  '#1f7a3d',
  '#b3261e',
  '#6b5a00',
  '#2b5d8a',
  '#8a3ffc',
];

export interface Seen {
  client: number;
  name: string;
  from: string;
  color: string;
  state: PresenceState;
}

/** Everybody else, read once for each thing that they say. */
export class Crowd {
  private readonly known = new Map<number, { other: Other; seen: Seen }>();

  take(others: ReadonlyMap<number, Other>): Map<number, Seen> {
    const all = new Map<number, Seen>();
    for (const [client, other] of others) {
      let known = this.known.get(client);
      if (known?.other !== other) {
        const seen = {
          client,
          name: other.name.slice(0, 40),
          from: other.from,
          color: colorOf(other.from),
          state: readPresence(other.state),
        };
        known = { other, seen };
        this.known.set(client, known);
      }
      all.set(client, known.seen);
    }
    for (const client of this.known.keys()) if (!others.has(client)) this.known.delete(client);
    return all;
  }
}
