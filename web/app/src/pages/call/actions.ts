import type { Device, Outcome, ReactionKind, Room } from '@madang/sdk';
import { CaptureError } from '@madang/sdk';
import { commandWords } from '../../lib/call-words';
import { captureWords } from '../../lib/words';
import { t } from '../../texts';
import { sharedScreens } from './scene';
import { PushToTalk, type Talk } from './shortcuts';
import type { Ui } from './ui';

/** What the person does in a call, by the bar or by the keyboard; what was not possible is said. */
export class Actions {
  private readonly talk = new PushToTalk();

  constructor(
    private readonly room: Room,
    private readonly ui: Ui,
  ) {}

  readonly microphone = (): void => {
    this.talk.forget();
    this.toggle(this.room.me.mic, t.roomMicNotAllowed);
  };

  readonly camera = (): void => this.toggle(this.room.me.camera, t.roomCameraNotAllowed);

  readonly screen = (): void => {
    const { screen } = this.room.me;
    const { state, allowed } = screen.state.get();
    if (state === 'on' || state === 'starting') void screen.stop().catch(() => undefined);
    else if (!allowed) this.ui.say(t.roomScreenNotAllowed);
    else screen.share({ audio: true }).catch((error: unknown) => this.ui.say(screenWords(error)));
  };

  readonly hand = (): void => {
    void this.tell(this.room.me.hand(!this.isHandUp()));
  };

  readonly react = (reaction: ReactionKind): void => {
    void this.tell(this.room.me.react(reaction));
  };

  /** The next way to see the call. */
  readonly view = (): void => {
    const { view } = this.ui.store.getState();
    this.ui.view(view === 'grid' ? 'speaker' : 'grid', this.screens());
  };

  /** The keys of the screens that others share now. */
  screens(): string[] {
    const seats = [...this.room.people.get().values()].map(({ participant, sources }) => ({
      participant,
      shares: sources.some(({ source, state }) => source === 'screen' && state === 'on'),
    }));
    return sharedScreens(seats, this.room.state.get().participant);
  }

  /** The talk key is held. */
  pressTalk(): void {
    const { mic } = this.room.me;
    const { state, allowed } = mic.state.get();
    if (allowed) this.speak(this.talk.press(state === 'on' || state === 'starting'));
  }

  /** It is let go, or nobody can tell any more. */
  endTalk(): void {
    this.speak(this.talk.end());
  }

  private speak(talk: Talk | null): void {
    const { mic } = this.room.me;
    if (talk === 'on') void mic.on().catch(() => undefined);
    if (talk === 'off') void mic.off().catch(() => undefined);
  }

  private toggle(device: Device, notAllowed: string): void {
    const { state, allowed } = device.state.get();
    // Why a device gives nothing is in its state, and said from there.
    if (state === 'on' || state === 'starting') void device.off().catch(() => undefined);
    else if (!allowed) this.ui.say(notAllowed);
    else void device.on().catch(() => undefined);
  }

  private isHandUp(): boolean {
    const { participant } = this.room.state.get();
    return participant !== null && (this.room.people.get().get(participant)?.hand ?? 0) > 0;
  }

  private async tell(outcome: Promise<Outcome>): Promise<void> {
    const done = await outcome;
    if (!done.sent) this.ui.say(commandWords(done.reason));
  }
}

/** Who thinks better of it needs no word. */
function screenWords(error: unknown): string | null {
  if (!(error instanceof CaptureError)) return t.roomRefused;
  return error.failure === 'cancelled' || error.failure === 'denied'
    ? null
    : captureWords('screen', error.failure);
}
