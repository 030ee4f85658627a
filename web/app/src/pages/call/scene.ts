import type { PictureOf } from '@madang/sdk';
import { cornerRect, gridCapacity, gridRects, mainRects, type Rect, type Size, split, strip } from './layout';

/** On a phone so many stand beside the whiteboard. */
const BESIDE_BOARD = 4;

/** How the person wants to see the call. */
export type ViewKind = 'grid' | 'speaker';

/** What the person chose; nothing here comes from the room. */
export interface Wish {
  view: ViewKind;
  /** The picture that stays large, by its key. */
  pin: string | null;
  /** Shared screens that were put away: they do not take the stage by themselves again. */
  away: ReadonlySet<string>;
  selfView: boolean;
  /** The whiteboard has the stage; everybody stands beside it. */
  board?: boolean;
}

/** What the device can show at a time. */
export interface Means {
  tiles: number;
  screens: number;
  /** A phone. */
  small: boolean;
}

/** Names a picture in lists and as a React key. */
export function keyOf(picture: PictureOf): string {
  return picture === 'speaker' ? picture : `${picture.source} ${picture.participant}`;
}

/** Which picture is where. */
export interface Placed {
  key: string;
  picture: PictureOf;
  role: 'main' | 'tile' | 'corner';
  rect: Rect;
}

/** What is to be seen of a call, but for who stands in which of the small places. */
export interface Scene {
  mode: 'grid' | 'speaker' | 'screen' | 'pin' | 'board';
  main: Placed[];
  /** Where the whiteboard is; null while it is closed. */
  board: Rect | null;
  corner: Placed | null;
  /** The places of the small pictures of a page. */
  places: Rect[];
  /** Keys of pictures that have none of these places. */
  without: string[];
}

interface Roles {
  mode: Scene['mode'];
  main: PictureOf[];
  rest: PictureOf[];
  corner: PictureOf | null;
}

const camera = (participant: string): PictureOf => ({ participant, source: 'camera' });
const screen = (participant: string): PictureOf => ({ participant, source: 'screen' });

/** Somebody, as far as places are concerned. */
export interface Seat {
  participant: string;
  /** Shares a screen. */
  shares: boolean;
}

/** The screens that others share, in the order in which the others came. */
export function sharedScreens(seats: readonly Seat[], me: string | null): string[] {
  return seats
    .filter(({ participant, shares }) => participant !== me && shares)
    .map(({ participant }) => keyOf(screen(participant)));
}

/** Who is large, who is small, in an order that nobody changes by speaking. */
export function rolesOf(seats: readonly Seat[], me: string | null, wish: Wish, means: Means): Roles {
  const others = seats.filter(({ participant }) => participant !== me).map(({ participant }) => participant);
  const self = me !== null && wish.selfView ? camera(me) : null;
  const screens = seats
    .filter(({ participant, shares }) => participant !== me && shares)
    .map(({ participant }) => screen(participant));
  const everything = [...screens, ...(me === null ? [] : [camera(me)]), ...others.map(camera)];
  const pinned = everything.find((picture) => keyOf(picture) === wish.pin);
  const fresh = screens.filter((picture) => !wish.away.has(keyOf(picture)));

  let mode: Scene['mode'] = 'grid';
  let main: PictureOf[] = [];
  if (wish.board === true) mode = 'board';
  else if (pinned !== undefined) [mode, main] = ['pin', [pinned]];
  else if (fresh.length > 0) [mode, main] = ['screen', fresh.slice(0, means.screens)];
  else if (wish.view === 'speaker' && others.length > 0) {
    // Of two people the other one is the speaker, whoever speaks.
    [mode, main] = ['speaker', others.length === 1 ? others.map(camera) : ['speaker']];
  }
  const large = new Set(main.map(keyOf));
  const small = [...screens, ...others.map(camera)].filter((picture) => !large.has(keyOf(picture)));
  const selfSmall = self !== null && !large.has(keyOf(self)) ? self : null;
  const few = mode === 'grid' || mode === 'speaker' ? small.length + large.size : small.length;
  // Beside a large picture there is a strip, and the corner would hide what is shared.
  const hasStrip = (main.length > 0 || mode === 'board') && small.length > 0;
  const inCorner =
    mode !== 'board' && selfSmall !== null && others.length > 0 && !hasStrip && few <= (means.small ? 2 : 1);
  return {
    mode,
    main,
    rest: inCorner || selfSmall === null ? small : [selfSmall, ...small],
    corner: inCorner ? selfSmall : null,
  };
}

/** The whole scene for a stage of this size. */
export function sceneOf(
  seats: readonly Seat[],
  me: string | null,
  wish: Wish,
  means: Means,
  stage: Size,
): Scene {
  const { mode, main, rest, corner } = rolesOf(seats, me, wish, means);
  const area: Rect = { x: 0, y: 0, width: Math.floor(stage.width), height: Math.floor(stage.height) };
  const gap = means.small ? 6 : 10;
  const isBoard = mode === 'board';
  const most = isBoard && means.small ? BESIDE_BOARD : means.tiles;
  const divide = isBoard && means.small ? strip : split;
  const parts = main.length === 0 && !isBoard ? null : divide(area, gap, rest.length, most);
  const around = parts?.main ?? area;
  const upright = means.small && area.width < area.height;
  const place = (role: Placed['role'], picture: PictureOf, rect: Rect): Placed => ({
    key: keyOf(picture),
    picture,
    role,
    rect,
  });
  const large = mainRects(main.length, around, gap);
  const small = new Set(rest.map(keyOf));
  const own = me === null ? [] : [camera(me), screen(me)];
  return {
    mode,
    board: isBoard ? around : null,
    main: main.map((picture, index) => place('main', picture, large[index] ?? around)),
    corner: corner === null ? null : place('corner', corner, cornerRect(around, upright)),
    places: parts?.side ?? gridPlaces(rest.length, area, gap, means.tiles),
    without: [...main, ...own].map(keyOf).filter((key) => !small.has(key)),
  };
}

/** Where there are more than a page holds every page is divided as the first: turning to it makes nobody large. */
function gridPlaces(count: number, area: Rect, gap: number, most: number): Rect[] {
  if (count === 0) return [];
  return gridRects(gridCapacity(area, gap, Math.min(most, count)), area, gap);
}
