//! What the slots of a subscriber show.

use crate::config::SlotKind;
use crate::ids::{SubscriberId, SubscriptionId, TrackName};
use crate::shard::Shard;

/// What a slot shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The slot.
    pub slot: SubscriptionId,
    /// What it is for.
    pub kind: SlotKind,
    /// The track that it is to show.
    pub shows: Option<TrackName>,
    /// The source that its packets say, once the first of what it is to show has left.
    pub csrc: Option<u32>,
    /// The RTP timestamp of that packet.
    pub from: Option<u32>,
}

impl Shard {
    /// What the slots of a subscriber show, in the order in which they were made. Nothing if there is no such subscriber.
    pub fn bindings(&self, id: SubscriberId) -> impl Iterator<Item = Binding> {
        let subscriptions = self.subscribers.get(id.key()).map(|subscriber| subscriber.subscriptions.iter());
        subscriptions.into_iter().flatten().filter_map(|subscription| {
            let (slot, kind, shows) = (subscription.id, subscription.slot?, subscription.shows);
            let (csrc, from) =
                (subscription.bound().and_then(|b| b.csrc), subscription.bound().map(|b| b.from));
            Some(Binding { slot, kind, shows, csrc, from })
        })
    }
}
