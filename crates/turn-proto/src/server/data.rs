//! The data path: ChannelData and Send indications to peers, and what comes back. Nothing here copies a
//! payload or allocates.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use rand::Rng;

use super::{Owner, Server};
use crate::types::{Family, FiveTuple, PeerAddr, RelayId};
use crate::wire::{self, Header};

/// A datagram that goes to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToPeer {
    /// From which relay socket.
    pub relay: RelayId,
    /// To whom.
    pub peer: PeerAddr,
    /// The payload's place in the message that was handed in.
    pub payload: Range<usize>,
}

/// A peer's datagram that goes to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToClient {
    /// To whom, and from which server address.
    pub to: FiveTuple,
    /// What surrounds the datagram.
    pub header: Header,
}

impl<R: Rng> Server<R> {
    /// A datagram of `payload` bytes that a relay socket received. The answer says which client gets it, and
    /// inside what.
    ///
    /// A peer needs a permission, then a channel decides the form (RFC 8656, section 12.7).
    pub fn handle_peer(
        &mut self,
        payload: usize,
        relay: RelayId,
        peer: PeerAddr,
        now: Instant,
    ) -> Option<ToClient> {
        let answer = self.admit(payload, relay, peer.0, now);
        match &answer {
            Some(_) => {
                self.stats.to_client_packets += 1;
                self.stats.to_client_bytes += payload as u64;
            }
            None => self.stats.dropped_from_peer += 1,
        }
        answer
    }

    fn admit(&mut self, payload: usize, relay: RelayId, peer: SocketAddr, now: Instant) -> Option<ToClient> {
        let Owner::Allocation(index) = self.relay(relay)?.owner else { return None };
        let allocation = self.allocations.get(index)?;
        if !allocation.is_permitted(peer.ip(), now) {
            return None;
        }
        // Of the service's own addresses, what cannot be sent to cannot send either.
        if let Err(refusal) = self.policy.send(peer) {
            self.refused_peer(refusal);
            return None;
        }
        let to = allocation.tuple;
        let header = match allocation.channel_to(peer, now) {
            Some(number) => wire::channel_data_header(payload, number, to.transport),
            None => {
                let mut id = [0; 12];
                self.rng.fill_bytes(&mut id);
                wire::data_indication_header(payload, peer, &id)
            }
        }?;
        Some(ToClient { to, header })
    }

    pub(super) fn channel_data(
        &mut self,
        number: u16,
        payload: Range<usize>,
        from: &FiveTuple,
        now: Instant,
    ) -> Option<ToPeer> {
        let peer = self.allocation(from).and_then(|allocation| allocation.channel_peer(number, now));
        let Some(peer) = peer else {
            self.stats.dropped_from_client += 1;
            return None;
        };
        self.release(peer, payload, from)
    }

    pub(super) fn send_indication(&mut self, bytes: &[u8], from: &FiveTuple, now: Instant) -> Option<ToPeer> {
        let Some((peer, payload)) = wire::send_indication(bytes) else {
            self.stats.ignored += 1;
            return None;
        };
        if !self.allocation(from).is_some_and(|allocation| allocation.is_permitted(peer.ip(), now)) {
            self.stats.dropped_from_client += 1;
            return None;
        }
        self.release(peer, payload, from)
    }

    /// The last check before a datagram leaves: the filter again, now with the port.
    fn release(&mut self, peer: SocketAddr, payload: Range<usize>, from: &FiveTuple) -> Option<ToPeer> {
        if let Err(refusal) = self.policy.send(peer) {
            self.refused_peer(refusal);
            return None;
        }
        let relay = self.relay_towards(from, Family::of(peer.ip()))?;
        self.stats.to_peer_packets += 1;
        self.stats.to_peer_bytes += payload.len() as u64;
        Some(ToPeer { relay, peer: PeerAddr(peer), payload })
    }

    /// The allocation's relay socket of a family.
    pub(super) fn relay_towards(&self, from: &FiveTuple, family: Family) -> Option<RelayId> {
        let relays = &self.allocation(from)?.relays;
        relays
            .iter()
            .copied()
            .find(|id| self.relay(*id).is_some_and(|relay| Family::of(relay.address.ip()) == family))
    }
}
