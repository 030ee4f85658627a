// @vitest-environment node
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mixNeighbours, opacity } from './compose';
import { convolve, depthwise, doubled, pointwise, type Size, windowOf } from './kernels';
import { readModel } from './model';
import { buildNetwork } from './network';

/** The same numbers each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

describe('the arithmetic', () => {
  const next = numbers(7);
  const some = (length: number): Float32Array => Float32Array.from({ length }, () => next() - 0.5);

  /** By its definition, a number at a time. */
  function slowly(
    input: Float32Array,
    size: Size,
    out: Size,
    edge: number,
    stride: number,
    each: Weigh,
  ): number[] {
    const window = windowOf(size, out, edge, edge, stride);
    const result: number[] = [];
    for (let y = 0; y < out.height; y += 1)
      for (let x = 0; x < out.width; x += 1)
        for (let channel = 0; channel < out.depth; channel += 1)
          result.push(
            each(channel, (wy, wx, depth) => {
              const [inY, inX] = [y * stride + wy - window.top, x * stride + wx - window.left];
              const isInside = inY >= 0 && inY < size.height && inX >= 0 && inX < size.width;
              return isInside ? (input[(inY * size.width + inX) * size.depth + depth] ?? NaN) : 0;
            }),
          );
    return result;
  }
  type Weigh = (channel: number, at: (wy: number, wx: number, depth: number) => number) => number;

  function near(found: Float32Array, wanted: readonly number[]): void {
    expect(found).toHaveLength(wanted.length);
    wanted.forEach((value, index) => expect(found[index]).toBeCloseTo(value, 4));
  }

  it.each([
    [3, 1],
    [3, 2],
    [5, 2],
  ])('of windows of %i that move by %i is that of their definition', (edge, stride) => {
    const size = { height: 7, width: 6, depth: 3 };
    const smaller = { height: Math.ceil(7 / stride), width: Math.ceil(6 / stride) };
    const input = some(7 * 6 * 3);
    const window = (out: Size) => windowOf(size, out, edge, edge, stride);

    const each: Size = { ...smaller, depth: 3 };
    const own = [some(edge * edge * 3), some(3)] as const;
    const byChannel = new Float32Array(each.height * each.width * 3);
    depthwise(input, size, ...own, byChannel, each, window(each));
    const parts = Array.from({ length: edge * edge }, (_, at) => [Math.floor(at / edge), at % edge] as const);
    near(
      byChannel,
      slowly(input, size, each, edge, stride, (channel, at) =>
        parts.reduce(
          (sum, [wy, wx], part) => sum + at(wy, wx, channel) * (own[0][part * 3 + channel] ?? NaN),
          own[1][channel] ?? NaN,
        ),
      ),
    );

    // More outputs than are made at a time, and some left over.
    const all: Size = { ...smaller, depth: 11 };
    const [weights, bias] = [some(11 * edge * edge * 3), some(11)];
    const together = new Float32Array(all.height * all.width * 11);
    convolve(input, size, weights, bias, together, all, window(all), new Float32Array(edge * edge * 3));
    near(
      together,
      slowly(input, size, all, edge, stride, (channel, at) => {
        let sum = bias[channel] ?? NaN;
        parts.forEach(([wy, wx], part) => {
          for (let depth = 0; depth < 3; depth += 1)
            sum += at(wy, wx, depth) * (weights[channel * edge * edge * 3 + part * 3 + depth] ?? NaN);
        });
        return sum;
      }),
    );
  });

  it('of single pixels is that of a window of one', () => {
    const size = { height: 2, width: 3, depth: 5 };
    const out = { ...size, depth: 9 };
    const [input, weights, bias] = [some(30), some(45), some(9)];
    const [a, b] = [new Float32Array(54), new Float32Array(54)];
    pointwise(input, weights, bias, a, 6);
    convolve(input, size, weights, bias, b, out, windowOf(size, out, 1, 1, 1), new Float32Array(5));
    near(a, [...b]);
  });

  it('of twice the size keeps what is there', () => {
    const output = new Float32Array(16);
    doubled(Float32Array.of(0, 2, 4, 6), { height: 2, width: 2, depth: 1 }, output);
    expect([...output]).toEqual([0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 4, 5, 6, 6]);
  });
});

/** A busy machine takes its time for millions of products. */
const LONG_MS = 60_000;

describe('the network', () => {
  it(
    'is read from its file, and says of each pixel how likely it is a person',
    { timeout: LONG_MS },
    async () => {
      const file = await readFile(join(import.meta.dirname, 'selfie_segmentation_landscape.tflite'));
      const model = readModel(Uint8Array.from(file).buffer);
      const network = buildNetwork(model, 96, 160);
      const next = numbers(3);
      const found = network.run(Float32Array.from({ length: 96 * 160 * 3 }, next));
      expect(found).toHaveLength(96 * 160);
      expect(found.every((likely) => likely >= 0 && likely <= 1)).toBe(true);
      // Noise is nobody.
      expect(found.reduce((sum, likely) => sum + likely, 0) / found.length).toBeLessThan(0.5);
      // Without this the model would be another one than the one that was looked at.
      expect(() => buildNetwork({ ...model, tensors: [] }, 96, 160)).toThrow();
      expect(() => readModel(Uint8Array.from(file.subarray(0, 100)).buffer)).toThrow();
    },
  );
});

describe('the background', () => {
  it('is mixed with its neighbours, and no brighter or darker for it', () => {
    const even = new Uint8ClampedArray(4 * 6 * 4).fill(90);
    mixNeighbours(even, 6, 4, 2);
    expect(even.every((value) => value === 90)).toBe(true);
    const dot = new Uint8ClampedArray(4 * 9);
    dot[4 * 4] = 90;
    mixNeighbours(dot, 3, 3, 1);
    expect(dot.filter((_, at) => at % 4 === 0).every((value) => value === 10)).toBe(true);
  });

  it('is not seen through a person, nor a person in what is not one', () => {
    expect([0, 0.3, 0.8, 1].map(opacity)).toEqual([0, 0, 1, 1]);
    expect(opacity(0.55)).toBeCloseTo(0.5);
  });
});
