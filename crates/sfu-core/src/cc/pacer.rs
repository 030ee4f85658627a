//! How fast packets may leave for one connection, so that a burst does not fill the queue of its line.
//!
//! A leaky bucket in time: each packet takes as long as it would at the pacing rate, and what may be sent at once is
//! bounded. A stream that is evenly spaced and below the rate never meets it.

/// How many times the estimate packets leave at: a keyframe must not take long, and a queue that it makes must be gone
/// before the next.
const FACTOR: f32 = 2.5;
/// Bits per second before the first feedback: what the line carries is not known, and the first picture is awaited.
const UNKNOWN: f32 = 10_000_000.0;
/// What leaves at once, in time at the pacing rate and at least in bytes.
const BURST_US: i64 = 40_000;
const BURST_BYTES: u32 = 12_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Time that a byte takes; 0 if there is no bound.
    byte_ns: u32,
    /// When what was sent would have left at the pacing rate.
    until_us: i64,
}

impl Default for Pacer {
    fn default() -> Self {
        Self { byte_ns: byte_ns(UNKNOWN), until_us: 0 }
    }
}

impl Pacer {
    /// What the line carries has changed, in bits per second; `None` if there is no bound.
    pub(super) fn set_target(&mut self, target: Option<f32>) {
        self.byte_ns = target.map_or(0, |target| byte_ns(FACTOR * target));
    }

    /// A packet leaves.
    pub(super) fn sent(&mut self, bytes: u32, now_us: i64) {
        self.until_us = self.until_us.max(now_us) + self.us(bytes);
    }

    /// Whether another packet may leave.
    pub(super) fn may_send(&self, now_us: i64) -> bool {
        self.until_us - now_us <= BURST_US.max(self.us(BURST_BYTES))
    }

    fn us(&self, bytes: u32) -> i64 {
        (u64::from(bytes) * u64::from(self.byte_ns) / 1_000) as i64
    }
}

fn byte_ns(bitrate: f32) -> u32 {
    (8e9 / bitrate.max(1_000.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_pacing_rate() {
        let mut pacer = Pacer::default();
        pacer.set_target(Some(400_000.0));
        let (mut at_once, mut in_a_second) = (0, 0);
        for now_us in (0..1_000_000).step_by(1_000) {
            while pacer.may_send(now_us) {
                pacer.sent(1_000, now_us);
                in_a_second += 1;
                at_once += u32::from(now_us == 0);
            }
        }
        assert_eq!(at_once, BURST_BYTES / 1_000 + 1);
        // 2.5 times 400 kbit/s are 125 packets of 1,000 bytes.
        assert!((136..=138).contains(&in_a_second), "{in_a_second}");
    }

    #[test]
    fn without_a_bound_nothing_waits() {
        let mut pacer = Pacer::default();
        pacer.set_target(None);
        for _ in 0..100_000 {
            assert!(pacer.may_send(5));
            pacer.sent(1_200, 5);
        }
    }

    #[test]
    fn a_rest_is_not_saved_up() {
        let mut pacer = Pacer::default();
        pacer.set_target(Some(400_000.0));
        let burst = |pacer: &mut Pacer, now_us| {
            let mut sent = 0;
            while pacer.may_send(now_us) {
                pacer.sent(1_000, now_us);
                sent += 1;
            }
            sent
        };
        let first = burst(&mut pacer, 0);
        assert_eq!(burst(&mut pacer, 60_000_000), first);
    }
}
