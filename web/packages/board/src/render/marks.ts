import { boxOf, headOf } from '../model/geometry.js';
import type { Points } from '../model/points.js';
import type { Shape } from '../model/shape.js';
import { layoutText, LINE_HEIGHT, type Measure } from '../model/text.js';
import { areaColor, inkOn, lineColor, type Theme } from './palette.js';

/** What an object looks like, in scaled local coordinates: the one description that canvas and SVG are made of. */
export type Mark =
  | {
      kind: 'path';
      /** SVG path data. */
      d: string;
      fill: string | null;
      stroke: string | null;
      width: number;
      dash: readonly number[];
      alpha: number;
    }
  | {
      kind: 'text';
      lines: { text: string; x: number; y: number }[];
      fontSize: number;
      color: string;
      anchor: 'start' | 'middle';
    }
  | { kind: 'image'; image: string; x: number; y: number; width: number; height: number };

const MARKER_ALPHA = 0.38;
/** Where letters stand within their line, as a share of the font size. */
const BASELINE = (LINE_HEIGHT - 1) / 2 + 0.79;
const NOTE_RADIUS = 6;

export function marksOf(shape: Shape, theme: Theme, measure: Measure): Mark[] {
  const line = lineColor(shape.color, theme);
  switch (shape.type) {
    case 'pen':
    case 'marker':
      return [strokeMark(shape, line)];
    case 'line':
      return [lined(straight(shape), shape, line)];
    case 'arrow':
      return [lined(straight(shape), shape, line), { ...lined(head(shape), shape, line), dash: [] }];
    case 'rectangle':
      return [areaMark(rectangle(shape, measure, 0), shape, theme)];
    case 'ellipse':
      return [areaMark(ellipse(shape, measure), shape, theme)];
    case 'text':
      return [textMark(shape, line, measure)];
    case 'note':
      return note(shape, theme, measure);
    case 'image': {
      const { left, top, right, bottom } = boxOf(shape, measure);
      return [
        { kind: 'image', image: shape.image, x: left, y: top, width: right - left, height: bottom - top },
      ];
    }
  }
}

type PathMark = Extract<Mark, { kind: 'path' }>;

function lined(d: string, { width, dashed }: Shape, stroke: string): PathMark {
  const dash = dashed ? [Math.max(6, 3 * width), Math.max(6, 3 * width)] : [];
  return { kind: 'path', d, fill: null, stroke, width, dash, alpha: 1 };
}

function areaMark(d: string, shape: Shape, theme: Theme): PathMark {
  const fill = shape.fill === null ? null : areaColor(shape.fill, theme);
  return { ...lined(d, shape, lineColor(shape.color, theme)), fill };
}

function strokeMark(shape: Shape, color: string): PathMark {
  const alpha = shape.type === 'marker' ? MARKER_ALPHA : 1;
  const d = strokePath(shape);
  if (shape.pressure !== null) {
    return { kind: 'path', d, fill: color, stroke: null, width: 0, dash: [], alpha };
  }
  return { ...lined(d, shape, color), alpha };
}

/** Paths of strokes by their points: moving a stroke does not make its path anew. */
const paths = new WeakMap<Points, { made: string; d: string }>();

function strokePath({ points, pressure, width, t }: Shape): string {
  if (points === null) return '';
  const made = `${t[2]} ${t[3]} ${pressure === null ? '' : width}`;
  const known = paths.get(points);
  if (known?.made === made) return known.d;
  const scaled: [number, number][] = [];
  for (let index = 0; index + 1 < points.length; index += 2) {
    scaled.push([(points[index] ?? 0) * t[2], (points[index + 1] ?? 0) * t[3]]);
  }
  const d = pressure === null ? smooth(scaled) : ribbon(scaled, pressure, width);
  paths.set(points, { made, d });
  return d;
}

function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** A curve through the middles between the points, which are what it bends at. */
function smooth(points: readonly [number, number][]): string {
  const [first = [0, 0], second] = points;
  // A line without any length would not be drawn; this is a dot.
  if (second === undefined) return `M${n(first[0])} ${n(first[1])}h.01`;
  const parts = [`M${n(first[0])} ${n(first[1])}`];
  for (let index = 1; index + 1 < points.length; index++) {
    const [a, b] = [points[index] ?? first, points[index + 1] ?? first];
    parts.push(`Q${n(a[0])} ${n(a[1])} ${n((a[0] + b[0]) / 2)} ${n((a[1] + b[1]) / 2)}`);
  }
  const last = points.at(-1) ?? first;
  const isDot = points.every(([x, y]) => x === first[0] && y === first[1]);
  parts.push(isDot ? 'h.01' : `L${n(last[0])} ${n(last[1])}`);
  return parts.join('');
}

/** Half of a line's width at a pressure: a pencil that hardly touches still leaves a line. */
export function radiusOf(pressure: number, width: number): number {
  return (width / 2) * (0.3 + (1.1 * pressure) / 255);
}

/** The outline of a stroke whose width changes: along one side and back along the other, round at ends and corners. */
function ribbon(points: readonly [number, number][], pressure: Uint8Array, width: number): string {
  const radius = (index: number): number => radiusOf(pressure[index] ?? 128, width);
  const rounds: number[] = [0, points.length - 1];
  const [there, back]: [string[], string[]] = [[], []];
  let before: [number, number] | null = null;
  for (let index = 0; index < points.length; index++) {
    const point = points[index] ?? [0, 0];
    const [from, to] = [points[Math.max(0, index - 1)] ?? point, points[index + 1] ?? point];
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const length = Math.hypot(dx, dy);
    const next: [number, number] = length === 0 ? [0, 0] : [dx / length, dy / length];
    // At a sharp corner the two sides do not meet: a round joins them.
    if (before !== null && before[0] * next[0] + before[1] * next[1] < 0.6) rounds.push(index);
    before = next;
    const r = radius(index);
    there.push(`${n(point[0] + next[1] * r)} ${n(point[1] - next[0] * r)}`);
    back.push(`${n(point[0] - next[1] * r)} ${n(point[1] + next[0] * r)}`);
  }
  const parts = points.length > 1 ? [`M${[...there, ...back.reverse()].join('L')}Z`] : [];
  for (const index of new Set(rounds)) {
    const [[x, y], r] = [points[index] ?? [0, 0], n(radius(index))];
    const [left, right] = [n(x - radius(index)), n(x + radius(index))];
    // The same way round as the outline, so that where they overlap both count.
    parts.push(`M${left} ${n(y)}A${r} ${r} 0 0 1 ${right} ${n(y)}A${r} ${r} 0 0 1 ${left} ${n(y)}Z`);
  }
  return parts.join('');
}

function ends({ points, t }: Shape): { from: [number, number]; to: [number, number] } {
  const [x = 0, y = 0] = points?.slice(-2) ?? [];
  return { from: [0, 0], to: [x * t[2], y * t[3]] };
}

function straight(shape: Shape): string {
  const { from, to } = ends(shape);
  const isDot = from[0] === to[0] && from[1] === to[1];
  return `M${n(from[0])} ${n(from[1])}${isDot ? 'h.01' : `L${n(to[0])} ${n(to[1])}`}`;
}

function head(shape: Shape): string {
  const { from, to } = ends(shape);
  const direction = Math.atan2(to[1] - from[1], to[0] - from[0]);
  const long = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const side = Math.min(headOf(shape.width), Math.max(2 * shape.width, long * 0.6));
  const wing = (turn: number): string =>
    `${n(to[0] - side * Math.cos(direction + turn))} ${n(to[1] - side * Math.sin(direction + turn))}`;
  return `M${wing(0.5)}L${n(to[0])} ${n(to[1])}L${wing(-0.5)}`;
}

function rectangle(shape: Shape, measure: Measure, round: number): string {
  const { left, top, right, bottom } = boxOf(shape, measure);
  const r = Math.min(round, (right - left) / 2, (bottom - top) / 2);
  if (r === 0) return `M${n(left)} ${n(top)}H${n(right)}V${n(bottom)}H${n(left)}Z`;
  const arc = (x: number, y: number): string => `A${n(r)} ${n(r)} 0 0 1 ${n(x)} ${n(y)}`;
  return [
    `M${n(left + r)} ${n(top)}H${n(right - r)}${arc(right, top + r)}V${n(bottom - r)}`,
    `${arc(right - r, bottom)}H${n(left + r)}${arc(left, bottom - r)}V${n(top + r)}${arc(left + r, top)}Z`,
  ].join('');
}

function ellipse(shape: Shape, measure: Measure): string {
  const { left, right, bottom } = boxOf(shape, measure);
  const [rx, ry] = [n((right - left) / 2), n(bottom)];
  return `M${n(left)} 0A${rx} ${ry} 0 0 1 ${n(right)} 0A${rx} ${ry} 0 0 1 ${n(left)} 0Z`;
}

function textMark(shape: Shape, color: string, measure: Measure): Mark {
  const { lines, fontSize } = layoutText(shape, measure);
  const rows = lines.map((text, row) => ({ text, x: 0, y: fontSize * (row * LINE_HEIGHT + BASELINE) }));
  return { kind: 'text', lines: rows, fontSize, color, anchor: 'start' };
}

function note(shape: Shape, theme: Theme, measure: Measure): Mark[] {
  const fill = shape.fill ?? 'yellow';
  const { lines, fontSize, height } = layoutText(shape, measure);
  const rows = lines.map((text, row) => ({
    text,
    x: 0,
    y: fontSize * (row * LINE_HEIGHT + BASELINE) - height / 2,
  }));
  return [
    {
      kind: 'path',
      d: rectangle(shape, measure, NOTE_RADIUS),
      fill: areaColor(fill, theme),
      stroke: lineColor(fill, theme),
      width: 1,
      dash: [],
      alpha: 1,
    },
    { kind: 'text', lines: rows, fontSize, color: inkOn(fill, theme), anchor: 'middle' },
  ];
}
