import {
  ApiError,
  type Fact,
  learn,
  NOTHING_KNOWN,
  randomKey,
  RenewedIceServers,
  sending,
  type Source,
  WhipPublisher,
} from '@madang/sdk';
import { api } from '../lib/api';
import { momentOf } from '../lib/format';
import {
  type KeptBroadcast,
  keptBroadcast,
  type KeptPlan,
  type KeptCreation,
  keptCreation,
} from '../lib/storage';
import { tabLock } from '../lib/tab-lock';
import { takePicture } from '../lib/thumbnail';
import { t } from '../texts';
import { Limits } from './limits';
import { forgetPlan } from './plans';
import { EMPTY_STUDIO, isOnAir, type StudioState, useStudio } from './studio';
import { StudioDevices } from './studio-devices';

const STATS_MS = 1_000;
const THUMBNAIL_MS = 10_000;
/** The first picture of a broadcast is there sooner. */
const FIRST_THUMBNAIL_MS = 2_000;

/** The studio's one session: it goes on while the person looks at other pages. */
class StudioSession {
  readonly devices = new StudioDevices((source, track) => this.send(source, track));
  private publisher: WhipPublisher | null = null;
  private kept: KeptBroadcast | null = null;
  /** A creation whose answer has not come: asked again as it was, it makes no second broadcast. */
  private asked: KeptCreation | null = null;
  private limits = new Limits();
  private stopTimers: (() => void) | null = null;
  private releaseLock: (() => void) | null = null;

  /** The page is open. */
  enter(): void {
    const { phase } = useStudio.getState();
    if (isOnAir(useStudio.getState())) return;
    if (phase === 'ended') this.startNew();
    const opened = this.devices.open();
    const kept = keptBroadcast.read();
    if (kept !== null) void this.resume(kept, opened);
    else void this.takeBack();
  }

  /** The page is left: nothing but a live broadcast keeps the devices. */
  leave(): void {
    if (!isOnAir(useStudio.getState())) this.devices.close();
  }

  /** One click from the page to live. */
  async goLive(): Promise<void> {
    if (isOnAir(useStudio.getState())) return;
    set({ phase: 'starting', problem: null, resuming: false });
    if (!hasMedia(useStudio.getState())) await this.devices.open();
    if (!isStarting()) return;
    if (!hasMedia(useStudio.getState())) {
      set({ phase: 'setup', problem: { kind: 'nothing' } });
      return;
    }
    try {
      const created = await this.create();
      if (isStarting()) await this.publish(created);
      else await this.discard(created);
    } catch (error) {
      if (isStarting()) this.onRefused(error);
    }
  }

  /** Begins a broadcast that was planned. */
  async begin(plan: KeptPlan): Promise<void> {
    if (isOnAir(useStudio.getState())) return;
    set({ phase: 'starting', problem: null, resuming: false });
    if (!hasMedia(useStudio.getState())) await this.devices.open();
    if (!isStarting()) return;
    if (!hasMedia(useStudio.getState())) {
      set({ phase: 'setup', problem: { kind: 'nothing' } });
      return;
    }
    const { id, streamKey, ownerKey, whipUrl, watchUrl } = plan;
    const kept: KeptBroadcast = { id, streamKey, ownerKey, whipUrl, watchUrl };
    keptBroadcast.write(kept);
    await this.resume(kept, Promise.resolve());
  }

  /** Saves name and description of a broadcast that exists. */
  async saveTexts(): Promise<void> {
    const { name, description, broadcast } = useStudio.getState();
    if (this.kept === null || broadcast === null) return;
    const texts = { name: name.trim(), description: description.trim() };
    const saved = await api.update(broadcast.id, texts, this.kept.ownerKey);
    set({ broadcast: saved, name: saved.name, description: saved.description });
  }

  /** Tries again after the link has failed. */
  retry(): void {
    set({ problem: null });
    if (this.publisher !== null) this.publisher.retry();
    else if (this.kept !== null) void this.resume(this.kept, Promise.resolve());
    else void this.goLive();
  }

  /** Ends the broadcast for everyone. */
  async end(): Promise<void> {
    const { kept, publisher } = this;
    set({ phase: 'ending' });
    // Both say the same: the session's end reaches the SFU, the status reaches the catalogue. If neither arrives,
    // the service closes the broadcast when its media stays away.
    await publisher?.end().catch(() => undefined);
    if (kept !== null) await api.update(kept.id, { status: 'CLOSED' }, kept.ownerKey).catch(() => undefined);
    this.finish();
  }

  /** The broadcast is over, whoever ended it. */
  finish(): void {
    if (useStudio.getState().phase === 'ended') return;
    const { liveSince } = useStudio.getState();
    void this.publisher?.close();
    this.publisher = null;
    if (this.kept !== null) forgetPlan(this.kept.id);
    this.kept = null;
    this.limits = new Limits();
    keptBroadcast.clear();
    this.stopTimers?.();
    this.stopTimers = null;
    this.releaseLock?.();
    this.releaseLock = null;
    this.devices.close();
    set({
      phase: 'ended',
      known: NOTHING_KNOWN,
      stats: null,
      liveForMs: liveSince === null ? 0 : Date.now() - liveSince,
    });
  }

  /** From the summary to a new broadcast. */
  startNew(): void {
    const { camera, microphone, devices } = useStudio.getState();
    const fresh = { track: null, failure: null, opening: false, on: true };
    set({
      ...EMPTY_STUDIO,
      devices,
      camera: { ...camera, ...fresh },
      microphone: { ...microphone, ...fresh },
    });
    this.asked = null;
    void this.devices.open();
  }

  /** A token of the streamer for the room: what the streamer writes is marked as the host's. */
  readonly token = async (): Promise<string | undefined> => {
    if (this.kept === null) return undefined;
    const grants = ['publish', 'subscribe', 'chat', 'moderate'] as const;
    const { token } = await api.token(this.kept.id, { grants: [...grants] }, this.kept.ownerKey);
    return token;
  };

  /** Closes a broadcast that was created while its creator pressed the button to end it. */
  private async discard({ id, ownerKey }: KeptBroadcast): Promise<void> {
    keptBroadcast.clear();
    await api.update(id, { status: 'CLOSED' }, ownerKey);
  }

  private async create(): Promise<KeptBroadcast> {
    const { name, description, creatorToken } = useStudio.getState();
    const body = {
      name: name.trim() === '' ? t.defaultTitle(momentOf(Date.now())) : name.trim(),
      description: description.trim(),
    };
    const token = creatorToken === null || creatorToken === '' ? undefined : creatorToken.trim();
    this.asked ??= { body, key: randomKey(), ...(token === undefined ? {} : { token }) };
    // A page that is reloaded before the answer finds here what it asked for.
    keptCreation.write(this.asked);
    let created = await api.create(this.asked.body, this.asked.key, token).catch((error: unknown) => {
      // Refused: nothing was made that could be found again.
      if (error instanceof ApiError && error.status < 500) this.forgetCreation();
      throw error;
    });
    const { body: first } = this.asked;
    if (first.name !== body.name || first.description !== body.description) {
      created = { ...created, ...(await api.update(created.id, body, created.owner_key)) };
    }
    const kept: KeptBroadcast = {
      id: created.id,
      streamKey: created.stream_key,
      ownerKey: created.owner_key,
      whipUrl: created.whip_url,
      watchUrl: created.watch_url,
    };
    keptBroadcast.write(kept);
    this.forgetCreation();
    set({ broadcast: created, name: created.name, description: created.description, creatorToken: null });
    return kept;
  }

  private forgetCreation(): void {
    this.asked = null;
    keptCreation.clear();
  }

  /**
   * A page before this one was reloaded while it created a broadcast, and nobody knows whether there is one now. Asked
   * again under its key the service answers with that one or makes it; either way nothing of it stays.
   */
  private async takeBack(): Promise<void> {
    const asked = keptCreation.read();
    // One of this page is asked again by who goes live.
    if (asked === null || this.asked !== null) return;
    try {
      const { id, owner_key: ownerKey } = await api.create(asked.body, asked.key, asked.token);
      await api.delete(id, ownerKey);
    } catch (error) {
      // Whatever was not answered is tried again when the page is opened next.
      if (!(error instanceof ApiError && error.status < 500)) return;
    }
    // Meanwhile the person may have asked for another one.
    if (keptCreation.read()?.key === asked.key) keptCreation.clear();
  }

  /** Goes on after a reload. */
  private async resume(kept: KeptBroadcast, opened: Promise<void>): Promise<void> {
    set({ phase: 'starting', resuming: true, problem: null });
    this.kept = kept;
    try {
      const [broadcast] = await Promise.all([api.get(kept.id), opened]);
      // Ended by the person while the answer was on its way.
      if (!this.wants(kept)) return;
      if (broadcast.status === 'CLOSED') {
        forgetPlan(kept.id);
        keptBroadcast.clear();
        this.kept = null;
        set({ phase: 'setup', resuming: false });
        return;
      }
      set({ broadcast, name: broadcast.name, description: broadcast.description });
      await this.publish(kept);
    } catch (error) {
      if (!this.wants(kept)) return;
      if (error instanceof ApiError && error.status === 404) {
        keptBroadcast.clear();
        this.kept = null;
      }
      this.onRefused(error);
    }
  }

  private async publish(kept: KeptBroadcast): Promise<void> {
    this.kept = kept;
    const releaseLock = this.releaseLock ?? (await tabLock(`madang.live.${kept.id}`));
    if (!this.wants(kept)) {
      releaseLock?.();
      return;
    }
    this.releaseLock = releaseLock;
    if (this.releaseLock === null) {
      set({ phase: 'setup', resuming: false, problem: { kind: 'other-tab' } });
      return;
    }
    set({
      watchUrl: new URL(kept.watchUrl === '' ? `/watch/${kept.id}` : kept.watchUrl, location.href).href,
    });
    const publisher = new WhipPublisher({
      url: kept.whipUrl,
      streamKey: kept.streamKey,
      iceServers: new RenewedIceServers(() => api.iceServers(kept.streamKey)),
    });
    this.publisher = publisher;
    const { camera, microphone, screen } = useStudio.getState();
    await publisher.setTrack('camera', camera.on ? camera.track : null);
    await publisher.setTrack('microphone', microphone.on ? microphone.track : null);
    await publisher.setTrack('screen', screen.track);
    await publisher.setTrack('screen_audio', screen.audio);
    if (this.publisher !== publisher) return;
    publisher.on('state', ({ state, failure }) => {
      note({ of: 'link', state, failure });
      if (state === 'connected') this.onConnected();
      if (state !== 'failed') return;
      if (failure === 'ended') this.finish();
      else if (failure === 'unauthorized') set({ problem: { kind: 'key' } });
      else set({ problem: { kind: 'link', failure: failure ?? 'server' } });
    });
    publisher.start();
  }

  /** Whether this is the broadcast that the person still wants to begin. */
  private wants(kept: KeptBroadcast): boolean {
    return isStarting() && this.kept === kept;
  }

  private onConnected(): void {
    const { broadcast, liveSince } = useStudio.getState();
    const since = broadcast?.started_at == null ? Date.now() : Date.parse(broadcast.started_at);
    set({ phase: 'live', resuming: false, problem: null, liveSince: liveSince ?? since });
    this.stopTimers ??= this.startTimers();
  }

  private startTimers(): () => void {
    const network = (): void => {
      note({ of: 'network', online: navigator.onLine });
      if (navigator.onLine) this.publisher?.retry();
    };
    addEventListener('online', network);
    addEventListener('offline', network);
    const stats = setInterval(() => void this.measure(), STATS_MS);
    const first = setTimeout(() => void this.sendPicture(), FIRST_THUMBNAIL_MS);
    const pictures = setInterval(() => void this.sendPicture(), THUMBNAIL_MS);
    return () => {
      clearInterval(stats);
      clearTimeout(first);
      clearInterval(pictures);
      removeEventListener('online', network);
      removeEventListener('offline', network);
    };
  }

  private async measure(): Promise<void> {
    const stats = await this.publisher?.stats().catch(() => null);
    // While nothing reaches the server, that is what is the matter.
    const live = sending(useStudio.getState().known) === 'live';
    if (stats != null) set({ stats, limited: this.limits.next(live ? stats : null) });
  }

  /** A thumbnail that cannot be made or sent is left out; the next one comes soon. */
  private async sendPicture(): Promise<void> {
    const { screen, camera, known } = useStudio.getState();
    const track = screen.track ?? camera.track;
    if (this.kept === null || track === null || known.link !== 'connected') return;
    const picture = await takePicture(track).catch(() => null);
    if (picture !== null)
      await api.putThumbnail(this.kept.id, picture, this.kept.ownerKey).catch(() => undefined);
  }

  private send(source: Source, track: MediaStreamTrack | null): void {
    void this.publisher?.setTrack(source, track).catch(() => undefined);
  }

  private onRefused(error: unknown): void {
    const status = error instanceof ApiError ? error.status : null;
    const { creatorToken } = useStudio.getState();
    set({ phase: 'setup', resuming: false });
    if (status === 401 || status === 403) {
      // The first refusal only asks for a token; one that was given and refused is a fault to name.
      const given = creatorToken !== null && creatorToken !== '';
      set({
        creatorToken: creatorToken ?? '',
        problem: given ? { kind: 'link', failure: 'unauthorized' } : null,
      });
    } else if (status === 429) set({ problem: { kind: 'too-many' } });
    else set({ problem: { kind: 'link', failure: status === null ? 'network' : 'server' } });
  }
}

export const studio = new StudioSession();

function set(change: Partial<StudioState>): void {
  useStudio.setState(change);
}

/** Learns something of the way to the server. */
function note(fact: Fact): void {
  const { known } = useStudio.getState();
  const next = learn(known, fact);
  if (next !== known) set({ known: next });
}

/** Whether the person still wants what was begun: the button to end it is there all the while. */
function isStarting(): boolean {
  return useStudio.getState().phase === 'starting';
}

/** Whether there is anything to send. */
export function hasMedia({ camera, microphone, screen }: StudioState): boolean {
  return camera.track !== null || microphone.track !== null || screen.track !== null;
}
