import {
  around,
  type Box,
  boundsOf,
  type Change,
  changed,
  contains,
  cornersOf,
  isAligned,
  isFree,
  meets,
  middleOf,
  NO_CHANGE,
  NOWHERE,
  toLocal,
  toPage,
  union,
} from '../model/geometry.js';
import type { Shape, Transform } from '../model/shape.js';
import type { LiveMove, Point } from '../types.js';
import type { Desk } from './desk.js';
import type { Gesture, Pointer } from './gesture.js';

/** CSS pixels that a pointer moves before it means to move something. */
const SLACK = 4;
/** Ids that are told to others while they are moved; more are seen when they are let go. */
const MOST_TOLD = 120;

/** What is around the selection: along the sides of a single object, upright around several. */
export interface Frame {
  /** The middle of its turning: a transform without scale, whose local coordinates the box is in. */
  t: Transform;
  box: Box;
  /** Whether its sides can be moved apart, or only its corners. */
  free: boolean;
}

export function frameOf(desk: Desk, shapes: readonly Shape[]): Frame | null {
  const [first] = shapes;
  if (first === undefined) return null;
  const { measure } = desk;
  if (shapes.length === 1) {
    const [a, b, c] = cornersOf(first, measure);
    const local = [a, b, c].map((corner) => toLocal(first.t, corner));
    return { t: first.t, box: around(local), free: isFree(first) };
  }
  const box = shapes.map((shape) => around(cornersOf(shape, measure))).reduce(union, NOWHERE);
  const free = shapes.every((shape) => isFree(shape) && isAligned(shape.t[4], 0));
  return { t: [0, 0, 1, 1, 0], box, free };
}

/** Shows, tells and at last writes a change of what is selected. */
abstract class Changing implements Gesture {
  protected readonly shapes: readonly Shape[];
  private by: Change = NO_CHANGE;

  constructor(protected readonly desk: Desk) {
    this.shapes = desk.selected().filter(({ locked }) => !locked);
  }

  protected abstract change(pointer: Pointer): Change | null;

  move(pointer: Pointer): void {
    const by = this.change(pointer);
    if (by === null) return;
    this.by = by;
    const overrides = new Map<string, readonly Shape[]>();
    for (const { id } of this.shapes) {
      // As it is now: others may change it meanwhile.
      const shape = this.desk.editor.scene.get(id);
      if (shape !== undefined) overrides.set(id, [{ ...shape, t: changed(shape.t, by) }]);
    }
    this.desk.override(overrides);
    const ids = this.shapes.slice(0, MOST_TOLD).map(({ id }) => id);
    this.desk.do({ moving: { ids, by: told(by) } });
  }

  up(pointer: Pointer): void {
    this.move(pointer);
    const { by } = this;
    this.desk.do({ moving: null });
    if (by !== NO_CHANGE) {
      this.desk.editor.change(
        this.shapes.map(({ id }) => id),
        by,
      );
    }
    this.desk.override(new Map());
  }

  cancel(): void {
    this.desk.do({ moving: null });
    this.desk.override(new Map());
  }
}

/** Fewer digits: it goes over the line many times a second. */
function told(by: Change): LiveMove['by'] {
  const short = (value: number): number => Math.round(value * 1_000) / 1_000;
  return {
    x: short(by.x),
    y: short(by.y),
    scaleX: short(by.scaleX),
    scaleY: short(by.scaleY),
    axis: short(by.axis),
    angle: short(by.angle),
    dx: short(by.dx),
    dy: short(by.dy),
  };
}

/** Moves what is selected. Shift keeps to one direction; Alt leaves copies behind. */
export class Move extends Changing {
  private begun = false;

  constructor(
    desk: Desk,
    private readonly from: Pointer,
    /** What a mere click does. */
    private readonly click: () => void,
  ) {
    super(desk);
  }

  override up(pointer: Pointer): void {
    if (!this.begun && this.change(pointer) === null) {
      this.click();
      return;
    }
    if (pointer.alt) {
      const by = this.change(pointer) ?? NO_CHANGE;
      this.cancel();
      this.desk.select(
        this.desk.editor.duplicate(
          this.shapes.map(({ id }) => id),
          by,
        ),
      );
      return;
    }
    super.up(pointer);
  }

  protected change({ at, screen, shift }: Pointer): Change | null {
    const [sx, sy] = [screen[0] - this.from.screen[0], screen[1] - this.from.screen[1]];
    if (!this.begun && Math.hypot(sx, sy) < SLACK) return null;
    this.begun = true;
    let [dx, dy] = [at[0] - this.from.at[0], at[1] - this.from.at[1]];
    if (shift) [dx, dy] = Math.abs(dx) > Math.abs(dy) ? [dx, 0] : [0, dy];
    return { ...NO_CHANGE, dx, dy };
  }
}

/** A handle of the frame: -1 is left or top, 1 right or bottom, 0 neither. */
export interface Handle {
  x: -1 | 0 | 1;
  y: -1 | 0 | 1;
}

export const HANDLES: readonly Handle[] = [
  { x: -1, y: -1 },
  { x: 0, y: -1 },
  { x: 1, y: -1 },
  { x: 1, y: 0 },
  { x: 1, y: 1 },
  { x: 0, y: 1 },
  { x: -1, y: 1 },
  { x: -1, y: 0 },
];

/** How a change of size at a handle scales: the other side stays where it is, or with `even` the middle. */
export function resize(
  frame: Frame,
  handle: Handle,
  by: Point,
  even: boolean,
  proportional: boolean,
): Change {
  const { t, box } = frame;
  const [width, height] = [Math.max(0.01, box.right - box.left), Math.max(0.01, box.bottom - box.top)];
  const twice = even ? 2 : 1;
  const part = (side: number, size: number, moved: number): number =>
    side === 0 ? 1 : Math.max(Math.min(1, 2 / size), (size + side * moved * twice) / size);
  let [scaleX, scaleY] = [part(handle.x, width, by[0]), part(handle.y, height, by[1])];
  if (proportional || !frame.free) {
    const both = handle.x === 0 ? scaleY : handle.y === 0 ? scaleX : Math.max(scaleX, scaleY);
    [scaleX, scaleY] = [both, both];
  }
  const anchor = (side: number, low: number, high: number): number =>
    even || side === 0 ? (low + high) / 2 : side < 0 ? high : low;
  const fixed: Point = [anchor(handle.x, box.left, box.right), anchor(handle.y, box.top, box.bottom)];
  const [x, y] = toPage(t, fixed);
  return { ...NO_CHANGE, x, y, scaleX, scaleY, axis: t[4] };
}

/** Makes what is selected larger or smaller. */
export class Resize extends Changing {
  private readonly frame: Frame | null;

  constructor(
    desk: Desk,
    private readonly handle: Handle,
    private readonly from: Pointer,
  ) {
    super(desk);
    this.frame = frameOf(desk, this.shapes);
  }

  protected change({ at, shift, alt }: Pointer): Change | null {
    if (this.frame === null) return null;
    const { t } = this.frame;
    const [a, b] = [toLocal(t, this.from.at), toLocal(t, at)];
    return resize(this.frame, this.handle, [b[0] - a[0], b[1] - a[1]], alt, shift);
  }
}

/** Turns what is selected about its middle; Shift in steps of 15 degrees. */
export class Turn extends Changing {
  private readonly about: Point;
  private readonly angle: number;

  constructor(desk: Desk, from: Pointer) {
    super(desk);
    const frame = frameOf(desk, this.shapes);
    this.about = frame === null ? from.at : toPage(frame.t, middleOf(frame.box));
    this.angle = Math.atan2(from.at[1] - this.about[1], from.at[0] - this.about[0]);
  }

  protected change({ at, shift }: Pointer): Change {
    const [x, y] = this.about;
    let angle = Math.atan2(at[1] - y, at[0] - x) - this.angle;
    const step = Math.PI / 12;
    if (shift) {
      const own = this.shapes.length === 1 ? (this.shapes[0]?.t[4] ?? 0) : 0;
      angle = Math.round((own + angle) / step) * step - own;
    }
    return { ...NO_CHANGE, x, y, angle };
  }
}

/** Drags one end of a line or arrow. */
export class DragEnd implements Gesture {
  private done: Pick<Shape, 't' | 'points'> | null = null;

  constructor(
    private readonly desk: Desk,
    private readonly shape: Shape,
    private readonly end: 0 | 1,
  ) {}

  move({ at, shift }: Pointer): void {
    const [x = 0, y = 0] = this.shape.points?.slice(-2) ?? [];
    const { t } = this.shape;
    const far = toPage(t, [x * t[2], y * t[3]]);
    const fixed: Point = this.end === 0 ? far : [t[0], t[1]];
    const moved = shift ? straightened(fixed, at) : at;
    const [a, b] = this.end === 0 ? [moved, fixed] : [fixed, moved];
    this.done = {
      t: [Math.round(a[0] * 100) / 100, Math.round(a[1] * 100) / 100, 1, 1, 0],
      points: Float32Array.of(0, 0, b[0] - a[0], b[1] - a[1]),
    };
    this.desk.override(new Map([[this.shape.id, [{ ...this.shape, ...this.done }]]]));
  }

  up(pointer: Pointer): void {
    this.move(pointer);
    if (this.done !== null) this.desk.editor.reshape(this.shape.id, this.done);
    this.cancel();
  }

  cancel(): void {
    this.desk.override(new Map());
  }
}

function straightened(from: Point, to: Point): Point {
  const step = Math.PI / 12;
  const angle = Math.round(Math.atan2(to[1] - from[1], to[0] - from[0]) / step) * step;
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  return [from[0] + length * Math.cos(angle), from[1] + length * Math.sin(angle)];
}

/** Selects what lies within a rectangle; Shift adds to what is selected. */
export class Marquee implements Gesture {
  private readonly before: ReadonlySet<string>;

  constructor(
    private readonly desk: Desk,
    private readonly from: Pointer,
  ) {
    this.before = from.shift ? desk.selection.get() : new Set();
    if (!from.shift) desk.select([]);
  }

  move({ at }: Pointer): void {
    const box = around([this.from.at, at]);
    this.desk.do({ marquee: box });
    const { editor, page } = this.desk;
    const inside = editor.scene
      .page(page.get())
      .filter((shape) => !shape.locked && isWithin(shape, box, this.desk))
      .map(({ id }) => id);
    this.desk.select([...this.before, ...inside]);
  }

  up(): void {
    this.desk.do({ marquee: null });
  }

  cancel(): void {
    this.desk.do({ marquee: null });
    this.desk.select(this.before);
  }
}

/** Lies in a rectangle with all it has, but for its line. */
function isWithin(shape: Shape, box: Box, { measure }: Desk): boolean {
  if (!meets(boundsOf(shape, measure), box)) return false;
  return contains(box, around(cornersOf(shape, measure)));
}
