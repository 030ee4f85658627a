//! What all servers of one relay share, when each thread has a server of its own.
//!
//! The books (ports, quotas, reservations) are behind a lock that is taken when an allocation is made or ends,
//! never for a packet. What packets need (which relayed addresses live, how often a source was challenged) is
//! atomic.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rand::{Rng, RngExt as _};

use crate::config::{Config, ConfigError, Limits};
use crate::error::{ErrorCode, Reason};
use crate::limit::{ChallengeLimit, Source};
use crate::live::LiveRelays;
use crate::ports::{Parity, PortPool};
use crate::types::Family;

/// The common part of the servers of one relay: nonce key, relay ports, quotas, reservations, and the set of live
/// relayed addresses. A clone is another handle of the same.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    epoch: Instant,
    nonce_key: [u8; 32],
    challenges: ChallengeLimit,
    live: LiveRelays,
    books: Mutex<Books>,
}

impl Shared {
    /// The common part of servers with these settings. Relay addresses, ports and the limit of challenges are
    /// taken from here; everything else is each server's own.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn new(config: &Config, rng: &mut impl Rng, now: Instant) -> Result<Self, ConfigError> {
        config.validate()?;
        let pool = |ip: &IpAddr| (*ip, PortPool::new(&config.relay_ports));
        let mut nonce_key = [0; 32];
        rng.fill_bytes(&mut nonce_key);
        Ok(Self(Arc::new(Inner {
            epoch: now,
            nonce_key,
            challenges: ChallengeLimit::new(
                config.limits.challenges_per_second,
                config.limits.challenges_per_source,
                rng,
            ),
            live: LiveRelays::new(&config.relay_addresses),
            books: Mutex::new(Books {
                pools: config.relay_addresses.iter().map(pool).collect(),
                taken: 0,
                used: HashMap::new(),
                sources: HashMap::new(),
                reservations: HashMap::new(),
            }),
        })))
    }

    pub(crate) fn epoch(&self) -> Instant {
        self.0.epoch
    }

    pub(crate) fn nonce_key(&self) -> &[u8; 32] {
        &self.0.nonce_key
    }

    pub(crate) fn challenges(&self) -> &ChallengeLimit {
        &self.0.challenges
    }

    pub(crate) fn live(&self) -> &LiveRelays {
        &self.0.live
    }

    /// A thread that failed while it held the books left them whole: each change is one step.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared(..)")
    }
}

/// A port that waits for whoever brings its token.
struct Reservation {
    address: SocketAddr,
    username: Arc<str>,
    until: Instant,
}

/// Whose quota a user name counts for. A time-limited name is `expiry:user`, and each second makes a new one of it: the
/// user is what stays the same.
fn user(username: &str) -> &str {
    username.split_once(':').map_or(username, |(_, user)| user)
}

/// Ports, quotas and reservations. Every count here is bounded by the limits of [`Config`].
pub(crate) struct Books {
    pools: Vec<(IpAddr, PortPool)>,
    /// Ports that are taken, each by a socket that is open or about to be.
    taken: usize,
    /// Allocations, pending ones and reservations by user: see [`user`].
    used: HashMap<Arc<str>, usize>,
    /// Allocations and pending ones by source address.
    sources: HashMap<Source, usize>,
    reservations: HashMap<[u8; 8], Reservation>,
}

impl Books {
    /// Takes `places` in the quota of a user and one in that of a source; `sockets` must have room in the total.
    pub(crate) fn admit(
        &mut self,
        username: &Arc<str>,
        source: Source,
        places: usize,
        sockets: usize,
        limits: &Limits,
    ) -> Result<(), (ErrorCode, Reason)> {
        let limit = limits.allocations_per_user;
        if self.used.get(user(username)).copied().unwrap_or(0) + places > limit {
            return Err((ErrorCode::AllocationQuotaReached, Reason::Quota(limit)));
        }
        let limit = limits.allocations_per_source;
        if self.sources.get(&source).is_some_and(|count| *count >= limit) {
            return Err((ErrorCode::AllocationQuotaReached, Reason::SourceQuota(limit)));
        }
        let total = limits.relay_sockets;
        if self.taken + sockets > total {
            return Err((ErrorCode::InsufficientCapacity, Reason::Total(total)));
        }
        match self.used.get_mut(user(username)) {
            Some(used) => *used += places,
            None => drop(self.used.insert(user(username).into(), places)),
        }
        *self.sources.entry(source).or_default() += 1;
        Ok(())
    }

    /// Gives places in the quota of a user back.
    pub(crate) fn release_user(&mut self, username: &Arc<str>, places: usize) {
        if let Some(count) = self.used.get_mut(user(username)) {
            *count = count.saturating_sub(places);
            if *count == 0 {
                self.used.remove(user(username));
            }
        }
    }

    /// Gives a place in the quota of a source back.
    pub(crate) fn release_source(&mut self, source: Source) {
        if let Some(count) = self.sources.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// Takes a free port (with [`Parity::EvenPair`] also the next one). A client on this machine gets a loopback
    /// address if there is one, and any other client does not: a socket bound to loopback reaches nobody else.
    pub(crate) fn take_port(
        &mut self,
        client: IpAddr,
        family: Family,
        parity: Parity,
        rng: &mut impl Rng,
    ) -> Option<SocketAddr> {
        let local = client.is_loopback();
        let fits =
            |ip: &IpAddr, alike: bool| Family::of(*ip) == family && (ip.is_loopback() == local) == alike;
        for alike in [true, false] {
            let count = self.pools.iter().filter(|(ip, _)| fits(ip, alike)).count();
            if count == 0 {
                continue;
            }
            let start = rng.random_range(0..count);
            let mut pools: Vec<_> = self.pools.iter_mut().filter(|(ip, _)| fits(ip, alike)).collect();
            pools.rotate_left(start);
            for (ip, pool) in pools {
                if let Some(port) = pool.take(rng, parity) {
                    self.taken += if parity == Parity::EvenPair { 2 } else { 1 };
                    return Some(SocketAddr::new(*ip, port));
                }
            }
        }
        None
    }

    /// Gives a port back.
    pub(crate) fn release_port(&mut self, address: SocketAddr) {
        if let Some((_, pool)) = self.pools.iter_mut().find(|(ip, _)| *ip == address.ip())
            && pool.release(address.port())
        {
            self.taken = self.taken.saturating_sub(1);
        }
    }

    pub(crate) fn has_family(&self, family: Family) -> bool {
        self.pools.iter().any(|(ip, _)| Family::of(*ip) == family)
    }

    /// Writes a reservation down. Its port and its place in the user's quota are taken already.
    pub(crate) fn reserve(
        &mut self,
        token: [u8; 8],
        address: SocketAddr,
        username: Arc<str>,
        until: Instant,
    ) {
        self.reservations.insert(token, Reservation { address, username, until });
    }

    /// Takes a reservation for the user that it was made for; its place in the user's quota becomes the
    /// allocation's.
    pub(crate) fn claim(
        &mut self,
        token: &[u8; 8],
        username: &Arc<str>,
        source: Source,
        now: Instant,
    ) -> Option<SocketAddr> {
        let reservation = self.reservations.get(token)?;
        if reservation.username != *username || reservation.until <= now {
            return None;
        }
        let address = reservation.address;
        self.reservations.remove(token);
        *self.sources.entry(source).or_default() += 1;
        Some(address)
    }

    /// Ends a reservation that nobody has claimed, and gives back what it held.
    pub(crate) fn lapse(&mut self, token: &[u8; 8]) -> Option<SocketAddr> {
        let reservation = self.reservations.remove(token)?;
        self.release_user(&reservation.username, 1);
        self.release_port(reservation.address);
        Some(reservation.address)
    }
}
