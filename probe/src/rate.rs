//! When the next of many even events is due.

use std::time::{Duration, Instant};

/// So many events a second, from a start on. Whoever falls behind catches up.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    start: Instant,
    per_second: f64,
    done: u64,
}

impl Pace {
    pub(crate) fn new(start: Instant, per_second: f64) -> Self {
        Self { start, per_second: per_second.max(1e-3), done: 0 }
    }

    /// When the next event is due.
    pub(crate) fn next(&self) -> Instant {
        let after = Duration::try_from_secs_f64(self.done as f64 / self.per_second);
        self.start + after.unwrap_or(Duration::MAX / 4)
    }

    /// Takes the next event, if it is due.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let due = self.next() <= now;
        self.done += u64::from(due);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_evenly_and_late_ones_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 4.0);
        assert!(pace.take(start));
        assert!(!pace.take(start + Duration::from_millis(249)));
        assert_eq!(pace.next(), start + Duration::from_millis(250));
        let mut late = 0;
        while pace.take(start + Duration::from_secs(1)) {
            late += 1;
        }
        assert_eq!(late, 4);
    }
}
