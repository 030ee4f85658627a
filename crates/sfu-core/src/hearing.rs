//! Voices meet subscribers: voice slots carry whom their room has chosen, but never the listener himself.
//!
//! The packets of a batch are heard before they are forwarded, so that who begins to speak is let in with the packet that
//! says so. What was said before it, a tenth of a second at most, comes from the ring.

use std::time::Instant;

use crate::config::{Gate, SlotKind};
use crate::ids::{PublisherId, RoomId, SubscriberId, SubscriptionId, TrackIndex, TrackName};
use crate::shard::Shard;
use crate::sink::{Event, Sink};
use crate::subscription::Subscription;
use crate::timers::Owner;
use crate::voices::Said;
use crate::voices::choose::{MAX_PLACES, assign};

impl Shard {
    /// A track is a microphone, or is not: voice slots carry microphones and nothing else. Subscribers have voice slots
    /// with [`SlotKind::Voice`]; they are bound by themselves.
    pub fn set_microphone(&mut self, id: PublisherId, index: TrackIndex, is_microphone: bool, now: Instant) {
        let Some(publisher) = self.publishers.get_mut(id.key()) else { return };
        let (room, source) = (publisher.room, publisher.source_id);
        let Some(track) = publisher.tracks.get_mut(usize::from(index.0)) else { return };
        let (was, gate) = (std::mem::replace(&mut track.is_microphone, is_microphone), track.gate);
        let name = TrackName { source, track: index };
        match (was, is_microphone) {
            (true, false) => self.stop_hearing(room, [name], now),
            (false, true) if gate == Gate::Open => self.start_hearing(room, [name], now),
            _ => {}
        }
    }

    /// These microphones are there, or are so again.
    pub(crate) fn start_hearing(
        &mut self,
        id: RoomId,
        names: impl IntoIterator<Item = TrackName>,
        now: Instant,
    ) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        for name in names {
            room.voices.open(name, now);
        }
        self.timers.arm(Owner::Room(id), &mut room.deadline, Some(now));
    }

    /// The microphones of a room at which somebody speaks.
    pub fn speaking(&self, room: RoomId) -> impl Iterator<Item = TrackName> {
        self.rooms.get(&room).into_iter().flat_map(|room| room.voices.speaking())
    }

    /// The microphone of who speaks mainly in a room.
    #[must_use]
    pub fn on_stage(&self, room: RoomId) -> Option<TrackName> {
        self.rooms.get(&room)?.voices.on_stage()
    }

    /// What came in since the last call is heard in its rooms.
    pub(crate) fn hear(&mut self, now: Instant, sink: &mut impl Sink) {
        let mut all = std::mem::take(&mut self.heard);
        for packet in &all {
            let Some(room) = self.rooms.get_mut(&packet.room) else { continue };
            if packet.is_off && !packet.heard.is_loud() && !room.voices.knows(packet.name) {
                continue;
            }
            room.voices.hear(packet.name, packet.heard, now);
            self.after_voices(packet.room, now, sink);
        }
        all.clear();
        self.heard = all;
    }

    /// These microphones are muted, or gone. Those who heard them hear others from the next [`Shard::handle_timeout`] on.
    pub(crate) fn stop_hearing(
        &mut self,
        id: RoomId,
        names: impl IntoIterator<Item = TrackName>,
        now: Instant,
    ) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        for name in names {
            room.voices.remove(name);
        }
        self.timers.arm(Owner::Room(id), &mut room.deadline, Some(now));
    }

    /// Does what is due for a room.
    pub(crate) fn tick_room(&mut self, id: RoomId, at: Instant, now: Instant, sink: &mut impl Sink) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if room.deadline.take(at) {
            room.voices.tick(now);
            self.after_voices(id, now, sink);
        }
    }

    /// A subscriber has another voice slot.
    pub(crate) fn listen(&mut self, id: SubscriberId, now: Instant) {
        let Some(subscriber) = self.subscribers.get(id.key()) else { return };
        if let Some(room) = self.rooms.get_mut(&subscriber.room) {
            room.listeners.insert(id);
            let is_voice = |subscription: &&Subscription| subscription.slot == Some(SlotKind::Voice);
            let count = subscriber.subscriptions.iter().filter(is_voice).count();
            room.voices.listen(count, now);
            if !room.voices.is_empty() {
                self.bind_voices(id, now);
            }
        }
    }

    /// Tells what there is to tell of a room's voices, and has its listeners hear who is chosen now.
    fn after_voices(&mut self, id: RoomId, now: Instant, sink: &mut impl Sink) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        for said in room.voices.take_said() {
            sink.event(match said {
                Said::Speaking { who, speaking } => Event::Speaking { room: id, track: who, speaking },
                Said::OnStage(track) => Event::OnStage { room: id, track },
            });
        }
        let due = room.voices.due();
        self.timers.arm(Owner::Room(id), &mut room.deadline, due);
        if room.voices.take_changed() {
            let listeners: Vec<SubscriberId> = room.listeners.iter().copied().collect();
            for subscriber in listeners {
                if self.bind_voices(subscriber, now) {
                    sink.event(Event::Rebound { subscriber });
                }
            }
        }
    }

    /// Has the voice slots of a subscriber carry who is chosen. Returns whether something has changed.
    fn bind_voices(&mut self, id: SubscriberId, now: Instant) -> bool {
        let Some(subscriber) = self.subscribers.get(id.key()) else { return false };
        let Some(room) = self.rooms.get_mut(&subscriber.room).filter(|room| room.listeners.contains(&id))
        else {
            return false;
        };
        let voices = subscriber.subscriptions.iter().filter(|s| s.slot == Some(SlotKind::Voice));
        let mut slots: [Option<(SubscriptionId, Option<TrackName>)>; MAX_PLACES] = [None; MAX_PLACES];
        let mut streams = [None; MAX_PLACES];
        let mut count = 0;
        for ((slot, stream), voice) in slots.iter_mut().zip(&mut streams).zip(voices) {
            (*slot, *stream) = (Some((voice.id, voice.shows)), voice.shows);
            count += 1;
        }
        let (Some(streams), Some(slots)) = (streams.get_mut(..count), slots.get(..count)) else {
            return false;
        };
        room.voices.listen(count, now);
        let Some(choice) = room.voices.choice(count) else { return false };
        let own = |name: TrackName| Some(name.source) == subscriber.own;
        if !assign(streams, choice.for_listener(own)) {
            return false;
        }
        for (slot, shows) in slots.iter().zip(streams) {
            let Some((slot, before)) = *slot else { continue };
            if *shows != before {
                self.carry(slot, before, *shows, now);
            }
        }
        true
    }

    /// Has a voice slot carry somebody from the onset of what he says.
    fn carry(
        &mut self,
        slot: SubscriptionId,
        before: Option<TrackName>,
        voice: Option<TrackName>,
        now: Instant,
    ) {
        self.show(slot, voice, now);
        let Some(subscriber) = self.subscribers.get_mut(slot.subscriber.key()) else { return };
        let room = self.rooms.get(&subscriber.room);
        if let Some(before) = before {
            subscriber.leaves(before, now);
        }
        let from = voice.zip(room).map(|(voice, room)| {
            let from = room.voices.hear_from(voice, now);
            subscriber.left(voice).map_or(from, |left| from.max(left))
        });
        if let Some(subscription) = subscriber.subscription_mut(slot) {
            subscription.hear_from = from;
        }
    }
}
