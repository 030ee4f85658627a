import { boundsOf, type Box, grown, isEmpty, NOWHERE, union } from '../model/geometry.js';
import type { Shape } from '../model/shape.js';
import { FONT, type Measure } from '../model/text.js';
import { drawBoard, type Env } from './draw.js';
import { type Mark, marksOf } from './marks.js';
import { PALETTE, PAPER, type Theme } from './palette.js';
import type { Surface } from './painter.js';

/** Room around what is exported, in board units. */
const MARGIN = 24;
/** Pixels along a side of an exported picture, and of all of it: what every browser can. */
const LONGEST_SIDE = 8_192;
const MOST_PIXELS = 16_000_000;

/** What objects take up together, with a margin; a small sheet if there are none. */
export function extentOf(shapes: readonly Shape[], measure: Measure): Box {
  const box = shapes.map((shape) => boundsOf(shape, measure)).reduce(union, NOWHERE);
  return isEmpty(box) ? { left: 0, top: 0, right: 400, bottom: 300 } : grown(box, MARGIN);
}

/** Draws objects on a new canvas, on paper, two pixels for a unit unless that is too large. */
export function drawPicture(
  shapes: readonly Shape[],
  env: Env,
  create: (width: number, height: number) => Surface,
): Surface {
  const { left, top, right, bottom } = extentOf(shapes, env.measure);
  const [across, down] = [right - left, bottom - top];
  const scale = Math.min(2, LONGEST_SIDE / Math.max(across, down), Math.sqrt(MOST_PIXELS / (across * down)));
  const size = { width: Math.ceil(across * scale), height: Math.ceil(down * scale) };
  const surface = create(size.width, size.height);
  const view = { left: Math.floor(left * scale), top: Math.floor(top * scale), scale };
  drawBoard(surface.context, shapes, view, size, env);
  return surface;
}

/** Objects as SVG. `href` says where a picture is, best as a data: URL; null leaves it grey. */
export function toSvg(
  shapes: readonly Shape[],
  theme: Theme,
  measure: Measure,
  href: (image: string) => string | null,
): string {
  const { left, top, right, bottom } = extentOf(shapes, measure);
  const [width, height] = [round(right - left), round(bottom - top)];
  const body = shapes.map((shape) => {
    const [x, y, , , angle] = shape.t;
    const turn = angle === 0 ? '' : ` rotate(${round((angle * 180) / Math.PI)})`;
    const marks = marksOf(shape, theme, measure).map((mark) => svgOf(mark, theme, href));
    return `<g transform="translate(${round(x)} ${round(y)})${turn}">${marks.join('')}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"`,
    ` viewBox="${round(left)} ${round(top)} ${width} ${height}">`,
    `<rect x="${round(left)}" y="${round(top)}" width="${width}" height="${height}" fill="${PAPER[theme]}"/>`,
    ...body,
    '</svg>',
  ].join('\n');
}

function svgOf(mark: Mark, theme: Theme, href: (image: string) => string | null): string {
  if (mark.kind === 'path') {
    const dash = mark.dash.length > 0 ? ` stroke-dasharray="${mark.dash.join(' ')}"` : '';
    const stroke =
      mark.stroke === null
        ? ''
        : ` stroke="${mark.stroke}" stroke-width="${mark.width}" stroke-linecap="round" stroke-linejoin="round"${dash}`;
    const alpha = mark.alpha === 1 ? '' : ` opacity="${mark.alpha}"`;
    return `<path d="${mark.d}" fill="${mark.fill ?? 'none'}"${stroke}${alpha}/>`;
  }
  if (mark.kind === 'text') {
    const rows = mark.lines.map(
      ({ text, x, y }) => `<tspan x="${round(x)}" y="${round(y)}">${escaped(text)}</tspan>`,
    );
    return `<text xml:space="preserve" font-family="${FONT}" font-size="${round(mark.fontSize)}" fill="${mark.color}" text-anchor="${mark.anchor}">${rows.join('')}</text>`;
  }
  const place = `x="${round(mark.x)}" y="${round(mark.y)}" width="${round(mark.width)}" height="${round(mark.height)}"`;
  const source = href(mark.image);
  if (source === null) return `<rect ${place} fill="${PALETTE.gray.area[theme]}"/>`;
  return `<image ${place} preserveAspectRatio="none" href="${escaped(source)}"/>`;
}

function escaped(text: string): string {
  return (
    text
      // What XML cannot hold at all.
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
