//! The address pairs that ICE has validated for one transport, and which of them media takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Validated pairs kept per transport. A browser has a handful of addresses; when one more is
/// validated, the pair that was checked longest ago and is not selected makes room.
pub(crate) const MAX_PAIRS: usize = 16;

/// A validated pair that was not checked for this long may no longer send.
pub(crate) const PAIR_LIFETIME: Duration = Duration::from_secs(30);

/// What carries the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// Datagrams.
    #[default]
    Udp,
    /// Frames on a stream (RFC 6544); see [`crate::Deframer`].
    Tcp,
}

/// Our address and the peer's: where packets leave from and go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressPair {
    /// What carries them.
    pub protocol: Protocol,
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
    /// A path whose remote address may send from now on.
    pub(crate) added: Option<AddressPair>,
    /// A path whose remote address may no longer.
    pub(crate) removed: Option<AddressPair>,
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

    /// Whether packets other than STUN are taken from the remote address of `path`.
    pub(crate) fn allows(&self, path: AddressPair) -> bool {
        let same = |pair: AddressPair| pair.remote == path.remote && pair.protocol == path.protocol;
        self.selected.is_some_and(same) || self.validated.iter().any(|entry| same(entry.pair))
    }

    /// The remote addresses that may send, with what carries their packets; some more than once.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = (Protocol, SocketAddr)> + '_ {
        let validated = self.validated.iter().map(|entry| entry.pair);
        validated.chain(self.selected).map(|pair| (pair.protocol, pair.remote))
    }

    /// Forgets a path that does not exist any more. If media took it, the one that was checked last is selected.
    pub(crate) fn forget(&mut self, path: AddressPair) -> PairChange {
        self.validated.retain(|entry| entry.pair != path);
        let mut change = PairChange::default();
        if self.selected == Some(path) {
            self.selected = self.validated.iter().max_by_key(|entry| entry.checked).map(|entry| entry.pair);
            change.selected = self.selected;
        }
        change.removed = (!self.allows(path)).then_some(path);
        change
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
            change.added = (!self.allows(pair)).then_some(pair);
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
                    let gone = self.validated.swap_remove(index).pair;
                    let stays = (gone.protocol, gone.remote) == (pair.protocol, pair.remote);
                    change.removed = (!stays && !self.allows(gone)).then_some(gone);
                }
            }
            // Most peers have one or two.
            self.validated.reserve_exact(1);
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

    /// Forgets one pair that is past [`PAIR_LIFETIME`]; the selected one stays. Returns it when no other pair keeps
    /// its remote address valid. Call until `None`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<AddressPair> {
        while let Some(index) = self.validated.iter().position(|entry| {
            Some(entry.pair) != self.selected && now.saturating_duration_since(entry.checked) >= PAIR_LIFETIME
        }) {
            let gone = self.validated.swap_remove(index).pair;
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
        AddressPair {
            protocol: Protocol::Udp,
            local: ([127, 0, 0, 1], 1).into(),
            remote: ([127, 0, 0, 1], port).into(),
        }
    }

    const STALE: Duration = Duration::from_secs(15);

    #[test]
    fn the_first_check_selects_and_a_nomination_moves() {
        let now = Instant::now();
        let mut pairs = Pairs::default();
        let first = pairs.checked(pair(10), false, STALE, now);
        assert_eq!((first.added, first.selected), (Some(pair(10)), Some(pair(10))));
        let second = pairs.checked(pair(11), false, STALE, now);
        assert_eq!((second.added, second.selected), (Some(pair(11)), None));
        assert_eq!(pairs.checked(pair(11), true, STALE, now).selected, Some(pair(11)));
        assert_eq!(pairs.checked(pair(11), true, STALE, now), PairChange::default());
        assert!(pairs.allows(pair(10)) && !pairs.allows(pair(12)));
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
        assert!(pairs.allows(pair(1000)) && pairs.allows(pair(1099)));
        assert!(!pairs.allows(pair(1001)));
    }

    #[test]
    fn pairs_expire_but_never_the_selected_one() {
        let now = Instant::now();
        let mut pairs = Pairs::default();
        pairs.checked(pair(10), true, STALE, now);
        pairs.checked(pair(11), false, STALE, now);
        assert_eq!(pairs.next_expiry(), Some(now + PAIR_LIFETIME));
        assert_eq!(pairs.expire(now + PAIR_LIFETIME), Some(pair(11)));
        assert_eq!(pairs.expire(now + PAIR_LIFETIME), None);
        assert_eq!(pairs.next_expiry(), None);
        assert!(pairs.allows(pair(10)));
    }

    #[test]
    fn one_address_counts_for_what_carried_the_check() {
        let now = Instant::now();
        let tcp = AddressPair { protocol: Protocol::Tcp, ..pair(10) };
        let mut pairs = Pairs::default();
        pairs.checked(pair(10), true, STALE, now);
        assert!(!pairs.allows(tcp));
        assert_eq!(pairs.checked(tcp, true, STALE, now).selected, Some(tcp));
        // The stream ends: media goes back to what is left, and then to nothing.
        let gone = pairs.forget(tcp);
        assert_eq!((gone.removed, gone.selected), (Some(tcp), Some(pair(10))));
        assert!(pairs.allows(pair(10)) && !pairs.allows(tcp));
        pairs.forget(pair(10));
        assert_eq!(pairs.selected(), None);
        assert_eq!(pairs.checked(pair(10), false, STALE, now).selected, Some(pair(10)));
    }
}
