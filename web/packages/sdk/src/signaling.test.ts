import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Signaling, type SignalingState } from './signaling.js';

/** A socket that opens when the test says so, and keeps what was sent. */
class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  binaryType = 'arraybuffer';
  protocol = 'v12.stomp';
  readonly sent: unknown[] = [];
  onopen: (() => void) | null = null;
  onclose: ((event: object) => void) | null = null;
  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  send(data: unknown): void {
    this.sent.push(data);
  }
  close(): void {
    this.readyState = 3;
    this.onclose?.({ code: 1000, reason: '', wasClean: true });
  }
}

beforeEach(() => {
  FakeSocket.all = [];
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', FakeSocket);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

it('does not come as a guest while its token cannot be had', async () => {
  const token = vi.fn<() => Promise<string | undefined>>().mockRejectedValue(new Error('away'));
  const signaling = new Signaling({ url: 'ws://127.0.0.1/streaming', token });
  const states: SignalingState[] = [];
  signaling.on('state', (state) => states.push(state));
  signaling.start();
  // Each wait is at most as long as the last bound, 30 s.
  await vi.advanceTimersByTimeAsync(120_000);
  expect(token.mock.calls.length).toBeGreaterThan(3);
  expect(FakeSocket.all).toEqual([]);
  expect(states).toEqual(['lost']);

  token.mockResolvedValue('t');
  for (let second = 0; second < 30 && FakeSocket.all.length === 0; second += 1)
    await vi.advanceTimersByTimeAsync(1_000);
  const [socket] = FakeSocket.all;
  socket?.open();
  expect(FakeSocket.all).toHaveLength(1);
  expect(String(socket?.sent[0])).toContain('Authorization:Bearer t');
  const left = signaling.close();
  socket?.close();
  await left;
});

it('comes without a token where none is configured, and where it is left meanwhile not at all', async () => {
  const anonymous = new Signaling({ url: 'ws://127.0.0.1/streaming' });
  anonymous.start();
  await vi.advanceTimersByTimeAsync(0);
  const [socket] = FakeSocket.all;
  socket?.open();
  expect(String(socket?.sent[0])).toMatch(/^CONNECT\n/);
  expect(String(socket?.sent[0])).not.toContain('Authorization');
  const gone = anonymous.close();
  socket?.close();
  await gone;

  const token = vi.fn<() => Promise<string>>().mockRejectedValue(new Error('away'));
  const signaling = new Signaling({ url: 'ws://127.0.0.1/streaming', token });
  signaling.start();
  await vi.advanceTimersByTimeAsync(0);
  await signaling.close();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(token).toHaveBeenCalledOnce();
  expect(FakeSocket.all).toHaveLength(1);
  expect(signaling.state).toBe('closed');
});

it('is there at once where somebody knows that the network is back', async () => {
  // The longest wait that there is.
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const signaling = new Signaling({ url: 'ws://127.0.0.1/streaming' });
  signaling.start();
  await vi.advanceTimersByTimeAsync(10);
  FakeSocket.all[0]?.close();
  await vi.advanceTimersByTimeAsync(10);
  expect([signaling.state, FakeSocket.all.length]).toEqual(['lost', 1]);
  signaling.hurry();
  await vi.advanceTimersByTimeAsync(10);
  expect(FakeSocket.all).toHaveLength(2);
  // The second one hangs.
  signaling.hurry();
  await vi.advanceTimersByTimeAsync(10);
  expect([FakeSocket.all.length, FakeSocket.all[1]?.readyState]).toEqual([3, 3]);
  // Only once: who is refused again waits again.
  FakeSocket.all[2]?.close();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(FakeSocket.all).toHaveLength(3);
  await signaling.close();
});
