//! The address pairs that ICE has validated for one transport, and which of them media takes.
//!
//! A check proves who sent it, not where from: whoever holds a session can send checks with anybody's address as their
//! source, and nominate it. So once the peer is authenticated, media moves only to a pair over which DTLS, RTP or RTCP of
//! that peer has come, or one whose address a round trip has proved (a stream, the answer to a check of ours).

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

/// The owner of an address that nothing but its checks speaks for gives way after this time without one. Browsers check
/// every 2.5 s, and nobody may go longer than 6 s (RFC 7675, section 5.1).
pub(crate) const HOLD_TIME: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Validated {
    pair: AddressPair,
    /// The latest authenticated check.
    checked: Instant,
    /// More than checks has come over it; see [`self`].
    proven: bool,
}

/// What a check says about its pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    /// The peer has chosen the pair (USE-CANDIDATE), or we have.
    pub(crate) nominates: bool,
    /// The peer is really there: the check answers one of ours.
    pub(crate) proves: bool,
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
    /// The pair that media should take and does not yet, because only checks have come over it.
    wanted: Option<AddressPair>,
    /// The peer is authenticated: from now on media moves to proven pairs only.
    needs_proof: bool,
}

impl Pairs {
    pub(crate) fn selected(&self) -> Option<AddressPair> {
        self.selected
    }

    /// The pair that media should take once it is proven.
    pub(crate) fn wanted(&self) -> Option<AddressPair> {
        self.wanted
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

    /// Whether this transport is the one that the packets of `remote` belong to, whoever else has sent checks with that
    /// address: it has been heard from there since it is authenticated, and checked within [`HOLD_TIME`].
    pub(crate) fn holds(&self, remote: SocketAddr, now: Instant) -> bool {
        self.needs_proof
            && self.validated.iter().any(|entry| {
                let Validated { pair, checked, proven } = entry;
                let is_fresh = now.saturating_duration_since(*checked) < HOLD_TIME;
                *proven && is_fresh && pair.protocol == Protocol::Udp && pair.remote == remote
            })
    }

    /// Forgets a path that does not exist any more. If media took it, the one that was checked last is selected, of those
    /// that it may take.
    pub(crate) fn forget(&mut self, path: AddressPair) -> PairChange {
        self.validated.retain(|entry| entry.pair != path);
        self.wanted = self.wanted.filter(|wanted| *wanted != path);
        let mut change = PairChange::default();
        if self.selected == Some(path) {
            let usable = self.validated.iter().filter(|entry| entry.proven || !self.needs_proof);
            self.selected = usable.max_by_key(|entry| entry.checked).map(|entry| entry.pair);
            change.selected = self.selected;
        }
        change.removed = (!self.allows(path)).then_some(path);
        change
    }

    /// Records an authenticated check. A nomination makes the pair the one that media should take; so does any check
    /// while the selected pair has had none for `stale_after`, or while there is none.
    pub(crate) fn checked(
        &mut self,
        pair: AddressPair,
        check: Check,
        stale_after: Duration,
        now: Instant,
    ) -> PairChange {
        let mut change = PairChange::default();
        // Nobody opens a stream from an address that is not theirs.
        let proves = check.proves || pair.protocol == Protocol::Tcp;
        let proven = match self.validated.iter_mut().find(|entry| entry.pair == pair) {
            Some(entry) => {
                entry.checked = now;
                entry.proven |= proves;
                entry.proven
            }
            None => {
                change.added = (!self.allows(pair)).then_some(pair);
                change.removed = self.make_room(pair);
                // Most peers have one or two.
                self.validated.reserve_exact(1);
                self.validated.push(Validated { pair, checked: now, proven: proves });
                proves
            }
        };
        let is_stale = !self.validated.iter().any(|entry| {
            Some(entry.pair) == self.selected && now.saturating_duration_since(entry.checked) < stale_after
        });
        if self.selected == Some(pair) {
            if check.nominates {
                self.wanted = None;
            }
        } else if check.nominates || is_stale {
            if proven || !self.needs_proof {
                self.select(pair, &mut change);
            } else {
                self.wanted = Some(pair);
            }
        }
        change
    }

    /// Makes room for one more pair: the one that was checked longest ago and is not selected goes. Returns it if its
    /// address may send no longer.
    fn make_room(&mut self, coming: AddressPair) -> Option<AddressPair> {
        if self.validated.len() < MAX_PAIRS {
            return None;
        }
        let others = self.validated.iter().enumerate().filter(|(_, entry)| Some(entry.pair) != self.selected);
        let (oldest, _) = others.min_by_key(|(_, entry)| entry.checked)?;
        let gone = self.validated.swap_remove(oldest).pair;
        self.wanted = self.wanted.filter(|wanted| *wanted != gone);
        let stays = (gone.protocol, gone.remote) == (coming.protocol, coming.remote);
        (!stays && !self.allows(gone)).then_some(gone)
    }

    /// The peer was authenticated by what came over `path`: media begins there.
    pub(crate) fn connected(&mut self, path: AddressPair) -> PairChange {
        let mut change = PairChange::default();
        let before = self.selected;
        self.needs_proof = true;
        self.select(path, &mut change);
        self.wanted = before.filter(|before| *before != path);
        change
    }

    /// Something came over `path`, which is validated, that only the peer can have sent: a packet, or the answer to a check
    /// of ours. Called for each packet.
    pub(crate) fn heard(&mut self, path: AddressPair) -> PairChange {
        let mut change = PairChange::default();
        let moves = self.wanted == Some(path) || self.selected.is_none();
        if moves && self.needs_proof {
            self.select(path, &mut change);
        }
        change
    }

    fn select(&mut self, pair: AddressPair, change: &mut PairChange) {
        self.wanted = None;
        if let Some(entry) = self.validated.iter_mut().find(|entry| entry.pair == pair) {
            entry.proven |= self.needs_proof;
        }
        if self.selected != Some(pair) {
            self.selected = Some(pair);
            change.selected = Some(pair);
        }
    }

    /// Forgets one pair that is past [`PAIR_LIFETIME`]; the selected one stays. Returns it when no other pair keeps
    /// its remote address valid. Call until `None`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<AddressPair> {
        while let Some(index) = self.validated.iter().position(|entry| {
            Some(entry.pair) != self.selected && now.saturating_duration_since(entry.checked) >= PAIR_LIFETIME
        }) {
            let gone = self.validated.swap_remove(index).pair;
            self.wanted = self.wanted.filter(|wanted| *wanted != gone);
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
#[path = "pairs_tests.rs"]
mod tests;
