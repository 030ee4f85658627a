//! The shard: who publishes, who subscribes, and what each input causes.

use std::time::Instant;

use crate::config::{PublisherConfig, ShardConfig, SubscriberConfig, SubscriptionConfig};
use crate::ids::{EncodingIndex, PublisherId, Rid, SubscriberId, SubscriptionId, TrackIndex};
use crate::sink::{Relayed, Sink};
use crate::stats::{PublisherStats, SubscriberStats};

/// Why something cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// More tracks, encodings or formats than a publisher or a subscription may have, or none.
    #[error("a publisher has at most 64 tracks of 1 to 3 encodings and 1 to 32 formats")]
    Shape,
    /// The shard has as many as it takes.
    #[error("the shard is full")]
    Full,
    /// There is no such publisher, track or subscriber on this shard.
    #[error("no such publisher, track or subscriber")]
    Unknown,
    /// The publisher is in another room than the subscriber.
    #[error("the publisher is in another room")]
    OtherRoom,
}

/// One shard's brain. See the crate's documentation for its contract.
#[derive(Debug)]
pub struct Shard {
    _config: ShardConfig,
}

#[allow(unused_variables, clippy::unused_self)]
impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        Self { _config: config }
    }

    /// Adds a publisher with its negotiated tracks.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Full`].
    pub fn add_publisher(&mut self, config: PublisherConfig, now: Instant) -> Result<PublisherId, AddError> {
        Err(AddError::Full)
    }

    /// The publisher is back on a new connection (or moved to another shard): its tracks go on under the same
    /// indexes, and so do their subscriptions, from the next keyframe. Tracks may be appended.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Unknown`].
    pub fn resume_publisher(
        &mut self,
        id: PublisherId,
        config: PublisherConfig,
        now: Instant,
    ) -> Result<(), AddError> {
        Err(AddError::Unknown)
    }

    /// The publisher's connection is gone; its tracks and their subscriptions wait for it to come back.
    pub fn publisher_lost(&mut self, id: PublisherId) {}

    /// The publisher is gone for good, and with it the subscriptions to its tracks.
    pub fn remove_publisher(&mut self, id: PublisherId) {}

    /// Whether other shards want this publisher: its packets then also go to [`Sink::relayed`].
    pub fn set_relayed(&mut self, id: PublisherId, relayed: bool) {}

    /// Adds a connection that receives.
    ///
    /// # Errors
    /// [`AddError::Full`].
    pub fn add_subscriber(
        &mut self,
        config: SubscriberConfig,
        now: Instant,
    ) -> Result<SubscriberId, AddError> {
        Err(AddError::Full)
    }

    /// Subscribes to a track. Video starts with the ring's last keyframe if that is recent, else with the next
    /// one, which is asked for.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Full`], [`AddError::Unknown`], [`AddError::OtherRoom`].
    pub fn subscribe(
        &mut self,
        subscriber: SubscriberId,
        config: SubscriptionConfig,
        now: Instant,
    ) -> Result<SubscriptionId, AddError> {
        Err(AddError::Unknown)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {}

    /// Pauses or resumes a subscription: a paused one gets no media and costs nothing.
    pub fn set_paused(&mut self, id: SubscriptionId, paused: bool, now: Instant) {}

    /// Which encoding the subscriber wants: a rid, or the best one there is.
    pub fn set_wanted_encoding(&mut self, id: SubscriptionId, rid: Option<Rid>, now: Instant) {}

    /// Removes a subscriber with its subscriptions.
    pub fn remove_subscriber(&mut self, id: SubscriberId) {}

    /// Takes a decrypted RTP packet of a local publisher.
    pub fn handle_rtp(&mut self, id: PublisherId, packet: &[u8], now: Instant, sink: &mut impl Sink) {}

    /// Takes decrypted RTCP that came on a publisher's connection.
    pub fn handle_publisher_rtcp(
        &mut self,
        id: PublisherId,
        packet: &[u8],
        now: Instant,
        sink: &mut impl Sink,
    ) {
    }

    /// Takes decrypted RTCP that came on a subscriber's connection.
    pub fn handle_subscriber_rtcp(
        &mut self,
        id: SubscriberId,
        packet: &[u8],
        now: Instant,
        sink: &mut impl Sink,
    ) {
    }

    /// Takes what the shard of a remote publisher handed to [`Sink::relayed`].
    pub fn handle_relayed(&mut self, id: PublisherId, what: Relayed<'_>, now: Instant, sink: &mut impl Sink) {
    }

    /// Another shard wants a keyframe ([`crate::Event::KeyframeNeeded`] there).
    pub fn request_keyframe(
        &mut self,
        id: PublisherId,
        track: TrackIndex,
        encoding: EncodingIndex,
        now: Instant,
    ) {
    }

    /// When [`Shard::handle_timeout`] is due next; ask again after every call that changes something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Does what is due at `now`: reports, feedback, NACKs, keyframe requests, packets of the ring for those
    /// who join.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut impl Sink) {}

    /// Numbers of a publisher.
    #[must_use]
    pub fn publisher_stats(&self, id: PublisherId, now: Instant) -> Option<PublisherStats> {
        None
    }

    /// Numbers of a subscriber.
    #[must_use]
    pub fn subscriber_stats(&self, id: SubscriberId) -> Option<SubscriberStats> {
        None
    }
}
