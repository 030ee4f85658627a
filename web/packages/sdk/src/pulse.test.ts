import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PathMonitor, type PathState } from './path-monitor.js';
import { arrivals, LOOK_MS, Pulse } from './pulse.js';

function report(...entries: Record<string, unknown>[]): RTCStatsReport {
  return new Map(entries.map((entry, index) => [String(index), entry]));
}

describe('arrivals', () => {
  it('counts what the browser has', () => {
    // Chromium, Firefox before 154, and a connection of which nothing is counted.
    const transport = { type: 'transport', packetsReceived: 3, bytesReceived: 300 };
    const chromium = arrivals(report(transport, { type: 'inbound-rtp', packetsReceived: 2 }));
    expect([...chromium.values()]).toEqual([3, 300, 2]);
    const firefox = arrivals(report({ type: 'candidate-pair', bytesReceived: 40 }, { type: 'codec' }));
    expect([...firefox.values()]).toEqual([40]);
    expect(arrivals(report({ type: 'transport' }, { type: 'outbound-rtp', packetsSent: 7 })).size).toBe(0);
  });
});

/** What each look counted, half a second apart; at which looks it was silent. */
function silentAt(counts: readonly (number | null)[]): number[] {
  const pulse = new Pulse();
  const of = (count: number | null): Map<string, number> =>
    new Map(count === null ? [] : [['transport', count]]);
  return counts.flatMap((count, index) => (pulse.look(of(count), index * LOOK_MS) ? [index] : []));
}

describe('Pulse', () => {
  it('takes 1.5 s without a rise for a loss, until something comes', () => {
    expect(silentAt([1, 2, 3, 3, 3, 3, 3, 4, 4, 5])).toEqual([5, 6]);
  });

  it('says nothing of a connection over which packets never came steadily', () => {
    expect(silentAt([1, 1, 1, 1, 1, 1])).toEqual([]);
    expect(silentAt([1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4])).toEqual([]);
    expect(silentAt([null, null, null, null, null, null])).toEqual([]);
  });

  it('wants to look again after a sleep of the machine', () => {
    const pulse = new Pulse();
    const look = (count: number, at: number): boolean => pulse.look(new Map([['transport', count]]), at);
    [0, 500, 1_000].forEach((at) => look(at + 1, at));
    expect(look(1_001, 60_000)).toBe(false);
    expect(look(1_001, 60_500)).toBe(true);
    expect(look(1_002, 61_000)).toBe(false);
  });

  it('does not wait longer because the browser was slow to answer', () => {
    const pulse = new Pulse();
    const look = (count: number, at: number, looks: number): boolean =>
      pulse.look(new Map([['transport', count]]), at, looks);
    [0, 500, 1_000].forEach((at) => look(at + 1, at, 1));
    expect(look(1_001, 4_000, 6)).toBe(true);
  });

  it('takes no entry that comes or goes while a path is sought for a sign of life', () => {
    const pulse = new Pulse();
    const looks = [
      { transport: 10, pair: 7 },
      { transport: 20, pair: 7 },
      { transport: 30, pair: 7 },
      { transport: 30 },
      { transport: 30, other: 0 },
      { transport: 30 },
      { transport: 30, another: 0 },
    ];
    const silent = looks.map((counts, index) => pulse.look(new Map(Object.entries(counts)), index * LOOK_MS));
    expect(silent).toEqual([false, false, false, false, false, true, true]);
  });
});

/** A connection whose packets the test counts. */
class FakeConnection extends EventTarget {
  connectionState: RTCPeerConnectionState = 'connected';
  packets = 0;
  readonly transport = Object.assign(new EventTarget(), { state: 'connected' });
  getReceivers(): unknown[] {
    return [{ transport: this.transport }];
  }
  getSenders(): unknown[] {
    return [{ transport: null }];
  }
  getStats(): Promise<RTCStatsReport> {
    return Promise.resolve(report({ type: 'transport', packetsReceived: this.packets }));
  }
  becomes(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

describe('PathMonitor', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function watched(): {
    pc: FakeConnection;
    monitor: PathMonitor;
    seen: PathState[];
    control: AbortController;
  } {
    const pc = new FakeConnection();
    const monitor = new PathMonitor(pc as unknown as RTCPeerConnection);
    const control = new AbortController();
    const seen: PathState[] = [monitor.state];
    const follow = async (): Promise<void> => {
      for (;;) {
        await monitor.until((state) => state !== seen.at(-1), control.signal);
        seen.push(monitor.state);
      }
    };
    follow().catch(() => undefined);
    return { pc, monitor, seen, control };
  }

  async function pass(ms: number, pc: FakeConnection, packetsEach: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      pc.packets += packetsEach;
      await vi.advanceTimersByTimeAsync(100);
    }
  }

  it('tells of silence long before ICE does, and of what comes again', async () => {
    const { pc, monitor, seen, control } = watched();
    await pass(3_000, pc, 1);
    await pass(2_100, pc, 0);
    expect(seen).toEqual(['fine', 'silent']);
    await pass(600, pc, 1);
    expect(seen).toEqual(['fine', 'silent', 'fine']);
    control.abort();
    monitor.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('lets nobody wait once it is closed', async () => {
    const { monitor, seen } = watched();
    const waits = monitor.until((state) => state === 'silent', new AbortController().signal);
    monitor.close();
    await expect(waits).rejects.toThrow('aborted');
    await expect(monitor.until(() => true, new AbortController().signal)).rejects.toThrow('aborted');
    expect(seen).toEqual(['fine']);
  });

  it('tells of the end of the session at once', async () => {
    const { pc, monitor, seen, control } = watched();
    pc.transport.state = 'closed';
    pc.transport.dispatchEvent(new Event('statechange'));
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual(['fine', 'closed']);
    control.abort();
    monitor.close();
  });

  it('tells of what ICE says', async () => {
    const { pc, monitor, seen, control } = watched();
    for (const state of ['disconnected', 'connected', 'failed'] as const) {
      pc.becomes(state);
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(seen).toEqual(['fine', 'weak', 'fine', 'silent']);
    control.abort();
    monitor.close();
  });
});
