import { deflateSync, inflateSync } from 'node:zlib';

import type { Picture } from './mark';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Reads what browsers capture: 8 bits a channel, RGB or RGBA, not interlaced. */
export function readPng(file: Buffer): Picture {
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw new Error('not a PNG');
  const header = { width: 0, height: 0, channels: 0 };
  const parts: Buffer[] = [];
  for (let at = 8; at + 12 <= file.length;) {
    const length = file.readUInt32BE(at);
    const type = file.toString('latin1', at + 4, at + 8);
    const body = file.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') {
      header.width = body.readUInt32BE(0);
      header.height = body.readUInt32BE(4);
      header.channels = { 2: 3, 6: 4 }[body.readUInt8(9)] ?? 0;
      const isPlain = body.readUInt8(8) === 8 && body.readUInt8(12) === 0;
      if (!isPlain || header.channels === 0) throw new Error('a PNG of another kind');
    }
    if (type === 'IDAT') parts.push(body);
    at += 12 + length;
  }
  return { ...header, data: unfiltered(inflateSync(Buffer.concat(parts)), header) };
}

/** Undoes the filter of each line (PNG, section 9). */
function unfiltered(raw: Buffer, size: { width: number; height: number; channels: number }): Uint8Array {
  const { channels, height } = size;
  const stride = size.width * channels;
  if (raw.length !== (stride + 1) * height) throw new Error('a PNG of another size than it says');
  const data = new Uint8Array(stride * height);
  for (let line = 0; line < height; line += 1) {
    const filter = raw[line * (stride + 1)] ?? 0;
    const from = line * (stride + 1) + 1;
    const to = line * stride;
    for (let index = 0; index < stride; index += 1) {
      const left = index < channels ? 0 : (data[to + index - channels] ?? 0);
      const up = line === 0 ? 0 : (data[to + index - stride] ?? 0);
      const corner = line === 0 || index < channels ? 0 : (data[to + index - stride - channels] ?? 0);
      data[to + index] = (raw[from + index] ?? 0) + predicted(filter, left, up, corner);
    }
  }
  return data;
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  switch (filter) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4: {
      const toLeft = Math.abs(up - corner);
      const toUp = Math.abs(left - corner);
      const toCorner = Math.abs(left + up - 2 * corner);
      if (toLeft <= toUp && toLeft <= toCorner) return left;
      return toUp <= toCorner ? up : corner;
    }
    default:
      throw new Error(`a PNG with a filter ${filter}`);
  }
}

/** Writes a picture, its lines unfiltered: for tests. */
export function writePng({ width, height, channels, data }: Picture): Buffer {
  const stride = width * channels;
  const raw = Buffer.alloc((stride + 1) * height);
  for (let line = 0; line < height; line += 1)
    raw.set(data.subarray(line * stride, (line + 1) * stride), line * (stride + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, channels === 4 ? 6 : 2, 0, 0, 0], 8);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(raw)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Without its check sum, which the reader does not look at. */
function chunk(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length, 0);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body, Buffer.alloc(4)]);
}
