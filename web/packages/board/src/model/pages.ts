import * as Y from 'yjs';
import { byOrder, isOrder, orderBetween } from './order.js';
import { isId, newId } from './shape.js';
import type { Scene } from './scene.js';

export interface Page {
  readonly id: string;
  readonly order: string;
  /** Empty if nobody gave it one. */
  readonly name: string;
}

/**
 * The page that every board has from the start: two people who open an empty board at once draw on the same one, and
 * nobody has to write it first.
 */
export const FIRST_PAGE = '1';
const FIRST_ORDER = 'V';
const MAX_NAME = 60;
export const MAX_PAGES = 100;

/**
 * The pages of a board, in their order. A page with objects is always there: what somebody draws on a page while
 * somebody else removes it is not lost, it brings the page back.
 */
export function pagesOf(scene: Scene): Page[] {
  const known = new Map<string, Page>();
  const gone = new Set<string>();
  for (const [id, value] of scene.doc.getMap('pages')) {
    if (!isId(id) || !(value instanceof Y.Map)) continue;
    const page = value as Y.Map<unknown>;
    if (page.get('gone') === true) gone.add(id);
    const [order, name] = [page.get('order'), page.get('name')];
    known.set(id, {
      id,
      order: isOrder(order) ? order : FIRST_ORDER,
      name: typeof name === 'string' ? name.slice(0, MAX_NAME) : '',
    });
  }
  const first = known.get(FIRST_PAGE) ?? { id: FIRST_PAGE, order: FIRST_ORDER, name: '' };
  known.set(FIRST_PAGE, first);
  const inhabited = new Set(scene.inhabited());
  for (const id of inhabited) if (!known.has(id)) known.set(id, { id, order: 'z', name: '' });
  const pages = [...known.values()].filter(({ id }) => !gone.has(id) || inhabited.has(id));
  return (pages.length > 0 ? pages : [first]).sort(byOrder);
}

/** Adds a page after another one. Its id; null if there are too many. Within a transaction. */
export function addPage(scene: Scene, after: string): string | null {
  const pages = pagesOf(scene);
  if (pages.length >= MAX_PAGES) return null;
  const at = pages.findIndex(({ id }) => id === after);
  const order = orderBetween(pages[at]?.order ?? pages.at(-1)?.order ?? null, pages[at + 1]?.order ?? null);
  const id = newId();
  scene.doc.getMap('pages').set(id, new Y.Map([['order', order]]));
  return id;
}

export function renamePage(scene: Scene, id: string, name: string): void {
  own(scene, id).set('name', name.slice(0, MAX_NAME));
}

/** Takes a page away; its objects are the caller's to remove. */
export function removePage(scene: Scene, id: string): void {
  if (id === FIRST_PAGE) own(scene, id).set('gone', true);
  else scene.doc.getMap('pages').delete(id);
}

/** The map of a page, made if it has none. */
function own(scene: Scene, id: string): Y.Map<unknown> {
  const pages = scene.doc.getMap('pages');
  const known = pages.get(id);
  if (known instanceof Y.Map) return known as Y.Map<unknown>;
  const order = pagesOf(scene).find((page) => page.id === id)?.order ?? FIRST_ORDER;
  const made = new Y.Map<unknown>([['order', order]]);
  pages.set(id, made);
  return made;
}
