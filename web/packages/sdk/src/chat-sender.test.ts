import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Pending } from './chat-outbox.js';
import { ChatSender } from './chat-sender.js';
import { Emitter } from './emitter.js';
import type { Outcome } from './replies.js';
import type { SignalingEvents, SignalingState } from './signaling.js';

/** A connection that the test makes and breaks, and answers on. */
class FakeSignaling extends Emitter<SignalingEvents> {
  state: SignalingState = 'connecting';
  readonly sent: { id: string; text: string; name: string }[] = [];
  private answers: ((outcome: Outcome) => void)[] = [];

  sendChat(_room: string, message: { id: string; text: string; name: string }): Promise<Outcome> {
    this.sent.push(message);
    return new Promise((resolve) => this.answers.push(resolve));
  }

  async becomes(state: SignalingState): Promise<void> {
    this.state = state;
    this.emit('state', state);
    if (state !== 'connected') await this.answer({ sent: false, reason: 'lost', retryAfterMs: null });
  }

  async answer(outcome: Outcome): Promise<void> {
    for (const answer of this.answers.splice(0)) answer(outcome);
    await vi.advanceTimersByTimeAsync(0);
  }
}

describe('ChatSender', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('keeps what is written without a connection, and sends it again under its id until it is answered', async () => {
    const signaling = new FakeSignaling();
    const sender = new ChatSender(signaling, '7');
    let pending: readonly Pending[] = [];
    sender.on('pending', (now) => (pending = now));
    expect(sender.write('hello', 'Mina')).toBe(true);
    expect([signaling.sent.length, pending[0]?.state.kind]).toEqual([0, 'waiting']);
    await signaling.becomes('connected');
    expect([signaling.sent.length, pending[0]?.state.kind]).toEqual([1, 'sending']);
    // The answer is lost with the connection.
    await signaling.becomes('lost');
    expect(pending[0]?.state.kind).toBe('waiting');
    await signaling.becomes('connected');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(signaling.sent.map(({ text }) => text)).toEqual(['hello', 'hello']);
    const [first, again] = signaling.sent;
    expect([first?.id, first?.id.length]).toEqual([again?.id, 32]);
    await signaling.answer({ sent: true, seq: 3 });
    expect(pending[0]?.state).toEqual({ kind: 'sent', seq: 3 });
    sender.hear({
      type: 'message',
      id: again?.id ?? '',
      seq: 3,
      from: '',
      name: '',
      host: false,
      text: 'hello',
      at: 0,
    });
    expect(pending).toEqual([]);
    sender.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits as long as the server says', async () => {
    const signaling = new FakeSignaling();
    signaling.state = 'connected';
    const sender = new ChatSender(signaling, '7');
    sender.write('one', '');
    await signaling.answer({ sent: false, reason: 'rate', retryAfterMs: 2_000 });
    await vi.advanceTimersByTimeAsync(1_900);
    expect(signaling.sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(signaling.sent).toHaveLength(2);
    sender.close();
  });
});
