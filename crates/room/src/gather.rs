//! When a delta goes out. The first change after a quiet time goes at once; then at most one in [`GATHER`], and where they
//! go on and on, one in [`GATHER_BUSY`]: so thirty people who join within a second and a half are ten messages at most.

use std::time::{Duration, Instant};

/// Two deltas are at least so far apart.
pub const GATHER: Duration = Duration::from_millis(100);
/// Two deltas are at least so far apart after `BUSY_AFTER` of them in a row.
pub const GATHER_BUSY: Duration = Duration::from_millis(250);
/// Deltas in a row from which on a room is busy.
const BUSY_AFTER: u32 = 4;
/// A time without deltas after which the next one begins a new row.
const QUIET: Duration = Duration::from_millis(500);

/// The pace of a room's deltas.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    last: Option<Instant>,
    row: u32,
}

impl Gather {
    /// From when on the next delta may go; none is now.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.last.map(|last| last + if self.row < BUSY_AFTER { GATHER } else { GATHER_BUSY })
    }

    /// Whether a delta may go.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| now >= due)
    }

    /// A delta goes.
    pub(crate) fn sent(&mut self, now: Instant) {
        let is_new_row = self.last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        self.row = if is_new_row { 1 } else { self.row.saturating_add(1) };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When deltas go, in milliseconds, of a room in which something changes all the time from 0 to `until`.
    fn sent(until: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut gather = Gather::default();
        let mut sent = Vec::new();
        for ms in 0..=until {
            let now = start + Duration::from_millis(ms);
            if gather.is_due(now) {
                gather.sent(now);
                sent.push(ms);
            }
        }
        sent
    }

    #[test]
    fn a_burst_is_ten_messages() {
        assert_eq!(sent(1_550), [0, 100, 200, 300, 550, 800, 1_050, 1_300, 1_550]);
    }

    #[test]
    fn after_a_quiet_time_the_first_goes_at_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut gather = Gather::default();
        (0..6).for_each(|i| gather.sent(at(i * 100)));
        assert!(!gather.is_due(at(749)) && gather.is_due(at(750)));
        gather.sent(at(1_000));
        assert!(!gather.is_due(at(1_099)) && gather.is_due(at(1_100)));
    }
}
