import {
  Chat,
  type ChatEvent,
  type ChatOrder,
  type ChatSend,
  type ChatSignaling,
  type MessageLine,
  type Outcome,
  type SignalingState,
} from '@madang/sdk';
import { vi } from 'vitest';

/** A signaling connection for tests: they speak for the server. */
export class FakeChatSignaling implements ChatSignaling {
  state: SignalingState = 'connected';
  readonly sent: ChatSend[] = [];
  readonly orders: ChatOrder[] = [];
  private readonly states = new Set<(state: SignalingState) => void>();
  private listener: (event: ChatEvent) => void = () => undefined;
  private waiting: ((outcome: Outcome) => void)[] = [];

  on(name: string, listener: (value: never) => void): () => void {
    if (name === 'state') this.states.add(listener as (state: SignalingState) => void);
    return () => this.states.delete(listener as (state: SignalingState) => void);
  }

  onChat(_room: string, listener: (event: ChatEvent) => void): () => void {
    this.listener = listener;
    return () => undefined;
  }

  sendChat(_room: string, message: ChatSend): Promise<Outcome> {
    this.sent.push(message);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  orderChat(_room: string, order: ChatOrder): Promise<Outcome> {
    this.orders.push(order);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  becomes(state: SignalingState): void {
    this.state = state;
    for (const listener of this.states) listener(state);
  }

  /** Answers all that was asked; timers have to be fake. */
  async answer(outcome: Outcome): Promise<void> {
    await vi.advanceTimersByTimeAsync(0);
    for (const answer of this.waiting.splice(0)) answer(outcome);
    await vi.advanceTimersByTimeAsync(0);
  }

  /** Says all of it within one frame. */
  says(...events: ChatEvent[]): void {
    for (const event of events) this.listener(event);
    vi.advanceTimersByTime(300);
  }
}

/** A chat that a test speaks to. */
export function fakeChat(): { chat: Chat; signaling: FakeChatSignaling } {
  const signaling = new FakeChatSignaling();
  return { chat: new Chat({ signaling, room: 'grp_a' }), signaling };
}

/** A message of a chat. */
export function chatMessage(seq: number, change: Partial<MessageLine> = {}): MessageLine {
  return {
    ...{ type: 'message', seq, at: 1_000 * seq, from: 'par_anna', name: 'Anna', host: false },
    text: `text ${seq}`,
    ...change,
  };
}

/** What the server says first. */
export function chatOpen(
  last: number,
  change: Partial<Extract<ChatEvent, { type: 'open' }>> = {},
): ChatEvent {
  return {
    ...{ type: 'open', epoch: 1, last, settings: { slow_seconds: 0 } },
    ...{ you: { id: 'par_me', moderator: false } },
    ...change,
  };
}
