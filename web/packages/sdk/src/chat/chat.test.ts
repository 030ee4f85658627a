import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Emitter } from '../emitter.js';
import type { Outcome } from '../replies.js';
import type { SignalingEvents, SignalingState } from '../signaling.js';
import type { ChatEvent, ChatHistory, ChatOrder, ChatSend } from '../types.js';
import { Chat } from './chat.js';
import type { MessageLine } from './log.js';

/** A connection that the test makes and breaks, speaks on and answers on. */
class FakeSignaling extends Emitter<SignalingEvents> {
  state: SignalingState = 'connecting';
  readonly sent: ChatSend[] = [];
  readonly orders: ChatOrder[] = [];
  subscriptions = 0;
  private listener: (event: ChatEvent) => void = () => undefined;
  private answers: ((outcome: Outcome) => void)[] = [];

  onChat(_room: string, listener: (event: ChatEvent) => void): () => void {
    this.subscriptions += 1;
    this.listener = listener;
    return () => (this.listener = () => undefined);
  }

  sendChat(_room: string, message: ChatSend): Promise<Outcome> {
    this.sent.push(message);
    return new Promise((resolve) => this.answers.push(resolve));
  }

  orderChat(_room: string, order: ChatOrder): Promise<Outcome> {
    this.orders.push(order);
    return new Promise((resolve) => this.answers.push(resolve));
  }

  async becomes(state: SignalingState): Promise<void> {
    this.state = state;
    this.emit('state', state);
    if (state !== 'connected') await this.answer({ sent: false, reason: 'lost', retryAfterMs: null });
  }

  async answer(outcome: Outcome): Promise<void> {
    // What is asked now is asked soon.
    await vi.advanceTimersByTimeAsync(0);
    for (const answer of this.answers.splice(0)) answer(outcome);
    await vi.advanceTimersByTimeAsync(0);
  }

  /** All of it within one frame. */
  async says(...events: ChatEvent[]): Promise<void> {
    for (const event of events) this.listener(event);
    await vi.advanceTimersByTimeAsync(300);
  }
}

let signaling: FakeSignaling;
let chat: Chat;

beforeEach(() => {
  vi.useFakeTimers();
  signaling = new FakeSignaling();
  chat = new Chat({ signaling, room: '7', name: () => 'Mina' });
});
afterEach(() => {
  chat.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function message(seq: number, change: Partial<MessageLine> = {}): MessageLine {
  return {
    ...{ type: 'message', seq, at: seq, from: 'par_a', name: 'A', host: false, text: `text ${seq}` },
    ...change,
  };
}

function open(last: number, change: Partial<Extract<ChatEvent, { type: 'open' }>> = {}): ChatEvent {
  return {
    ...{ type: 'open', epoch: 1, last, settings: { slow_seconds: 0 } },
    ...{ you: { id: 'par_me', moderator: false } },
    ...change,
  };
}

const refused = (reason: 'rate' | 'right' | 'body', retryAfterMs: number | null = null): Outcome => ({
  ...{ sent: false, reason, retryAfterMs, message: 'why' },
});
const page = (messages: MessageLine[], more: boolean): Outcome => {
  const history: ChatHistory = { messages, more };
  return { sent: true, seq: null, history };
};
const kinds = (): string[] => chat.pending.get().map(({ state }) => state.kind);
const numbers = (): number[] => chat.messages.get().map(({ seq }) => seq);

describe('what is written', () => {
  it('is kept without a connection, and sent again under its id until it is answered', async () => {
    expect(chat.send('hello')).toBe(true);
    expect([signaling.sent.length, kinds()]).toEqual([0, ['waiting']]);
    await signaling.becomes('connected');
    expect([signaling.sent.length, kinds()]).toEqual([1, ['sending']]);
    // The answer is lost with the connection.
    await signaling.becomes('lost');
    expect(kinds()).toEqual(['waiting']);
    await signaling.becomes('connected');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(signaling.sent.map(({ text }) => text)).toEqual(['hello', 'hello']);
    const [first, again] = signaling.sent;
    expect([first?.id, first?.id?.length]).toEqual([again?.id, 32]);
    await signaling.answer({ sent: true, seq: 3 });
    expect(chat.pending.get()[0]?.state).toEqual({ kind: 'sent', seq: 3 });
    await signaling.says(open(3), message(3, { id: again?.id ?? '' }));
    expect([kinds(), numbers()]).toEqual([[], [3]]);
  });

  it('waits as long as the server says where that is not long, and else comes back', async () => {
    await signaling.becomes('connected');
    chat.send('one');
    await signaling.answer(refused('rate', 2_000));
    await vi.advanceTimersByTimeAsync(1_900);
    expect(signaling.sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(signaling.sent).toHaveLength(2);
    await signaling.answer(refused('rate', 20_000));
    expect(kinds()).toEqual(['refused']);
    chat.retry(chat.pending.get()[0]?.id ?? '');
    expect([kinds(), signaling.sent.length]).toEqual([['sending'], 3]);
    await signaling.answer(refused('right'));
    chat.drop(chat.pending.get()[0]?.id ?? '');
    expect(kinds()).toEqual([]);
  });

  it('says what it answers and whom it is for', async () => {
    await signaling.becomes('connected');
    chat.send('psst', { replyTo: message(4), to: { id: 'par_b', name: 'B' } });
    expect(signaling.sent[0]).toMatchObject({ text: 'psst', name: 'Mina', reply_to: 4, to: 'par_b' });
    expect(chat.pending.get()[0]).toMatchObject({ to: { name: 'B' }, replyTo: { seq: 4, text: 'text 4' } });
    chat.send('named', { name: '' });
    await signaling.answer({ sent: true, seq: 5 });
    expect(signaling.sent[1]).toEqual({ id: signaling.sent[1]?.id, text: 'named' });
  });

  it('has to wait in slow mode, which is known from what this person sent, here or elsewhere', async () => {
    await signaling.becomes('connected');
    await signaling.says(open(0, { settings: { slow_seconds: 30 } }));
    chat.send('one');
    await signaling.answer({ sent: true, seq: 1 });
    expect(chat.status.get().slowUntil).toBe(Date.now() + 30_000);
    await signaling.says(message(2, { from: 'par_me', at: Date.now() + 9_000 }));
    expect(chat.status.get().slowUntil).toBeLessThanOrEqual(Date.now() + 30_000);
    await signaling.says({ type: 'settings', settings: { slow_seconds: 0 } });
    expect(chat.status.get().slowUntil).toBe(0);
    await signaling.says({ type: 'settings', settings: { slow_seconds: 60 } });
    chat.send('two');
    await signaling.answer(refused('rate', 40_000));
    expect(chat.status.get().slowUntil).toBe(Date.now() + 40_000);
  });
});

describe('what is read', () => {
  beforeEach(() => signaling.becomes('connected'));

  it('comes once a frame', async () => {
    const changed = vi.fn();
    chat.lines.subscribe(changed);
    await signaling.says(open(0), ...Array.from({ length: 40 }, (_, index) => message(index + 1)));
    expect(changed).toHaveBeenCalledOnce();
    expect(chat.messages.get()).toHaveLength(40);
  });

  it('says what one is here, and what holds', async () => {
    await signaling.says(open(1, { pinned: message(1) }), message(1));
    expect(chat.status.get()).toMatchObject({ open: true, me: 'par_me', moderator: false, sanction: null });
    await signaling.says({ type: 'edited', seq: 1, text: 'other', edited_at: 5 });
    expect(chat.status.get().pinned?.text).toBe('other');
    await signaling.says({ type: 'deleted', seq: 1, by: 'moderator' });
    expect(chat.status.get().pinned).toBeNull();
    await signaling.says({ type: 'sanction', kind: 'timeout', until: 9, reason: 'caps' });
    expect(chat.status.get().sanction).toMatchObject({ kind: 'timeout', until: 9, reason: 'caps' });
    await signaling.says({ type: 'sanction', kind: 'lifted' });
    expect(chat.status.get().sanction).toBeNull();
    await signaling.says(open(1, { epoch: 2 }));
    expect(numbers()).toEqual([]);
    await signaling.becomes('lost');
    expect(chat.status.get().open).toBe(false);
  });

  it('goes back page by page, and no further than there is', async () => {
    await signaling.says(open(9), message(8), message(9));
    const [asked, twice] = [chat.older(), chat.older()];
    await vi.advanceTimersByTimeAsync(0);
    expect(signaling.orders).toEqual([{ type: 'history', before: 8 }]);
    expect(chat.past.get().state).toBe('loading');
    await signaling.answer(page([message(3), message(5)], true));
    expect([await asked, await twice, numbers()]).toEqual([true, true, [3, 5, 8, 9]]);
    const last = chat.older();
    await signaling.answer(page([message(1)], false));
    expect([await last, chat.past.get()]).toEqual([true, { more: false, state: 'idle' }]);
    expect([await chat.older(), signaling.orders.length]).toEqual([false, 2]);
  });

  it('says that older messages did not come, and takes no page of another time', async () => {
    await signaling.says(open(9), message(9));
    const asked = chat.older();
    await signaling.answer({ sent: false, reason: 'state', retryAfterMs: null });
    expect([await asked, chat.past.get().state]).toEqual([false, 'failed']);
    const waits = chat.older();
    await signaling.answer(refused('rate', 900));
    await vi.advanceTimersByTimeAsync(900);
    expect(signaling.orders).toHaveLength(3);
    await signaling.answer(page([message(7)], true));
    expect([await waits, numbers()]).toEqual([true, [7, 9]]);
    const late = chat.older();
    await vi.advanceTimersByTimeAsync(0);
    await signaling.says(open(2, { epoch: 2 }), message(2, { text: 'new' }));
    await signaling.answer(page([message(6)], true));
    expect([await late, numbers()]).toEqual([false, [2]]);
  });

  it('finds what is quoted, within reason', async () => {
    await signaling.says(open(9), message(9));
    const found = chat.find(4);
    await signaling.answer(page([message(6), message(7)], true));
    await signaling.answer(page([message(4), message(5)], true));
    expect(await found).toBe(true);
    expect(await chat.find(6)).toBe(true);
    // It would be between these: it is not there any more.
    await signaling.says(message(12));
    expect(await chat.find(11)).toBe(false);
  });

  it('is read anew where it is read further up when the connection is back', async () => {
    await signaling.says(open(9), message(7), message(8), message(9));
    chat.read(7);
    await signaling.becomes('lost');
    await signaling.becomes('connected');
    await signaling.says(open(12), message(11), message(12));
    expect(signaling.orders).toEqual([{ type: 'history', before: 11 }]);
    // 8 is gone, 10 came meanwhile.
    await signaling.answer(page([message(7), message(9), message(10)], true));
    expect(numbers()).toEqual([7, 9, 10, 11, 12]);
    expect(signaling.orders).toHaveLength(1);
    chat.read(null);
    await signaling.becomes('lost');
    await signaling.becomes('connected');
    await signaling.says(open(12), message(12));
    expect(numbers()).toEqual([12]);
  });

  it('is read anew when something was dropped for this page, once it is quiet', async () => {
    await signaling.says(open(1), message(1), { type: 'gap', dropped: 4 }, message(6));
    expect(chat.lines.get().map(({ type }) => type)).toEqual(['message', 'gap', 'message']);
    expect(signaling.subscriptions).toBe(1);
    await vi.advanceTimersByTimeAsync(16_000);
    expect(signaling.subscriptions).toBe(2);
    await signaling.says(open(6), ...[2, 3, 5, 6].map((seq) => message(seq)));
    expect(chat.lines.get().map((line) => (line.type === 'gap' ? 'gap' : line.seq))).toEqual([2, 3, 5, 6]);
  });

  it('is a sample of a flood, with all of one’s own, the host’s, direct ones and answers', async () => {
    await signaling.says(open(1), message(1));
    chat.send('mine');
    const id = signaling.sent[0]?.id ?? '';
    const to = { id: 'par_me', name: 'me' };
    const reply_to = { seq: 1, from: 'par_me', name: 'me', text: '' };
    const special = [{ host: true }, { to }, { reply_to }, { id }, { from: 'par_me' }];
    for (let round = 0; round < 10; round += 1) {
      const flood = Array.from({ length: 100 }, (_, index) =>
        message(2 + round * 100 + index, index < 5 ? special[index] : {}),
      );
      await signaling.says(...flood);
    }
    const shown = chat.messages.get();
    expect(chat.status.get().busy).toBeGreaterThan(100);
    expect(shown.filter(({ seq }) => (seq - 2) % 100 < 5 && seq > 1)).toHaveLength(50);
    expect(shown.length).toBeLessThan(120);
    const gaps = chat.lines.get().flatMap((line) => (line.type === 'gap' ? [line.dropped] : []));
    expect(gaps.reduce((sum, count) => sum + count, 0) + shown.length).toBe(1_001);
    expect(gaps).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(chat.status.get().busy).toBeNull();
    // History is shown as it is.
    await signaling.says(open(2_000), ...Array.from({ length: 100 }, (_, index) => message(1_901 + index)));
    expect(chat.messages.get()).toHaveLength(100);
    expect(chat.status.get().busy).toBeNull();
  });
});

it('gives orders, again where the answer was lost', async () => {
  await signaling.becomes('connected');
  const edited = chat.edit(3, 'other');
  await vi.advanceTimersByTimeAsync(0);
  await signaling.becomes('lost');
  await signaling.becomes('connected');
  await vi.advanceTimersByTimeAsync(0);
  expect(signaling.orders).toEqual([
    { type: 'edit', seq: 3, text: 'other' },
    { type: 'edit', seq: 3, text: 'other' },
  ]);
  await signaling.answer({ sent: true, seq: null });
  expect(await edited).toEqual({ sent: true, seq: null });
  void chat.moderate.ban({ seq: 3 }, { address: true, reason: 'spam' });
  void chat.moderate.timeout({ person: 'par_b' }, 60);
  await vi.advanceTimersByTimeAsync(0);
  expect(signaling.orders.slice(2)).toEqual([
    { type: 'ban', seq: 3, reason: 'spam', address: true },
    { type: 'timeout', person: 'par_b', seconds: 60 },
  ]);
  await signaling.answer({ sent: true, seq: null });
});
