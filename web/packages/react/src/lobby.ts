import { createStore, type StoreApi } from 'zustand/vanilla';
import {
  type JoinOptions,
  listDevices,
  onDevicesChanged,
  openCamera,
  openMicrophone,
  type Room,
  type Store,
} from '@madang/sdk';
import { type KeptChoice, LOBBY_KEY, readChoice, writeChoice } from './kept-choice.js';
import { LobbyDevice, type LobbyDeviceState, type OpenDevice } from './lobby-device.js';

/** What a page before a call knows. */
export interface LobbyState {
  name: string;
  microphone: LobbyDeviceState;
  camera: LobbyDeviceState;
  /** The chosen loudspeaker; null is the default one. */
  speakerId: string | null;
  /** What can be chosen. Empty where the browser does not say, as before anything was allowed. */
  devices: Readonly<Record<'microphone' | 'camera' | 'speaker', readonly MediaDeviceInfo[]>>;
}

/** With what somebody comes into a call. Whoever takes it owns the tracks. */
export interface LobbyChoice {
  name: string;
  /** Open and to be on; null where it is to be off or cannot be had. */
  microphone: MediaStreamTrack | null;
  camera: MediaStreamTrack | null;
  /** The devices that were chosen, for those that are off; null is the default one. */
  microphoneId: string | null;
  cameraId: string | null;
  /** The loudspeaker; null is the default one. */
  speakerId: string | null;
}

export interface LobbyOptions {
  /** Where this browser keeps what was chosen; null keeps nothing. */
  keep?: string | null;
  /** Instead of the one that was kept. */
  name?: string;
  /** What is on where nothing was kept. */
  on?: { microphone?: boolean; camera?: boolean };
  /** How devices are opened. */
  open?: { microphone?: OpenDevice; camera?: OpenDevice };
}

type Kind = 'microphone' | 'camera';

/** The devices and the name of somebody who is about to join. Opens nothing before {@link Lobby.begin}. */
export class Lobby {
  readonly state: Store<LobbyState>;
  private readonly store: StoreApi<LobbyState>;
  private readonly devices: Readonly<Record<Kind, LobbyDevice>>;
  private readonly key: string | null;
  private stopListening: (() => void) | null = null;

  constructor({ keep = LOBBY_KEY, name, on = {}, open = {} }: LobbyOptions = {}) {
    const kept = keep === null ? null : readChoice(keep);
    const device = (kind: Kind, opens: OpenDevice): LobbyDevice =>
      new LobbyDevice(
        open[kind] ?? opens,
        (state) => this.take(kind, state),
        kept?.[kind] ?? { on: on[kind] ?? true, deviceId: null },
      );
    this.key = keep;
    this.devices = { microphone: device('microphone', openMicrophone), camera: device('camera', openCamera) };
    const store = createStore<LobbyState>(() => ({
      name: name ?? kept?.name ?? '',
      microphone: this.devices.microphone.now,
      camera: this.devices.camera.now,
      speakerId: kept?.speakerId ?? null,
      devices: { microphone: [], camera: [], speaker: [] },
    }));
    this.store = store;
    this.state = { get: () => store.getState(), subscribe: (listener) => store.subscribe(() => listener()) };
  }

  /** The page is there: opens what is on. The returned function gives everything back; it can begin again. */
  begin(): () => void {
    this.stopListening ??= onDevicesChanged(() => void this.list());
    void Promise.all([this.devices.microphone.begin(), this.devices.camera.begin()]);
    void this.list();
    return () => {
      this.stopListening?.();
      this.stopListening = null;
      this.devices.microphone.end();
      this.devices.camera.end();
    };
  }

  name(name: string): void {
    this.change({ name });
  }

  on(kind: Kind, on: boolean): Promise<void> {
    return this.devices[kind].set({ on });
  }

  /** Another device; null is the default one. */
  device(kind: Kind, deviceId: string | null): Promise<void> {
    return this.devices[kind].set({ deviceId });
  }

  /** Another loudspeaker; null is the default one. */
  speaker(speakerId: string | null): void {
    this.change({ speakerId });
  }

  /** Hands over what was chosen. The lobby has no tracks after it until it begins again. */
  choose(): LobbyChoice {
    const { name, microphone, camera, speakerId } = this.store.getState();
    return {
      name: name.trim(),
      microphoneId: microphone.deviceId,
      cameraId: camera.deviceId,
      speakerId,
      microphone: this.devices.microphone.take(),
      camera: this.devices.camera.take(),
    };
  }

  /** Whoever was not let in with a choice is in the lobby again, if that is still there. */
  takeBack({ microphone, camera }: LobbyChoice): void {
    microphone?.stop();
    camera?.stop();
    if (this.stopListening !== null) this.begin();
  }

  private take(kind: Kind, state: LobbyDeviceState): void {
    const opened = state.track !== null && state.track !== this.store.getState()[kind].track;
    this.change({ [kind]: state });
    // Names of devices are told only to who was allowed one.
    if (opened) void this.list();
  }

  private change(change: Partial<LobbyState>): void {
    this.store.setState(change);
    const { name, microphone, camera, speakerId } = this.store.getState();
    const kept = ({ on, deviceId }: LobbyDeviceState): KeptChoice['camera'] => ({ on, deviceId });
    if (this.key === null) return;
    writeChoice(this.key, { name, microphone: kept(microphone), camera: kept(camera), speakerId });
  }

  private async list(): Promise<void> {
    const all = await listDevices('all');
    const of = (kind: MediaDeviceKind): MediaDeviceInfo[] => all.filter((device) => device.kind === kind);
    this.store.setState({
      devices: { microphone: of('audioinput'), camera: of('videoinput'), speaker: of('audiooutput') },
    });
  }
}

/** What of a choice goes into `joinRoom`. */
export function joinOptions({ name, microphone, camera }: LobbyChoice): JoinOptions {
  return {
    ...(name === '' ? {} : { name }),
    ...(microphone === null ? {} : { mic: microphone }),
    ...(camera === null ? {} : { camera }),
  };
}

/** What of a choice is done in the room once it is there: the devices that are off, and the loudspeaker. */
export async function settleIn(room: Room, choice: LobbyChoice): Promise<void> {
  await Promise.all([
    choice.microphone === null ? room.me.mic.device(choice.microphoneId) : null,
    choice.camera === null ? room.me.camera.device(choice.cameraId) : null,
    // One that is gone leaves the default one.
    choice.speakerId === null ? null : room.sound.output(choice.speakerId).catch(() => undefined),
  ]);
}
