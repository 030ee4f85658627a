/**
 * Which messages of a busy chat are shown. Nobody reads more than a few a second: beyond that the page shows a sample, at
 * an even pace, and says so. Pure: it is told what comes and when.
 */

/** How a chat has been of late. */
export interface Pace {
  /** When the last messages came, at most {@link MAX_TIMES} of them, in milliseconds. */
  readonly times: readonly number[];
  /** Whether a sample is shown. */
  readonly busy: boolean;
  /** Which busy time it is, or the next one will be. */
  readonly run: number;
  /** Until this time nothing more is shown. */
  readonly notBefore: number;
  /** From this time on it has been slow enough to show everything; null while it is not. */
  readonly calmSince: number | null;
}

/** Messages a second that are all shown. */
export const SHOWN_PER_SECOND = 10;
/** Over this time it is counted. */
const WINDOW_MS = 2_000;
/** So many may come at once: a burst that is read afterwards. */
const BURST = 30;
/** A busy time begins with so many at once; later on no more than these make up for a page that drew nothing. */
const FIRST = 3;
/** A busy time is over when it has been calm for so long. */
const CALM_MS = 3_000;
/** Enough to tell 500 messages a second from 10. */
const MAX_TIMES = 1_000;

export const CALM: Pace = { times: [], busy: false, run: 0, notBefore: 0, calmSince: null };

/** Messages a second now. */
export function perSecond({ times }: Pace, nowMs: number): number {
  const recent = times.length - firstSince(times, nowMs - WINDOW_MS);
  return (recent * 1_000) / WINDOW_MS;
}

/**
 * A number of messages came, of which `wanted` have to be shown whatever the pace. Tells how many of the others may be
 * shown now.
 */
export function pass(pace: Pace, count: number, nowMs: number): { pace: Pace; others: number } {
  const came = Array.from({ length: Math.min(count, MAX_TIMES) }, () => nowMs);
  const kept = pace.times.slice(firstSince(pace.times, nowMs - WINDOW_MS));
  const times = [...kept, ...came].slice(-MAX_TIMES);
  const rate = (times.length * 1_000) / WINDOW_MS;
  // What has come within the window may be as much as a burst and what is shown in that time.
  const isMuch = times.length > BURST + (SHOWN_PER_SECOND * WINDOW_MS) / 1_000;
  const calmSince = rate > SHOWN_PER_SECOND ? null : (pace.calmSince ?? nowMs);
  if (!pace.busy && !isMuch) return { pace: { ...pace, times, calmSince }, others: count };
  if (pace.busy && calmSince !== null && nowMs - calmSince >= CALM_MS)
    return { pace: { ...pace, times, calmSince, busy: false, run: pace.run + 1 }, others: count };
  const step = 1_000 / SHOWN_PER_SECOND;
  const begins = Math.max(pace.busy ? pace.notBefore : 0, nowMs - FIRST * step);
  const others = Math.max(
    0,
    Math.min(count, Math.floor((nowMs - begins) / step) + (nowMs >= begins ? 1 : 0)),
  );
  return { pace: { ...pace, times, calmSince, busy: true, notBefore: begins + others * step }, others };
}

function firstSince(times: readonly number[], sinceMs: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? Infinity) < sinceMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
