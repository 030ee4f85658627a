//! The clock that the service reads: the database's, so that all processes on it agree; or a test's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time in whole milliseconds. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    /// Counts on from what the database said last: Unix milliseconds at `start`, corrected by [`Clock::follow`].
    Database {
        start: Instant,
        at_start: AtomicI64,
    },
    Hand(Box<dyn Fn() -> DateTime<Utc> + Send + Sync>),
}

impl Clock {
    /// The machine's clock, until the database has told its own.
    #[must_use]
    pub fn system() -> Self {
        let at_start = AtomicI64::new(Utc::now().timestamp_millis());
        Self(Arc::new(Source::Database { start: Instant::now(), at_start }))
    }

    /// A clock that says what `now` says.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Source::Hand(Box::new(now))))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &*self.0 {
            Source::Database { start, at_start } => {
                let elapsed = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
                let now = at_start.load(Ordering::Relaxed).saturating_add(elapsed);
                DateTime::from_timestamp_millis(now).unwrap_or_default()
            }
            Source::Hand(now) => whole_millis(now()),
        }
    }

    /// The database says that it is `now`. A test's clock does not care.
    pub(crate) fn follow(&self, now: DateTime<Utc>) {
        if let Source::Database { at_start, .. } = &*self.0 {
            let off = now - self.now();
            if off.abs() > TimeDelta::seconds(5) {
                tracing::info!(clock.off_ms = off.num_milliseconds(), "following the database's clock");
            }
            at_start.fetch_add(off.num_milliseconds(), Ordering::Relaxed);
        }
    }

    /// What statements take for now: nothing where the database's clock rules.
    pub(crate) fn of_test(&self) -> Option<DateTime<Utc>> {
        matches!(&*self.0, Source::Hand(_)).then(|| self.now())
    }

    /// Now in Unix seconds, for tokens.
    pub(crate) fn unix(&self) -> u64 {
        u64::try_from(self.now().timestamp()).unwrap_or(0)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// `at` without its microseconds: what both databases hold and compare exactly.
#[must_use]
pub(crate) fn whole_millis(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_clock_is_followed_and_a_tests_is_not() {
        let there = DateTime::from_timestamp(2_000_000_000, 0).unwrap();
        let clock = Clock::system();
        clock.follow(there);
        assert!(clock.now() >= there && clock.now() < there + TimeDelta::days(1));
        assert_eq!(clock.of_test(), None);
        let hand = Clock::new(move || there);
        hand.follow(there + TimeDelta::days(1));
        assert_eq!((hand.now(), hand.of_test()), (there, Some(there)));
    }
}
