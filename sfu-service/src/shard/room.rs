//! A room as one shard sees it.

use std::sync::Arc;

use sfu_core::PublisherId;

use super::command::Published;

/// A room on a shard: its home, or one that only has viewers.
#[derive(Debug, Default)]
pub(super) struct RoomSlot {
    /// The publisher in this shard's core; it outlives its connections.
    pub(super) publisher: Option<PublisherId>,
    /// What it sends.
    pub(super) published: Option<Arc<Published>>,
    /// Publisher connections on this shard: two while one takes over from another.
    pub(super) publishers: usize,
    /// Viewers on this shard.
    pub(super) viewers: usize,
    /// Other shards that want its packets; empty where this is not its home.
    pub(super) relays: Vec<usize>,
    /// The home shard, where that is another one.
    pub(super) home: Option<usize>,
}

impl RoomSlot {
    /// Whether nobody needs it here.
    pub(super) fn is_idle(&self) -> bool {
        self.publishers == 0 && self.viewers == 0 && self.relays.is_empty()
    }
}
