import { RoomReplica } from '../room-replica.js';
import type { Signaling } from '../signaling.js';
import type { RoomSnapshot, RoomUpdate, WhyGone } from '../types.js';
import { differences, type Happened, NOBODY, type People, peopleOf } from './people.js';
import { Value } from './store.js';

/** What this page knows of the state of a room, and keeps while signaling is away. */
export class KnownRoom {
  readonly people = new Value<People>(NOBODY);
  readonly locked = new Value(false);
  private readonly replica = new RoomReplica();
  private unsubscribe = (): void => undefined;

  constructor(
    private readonly signaling: Pick<Signaling, 'onRoom'>,
    private readonly group: string,
    private readonly tell: (happened: Happened) => void,
  ) {
    this.subscribe();
  }

  /** Takes the snapshot that a session begins with. */
  begin(snapshot: RoomSnapshot): void {
    this.take({ type: 'snapshot', ...snapshot });
  }

  close(): void {
    this.unsubscribe();
  }

  private subscribe(): void {
    this.unsubscribe();
    this.unsubscribe = this.signaling.onRoom(this.group, (update) => this.take(update));
  }

  private take(update: RoomUpdate): void {
    const isFirst = this.replica.state === null;
    // Something was missed: whoever subscribes gets the whole first.
    if (!this.replica.apply(update)) {
      this.subscribe();
      return;
    }
    const { state } = this.replica;
    if (state === null) return;
    const before = this.people.get();
    const now = peopleOf(state, before);
    this.locked.set(state.locked);
    this.people.set(now);
    // Whoever is there already has not joined just now.
    if (!isFirst) for (const happened of differences(before, now, whyOf(update))) this.tell(happened);
    if (update.type !== 'delta') return;
    for (const { participant, reaction } of update.reactions ?? []) {
      const person = now.get(participant);
      if (person !== undefined) this.tell({ name: 'reaction', value: { person, reaction } });
    }
  }
}

function whyOf(update: RoomUpdate): ReadonlyMap<string, WhyGone> {
  const gone = update.type === 'delta' ? (update.gone ?? []) : [];
  return new Map(gone.map(({ participant, why }) => [participant, why]));
}
