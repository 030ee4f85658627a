// What a page says whose a picture is, written so that it can be read off a captured picture: a small patch of colour
// at the first corner of each tile, in the colour of the name that stands in that tile at that moment, and one at the
// last corner. The patches change in the turn in which the page changes the name, so they are painted with it.

import { type Mark, type Picture, type Rect, markIn } from './mark';

/** Side of a patch, pixels. */
export const PATCH = 6;
/** Names and tiles are numbered below this; a patch of name 31 is a tile without a known name. */
export const KINDS = 32;
const NOBODY = KINDS - 1;

/** Which elements of a page are tiles, and where their names stand. */
export interface LabelOptions {
  /** Names, by number. */
  names: readonly string[];
  tile: string;
  name: string;
}

/** A tile on a captured picture. */
export interface Tile {
  /** Tiles of a page are numbered as they come; a number is used again only when 31 others were. */
  tile: number;
  area: Rect;
  /** The person whose name the page shows there; null for none that is known. */
  says: number | null;
  /** What is seen in it; null where nothing is, or nothing that can be read. */
  shows: Mark | null;
}

/** As an init script: puts the patches on a page. */
export function labels({ names, tile, name }: LabelOptions): string {
  return `(${labelPage.toString()})(${JSON.stringify({ names, tile, name, patch: PATCH })});`;
}

/** Runs in the page, as text: it may use nothing from outside. */
function labelPage(options: { names: string[]; tile: string; name: string; patch: number }): void {
  // In the shadow of an element of its own, so that neither the page nor the observer below sees it.
  const host = document.createElement('div');
  const shadow = host.attachShadow({ mode: 'open' });
  const known = new Map<Element, { number: number; first: HTMLElement; last: HTMLElement }>();
  let count = 0;

  const patch = (): HTMLElement => {
    const element = document.createElement('div');
    element.style.cssText = `position:fixed;z-index:2147483647;pointer-events:none;width:${options.patch}px;height:${options.patch}px`;
    shadow.append(element);
    return element;
  };
  const set = (element: HTMLElement, property: 'left' | 'top' | 'display' | 'background', value: string) => {
    if (element.style[property] !== value) element.style[property] = value;
  };
  const numberOf = (tile: Element): number => {
    const element = tile.querySelector(options.name);
    const text = element?.textContent.trim() ?? '';
    // With words around it: "Anna (you)".
    const index = options.names.findIndex((name) => text.includes(name));
    const isSeen = element?.checkVisibility({ opacityProperty: true, visibilityProperty: true }) ?? false;
    return index < 0 || !isSeen ? 31 : index;
  };
  const place = (): void => {
    for (const [tile, { first, last }] of known) {
      const video = tile.querySelector('video');
      const own = video?.getBoundingClientRect();
      const { left, top, right, bottom } =
        own !== undefined && own.width > 0 ? own : tile.getBoundingClientRect();
      const isThere = right - left > 3 * options.patch && bottom - top > 3 * options.patch;
      for (const element of [first, last]) set(element, 'display', isThere ? 'block' : 'none');
      // Whole pixels: a colour that is blended with another is another.
      set(first, 'left', `${Math.round(left) + 2}px`);
      set(first, 'top', `${Math.round(top) + 2}px`);
      set(last, 'left', `${Math.round(right) - 2 - options.patch}px`);
      set(last, 'top', `${Math.round(bottom) - 2 - options.patch}px`);
    }
  };
  const look = (): void => {
    const tiles = new Set(document.querySelectorAll(options.tile));
    let isNew = false;
    for (const [tile, { first, last }] of known) {
      if (tiles.has(tile)) continue;
      first.remove();
      last.remove();
      known.delete(tile);
    }
    for (const tile of tiles) {
      let own = known.get(tile);
      if (own === undefined) {
        own = { number: count % 31, first: patch(), last: patch() };
        count += 1;
        known.set(tile, own);
        isNew = true;
      }
      set(own.first, 'background', `rgb(252, ${8 * numberOf(tile) + 4}, ${8 * own.number + 4})`);
      set(own.last, 'background', `rgb(4, 252, ${8 * own.number + 4})`);
    }
    if (isNew) place();
  };
  const always = (): void => {
    // A page that puts its own tree in place of everything has taken it away.
    if (!host.isConnected) document.documentElement.append(host);
    look();
    place();
    requestAnimationFrame(always);
  };
  const what = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(look).observe(document, what);
  requestAnimationFrame(always);
}

/** Every tile that a captured page shows, in the order of their numbers. */
export function judge(picture: Picture): Tile[] {
  const firsts = new Map<number, { x: number; y: number; name: number }>();
  const lasts = new Map<number, { x: number; y: number }>();
  // Some line and column of every third crosses a patch whole.
  for (let y = 1; y < picture.height; y += 3) {
    for (let x = 1; x < picture.width; x += 3) {
      const colour = colourAt(picture, x, y);
      if (colour === null || !isPatch(picture, x, y, colour)) continue;
      const { kind, name, tile } = colour;
      if (kind === 'first' && !firsts.has(tile)) firsts.set(tile, { ...corner(picture, x, y), name });
      if (kind === 'last' && !lasts.has(tile)) lasts.set(tile, corner(picture, x, y));
    }
  }
  const tiles: Tile[] = [];
  for (const [tile, first] of firsts) {
    const last = lasts.get(tile);
    if (last === undefined) continue;
    const x = first.x - 2;
    const y = first.y - 2;
    const area = { x, y, width: last.x + PATCH + 2 - x, height: last.y + PATCH + 2 - y };
    const says = first.name === NOBODY ? null : first.name;
    tiles.push({ tile, area, says, shows: markIn(picture, area) });
  }
  return tiles.sort((a, b) => a.tile - b.tile);
}

interface Colour {
  kind: 'first' | 'last';
  name: number;
  tile: number;
}

/** What a pixel says if it is one of a patch. */
function colourAt({ width, height, channels, data }: Picture, x: number, y: number): Colour | null {
  if (x < 0 || y < 0 || x >= width || y >= height) return null;
  const at = (y * width + x) * channels;
  const red = data[at] ?? 0;
  const green = data[at + 1] ?? 0;
  const blue = data[at + 2] ?? 0;
  if (blue % 8 !== 4) return null;
  const tile = blue >> 3;
  if (red === 252 && green % 8 === 4) return { kind: 'first', name: green >> 3, tile };
  if (red === 4 && green === 252) return { kind: 'last', name: 0, tile };
  return null;
}

/** Whether all pixels from the corner of a patch that this one lies in have its colour. */
function isPatch(picture: Picture, x: number, y: number, colour: Colour): boolean {
  const from = corner(picture, x, y);
  for (let dy = 0; dy < PATCH; dy += 1) {
    for (let dx = 0; dx < PATCH; dx += 1) {
      if (!isSame(colourAt(picture, from.x + dx, from.y + dy), colour)) return false;
    }
  }
  return true;
}

/** The first pixel of the patch that this one lies in. */
function corner(picture: Picture, x: number, y: number): { x: number; y: number } {
  const colour = colourAt(picture, x, y);
  let left = x;
  let top = y;
  while (isSame(colourAt(picture, left - 1, y), colour)) left -= 1;
  while (isSame(colourAt(picture, x, top - 1), colour)) top -= 1;
  return { x: left, y: top };
}

function isSame(a: Colour | null, b: Colour | null): boolean {
  return a !== null && b !== null && a.kind === b.kind && a.name === b.name && a.tile === b.tile;
}
