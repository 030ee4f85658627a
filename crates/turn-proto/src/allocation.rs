//! One allocation: its relayed addresses, permissions and channels.
//!
//! Permissions and channels carry their end and are judged by it when they are used, so nothing has to fire
//! when one lapses; lapsed ones are swept when a new one is installed. Only relay sockets need a timer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::auth::Identity;
use crate::hash::Keyed;
use crate::types::{Family, FiveTuple, RelayId};

/// How long a permission lives (RFC 8656, section 9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// How long a channel binding lives (RFC 8656, section 12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// A channel binding.
#[derive(Debug, Clone, Copy)]
struct Channel {
    peer: SocketAddr,
    until: Instant,
}

/// What stands between a client and its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelError {
    /// The number is bound to another peer, or the peer to another number.
    Mismatch,
    /// No room for another one.
    Full,
}

/// The relay sockets of an allocation: at most one of each family.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Relays {
    v4: Option<RelayId>,
    v6: Option<RelayId>,
}

impl Relays {
    pub(crate) fn of(&self, family: Family) -> Option<RelayId> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    pub(crate) fn set(&mut self, family: Family, relay: Option<RelayId>) {
        match family {
            Family::V4 => self.v4 = relay,
            Family::V6 => self.v6 = relay,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = RelayId> + use<> {
        [self.v4, self.v6].into_iter().flatten()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

/// An allocation of one client.
pub(crate) struct Allocation {
    pub(crate) tuple: FiveTuple,
    pub(crate) identity: Identity,
    /// The transaction that made it and the answer it got, for retransmissions.
    pub(crate) made_by: [u8; 12],
    pub(crate) answer: Box<[u8]>,
    pub(crate) relays: Relays,
    permissions: HashMap<IpAddr, Instant, Keyed>,
    channels: HashMap<u16, Channel, Keyed>,
    numbers: HashMap<SocketAddr, u16, Keyed>,
}

impl Allocation {
    pub(crate) fn new(tuple: FiveTuple, identity: Identity, made_by: [u8; 12], hash: Keyed) -> Self {
        Self {
            tuple,
            identity,
            made_by,
            answer: Box::default(),
            relays: Relays::default(),
            permissions: HashMap::with_hasher(hash),
            channels: HashMap::with_hasher(hash),
            numbers: HashMap::with_hasher(hash),
        }
    }

    /// Installs or refreshes permissions: all of them, or none if there is no room.
    pub(crate) fn permit(&mut self, ips: &[IpAddr], limit: usize, now: Instant) -> Result<(), ()> {
        self.permissions.retain(|_, until| *until > now);
        let mut new: Vec<IpAddr> = Vec::new();
        for ip in ips {
            if !self.permissions.contains_key(ip) && !new.contains(ip) {
                new.push(*ip);
            }
        }
        if self.permissions.len() + new.len() > limit {
            return Err(());
        }
        self.permissions.extend(ips.iter().map(|ip| (*ip, now + PERMISSION_LIFETIME)));
        Ok(())
    }

    pub(crate) fn is_permitted(&self, ip: IpAddr, now: Instant) -> bool {
        self.permissions.get(&ip).is_some_and(|until| *until > now)
    }

    /// Would [`Allocation::bind`] succeed?
    pub(crate) fn can_bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        limit: usize,
        now: Instant,
    ) -> Result<(), ChannelError> {
        let numbers = &mut self.numbers;
        self.channels.retain(|_, channel| {
            let alive = channel.until > now;
            if !alive {
                numbers.remove(&channel.peer);
            }
            alive
        });
        match (self.channels.get(&number), self.numbers.get(&peer)) {
            (None, None) if self.channels.len() >= limit => Err(ChannelError::Full),
            (None, None) => Ok(()),
            (Some(channel), Some(bound)) if channel.peer == peer && *bound == number => Ok(()),
            _ => Err(ChannelError::Mismatch),
        }
    }

    /// Binds or refreshes a channel that [`Allocation::can_bind`].
    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr, now: Instant) {
        self.channels.insert(number, Channel { peer, until: now + CHANNEL_LIFETIME });
        self.numbers.insert(peer, number);
    }

    /// The peer that a channel number stands for.
    pub(crate) fn channel_peer(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|channel| channel.until > now).map(|channel| channel.peer)
    }

    /// The channel number that stands for a peer.
    pub(crate) fn channel_to(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        let number = *self.numbers.get(&peer)?;
        self.channel_peer(number, now).map(|_| number)
    }
}
