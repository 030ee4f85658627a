import type { Person } from '@madang/sdk';

/** A picture of a grid. */
export interface TileOf {
  /** Unique in the grid, and the same as long as the tile is there. */
  key: string;
  participant: string;
  source: 'camera' | 'screen';
}

/** What a grid is asked to show. */
export interface Grid {
  people: ReadonlyMap<string, Person>;
  /** Oneself; null where one is not known yet or is shown elsewhere. */
  me: string | null;
  /** Whoever speaks mainly. */
  speaker: string | null;
  /** Keys of tiles that are on every page, at its front, in this order; see {@link tileKey}. */
  pinned: readonly string[];
  /** Keys of tiles that are shown elsewhere on the page. */
  without: readonly string[];
  /** Whether shared screens have tiles. */
  screens: boolean;
  /** The first page is 0. */
  page: number;
  /** Tiles on a page. */
  size: number;
}

/** What a grid shows. */
export interface Tiles {
  /** Those of the page, in their places. */
  tiles: readonly TileOf[];
  /** The page that is shown: the last one where there are fewer than was asked for. */
  page: number;
  pages: number;
  /** Tiles on all pages. */
  total: number;
}

/** A grid and what it remembers. */
export interface Arrangement {
  shown: Tiles;
  /** Places of what is on one page only; null where somebody left and nobody could move up unseen. */
  places: readonly (TileOf | null)[];
  /** Who spoke mainly, the latest last. */
  heard: readonly string[];
}

/** A grid before anybody is there. */
export const EMPTY_GRID: Arrangement = {
  shown: { tiles: [], page: 0, pages: 1, total: 0 },
  places: [],
  heard: [],
};

/** The key of somebody's tile. */
export function tileKey(participant: string, source: TileOf['source'] = 'camera'): string {
  return `${source} ${participant}`;
}

/**
 * The grid after a change. Who is shown keeps its place: of those who are not shown the last one moves up where somebody
 * left, and a new one comes last. Only who speaks mainly and is not on the first page while that is shown changes places
 * with somebody there: with whoever was not heard for longest.
 */
export function arrange(before: Arrangement, grid: Grid): Arrangement {
  const all = tilesOf(grid);
  const size = Math.max(1, Math.floor(grid.size));
  const front = frontOf(all, grid.pinned, size);
  const perPage = size - front.length;
  const heard = heardOf(before.heard, grid);

  for (const { key } of front) all.delete(key);
  const kept = before.places.map((tile) => (tile !== null && all.delete(tile.key) ? tile : null));
  // What is left in `all` has no place yet.
  const fresh = [...all.values()];
  let page = pageOf(grid.page, kept.length + fresh.length, perPage);
  let places = filled(kept, fresh, page * perPage, perPage);
  if (page !== pageOf(page, places.length, perPage)) {
    // It went with the last of its people.
    page = pageOf(page, places.length, perPage);
    places = filled(places, [], page * perPage, perPage);
  }
  if (page === 0) promote(places, perPage, grid, heard);

  const onPage = places.slice(page * perPage, (page + 1) * perPage).filter((tile) => tile !== null);
  const shown: Tiles = {
    tiles: [...front, ...onPage],
    page,
    pages: Math.max(1, Math.ceil(places.length / perPage)),
    total: front.length + places.filter((tile) => tile !== null).length,
  };
  return { shown: isSame(before.shown, shown) ? before.shown : shown, places, heard };
}

/** Everybody's tiles by key: screens first, then oneself, then in the order in which people came. */
function tilesOf({ people, me, screens, without }: Grid): Map<string, TileOf> {
  const sorted = [...people.values()].sort(
    (a, b) => Number(b.participant === me) - Number(a.participant === me) || a.order - b.order,
  );
  const shared = sorted.filter(({ sources }) =>
    sources.some(({ source, state }) => source === 'screen' && state === 'on'),
  );
  const tile = ({ participant }: Person, source: TileOf['source']): TileOf => ({
    key: tileKey(participant, source),
    participant,
    source,
  });
  const tiles = [
    ...(screens ? shared.map((person) => tile(person, 'screen')) : []),
    ...sorted.map((person) => tile(person, 'camera')),
  ];
  return new Map(tiles.filter(({ key }) => !without.includes(key)).map((one) => [one.key, one]));
}

/** What is on every page: pinned tiles and screens, but never so many that nothing else has a place. */
function frontOf(all: ReadonlyMap<string, TileOf>, pinned: readonly string[], size: number): TileOf[] {
  const screens = [...all.values()].filter(({ source }) => source === 'screen');
  const wanted = [...pinned.map((key) => all.get(key)), ...screens].filter((tile) => tile !== undefined);
  return [...new Set(wanted)].slice(0, size - 1);
}

/** Who spoke mainly and is still there, the latest last. */
function heardOf(heard: readonly string[], { people, speaker }: Grid): readonly string[] {
  const others = heard.filter((participant) => people.has(participant) && participant !== speaker);
  return speaker !== null && people.has(speaker) ? [...others, speaker] : others;
}

/** The page that can be shown of `count` places. */
function pageOf(wanted: number, count: number, perPage: number): number {
  return Math.max(0, Math.min(Math.floor(wanted), Math.ceil(count / perPage) - 1));
}

/** `places` with what is new, where nothing between `start` and `start + count` moves but to close a gap there. */
function filled(
  before: readonly (TileOf | null)[],
  fresh: readonly TileOf[],
  start: number,
  count: number,
): (TileOf | null)[] {
  const places = [...before];
  const end = start + count;
  const isShown = (index: number): boolean => index >= start && index < end;
  const gaps = places.flatMap((tile, index) => (tile === null ? [index] : []));
  // A gap that is seen first.
  gaps.sort((a, b) => Number(isShown(b)) - Number(isShown(a)) || a - b);
  for (const tile of fresh) places[gaps.shift() ?? places.length] = tile;
  for (const gap of gaps) {
    const last = places.findLastIndex((tile) => tile !== null);
    if (last < end || last < gap) continue;
    places[gap] = places[last] ?? null;
    places[last] = null;
  }
  const shown = places.slice(start, end).filter((tile) => tile !== null);
  for (let index = start; index < Math.min(end, places.length); index++) {
    places[index] = shown[index - start] ?? null;
  }
  return places.slice(0, places.findLastIndex((tile) => tile !== null) + 1);
}

/** Brings whoever speaks mainly to the first page. */
function promote(
  places: (TileOf | null)[],
  perPage: number,
  { me, speaker }: Grid,
  heard: readonly string[],
): void {
  const from = places.findIndex((tile) => tile?.participant === speaker && tile.source === 'camera');
  if (from < perPage) return;
  const since = (place: number): number => heard.indexOf(places[place]?.participant ?? '');
  const others = places.slice(0, perPage).flatMap((tile, place) => (tile?.participant === me ? [] : [place]));
  const [to] = others.sort((a, b) => since(a) - since(b) || b - a);
  if (to === undefined) return;
  [places[to], places[from]] = [places[from] ?? null, places[to] ?? null];
}

function isSame(a: Tiles, b: Tiles): boolean {
  return (
    a.page === b.page &&
    a.pages === b.pages &&
    a.total === b.total &&
    a.tiles.length === b.tiles.length &&
    a.tiles.every(({ key }, index) => key === b.tiles[index]?.key)
  );
}
