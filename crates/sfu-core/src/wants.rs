//! What the slots of a subscriber show: bound by what it wants, and bound anew when who publishes changes.

use std::time::Instant;

use rtp::MediaKind;

use crate::bindings::{Fit, MAX_WANTS, MissingSource, Slot, Want, WhyMissing, assign};
use crate::config::{Gate, SlotKind, Wanted, WantedEncoding};
use crate::ids::{PublisherId, RoomId, SubscriberId, SubscriptionId, TrackIndex, TrackName};
use crate::publisher::Publisher;
use crate::shard::Shard;
use crate::sink::{Event, Sink};
use crate::slots::Key;
use crate::subscriber::Subscriber;
use crate::subscription::Subscription;

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

impl SlotKind {
    /// What it carries.
    #[must_use]
    pub fn media(self) -> MediaKind {
        match self {
            Self::Tile | Self::Stage | Self::Screen => MediaKind::Video,
            Self::Voice | Self::ScreenAudio => MediaKind::Audio,
        }
    }
}

impl Shard {
    /// What a subscriber wants to see, the whole of it: takes the place of what it wanted before. The slots are bound
    /// before this returns ([`Shard::bindings`], [`Shard::missing`]), and bound anew by themselves when somebody comes,
    /// goes, is lost, or switches a camera off or on ([`Event::Rebound`]).
    ///
    /// Voice slots are not bound by it: who is heard is chosen among all ([`Shard::set_microphone`]).
    pub fn set_wants(&mut self, id: SubscriberId, wants: &[Want], now: Instant) {
        let Some(subscriber) = self.subscribers.get_mut(id.key()) else { return };
        let known = subscriber.wants.get_or_insert_default();
        known.list.clear();
        known.list.extend(wants.iter().take(MAX_WANTS));
        if let Some(room) = self.rooms.get_mut(&subscriber.room) {
            room.wants_slots(id);
        }
        self.rebind(id, now);
    }

    /// What the slots of a subscriber show, in the order in which they were made. Nothing if there is no such subscriber.
    pub fn bindings(&self, id: SubscriberId) -> impl Iterator<Item = Binding> {
        let subscriptions = self.subscribers.get(id.key()).map(|subscriber| subscriber.subscriptions.iter());
        subscriptions.into_iter().flatten().filter_map(|subscription| {
            let (slot, kind, shows) = (subscription.id, subscription.slot?, subscription.shows);
            let bound = subscription.bound();
            let (csrc, from) = (bound.and_then(|bound| bound.csrc), bound.map(|bound| bound.from));
            Some(Binding { slot, kind, shows, csrc, from })
        })
    }

    /// What a subscriber wants and has in no slot.
    #[must_use]
    pub fn missing(&self, id: SubscriberId) -> &[MissingSource] {
        let wants = self.subscribers.get(id.key()).and_then(|subscriber| subscriber.wants.as_ref());
        wants.map_or(&[], |wants| &wants.missing)
    }

    /// Others get a source, or do not, on this shard; the shard that has its publisher has to be told as well, and first.
    /// While it is off, or closed, a picture keeps a slot only where nobody else needs it, no keyframe is asked for, and a
    /// microphone has no place among the voices. One that is off and speaks nevertheless has: whoever switched it on may
    /// not be able to say so. What came while it was closed never goes out.
    pub fn set_gate(&mut self, id: PublisherId, index: TrackIndex, gate: Gate, now: Instant) {
        let Some(publisher) = self.publishers.get_mut(id.key()) else { return };
        let (room, source, local) = (publisher.room, publisher.source_id, publisher.is_local());
        let is_there = publisher.origin.is_some();
        let Some(track) = publisher.tracks.get_mut(usize::from(index.0)) else { return };
        if track.gate == gate {
            return;
        }
        track.set_gate(gate, local);
        let (name, is_microphone) = (TrackName { source, track: index }, track.is_microphone);
        self.wake_publisher(id, now);
        self.sources_changed(room, now);
        match gate {
            Gate::Off | Gate::Closed if is_microphone => self.stop_hearing(room, [name], now),
            Gate::Open if is_microphone && is_there => self.start_hearing(room, [name], now),
            _ => {}
        }
    }

    /// Who publishes in a room has changed: slots are bound anew with the next [`Shard::handle_timeout`].
    pub(crate) fn sources_changed(&mut self, room: RoomId, now: Instant) {
        let Some(room) = self.rooms.get(&room) else { return };
        let callers: Vec<SubscriberId> = room.callers().collect();
        callers.into_iter().for_each(|id| self.slots_changed(id, now));
    }

    /// Something that the slots of a subscriber depend on has changed: they are bound anew with the next
    /// [`Shard::handle_timeout`], if it wants anything.
    pub(crate) fn slots_changed(&mut self, id: SubscriberId, now: Instant) {
        let subscriber = self.subscribers.get_mut(id.key());
        let Some(wants) = subscriber.and_then(|subscriber| subscriber.wants.as_mut()) else { return };
        if !std::mem::replace(&mut wants.stale, true) {
            self.unbound.push(id.key());
        }
        self.mark_subscriber(id, now);
    }

    /// Binds the slots anew of those for whom something changed.
    pub(crate) fn rebind_changed(&mut self, now: Instant, sink: &mut impl Sink) {
        while let Some(key) = self.unbound.pop() {
            if let Some(wants) =
                self.subscribers.get_mut(key).and_then(|subscriber| subscriber.wants.as_mut())
            {
                wants.stale = false;
            }
            let (index, generation) = key;
            self.rebind_and_say(SubscriberId { index, generation }, now, sink);
        }
    }

    /// Binds the slots anew of a subscriber that waits for its line, if it is time.
    pub(crate) fn rebind_due(&mut self, key: Key, now: Instant, sink: &mut impl Sink) {
        let wants = self.subscribers.get(key).and_then(|subscriber| subscriber.wants.as_ref());
        if wants.and_then(|wants| wants.due).is_some_and(|due| due <= now) {
            let (index, generation) = key;
            self.rebind_and_say(SubscriberId { index, generation }, now, sink);
        }
    }

    /// Binds the slots anew of a subscriber for whom a codec matters: one that it does not decode comes, or came when it
    /// was looked at last. Publishers may change it as they like.
    pub(crate) fn rebind_codecs(&mut self, key: Key, now: Instant, sink: &mut impl Sink) {
        let Some(subscriber) = self.subscribers.get(key) else { return };
        let Some(wants) = &subscriber.wants else { return };
        let is_mismatched = |s: &Subscription| s.slot.is_some() && s.shows.is_some() && s.is_mismatched();
        if wants.missing.iter().any(|missing| missing.why == WhyMissing::Codec)
            || subscriber.subscriptions.iter().any(is_mismatched)
        {
            self.rebind_and_say(subscriber.id, now, sink);
        }
    }

    fn rebind_and_say(&mut self, id: SubscriberId, now: Instant, sink: &mut impl Sink) {
        if self.rebind(id, now) {
            sink.event(Event::Rebound { subscriber: id });
        }
    }

    /// Binds the slots of a subscriber by what it wants. Returns whether something is bound, or missing, otherwise than
    /// before.
    fn rebind(&mut self, id: SubscriberId, now: Instant) -> bool {
        let Some(subscriber) = self.subscribers.get(id.key()) else { return false };
        let Some(wants) = &subscriber.wants else { return false };
        let is_full = subscriber.downlink.is_full(now);
        let slots: Vec<Slot> = subscriber
            .subscriptions
            .iter()
            .filter_map(|subscription| {
                let kind = subscription.slot.filter(|kind| *kind != SlotKind::Voice)?;
                let held = is_full && subscription.held_until().is_some_and(|until| now < until);
                Some(Slot { id: subscription.id, kind, shows: subscription.shows, held })
            })
            .collect();
        let wanted = wants.list.iter().filter(|want| want.slot != SlotKind::Voice).copied();
        let wanted: Vec<Want> = wanted.collect();
        let assigned = assign(&slots, &wanted, |slot, want| self.fit(subscriber, slot, want));
        let mut changed = assigned.missing != wants.missing;
        let holds = slots.iter().filter(|slot| slot.held);
        let holds = holds.filter_map(|slot| subscriber.subscription(slot.id)?.held_until());
        let waits = assigned.missing.iter().any(|missing| missing.why == WhyMissing::Line);
        let due = holds.min().filter(|_| waits);
        for (slot, want) in slots.iter().zip(&assigned.shown) {
            let shows = want.map(|want| want.track);
            changed |= shows != slot.shows;
            self.show(slot.id, shows, now);
            let Some(want) = want else { continue };
            let encoding = match want.height {
                0 => WantedEncoding::Auto,
                height => WantedEncoding::MaxHeight(height),
            };
            self.set_wanted(slot.id, Wanted { encoding, max_temporal: None }, now);
            self.set_rank(slot.id, want.rank(), now);
        }
        if let Some(subscriber) = self.subscribers.get_mut(id.key())
            && let Some(wants) = &mut subscriber.wants
        {
            (wants.missing, wants.due) = (assigned.missing, due);
        }
        self.arm_subscriber(id);
        changed
    }

    /// Whether a slot of a subscriber can show something.
    fn fit(&self, subscriber: &Subscriber, slot: &Slot, want: &Want) -> Fit {
        let TrackName { source, track } = want.track;
        let publisher = self.rooms.get(&subscriber.room).and_then(|room| room.publisher(source));
        let publisher: Option<&Publisher> = publisher.and_then(|id| self.publishers.get(id.key()));
        let track = publisher.and_then(|publisher| publisher.tracks.get(usize::from(track.0)));
        // Tracks that are no sources of a call only keep a place.
        let Some(track) = track.filter(|track| track.config.csrc.is_some()) else {
            return Fit::Not(WhyMissing::Absent);
        };
        let is_own_sound = slot.kind.media() == MediaKind::Audio && subscriber.own == Some(source);
        if slot.kind.media() != track.config.kind || is_own_sound {
            return Fit::Not(WhyMissing::Kind);
        }
        let takes = |subscription: &Subscription| match track.format_now() {
            Some(format) => subscription.takes(&format),
            None => track.config.formats.iter().any(|format| subscription.takes(format)),
        };
        if !subscriber.subscription(slot.id).is_some_and(takes) {
            return Fit::Not(WhyMissing::Codec);
        }
        let is_dark =
            track.gate != Gate::Open || publisher.is_none_or(|publisher| publisher.origin.is_none());
        if is_dark { Fit::Dark } else { Fit::Shows }
    }
}
