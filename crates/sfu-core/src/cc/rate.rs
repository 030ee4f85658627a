//! Bytes over the last half second, in buckets of 33 ms.

const BUCKET_SHIFT: u32 = 15;
const BUCKETS: usize = 16;
/// Half a second: long enough for the frames of a slow stream.
pub(super) const LONG: i64 = 15;
/// A fifth of a second: what came since the line changed.
pub(super) const SHORT: i64 = 6;
/// Less than this says nothing about a rate.
const MIN_ELAPSED_US: i64 = 60_000;

/// See the module. Times are in us of any one clock.
#[derive(Debug, Default)]
pub(super) struct RateWindow {
    buckets: [u32; BUCKETS],
    head: i64,
    /// When the first bytes since the last gap came.
    first_us: Option<i64>,
    latest_us: i64,
}

impl RateWindow {
    /// `bytes` came (or left) at `at_us`. What is older than the window is not counted.
    pub(super) fn add(&mut self, at_us: i64, bytes: u32) {
        let bucket = at_us >> BUCKET_SHIFT;
        if (bucket > self.head || self.first_us.is_none()) && self.advance(bucket, at_us) {
            // Between n packets are n - 1 gaps: this one only starts the clock.
            return;
        }
        if self.head - bucket < BUCKETS as i64
            && let Some(slot) = self.buckets.get_mut(bucket.rem_euclid(BUCKETS as i64) as usize)
        {
            *slot = slot.saturating_add(bytes);
        }
        self.latest_us = self.latest_us.max(at_us);
    }

    /// Goes on to a bucket; whether that begins anew.
    fn advance(&mut self, bucket: i64, at_us: i64) -> bool {
        if self.first_us.is_none() || bucket - self.head >= BUCKETS as i64 {
            // After a gap the rate is measured from its end on.
            *self = Self { head: bucket, first_us: Some(at_us), latest_us: at_us, ..Self::default() };
            return true;
        }
        while self.head < bucket {
            self.head += 1;
            if let Some(slot) = self.buckets.get_mut(self.head.rem_euclid(BUCKETS as i64) as usize) {
                *slot = 0;
            }
        }
        false
    }

    /// When the last bytes came.
    pub(super) fn latest_us(&self) -> i64 {
        self.latest_us
    }

    /// Bytes of the last `span` buckets before `end_us`.
    pub(super) fn bytes(&self, span: i64, end_us: i64) -> u32 {
        let last = end_us >> BUCKET_SHIFT;
        let from = (last - span + 1).max(self.head - BUCKETS as i64 + 1);
        (from..=last.min(self.head))
            .filter_map(|bucket| self.buckets.get(bucket.rem_euclid(BUCKETS as i64) as usize))
            .fold(0, |sum, &bytes| sum.saturating_add(bytes))
    }

    /// Bits per second over the last `span` buckets before `end_us`; `None` if that is too short to tell.
    pub(super) fn rate(&self, span: i64, end_us: i64) -> Option<f32> {
        let from_us = ((end_us >> BUCKET_SHIFT) - span + 1) << BUCKET_SHIFT;
        let elapsed = end_us - from_us.max(self.first_us?);
        (elapsed >= MIN_ELAPSED_US).then(|| self.bytes(span, end_us) as f32 * 8_000_000.0 / elapsed as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_over_both_spans() {
        let mut window = RateWindow::default();
        assert_eq!(window.rate(LONG, 1_000_000), None);
        // 1,000 bytes every 8 ms are 1 Mbit/s.
        for i in 0..500 {
            window.add(7_000_000 + i * 8_000, 1_000);
            if i >= 20 {
                for span in [SHORT, LONG] {
                    let rate = window.rate(span, window.latest_us()).expect("long enough");
                    assert!((900_000.0..1_200_000.0).contains(&rate), "{i}: {rate}");
                }
            }
        }
        let silent = window.rate(SHORT, window.latest_us() + 400_000).expect("long enough");
        assert_eq!(silent, 0.0);
    }

    #[test]
    fn gaps_and_times_that_jump_do_no_harm() {
        let mut window = RateWindow::default();
        for at in [5_000_000, -5_000_000, i64::MIN / 2, 3, i64::MAX / 2, 0, i64::MAX / 2 + 9] {
            window.add(at, u32::MAX);
            let _ = window.rate(LONG, window.latest_us());
        }
        let mut window = RateWindow::default();
        window.add(0, 1_000);
        (0..30).for_each(|i| window.add(60_000_000 + i * 10_000, 1_250));
        let rate = window.rate(LONG, window.latest_us()).expect("long enough");
        assert!((900_000.0..1_200_000.0).contains(&rate), "the gap is not counted: {rate}");
        let mut window = RateWindow::default();
        window.add(0, 1_000);
        (0..5).for_each(|i| window.add(60_000_000 + i * 16_000, 320));
        let rate = window.rate(LONG, window.latest_us()).expect("long enough");
        assert_eq!(rate, 160_000.0, "nor is the packet that ends it");
    }
}
