import type { ChatSanction, ChatSettings, ChatStatus, Refusal } from '@madang/sdk';
import { t } from '../texts';
import { clockTime, momentOf } from './format';

const DAY_MS = 24 * 3_600_000;

/** "45 s", "3 min", "2 h": how long something still lasts, rounded up so that it is over by then. */
export function lasting(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  if (seconds < 90) return t.chatSeconds(seconds);
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 90) return t.chatMinutes(minutes);
  const hours = Math.ceil(minutes / 60);
  return hours < 48 ? t.chatHours(hours) : t.chatDays(Math.ceil(hours / 24));
}

/** A time of today, or the day as well. */
export function whenWords(at: number, nowMs: number): string {
  return Math.abs(at - nowMs) < DAY_MS / 2 ? clockTime(at) : momentOf(at);
}

/** Whether a sanction still keeps somebody from writing. */
export function holds(sanction: ChatSanction | null, nowMs: number): sanction is ChatSanction {
  return sanction !== null && sanction.kind !== 'lifted' && (sanction.until ?? Infinity) > nowMs;
}

/** What keeps this person from writing, and until when. */
export function sanctionWords({ kind, until, reason }: ChatSanction, nowMs: number): string {
  const what =
    kind === 'ban' && until === undefined
      ? t.chatBanned
      : until === undefined
        ? t.chatTimedOutForever
        : t.chatTimedOut(whenWords(until, nowMs), lasting(until - nowMs));
  return reason === undefined || reason === '' ? what : `${what} ${t.chatReason(reason)}`;
}

/** Who may write, where that is not everybody; null where it is. */
export function whoMayWrite({ slow_seconds: slow, followers_minutes: minutes }: ChatSettings): string | null {
  const words = [
    ...(minutes === undefined
      ? []
      : [minutes === 0 ? t.chatKnownOnly : t.chatFollowers(lasting(minutes * 60_000))]),
    ...(slow === 0 ? [] : [t.chatSlow(lasting(slow * 1_000))]),
  ];
  return words.length === 0 ? null : words.join(' ');
}

/** Why a message was not sent, and when it can be. `at`: when it was refused. */
export function refusalWords(
  refusal: Refusal,
  at: number,
  status: Pick<ChatStatus, 'sanction' | 'settings'>,
  nowMs: number,
): string {
  const { reason, retryAfterMs, message = '' } = refusal;
  const left = retryAfterMs === null ? null : at + retryAfterMs - nowMs;
  const again = left === null ? '' : left > 0 ? ` ${t.chatAgainIn(lasting(left))}` : ` ${t.chatAgainNow}`;
  switch (reason) {
    case 'right':
      if (holds(status.sanction, nowMs)) return `${t.chatNotSent} ${sanctionWords(status.sanction, nowMs)}`;
      if (status.settings.followers_minutes !== undefined && left !== null)
        return `${t.chatNotSent} ${whoMayWrite({ ...status.settings, slow_seconds: 0 }) ?? ''}${again}`;
      return `${t.chatNoRight}${again}`;
    case 'rate':
      return `${status.settings.slow_seconds > 0 ? t.chatTooSoon : t.chatTooFast}${again}`;
    case 'state':
      return message === '' ? t.chatNotNow : `${t.chatNotSent} ${message}`;
    default:
      return message === '' ? t.chatRefused : `${t.chatNotSent} ${message}`;
  }
}

/** Why something that was asked of a chat was not done. */
export function orderWords({ reason, message = '' }: Refusal): string {
  if (reason === 'lost') return t.commandLost;
  if (reason === 'right') return t.commandRight;
  if (reason === 'rate') return t.commandRate;
  return message === '' ? t.commandState : message;
}
