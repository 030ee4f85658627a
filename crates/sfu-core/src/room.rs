//! A room: who publishes in it, and which subscriptions wait for a track that is not there.
//!
//! It says who is there, not what is sent: that is the tracks' ([`crate::track`]). What a subscription shows is named
//! by the room's own names, so it does not matter who comes first, who goes and who comes back: whoever comes finds
//! what waits for it.

use std::collections::{BTreeSet, HashMap};

use crate::ids::{PublisherId, SourceId, SubscriberId, SubscriptionId, TrackIndex, TrackName};
use crate::timers::Deadline;
use crate::voices::Voices;

/// See the module. It is there as long as it has a member.
#[derive(Debug, Default)]
pub(crate) struct Room {
    publishers: HashMap<SourceId, PublisherId>,
    /// Subscriptions whose track is not there, by its name.
    waiting: BTreeSet<(TrackName, SubscriptionId)>,
    subscribers: usize,
    /// Subscribers with slots that are bound by what they want.
    callers: BTreeSet<SubscriberId>,
    /// Subscribers with voice slots.
    pub(crate) listeners: BTreeSet<SubscriberId>,
    /// Who is heard in them, and who speaks.
    pub(crate) voices: Voices<TrackName>,
    pub(crate) deadline: Deadline,
}

impl Room {
    /// Adds a publisher; false if its name is taken.
    pub(crate) fn add_publisher(&mut self, source: SourceId, id: PublisherId) -> bool {
        let is_free = !self.publishers.contains_key(&source);
        if is_free {
            self.publishers.insert(source, id);
        }
        is_free
    }

    pub(crate) fn remove_publisher(&mut self, source: SourceId) {
        self.publishers.remove(&source);
    }

    pub(crate) fn publisher(&self, source: SourceId) -> Option<PublisherId> {
        self.publishers.get(&source).copied()
    }

    pub(crate) fn add_subscriber(&mut self) {
        self.subscribers += 1;
    }

    pub(crate) fn remove_subscriber(&mut self, id: SubscriberId) {
        self.callers.remove(&id);
        self.listeners.remove(&id);
        debug_assert!(self.subscribers > 0, "who goes had come");
        self.subscribers = self.subscribers.saturating_sub(1);
    }

    /// A subscriber has slots that are bound by what it wants.
    pub(crate) fn wants_slots(&mut self, id: SubscriberId) {
        self.callers.insert(id);
    }

    /// The subscribers with such slots.
    pub(crate) fn callers(&self) -> impl Iterator<Item = SubscriberId> {
        self.callers.iter().copied()
    }

    /// Whether it has no members, and so no subscriptions that wait.
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = self.publishers.is_empty() && self.subscribers == 0;
        debug_assert!(!is_empty || self.waiting.is_empty(), "a subscription without its subscriber waits");
        is_empty
    }

    /// A subscription waits for a track.
    pub(crate) fn wait(&mut self, name: TrackName, id: SubscriptionId) {
        self.waiting.insert((name, id));
    }

    /// A subscription does not wait any more.
    pub(crate) fn stop_waiting(&mut self, name: TrackName, id: SubscriptionId) {
        self.waiting.remove(&(name, id));
    }

    /// How many subscriptions wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_waiting(&self, name: TrackName, id: SubscriptionId) -> bool {
        self.waiting.contains(&(name, id))
    }

    /// Takes out one of those that wait for one of the first `tracks` tracks of a publisher.
    pub(crate) fn take_waiting(
        &mut self,
        source: SourceId,
        tracks: usize,
    ) -> Option<(TrackName, SubscriptionId)> {
        let from = TrackName { source, track: TrackIndex(0) };
        let mut all = self.waiting.range((from, SubscriptionId::LEAST)..);
        let first =
            *all.next().filter(|(name, _)| name.source == source && usize::from(name.track.0) < tracks)?;
        self.waiting.remove(&first);
        Some(first)
    }
}

impl SubscriptionId {
    /// Before all others.
    const LEAST: Self =
        Self { subscriber: SubscriberId { index: 0, generation: 0 }, index: 0, generation: 0 };
}
