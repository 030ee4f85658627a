import { createStore, type StoreApi } from 'zustand';
import {
  Call,
  type CallFailure,
  type CallPerson,
  type CallSlot,
  type CallState,
  MAX_WANTS,
  openCamera,
  openMicrophone,
  type Person,
  RenewedIceServers,
  RoomReplica,
  type RoomSnapshot,
  Signaling,
  type Source,
  type Want,
} from '@madang/sdk';
import { api, serverConfig, signalingEndpoint } from '../lib/api';
import { CallGuest } from './call-guest';

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
  const guest = new CallGuest(group, name);
  let call: Call | null = null;
  let signaling: Signaling | null = null;
  let me: string | null = null;
  let closed = false;
  let wanted = '';

  const see = (): void => {
    // Before the session has begun nobody knows which of them is this page.
    if (room.state === null || me === null) return;
    const others = othersOf(room.state, me);
    view.setState({ people: others });
    const wants = wantsOf(others);
    const key = JSON.stringify(wants);
    if (key !== wanted) call?.want(wants);
    wanted = key;
  };

  /** Nothing is taken from the person, or told, any more. */
  const stop = (): void => {
    closed = true;
    const { microphone, camera } = view.getState();
    [microphone, camera].forEach((track) => track?.stop());
    view.setState({ microphone: null, camera: null, speaks: false, shows: false });
    void signaling?.close();
    guest.leave();
  };

  const open = async (): Promise<void> => {
    const [microphone, camera, config, signalingUrl] = await Promise.all([
      openMicrophone().catch(() => null),
      openCamera().catch(() => null),
      serverConfig(),
      signalingEndpoint(),
    ]);
    view.setState({ microphone, camera, speaks: microphone !== null, shows: camera !== null });
    if (closed) {
      stop();
      return;
    }
    // One for the session and for signaling: the same participant.
    const { token } = guest;
    const iceServers = new RenewedIceServers(async () => api.iceServers(await token()));
    call = new Call({ url: config.sfu_url, group, token, name, iceServers });
    call.on('state', ({ state, failure }) => {
      view.setState({ state, failure });
      // Another try gets another token, as after a server has changed its secret.
      if (failure === 'unauthorized') guest.forget();
      if (state === 'failed') stop();
    });
    call.on('slots', (slots) => view.setState({ slots }));
    call.on('joined', (joined) => {
      me = joined.participant;
      room.apply({ type: 'snapshot', ...joined.room });
      see();
    });
    void call.setTrack('microphone', microphone);
    void call.setTrack('camera', camera);
    call.start();
    signaling = new Signaling({ url: signalingUrl, token });
    const live = signaling;
    let unsubscribe = (): void => undefined;
    const subscribe = (): void => {
      unsubscribe();
      unsubscribe = live.onRoom(group, (update) => {
        // Something was missed: whoever subscribes gets the whole first.
        if (room.apply(update)) see();
        else subscribe();
      });
    };
    subscribe();
    live.start();
  };
  open().catch(() => {
    stop();
    view.setState({ state: 'failed', failure: 'media' });
  });

  // A closed tab leaves at once, and is no frozen picture until it times out.
  const leave = (): void => {
    void call?.leave();
    stop();
  };
  // A page that the browser brings back as it was has left its call.
  const onShown = ({ persisted }: PageTransitionEvent): void => {
    if (persisted) location.reload();
  };
  addEventListener('pagehide', leave);
  addEventListener('pageshow', onShown);

  return {
    view,
    toggle(source: 'microphone' | 'camera') {
      const { [source]: track } = view.getState();
      if (track === null) return;
      track.enabled = !track.enabled;
      view.setState(source === 'microphone' ? { speaks: track.enabled } : { shows: track.enabled });
    },
    close() {
      removeEventListener('pagehide', leave);
      removeEventListener('pageshow', onShown);
      leave();
    },
  };
}

/** Everybody in a room but oneself, in the order in which they came. */
export function othersOf({ people }: RoomSnapshot, me: string): Person[] {
  const others = people.filter(({ participant }) => participant !== me);
  return others.sort((a, b) => a.order - b.order);
}

/** A page wants every camera, but no more of them than can be asked for. */
export function wantsOf(people: readonly CallPerson[]): Want[] {
  const cameras = people.flatMap(({ sources }) => sources.filter(({ source }) => source === 'camera'));
  const wants = cameras.map(({ csrc }): Want => ({ source: csrc, slot: 'tile', height: TILE_HEIGHT }));
  return wants.slice(0, MAX_WANTS);
}

/** The slot that shows a source of somebody; null while none does, or still something else. */
export function slotOf(slots: readonly CallSlot[], person: CallPerson, source: Source): CallSlot | null {
  const csrc = person.sources.find((own) => own.source === source)?.csrc;
  const shows = ({ binding }: CallSlot): boolean =>
    csrc !== undefined && binding?.source === csrc && binding.from !== undefined;
  return slots.find(shows) ?? null;
}
