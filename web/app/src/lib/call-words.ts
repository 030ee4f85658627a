import type { CallFailure, CaptureFailure, Outcome, Person, Quality } from '@madang/sdk';
import { t } from '../texts';
import type { Obstacle } from './path-check';
import { captureWords } from './words';

/** Why a command was not done. */
type CommandReason = Extract<Outcome, { sent: false }>['reason'];

const COMMANDS: Readonly<Record<CommandReason, string>> = {
  right: t.commandRight,
  rate: t.commandRate,
  state: t.commandState,
  body: t.commandBody,
  full: t.commandFull,
  lost: t.commandLost,
};

/** Why a command was not done, for who gave it. */
export function commandWords(reason: CommandReason): string {
  return COMMANDS[reason];
}

const FAILURES: Readonly<Record<CallFailure, string>> = {
  unauthorized: t.callUnauthorized,
  'not-found': t.callNotFound,
  full: t.callFull,
  locked: t.callLocked,
  removed: t.callRemoved,
  network: t.callNetwork,
  media: t.callMedia,
  server: t.callServer,
};

/** Why somebody is not in a call. */
export function callFailureWords(failure: CallFailure): string {
  return FAILURES[failure];
}

const ADVICE: Readonly<Record<CallFailure, readonly string[]>> = {
  unauthorized: [t.adviceAskLink],
  'not-found': [t.adviceAskLink],
  full: [t.adviceFull],
  locked: [t.adviceLocked],
  removed: [],
  network: [t.adviceNetwork],
  media: [t.adviceOtherNetwork, t.adviceVpn, t.adviceFirewall],
  server: [t.adviceLater],
};

/** Why somebody was not let in, and what can be done about it. */
export function refusedAdvice(failure: CallFailure): { title: string; hints: readonly string[] } {
  return { title: callFailureWords(failure), hints: ADVICE[failure] };
}

const OBSTACLES: Readonly<Record<Obstacle, { title: string; hints: readonly string[] }>> = {
  'server-away': { title: t.callNetwork, hints: [t.adviceNetwork] },
  forbidden: { title: t.pathForbidden, hints: [t.adviceExtension, t.adviceVpn] },
  'relay-refused': { title: t.pathRelayRefused, hints: [t.adviceReload, t.adviceOperator] },
  'udp-blocked': { title: t.pathUdpBlocked, hints: [t.adviceOtherNetwork, t.adviceVpn, t.adviceFirewall] },
  'no-relay': { title: t.pathNoRelay, hints: [t.adviceOtherNetwork, t.adviceVpn, t.adviceOperatorRelay] },
  'no-pair': { title: t.pathNoPair, hints: [t.adviceLater, t.adviceOperator] },
};

/** What is in the way of media, and what can be done about it. */
export function obstacleAdvice(obstacle: Obstacle): { title: string; hints: readonly string[] } {
  return OBSTACLES[obstacle];
}

/** Why a device gives nothing and what to do, for who wants to talk and may do without it. */
export function deviceWords(kind: 'camera' | 'microphone', failure: CaptureFailure): string {
  if (failure !== 'missing') return captureWords(kind, failure);
  return kind === 'camera' ? t.callMissingCamera : t.callMissingMicrophone;
}

const QUALITIES: Readonly<Record<Quality, string>> = {
  good: t.roomQualityGood,
  fair: t.roomQualityFair,
  poor: t.roomQualityPoor,
  lost: t.roomQualityLost,
};

/** How good somebody's connection is. */
export function qualityWords(quality: Quality): string {
  return QUALITIES[quality];
}

/** What somebody is called. */
export function displayName({ name }: Pick<Person, 'name'>): string {
  return name === '' ? t.roomGuest : name;
}
