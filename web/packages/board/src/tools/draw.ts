import { toBase64 } from '../model/base64.js';
import { encodePoints, simplified } from '../model/points.js';
import { newId, type Shape, type ShapeType } from '../model/shape.js';
import type { Draft } from '../model/write.js';
import type { LiveStroke, Point } from '../types.js';
import type { Desk } from './desk.js';
import type { Gesture, Pointer } from './gesture.js';

/** Points that are sent again with each message: who missed one message misses nothing. */
const SENT_AGAIN = 40;
/** A stroke ends by itself here and another one goes on: nobody draws that long. */
const LONGEST = 8_000;

/** An object that is not in the document. */
export function draftShape(id: string, page: string, draft: Draft): Shape {
  return {
    id,
    page,
    order: 'z',
    color: 'ink',
    fill: null,
    width: 2,
    dashed: false,
    points: null,
    pressure: null,
    w: 0,
    h: 0,
    text: '',
    fontSize: 20,
    image: '',
    locked: false,
    group: null,
    ...draft,
  };
}

/** The scale of a stroke's coordinates: finer where the page is seen large, so that a line is as smooth as it was drawn. */
function fineness(zoom: number): number {
  return 2 ** Math.min(4, Math.max(-4, -Math.round(Math.log2(zoom))));
}

/** A line drawn by hand: pen and marker. */
export class Stroke implements Gesture {
  private id = newId();
  private points: Point[] = [];
  private pressures: number[] = [];
  private readonly zoom: number;

  constructor(
    private readonly desk: Desk,
    private readonly type: 'pen' | 'marker',
    pointer: Pointer,
  ) {
    this.zoom = desk.camera.get().zoom;
    this.put(pointer);
    this.show();
  }

  move(pointer: Pointer): void {
    this.put(pointer);
    if (this.points.length >= LONGEST) {
      this.write();
      this.id = newId();
      this.points = this.points.slice(-1);
      this.pressures = this.pressures.slice(-1);
    }
    this.show();
  }

  up(pointer: Pointer): void {
    this.put(pointer);
    this.write();
    this.desk.do({ stroke: null, draft: null });
  }

  cancel(): void {
    this.desk.do({ stroke: null, draft: null });
  }

  private put({ at, pressure }: Pointer): void {
    const last = this.points.at(-1);
    // Less than a third of a pixel is no movement.
    if (last !== undefined && Math.hypot(at[0] - last[0], at[1] - last[1]) * this.zoom < 0.33) return;
    this.points.push(at);
    this.pressures.push(Math.round((pressure ?? 0.5) * 255));
    if (pressure !== null) this.isPressed = true;
  }

  private isPressed = false;

  private draft(kept: readonly number[]): Draft {
    const { color, width, markerWidth } = this.desk.choice.get();
    const [x, y] = this.points[0] ?? [0, 0];
    const scale = fineness(this.zoom);
    const points = kept.flatMap((index) => {
      const [px, py] = this.points[index] ?? [x, y];
      return [(px - x) / scale, (py - y) / scale];
    });
    return {
      type: this.type,
      t: [x, y, scale, scale, 0],
      points: Float32Array.from(points),
      pressure: this.isPressed ? Uint8Array.from(kept, (index) => this.pressures[index] ?? 128) : null,
      color,
      width: this.type === 'marker' ? markerWidth : width,
    };
  }

  private write(): void {
    // What a pen wavers within a quarter of a pixel is the hand's or the mouse's, not the drawing's.
    const kept = this.isPressed
      ? this.points.map((_, index) => index)
      : simplified(this.points, 0.25 / this.zoom);
    this.desk.editor.add(this.desk.page.get(), this.draft(kept), this.id);
  }

  private show(): void {
    const page = this.desk.page.get();
    const all = this.points.map((_, index) => index);
    const draft = draftShape(this.id, page, this.draft(all));
    this.desk.do({ draft, stroke: this.live(page, draft) });
  }

  private live(page: string, { color, width }: Shape): LiveStroke {
    const from = Math.max(0, this.points.length - SENT_AGAIN);
    const [x, y] = this.points[from] ?? [0, 0];
    const part = this.points.slice(from).flatMap(([px, py]) => [px - x, py - y]);
    return {
      id: this.id,
      page,
      type: this.type,
      color,
      width,
      from,
      x: rounded(x),
      y: rounded(y),
      points: toBase64(encodePoints(part)),
    };
  }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

type Drawn = Extract<ShapeType, 'line' | 'arrow' | 'rectangle' | 'ellipse'>;

/** A line, arrow, rectangle or ellipse, from corner to corner. Shift makes it even, Alt grows it from its middle. */
export class Figure implements Gesture {
  private readonly id = newId();
  private readonly from: Point;

  constructor(
    private readonly desk: Desk,
    private readonly type: Drawn,
    pointer: Pointer,
  ) {
    this.from = pointer.at;
  }

  move(pointer: Pointer): void {
    const page = this.desk.page.get();
    const draft = this.draft(pointer);
    const { color, width } = this.desk.choice.get();
    const [a, b] = this.ends(pointer);
    this.desk.do({
      draft: draftShape(this.id, page, draft),
      stroke: {
        id: this.id,
        page,
        type: this.type,
        color,
        width,
        from: 0,
        x: rounded(a[0]),
        y: rounded(a[1]),
        points: toBase64(encodePoints([0, 0, b[0] - a[0], b[1] - a[1]])),
      },
    });
  }

  up(pointer: Pointer): void {
    const [a, b] = this.ends(pointer);
    const { zoom } = this.desk.camera.get();
    this.desk.do({ draft: null, stroke: null });
    // A mere touch draws nothing: nobody would find it again.
    if (Math.hypot(b[0] - a[0], b[1] - a[1]) * zoom < 4) return;
    const id = this.desk.editor.add(this.desk.page.get(), this.draft(pointer), this.id);
    this.desk.tool.set('select');
    this.desk.select([id]);
  }

  cancel(): void {
    this.desk.do({ draft: null, stroke: null });
  }

  private draft(pointer: Pointer): Draft {
    const [a, b] = this.ends(pointer);
    return figure(this.desk, this.type, a, b);
  }

  private ends({ at, shift, alt }: Pointer): [Point, Point] {
    const to = shift ? this.even(at) : at;
    if (!alt || this.type === 'line' || this.type === 'arrow') return [this.from, to];
    return [[2 * this.from[0] - to[0], 2 * this.from[1] - to[1]], to];
  }

  private even([x, y]: Point): Point {
    const [dx, dy] = [x - this.from[0], y - this.from[1]];
    if (this.type === 'line' || this.type === 'arrow') {
      const step = Math.PI / 12;
      const angle = Math.round(Math.atan2(dy, dx) / step) * step;
      const length = Math.hypot(dx, dy);
      return [this.from[0] + length * Math.cos(angle), this.from[1] + length * Math.sin(angle)];
    }
    const side = Math.max(Math.abs(dx), Math.abs(dy));
    return [this.from[0] + side * (dx < 0 ? -1 : 1), this.from[1] + side * (dy < 0 ? -1 : 1)];
  }
}

/** A figure between two points, as it is chosen to look. */
export function figure(desk: Desk, type: Drawn, a: Point, b: Point): Draft {
  const { color, fill, width, dashed } = desk.choice.get();
  if (type === 'line' || type === 'arrow') {
    const points = Float32Array.of(0, 0, b[0] - a[0], b[1] - a[1]);
    return { type, t: [a[0], a[1], 1, 1, 0], points, color, width, dashed };
  }
  const [w, h] = [Math.max(1, Math.abs(b[0] - a[0])), Math.max(1, Math.abs(b[1] - a[1]))];
  return { type, t: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, 1, 1, 0], w, h, color, fill, width, dashed };
}

/** Points at something; nothing of it stays. */
export class Laser implements Gesture {
  constructor(
    private readonly desk: Desk,
    pointer: Pointer,
  ) {
    desk.do({ laser: pointer.at });
  }

  move(pointer: Pointer): void {
    this.desk.do({ laser: pointer.at });
  }

  up(): void {
    this.desk.do({ laser: null });
  }

  cancel(): void {
    this.desk.do({ laser: null });
  }
}
