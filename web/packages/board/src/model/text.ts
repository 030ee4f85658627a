import type { Shape } from './shape.js';

/** Width of a line of text, in units of its font size; the font is the board's. */
export type Measure = (text: string, fontSize: number) => number;

/** The font of boards: the pages' own where they have loaded it, else the machine's. */
export const FONT =
  "'Inter Variable', 'Noto Sans KR Variable', system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans KR', sans-serif";
export const LINE_HEIGHT = 1.3;
/** Room around the words of a note, in board units. */
export const NOTE_PADDING = 12;
/** A note's letters shrink no further; what does not fit then is left out. */
const SMALLEST = 6;

/** Where there is no canvas to ask. East Asian signs are as wide as high. */
export const roughly: Measure = (text, fontSize) => {
  let width = 0;
  for (const sign of text) width += (sign.codePointAt(0) ?? 0) >= 0x1100 ? 1 : 0.55;
  return width * fontSize;
};

export interface TextLayout {
  lines: string[];
  fontSize: number;
  width: number;
  height: number;
}

/** Breaks text into lines no wider than `width` (0: only where it says so), at spaces where there are any. */
export function wrapped(text: string, fontSize: number, width: number, measure: Measure): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    if (width <= 0 || measure(paragraph, fontSize) <= width) {
      lines.push(paragraph);
      continue;
    }
    let line = '';
    for (const word of paragraph.split(/(?<=\s)/u)) {
      if (measure(line + word.trimEnd(), fontSize) <= width) {
        line += word;
        continue;
      }
      if (line !== '') lines.push(line.trimEnd());
      line = '';
      // A word that is too long for any line is broken between signs.
      for (const sign of word) {
        if (line !== '' && measure(line + sign, fontSize) > width) {
          lines.push(line.trimEnd());
          line = '';
        }
        line += sign;
      }
    }
    lines.push(line.trimEnd());
  }
  return lines;
}

/** The lines of an object's text at its size: a text grows by its scale, a note's letters shrink until they fit. */
export function layoutText(shape: Shape, measure: Measure): TextLayout {
  if (shape.type === 'note') return inNote(shape, measure);
  const fontSize = shape.fontSize * shape.t[3];
  const lines = wrapped(shape.text, fontSize, shape.w * shape.t[2], measure);
  const widest = Math.max(fontSize / 2, ...lines.map((line) => measure(line, fontSize)));
  const width = shape.w > 0 ? shape.w * shape.t[2] : widest;
  return { lines, fontSize, width, height: lines.length * fontSize * LINE_HEIGHT };
}

function inNote(shape: Shape, measure: Measure): TextLayout {
  const width = Math.max(1, shape.w * shape.t[2] - 2 * NOTE_PADDING);
  const height = Math.max(1, shape.h * shape.t[3] - 2 * NOTE_PADDING);
  let fontSize = Math.min(shape.fontSize, width, height / LINE_HEIGHT);
  let lines = wrapped(shape.text, fontSize, width, measure);
  while (lines.length * fontSize * LINE_HEIGHT > height && fontSize > SMALLEST) {
    fontSize *= 0.85;
    lines = wrapped(shape.text, fontSize, width, measure);
  }
  const fitting = Math.max(1, Math.floor(height / (fontSize * LINE_HEIGHT) + 1e-6));
  if (lines.length > fitting) lines = [...lines.slice(0, fitting - 1), '…'];
  return { lines, fontSize, width, height: lines.length * fontSize * LINE_HEIGHT };
}

/** How to make one text of another: what stays at both ends, and what is put in between. */
export function difference(before: string, after: string): { at: number; removed: number; inserted: string } {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  // Halves of one sign (surrogates) stay together.
  if (start > 0 && isHigh(before.charCodeAt(start - 1))) start--;
  if (end > 0 && isLow(before.charCodeAt(before.length - end))) end--;
  return {
    at: start,
    removed: before.length - start - end,
    inserted: after.slice(start, after.length - end),
  };
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

function isLow(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}
