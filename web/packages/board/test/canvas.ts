import { createCanvas, Path2D as SkiaPath } from '@napi-rs/canvas';
import type { Surface } from '../src/render/painter.js';

// What a browser has.
Object.assign(globalThis, { Path2D: SkiaPath });

/** A real canvas (Skia), without a browser. */
export function surface(width: number, height: number): Surface {
  const canvas = createCanvas(width, height);
  return {
    canvas: canvas as unknown as HTMLCanvasElement,
    context: canvas.getContext('2d') as unknown as CanvasRenderingContext2D,
  };
}

export function pixels({ canvas, context }: Surface): Uint8ClampedArray {
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/**
 * How many pixels look otherwise, both on white. Skia computes soft edges a little otherwise where a clip or the edge of
 * the canvas is near, by up to an eighth of a pixel: a quarter of a channel counts as the same.
 */
export function differing(one: Surface, other: Surface): number {
  const [a, b] = [onWhite(one), onWhite(other)];
  let count = 0;
  for (let at = 0; at < a.length; at += 4) {
    const off = [0, 1, 2].map((channel) => Math.abs((a[at + channel] ?? 0) - (b[at + channel] ?? 0)));
    if (Math.max(...off) > 60) count++;
  }
  return count;
}

function onWhite({ canvas }: Surface): Uint8ClampedArray {
  const paper = surface(canvas.width, canvas.height);
  paper.context.fillStyle = '#fff';
  paper.context.fillRect(0, 0, canvas.width, canvas.height);
  paper.context.drawImage(canvas, 0, 0);
  return pixels(paper);
}
