/** Whether a connection is alive, by what arrives over it: long before ICE gives up a path, nothing comes. Pure. */

/** A connection is looked at this often, in milliseconds. */
export const LOOK_MS = 500;
/** Nothing for this long is a loss. The server sends each session at least two packets a second. */
const SILENCE_MS = 1_500;
/** What came in each of so many looks in a row comes steadily: only of such a connection silence says something. */
const STEADY_LOOKS = 3;
/** Looks without anything before silence counts: after a sleep of the machine the first one proves nothing. */
const SILENT_LOOKS = 2;

/**
 * What is counted of a connection, whichever of it the browser has, by entry of the report. Entries come and go while a
 * path is sought, so they are not added up.
 */
export function arrivals(report: Pick<RTCStatsReport, 'forEach'>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  report.forEach((entry: Record<string, unknown>, id: string) => {
    for (const name of COUNTERS[String(entry.type)] ?? []) {
      const count = entry[name];
      if (typeof count === 'number') counts.set(`${id} ${name}`, count);
    }
  });
  return counts;
}

const COUNTERS: Readonly<Record<string, readonly string[]>> = {
  transport: ['packetsReceived', 'bytesReceived'],
  'candidate-pair': ['packetsReceived', 'bytesReceived'],
  'inbound-rtp': ['packetsReceived'],
  'remote-outbound-rtp': ['reportsSent'],
};

/** Follows {@link arrivals} of one connection. */
export class Pulse {
  private last: ReadonlyMap<string, number> = new Map();
  private lastAtMs = 0;
  private quiet = 0;
  private steady = 0;

  /** Takes what was counted at `nowMs`, where so many looks were due since the last; tells whether it is silent. */
  look(counts: ReadonlyMap<string, number>, nowMs: number, looks = 1): boolean {
    if (counts.size === 0) return false;
    const rose = [...counts].some(([of, count]) => count > (this.last.get(of) ?? 0));
    this.last = counts;
    if (rose) {
      this.lastAtMs = nowMs;
      this.quiet = 0;
      this.steady = Math.min(this.steady + 1, STEADY_LOOKS);
      return false;
    }
    this.quiet += looks;
    if (this.steady < STEADY_LOOKS) {
      this.steady = 0;
      return false;
    }
    return this.quiet >= SILENT_LOOKS && nowMs - this.lastAtMs >= SILENCE_MS;
  }
}
