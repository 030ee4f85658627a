import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { t } from '../../texts';
import { FakeRoom, fakePerson } from './fake';
import { CallRoom } from './room';

let root: Root;
let holder: HTMLElement;
let sizes: (() => void)[];

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  sizes = [];
  // The browser of these tests lays nothing out: the stage is told its size.
  vi.stubGlobal(
    'ResizeObserver',
    class {
      constructor(
        private readonly tell: (entries: { contentRect: { width: number; height: number } }[]) => void,
      ) {}
      observe(): void {
        sizes.push(() => this.tell([{ contentRect: { width: 1_256, height: 700 } }]));
      }
      unobserve(): void {
        // Nothing is held.
      }
      disconnect(): void {
        // Nothing is held.
      }
    },
  );
  vi.useFakeTimers();
  holder = document.createElement('div');
  document.body.append(holder);
  root = createRoot(holder);
});
afterEach(() => {
  act(() => root.unmount());
  holder.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function show(people: number): FakeRoom {
  const fake = new FakeRoom(Array.from({ length: people }, (_, n) => fakePerson(n)));
  act(() => root.render(<CallRoom room={fake.room} onLeave={() => undefined} />));
  act(() => sizes.forEach((tell) => tell()));
  return fake;
}

const all = (id: string): HTMLElement[] => [...holder.querySelectorAll<HTMLElement>(`[data-testid="${id}"]`)];
const one = (id: string): HTMLElement => {
  const [found] = all(id);
  if (found === undefined) throw new Error(`no ${id}`);
  return found;
};
const who = (): (string | undefined)[] => all('call-tile').map(({ dataset }) => dataset.participant);
const press = (code: string, type: 'keydown' | 'keyup' = 'keydown'): void =>
  act(
    () =>
      void document.body.dispatchEvent(new KeyboardEvent(type, { code, bubbles: true, cancelable: true })),
  );

describe('the page of a call', () => {
  it('wants the pictures of its page and no others, and turns by keys and buttons', () => {
    const fake = show(30);
    expect(all('call-tile')).toHaveLength(11);
    expect(fake.views.size).toBe(12);
    press('ArrowRight');
    expect(one('call-page').textContent).toContain('2 / 3');
    expect(who()).toContain('par_12');
    expect(fake.views.size).toBe(12);
    act(() => one('call-next').click());
    press('ArrowRight');
    expect(one('call-page').textContent).toContain('3 / 3');
    expect(fake.views.size).toBe(6);
  });

  it('moves no tile when somebody on the page speaks', () => {
    const fake = show(5);
    const places = (): string[] => all('call-tile').map(({ style }) => style.transform);
    const before = places();
    act(() => fake.speaking.set({ now: new Set(['par_3']), mainly: 'par_3' }));
    expect(places()).toEqual(before);
    expect(all('call-speaking').filter(({ dataset }) => dataset.speaking !== undefined)).toHaveLength(1);
  });

  it('gives the stage to a screen as soon as it is shared, and back when asked', () => {
    const fake = show(4);
    act(() =>
      fake.change('par_2', (person) => ({
        ...person,
        sources: [...person.sources, { csrc: 99, source: 'screen', state: 'on' }],
      })),
    );
    expect(one('call-grid').dataset.mode).toBe('screen');
    expect(holder.querySelector('[data-role="main"]')?.textContent).toContain(t.roomScreenOf('Person 2'));
    act(() => one('call-view').click());
    act(() => one('call-view-grid').click());
    expect(one('call-grid').dataset.mode).toBe('grid');
    act(() => one('call-view').click());
    act(() => one('call-view-screen').click());
    expect(one('call-grid').dataset.mode).toBe('screen');
  });

  it('pins a picture until it is unpinned or gone', () => {
    const fake = show(4);
    const pin = holder.querySelector<HTMLElement>('[data-participant="par_2"] [data-testid="call-pin"]');
    act(() => pin?.click());
    expect(one('call-grid').dataset.mode).toBe('pin');
    act(() => fake.people.set((people) => new Map([...people].filter(([id]) => id !== 'par_2'))));
    expect(one('call-grid').dataset.mode).toBe('grid');
  });

  it('marks who is muted, whose hand is up in which order, and whose line is bad', () => {
    const fake = show(4);
    act(() => {
      fake.change('par_1', (person) => ({ ...person, hand: 7, quality: 'poor' }));
      fake.change('par_2', (person) => ({ ...person, hand: 3 }));
      fake.change('par_3', ({ sources, ...person }) => ({
        ...person,
        sources: sources.map((own) =>
          own.source === 'microphone' ? { ...own, state: 'muted' as const } : own,
        ),
      }));
    });
    const hands = all('call-hand-mark').map((mark) => mark.textContent);
    expect(hands).toEqual(['2', '1']);
    expect(all('call-quality')).toHaveLength(1);
    expect(all('call-muted-mark')).toHaveLength(1);
  });

  it('speaks while the space bar is held, and not for ever where its end is not heard', () => {
    const fake = show(2);
    const state = (): string => fake.me.mic.state.get().state;
    press('KeyM');
    expect(state()).toBe('off');
    press('Space');
    expect(state()).toBe('on');
    act(() => void dispatchEvent(new Event('blur')));
    expect(state()).toBe('off');
    press('Space', 'keyup');
    expect(state()).toBe('off');
  });

  it('says that one speaks and is muted', () => {
    const fake = show(2);
    const speak = (): void => {
      for (let n = 0; n < 20; n += 1) {
        vi.advanceTimersByTime(50);
        fake.me.mic.level.set(0.4 + n / 1_000);
      }
    };
    act(speak);
    expect(all('call-you-are-muted')).toHaveLength(0);
    press('KeyM');
    act(speak);
    expect(all('call-you-are-muted')).toHaveLength(1);
    press('KeyM');
    expect(all('call-you-are-muted')).toHaveLength(0);
  });

  it('shows a reaction, and not for long', () => {
    const fake = show(2);
    act(() => fake.emit('reaction', { person: fakePerson(1), reaction: 'party' }));
    expect(one('call-reactions').textContent).toContain('Person 1');
    act(() => {
      for (let n = 0; n < 500; n += 1) fake.emit('reaction', { person: fakePerson(1), reaction: 'like' });
    });
    expect(one('call-reactions').children.length).toBeLessThanOrEqual(12);
    act(() => void vi.advanceTimersByTime(5_000));
    expect(one('call-reactions').children).toHaveLength(0);
  });

  it('announces a crowd in one sentence', () => {
    const fake = show(20);
    act(() => {
      for (let n = 20; n < 50; n += 1) fake.emit('joined', fakePerson(n));
      vi.advanceTimersByTime(1_000);
    });
    expect(one('call-announced').textContent).toBe(t.roomJoinedMany(30));
  });

  it('says what is away, and that a lost signaling takes nothing from the pictures', () => {
    const fake = show(2);
    act(() => fake.state.set((state) => ({ ...state, signaling: 'lost' })));
    expect(one('call-banner').textContent).toBe('');
    act(() => void vi.advanceTimersByTime(3_000));
    expect(one('call-banner').dataset.standing).toBe('signaling-away');
    act(() => fake.state.set((state) => ({ ...state, call: 'reconnecting' })));
    expect(one('call-banner').dataset.standing).toBe('all-away');
    act(() => fake.state.set((state) => ({ ...state, call: 'connected', signaling: 'connected' })));
    expect(one('call-banner').textContent).toBe('');
  });
});

describe('fingers', () => {
  const swipe = (by: number, across = 0): void => {
    const stage = one('call-tile');
    const at = (type: string, x: number, y: number): void =>
      act(
        () =>
          void stage.dispatchEvent(
            new PointerEvent(type, {
              pointerType: 'touch',
              pointerId: 1,
              isPrimary: true,
              clientX: x,
              clientY: y,
              bubbles: true,
            }),
          ),
      );
    at('pointerdown', 200, 200);
    at('pointerup', 200 + by, 200 + across);
  };
  const opened = (): number => all('call-tile').filter(({ dataset }) => dataset.open !== undefined).length;

  it('turn pages by moving along the lines, and open a picture by touching it', () => {
    show(30);
    const page = (): string | null => one('call-page').textContent;
    swipe(-120);
    expect(page()).toContain('2 / 3');
    swipe(120, 20);
    swipe(120);
    expect(page()).toContain('1 / 3');
    swipe(-120, 100);
    expect(page()).toContain('1 / 3');
    expect(opened()).toBe(1);
    swipe(2);
    expect(opened()).toBe(0);
  });
});
