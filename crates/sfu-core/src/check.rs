//! What must agree on a shard, checked as a whole: for simulations, which call it after each step.

use crate::ids::RoomId;
use crate::shard::Shard;
use crate::subscription::Subscription;

impl Shard {
    /// Checks that rooms, tracks and subscriptions agree about who is shown what.
    ///
    /// # Panics
    /// If they do not. It looks at everything: for tests, not for a shard at work.
    pub fn check(&self) {
        let feeds = self.publishers.iter().flat_map(|publisher| &publisher.tracks);
        let feeds: usize = feeds.map(|track| track.feeds.len()).sum();
        let (mut fed, mut waiting) = (0, 0);
        for subscriber in self.subscribers.iter() {
            for subscription in subscriber.subscriptions.iter() {
                match subscription.feed {
                    Some(_) => fed += 1,
                    None => waiting += usize::from(subscription.shows.is_some()),
                }
                self.check_subscription(subscriber.room, subscription);
            }
        }
        assert_eq!(fed, feeds, "every feed is of a subscription that knows it");
        let in_rooms: usize = self.rooms.values().map(|room| room.waiting()).sum();
        assert_eq!(waiting, in_rooms, "who waits is known in its room, and nobody else");
        for track in self.publishers.iter().flat_map(|publisher| &publisher.tracks) {
            track.check();
        }
    }

    fn check_subscription(&self, room: RoomId, subscription: &Subscription) {
        let Some(name) = subscription.shows else {
            assert!(subscription.feed.is_none(), "nothing is shown, and fed");
            return;
        };
        let room = self.rooms.get(&room).expect("a subscriber is in a room");
        let publisher = room.publisher(name.source).and_then(|id| self.publishers.get(id.key()));
        let track = publisher.and_then(|publisher| publisher.tracks.get(usize::from(name.track.0)));
        let Some(place) = subscription.feed else {
            assert!(track.is_none(), "{name:?} is there, and waited for");
            assert!(room.is_waiting(name, subscription.id), "{name:?} is not waited for");
            return;
        };
        let is_named = (Some(place.publisher), place.track) == (room.publisher(name.source), name.track.0);
        assert!(is_named, "the feed is of {name:?}");
        let feed =
            track.and_then(|track| track.feeds.get(place.key)).expect("a place in the fan-out is a feed");
        assert_eq!(feed.subscription, subscription.id, "the feed is of its subscription");
        feed.check();
        if let Some(stream) = feed.current() {
            assert_eq!((stream.publisher, stream.track), (place.publisher, place.track));
            assert_eq!(subscription.map.newest(), Some(stream), "the newest piece is of what goes out");
        }
    }
}
