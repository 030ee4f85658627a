import { readPng } from './png';

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** How many pixels of two parts, of one picture or of two, look otherwise: by more than a quarter of a channel. */
export function differingPixels(picture: Buffer, one: Rect, other: Rect, second = picture): number {
  const [a, b] = [readPng(picture), readPng(second)];
  let count = 0;
  for (let y = 0; y < one.height; y += 1) {
    for (let x = 0; x < one.width; x += 1) {
      const [from, to] = [(one.y + y) * a.width + one.x + x, (other.y + y) * b.width + other.x + x];
      const differs = [0, 1, 2].some(
        (channel) =>
          Math.abs((a.data[from * a.channels + channel] ?? 0) - (b.data[to * b.channels + channel] ?? 0)) >
          64,
      );
      if (differs) count += 1;
    }
  }
  return count;
}
