/** Who is in a room, by what was known before and what is known now. Pure. */

import type { Person, Right, RoomSnapshot, Source, SourceState, Speakers, WhyGone } from '../types.js';
import type { RoomEvents, Speaking } from './types.js';

/** People by id, in the order in which they came. */
export type People = ReadonlyMap<string, Person>;

export const NOBODY: People = new Map();

/** The people of a snapshot. Whoever has not changed is the same object, and so is the map where nobody has. */
export function peopleOf({ people }: Pick<RoomSnapshot, 'people'>, before: People): People {
  const now = new Map(
    [...people]
      .sort((a, b) => a.order - b.order)
      .map((person) => {
        const old = before.get(person.participant);
        return [person.participant, old !== undefined && isSame(old, person) ? old : person];
      }),
  );
  const [old, fresh] = [[...before.values()], [...now.values()]];
  return old.length === fresh.length && old.every((person, index) => person === fresh[index]) ? before : now;
}

/** What a person's source does; null if it does not publish it. */
export function sourceOf(person: Person | undefined, source: Source): Person['sources'][number] | null {
  return person?.sources.find((own) => own.source === source) ?? null;
}

/** Who speaks, where the server says it by the numbers of microphones. */
export function speakingOf(people: People, { speaking, stage }: Speakers): Speaking {
  const whose = new Map<number, string>();
  for (const person of people.values()) {
    const microphone = sourceOf(person, 'microphone');
    if (microphone !== null) whose.set(microphone.csrc, person.participant);
  }
  const now = speaking.flatMap((csrc) => whose.get(csrc) ?? []);
  return { now: new Set(now), mainly: stage === undefined ? null : (whose.get(stage) ?? null) };
}

/**
 * Whom a view of the speaker shows: whoever speaks mainly, but never oneself; then the last one, then the first who is
 * seen.
 */
export function speakerOf(
  people: People,
  me: string | null,
  mainly: string | null,
  before: string | null,
): string | null {
  const isOther = (id: string | null): id is string => id !== null && id !== me && people.has(id);
  if (isOther(mainly)) return mainly;
  if (isOther(before)) return before;
  const others = [...people.values()].filter(({ participant }) => participant !== me);
  const seen = others.find((person) => sourceOf(person, 'camera')?.state === 'on');
  return (seen ?? others[0])?.participant ?? null;
}

/** Something that happened, as {@link RoomEvents} has it. */
export type Happened = {
  [Name in keyof RoomEvents]: { name: Name; value: RoomEvents[Name] };
}[keyof RoomEvents];

/** What happened between `before` and `now`; `why` says of whom it is known why it went. */
export function differences(before: People, now: People, why: ReadonlyMap<string, WhyGone>): Happened[] {
  const happened: Happened[] = [];
  for (const [id, person] of before) {
    // Another order says that it left and came back.
    if (now.get(id)?.order === person.order) continue;
    happened.push({ name: 'left', value: { person, why: why.get(id) ?? 'left' } });
  }
  for (const [id, person] of now) {
    const old = before.get(id);
    if (old === person) continue;
    if (old?.order !== person.order) happened.push({ name: 'joined', value: person });
    else happened.push(...changes(old, person));
  }
  return happened;
}

function changes(old: Person, person: Person): Happened[] {
  const happened: Happened[] = [];
  const states = new Map<Source, SourceState>(old.sources.map(({ source, state }) => [source, state]));
  for (const { source, state } of person.sources) {
    // What is published for the first time is off: that is no news.
    if ((states.get(source) ?? 'off') !== state)
      happened.push({ name: 'switched', value: { person, source, state } });
  }
  const [wasUp, up] = [(old.hand ?? 0) !== 0, (person.hand ?? 0) !== 0];
  if (wasUp !== up) happened.push({ name: 'hand', value: { person, up } });
  const gained = missingIn(old.rights, person.rights);
  const lost = missingIn(person.rights, old.rights);
  if (gained.length > 0 || lost.length > 0)
    happened.push({ name: 'rights', value: { person, gained, lost } });
  return happened;
}

function missingIn(some: readonly Right[], others: readonly Right[]): Right[] {
  return others.filter((right) => !some.includes(right));
}

function isSame(a: Person, b: Person): boolean {
  return JSON.stringify(normal(a)) === JSON.stringify(normal(b));
}

/** A change and a snapshot name the fields of a person in other orders. */
function normal({ participant, order, name, host, rights, sources, quality, hand }: Person): unknown[] {
  const own = sources.map(({ source, csrc, state }) => [source, csrc, state]);
  return [participant, order, name, host ?? false, rights, own, quality, hand ?? 0];
}
