import type { Outcome, Person, Right } from '@madang/sdk';
import { describe, expect, it } from 'vitest';
import { muteAll } from './mute-all';
import { handsOf, listPeople } from './people-list';
import { powersOver, type Rank, rankOf } from './ranks';

function person(participant: string, change: Partial<Person> = {}): [string, Person] {
  const whole: Person = {
    participant,
    name: '',
    order: 1,
    quality: 'good',
    rights: [],
    sources: [],
    ...change,
  };
  return [participant, whole];
}

describe('the list of people', () => {
  const people = new Map([
    person('c', { name: 'Zoë Öztürk', order: 3, hand: 4 }),
    person('b', { name: '김민수', order: 2 }),
    person('a', { name: 'Anna', order: 1, hand: 9 }),
    person('d', { name: '', order: 4, hand: 0 }),
  ]);
  const find = (query: string, me: string | null = null): string[] =>
    listPeople(people, me, query, ({ name }) => (name === '' ? 'Guest' : name));

  it('is in the order in which they came, with oneself first', () => {
    people.set(...person('e', { name: 'Eva', order: 5 }));
    expect(find('')).toEqual(['b', 'd', 'e']);
    expect(find('', 'd')).toEqual(['d', 'b', 'e']);
    expect(find('', 'gone')).toEqual(['b', 'd', 'e']);
    people.delete('e');
  });

  it('has each person once: with a hand up, or among the others', () => {
    expect([...handsOf(people), ...find('')].sort()).toEqual(['a', 'b', 'c', 'd']);
  });

  it.each([
    ['ANN', ['a']],
    [' zoe oz', ['c']],
    ['민수', ['b']],
    ['ㄱㅁㅅ', ['b']],
    ['ㅁ', ['b']],
    ['ㅎ', []],
    ['guest', ['d']],
    ['nobody', []],
    ['.*', []],
  ])('finds %s', (query, found) => expect(find(query)).toEqual(found));

  it('has the hands in the order in which they were raised', () => {
    expect(handsOf(people)).toEqual(['c', 'a']);
  });
});

describe('ranks', () => {
  it('go by the right to moderate, not by the token alone', () => {
    const of = (host: boolean, rights: Right[]): Rank => rankOf({ host, rights });
    expect(of(true, ['moderate'])).toBe('host');
    expect(of(false, ['chat', 'moderate'])).toBe('moderator');
    expect(of(true, ['chat'])).toBe('guest');
  });

  // Rows as in `crates/room/src/may.rs`: about a guest, a moderator, a host.
  it.each([
    ['guest', ['', '', '']],
    ['moderator', ['quieten govern', 'quieten', 'quieten']],
    ['host', ['quieten govern promote', 'quieten govern promote', 'quieten']],
  ] as const)('let a %s do what the server lets it', (own, row) => {
    const others: readonly Rank[] = ['guest', 'moderator', 'host'];
    const offered = others.map((other) => {
      const powers = powersOver(own, other);
      return (['quieten', 'govern', 'promote'] as const).filter((power) => powers[power]).join(' ');
    });
    expect(offered).toEqual(row);
  });
});

describe('muting everybody', () => {
  const done: Outcome = { sent: true, seq: null };
  const refused = (reason: 'rate' | 'right' | 'state', retryAfterMs: number | null = null): Outcome => ({
    sent: false,
    reason,
    retryAfterMs,
  });

  async function run(
    answers: Record<string, Outcome[]>,
    stopped: () => boolean = () => false,
  ): Promise<{ asked: string[]; paused: number[]; result: unknown }> {
    const asked: string[] = [];
    const paused: number[] = [];
    const mute = (participant: string): Promise<Outcome> => {
      asked.push(participant);
      return Promise.resolve(answers[participant]?.shift() ?? done);
    };
    const pause = (ms: number): Promise<void> => {
      paused.push(ms);
      return Promise.resolve();
    };
    const result = await muteAll(['a', 'b', 'c'], mute, { pause, stopped, progress: () => undefined });
    return { asked, paused, result };
  }

  it('waits where the server asks for it, and asks for the same one again', async () => {
    const { asked, paused, result } = await run({ b: [refused('rate', 200), refused('rate')] });
    expect(asked).toEqual(['a', 'b', 'b', 'b', 'c']);
    expect(paused).toEqual([200, 1_000]);
    expect(result).toEqual({ muted: 3, refused: null });
  });

  it('goes on after one who has left, and ends where the right is gone', async () => {
    expect((await run({ a: [refused('state')] })).result).toEqual({ muted: 2, refused: 'state' });
    const { asked, result } = await run({ b: [refused('right')] });
    expect(asked).toEqual(['a', 'b']);
    expect(result).toEqual({ muted: 1, refused: 'right' });
  });

  it('does not try for ever, and ends with the page', async () => {
    const busy = Array.from({ length: 99 }, () => refused('rate'));
    const { asked, result } = await run({ b: busy });
    expect(asked).toEqual(['a', 'b', 'b', 'b', 'b', 'b', 'c']);
    expect(result).toEqual({ muted: 2, refused: 'rate' });
    expect((await run({}, () => true)).asked).toEqual(['a']);
  });
});
