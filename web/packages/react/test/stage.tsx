import { act, type ReactNode, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, vi } from 'vitest';
import { RoomProvider, type TileWords } from '../src/index.js';
import type { FakeRoom } from './fake-room.js';

vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

/** Draws something in a room; the returned element goes with the test. `strict` runs effects twice. */
export function draw(room: FakeRoom, what: ReactNode, { strict = false } = {}): Stage {
  const place = document.body.appendChild(document.createElement('div'));
  const root = createRoot(place);
  const inRoom = (inside: ReactNode): ReactNode => <RoomProvider value={room.room}>{inside}</RoomProvider>;
  const again = (inside: ReactNode): void =>
    act(() => root.render(strict ? <StrictMode>{inRoom(inside)}</StrictMode> : inRoom(inside)));
  const end = (): void => {
    act(() => root.unmount());
    place.remove();
  };
  again(what);
  ends.push(end);
  return { place, again, end };
}

export interface Stage {
  place: HTMLElement;
  again: (what: ReactNode) => void;
  end: () => void;
}

export const WORDS: TileWords = {
  guest: 'Guest',
  you: (name) => `${name} (you)`,
  screen: (name) => `Screen of ${name}`,
  microphone: { off: 'Microphone off', muted: 'Muted' },
  hand: 'Hand up',
  quality: { good: 'Good', fair: 'Fair', poor: 'Poor', lost: 'Lost' },
  missing: { absent: 'Absent', slots: 'Others first', kind: 'Kind', codec: 'Codec', line: 'Line full' },
};
