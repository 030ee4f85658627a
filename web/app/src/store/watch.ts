import { createInstanceContext, type Instance } from '@madang/react';
import { createStore, type StoreApi } from 'zustand';
import {
  ApiError,
  type Broadcast,
  canDecode,
  type Fact,
  isLineTooSlow,
  isSent,
  type Known,
  learn,
  NetworkError,
  NOTHING_KNOWN,
  type PlayerStats,
  type RemoteTrack,
  type Source,
  type VideoChoice,
  viewing,
  WhepPlayer,
} from '@madang/sdk';
import { api, playEndpoint } from '../lib/api';
import { keptVideo } from '../lib/storage';
import { merge } from './deltas';
import { Guest } from './guest';
import { Room } from './room';

/** What is known of a broadcast that is watched. */
export interface WatchState {
  /** What is known of the broadcast: still asking, there, or why not. */
  phase: 'loading' | 'open' | 'not-found' | 'token' | 'network' | 'server';
  broadcast: Broadcast | null;
  /** What is known of the broadcast and of the way to it. */
  known: Known;
  tracks: Partial<Record<Source, MediaStreamTrack>>;
  /** Sources whose media arrives. */
  active: Partial<Record<Source, boolean>>;
  stats: PlayerStats | null;
  quality: Quality;
  /** A picture has been seen. */
  hadPicture: boolean;
  participantId: string | null;
}

/** How well media arrives. */
export type Quality = 'good' | 'fair' | 'poor' | null;

const EMPTY: WatchState = {
  phase: 'loading',
  broadcast: null,
  known: NOTHING_KNOWN,
  tracks: {},
  active: {},
  stats: null,
  quality: null,
  hadPicture: false,
  participantId: null,
};

const STATS_MS = 1_000;
/** A source without packets for this many measurements shows nothing, unless the server says that it is sent. */
const SILENT_MEASUREMENTS = 3;
/** While a picture does not come the server is asked why, once in so many measurements. */
const ASK_MEASUREMENTS = 2;
/** Packets without one decoded frame for this many measurements: the browser cannot decode it. */
const UNDECODED_MEASUREMENTS = 8;

/** Signaling has told of an end by then, if it is there. */
const TOLD_MS = 2_000;
/** Viewers who have to ask do so within this time after that. */
const SPREAD_MS = 5_000;

/** A broadcast that is watched. */
export class Watched implements Instance<WatchState> {
  readonly store = createStore<WatchState>(() => EMPTY);
  /** Its chat and state. */
  readonly room: Room;
  private readonly guest: Guest;
  private current: Viewing | null = null;

  constructor(readonly id: number) {
    this.guest = new Guest(id);
    this.room = new Room(id, this.guest.token);
  }

  /** Opens it; the returned function leaves it, after which it may be opened anew. */
  open(): () => void {
    this.store.setState(EMPTY);
    const viewing = new Viewing(this.id, this.store, this.room, this.guest);
    this.current = viewing;
    void viewing.open();
    return () => {
      if (this.current === viewing) this.current = null;
      viewing.close();
    };
  }

  /** Tries again after a failure. */
  readonly retry = (): void => this.current?.retry();

  /** Asks for another picture, or for none, now and in later broadcasts. */
  choose(choice: VideoChoice): void {
    keptVideo.write(choice);
    this.current?.choose(choice);
  }

  /** Asks what there is to choose from. */
  readonly askLayers = (): void => this.current?.askLayers();

  /** The element whose picture the latency is measured on. */
  measureOn(video: HTMLVideoElement | null, source: Source): void {
    if (this.current !== null) this.current.measured = { video, source };
  }
}

/** The broadcast that a part of the page shows. */
export const {
  Provider: WatchedProvider,
  useInstance: useWatched,
  useSelected: useWatch,
} = createInstanceContext<WatchState, Watched>('broadcast');

/** Whether no picture is wanted, and the server sends none. */
export function isSoundOnly({ known }: WatchState): boolean {
  return known.choice === 'audio' && known.layers !== null;
}

/** Whether nothing is to be seen now that was to be seen before, by no wish of anybody. */
export function isInterrupted({ known, hadPicture }: WatchState): boolean {
  const { kind } = viewing(known);
  return kind === 'publisher-lost' || (hadPicture && kind === 'waiting');
}

/** Whether the line carries no moving picture. */
export function isTooSlow({ known }: WatchState): boolean {
  return known.link === 'connected' && isLineTooSlow(known.layers);
}

class Viewing {
  measured: { video: HTMLVideoElement | null; source: Source } = { video: null, source: 'camera' };
  private readonly player: WhepPlayer;
  private readonly cleanups: (() => void)[] = [];
  private readonly silent = new Map<Source, number>();
  private undecoded = 0;
  /** Measurements with a picture that does not come. */
  private unasked = 0;
  private measuring = false;
  private renewed = false;
  private closed = false;

  constructor(
    private readonly id: number,
    private readonly store: StoreApi<WatchState>,
    private readonly room: Room,
    private readonly guest: Guest,
  ) {
    this.player = new WhepPlayer({
      url: () => playEndpoint(id),
      token: guest.token,
      iceServers: guest.iceServers,
      iceTransportPolicy: relayOnly() ? 'relay' : 'all',
    });
    this.note({ of: 'choice', choice: keptVideo.read() });
    this.note({ of: 'network', online: navigator.onLine });
  }

  async open(): Promise<void> {
    this.store.setState({ phase: 'loading' });
    try {
      // Asked together, so that the picture comes a round trip sooner.
      const admitted = this.guest.token().then(() => void this.guest.iceServers.get());
      admitted.catch(() => undefined);
      const broadcast = await api.get(this.id);
      if (broadcast.status !== 'CLOSED') await admitted;
      if (this.closed) return;
      this.store.setState({ phase: 'open', broadcast, participantId: this.guest.participantId });
      this.note({ of: 'request', answered: true });
      this.note({ of: 'asked', broadcast });
      this.follow(broadcast.status !== 'CLOSED');
    } catch (error) {
      if (!this.closed) this.store.setState({ phase: phaseOf(error) });
    }
  }

  choose(choice: VideoChoice): void {
    const { known, active } = this.store.getState();
    this.note({ of: 'choice', choice });
    void this.player.choose(choice);
    if (known.choice !== 'audio') return;
    // Pictures are on their way again: until they are missed for a while, nothing says that the camera is off.
    this.silent.clear();
    this.store.setState({ active: { ...active, camera: true } });
  }

  askLayers(): void {
    void this.player.askLayers();
  }

  retry(): void {
    if (this.store.getState().phase === 'open') this.player.retry();
    else void this.open();
  }

  close(): void {
    this.closed = true;
    for (const cleanup of this.cleanups) cleanup();
    void this.player.close();
  }

  /** Chat and state by signaling; media unless the broadcast is over. */
  private follow(alive: boolean): void {
    if (!alive) return;
    this.cleanups.push(this.room.enter());
    this.cleanups.push(
      this.room.store.subscribe((room, before) => {
        if (room.connection !== before.connection) this.note({ of: 'signaling', state: room.connection });
        if (room.broadcast !== before.broadcast) this.onState();
      }),
    );
    this.player.on('state', ({ state, failure }) => {
      this.note({ of: 'link', state, failure });
      if (failure === 'ended' || failure === 'not-found') this.askUnlessTold();
      // A token that was kept from before may be of another time of the server: once with a new one.
      if (state === 'failed' && failure === 'unauthorized' && !this.renewed && this.guest.forget()) {
        this.renewed = true;
        this.player.retry();
      }
    });
    this.player.on('layers', (layers) => this.note({ of: 'layers', layers }));
    this.player.on('tracks', (tracks) => this.onTracks(tracks));
    void this.player.choose(this.store.getState().known.choice);
    this.player.start();
    const timer = setInterval(() => void this.measure(), STATS_MS);
    this.cleanups.push(() => clearInterval(timer));
    const network = (): void => {
      this.note({ of: 'network', online: navigator.onLine });
      if (navigator.onLine) this.player.retry();
    };
    addEventListener('online', network);
    addEventListener('offline', network);
    this.cleanups.push(() => {
      removeEventListener('online', network);
      removeEventListener('offline', network);
    });
    // A closed tab leaves at once instead of counting as a viewer until it times out.
    const leave = (): void => void this.player.close();
    addEventListener('pagehide', leave);
    this.cleanups.push(() => removeEventListener('pagehide', leave));
  }

  private onState(): void {
    const state = this.room.store.getState().broadcast;
    const { broadcast } = this.store.getState();
    if (state?.id !== this.id || broadcast === null) return;
    const next = merge(broadcast, state);
    this.store.setState({ broadcast: next });
    this.note({ of: 'told', state });
    this.note({ of: 'undecodable', codec: undecodable(state.tracks ?? []) });
    if (next.status === 'CLOSED') {
      void this.player.close(false);
    } else if (state.media === 'live' && this.player.state === 'waiting') {
      this.player.retry();
    }
  }

  /**
   * Media has ended. Signaling tells everybody how and when; only who has not heard of it asks, and at a time of its
   * own, because all viewers see the end at once.
   */
  private askUnlessTold(): void {
    const timer = setTimeout(
      () => {
        if (this.store.getState().broadcast?.status !== 'CLOSED') void this.refresh();
      },
      TOLD_MS + Math.random() * SPREAD_MS,
    );
    this.cleanups.push(() => clearTimeout(timer));
  }

  private async refresh(): Promise<void> {
    const answer = await api.get(this.id).catch((error: unknown) => error);
    if (this.closed) return;
    this.note({ of: 'request', answered: !(answer instanceof NetworkError) });
    if (answer instanceof Error) return;
    const broadcast = answer as Broadcast;
    this.store.setState({ broadcast });
    this.note({ of: 'asked', broadcast });
    if (broadcast.status === 'CLOSED') void this.player.close(false);
  }

  private onTracks(remote: readonly RemoteTrack[]): void {
    const tracks: WatchState['tracks'] = {};
    for (const { source, track } of remote) {
      tracks[source] ??= track;
      track.addEventListener('unmute', () => this.setActive(source, true), { once: true });
    }
    this.store.setState({ tracks, active: {} });
    this.silent.clear();
    this.note({ of: 'tracks' });
  }

  private setActive(source: Source, active: boolean): void {
    const before = this.store.getState().active;
    if (before[source] === active) return;
    this.store.setState({ active: { ...before, [source]: active } });
    if (active) this.noteArriving();
  }

  private noteArriving(): void {
    const { active, hadPicture } = this.store.getState();
    const { camera = false, screen = false, microphone = false } = active;
    if ((camera || screen) && !hadPicture) this.store.setState({ hadPicture: true });
    this.note({ of: 'measured', picture: camera || screen, sound: microphone });
  }

  private async measure(): Promise<void> {
    // Answers of a slow browser come together: each would count as a second in which nothing came.
    if (this.measuring) return;
    this.measuring = true;
    const stats = await this.player.stats(this.measured.video, this.measured.source).catch(() => null);
    this.measuring = false;
    if (this.closed) return;
    // Where nothing comes at all the path is lost, whether or not it is known yet: of a source that says nothing.
    if (stats !== null && stats.heard !== false) this.noteTracks(stats);
    this.askWhy();
    const before = this.store.getState().stats;
    this.store.setState({ stats, quality: qualityOf(stats, before) });
    this.noteUndecoded(stats);
  }

  /** Which sources arrive. */
  private noteTracks({ tracks }: PlayerStats): void {
    for (const track of tracks) {
      const silent = track.packets > 0 ? 0 : (this.silent.get(track.source) ?? 0) + 1;
      this.silent.set(track.source, silent);
      if (silent === 0 && (track.frames > 0 || track.width === null)) this.setActive(track.source, true);
      if (silent >= SILENT_MEASUREMENTS && !this.isShown(track.source)) this.setActive(track.source, false);
    }
    this.noteArriving();
  }

  /** A picture that hardly changes, and one that a slow line brings now and then, stay on the screen. */
  private isShown(source: Source): boolean {
    const state = this.store.getState();
    return isTooSlow(state) || isSent(state.known.layers, source);
  }

  /** Asks the server what it sends while a picture does not come, and until a line is no longer too slow. */
  private askWhy(): void {
    const missing = (['camera', 'screen'] as const).some((source) => (this.silent.get(source) ?? 0) > 0);
    this.unasked = missing || isTooSlow(this.store.getState()) ? this.unasked + 1 : 0;
    if (this.unasked % ASK_MEASUREMENTS === 1) this.askLayers();
  }

  private noteUndecoded(stats: PlayerStats | null): void {
    const videos = stats?.tracks.filter(({ source, packets }) => source === 'camera' && packets > 0) ?? [];
    const stuck = videos.find(({ frames }) => frames === 0);
    this.undecoded = stuck === undefined ? 0 : this.undecoded + 1;
    if (this.undecoded >= UNDECODED_MEASUREMENTS)
      this.note({ of: 'undecodable', codec: stuck?.codec ?? '?' });
  }

  /** Learns something of the broadcast. */
  private note(fact: Fact): void {
    const { known } = this.store.getState();
    const next = learn(known, fact);
    if (next !== known) this.store.setState({ known: next });
  }
}

/** Media through TURN only, for people who look for the fault of a network: `/watch/7?relay=1`. */
function relayOnly(): boolean {
  return new URLSearchParams(location.search).get('relay') === '1';
}

function phaseOf(error: unknown): WatchState['phase'] {
  if (error instanceof NetworkError) return 'network';
  if (!(error instanceof ApiError)) return 'server';
  if (error.status === 404 || error.status === 400) return 'not-found';
  return error.status === 401 || error.status === 403 ? 'token' : 'server';
}

function undecodable(tracks: readonly { source: Source; codec: string }[]): string | null {
  const foreign = tracks.find(({ source, codec }) => {
    const kind = source === 'camera' || source === 'screen' ? 'video' : 'audio';
    return codec !== '' && !canDecode(kind, codec);
  });
  return foreign?.codec ?? null;
}

/** Quality by loss and new freezes. */
export function qualityOf(now: PlayerStats | null, before: PlayerStats | null): Quality {
  if (now === null || now.tracks.every(({ packets }) => packets === 0)) return null;
  const froze = freezes(now) > freezes(before);
  const loss = now.lossPercent ?? 0;
  if (loss >= 8) return 'poor';
  return froze || loss >= 2 || (now.rttMs ?? 0) > 400 ? 'fair' : 'good';
}

function freezes(stats: PlayerStats | null): number {
  return stats?.tracks.reduce((sum, track) => sum + (track.freezes ?? 0), 0) ?? 0;
}
