import { act, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { RoomProvider } from '@madang/react';
import type { ChatMessage } from '@madang/sdk';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { everybody, fakeRoom, somebody } from '../testing/fake-room';
import { CallChat, useUnread } from './call-chat';

let root: Root;
let place: HTMLElement;
let fake: ReturnType<typeof fakeRoom>;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  fake = fakeRoom();
  place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
});
afterEach(() => {
  act(() => root.unmount());
  place.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function message(at: number, from = 'par_anna', seq = at): ChatMessage {
  return { type: 'message', seq, at, from, name: 'Anna', host: false, text: `text ${at}` };
}

function show(part: ReactNode): void {
  act(() => root.render(<RoomProvider value={fake.room}>{part}</RoomProvider>));
}

const find = (testId: string): HTMLElement | null => place.querySelector(`[data-testid="${testId}"]`);

function write(text: string): void {
  const field = find('chat-input');
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(field, text);
  act(() => void field?.dispatchEvent(new Event('input', { bubbles: true })));
  act(() => find('chat-send')?.click());
}

it('shows what is written, says what is not sent, and keeps the text that is not taken', () => {
  show(<CallChat onClose={() => undefined} />);
  act(() => fake.chat.messages.set([message(1)]));
  expect(place.textContent).toContain('text 1');
  // Everybody knows one's name in a call.
  expect(find('chat-name')).toBeNull();
  fake.chat.send.mockReturnValueOnce(true);
  write(' hello ');
  expect(fake.chat.send).toHaveBeenCalledExactlyOnceWith('hello');
  expect((find('chat-input') as HTMLInputElement).value).toBe('');
  fake.chat.send.mockReturnValueOnce(false);
  write('one too many');
  expect((find('chat-input') as HTMLInputElement).value).toBe('one too many');
  const refusal = { sent: false, reason: 'right', retryAfterMs: null } as const;
  act(() => fake.chat.pending.set([{ id: 'a', text: 'no', name: '', state: { kind: 'refused', refusal } }]));
  expect(find('chat-refused')?.textContent).toContain('may not write here');
  act(() => find('chat-refused')?.parentElement?.querySelector('button')?.click());
  expect(fake.chat.drop).toHaveBeenCalledExactlyOnceWith('a');
  act(() => fake.state.set({ ...fake.state.get(), signaling: 'lost' }));
  expect(find('chat')?.dataset.connection).toBe('lost');
});

it('says that the right to write was taken, and lets read on', () => {
  act(() => fake.people.set(everybody(somebody('par_me', { rights: ['chat'] }))));
  show(<CallChat onClose={() => undefined} />);
  expect(find('chat-silenced')).toBeNull();
  act(() => fake.people.set(everybody(somebody('par_me', { rights: [] }))));
  expect(find('chat-silenced')).not.toBeNull();
  expect(find('chat-input')).toBeNull();
  act(() => fake.chat.messages.set([message(1)]));
  expect(place.textContent).toContain('text 1');
});

it('counts what others wrote while the chat was closed, and not what was there before', () => {
  function Count({ open }: { open: boolean }): ReactNode {
    return <span>{useUnread(open)}</span>;
  }
  const written: ChatMessage[] = [];
  const write = (...messages: ChatMessage[]): void => {
    written.push(...messages);
    act(() => fake.chat.messages.set([...written]));
  };
  act(() => fake.state.set({ ...fake.state.get(), signaling: 'connecting' }));
  show(<Count open={false} />);
  act(() => void vi.advanceTimersByTime(5_000));
  act(() => fake.state.set({ ...fake.state.get(), signaling: 'connected' }));
  write(message(1), message(2));
  expect(place.textContent).toBe('0');
  act(() => void vi.advanceTimersByTime(1_000));
  write(message(3), message(4, 'par_me'));
  expect(place.textContent).toBe('1');
  // A server that began anew counts from one.
  write(message(5, 'par_anna', 1));
  expect(place.textContent).toBe('2');
  show(<Count open />);
  expect(place.textContent).toBe('0');
  write(message(6));
  show(<Count open={false} />);
  expect(place.textContent).toBe('0');
  write(message(7));
  expect(place.textContent).toBe('1');
});
