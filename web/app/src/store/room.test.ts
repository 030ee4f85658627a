import type { ChatEvent, SignalingState } from '@madang/sdk';
import { beforeEach, describe, expect, it, vi } from 'vitest';

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
    onChat(_room: string, listener: (event: ChatEvent) => void): void {
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

import { enterRoom, useRoom, writeChat } from './room';

const { opened } = FakeSignaling;

const token = (): Promise<undefined> => Promise.resolve(undefined);

function line(seq: number, at: number, text: string): ChatEvent {
  return { type: 'message', seq, at, from: 'par_1', name: '', host: false, text };
}

function texts(): string[] {
  return useRoom.getState().lines.map((one) => (one.type === 'message' ? one.text : 'gap'));
}

describe('the room on the page', () => {
  beforeEach(() => void opened.splice(0));

  it('takes no late line of the room just left, which would hide the history of the new one', async () => {
    const leaveFirst = enterRoom(7, token);
    await Promise.resolve();
    const leave = ((): (() => void) => {
      leaveFirst();
      return enterRoom(8, token);
    })();
    await Promise.resolve();
    const [first, second] = opened;
    first?.chat(line(50, 9_000, 'of the room just left'));
    second?.chat(line(1, 1_000, 'history'));
    second?.chat(line(2, 2_000, 'more of it'));
    expect(texts()).toEqual(['history', 'more of it']);
    leave();
  });

  it('sends what is written into the room that is on the page', async () => {
    expect(writeChat('to nobody', '')).toBe(false);
    const leave = enterRoom(7, token);
    await Promise.resolve();
    expect(writeChat('hello', '')).toBe(true);
    expect(opened[0]?.sent).toEqual([{ room: '7', text: 'hello' }]);
    expect(useRoom.getState().pending.map(({ state }) => state.kind)).toEqual(['sending']);
    opened[0]?.chat({ type: 'gap', dropped: 2 });
    expect(texts()).toEqual(['gap']);
    leave();
    expect(writeChat('to nobody', '')).toBe(false);
  });
});
