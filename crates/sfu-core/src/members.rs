//! Who is on a shard: publishers, subscribers and their subscriptions come, change and go.

use std::time::{Duration, Instant};

use crate::config::{
    MAX_ENCODINGS, MAX_TRACKS, PublisherConfig, SlotKind, SubscriberConfig, SubscriptionConfig, Wanted,
};
use crate::ids::{PublisherId, RoomId, SubscriberId, SubscriptionId, TrackName};
use crate::publisher::Publisher;
use crate::shard::Shard;
use crate::subscriber::Subscriber;
use crate::subscription::{FeedPlace, Subscription};

/// Most formats of one track or subscription.
const MAX_FORMATS: usize = 32;

/// Why something cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// More tracks, encodings or formats than a publisher or a subscription may have, or none.
    #[error("a publisher has at most 64 tracks of 1 to 3 encodings and 1 to 32 formats")]
    Shape,
    /// The shard, or the subscriber, has as many as it takes.
    #[error("the shard is full")]
    Full,
    /// There is no such publisher, track or subscriber on this shard.
    #[error("no such publisher, track or subscriber")]
    Unknown,
    /// The publisher that is back was in another room, or had another name there.
    #[error("the publisher is another one")]
    OtherRoom,
    /// The room has a publisher of this name.
    #[error("the name of the publisher is taken in its room")]
    Taken,
}

impl Shard {
    /// Adds a publisher with its negotiated tracks. Subscriptions that wait for them begin.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Full`], [`AddError::Taken`].
    pub fn add_publisher(&mut self, config: PublisherConfig, now: Instant) -> Result<PublisherId, AddError> {
        check_shape(&config)?;
        let (room, source) = (config.room, config.source_id);
        if self.rooms.get(&room).is_some_and(|room| room.publisher(source).is_some()) {
            return Err(AddError::Taken);
        }
        let make = |(index, generation)| Publisher::new(PublisherId { index, generation }, config, now);
        let (index, generation) = self.publishers.insert(make).ok_or(AddError::Full)?;
        let id = PublisherId { index, generation };
        self.rooms.entry(room).or_default().add_publisher(source, id);
        self.feed_waiting(id, now);
        self.arm_publisher(id, now);
        self.sources_changed(room, now);
        Ok(id)
    }

    /// The publisher is back on a new connection (or moved to another shard): its tracks go on under the same
    /// indexes, and so do their subscriptions, from the next keyframe. Tracks may be appended.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Unknown`]; [`AddError::OtherRoom`] if its room or its name there is not the
    /// one it had.
    pub fn resume_publisher(
        &mut self,
        id: PublisherId,
        config: PublisherConfig,
        now: Instant,
    ) -> Result<(), AddError> {
        check_shape(&config)?;
        let publisher = self.publishers.get_mut(id.key()).ok_or(AddError::Unknown)?;
        if (publisher.room, publisher.source_id) != (config.room, config.source_id) {
            return Err(AddError::OtherRoom);
        }
        let room = publisher.room;
        publisher.resume(config, now);
        let microphones: Vec<TrackName> = publisher.microphones().collect();
        self.feed_waiting(id, now);
        self.arm_publisher(id, now);
        self.sources_changed(room, now);
        self.start_hearing(room, microphones, now);
        Ok(())
    }

    /// The publisher's connection is gone; its tracks and their subscriptions wait for it to come back.
    pub fn publisher_lost(&mut self, id: PublisherId, now: Instant) {
        let Some(publisher) = self.publishers.get_mut(id.key()) else { return };
        publisher.lose();
        let (room, microphones): (_, Vec<TrackName>) = (publisher.room, publisher.microphones().collect());
        self.stop_hearing(room, microphones, now);
        self.sources_changed(room, now);
    }

    /// The publisher is gone for good. Subscriptions that show it wait for another one of its name.
    pub fn remove_publisher(&mut self, id: PublisherId, now: Instant) {
        let Some(publisher) = self.publishers.remove(id.key()) else { return };
        let Some(room) = self.rooms.get_mut(&publisher.room) else { return };
        room.remove_publisher(publisher.source_id);
        for (_, feed) in publisher.tracks.iter().flat_map(|track| &track.feeds) {
            let id = feed.subscription;
            let subscriber = self.subscribers.get_mut(id.subscriber.key());
            let Some(subscription) = subscriber.and_then(|s| s.subscription_mut(id)) else { continue };
            subscription.feed = None;
            if let Some(name) = subscription.shows {
                room.wait(name, id);
            }
        }
        if room.is_empty() {
            self.rooms.remove(&publisher.room);
        }
        self.sources_changed(publisher.room, now);
        self.stop_hearing(publisher.room, publisher.microphones(), now);
    }

    /// Adds a connection that receives.
    ///
    /// # Errors
    /// [`AddError::Full`].
    pub fn add_subscriber(
        &mut self,
        config: SubscriberConfig,
        now: Instant,
    ) -> Result<SubscriberId, AddError> {
        let spread = Duration::from_millis(self.next_random() % 1_000);
        let make =
            |(index, generation)| Subscriber::new(SubscriberId { index, generation }, &config, spread, now);
        let (index, generation) = self.subscribers.insert(make).ok_or(AddError::Full)?;
        let id = SubscriberId { index, generation };
        self.rooms.entry(config.room).or_default().add_subscriber();
        self.arm_subscriber(id);
        Ok(id)
    }

    /// Removes a subscriber with its subscriptions.
    pub fn remove_subscriber(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.remove(id.key()) else { return };
        for subscription in subscriber.subscriptions.iter() {
            self.leave(subscriber.room, subscription);
        }
        let Some(room) = self.rooms.get_mut(&subscriber.room) else { return };
        room.remove_subscriber(id);
        if room.is_empty() {
            self.rooms.remove(&subscriber.room);
        }
    }

    /// Adds an outgoing stream to a subscriber. What it shows begins at once if it is there, or when it comes: video
    /// with the ring's last keyframe if that is recent, else with the next one, which is asked for.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Full`], [`AddError::Unknown`].
    pub fn subscribe(
        &mut self,
        subscriber: SubscriberId,
        config: SubscriptionConfig,
        now: Instant,
    ) -> Result<SubscriptionId, AddError> {
        if config.formats.is_empty() || config.formats.len() > MAX_FORMATS {
            return Err(AddError::Shape);
        }
        let (random, shows) = (self.next_random(), config.shows);
        let is_voice = config.slot == Some(SlotKind::Voice);
        let receiver = self.subscribers.get_mut(subscriber.key()).ok_or(AddError::Unknown)?;
        let (peer, ids) = (receiver.peer, receiver.ids);
        let name = |(index, generation)| SubscriptionId { subscriber, index, generation };
        let make = |key| Subscription::new(name(key), peer, ids, config, random);
        let id = name(receiver.subscriptions.insert(make).ok_or(AddError::Full)?);
        self.show(id, shows, now);
        if is_voice {
            self.listen(subscriber, now);
        }
        self.slots_changed(subscriber, now);
        Ok(id)
    }

    /// Changes what a subscription shows: another track, which may still have to come, or nothing. Its SSRC, its
    /// numbers and its timestamps go on. Pictures begin as in [`Shard::subscribe`].
    pub fn show(&mut self, id: SubscriptionId, shows: Option<TrackName>, now: Instant) {
        let Some(subscriber) = self.subscribers.get(id.subscriber.key()) else { return };
        let Some(subscription) = subscriber.subscription(id).filter(|s| s.shows != shows) else { return };
        if let Some(place) = subscription.feed {
            self.detach(&place);
        } else if let Some((name, room)) = subscription.shows.zip(self.rooms.get_mut(&subscriber.room)) {
            room.stop_waiting(name, id);
        }
        if let Some(subscription) =
            self.subscribers.get_mut(id.subscriber.key()).and_then(|s| s.subscription_mut(id))
        {
            subscription.turn_to(shows, now);
        }
        self.attach(id, now);
        self.mark_subscriber(id.subscriber, now);
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        let Some(subscriber) = self.subscribers.get_mut(id.subscriber.key()) else { return };
        let room = subscriber.room;
        if let Some(subscription) = subscriber.subscriptions.remove(id.key()) {
            self.leave(room, &subscription);
        }
    }

    /// Pauses or resumes a subscription: a paused one gets no media and costs nothing.
    pub fn set_paused(&mut self, id: SubscriptionId, paused: bool, now: Instant) {
        self.change(id, now, |subscription| std::mem::replace(&mut subscription.paused, paused) != paused);
    }

    /// Which of the track's layers the subscriber wants.
    pub fn set_wanted(&mut self, id: SubscriptionId, wanted: Wanted, now: Instant) {
        self.change(id, now, |subscription| std::mem::replace(&mut subscription.wanted, wanted) != wanted);
    }

    /// What the subscription gets of what the line carries comes before those of a lower rank.
    pub(crate) fn set_rank(&mut self, id: SubscriptionId, rank: u16, now: Instant) {
        self.change(id, now, |subscription| std::mem::replace(&mut subscription.wanted_rank, rank) != rank);
    }

    /// Changes what is asked for; `change` returns whether that is something else than before.
    fn change(&mut self, id: SubscriptionId, now: Instant, change: impl FnOnce(&mut Subscription) -> bool) {
        let subscriber = self.subscribers.get_mut(id.subscriber.key());
        let Some(subscription) = subscriber.and_then(|s| s.subscription_mut(id)) else { return };
        if !change(subscription) {
            return;
        }
        let (paused, place) = (subscription.paused, subscription.feed);
        if let Some(place) = place
            && let Some(publisher) = self.publishers.get_mut(place.publisher.key())
            && let Some(track) = publisher.tracks.get_mut(usize::from(place.track))
        {
            track.asks_otherwise(place.key, paused);
            self.wake_publisher(place.publisher, now);
        }
        self.mark_subscriber(id.subscriber, now);
    }

    /// Lets the subscriptions begin that wait for a track of this publisher.
    fn feed_waiting(&mut self, id: PublisherId, now: Instant) {
        let Some(publisher) = self.publishers.get(id.key()) else { return };
        let (room, source, tracks) = (publisher.room, publisher.source_id, publisher.tracks.len());
        while let Some((_, waiting)) = self.rooms.get_mut(&room).and_then(|r| r.take_waiting(source, tracks))
        {
            self.attach(waiting, now);
            self.mark_subscriber(waiting.subscriber, now);
        }
    }

    /// Gives a subscription its feed, or has it wait for one.
    fn attach(&mut self, id: SubscriptionId, now: Instant) {
        let Some(subscriber) = self.subscribers.get_mut(id.subscriber.key()) else { return };
        let Some(room) = self.rooms.get_mut(&subscriber.room) else { return };
        let Some(subscription) = subscriber.subscription_mut(id) else { return };
        let Some(name) = subscription.shows else { return };
        debug_assert!(subscription.feed.is_none(), "a subscription has one feed");
        let publisher = room.publisher(name.source);
        let found = publisher.and_then(|publisher| self.publishers.get_mut(publisher.key()));
        let track = found.and_then(|publisher| publisher.tracks.get_mut(usize::from(name.track.0)));
        match publisher.zip(track) {
            Some((publisher, track)) => {
                let key = track.attach(id, subscription.paused);
                subscription.feed = Some(FeedPlace { publisher, track: name.track.0, key });
                self.wake_publisher(publisher, now);
            }
            None => room.wait(name, id),
        }
    }

    /// Takes away what a subscription that was removed has elsewhere.
    fn leave(&mut self, room: RoomId, subscription: &Subscription) {
        match (subscription.feed, subscription.shows) {
            (Some(place), _) => self.detach(&place),
            (None, Some(name)) => {
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.stop_waiting(name, subscription.id);
                }
            }
            (None, None) => {}
        }
    }

    fn detach(&mut self, place: &FeedPlace) {
        let publisher = self.publishers.get_mut(place.publisher.key());
        if let Some(track) = publisher.and_then(|p| p.tracks.get_mut(usize::from(place.track))) {
            track.detach(place.key);
        }
    }
}

fn check_shape(config: &PublisherConfig) -> Result<(), AddError> {
    let fits = config.tracks.len() <= MAX_TRACKS
        && config.tracks.iter().all(|track| {
            (1..=MAX_ENCODINGS).contains(&track.encodings.len())
                && (1..=MAX_FORMATS).contains(&track.formats.len())
                && track.formats.iter().all(|f| f.clock_rate > 0 && f.codec.kind() == track.kind)
        });
    if fits { Ok(()) } else { Err(AddError::Shape) }
}
