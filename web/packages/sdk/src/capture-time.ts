/**
 * Latency by the capture time that the stream carries (abs-capture-time). In Chromium
 * `RTCRtpReceiver.getSynchronizationSources()` gives `captureTimestamp`, the capture time of the frame with
 * `rtpTimestamp` in NTP milliseconds of the capturing machine's clock; `requestVideoFrameCallback` tells which frame is
 * shown and when. Browsers without these give no latency, and none is guessed.
 */

/** Milliseconds from the NTP epoch (1900) to the Unix epoch (1970). */
const NTP_TO_UNIX_MS = 2_208_988_800_000;
/** Ticks of the RTP clock of video in a millisecond. */
const VIDEO_TICKS_PER_MS = 90;
/** A clock difference up to this is measurement noise of a synchronised machine. */
const CLOCK_NOISE_MS = 100;
/** Beyond this, clocks disagree and the figure means nothing. */
const MAX_PLAUSIBLE_MS = 60_000;

/** What the browser tells of the newest frame of a source. Not yet in the DOM typings. */
export interface CaptureSource {
  rtpTimestamp: number;
  /** NTP milliseconds of the capture, on the capturing clock. */
  captureTimestamp?: number;
  /** What to add to get the clock of the sender that this receiver hears, in milliseconds. */
  senderCaptureTimeOffset?: number;
}

/** The frame on the screen. */
export interface PresentedFrame {
  rtpTimestamp: number;
  /** Unix milliseconds. */
  shownAtMs: number;
}

/**
 * Milliseconds from capture to screen, or null where it cannot be known. `senderClockAheadMs` is how far the sender's
 * clock is ahead of ours, if known (from sender reports).
 */
export function captureLatency(
  source: CaptureSource | undefined,
  frame: PresentedFrame,
  senderClockAheadMs: number | null,
): number | null {
  if (source?.captureTimestamp === undefined) return null;
  // The source speaks of the newest frame, the screen may be some frames behind; RTP time wraps at 32 bits.
  const ticks = (source.rtpTimestamp - frame.rtpTimestamp) | 0;
  let captured = source.captureTimestamp - NTP_TO_UNIX_MS - ticks / VIDEO_TICKS_PER_MS;
  if (senderClockAheadMs !== null && Math.abs(senderClockAheadMs) > CLOCK_NOISE_MS) {
    captured += (source.senderCaptureTimeOffset ?? 0) - senderClockAheadMs;
  }
  const latency = frame.shownAtMs - captured;
  return latency >= 0 && latency <= MAX_PLAUSIBLE_MS ? Math.round(latency) : null;
}

/** How far the sender's clock is ahead of ours, from its last sender report; null without one. */
export function senderClockAhead(report: RTCStatsReport): number | null {
  let ahead: number | null = null;
  report.forEach((raw: RTCStats) => {
    const stats = raw as RTCStats & { remoteTimestamp?: number; roundTripTime?: number };
    if (stats.type !== 'remote-outbound-rtp' || stats.remoteTimestamp === undefined) return;
    ahead = stats.remoteTimestamp + ((stats.roundTripTime ?? 0) * 1000) / 2 - stats.timestamp;
  });
  return ahead;
}
