/* eslint-disable @typescript-eslint/no-non-null-assertion -- the sizes are those of the network: a check for each number would take as long as its use */
/**
 * The arithmetic of a network on pictures in rows of pixels of channels. Plain loops over typed arrays: no compiled code
 * that a content security policy would have to allow.
 */

/** Height, width and channels. */
export interface Size {
  height: number;
  width: number;
  depth: number;
}

/** A window over a picture: its size, by how much it moves, and what lies outside of the picture at its start. */
export interface Window {
  height: number;
  width: number;
  stride: number;
  top: number;
  left: number;
}

/** The window that leaves no more outside of the picture than it has to ("same" padding). */
export function windowOf(input: Size, output: Size, height: number, width: number, stride: number): Window {
  const outside = (from: number, to: number, size: number): number =>
    Math.floor(Math.max((to - 1) * stride + size - from, 0) / 2);
  return {
    height,
    width,
    stride,
    top: outside(input.height, output.height, height),
    left: outside(input.width, output.width, width),
  };
}

/** Each pixel by itself: `weights` are rows of inputs, one for each output. */
export function pointwise(
  input: Float32Array,
  weights: Float32Array,
  bias: Float32Array,
  output: Float32Array,
  pixels: number,
): void {
  const ins = weights.length / bias.length;
  for (let at = 0; at < pixels; at += 1) pixel(input, at * ins, weights, bias, output, at * bias.length);
}

/** One pixel: eight outputs at a time share a read. */
function pixel(
  input: Float32Array,
  from: number,
  weights: Float32Array,
  bias: Float32Array,
  output: Float32Array,
  to: number,
): void {
  const outs = bias.length;
  const ins = weights.length / outs;
  const eights = outs - (outs % 8);
  for (let out = 0; out < eights; out += 8) {
    let a = bias[out]!;
    let b = bias[out + 1]!;
    let c = bias[out + 2]!;
    let d = bias[out + 3]!;
    let e = bias[out + 4]!;
    let f = bias[out + 5]!;
    let g = bias[out + 6]!;
    let h = bias[out + 7]!;
    let row = out * ins;
    for (let at = 0; at < ins; at += 1) {
      const value = input[from + at]!;
      a += value * weights[row]!;
      b += value * weights[row + ins]!;
      c += value * weights[row + 2 * ins]!;
      d += value * weights[row + 3 * ins]!;
      e += value * weights[row + 4 * ins]!;
      f += value * weights[row + 5 * ins]!;
      g += value * weights[row + 6 * ins]!;
      h += value * weights[row + 7 * ins]!;
      row += 1;
    }
    output[to + out] = a;
    output[to + out + 1] = b;
    output[to + out + 2] = c;
    output[to + out + 3] = d;
    output[to + out + 4] = e;
    output[to + out + 5] = f;
    output[to + out + 6] = g;
    output[to + out + 7] = h;
  }
  for (let out = eights; out < outs; out += 1) {
    let sum = bias[out]!;
    for (let at = 0; at < ins; at += 1) sum += input[from + at]! * weights[out * ins + at]!;
    output[to + out] = sum;
  }
}

/** A window over all channels: `weights` are windows, one for each output. `cut` is room for what a window sees. */
export function convolve(
  input: Float32Array,
  size: Size,
  weights: Float32Array,
  bias: Float32Array,
  output: Float32Array,
  out: Size,
  window: Window,
  cut: Float32Array,
): void {
  const { depth } = size;
  for (let y = 0; y < out.height; y += 1) {
    for (let x = 0; x < out.width; x += 1) {
      let to = 0;
      for (let wy = 0; wy < window.height; wy += 1) {
        const inY = y * window.stride + wy - window.top;
        for (let wx = 0; wx < window.width; wx += 1) {
          const inX = x * window.stride + wx - window.left;
          const isOutside = inY < 0 || inY >= size.height || inX < 0 || inX >= size.width;
          const from = (inY * size.width + inX) * depth;
          for (let channel = 0; channel < depth; channel += 1) {
            cut[to] = isOutside ? 0 : input[from + channel]!;
            to += 1;
          }
        }
      }
      pixel(cut, 0, weights, bias, output, (y * out.width + x) * out.depth);
    }
  }
}

/** A window over each channel by itself. */
export function depthwise(
  input: Float32Array,
  size: Size,
  weights: Float32Array,
  bias: Float32Array,
  output: Float32Array,
  out: Size,
  window: Window,
): void {
  const { depth } = size;
  const line = size.width * depth;
  for (let y = 0; y < out.height; y += 1) {
    const inY = y * window.stride - window.top;
    const firstY = Math.max(-inY, 0);
    const lastY = Math.min(size.height - inY, window.height);
    for (let x = 0; x < out.width; x += 1) {
      const inX = x * window.stride - window.left;
      const firstX = Math.max(-inX, 0);
      const lastX = Math.min(size.width - inX, window.width);
      const to = (y * out.width + x) * depth;
      for (let channel = 0; channel < depth; channel += 1) {
        let sum = bias[channel]!;
        for (let wy = firstY; wy < lastY; wy += 1) {
          let from = (inY + wy) * line + (inX + firstX) * depth + channel;
          let at = (wy * window.width + firstX) * depth + channel;
          for (let wx = firstX; wx < lastX; wx += 1) {
            sum += input[from]! * weights[at]!;
            from += depth;
            at += depth;
          }
        }
        output[to + channel] = sum;
      }
    }
  }
}

/** Each pixel becomes four, in one channel. */
export function transposed(
  input: Float32Array,
  size: Size,
  weights: Float32Array,
  bias: Float32Array,
  output: Float32Array,
): void {
  const { height, width, depth } = size;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = (y * width + x) * depth;
      for (let part = 0; part < 4; part += 1) {
        let sum = bias[0]!;
        for (let channel = 0; channel < depth; channel += 1)
          sum += input[from + channel]! * weights[part * depth + channel]!;
        output[(2 * y + (part >> 1)) * 2 * width + 2 * x + (part & 1)] = sum;
      }
    }
  }
}

/** The mean of each channel. */
export function mean(input: Float32Array, output: Float32Array): void {
  const depth = output.length;
  const pixels = input.length / depth;
  output.fill(0);
  for (let at = 0; at < input.length; at += depth)
    for (let channel = 0; channel < depth; channel += 1) output[channel]! += input[at + channel]!;
  for (let channel = 0; channel < depth; channel += 1) output[channel]! /= pixels;
}

/** Twice the height and width, with what lies between: the pixels are points at their corners. */
export function doubled(input: Float32Array, { height, width, depth }: Size, output: Float32Array): void {
  for (let y = 0; y < 2 * height; y += 1) {
    const y0 = y >> 1;
    const y1 = Math.min(y0 + 1, height - 1);
    const down = (y & 1) / 2;
    for (let x = 0; x < 2 * width; x += 1) {
      const x0 = x >> 1;
      const x1 = Math.min(x0 + 1, width - 1);
      const right = (x & 1) / 2;
      const to = (y * 2 * width + x) * depth;
      for (let channel = 0; channel < depth; channel += 1) {
        const at = (row: number, column: number): number => input[(row * width + column) * depth + channel]!;
        const above = at(y0, x0) * (1 - right) + at(y0, x1) * right;
        const below = at(y1, x0) * (1 - right) + at(y1, x1) * right;
        output[to + channel] = above * (1 - down) + below * down;
      }
    }
  }
}

/** Sum or product; the second one may be one pixel for all. */
export function combine(product: boolean, a: Float32Array, b: Float32Array, output: Float32Array): void {
  const depth = b.length;
  for (let at = 0; at < a.length; at += depth) {
    for (let channel = 0; channel < depth; channel += 1) {
      const first = a[at + channel]!;
      const second = b[channel + (depth === a.length ? at : 0)]!;
      output[at + channel] = product ? first * second : first + second;
    }
  }
}

export function relu(input: Float32Array, output: Float32Array): void {
  for (let at = 0; at < input.length; at += 1) output[at] = Math.max(input[at]!, 0);
}

export function hardSwish(input: Float32Array, output: Float32Array): void {
  for (let at = 0; at < input.length; at += 1) {
    const value = input[at]!;
    output[at] = (value * Math.min(Math.max(value + 3, 0), 6)) / 6;
  }
}

export function logistic(input: Float32Array, output: Float32Array): void {
  for (let at = 0; at < input.length; at += 1) output[at] = 1 / (1 + Math.exp(-input[at]!));
}
