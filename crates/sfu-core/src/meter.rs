//! The bitrate of an encoding and of each choice of its layers, over the last second.

use std::time::{Duration, Instant};

use crate::layers::{Layers, Mask};

/// Buckets of the window.
const BUCKETS: usize = 4;
/// Least length of a bucket: closed more often, the window would be shorter than a second.
const LEAST_BUCKET: Duration = Duration::from_millis(200);

/// Empty buckets that are a pause, and not a screen that hardly changes.
const PAUSE: u32 = 2 * BUCKETS as u32;

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    bytes: [u32; Layers::COUNT],
    length: Duration,
}

/// See the module. A packet costs a few additions; somebody calls [`Meter::close`] a few times a second.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    open: [u32; Layers::COUNT],
    since: Option<Instant>,
    /// Newest first.
    closed: [Bucket; BUCKETS],
    /// Empty buckets since the last one that was not.
    empty: u32,
    /// Bits per second up to the newest bucket.
    newest: [u64; Layers::COUNT],
    /// Bits per second when it last flowed, up to the bucket before: the last one is empty in part.
    rates: [u64; Layers::COUNT],
}

impl Meter {
    /// Counts a packet that belongs to the layers of `mask`.
    pub(crate) fn count(&mut self, bytes: usize, mask: Mask) {
        for (slot, layers) in self.open.iter_mut().zip(Layers::all()) {
            *slot = slot.saturating_add(if mask.contains(layers) { bytes as u32 } else { 0 });
        }
    }

    /// Measures up to `now`.
    pub(crate) fn close(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let length = now.saturating_duration_since(since);
        if length < LEAST_BUCKET {
            return;
        }
        self.since = Some(now);
        if self.empty > PAUSE && self.open.iter().any(|&bytes| bytes > 0) {
            // It begins anew: the pause does not count.
            self.closed = [Bucket::default(); BUCKETS];
        }
        let bytes = std::mem::take(&mut self.open);
        self.closed.rotate_right(1);
        if let Some(newest) = self.closed.first_mut() {
            *newest = Bucket { bytes, length };
        }
        // What has stopped keeps the bitrate that it had: that is what it will cost when it comes back.
        if bytes.iter().all(|&bytes| bytes == 0) {
            self.empty = self.empty.saturating_add(1);
            return;
        }
        self.empty = 0;
        if self.newest.iter().any(|&rate| rate > 0) {
            self.rates = self.newest;
        }
        let micros = self.closed.iter().map(|bucket| bucket.length).sum::<Duration>().as_micros().max(1);
        for (index, rate) in self.newest.iter_mut().enumerate() {
            let bytes: u64 =
                self.closed.iter().filter_map(|b| b.bytes.get(index).copied().map(u64::from)).sum();
            *rate = u64::try_from(u128::from(bytes) * 8_000_000 / micros).unwrap_or(u64::MAX);
        }
        if self.rates.iter().all(|&rate| rate == 0) {
            self.rates = self.newest;
        }
    }

    /// Bits per second of all choices of layers, as [`Meter::rate`].
    pub(crate) fn rates(&self) -> [u64; Layers::COUNT] {
        self.rates
    }

    /// Bits per second of these layers, when the encoding last flowed; 0 before the first measurement.
    pub(crate) fn rate(&self, layers: Layers) -> u64 {
        self.rates.get(layers.index()).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_measures_each_choice_of_layers_over_a_second() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.close(start);
        for frame in 0..53u64 {
            meter.count(500, Mask::of(0, u8::from(frame % 2 == 1), false));
            if frame % 10 == 9 {
                meter.close(start + Duration::from_millis((frame + 1) * 25));
            }
        }
        assert_eq!(meter.rate(Layers::ALL), 40 * 500 * 8);
        assert_eq!((meter.rate(Layers::new(0, 0)), meter.rate(Layers::new(0, 1))), (80_000, 160_000));
        for ms in [1500, 1750, 9000] {
            meter.close(start + Duration::from_millis(ms));
        }
        assert_eq!(meter.rate(Layers::ALL), 160_000, "what it will cost when it is back");
    }
}
