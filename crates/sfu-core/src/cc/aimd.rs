//! The rate that the delay allows: up slowly, down to what arrives (draft-ietf-rmcat-gcc-02, section 5).

use std::time::Duration;

use super::{MAX_BITRATE, MIN_BITRATE};

/// What is left of the acknowledged rate after a fall: the queue drains.
const BACK_OFF: f32 = 0.85;
/// Increase per second far from the last congestion.
const MULTIPLICATIVE: f32 = 0.08;
/// Least increase in bits per second, per second.
const MIN_ADDITIVE: f32 = 4_000.0;
/// More than this much above what arrives is not proven.
const MAX_OVER_ACKNOWLEDGED: f32 = 1.5;
/// Longest time that one increase makes up for.
const MAX_STEP_S: f32 = 0.5;
/// Weight of a new sample of the line's capacity.
const CAPACITY_WEIGHT: f32 = 0.05;

/// See the module.
#[derive(Debug)]
pub(super) struct Aimd {
    bitrate: f32,
    /// Mean and relative variance (in kbit/s) of what arrived when the line was full.
    capacity: Option<(f32, f32)>,
    updated_us: i64,
    decreased_us: i64,
}

impl Aimd {
    pub(super) fn new(bitrate: f32) -> Self {
        Self { bitrate, capacity: None, updated_us: 0, decreased_us: i64::MIN / 2 }
    }

    pub(super) fn bitrate(&self) -> f32 {
        self.bitrate
    }

    /// The line is not full: a little more may be tried, but never far beyond what arrives.
    pub(super) fn increase(&mut self, acknowledged: Option<f32>, round_trip: Duration, now_us: i64) {
        let elapsed = ((now_us - self.updated_us) as f32 / 1e6).clamp(0.0, MAX_STEP_S);
        self.updated_us = now_us;
        if let (Some((mean, variance)), Some(acknowledged)) = (self.capacity, acknowledged)
            && acknowledged > mean + 3.0 * deviation(mean, variance)
        {
            // More arrives than the line ever carried: it is another line now.
            self.capacity = None;
        }
        let step = match self.capacity {
            Some(_) => self.additive(round_trip) * elapsed,
            None => (self.bitrate * MULTIPLICATIVE).max(MIN_ADDITIVE) * elapsed,
        };
        let proven = acknowledged.map_or(self.bitrate, |rate| rate * MAX_OVER_ACKNOWLEDGED + 10_000.0);
        self.bitrate = (self.bitrate + step).min(proven.max(self.bitrate)).min(MAX_BITRATE);
    }

    /// The line is full: back to what it carries. Not again before the effect can be seen, unless far less
    /// arrives than is allowed. Returns whether it fell.
    pub(super) fn decrease(&mut self, acknowledged: f32, round_trip: Duration, now_us: i64) -> bool {
        let seen = now_us - self.decreased_us > (round_trip.as_micros() as i64).clamp(10_000, 200_000);
        if !seen && acknowledged > self.bitrate / 2.0 {
            return false;
        }
        if let Some((mean, variance)) = self.capacity
            && acknowledged < mean - 3.0 * deviation(mean, variance)
        {
            self.capacity = None;
        }
        self.capacity = Some(match self.capacity {
            Some((mean, variance)) => {
                let error = acknowledged - mean;
                let sample = error * error / mean.max(1.0) / 1_000.0;
                let keep = 1.0 - CAPACITY_WEIGHT;
                (mean + CAPACITY_WEIGHT * error, (keep * variance + CAPACITY_WEIGHT * sample).clamp(0.4, 2.5))
            }
            None => (acknowledged, 0.4),
        });
        (self.updated_us, self.decreased_us) = (now_us, now_us);
        let before = self.bitrate;
        self.bitrate = before.min((BACK_OFF * acknowledged).max(MIN_BITRATE));
        self.bitrate < before
    }

    /// Nothing is heard of the line.
    pub(super) fn fade(&mut self, factor: f32) {
        self.bitrate = (self.bitrate * factor).max(MIN_BITRATE);
    }

    /// A probe has shown that the line carries `bitrate`.
    pub(super) fn prove(&mut self, bitrate: f32) {
        if bitrate > self.bitrate {
            self.bitrate = bitrate.min(MAX_BITRATE);
            // It may be another line than the one whose capacity was learned.
            self.capacity =
                self.capacity.filter(|&(mean, variance)| bitrate < mean + 3.0 * deviation(mean, variance));
        }
    }

    /// About one packet per response time, per second.
    fn additive(&self, round_trip: Duration) -> f32 {
        let frame_bits = self.bitrate / 30.0;
        let packet_bits = frame_bits / (frame_bits / (8.0 * 1_200.0)).ceil().max(1.0);
        let response_s = (round_trip + Duration::from_millis(100)).as_secs_f32();
        (packet_bits / response_s).max(MIN_ADDITIVE)
    }
}

fn deviation(mean: f32, variance: f32) -> f32 {
    (variance * mean * 1_000.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn it_rises_eight_percent_a_second_and_not_beyond_what_is_proven() {
        let mut aimd = Aimd::new(1e6);
        (0..=20).for_each(|i| aimd.increase(Some(1e6), RTT, i * 50_000));
        assert!((1.07e6..1.10e6).contains(&aimd.bitrate()), "{}", aimd.bitrate());
        (21..2_000).for_each(|i| aimd.increase(Some(1e6), RTT, i * 50_000));
        assert!((1.5e6..1.52e6).contains(&aimd.bitrate()), "{}", aimd.bitrate());
        (2_000..2_100).for_each(|i| aimd.increase(Some(2e5), RTT, i * 50_000));
        assert!(aimd.bitrate() > 1.5e6, "a stream that sends less proves nothing against the line");
    }

    #[test]
    fn it_falls_to_what_arrives_once_per_round_trip() {
        let mut aimd = Aimd::new(2e6);
        assert!(aimd.decrease(1e6, RTT, 1_000_000));
        assert_eq!(aimd.bitrate(), 0.85e6);
        assert!(!aimd.decrease(0.8e6, RTT, 1_010_000), "too soon");
        assert!(aimd.decrease(0.2e6, RTT, 1_020_000), "far less arrives");
        assert_eq!(aimd.bitrate(), 0.17e6);
        assert!(!aimd.decrease(3e6, RTT, 2_000_000), "never up");
    }

    #[test]
    fn near_the_last_congestion_it_rises_by_a_packet_per_response_time() {
        let mut aimd = Aimd::new(2e6);
        aimd.decrease(2e6, RTT, 0);
        let before = aimd.bitrate();
        (1..=20).for_each(|i| aimd.increase(Some(1.7e6), RTT, i * 50_000));
        let risen = aimd.bitrate() - before;
        assert!((30_000.0..80_000.0).contains(&risen), "{risen}");
        aimd.prove(5e6);
        assert_eq!(aimd.bitrate(), 5e6);
        aimd.prove(1e6);
        assert_eq!(aimd.bitrate(), 5e6, "a probe raises only");
    }
}
