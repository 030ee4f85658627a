//! The address pairs that ICE has validated for one transport, and which of them media takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Validated pairs kept per transport. A browser has a handful of addresses; when one more is
/// validated, the pair that was checked longest ago and is not selected makes room.
pub(crate) const MAX_PAIRS: usize = 16;

/// A validated pair that was not checked for this long may no longer send.
pub(crate) const PAIR_LIFETIME: Duration = Duration::from_secs(30);

/// Our address and the peer's: where datagrams leave from and go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressPair {
    /// Address of our socket.
    pub local: SocketAddr,
    /// Address of the peer, as its datagrams show it.
    pub remote: SocketAddr,
}

#[derive(Debug)]
struct Validated {
    pair: AddressPair,
    /// The latest authenticated check.
    checked: Instant,
}

/// What changed for the owner of the sockets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PairChange {
    /// A remote address that may send from now on.
    pub(crate) added: Option<SocketAddr>,
    /// A remote address that may no longer.
    pub(crate) removed: Option<SocketAddr>,
    /// The pair that media takes from now on.
    pub(crate) selected: Option<AddressPair>,
}

/// Validated pairs of one transport, at most [`MAX_PAIRS`].
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    validated: Vec<Validated>,
    selected: Option<AddressPair>,
}

impl Pairs {
    pub(crate) fn selected(&self) -> Option<AddressPair> {
        self.selected
    }

    /// Whether datagrams other than STUN are taken from `remote`.
    pub(crate) fn allows(&self, remote: SocketAddr) -> bool {
        self.selected.is_some_and(|pair| pair.remote == remote)
            || self.validated.iter().any(|entry| entry.pair.remote == remote)
    }

    /// Records an authenticated check. `nominated` makes the pair the selected one; so does any check
    /// while the selected pair has had none for `stale_after`, or while there is none.
    pub(crate) fn checked(
        &mut self,
        pair: AddressPair,
        nominated: bool,
        stale_after: Duration,
        now: Instant,
    ) -> PairChange {
        let mut change = PairChange::default();
        if let Some(entry) = self.validated.iter_mut().find(|entry| entry.pair == pair) {
            entry.checked = now;
        } else {
            change.added = (!self.allows(pair.remote)).then_some(pair.remote);
            if self.validated.len() >= MAX_PAIRS {
                let selected = self.selected;
                let oldest = self
                    .validated
                    .iter()
                    .enumerate()
                    .filter(|(_, entry)| Some(entry.pair) != selected)
                    .min_by_key(|(_, entry)| entry.checked)
                    .map(|(index, _)| index);
                if let Some(index) = oldest {
                    let gone = self.validated.swap_remove(index).pair.remote;
                    change.removed = (gone != pair.remote && !self.allows(gone)).then_some(gone);
                }
            }
            self.validated.push(Validated { pair, checked: now });
        }
        let stale = !self.validated.iter().any(|entry| {
            Some(entry.pair) == self.selected && now.saturating_duration_since(entry.checked) < stale_after
        });
        if self.selected != Some(pair) && (nominated || stale) {
            self.selected = Some(pair);
            change.selected = Some(pair);
        }
        change
    }

    /// Forgets one pair that is past [`PAIR_LIFETIME`]; the selected one stays. Returns its remote
    /// address when no other pair keeps it valid. Call until `None`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<SocketAddr> {
        while let Some(index) = self.validated.iter().position(|entry| {
            Some(entry.pair) != self.selected && now.saturating_duration_since(entry.checked) >= PAIR_LIFETIME
        }) {
            let gone = self.validated.swap_remove(index).pair.remote;
            if !self.allows(gone) {
                return Some(gone);
            }
        }
        None
    }

    /// When [`Pairs::expire`] has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.validated
            .iter()
            .filter(|entry| Some(entry.pair) != self.selected)
            .map(|entry| entry.checked + PAIR_LIFETIME)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(port: u16) -> AddressPair {
        AddressPair { local: ([127, 0, 0, 1], 1).into(), remote: ([127, 0, 0, 1], port).into() }
    }

    const STALE: Duration = Duration::from_secs(15);

    #[test]
    fn the_first_check_selects_and_a_nomination_moves() {
        let now = Instant::now();
        let mut pairs = Pairs::default();
        let first = pairs.checked(pair(10), false, STALE, now);
        assert_eq!((first.added, first.selected), (Some(pair(10).remote), Some(pair(10))));
        let second = pairs.checked(pair(11), false, STALE, now);
        assert_eq!((second.added, second.selected), (Some(pair(11).remote), None));
        assert_eq!(pairs.checked(pair(11), true, STALE, now).selected, Some(pair(11)));
        assert_eq!(pairs.checked(pair(11), true, STALE, now), PairChange::default());
        assert!(pairs.allows(pair(10).remote) && !pairs.allows(pair(12).remote));
    }

    #[test]
    fn a_silent_selected_pair_gives_way_to_one_that_is_checked() {
        let now = Instant::now();
        let mut pairs = Pairs::default();
        pairs.checked(pair(10), true, STALE, now);
        pairs.checked(pair(11), false, STALE, now);
        assert_eq!(pairs.checked(pair(11), false, STALE, now + STALE / 2).selected, None);
        assert_eq!(pairs.checked(pair(11), false, STALE, now + STALE).selected, Some(pair(11)));
    }

    #[test]
    fn the_number_is_capped_and_the_selected_pair_survives() {
        let now = Instant::now();
        let mut pairs = Pairs::default();
        pairs.checked(pair(1000), true, STALE, now);
        let mut removed = 0;
        for index in 1..100u16 {
            let at = now + Duration::from_millis(u64::from(index));
            let change = pairs.checked(pair(1000 + index), false, STALE, at);
            assert_eq!(change.selected, None);
            removed += usize::from(change.removed.is_some());
        }
        assert_eq!(pairs.validated.len(), MAX_PAIRS);
        assert_eq!(removed, 100 - MAX_PAIRS);
        assert!(pairs.allows(pair(1000).remote) && pairs.allows(pair(1099).remote));
        assert!(!pairs.allows(pair(1001).remote));
    }

    #[test]
    fn pairs_expire_but_never_the_selected_one() {
        let now = Instant::now();
        let mut pairs = Pairs::default();
        pairs.checked(pair(10), true, STALE, now);
        pairs.checked(pair(11), false, STALE, now);
        assert_eq!(pairs.next_expiry(), Some(now + PAIR_LIFETIME));
        assert_eq!(pairs.expire(now + PAIR_LIFETIME), Some(pair(11).remote));
        assert_eq!(pairs.expire(now + PAIR_LIFETIME), None);
        assert_eq!(pairs.next_expiry(), None);
        assert!(pairs.allows(pair(10).remote));
    }
}
