//! The data path: ChannelData and Send indications to peers, and what comes back. Nothing here copies a
//! payload or allocates.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use rand::Rng;

use super::{Owner, Server};
use crate::allocation::Relays;
use crate::types::{Family, FiveTuple, Icmp, PeerAddr, RelayId};
use crate::wire::{self, Header, Send};

/// A datagram that goes to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToPeer {
    /// From which relay socket.
    pub relay: RelayId,
    /// To whom.
    pub peer: PeerAddr,
    /// The payload's place in the message that was handed in.
    pub payload: Range<usize>,
    /// Send it with the DF bit set (DONT-FRAGMENT, RFC 8656, section 11.3).
    pub dont_fragment: bool,
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
        if let Err(refusal) = self.policy.send(peer, self.shared.live()) {
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
        let way = self.allocation(from).and_then(|allocation| {
            let peer = allocation.channel_peer(number, now)?;
            Some((peer, allocation.relays))
        });
        let Some((peer, relays)) = way else {
            self.stats.dropped_from_client += 1;
            return None;
        };
        self.release(Send { peer, payload, dont_fragment: false }, relays)
    }

    pub(super) fn send_indication(&mut self, bytes: &[u8], from: &FiveTuple, now: Instant) -> Option<ToPeer> {
        let Some(send) = wire::send_indication(bytes) else {
            self.stats.ignored += 1;
            return None;
        };
        let allocation = self.allocation(from).filter(|a| a.is_permitted(send.peer.ip(), now));
        let Some(relays) = allocation.map(|allocation| allocation.relays) else {
            self.stats.dropped_from_client += 1;
            return None;
        };
        self.release(send, relays)
    }

    /// An ICMP error that came back for a datagram that `relay` sent to `peer`. The client hears of it if it still
    /// has a permission for the peer (RFC 8656, section 11.5).
    pub fn handle_icmp(&mut self, relay: RelayId, peer: PeerAddr, icmp: Icmp, now: Instant) {
        let Some(Owner::Allocation(index)) = self.relay(relay).map(|relay| &relay.owner) else { return };
        let Some(allocation) = self.allocations.get(*index) else { return };
        let PeerAddr(peer) = peer;
        if !icmp.is_reported(Family::of(peer.ip())) || !allocation.is_permitted(peer.ip(), now) {
            return;
        }
        let to = allocation.tuple;
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        self.send(to, wire::icmp_indication(peer, icmp, &id));
    }

    /// The last check before a datagram leaves: the filter again, now with the port.
    fn release(&mut self, send: Send, relays: Relays) -> Option<ToPeer> {
        let Send { peer, payload, dont_fragment } = send;
        if let Err(refusal) = self.policy.send(peer, self.shared.live()) {
            self.refused_peer(refusal);
            return None;
        }
        let relay = relays.of(Family::of(peer.ip()))?;
        self.stats.to_peer_packets += 1;
        self.stats.to_peer_bytes += payload.len() as u64;
        Some(ToPeer { relay, peer: PeerAddr(peer), payload, dont_fragment })
    }
}
