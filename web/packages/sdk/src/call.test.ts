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

  currentRemoteDescription: { sdp: string } | null = null;
  /** Whether anything arrives, once there is an answer. */
  static alive = false;
  private packets = 0;
  private restarts = 0;

  readonly addEventListener = (): void => undefined;
  readonly removeEventListener = (): void => undefined;
  readonly createDataChannel = (): object => ({
    addEventListener: () => undefined,
    readyState: 'connecting',
  });
  readonly addTransceiver = (): object => ({
    mid: '0',
    sender: { getParameters: () => ({ encodings: [] }), setParameters: () => Promise.resolve() },
    receiver: { track: null },
  });
  readonly getSenders = (): never[] => [];
  readonly getReceivers = (): never[] => [];
  readonly getStats = (): Promise<Map<string, object>> => {
    if (FakeConnection.alive) this.packets += 1;
    return Promise.resolve(new Map([['t', { type: 'transport', packetsReceived: this.packets }]]));
  };
  readonly setRemoteDescription = ({ sdp }: { sdp: string }): Promise<void> => {
    this.currentRemoteDescription = { sdp };
    if (FakeConnection.alive) this.connectionState = 'connected';
    return Promise.resolve();
  };
  readonly createOffer = (): Promise<object> => {
    this.restarts += 1;
    return Promise.resolve({});
  };
  readonly setLocalDescription = (): Promise<void> => {
    const ice = `a=ice-ufrag:u${this.restarts}\r\na=ice-pwd:p${this.restarts}\r\n`;
    this.localDescription = { sdp: `v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n${ice}` };
    return Promise.resolve();
  };
  readonly close = (): void => {
    this.connectionState = 'closed';
  };
}

const ANSWER = 'v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:s\r\na=ice-pwd:s\r\n';
const JOINED: JoinedCall = {
  publish_sdp: ANSWER,
  receive_sdp: ANSWER,
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
  FakeConnection.alive = false;
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

/** A server whose answers to PATCH are given; a session begins and is resumed at once. */
function serve(patched: (ifMatch: string) => Response | Promise<Response>): void {
  server.mockImplementation((_, { method, headers }) => {
    if (method === 'POST')
      return Promise.resolve(Response.json(JOINED, { status: 201, headers: { etag: '"1"' } }));
    if (method === 'PATCH')
      return Promise.resolve(patched((headers as Record<string, string>)['If-Match'] ?? ''));
    return Promise.resolve(new Response(null, { status: 200 }));
  });
}

/** A call that is connected, and whose paths then fall silent. */
async function silent(): Promise<ReturnType<typeof callOf>> {
  FakeConnection.alive = true;
  const joined = callOf();
  joined.call.start();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(joined.states).toEqual(['connecting', 'connected']);
  FakeConnection.alive = false;
  await vi.advanceTimersByTimeAsync(1_400);
  expect(joined.states).toHaveLength(2);
  return joined;
}

it('restarts ICE of a path that falls silent, and is the same session', async () => {
  const tags: string[] = [];
  serve((ifMatch) => {
    tags.push(ifMatch);
    // The answer to the first one is lost, and the server goes by another tag.
    if (tags.length === 1) throw new TypeError('network');
    if (ifMatch !== '*') return new Response(null, { status: 412 });
    FakeConnection.alive = true;
    const ice = { ufrag: 'n', pwd: 'n' };
    return Response.json({ bound: JOINED.bound, publish: ice, receive: ice }, { headers: { etag: '"3"' } });
  });
  const { call, states } = await silent();
  await vi.advanceTimersByTimeAsync(8_000);
  expect(tags).toEqual(['"1"', '"1"', '*']);
  expect(states.slice(2)).toEqual(['reconnecting', 'connected']);
  expect(open().map(({ currentRemoteDescription: answer }) => answer?.sdp)).toEqual(
    Array.from({ length: 2 }, () => ANSWER.replace('ufrag:s', 'ufrag:n').replace('pwd:s', 'pwd:n')),
  );
  expect(requests().filter((request) => request.startsWith('POST'))).toHaveLength(1);
  await call.leave();
});

it('resumes a session whose connections the server has given up', async () => {
  serve(() => {
    FakeConnection.alive = true;
    return new Response(null, { status: 404 });
  });
  const { call, states } = await silent();
  await vi.advanceTimersByTimeAsync(8_000);
  expect(states.slice(2)).toEqual(['reconnecting', 'reconnecting', 'connected']);
  const [, second] = server.mock.calls.filter(([, { method }]) => method === 'POST');
  expect(JSON.parse(second?.[1].body as string)).toMatchObject({ resume: 'ses_a' });
  expect(open()).toHaveLength(2);
  await call.leave();
});

it('is there again at once where a path comes back by itself', async () => {
  let answer: (response: Response) => void = () => undefined;
  serve(() => new Promise((resolve) => (answer = resolve)));
  const { call, states } = await silent();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(states.slice(2)).toEqual(['reconnecting']);
  FakeConnection.alive = true;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(states.slice(2)).toEqual(['reconnecting', 'connected']);
  const ice = { ufrag: 'n', pwd: 'n' };
  answer(Response.json({ bound: JOINED.bound, publish: ice, receive: ice }));
  await vi.advanceTimersByTimeAsync(3_000);
  expect(states.slice(2)).toEqual(['reconnecting', 'connected']);
  await call.leave();
});

it('offers nothing to publish where nothing may be sent, and is connected by what it receives', async () => {
  FakeConnection.alive = true;
  const joined: JoinedCall = { ...JOINED };
  delete joined.publish_sdp;
  server.mockImplementation(() => Promise.resolve(Response.json(joined, { status: 201 })));
  const call = new Call({
    url: 'http://sfu',
    group: 'grp_a',
    token: () => Promise.resolve('t'),
    name: '',
    sources: [],
  });
  const states: CallState[] = [];
  call.on('state', ({ state }) => states.push(state));
  call.start();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(states).toEqual(['connecting', 'connected']);
  expect(Object.keys(JSON.parse(server.mock.calls[0]?.[1].body as string) as object)).toEqual([
    'receive',
    'wants',
  ]);
  await call.leave();
});
