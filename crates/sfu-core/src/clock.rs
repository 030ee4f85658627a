//! Clocks: this node's time of day, and how a publisher's RTP timestamps lie on it.

use std::time::{Duration, Instant};

use rtp::ntp::{self, Ntp};

/// The time of day on a monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    epoch: Instant,
    unix: Duration,
}

impl WallClock {
    pub(crate) fn new(epoch: Instant, unix: Duration) -> Self {
        Self { epoch, unix }
    }

    /// The time of day at `now`.
    pub(crate) fn ntp(&self, now: Instant) -> Ntp {
        ntp::from_unix(self.unix + now.saturating_duration_since(self.epoch))
    }

    /// `now` as the abs-send-time extension has it: 24 bits, 6 of them whole seconds.
    pub(crate) fn abs_send_time(&self, now: Instant) -> u32 {
        (self.ntp(now) >> 14) as u32 & 0x00ff_ffff
    }
}

/// A publisher's sender report of one encoding: its RTP timestamp at a moment of its own clock, and how far
/// this node's clock is ahead of that clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockMapping {
    /// The publisher's time.
    pub(crate) ntp: Ntp,
    /// The RTP timestamp at it.
    pub(crate) rtp: u32,
    /// This node's time less the publisher's, 32.32 signed.
    pub(crate) offset: i64,
}

impl ClockMapping {
    /// The RTP timestamp that the publisher's clock has at `ntp` of this node's clock.
    pub(crate) fn rtp_at(&self, ntp: Ntp, clock_rate: u32) -> u32 {
        let elapsed = (ntp as i64).wrapping_sub(self.offset).wrapping_sub(self.ntp as i64);
        let ticks = (i128::from(elapsed) * i128::from(clock_rate)) >> 32;
        self.rtp.wrapping_add(ticks as u32)
    }

    /// The time of this node's clock at which the publisher's has this timestamp, which is near its last report.
    pub(crate) fn ntp_at(&self, rtp: u32, clock_rate: u32) -> Ntp {
        let ticks = i64::from(rtp.wrapping_sub(self.rtp) as i32);
        let elapsed = (ticks << 32) / i64::from(clock_rate.max(1));
        (self.ntp as i64).wrapping_add(elapsed).wrapping_add(self.offset) as Ntp
    }
}

/// How far a publisher's clock is behind ours: the least of (arrival - its time) over the last minute, of its reports and
/// of the packets before them, so that a report that was held up on the way does not move it. One per publisher, or audio and video would drift
/// apart by the difference of their reports' delays.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClockOffset {
    current: Option<(Instant, i64)>,
    previous: Option<i64>,
}

/// Half of the minute that the least is taken over: clocks drift 2-3 ms in it.
const WINDOW: Duration = Duration::from_secs(30);

impl ClockOffset {
    /// Takes what came at `arrival` on our clock, and left at `ntp` of the publisher's.
    pub(crate) fn update(&mut self, now: Instant, arrival: Ntp, ntp: Ntp) -> i64 {
        let sample = (arrival as i64).wrapping_sub(ntp as i64);
        self.current = Some(match self.current {
            Some((start, least)) if now.saturating_duration_since(start) < WINDOW => {
                (start, least.min(sample))
            }
            Some((_, least)) => {
                self.previous = Some(least);
                (now, sample)
            }
            None => (now, sample),
        });
        self.get().unwrap_or(sample)
    }

    /// Takes the offset that the publisher's own shard measured.
    pub(crate) fn set(&mut self, now: Instant, offset: i64) {
        self.current = Some((now, offset));
        self.previous = None;
    }

    pub(crate) fn get(&self) -> Option<i64> {
        let least = self.current.map(|(_, least)| least)?;
        Some(self.previous.map_or(least, |previous| previous.min(least)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_ntp() {
        let epoch = Instant::now();
        let clock = WallClock::new(epoch, Duration::new(1_000_000_000, 500_000_000));
        assert_eq!(clock.ntp(epoch), (3_208_988_800 << 32) | 0x8000_0000);
        let later = clock.ntp(epoch + Duration::from_millis(250));
        assert_eq!(later, (3_208_988_800 << 32) | 0xc000_0000);
        // 6.18 fixed point: a quarter second is 2^16.
        let step = clock.abs_send_time(epoch + Duration::from_millis(250)) - clock.abs_send_time(epoch);
        assert_eq!(step, 1 << 16);
        assert_eq!(
            ntp::compact_duration(ntp::compact(later).wrapping_sub(ntp::compact(clock.ntp(epoch)))),
            Duration::from_millis(250)
        );
    }

    #[test]
    fn a_mapping_extrapolates_both_ways() {
        let mapping = ClockMapping { ntp: 1000 << 32, rtp: 90_000, offset: 5 << 32 };
        assert_eq!(mapping.rtp_at(1005 << 32, 90_000), 90_000);
        assert_eq!(mapping.rtp_at(1006 << 32, 90_000), 180_000);
        assert_eq!(mapping.rtp_at((1004 << 32) | 0x8000_0000, 90_000), 45_000);
        assert_eq!(mapping.ntp_at(180_000, 90_000), 1006 << 32);
        assert_eq!(mapping.ntp_at(45_000, 90_000), (1004 << 32) | 0x8000_0000);
    }

    #[test]
    fn a_late_report_does_not_move_the_offset() {
        let now = Instant::now();
        let mut offset = ClockOffset::default();
        assert_eq!(offset.update(now, 110, 100), 10);
        assert_eq!(offset.update(now + Duration::from_secs(1), 300, 200), 10);
        assert_eq!(offset.update(now + Duration::from_secs(2), 305, 300), 5);
        // A clock that is really slower is followed after a minute.
        offset.update(now + Duration::from_secs(35), 420, 400);
        offset.update(now + Duration::from_secs(66), 520, 500);
        assert_eq!(offset.update(now + Duration::from_secs(97), 620, 600), 20);
    }
}
