import type { Outcome } from '../replies.js';
import type { Person, RoomCommand, Source, SourceState } from '../types.js';
import { sourceOf } from './people.js';

/** How one source of our own stands between this page and the room. */
interface Switch {
  /** Whether this page sends it. */
  on: boolean;
  /** What the room says; null where it does not know the source. */
  known: SourceState | null;
  /** What the room has answered to and not told yet. */
  answered: boolean | null;
  /** A command is under way, or the next one has to wait. */
  busy: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** The room tells what it has answered to within this time. */
const TOLD_WITHIN_MS = 3_000;
/** Before a command that was not done is repeated. */
const AGAIN_MS = 1_000;
const SOURCES: readonly Source[] = ['microphone', 'camera', 'screen', 'screen_audio'];

/** What {@link Switches} need. */
export interface SwitchesOptions {
  send: (command: RoomCommand) => Promise<Outcome>;
  /** A moderator has muted a source, or the room refuses to have it on. */
  muted: (source: Source) => void;
}

/**
 * Keeps the room's word about our own sources true: compares what it says with what this page does, and says `switch`
 * where they differ, however often either changes and whatever was lost.
 */
export class Switches {
  private readonly switches = new Map<Source, Switch>();
  private online = false;

  constructor(private readonly options: SwitchesOptions) {
    for (const source of SOURCES) {
      const one = { on: false, known: null, answered: null, busy: false, timer: undefined };
      this.switches.set(source, one);
    }
  }

  /** This page sends `source`, or does not any more. */
  set(source: Source, on: boolean): void {
    const own = this.of(source);
    own.on = on;
    this.check(source, own);
  }

  /** The room says this of us; undefined where it does not know us. */
  take(person: Person | undefined): void {
    for (const [source, own] of this.switches) {
      const before = own.known;
      own.known = sourceOf(person, source)?.state ?? null;
      if (own.answered !== null && (own.known === 'on') === own.answered) this.forget(own);
      if (own.known === 'muted' && before !== 'muted') this.mute(source, own);
      this.check(source, own);
    }
  }

  /** Commands reach the room now, or not. */
  connect(online: boolean): void {
    this.online = online;
    for (const [source, own] of this.switches) {
      // What was answered may be lost with what the room tells; a command under way ends by itself.
      if (!online) this.forget(own);
      this.check(source, own);
    }
  }

  close(): void {
    this.online = false;
    for (const own of this.switches.values()) clearTimeout(own.timer);
  }

  private of(source: Source): Switch {
    const own = this.switches.get(source);
    if (own === undefined) throw new Error(`no source ${source}`);
    return own;
  }

  private forget(own: Switch): void {
    if (own.answered === null) return;
    own.answered = null;
    clearTimeout(own.timer);
  }

  private mute(source: Source, own: Switch): void {
    own.on = false;
    this.options.muted(source);
  }

  private check(source: Source, own: Switch): void {
    if (!this.online || own.busy || own.known === null) return;
    if ((own.answered ?? own.known === 'on') === own.on) return;
    const { on } = own;
    own.busy = true;
    void this.options.send({ type: 'switch', source, on }).then((outcome) => {
      this.settle(source, own, on, outcome);
    });
  }

  private settle(source: Source, own: Switch, on: boolean, outcome: Outcome): void {
    if (outcome.sent) {
      own.busy = false;
      if ((own.known === 'on') !== on) this.expect(source, own, on);
      this.check(source, own);
      return;
    }
    if (outcome.reason === 'right' && on && own.on) this.mute(source, own);
    own.timer = setTimeout(() => {
      own.busy = false;
      this.check(source, own);
    }, outcome.retryAfterMs ?? AGAIN_MS);
  }

  /** The room has taken it, and will tell. */
  private expect(source: Source, own: Switch, on: boolean): void {
    clearTimeout(own.timer);
    own.answered = on;
    own.timer = setTimeout(() => {
      own.answered = null;
      // It was on, and a moderator has muted it again before anybody was told.
      if (on && own.on && own.known === 'muted') this.mute(source, own);
      this.check(source, own);
    }, TOLD_WITHIN_MS);
  }
}
