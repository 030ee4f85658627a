//! Which refusals are written to the log at a level that operators see. Strangers provoke refusals at will and must
//! not fill it; the metrics count every one.

use std::time::{Duration, Instant};

/// Lines in one [`PERIOD`]; what is more is counted and told with the next line.
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(10);

/// What one thread may still say in this period.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    begin: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Refusals {
    /// Whether a refusal may be said now; with how many were not said since the last one that was.
    pub(crate) fn may_say(&mut self, now: Instant) -> Option<u64> {
        if self.begin.is_none_or(|begin| now.saturating_duration_since(begin) >= PERIOD) {
            self.begin = Some(now);
            self.said = 0;
        }
        if self.said >= LINES {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_ten_lines_in_ten_seconds_and_its_rest_is_counted() {
        let begin = Instant::now();
        let mut refusals = Refusals::default();
        let said: Vec<_> = (0..100).filter_map(|_| refusals.may_say(begin)).collect();
        assert_eq!(said, [0; 10]);
        assert_eq!(refusals.may_say(begin + PERIOD), Some(90));
        assert_eq!(refusals.may_say(begin + PERIOD), Some(0));
    }
}
