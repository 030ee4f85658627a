import type { ChatEvent, ChatSend, SignalingState } from '@madang/sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const { FakeSignaling } = vi.hoisted(() => {
  class FakeSignaling {
    /** The connections that were opened, in order; the test speaks for the server. */
    static readonly opened: FakeSignaling[] = [];
    state: SignalingState = 'connecting';
    readonly sent: { room: string; text: string }[] = [];
    chat: (event: ChatEvent) => void = () => undefined;
    private listeners: ((state: SignalingState) => void)[] = [];

    constructor() {
      FakeSignaling.opened.push(this);
    }
    on(_name: string, listener: (state: SignalingState) => void): () => void {
      this.listeners.push(listener);
      return () => undefined;
    }
    onBroadcast(): void {
      // Nothing is told of it.
    }
    onPresence(): void {
      // Nothing is told of it.
    }
    onChat(_room: string, listener: (event: ChatEvent) => void): () => void {
      this.chat = listener;
      return () => undefined;
    }
    start(): void {
      this.state = 'connected';
      for (const listener of this.listeners) listener('connected');
    }
    sendChat(room: string, { text }: ChatSend): Promise<never> {
      this.sent.push({ room, text });
      return new Promise(() => undefined);
    }
    orderChat(): Promise<never> {
      return new Promise(() => undefined);
    }
    close(): Promise<void> {
      return Promise.resolve();
    }
  }
  return { FakeSignaling };
});

vi.mock('../lib/api', () => ({ signalingEndpoint: () => Promise.resolve('ws://test') }));
vi.mock('@madang/sdk', async (original) => ({ ...(await original<object>()), Signaling: FakeSignaling }));

import { Room } from './room';

const { opened } = FakeSignaling;

const token = (): Promise<undefined> => Promise.resolve(undefined);

function line(seq: number, text: string): ChatEvent {
  return { type: 'message', seq, at: seq, from: 'par_1', name: '', host: false, text };
}

function texts({ store }: Room): string[] {
  // What comes is there with the next frame.
  vi.advanceTimersByTime(300);
  return (
    store
      .getState()
      .chat?.messages.get()
      .map(({ text }) => text) ?? []
  );
}

describe('a room', () => {
  beforeEach(() => {
    opened.splice(0);
    vi.useFakeTimers();
  });
  afterEach(() => void vi.useRealTimers());

  it('takes no late line of the connection just left, which would hide the history of the new one', async () => {
    const room = new Room(7, token);
    room.enter()();
    const leave = room.enter();
    await Promise.resolve();
    opened[0]?.chat(line(1, 'history'));
    leave();
    const leaveAgain = room.enter();
    await Promise.resolve();
    opened[0]?.chat(line(50, 'late'));
    opened[1]?.chat(line(1, 'history'));
    opened[1]?.chat(line(2, 'more of it'));
    expect(texts(room)).toEqual(['history', 'more of it']);
    expect(opened).toHaveLength(2);
    leaveAgain();
  });

  it('has a state of its own, beside others', async () => {
    const [first, second] = [new Room(7, token), new Room(8, token)];
    const leave = [first.enter(), second.enter()];
    expect(first.store.getState().chat).toBeNull();
    await Promise.resolve();
    opened[0]?.chat(line(50, 'of the one'));
    opened[1]?.chat(line(1, 'of the other'));
    expect([texts(first), texts(second)]).toEqual([['of the one'], ['of the other']]);
    expect(second.store.getState().chat?.send('hello')).toBe(true);
    expect([opened[0]?.sent, opened[1]?.sent]).toEqual([[], [{ room: '8', text: 'hello' }]]);
    for (const end of leave) end();
    expect(vi.getTimerCount()).toBe(0);
  });
});
