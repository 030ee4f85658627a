//! What a shard hands out: packets, reports, events. Everything goes to the [`Sink`] of the call that caused it.

use std::time::Instant;

use crate::ids::{EncodingIndex, Peer, PublisherId, SubscriberId, SubscriptionId, TrackIndex};

/// Takes what a shard causes, during the call that causes it. Nothing is queued behind it: a shell that cannot
/// send drops the packet.
pub trait Sink {
    /// An RTP packet to encrypt and send. It is borrowed: write it where it leaves from.
    fn rtp(&mut self, packet: Outgoing<'_>);

    /// A compound RTCP packet (or a reduced-size one) to encrypt and send to `peer`.
    fn rtcp(&mut self, peer: Peer, packet: &[u8]);

    /// Something for the other shards that have this publisher as a remote one. Only called for publishers
    /// that [`crate::Shard::set_relayed`] marked.
    fn relayed(&mut self, publisher: PublisherId, what: Relayed<'_>);

    /// Something the shell or its reports want to know.
    fn event(&mut self, event: Event);

    /// Whether neighbouring packets of one length to one peer cost less than others (segmentation offload): then a
    /// few bytes of padding make the packets of a frame equal.
    fn joins_equal(&self) -> bool {
        false
    }
}

/// An RTP packet for one subscriber, in two parts, so that the payload is copied once:
///
/// ```text
/// | header: rewritten, with what is rewritten of the payload | payload: as it came | padding |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The connection it goes to.
    pub peer: Peer,
    /// The subscription it belongs to.
    pub subscription: SubscriptionId,
    /// RTP header, and where needed the first bytes of the payload.
    pub header: &'a [u8],
    /// The rest of the payload.
    pub payload: &'a [u8],
    /// Bytes of padding that follow (RFC 3550, section 5.1).
    pub padding: u8,
    /// Whether it answers a NACK.
    pub retransmission: bool,
    /// Whether a packet of this stream may come again as the same bytes: it has no stream of retransmissions.
    pub repeatable: bool,
}

impl Outgoing<'_> {
    /// Length of the packet in bytes, before encryption.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.len() + usize::from(self.padding)
    }

    /// Never: a packet has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.is_empty() && self.payload.is_empty()
    }

    /// Writes the packet to the start of `buffer` and returns its length, or 0 if it does not fit.
    pub fn write(&self, buffer: &mut [u8]) -> usize {
        let Some(buffer) = buffer.get_mut(..self.len()) else { return 0 };
        let (header, rest) = buffer.split_at_mut(self.header.len());
        let (payload, padding) = rest.split_at_mut(self.payload.len());
        header.copy_from_slice(self.header);
        payload.copy_from_slice(self.payload);
        if let (Some((last, zeroes)), Some(first)) = (padding.split_last_mut(), header.first_mut()) {
            zeroes.fill(0);
            *last = self.padding;
            *first |= 0x20;
        }
        self.len()
    }
}

/// What one shard tells the others of a publisher that it has. The shell copies it into a message by value;
/// the other shard takes it with [`crate::Shard::handle_relayed`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Relayed<'a> {
    /// A media packet: bound to its encoding, no duplicate, retransmissions unwrapped.
    Packet {
        /// Its track.
        track: TrackIndex,
        /// Its encoding.
        encoding: EncodingIndex,
        /// The packet with the publisher's header extensions.
        packet: &'a [u8],
    },
    /// The publisher's clock, after each of its sender reports.
    Report(RelayedReport),
}

/// The clock of one encoding as its publisher reported it, on the clock of this node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelayedReport {
    pub(crate) track: TrackIndex,
    pub(crate) encoding: EncodingIndex,
    pub(crate) clock: crate::clock::ClockMapping,
}

/// Something that happened. Values only, so that it can cross threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Media flows on a track that was silent (or never had any).
    TrackActive {
        /// Whose track.
        publisher: PublisherId,
        /// Which.
        track: TrackIndex,
        /// Whether it is the first media of this publisher since it was added.
        first: bool,
    },
    /// No media for a second: muted, camera off, or lost. It ends nothing.
    TrackInactive {
        /// Whose track.
        publisher: PublisherId,
        /// Which.
        track: TrackIndex,
        /// When its last packet came.
        last_media: Instant,
    },
    /// A keyframe began on an encoding.
    Keyframe {
        /// Whose track.
        publisher: PublisherId,
        /// Which.
        track: TrackIndex,
        /// Which encoding.
        encoding: EncodingIndex,
    },
    /// A remote publisher's encoding needs a keyframe: tell its shard, which calls
    /// [`crate::Shard::request_keyframe`]. Merged and repeated as a PLI would be.
    KeyframeNeeded {
        /// Whose track.
        publisher: PublisherId,
        /// Which.
        track: TrackIndex,
        /// Which encoding.
        encoding: EncodingIndex,
    },
    /// Nobody on this shard, or on those that it relays to, has wanted an encoding for two seconds; or somebody
    /// wants it again. The worst encoding of a track is always wanted. For a remote publisher, tell its shard,
    /// which calls [`crate::Shard::set_encoding_wanted`].
    EncodingWanted {
        /// Whose track.
        publisher: PublisherId,
        /// Which.
        track: TrackIndex,
        /// Which encoding.
        encoding: EncodingIndex,
        /// Whether it is wanted.
        wanted: bool,
    },
    /// The first packet of a subscription went out.
    Forwarding {
        /// Whose.
        subscriber: SubscriberId,
        /// Which.
        subscription: SubscriptionId,
    },
    /// The publisher sends a format that this subscriber does not take: its picture stays empty. Said once per
    /// format.
    FormatMismatch {
        /// Whose.
        subscriber: SubscriberId,
        /// Which.
        subscription: SubscriptionId,
        /// The publisher's payload type.
        payload_type: u8,
    },
}
