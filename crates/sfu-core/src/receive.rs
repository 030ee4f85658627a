//! What arrived of one encoding: extended numbers, loss and jitter (RFC 3550, appendices A.1, A.3, A.8).

use std::time::{Duration, Instant};

use rtp::rtcp::ReportBlock;
use rtp::seq::{Seq, extend};

/// A jump forward of this many packets is a stream that started over, if a second packet confirms it.
const MAX_DROPOUT: u64 = 3_000;
/// A jump back of this many packets is one too.
const MAX_MISORDER: u64 = 1_000;

/// Packets that may overtake another one on the way.
const MAX_OVERTAKEN: u64 = 50;

/// From this share on, in 1/256, a stream counts as lossy: 2 %.
const LOSSY: u32 = 5;

/// Where a packet lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first of a stream, or of one that started over: everything that followed the old one ends.
    First(Seq),
    /// After everything before it; numbers between the last one and it may be missing.
    Newer(Seq),
    /// Late, repeated or recovered.
    Older(Seq),
    /// Far from the stream: refused until a second one confirms it.
    Stray,
}

/// Receive statistics of one SSRC.
#[derive(Debug, Default)]
pub(crate) struct ReceiveStats {
    started: bool,
    base: Seq,
    highest: Seq,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Where a stray packet says that the stream goes on.
    probation: Option<u16>,
    transit: Option<(Instant, u32)>,
    /// Jitter in timestamp units, times 16.
    jitter: u32,
    clock_rate: u32,
    last_report: u32,
    last_report_at: Option<Instant>,
    /// Share lost lately, in 1/256: the mean of the last reports.
    lossiness: u32,
}

impl ReceiveStats {
    /// Whether so much is lost that what is asked for may well be lost, too.
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossiness >= LOSSY
    }

    /// Starts over, above every number used before, so that old numbers stay what they were.
    pub(crate) fn restart(&mut self) {
        *self = Self { highest: self.highest, clock_rate: self.clock_rate, ..Self::default() };
    }

    /// Places `wire` in the stream. `recovered` packets do not count as received: the network did lose them.
    pub(crate) fn arrive(&mut self, wire: u16, recovered: bool) -> Arrival {
        if !self.started {
            if recovered {
                return Arrival::Stray;
            }
            return Arrival::First(self.begin(wire));
        }
        let seq = extend(self.highest, wire);
        if seq > self.highest + MAX_DROPOUT || seq + MAX_MISORDER < self.highest {
            if !recovered && self.probation == Some(wire) {
                return Arrival::First(self.begin(wire));
            }
            self.probation = Some(wire.wrapping_add(1));
            return Arrival::Stray;
        }
        self.probation = None;
        self.received += u64::from(!recovered);
        if seq > self.highest {
            self.highest = seq;
            Arrival::Newer(seq)
        } else {
            Arrival::Older(seq)
        }
    }

    /// Places a packet of a stream that is known to be the same, by its number without the wrap.
    pub(crate) fn place(&mut self, seq: Seq) -> Arrival {
        self.received += 1;
        if seq > self.highest {
            self.highest = seq;
            Arrival::Newer(seq)
        } else {
            Arrival::Older(seq)
        }
    }

    /// Begins a stream, or begins it anew, with this packet.
    pub(crate) fn begin(&mut self, wire: u16) -> Seq {
        // Two cycles up: apart from what was before by more than any reordering.
        let seq = (((self.highest >> 16) + 2) << 16) | Seq::from(wire);
        *self = Self {
            started: true,
            base: seq,
            highest: seq,
            received: 1,
            clock_rate: self.clock_rate,
            ..Self::default()
        };
        seq
    }

    /// Updates the jitter with a packet that came at `now`. Retransmissions are not given here.
    pub(crate) fn transit(&mut self, timestamp: u32, clock_rate: u32, now: Instant) {
        if self.clock_rate != clock_rate {
            self.clock_rate = clock_rate;
            self.transit = None;
            self.jitter = 0;
        }
        if let Some((last, last_timestamp)) = self.transit.replace((now, timestamp)) {
            let elapsed =
                now.saturating_duration_since(last).as_micros() * u128::from(clock_rate) / 1_000_000;
            let difference = (elapsed as u32).wrapping_sub(timestamp.wrapping_sub(last_timestamp)) as i32;
            // A jump of the timestamp is not jitter.
            let difference = difference.unsigned_abs().min(clock_rate);
            self.jitter = self.jitter.saturating_add(difference) - ((self.jitter + 8) >> 4);
        }
    }

    /// Notes a sender report.
    pub(crate) fn sender_report(&mut self, compact_ntp: u32, now: Instant) {
        self.last_report = compact_ntp;
        self.last_report_at = Some(now);
    }

    /// The highest number so far.
    pub(crate) fn highest(&self) -> Option<Seq> {
        self.started.then_some(self.highest)
    }

    /// The number of the first packet of the stream.
    pub(crate) fn base(&self) -> Seq {
        self.base
    }

    /// Whether `seq` is just before the first packet of the stream: overtaken at its start.
    pub(crate) fn just_before_start(&self, seq: Seq) -> bool {
        self.started && (1..=MAX_OVERTAKEN).contains(&self.base.saturating_sub(seq))
    }

    /// Whether `seq` is so near to the newest packet that it was overtaken rather than repeated.
    pub(crate) fn just_overtaken(&self, seq: Seq) -> bool {
        self.highest.saturating_sub(seq) <= MAX_OVERTAKEN
    }

    /// Packets that did not come.
    pub(crate) fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    pub(crate) fn jitter(&self) -> Duration {
        let units = u64::from(self.jitter >> 4);
        Duration::from_micros(units * 1_000_000 / u64::from(self.clock_rate.max(1)))
    }

    fn expected(&self) -> u64 {
        if self.started { self.highest - self.base + 1 } else { 0 }
    }

    /// The report block of this moment; the share lost counts from the last one.
    pub(crate) fn report(&mut self, ssrc: u32, now: Instant) -> Option<ReportBlock> {
        if !self.started {
            return None;
        }
        let expected = self.expected();
        let expected_interval = expected - self.expected_prior;
        let received_interval = self.received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction = (lost_interval << 8).checked_div(expected_interval).unwrap_or(0).min(255);
        self.lossiness = (self.lossiness * 3 + fraction as u32).div_ceil(4);
        let delay = self.last_report_at.map_or(0, |at| {
            (now.saturating_duration_since(at).as_micros().saturating_mul(65_536) / 1_000_000) as u32
        });
        let lost = i64::try_from(expected).unwrap_or(i64::MAX) - i64::try_from(self.received).unwrap_or(0);
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction as u8,
            lost: i32::try_from(lost).unwrap_or(i32::MAX),
            // The cycles of this stream only: the base is two cycles and more up.
            highest: (self.highest - (self.base & !0xffff)) as u32,
            jitter: self.jitter >> 4,
            last_report: self.last_report,
            delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_counted_over_the_wrap_and_recovery_does_not_hide_it() {
        let now = Instant::now();
        let mut stats = ReceiveStats::default();
        assert!(matches!(stats.arrive(65_530, false), Arrival::First(_)));
        for wire in (65_531..=65_535).chain(0..=3).filter(|wire| wire % 5 != 0) {
            assert!(matches!(stats.arrive(wire as u16, false), Arrival::Newer(_)));
        }
        let block = stats.report(7, now).expect("started");
        assert_eq!((block.lost, block.highest, block.ssrc), (2, (1 << 16) + 3, 7));
        assert_eq!(block.fraction_lost, (2 * 256 / 10) as u8);
        assert!(matches!(stats.arrive(65_535, true), Arrival::Older(_)));
        let block = stats.report(7, now).expect("started");
        assert_eq!((block.lost, block.fraction_lost), (2, 0), "nothing new was lost");
    }

    #[test]
    fn a_stray_packet_is_refused_and_a_new_start_is_confirmed_by_the_second() {
        let mut stats = ReceiveStats::default();
        stats.arrive(100, false);
        assert_eq!(stats.arrive(30_000, false), Arrival::Stray);
        let Arrival::Newer(before) = stats.arrive(101, false) else { panic!("the stream goes on") };
        assert_eq!(stats.arrive(30_000, false), Arrival::Stray);
        let Arrival::First(after) = stats.arrive(30_001, false) else { panic!("it started over") };
        assert!(after > before + u64::from(u16::MAX), "numbers are never used twice");
    }

    #[test]
    fn jitter_follows_rfc_3550() {
        let start = Instant::now();
        let mut stats = ReceiveStats::default();
        stats.arrive(0, false);
        for i in 0..1000u32 {
            // Packets every 20 ms that come 0 or 10 ms late in turn.
            let late = if i % 2 == 0 { 0 } else { 10 };
            stats.transit(i * 960, 48_000, start + Duration::from_millis(u64::from(i * 20 + late)));
        }
        let jitter = stats.jitter().as_secs_f64() * 1e3;
        assert!((9.5..=10.5).contains(&jitter), "{jitter} ms");
    }
}
