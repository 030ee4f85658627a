//! Rooms as one shard sees them: the publisher and the viewers in its core, and the shards that have more of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::destination::Source;
use contract::id::BroadcastId;
use rtp::MediaKind;
use sfu_core::{
    EncodingIndex, Origin, Peer, PublisherConfig, PublisherId, Read, ReadFrom, SourceId, SubscriberConfig,
    SubscriptionConfig, ToEdge, TrackIndex, TrackName,
};

use super::command::{Command, Published, ShardEvent};
use super::convert::track_index;
use super::layers::apply;
use super::participant::Role;
use super::run::ShardThread;
use crate::registry::{SOURCES, TrackState};

/// The one publisher of a broadcast's room.
const HOST: SourceId = SourceId(0);

/// A room on a shard: its home, or one that only has viewers.
#[derive(Debug, Default)]
pub(super) struct RoomSlot {
    /// The publisher in this shard's core; it outlives its connections.
    pub(super) publisher: Option<PublisherId>,
    /// What it sends.
    pub(super) published: Option<Arc<Published>>,
    /// Publisher connections on this shard: two while one takes over from another.
    pub(super) publishers: usize,
    /// The connection of those that the viewers see.
    pub(super) current: Option<usize>,
    /// Viewers on this shard.
    pub(super) viewers: usize,
    /// Other shards that want its packets; empty where this is not its home.
    pub(super) relays: Vec<usize>,
    /// The home shard, where that is another one.
    pub(super) home: Option<usize>,
}

impl RoomSlot {
    /// Whether nobody needs it here.
    fn is_idle(&self) -> bool {
        self.publishers == 0 && self.viewers == 0 && self.relays.is_empty()
    }
}

impl ShardThread {
    /// A publisher is connected: it takes over its room.
    pub(super) fn attach_publisher(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get(slot) else { return };
        let Role::Publisher { published, .. } = &participant.role else { return };
        let (room, published) = (participant.room, published.clone());
        let Some(entry) = self.io.rooms.get_mut(&room) else { return };
        let before = entry.current.replace(slot);
        for (slot, is_current) in before.into_iter().map(|before| (before, false)).chain([(slot, true)]) {
            if let Some(Role::Publisher { current, .. }) =
                self.io.participants.get_mut(slot).map(|p| &mut p.role)
            {
                *current = is_current;
            }
        }
        let config = publisher_config(room, Origin::Local(Peer(slot as u32)), &published);
        entry.published = Some(published.clone());
        let relays = entry.relays.clone();
        self.put_publisher(room, config, now);
        for shard in relays {
            self.send_to(shard, Command::Published(room, published.clone()));
        }
    }

    /// Gives the core the publisher of a room, or the one that comes after it.
    fn put_publisher(&mut self, room: BroadcastId, config: PublisherConfig, now: Instant) {
        let Some(entry) = self.io.rooms.get_mut(&room) else { return };
        let result = match entry.publisher {
            Some(id) => self.core.resume_publisher(id, config, now),
            None => self.core.add_publisher(config, now).map(|id| {
                entry.publisher = Some(id);
                self.io.room_of.insert(id, room);
                self.core.set_screen(id, track_index(Source::Screen), true);
                self.core.set_pulled(id, !entry.relays.is_empty());
            }),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "the media core refuses a publisher");
        }
    }

    pub(super) fn add_remote(&mut self, room: BroadcastId, now: Instant) {
        let published = self.io.rooms.get(&room).and_then(|entry| entry.published.clone());
        if let Some(published) = published {
            self.put_publisher(room, publisher_config(room, Origin::Remote, &published), now);
        }
    }

    /// The publisher of a room whose home is another shard is a new one.
    pub(super) fn published(&mut self, room: BroadcastId, published: Arc<Published>, now: Instant) {
        let Some(entry) = self.io.rooms.get_mut(&room).filter(|entry| entry.home.is_some()) else { return };
        if entry.published.as_ref().is_some_and(|known| Arc::ptr_eq(known, &published)) {
            return;
        }
        entry.published = Some(published);
        self.add_remote(room, now);
    }

    pub(super) fn set_relay(&mut self, room: BroadcastId, shard: usize, wanted: bool, now: Instant) {
        let entry = self.io.rooms.entry(room).or_default();
        entry.relays.retain(|other| *other != shard);
        if wanted {
            entry.relays.push(shard);
        } else {
            self.unwanted_by(room, shard, now);
        }
        let Some(entry) = self.io.rooms.get(&room) else { return };
        let relayed = !entry.relays.is_empty();
        let publisher = entry.publisher;
        // The viewers' shard may have been told of a publisher that has been replaced meanwhile.
        if let Some(published) = entry.published.clone().filter(|_| wanted) {
            self.send_to(shard, Command::Published(room, published));
        }
        if let Some(id) = publisher {
            self.core.set_pulled(id, relayed);
            if wanted {
                // Its viewers start at once like those here, not with the next keyframe.
                self.hand_backlog(room, id, shard, now);
            }
        }
        self.drop_idle_room(room);
        self.handle_core_events(now);
    }

    fn hand_backlog(&mut self, room: BroadcastId, id: PublisherId, shard: usize, now: Instant) {
        self.core.clocks(id, |what| self.io.relay_media(shard, room, what));
        let published = self.io.rooms.get(&room).and_then(|entry| entry.published.clone());
        let tracks = published.iter().flat_map(|published| &published.tracks).zip((0..).map(TrackIndex));
        for (config, track) in tracks.filter(|(config, _)| config.kind == MediaKind::Video) {
            for encoding in (0..).map(EncodingIndex).take(config.encodings.len()) {
                let from = ReadFrom::Keyframe;
                let Some(mut cursor) = self.core.open_cursor(id, track, encoding, from, Duration::ZERO, now)
                else {
                    continue;
                };
                while let Read::Packet { run, number, packet, .. } = self.core.read(&mut cursor, now) {
                    let began = number;
                    let what = ToEdge::Packet { track, encoding, run, began, number, packet };
                    self.io.relay_media(shard, room, what);
                }
            }
        }
    }

    pub(super) fn attach_viewer(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let Role::Viewer { extensions, reduced_size, sections, subscriber } = &mut participant.role else {
            return;
        };
        let room = participant.room;
        let config = SubscriberConfig {
            peer: Peer(slot as u32),
            room: core_room(room),
            extensions: *extensions,
            reduced_size: *reduced_size,
        };
        let id = match self.core.add_subscriber(config, now) {
            Ok(id) => id,
            Err(error) => return tracing::warn!(%error, "the media core refuses a viewer"),
        };
        *subscriber = Some(id);
        for section in sections {
            let config = SubscriptionConfig {
                shows: Some(TrackName { source: HOST, track: section.track }),
                mid: section.mid,
                ssrc: section.ssrc,
                rtx_ssrc: section.rtx_ssrc,
                formats: section.formats.clone(),
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

    pub(super) fn drop_idle_room(&mut self, room: BroadcastId) {
        if !self.io.rooms.get(&room).is_some_and(RoomSlot::is_idle) {
            return;
        }
        let Some(entry) = self.io.rooms.remove(&room) else { return };
        if let Some(id) = entry.publisher {
            self.core.remove_publisher(id);
            self.io.room_of.remove(&id);
        }
        if let Some(home) = entry.home {
            self.send_to(home, Command::Relay { room, shard: self.settings.index, wanted: false });
        }
    }

    /// Tells the control plane what a publisher on this shard sends.
    pub(super) fn report_media(&mut self, room: BroadcastId, now: Instant) {
        let Some(entry) = self.io.rooms.get(&room) else { return };
        let (Some(id), Some(published)) = (entry.publisher, entry.published.clone()) else { return };
        let current = entry.current.and_then(|slot| self.io.participants.get(slot));
        let Some(key) = current.map(|participant| participant.key) else { return };
        let Some(stats) = self.core.publisher_stats(id, now) else { return };
        let slots = SOURCES.into_iter().zip(published.formats).zip(&stats.tracks);
        let states = slots.filter_map(|((source, format), track)| {
            Some(TrackState { source, codec: format?.name(), active: track.active })
        });
        let states = states.collect();
        self.outbox.say(ShardEvent::Media { key, states, last_media: stats.last_media });
    }
}

fn core_room(room: BroadcastId) -> sfu_core::RoomId {
    // Broadcast ids are positive.
    sfu_core::RoomId(room.0.unsigned_abs())
}

fn publisher_config(room: BroadcastId, origin: Origin, published: &Published) -> PublisherConfig {
    PublisherConfig {
        room: core_room(room),
        source_id: HOST,
        origin,
        extensions: published.extensions,
        tracks: published.tracks.clone(),
        reduced_size: published.reduced_size,
        remb: published.remb,
    }
}
