import { describe, expect, it } from 'vitest';
import { captureLatency, senderClockAhead } from './capture-time.js';

const NTP = 2_208_988_800_000;
const NOW = 1_790_000_000_000;

describe('captureLatency', () => {
  it('is the time from capture to screen of the frame shown', () => {
    const source = { rtpTimestamp: 9_000, captureTimestamp: NTP + NOW - 20, senderCaptureTimeOffset: 0 };
    expect(captureLatency(source, { rtpTimestamp: 9_000, shownAtMs: NOW + 30 }, null)).toBe(50);
    // The frame shown is 3000 ticks (33 ms) older than the newest one received.
    expect(captureLatency(source, { rtpTimestamp: 6_000, shownAtMs: NOW + 30 }, null)).toBe(83);
  });

  it('survives the wrap of RTP time', () => {
    const source = { rtpTimestamp: 900, captureTimestamp: NTP + NOW };
    expect(captureLatency(source, { rtpTimestamp: 2 ** 32 - 900, shownAtMs: NOW + 10 }, null)).toBe(30);
  });

  it('takes the difference of clocks into account once it is more than noise', () => {
    // The capturing clock is an hour ahead of ours, and the sender (which we hear) 40 s.
    const source = {
      rtpTimestamp: 0,
      captureTimestamp: NTP + NOW + 3_600_000 - 60,
      senderCaptureTimeOffset: 40_000 - 3_600_000,
    };
    expect(captureLatency(source, { rtpTimestamp: 0, shownAtMs: NOW }, 40_000)).toBe(60);
    const synchronised = { rtpTimestamp: 0, captureTimestamp: NTP + NOW - 60, senderCaptureTimeOffset: 0 };
    expect(captureLatency(synchronised, { rtpTimestamp: 0, shownAtMs: NOW }, 35)).toBe(60);
  });

  it('is unknown without capture times or where clocks cannot be right', () => {
    const frame = { rtpTimestamp: 0, shownAtMs: NOW };
    expect(captureLatency(undefined, frame, null)).toBeNull();
    expect(captureLatency({ rtpTimestamp: 0 }, frame, null)).toBeNull();
    expect(captureLatency({ rtpTimestamp: 0, captureTimestamp: NTP + NOW + 500 }, frame, null)).toBeNull();
    expect(captureLatency({ rtpTimestamp: 0, captureTimestamp: NTP + NOW - 90_000 }, frame, null)).toBeNull();
  });
});

describe('senderClockAhead', () => {
  it('comes from the last sender report', () => {
    const report = new Map([
      ['a', { id: 'a', type: 'codec', timestamp: 5 }],
      [
        'b',
        {
          id: 'b',
          type: 'remote-outbound-rtp',
          timestamp: 1_000,
          remoteTimestamp: 41_000,
          roundTripTime: 0.1,
        },
      ],
    ]);
    expect(senderClockAhead(report as unknown as RTCStatsReport)).toBe(40_050);
    expect(senderClockAhead(new Map() as unknown as RTCStatsReport)).toBeNull();
  });
});
