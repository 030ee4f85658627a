//! Stored broadcasts and owners as the rest of the service sees them. Plain data.

use chrono::{DateTime, Utc};
use contract::id::BroadcastId;
use contract::key::KeyHash;
use contract::rest::Broadcast;

/// A stored broadcast.
#[derive(Debug, Clone)]
pub struct Record {
    /// What everybody sees.
    pub broadcast: Broadcast,
    /// Raised by every change but viewer_count and signs of life.
    pub version: i64,
    /// Hash of its stream key.
    pub key: KeyHash,
    /// Raised each time the key is replaced.
    pub key_revision: i64,
    /// Whose it is.
    pub owner: Owner,
    /// Last sign of life of a publisher.
    pub seen_at: Option<DateTime<Utc>>,
    /// Last media that a report named.
    pub last_media_at: Option<DateTime<Utc>>,
}

/// A sign of life of a publisher.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The broadcast.
    pub id: BroadcastId,
    /// Last media that the report names.
    pub last_media_at: DateTime<Utc>,
    /// Whether the publisher is there now, not just lost.
    pub present: bool,
}

/// Whose a broadcast or a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Hash of the owner key.
    pub key: KeyHash,
    /// Subject of the token that created it; who holds a creator token of that subject owns it too.
    pub subject: Option<String>,
}
