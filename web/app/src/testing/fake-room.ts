import type {
  DeviceState,
  Outcome,
  Person,
  Room,
  RoomState,
  ScreenState,
  Speaking,
  Store,
} from '@madang/sdk';
import { vi } from 'vitest';
import { fakeChat } from './fake-chat';

/** A store whose value a test sets. */
export class Held<T> implements Store<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private value: T) {}

  get = (): T => this.value;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  set(value: T): void {
    this.value = value;
    this.listeners.forEach((listener) => listener());
  }
}

const DONE: Outcome = { sent: true, seq: null };
const DEVICE: DeviceState = { state: 'off', allowed: true, track: null, deviceId: null, failure: null };
const SCREEN: ScreenState = { state: 'off', allowed: true, track: null, audio: 'off', failure: null };

/** A room for tests: its stores are set, its commands are watched. */
export function fakeRoom(me = 'par_me') {
  const command = () => vi.fn<(...given: unknown[]) => Promise<Outcome>>(() => Promise.resolve(DONE));
  const nothing = () => vi.fn<(...given: unknown[]) => Promise<void>>(() => Promise.resolve());
  const state = new Held<RoomState>({
    call: 'connected',
    failure: null,
    signaling: 'connected',
    locked: false,
    participant: me,
  });
  const people = new Held<ReadonlyMap<string, Person>>(new Map());
  const speaking = new Held<Speaking>({ now: new Set(), mainly: null });
  const mic = {
    state: new Held(DEVICE),
    level: new Held(0),
    on: nothing(),
    off: nothing(),
    device: nothing(),
  };
  const camera = {
    state: new Held(DEVICE),
    on: nothing(),
    off: nothing(),
    device: nothing(),
    effect: nothing(),
  };
  const screen = { state: new Held(SCREEN), share: nothing(), stop: nothing() };
  const sound = {
    state: new Held<'off' | 'playing' | 'blocked'>('playing'),
    start: nothing(),
    stop: vi.fn(),
    volume: vi.fn<(volume: number) => void>(),
    output: nothing(),
  };
  const { chat, signaling } = fakeChat();
  const moderate = {
    mute: command(),
    lowerHand: command(),
    remove: command(),
    lock: command(),
    grant: command(),
    revoke: command(),
  };
  const own = { mic, camera, screen, rename: command(), hand: command(), react: command() };
  const on = vi.fn(() => () => undefined);
  const rest = { view: vi.fn(), on, stats: vi.fn(), leave: nothing() };
  const parts = { state, people, speaking, me: own, sound, chat, moderate, ...rest, group: 'grp_a' };
  return { ...parts, signaling, room: parts as unknown as Room };
}

/** Somebody in a room. */
export function somebody(participant: string, change: Partial<Person> = {}): Person {
  return { participant, name: participant, order: 1, quality: 'good', rights: [], sources: [], ...change };
}

/** As the store of a room has them. */
export function everybody(...people: Person[]): ReadonlyMap<string, Person> {
  return new Map(people.map((person) => [person.participant, person]));
}
