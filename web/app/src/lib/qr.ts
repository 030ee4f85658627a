/**
 * QR codes (ISO/IEC 18004) of short texts: byte mode, error correction level M (15 % may be unreadable), the smallest of
 * versions 1 to 10 that holds the text. Pure; no page needs more, and no library has to be loaded for one picture.
 */

/** Blocks of data of a version at level M: how many, how many bytes of data in the short ones, how many of correction. */
const BLOCKS: readonly (readonly [short: number, long: number, data: number, correction: number])[] = [
  [1, 0, 16, 10],
  [1, 0, 28, 16],
  [1, 0, 44, 26],
  [2, 0, 32, 18],
  [2, 0, 43, 24],
  [4, 0, 27, 16],
  [4, 0, 31, 18],
  [2, 2, 38, 22],
  [3, 2, 36, 22],
  [4, 1, 43, 26],
];

/** Where the middles of the small squares are, by version. */
const ALIGNED: readonly (readonly number[])[] = [
  [],
  [6, 18],
  [6, 22],
  [6, 26],
  [6, 30],
  [6, 34],
  [6, 22, 38],
  [6, 24, 42],
  [6, 26, 46],
  [6, 28, 50],
];

/** Powers of 2 in GF(256) with the polynomial 0x11d. */
const POWERS: readonly number[] = (() => {
  const powers = [1];
  while (powers.length < 255) {
    const next = (powers.at(-1) ?? 1) << 1;
    powers.push(next > 255 ? next ^ 0x11d : next);
  }
  return powers;
})();
const LOGARITHMS = new Map(POWERS.map((power, exponent) => [power, exponent]));

/** The rows of the code of `text`, dark is true; null where it has more than 213 bytes. */
export function qrCode(text: string): readonly (readonly boolean[])[] | null {
  const bytes = new TextEncoder().encode(text);
  const index = BLOCKS.findIndex((_, at) => bytes.length <= capacity(at + 1));
  if (index < 0) return null;
  const version = index + 1;
  const bits = bitsOf(codewords(bytes, version));
  const plain = Grid.of(version);
  plain.write(bits);
  const masked = MASKS.map((_, mask) => plain.masked(mask));
  return masked.reduce((best, grid) => (grid.penalty() < best.penalty() ? grid : best)).rows;
}

function capacity(version: number): number {
  // Four bits say that bytes follow, eight or sixteen how many.
  return dataBytes(version) - (version < 10 ? 2 : 3);
}

function dataBytes(version: number): number {
  const [short, long, data] = blocksOf(version);
  return short * data + long * (data + 1);
}

function blocksOf(version: number): readonly [number, number, number, number] {
  return BLOCKS[version - 1] ?? [0, 0, 0, 0];
}

/** Data and correction as they are written: one byte of each block after the other. */
function codewords(bytes: Uint8Array, version: number): number[] {
  const size = dataBytes(version);
  const bits = [0, 1, 0, 0, ...binary(bytes.length, version < 10 ? 8 : 16)];
  for (const byte of bytes) bits.push(...binary(byte, 8));
  bits.push(...Array<number>(Math.min(4, size * 8 - bits.length)).fill(0));
  while (bits.length % 8 !== 0) bits.push(0);
  const data: number[] = [];
  for (let at = 0; at < bits.length; at += 8) data.push(Number.parseInt(bits.slice(at, at + 8).join(''), 2));
  for (let filler = 0xec; data.length < size; filler ^= 0xec ^ 0x11) data.push(filler);
  const [short, long, length, correction] = blocksOf(version);
  const blocks: number[][] = [];
  for (let block = 0, at = 0; block < short + long; block += 1) {
    const end = at + length + (block < short ? 0 : 1);
    blocks.push(data.slice(at, end));
    at = end;
  }
  const corrections = blocks.map((block) => corrected(block, correction));
  return [...woven(blocks), ...woven(corrections)];
}

function woven(blocks: readonly (readonly number[])[]): number[] {
  const longest = Math.max(...blocks.map(({ length }) => length));
  const out: number[] = [];
  for (let at = 0; at < longest; at += 1)
    for (const block of blocks) {
      const byte = block[at];
      if (byte !== undefined) out.push(byte);
    }
  return out;
}

/** The bytes of Reed and Solomon that repair `data`. */
function corrected(data: readonly number[], count: number): number[] {
  let generator = [1];
  for (let root = 0; root < count; root += 1) {
    const next = [...generator, 0];
    generator.forEach((factor, at) => {
      next[at + 1] = (next[at + 1] ?? 0) ^ product(factor, POWERS[root] ?? 1);
    });
    generator = next;
  }
  const rest = [...data, ...Array<number>(count).fill(0)];
  for (let at = 0; at < data.length; at += 1) {
    const lead = rest[at] ?? 0;
    if (lead !== 0)
      generator.forEach(
        (factor, place) => (rest[at + place] = (rest[at + place] ?? 0) ^ product(factor, lead)),
      );
  }
  return rest.slice(data.length);
}

function product(one: number, other: number): number {
  if (one === 0 || other === 0) return 0;
  return POWERS[((LOGARITHMS.get(one) ?? 0) + (LOGARITHMS.get(other) ?? 0)) % 255] ?? 0;
}

function binary(value: number, length: number): number[] {
  return Array.from({ length }, (_, at) => (value >>> (length - 1 - at)) & 1);
}

function bitsOf(bytes: readonly number[]): number[] {
  return bytes.flatMap((byte) => binary(byte, 8));
}

const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** The squares of a code. */
class Grid {
  private constructor(
    private readonly version: number,
    readonly rows: boolean[][],
    /** Squares that are no data. */
    private readonly fixed: boolean[][],
  ) {}

  /** Everything but data and the format. */
  static of(version: number): Grid {
    const size = version * 4 + 17;
    const empty = (): boolean[][] => Array.from({ length: size }, () => Array<boolean>(size).fill(false));
    const grid = new Grid(version, empty(), empty());
    for (let at = 0; at < size; at += 1) {
      grid.set(6, at, at % 2 === 0);
      grid.set(at, 6, at % 2 === 0);
    }
    const corners = [
      [3, 3],
      [size - 4, 3],
      [3, size - 4],
    ] as const;
    for (const [x, y] of corners) grid.square(x, y, 4, (ring) => ring !== 2 && ring !== 4);
    const middles = ALIGNED[version - 1] ?? [];
    const last = middles.length - 1;
    middles.forEach((x, column) =>
      middles.forEach((y, row) => {
        const corner =
          (column === 0 && row === 0) || (column === 0 && row === last) || (column === last && row === 0);
        if (!corner) grid.square(x, y, 2, (ring) => ring !== 1);
      }),
    );
    grid.writeFormat(0);
    grid.writeVersion();
    return grid;
  }

  /** Writes data in its way: two columns at a time, from the right, up and down in turn. */
  write(bits: readonly number[]): void {
    const { length: size } = this.rows;
    let at = 0;
    let up = true;
    for (let right = size - 1; right > 0; right -= 2) {
      if (right === 6) right = 5;
      for (let step = 0; step < size; step += 1) {
        const y = up ? size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (this.fixed[y]?.[x] === true) continue;
          const row = this.rows[y];
          if (row !== undefined) row[x] = bits[at] === 1;
          at += 1;
        }
      }
      up = !up;
    }
  }

  masked(mask: number): Grid {
    const rows = this.rows.map((row, y) =>
      row.map((dark, x) => (this.fixed[y]?.[x] === true ? dark : dark !== (MASKS[mask]?.(x, y) ?? false))),
    );
    const grid = new Grid(this.version, rows, this.fixed);
    grid.writeFormat(mask);
    return grid;
  }

  /** How hard a reader would find it. */
  penalty(): number {
    const { rows } = this;
    const { length: size } = rows;
    const columns = rows.map((_, x) => rows.map((row) => row[x] ?? false));
    let sum = 0;
    for (const line of [...rows, ...columns]) {
      const text = line.map((dark) => (dark ? '1' : '0')).join('');
      for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
      // The pattern of a corner with four light squares at either side; they may overlap.
      for (const pattern of ['10111010000', '00001011101'])
        for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + 1)) sum += 40;
    }
    for (let y = 0; y + 1 < size; y += 1)
      for (let x = 0; x + 1 < size; x += 1) {
        const dark = rows[y]?.[x];
        if (rows[y]?.[x + 1] === dark && rows[y + 1]?.[x] === dark && rows[y + 1]?.[x + 1] === dark) sum += 3;
      }
    const darks = rows.flat().filter(Boolean).length;
    const percent = (darks * 100) / (size * size);
    return sum + Math.floor(Math.abs(percent - 50) / 5) * 10;
  }

  private square(x: number, y: number, reach: number, dark: (ring: number) => boolean): void {
    for (let dy = -reach; dy <= reach; dy += 1)
      for (let dx = -reach; dx <= reach; dx += 1)
        this.set(x + dx, y + dy, dark(Math.max(Math.abs(dx), Math.abs(dy))));
  }

  /** Level M and the mask, twice. */
  private writeFormat(mask: number): void {
    const bits = withRemainder(mask, 10, 0x537) ^ 0x5412;
    const { length: size } = this.rows;
    const bit = (at: number): boolean => ((bits >>> at) & 1) === 1;
    for (let at = 0; at <= 5; at += 1) this.set(8, at, bit(at));
    this.set(8, 7, bit(6));
    this.set(8, 8, bit(7));
    this.set(7, 8, bit(8));
    for (let at = 9; at < 15; at += 1) this.set(14 - at, 8, bit(at));
    for (let at = 0; at < 8; at += 1) this.set(size - 1 - at, 8, bit(at));
    for (let at = 8; at < 15; at += 1) this.set(8, size - 15 + at, bit(at));
    this.set(8, size - 8, true);
  }

  private writeVersion(): void {
    if (this.version < 7) return;
    const bits = withRemainder(this.version, 12, 0x1f25);
    const { length: size } = this.rows;
    for (let at = 0; at < 18; at += 1) {
      const dark = ((bits >>> at) & 1) === 1;
      const [near, far] = [Math.floor(at / 3), size - 11 + (at % 3)];
      this.set(near, far, dark);
      this.set(far, near, dark);
    }
  }

  private set(x: number, y: number, dark: boolean): void {
    const row = this.rows[y];
    const fixed = this.fixed[y];
    // A square at an edge reaches over it.
    if (row === undefined || fixed === undefined || x < 0 || x >= row.length) return;
    row[x] = dark;
    fixed[x] = true;
  }
}

/** `value` with the remainder of its division by a polynomial of that degree behind it (BCH). */
function withRemainder(value: number, degree: number, polynomial: number): number {
  let rest = value;
  for (let step = 0; step < degree; step += 1) rest = (rest << 1) ^ ((rest >>> (degree - 1)) * polynomial);
  return (value << degree) | rest;
}
