//! Broadcasts that someone asked for and meta has not told of: which one meta is asked for next. Anyone may name ids
//! that nobody has, so each address waits in a line of its own, and meta is asked for the first of each in turn. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use contract::id::BroadcastId;

/// Broadcasts that wait in all lines. Beyond, the last of the longest line gives way; whoever waits for it hears of it
/// with the next announcement.
pub(crate) const MAX_WAITING: usize = 256;
/// Broadcasts that meta does not have, as far as they are remembered. Beyond, the oldest is forgotten.
const MAX_MISSING: usize = 1_024;
/// How long meta is not asked again for a broadcast that it did not have. It announces new ones by itself.
pub(crate) const MISSING_LIFETIME: Duration = Duration::from_secs(10);

/// A broadcast to ask meta for, and the address that wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: BroadcastId,
    address: IpAddr,
}

#[derive(Debug, Default)]
pub(crate) struct Unknown {
    /// None is empty.
    lines: BTreeMap<IpAddr, VecDeque<BroadcastId>>,
    /// Of all lines together.
    waiting: usize,
    /// Whose turn it was.
    last: Option<IpAddr>,
    missing: HashMap<BroadcastId, Instant>,
    /// The keys of `missing`, oldest first.
    oldest: VecDeque<BroadcastId>,
}

impl Unknown {
    /// `address` wants to know of `id`.
    pub(crate) fn ask(&mut self, id: BroadcastId, address: IpAddr, now: Instant) {
        let own = self.lines.get(&address);
        if self.is_missing(id, now) || own.is_some_and(|line| line.contains(&id)) {
            return;
        }
        if self.waiting >= MAX_WAITING {
            let fair = own.map_or(0, VecDeque::len) + 1;
            let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
            match longest.map(|(address, line)| (*address, line.len())) {
                Some((longest, length)) if length > fair => drop(self.take(longest, VecDeque::pop_back)),
                _ => return,
            }
        }
        self.lines.entry(address).or_default().push_back(id);
        self.waiting += 1;
    }

    /// What to ask meta for now: of each address one in turn.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Asked> {
        loop {
            let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
            let mut lines = self.lines.range((after, Bound::Unbounded)).chain(&self.lines);
            let address = *lines.next()?.0;
            self.last = Some(address);
            let id = self.take(address, VecDeque::pop_front)?;
            if !self.is_missing(id, now) {
                return Some(Asked { id, address });
            }
        }
    }

    /// Meta did not answer.
    pub(crate) fn ask_again(&mut self, asked: Asked, now: Instant) {
        self.ask(asked.id, asked.address, now);
    }

    /// Whether meta did not have `id` when it was asked last, as far as that is remembered.
    pub(crate) fn was_missing(&self, id: BroadcastId) -> bool {
        self.missing.contains_key(&id)
    }

    /// Meta does not have `id`.
    pub(crate) fn is_not_there(&mut self, id: BroadcastId, now: Instant) {
        if self.missing.insert(id, now).is_none() {
            self.oldest.push_back(id);
        }
        while self.oldest.len() > MAX_MISSING {
            let Some(oldest) = self.oldest.pop_front() else { return };
            self.missing.remove(&oldest);
        }
    }

    fn is_missing(&self, id: BroadcastId, now: Instant) -> bool {
        let since = self.missing.get(&id);
        since.is_some_and(|since| now.saturating_duration_since(*since) < MISSING_LIFETIME)
    }

    fn take(
        &mut self,
        address: IpAddr,
        end: impl FnOnce(&mut VecDeque<BroadcastId>) -> Option<BroadcastId>,
    ) -> Option<BroadcastId> {
        let line = self.lines.get_mut(&address)?;
        let id = end(line);
        if line.is_empty() {
            self.lines.remove(&address);
        }
        self.waiting = self.waiting.saturating_sub(usize::from(id.is_some()));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn drain(unknown: &mut Unknown, now: Instant) -> Vec<i64> {
        std::iter::from_fn(|| unknown.next(now)).map(|asked| asked.id.0).collect()
    }

    #[test]
    fn made_up_ids_of_one_address_keep_nobody_else_waiting() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        for id in 1_000..2_000 {
            unknown.ask(BroadcastId(id), address(1), now);
        }
        assert_eq!(unknown.waiting, MAX_WAITING);
        for id in [1, 2, 2] {
            unknown.ask(BroadcastId(id), address(2), now);
        }
        assert_eq!(unknown.waiting, MAX_WAITING);
        let asked = drain(&mut unknown, now);
        assert_eq!((&asked[..4], asked.len()), (&[1_000, 1, 1_001, 2][..], MAX_WAITING));
        assert!(unknown.lines.is_empty() && unknown.waiting == 0);
    }

    #[test]
    fn lines_of_equal_length_do_not_push_each_other_out() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        for last in 0..=255 {
            unknown.ask(BroadcastId(i64::from(last)), address(last), now);
        }
        unknown.ask(BroadcastId(999), IpAddr::from([198, 51, 100, 1]), now);
        unknown.ask(BroadcastId(999), address(3), now);
        assert_eq!(drain(&mut unknown, now), (0..=255).collect::<Vec<_>>());
    }

    #[test]
    fn what_meta_does_not_have_is_asked_again_after_a_while() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        unknown.ask(BroadcastId(1), address(1), now);
        unknown.ask(BroadcastId(1), address(2), now);
        assert_eq!(unknown.next(now).map(|asked| asked.id), Some(BroadcastId(1)));
        unknown.is_not_there(BroadcastId(1), now);
        assert_eq!(unknown.next(now), None, "the other address waits for nothing either");
        unknown.ask(BroadcastId(1), address(1), now + MISSING_LIFETIME / 2);
        assert_eq!(unknown.next(now), None);
        unknown.ask(BroadcastId(1), address(1), now + MISSING_LIFETIME);
        let asked = unknown.next(now + MISSING_LIFETIME).unwrap();
        unknown.ask_again(asked, now + MISSING_LIFETIME);
        assert_eq!(unknown.next(now + MISSING_LIFETIME), Some(asked));
    }

    #[test]
    fn what_meta_does_not_have_is_remembered_within_bounds() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        for id in 0..2_000 {
            unknown.is_not_there(BroadcastId(id), now);
            unknown.is_not_there(BroadcastId(id), now);
        }
        assert_eq!((unknown.missing.len(), unknown.oldest.len()), (MAX_MISSING, MAX_MISSING));
        unknown.is_not_there(BroadcastId(9_999), now + MISSING_LIFETIME);
        assert_eq!((unknown.missing.len(), unknown.oldest.len()), (MAX_MISSING, MAX_MISSING));
        assert!(unknown.was_missing(BroadcastId(9_999)) && !unknown.was_missing(BroadcastId(0)));
    }
}
