/** Statistics of a connection, from two reports. Pure. */

import { arrivals } from './pulse.js';
import type { Source } from './types.js';

/** One track as it is sent or received. Null: not known (yet). */
export interface TrackStats {
  source: Source;
  /** The encoding, where there are several. */
  rid: string | null;
  /** Whether it is sent at all: false of an encoding that nobody watches. */
  active: boolean;
  /** Codec name as in SDP, such as `H264`. */
  codec: string | null;
  kbps: number;
  /** Packets in the last interval. */
  packets: number;
  width: number | null;
  height: number | null;
  fps: number | null;
  /** Frames decoded (received) or encoded (sent) since the start. */
  frames: number;
  /** Why the browser sends less than asked: `bandwidth`, `cpu` or `none`. */
  limitation: string | null;
  /** Times that playback stood still. */
  freezes: number | null;
}

/** A connection in one interval. */
export interface LinkStats {
  kbps: number;
  /** Packets lost in the interval, 0 to 100. */
  lossPercent: number | null;
  rttMs: number | null;
  /** Whether the media goes through a TURN relay. */
  relayed: boolean | null;
  /** What the line is estimated to carry out of here. */
  availableKbps: number | null;
  /** Whether anything at all came in the interval, from the server itself too; null where nothing is counted. */
  heard: boolean | null;
  /** One entry an encoding, the best of a source first. */
  tracks: TrackStats[];
}

interface Counters {
  bytes: number;
  packets: number;
  lost: number;
  atMs: number;
  /** The last known size: reports leave it out of an encoding that is off. */
  width: number | null;
  height: number | null;
}

interface RtpStats extends RTCStats {
  kind: string;
  mid?: string;
  rid?: string;
  active?: boolean;
  ssrc: number;
  codecId?: string;
  remoteId?: string;
  bytesSent?: number;
  bytesReceived?: number;
  packetsSent?: number;
  packetsReceived?: number;
  packetsLost?: number;
  frameWidth?: number;
  frameHeight?: number;
  framesPerSecond?: number;
  framesDecoded?: number;
  framesEncoded?: number;
  qualityLimitationReason?: string;
  freezeCount?: number;
  roundTripTime?: number;
}

/** Turns successive reports into {@link LinkStats}. */
export class StatsMeter {
  private previous = new Map<string, Counters>();
  private arrived: ReadonlyMap<string, number> = new Map();

  /** What changed since the last report; `sources` tells where each m-line comes from. */
  measure(report: RTCStatsReport, sources: ReadonlyMap<string, Source>): LinkStats {
    const byId = new Map<string, RTCStats>();
    report.forEach((stats: RTCStats) => byId.set(stats.id, stats));
    const next = new Map<string, Counters>();
    const tracks: TrackStats[] = [];
    let lost = 0;
    let expected = 0;
    let rttMs: number | null = null;
    for (const raw of byId.values()) {
      if (raw.type !== 'inbound-rtp' && raw.type !== 'outbound-rtp') continue;
      const rtp = raw as RtpStats;
      const source = sources.get(rtp.mid ?? '');
      if (source === undefined) continue;
      const received = rtp.type === 'inbound-rtp';
      // What was sent is lost where the other side says so.
      const remote = byId.get(rtp.remoteId ?? '') as RtpStats | undefined;
      const before = this.previous.get(rtp.id);
      const counters: Counters = {
        bytes: (received ? rtp.bytesReceived : rtp.bytesSent) ?? 0,
        packets: (received ? rtp.packetsReceived : rtp.packetsSent) ?? 0,
        lost: (received ? rtp.packetsLost : remote?.packetsLost) ?? 0,
        atMs: rtp.timestamp,
        width: rtp.frameWidth ?? before?.width ?? null,
        height: rtp.frameHeight ?? before?.height ?? null,
      };
      next.set(rtp.id, counters);
      const packets = Math.max(counters.packets - (before?.packets ?? 0), 0);
      const trackLost = Math.max(counters.lost - (before?.lost ?? 0), 0);
      lost += trackLost;
      expected += packets + (received ? trackLost : 0);
      if (remote?.roundTripTime !== undefined) rttMs = Math.max(rttMs ?? 0, remote.roundTripTime * 1000);
      tracks.push(trackStats(rtp, source, packets, before, counters, byId));
    }
    this.previous = next;
    const arrived = arrivals(report);
    const heard =
      arrived.size === 0 ? null : [...arrived].some(([of, count]) => count > (this.arrived.get(of) ?? 0));
    this.arrived = arrived;
    tracks.sort((a, b) => (b.height ?? 0) - (a.height ?? 0) || (a.rid ?? '').localeCompare(b.rid ?? ''));
    const path = selectedPath(byId);
    return {
      kbps: tracks.reduce((sum, track) => sum + track.kbps, 0),
      lossPercent: expected === 0 ? null : Math.min((lost * 100) / expected, 100),
      rttMs: path.rttMs ?? rttMs,
      relayed: path.relayed,
      availableKbps: path.availableKbps,
      heard,
      tracks,
    };
  }
}

function trackStats(
  rtp: RtpStats,
  source: Source,
  packets: number,
  before: Counters | undefined,
  now: Counters,
  byId: ReadonlyMap<string, RTCStats>,
): TrackStats {
  const codec = byId.get(rtp.codecId ?? '') as (RTCStats & { mimeType?: string }) | undefined;
  const elapsed = before === undefined ? 0 : now.atMs - before.atMs;
  return {
    source,
    rid: rtp.rid ?? null,
    active: rtp.active ?? true,
    codec: codec?.mimeType?.split('/')[1] ?? null,
    kbps: elapsed > 0 ? (Math.max(now.bytes - (before?.bytes ?? 0), 0) * 8) / elapsed : 0,
    packets,
    width: now.width,
    height: now.height,
    fps: rtp.framesPerSecond ?? null,
    frames: rtp.framesDecoded ?? rtp.framesEncoded ?? 0,
    limitation: rtp.qualityLimitationReason ?? null,
    freezes: rtp.freezeCount ?? null,
  };
}

function selectedPath(byId: ReadonlyMap<string, RTCStats>): {
  rttMs: number | null;
  relayed: boolean | null;
  availableKbps: number | null;
} {
  // Chromium names the pair in use, which may be in the middle of a check; Firefox marks it.
  const transport = [...byId.values()].find(({ type }) => type === 'transport') as
    RTCTransportStats | undefined;
  for (const stats of byId.values()) {
    const pair = stats as RTCIceCandidatePairStats & { selected?: boolean };
    if (pair.type !== 'candidate-pair') continue;
    const named = transport?.selectedCandidatePairId;
    const inUse = pair.selected ?? (pair.nominated && pair.state === 'succeeded');
    if (named === undefined ? !inUse : pair.id !== named) continue;
    const local = byId.get(pair.localCandidateId) as (RTCStats & { candidateType?: string }) | undefined;
    return {
      rttMs: pair.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
      relayed: local?.candidateType === undefined ? null : local.candidateType === 'relay',
      availableKbps:
        pair.availableOutgoingBitrate === undefined ? null : pair.availableOutgoingBitrate / 1000,
    };
  }
  return { rttMs: null, relayed: null, availableKbps: null };
}
