import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isReply, type Outcome, Replies } from './replies.js';

describe('Replies', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function ask(replies: Replies): { request: string; outcome: Promise<Outcome> } {
    let request = '';
    const outcome = replies.ask((id) => (request = id));
    return { request, outcome };
  }

  it('gives each message its own answer, in whatever order they come', async () => {
    const replies = new Replies();
    const [first, second] = [ask(replies), ask(replies)];
    replies.take({ outcome: 'done', request: second.request, seq: 7 });
    replies.take({ outcome: 'done', request: 'of someone else' });
    replies.take({
      outcome: 'refused',
      request: first.request,
      destination: '/app/-/chat/7',
      reason: 'rate',
      message: 'wait',
      retry_after_ms: 900,
    });
    expect(await second.outcome).toEqual({ sent: true, seq: 7 });
    expect(await first.outcome).toEqual({ sent: false, reason: 'rate', retryAfterMs: 900, message: 'wait' });
  });

  it('counts what is not answered as lost', async () => {
    const replies = new Replies();
    const [late, cut] = [ask(replies), ask(replies)];
    replies.loseAll();
    const lost = { sent: false, reason: 'lost', retryAfterMs: null };
    expect(await Promise.all([late.outcome, cut.outcome])).toEqual([lost, lost]);
    const silent = ask(replies);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await silent.outcome).toEqual(lost);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('isReply', () => {
  it('knows a reply from anything else', () => {
    expect(isReply({ outcome: 'done', request: '1' })).toBe(true);
    expect(isReply({ outcome: 'refused', reason: 'rate' })).toBe(true);
    expect(isReply({ outcome: 'refused' })).toBe(false);
    expect(isReply({ type: 'message' })).toBe(false);
  });
});
