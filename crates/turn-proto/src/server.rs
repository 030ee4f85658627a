//! The server's state machine: tables, timers, and who is called for which input.

mod allocate;
mod control;
mod data;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::turn::TurnSecret;
use rand::Rng;
use slab::Slab;
use stun::attributes::{ATTR_UNKNOWN_ATTRIBUTES, ATTR_XORMAPPED_ADDRESS, AttrType};

use crate::allocation::Allocation;
use crate::auth::{Authenticator, Identity, Rejection};
use crate::config::{Config, ConfigError, Limits, StaticUser};
use crate::error::{ErrorCode, Reason, Refusal};
use crate::hash::Keyed;
use crate::integrity::Signer;
use crate::limit::Source;
use crate::message::{ATTR_ALTERNATE_DOMAIN, Request, Response, Transaction};
use crate::peer::{PeerPolicy, PeerRefusal};
use crate::shared::Shared;
use crate::stats::Stats;
use crate::types::{Family, FiveTuple, Method, RelayId, Transport};
use crate::wire::{self, Kind};

pub use allocate::RESERVATION_LIFETIME;
pub use control::{DEFAULT_LIFETIME, MAX_LIFETIME};
pub use data::{ToClient, ToPeer};

/// What the owner of the sockets must do. Order matters: a socket's `Open` comes before its `Close`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send these bytes to a client, from the server address of its 5-tuple.
    Send {
        /// To whom.
        to: FiveTuple,
        /// A whole STUN message.
        message: Vec<u8>,
    },
    /// Open a UDP socket for this relayed address and report with [`Server::relay_opened`].
    OpenRelay {
        /// The name of the socket from now on.
        relay: RelayId,
        /// The address that clients and peers are told.
        address: SocketAddr,
    },
    /// Close a relay socket.
    CloseRelay {
        /// Which.
        relay: RelayId,
    },
    /// Put a relay socket, still bound, where every thread finds it by its address: a client holds a reservation
    /// for it. Nothing is read from it.
    ParkRelay {
        /// Its name until now.
        relay: RelayId,
        /// Where to find it.
        address: SocketAddr,
    },
    /// Take a parked socket, which another thread may have put there, as this relay socket, and report with
    /// [`Server::relay_opened`].
    UnparkRelay {
        /// The name of the socket from now on.
        relay: RelayId,
        /// Where to find it.
        address: SocketAddr,
    },
    /// Close a parked socket: nobody came for it.
    CloseParked {
        /// Where to find it.
        address: SocketAddr,
    },
    /// This client has no allocation any more. Told of connections only (TCP, TLS, DTLS), which are not kept
    /// without one.
    Idle {
        /// Which client.
        client: FiveTuple,
    },
}

/// Something an operator may want to read in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An allocation was made.
    Created {
        /// Of whom.
        tuple: FiveTuple,
        /// With which user name.
        username: Arc<str>,
    },
    /// An allocation ended.
    Closed {
        /// Of whom.
        tuple: FiveTuple,
        /// Why.
        reason: CloseReason,
    },
    /// A request was refused.
    Refused {
        /// Of whom.
        tuple: FiveTuple,
        /// What and why.
        refusal: Refusal,
    },
}

/// Why an allocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client deleted it.
    Deleted,
    /// It was not refreshed, or its credential's grace is over.
    Expired,
    /// Its secret or its user was removed.
    SecretRemoved,
    /// The client's connection ended.
    Disconnected,
}

/// Events kept until they are polled; the oldest goes first when there are more.
const MAX_EVENTS: usize = 256;

/// A TURN server without sockets and clock.
///
/// Feed it with [`Server::handle_client`], [`Server::handle_peer`], [`Server::relay_opened`] and
/// [`Server::handle_timeout`]; after each, drain [`Server::poll_command`] (which keeps the queue as short as
/// one input's answer), then wait until [`Server::poll_timeout`]. Payloads never enter it: the answer to a
/// datagram that is to be forwarded says where to, and which part of the caller's buffer.
///
/// One server belongs to one thread. Several threads each have their own, around one [`Shared`]; a client must
/// always come to the same one.
pub struct Server<R> {
    rng: R,
    auth: Authenticator,
    grace: Duration,
    limits: Limits,
    policy: PeerPolicy,
    channel_numbers: RangeInclusive<u16>,
    draining: bool,
    alternates: Vec<SocketAddr>,
    alternates_tls: Vec<SocketAddr>,
    alternate_domain: Option<String>,
    /// Unix time in seconds at an instant.
    wall: (Instant, u64),
    shared: Shared,

    relays: Slab<Relay>,
    next_generation: u32,
    hash: Keyed,
    allocations: Slab<Allocation>,
    by_tuple: HashMap<FiveTuple, usize, Keyed>,
    pending: HashMap<FiveTuple, allocate::Pending>,
    /// When relay sockets end. An ordered set and not a heap: what is deleted early leaves nothing behind, so
    /// churn does not grow it.
    timers: BTreeSet<(Instant, RelayId)>,

    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    stats: Stats,
}

/// A relay socket, or the time that a parked one has left.
struct Relay {
    generation: u32,
    address: SocketAddr,
    owner: Owner,
    /// Its entry in the timers, once it is open.
    until: Option<Instant>,
}

/// What a relay socket is for.
enum Owner {
    /// An Allocate that is being answered.
    Pending(FiveTuple),
    /// A client that was promised the next port (EVEN-PORT with R). The socket is parked.
    Reserved { token: [u8; 8] },
    /// An allocation, by its slot.
    Allocation(usize),
}

/// Why a request is not granted; becomes an error response and an [`Event::Refused`].
struct Fail {
    code: ErrorCode,
    reason: Reason,
    unknown: Vec<AttrType>,
    alternate: Option<SocketAddr>,
}

impl Fail {
    fn new(code: ErrorCode, reason: Reason) -> Self {
        Self { code, reason, unknown: Vec::new(), alternate: None }
    }

    fn malformed(attribute: &'static str) -> Self {
        Self::new(ErrorCode::BadRequest, Reason::Attribute(attribute))
    }
}

impl<R: Rng> Server<R> {
    /// A server that knows nobody yet and shares nothing. `unix` is the Unix time in seconds at `now`.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn new(config: Config, mut rng: R, now: Instant, unix: u64) -> Result<Self, ConfigError> {
        let shared = Shared::new(&config, &mut rng, now)?;
        Self::with_shared(config, &shared, rng, now, unix)
    }

    /// A server beside others. Relay addresses, ports and the limit of challenges are those of `shared`.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn with_shared(
        config: Config,
        shared: &Shared,
        mut rng: R,
        now: Instant,
        unix: u64,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let hash = Keyed::new(&mut rng);
        Ok(Self {
            auth: Authenticator::new(config.realm, config.secrets, config.users, shared.clone()),
            rng,
            grace: config.grace,
            limits: config.limits,
            policy: config.policy.prepared(),
            channel_numbers: config.channel_numbers,
            draining: false,
            alternates: config.alternates,
            alternates_tls: config.alternates_tls,
            alternate_domain: config.alternate_domain,
            wall: (now, unix),
            shared: shared.clone(),
            relays: Slab::new(),
            next_generation: 0,
            allocations: Slab::new(),
            by_tuple: HashMap::with_hasher(hash),
            hash,
            pending: HashMap::new(),
            timers: BTreeSet::new(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
        })
    }

    /// A datagram (or a message of a stream) from a client. If it carries data for a peer, the answer says
    /// which bytes of it go where.
    pub fn handle_client(&mut self, bytes: &[u8], from: FiveTuple, now: Instant) -> Option<ToPeer> {
        match wire::classify(bytes) {
            Kind::ChannelData { number, payload } => self.channel_data(number, payload, &from, now),
            Kind::Send => self.send_indication(bytes, &from, now),
            Kind::Control => {
                match Request::parse(bytes) {
                    Some(request) => self.request(&request, from, now),
                    None => self.stats.ignored += 1,
                }
                None
            }
            Kind::Noise => {
                self.stats.ignored += 1;
                None
            }
        }
    }

    /// Ends what has reached its end.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((until, relay)) = self.timers.first().copied()
            && until <= now
        {
            self.end_relay(relay, CloseReason::Expired);
        }
    }

    /// When [`Server::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// The next thing to do, in order.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next thing to log.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Live allocations.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Corrects the wall clock, by which credentials expire. The owner calls it now and then.
    pub fn set_wall_clock(&mut self, now: Instant, unix: u64) {
        self.wall = (now, unix);
    }

    /// Replaces secrets and static users. Allocations of what is gone or has another password end at once.
    pub fn set_credentials(&mut self, secrets: Vec<TurnSecret>, users: Vec<StaticUser>) {
        self.auth.set_secrets(secrets);
        self.auth.set_users(users);
        let gone: Vec<usize> = self
            .allocations
            .iter()
            .filter(|(_, allocation)| !self.auth.stands(&allocation.identity))
            .map(|(index, _)| index)
            .collect();
        for index in gone {
            self.close_allocation(index, CloseReason::SecretRemoved);
        }
    }

    /// Replaces the peer filter; it is asked for each datagram, so this holds for live permissions too.
    pub fn set_policy(&mut self, policy: PeerPolicy) {
        self.policy = policy.prepared();
    }

    /// While draining, new allocations are refused (300 if there is an alternate, else 508) and live ones go on.
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Whether this client has an allocation.
    #[must_use]
    pub fn has_allocation(&self, client: &FiveTuple) -> bool {
        self.by_tuple.contains_key(client)
    }

    /// The client's connection (TCP, TLS, DTLS) has ended, and its allocation ends with it.
    pub fn disconnected(&mut self, client: &FiveTuple) {
        if let Some(index) = self.by_tuple.get(client) {
            self.close_allocation(*index, CloseReason::Disconnected);
        }
    }

    fn request(&mut self, request: &Request, from: FiveTuple, now: Instant) {
        let transaction = request.transaction;
        if transaction.method == Method::Binding {
            let unknown = request.unknown();
            if !unknown.is_empty() {
                if self.may_answer(&from, now) {
                    self.fail(transaction, from, None, unknown_attributes(unknown));
                }
                return;
            }
            self.stats.bindings += 1;
            let mut response = Response::success(transaction);
            response.add_address(ATTR_XORMAPPED_ADDRESS, from.client.0);
            return self.send(from, response.finish(None));
        }
        let identity = match self.authenticate(request, &from, now) {
            Ok(identity) => identity,
            Err(rejection) => return self.reject(transaction, from, rejection, now),
        };
        let signer = identity.signer.clone();
        let unknown = request.unknown();
        let result = if !unknown.is_empty() {
            Err(unknown_attributes(unknown))
        } else {
            match transaction.method {
                Method::Allocate => self.allocate(request, from, identity, now),
                Method::Refresh => self.refresh(request, &from, &identity, now),
                Method::CreatePermission => self.create_permission(request, &from, &identity, now),
                Method::ChannelBind => self.channel_bind(request, &from, &identity, now),
                Method::Binding => Ok(()),
            }
        };
        if let Err(fail) = result {
            self.fail(transaction, from, Some(&signer), fail);
        }
    }

    /// Who is it, and is the credential good for this request?
    fn authenticate(&self, request: &Request, from: &FiveTuple, now: Instant) -> Result<Identity, Rejection> {
        let identity = self.auth.check(request, from, now)?;
        let expired = Rejection { code: ErrorCode::Unauthenticated, reason: Reason::ExpiredCredential };
        // Expiry refuses what is new; what lives goes on through the grace.
        let lives = self.allocation(from).is_some_and(|a| a.identity.username == identity.username);
        let end = if lives { identity.expiry.saturating_add(self.grace.as_secs()) } else { identity.expiry };
        if self.unix(now) < end { Ok(identity) } else { Err(expired) }
    }

    fn reject(&mut self, transaction: Transaction, from: FiveTuple, rejection: Rejection, now: Instant) {
        let challenge = rejection.code != ErrorCode::BadRequest;
        // A 400 here is shorter than the request that provokes it; a challenge is longer.
        if challenge && !self.may_answer(&from, now) {
            return;
        }
        let mut response = Response::error(transaction, rejection.code);
        if challenge {
            self.auth.challenge(&mut response, &from, now);
        }
        self.refused(transaction, from, rejection.code, rejection.reason);
        self.send(from, response.finish(None));
    }

    /// Whether an error that is longer than its question may go to an address that has proved nothing.
    fn may_answer(&mut self, to: &FiveTuple, now: Instant) -> bool {
        let second = self.auth.second(now);
        let may = to.transport != Transport::Udp || self.shared.challenges().allow(to.client.0, second);
        self.stats.suppressed_challenges += u64::from(!may);
        may
    }

    fn fail(&mut self, transaction: Transaction, from: FiveTuple, signer: Option<&Signer>, fail: Fail) {
        let mut response = Response::error(transaction, fail.code);
        if !fail.unknown.is_empty() {
            let types: Vec<u8> = fail.unknown.iter().flat_map(|typ| typ.value().to_be_bytes()).collect();
            response.add(ATTR_UNKNOWN_ATTRIBUTES, &types);
        }
        if let Some(alternate) = fail.alternate {
            response.add_alternate(alternate);
            if let Some(domain) = self.alternate_domain.as_deref().filter(|_| from.transport.is_secure()) {
                response.add(ATTR_ALTERNATE_DOMAIN, domain.as_bytes());
            }
        }
        self.refused(transaction, from, fail.code, fail.reason);
        self.send(from, response.finish(signer));
    }

    fn refused(&mut self, transaction: Transaction, tuple: FiveTuple, code: ErrorCode, reason: Reason) {
        self.stats.errors[code.index()] += 1;
        if let Reason::Peer(refusal) = reason {
            self.refused_peer(refusal);
        }
        let refusal = Refusal { method: transaction.method, code, reason };
        self.event(Event::Refused { tuple, refusal });
    }

    fn refused_peer(&mut self, refusal: PeerRefusal) {
        self.stats.refused_peers[refusal.index()] += 1;
    }

    fn send(&mut self, to: FiveTuple, message: Vec<u8>) {
        self.commands.push_back(Command::Send { to, message });
    }

    fn event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Unix time in seconds.
    fn unix(&self, now: Instant) -> u64 {
        let (at, unix) = self.wall;
        unix.saturating_add(now.saturating_duration_since(at).as_secs())
    }

    /// When an allocation of this identity ends at the latest; `None` if not in this server's lifetime.
    fn hard_end(&self, identity: &Identity, now: Instant) -> Option<Instant> {
        let end = identity.expiry.saturating_add(self.grace.as_secs());
        now.checked_add(Duration::from_secs(end.saturating_sub(self.unix(now))))
    }

    fn allocation(&self, tuple: &FiveTuple) -> Option<&Allocation> {
        self.allocations.get(*self.by_tuple.get(tuple)?)
    }

    fn relay(&self, id: RelayId) -> Option<&Relay> {
        self.relays.get(id.slot()).filter(|relay| relay.generation == id.generation)
    }

    /// Sets or moves the end of a relay socket.
    fn set_until(&mut self, id: RelayId, until: Instant) {
        if let Some(relay) = self.relays.get_mut(id.slot())
            && relay.generation == id.generation
        {
            if let Some(old) = relay.until.replace(until) {
                self.timers.remove(&(old, id));
            }
            self.timers.insert((until, id));
        }
    }

    /// Forgets a relay socket, gives its port back and has it closed.
    fn close_relay(&mut self, id: RelayId) -> Option<Relay> {
        let relay = self.remove_relay(id)?;
        self.shared.live().remove(relay.address);
        self.shared.books().release_port(relay.address);
        self.commands.push_back(Command::CloseRelay { relay: id });
        Some(relay)
    }

    fn remove_relay(&mut self, id: RelayId) -> Option<Relay> {
        self.relay(id)?;
        let relay = self.relays.try_remove(id.slot())?;
        if let Some(until) = relay.until {
            self.timers.remove(&(until, id));
        }
        Some(relay)
    }

    /// Ends one relay socket and, if it was the last one, its allocation.
    fn end_relay(&mut self, id: RelayId, reason: CloseReason) {
        match self.relay(id).map(|relay| &relay.owner) {
            Some(Owner::Reserved { token }) => {
                let token = *token;
                self.remove_relay(id);
                // If somebody came for it, it is theirs.
                let lapsed = self.shared.books().lapse(&token);
                self.commands.extend(lapsed.map(|address| Command::CloseParked { address }));
            }
            Some(Owner::Allocation(index)) => {
                let index = *index;
                let Some(relay) = self.close_relay(id) else { return };
                let Some(allocation) = self.allocations.get_mut(index) else { return };
                allocation.relays.set(Family::of(relay.address.ip()), None);
                if allocation.relays.is_empty() {
                    self.close_allocation(index, reason);
                }
            }
            // A socket that is still being opened has no timer; its own request closes it.
            Some(Owner::Pending(_)) | None => {}
        }
    }

    fn close_allocation(&mut self, index: usize, reason: CloseReason) {
        let Some(allocation) = self.allocations.try_remove(index) else { return };
        self.by_tuple.remove(&allocation.tuple);
        for relay in allocation.relays.iter() {
            self.close_relay(relay);
        }
        let mut books = self.shared.books();
        books.release_source(Source::of(allocation.tuple.client.0.ip()));
        books.release_user(&allocation.identity.username, 1);
        drop(books);
        if allocation.tuple.transport != Transport::Udp {
            self.commands.push_back(Command::Idle { client: allocation.tuple });
        }
        self.stats.allocations_closed += 1;
        self.event(Event::Closed { tuple: allocation.tuple, reason });
    }
}

fn unknown_attributes(unknown: Vec<AttrType>) -> Fail {
    Fail { unknown, ..Fail::new(ErrorCode::UnknownAttribute, Reason::UnknownAttributes) }
}
