//! Refresh, CreatePermission and ChannelBind.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::Rng;
use stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_XOR_PEER_ADDRESS,
};

use super::{CloseReason, Fail, Server};
use crate::allocation::{ChannelError, Relays};
use crate::auth::Identity;
use crate::error::{ErrorCode, Reason};
use crate::message::{Request, Response};
use crate::types::{Family, FiveTuple};

/// Lifetime of an allocation whose client asks for none or for less (RFC 8656, section 7.2).
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// Longest lifetime that is granted.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// Most XOR-PEER-ADDRESS attributes of one request that are looked at: as many as fit a control message.
const MAX_PEERS: usize = 512;

impl<R: Rng> Server<R> {
    pub(super) fn refresh(
        &mut self,
        request: &Request,
        from: &FiveTuple,
        identity: &Identity,
        now: Instant,
    ) -> Result<(), Fail> {
        let index = self.owned(from, identity)?;
        let asked = lifetime(request)?;
        let family = requested_family(request).map_err(|fail| match fail.code {
            // A family that nobody knows is none of the allocation's.
            ErrorCode::AddressFamilyNotSupported => {
                Fail { code: ErrorCode::PeerAddressFamilyMismatch, ..fail }
            }
            _ => fail,
        })?;
        let relays = self.relays_of(index, family);
        if let (Some(family), true) = (family, relays.is_empty()) {
            return Err(Fail::new(ErrorCode::PeerAddressFamilyMismatch, Reason::PeerFamily(family)));
        }
        let granted = if asked == Some(Duration::ZERO) {
            for relay in relays.iter() {
                self.end_relay(relay, CloseReason::Deleted);
            }
            Duration::ZERO
        } else {
            // The user name is the allocation's, and so is the expiry inside it.
            let granted = self.grant(asked, identity, now);
            if let Some(allocation) = self.allocations.get_mut(index) {
                allocation.identity.secret = identity.secret;
            }
            for relay in relays.iter() {
                self.set_until(relay, now + granted);
            }
            granted
        };
        let mut response = Response::success(request.transaction);
        response.add(ATTR_LIFETIME, &seconds(granted));
        self.send(*from, response.finish(Some(&identity.signer)));
        Ok(())
    }

    pub(super) fn create_permission(
        &mut self,
        request: &Request,
        from: &FiveTuple,
        identity: &Identity,
        now: Instant,
    ) -> Result<(), Fail> {
        let index = self.owned(from, identity)?;
        // All are judged before any is installed.
        let mut ips: Vec<IpAddr> = Vec::new();
        for value in request.all(ATTR_XOR_PEER_ADDRESS).take(MAX_PEERS) {
            let peer = request.address(value).ok_or_else(|| Fail::malformed("XOR-PEER-ADDRESS"))?;
            self.judge_peer(from, peer.ip())?;
            ips.push(peer.ip());
        }
        if ips.is_empty() {
            return Err(Fail::malformed("XOR-PEER-ADDRESS"));
        }
        self.permit(index, &ips, now)?;
        let response = Response::success(request.transaction);
        self.send(*from, response.finish(Some(&identity.signer)));
        Ok(())
    }

    pub(super) fn channel_bind(
        &mut self,
        request: &Request,
        from: &FiveTuple,
        identity: &Identity,
        now: Instant,
    ) -> Result<(), Fail> {
        let index = self.owned(from, identity)?;
        let malformed = || Fail::malformed("CHANNEL-NUMBER");
        let number =
            request.fixed::<4>(ATTR_CHANNEL_NUMBER).map_err(|_| malformed())?.ok_or_else(malformed)?;
        let number = u16::from_be_bytes([number[0], number[1]]);
        if !self.channel_numbers.contains(&number) {
            return Err(malformed());
        }
        let peer: SocketAddr = request
            .get(ATTR_XOR_PEER_ADDRESS)
            .and_then(|value| request.address(value))
            .ok_or_else(|| Fail::malformed("XOR-PEER-ADDRESS"))?;
        self.judge_peer(from, peer.ip())?;
        // A channel is bound to a port, so a forbidden port can be told here already.
        let refused = |refusal| Fail::new(ErrorCode::Forbidden, Reason::Peer(refusal));
        self.policy.send(peer, self.shared.live()).map_err(refused)?;

        let limit = self.limits.channels;
        let Some(allocation) = self.allocations.get_mut(index) else { return Err(no_allocation()) };
        match allocation.can_bind(number, peer, limit, now) {
            Ok(()) => {}
            Err(ChannelError::Mismatch) => {
                let what = "this channel number and another peer, or this peer and another channel number,";
                return Err(Fail::new(ErrorCode::BadRequest, Reason::Exclusive(what)));
            }
            Err(ChannelError::Full) => {
                return Err(Fail::new(ErrorCode::InsufficientCapacity, Reason::TooMany(limit)));
            }
        }
        self.permit(index, &[peer.ip()], now)?;
        if let Some(allocation) = self.allocations.get_mut(index) {
            allocation.bind(number, peer, now);
        }
        let response = Response::success(request.transaction);
        self.send(*from, response.finish(Some(&identity.signer)));
        Ok(())
    }

    /// What is granted of an asked lifetime: between ten minutes and an hour, and never past the end of the
    /// credential.
    pub(super) fn grant(&self, asked: Option<Duration>, identity: &Identity, now: Instant) -> Duration {
        let wished = asked.unwrap_or(DEFAULT_LIFETIME).clamp(DEFAULT_LIFETIME, MAX_LIFETIME);
        let left =
            self.hard_end(identity, now).map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        wished.min(left)
    }

    /// The allocation of this 5-tuple, if it is this user's.
    fn owned(&self, from: &FiveTuple, identity: &Identity) -> Result<usize, Fail> {
        let index = *self.by_tuple.get(from).ok_or_else(no_allocation)?;
        let allocation = self.allocations.get(index).ok_or_else(no_allocation)?;
        if allocation.identity.username != identity.username {
            return Err(Fail::new(ErrorCode::WrongCredentials, Reason::OtherUser));
        }
        Ok(index)
    }

    /// Family, then filter.
    fn judge_peer(&self, from: &FiveTuple, ip: IpAddr) -> Result<(), Fail> {
        let family = Family::of(ip);
        let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        let relay = self.allocation(from).and_then(|allocation| allocation.relays.of(family));
        if mapped || relay.is_none() {
            return Err(Fail::new(ErrorCode::PeerAddressFamilyMismatch, Reason::PeerFamily(family)));
        }
        let refused = |refusal| Fail::new(ErrorCode::Forbidden, Reason::Peer(refusal));
        self.policy.permission(ip, self.shared.live()).map_err(refused)
    }

    fn permit(&mut self, index: usize, ips: &[IpAddr], now: Instant) -> Result<(), Fail> {
        let limit = self.limits.permissions;
        let full = |()| Fail::new(ErrorCode::InsufficientCapacity, Reason::TooMany(limit));
        let allocation = self.allocations.get_mut(index).ok_or_else(no_allocation)?;
        allocation.permit(ips, limit, now).map_err(full)
    }

    /// The allocation's relay sockets: all, or those of one family.
    fn relays_of(&self, index: usize, family: Option<Family>) -> Relays {
        let mut relays = self.allocations.get(index).map(|allocation| allocation.relays).unwrap_or_default();
        match family {
            Some(Family::V4) => relays.set(Family::V6, None),
            Some(Family::V6) => relays.set(Family::V4, None),
            None => {}
        }
        relays
    }
}

/// LIFETIME, if it is there.
pub(super) fn lifetime(request: &Request) -> Result<Option<Duration>, Fail> {
    let value = request.fixed::<4>(ATTR_LIFETIME).map_err(|_| Fail::malformed("LIFETIME"))?;
    Ok(value.map(|value| Duration::from_secs(u32::from_be_bytes(value).into())))
}

/// REQUESTED-ADDRESS-FAMILY, if it is there.
pub(super) fn requested_family(request: &Request) -> Result<Option<Family>, Fail> {
    let malformed = || Fail::malformed("REQUESTED-ADDRESS-FAMILY");
    let value = request.fixed::<4>(ATTR_REQUESTED_ADDRESS_FAMILY).map_err(|_| malformed())?;
    value
        .map(|value| {
            let unsupported = Fail::new(
                ErrorCode::AddressFamilyNotSupported,
                Reason::Attribute("REQUESTED-ADDRESS-FAMILY"),
            );
            Family::from_wire(value[0]).ok_or(unsupported)
        })
        .transpose()
}

/// The value of a LIFETIME.
pub(super) fn seconds(lifetime: Duration) -> [u8; 4] {
    u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).to_be_bytes()
}

fn no_allocation() -> Fail {
    Fail::new(ErrorCode::AllocationMismatch, Reason::NoAllocation)
}
