//! Who is due next: a heap with at most one live entry per publisher and subscriber.
//!
//! Moving a deadline forward adds an entry and leaves the old one behind; it is recognised as stale when its
//! time comes. Deadlines move forward a few times a second at most, so the heap stays near the number of
//! owners.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::slots::Key;

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Publisher(Key),
    Subscriber(Key),
}

/// The deadline of one owner.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadline(Option<Instant>);

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Owner)>>,
}

impl Timers {
    /// Makes sure that `owner` is due at `at` at the latest.
    pub(crate) fn arm(&mut self, owner: Owner, deadline: &mut Deadline, at: Option<Instant>) {
        let Some(at) = at else { return };
        if deadline.0.is_none_or(|armed| at < armed) {
            deadline.0 = Some(at);
            self.heap.push(Reverse((at, owner)));
        }
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
        let live = self.0 == Some(at);
        if live {
            self.0 = None;
        }
        live
    }
}
