/** Where pictures lie on the page: numbers in, rectangles out. */

export interface Size {
  width: number;
  height: number;
}

/** In whole pixels, from the upper left corner of the stage. */
export interface Rect extends Size {
  x: number;
  y: number;
}

/** Tiles are cropped pictures, within reason: not wider than this, and not narrower than {@link narrowest} allows. */
const WIDEST = 16 / 9;
/** A picture smaller than this tells nobody anything: fewer stand on a page then. */
const LEAST: Size = { width: 112, height: 72 };
/** Of the corner, to its edges. */
const CORNER_MARGIN = 12;

/** How narrow a tile may be: on a page that stands upright faces fill upright tiles better. */
function narrowest({ width, height }: Size): number {
  if (width < height * 0.8) return 3 / 4;
  return width < height * 1.25 ? 1 : 4 / 3;
}

/** The tiles of `count` pictures in an area: as large as they can be, the last row in the middle. */
export function gridRects(count: number, area: Rect, gap: number): Rect[] {
  const best = bestGrid(count, area, gap);
  const { columns, rows, width, height } = best;
  const top = area.y + Math.floor((area.height - rows * height - (rows - 1) * gap) / 2);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    const left = area.x + Math.floor((area.width - inRow * width - (inRow - 1) * gap) / 2);
    return { x: left + (index % columns) * (width + gap), y: top + row * (height + gap), width, height };
  });
}

/** How many pictures a grid of this area shows at a time, `most` at most and always one. */
export function gridCapacity(area: Size, gap: number, most: number): number {
  for (let count = most; count > 1; count -= 1) {
    const { width, height } = bestGrid(count, area, gap);
    if (width >= LEAST.width && height >= LEAST.height) return count;
  }
  return 1;
}

interface Grid extends Size {
  columns: number;
  rows: number;
}

function bestGrid(count: number, area: Size, gap: number): Grid {
  let best: Grid = { columns: 1, rows: count, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cell = {
      width: (area.width - (columns - 1) * gap) / columns,
      height: (area.height - (rows - 1) * gap) / rows,
    };
    const tile = cropped(cell, narrowest(area));
    if (tile.width * tile.height > best.width * best.height) best = { columns, rows, ...tile };
  }
  return best;
}

/** The largest tile of a fair shape in a cell. */
function cropped({ width, height }: Size, narrow: number): Size {
  if (width <= 0 || height <= 0) return { width: 0, height: 0 };
  return {
    width: Math.floor(Math.min(width, height * WIDEST)),
    height: Math.floor(Math.min(height, width / narrow)),
  };
}

/** The areas of one or two large pictures: two lie the way in which 16:9 fits them better. */
export function mainRects(count: number, area: Rect, gap: number): Rect[] {
  if (count < 2) return Array.from({ length: count }, () => area);
  const half = { width: Math.floor((area.width - gap) / 2), height: Math.floor((area.height - gap) / 2) };
  const fits = (width: number, height: number): number => Math.min(width, height * WIDEST);
  const beside = fits(half.width, area.height) >= fits(area.width, half.height);
  return [0, 1].map((index) =>
    beside
      ? { ...area, x: area.x + index * (half.width + gap), width: half.width }
      : { ...area, y: area.y + index * (half.height + gap), height: half.height },
  );
}

/** The stage divided for large pictures and small ones beside them. */
export interface Split {
  main: Rect;
  /** One rectangle for each small picture that has room. */
  side: Rect[];
}

/** Divides an area for large pictures and up to `count` small ones, of which at most `most` are shown. */
export function split(area: Rect, gap: number, count: number, most: number): Split {
  if (count === 0) return { main: area, side: [] };
  return area.width >= area.height ? column(area, gap, count, most) : below(area, gap, count, most);
}

/** A phone divided for a whiteboard: one row above it or one column beside it, as thin as faces can be told. */
export function strip(area: Rect, gap: number, count: number, most: number): Split {
  const shown = Math.min(count, most);
  if (shown === 0) return { main: area, side: [] };
  const isUpright = area.height > area.width;
  const along = isUpright ? area.width : area.height;
  const length = Math.floor((along - (most - 1) * gap) / most);
  const across = Math.floor(isUpright ? (length * 3) / 4 : length * (4 / 3));
  const side = Array.from({ length: shown }, (_, index): Rect => {
    const at = index * (length + gap);
    return isUpright
      ? { x: area.x + at, y: area.y, width: length, height: across }
      : { x: area.x + area.width - across, y: area.y + at, width: across, height: length };
  });
  const rest = across + gap;
  const main = isUpright
    ? { ...area, y: area.y + rest, height: Math.max(0, area.height - rest) }
    : { ...area, width: Math.max(0, area.width - rest) };
  return { main, side };
}

/** A column of small pictures at the end, from the top on. */
function column(area: Rect, gap: number, count: number, most: number): Split {
  const width = Math.floor(clamp(area.width * 0.2, LEAST.width, 300));
  const height = Math.floor(width / WIDEST);
  const room = Math.max(1, Math.floor((area.height + gap) / (height + gap)));
  const shown = Math.min(count, most, room);
  const x = area.x + area.width - width;
  const used = shown * height + (shown - 1) * gap;
  const top = area.y + Math.max(0, Math.floor((area.height - used) / 2));
  return {
    main: { ...area, width: Math.max(0, area.width - width - gap) },
    side: Array.from({ length: shown }, (_, index) => ({
      x,
      y: top + index * (height + gap),
      width,
      height,
    })),
  };
}

/** Rows of small pictures below the large one. */
function below(area: Rect, gap: number, count: number, most: number): Split {
  const columns = clamp(Math.floor(area.width / 170), 2, 4);
  const width = Math.floor((area.width - (columns - 1) * gap) / columns);
  const height = Math.floor((width * 3) / 4);
  // The large picture keeps its width, and half of the height if that is more.
  const least = Math.max(Math.ceil(area.width / WIDEST), Math.floor(area.height * 0.5));
  const room = clamp(Math.floor((area.height - least) / (height + gap)), 1, Math.ceil(most / columns));
  const rows = Math.min(room, Math.ceil(count / columns));
  const shown = Math.min(count, most, rows * columns);
  const used = rows * (height + gap);
  const first = area.y + area.height - used + gap;
  const side = Array.from({ length: shown }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, shown - row * columns);
    const left = area.x + Math.floor((area.width - inRow * width - (inRow - 1) * gap) / 2);
    return { x: left + (index % columns) * (width + gap), y: first + row * (height + gap), width, height };
  });
  return { main: { ...area, height: Math.max(0, area.height - used) }, side };
}

/** Oneself, over the lower end of the others. */
export function cornerRect(area: Rect, upright: boolean): Rect {
  const width = Math.floor(clamp(area.width * (upright ? 0.27 : 0.18), 96, upright ? 150 : 260));
  const height = Math.floor(upright ? (width * 4) / 3 : width / WIDEST);
  return {
    x: area.x + area.width - width - CORNER_MARGIN,
    y: area.y + area.height - height - CORNER_MARGIN,
    width,
    height,
  };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
