//! Whether a queue grows on the way: the delay-based detector of Google congestion control
//! (draft-ietf-rmcat-gcc-02, section 4), with a line fitted through the delay in place of the Kalman filter.
//!
//! Packets that left within 5 ms are one group. How much longer than the one before a group took to arrive is
//! summed up and smoothed; the slope of that sum over the last groups is compared with a threshold that adapts
//! to the jitter of the line.

use std::time::Duration;

/// Packets that leave within this time are one group.
const GROUP_US: i64 = 5_000;
/// A group that arrives at once with the one before it (a Wi-Fi frame) belongs to it, up to this length.
const MAX_GROUP_US: i64 = 100_000;
/// Arrivals further apart than this are no continuation.
const MAX_GAP_US: i64 = 3_000_000;
/// Groups that the line is fitted through.
const WINDOW: usize = 20;
const SMOOTHING: f32 = 0.9;
const GAIN: f32 = 4.0;
const MAX_DELTAS: u32 = 60;
const FIRST_THRESHOLD: f32 = 12.5;
const THRESHOLD_UP: f32 = 0.0087;
const THRESHOLD_DOWN: f32 = 0.039;
/// A trend that is above the threshold by more than this is no reason to raise it.
const MAX_ADAPTION: f32 = 15.0;
/// Overuse has to last this long, in ms.
const OVERUSE_MS: f32 = 10.0;
/// A shorter queue is taken for none.
const EMPTY_US: u64 = 25_000;
/// A full line is measured over at least this.
const MIN_FULL_US: i64 = 50_000;
const MIN_FULL_BYTES: u32 = 3_000;
/// The least delay is taken over one to two times this.
const BASE_WINDOW_US: i64 = 15_000_000;

/// What the delay says of the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Usage {
    #[default]
    Normal,
    /// The queue grows.
    Over,
    /// The queue drains.
    Under,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_send: i64,
    last_send: i64,
    first_arrival: i64,
    last_arrival: i64,
}

/// See the module. Times are in us, those of arrival on the receiver's clock.
#[derive(Debug, Default)]
pub(super) struct DelayDetector {
    current: Option<Group>,
    previous: Option<Group>,
    trend: Trend,
    base: Base,
    full: Full,
    usage: Usage,
}

impl DelayDetector {
    /// A packet of `bytes` arrived. In the order of their numbers; one that was overtaken by a later group is not
    /// used.
    pub(super) fn packet(&mut self, send: i64, arrival: i64, bytes: u32) {
        self.base.add(arrival - send, arrival);
        self.full.add(self.base.queue_us(), arrival, bytes);
        let Some(group) = &mut self.current else {
            self.current = Some(Group::new(send, arrival));
            return;
        };
        if send < group.first_send {
            return;
        }
        if group.takes(send, arrival) {
            group.last_send = group.last_send.max(send);
            group.last_arrival = group.last_arrival.max(arrival);
            return;
        }
        let done = *group;
        if (arrival - done.last_arrival).abs() > MAX_GAP_US {
            // A pause, or a receiver whose clock jumped.
            self.restart();
        } else if let Some(previous) = self.previous {
            let sent = (done.last_send - previous.last_send) as f32 / 1_000.0;
            let arrived = (done.last_arrival - previous.last_arrival) as f32 / 1_000.0;
            if arrived >= 0.0 {
                self.usage = self.trend.update(sent, arrived, done.last_arrival);
            }
            self.previous = Some(done);
        } else {
            self.previous = Some(done);
        }
        self.current = Some(Group::new(send, arrival));
    }

    /// Forgets everything: the receiver's clock is another one.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    fn restart(&mut self) {
        (self.current, self.previous) = (None, None);
        self.trend = Trend::default();
        self.usage = Usage::Normal;
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Bits per second that the line has carried since its queue began to grow; `None` if there is none, or not
    /// for long.
    pub(super) fn full_rate(&self) -> Option<f32> {
        self.full.rate()
    }

    /// How much longer than the fastest of the last half minute the last packet took.
    pub(super) fn queue(&self) -> Duration {
        Duration::from_micros(self.base.queue_us())
    }
}

impl Group {
    fn new(send: i64, arrival: i64) -> Self {
        Self { first_send: send, last_send: send, first_arrival: arrival, last_arrival: arrival }
    }

    fn takes(&self, send: i64, arrival: i64) -> bool {
        if send - self.first_send <= GROUP_US {
            return true;
        }
        // Held up somewhere and released together: that says nothing about the queue.
        let (sent, arrived) = (send - self.last_send, arrival - self.last_arrival);
        arrived < sent && arrived <= GROUP_US && arrival - self.first_arrival < MAX_GROUP_US
    }
}

/// The least delay of the last 15 to 30 s: what the way takes without a queue.
#[derive(Debug, Default)]
struct Base {
    current: Option<(i64, i64)>,
    previous: Option<i64>,
    latest: i64,
}

impl Base {
    fn add(&mut self, delay: i64, at: i64) {
        self.latest = delay;
        self.current = match self.current {
            Some((start, least)) if (0..BASE_WINDOW_US).contains(&(at - start)) => {
                Some((start, least.min(delay)))
            }
            Some((_, least)) => {
                self.previous = Some(least);
                Some((at, delay))
            }
            None => Some((at, delay)),
        };
    }

    fn queue_us(&self) -> u64 {
        let least = self.current.map_or(self.latest, |(_, least)| least);
        let least = self.previous.map_or(least, |previous| previous.min(least));
        u64::try_from(self.latest - least).unwrap_or(0)
    }
}

/// What arrived since the queue began to grow: the line was full all that time, so this is what it carries.
#[derive(Debug, Default)]
struct Full {
    since: i64,
    latest: i64,
    bytes: u32,
}

impl Full {
    fn add(&mut self, queue_us: u64, arrival: i64, bytes: u32) {
        if queue_us < EMPTY_US {
            *self = Self { since: arrival, latest: arrival, bytes: 0 };
        } else {
            self.latest = self.latest.max(arrival);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    fn rate(&self) -> Option<f32> {
        let elapsed = self.latest - self.since;
        let enough = elapsed >= MIN_FULL_US && self.bytes >= MIN_FULL_BYTES;
        enough.then(|| self.bytes as f32 * 8e6 / elapsed as f32)
    }
}

/// The slope of the delay, and whether it is steep.
#[derive(Debug)]
struct Trend {
    /// Arrival in us and smoothed delay in ms of the last groups, in a ring.
    samples: [(i64, f32); WINDOW],
    count: u32,
    accumulated: f32,
    smoothed: f32,
    last: f32,
    threshold: f32,
    updated_us: i64,
    over_ms: f32,
    over_count: u32,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            samples: [(0, 0.0); WINDOW],
            count: 0,
            accumulated: 0.0,
            smoothed: 0.0,
            last: 0.0,
            threshold: FIRST_THRESHOLD,
            updated_us: 0,
            over_ms: 0.0,
            over_count: 0,
        }
    }
}

impl Trend {
    /// One more group: ms between it and the one before, as sent and as arrived.
    fn update(&mut self, sent: f32, arrived: f32, arrival_us: i64) -> Usage {
        self.accumulated += arrived - sent;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if let Some(slot) = self.samples.get_mut(self.count as usize % WINDOW) {
            *slot = (arrival_us, self.smoothed);
        }
        self.count = self.count.wrapping_add(1).max(1);
        let slope = if self.count as usize >= WINDOW { self.slope() } else { 0.0 };
        self.detect(slope, sent)
    }

    /// Slope of the line through the samples, in ms per ms.
    fn slope(&self) -> f32 {
        // From the newest sample, or whole hours in us would not fit an f32.
        let origin = self.samples.get((self.count as usize - 1) % WINDOW).map_or(0, |sample| sample.0);
        let x = |at: i64| (at - origin) as f32 / 1_000.0;
        let n = WINDOW as f32;
        let (sum_x, sum_y) =
            self.samples.iter().fold((0.0, 0.0), |(sx, sy), &(at, delay)| (sx + x(at), sy + delay));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (above, below) = self.samples.iter().fold((0.0, 0.0), |(above, below), &(at, delay)| {
            let dx = x(at) - mean_x;
            (above + dx * (delay - mean_y), below + dx * dx)
        });
        if below > 0.0 { above / below } else { self.last }
    }

    fn detect(&mut self, slope: f32, sent: f32) -> Usage {
        let modified = self.count.min(MAX_DELTAS) as f32 * slope * GAIN;
        let usage = if modified > self.threshold {
            self.over_ms += if self.over_count == 0 { sent / 2.0 } else { sent };
            self.over_count += 1;
            if self.over_ms > OVERUSE_MS && self.over_count > 1 && slope >= self.last {
                (self.over_ms, self.over_count) = (0.0, 0);
                Usage::Over
            } else {
                Usage::Normal
            }
        } else {
            (self.over_ms, self.over_count) = (0.0, 0);
            if modified < -self.threshold { Usage::Under } else { Usage::Normal }
        };
        self.last = slope;
        self.adapt(modified.abs());
        usage
    }

    fn adapt(&mut self, modified: f32) {
        let at = self.samples.get((self.count as usize - 1) % WINDOW).map_or(0, |sample| sample.0);
        let elapsed = ((at - self.updated_us) as f32 / 1_000.0).clamp(0.0, 100.0);
        self.updated_us = at;
        if modified > self.threshold + MAX_ADAPTION {
            return;
        }
        let speed = if modified < self.threshold { THRESHOLD_DOWN } else { THRESHOLD_UP };
        self.threshold = (self.threshold + speed * (modified - self.threshold) * elapsed).clamp(6.0, 600.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of five packets, 30 a second, through a line of `rate` bits per ms; when overuse was seen.
    fn run(rate: impl Fn(i64) -> f64, jitter_us: i64, frames: i64) -> (Vec<i64>, DelayDetector) {
        let (mut detector, mut free, mut over, mut noise) =
            (DelayDetector::default(), 0i64, Vec::new(), 7i64);
        for frame in 0..frames {
            let send = frame * 33_333;
            for _ in 0..5 {
                free = free.max(send) + (8_000.0 * 1_000.0 / rate(send)) as i64;
                noise = (noise * 1_103_515_245 + 12_345) % 2_147_483_648;
                let jitter = if jitter_us > 0 { noise / 65_536 % jitter_us } else { 0 };
                detector.packet(send, 5_000_000 + free + jitter, 1_000);
            }
            if detector.usage() == Usage::Over {
                over.push(send);
            }
        }
        (over, detector)
    }

    #[test]
    fn a_line_that_carries_it_is_not_overused() {
        let (over, detector) = run(|_| 3_000.0, 0, 900);
        assert_eq!(over, [0i64; 0]);
        assert!(detector.queue() <= Duration::from_millis(15), "{:?}", detector.queue());
        let (over, _) = run(|_| 3_000.0, 8_000, 900);
        assert!(over.len() < 5, "jitter of 8 ms: {over:?}");
    }

    #[test]
    fn a_line_that_became_slower_is_seen_within_a_second() {
        let (over, detector) = run(|at| if at < 10_000_000 { 3_000.0 } else { 800.0 }, 2_000, 345);
        let first = over.first().copied().expect("overuse");
        assert!((10_000_000..11_000_000).contains(&first), "{first}");
        assert!(detector.queue() > Duration::from_millis(200));
        let rate = detector.full_rate().expect("full");
        assert!((700_000.0..900_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_draining_queue_is_underuse_and_the_base_is_remembered() {
        let mut detector = DelayDetector::default();
        let mut under = 0;
        for i in 0..200i64 {
            let queue = if i < 100 { i * 2_000 } else { (200 - i) * 2_000 };
            detector.packet(i * 20_000, i * 20_000 + queue, 1_000);
            under += i64::from(detector.usage() == Usage::Under);
        }
        assert!(under > 30, "{under}");
        assert!(detector.queue() <= Duration::from_millis(3));
    }

    #[test]
    fn clocks_that_jump_do_no_harm() {
        let mut detector = DelayDetector::default();
        for (i, arrival) in [0, i64::MAX / 4, i64::MIN / 4, 5, 1 << 40, -(1 << 40)].into_iter().enumerate() {
            (0..50)
                .for_each(|k| detector.packet((i as i64 * 50 + k) * 10_000, arrival + k * 3_000, u32::MAX));
        }
        let _ = (detector.queue(), detector.usage());
    }
}
