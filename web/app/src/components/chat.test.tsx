import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { addLine, type ChatLine, type ChatMessage } from '@madang/sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const { clockTime } = vi.hoisted(() => ({ clockTime: vi.fn(() => '12:00') }));
vi.mock('../lib/format', () => ({ clockTime }));

import { Room, RoomProvider } from '../store/room';
import { Chat } from './chat';

function message(seq: number): ChatMessage {
  return { type: 'message', seq, at: seq, from: 'par_1', name: 'Mina', host: false, text: `line ${seq}` };
}

function history(count: number): readonly ChatLine[] {
  let lines: readonly ChatLine[] = [];
  for (let seq = 1; seq <= count; seq += 1) lines = addLine(lines, message(seq));
  return lines;
}

describe('the chat', () => {
  let root: Root;
  let place: HTMLElement;
  let room: Room;

  beforeEach(() => {
    (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
    place = document.body.appendChild(document.createElement('div'));
    root = createRoot(place);
    room = new Room(7, () => Promise.resolve(undefined));
    room.store.setState({ connection: 'connected', lines: history(300) });
    act(() =>
      root.render(
        <RoomProvider value={room}>
          <Chat own={null} closed={false} />
        </RoomProvider>,
      ),
    );
  });
  afterEach(() => {
    act(() => root.unmount());
    place.remove();
  });

  const find = (testId: string): HTMLElement | null => place.querySelector(`[data-testid="${testId}"]`);

  /** As a person who has scrolled up to read. */
  function scrollUp(): void {
    const list = place.querySelector('.chat-lines');
    if (list === null) throw new Error('there is no list');
    Object.defineProperties(list, { scrollHeight: { value: 9_000 }, clientHeight: { value: 500 } });
    list.scrollTop = 100;
    act(() => void list.dispatchEvent(new Event('scroll', { bubbles: true })));
  }

  it('draws one line for each message that comes, not all of them', () => {
    clockTime.mockClear();
    act(() => room.store.setState(({ lines }) => ({ lines: addLine(lines, message(301)) })));
    expect(clockTime).toHaveBeenCalledOnce();
    expect(place.querySelectorAll('[data-testid="chat-message"]')).toHaveLength(300);
    expect(place.textContent).toContain('line 301');
  });

  it('announces what is new, and not the history that comes again after a reconnect', () => {
    scrollUp();
    act(() => room.store.setState({ connection: 'lost' }));
    act(() =>
      room.store.setState(({ lines }) => ({ connection: 'connected', lines: addLine(lines, message(300)) })),
    );
    expect(find('chat-newer')).toBeNull();
    act(() => room.store.setState(({ lines }) => ({ lines: addLine(lines, message(301)) })));
    expect(find('chat-newer')).not.toBeNull();
  });

  it('shows what was written and is not in the room as such', () => {
    const waiting = { id: 'a', text: 'wait for me', name: '', state: { kind: 'waiting' } } as const;
    act(() => room.store.setState({ connection: 'lost', pending: [waiting] }));
    expect(find('chat-pending')?.dataset.state).toBe('waiting');
    expect(find('chat-pending')?.textContent).toContain('Not sent yet');
    act(() => room.store.setState({ connection: 'connected' }));
    expect(find('chat-pending')?.textContent).toContain('Sending');
    const refusal = { sent: false, reason: 'right', retryAfterMs: null } as const;
    act(() => room.store.setState({ pending: [{ ...waiting, state: { kind: 'refused', refusal } }] }));
    expect(find('chat-refused')?.textContent).toContain('you may not write here');
  });
});
