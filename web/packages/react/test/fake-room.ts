import type {
  Person,
  Room,
  RoomEvents,
  RoomState,
  SourceState,
  Speaking,
  Store,
  View,
  ViewOptions,
  ViewState,
} from '@madang/sdk';

/** A store that tests write to. */
export class FakeStore<T> implements Store<T> {
  readonly listeners = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    this.value = value;
    for (const listener of [...this.listeners]) listener();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** A view that was asked for. */
export interface FakeView extends View {
  readonly state: FakeStore<ViewState>;
  readonly picture: Parameters<Room['view']>[0];
  options: Partial<ViewOptions>;
  isOpen: boolean;
}

export const OFF: ViewState = { state: 'off', participant: null, why: null, width: 0, height: 0 };

/** A room without a server: what its page knows is written by the test. What a test does not need is not there. */
export class FakeRoom {
  readonly state = new FakeStore<RoomState>({
    call: 'connected',
    failure: null,
    signaling: 'connected',
    locked: false,
    participant: 'me',
  });
  readonly people = new FakeStore<ReadonlyMap<string, Person>>(new Map());
  readonly speaking = new FakeStore<Speaking>({ now: new Set(), mainly: null });
  readonly views: FakeView[] = [];
  readonly sound = {
    state: new FakeStore<'off' | 'playing' | 'blocked'>('off'),
    calls: [] as string[],
    start: (): Promise<void> => this.hear('start'),
    stop: (): void => void this.hear('stop'),
    volume: (volume: number): void => void this.hear(`volume ${volume}`),
    output: (id: string): Promise<void> => this.hear(`output ${id}`),
  };

  /** As the parts take it. */
  get room(): Room {
    return this as unknown as Room;
  }

  get openViews(): FakeView[] {
    return this.views.filter(({ isOpen }) => isOpen);
  }

  view(picture: FakeView['picture'], options: ViewOptions): View {
    const view: FakeView = {
      state: new FakeStore(OFF),
      picture,
      options: { ...options },
      isOpen: true,
      change: (change) => Object.assign(view.options, change),
      close: () => (view.isOpen = false),
    };
    this.views.push(view);
    return view;
  }

  private readonly listeners = new Map<string, Set<(value: never) => void>>();

  on(name: string, listener: (value: never) => void): () => void {
    const set = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, set);
    set.add(listener);
    return () => set.delete(listener);
  }

  tell<Name extends keyof RoomEvents>(name: Name, value: RoomEvents[Name]): void {
    for (const listener of this.listeners.get(name) ?? [])
      (listener as (value: RoomEvents[Name]) => void)(value);
  }

  /** How many listeners to events there are. */
  listening(): number {
    return [...this.listeners.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Comes, or changes. */
  put(...people: Person[]): void {
    this.people.set(new Map([...this.people.get(), ...people.map((one) => [one.participant, one] as const)]));
  }

  gone(participant: string): void {
    const people = new Map(this.people.get());
    people.delete(participant);
    this.people.set(people);
  }

  says(mainly: string | null, now: readonly string[] = mainly === null ? [] : [mainly]): void {
    this.speaking.set({ mainly, now: new Set(now) });
  }

  private hear(call: string): Promise<void> {
    this.sound.calls.push(call);
    return Promise.resolve();
  }
}

/** Somebody with camera and microphone. */
export function person(participant: string, order: number, change: Partial<Person> = {}): Person {
  const source = (name: Person['sources'][number]['source'], csrc: number, state: SourceState = 'on') => ({
    source: name,
    csrc,
    state,
  });
  return {
    participant,
    name: participant,
    order,
    quality: 'good',
    rights: ['camera', 'microphone', 'screen', 'chat'],
    sources: [
      source('camera', order * 4),
      source('microphone', order * 4 + 1),
      source('screen', order * 4 + 2, 'off'),
    ],
    ...change,
  };
}

/** Their person with a source in another state. */
export function switched(
  one: Person,
  source: Person['sources'][number]['source'],
  state: SourceState,
): Person {
  return { ...one, sources: one.sources.map((own) => (own.source === source ? { ...own, state } : own)) };
}
