import { act, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { RoomProvider } from '@madang/react';
import { Chat as SdkChat, type ChatEvent, type Outcome } from '@madang/sdk';
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { chatMessage, chatOpen, FakeChatSignaling } from '../../testing/fake-chat';
import { everybody, fakeRoom, somebody } from '../../testing/fake-room';
import { deskOf } from '../../store/chat-desk';
import { CallChat, useUnread } from './call-chat';
import { Chat, type ChatProps } from './panel';

let root: Root;
let place: HTMLElement;
let layout: MockInstance<() => DOMRect>;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  sessionStorage.clear();
  place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
  // As a browser would lay it out: everything is in view, unless a test says otherwise.
  layout = vi.spyOn(Element.prototype, 'getBoundingClientRect').mockReturnValue(new DOMRect(0, 0, 300, 500));
});
afterEach(() => {
  act(() => root.unmount());
  place.remove();
  vi.restoreAllMocks();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const find = (testId: string): HTMLElement | null => place.querySelector(`[data-testid="${testId}"]`);
const all = (testId: string): HTMLElement[] => [
  ...place.querySelectorAll<HTMLElement>(`[data-testid="${testId}"]`),
];
const field = (): HTMLTextAreaElement | null => place.querySelector('textarea');
const click = (testId: string): void => act(() => find(testId)?.click());
const refused = (reason: 'rate' | 'right', retryAfterMs: number | null = null): Outcome => ({
  ...{ sent: false, reason, retryAfterMs },
});

function type(text: string): void {
  const element = field();
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value')?.set?.call(element, text);
  act(() => void element?.dispatchEvent(new Event('input', { bubbles: true })));
}

function write(text: string): void {
  type(text);
  click('chat-send');
}

/** Points at a message, which shows what can be done with it. */
function point(seq: number): void {
  const row = place.querySelector(`[data-seq="${seq}"]`);
  act(() => void row?.dispatchEvent(new Event('pointerover', { bubbles: true })));
}

describe('the chat', () => {
  let signaling: FakeChatSignaling;
  let chat: SdkChat;

  beforeEach(() => {
    signaling = new FakeChatSignaling();
    chat = new SdkChat({ signaling, room: '7' });
  });
  afterEach(() => chat.close());

  function show(change: Partial<ChatProps> = {}): void {
    const props = { chat, room: '7', connection: signaling.state, own: null, ...change };
    act(() => root.render(<Chat {...props} />));
  }
  const says = (...events: ChatEvent[]): void => act(() => signaling.says(...events));
  const answers = (outcome: Outcome): Promise<void> => act(() => signaling.answer(outcome));

  it('shows what is written, one line for each, grouped by person', () => {
    show();
    says(
      chatOpen(3),
      ...[1, 2, 3].map((seq) => chatMessage(seq)),
      chatMessage(4, { from: 'par_b', name: 'B' }),
    );
    expect(all('chat-message').map((line) => line.dataset.goesOn)).toEqual([
      'false',
      'true',
      'true',
      'false',
    ]);
    expect(place.textContent).toContain('text 4');
    says(
      { type: 'edited', seq: 2, text: 'changed', edited_at: 9 },
      { type: 'deleted', seq: 3, by: 'moderator' },
    );
    expect(place.textContent).toContain('changed (edited)');
    expect(place.textContent).not.toContain('text 3');
    expect(find('chat-deleted')?.textContent).toBe('Deleted message');
  });

  it('gives a text back that was refused, with the reason and the time, where nothing else is written', async () => {
    show();
    says(chatOpen(0, { settings: { slow_seconds: 30 } }));
    write('too soon');
    expect(field()?.value).toBe('');
    await answers(refused('rate', 20_000));
    expect(field()?.value).toBe('too soon');
    expect(find('chat-refused')?.textContent).toMatch(/slow mode\. You can send it in 2[01] s\./);
    expect(find('chat-pending')).toBeNull();
    // It counts down in the box, and nothing is sent before.
    expect(find('chat-wait')?.textContent).toMatch(/^2[01]$/);
    act(() => void vi.advanceTimersByTime(15_000));
    expect(find('chat-wait')?.textContent).toMatch(/^[56]$/);
    click('chat-send');
    expect(signaling.sent).toHaveLength(1);
    act(() => void vi.advanceTimersByTime(7_000));
    expect(find('chat-refused')?.textContent).toContain('You can send it now.');
    click('chat-send');
    expect(signaling.sent).toHaveLength(2);
    // Something else stands there: the refused one keeps its place above.
    type('another one');
    await answers(refused('right'));
    expect(field()?.value).toBe('another one');
    expect(find('chat-pending')?.dataset.state).toBe('refused');
    expect(find('chat-pending')?.textContent).toContain('too soon');
    expect(find('chat-refused')?.textContent).toContain('you may not write here');
  });

  it('says what is on its way, and that it is kept while the server is away', async () => {
    show();
    says(chatOpen(0));
    write('hello');
    expect(find('chat-pending')?.textContent).toContain('Sending');
    await act(async () => {
      signaling.becomes('lost');
      await signaling.answer({ sent: false, reason: 'lost', retryAfterMs: null });
    });
    show();
    expect(find('chat-pending')?.dataset.state).toBe('waiting');
    expect(find('chat-pending')?.textContent).toContain('Not sent yet');
    // What is being written stays through all of that, and through closing the panel.
    type('half a tho');
    act(() => root.render(null));
    show();
    expect(field()?.value).toBe('half a tho');
  });

  it('lets nobody write too much, and loses none of it', () => {
    show();
    says(chatOpen(0));
    type('😀'.repeat(500));
    expect(find('chat-send')).toHaveProperty('disabled', false);
    type('x'.repeat(512));
    expect(find('chat-send')).toHaveProperty('disabled', true);
    expect(place.textContent).toContain('12 characters too many');
    expect(field()?.value).toHaveLength(512);
  });

  it('sends with Enter, but not while a syllable is put together', () => {
    show();
    says(chatOpen(0));
    type('안녕');
    const press = (init: KeyboardEventInit): void =>
      act(
        () =>
          void field()?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, ...init })),
      );
    press({ isComposing: true });
    press({ shiftKey: true });
    expect(signaling.sent).toHaveLength(0);
    press({});
    expect(signaling.sent.map(({ text }) => text)).toEqual(['안녕']);
  });

  it('answers, edits and deletes', async () => {
    show();
    const now = Date.now();
    says(chatOpen(2), chatMessage(1), chatMessage(2, { from: 'par_me', at: now, text: 'mine' }));
    point(1);
    // Of others nothing is offered that the server would refuse.
    expect([find('chat-edit'), find('chat-delete')]).toEqual([null, null]);
    click('chat-reply');
    expect(find('chat-replying')?.textContent).toContain('Reply to Anna');
    write('an answer');
    expect(signaling.sent[0]).toMatchObject({ text: 'an answer', reply_to: 1 });
    expect(find('chat-replying')).toBeNull();
    point(2);
    type('a draft');
    click('chat-edit');
    expect(field()?.value).toBe('mine');
    write('mine, better');
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(signaling.orders).toEqual([{ type: 'edit', seq: 2, text: 'mine, better' }]);
    await answers({ sent: true, seq: null });
    expect(field()?.value).toBe('a draft');
    click('chat-delete');
    click('confirm-end');
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(signaling.orders[1]).toEqual({ type: 'delete', seq: 2 });
    await answers({ sent: false, reason: 'state', retryAfterMs: null, message: 'it is gone' });
    expect(find('chat-word')?.textContent).toBe('it is gone');
  });

  it('offers moderators what they may do, and nobody else', async () => {
    show();
    says(chatOpen(1), chatMessage(1));
    point(1);
    click('chat-more');
    expect(find('chat-more-copy')).not.toBeNull();
    expect(find('chat-more-ban')).toBeNull();
    expect(find('chat-rules-open')).toBeNull();
    says(chatOpen(1, { you: { id: 'par_me', moderator: true } }));
    expect(find('chat-rules-open')).not.toBeNull();
    click('chat-more-timeout-10');
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(signaling.orders).toEqual([{ type: 'timeout', seq: 1, seconds: 600 }]);
    await answers({ sent: true, seq: null });
    expect(find('chat-word')?.textContent).toBe('Anna cannot write for 10 min.');
    click('chat-more');
    click('chat-more-ban-address');
    expect(find('chat-ban')?.textContent).toContain('same address');
    click('chat-ban-yes');
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(signaling.orders[1]).toEqual({ type: 'ban', seq: 1, address: true });
  });

  it('tells whoever may not write so, why and until when', () => {
    show();
    const until = Date.now() + 60_000;
    says(chatOpen(0));
    type('a word');
    says({ type: 'sanction', kind: 'timeout', until, reason: 'caps' });
    expect(find('chat-sanction')?.textContent).toMatch(/paused your writing until .*\(60 s\).*Reason: caps/);
    expect(find('chat-sanction')?.textContent).toContain('a word');
    expect(field()).toBeNull();
    act(() => void vi.advanceTimersByTime(61_000));
    expect(field()?.value).toBe('a word');
    says({ type: 'sanction', kind: 'ban' });
    expect(find('chat-sanction')?.textContent).toContain('You are banned');
    says({ type: 'sanction', kind: 'lifted' });
    expect(field()?.value).toBe('a word');
    says({ type: 'settings', settings: { slow_seconds: 10, followers_minutes: 5 } });
    expect(find('chat-rule')?.textContent).toBe(
      'Only people who have been here for 5 min may write. Slow mode: one message every 10 s.',
    );
    act(() => show({ silenced: true }));
    expect([find('chat-silenced') === null, field()]).toEqual([false, null]);
  });

  it('shows what is pinned, as it stands now', () => {
    show();
    says(chatOpen(1, { pinned: chatMessage(1, { text: 'see https://example.org/a.' }) }), chatMessage(1));
    const link = find('chat-pinned')?.querySelector('a');
    expect([link?.getAttribute('href'), link?.textContent]).toEqual([
      'https://example.org/a',
      'example.org/a',
    ]);
    expect(link?.rel).toContain('noopener');
    says({ type: 'deleted', seq: 1, by: 'author' });
    expect(find('chat-pinned')).toBeNull();
  });

  it('counts as read what was in view while the page was seen', () => {
    const mark = deskOf(chat, '7').mark.store;
    show();
    says(chatOpen(3), ...[1, 2, 3].map((seq) => chatMessage(seq)));
    says(chatMessage(4));
    expect(mark.getState()).toMatchObject({ read: 4, unread: 0 });
    const visibility = vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
    act(() => void document.dispatchEvent(new Event('visibilitychange')));
    says(chatMessage(5), chatMessage(6, { from: 'par_me' }));
    expect(mark.getState()).toMatchObject({ read: 4, unread: 1 });
    visibility.mockReturnValue('visible');
    act(() => void document.dispatchEvent(new Event('visibilitychange')));
    expect(mark.getState()).toMatchObject({ read: 6, unread: 0, divider: 4 });
    expect(find('chat-new')?.nextElementSibling?.getAttribute('data-seq')).toBe('5');
    // More came than fits: the list begins where it begins, and what is below is not read yet.
    visibility.mockReturnValue('hidden');
    act(() => void document.dispatchEvent(new Event('visibilitychange')));
    const height = vi.spyOn(HTMLElement.prototype, 'offsetTop', 'get').mockImplementation(function (
      this: HTMLElement,
    ) {
      return 100 * Number(this.dataset.seq ?? 6.9);
    });
    const list = find('chat-lines');
    Object.defineProperties(list, {
      scrollHeight: { value: 1_600, configurable: true },
      clientHeight: { value: 500 },
    });
    says(...[7, 8, 9, 10, 11, 12, 13, 14, 15].map((seq) => chatMessage(seq)));
    visibility.mockReturnValue('visible');
    act(() => void document.dispatchEvent(new Event('visibilitychange')));
    expect(list?.scrollTop).toBe(690);
    expect(mark.getState()).toMatchObject({ read: 11, unread: 4, divider: 6 });
    expect(find('chat-newer')?.textContent).toBe('4 new messages');
    click('chat-newer');
    expect(mark.getState()).toMatchObject({ read: 15, unread: 0 });
    height.mockRestore();
    // Further down than the window is nothing in view.
    layout.mockReturnValue(new DOMRect(0, 5_000, 300, 500));
    says(chatMessage(16));
    expect(mark.getState()).toMatchObject({ read: 15, unread: 1 });
    expect(JSON.parse(sessionStorage.getItem('madang.read.7') ?? '')).toEqual({ epoch: 1, read: 15 });
  });

  it('fetches older messages, and says where it begins', async () => {
    show();
    says(chatOpen(9), chatMessage(9));
    click('chat-older');
    await act(() => vi.advanceTimersByTimeAsync(0));
    expect(find('chat-past')?.dataset.state).toBe('loading');
    await answers({ sent: false, reason: 'state', retryAfterMs: null });
    expect(find('chat-past')?.textContent).toContain('did not come');
    click('chat-older');
    await answers({ sent: true, seq: null, history: { messages: [chatMessage(4)], more: false } });
    expect(all('chat-message').map((line) => line.dataset.seq)).toEqual(['4', '9']);
    expect(place.textContent).toContain('This is where the chat begins.');
  });

  it('reads out what comes, and of much how much', async () => {
    show();
    says(chatOpen(1), chatMessage(1));
    await act(() => vi.advanceTimersByTimeAsync(5_000));
    expect(find('chat-announcer')?.textContent).toBe('');
    says(chatMessage(2));
    await act(() => vi.advanceTimersByTimeAsync(100));
    expect(find('chat-announcer')?.textContent).toBe('Anna: text 2');
    says(...Array.from({ length: 9 }, (_, index) => chatMessage(3 + index)));
    expect(find('chat-announcer')?.textContent).toBe('Anna: text 2');
    await act(() => vi.advanceTimersByTimeAsync(3_000));
    expect(find('chat-announcer')?.textContent).toBe('9 new messages');
  });

  it('says that it shows some of many', () => {
    show();
    says(chatOpen(0));
    for (let round = 0; round < 4; round += 1)
      says(...Array.from({ length: 50 }, (_, index) => chatMessage(1 + 50 * round + index)));
    expect(find('chat-busy')?.textContent).toMatch(/Showing some of \d+ messages a second/);
    expect(all('chat-message').length).toBeLessThan(80);
    // While it lasts the gap would change all the time.
    expect(find('chat-gap')).toBeNull();
    act(() => void vi.advanceTimersByTime(10_000));
    expect(find('chat-busy')).toBeNull();
    expect(find('chat-gap')?.textContent).toMatch(/\d+ messages of a busy time are not shown/);
  });
});

describe('the chat of a call', () => {
  let fake: ReturnType<typeof fakeRoom>;
  beforeEach(() => (fake = fakeRoom()));
  afterEach(() => fake.chat.close());

  function show(part: ReactNode): void {
    act(() => root.render(<RoomProvider value={fake.room}>{part}</RoomProvider>));
  }
  const says = (...events: ChatEvent[]): void => act(() => fake.signaling.says(...events));

  it('says that the right to write was taken, and lets read on', () => {
    act(() => fake.people.set(everybody(somebody('par_me', { rights: ['chat'] }))));
    show(<CallChat onClose={() => undefined} />);
    // Everybody knows one's name in a call.
    expect([find('chat-silenced'), find('chat-name')]).toEqual([null, null]);
    act(() => fake.people.set(everybody(somebody('par_me', { rights: [] }))));
    expect(find('chat-silenced')).not.toBeNull();
    expect(field()).toBeNull();
    says(chatOpen(0), chatMessage(1));
    expect(place.textContent).toContain('text 1');
    act(() => fake.state.set({ ...fake.state.get(), signaling: 'lost' }));
    expect(find('chat')?.dataset.connection).toBe('lost');
  });

  it('writes to one person alone, and says who sees it', () => {
    const anna = somebody('par_anna', { name: 'Anna' });
    act(() => fake.people.set(everybody(somebody('par_me', { rights: ['chat'] }), anna)));
    show(<CallChat onClose={() => undefined} />);
    says(chatOpen(0));
    const to = find('chat-to') as HTMLSelectElement;
    expect([...to.options].map(({ text }) => text)).toEqual(['Everyone', 'Anna']);
    act(() => {
      to.value = 'par_anna';
      to.dispatchEvent(new Event('change', { bubbles: true }));
    });
    expect(find('chat-only')?.textContent).toContain('Only Anna will see this');
    write('psst');
    expect(fake.signaling.sent[0]).toMatchObject({ text: 'psst', to: 'par_anna' });
    says(chatMessage(1, { from: 'par_me', name: 'me', text: 'psst', to: { id: 'par_anna', name: 'Anna' } }));
    expect(find('chat-direct')?.textContent).toBe('Only you and Anna see this');
    type('still there?');
    act(() => fake.people.set(everybody(somebody('par_me', { rights: ['chat'] }))));
    expect(find('chat-only')?.textContent).toContain('Anna has left');
    expect(find('chat-send')).toHaveProperty('disabled', true);
  });

  it('counts what others wrote while it was closed, and not what was there before', () => {
    function Count(): ReactNode {
      return <span data-testid="count">{useUnread()}</span>;
    }
    const count = (): string => find('count')?.textContent ?? '';
    show(<Count />);
    says(chatOpen(2), chatMessage(1), chatMessage(2));
    expect(count()).toBe('0');
    says(chatMessage(3), chatMessage(4, { from: 'par_me' }));
    expect(count()).toBe('1');
    says({ type: 'deleted', seq: 3, by: 'author' });
    expect(count()).toBe('0');
    says(chatMessage(5));
    // Read anew under other numbers: what is there is history.
    says(chatOpen(1, { epoch: 2 }), chatMessage(1));
    expect(count()).toBe('0');
    says(chatMessage(2));
    expect(count()).toBe('1');
    show(
      <>
        <Count />
        <CallChat onClose={() => undefined} />
      </>,
    );
    expect(count()).toBe('0');
    says(chatMessage(6));
    show(<Count />);
    says(chatMessage(7));
    expect(count()).toBe('1');
  });
});
