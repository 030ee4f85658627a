import { captureFailure, type CaptureFailure } from '@madang/sdk';

/** Camera or microphone before the call. */
export interface LobbyDeviceState {
  /** What the person wants. */
  on: boolean;
  /** What there is: null while it is off, being opened, or cannot be had. */
  track: MediaStreamTrack | null;
  /** Why it cannot be had; it is tried again when it is switched on or another one is chosen. */
  failure: CaptureFailure | null;
  /** The chosen one; null is the default one. */
  deviceId: string | null;
}

/** Opens the device with this id, or the default one. */
export type OpenDevice = (deviceId: string | undefined) => Promise<MediaStreamTrack>;

/** One device of a lobby: whatever is asked of it in whatever order, the last wish comes true. */
export class LobbyDevice {
  private state: LobbyDeviceState;
  private isOpen = false;
  /** Counts wishes: what was opened for an older one is given back. */
  private turn = 0;

  constructor(
    private readonly open: OpenDevice,
    private readonly tell: (state: LobbyDeviceState) => void,
    kept: { on: boolean; deviceId: string | null },
  ) {
    this.state = { ...kept, track: null, failure: null };
  }

  get now(): LobbyDeviceState {
    return this.state;
  }

  /** The page is there: opens what is wanted. */
  begin(): Promise<void> {
    this.isOpen = true;
    return this.settle();
  }

  /** The page is gone: gives back what is open. */
  end(): void {
    this.isOpen = false;
    void this.settle();
  }

  set(wish: { on?: boolean; deviceId?: string | null }): Promise<void> {
    this.become({ ...wish, failure: null });
    return this.settle();
  }

  /** Gives the track away: whoever takes it stops it. */
  take(): MediaStreamTrack | null {
    const { track } = this.state;
    this.isOpen = false;
    this.turn += 1;
    this.become({ track: null });
    return track;
  }

  private async settle(): Promise<void> {
    const turn = ++this.turn;
    // Phones have one camera at a time: the old one goes first.
    this.state.track?.stop();
    this.become({ track: null });
    const { on, deviceId } = this.state;
    if (!this.isOpen || !on || this.state.failure !== null) return;
    try {
      const track = await this.open(deviceId ?? undefined);
      if (turn !== this.turn) {
        track.stop();
        return;
      }
      track.addEventListener('ended', () => {
        // Unplugged: on with the default one.
        if (this.state.track === track) void this.set({ deviceId: null });
      });
      this.become({ track });
    } catch (error) {
      if (turn !== this.turn) return;
      const failure = captureFailure(error);
      // The one that was chosen some day is not there.
      if (failure === 'missing' && deviceId !== null) await this.set({ deviceId: null });
      else this.become({ failure });
    }
  }

  private become(change: Partial<LobbyDeviceState>): void {
    const before = this.state;
    const after = { ...before, ...change };
    const keys = Object.keys(after) as (keyof LobbyDeviceState)[];
    if (keys.every((key) => before[key] === after[key])) return;
    this.state = after;
    this.tell(after);
  }
}
