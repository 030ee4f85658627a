import type { CallSlot } from '../call.js';
import { Value } from './store.js';
import type { RoomSound } from './types.js';

/** Not yet in the DOM typings of every browser. */
interface ChoosesOutput {
  setSinkId?(deviceId: string): Promise<void>;
}

const GESTURES = ['pointerdown', 'keydown'] as const;

/**
 * Everybody's sound. The elements are made once and play whatever their slots carry: Safari keeps each new one silent in
 * a tab that is behind.
 */
export class SlotSound implements RoomSound {
  readonly state = new Value<'off' | 'playing' | 'blocked'>('off');
  private readonly elements: HTMLAudioElement[] = [];
  private readonly tracks: (MediaStreamTrack | null)[] = [];
  private wanted = false;
  private level = 1;
  private sink = '';

  /** What the slots are; only those of sounds count. */
  take(slots: readonly CallSlot[]): void {
    const sounds = slots.filter(({ kind }) => kind === 'voice' || kind === 'screen_audio');
    sounds.forEach(({ track }, index) => {
      const element = (this.elements[index] ??= this.make());
      if (this.tracks[index] === track) return;
      this.tracks[index] = track;
      element.srcObject = new MediaStream([track]);
      if (this.wanted) void this.play(element);
    });
  }

  async start(): Promise<void> {
    this.wanted = true;
    this.become('playing');
    await Promise.all(this.elements.map((element) => this.play(element)));
  }

  stop(): void {
    this.wanted = false;
    this.become('off');
    for (const element of this.elements) element.pause();
  }

  volume(volume: number): void {
    this.level = Math.min(Math.max(volume, 0), 1);
    for (const element of this.elements) element.volume = this.level;
  }

  async output(deviceId: string): Promise<void> {
    this.sink = deviceId;
    await Promise.all(this.elements.map((element) => this.send(element)));
  }

  /** What the browser has stopped while the page was away plays on. */
  wake(): void {
    if (this.wanted) void this.start();
  }

  close(): void {
    this.stop();
    for (const element of this.elements) element.srcObject = null;
    this.tracks.fill(null);
  }

  private make(): HTMLAudioElement {
    const element = new Audio();
    element.autoplay = false;
    element.volume = this.level;
    if (this.sink !== '') void this.send(element).catch(() => undefined);
    return element;
  }

  private async send(element: HTMLAudioElement): Promise<void> {
    await (element as ChoosesOutput).setSinkId?.(this.sink);
  }

  private async play(element: HTMLAudioElement): Promise<void> {
    try {
      await element.play();
    } catch (error) {
      // Anything else says that another track came, or that it was stopped, meanwhile.
      if (this.wanted && error instanceof Error && error.name === 'NotAllowedError') this.become('blocked');
    }
  }

  private become(state: 'off' | 'playing' | 'blocked'): void {
    const was = this.state.get();
    if (state === 'blocked' && was !== 'blocked')
      for (const gesture of GESTURES) addEventListener(gesture, this.onGesture);
    if (state !== 'blocked' && was === 'blocked')
      for (const gesture of GESTURES) removeEventListener(gesture, this.onGesture);
    this.state.set(state);
  }

  /** Any touch of the page will do. */
  private readonly onGesture = (): void => void this.start();
}
