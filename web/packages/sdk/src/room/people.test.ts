import { describe, expect, it } from 'vitest';
import { dice } from '../dice.test.util.js';
import type { Person } from '../types.js';
import { differences, NOBODY, peopleOf, speakerOf, speakingOf } from './people.js';

function person(id: string, order: number, more: Partial<Person> = {}): Person {
  return { participant: id, order, name: id, rights: ['chat'], sources: [], quality: 'good', ...more };
}

const NONE = new Map();

describe('who is in a room', () => {
  it('is in the order of coming, and the same object while nothing changes', () => {
    const first = peopleOf({ people: [person('b', 2), person('a', 1)] }, NOBODY);
    expect([...first.keys()]).toEqual(['a', 'b']);
    // A snapshot says the same in other words.
    const again = peopleOf({ people: [person('a', 1, { hand: 0, host: false }), person('b', 2)] }, first);
    expect(again).toBe(first);
    const moved = peopleOf({ people: [person('a', 1), person('b', 2, { hand: 5 })] }, first);
    expect([moved === first, moved.get('a') === first.get('a')]).toEqual([false, true]);
  });

  it('tells of coming and going, hands, rights and sources', () => {
    const before = peopleOf({ people: [person('a', 1), person('b', 2), person('c', 3)] }, NOBODY);
    const changed = person('a', 1, {
      hand: 7,
      rights: ['camera'],
      sources: [
        { source: 'camera', csrc: 6, state: 'on' },
        { source: 'microphone', csrc: 5, state: 'off' },
      ],
    });
    const now = peopleOf({ people: [changed, person('c', 9), person('d', 10)] }, before);
    const told = differences(before, now, new Map([['b', 'removed']])).map(({ name, value }) =>
      name === 'left' ? [name, value.person.participant, value.why] : [name, value],
    );
    expect(told).toEqual([
      ['left', 'b', 'removed'],
      ['left', 'c', 'left'],
      ['switched', { person: changed, source: 'camera', state: 'on' }],
      ['hand', { person: changed, up: true }],
      ['rights', { person: changed, gained: ['camera'], lost: ['chat'] }],
      ['joined', person('c', 9)],
      ['joined', person('d', 10)],
    ]);
  });

  it('speaks by the numbers of its microphones, and who has none never does', () => {
    const microphone = (csrc: number): Partial<Person> => ({
      sources: [{ source: 'microphone', csrc, state: 'on' }],
    });
    const all = [person('listener', 1), person('a', 2, microphone(4)), person('b', 3, microphone(8))];
    const people = peopleOf({ people: all }, NOBODY);
    expect(speakingOf(people, { speaking: [] })).toEqual({ now: new Set(), mainly: null });
    expect(speakingOf(people, { speaking: [8, 99], stage: 4 })).toEqual({
      now: new Set(['b']),
      mainly: 'a',
    });
    expect(speakingOf(people, { speaking: [], stage: 99 }).mainly).toBeNull();
  });

  it('has one whom a view of the speaker shows, who is never oneself', () => {
    const seen = { sources: [{ source: 'camera' as const, csrc: 6, state: 'on' as const }] };
    const people = peopleOf(
      { people: [person('me', 1, seen), person('b', 2), person('c', 3, seen)] },
      NOBODY,
    );
    const speaker = (mainly: string | null, before: string | null): string | null =>
      speakerOf(people, 'me', mainly, before);
    expect(speaker('b', 'c')).toBe('b');
    expect([speaker('me', 'b'), speaker(null, 'b'), speaker('gone', 'b')]).toEqual(['b', 'b', 'b']);
    expect([speaker(null, null), speaker('me', 'gone')]).toEqual(['c', 'c']);
    expect(speakerOf(peopleOf({ people: [person('me', 1)] }, NOBODY), 'me', 'me', null)).toBeNull();
  });

  it('is told the same whether one snapshot was missed or none', () => {
    for (let seed = 0; seed < 100; seed += 1) {
      const roll = dice(seed);
      const state = (): Person[] =>
        ['a', 'b', 'c', 'd']
          .filter(() => roll(3) > 0)
          .map((id, index) => person(id, index + 1, { hand: roll(2) * (index + 1) }));
      const snapshots = Array.from({ length: 4 }, state).map((people) => peopleOf({ people }, NOBODY));
      const [first = NOBODY, , , last = NOBODY] = snapshots;
      // Who has come and gone, and whose hand is up, follows from what was told in either way.
      const follow = (steps: readonly (typeof first)[]): Map<string, string> => {
        const known = new Map([...first].map(([id, { order, hand }]) => [id, `${order} ${hand !== 0}`]));
        steps.forEach((now, index) => {
          const before = index === 0 ? first : (steps[index - 1] ?? NOBODY);
          for (const { name, value } of differences(before, now, NONE)) {
            if (name === 'left') known.delete(value.person.participant);
            if (name === 'joined') known.set(value.participant, `${value.order} ${value.hand !== 0}`);
            if (name === 'hand') known.set(value.person.participant, `${value.person.order} ${value.up}`);
          }
        });
        return known;
      };
      const entries = (map: Map<string, string>): [string, string][] => [...map].sort();
      expect(entries(follow(snapshots.slice(1))), `seed ${seed}`).toEqual(entries(follow([last])));
    }
  });
});
