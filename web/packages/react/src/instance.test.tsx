import { act, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createStore } from 'zustand';
import { createInstanceContext, type Instance } from './index.js';

vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);

interface State {
  name: string;
  count: number;
}

const rooms = createInstanceContext<State, Instance<State>>('room');
const drawn = vi.fn();

function room(name: string): Instance<State> {
  return { store: createStore<State>(() => ({ name, count: 0 })) };
}

function Name(): ReactNode {
  const name = rooms.useSelected((state) => state.name);
  drawn(name);
  return <p>{name}</p>;
}

let root: Root;
let place: HTMLElement;

beforeEach(() => {
  drawn.mockClear();
  place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
});
afterEach(() => {
  act(() => root.unmount());
  place.remove();
});

it('gives each part the instance that it is in, and draws it for what it shows only', () => {
  const [one, other] = [room('one'), room('other')];
  act(() =>
    root.render(
      <>
        <rooms.Provider value={one}>
          <Name />
        </rooms.Provider>
        <rooms.Provider value={other}>
          <Name />
        </rooms.Provider>
      </>,
    ),
  );
  expect(place.textContent).toBe('oneother');
  drawn.mockClear();
  act(() => one.store.setState({ count: 1 }));
  expect(drawn).not.toHaveBeenCalled();
  act(() => one.store.setState({ name: 'changed' }));
  expect(drawn.mock.calls).toEqual([['changed']]);
  expect(place.textContent).toBe('changedother');
});

it('names what is missing around a part', () => {
  const quiet = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  expect(() => act(() => root.render(<Name />))).toThrow('no room around this part of the page');
  quiet.mockRestore();
});
