import { pagesOf } from './pages.js';
import type { Scene } from './scene.js';
import type { Shape } from './shape.js';
import { fromPlain, type Plain, toPlain } from './write.js';

/** Objects as text: what the clipboard holds, and files. */
export interface Sheet {
  madang: 'board';
  version: 1;
  pages?: { id: string; name: string; order: string }[];
  objects: Plain[];
}

export function sheetOf(shapes: readonly Shape[]): Sheet {
  return { madang: 'board', version: 1, objects: shapes.map(toPlain) };
}

/** A whole board. */
export function boardSheet(scene: Scene): Sheet {
  const pages = pagesOf(scene);
  const shapes = pages.flatMap(({ id }) => scene.page(id));
  return { ...sheetOf(shapes), pages: pages.map(({ id, name, order }) => ({ id, name, order })) };
}

/** Reads the text of a {@link Sheet}: null if it is none. What cannot be shown of it is left out. */
export function readSheet(text: string): Shape[] | null {
  if (!text.includes('"madang"')) return null;
  let sheet: unknown;
  try {
    sheet = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof sheet !== 'object' || sheet === null) return null;
  const { madang, objects } = sheet as Partial<Sheet>;
  if (madang !== 'board' || !Array.isArray(objects)) return null;
  return objects.flatMap((plain) => fromPlain(plain) ?? []);
}
