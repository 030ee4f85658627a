import { type BoardDone, type BoardEvent, MAX_BOARD_FRAME, MAX_BOARD_UPDATE, Value } from '@madang/sdk';
import * as Y from 'yjs';
import { fromBase64, toBase64 } from '../model/base64.js';
import type { BoardState } from '../types.js';
import { carry, ROOTS, type Touched, touchedBy } from './carry.js';
import { cut, deletesOf } from './cut.js';
import { type Answer, Refused, type Wire } from './wire.js';

/** Between two updates: what is drawn meanwhile goes as one. The server takes 30 a second of a person. */
const GATHER_MS = 60;
/** After something did not work. */
const RETRY_MS = 1_000;
const LAST_RETRY_MS = 10_000;
/** That something is due is looked for this often, whatever was to say so. */
const UPKEEP_MS = 5_000;
/** A full board is tried again after this. */
const FULL_MS = 5_000;

/** A local change that the server has not acknowledged. */
interface Pending {
  update: Uint8Array;
  touched: Touched;
}

/** The transaction origin of what comes from the server. */
const REMOTE = Symbol('remote');

/**
 * A document that is the same as the server's. What is drawn is kept in order until the server has it, and sent again as
 * often as needed: the server passes over what it knows. When there is another document at the server, or another id to
 * draw under, what it has not acknowledged is drawn anew on that.
 */
export class Sync {
  readonly doc = new Value<Y.Doc>(new Y.Doc());
  readonly state = new Value<BoardState>({
    phase: 'loading',
    unsent: 0,
    mayDraw: false,
    nearlyFull: false,
    full: false,
    why: null,
  });

  /** What the server gave to draw under; null where it was not asked since the connection began. */
  private own: BoardDone | null = null;
  /** The id of before, to be asked for again. */
  private last: { epoch: number; client: number } | null = null;
  private pending: Pending[] = [];
  /** The document that is loaded; 0 before any is. */
  private epoch = 0;
  /** The last update that is in the document. */
  private n = 0;
  private isLoaded = false;
  /** Something was missed. */
  private isBehind = false;
  private isBusy = false;
  private isAgain = false;
  /** Changes go one by one: one of them was refused for good. */
  private isAlone = false;
  /** All of one's own was sent again. */
  private isGap = false;
  private isDeleting = false;
  /** Nothing more is sent until the server says that the right is there. */
  private isBarred = false;
  private tries = 0;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private isClosed = false;
  private lastSent = 0;
  private readonly upkeep: ReturnType<typeof setInterval>;
  private unfollow = (): void => undefined;

  constructor(private readonly wire: Wire) {
    this.follow(this.doc.get());
    wire.onConnected((is) => (is ? this.connected() : this.lost()));
    wire.onEvent((event) => this.hear(event));
    if (wire.isConnected()) this.connected();
    this.upkeep = setInterval(() => {
      const isDue = this.pending.length > 0 || this.isBehind || !this.isLoaded;
      if (isDue && this.timer === null && !this.isBarred) this.later(0);
    }, UPKEEP_MS);
  }

  /** The id that this page draws under now. */
  get client(): number | null {
    return this.own?.client ?? null;
  }

  close(): void {
    this.isClosed = true;
    this.unfollow();
    clearInterval(this.upkeep);
    if (this.timer !== null) clearTimeout(this.timer);
    this.wire.close();
  }

  private set(change: Partial<BoardState>): void {
    const state = { ...this.state.get(), ...change, unsent: this.pending.length };
    if (JSON.stringify(state) !== JSON.stringify(this.state.get())) this.state.set(state);
  }

  private follow(doc: Y.Doc): void {
    this.unfollow();
    const take = (update: Uint8Array, _: unknown, __: unknown, transaction: Y.Transaction): void => {
      if (!transaction.local || transaction.origin === REMOTE) return;
      this.pending.push({ update, touched: touchedBy(doc, transaction) });
      this.set({});
      this.later(Math.max(0, this.lastSent + GATHER_MS - Date.now()));
    };
    doc.on('update', take);
    this.unfollow = () => doc.off('update', take);
  }

  private connected(): void {
    this.own = null;
    this.isBehind = true;
    this.isBarred = false;
    this.tries = 0;
    this.later(0);
  }

  private lost(): void {
    this.own = null;
    this.isBehind = true;
    if (this.state.get().phase === 'ready') this.set({ phase: 'offline' });
  }

  private hear(event: BoardEvent): void {
    if (this.isClosed) return;
    switch (event.type) {
      case 'open':
        this.set({ mayDraw: event.may_draw, nearlyFull: event.nearly_full });
        this.isBarred &&= !event.may_draw;
        if (event.epoch !== this.epoch || event.n > this.n) this.isBehind = true;
        this.later(0);
        break;
      case 'update':
        this.take(event);
        break;
      case 'epoch':
        if (event.epoch !== this.epoch) this.isBehind = true;
        this.later(0);
        break;
      case 'gap':
        this.isBehind = true;
        this.later(0);
        break;
      case 'full':
        this.set({ nearlyFull: event.nearly_full, full: this.state.get().full && event.nearly_full });
        this.later(0);
        break;
      case 'rights':
        this.isBarred = !event.may_draw;
        this.set({ mayDraw: event.may_draw, ...(event.may_draw ? { why: null } : {}) });
        this.later(0);
        break;
      default:
        break;
    }
  }

  private take({ epoch, n, client, update }: Extract<BoardEvent, { type: 'update' }>): void {
    if (epoch !== this.epoch || !this.isLoaded) {
      this.isBehind = true;
      return;
    }
    if (n <= this.n) return;
    const bytes = update === undefined ? null : fromBase64(update);
    const isOwn = client === this.own?.client;
    if (bytes !== null && !isOwn) Y.applyUpdate(this.doc.get(), bytes, REMOTE);
    // One's own is here already.
    if (n === this.n + 1 && (bytes !== null || isOwn)) this.n = n;
    else {
      this.isBehind = true;
      this.later(0);
    }
  }

  /** Goes on after `ms`, or earlier if that was planned. */
  private later(ms: number): void {
    if (this.isClosed) return;
    if (this.isBusy) {
      this.isAgain = true;
      return;
    }
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.run();
    }, ms);
  }

  private async run(): Promise<void> {
    if (this.isBusy || this.isClosed || !this.wire.isConnected()) return;
    this.isBusy = true;
    this.isAgain = false;
    let wait: number | null = null;
    try {
      wait = await this.step();
      if (wait === 0 || wait === null) this.tries = 0;
    } catch (error) {
      wait = this.failed(error);
    }
    this.isBusy = false;
    if (wait !== null) this.later(wait);
    else if (this.wasAsked()) this.later(GATHER_MS);
  }

  /** Whether something has come up meanwhile. */
  private wasAsked(): boolean {
    return this.isAgain;
  }

  private failed(error: unknown): number | null {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
      this.set({ phase: 'refused', why: error.message });
      // A token that is renewed, a room that is open again.
      return LAST_RETRY_MS;
    }
    return this.pause();
  }

  private pause(): number {
    this.tries += 1;
    return Math.min(RETRY_MS * 2 ** Math.min(this.tries - 1, 5), LAST_RETRY_MS) * (0.5 + Math.random() / 2);
  }

  /** Does the next thing that is due; how long to wait for the one after, null for nothing. */
  private async step(): Promise<number | null> {
    if (!this.isLoaded) return this.begin();
    if (this.isBehind) return this.fetch();
    const isWanted = this.state.get().mayDraw || this.pending.length > 0;
    if (this.own === null && isWanted && !this.isBarred) return this.open();
    if (this.state.get().phase !== 'ready') this.set({ phase: 'ready' });
    if (this.pending.length === 0 || this.isBarred || this.own === null) return null;
    return this.send(this.own);
  }

  /** Gets what is missing. */
  private async fetch(): Promise<number | null> {
    this.isBehind = false;
    try {
      const doc = this.doc.get();
      const whole = await this.wire.document(Y.encodeStateVector(doc));
      if (whole.epoch !== this.epoch) return await this.begin();
      Y.applyUpdate(doc, whole.update, REMOTE);
      this.n = Math.max(this.n, whole.n);
      return 0;
    } catch (error) {
      this.isBehind = true;
      throw error;
    }
  }

  /** Asks for an id, that of before where nothing speaks against it. */
  private async open(): Promise<number | null> {
    const answer = await this.wire.ask({ type: 'open', ...(this.last ?? {}) });
    if (!answer.done) return this.refused(answer, 0);
    const { board } = answer;
    if (board.epoch !== this.epoch) {
      this.isBehind = true;
      return 0;
    }
    const doc = this.doc.get();
    if (doc.clientID !== board.client) {
      // What waits was drawn under another id.
      if (this.pending.length > 0) return this.begin();
      doc.clientID = board.client;
    }
    this.holds(board);
    return 0;
  }

  private holds(board: BoardDone): void {
    this.own = board;
    this.last = { epoch: board.epoch, client: board.client };
  }

  /**
   * Begins with the whole document. What the server has not acknowledged is drawn anew on it, under another id than
   * before: what is on its way under that one may yet arrive.
   */
  private async begin(): Promise<number | null> {
    this.isBehind = false;
    try {
      const { epoch, n, update } = await this.wire.document(null);
      const own = this.state.get().mayDraw || this.pending.length > 0 ? await this.claim() : null;
      if (this.isClosed) return null;
      if (own !== null && own.epoch !== epoch) {
        this.isBehind = true;
        return 0;
      }
      const [before, pending] = [this.doc.get(), this.pending];
      const doc = new Y.Doc();
      for (const root of ROOTS) doc.getMap(root);
      Y.applyUpdate(doc, update, REMOTE);
      [this.epoch, this.n, this.isLoaded] = [epoch, n, true];
      [this.own, this.last] = [null, null];
      if (own !== null) {
        doc.clientID = own.client;
        this.holds(own);
      }
      this.pending = [];
      this.follow(doc);
      doc.transact(() => {
        for (const { touched } of pending) carry(before, doc, touched);
      }, this);
      this.doc.set(doc);
      this.set({});
      return 0;
    } catch (error) {
      this.isBehind = true;
      throw error;
    }
  }

  /** An id, or none where none is given. */
  private async claim(): Promise<BoardDone | null> {
    if (this.isBarred) return null;
    const answer = await this.wire.ask({ type: 'open' });
    if (answer.done) return answer.board;
    if (answer.kind === 'lost' || answer.kind === 'away' || answer.kind === 'rate')
      throw new Error(answer.message);
    this.refused(answer, 0);
    return null;
  }

  private async send(own: BoardDone): Promise<number | null> {
    const { update, count } = this.batch();
    this.lastSent = Date.now();
    const answer =
      update.length > MAX_BOARD_FRAME
        ? await this.wire.post(own, update)
        : await this.wire.ask({
            type: 'update',
            epoch: own.epoch,
            client: own.client,
            update: toBase64(update),
          });
    if (this.isClosed) return null;
    if (!answer.done) return this.refused(answer, count);
    this.pending.splice(0, count);
    [this.isAlone, this.isGap] = [false, false];
    this.set({ full: false, why: null });
    return this.pending.length > 0 ? Math.max(0, this.lastSent + GATHER_MS - Date.now()) : null;
  }

  /** What goes next: as many changes as fit in one message, or the parts of a large one, one after the other. */
  private batch(): { update: Uint8Array; count: number } {
    const [first] = this.pending;
    if (first === undefined) return { update: new Uint8Array([0, 0]), count: 0 };
    const parts = cut(first.update, MAX_BOARD_UPDATE - 1_024);
    if (parts.length > 1) {
      this.pending.splice(0, 1, ...parts.map((update) => ({ update, touched: first.touched })));
      return this.batch();
    }
    let [bytes, count] = [first.update.length, 1];
    for (const { update } of this.isAlone ? [] : this.pending.slice(1)) {
      bytes += update.length;
      if (bytes > MAX_BOARD_FRAME) break;
      count += 1;
    }
    const updates = this.pending.slice(0, count).map(({ update }) => update);
    return { update: count === 1 ? first.update : Y.mergeUpdates(updates), count };
  }

  /** What a refusal of the first `count` changes means. */
  private refused(answer: Extract<Answer, { done: false }>, count: number): number | null {
    const { kind, message, retryAfterMs } = answer;
    switch (kind) {
      case 'epoch':
        this.isBehind = true;
        return 0;
      case 'client':
        // Somebody else draws under it now, perhaps a copy of this page: it is not taken back.
        [this.own, this.last] = [null, null];
        return 0;
      case 'gap':
        return this.fill();
      case 'full':
        this.set({ full: true, why: message });
        return this.deleteOnly();
      case 'barred':
      case 'right':
        this.isBarred = true;
        this.set({ phase: 'ready', mayDraw: false, why: message });
        return null;
      case 'rate':
        return (retryAfterMs ?? RETRY_MS) + Math.random() * RETRY_MS;
      case 'no':
        return this.giveUp(message, count);
      case 'away':
      case 'lost':
        return this.pause();
    }
  }

  /** The server misses operations that it had once: all of one's own are sent again, or drawn anew if that does not do. */
  private fill(): number {
    if (this.isGap) {
      this.isGap = false;
      this.isLoaded = false;
      return 0;
    }
    this.isGap = true;
    const doc = this.doc.get();
    const state = Y.decodeStateVector(Y.encodeStateVector(doc));
    state.delete(doc.clientID);
    const update = Y.encodeStateAsUpdate(doc, Y.encodeStateVector(state));
    this.pending.unshift({ update, touched: new Map() });
    return RETRY_MS;
  }

  /** Nothing fits any more, but deleting does: what the waiting changes delete goes ahead of them. */
  private deleteOnly(): number {
    const own = this.own;
    if (own !== null && !this.isDeleting) {
      const [merged, client] = [Y.mergeUpdates(this.pending.map(({ update }) => update)), own.client];
      const update = deletesOf(merged, client, own.has);
      if (update !== null && update.length <= MAX_BOARD_FRAME) {
        this.isDeleting = true;
        const { epoch } = own;
        void this.wire.ask({ type: 'update', epoch, client, update: toBase64(update) }).then(() => {
          this.isDeleting = false;
        });
      }
    }
    return FULL_MS;
  }

  /** A change that the server never takes: one by one it is found, and taken back here. */
  private giveUp(message: string, count: number): number {
    if (count > 1) {
      this.isAlone = true;
      return 0;
    }
    this.pending.splice(0, count);
    this.set({ why: message });
    this.isLoaded = false;
    return 0;
  }
}
