//! Who is due next: a heap with at most one live entry per publisher, subscriber and room.
//!
//! Moving a deadline forward adds an entry and leaves the old one behind; it is recognised as stale when its
//! time comes. The latest one that was left behind is used again when the deadline moves back to its time: a
//! subscriber that is served every few milliseconds between two reports has two entries, not hundreds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::ids::RoomId;
use crate::slots::Key;

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Publisher(Key),
    Subscriber(Key),
    Room(RoomId),
}

/// The deadline of one owner.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadline {
    armed: Option<Instant>,
    /// The latest entry that was left behind.
    left: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Owner)>>,
}

impl Timers {
    /// Makes sure that `owner` is due at `at` at the latest.
    pub(crate) fn arm(&mut self, owner: Owner, deadline: &mut Deadline, at: Option<Instant>) {
        let Some(at) = at else { return };
        if deadline.armed.is_some_and(|armed| at >= armed) {
            return;
        }
        let before = deadline.armed.replace(at);
        if deadline.left == Some(at) {
            deadline.left = before;
            return;
        }
        deadline.left = deadline.left.max(before);
        self.heap.push(Reverse((at, owner)));
    }

    /// The first deadline; one that is stale makes for a call that does nothing.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out one entry that is due at `now`. It counts only if the owner's [`Deadline::take`] says so.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, Owner)> {
        self.next().filter(|&at| at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Deadline {
    /// Whether the entry of time `at` is the live one; it is used up.
    pub(crate) fn take(&mut self, at: Instant) -> bool {
        if self.armed == Some(at) {
            self.armed = None;
            return true;
        }
        if self.left == Some(at) {
            self.left = None;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_that_moves_to_and_fro_takes_two_entries() {
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        let start = Instant::now();
        let ms = |ms: u64| start + Duration::from_millis(ms);
        let owner = Owner::Subscriber((1, 1));
        let mut reports = 0;
        for step in 0..10_000 {
            let now = ms(step);
            let report = ms((step / 1_000 + 1) * 1_000);
            while let Some((at, _)) = timers.pop(now) {
                if deadline.take(at) {
                    reports += u32::from(at == ms(step / 1_000 * 1_000));
                }
            }
            timers.arm(owner, &mut deadline, Some(report));
            timers.arm(owner, &mut deadline, Some((now + Duration::from_millis(5)).min(report)));
            assert!(timers.heap.len() <= 2, "{} entries at {step}", timers.heap.len());
        }
        assert_eq!(reports, 9);
    }
}
