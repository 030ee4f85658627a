import { describe, expect, test } from 'vitest';
import { RoomReplica } from './room-replica.js';
import type { Person } from './types.js';

function person(participant: string): Person {
  return { participant, order: 1, name: participant, rights: [], sources: [], quality: 'good' };
}

describe('a room as a page knows it', () => {
  test('a snapshot and deltas in order make the state', () => {
    const room = new RoomReplica();
    expect(room.apply({ type: 'delta', epoch: 1, seq: 4, joined: [person('par_a')] })).toBe(false);
    expect(room.apply({ type: 'snapshot', epoch: 1, seq: 3, locked: false, people: [person('par_a')] })).toBe(
      true,
    );
    const changed = [{ participant: 'par_a', name: 'Anna' }];
    expect(room.apply({ type: 'delta', epoch: 1, seq: 4, joined: [person('par_b')], changed })).toBe(true);
    expect(room.state?.people.map(({ name }) => name)).toEqual(['Anna', 'par_b']);
    const gone = [{ participant: 'par_a', why: 'left' as const }];
    expect(room.apply({ type: 'delta', epoch: 1, seq: 5, locked: true, gone })).toBe(true);
    expect(room.state).toEqual({ epoch: 1, seq: 5, locked: true, people: [person('par_b')] });
  });

  test('what is repeated changes nothing, and a gap asks for a snapshot', () => {
    const room = new RoomReplica();
    room.apply({ type: 'snapshot', epoch: 2, seq: 5, locked: false, people: [] });
    expect(room.apply({ type: 'delta', epoch: 2, seq: 5, joined: [person('par_a')] })).toBe(true);
    expect(room.apply({ type: 'delta', epoch: 1, seq: 9, joined: [person('par_a')] })).toBe(true);
    expect(room.apply({ type: 'snapshot', epoch: 1, seq: 9, locked: false, people: [person('par_a')] })).toBe(
      true,
    );
    expect(room.state?.people).toEqual([]);
    expect(room.apply({ type: 'delta', epoch: 2, seq: 7, joined: [person('par_a')] })).toBe(false);
    expect(room.apply({ type: 'delta', epoch: 3, seq: 1 })).toBe(false);
    expect(room.state?.seq).toBe(5);
  });
});
