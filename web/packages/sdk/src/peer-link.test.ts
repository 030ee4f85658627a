import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LinkState } from './peer-link.js';
import { WhepPlayer } from './whep.js';

const SDP = [
  ...['v=0', 'a=group:BUNDLE 0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:0'],
  ...['a=ice-ufrag:aaaa', 'a=ice-pwd:0123456789012345678901', ''],
].join('\r\n');

/** A connection that is there once it has its answer; the test says what ICE says later. */
class FakeConnection extends EventTarget {
  static last: FakeConnection | null = null;
  connectionState: RTCPeerConnectionState = 'new';
  iceConnectionState: RTCIceConnectionState = 'new';
  signalingState: RTCSignalingState = 'stable';
  localDescription = { sdp: SDP };
  restarts = 0;
  constructor() {
    super();
    FakeConnection.last = this;
  }
  addTransceiver(): object {
    return {};
  }
  getTransceivers(): unknown[] {
    return [];
  }
  getReceivers(): unknown[] {
    return [];
  }
  getSenders(): unknown[] {
    return [];
  }
  createOffer(options?: RTCOfferOptions): Promise<{ sdp: string }> {
    if (options?.iceRestart === true) this.restarts += 1;
    return Promise.resolve({ sdp: SDP });
  }
  setLocalDescription(): Promise<void> {
    return Promise.resolve();
  }
  setRemoteDescription(): Promise<void> {
    if (this.connectionState === 'new') this.becomes('connected');
    return Promise.resolve();
  }
  getStats(): Promise<RTCStatsReport> {
    return Promise.resolve(new Map());
  }
  close(): void {
    this.connectionState = 'closed';
  }
  becomes(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

/** Answers the ICE restarts that are under way. */
let answers: (() => void)[];
let states: LinkState[];
let player: WhepPlayer;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.99);
  vi.stubGlobal('RTCPeerConnection', FakeConnection);
  answers = [];
  vi.stubGlobal('fetch', (_url: string, { method = 'GET', body }: RequestInit): Promise<Response> => {
    const headers = { Location: 'http://127.0.0.1/session', ETag: '"1"' };
    if (method === 'POST') return Promise.resolve(new Response(SDP, { status: 201, headers }));
    // Candidates are taken; a restart is answered when the test says so.
    const isRestart = method === 'PATCH' && typeof body === 'string' && !body.includes('end-of-candidates');
    if (!isRestart) return Promise.resolve(new Response(null, { status: 204 }));
    return new Promise((resolve) => answers.push(() => resolve(new Response(SDP, { headers }))));
  });
  states = [];
  player = new WhepPlayer({ url: 'http://127.0.0.1/whep' });
  player.on('state', ({ state }) => states.push(state));
  player.start();
  await vi.advanceTimersByTimeAsync(0);
  expect(states).toEqual(['connecting', 'connected']);
});
afterEach(async () => {
  await player.close();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function ice(state: RTCPeerConnectionState, forMs: number): Promise<void> {
  FakeConnection.last?.becomes(state);
  await vi.advanceTimersByTimeAsync(forMs);
}

it('leaves a path alone that heals by itself', async () => {
  await ice('disconnected', 1_000);
  await ice('connected', 10_000);
  expect(states.slice(2)).toEqual(['reconnecting', 'connected']);
  expect(FakeConnection.last?.restarts).toBe(0);
});

it('restarts ICE once at a time, and again when that is over', async () => {
  await ice('disconnected', 1_600);
  expect(FakeConnection.last?.restarts).toBe(1);
  // The path is back before the answer is, and is lost again.
  await ice('connected', 100);
  await ice('failed', 100);
  expect(states.slice(2)).toEqual(['reconnecting', 'connected', 'reconnecting']);
  expect([FakeConnection.last?.restarts, answers.length]).toEqual([1, 1]);
  answers.shift()?.();
  await ice('connected', 100);
  await ice('failed', 100);
  expect([FakeConnection.last?.restarts, answers.length]).toEqual([2, 1]);
});

it('lets a retry cut a wait short that began while an older one was going on', async () => {
  const tries = vi.fn(() => Promise.reject(new TypeError('away')));
  vi.stubGlobal('fetch', tries);
  // The session ends in the grace of a weak path. New ones are tried after 250, 495 and 990 ms: the grace ends in the last.
  await ice('disconnected', 100);
  await ice('closed', 1_500);
  const before = tries.mock.calls.length;
  await vi.advanceTimersByTimeAsync(100);
  expect([before, tries.mock.calls.length]).toEqual([2, 2]);
  player.retry();
  await vi.advanceTimersByTimeAsync(0);
  expect(tries).toHaveBeenCalledTimes(3);
});
