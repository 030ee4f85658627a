/** Whether a connection is alive, by what arrives over it: long before ICE gives up a path, nothing comes. Pure. */

/** A connection is looked at this often, in milliseconds. */
export const LOOK_MS = 500;
/** Nothing for this long is a loss. The server sends each session at least two packets a second. */
const SILENCE_MS = 1_500;
/** What came in each of so many looks in a row comes steadily: only of such a connection silence says something. */
const STEADY_LOOKS = 3;
/** Looks without anything before silence counts: after a sleep of the machine the first one proves nothing. */
const SILENT_LOOKS = 2;

/** What is counted of a connection, whichever of it the browser has; null where it has none. */
export function arrivals(report: Pick<RTCStatsReport, 'forEach'>): number | null {
  let sum: number | null = null;
  const add = (value: unknown): void => {
    if (typeof value === 'number') sum = (sum ?? 0) + value;
  };
  report.forEach((entry: Record<string, unknown>) => {
    switch (entry.type) {
      case 'transport':
      case 'candidate-pair':
        add(entry.packetsReceived);
        add(entry.bytesReceived);
        break;
      case 'inbound-rtp':
        add(entry.packetsReceived);
        break;
      case 'remote-outbound-rtp':
        add(entry.reportsSent);
        break;
    }
  });
  return sum;
}

/** Follows {@link arrivals} of one connection. */
export class Pulse {
  private last: number | null = null;
  private lastAtMs = 0;
  private quiet = 0;
  private steady = 0;

  /** Takes what was counted at `nowMs`; tells whether the connection is silent. */
  look(count: number | null, nowMs: number): boolean {
    if (count === null) return false;
    if (count !== this.last) {
      this.last = count;
      this.lastAtMs = nowMs;
      this.quiet = 0;
      this.steady = Math.min(this.steady + 1, STEADY_LOOKS);
      return false;
    }
    this.quiet += 1;
    if (this.steady < STEADY_LOOKS) {
      this.steady = 0;
      return false;
    }
    return this.quiet >= SILENT_LOOKS && nowMs - this.lastAtMs >= SILENCE_MS;
  }
}
