//! Interarrival jitter (RFC 3550, section 6.4.1 and appendix A.8).

use std::time::{Duration, Instant};

/// The running estimate of one stream.
#[derive(Debug, Clone)]
pub struct Jitter {
    clock_rate: u32,
    last: Option<(Instant, u32)>,
    /// In timestamp units, times 16: the estimate moves by a sixteenth of each difference.
    scaled: u64,
}

impl Jitter {
    /// For timestamps of `clock_rate` units a second.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate: clock_rate.max(1), last: None, scaled: 0 }
    }

    /// A packet with this timestamp came at `now`. Packets of one frame share a timestamp; only the first of
    /// each counts, as the others say how a frame is paced and not how the network is.
    pub fn record(&mut self, timestamp: u32, now: Instant) {
        if let Some((then, before)) = self.last {
            if before == timestamp {
                return;
            }
            let arrived = now.saturating_duration_since(then).as_micros() as i128;
            let arrived = arrived * i128::from(self.clock_rate) / 1_000_000;
            let sent = i128::from(timestamp.wrapping_sub(before) as i32);
            // A jump of the timestamp (another source) is no jitter.
            if sent.unsigned_abs() < u128::from(self.clock_rate) * 10 {
                let difference = (arrived - sent).unsigned_abs() as u64;
                self.scaled = self.scaled + difference - self.scaled.div_ceil(16).min(self.scaled);
            }
        }
        self.last = Some((now, timestamp));
    }

    /// The estimate in timestamp units, as a receiver report carries it.
    #[must_use]
    pub fn units(&self) -> u32 {
        u32::try_from(self.scaled / 16).unwrap_or(u32::MAX)
    }

    /// The estimate as time.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.scaled * 1_000_000 / 16 / u64::from(self.clock_rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_have_none_and_uneven_ones_converge() {
        let start = Instant::now();
        let mut even = Jitter::new(90_000);
        let mut uneven = Jitter::new(90_000);
        for n in 0..1_000u32 {
            let at = start + Duration::from_millis(40) * n;
            even.record(n * 3_600, at);
            even.record(n * 3_600, at + Duration::from_millis(30));
            uneven.record(n * 3_600, at + Duration::from_millis(if n % 2 == 0 { 0 } else { 8 }));
        }
        assert_eq!(even.units(), 0);
        let jitter = uneven.duration();
        assert!(
            (Duration::from_micros(7_900)..=Duration::from_micros(8_000)).contains(&jitter),
            "{jitter:?}"
        );
    }

    #[test]
    fn the_wrap_of_the_timestamp_is_no_jump_and_a_jump_is_no_jitter() {
        let start = Instant::now();
        let mut jitter = Jitter::new(90_000);
        jitter.record(u32::MAX - 1_799, start);
        jitter.record(1_800, start + Duration::from_millis(40));
        assert_eq!(jitter.units(), 0);
        jitter.record(2_000_000_000, start + Duration::from_millis(80));
        assert_eq!(jitter.units(), 0);
    }
}
