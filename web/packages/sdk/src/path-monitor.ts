import { arrivals, LOOK_MS, Pulse } from './pulse.js';

/**
 * How a media path stands: `fine`; `weak`: ICE has lost it a moment ago, it may heal; `silent`: nothing arrives any
 * more, or ICE has given it up; `closed`: the other side has ended the session, no path would help.
 */
export type PathState = 'fine' | 'weak' | 'silent' | 'closed';

/** Watches the path of one connection by all that tells of it, until `close`. */
export class PathMonitor {
  private readonly pulse = new Pulse();
  private readonly waiting = new Set<() => void>();
  private readonly transports = new Set<RTCDtlsTransport>();
  private readonly timer: ReturnType<typeof setInterval>;
  private silent = false;
  private looking = false;
  private closed = false;
  /** Looks that were due while the browser was slow to answer. */
  private missed = 0;

  constructor(private readonly pc: RTCPeerConnection) {
    pc.addEventListener('connectionstatechange', this.check);
    this.timer = setInterval(() => void this.look(), LOOK_MS);
  }

  /** How the path stands now. */
  get state(): PathState {
    const { connectionState } = this.pc;
    if (connectionState === 'closed' || this.dtls().some(({ state }) => state === 'closed')) return 'closed';
    if (this.silent || connectionState === 'failed') return 'silent';
    return connectionState === 'connected' ? 'fine' : 'weak';
  }

  /** Resolves when `wanted` holds of the state; rejects when `signal` aborts or the monitor is closed. */
  until(wanted: (state: PathState) => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (signal.aborted || this.closed) finish(() => reject(new DOMException('aborted', 'AbortError')));
        else if (wanted(this.state)) finish(resolve);
      };
      const finish = (settle: () => void): void => {
        this.waiting.delete(check);
        signal.removeEventListener('abort', check);
        settle();
      };
      this.waiting.add(check);
      signal.addEventListener('abort', check);
      check();
    });
  }

  /** Stops looking, and lets nobody wait for what is never told any more. */
  close(): void {
    this.closed = true;
    this.check();
    clearInterval(this.timer);
    this.pc.removeEventListener('connectionstatechange', this.check);
    for (const transport of this.transports) transport.removeEventListener('statechange', this.check);
    this.transports.clear();
  }

  private readonly check = (): void => {
    for (const check of [...this.waiting]) check();
  };

  private async look(): Promise<void> {
    // A browser that is slow to answer is not asked twice at a time.
    if (this.looking) {
      this.missed += 1;
      return;
    }
    this.looking = true;
    const report = await this.pc.getStats().catch(() => null);
    this.looking = false;
    if (report === null) return;
    this.silent = this.pulse.look(arrivals(report), performance.now(), 1 + this.missed);
    this.missed = 0;
    this.check();
  }

  /** The DTLS transports, which there are once there is an answer. */
  private dtls(): RTCDtlsTransport[] {
    const ends = [...this.pc.getReceivers(), ...this.pc.getSenders()];
    const transports = new Set(
      ends.map(({ transport }) => transport).filter((transport) => transport !== null),
    );
    for (const transport of transports) {
      if (this.transports.has(transport)) continue;
      this.transports.add(transport);
      transport.addEventListener('statechange', this.check);
    }
    return [...transports];
  }
}
