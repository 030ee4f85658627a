import { createContext, type Provider, use, useEffect, useEffectEvent } from 'react';
import type { Person, Room, RoomEvents, RoomState } from '@madang/sdk';
import { useStoreValue } from './store.js';

const RoomContext = createContext<Room | null>(null);

/** Says in which room everything inside is. */
export const RoomProvider: Provider<Room | null> = RoomContext.Provider;

/** The room that this part of the page is in. */
export function useRoom(): Room {
  const room = use(RoomContext);
  if (room === null) throw new Error('no RoomProvider around this part of the page');
  return room;
}

/** How the room stands, or what `select` makes of it. */
export function useRoomState(): RoomState;
export function useRoomState<Selected>(select: (state: RoomState) => Selected): Selected;
export function useRoomState(select: (state: RoomState) => unknown = itself): unknown {
  return useStoreValue(useRoom().state, select);
}

/** What `select` makes of everybody in the room; draws again only when that changes (compared one level deep). */
export function usePeople<Selected>(select: (people: ReadonlyMap<string, Person>) => Selected): Selected {
  return useStoreValue(useRoom().people, select);
}

/** What `select` makes of one person, who may be gone. */
export function usePerson<Selected>(
  participant: string,
  select: (person: Person | null) => Selected,
): Selected {
  return usePeople((people) => select(people.get(participant) ?? null));
}

/** Whoever speaks mainly; null before anybody has, and when that person is gone. */
export function useSpeaker(): string | null {
  const room = useRoom();
  const mainly = useStoreValue(room.speaking, ({ mainly }) => mainly);
  const isThere = usePeople((people) => mainly !== null && people.has(mainly));
  return isThere ? mainly : null;
}

/** Whether somebody is heard now. Nobody is whose microphone is off, whatever was said of it last. */
export function useSpeaks(participant: string): boolean {
  const speaks = useStoreValue(useRoom().speaking, ({ now }) => now.has(participant));
  const isOn = usePerson(participant, (person) => stateOf(person, 'microphone') === 'on');
  return speaks && isOn;
}

/** Calls the `listener` of the latest drawing on each `name`. */
export function useRoomEvent<Name extends keyof RoomEvents>(
  name: Name,
  listener: (value: RoomEvents[Name]) => void,
): void {
  const room = useRoom();
  const heard = useEffectEvent(listener);
  useEffect(() => room.on(name, (value) => heard(value)), [room, name]);
}

/** What a source of somebody does; `off` where there is none. */
export function stateOf(
  person: Person | null,
  source: Person['sources'][number]['source'],
): Person['sources'][number]['state'] {
  return person?.sources.find((own) => own.source === source)?.state ?? 'off';
}

function itself(value: RoomState): RoomState {
  return value;
}
