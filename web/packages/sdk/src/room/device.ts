import { type CaptureFailure, captureFailure } from '../capture.js';
import { Value } from './store.js';
import type { Device, DeviceState, Effect } from './types.js';

/** A device that comes back by itself after a phone call does so within this time. */
const WAKE_MS = 1_000;

/** What a {@link LocalDevice} needs. */
export interface DeviceOptions {
  open(deviceId: string | null): Promise<MediaStreamTrack>;
  /** Sends this track from now on; null sends nothing. */
  send(track: MediaStreamTrack | null): Promise<void>;
  /** What is sent has begun or ended. */
  sends(on: boolean): void;
  /** Stays open while it is off, once it was on: a microphone is listened to for "you are muted". */
  staysOpen: boolean;
}

interface Applied {
  effect: Effect;
  of: MediaStreamTrack;
  track: MediaStreamTrack;
  stop(): void;
}

/** What is wanted of a device. */
export interface Wish {
  on: boolean;
  /** Whether it is open at all. */
  open: boolean;
  deviceId: string | null;
  effect: Effect | null;
}

/** What there is of it. */
export interface Have {
  raw: MediaStreamTrack | null;
  /** As which it was opened. */
  openedAs: string | null;
  applied: Applied | null;
  sent: MediaStreamTrack | null;
}

/** The next thing to do until what there is is what is wanted. */
export type Step = 'silence' | 'close' | 'open' | 'apply' | 'unapply' | 'send';

/** What to do next; null when all is as it is wanted. Pure. */
export function nextStep(wish: Wish, { raw, openedAs, applied, sent }: Have): Step | null {
  if (!wish.on && sent !== null) return 'silence';
  // A device that is used as another one, or was unplugged, is given back before the next one is opened: phones have
  // one camera at a time.
  const isRight = raw?.readyState === 'live' && openedAs === wish.deviceId;
  if (raw !== null && !(wish.open && isRight)) return 'close';
  if (!wish.open) return null;
  if (raw === null) return 'open';
  const applies = wish.on ? wish.effect : null;
  if (applied !== null && (applied.effect !== applies || applied.of !== raw)) return 'unapply';
  if (applies !== null && applied === null) return 'apply';
  return wish.on && sent !== (applied?.track ?? raw) ? 'send' : null;
}

/** A microphone or a camera of this page: whatever is asked of it in whatever order, the last wish comes true. */
export class LocalDevice implements Device {
  readonly state = new Value<DeviceState>({
    state: 'off',
    allowed: true,
    track: null,
    deviceId: null,
    failure: null,
  });
  private readonly wish: Wish = { on: false, open: false, deviceId: null, effect: null };
  private readonly have: Have = { raw: null, openedAs: null, applied: null, sent: null };
  private running: Promise<void> = Promise.resolve();
  private busy = false;
  private failure: CaptureFailure | null = null;
  private effectError: unknown = null;
  /** Calls of {@link effect} that wait for their end. */
  private asking = 0;
  private allowed = true;
  private muted = false;
  private closed = false;

  constructor(private readonly options: DeviceOptions) {}

  /** Never rejects: the state tells. */
  async on(): Promise<void> {
    if (!this.allowed || this.closed) return;
    this.wish.on = true;
    this.wish.open = true;
    this.failure = null;
    await this.settle();
  }

  async off(): Promise<void> {
    this.wish.on = false;
    if (!this.options.staysOpen) this.wish.open = false;
    await this.settle();
  }

  async device(id: string | null): Promise<void> {
    this.wish.deviceId = id;
    await this.settle();
  }

  /**
   * Rejects with what the effect failed with: a camera that is seen as it is goes on so. One that is not seen yet goes off
   * instead, now and whenever it is switched on: who wants no one to see the room behind it is not shown with it.
   */
  async effect(effect: Effect | null): Promise<void> {
    this.wish.effect = effect;
    this.effectError = null;
    this.asking += 1;
    try {
      await this.settle();
    } finally {
      this.asking -= 1;
    }
    if (this.effectError !== null) throw asError(this.effectError);
  }

  /** Takes a track that is open already, and owns it from now on. */
  async take(track: MediaStreamTrack): Promise<void> {
    const { deviceId = '' } = track.getSettings();
    this.own(track, deviceId === '' ? null : deviceId);
    this.wish.deviceId = this.have.openedAs;
    await this.on();
    // Where it may not be used it is given back.
    await this.settle();
  }

  /** What the room says: whether it may be used, and whether it was muted there. */
  rule(allowed: boolean, muted: boolean): void {
    this.allowed = allowed;
    this.muted = muted;
    this.tell();
  }

  /** The devices that there are: one that was chosen and is gone gives way to the default one. */
  offer(ids: ReadonlySet<string>): void {
    const { deviceId } = this.wish;
    if (deviceId !== null && this.have.raw !== null && ids.size > 0 && !ids.has(deviceId))
      void this.device(null);
  }

  /** The page is looked at again: a device that gives nothing any more a moment later is opened anew. */
  wake(): void {
    const { raw } = this.have;
    if (raw === null || !(raw.muted || raw.readyState === 'ended')) return;
    setTimeout(() => {
      if (this.have.raw !== raw || !(raw.muted || raw.readyState === 'ended')) return;
      this.closeRaw();
      void this.settle();
    }, WAKE_MS);
  }

  /** The track of the device itself, for the meter. */
  get raw(): MediaStreamTrack | null {
    return this.have.raw;
  }

  close(): void {
    this.closed = true;
    Object.assign(this.wish, { on: false, open: false, effect: null });
    void this.settle();
  }

  private settle(): Promise<void> {
    this.tell();
    if (!this.busy) this.running = this.run();
    return this.running;
  }

  private async run(): Promise<void> {
    this.busy = true;
    for (;;) {
      const step = nextStep(this.wish, this.have);
      if (step === null) break;
      await this.make(step);
      this.tell();
    }
    // At once: whoever wishes something else from now on begins anew.
    this.busy = false;
  }

  private async make(step: Step): Promise<void> {
    switch (step) {
      case 'silence':
        this.have.sent = null;
        this.options.sends(false);
        return this.options.send(null).catch(() => undefined);
      case 'close': {
        this.closeRaw();
        return;
      }
      case 'open':
        return this.open(this.wish.deviceId);
      case 'unapply': {
        this.unapply();
        return;
      }
      case 'apply':
        return this.apply();
      case 'send': {
        const track = this.have.applied?.track ?? this.have.raw;
        this.have.sent = track;
        // A connection that closes meanwhile refuses; the next one begins with this track.
        await this.options.send(track).catch(() => undefined);
        if (this.have.sent !== null) this.options.sends(true);
      }
    }
  }

  private async open(deviceId: string | null): Promise<void> {
    try {
      this.own(await this.options.open(deviceId), deviceId);
    } catch (error) {
      const failure = captureFailure(error);
      // Asked for another one meanwhile: that one counts.
      if (deviceId !== this.wish.deviceId) return;
      if (deviceId !== null && failure === 'missing') {
        this.wish.deviceId = null;
        return;
      }
      this.failure = failure;
      this.wish.on = false;
      this.wish.open = false;
    }
  }

  private own(raw: MediaStreamTrack, openedAs: string | null): void {
    this.closeRaw();
    this.have.raw = raw;
    this.have.openedAs = openedAs;
    raw.addEventListener('ended', () => {
      if (this.have.raw !== raw) return;
      // Unplugged: on with the default one.
      this.wish.deviceId = null;
      void this.settle();
    });
  }

  private closeRaw(): void {
    this.unapply();
    this.have.raw?.stop();
    this.have.raw = null;
  }

  private async apply(): Promise<void> {
    const { raw } = this.have;
    const { effect } = this.wish;
    if (raw === null || effect === null) return;
    try {
      const made = await effect.apply(raw);
      this.have.applied = { effect, of: raw, track: made.track, stop: () => made.stop() };
    } catch (error) {
      if (this.wish.effect !== effect) return;
      this.effectError = error;
      // Whoever asked is told; else it is wished still when the camera is switched on again.
      if (this.asking > 0) this.wish.effect = null;
      if (this.have.sent === raw) return;
      this.failure = 'unknown';
      this.wish.on = false;
      this.wish.open = false;
    }
  }

  private unapply(): void {
    const { applied } = this.have;
    this.have.applied = null;
    applied?.stop();
  }

  private tell(): void {
    const { on, deviceId } = this.wish;
    const { raw, sent } = this.have;
    const isOn = on && sent !== null && raw !== null && !this.muted;
    this.state.change({
      state: isOn ? 'on' : on ? 'starting' : this.muted ? 'blocked' : 'off',
      allowed: this.allowed,
      track: on ? sent : null,
      deviceId,
      failure: this.failure,
    });
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
