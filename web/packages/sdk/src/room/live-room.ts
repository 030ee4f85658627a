import { Call, type CallSlot } from '../call.js';
import { openCamera, openMicrophone } from '../capture.js';
import { Chat } from '../chat/chat.js';
import { Emitter } from '../emitter.js';
import { RenewedIceServers } from '../ice-servers.js';
import { MetaApi } from '../meta-api.js';
import { Signaling, signalingHttp } from '../signaling.js';
import type { JoinedCall, Person, Right, RoomCommand, Source, Speakers } from '../types.js';
import { Commands } from './commands.js';
import { LocalDevice } from './device.js';
import { KnownRoom } from './known-room.js';
import { layoutOf } from './layout.js';
import { Level } from './level.js';
import { moderation } from './moderation.js';
import { PageLife } from './page-life.js';
import { type Happened, sourceOf, speakerOf, speakingOf } from './people.js';
import { LocalScreen } from './screen.js';
import type { Services } from './services.js';
import { SlotSound } from './sound.js';
import { RoomMeter } from './stats.js';
import { Value } from './store.js';
import { Switches } from './switches.js';
import { type JoinClaims, sourcesOf } from './token.js';
import type {
  JoinOptions,
  Me,
  PictureOf,
  Room,
  RoomEvents,
  RoomLink,
  RoomState,
  RoomStats,
  Speaking,
  View,
  ViewOptions,
} from './types.js';
import { Views } from './views.js';

/** Where a room is, and by which right it is entered. */
export interface Entrance {
  /** Origin of the services. */
  url: string;
  services: Services;
  claims: JoinClaims;
  token: () => Promise<string>;
}

const NOBODY_SPEAKS: Speaking = { now: new Set(), mainly: null };

/** Tells what happened in a room. */
class Events extends Emitter<RoomEvents> {
  tell({ name, value }: Happened): void {
    this.emit(name, value);
  }

  close(): void {
    this.removeAllListeners();
  }
}

/** A room while this page is in it: the session, what is known over signaling, one's own devices. */
export class LiveRoom implements Room {
  readonly group: string;
  readonly link: RoomLink;
  readonly state: Value<RoomState>;
  readonly speaking = new Value(NOBODY_SPEAKS);
  readonly sound = new SlotSound();
  readonly chat: Chat;
  readonly me: Me;
  readonly moderate: Room['moderate'];
  private readonly events = new Events();
  private readonly signaling: Signaling;
  private readonly known: KnownRoom;
  private readonly commands: Commands<RoomCommand>;
  private readonly switches: Switches;
  private readonly call: Call;
  private readonly views: Views;
  private readonly meter = new RoomMeter();
  private readonly mic: LocalDevice;
  private readonly camera: LocalDevice;
  private readonly screen: LocalScreen;
  private readonly level: Level;
  private readonly life = new PageLife({
    // A closed tab leaves at once, and is no frozen picture until it times out.
    hidden: () => void this.leave(),
    seen: () => this.wake(),
    devices: (ids) => [this.mic, this.camera].forEach((device) => device.offer(ids)),
  });
  private slots: readonly CallSlot[] = [];
  private speakers: Speakers = { speaking: [] };
  private speaker: string | null = null;
  private over = false;

  constructor(
    private readonly entrance: Entrance,
    private readonly options: JoinOptions,
  ) {
    const { url, services, claims, token } = entrance;
    this.group = claims.group;
    this.state = new Value<RoomState>({
      call: 'connecting',
      failure: null,
      signaling: 'connecting',
      locked: false,
      participant: null,
    });
    const { name = '' } = options;
    const slots = layoutOf(options.receive);
    const api = new MetaApi(url);
    this.call = new Call({
      url: services.sfu,
      group: this.group,
      token,
      name,
      slots,
      iceServers: new RenewedIceServers(async () => api.iceServers(await token())),
    });
    // One token for the session and for signaling: the same participant.
    this.signaling = new Signaling({ url: services.signaling, token });
    const { signaling, group: room } = this;
    this.link = { signaling, url: signalingHttp(services.signaling), room, token };
    this.known = new KnownRoom(this.signaling, this.group, (happened) => this.events.tell(happened));
    this.commands = new Commands(this.signaling, (command, request) =>
      this.signaling.command(this.group, command, request),
    );
    this.switches = new Switches({
      send: (command) => this.commands.send(command, true),
      muted: (source) => this.muted(source),
    });
    this.chat = new Chat({ signaling: this.signaling, room: this.group, name: () => this.name() });
    this.views = new Views(slots, (wants) => this.call.want(wants));
    this.mic = this.device('microphone');
    this.camera = this.device('camera');
    this.screen = new LocalScreen({
      send: (source, track) => this.call.setTrack(source, track),
      sends: (source, on) => this.switches.set(source, on),
      fps: async () => (await this.call.connections?.captured('screen').catch(() => null)) ?? null,
    });
    this.level = new Level(() => this.mic.raw);
    this.me = this.myself();
    this.moderate = moderation(this.commands);
    this.listen();
    this.rule();
    this.begin();
  }

  get people(): Room['people'] {
    return this.known.people;
  }

  view(picture: PictureOf, options: ViewOptions): View {
    return this.views.open(picture, options);
  }

  on<Name extends keyof RoomEvents>(name: Name, listener: (value: RoomEvents[Name]) => void): () => void {
    return this.events.on(name, listener);
  }

  async stats(): Promise<RoomStats> {
    const reports = (await this.call.connections?.reports().catch(() => null)) ?? null;
    return this.meter.measure(reports, this.slots, this.people.get());
  }

  async leave(): Promise<void> {
    if (this.over) return;
    const left = this.call.leave();
    this.end();
    this.state.change({ call: 'closed', failure: null });
    await left;
  }

  private device(source: 'microphone' | 'camera'): LocalDevice {
    const open = source === 'camera' ? openCamera : openMicrophone;
    return new LocalDevice({
      open: (deviceId) => open(deviceId ?? undefined),
      send: (track) => this.call.setTrack(source, track),
      sends: (on) => this.switches.set(source, on),
      staysOpen: source === 'microphone',
    });
  }

  private myself(): Me {
    const { mic, camera, screen, commands, level } = this;
    return {
      mic: {
        state: mic.state,
        level,
        on: () => mic.on(),
        off: () => mic.off(),
        device: (id) => mic.device(id),
      },
      camera,
      screen,
      rename: (name) => commands.send({ type: 'rename', name }),
      hand: (up) => commands.send({ type: 'hand', up }),
      react: (reaction) => commands.send({ type: 'react', reaction }, true),
    };
  }

  private listen(): void {
    const { call, signaling, known, views } = this;
    call.on('joined', (joined) => this.joined(joined));
    call.on('slots', (slots) => {
      this.slots = slots;
      this.sound.take(slots);
    });
    call.on('bound', ({ missing = [] }) => views.take({ slots: this.slots, missing }));
    call.on('speakers', (speakers) => {
      this.speakers = speakers;
      this.hear();
    });
    call.on('state', ({ state, failure }) => {
      this.state.change({ call: state, failure });
      if (state === 'reconnecting') this.deafen();
      if (state === 'connected') this.signaling.hurry();
      if (state === 'failed') this.end();
    });
    signaling.on('state', (state) => {
      this.state.change({ signaling: state });
      this.switches.connect(state === 'connected');
    });
    known.people.subscribe(() => this.see());
    known.locked.subscribe(() => this.state.change({ locked: known.locked.get() }));
    this.camera.state.subscribe(() => this.showOwn());
    this.screen.state.subscribe(() => this.showOwn());
  }

  private begin(): void {
    const { mic, camera } = this.options;
    for (const [device, wish] of [[this.mic, mic] as const, [this.camera, camera] as const]) {
      if (wish === true) void device.on();
      else if (wish !== undefined && wish !== false) void device.take(wish);
    }
    void this.sound.start();
    this.signaling.start();
    this.call.start();
  }

  private joined({ participant, room }: JoinedCall): void {
    this.state.change({ participant });
    this.views.take({ me: participant });
    this.known.begin(room);
    this.see();
  }

  /** Who is there, or what they do, is another now. */
  private see(): void {
    const people = this.people.get();
    this.switches.take(this.own());
    this.rule();
    this.views.take({ people });
    this.hear();
  }

  private hear(): void {
    const { now, mainly } = speakingOf(this.people.get(), this.speakers);
    const before = this.speaking.get();
    const speaker = speakerOf(this.people.get(), this.state.get().participant, mainly, this.speaker);
    if (speaker !== this.speaker) {
      this.speaker = speaker;
      this.views.take({ speaker });
    }
    const isSame = now.size === before.now.size && [...now].every((id) => before.now.has(id));
    if (isSame && mainly === before.mainly) return;
    this.speaking.set({ now: isSame ? before.now : now, mainly });
  }

  /** Nobody is heard while the connection is lost; who spoke mainly stays in the picture. */
  private deafen(): void {
    this.speakers = { ...this.speakers, speaking: [] };
    this.hear();
  }

  private showOwn(): void {
    const [camera, screen] = [this.camera.state.get().track, this.screen.state.get().track];
    this.views.take({ own: { camera, screen } });
  }

  /** What the rights say of one's own devices; before the room has said anything, those of the token. */
  private rule(): void {
    const own = this.own();
    // Everything is offered to the server: a right may be given later.
    const offered = sourcesOf(this.entrance.claims.grants);
    const may = (source: Source, right: Right): boolean =>
      own === undefined ? offered.includes(source) : own.rights.includes(right);
    const isMuted = (source: Source): boolean => sourceOf(own, source)?.state === 'muted';
    this.mic.rule(may('microphone', 'microphone'), isMuted('microphone'));
    this.camera.rule(may('camera', 'camera'), isMuted('camera'));
    this.screen.rule(may('screen', 'screen'), isMuted('screen'));
  }

  private muted(source: Source): void {
    if (source === 'microphone') void this.mic.off();
    else if (source === 'camera') void this.camera.off();
    else void this.screen.stop();
  }

  /** Phones take devices and stop what plays while they are locked or a call comes in. */
  private wake(): void {
    this.mic.wake();
    this.camera.wake();
    this.sound.wake();
    this.views.wake();
  }

  private own(): Person | undefined {
    return this.people.get().get(this.state.get().participant ?? '');
  }

  private name(): string {
    return this.entrance.claims.name ?? this.own()?.name ?? this.options.name ?? '';
  }

  /** Gives back what was taken from the person, and tells nothing any more but how it ended. */
  private end(): void {
    if (this.over) return;
    this.over = true;
    this.life.close();
    this.level.close();
    for (const part of [this.mic, this.camera, this.screen, this.switches]) part.close();
    this.sound.close();
    this.views.close();
    this.chat.close();
    this.known.close();
    this.events.close();
    void this.signaling.close().catch(() => undefined);
    this.state.change({ signaling: 'closed' });
  }
}
