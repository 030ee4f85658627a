import {
  captureFailure,
  listDevices,
  onDevicesChanged,
  openCamera,
  openMicrophone,
  openScreen,
  type Source,
} from '@madang/sdk';
import { type Device, useStudio } from './studio';

/** Gets each change of what is to be sent. */
type Send = (source: Source, track: MediaStreamTrack | null) => void;

type Kind = 'camera' | 'microphone';

const KINDS: readonly Kind[] = ['camera', 'microphone'];

/** Camera, microphone and screen of the studio: opens, switches and stops them, and says what is to be sent. */
export class StudioDevices {
  private stopListening: (() => void) | null = null;
  private readonly tries = { camera: 0, microphone: 0 };
  /** The openings under way. A cold machine, or a person before a permission prompt, can take many seconds. */
  private readonly openings = new Map<Kind, Promise<void>>();

  constructor(private readonly send: Send) {}

  /** Opens what is wanted and not open yet, and waits for what is being opened already. */
  async open(): Promise<void> {
    void this.askGranted();
    this.stopListening ??= onDevicesChanged(() => void this.refresh());
    for (const kind of KINDS) {
      const { on, track, deviceId } = useStudio.getState()[kind];
      if (on && track === null && !this.openings.has(kind)) void this.openOne(kind, deviceId);
    }
    // Another device may be chosen meanwhile.
    while (this.openings.size > 0) await Promise.all(this.openings.values());
    await this.refresh();
  }

  /** Uses another device. */
  async choose(kind: Kind, deviceId: string): Promise<void> {
    this.patch(kind, { deviceId });
    if (kind === 'microphone' || useStudio.getState().camera.on) await this.openOne(kind, deviceId);
  }

  /** Tries again after a failure. */
  async retry(kind: Kind): Promise<void> {
    this.patch(kind, { on: true });
    await this.openOne(kind, useStudio.getState()[kind].deviceId);
    await this.refresh();
  }

  /** Mutes or unmutes. The track stays open, so that the meter moves and unmuting is instant. */
  setMicrophone(on: boolean): void {
    this.patch('microphone', { on });
    const { track } = useStudio.getState().microphone;
    this.send('microphone', on ? track : null);
    if (on && track === null) void this.retry('microphone');
  }

  /** Turns the camera off, its light included, or on again. */
  async setCamera(on: boolean): Promise<void> {
    this.patch('camera', { on });
    if (on) await this.openOne('camera', useStudio.getState().camera.deviceId);
    else this.release('camera');
  }

  /** Asks for a screen and sends it beside the camera. */
  async shareScreen(): Promise<void> {
    try {
      const { video, audio } = await openScreen();
      this.stopScreen();
      video.addEventListener('ended', () => {
        if (useStudio.getState().screen.track === video) this.stopScreen();
      });
      useStudio.setState({ screen: { track: video, audio, failure: null } });
      this.send('screen', video);
      this.send('screen_audio', audio);
    } catch (error) {
      const failure = captureFailure(error);
      useStudio.setState(({ screen }) => ({
        screen: { ...screen, failure: failure === 'cancelled' ? null : failure },
      }));
    }
  }

  /** Ends the screen share; the camera stays as it is. */
  stopScreen(): void {
    const { track, audio } = useStudio.getState().screen;
    track?.stop();
    audio?.stop();
    useStudio.setState({ screen: { track: null, audio: null, failure: null } });
    this.send('screen', null);
    this.send('screen_audio', null);
  }

  /** Stops everything. */
  close(): void {
    this.stopListening?.();
    this.stopListening = null;
    this.stopScreen();
    this.release('camera');
    this.release('microphone');
  }

  /** Whether the browser will ask the person first. */
  private async askGranted(): Promise<void> {
    const ask = async (name: string): Promise<boolean> => {
      const { state } = await navigator.permissions.query({ name: name as PermissionName });
      return state === 'granted';
    };
    try {
      const [camera, microphone] = await Promise.all([ask('camera'), ask('microphone')]);
      useStudio.setState({ granted: camera && microphone });
    } catch {
      // Not every browser tells.
      useStudio.setState({ granted: null });
    }
  }

  private openOne(kind: Kind, deviceId: string): Promise<void> {
    const opening = this.tryOpen(kind, deviceId).finally(() => {
      if (this.openings.get(kind) === opening) this.openings.delete(kind);
    });
    this.openings.set(kind, opening);
    return opening;
  }

  private async tryOpen(kind: Kind, deviceId: string): Promise<void> {
    const attempt = ++this.tries[kind];
    this.patch(kind, { opening: true, failure: null });
    const chosen = deviceId === '' ? undefined : deviceId;
    try {
      const track = await (kind === 'camera' ? openCamera(chosen) : openMicrophone(chosen));
      // Meanwhile another was chosen, or the camera was turned off.
      if (attempt !== this.tries[kind]) {
        track.stop();
        return;
      }
      useStudio.getState()[kind].track?.stop();
      track.addEventListener('ended', () => this.onEnded(kind, track));
      this.patch(kind, { track, opening: false, deviceId: track.getSettings().deviceId ?? deviceId });
      if (useStudio.getState()[kind].on) this.send(kind, track);
    } catch (error) {
      if (attempt === this.tries[kind]) this.patch(kind, { opening: false, failure: captureFailure(error) });
    }
  }

  /** Unplugged, or taken away by the system. */
  private onEnded(kind: Kind, track: MediaStreamTrack): void {
    if (useStudio.getState()[kind].track !== track) return;
    this.release(kind);
    this.patch(kind, { deviceId: '' });
    void this.openOne(kind, '').then(() => this.refresh());
  }

  private release(kind: Kind): void {
    this.tries[kind] += 1;
    this.openings.delete(kind);
    useStudio.getState()[kind].track?.stop();
    this.patch(kind, { track: null, opening: false, failure: null });
    this.send(kind, null);
  }

  private async refresh(): Promise<void> {
    useStudio.setState({ devices: await listDevices() });
  }

  private patch(kind: Kind, change: Partial<Device>): void {
    useStudio.setState((state) => ({ [kind]: { ...state[kind], ...change } }));
  }
}
