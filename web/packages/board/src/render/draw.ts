import { boundsOf, type Box, meets } from '../model/geometry.js';
import type { Shape } from '../model/shape.js';
import { FONT, type Measure } from '../model/text.js';
import { type Mark, marksOf } from './marks.js';
import { PALETTE, PAPER, type Theme } from './palette.js';

/** What drawing needs besides objects. */
export interface Env {
  theme: Theme;
  measure: Measure;
  /** A picture that is there; null while it is loading or where there is none. */
  image(id: string): CanvasImageSource | null;
}

/**
 * Which part of a page is drawn: a point (x, y) lies at pixel (x * scale - left, y * scale - top) of the canvas. `left` and
 * `top` are whole pixels, so that what is drawn after a move is the same picture, moved.
 */
export interface View {
  left: number;
  top: number;
  /** Pixels of the canvas per board unit. */
  scale: number;
}

/** What is needed of a canvas's context. */
export type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** The part of the page that a rectangle of pixels shows. */
export function pageBox(view: View, { left, top, right, bottom }: Box): Box {
  return {
    left: (left + view.left) / view.scale,
    top: (top + view.top) / view.scale,
    right: (right + view.left) / view.scale,
    bottom: (bottom + view.top) / view.scale,
  };
}

/** The pixels that a part of the page lies on, whole ones, with a margin for soft edges. */
export function pixelBox(view: View, { left, top, right, bottom }: Box): Box {
  return {
    left: Math.floor(left * view.scale - view.left) - 2,
    top: Math.floor(top * view.scale - view.top) - 2,
    right: Math.ceil(right * view.scale - view.left) + 2,
    bottom: Math.ceil(bottom * view.scale - view.top) + 2,
  };
}

/** Draws objects from the lowest to the topmost: the whole picture, from nothing. `paper` is what is under it. */
export function drawBoard(
  context: Context,
  shapes: Iterable<Shape>,
  view: View,
  size: { width: number; height: number },
  env: Env,
  paper: string | null = PAPER[env.theme],
): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  if (paper !== null) {
    context.fillStyle = paper;
    context.fillRect(0, 0, size.width, size.height);
  }
  const seen = pageBox(view, { left: 0, top: 0, right: size.width, bottom: size.height });
  for (const shape of shapes) {
    if (meets(boundsOf(shape, env.measure), seen)) drawShape(context, shape, view, env);
  }
}

interface Compiled {
  shape: Shape;
  theme: Theme;
  marks: { mark: Mark; path: Path2D | null }[];
}

/** What objects are drawn with, made once. By the points of strokes, which stay when a stroke is moved; else by object. */
const compiled = new WeakMap<object, Compiled>();

function looksAs(one: Shape, other: Shape): boolean {
  if (one === other) return true;
  return (
    one.t[2] === other.t[2] &&
    one.t[3] === other.t[3] &&
    one.color === other.color &&
    one.width === other.width &&
    one.dashed === other.dashed &&
    one.type === other.type &&
    one.pressure === other.pressure
  );
}

function compile(shape: Shape, env: Env): Compiled['marks'] {
  const key = shape.points ?? shape;
  const known = compiled.get(key);
  if (known?.theme === env.theme && looksAs(known.shape, shape)) return known.marks;
  const marks = marksOf(shape, env.theme, env.measure).map((mark) => ({
    mark,
    path: mark.kind === 'path' ? new Path2D(mark.d) : null,
  }));
  compiled.set(key, { shape, theme: env.theme, marks });
  return marks;
}

/** Draws one object over what is there. */
export function drawShape(context: Context, shape: Shape, view: View, env: Env): void {
  const [x, y, , , angle] = shape.t;
  const [cos, sin] = [Math.cos(angle) * view.scale, Math.sin(angle) * view.scale];
  context.setTransform(cos, sin, -sin, cos, x * view.scale - view.left, y * view.scale - view.top);
  for (const { mark, path } of compile(shape, env)) drawMark(context, mark, path, env);
}

function drawMark(context: Context, mark: Mark, path: Path2D | null, env: Env): void {
  if (mark.kind === 'path') {
    if (path === null) return;
    context.globalAlpha = mark.alpha;
    if (mark.fill !== null) {
      context.fillStyle = mark.fill;
      context.fill(path);
    }
    if (mark.stroke !== null) {
      context.strokeStyle = mark.stroke;
      context.lineWidth = mark.width;
      context.lineCap = context.lineJoin = 'round';
      context.setLineDash(mark.dash as number[]);
      context.stroke(path);
    }
    context.globalAlpha = 1;
  } else if (mark.kind === 'text') {
    context.font = `${mark.fontSize}px ${FONT}`;
    context.fillStyle = mark.color;
    context.textAlign = mark.anchor === 'start' ? 'left' : 'center';
    for (const { text, x, y } of mark.lines) context.fillText(text, x, y);
  } else {
    const { x, y, width, height } = mark;
    const image = env.image(mark.image);
    if (image !== null) {
      context.drawImage(image, x, y, width, height);
      return;
    }
    context.fillStyle = PALETTE.gray.area[env.theme];
    context.fillRect(x, y, width, height);
  }
}

/** Measures with a canvas, and remembers: the same words are measured again and again, until `forget`. */
export function measureWith(context: Context): Measure & { forget(): void } {
  const known = new Map<string, number>();
  // Letters of a large font are measured: small ones are rounded on some systems.
  const SIZE = 100;
  const measure: Measure = (text, fontSize) => {
    let width = known.get(text);
    if (width === undefined) {
      context.font = `${SIZE}px ${FONT}`;
      width = context.measureText(text).width / SIZE;
      if (known.size > 5_000) known.clear();
      known.set(text, width);
    }
    return width * fontSize;
  };
  return Object.assign(measure, { forget: () => known.clear() });
}
