// What a made camera writes into each of its pictures, so that whoever looks at a captured page can tell whose picture
// it is and how old: a square of black and white cells in the middle, large enough to survive scaling and coding.
//
//   W . . . . B     W white, B black, always: what is light here, and whether the picture is mirrored
//   . . . . . .     32 bits between, row by row: person 5, source 1, clock 14, check 12
//   . . . . . .
//   . . . . . .
//   . . . . . .
//   B . . . . W

/** Cells of a side. */
export const SIDE = 6;
/** Side of the square in heights of the picture. */
export const SQUARE = 0.72;
/** The clock counts these, ms. */
export const TICK_MS = 5;
/** The clock starts again after this time, ms. */
export const CLOCK_MS = TICK_MS * 2 ** 14;
/** People are numbered below this. */
export const PEOPLE = 31;

/** What one picture says of itself. */
export interface Mark {
  /** Who is in the picture. */
  person: number;
  source: 'camera' | 'screen';
  /** When it was drawn: Unix ms, modulo {@link CLOCK_MS}. */
  clock: number;
}

/** Pixels of a captured page. */
export interface Picture {
  width: number;
  height: number;
  /** Bytes of a pixel: red, green, blue, and perhaps alpha. */
  channels: number;
  data: Uint8Array;
}

/** A rectangle of a picture, in pixels. */
export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/**
 * The cells of a mark, row by row, `true` is white. Runs in pages too, as text: it may use nothing from outside.
 */
export function cellsOf(person: number, isScreen: boolean, ms: number): boolean[] {
  const value = (person << 15) | ((isScreen ? 1 : 0) << 14) | (Math.floor(ms / 5) % 2 ** 14);
  // CRC-12 (polynomial 0x80f), begun with all ones: a square of one colour is no mark.
  let check = 0xfff;
  for (let bit = 19; bit >= 0; bit -= 1) {
    const carry = ((check >> 11) ^ (value >> bit)) & 1;
    check = ((check << 1) & 0xfff) ^ (carry === 1 ? 0x80f : 0);
  }
  const bits: boolean[] = [];
  for (let bit = 19; bit >= 0; bit -= 1) bits.push(((value >> bit) & 1) === 1);
  for (let bit = 11; bit >= 0; bit -= 1) bits.push(((check >> bit) & 1) === 1);
  return [true, ...bits.slice(0, 4), false, ...bits.slice(4, 28), false, ...bits.slice(28), true];
}

/** The mark that these cells are; null where they are none. */
export function markOf(cells: readonly boolean[]): Mark | null {
  const bits = [...cells.slice(1, 5), ...cells.slice(6, 30), ...cells.slice(31, 35)];
  const value = bits.slice(0, 20).reduce((sum, bit) => sum * 2 + (bit ? 1 : 0), 0);
  const person = value >> 15;
  const isScreen = ((value >> 14) & 1) === 1;
  const clock = (value % 2 ** 14) * TICK_MS;
  const right = cellsOf(person, isScreen, clock);
  if (cells.length !== right.length || right.some((cell, index) => cell !== cells[index])) return null;
  return { person, source: isScreen ? 'screen' : 'camera', clock };
}

/** How long ago, at Unix ms `now`, a picture was drawn, ms. */
export function ageOf({ clock }: Mark, now: number): number {
  const age = (((now - clock) % CLOCK_MS) + CLOCK_MS) % CLOCK_MS;
  // Clocks of two processes differ by a little: what comes from the future has no age of a minute.
  return age > CLOCK_MS / 2 ? age - CLOCK_MS : age;
}

/** Brightness at which black and white are told apart differs at least by this, of 255. */
const CONTRAST = 60;
/** Shapes of pictures in this laboratory. */
const ASPECT = 16 / 9;

/**
 * The mark of the picture that a rectangle shows, as it is or mirrored, whether it fills the rectangle or lies within
 * it; null where there is none.
 */
export function markIn(picture: Picture, { x, y, width, height }: Rect): Mark | null {
  const heights = [Math.max(height, width / ASPECT), Math.min(height, width / ASPECT)];
  for (const shown of heights) {
    const side = shown * SQUARE;
    const square = { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
    const mark = markAt(picture, square);
    if (mark !== null) return mark;
  }
  return null;
}

function markAt(picture: Picture, square: Rect): Mark | null {
  const light: number[] = [];
  for (let cell = 0; cell < SIDE * SIDE; cell += 1) light.push(lightOf(picture, square, cell));
  const last = SIDE * SIDE - 1;
  const corners = [0, SIDE - 1, last - SIDE + 1, last].map((cell) => light[cell] ?? 0);
  const darkest = Math.min(...corners);
  const lightest = Math.max(...corners);
  if (lightest - darkest < CONTRAST) return null;
  const cells = light.map((value) => value > (lightest + darkest) / 2);
  return markOf(cells) ?? markOf(mirrored(cells));
}

function mirrored(cells: readonly boolean[]): boolean[] {
  return cells.map((_, index) => {
    const column = index % SIDE;
    return cells[index - column + SIDE - 1 - column] ?? false;
  });
}

/** Mean brightness of the inner half of a cell: its edges are blurred. */
function lightOf({ width, height, channels, data }: Picture, square: Rect, cell: number): number {
  const size = square.width / SIDE;
  const left = square.x + (cell % SIDE) * size + size / 4;
  const top = square.y + Math.floor(cell / SIDE) * size + size / 4;
  let sum = 0;
  let count = 0;
  for (let y = Math.round(top); y < top + size / 2; y += 1) {
    for (let x = Math.round(left); x < left + size / 2; x += 1) {
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const at = (y * width + x) * channels;
      sum += ((data[at] ?? 0) + (data[at + 1] ?? 0) + (data[at + 2] ?? 0)) / 3;
      count += 1;
    }
  }
  return count === 0 ? 0 : sum / count;
}
