import { around, cornersOf, middleOf, NO_CHANGE, NOWHERE, union } from '../model/geometry.js';
import { readSheet, sheetOf } from '../model/json.js';
import { MAX_TEXT, type Shape } from '../model/shape.js';
import type { Draft } from '../model/write.js';
import type { Desk } from '../tools/desk.js';
import type { Board, Point } from '../types.js';
import { isPicture, prepared } from './pictures.js';

/** Text of what is selected, for the clipboard; null if nothing is. */
export function copied(desk: Desk): string | null {
  const shapes = desk.selected();
  return shapes.length === 0 ? null : JSON.stringify(sheetOf(shapes));
}

/** Puts objects on the page, their middle at a point. */
export function putShapes(desk: Desk, shapes: readonly Shape[], at: Point): string[] {
  const box = shapes.map((shape) => around(cornersOf(shape, desk.measure))).reduce(union, NOWHERE);
  const [x, y] = middleOf(box);
  const ids = desk.editor.addAll(desk.page.get(), shapes, { ...NO_CHANGE, dx: at[0] - x, dy: at[1] - y });
  desk.tool.set('select');
  desk.select(ids);
  return ids;
}

/** What pasting or dropping brings, if a board can have it. */
export interface Brought {
  files: Blob[];
  text: string;
}

export function broughtBy(data: DataTransfer | null): Brought {
  const files = [...(data?.files ?? [])].filter(isPicture);
  return { files, text: data?.getData('text/plain') ?? '' };
}

/** Puts on the board what was brought. False if there is nothing in it that a board can have. */
export async function put(
  desk: Desk,
  images: Board['images'],
  brought: Brought,
  at: Point,
  failed: (words: string) => void,
): Promise<boolean> {
  const { files, text } = brought;
  if (files.length > 0) {
    await putImages(desk, images, files, at, failed);
    return true;
  }
  const shapes = readSheet(text);
  if (shapes !== null) {
    if (shapes.length > 0) putShapes(desk, shapes, at);
    return shapes.length > 0;
  }
  if (/^\s*(<\?xml[^>]*>\s*)?<svg[\s>]/.test(text)) {
    await putImages(desk, images, [new Blob([text], { type: 'image/svg+xml' })], at, failed);
    return true;
  }
  const words = text.trim();
  if (words === '') return false;
  const { color, fontSize } = desk.choice.get();
  const isLong = words.length > 60 || words.includes('\n');
  const id = desk.editor.add(desk.page.get(), {
    type: 'text',
    t: [at[0] - (isLong ? 200 : 0), at[1], 1, 1, 0],
    text: words.slice(0, MAX_TEXT),
    color,
    fontSize,
    w: isLong ? 400 : 0,
  });
  desk.tool.set('select');
  desk.select([id]);
  return true;
}

/** Uploads pictures and puts them side by side, none larger than the part of the page that is seen. */
export async function putImages(
  desk: Desk,
  images: Board['images'],
  files: readonly Blob[],
  at: Point,
  failed: (words: string) => void,
): Promise<void> {
  const drafts: Draft[] = [];
  const page = desk.page.get();
  const { zoom } = desk.camera.get();
  const most = Math.max(60, (0.6 * Math.min(desk.size.width, desk.size.height)) / zoom);
  let [x] = at;
  for (const file of files) {
    try {
      const { id, width, height } = await images.upload(await prepared(file));
      const scale = Math.min(1, most / Math.max(width, height));
      const [w, h] = [width * scale, height * scale];
      drafts.push({ type: 'image', t: [x, at[1], 1, 1, 0], w, h, image: id });
      x += w + 20;
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error));
    }
  }
  // The right may have gone while it was on its way.
  if (drafts.length === 0 || !desk.mayAdd.get()) return;
  const ids = desk.editor.addAll(page, drafts);
  desk.tool.set('select');
  if (desk.page.get() === page) desk.select(ids);
}
