import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Call, type CallState } from './call.js';
import type { JoinedCall } from './types.js';

/** A browser's connection as far as a call that is joined needs it: it offers, and is closed or not. */
class FakeConnection {
  static readonly all: FakeConnection[] = [];
  connectionState: RTCPeerConnectionState = 'new';
  localDescription: { sdp: string } | null = null;

  constructor() {
    FakeConnection.all.push(this);
  }

  readonly addEventListener = (): void => undefined;
  readonly removeEventListener = (): void => undefined;
  readonly createDataChannel = (): object => ({ addEventListener: () => undefined });
  readonly addTransceiver = (): object => ({ mid: '0', sender: {}, receiver: { track: null } });
  readonly getSenders = (): never[] => [];
  readonly getReceivers = (): never[] => [];
  readonly getStats = (): Promise<never> => new Promise(() => undefined);
  readonly setRemoteDescription = (): Promise<void> => Promise.resolve();
  readonly setLocalDescription = (): Promise<void> => {
    this.localDescription = { sdp: 'v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n' };
    return Promise.resolve();
  };
  readonly close = (): void => {
    this.connectionState = 'closed';
  };
}

const JOINED: JoinedCall = {
  bound: { generation: 0, wants: 0, slots: [] },
  ice_servers: [],
  participant: 'par_a',
  people: [],
  resume_secs: 30,
  room: { epoch: 1, locked: false, people: [], seq: 0 },
  session: 'ses_a',
  sources: [],
};
const SESSIONS = 'http://sfu/rooms/grp_a/sessions';

const server = vi.fn<(url: string, init: RequestInit) => Promise<Response>>();

beforeEach(() => {
  vi.useFakeTimers();
  FakeConnection.all.splice(0);
  server.mockReset();
  vi.stubGlobal('fetch', server);
  vi.stubGlobal('RTCPeerConnection', FakeConnection);
  vi.stubGlobal('RTCRtpSender', { getCapabilities: () => null });
  vi.stubGlobal('RTCRtpReceiver', { getCapabilities: () => null });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function callOf(token: () => Promise<string> = () => Promise.resolve('t')): {
  call: Call;
  states: CallState[];
} {
  const call = new Call({ url: 'http://sfu', group: 'grp_a', token, name: 'Anna' });
  const states: CallState[] = [];
  call.on('state', ({ state }) => states.push(state));
  return { call, states };
}

function requests(): string[] {
  return server.mock.calls.map(([url, { method }]) => `${method} ${url}`);
}

function open(): FakeConnection[] {
  return FakeConnection.all.filter(({ connectionState }) => connectionState !== 'closed');
}

it('ends the session that a join brings to who has left meanwhile', async () => {
  let answer: (response: Response) => void = () => undefined;
  server.mockImplementation((_, { method }) =>
    method === 'POST'
      ? new Promise((resolve) => (answer = resolve))
      : Promise.resolve(new Response(null, { status: 204 })),
  );
  const { call, states } = callOf();
  call.start();
  await vi.waitFor(() => expect(requests()).toEqual([`POST ${SESSIONS}`]));
  await call.leave();
  expect(open()).toEqual([]);
  answer(Response.json(JOINED, { status: 201 }));
  await vi.waitFor(() => expect(requests()).toEqual([`POST ${SESSIONS}`, `DELETE ${SESSIONS}/ses_a`]));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server).toHaveBeenCalledTimes(2);
  expect(FakeConnection.all).toHaveLength(2);
  expect(states).toEqual(['connecting', 'closed']);
});

it('makes no connection and asks for nothing once it was left', async () => {
  let give: (token: string) => void = () => undefined;
  const { call } = callOf(() => new Promise((resolve) => (give = resolve)));
  call.start();
  await vi.waitFor(() => expect(FakeConnection.all).toHaveLength(2));
  await call.leave();
  give('t');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(open()).toEqual([]);
  expect(FakeConnection.all).toHaveLength(2);
  expect(server).not.toHaveBeenCalled();
});

it('connects, and does not reconnect, until it was connected once', async () => {
  server.mockImplementation(() => Promise.resolve(new Response(null, { status: 503 })));
  const { call, states } = callOf();
  call.start();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(server.mock.calls.length).toBeGreaterThan(2);
  expect(new Set(states)).toEqual(new Set(['connecting']));
  // What a try has opened is closed with it.
  expect(open().length).toBeLessThanOrEqual(2);
  await call.leave();
});
