import { pagesOf } from './pages.js';
import type { Scene } from './scene.js';
import type { Shape } from './shape.js';
import { fromPlain, type Plain, toPlain } from './write.js';
import { byOrder } from './order.js';

const FORMAT = 'madang-board';

/** Objects as JSON, in the clipboard and in files: the format of the server's snapshots (`docs/whiteboard.md`). */
export interface Sheet {
  format: typeof FORMAT;
  version: 1;
  objects: Record<string, Plain>;
  pages: Record<string, { order: string; name?: string }>;
}

export function sheetOf(shapes: readonly Shape[]): Sheet {
  const objects = Object.fromEntries(shapes.map((shape) => [shape.id, toPlain(shape)]));
  return { format: FORMAT, version: 1, objects, pages: {} };
}

/** A whole board. */
export function boardSheet(scene: Scene): Sheet {
  const pages = pagesOf(scene);
  const sheet = sheetOf(pages.flatMap(({ id }) => scene.page(id)));
  for (const { id, name, order } of pages) sheet.pages[id] = name === '' ? { order } : { order, name };
  return sheet;
}

/**
 * Reads the text of a {@link Sheet}: its objects from the lowest to the topmost, null if it is none. What cannot be shown
 * of it is left out.
 */
export function readSheet(text: string): Shape[] | null {
  if (!text.includes(FORMAT)) return null;
  let sheet: unknown;
  try {
    sheet = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof sheet !== 'object' || sheet === null) return null;
  const { format, objects } = sheet as Partial<Record<keyof Sheet, unknown>>;
  if (format !== FORMAT || typeof objects !== 'object' || objects === null) return null;
  return Object.entries(objects)
    .flatMap(([id, plain]) => fromPlain(id, plain) ?? [])
    .sort(byOrder);
}
