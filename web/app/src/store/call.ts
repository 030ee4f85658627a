import { createStore, type StoreApi } from 'zustand';
import {
  Call,
  type CallFailure,
  type CallPerson,
  type CallSlot,
  type CallState,
  openCamera,
  openMicrophone,
  RenewedIceServers,
  RoomReplica,
  Signaling,
  type Source,
  type Want,
} from '@madang/sdk';
import { api, serverConfig, signalingEndpoint } from '../lib/api';

/** What the page of a call shows. */
export interface CallView {
  state: CallState;
  failure: CallFailure | null;
  /** The others, in the order in which they came. */
  people: readonly CallPerson[];
  slots: readonly CallSlot[];
  microphone: MediaStreamTrack | null;
  camera: MediaStreamTrack | null;
  /** Whether the microphone and the camera send. */
  speaks: boolean;
  shows: boolean;
}

/** A call while its page is open. */
export interface OpenCall {
  view: StoreApi<CallView>;
  toggle(source: 'microphone' | 'camera'): void;
  close(): void;
}

/** Pixels that a tile has at most: a grid of few is large. */
const TILE_HEIGHT = 480;

/** Joins the call of a group as `name`. A camera or microphone that is not there, or not allowed, is left out. */
export function openCall(group: string, name: string): OpenCall {
  const view = createStore<CallView>(() => ({
    state: 'connecting',
    failure: null,
    people: [],
    slots: [],
    microphone: null,
    camera: null,
    speaks: false,
    shows: false,
  }));
  const room = new RoomReplica();
  let call: Call | null = null;
  let signaling: Signaling | null = null;
  let me: string | null = null;
  let closed = false;
  let wanted = '';

  const see = (people: readonly CallPerson[]): void => {
    const others = people.filter(({ participant }) => participant !== me);
    view.setState({ people: others });
    const cameras = others.flatMap(({ sources }) => sources.filter(({ source }) => source === 'camera'));
    const wants: Want[] = cameras.map(({ csrc }) => ({ source: csrc, slot: 'tile', height: TILE_HEIGHT }));
    const key = JSON.stringify(wants);
    if (key !== wanted) call?.want(wants);
    wanted = key;
  };

  const open = async (): Promise<void> => {
    const [microphone, camera, config, signalingUrl] = await Promise.all([
      openMicrophone().catch(() => null),
      openCamera().catch(() => null),
      serverConfig(),
      signalingEndpoint(),
    ]);
    const stop = (): void => [microphone, camera].forEach((track) => track?.stop());
    if (closed) {
      stop();
      return;
    }
    view.setState({ microphone, camera, speaks: microphone !== null, shows: camera !== null });
    let given: Promise<string> | null = null;
    // One token for the session and for signaling: the same participant.
    const token = (): Promise<string> =>
      (given ??= api.groupToken(group, name === '' ? {} : { name }).then((answer) => answer.token));
    const iceServers = new RenewedIceServers(async () => api.iceServers(await token()));
    call = new Call({ url: config.sfu_url, group, token, name, iceServers });
    call.on('state', ({ state, failure }) => view.setState({ state, failure }));
    call.on('slots', (slots) => view.setState({ slots }));
    call.on('joined', ({ participant, people }) => {
      me = participant;
      see(room.state?.people ?? people);
    });
    await call.setTrack('microphone', microphone);
    await call.setTrack('camera', camera);
    call.start();
    signaling = new Signaling({ url: signalingUrl, token });
    const live = signaling;
    let unsubscribe = (): void => undefined;
    const subscribe = (): void => {
      unsubscribe();
      unsubscribe = live.onRoom(group, (update) => {
        // Something was missed: whoever subscribes gets the whole first.
        if (room.apply(update)) see(room.state?.people ?? []);
        else subscribe();
      });
    };
    subscribe();
    live.start();
  };
  open().catch(() => view.setState({ state: 'failed', failure: 'media' }));

  return {
    view,
    toggle(source: 'microphone' | 'camera') {
      const { [source]: track } = view.getState();
      if (track === null) return;
      track.enabled = !track.enabled;
      view.setState(source === 'microphone' ? { speaks: track.enabled } : { shows: track.enabled });
    },
    close() {
      closed = true;
      const { microphone, camera } = view.getState();
      [microphone, camera].forEach((track) => track?.stop());
      void call?.leave();
      void signaling?.close();
    },
  };
}

/** The slot that shows a source of somebody; null while none does, or still something else. */
export function slotOf(slots: readonly CallSlot[], person: CallPerson, source: Source): CallSlot | null {
  const csrc = person.sources.find((own) => own.source === source)?.csrc;
  const shows = ({ binding }: CallSlot): boolean =>
    csrc !== undefined && binding?.source === csrc && binding.from !== undefined;
  return slots.find(shows) ?? null;
}
