import type { CallFailure, CallState } from '../call.js';
import type { CaptureFailure } from '../capture.js';
import type { RoomChat } from '../chat/types.js';
import type { Outcome } from '../replies.js';
import type { Signaling, SignalingState } from '../signaling.js';
import type { Person, ReactionKind, Right, Source, SourceState, WhyGone, WhyMissing } from '../types.js';

/** A value that changes. `get` gives the same object until it changes, as `useSyncExternalStore` wants it. */
export interface Store<T> {
  get(): T;
  /** Calls `listener` after each change until the returned function is called. */
  subscribe(listener: () => void): () => void;
}

/**
 * A picture somebody publishes, or `speaker`: the camera of whoever speaks mainly, but never one's own; before anybody
 * has spoken, of the first who is seen.
 */
export type PictureOf = { participant: string; source: 'camera' | 'screen' } | 'speaker';

/** How a room stands for this page. */
export interface RoomState {
  call: CallState;
  failure: CallFailure | null;
  /** Chat, names and commands go over it; media does not wait for it. */
  signaling: SignalingState;
  locked: boolean;
  /** Whose session this is; null until it has begun for the first time. */
  participant: string | null;
}

/** Who speaks, by participant. */
export interface Speaking {
  now: ReadonlySet<string>;
  /** Whoever speaks mainly; null before anybody has. */
  mainly: string | null;
}

/** A device of one's own. */
export interface DeviceState {
  /** `blocked`: a moderator muted it or took the right to it. */
  state: 'off' | 'starting' | 'on' | 'blocked';
  /** Whether the rights of this participant cover it. */
  allowed: boolean;
  track: MediaStreamTrack | null;
  /** Null for the default one. */
  deviceId: string | null;
  failure: CaptureFailure | null;
}

/** Microphone or camera. */
export interface Device {
  readonly state: Store<DeviceState>;
  on(): Promise<void>;
  off(): Promise<void>;
  /** Uses another device, at once if this one is on; null is the default one. */
  device(id: string | null): Promise<void>;
}

/** Makes another track of a camera's, a blurred background for example. */
export interface Effect {
  apply(track: MediaStreamTrack): Promise<{ track: MediaStreamTrack; stop(): void }>;
}

export interface Camera extends Device {
  /** Null shows the camera as it is. */
  effect(effect: Effect | null): Promise<void>;
}

export interface Microphone extends Device {
  /** How loud it is in front of the microphone, 0 to 1, also while it is off: for the meter and "you are muted". */
  readonly level: Store<number>;
}

export interface ScreenState {
  state: 'off' | 'starting' | 'on' | 'blocked';
  allowed: boolean;
  track: MediaStreamTrack | null;
  /** `without`: nothing was offered or the browser cannot keep our own sound out of it. */
  audio: 'off' | 'on' | 'without';
  failure: CaptureFailure | null;
}

export interface Screen {
  readonly state: Store<ScreenState>;
  share(options?: { audio?: boolean }): Promise<void>;
  stop(): Promise<void>;
}

/** Oneself. */
export interface Me {
  readonly mic: Microphone;
  readonly camera: Camera;
  readonly screen: Screen;
  rename(name: string): Promise<Outcome>;
  hand(up: boolean): Promise<Outcome>;
  react(reaction: ReactionKind): Promise<Outcome>;
}

/** What a view shows. `covered`: the right frame is not painted yet, so the element shows nothing. */
export interface ViewState {
  state: 'off' | 'covered' | 'shown' | 'missing';
  /** Whose picture it is: of interest where `speaker` is viewed. */
  participant: string | null;
  why: WhyMissing | null;
  /** Pixels of the picture. */
  width: number;
  height: number;
}

export interface ViewOptions {
  /** Shows the picture; its size on the screen and whether it is visible are observed. */
  el: HTMLVideoElement;
  /** The lower, the more important where the line is short. */
  priority?: number;
  pin?: boolean;
  /** Where a picture out of sight is wanted all the same: picture-in-picture. */
  always?: boolean;
}

/** A picture in an element of the page. */
export interface View {
  readonly state: Store<ViewState>;
  change(options: Omit<Partial<ViewOptions>, 'el'>): void;
  close(): void;
}

/** Everybody's sound, in elements that are made once. */
export interface RoomSound {
  /** `blocked`: the browser wants a click, in which {@link start} is called. */
  readonly state: Store<'off' | 'playing' | 'blocked'>;
  start(): Promise<void>;
  stop(): void;
  /** 0 to 1. */
  volume(volume: number): void;
  /** Another loudspeaker, where the browser can. */
  output(deviceId: string): Promise<void>;
}

export interface Moderation {
  mute(participant: string, source?: Source): Promise<Outcome>;
  lowerHand(participant: string): Promise<Outcome>;
  remove(participant: string): Promise<Outcome>;
  lock(on: boolean): Promise<Outcome>;
  grant(participant: string, right: Right): Promise<Outcome>;
  revoke(participant: string, right: Right): Promise<Outcome>;
}

/** Derived from the differences of what is known, so that a resume or a late snapshot tells the same. */
export interface RoomEvents {
  joined: Person;
  left: { person: Person; why: WhyGone };
  switched: { person: Person; source: Source; state: SourceState };
  hand: { person: Person; up: boolean };
  rights: { person: Person; gained: Right[]; lost: Right[] };
  reaction: { person: Person; reaction: ReactionKind };
}

/** What a call costs and how well it goes, for the statistics panel. */
export interface RoomStats {
  sendKbps: number;
  receiveKbps: number;
  roundTripMs: number | null;
  lostPercent: number;
  /** By participant and source: what is received. */
  pictures: readonly { participant: string; source: Source; width: number; height: number; fps: number }[];
}

/** By which other parts of a page reach what belongs to a room: the whiteboard. */
export interface RoomLink {
  /** The connection of the room; whoever opened the room closes it. */
  signaling: Signaling;
  /** The base URL of signaling's HTTP, without a slash at its end; empty for the page's own origin. */
  url: string;
  /** The name of the room in signaling's destinations and paths. */
  room: string;
  /** The token of each request; none in a room that asks for none. */
  token?: () => Promise<string | undefined>;
}

/** A room that this page is in. */
export interface Room {
  readonly group: string;
  readonly link: RoomLink;
  readonly state: Store<RoomState>;
  /** Everybody, oneself too, in the order in which they came. */
  readonly people: Store<ReadonlyMap<string, Person>>;
  readonly speaking: Store<Speaking>;
  readonly me: Me;
  readonly sound: RoomSound;
  readonly chat: RoomChat;
  readonly moderate: Moderation;
  /** Shows a picture; one's own comes from the camera itself. */
  view(picture: PictureOf, options: ViewOptions): View;
  on<Name extends keyof RoomEvents>(name: Name, listener: (value: RoomEvents[Name]) => void): () => void;
  stats(): Promise<RoomStats>;
  leave(): Promise<void>;
}

/** `joinRoom(url, token, options)`: `url` is the origin of the services, without a slash at its end. */
export type JoinRoom = (
  url: string,
  token: string | (() => Promise<string>),
  options?: JoinOptions,
) => Promise<Room>;

/** How a room is joined. */
export interface JoinOptions {
  /** On from the start; a track is taken as it is, `true` opens the default device. */
  mic?: boolean | MediaStreamTrack;
  camera?: boolean | MediaStreamTrack;
  name?: string;
  /** Slots; what is left out is as for a computer's page. */
  receive?: { tiles?: number; stages?: number; screens?: number; voices?: number };
}
