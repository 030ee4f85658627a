//! What a shard hands out: packets, reports, events. Everything goes to the [`Sink`] of the call that caused it.

use std::time::Instant;

use crate::ids::{
    EncodingIndex, Peer, PublisherId, RoomId, SubscriberId, SubscriptionId, TrackIndex, TrackName,
};

/// Takes what a shard causes, during the call that causes it. Nothing is queued behind it: a shell that cannot
/// send drops the packet.
pub trait Sink {
    /// An RTP packet to encrypt and send. It is borrowed: write it where it leaves from.
    fn rtp(&mut self, packet: Outgoing<'_>);

    /// A compound RTCP packet (or a reduced-size one) to encrypt and send to `peer`.
    fn rtcp(&mut self, peer: Peer, packet: &[u8]);

    /// Something for the other shards that have this publisher as a remote one. Only called for publishers
    /// that [`crate::Shard::set_pulled`] marked.
    fn to_edges(&mut self, publisher: PublisherId, what: ToEdge<'_>);

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

/// What the origin of a publisher, the shard that its connection is on, tells the edges: the shards that pull it for
/// their viewers. The shell copies it into a message by value; the edge takes it with
/// [`crate::Shard::handle_from_origin`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ToEdge<'a> {
    /// A media packet: bound to its encoding, no duplicate, retransmissions unwrapped.
    Packet {
        /// Its track.
        track: TrackIndex,
        /// Its encoding.
        encoding: EncodingIndex,
        /// Counts how often the stream of the encoding has started over at its origin: the edge is told, and need not
        /// guess by jumps of the numbers. Goes up, and wraps.
        run: u32,
        /// The first number of the run.
        began: u64,
        /// Its sequence number at the origin without the wrap; the low 16 bits are those of the packet.
        number: u64,
        /// The packet with the publisher's header extensions.
        packet: &'a [u8],
    },
    /// The publisher's clock, after each of its sender reports.
    Report(ClockReport),
}

/// Packets of one run of an encoding that did not reach an edge. The numbers are the origin's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The track.
    pub track: TrackIndex,
    /// The encoding.
    pub encoding: EncodingIndex,
    /// The run, as in [`ToEdge::Packet`].
    pub run: u32,
    /// The first number that is missing.
    pub first: u64,
    /// Bit n is set if `first + 1 + n` is missing as well.
    pub more: u64,
}

impl Missing {
    /// The missing numbers, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u64> {
        let more = (0..64u64).filter(move |bit| self.more >> bit & 1 == 1);
        std::iter::once(self.first).chain(more.map(move |bit| self.first.saturating_add(bit + 1)))
    }

    /// How many they are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.more.count_ones() + 1
    }
}

/// The clock of one encoding as its publisher reported it, on the clock of this node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockReport {
    pub(crate) track: TrackIndex,
    pub(crate) encoding: EncodingIndex,
    pub(crate) clock: crate::clock::ClockMapping,
}

impl ClockReport {
    /// Whether it is of the same encoding as `other`.
    #[must_use]
    pub fn is_of_same(&self, other: &Self) -> bool {
        (self.track, self.encoding) == (other.track, other.encoding)
    }
}

/// What a keyframe is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyframePurpose {
    /// A moving picture, which cannot begin or go on without one.
    Picture,
    /// The next picture of lines that do not carry a moving one: at most one in two seconds, for all of them on all
    /// shards together.
    Slide,
    /// Some viewers need it for the one, others for the other.
    Both,
}

/// Something that happened. Values only, so that it can cross threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// A remote publisher's encoding needs a keyframe: tell its shard, which calls
    /// [`crate::Shard::request_keyframe`]. Merged and repeated as a PLI would be.
    KeyframeNeeded {
        /// Whose track.
        publisher: PublisherId,
        /// Which.
        track: TrackIndex,
        /// Which encoding.
        encoding: EncodingIndex,
        /// What for.
        purpose: KeyframePurpose,
    },
    /// Packets of a remote publisher did not cross: tell its shard, which hands out again what it has with
    /// [`crate::Shard::repeat`]. Asked again as by a NACK, at most [`crate::MAX_TRIES`] times.
    Missing {
        /// Whose.
        publisher: PublisherId,
        /// Which.
        missing: Missing,
    },
    /// Nobody on this shard, or on those that pull from it, has wanted an encoding for two seconds; or somebody
    /// wants it again. The worst encoding of a track is always wanted, unless it is a picture of a call
    /// ([`crate::TrackConfig::csrc`]). For a remote publisher, tell its shard,
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
    /// A slot has begun to show another source: from its packet with this timestamp on, all that it sends for the first
    /// time is of it. Said when that packet leaves; see [`crate::Shard::bindings`] for the whole.
    Bound {
        /// Whose slot.
        subscriber: SubscriberId,
        /// Which.
        subscription: SubscriptionId,
        /// What it shows.
        track: TrackName,
        /// The source that its packets say.
        csrc: Option<u32>,
        /// The RTP timestamp of the first packet.
        from: u32,
    },
    /// Somebody begins to speak at a microphone, or has not said anything for a while. Every shard says it that has
    /// the packets of the microphone.
    Speaking {
        /// In which room.
        room: RoomId,
        /// At which microphone.
        track: TrackName,
        /// Which of it.
        speaking: bool,
    },
    /// Who speaks mainly is another one, for two seconds at least, or is gone. Every shard says it by what it hears.
    OnStage {
        /// In which room.
        room: RoomId,
        /// At which microphone.
        track: Option<TrackName>,
    },
    /// The slots of a subscriber were bound otherwise, or something else is missing, though it wants the same as before:
    /// see [`crate::Shard::bindings`] and [`crate::Shard::missing`].
    Rebound {
        /// Whose slots.
        subscriber: SubscriberId,
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
