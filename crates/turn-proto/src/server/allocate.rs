//! Allocate: checked step by step (RFC 8656, section 7.2), then relay sockets are opened one after the other,
//! then the client gets its answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;
use stun::attributes::{
    ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT,
    ATTR_RESERVATION_TOKEN, ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS,
};
use turn::proto::PROTO_UDP;

use super::control::{lifetime, requested_family, seconds};
use super::{Command, Event, Fail, Owner, Relay, Server};
use crate::allocation::Allocation;
use crate::auth::Identity;
use crate::error::{ErrorCode, Reason};
use crate::limit::Source;
use crate::message::{
    ATTR_ADDITIONAL_ADDRESS_FAMILY, ATTR_ADDRESS_ERROR_CODE, Request, Response, Transaction,
};
use crate::ports::Parity;
use crate::types::{Family, FiveTuple, RelayId};

/// How long the second port of a pair waits for its client (RFC 8656, section 7.2).
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// Ports that are tried before an Allocate fails because other programs hold them.
const MAX_TRIES: u8 = 16;

/// An Allocate whose relay sockets are being opened. At most one per 5-tuple; a retransmission meanwhile is
/// ignored, since its answer is on the way.
pub(super) struct Pending {
    transaction: Transaction,
    identity: Identity,
    asked: Option<Duration>,
    plan: Plan,
    opened: Vec<RelayId>,
    /// Families of a dual allocation that failed.
    failed: Vec<(Family, ErrorCode)>,
    tries: u8,
}

/// Which relay sockets an Allocate wants.
#[derive(Clone, Copy)]
enum Plan {
    One {
        family: Family,
        parity: Parity,
    },
    /// An even port and the next one, which is then reserved.
    Pair {
        family: Family,
    },
    /// One of each family; one may fail.
    Dual,
    /// The port that a reservation held.
    Reserved {
        family: Family,
    },
}

impl Plan {
    fn sockets(self) -> usize {
        match self {
            Self::One { .. } | Self::Reserved { .. } => 1,
            Self::Pair { .. } | Self::Dual => 2,
        }
    }

    /// Places that it takes in the quota of its user: a reservation takes one too.
    fn places(self) -> usize {
        if matches!(self, Self::Pair { .. }) { 2 } else { 1 }
    }
}

impl<R: Rng> Server<R> {
    pub(super) fn allocate(
        &mut self,
        request: &Request,
        from: FiveTuple,
        identity: Identity,
        now: Instant,
    ) -> Result<(), Fail> {
        if self.pending.contains_key(&from) {
            self.stats.ignored += 1;
            return Ok(());
        }
        if let Some(allocation) = self.allocation(&from) {
            let same = allocation.made_by == request.transaction.id
                && allocation.identity.username == identity.username;
            if same {
                let answer = allocation.answer.to_vec();
                self.send(from, answer);
                return Ok(());
            }
            return Err(Fail::new(ErrorCode::AllocationMismatch, Reason::AlreadyAllocated));
        }
        let transport = request
            .fixed::<4>(ATTR_REQUESTED_TRANSPORT)
            .ok()
            .flatten()
            .ok_or_else(|| Fail::malformed("REQUESTED-TRANSPORT"))?;
        if transport[0] != PROTO_UDP.0 {
            return Err(Fail::new(ErrorCode::UnsupportedTransport, Reason::Transport));
        }
        let asked = lifetime(request)?;
        let token = reservation_token(request)?;
        let plan = self.plan(request)?;
        if self.draining {
            return Err(self.elsewhere(&from));
        }
        let mut pending = Pending {
            transaction: request.transaction,
            identity,
            asked,
            plan,
            opened: Vec::new(),
            failed: Vec::new(),
            tries: 0,
        };
        let (username, source) = (&pending.identity.username, Source::of(from.client.0.ip()));
        if let Some(token) = token {
            let unknown = Fail::new(ErrorCode::InsufficientCapacity, Reason::Reservation);
            let address = self.shared.books().claim(&token, username, source, now).ok_or(unknown)?;
            pending.plan = Plan::Reserved { family: Family::of(address.ip()) };
            let relay = self.insert_relay(address, from);
            self.pending.insert(from, pending);
            self.commands.push_back(Command::UnparkRelay { relay, address });
            return Ok(());
        }
        let admitted =
            self.shared.books().admit(username, source, plan.places(), plan.sockets(), &self.limits);
        admitted.map_err(|(code, reason)| Fail::new(code, reason))?;
        self.advance(from, pending, now);
        Ok(())
    }

    /// The refusal of a draining server: 300 where there is an alternate that the client can reach alike.
    fn elsewhere(&self, from: &FiveTuple) -> Fail {
        let alike = |alternate: &&SocketAddr| alternate.is_ipv4() == from.client.0.is_ipv4();
        let alternates = if from.transport.is_secure() { &self.alternates_tls } else { &self.alternates };
        match alternates.iter().find(alike) {
            Some(alternate) => {
                Fail { alternate: Some(*alternate), ..Fail::new(ErrorCode::TryAlternate, Reason::Draining) }
            }
            None => Fail::new(ErrorCode::InsufficientCapacity, Reason::Draining),
        }
    }

    /// The owner's answer to [`Command::OpenRelay`] and [`Command::UnparkRelay`]: whether the socket is open.
    pub fn relay_opened(&mut self, relay: RelayId, opened: bool, now: Instant) {
        let Some(Owner::Pending(tuple)) = self.relay(relay).map(|relay| &relay.owner) else { return };
        let tuple = *tuple;
        let Some(mut pending) = self.pending.remove(&tuple) else { return };
        if opened {
            pending.opened.push(relay);
        } else {
            let address = self.forget(relay);
            if matches!(pending.plan, Plan::Pair { .. }) {
                // The other half of the pair goes back as well; a later try takes other ports.
                match (pending.opened.pop(), address) {
                    (Some(even), _) => drop(self.close_relay(even)),
                    (None, Some(even)) => self.shared.books().release_port(above(even)),
                    (None, None) => {}
                }
            }
        }
        self.advance(tuple, pending, now);
    }

    /// Opens the next socket that is missing, or answers.
    fn advance(&mut self, tuple: FiveTuple, mut pending: Pending, now: Instant) {
        loop {
            let done = pending.opened.len() + pending.failed.len();
            if done >= pending.plan.sockets() {
                return self.complete(tuple, pending, now);
            }
            let tries_left = pending.tries < MAX_TRIES;
            pending.tries += 1;
            let (family, next) = match pending.plan {
                Plan::One { family, parity } => (family, self.choose(&tuple, family, parity, tries_left)),
                Plan::Pair { family } => match pending.opened.first().and_then(|id| self.relay(*id)) {
                    // The next port was taken together with the even one.
                    Some(even) => (family, Some(above(even.address))),
                    None => (family, self.choose(&tuple, family, Parity::EvenPair, tries_left)),
                },
                Plan::Dual => {
                    let family = if done == 0 { Family::V4 } else { Family::V6 };
                    (family, self.choose(&tuple, family, Parity::Any, tries_left))
                }
                // It was the only one.
                Plan::Reserved { family } => (family, None),
            };
            if let Some(address) = next {
                let relay = self.insert_relay(address, tuple);
                self.pending.insert(tuple, pending);
                self.commands.push_back(Command::OpenRelay { relay, address });
                return;
            }
            let code = if self.shared.books().has_family(family) {
                ErrorCode::InsufficientCapacity
            } else {
                ErrorCode::AddressFamilyNotSupported
            };
            pending.failed.push((family, code));
            pending.tries = 0;
            if !matches!(pending.plan, Plan::Dual) {
                return self.complete(tuple, pending, now);
            }
        }
    }

    /// All sockets that can be had are open: makes the allocation and answers, or gives up.
    fn complete(&mut self, tuple: FiveTuple, mut pending: Pending, now: Instant) {
        let failed_pair = matches!(pending.plan, Plan::Pair { .. }) && pending.opened.len() < 2;
        if pending.opened.is_empty() || failed_pair {
            for relay in std::mem::take(&mut pending.opened) {
                self.close_relay(relay);
            }
            let mut books = self.shared.books();
            books.release_user(&pending.identity.username, pending.plan.places());
            books.release_source(Source::of(tuple.client.0.ip()));
            drop(books);
            let fail = Fail::new(ErrorCode::InsufficientCapacity, Reason::NoPort);
            return self.fail(pending.transaction, tuple, Some(&pending.identity.signer), fail);
        }
        let token = match pending.plan {
            Plan::Pair { .. } => {
                pending.opened.pop().and_then(|odd| self.reserve(odd, &pending.identity, now))
            }
            _ => None,
        };

        let granted = self.grant(pending.asked, &pending.identity, now);
        let mut response = Response::success(pending.transaction);
        for relay in &pending.opened {
            if let Some(relay) = self.relay(*relay) {
                response.add_address(ATTR_XOR_RELAYED_ADDRESS, relay.address);
            }
        }
        for (family, code) in &pending.failed {
            response.add_code(ATTR_ADDRESS_ERROR_CODE, [family.to_wire(), 0], *code);
        }
        response.add(ATTR_LIFETIME, &seconds(granted));
        if let Some(token) = token {
            response.add(ATTR_RESERVATION_TOKEN, &token);
        }
        response.add_address(ATTR_XORMAPPED_ADDRESS, tuple.client.0);
        let answer = response.finish(Some(&pending.identity.signer));

        let username = pending.identity.username.clone();
        let id = pending.transaction.id;
        let mut allocation = Allocation::new(tuple, pending.identity, id, self.hash);
        allocation.answer = answer.clone().into_boxed_slice();
        let entry = self.allocations.vacant_entry();
        let index = entry.key();
        for id in pending.opened.iter().copied() {
            if let Some(relay) = self.relays.get_mut(id.slot()) {
                relay.owner = Owner::Allocation(index);
                self.shared.live().insert(relay.address);
                allocation.relays.set(Family::of(relay.address.ip()), Some(id));
            }
        }
        entry.insert(allocation);
        self.by_tuple.insert(tuple, index);
        for relay in pending.opened {
            self.set_until(relay, now + granted);
        }
        self.stats.allocations_created += 1;
        self.event(Event::Created { tuple, username });
        self.send(tuple, answer);
    }

    /// EVEN-PORT, REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY: what is wanted, if it can be had.
    fn plan(&self, request: &Request) -> Result<Plan, Fail> {
        let even = request.fixed::<1>(ATTR_EVEN_PORT).map_err(|_| Fail::malformed("EVEN-PORT"))?;
        let requested = requested_family(request)?;
        let malformed = || Fail::malformed("ADDITIONAL-ADDRESS-FAMILY");
        let additional = request.fixed::<4>(ATTR_ADDITIONAL_ADDRESS_FAMILY).map_err(|_| malformed())?;
        let reserve = even.is_some_and(|[flags]| flags & 0x80 != 0);
        if let Some([family, ..]) = additional {
            if requested.is_some() {
                let what = "REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY";
                return Err(Fail::new(ErrorCode::BadRequest, Reason::Exclusive(what)));
            }
            if Family::from_wire(family) != Some(Family::V6) {
                return Err(malformed());
            }
            if reserve {
                let what = "EVEN-PORT with a reservation and ADDITIONAL-ADDRESS-FAMILY";
                return Err(Fail::new(ErrorCode::BadRequest, Reason::Exclusive(what)));
            }
            return Ok(Plan::Dual);
        }
        let family = requested.unwrap_or(Family::V4);
        if !self.shared.books().has_family(family) {
            return Err(Fail::new(ErrorCode::AddressFamilyNotSupported, Reason::Family(family)));
        }
        Ok(match even {
            Some(_) if reserve => Plan::Pair { family },
            Some(_) => Plan::One { family, parity: Parity::Even },
            None => Plan::One { family, parity: Parity::Any },
        })
    }

    fn choose(
        &mut self,
        tuple: &FiveTuple,
        family: Family,
        parity: Parity,
        tries_left: bool,
    ) -> Option<SocketAddr> {
        let client = tuple.client.0.ip();
        if tries_left { self.shared.books().take_port(client, family, parity, &mut self.rng) } else { None }
    }

    fn insert_relay(&mut self, address: SocketAddr, tuple: FiveTuple) -> RelayId {
        self.next_generation = self.next_generation.wrapping_add(1);
        let generation = self.next_generation;
        let slot =
            self.relays.insert(Relay { generation, address, owner: Owner::Pending(tuple), until: None });
        // The number of relay sockets is capped far below 2^32.
        RelayId { slot: u32::try_from(slot).unwrap_or(u32::MAX), generation }
    }

    /// Makes the second socket of a pair wait for its client, who may come to another thread. Here stays a
    /// timer only.
    fn reserve(&mut self, relay: RelayId, identity: &Identity, now: Instant) -> Option<[u8; 8]> {
        let mut token = [0; 8];
        self.rng.fill_bytes(&mut token);
        let until = now + RESERVATION_LIFETIME;
        let held = self.relays.get_mut(relay.slot())?;
        held.owner = Owner::Reserved { token };
        let address = held.address;
        self.shared.books().reserve(token, address, identity.username.clone(), until);
        self.set_until(relay, until);
        self.commands.push_back(Command::ParkRelay { relay, address });
        Some(token)
    }

    /// Forgets a socket that was never opened: there is nothing to close.
    fn forget(&mut self, relay: RelayId) -> Option<SocketAddr> {
        let relay = self.relays.try_remove(relay.slot())?;
        self.shared.books().release_port(relay.address);
        Some(relay.address)
    }
}

/// RESERVATION-TOKEN, if it is there and nothing that it excludes.
fn reservation_token(request: &Request) -> Result<Option<[u8; 8]>, Fail> {
    let malformed = || Fail::malformed("RESERVATION-TOKEN");
    let token = request.fixed::<8>(ATTR_RESERVATION_TOKEN).map_err(|_| malformed())?;
    let others = [ATTR_EVEN_PORT, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_ADDITIONAL_ADDRESS_FAMILY];
    if token.is_some() && others.iter().any(|typ| request.contains(*typ)) {
        let what = "RESERVATION-TOKEN and EVEN-PORT or an address family";
        return Err(Fail::new(ErrorCode::BadRequest, Reason::Exclusive(what)));
    }
    Ok(token)
}

/// The address with the next port. The port is even, so there is a next one.
fn above(even: SocketAddr) -> SocketAddr {
    SocketAddr::new(even.ip(), even.port().saturating_add(1))
}
