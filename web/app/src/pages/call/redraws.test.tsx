import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

/** The pictures that were drawn, by who is in them: each tile asks for its view once whenever it is drawn. */
const { drawn } = vi.hoisted(() => ({ drawn: [] as string[] }));
vi.mock('@madang/react', async (original) => {
  const real = await original<typeof import('@madang/react')>();
  const useView: typeof real.useView = (picture, options) => {
    drawn.push(picture === 'speaker' ? picture : picture.participant);
    return real.useView(picture, options);
  };
  return { ...real, useView };
});

import { FakeRoom, fakePerson } from './fake';
import { CallRoom } from './room';

let root: Root;
let holder: HTMLElement;
let fake: FakeRoom;

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.stubGlobal(
    'ResizeObserver',
    class {
      constructor(
        private readonly tell: (entries: { contentRect: { width: number; height: number } }[]) => void,
      ) {}
      observe(): void {
        this.tell([{ contentRect: { width: 1_256, height: 700 } }]);
      }
      unobserve = (): void => undefined;
      disconnect = (): void => undefined;
    },
  );
  holder = document.body.appendChild(document.createElement('div'));
  root = createRoot(holder);
  fake = new FakeRoom(Array.from({ length: 30 }, (_, n) => fakePerson(n)));
  act(() => root.render(<CallRoom room={fake.room} onLeave={() => undefined} />));
});
afterEach(() => {
  act(() => root.unmount());
  holder.remove();
  vi.unstubAllGlobals();
});

/** Whose tiles are drawn again by a change. */
function drawnBy(change: () => void): string[] {
  drawn.splice(0);
  act(change);
  return [...new Set(drawn)];
}

function comes(n: number): void {
  fake.people.set((people) => new Map(people).set(`par_${n}`, fakePerson(n)));
}

it('draws no tile for who comes, speaks or is muted elsewhere', () => {
  expect(holder.querySelectorAll('.call-tile')).toHaveLength(12);
  for (let n = 30; n < 60; n++)
    expect(
      drawnBy(() => comes(n)),
      `person ${n}`,
    ).toEqual([]);
  const speaks = { now: new Set(['par_5', 'par_40']), mainly: 'par_5' };
  expect(drawnBy(() => fake.speaking.set(speaks))).toEqual([]);
  expect(drawnBy(() => fake.change('par_5', (person) => ({ ...person, hand: 3, quality: 'poor' })))).toEqual(
    [],
  );
  // Whoever leaves is followed by the last one, and nobody else moves.
  const left = (): void =>
    fake.people.set((people) => new Map([...people].filter(([participant]) => participant !== 'par_3')));
  expect(drawnBy(left)).toEqual(['par_59']);
});
