import { captureFailure, type CaptureFailure, openScreen } from '../capture.js';
import { Motion } from './motion.js';
import { Value } from './store.js';
import type { Screen, ScreenState } from './types.js';

/** What a {@link LocalScreen} needs. */
export interface ScreenOptions {
  /** Sends this track from now on; null sends nothing. */
  send(source: 'screen' | 'screen_audio', track: MediaStreamTrack | null): Promise<void>;
  sends(source: 'screen' | 'screen_audio', on: boolean): void;
  /** Frames a second that are captured of it; null where nobody counts them. */
  fps(): Promise<number | null>;
}

/** A look at what moves on the screen is taken this often, in milliseconds. */
const LOOK_MS = 1_000;

/** The screen of this page, with its sound: of its own, whatever camera and microphone do. */
export class LocalScreen implements Screen {
  readonly state = new Value<ScreenState>({
    state: 'off',
    allowed: true,
    track: null,
    audio: 'off',
    failure: null,
  });
  private video: MediaStreamTrack | null = null;
  private audio: MediaStreamTrack | null = null;
  /** Each share has a number: what a picker gives to an earlier one is given back. */
  private shares = 0;
  private muted = false;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: ScreenOptions) {}

  /** Never rejects: the state tells. Sharing again shows another screen in place of this one. */
  async share({ audio = false }: { audio?: boolean } = {}): Promise<void> {
    if (!this.state.get().allowed) return;
    this.shares += 1;
    const share = this.shares;
    if (this.video === null) this.state.change({ state: 'starting', failure: null });
    try {
      const opened = await openScreen(audio ? 'others' : 'none');
      if (share !== this.shares) {
        opened.video.stop();
        opened.audio?.stop();
        return;
      }
      await this.begin(opened, audio);
    } catch (error) {
      if (share === this.shares) this.fail(captureFailure(error));
    }
  }

  async stop(): Promise<void> {
    this.shares += 1;
    await this.end();
  }

  /** What the room says: whether it may be shared, and whether it was muted there. */
  rule(allowed: boolean, muted: boolean): void {
    this.muted = muted;
    this.state.change({ allowed });
    this.tell();
  }

  close(): void {
    void this.stop();
  }

  private async begin(
    { video, audio }: { video: MediaStreamTrack; audio: MediaStreamTrack | null },
    wantsAudio: boolean,
  ): Promise<void> {
    this.release();
    this.video = video;
    this.audio = audio;
    this.watch(video);
    // The browser's own bar ends it, or the window that was shared has closed.
    video.addEventListener('ended', () => {
      if (this.video === video) void this.stop();
    });
    audio?.addEventListener('ended', () => {
      if (this.audio === audio) void this.endAudio('without');
    });
    await Promise.all([this.options.send('screen', video), this.options.send('screen_audio', audio)]).catch(
      () => undefined,
    );
    if (this.video !== video) return;
    this.options.sends('screen', true);
    this.options.sends('screen_audio', audio !== null);
    this.state.change({ audio: audio !== null ? 'on' : wantsAudio ? 'without' : 'off' });
    this.tell();
  }

  private async end(): Promise<void> {
    this.release();
    this.options.sends('screen', false);
    this.state.change({ failure: null });
    this.tell();
    await Promise.all([this.options.send('screen', null), this.endAudio('off')]).catch(() => undefined);
  }

  private async endAudio(audio: 'off' | 'without'): Promise<void> {
    this.audio?.stop();
    this.audio = null;
    this.state.change({ audio });
    this.options.sends('screen_audio', false);
    await this.options.send('screen_audio', null).catch(() => undefined);
  }

  /** A film is encoded as one; text stays sharp. Either keeps its size and loses frames where the line is short. */
  private watch(video: MediaStreamTrack): void {
    const motion = new Motion();
    this.timer = setInterval(() => {
      void this.options.fps().then((fps) => {
        if (this.video !== video || fps === null) return;
        const content = motion.look(fps);
        if (video.contentHint !== content) video.contentHint = content;
      });
    }, LOOK_MS);
  }

  /** Whoever closes the picker has changed its mind; what is shared goes on. */
  private fail(failure: CaptureFailure): void {
    this.state.change({ failure });
    this.tell();
  }

  private release(): void {
    clearInterval(this.timer);
    const { video, audio } = this;
    this.video = null;
    this.audio = null;
    video?.stop();
    audio?.stop();
  }

  private tell(): void {
    const isShared = this.video !== null;
    this.state.change({
      state: isShared ? (this.muted ? 'starting' : 'on') : this.muted ? 'blocked' : 'off',
      track: this.video,
    });
  }
}
