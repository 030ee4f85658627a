import { LevelMeter } from '../level-meter.js';
import { Value } from './store.js';
import type { Store } from './types.js';

/** A meter is read this often, in milliseconds. */
const READ_MS = 100;

/** How loud a track is, for as long as anybody looks. */
export class Level implements Store<number> {
  private readonly value = new Value(0);
  private readonly lookers = new Set<() => void>();
  private timer: ReturnType<typeof setInterval> | undefined;
  private meter: LevelMeter | null = null;
  private of: MediaStreamTrack | null = null;

  constructor(private readonly track: () => MediaStreamTrack | null) {}

  readonly get = (): number => this.value.get();

  readonly subscribe = (listener: () => void): (() => void) => {
    const stop = this.value.subscribe(listener);
    this.lookers.add(stop);
    this.timer ??= setInterval(() => this.read(), READ_MS);
    return () => {
      stop();
      this.lookers.delete(stop);
      if (this.lookers.size === 0) this.close();
    };
  };

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.lookers.clear();
    this.use(null);
    this.value.set(0);
  }

  private read(): void {
    const track = this.track();
    if (track !== this.of) this.use(track);
    // In steps that are seen: each other value draws the meter again.
    this.value.set(Math.round((this.meter?.level() ?? 0) * 50) / 50);
  }

  private use(track: MediaStreamTrack | null): void {
    this.meter?.close();
    this.meter = null;
    this.of = track;
    try {
      if (track !== null) this.meter = new LevelMeter(track);
    } catch {
      // No sound hardware: nothing to show.
    }
  }
}
