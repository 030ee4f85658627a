import { randomKey } from './meta-api.js';
import {
  connected,
  drop,
  EMPTY_OUTBOX,
  heard,
  nextToSend,
  type Pending,
  sending,
  settled,
  write,
} from './chat-outbox.js';
import { Emitter } from './emitter.js';
import type { Signaling } from './signaling.js';
import type { ChatMessage } from './types.js';

/** What a {@link ChatSender} tells its owner. */
export interface ChatSenderEvents {
  /** The messages that are not lines of the room yet. */
  pending: readonly Pending[];
}

/** Sends what a person writes in a room, and keeps it until the room has it. */
export class ChatSender extends Emitter<ChatSenderEvents> {
  private outbox = EMPTY_OUTBOX;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly stopListening: () => void;

  constructor(
    private readonly signaling: Pick<Signaling, 'on' | 'sendChat' | 'state'>,
    private readonly room: string,
  ) {
    super();
    this.stopListening = signaling.on('state', (state) =>
      this.become(connected(this.outbox, state === 'connected')),
    );
    this.outbox = connected(this.outbox, signaling.state === 'connected');
  }

  /** Takes a message; `false` if too many wait already. */
  write(text: string, name: string): boolean {
    const before = this.outbox;
    this.become(write(before, { id: randomKey(), text, name }));
    return this.outbox !== before;
  }

  /** Takes a line of the room: it may be one of these messages. */
  hear({ id, seq }: ChatMessage): void {
    this.become(heard(this.outbox, { id, seq }));
  }

  /** Forgets a message that was refused. */
  drop(id: string): void {
    this.become(drop(this.outbox, id));
  }

  /** Forgets all of them. */
  close(): void {
    this.stopListening();
    this.removeAllListeners();
    clearTimeout(this.timer);
    this.outbox = EMPTY_OUTBOX;
  }

  private become(outbox: typeof EMPTY_OUTBOX): void {
    const { pending } = this.outbox;
    this.outbox = outbox;
    if (outbox.pending !== pending) this.emit('pending', outbox.pending);
    this.pump();
  }

  /** Sends what is due, or waits until something is. */
  private pump(): void {
    clearTimeout(this.timer);
    const now = performance.now();
    const next = nextToSend(this.outbox, now);
    if (next !== null) {
      this.become(sending(this.outbox, next.id));
      void this.signaling.sendChat(this.room, next).then((outcome) => {
        this.become(settled(this.outbox, next.id, outcome, performance.now()));
      });
    } else if (this.outbox.notBefore > now && this.outbox.pending.length > 0) {
      this.timer = setTimeout(() => this.pump(), this.outbox.notBefore - now);
    }
  }
}
