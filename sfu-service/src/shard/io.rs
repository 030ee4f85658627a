//! The way out of a shard: what its core causes is encrypted and written into the send batch at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sfu_core::{Event, Outgoing, Peer, PublisherId, Sink, SubscriberId, ToEdge};
use slab::Slab;
use transport::srtp::{Sender, SrtpError};
use transport::{AddressPair, Protocol, Transmit};

use super::lane::Lanes;
use super::message::{MAX_PACKET, ShardMessage, ShardMessageKind};
use super::participant::{MediaPath, MediaPaths, Participant};
use super::rooms::{Rooms, SourceKey};
use super::tcp::Tcp;
use crate::metrics::ShardCounters;
use crate::published::SessionKey;

/// Datagrams in one batch; a full one is sent before more are written.
pub(super) const SEND_BATCH: usize = 512;

/// Payload bytes that pass over every IPv4 path in one piece: 576 less the longest header (RFC 791) and UDP's. What is
/// longer and of a handshake or a data channel may leave in fragments; media is lost there, and asked for again.
const SMALL_DATAGRAM: usize = 508;

/// Sockets, participants and neighbours of a shard.
pub(super) struct Io {
    pub(super) socket: Arc<udp::Socket>,
    pub(super) tcp: Tcp,
    pub(super) batch: udp::SendBatch,
    pub(super) participants: Slab<Participant>,
    /// Theirs, in the same places.
    pub(super) paths: MediaPaths,
    pub(super) rooms: Rooms,
    /// The participants that the subscribers of the core are.
    pub(super) viewers: HashMap<SubscriberId, usize>,
    /// The ways to the other shards.
    pub(super) lanes: Lanes,
    /// This shard's number.
    pub(super) index: usize,
    /// Packets that other shards may be asked for again in this turn.
    pub(super) may_ask: usize,
    /// Whom a packet is being written for: after a fault, whose it was.
    pub(super) sending: Option<Peer>,
    #[cfg(test)]
    pub(super) fault: Option<Peer>,
    /// What the core said during the last call.
    pub(super) events: Vec<Event>,
    pub(super) counters: Arc<ShardCounters>,
}

impl Io {
    /// Adds a packet of a transport's own as it is.
    pub(super) fn transmit(&mut self, transmit: &Transmit) {
        let Transmit { protocol, to, from_local, bytes } = transmit;
        if *protocol == Protocol::Tcp {
            let path = AddressPair { protocol: *protocol, local: *from_local, remote: *to };
            let sent = self.tcp.push(path, true, |buffer| {
                buffer.get_mut(..bytes.len()).map_or(0, |place| {
                    place.copy_from_slice(bytes);
                    bytes.len()
                })
            });
            return ShardCounters::add(&self.counters.tcp_dropped, u64::from(!sent));
        }
        self.push(*to, *from_local, bytes);
    }

    fn push(&mut self, to: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        if self.batch.len() == SEND_BATCH {
            self.flush();
        }
        // Longer than a datagram of ours can be: the transport makes none.
        let _ = if bytes.len() > SMALL_DATAGRAM {
            self.batch.push_fragmentable(to, source(from), bytes)
        } else {
            self.batch.push_slice(to, source(from), bytes)
        };
    }

    /// Writes a packet for `peer` where it leaves from: `seal` writes and encrypts it there, and returns its length.
    /// One that cannot be encrypted is not sent at all.
    fn send(&mut self, peer: Peer, seal: impl FnOnce(&mut Sender, &mut [u8]) -> Result<usize, SrtpError>) {
        if self.batch.len() == SEND_BATCH {
            self.flush();
        }
        self.sending = Some(peer);
        #[cfg(test)]
        self.fault_point(peer);
        self.seal(peer, seal);
        self.sending = None;
    }

    fn seal(&mut self, peer: Peer, seal: impl FnOnce(&mut Sender, &mut [u8]) -> Result<usize, SrtpError>) {
        let Some(MediaPath { pair, sender, sent }) = self.paths.get_mut(peer.0 as usize) else { return };
        let (Some(pair), Some(sender)) = (*pair, sender) else { return };
        *sent = true;
        let mut written = 0;
        let seal = |buffer: &mut [u8]| {
            written = seal(sender, buffer).unwrap_or(0);
            written
        };
        if pair.protocol == Protocol::Tcp {
            let taken = self.tcp.push(pair, false, seal);
            return ShardCounters::add(&self.counters.tcp_dropped, u64::from(!taken));
        }
        let _ = self.batch.push(pair.remote, source(pair.local), seal);
        ShardCounters::add(&self.counters.unsent, u64::from(written == 0));
    }

    /// Where a test may have a fault happen.
    #[cfg(test)]
    fn fault_point(&mut self, peer: Peer) {
        if self.fault == Some(peer) {
            self.fault = None;
            panic!("a fault of the test");
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) {
        self.batch.flush(&self.socket);
        self.tcp.flush();
    }

    /// Hands a publisher's packet or clock to an edge; `false` if it was dropped.
    pub(super) fn send_media(
        &mut self,
        shard: usize,
        key: SourceKey,
        connection: SessionKey,
        what: ToEdge<'_>,
    ) -> bool {
        media_message(self.index, key, connection, what)
            .is_some_and(|message| self.lanes.send(shard, message))
    }

    /// Counts a message that an inbox did not take.
    pub(super) fn count_dropped(&self) {
        ShardCounters::add(&self.counters.forward_drops, 1);
    }
}

/// A publisher's packet or clock as a message; nothing if it is longer than any that a network carries.
fn media_message(
    from: usize,
    (room, source): SourceKey,
    connection: SessionKey,
    what: ToEdge<'_>,
) -> Option<ShardMessage> {
    let kind = match what {
        ToEdge::Packet { track, encoding, run, began, number, packet } => {
            let mut bytes = [0; MAX_PACKET];
            bytes.get_mut(..packet.len())?.copy_from_slice(packet);
            let len = packet.len() as u16;
            ShardMessageKind::Packet { track, encoding, run, began, number, len, bytes }
        }
        ToEdge::Report(clock) => ShardMessageKind::Clock(clock),
    };
    Some(ShardMessage { room, source, connection, from, kind })
}

/// The local address to leave from; an unspecified one leaves the choice to the kernel.
fn source(local: SocketAddr) -> Option<std::net::IpAddr> {
    (!local.ip().is_unspecified()).then_some(local.ip())
}

impl Sink for Io {
    fn rtp(&mut self, packet: Outgoing<'_>) {
        self.send(packet.peer, |sender, buffer| match packet.write(buffer) {
            0 => Err(SrtpError::BufferTooSmall),
            len if packet.repeatable => sender.protect_rtp_repeatable(buffer, len),
            len => sender.protect_rtp(buffer, len),
        });
    }

    fn rtcp(&mut self, peer: Peer, packet: &[u8]) {
        self.send(peer, |sender, buffer| {
            let place = buffer.get_mut(..packet.len()).ok_or(SrtpError::BufferTooSmall)?;
            place.copy_from_slice(packet);
            sender.protect_rtcp(buffer, packet.len())
        });
    }

    fn to_edges(&mut self, publisher: PublisherId, what: ToEdge<'_>) {
        let Some(key) = self.rooms.of_core(publisher) else { return };
        let Some(entry) = self.rooms.publisher(key) else { return };
        for edge in entry.edges.iter().filter(|edge| !edge.comes_to(&what)) {
            let message = media_message(self.index, key, entry.connection, what);
            if !message.is_some_and(|message| self.lanes.send(edge.shard, message)) {
                self.count_dropped();
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn joins_equal(&self) -> bool {
        self.socket.uses_gso()
    }
}
