/** What the pages keep in the browser. Storage may be off: then nothing is kept and nothing fails. */

import type { VideoChoice } from '@madang/sdk';
import type { KeptRead } from './read-mark';

const STUDIO = 'madang.studio';
const CREATION = 'madang.creation';
const NAME = 'madang.name';
const GUEST = 'madang.guest.';
const CALL = 'madang.call.';
const OWNER = 'madang.call-owner.';
const CREATOR = 'madang.creator';
const BLUR = 'madang.blur';
const VIDEO = 'madang.video';
const READ = 'madang.read.';
const SOUND = 'madang.sound';
const THEATRE = 'madang.theatre';
const BANNER = 'madang.banner-read';
const PLANS = 'madang.plans';
const CALL_VIEW = 'madang.call-view';
/** Plans that one browser keeps. */
export const MAX_PLANS = 20;
/** No picture is higher. */
const MAX_HEIGHT = 8_640;

/** The broadcast that this tab sends; only ever in the tab's own storage. */
export interface KeptBroadcast {
  id: number;
  streamKey: string;
  ownerKey: string;
  whipUrl: string;
  watchUrl: string;
}

/** What was asked for when a broadcast was created, until the answer is there. */
export interface KeptCreation {
  body: { name: string; description: string };
  /** Its Idempotency-Key. */
  key: string;
  /** The creator token, where one was given. */
  token?: string;
}

/** A guest token, kept so that a reload is not a second viewer. */
export interface KeptToken {
  token: string;
  participantId: string;
  expiresAt: number;
}

/** A token of a call, kept so that a reload comes back as the same participant. */
export interface KeptCallToken extends KeptToken {
  /** The name that it carries, may be empty. */
  name: string;
}

/** The tab's own broadcast. */
export const keptBroadcast = {
  read: (): KeptBroadcast | null => {
    const kept = read(() => sessionStorage, STUDIO, isKeptBroadcast);
    // Kept before there were owner keys: the stream key owns such a broadcast.
    return kept === null ? null : { ...kept, ownerKey: kept.ownerKey ?? kept.streamKey };
  },
  write: (kept: KeptBroadcast): void => write(() => sessionStorage, STUDIO, kept),
  clear: (): void => write(() => sessionStorage, STUDIO, null),
};

/** The tab's creation whose answer has not come; only ever in the tab's own storage. */
export const keptCreation = {
  read: (): KeptCreation | null => read(() => sessionStorage, CREATION, isKeptCreation),
  write: (kept: KeptCreation): void => write(() => sessionStorage, CREATION, kept),
  clear: (): void => write(() => sessionStorage, CREATION, null),
};

/** The tab's guest token of a broadcast. */
export const keptToken = {
  read: (id: number): KeptToken | null => read(() => sessionStorage, GUEST + String(id), isKeptToken),
  write: (id: number, kept: KeptToken): void => write(() => sessionStorage, GUEST + String(id), kept),
  clear: (id: number): void => write(() => sessionStorage, GUEST + String(id), null),
};

/** The tab's token of the call of a group. */
export const keptCallToken = {
  read: (group: string): KeptCallToken | null => read(() => sessionStorage, CALL + group, isKeptCallToken),
  write: (group: string, kept: KeptCallToken): void => write(() => sessionStorage, CALL + group, kept),
  clear: (group: string): void => write(() => sessionStorage, CALL + group, null),
};

/** The owner key of a group that this tab made; only ever in the tab's own storage. */
export const keptOwnerKey = {
  read: (group: string): string | null => read(() => sessionStorage, OWNER + group, isText),
  write: (group: string, key: string): void => write(() => sessionStorage, OWNER + group, key),
  clear: (group: string): void => write(() => sessionStorage, OWNER + group, null),
};

/** The creator token that this tab made a call with; only ever in the tab's own storage. */
export const keptCreatorToken = {
  read: (): string => read(() => sessionStorage, CREATOR, isText) ?? '',
  write: (token: string): void => write(() => sessionStorage, CREATOR, token),
  clear: (): void => write(() => sessionStorage, CREATOR, null),
};

/** Whether this person blurs what is behind it. */
export const keptBlur = {
  read: (): boolean =>
    read(
      () => localStorage,
      BLUR,
      (value) => typeof value === 'boolean',
    ) ?? false,
  write: (on: boolean): void => write(() => localStorage, BLUR, on),
};

/** The name that this person chats under. */
export const keptName = {
  read: (): string => read(() => localStorage, NAME, isText) ?? '',
  write: (name: string): void => write(() => localStorage, NAME, name),
};

/** How far the tab has read the chat of a room. */
export const keptRead = {
  read: (room: string): KeptRead | null => read(() => sessionStorage, READ + room, isKeptRead),
  write: (room: string, kept: KeptRead): void => write(() => sessionStorage, READ + room, kept),
};

/** The picture that this person chose last. */
export const keptVideo = {
  read: (): VideoChoice => read(() => localStorage, VIDEO, isVideoChoice) ?? 'auto',
  write: (choice: VideoChoice): void => write(() => localStorage, VIDEO, choice),
};

/** How loud this person watches, and whether at all. */
export interface KeptSound {
  /** 0 to 1. */
  volume: number;
  muted: boolean;
}

export const keptSound = {
  read: (): KeptSound => read(() => localStorage, SOUND, isKeptSound) ?? { volume: 1, muted: false },
  write: (kept: KeptSound): void => write(() => localStorage, SOUND, kept),
};

/** Whether this person watches in the wide layout. */
export const keptTheatre = {
  read: (): boolean => read(() => localStorage, THEATRE, isFlag) ?? false,
  write: (on: boolean): void => write(() => localStorage, THEATRE, on),
};

/** Whether the banner of the development mode was read in this tab. */
export const keptBanner = {
  read: (): boolean => read(() => sessionStorage, BANNER, isFlag) ?? false,
  write: (): void => write(() => sessionStorage, BANNER, true),
};

/** A broadcast that was planned in this browser: what it takes to begin it, or to take it back. */
export interface KeptPlan extends KeptBroadcast {
  name: string;
  description: string;
  /** When it is to begin, RFC 3339. */
  plannedAt: string;
}

/** What was planned in this browser, the latest last: kept beyond the tab, or nobody could begin it tomorrow. */
export const keptPlans = {
  read: (): readonly KeptPlan[] => read(() => localStorage, PLANS, isPlans) ?? [],
  write: (plans: readonly KeptPlan[]): void =>
    write(() => localStorage, PLANS, plans.length === 0 ? null : plans.slice(-MAX_PLANS)),
};

/** How this person looks at calls. */
export interface KeptCallView {
  view: 'grid' | 'speaker';
  selfView: boolean;
  mirror: boolean;
}

export const keptCallView = {
  read: (): KeptCallView | null => read(() => localStorage, CALL_VIEW, isKeptCallView),
  write: (kept: KeptCallView): void => write(() => localStorage, CALL_VIEW, kept),
};

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isKeptSound(value: unknown): value is KeptSound {
  const { volume, muted } = (value ?? {}) as Partial<KeptSound>;
  return typeof volume === 'number' && volume >= 0 && volume <= 1 && isFlag(muted);
}

function isPlans(value: unknown): value is KeptPlan[] {
  const isPlan = (plan: unknown): boolean => {
    const { ownerKey, name, description, plannedAt } = (plan ?? {}) as Partial<KeptPlan>;
    return isKeptBroadcast(plan) && [ownerKey, name, description, plannedAt].every(isText);
  };
  return Array.isArray(value) && value.every(isPlan);
}

function isKeptCallView(value: unknown): value is KeptCallView {
  const { view, selfView, mirror } = (value ?? {}) as Partial<KeptCallView>;
  const isView = view === 'grid' || view === 'speaker';
  return isView && typeof selfView === 'boolean' && typeof mirror === 'boolean';
}

function isVideoChoice(value: unknown): value is VideoChoice {
  const height = typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= MAX_HEIGHT;
  return height || value === 'auto' || value === 'audio';
}

function isKeptRead(value: unknown): value is KeptRead {
  const kept = value as Partial<KeptRead> | null;
  return Number.isInteger(kept?.epoch) && Number.isInteger(kept?.read);
}

function isKeptBroadcast(value: unknown): value is Omit<KeptBroadcast, 'ownerKey'> & { ownerKey?: string } {
  const kept = value as Partial<KeptBroadcast> | null;
  return (
    typeof kept?.id === 'number' && typeof kept.streamKey === 'string' && typeof kept.whipUrl === 'string'
  );
}

function isKeptCreation(value: unknown): value is KeptCreation {
  const kept = value as Partial<KeptCreation> | null;
  return typeof kept?.key === 'string' && typeof kept.body?.name === 'string';
}

function isKeptToken(value: unknown): value is KeptToken {
  const kept = value as Partial<KeptToken> | null;
  return typeof kept?.token === 'string' && typeof kept.expiresAt === 'number';
}

function isKeptCallToken(value: unknown): value is KeptCallToken {
  const { name, participantId } = (value ?? {}) as Partial<KeptCallToken>;
  return isKeptToken(value) && typeof name === 'string' && typeof participantId === 'string';
}

/** In a frame of another site the storage itself may be refused: it is asked for where that is expected. */
type Where = () => Storage;

function read<T>(where: Where, key: string, valid: (value: unknown) => value is T): T | null {
  try {
    const value: unknown = JSON.parse(where().getItem(key) ?? 'null');
    return valid(value) ? value : null;
  } catch {
    return null;
  }
}

function write(where: Where, key: string, value: unknown): void {
  try {
    if (value === null) where().removeItem(key);
    else where().setItem(key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works on, a reload forgets.
  }
}
