import type { Person, PictureOf } from '@madang/sdk';
import { cornerRect, gridCapacity, gridRects, mainRects, type Rect, type Size, split } from './layout';

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
  page: number;
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

/** What is to be seen of a call. */
export interface Scene {
  mode: 'grid' | 'speaker' | 'screen' | 'pin';
  placed: Placed[];
  page: number;
  pages: number;
  /** The page of each small picture. */
  pageOf: ReadonlyMap<string, number>;
}

interface Roles {
  mode: Scene['mode'];
  main: PictureOf[];
  rest: PictureOf[];
  corner: PictureOf | null;
}

const camera = (participant: string): PictureOf => ({ participant, source: 'camera' });
const screen = (participant: string): PictureOf => ({ participant, source: 'screen' });

/** The screens that others share, in the order in which the others came. */
export function sharedScreens(people: readonly Person[], me: string | null): string[] {
  return people
    .filter((person) => person.participant !== me && shares(person))
    .map(({ participant }) => keyOf(screen(participant)));
}

function shares({ sources }: Person): boolean {
  return sources.some(({ source, state }) => source === 'screen' && state === 'on');
}

/** Who is large, who is small, in an order that nobody changes by speaking. */
export function rolesOf(people: readonly Person[], me: string | null, wish: Wish, means: Means): Roles {
  const others = people.filter(({ participant }) => participant !== me).map(({ participant }) => participant);
  const self = me !== null && wish.selfView ? camera(me) : null;
  const screens = people
    .filter((person) => person.participant !== me && shares(person))
    .map(({ participant }) => screen(participant));
  const everything = [...screens, ...(me === null ? [] : [camera(me)]), ...others.map(camera)];
  const pinned = everything.find((picture) => keyOf(picture) === wish.pin);
  const fresh = screens.filter((picture) => !wish.away.has(keyOf(picture)));

  let mode: Scene['mode'] = 'grid';
  let main: PictureOf[] = [];
  if (pinned !== undefined) [mode, main] = ['pin', [pinned]];
  else if (fresh.length > 0) [mode, main] = ['screen', fresh.slice(0, means.screens)];
  else if (wish.view === 'speaker' && others.length > 0) {
    // Of two people the other one is the speaker, whoever speaks.
    [mode, main] = ['speaker', others.length === 1 ? others.map(camera) : ['speaker']];
  }
  const large = new Set(main.map(keyOf));
  const small = [...screens, ...others.map(camera)].filter((picture) => !large.has(keyOf(picture)));
  const selfSmall = self !== null && !large.has(keyOf(self)) ? self : null;
  const few = mode === 'grid' || mode === 'speaker' ? small.length + large.size : small.length;
  const inCorner = selfSmall !== null && others.length > 0 && few <= (means.small ? 2 : 1);
  return {
    mode,
    main,
    rest: inCorner || selfSmall === null ? small : [selfSmall, ...small],
    corner: inCorner ? selfSmall : null,
  };
}

/** The whole scene for a stage of this size. */
export function sceneOf(
  people: readonly Person[],
  me: string | null,
  wish: Wish,
  means: Means,
  stage: Size,
): Scene {
  const { mode, main, rest, corner } = rolesOf(people, me, wish, means);
  const area: Rect = { x: 0, y: 0, width: Math.floor(stage.width), height: Math.floor(stage.height) };
  const gap = means.small ? 6 : 10;
  const capacity =
    main.length === 0
      ? gridCapacity(area, gap, Math.min(means.tiles, Math.max(1, rest.length)))
      : split(area, gap, rest.length, means.tiles).side.length;
  const pages = Math.max(1, Math.ceil(rest.length / Math.max(1, capacity)));
  const page = Math.min(Math.max(0, wish.page), pages - 1);
  const shown = rest.slice(page * capacity, (page + 1) * capacity);
  // The last page is divided as the others are: turning to it makes nobody large.
  const parts = main.length === 0 ? null : split(area, gap, rest.length, means.tiles);
  const tiles = parts?.side ?? gridRects(pages > 1 ? capacity : shown.length, area, gap);
  const placed: Placed[] = [];
  const put = (role: Placed['role'], pictures: PictureOf[], rects: Rect[]): void => {
    pictures.forEach((picture, index) => {
      const rect = rects[index];
      if (rect !== undefined) placed.push({ key: keyOf(picture), picture, role, rect });
    });
  };
  put('main', main, mainRects(main.length, parts?.main ?? area, gap));
  put('tile', shown, tiles);
  if (corner !== null)
    put('corner', [corner], [cornerRect(parts?.main ?? area, means.small && area.width < area.height)]);
  const pageOf = new Map(
    rest.map((picture, index) => [keyOf(picture), Math.floor(index / Math.max(1, capacity))]),
  );
  return { mode, placed, page, pages, pageOf };
}
