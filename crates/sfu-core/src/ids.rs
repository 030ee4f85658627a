//! Names of things: what the shell gives, and what the shard gives.

/// The shell's handle of one browser connection on this shard; outputs carry it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(pub u32);

/// The shell's number of a room. A subscriber receives tracks of its own room only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(pub u64);

/// The shell's number of a publisher within its room: unique there, the same on every shard and after a reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Position of a track in [`crate::PublisherConfig::tracks`]; the same on every shard and after a reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackIndex(pub u8);

/// A track of a room, whether its publisher is there now or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackName {
    /// Its publisher.
    pub source: SourceId,
    /// Which of the publisher's tracks.
    pub track: TrackIndex,
}

/// Position of an encoding in [`crate::TrackConfig::encodings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EncodingIndex(pub u8);

macro_rules! slot_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            pub(crate) index: u32,
            /// Tells a later owner of the same slot apart.
            pub(crate) generation: u32,
        }

        impl $name {
            pub(crate) fn key(self) -> crate::slots::Key {
                (self.index, self.generation)
            }
        }
    };
}

slot_id!(
    /// A publisher of this shard: a participant that sends, here or on another shard. Stale ids are ignored.
    PublisherId
);
slot_id!(
    /// A subscriber of this shard: a connection that receives. Stale ids are ignored.
    SubscriberId
);

/// One outgoing stream of a subscriber. Stale ids are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId {
    pub(crate) subscriber: SubscriberId,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl SubscriptionId {
    /// Whose subscription it is.
    #[must_use]
    pub fn subscriber(self) -> SubscriberId {
        self.subscriber
    }

    pub(crate) fn key(self) -> crate::slots::Key {
        (self.index, self.generation)
    }
}

/// A stream that a publisher sent: one run of one encoding of one track. Its numbers and timestamps are continuous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamId {
    pub(crate) publisher: PublisherId,
    pub(crate) track: u8,
    pub(crate) encoding: u8,
    /// Counts the times that the encoding started over.
    pub(crate) run: u32,
}
