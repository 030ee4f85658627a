import { Chat } from '@madang/sdk';
import type {
  DeviceState,
  Person,
  PictureOf,
  Room,
  RoomEvents,
  RoomState,
  ScreenState,
  Speaking,
  Store,
  View,
  ViewOptions,
  ViewState,
} from '@madang/sdk';

/** A room without a server, for tests and for looking at the page: everything that it knows is written to it. */

export class FakeStore<T> implements Store<T> {
  private readonly listeners = new Set<() => void>();
  constructor(private value: T) {}

  readonly get = (): T => this.value;

  set(change: T | ((before: T) => T)): void {
    this.value = change instanceof Function ? change(this.value) : change;
    for (const listener of [...this.listeners]) listener();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

const DEVICE: DeviceState = { state: 'on', allowed: true, track: null, deviceId: null, failure: null };
const SCREEN: ScreenState = { state: 'off', allowed: true, track: null, audio: 'off', failure: null };

/** A device that does what it is told at once. */
class FakeDevice {
  readonly state = new FakeStore<DeviceState>(DEVICE);
  readonly level = new FakeStore(0);
  on = (): Promise<void> => this.turn('on');
  off = (): Promise<void> => this.turn('off');
  device = (): Promise<void> => Promise.resolve();
  effect = (): Promise<void> => Promise.resolve();

  private turn(state: DeviceState['state']): Promise<void> {
    this.state.set((before) => ({ ...before, state }));
    return Promise.resolve();
  }
}

export class FakeRoom {
  readonly group = 'grp_fake';
  readonly state: FakeStore<RoomState>;
  readonly people: FakeStore<ReadonlyMap<string, Person>>;
  readonly speaking = new FakeStore<Speaking>({ now: new Set(), mainly: null });
  readonly commands: string[] = [];
  readonly views = new Map<HTMLVideoElement, PictureOf>();
  readonly me = {
    mic: new FakeDevice(),
    camera: new FakeDevice(),
    screen: {
      state: new FakeStore<ScreenState>(SCREEN),
      share: (): Promise<void> => this.share('on'),
      stop: (): Promise<void> => this.share('off'),
    },
    rename: (): Promise<{ sent: true; seq: null }> => this.told('rename'),
    hand: (up: boolean): Promise<{ sent: true; seq: null }> => {
      this.change('par_0', (person) => ({ ...person, hand: up ? 99 : 0 }));
      return this.told(`hand ${String(up)}`);
    },
    react: (reaction: string): Promise<{ sent: true; seq: null }> => this.told(`react ${reaction}`),
  };
  readonly sound = {
    state: new FakeStore<'off' | 'playing' | 'blocked'>('playing'),
    start: (): Promise<void> => {
      this.sound.state.set('playing');
      return Promise.resolve();
    },
    stop: (): void => undefined,
    volume: (): void => undefined,
    output: (): Promise<void> => Promise.resolve(),
  };
  /** Nobody answers: what is written waits. */
  readonly chat = new Chat({
    room: 'grp_fake',
    signaling: {
      state: 'connecting',
      on: () => () => undefined,
      onChat: () => () => undefined,
      sendChat: () => new Promise<never>(() => undefined),
      orderChat: () => new Promise<never>(() => undefined),
    },
  });
  private readonly listeners = new Map<keyof RoomEvents, Set<(value: never) => void>>();

  /** `paint` gives the pictures; without it nobody has one. */
  constructor(
    people: readonly Person[],
    private readonly paint?: (
      picture: PictureOf,
    ) => { stream: MediaStream; width: number; height: number } | null,
  ) {
    this.state = new FakeStore<RoomState>({
      call: 'connected',
      failure: null,
      signaling: 'connected',
      locked: false,
      participant: people[0]?.participant ?? null,
    });
    this.people = new FakeStore<ReadonlyMap<string, Person>>(
      new Map(people.map((person) => [person.participant, person])),
    );
  }

  get room(): Room {
    return this as unknown as Room;
  }

  /** Changes what is known of somebody. */
  change(participant: string, change: (person: Person) => Person): void {
    this.people.set((people) => {
      const person = people.get(participant);
      return person === undefined ? people : new Map(people).set(participant, change(person));
    });
  }

  emit<Name extends keyof RoomEvents>(name: Name, value: RoomEvents[Name]): void {
    for (const listener of this.listeners.get(name) ?? [])
      (listener as (value: RoomEvents[Name]) => void)(value);
  }

  on<Name extends keyof RoomEvents>(name: Name, listener: (value: RoomEvents[Name]) => void): () => void {
    const listeners = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  view(picture: PictureOf, { el }: ViewOptions): View {
    const mainly = this.speaking.get().mainly;
    const of =
      picture === 'speaker'
        ? mainly === null
          ? null
          : { participant: mainly, source: 'camera' as const }
        : picture;
    const painted = of === null ? null : (this.paint?.(of) ?? null);
    this.views.set(el, picture);
    if (painted !== null) {
      el.srcObject = painted.stream;
      void el.play().catch(() => undefined);
    }
    const state = new FakeStore<ViewState>({
      state: painted === null ? 'off' : 'shown',
      participant: of === null ? null : of.participant,
      why: null,
      width: painted?.width ?? 0,
      height: painted?.height ?? 0,
    });
    return { state, change: () => undefined, close: () => this.views.delete(el) };
  }

  stats(): Promise<unknown> {
    const pictures = [{ participant: 'par_1', source: 'camera', width: 640, height: 360, fps: 29.8 }];
    return Promise.resolve({
      sendKbps: 1_240,
      receiveKbps: 3_410,
      roundTripMs: 31,
      lostPercent: 0.2,
      pictures,
    });
  }

  leave(): Promise<void> {
    return this.told('leave').then(() => undefined);
  }

  private told(command: string): Promise<{ sent: true; seq: null }> {
    this.commands.push(command);
    return Promise.resolve({ sent: true, seq: null });
  }

  private share(state: ScreenState['state']): Promise<void> {
    this.me.screen.state.set((before) => ({ ...before, state, audio: state === 'on' ? 'without' : 'off' }));
    return Promise.resolve();
  }
}

/** Somebody with a camera and a microphone. */
export function fakePerson(n: number, change: Partial<Person> = {}): Person {
  return {
    participant: `par_${n}`,
    name: `Person ${n}`,
    order: n,
    quality: 'good',
    rights: ['camera', 'microphone', 'screen', 'chat'],
    sources: [
      { csrc: n * 4 + 1, source: 'camera', state: 'on' },
      { csrc: n * 4 + 2, source: 'microphone', state: 'on' },
    ],
    ...change,
  };
}
