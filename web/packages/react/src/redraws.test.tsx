import { act, memo, Profiler, type ReactNode } from 'react';
import { beforeEach, expect, it } from 'vitest';
import { FakeRoom, person, switched } from '../test/fake-room.js';
import { draw, WORDS } from '../test/stage.js';
import { Picture, Tile, type TileOf, useSpeaker, useTiles } from './index.js';

/** A change redraws what shows it and nothing else (S5): counted per part, by React itself. */

const SIZE = 12;
const PEOPLE = Array.from({ length: 50 }, (_, index) => `p${index + 1}`);

/** How often each part was drawn since the last look. */
const drawn = new Map<string, number>();
const count = (id: string): void => void drawn.set(id, (drawn.get(id) ?? 0) + 1);

/** In a part of its own: the profiler counts itself where it is drawn again, though nothing in it is. */
const CountedTile = memo(function CountedTile({ participant, source }: Omit<TileOf, 'key'>): ReactNode {
  return (
    <Profiler id={participant} onRender={count}>
      <Tile participant={participant} source={source} words={WORDS} />
    </Profiler>
  );
});

function Grid(): ReactNode {
  const { tiles } = useTiles({ page: 0, size: SIZE });
  return tiles.map(({ key, ...tile }) => <CountedTile key={key} {...tile} />);
}

function Stage(): ReactNode {
  return <Picture participant={useSpeaker() ?? 'speaker'} source="camera" />;
}

/** What was drawn while something happened, in the order in which it began to. */
function drawnBy(change: () => void): Record<string, number> {
  drawn.clear();
  act(change);
  return Object.fromEntries(drawn);
}

let room: FakeRoom;

beforeEach(() => {
  room = new FakeRoom();
  room.put(person('me', 0));
  draw(
    room,
    <>
      <Profiler onRender={count} id="grid">
        <Grid />
      </Profiler>
      <Profiler onRender={count} id="stage">
        <Stage />
      </Profiler>
    </>,
  );
});

/** Everybody comes; a person at a time, as from as many messages. */
function fill(): void {
  for (const [index, name] of PEOPLE.entries()) act(() => room.put(person(name, index + 1)));
}

it('draws a tile of its own for each of fifty who come, and the other tiles stay as they are', () => {
  drawn.clear();
  fill();
  const tiles = PEOPLE.slice(0, SIZE - 1);
  // Twice each: its view is there after the first time.
  expect(tiles.map((name) => drawn.get(name))).toEqual(tiles.map(() => 2));
  expect(drawn.get('me')).toBeUndefined();
  expect(drawn.get('stage')).toBeUndefined();
  expect([...drawn.keys()].filter((name) => !tiles.includes(name))).toEqual(['grid']);
  // Each who comes is one more in its number; those who have a tile draw it, and then their view.
  expect(drawn.get('grid')).toBe(PEOPLE.length + tiles.length);
});

it('does not draw a tile again for what it has already', () => {
  let reads = 0;
  const words = Object.defineProperty({ ...WORDS }, 'guest', { get: () => (reads++, 'Guest') });
  act(() => room.put(person('p1', 1, { name: '' })));
  const stage = draw(room, <Tile participant="p1" words={words} />);
  const before = reads;
  stage.again(<Tile participant="p1" words={words} />);
  expect([before > 0, reads]).toEqual([true, before]);
});

it('draws nothing but the tile of whom a change is about', () => {
  fill();
  expect(drawnBy(() => room.says(null, ['p3']))).toEqual({ p3: 1, grid: 1 });
  expect(drawnBy(() => room.says(null, ['p3', 'p5']))).toEqual({ p5: 1, grid: 1 });
  // The same again, and people on other pages, are nothing to this one.
  expect(drawnBy(() => room.says(null, ['p3', 'p5', 'p40']))).toEqual({});
  expect(drawnBy(() => room.says(null, []))).toEqual({ p3: 1, p5: 1, grid: 1 });
  expect(drawnBy(() => room.put(switched(person('p4', 4), 'microphone', 'muted')))).toEqual({
    p4: 1,
    grid: 1,
  });
  expect(drawnBy(() => room.put(person('p6', 6, { quality: 'poor', hand: 9 })))).toEqual({ p6: 1, grid: 1 });
  expect(drawnBy(() => room.put(switched(person('p30', 30), 'camera', 'off')))).toEqual({});
  expect(drawnBy(() => room.state.set({ ...room.state.get(), signaling: 'connecting' }))).toEqual({});
  const view = room.openViews.find(
    ({ picture }) => typeof picture === 'object' && picture.participant === 'p7',
  );
  expect(drawnBy(() => view?.state.set({ ...view.state.get(), state: 'shown' }))).toEqual({ p7: 1, grid: 1 });
});

it('draws the tiles that change places when somebody far away speaks, and those that come and go', () => {
  fill();
  // One goes, one comes, which opens a view.
  expect(drawnBy(() => room.says('p40'))).toEqual({ p40: 2, grid: 2, stage: 2 });
  expect(drawnBy(() => room.gone('p2'))).toEqual({ [PEOPLE.at(-1) ?? '']: 2, grid: 2 });
  expect(room.openViews).toHaveLength(SIZE + 1);
});
