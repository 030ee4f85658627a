import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const { FakeCall, FakeSignaling, stop } = vi.hoisted(() => {
  const opened: { calls: Call[]; signalings: Connection[] } = { calls: [], signalings: [] };
  class Call {
    static readonly all = opened.calls;
    private readonly listeners = new Map<string, (value: unknown) => void>();
    wants: unknown[] = [];
    left = 0;
    constructor() {
      opened.calls.push(this);
    }
    on(name: string, listener: (value: unknown) => void): void {
      this.listeners.set(name, listener);
    }
    tell(name: string, value: unknown): void {
      this.listeners.get(name)?.(value);
    }
    want = (sources: unknown[]): void => void (this.wants = sources);
    setTrack = (): Promise<void> => Promise.resolve();
    start = (): void => undefined;
    leave(): Promise<void> {
      this.left += 1;
      return Promise.resolve();
    }
  }
  class Connection {
    static readonly all = opened.signalings;
    closed = false;
    constructor() {
      opened.signalings.push(this);
    }
    onRoom = (): (() => void) => () => undefined;
    start = (): void => undefined;
    close(): Promise<void> {
      this.closed = true;
      return Promise.resolve();
    }
  }
  return { FakeCall: Call, FakeSignaling: Connection, stop: vi.fn() };
});

vi.mock('../lib/api', () => ({
  api: {},
  serverConfig: () => Promise.resolve({ sfu_url: '' }),
  signalingEndpoint: () => Promise.resolve(''),
}));
vi.mock('@madang/sdk', async (original) => ({
  ...(await original<object>()),
  Call: FakeCall,
  Signaling: FakeSignaling,
  openMicrophone: () => Promise.resolve({ stop }),
  openCamera: () => Promise.resolve({ stop }),
}));

import { type OpenCall, openCall } from './call';

let open: OpenCall;

beforeEach(async () => {
  FakeCall.all.splice(0);
  FakeSignaling.all.splice(0);
  stop.mockReset();
  open = openCall('grp_a', 'Anna');
  await vi.waitFor(() => expect(FakeSignaling.all).toHaveLength(1));
});
afterEach(() => open.close());

it('gives camera, microphone and signaling back once the call has failed', () => {
  expect(open.view.getState()).toMatchObject({ speaks: true, shows: true });
  FakeCall.all[0]?.tell('state', { state: 'failed', failure: 'locked' });
  expect(stop).toHaveBeenCalledTimes(2);
  expect(FakeSignaling.all[0]?.closed).toBe(true);
  expect(open.view.getState()).toMatchObject({ state: 'failed', failure: 'locked', camera: null });
});

it('leaves with its page', () => {
  dispatchEvent(new Event('pagehide'));
  expect(FakeCall.all[0]?.left).toBe(1);
  expect(stop).toHaveBeenCalledTimes(2);
  expect(FakeSignaling.all[0]?.closed).toBe(true);
});

it('sees from the start who was there before, and wants their cameras', () => {
  const person = { name: '', quality: 'good', rights: [] };
  const people = [
    { ...person, participant: 'par_a', order: 3, sources: [{ source: 'camera', csrc: 3, state: 'on' }] },
    { ...person, participant: 'par_b', order: 2, sources: [{ source: 'camera', csrc: 2, state: 'on' }] },
    { ...person, participant: 'par_c', order: 1, sources: [] },
  ];
  const room = { epoch: 1, seq: 4, locked: false, people };
  FakeCall.all[0]?.tell('joined', { participant: 'par_a', people: [], room });
  expect(open.view.getState().people.map(({ participant }) => participant)).toEqual(['par_c', 'par_b']);
  expect(FakeCall.all[0]?.wants).toEqual([{ source: 2, slot: 'tile', height: 480 }]);
});
