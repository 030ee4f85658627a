import { t } from '../../texts';

/** Something about people that is worth a word. */
export interface Notable {
  what: 'joined' | 'left' | 'hand';
  name: string;
}

/** More at once are counted, not named. */
const NAMED = 2;

/** What happened in one moment as sentences: a hundred people who come at once are one. */
export function sentences(happened: readonly Notable[]): string[] {
  return (['joined', 'left', 'hand'] as const).flatMap((what) => {
    const names = happened.filter((notable) => notable.what === what).map(({ name }) => name);
    if (names.length > NAMED) return [MANY[what](names.length)];
    return names.map((name) => ONE[what](name));
  });
}

const ONE: Readonly<Record<Notable['what'], (name: string) => string>> = {
  joined: t.roomJoined,
  left: t.roomLeft,
  hand: t.roomHandRaised,
};
const MANY: Readonly<Record<Notable['what'], (n: number) => string>> = {
  joined: t.roomJoinedMany,
  left: t.roomLeftMany,
  hand: t.roomHandsMany,
};
