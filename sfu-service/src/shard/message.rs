//! What shards tell each other, by value.
//!
//! A publisher has a home: the shard that its connection is on. The home tells every shard where the publisher is and
//! what it sends; a shard with viewers of its room is an edge, which pulls it from there. Every message names the
//! connection that it is about: what is left of a connection that another one has replaced is told apart by it.

use std::sync::Arc;

use contract::id::ParticipantId;
use sfu_core::{ClockReport, EncodingIndex, KeyframePurpose, Missing, SourceId, TrackIndex};

use crate::published::{Published, RoomKey, SessionKey, SourceGates};

/// Longest packet that passes from shard to shard: what fits an Ethernet frame.
pub(crate) const MAX_PACKET: usize = 1_500;

/// A message from one shard to another.
#[derive(Debug)]
pub(crate) struct ShardMessage {
    /// The room.
    pub(crate) room: RoomKey,
    /// The publisher in it.
    pub(crate) source: SourceId,
    /// The publisher's connection; a later one is greater. Room data has none.
    pub(crate) connection: SessionKey,
    /// The shard that says it.
    pub(crate) from: usize,
    /// What.
    pub(crate) kind: ShardMessageKind,
}

/// See [`ShardMessage`]. A packet is carried inline: nothing is allocated, nothing shared.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub(crate) enum ShardMessageKind {
    /// To everybody: the publisher is on my shard from now on, and this is what it sends.
    Published(Arc<Published>),
    /// To everybody: its connection is gone.
    Withdrawn,
    /// To everybody: whether others get its sources. They do until this comes.
    Gates(SourceGates),
    /// To the home: I have viewers.
    Pull,
    /// To the home: I have none any more.
    Release,
    /// To the home: I have room for a portion of what I have missed.
    More,
    /// To the home: my viewers want an encoding, or do not want it any more.
    Wanted { track: TrackIndex, encoding: EncodingIndex, wanted: bool },
    /// To the home: an encoding needs a keyframe.
    KeyframeNeeded { track: TrackIndex, encoding: EncodingIndex, purpose: KeyframePurpose },
    /// To the home: these packets did not come.
    Missing(Missing),
    /// To an edge: a packet.
    Packet {
        track: TrackIndex,
        encoding: EncodingIndex,
        run: u32,
        began: u64,
        number: u64,
        len: u16,
        bytes: [u8; MAX_PACKET],
    },
    /// To an edge: the clock of an encoding.
    Clock(ClockReport),
    /// To an edge: that was the portion; there are more, or what follows is live.
    PortionEnd { more: bool },
    /// To anybody: a message on a data channel. It is rare: shared rather than copied.
    Data(Arc<RoomMessage>),
}

impl ShardMessageKind {
    /// Whether it may be lost: packets are asked for again, requests are repeated, room data is best effort. Anything
    /// else is a state that has to arrive.
    pub(crate) fn may_be_lost(&self) -> bool {
        matches!(self, Self::Packet { .. } | Self::KeyframeNeeded { .. } | Self::Missing(_) | Self::Data(_))
    }
}

impl ShardMessage {
    /// Whether `earlier`, which waits before this one, need not be said any more.
    pub(crate) fn replaces(&self, earlier: &Self) -> bool {
        use ShardMessageKind as Kind;
        if (self.room, self.source) != (earlier.room, earlier.source) {
            return false;
        }
        match (&self.kind, &earlier.kind) {
            // What was said of the connection before, to its edges as well.
            (Kind::Published(_) | Kind::Withdrawn, Kind::Published(_) | Kind::Withdrawn) => true,
            (
                Kind::Published(_) | Kind::Withdrawn,
                Kind::Gates(_) | Kind::Clock(_) | Kind::PortionEnd { .. },
            ) => true,
            // What was asked of a home that is pulled from anew, or no longer.
            (Kind::Pull | Kind::Release, Kind::Pull | Kind::Release | Kind::More | Kind::Wanted { .. }) => {
                true
            }
            (Kind::More, Kind::More)
            | (Kind::Gates(_), Kind::Gates(_))
            | (Kind::PortionEnd { .. }, Kind::PortionEnd { .. }) => self.connection == earlier.connection,
            (Kind::Wanted { track, encoding, .. }, Kind::Wanted { track: of, encoding: and, .. }) => {
                (self.connection, track, encoding) == (earlier.connection, of, and)
            }
            (Kind::Clock(clock), Kind::Clock(before)) => {
                self.connection == earlier.connection && clock.is_of_same(before)
            }
            _ => false,
        }
    }
}

/// A message of a room.
#[derive(Debug)]
pub(crate) struct RoomMessage {
    /// Label of the channel that it came on.
    pub(super) label: Box<str>,
    /// As it is delivered.
    pub(super) bytes: Vec<u8>,
    pub(super) binary: bool,
    pub(super) from: ParticipantId,
    pub(super) to: Audience,
}

/// Who gets a message, besides who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Audience {
    /// The viewers.
    Viewers,
    /// The publishers.
    Publishers,
    /// Everybody.
    All,
    /// One participant.
    One(ParticipantId),
    /// One participant, if it is a publisher.
    OnePublisher(ParticipantId),
}
