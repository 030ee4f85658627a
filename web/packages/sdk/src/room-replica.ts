import type { RoomSnapshot, RoomUpdate } from './types.js';

/** The state of a room as this page knows it: a snapshot, then deltas in order. */
export class RoomReplica {
  private known: RoomSnapshot | null = null;

  /** The state; null before the first snapshot. */
  get state(): RoomSnapshot | null {
    return this.known;
  }

  /** Takes an update; `false` where one before it is missing, so that a snapshot is needed. */
  apply(update: RoomUpdate): boolean {
    const { known } = this;
    if (update.type === 'snapshot') {
      const { epoch, seq, locked, people } = update;
      if (known === null || epoch > known.epoch || (epoch === known.epoch && seq >= known.seq))
        this.known = { epoch, seq, locked, people };
      return true;
    }
    // What belongs to another life of the room, or is known already, changes nothing.
    if (known === null || update.epoch > known.epoch) return false;
    if (update.epoch < known.epoch || update.seq <= known.seq) return true;
    if (update.seq !== known.seq + 1) return false;
    const people = new Map(known.people.map((person) => [person.participant, person]));
    for (const { participant } of update.gone ?? []) people.delete(participant);
    for (const person of update.joined ?? []) people.set(person.participant, person);
    for (const change of update.changed ?? []) {
      const person = people.get(change.participant);
      if (person !== undefined) people.set(person.participant, { ...person, ...change });
    }
    this.known = {
      epoch: known.epoch,
      seq: update.seq,
      locked: update.locked ?? known.locked,
      people: [...people.values()],
    };
    return true;
  }
}
