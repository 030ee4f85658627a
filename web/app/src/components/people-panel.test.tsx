import { Profiler, act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { RoomProvider } from '@madang/react';
import type { Person } from '@madang/sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { everybody, fakeRoom, somebody } from '../testing/fake-room';
import { PeoplePanel } from './people-panel';

let root: Root;
let place: HTMLElement;
let fake: ReturnType<typeof fakeRoom>;
const drawn = vi.fn();

const me = (change: Partial<Person> = {}): Person =>
  somebody('par_me', { name: 'Me', order: 5, rights: ['moderate'], host: true, ...change });
const anna = (change: Partial<Person> = {}): Person =>
  somebody('par_anna', {
    name: 'Anna',
    rights: ['microphone', 'camera'],
    sources: [{ csrc: 1, source: 'microphone', state: 'on' }],
    ...change,
  });

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  fake = fakeRoom();
  place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
  drawn.mockClear();
});
afterEach(() => {
  act(() => root.unmount());
  place.remove();
  vi.unstubAllGlobals();
});

function show(...people: Person[]): void {
  act(() => fake.people.set(everybody(...people)));
  act(() =>
    root.render(
      <RoomProvider value={fake.room}>
        <Profiler id="people" onRender={drawn}>
          <PeoplePanel onClose={() => undefined} />
        </Profiler>
      </RoomProvider>,
    ),
  );
}

const all = (selector: string): HTMLElement[] => [...place.querySelectorAll<HTMLElement>(selector)];
const find = (testId: string): HTMLElement => {
  const element = place.querySelector<HTMLElement>(`[data-testid="${testId}"]`);
  if (element === null) throw new Error(`no ${testId}`);
  return element;
};
const has = (testId: string): boolean => place.querySelector(`[data-testid="${testId}"]`) !== null;
const click = (testId: string): Promise<void> =>
  act(async () => {
    find(testId).click();
    await Promise.resolve();
  });

describe('the list of people', () => {
  it('shows oneself first, marks in words and the hands in their order', () => {
    show(anna(), me());
    expect(all('[data-testid="people-list"] .person-name').map((name) => name.textContent)).toEqual([
      'Me (you)',
      'Anna',
    ]);
    show(anna({ hand: 7, quality: 'lost' }), me({ hand: 3 }));
    expect(all('[data-testid="people-hands"] .person-name').map((name) => name.textContent)).toEqual([
      'Me (you)',
      'Anna',
    ]);
    const row = all('[data-testid="people-hands"] [data-participant="par_anna"]')[0];
    expect(row?.textContent).toContain('Connection lost');
    const labels = [...(row?.querySelectorAll('[role="img"]') ?? [])].map((mark) =>
      mark.getAttribute('aria-label'),
    );
    expect(labels).toEqual(['Hand raised', 'Camera off', 'Microphone on']);
  });

  it('offers nothing to who does not moderate', () => {
    show(anna(), me({ rights: [] }));
    expect(has('person-more')).toBe(false);
    expect(has('people-lock')).toBe(false);
    act(() => fake.state.set({ ...fake.state.get(), locked: true }));
    expect(place.textContent).toContain('nobody new comes in');
  });

  it('draws nothing when the same is said again, and one row when somebody speaks', () => {
    const crowd = Array.from({ length: 100 }, (_, order) =>
      anna({ participant: `par_${order}`, name: `P ${order}`, order, sources: anna().sources }),
    );
    show(...crowd, me());
    drawn.mockClear();
    act(() => fake.people.set(everybody(...structuredClone(crowd), me())));
    expect(drawn).not.toHaveBeenCalled();
    act(() => fake.speaking.set({ now: new Set(['par_7']), mainly: null }));
    expect(drawn).toHaveBeenCalledOnce();
    expect(all('[data-speaking="true"]').map((row) => row.dataset.participant)).toEqual(['par_7']);
  });

  it('searches only where there are many, and says that nobody is found', () => {
    show(anna(), me());
    expect(has('people-query')).toBe(false);
    show(...Array.from({ length: 9 }, (_, order) => anna({ participant: `par_${order}`, order })));
    const field = find('people-query');
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(field, 'zzz');
    act(() => void field.dispatchEvent(new Event('input', { bubbles: true })));
    expect(all('[data-testid="person"]')).toHaveLength(0);
    expect(place.textContent).toContain('Nobody has such a name');
  });
});

describe('moderation', () => {
  it('mutes, and says why it was not done', async () => {
    show(anna(), me());
    await click('person-more');
    await click('person-mute');
    expect(fake.moderate.mute).toHaveBeenCalledExactlyOnceWith('par_anna', 'microphone');
    expect(has('person-refused')).toBe(false);
    fake.moderate.mute.mockResolvedValueOnce({ sent: false, reason: 'right', retryAfterMs: null });
    await click('person-mute');
    expect(find('person-refused').textContent).toContain('may not do that');
    fake.moderate.mute.mockRejectedValueOnce(new Error('gone'));
    await click('person-mute');
    expect(find('person-refused').textContent).toContain('No answer came');
  });

  it('gives and takes rights as the room says that they are', async () => {
    show(anna(), me());
    await click('person-more');
    await click('right-camera');
    expect(fake.moderate.revoke).toHaveBeenCalledExactlyOnceWith('par_anna', 'camera');
    // Until the room says so it is as it was.
    expect((find('right-camera') as HTMLInputElement).checked).toBe(true);
    await click('right-screen');
    expect(fake.moderate.grant).toHaveBeenCalledExactlyOnceWith('par_anna', 'screen');
    expect(has('right-moderate')).toBe(true);
  });

  it('removes after a question only, and offers nothing of the kind above oneself', async () => {
    show(anna(), me({ host: false }));
    await click('person-more');
    await click('person-remove');
    expect(fake.moderate.remove).not.toHaveBeenCalled();
    await click('confirm-end');
    expect(fake.moderate.remove).toHaveBeenCalledExactlyOnceWith('par_anna');
    expect(has('right-moderate')).toBe(false);
    act(() => fake.people.set(everybody(anna({ rights: ['moderate'], host: true }), me({ host: false }))));
    expect(has('person-remove')).toBe(false);
    expect(has('person-mute')).toBe(true);
  });

  it('closes what a moderator may no more, and forgets who has left', async () => {
    show(anna(), me());
    await click('person-more');
    act(() => fake.people.set(everybody(anna(), me({ rights: [] }))));
    expect(has('person-mute')).toBe(false);
    act(() => fake.people.set(everybody(me())));
    expect(all('[data-testid="person"]')).toHaveLength(1);
  });

  it('locks, and mutes everybody else whose microphone is on', async () => {
    const off = anna({ participant: 'par_off', sources: [{ csrc: 2, source: 'microphone', state: 'off' }] });
    show(anna(), off, me({ sources: [{ csrc: 3, source: 'microphone', state: 'on' }] }));
    await click('people-lock');
    expect(fake.moderate.lock).toHaveBeenCalledExactlyOnceWith(true);
    await click('people-mute-all');
    await click('confirm-end');
    expect(fake.moderate.mute.mock.calls).toEqual([['par_anna', 'microphone']]);
    expect(place.textContent).toContain('1 person was muted');
  });
});
