import type { CallSlot } from '../call.js';
import type { Source } from '../types.js';
import { type People, sourceOf } from './people.js';
import type { RoomStats } from './types.js';

/** Reports of the two connections of a call. */
export interface Reports {
  publish: RTCStatsReport | null;
  receive: RTCStatsReport;
}

interface Totals {
  atMs: number;
  sent: number;
  received: number;
  packets: number;
  lost: number;
}

type Entry = Record<string, unknown>;

/** Makes {@link RoomStats} of two reports and what was counted before. */
export class RoomMeter {
  private before: Totals | null = null;

  measure(reports: Reports | null, slots: readonly CallSlot[], people: People): RoomStats {
    const entries = { sent: entriesOf(reports?.publish), received: entriesOf(reports?.receive) };
    const inbound = entries.received.filter(({ type }) => type === 'inbound-rtp');
    const now: Totals = {
      atMs: performance.now(),
      sent: sum(
        entries.sent.filter(({ type }) => type === 'outbound-rtp'),
        'bytesSent',
      ),
      received: sum(inbound, 'bytesReceived'),
      packets: sum(inbound, 'packetsReceived'),
      lost: sum(inbound, 'packetsLost'),
    };
    // Another life of the session counts from zero.
    const { before } = this;
    const known = before !== null && now.received >= before.received && now.sent >= before.sent;
    const since = known ? before : { ...now, packets: 0, lost: 0 };
    this.before = reports === null ? null : now;
    const elapsed = Math.max(now.atMs - since.atMs, 1);
    const lost = Math.max(now.lost - since.lost, 0);
    const expected = lost + Math.max(now.packets - since.packets, 0);
    return {
      sendKbps: Math.round(((now.sent - since.sent) * 8) / elapsed),
      receiveKbps: Math.round(((now.received - since.received) * 8) / elapsed),
      roundTripMs: roundTrip([...entries.received, ...entries.sent]),
      lostPercent: expected === 0 ? 0 : (lost * 100) / expected,
      pictures: pictures(inbound, slots, people),
    };
  }
}

function pictures(
  inbound: readonly Entry[],
  slots: readonly CallSlot[],
  people: People,
): RoomStats['pictures'] {
  const byMid = new Map(inbound.map((entry) => [entry.mid, entry]));
  return slots.flatMap(({ mid, kind, binding }) => {
    const entry = byMid.get(mid);
    if (entry === undefined || binding === null || kind === 'voice' || kind === 'screen_audio') return [];
    const camera = sourceOf(people.get(binding.participant), 'camera');
    const source: Source = camera?.csrc === binding.source ? 'camera' : 'screen';
    const [width, height, fps] = ['frameWidth', 'frameHeight', 'framesPerSecond'].map((name) =>
      numberOf(entry, name),
    ) as [number, number, number];
    return [{ participant: binding.participant, source, width, height, fps }];
  });
}

function roundTrip(entries: readonly Entry[]): number | null {
  const times = entries
    .filter(({ type, nominated, state }) => {
      return type === 'candidate-pair' && nominated === true && state === 'succeeded';
    })
    .map((entry) => numberOf(entry, 'currentRoundTripTime') * 1000);
  return times.length === 0 ? null : Math.max(...times);
}

function entriesOf(report: RTCStatsReport | null | undefined): Entry[] {
  const entries: Entry[] = [];
  report?.forEach((entry: Entry) => entries.push(entry));
  return entries;
}

function sum(entries: readonly Entry[], name: string): number {
  return entries.reduce((total, entry) => total + numberOf(entry, name), 0);
}

function numberOf(entry: Entry, name: string): number {
  const value = entry[name];
  return typeof value === 'number' ? value : 0;
}
