//! Rooms as one shard sees them: where each publisher is, and who watches here.
//!
//! Every shard knows of every publisher of the node where its home is and what it sends. What a shard does about it
//! depends on nothing but that and on whether it has viewers of the room, never on who came first:
//!
//! | The publisher | Viewers here | In the core | Between shards |
//! |---|---|---|---|
//! | is on this shard | - | is local | the edges pull it |
//! | is on another shard | some | is remote | this shard pulls it |
//! | is on another shard | none | is not there | - |
//! | is away | some | is lost: what shows it waits | - |
//! | is away | none | is not there, and forgotten | - |
//! | is away for good | - | likewise | - |

use std::sync::Arc;
use std::time::Instant;

use contract::destination::Source;
use contract::room_state::SourceState;
use sfu_core::{
    Origin, Peer, PublisherConfig, RoomId, SubscriberConfig, SubscriberId, SubscriptionConfig, TrackIndex,
};

use super::command::ShardEvent;
use super::convert::track_index;
use super::layers::apply;
use super::message::{ShardMessage, ShardMessageKind};
use super::participant::Role;
use super::rooms::{Place, SourceKey};
use super::thread::ShardThread;
use crate::published::{Published, RoomKey, SOURCES, SessionKey, SourceGates, TrackState};

impl ShardThread {
    /// A publisher is connected: viewers see it, unless a later connection of it is known already.
    pub(super) fn attach_publisher(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get(slot) else { return };
        let Role::Publisher { source, published, gates, .. } = &participant.role else { return };
        let (key, connection, published) = ((participant.room, *source), participant.key, published.clone());
        let gates = gates.by_slot();
        let of = (Place::Here { slot }, gates);
        if self.publisher_is(key, connection, of, published.clone(), now) {
            self.tell_all(key, connection, || ShardMessageKind::Published(published.clone()));
            self.tell_gates(key, connection, gates);
        }
    }

    /// A publisher is at `place` with this connection and these gates, unless a later one is known.
    pub(super) fn publisher_is(
        &mut self,
        key: SourceKey,
        connection: SessionKey,
        (place, gates): (Place, SourceGates),
        published: Arc<Published>,
        now: Instant,
    ) -> bool {
        let (room, source) = key;
        let entry = self.io.rooms.rooms.entry(room).or_default();
        if entry.gone.contains(source) {
            return false;
        }
        let entry = entry.enter(source, SessionKey::default(), published.clone());
        if entry.connection >= connection {
            return false;
        }
        let before = std::mem::replace(&mut entry.place, place);
        let replaced = std::mem::replace(&mut entry.connection, connection);
        (entry.published, entry.gates, entry.pulled) = (published, gates, false);
        entry.edges.clear();
        let was_here = matches!(before, Place::Here { .. });
        if was_here && !matches!(place, Place::Here { .. }) {
            // A shard may hear of the one that was here after it has forgotten the one that came after it.
            self.tell_all(key, replaced, || ShardMessageKind::Withdrawn);
        }
        for (place, is_current) in [(before, false), (place, true)] {
            if let Place::Here { slot } = place
                && let Some(Role::Publisher { current, .. }) =
                    self.io.participants.get_mut(slot).map(|participant| &mut participant.role)
            {
                *current = is_current;
            }
        }
        self.reconcile(key, now);
        true
    }

    /// What a source of a publisher does from now on, whether that is connected yet or not.
    pub(super) fn gate(
        &mut self,
        slot: usize,
        source: Source,
        (state, number): (SourceState, u64),
        now: Instant,
    ) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let (room, key) = (participant.room, participant.key);
        let Role::Publisher { source: name, gates, current, .. } = &mut participant.role else { return };
        gates.set(usize::from(track_index(source).0), state, number);
        if !*current {
            return;
        }
        let (name, gates) = ((room, *name), gates.by_slot());
        let Some(entry) = self.io.rooms.publisher_mut(name) else { return };
        if std::mem::replace(&mut entry.gates, gates) != gates {
            self.set_gates(name, now);
            self.tell_gates(name, key, gates);
        }
    }

    /// Tells all other shards the gates of a publisher that is here.
    fn tell_gates(&mut self, key: SourceKey, connection: SessionKey, gates: SourceGates) {
        self.tell_all(key, connection, || ShardMessageKind::Gates(gates));
    }

    /// Has the core let through of a publisher what its gates say.
    pub(super) fn set_gates(&mut self, key: SourceKey, now: Instant) {
        let Some(entry) = self.io.rooms.publisher(key) else { return };
        let Some((id, _)) = entry.core.filter(|(_, of)| *of == entry.connection) else { return };
        for (gate, track) in entry.gates.into_iter().zip(0..) {
            self.core.set_gate(id, TrackIndex(track), gate, now);
        }
    }

    /// The connection of a publisher is gone, if it is still the one that viewers see.
    pub(super) fn publisher_is_away(&mut self, key: SourceKey, connection: SessionKey, now: Instant) -> bool {
        let Some(entry) = self.io.rooms.publisher_mut(key) else { return false };
        if entry.connection != connection || entry.place == Place::Away {
            return false;
        }
        (entry.place, entry.pulled) = (Place::Away, false);
        entry.edges.clear();
        self.reconcile(key, now);
        true
    }

    /// Tells all other shards something of a publisher whose home is, or was, here.
    pub(super) fn tell_all(
        &mut self,
        (room, source): SourceKey,
        connection: SessionKey,
        kind: impl Fn() -> ShardMessageKind,
    ) {
        let from = self.settings.index;
        for shard in (0..self.io.lanes.count()).filter(|shard| *shard != from) {
            self.io.lanes.send(shard, ShardMessage { room, source, connection, from, kind: kind() });
        }
    }

    /// Tells the home of a publisher that is pulled something.
    pub(super) fn tell_home(&mut self, (room, source): SourceKey, kind: ShardMessageKind) {
        let Some(entry) = self.io.rooms.publisher((room, source)) else { return };
        let Place::On { shard } = entry.place else { return };
        let (connection, from) = (entry.connection, self.settings.index);
        if !self.io.lanes.send(shard, ShardMessage { room, source, connection, from, kind }) {
            self.io.count_dropped();
        }
    }

    /// Makes the core and the pull of a publisher what the table at the top says.
    pub(super) fn reconcile(&mut self, key: SourceKey, now: Instant) {
        let room = self.io.rooms.room(key.0);
        let is_watched = room.is_some_and(|room| room.viewers > 0);
        let may_return = room.is_some_and(|room| !room.gone.contains(key.1));
        let Some(entry) = self.io.rooms.publisher_mut(key) else { return };
        let (place, connection) = (entry.place, entry.connection);
        if !entry.pulled {
            self.portions.forget(|other| *other == key);
        }
        match place {
            Place::Here { slot } => self.put_into_core(key, Origin::Local(Peer(slot as u32)), now),
            Place::On { .. } if is_watched => {
                self.put_into_core(key, Origin::Remote, now);
                if let Some(entry) = self.io.rooms.publisher_mut(key).filter(|entry| !entry.pulled) {
                    entry.pulled = true;
                    self.tell_home(key, ShardMessageKind::Pull);
                    self.portions.want(key);
                    self.ask_for_portions();
                }
            }
            Place::On { .. } => {
                if std::mem::take(&mut entry.pulled) {
                    self.tell_home(key, ShardMessageKind::Release);
                    self.portions.forget(|other| *other == key);
                    self.ask_for_portions();
                }
                self.take_from_core(key, now);
            }
            Place::Away if is_watched && may_return => {
                if let Some((id, _)) = entry.core {
                    self.core.publisher_lost(id, now);
                    entry.core = Some((id, SessionKey::default()));
                }
            }
            Place::Away => {
                self.take_from_core(key, now);
                self.io.rooms.forget(key);
                tracing::trace!(connection = connection.0, "a publisher is forgotten");
            }
        }
    }

    /// Has the core work for the last connection of a publisher.
    fn put_into_core(&mut self, key: SourceKey, origin: Origin, now: Instant) {
        let Some(entry) = self.io.rooms.publisher_mut(key) else { return };
        let connection = entry.connection;
        if entry.core.is_some_and(|(_, of)| of == connection) {
            return;
        }
        let (microphone, published) = (track_index(Source::Microphone), &entry.published);
        let sends = published.formats.get(usize::from(microphone.0)).is_some_and(Option::is_some);
        let is_heard = matches!(key.0, RoomKey::Group(_)) && sends;
        let config = publisher_config(key, origin, &entry.published);
        let result = match entry.core {
            Some((id, _)) => self.core.resume_publisher(id, config, now).map(|()| id),
            None => self.core.add_publisher(config, now),
        };
        match result {
            Ok(id) => {
                entry.core = Some((id, connection));
                self.io.rooms.of.insert(id, key);
                self.set_gates(key, now);
                self.core.set_screen(id, track_index(Source::Screen), true);
                self.core.set_microphone(id, microphone, is_heard, now);
                self.core.set_pulled(id, false);
            }
            Err(error) => tracing::warn!(%error, "the media core refuses a publisher"),
        }
    }

    fn take_from_core(&mut self, key: SourceKey, now: Instant) {
        let core = self.io.rooms.publisher_mut(key).and_then(|entry| entry.core.take());
        if let Some((id, _)) = core {
            self.core.remove_publisher(id, now);
            self.io.rooms.of.remove(&id);
        }
    }

    /// Viewers of a room came or left.
    pub(super) fn viewers_changed(&mut self, room: RoomKey, now: Instant) {
        for source in self.io.rooms.names(room) {
            self.reconcile((room, source), now);
        }
        self.io.rooms.drop_if_idle(room);
    }

    pub(super) fn attach_viewer(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let Role::Viewer { extensions, reduced_size, sections, subscriber } = &mut participant.role else {
            return;
        };
        let config = SubscriberConfig {
            peer: Peer(slot as u32),
            room: core_room(participant.room),
            extensions: *extensions,
            reduced_size: *reduced_size,
            own: None,
        };
        let id = match self.core.add_subscriber(config, now) {
            Ok(id) => id,
            Err(error) => return tracing::warn!(%error, "the media core refuses a viewer"),
        };
        *subscriber = Some(id);
        self.io.viewers.insert(id, slot);
        for section in sections {
            let config = SubscriptionConfig {
                shows: Some(section.shows),
                mid: section.mid,
                ssrc: section.ssrc,
                rtx_ssrc: section.rtx_ssrc,
                cname: section.cname.clone(),
                formats: section.formats.clone(),
                slot: None,
            };
            match self.core.subscribe(id, config, now) {
                Ok(id) => {
                    section.id = Some(id);
                    apply(&mut self.core, section, now);
                }
                Err(error) => tracing::warn!(%error, "the media core refuses a subscription"),
            }
        }
    }

    /// A participant has left.
    pub(super) fn left(&mut self, room: RoomKey, connection: SessionKey, role: &Role, now: Instant) {
        match role {
            Role::Publisher { source, current: true, .. } => {
                let key = (room, *source);
                if self.publisher_is_away(key, connection, now) {
                    self.tell_all(key, connection, || ShardMessageKind::Withdrawn);
                }
            }
            Role::Publisher { .. } => {}
            Role::Viewer { subscriber, .. } => self.receiver_left(room, *subscriber, now),
            Role::Member(member) => self.receiver_left(room, member.subscriber, now),
        }
    }

    fn receiver_left(&mut self, room: RoomKey, subscriber: Option<SubscriberId>, now: Instant) {
        if let Some(id) = subscriber {
            self.core.remove_subscriber(id);
            self.io.viewers.remove(&id);
        }
        self.io.rooms.viewer_left(room);
        self.viewers_changed(room, now);
    }

    /// Tells the control plane what a publisher whose home is here sends.
    pub(super) fn report_media(&mut self, key: SourceKey, now: Instant) {
        let Some(entry) = self.io.rooms.publisher(key) else { return };
        let (Place::Here { slot }, Some((id, _))) = (entry.place, entry.core) else { return };
        let published = entry.published.clone();
        let Some(participant) = self.io.participants.get(slot) else { return };
        let (session, silent) = (participant.key, participant.hearing.is_silent());
        let Some(stats) = self.core.publisher_stats(id, now) else { return };
        let slots = SOURCES.into_iter().zip(published.formats).zip(&stats.tracks);
        let states = slots.filter_map(|((source, format), track)| {
            Some(TrackState { source, codec: format?.name(), active: track.active })
        });
        let states = states.collect();
        self.outbox.say(ShardEvent::Media { key: session, states, last_media: stats.last_media, silent });
    }
}

pub(super) fn core_room(room: RoomKey) -> RoomId {
    match room {
        // Broadcast ids are positive and have at most 53 bits.
        RoomKey::Broadcast(id) => RoomId(id.0.unsigned_abs()),
        RoomKey::Group(number) => RoomId(number | 1 << 63),
    }
}

/// The call that a room of the core is, if it is one.
pub(super) fn call_room(room: RoomId) -> Option<RoomKey> {
    (room.0 >> 63 == 1).then_some(RoomKey::Group(room.0 & !(1 << 63)))
}

fn publisher_config((room, source_id): SourceKey, origin: Origin, published: &Published) -> PublisherConfig {
    PublisherConfig {
        room: core_room(room),
        source_id,
        origin,
        extensions: published.extensions,
        tracks: published.tracks.clone(),
        reduced_size: published.reduced_size,
        remb: published.remb,
    }
}
