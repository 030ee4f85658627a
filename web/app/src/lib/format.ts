import { language, t } from '../texts';

const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
const clock = new Intl.DateTimeFormat(language, { hour: 'numeric', minute: '2-digit' });
const moment = new Intl.DateTimeFormat(language, {
  month: 'short',
  day: 'numeric',
  hour: 'numeric',
  minute: '2-digit',
});

const day = new Intl.DateTimeFormat(language, { weekday: 'short', month: 'short', day: 'numeric' });

const UNITS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "5 min. ago" for a time in RFC 3339. */
export function ago(time: string, nowMs: number = Date.now()): string {
  const seconds = Math.max((nowMs - Date.parse(time)) / 1000, 0);
  for (const [unit, size] of UNITS) {
    if (seconds >= size) return relative.format(-Math.floor(seconds / size), unit);
  }
  // "now" would read as a command after "Started".
  return t.now;
}

/** "Nov 22, 3:15 PM" for a time in RFC 3339; a time without a calendar day is as it was written. */
export function calendarTime(time: string): string {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? time : moment.format(ms);
}

/** Embeddings, overrides and isolates of the bidirectional algorithm (Unicode UAX 9, section 2). */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

/** A text without the marks that turn what comes after it; letters that are written from the right stay what they are. */
export function plain(text: string): string {
  return text.replace(TURNING, '');
}

/** "1:02:03" or "2:03" for a duration in milliseconds. */
export function duration(ms: number): string {
  const total = Math.max(Math.floor(ms / 1000), 0);
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** Milliseconds between two times in RFC 3339; null if either is missing. */
export function between(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : Date.parse(to) - Date.parse(from);
}

/** "3:15 PM" for Unix milliseconds. */
export function clockTime(ms: number): string {
  return clock.format(ms);
}

/** "Nov 22, 3:15 PM" for now. */
export function momentOf(ms: number): string {
  return moment.format(ms);
}

/** "Sun, Nov 22" for Unix milliseconds. */
export function dayWords(ms: number): string {
  return day.format(ms);
}

/** "2.4 Mbit/s" or "64 kbit/s". */
export function bitrate(kbps: number): string {
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mbit/s` : `${Math.round(kbps)} kbit/s`;
}

/** "12 ms", or "n/a" where it is not known. */
export function milliseconds(ms: number | null): string {
  return ms === null ? t.notAvailable : `${Math.round(ms)} ms`;
}

/** "0.3 %", or "n/a" where it is not known. */
export function percent(value: number | null): string {
  return value === null ? t.notAvailable : `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}
