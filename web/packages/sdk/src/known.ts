/**
 * What a page knows of a broadcast and of the way to it, from whoever told it, and what follows for the words that a
 * person reads. Pure: a fact changes what is known, in whatever order facts come; no word is said that no fact backs.
 *
 * What is known has four sources, and none speaks for another:
 *
 * | Source | tells | is believed until |
 * |---|---|---|
 * | requests | whether the server answers | the next answer, or none |
 * | signaling | the publisher, the status | the connection to it is lost; CLOSED and times for good |
 * | the media path | whether media can come, what comes | its next state |
 * | the browser | whether there is a network | it says otherwise |
 */

import type { Layers, VideoChoice } from './layers.js';
import { hasForeignCodec, isLineTooSlow, isSent } from './layers.js';
import type { LinkFailure, LinkState } from './peer-link.js';
import type { SignalingState } from './signaling.js';
import type { Broadcast, BroadcastState, MediaState, Source, Status } from './types.js';

/** What a page knows. */
export interface Known {
  /** The browser has a network. */
  readonly online: boolean;
  /** Whether the server answered last; null where that is not known any more. */
  readonly answers: boolean | null;
  readonly signaling: SignalingState;
  readonly link: LinkState;
  readonly failure: LinkFailure | null;
  /** The media path has been there before. */
  readonly wasConnected: boolean;
  /** Null while nobody has told. CLOSED is final. */
  readonly status: Status | null;
  /** It has been live, whatever its times say. */
  readonly wasLive: boolean;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  /** What the publisher's media does; null while nobody tells. */
  readonly media: MediaState | null;
  /** Whether the publisher sends a camera or a screen; null while nobody tells. */
  readonly sendsPicture: boolean | null;
  /** The same of a microphone or the sound of a screen. */
  readonly sendsSound: boolean | null;
  /** Whether a picture and sound arrive. */
  readonly picture: boolean;
  readonly sound: boolean;
  /** Measurements without a picture, since one was to come. */
  readonly missed: number;
  /** What the server says that it sends on this path; null while it has not said. */
  readonly layers: Layers | null;
  readonly choice: VideoChoice;
  /** A codec that this browser cannot decode. */
  readonly undecodable: string | null;
}

/** Something that a page learns. */
export type Fact =
  | { of: 'network'; online: boolean }
  /** A request was answered, with whatever, or not. */
  | { of: 'request'; answered: boolean }
  | { of: 'signaling'; state: SignalingState }
  /** Signaling told of the broadcast. */
  | { of: 'told'; state: BroadcastState }
  /** The server answered what the broadcast is. */
  | { of: 'asked'; broadcast: Pick<Broadcast, 'status' | 'started_at' | 'ended_at'> }
  | { of: 'link'; state: LinkState; failure: LinkFailure | null }
  /** Tracks of a new connection: nothing has come of them yet. */
  | { of: 'tracks' }
  /**
   * Once a second while something comes over the media path. Where nothing comes at all, not even from the server itself,
   * it is the path that is lost, and the link says so: nothing is known of the picture.
   */
  | { of: 'measured'; picture: boolean; sound: boolean }
  | { of: 'layers'; layers: Layers | null }
  | { of: 'choice'; choice: VideoChoice }
  | { of: 'undecodable'; codec: string | null };

/** Before anybody told anything. */
export const NOTHING_KNOWN: Known = {
  online: true,
  answers: null,
  signaling: 'connecting',
  link: 'idle',
  failure: null,
  wasConnected: false,
  status: null,
  wasLive: false,
  startedAt: null,
  endedAt: null,
  media: null,
  sendsPicture: null,
  sendsSound: null,
  picture: false,
  sound: false,
  missed: 0,
  layers: null,
  choice: 'auto',
  undecodable: null,
};

/** A picture that does not come for so many measurements is not on its way: then there is a reason to name. */
const PATIENCE = 3;

/** What is known with one more fact. The same object if nothing has changed. */
export function learn(known: Known, fact: Fact): Known {
  const next = { ...known, ...changeOf(known, fact) };
  return (Object.keys(next) as (keyof Known)[]).every((key) => next[key] === known[key]) ? known : next;
}

function changeOf(known: Known, fact: Fact): Partial<Known> {
  switch (fact.of) {
    case 'network':
      // What was tried on another network says nothing of this one.
      return fact.online ? { online: true, answers: known.online ? known.answers : null } : { online: false };
    case 'request':
      return { answers: fact.answered };
    case 'signaling':
      // Of what the publisher does now nobody tells any more; what was final stays.
      if (fact.state !== 'connected')
        return {
          signaling: fact.state,
          ...mediaIs(known, null),
          sendsPicture: null,
          sendsSound: null,
          ...doubted(known),
        };
      return { signaling: fact.state, answers: true };
    case 'told':
      return told(known, fact.state);
    case 'asked':
      return statusOf(known, fact.broadcast.status, fact.broadcast.started_at, fact.broadcast.ended_at);
    case 'link':
      return linked(known, fact.state, fact.failure);
    case 'tracks':
      return { picture: false, sound: false, missed: 0, layers: null };
    case 'measured': {
      if (known.link !== 'connected') return {};
      const { picture, sound } = fact;
      return { picture, sound, missed: picture ? 0 : known.missed + 1 };
    }
    case 'layers':
      return { layers: fact.layers };
    case 'choice':
      return { choice: fact.choice, missed: 0 };
    case 'undecodable':
      return { undecodable: fact.codec };
  }
}

function told(known: Known, state: BroadcastState): Partial<Known> {
  const { started_at, ended_at, media, tracks } = state;
  const status = state.deleted === true ? 'CLOSED' : state.status;
  const lasting = statusOf(known, status ?? known.status, started_at ?? null, ended_at ?? null);
  // A late word of a connection that is gone.
  if (known.signaling !== 'connected') return lasting;
  const sends = (...sources: Source[]): boolean | null =>
    tracks?.some(({ source, active }) => active && sources.includes(source)) ?? null;
  return {
    ...lasting,
    ...mediaIs(known, media ?? null),
    sendsPicture: sends('camera', 'screen'),
    sendsSound: sends('microphone', 'screen_audio'),
  };
}

/** While a publisher is lost no picture is missed: when it is back, its picture is to come anew. */
function mediaIs(known: Known, media: MediaState | null): Partial<Known> {
  return known.media === 'lost' && media !== 'lost' ? { media, missed: 0 } : { media };
}

/** A status never goes back, and a time that was known stays known. */
function statusOf(
  known: Known,
  status: Status | null,
  startedAt: string | null,
  endedAt: string | null,
): Partial<Known> {
  const order: readonly (Status | null)[] = [null, 'READY', 'STREAMING', 'CLOSED'];
  const later = order.indexOf(status) > order.indexOf(known.status) ? status : known.status;
  const wasLive = known.wasLive || status === 'STREAMING' || startedAt !== null;
  const times = { startedAt: startedAt ?? known.startedAt, endedAt: endedAt ?? known.endedAt };
  return { status: later, wasLive, ...times };
}

function linked(known: Known, state: LinkState, failure: LinkFailure | null): Partial<Known> {
  const change: Partial<Known> = { link: state, failure };
  if (state === 'connected') {
    // It is the path that counts now, not the request that failed before.
    return { ...change, answers: null, wasConnected: true, wasLive: true, missed: 0 };
  }
  if (failure === 'network') return { ...change, answers: false };
  // Any other refusal is an answer; a path that was not found is none.
  if (failure !== null && failure !== 'ice' && failure !== 'dtls') return { ...change, answers: true };
  return state === 'reconnecting' ? { ...change, ...doubted(known) } : change;
}

/** Something is lost: that the server answered before says nothing any more; that it did not still stands. */
function doubted({ answers }: Known): Partial<Known> {
  return { answers: answers === false ? false : null };
}

/** What is the matter, for who watches. */
export type Situation =
  | { kind: 'shown' }
  /** `lastedMs` is null where it is not known, 0 where it never was live. */
  | { kind: 'ended'; lastedMs: number | null }
  | { kind: 'codec'; codec: string | null; sound: boolean }
  | { kind: 'failed'; failure: LinkFailure }
  | { kind: 'offline' }
  | { kind: 'server-away'; givenUp: boolean }
  | { kind: 'connecting' }
  | { kind: 'reconnecting'; failure: LinkFailure | null }
  | { kind: 'not-started' }
  | { kind: 'publisher-lost' }
  | { kind: 'waiting' }
  | { kind: 'sound-only' }
  | { kind: 'slow-line' }
  | { kind: 'camera-off' }
  /** Neither picture nor sound is sent. */
  | { kind: 'all-off' };

/** What is the matter, for who watches. */
export function viewing(known: Known): Situation {
  const { status, link, failure, undecodable } = known;
  if (status === 'CLOSED') return { kind: 'ended', lastedMs: lasted(known) };
  if (link === 'connected') return arriving(known);
  if (link === 'failed' && failure === 'ended') return { kind: 'ended', lastedMs: null };
  if (link === 'failed' && failure === 'codec') return { kind: 'codec', codec: undecodable, sound: false };
  const away = unreachable(known);
  if (away !== null) return away;
  if (link === 'failed') return { kind: 'failed', failure: failure ?? 'server' };
  if (link === 'waiting') return absent(known);
  if (link === 'reconnecting') return { kind: 'reconnecting', failure };
  return { kind: 'connecting' };
}

/** There is a media path: what comes over it, and if nothing does, why. */
function arriving(known: Known): Situation {
  const { media, picture, sound, missed, layers, undecodable } = known;
  if (media === 'lost') return { kind: 'publisher-lost' };
  if (known.choice === 'audio' && layers !== null) return { kind: 'sound-only' };
  if (undecodable !== null) return { kind: 'codec', codec: undecodable, sound };
  if (picture) return { kind: 'shown' };
  if (hasForeignCodec(layers)) return { kind: 'codec', codec: null, sound };
  if (isLineTooSlow(layers)) return { kind: 'slow-line' };
  if (missed < PATIENCE || !sendsNoPicture(known)) return { kind: 'waiting' };
  if (sound) return { kind: 'camera-off' };
  return known.sendsSound === false ? { kind: 'all-off' } : { kind: 'waiting' };
}

/** Whether somebody who knows says that there is no picture: signaling does while it is there, or else the server. */
function sendsNoPicture({ sendsPicture, layers }: Known): boolean {
  if (sendsPicture !== null) return !sendsPicture;
  return layers !== null && layers.media.length > 0 && !isSent(layers, 'camera') && !isSent(layers, 'screen');
}

/** The server has nothing to play. */
function absent({ status, media, wasConnected }: Known): Situation {
  if (status === null) return { kind: 'connecting' };
  if (status === 'READY') return { kind: 'not-started' };
  // At the start one source is a moment ahead of the other.
  return media === 'lost' || (media === null && wasConnected)
    ? { kind: 'publisher-lost' }
    : { kind: 'waiting' };
}

function unreachable({ online, answers, link }: Known): Situation | null {
  if (!online) return { kind: 'offline' };
  return answers === false ? { kind: 'server-away', givenUp: link === 'failed' } : null;
}

function lasted({ startedAt, endedAt, wasLive }: Known): number | null {
  if (endedAt === null) return null;
  if (startedAt !== null) return Math.max(Date.parse(endedAt) - Date.parse(startedAt), 0);
  return wasLive ? null : 0;
}

/** What is the matter, for who sends: viewers get something only where it says `live`. */
export type Sending = 'live' | 'starting' | 'reconnecting' | 'server-away' | 'offline' | 'failed';

/** What is the matter, for who sends. */
export function sending(known: Known): Sending {
  const { link, wasConnected } = known;
  if (link === 'connected') return 'live';
  const away = unreachable(known);
  if (away !== null) return away.kind === 'offline' ? 'offline' : 'server-away';
  if (link === 'failed') return 'failed';
  return wasConnected ? 'reconnecting' : 'starting';
}

/** What a list is worth: `old` while nobody would tell of a change, and nobody has been asked since. */
export type Listing = 'current' | 'old' | 'server-away' | 'offline';

/** What a list of broadcasts is worth. */
export function listing(known: Known): Listing {
  if (!known.online) return 'offline';
  if (known.answers === false) return 'server-away';
  const lost = known.signaling === 'lost' || known.link === 'reconnecting';
  return lost && known.answers === null ? 'old' : 'current';
}
