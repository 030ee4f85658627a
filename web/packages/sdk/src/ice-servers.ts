import { sleep } from './backoff.js';
import type { IceServers } from './types.js';

/** ICE servers whose credentials are renewed before they end. */
export interface IceServerSource {
  /** The servers with credentials that still hold. */
  get(): Promise<RTCIceServer[]>;
  /** Calls back with each renewed set until the returned function is called. */
  onRenewed(listener: (servers: RTCIceServer[]) => void): () => void;
}

/** Share of their life after which credentials are renewed. */
const RENEW_AT = 0.8;
/** Wait after a renewal that failed. */
const RETRY_MS = 30_000;
/** Longest delay that `setTimeout` keeps. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Keeps the answer of `GET /ice-servers` and renews it at 80 % of its life for as long as anyone listens. A service
 * without TURN, or one that cannot be asked, gives no servers: the media server's own address needs none.
 */
export class RenewedIceServers implements IceServerSource {
  private readonly listeners = new Set<(servers: RTCIceServer[]) => void>();
  private current: { servers: RTCIceServer[]; renewAtMs: number } | null = null;
  private pending: Promise<RTCIceServer[]> | null = null;
  private timer: AbortController | null = null;

  constructor(
    private readonly load: () => Promise<IceServers>,
    private readonly now: () => number = Date.now,
  ) {}

  async get(): Promise<RTCIceServer[]> {
    if (this.current !== null && this.now() < this.current.renewAtMs) return this.current.servers;
    this.pending ??= this.fetch().finally(() => (this.pending = null));
    return this.pending.catch(() => this.current?.servers ?? []);
  }

  onRenewed(listener: (servers: RTCIceServer[]) => void): () => void {
    this.listeners.add(listener);
    this.timer ??= this.keepFresh();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      this.timer?.abort();
      this.timer = null;
    };
  }

  private async fetch(): Promise<RTCIceServer[]> {
    const { ice_servers: servers, ttl } = await this.load();
    this.current = { servers, renewAtMs: this.now() + ttl * 1000 * RENEW_AT };
    return servers;
  }

  private keepFresh(): AbortController {
    const control = new AbortController();
    const run = async (): Promise<void> => {
      for (;;) {
        const due = this.current === null ? RETRY_MS : this.current.renewAtMs - this.now();
        await sleep(Math.min(Math.max(due, RETRY_MS), MAX_TIMER_MS), control.signal);
        if (this.current !== null && this.now() < this.current.renewAtMs) continue;
        const servers = await this.fetch().catch(() => null);
        control.signal.throwIfAborted();
        if (servers !== null) for (const listener of this.listeners) listener(servers);
      }
    };
    run().catch(() => undefined);
    return control;
  }
}
