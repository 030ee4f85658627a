import { act, type ReactNode } from 'react';
import { expect, it, vi } from 'vitest';
import { FakeRoom, person, switched } from '../test/fake-room.js';
import { draw, WORDS } from '../test/stage.js';
import {
  Picture,
  RoomProvider,
  Sound,
  Tile,
  usePeople,
  useRoom,
  useRoomEvent,
  useRoomState,
  useSpeaker,
  useSpeaks,
  useTiles,
} from './index.js';

function Values({ drawn }: { drawn: () => void }): ReactNode {
  const names = usePeople((people) => [...people.values()].map(({ name }) => name));
  const locked = useRoomState(({ locked }) => locked);
  drawn();
  return [...names, useSpeaker(), useSpeaks('a'), locked].join(' ');
}

it('draws a part for what it selects only', () => {
  const room = new FakeRoom();
  const drawn = vi.fn();
  const { place } = draw(room, <Values drawn={drawn} />);
  act(() => room.put(person('a', 1), person('b', 2)));
  expect(place.textContent).toBe('a b  false false');
  drawn.mockClear();
  // A new array with the same names is the same.
  act(() => room.put(person('a', 1, { hand: 1 }), person('b', 2, { quality: 'poor' })));
  act(() => room.state.set({ ...room.state.get(), signaling: 'connecting' }));
  expect(drawn).not.toHaveBeenCalled();
  act(() => room.says('a'));
  expect(place.textContent).toBe('a b a true false');
  // Whose microphone is off is not heard, whatever was said last; who is gone is not the speaker.
  act(() => room.put(switched(person('a', 1), 'microphone', 'off')));
  expect(place.textContent).toBe('a b a false false');
  act(() => room.gone('a'));
  expect(place.textContent).toBe('b  false false');
});

it('names what is missing around a part', () => {
  const quiet = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const Lost = (): string => useRoom().group;
  const outside = (
    <RoomProvider value={null}>
      <Lost />
    </RoomProvider>
  );
  expect(() => draw(new FakeRoom(), outside)).toThrow('no RoomProvider around this part of the page');
  quiet.mockRestore();
});

function Events({ word, heard }: { word: string; heard: (text: string) => void }): ReactNode {
  useRoomEvent('joined', ({ name }) => heard(word + name));
  return null;
}

it('hears events with the latest listener, once, as long as the part is there', () => {
  const room = new FakeRoom();
  const heard = vi.fn();
  const stage = draw(room, <Events word="hello " heard={heard} />, { strict: true });
  stage.again(<Events word="bye " heard={heard} />);
  act(() => room.tell('joined', person('a', 1)));
  expect(heard.mock.calls).toEqual([['bye a']]);
  stage.end();
  room.tell('joined', person('b', 2));
  expect(heard).toHaveBeenCalledOnce();
  expect(room.listening()).toBe(0);
});

function Grid({ page }: { page: number }): ReactNode {
  const { tiles, pages } = useTiles({ page, size: 2 });
  return [...tiles.map(({ participant }) => participant), pages].join(' ');
}

it('has a grid of the people of the room, and of another room its own', () => {
  const room = new FakeRoom();
  room.put(person('a', 1), person('b', 2), person('me', 3));
  const stage = draw(room, <Grid page={0} />, { strict: true });
  expect(stage.place.textContent).toBe('me a 2');
  stage.again(<Grid page={1} />);
  expect(stage.place.textContent).toBe('b 2');
  act(() => room.gone('a'));
  // The place is kept while this page is looked at.
  expect(stage.place.textContent).toBe('b 2');
  stage.again(<Grid page={0} />);
  expect(stage.place.textContent).toBe('me b 1');
  const other = new FakeRoom();
  other.put(person('z', 1));
  stage.again(
    <RoomProvider value={other.room}>
      <Grid page={0} />
    </RoomProvider>,
  );
  expect(stage.place.textContent).toBe('z 1');
});

it('opens one view for a picture, changes it, and closes it', () => {
  const room = new FakeRoom();
  const tile = (participant: string, priority: number): ReactNode => (
    <Picture participant={participant} source="camera" priority={priority} pin={priority === 0} />
  );
  const stage = draw(room, tile('a', 3), { strict: true });
  const [view] = room.openViews;
  expect(room.openViews).toHaveLength(1);
  expect(view?.picture).toEqual({ participant: 'a', source: 'camera' });
  const video = stage.place.querySelector('video');
  expect(view?.options).toMatchObject({ el: video, priority: 3, pin: false });
  expect(video?.dataset.state).toBe('off');
  act(() => view?.state.set({ ...view.state.get(), state: 'missing', why: 'line' }));
  expect(video?.dataset).toMatchObject({ state: 'missing', why: 'line' });

  stage.again(tile('a', 0));
  expect(room.openViews).toEqual([view]);
  expect(view?.options).toMatchObject({ priority: 0, pin: true });
  // Somebody else is another view, of which nothing is known yet.
  stage.again(tile('b', 0));
  expect(room.openViews.map(({ picture }) => picture)).toEqual([{ participant: 'b', source: 'camera' }]);
  expect(stage.place.querySelector('video')?.dataset).toEqual({ state: 'off' });
  stage.again(<Picture participant="speaker" />);
  expect(room.openViews.map(({ picture }) => picture)).toEqual(['speaker']);
  stage.end();
  expect(room.openViews).toEqual([]);
});

it('says of somebody what is true now', () => {
  const room = new FakeRoom();
  const anna = person('a', 1, { name: 'Anna' });
  room.put(anna, person('me', 2, { name: '' }));
  const { place } = draw(
    room,
    <>
      <Tile participant="a" words={WORDS} icon={({ mark }) => <i>{mark}</i>} />
      <Tile participant="a" source="screen" words={WORDS} />
      <Tile participant="me" words={WORDS} />
    </>,
  );
  const [camera, screen, own] = place.querySelectorAll<HTMLElement>('[data-testid="tile"]');
  const marks = (): string[] =>
    [...(camera?.querySelectorAll('[data-mark]') ?? [])].map((mark) => mark.getAttribute('aria-label') ?? '');
  expect(camera?.querySelector('[data-part="name"]')?.textContent).toBe('Anna');
  expect(screen?.textContent).toBe('Screen of Anna');
  expect(own?.querySelector('[data-part="name"]')?.textContent).toBe('Guest (you)');
  expect(own?.querySelector('video')?.style.transform).toBe('scaleX(-1)');
  expect(marks()).toEqual(['Good']);
  const view = room.openViews[0];
  act(() => view?.state.set({ ...view.state.get(), state: 'missing', why: 'line' }));
  expect(camera?.querySelector('[data-part="why"]')?.textContent).toBe('Line full');
  act(() => view?.state.set({ ...view.state.get(), state: 'shown', why: null }));
  expect(camera?.querySelector('[data-part="why"]')).toBeNull();
  act(() => room.says('a'));
  expect(camera?.dataset.speaking).toBe('true');
  expect(screen?.dataset.speaking).toBeUndefined();
  act(() => room.put(switched({ ...anna, hand: 4, quality: 'lost' }, 'microphone', 'muted')));
  expect(marks()).toEqual(['Hand up', 'Muted', 'Lost']);
  expect(camera?.dataset.speaking).toBeUndefined();
  expect(camera?.querySelector('[data-mark="hand"]')?.textContent).toBe('hand');
});

it('plays everybody, and has one button where the browser wants a click', () => {
  const room = new FakeRoom();
  const sound = (volume: number): ReactNode => (
    <Sound volume={volume} output="speaker">
      {(start) => <button onClick={start}>Hear</button>}
    </Sound>
  );
  const stage = draw(room, sound(0.5));
  expect(room.sound.calls).toEqual(['start', 'volume 0.5', 'output speaker']);
  expect(stage.place.textContent).toBe('');
  act(() => room.sound.state.set('blocked'));
  act(() => stage.place.querySelector('button')?.click());
  expect(room.sound.calls.at(-1)).toBe('start');
  act(() => room.sound.state.set('playing'));
  expect(stage.place.textContent).toBe('');
  stage.again(sound(1));
  expect(room.sound.calls.slice(4)).toEqual(['volume 1']);
  stage.end();
  expect(room.sound.calls.at(-1)).toBe('stop');
});
