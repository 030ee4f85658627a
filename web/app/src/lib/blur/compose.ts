import type { Network } from './network';

/** What the network looks at. */
export const LOOK = { height: 96, width: 160 } as const;
/** The background has so few pixels: enlarged, nothing in it can be recognised. */
const FAR = { height: 27, width: 48 } as const;
/** How far each pixel of it is mixed with its neighbours, and how often. */
const RADIUS = 1;
const PASSES = 3;
/** The person is looked for this often at most. */
const LOOK_MS = 80;
/** Looking takes at most this part of the time of a core. */
const SHARE = 1 / 3;
/** How much of what was seen before stays: the edge does not flicker. */
const INERTIA = 0.35;

/** Paints pictures whose background is blurred. */
export class Composer {
  private readonly look = surface(LOOK);
  private readonly far = surface(FAR);
  private readonly mask = surface(LOOK);
  private readonly colours = new Float32Array(LOOK.height * LOOK.width * 3);
  private readonly alpha = new ImageData(LOOK.width, LOOK.height);
  private readonly seen = new Float32Array(LOOK.height * LOOK.width);
  private nextLookMs = 0;

  constructor(
    private readonly network: Network,
    private readonly now: () => number,
  ) {}

  /** Paints `picture` into `out`, over all of it. */
  paint(picture: CanvasImageSource, out: OffscreenCanvasRenderingContext2D): void {
    const { width, height } = out.canvas;
    this.look.drawImage(picture, 0, 0, LOOK.width, LOOK.height);
    const startMs = this.now();
    if (startMs >= this.nextLookMs) {
      this.find();
      this.nextLookMs = startMs + Math.max(LOOK_MS, (this.now() - startMs) / SHARE);
    }
    this.blur();
    out.imageSmoothingQuality = 'high';
    // The person, cut out; then what is behind it.
    out.globalCompositeOperation = 'copy';
    out.drawImage(this.mask.canvas, 0, 0, width, height);
    out.globalCompositeOperation = 'source-in';
    out.drawImage(picture, 0, 0, width, height);
    out.globalCompositeOperation = 'destination-over';
    out.drawImage(this.far.canvas, 0, 0, width, height);
  }

  private find(): void {
    const { data } = this.look.getImageData(0, 0, LOOK.width, LOOK.height);
    const { colours, seen, alpha } = this;
    for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
      colours[to] = (data[from] ?? 0) / 255;
      colours[to + 1] = (data[from + 1] ?? 0) / 255;
      colours[to + 2] = (data[from + 2] ?? 0) / 255;
    }
    const person = this.network.run(colours);
    for (let at = 0; at < seen.length; at += 1) {
      const value = INERTIA * (seen[at] ?? 0) + (1 - INERTIA) * (person[at] ?? 0);
      seen[at] = value;
      alpha.data[4 * at + 3] = 255 * opacity(value);
    }
    this.mask.putImageData(alpha, 0, 0);
  }

  private blur(): void {
    const { far } = this;
    far.drawImage(this.look.canvas, 0, 0, FAR.width, FAR.height);
    const pixels = far.getImageData(0, 0, FAR.width, FAR.height);
    for (let pass = 0; pass < PASSES; pass += 1) mixNeighbours(pixels.data, FAR.width, FAR.height, RADIUS);
    far.putImageData(pixels, 0, 0);
  }
}

/** A person is in front where it is likely enough, and the edge is soft. */
export function opacity(likely: number): number {
  const t = Math.min(Math.max((likely - 0.35) / 0.4, 0), 1);
  return t * t * (3 - 2 * t);
}

/** Each pixel becomes the mean of those around it, along both directions; what is outside is as the edge. */
export function mixNeighbours(
  pixels: Uint8ClampedArray,
  width: number,
  height: number,
  radius: number,
): void {
  const along = (lines: number, length: number, line: number, step: number): void => {
    const before = new Uint8ClampedArray(length * 4);
    for (let y = 0; y < lines; y += 1) {
      for (let x = 0; x < length; x += 1)
        for (let part = 0; part < 4; part += 1)
          before[4 * x + part] = pixels[y * line + x * step + part] ?? 0;
      for (let x = 0; x < length; x += 1) {
        for (let part = 0; part < 4; part += 1) {
          let sum = 0;
          for (let by = -radius; by <= radius; by += 1) {
            const at = Math.min(Math.max(x + by, 0), length - 1);
            sum += before[4 * at + part] ?? 0;
          }
          pixels[y * line + x * step + part] = sum / (2 * radius + 1);
        }
      }
    }
  };
  along(height, width, 4 * width, 4);
  along(width, height, 4, 4 * width);
}

function surface(size: { width: number; height: number }): OffscreenCanvasRenderingContext2D {
  const canvas = new OffscreenCanvas(size.width, size.height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('no canvas');
  context.imageSmoothingQuality = 'medium';
  return context;
}
