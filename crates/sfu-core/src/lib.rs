//! One shard's brain: published tracks, subscriptions, rewriting, retransmission, keyframe requests, reports.
//!
//! Pure and sans-IO. A [`Shard`] takes decrypted packets and `now`, and hands everything it causes to the
//! [`Sink`] of the same call: packets to send, reports, events. It reads no clock, does no I/O, spawns nothing
//! and keeps no queue of outputs. The contract is:
//!
//! 1. call any method that changes something;
//! 2. when [`Shard::poll_timeout`] is due, call [`Shard::handle_timeout`].
//!
//! # How a packet flows
//! [`Shard::handle_rtp`] parses it, binds its SSRC to an encoding, unwraps a retransmission, stores it once in
//! the encoding's ring, hands it once to [`Sink::relayed`] if another shard wants it, and calls
//! [`Sink::rtp`] for each subscription with a rewritten header and the payload as it came. The shell writes
//! both into its send buffer and encrypts there: one header rewrite, one copy, one encryption.
//!
//! After warm-up nothing on that way allocates.

mod clock;
mod config;
mod extension;
mod ids;
mod placement;
mod shard;
mod sink;
mod stats;

pub use config::{
    Codec, EncodingConfig, Format, MAX_ENCODINGS, MAX_TRACKS, MediaKind, Origin, PublisherConfig,
    ShardConfig, SubscriberConfig, SubscriptionConfig, TrackConfig,
};
pub use extension::{Extension, Extensions};
pub use ids::{
    EncodingIndex, Mid, Peer, PublisherId, Rid, Room, SubscriberId, SubscriptionId, TagError, TrackIndex,
};
pub use placement::{Placement, ShardIndex};
pub use shard::{AddError, Shard};
pub use sink::{Event, Outgoing, Relayed, RelayedReport, Sink};
pub use stats::{EncodingStats, PublisherStats, SubscriberStats, SubscriptionStats, TrackStats};
