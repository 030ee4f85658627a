import { BOARD_PRESENCE_RATE, type BoardEvent, MAX_BOARD_PRESENCE, Value } from '@madang/sdk';
import type { Other, PresenceState } from '../types.js';
import type { Wire } from './wire.js';

const INTERVAL_MS = 1_000 / BOARD_PRESENCE_RATE;
/** Who stands still is shown to those who came since. */
const REPEAT_MS = 15_000;
/** Who has not been heard of for so long is gone, whoever was to say so. */
const LIFETIME_MS = 40_000;

/** What others show at the moment, and what oneself shows: at most 20 times a second, the latest of each. */
export class Presence {
  readonly others = new Value<ReadonlyMap<number, Other>>(new Map());
  private readonly heard = new Map<number, number>();
  private state: PresenceState | null = null;
  private sentAt = 0;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private readonly upkeep: ReturnType<typeof setInterval>;

  constructor(
    private readonly wire: Wire,
    private readonly client: () => number | null,
  ) {
    wire.onEvent((event) => this.hear(event));
    wire.onConnected((is) => {
      if (!is) this.forget([...this.heard.keys()]);
    });
    this.upkeep = setInterval(() => {
      const now = Date.now();
      this.forget([...this.heard].filter(([, at]) => now - at > LIFETIME_MS).map(([client]) => client));
      if (now - this.sentAt >= REPEAT_MS) this.later();
    }, REPEAT_MS / 3);
  }

  readonly set = (state: PresenceState): void => {
    this.state = state;
    this.later();
  };

  close(): void {
    clearInterval(this.upkeep);
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private later(): void {
    if (this.timer !== null) return;
    const wait = Math.max(0, this.sentAt + INTERVAL_MS - Date.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      this.send();
    }, wait);
  }

  private send(): void {
    const client = this.client();
    if (client === null || this.state === null) return;
    this.sentAt = Date.now();
    const state = this.state as Record<string, unknown>;
    if (new TextEncoder().encode(JSON.stringify(state)).length > MAX_BOARD_PRESENCE) return;
    this.wire.show({ type: 'presence', client, state });
  }

  private hear(event: BoardEvent): void {
    if (event.type === 'left') this.forget([event.client]);
    if (event.type === 'epoch') this.forget([...this.heard.keys()]);
    if (event.type !== 'presence' || event.client === this.client()) return;
    const isNew = !this.heard.has(event.client);
    this.heard.set(event.client, Date.now());
    const { from, name, client } = event;
    this.others.set(new Map(this.others.get()).set(client, { from, name, state: event.state }));
    // It has not seen this page yet.
    if (isNew) this.later();
  }

  private forget(clients: readonly number[]): void {
    if (clients.length === 0) return;
    const others = new Map(this.others.get());
    for (const client of clients) {
      this.heard.delete(client);
      others.delete(client);
    }
    if (others.size !== this.others.get().size) this.others.set(others);
  }
}
