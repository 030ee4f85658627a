import { sleep } from '../backoff.js';
import { randomKey } from '../meta-api.js';
import type { Outcome } from '../replies.js';
import { Commands } from '../room/commands.js';
import { Value } from '../room/store.js';
import type { Signaling } from '../signaling.js';
import type { ChatEvent, ChatOrder, ChatSend } from '../types.js';
import { nextFrame } from './frame.js';
import {
  type ChatLine,
  type ChatLog,
  EMPTY_LOG,
  linesOf,
  type LogEvent,
  messageOf,
  messagesOf,
  type MessageLine,
  take,
  trim,
} from './log.js';
import {
  connected,
  drop,
  EMPTY_OUTBOX,
  heard,
  nextToSend,
  type Outbox,
  type Pending,
  sending,
  settled,
  write,
  type Written,
} from './outbox.js';
import { CALM, pass, perSecond } from './pace.js';
import type { ChatModeration, ChatPast, ChatStatus, RoomChat, SendOptions } from './types.js';

/** What a chat needs of signaling. */
export type ChatSignaling = Pick<Signaling, 'on' | 'state' | 'onChat' | 'sendChat' | 'orderChat'>;

/** Settings of a {@link Chat}. */
export interface ChatOptions {
  signaling: ChatSignaling;
  /** Id of the broadcast or of the group. */
  room: string;
  /** The guest name of what is written without one. */
  name?: () => string;
}

const NO_STATUS: ChatStatus = {
  open: false,
  epoch: null,
  last: 0,
  me: null,
  settings: { slow_seconds: 0 },
  pinned: null,
  moderator: false,
  sanction: null,
  slowUntil: 0,
  busy: null,
};

/** A page that may not be asked for yet is waited for so often, so long each time. */
const MAX_WAITS = 3;
const PAGE_WAIT_MS = 3_000;
/** Pages that are fetched at most to find a message. */
const FIND_PAGES = 10;
/** While a sample is shown, and shortly after, the figure of it is made this often. */
const BUSY_MS = 500;
/** After messages were dropped for this page the chat is read anew when so long none was; but not more often. */
const AFTER_GAP_MS = 2_000;
const REREAD_MS = 15_000;
/** Ids of own messages that are known again when they come as lines. */
const MAX_OWN = 200;

/** The chat of a room: reads it, sends to it, and keeps what is written until the room has it. */
export class Chat implements RoomChat {
  readonly lines = new Value<readonly ChatLine[]>([]);
  readonly messages = new Value<readonly MessageLine[]>([]);
  readonly pending = new Value<readonly Pending[]>([]);
  readonly status = new Value<ChatStatus>(NO_STATUS);
  readonly past = new Value<ChatPast>({ more: true, state: 'idle' });
  readonly moderate: ChatModeration;
  private log: ChatLog = EMPTY_LOG;
  private outbox: Outbox = EMPTY_OUTBOX;
  private pace = CALM;
  private readonly queue: ChatEvent[] = [];
  /** What the last `open` named last: what comes up to it is history, at no pace. */
  private history = 0;
  /** Counts how often the server opened the chat: an answer from before says nothing of after. */
  private opens = 0;
  private reading: number | null = null;
  private readonly own = new Set<string>();
  private readonly orders: Commands<ChatOrder>;
  private cancelFrame: (() => void) | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private busyTimer: ReturnType<typeof setTimeout> | undefined;
  private gapTimer: ReturnType<typeof setTimeout> | undefined;
  private readAt = -Infinity;
  private asking: Promise<boolean> | null = null;
  private stopReading: () => void;
  private readonly stopListening: () => void;
  private closed = false;
  private readonly left = new AbortController();

  constructor(private readonly options: ChatOptions) {
    const { signaling, room } = options;
    this.orders = new Commands(signaling, (order) => signaling.orderChat(room, order));
    this.moderate = this.moderation();
    this.stopReading = this.listen();
    this.stopListening = signaling.on('state', (state) => this.connect(state === 'connected'));
    this.outbox = connected(this.outbox, signaling.state === 'connected');
  }

  send(text: string, { replyTo, to, name }: SendOptions = {}): boolean {
    const written: Written = {
      ...{ id: randomKey(), text, name: name ?? this.options.name?.() ?? '' },
      ...(replyTo === undefined
        ? {}
        : { replyTo: { seq: replyTo.seq, name: replyTo.name, text: replyTo.text } }),
      ...(to === undefined ? {} : { to }),
    };
    const before = this.outbox;
    this.become(write(before, written));
    return this.outbox !== before;
  }

  retry(id: string): void {
    const refused = this.outbox.pending.find((message) => message.id === id);
    if (refused?.state.kind !== 'refused') return;
    this.become(write(drop(this.outbox, id), refused));
  }

  drop(id: string): void {
    this.become(drop(this.outbox, id));
  }

  edit(seq: number, text: string): Promise<Outcome> {
    return this.orders.send({ type: 'edit', seq, text });
  }

  delete(seq: number): Promise<Outcome> {
    return this.orders.send({ type: 'delete', seq });
  }

  older(): Promise<boolean> {
    this.asking ??= this.turn().finally(() => (this.asking = null));
    return this.asking;
  }

  async find(seq: number): Promise<boolean> {
    for (let page = 0; page < FIND_PAGES; page += 1) {
      if (messageOf(this.log.messages, seq) !== undefined) return true;
      const oldest = this.log.messages[0]?.seq ?? Infinity;
      if (oldest <= seq || !(await this.older())) return false;
    }
    return messageOf(this.log.messages, seq) !== undefined;
  }

  read(at: number | null): void {
    this.reading = at;
    if (at === null) this.keep(trim(this.log, null));
  }

  reveal(after: number): Promise<boolean> {
    this.keep(take(this.log, [{ type: 'forget', before: after + 1 }]));
    return this.older();
  }

  /** Forgets everything, and reads no more. */
  close(): void {
    this.closed = true;
    this.left.abort();
    this.stopReading();
    this.stopListening();
    this.cancelFrame?.();
    for (const timer of [this.timer, this.busyTimer, this.gapTimer]) clearTimeout(timer);
    this.outbox = EMPTY_OUTBOX;
  }

  private moderation(): ChatModeration {
    const { orders } = this;
    const why = (reason = ''): { reason?: string } => (reason === '' ? {} : { reason });
    return {
      timeout: (whom, seconds, reason) => orders.send({ type: 'timeout', ...whom, seconds, ...why(reason) }),
      ban: (whom, { address = false, delete: all = false, reason } = {}) =>
        orders.send({
          ...{ type: 'ban', ...whom, ...why(reason) },
          ...(address ? { address } : {}),
          ...(all ? { delete: all } : {}),
        }),
      unban: (person) => orders.send({ type: 'unban', person }),
      bans: () => orders.send({ type: 'bans' }),
      slow: (seconds) => orders.send({ type: 'slow', seconds }),
      followers: (minutes) => orders.send({ type: 'followers', minutes }),
      pin: (seq) => orders.send({ type: 'pin', seq }),
    };
  }

  private listen(): () => void {
    this.readAt = performance.now();
    return this.options.signaling.onChat(this.options.room, (event) => {
      if (this.closed) return;
      this.queue.push(event);
      this.cancelFrame ??= nextFrame(() => this.flush());
    });
  }

  private connect(is: boolean): void {
    // What came before the loss came before it.
    if (!is) this.flush();
    this.become(connected(this.outbox, is));
    if (!is) this.status.change({ open: false });
  }

  /** Takes all that came since the last frame. */
  private flush(): void {
    this.cancelFrame?.();
    this.cancelFrame = null;
    if (this.closed) return;
    const events = this.queue.splice(0);
    if (events.length === 0) return;
    this.become(
      events.reduce(
        (outbox, event) => (event.type === 'message' ? heard(outbox, event) : outbox),
        this.outbox,
      ),
    );
    for (const event of events) this.learn(event);
    const log = take(this.log, this.paced(events));
    this.keep(trim(log, this.reading));
    if (this.reading !== null) void this.refresh();
  }

  /** What is to be shown of these: all, or of a flood a sample. */
  private paced(events: readonly ChatEvent[]): LogEvent[] {
    const now = performance.now();
    const isCommon = (event: ChatEvent): event is MessageLine =>
      event.type === 'message' && event.seq > this.history && !this.isWanted(event);
    const common = events.filter(isCommon);
    const { pace, others } = pass(this.pace, common.length, now);
    this.pace = pace;
    this.tellBusy();
    // The latest ones: they are what is talked about now.
    let passed = common.length - others;
    return events.flatMap((event): LogEvent[] => {
      if (event.type === 'settings' || event.type === 'sanction') return [];
      if (passed === 0 || !isCommon(event)) return [event];
      passed -= 1;
      return [{ type: 'passed', seq: event.seq, count: 1, run: pace.run }];
    });
  }

  /** Whether a message is shown whatever the pace: one's own, a host's, a direct one, an answer to oneself. */
  private isWanted({ id, from, host, to, reply_to: quote }: MessageLine): boolean {
    const { me } = this.status.get();
    return (
      host || to !== undefined || from === me || (id !== undefined && this.own.has(id)) || quote?.from === me
    );
  }

  private tellBusy(): void {
    clearTimeout(this.busyTimer);
    const { busy } = this.pace;
    this.status.change({ busy: busy ? Math.round(perSecond(this.pace, performance.now())) : null });
    if (!busy) return;
    this.busyTimer = setTimeout(() => {
      this.pace = pass(this.pace, 0, performance.now()).pace;
      this.tellBusy();
    }, BUSY_MS);
  }

  /** What an event says that is no line. */
  private learn(event: ChatEvent): void {
    switch (event.type) {
      case 'open': {
        const { epoch, last, settings, pinned = null, you } = event;
        this.opens += 1;
        this.history = last;
        if (this.past.get().state === 'failed') this.past.change({ state: 'idle' });
        this.status.change({
          ...{ open: true, epoch, last, settings, pinned, me: you.id, moderator: you.moderator },
          sanction: you.sanction ?? null,
        });
        return;
      }
      case 'settings': {
        const { settings, pinned = null } = event;
        this.status.change({ settings, pinned });
        if (settings.slow_seconds === 0) this.status.change({ slowUntil: 0 });
        return;
      }
      case 'sanction': {
        this.status.change({ sanction: event.kind === 'lifted' ? null : event });
        return;
      }
      case 'edited':
      case 'deleted':
      case 'deleted_from':
        this.changePinned(event);
        return;
      case 'gap':
        this.rereadSoon();
        return;
      case 'message':
        this.waitAfter(event);
        return;
    }
  }

  private changePinned(event: Extract<ChatEvent, { type: 'edited' | 'deleted' | 'deleted_from' }>): void {
    const { pinned } = this.status.get();
    if (pinned === null) return;
    if (event.type === 'deleted_from') {
      if (event.from === pinned.from) this.status.change({ pinned: null });
    } else if (event.seq === pinned.seq) {
      const { type } = event;
      const next = type === 'deleted' ? null : { ...pinned, text: event.text, edited_at: event.edited_at };
      this.status.change({ pinned: next });
    }
  }

  /** In slow mode one waits after what one has written, in another tab too. */
  private waitAfter({ from, at, id }: MessageLine): void {
    const { me, moderator, settings, slowUntil } = this.status.get();
    const isOwn = from === me || (id !== undefined && this.own.has(id));
    if (!isOwn || moderator || settings.slow_seconds === 0) return;
    // The clock of the server may be another: nobody waits longer than the mode says.
    const until = Math.min(at, Date.now()) + settings.slow_seconds * 1_000;
    if (until > slowUntil && until > Date.now()) this.status.change({ slowUntil: until });
  }

  /**
   * Something was dropped for this page, a deletion perhaps: when it is quiet again the chat is read anew, and is what the
   * server has.
   */
  private rereadSoon(): void {
    clearTimeout(this.gapTimer);
    const wait = Math.max(AFTER_GAP_MS, this.readAt + REREAD_MS - performance.now());
    this.gapTimer = setTimeout(() => {
      if (this.options.signaling.state !== 'connected') return;
      this.stopReading();
      this.stopReading = this.listen();
    }, wait);
  }

  /** What an earlier connection brought and somebody reads now is read again: it may have been changed since. */
  private async refresh(): Promise<void> {
    const opens = this.opens;
    while (opens === this.opens && this.reading !== null && this.isStale()) if (!(await this.older())) return;
  }

  private isStale(): boolean {
    const { since, messages } = this.log;
    const first = messages[0];
    return since !== null && first !== undefined && first.seq < since;
  }

  /** Fetches the page above: above what is certain first, then above all. */
  private async turn(): Promise<boolean> {
    const { log, opens } = this;
    const before = this.isStale() ? log.since : (log.messages[0]?.seq ?? log.last + 1);
    if (before === null || (!log.more && !this.isStale())) return false;
    this.past.change({ state: 'loading' });
    let outcome = await this.orders.send({ type: 'history', before });
    // Whoever reads back fast waits a little for the next page.
    for (let again = 0; again < MAX_WAITS && !outcome.sent && !this.closed; again += 1) {
      const { retryAfterMs } = outcome;
      if (retryAfterMs === null || retryAfterMs > PAGE_WAIT_MS) break;
      await sleep(retryAfterMs, this.left.signal).catch(() => undefined);
      outcome = await this.orders.send({ type: 'history', before });
    }
    if (this.closed) return false;
    const page = outcome.sent ? outcome.history : undefined;
    // Of a chat that was opened anew meanwhile the answer may say what was before.
    if (page === undefined || opens !== this.opens) {
      this.past.change({ state: opens === this.opens ? 'failed' : 'idle' });
      return false;
    }
    this.past.change({ state: 'idle' });
    this.keep(take(this.log, [{ type: 'page', before, page }]));
    return page.messages.length > 0;
  }

  private keep(log: ChatLog): void {
    const { log: before } = this;
    if (log === before) return;
    this.log = log;
    this.past.change({ more: log.more });
    const messages = messagesOf(log);
    this.messages.set(messages);
    if (messages !== before.messages || log.gaps !== before.gaps) this.lines.set(linesOf(log, messages));
  }

  private become(outbox: Outbox): void {
    const { pending } = this.outbox;
    this.outbox = outbox;
    this.pump();
    if (this.outbox.pending !== pending) this.pending.set(this.outbox.pending);
  }

  /** Sends what is due, or waits until something is. */
  private pump(): void {
    clearTimeout(this.timer);
    const now = performance.now();
    const next = nextToSend(this.outbox, now);
    if (next !== null) {
      this.outbox = sending(this.outbox, next.id);
      this.remember(next.id);
      void this.options.signaling.sendChat(this.options.room, bodyOf(next)).then((outcome) => {
        if (!this.closed) this.settle(next.id, outcome);
      });
    } else if (this.outbox.notBefore > now && this.outbox.pending.length > 0) {
      this.timer = setTimeout(() => this.become({ ...this.outbox }), this.outbox.notBefore - now);
    }
  }

  private settle(id: string, outcome: Outcome): void {
    const { settings, moderator } = this.status.get();
    const isSlow = settings.slow_seconds > 0 && !moderator;
    if (isSlow && !outcome.sent && outcome.reason === 'rate' && outcome.retryAfterMs !== null)
      this.status.change({ slowUntil: Date.now() + outcome.retryAfterMs });
    else if (isSlow && outcome.sent)
      this.status.change({ slowUntil: Date.now() + settings.slow_seconds * 1_000 });
    this.become(settled(this.outbox, id, outcome, performance.now()));
  }

  private remember(id: string): void {
    this.own.add(id);
    for (const oldest of this.own) {
      if (this.own.size <= MAX_OWN) break;
      this.own.delete(oldest);
    }
  }
}

function bodyOf({ id, text, name, replyTo, to }: Written): ChatSend {
  return {
    ...{ id, text },
    ...(name === '' ? {} : { name }),
    ...(replyTo === undefined ? {} : { reply_to: replyTo.seq }),
    ...(to === undefined ? {} : { to: to.id }),
  };
}
