import type { ChatGap, ChatMessage, SignalingState } from '@madang/sdk';
import { beforeEach, describe, expect, it, vi } from 'vitest';

const { FakeSignaling } = vi.hoisted(() => {
  class FakeSignaling {
    /** The connections that were opened, in order; the test speaks for the server. */
    static readonly opened: FakeSignaling[] = [];
    state: SignalingState = 'connecting';
    readonly sent: { room: string; text: string }[] = [];
    chat: (event: ChatMessage | ChatGap) => void = () => undefined;
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
    onChat(_room: string, listener: (event: ChatMessage | ChatGap) => void): void {
      this.chat = listener;
    }
    start(): void {
      this.state = 'connected';
      for (const listener of this.listeners) listener('connected');
    }
    sendChat(room: string, { text }: { text: string }): Promise<never> {
      this.sent.push({ room, text });
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

function line(seq: number, at: number, text: string): ChatMessage {
  return { type: 'message', seq, at, from: 'par_1', name: '', host: false, text };
}

function texts({ store }: Room): string[] {
  return store.getState().lines.map((one) => (one.type === 'message' ? one.text : 'gap'));
}

describe('a room', () => {
  beforeEach(() => void opened.splice(0));

  it('takes no late line of the connection just left, which would hide the history of the new one', async () => {
    const room = new Room(7, token);
    room.enter()();
    const leave = room.enter();
    await Promise.resolve();
    opened[0]?.chat(line(1, 1_000, 'history'));
    leave();
    const leaveAgain = room.enter();
    await Promise.resolve();
    opened[0]?.chat(line(50, 9_000, 'late'));
    opened[1]?.chat(line(1, 1_000, 'history'));
    opened[1]?.chat(line(2, 2_000, 'more of it'));
    expect(texts(room)).toEqual(['history', 'more of it']);
    expect(opened).toHaveLength(2);
    leaveAgain();
  });

  it('has a state of its own, beside others', async () => {
    const [first, second] = [new Room(7, token), new Room(8, token)];
    const leave = [first.enter(), second.enter()];
    await Promise.resolve();
    opened[0]?.chat(line(50, 9_000, 'of the one'));
    opened[1]?.chat(line(1, 1_000, 'of the other'));
    expect([texts(first), texts(second)]).toEqual([['of the one'], ['of the other']]);
    expect(second.write('hello', '')).toBe(true);
    expect([opened[0]?.sent, opened[1]?.sent]).toEqual([[], [{ room: '8', text: 'hello' }]]);
    for (const end of leave) end();
  });

  it('sends what is written while it is entered', async () => {
    const room = new Room(7, token);
    expect(room.write('to nobody', '')).toBe(false);
    const leave = room.enter();
    await Promise.resolve();
    expect(room.write('hello', '')).toBe(true);
    expect(opened[0]?.sent).toEqual([{ room: '7', text: 'hello' }]);
    expect(room.store.getState().pending.map(({ state }) => state.kind)).toEqual(['sending']);
    opened[0]?.chat({ type: 'gap', dropped: 2 });
    expect(texts(room)).toEqual(['gap']);
    leave();
    expect(room.write('to nobody', '')).toBe(false);
  });
});
