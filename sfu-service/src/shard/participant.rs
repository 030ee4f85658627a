//! One browser connection on a shard.

use std::sync::Arc;
use std::time::Instant;

use contract::id::ParticipantId;
use contract::room_state::Quality;
use rtp::Extensions;
use sfu_core::{SourceId, SubscriberId};
use transport::srtp::Sender;
use transport::{AddressPair, Transport};

use super::channels::Channels;
use super::gates::Gates;
use super::hearing::Hearing;
use super::member::Member;
use super::quality::{Counted, Rating};
use super::section::MediaSection;
use crate::published::{Published, RoomKey, SessionKey};

/// A connection with its transport.
pub(super) struct Participant {
    pub(super) key: SessionKey,
    pub(super) room: RoomKey,
    /// Its name in the room.
    pub(super) id: ParticipantId,
    pub(super) transport: Transport,
    /// The timer that is set for it; others in the heap are stale.
    pub(super) timer: Option<Instant>,
    /// Our ICE user fragments: the current one, and after a restart the one before.
    pub(super) ufrags: Vec<String>,
    pub(super) channels: Channels,
    /// Whether it is still heard, if it publishes.
    pub(super) hearing: Hearing,
    /// How good its line is, if it is of a call; of what was counted until it was looked at last.
    pub(super) rating: Rating,
    pub(super) counted: Counted,
    /// What was said of that.
    pub(super) said_quality: Quality,
    pub(super) role: Role,
}

/// Where a participant's media goes and what encrypts it: all that a packet needs, beside that of the others and
/// apart from what only the control of a session needs.
#[derive(Default)]
pub(super) struct MediaPath {
    pub(super) pair: Option<AddressPair>,
    /// The keys, once it is connected.
    pub(super) sender: Option<Sender>,
    /// Something was sent to it since somebody looked.
    pub(super) sent: bool,
}

impl MediaPath {
    /// Whether something was sent since the last call.
    pub(super) fn take_sent(&mut self) -> bool {
        std::mem::take(&mut self.sent)
    }
}

/// The media paths of a shard by participant. In pieces that never move: a table that doubles would leave its old self
/// behind in the heap.
#[derive(Default)]
pub(super) struct MediaPaths {
    pieces: Vec<Box<[MediaPath]>>,
}

impl MediaPaths {
    const PIECE: usize = 64;

    /// That of a participant who has one.
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut MediaPath> {
        self.pieces.get_mut(slot / Self::PIECE)?.get_mut(slot % Self::PIECE)
    }

    /// That of any participant.
    pub(super) fn of(&mut self, slot: usize) -> Option<&mut MediaPath> {
        while self.pieces.len() <= slot / Self::PIECE {
            self.pieces.push((0..Self::PIECE).map(|_| MediaPath::default()).collect());
        }
        self.get_mut(slot)
    }
}

/// What a participant does.
pub(super) enum Role {
    /// It sends.
    Publisher {
        /// Its name in the room.
        source: SourceId,
        /// What it offered.
        published: Arc<Published>,
        /// It is the connection that viewers see, and no later one has taken its place.
        current: bool,
        /// Of its sources.
        gates: Gates,
    },
    /// It receives.
    Viewer {
        /// Header extension ids.
        extensions: Extensions,
        /// It takes RTCP of reduced size.
        reduced_size: bool,
        /// What it was promised.
        sections: Vec<MediaSection>,
        /// Its id once it is connected.
        subscriber: Option<SubscriberId>,
    },
    /// It receives in a call.
    Member(Box<Member>),
}
