//! Freezes: gaps between pictures that a viewer would see.

use std::time::{Duration, Instant};

/// The freezes of one viewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freezes {
    /// How many.
    pub count: u64,
    /// Their sum, each from the picture that stood still to the next one.
    pub total: Duration,
    /// The longest gap between two pictures, freeze or not.
    pub longest: Duration,
}

/// Watches the pictures of one stream.
#[derive(Debug, Clone)]
pub struct FreezeMeter {
    threshold: Duration,
    last: Option<Instant>,
    freezes: Freezes,
}

impl FreezeMeter {
    /// A gap longer than `threshold` is a freeze.
    #[must_use]
    pub fn new(threshold: Duration) -> Self {
        Self { threshold, last: None, freezes: Freezes::default() }
    }

    /// A picture is complete. Returns whether a freeze ended with it.
    pub fn picture(&mut self, now: Instant) -> bool {
        let gap = self.gap(now);
        self.last = Some(now);
        self.freezes.longest = self.freezes.longest.max(gap);
        let is_freeze = gap > self.threshold;
        if is_freeze {
            self.freezes.count += 1;
            self.freezes.total += gap;
        }
        is_freeze
    }

    /// What was seen so far, with the freeze that goes on at `now`, if one does.
    #[must_use]
    pub fn freezes(&self, now: Instant) -> Freezes {
        let mut freezes = self.freezes;
        let gap = self.gap(now);
        if gap > self.threshold {
            freezes.count += 1;
            freezes.total += gap;
            freezes.longest = freezes.longest.max(gap);
        }
        freezes
    }

    /// Whether the picture stands still at `now`.
    #[must_use]
    pub fn is_frozen(&self, now: Instant) -> bool {
        self.gap(now) > self.threshold
    }

    /// Time since the last picture; none before the first.
    fn gap(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_over_the_threshold_counts_once_with_its_length() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = FreezeMeter::new(Duration::from_millis(300));
        assert_eq!(meter.freezes(at(9_000)), Freezes::default(), "nothing before the first picture");
        assert!(!meter.picture(at(0)));
        assert!(!meter.picture(at(300)));
        assert!(!meter.is_frozen(at(600)));
        assert!(meter.picture(at(700)));
        let (total, longest) = (Duration::from_millis(400), Duration::from_millis(400));
        assert_eq!(meter.freezes(at(800)), Freezes { count: 1, total, longest });
        // One that goes on counts too, and is not counted twice when it ends.
        assert_eq!(meter.freezes(at(1_200)).count, 2);
        assert!(meter.is_frozen(at(1_200)));
        assert!(meter.picture(at(1_200)));
        assert_eq!(meter.freezes(at(1_200)).count, 2);
    }
}
