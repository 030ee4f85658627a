import { describe, expect, it } from 'vitest';
import { StatsMeter } from './stats.js';
import type { Source } from './types.js';

const SOURCES = new Map<string, Source>([
  ['0', 'microphone'],
  ['1', 'camera'],
]);

function report(...stats: object[]): RTCStatsReport {
  return new Map(stats.map((one) => [(one as { id: string }).id, one]));
}

function inbound(at: number, bytes: number, packets: number, lost: number, frames: number): object {
  return {
    id: 'in1',
    type: 'inbound-rtp',
    timestamp: at,
    kind: 'video',
    mid: '1',
    codecId: 'c',
    bytesReceived: bytes,
    packetsReceived: packets,
    packetsLost: lost,
    framesDecoded: frames,
    frameWidth: 1280,
    frameHeight: 720,
    framesPerSecond: 30,
    freezeCount: 0,
  };
}

const CODEC = { id: 'c', type: 'codec', timestamp: 0, mimeType: 'video/H264' };
const PATH = [
  {
    id: 'p',
    type: 'candidate-pair',
    timestamp: 0,
    state: 'succeeded',
    nominated: true,
    localCandidateId: 'l',
    currentRoundTripTime: 0.012,
  },
  { id: 'l', type: 'local-candidate', timestamp: 0, candidateType: 'relay' },
];

describe('StatsMeter', () => {
  it('tells a line over which nothing comes from a source that sends nothing', () => {
    const meter = new StatsMeter();
    const heard = (packets: number, all: number): boolean | null => {
      const transport = { id: 't', type: 'transport', packetsReceived: all };
      return meter.measure(report(inbound(1_000, 0, packets, 0, 0), transport), SOURCES).heard;
    };
    expect([heard(1, 5), heard(1, 7), heard(1, 7), heard(2, 8)]).toEqual([true, true, false, true]);
    expect(new StatsMeter().measure(report(CODEC), SOURCES).heard).toBeNull();
  });

  it('gives rates over the interval and loss of what was expected', () => {
    const meter = new StatsMeter();
    expect(meter.measure(report(inbound(1_000, 0, 0, 0, 0), CODEC), SOURCES).kbps).toBe(0);
    const stats = meter.measure(report(inbound(2_000, 250_000, 190, 10, 30), CODEC, ...PATH), SOURCES);
    expect(stats).toMatchObject({ kbps: 2_000, lossPercent: 5, rttMs: 12, relayed: true });
    expect(stats.tracks).toEqual([
      expect.objectContaining({
        source: 'camera',
        codec: 'H264',
        packets: 190,
        width: 1280,
        height: 720,
        frames: 30,
      }),
    ]);
  });

  it('takes the loss of what was sent from the receiver', () => {
    const meter = new StatsMeter();
    const sent = (at: number, packets: number, lost: number): RTCStatsReport =>
      report(
        {
          id: 'out',
          type: 'outbound-rtp',
          timestamp: at,
          kind: 'audio',
          mid: '0',
          remoteId: 'r',
          bytesSent: 0,
          packetsSent: packets,
        },
        { id: 'r', type: 'remote-inbound-rtp', timestamp: at, packetsLost: lost, roundTripTime: 0.03 },
      );
    meter.measure(sent(0, 100, 0), SOURCES);
    expect(meter.measure(sent(1_000, 150, 1), SOURCES)).toMatchObject({
      lossPercent: 2,
      rttMs: 30,
      relayed: null,
    });
  });

  it('never counts backwards, and ignores m-lines that are nobody’s', () => {
    const meter = new StatsMeter();
    meter.measure(report(inbound(1_000, 9_000, 90, 9, 9)), SOURCES);
    expect(meter.measure(report(inbound(2_000, 10, 1, 0, 0)), SOURCES)).toMatchObject({
      kbps: 0,
      lossPercent: null,
    });
    expect(meter.measure(report(inbound(3_000, 10, 1, 0, 0)), new Map()).tracks).toEqual([]);
  });

  it('lists the encodings of a source, the largest first, with the size of one that is off', () => {
    const encoding = (rid: string, at: number, bytes: number, height?: number): object => ({
      id: `out-${rid}`,
      type: 'outbound-rtp',
      timestamp: at,
      kind: 'video',
      mid: '1',
      rid,
      active: height !== undefined,
      bytesSent: bytes,
      packetsSent: bytes / 1_000,
      ...(height === undefined ? {} : { frameWidth: (height * 16) / 9, frameHeight: height }),
    });
    const path = { ...PATH[0], availableOutgoingBitrate: 3_000_000 };
    const meter = new StatsMeter();
    meter.measure(report(encoding('q', 0, 0, 240), encoding('f', 0, 0, 720)), SOURCES);
    const stats = meter.measure(
      report(encoding('q', 1_000, 25_000, 240), encoding('f', 1_000, 0), path),
      SOURCES,
    );
    expect(stats).toMatchObject({ kbps: 200, availableKbps: 3_000 });
    expect(stats.tracks.map(({ rid, active, height, kbps }) => ({ rid, active, height, kbps }))).toEqual([
      { rid: 'f', active: false, height: 720, kbps: 0 },
      { rid: 'q', active: true, height: 240, kbps: 200 },
    ]);
  });
});
