//! What this node knows of its sessions and rooms: the control plane's state, pure. It says which sessions have
//! to be removed; the caller sends that to the shards.
//!
//! A room's publishers all go to one shard, its home, so that a publisher who comes back takes over its viewers
//! there without anyone else noticing. Owner and track ids belong to the room, not to the session: viewers were
//! told them once and are not renegotiated.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use contract::destination::{NodeTracks, NodeViewers, RoomTracks, RoomViewers, Source, TrackInfo};
use contract::id::{BroadcastId, ParticipantId, SessionId, TrackId};
use contract::layer::EncodingsWanted;
use contract::rest::{CloseOrder, CloseReason, MediaReport, MediaState};
use contract::room::Room;
use rand::Rng;
use tokio::sync::watch;
use transport::sdp::CodecFormat;

use crate::config::Limits;
use crate::shard::Published;

/// Names a session inside this process, for good: keys are not used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(crate) u64);

/// SHA-256 of a bearer; what a session remembers of whoever opened it.
pub(crate) type BearerHash = [u8; 32];

/// The sources that a broadcast can carry, in the order of their slots.
pub(crate) const SOURCES: [Source; 4] =
    [Source::Microphone, Source::Camera, Source::Screen, Source::ScreenAudio];

/// Slot of a source.
pub(crate) fn slot(source: Source) -> usize {
    match source {
        Source::Microphone => 0,
        Source::Camera => 1,
        Source::Screen => 2,
        Source::ScreenAudio => 3,
    }
}

/// The codec of each slot that is published.
pub(crate) type Formats = [Option<CodecFormat>; SOURCES.len()];

/// Publisher or viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A WHIP session.
    Publisher(Arc<Published>),
    /// A WHEP session.
    Viewer {
        /// Subject of its token.
        subject: Option<String>,
        /// A preview on the Home page: not counted.
        preview: bool,
        /// What it decodes in the slots that it gets.
        decodes: Vec<(usize, Vec<CodecFormat>)>,
    },
}

impl Kind {
    fn is_publisher(&self) -> bool {
        matches!(self, Self::Publisher(_))
    }

    /// Whether a viewer can go on with a publisher that sends `formats`.
    fn can_play(&self, formats: &Formats) -> bool {
        let Self::Viewer { decodes, .. } = self else { return true };
        decodes.iter().all(|(slot, decoders)| match formats.get(*slot) {
            Some(Some(format)) => decoders.iter().any(|decoder| decoder.decodes(*format).is_some()),
            _ => true,
        })
    }
}

/// One WHIP or WHEP session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Its key in the shards.
    pub(crate) key: SessionKey,
    /// Its broadcast.
    pub(crate) broadcast: BroadcastId,
    /// The shard that serves it.
    pub(crate) shard: usize,
    /// Publisher or viewer.
    pub(crate) kind: Kind,
    /// Who opened it, if a bearer did.
    pub(crate) bearer: Option<BearerHash>,
    /// Entity tag of its ICE session, with quotes.
    pub(crate) etag: String,
    /// The client's ICE user fragment of now: another one in a fragment asks for an ICE restart.
    pub(crate) remote_ufrag: String,
    /// When it was opened.
    pub(crate) opened_at: Instant,
    /// Which of its encodings a publisher is asked for.
    pub(crate) wanted: Option<watch::Sender<EncodingsWanted>>,
    source: IpAddr,
    connected: bool,
}

/// A session to remove from its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    /// The shard.
    pub(crate) shard: usize,
    /// The session.
    pub(crate) key: SessionKey,
}

/// What a new session needs to know of its room.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Key of the new session.
    pub(crate) key: SessionKey,
    /// Shard that serves it.
    pub(crate) shard: usize,
    /// Shard of the room's publishers.
    pub(crate) home: usize,
}

/// What a viewer can get of a broadcast.
#[derive(Debug, Clone)]
pub(crate) struct Playable {
    /// Owner of the tracks.
    pub(crate) owner: ParticipantId,
    /// Ids of the tracks, by slot.
    pub(crate) tracks: [TrackId; SOURCES.len()],
    /// What the publisher sends.
    pub(crate) published: Arc<Published>,
}

/// A new session.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// Its id, the secret part of its URL.
    pub(crate) id: SessionId,
    /// The broadcast.
    pub(crate) broadcast: BroadcastId,
    /// Publisher or viewer.
    pub(crate) kind: Kind,
    /// Whom it counts for while it is not connected.
    pub(crate) source: IpAddr,
    /// Who opens it.
    pub(crate) bearer: Option<BearerHash>,
    /// Entity tag.
    pub(crate) etag: String,
    /// The client's ICE user fragment.
    pub(crate) remote_ufrag: String,
    /// Now.
    pub(crate) now: Instant,
}

/// What a shard says of a publisher's track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackState {
    /// Where it comes from.
    pub(crate) source: Source,
    /// Codec name as in SDP.
    pub(crate) codec: &'static str,
    /// Media arrived within the last second.
    pub(crate) active: bool,
}

#[derive(Debug)]
struct RoomState {
    owner: ParticipantId,
    tracks: [TrackId; SOURCES.len()],
    home: usize,
    key_revision: i64,
    /// The session that the viewers see.
    publisher: Option<SessionKey>,
    /// A newer session that has not connected yet.
    incoming: Option<SessionKey>,
    /// The publisher that left by itself, until another comes: clients say goodbye with DTLS before they DELETE.
    left: Option<(SessionId, Session)>,
    /// What the viewers get.
    published: Option<Arc<Published>>,
    media: Option<Media>,
    ended: bool,
    states: Vec<TrackState>,
}

#[derive(Debug, Clone, Copy)]
struct Media {
    started_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

/// Why no session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The node is at its limit of sessions.
    Full,
    /// The source has as many sessions that are not connected as one may have.
    HalfOpen,
}

/// Sessions and rooms of this node.
#[derive(Debug)]
pub(crate) struct Registry {
    limits: Limits,
    load: Vec<usize>,
    next_key: u64,
    sessions: HashMap<SessionId, Session>,
    ids: HashMap<SessionKey, SessionId>,
    rooms: HashMap<BroadcastId, RoomState>,
}

impl Registry {
    /// An empty registry over `shards` shards (at least one).
    pub(crate) fn new(shards: usize, limits: Limits) -> Self {
        Self {
            limits,
            load: vec![0; shards.max(1)],
            next_key: 1,
            sessions: HashMap::new(),
            ids: HashMap::new(),
            rooms: HashMap::new(),
        }
    }

    /// Sessions now: publishers and viewers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let publishers = self.sessions.values().filter(|session| session.kind.is_publisher()).count();
        (publishers, self.sessions.len() - publishers)
    }

    /// Whether a viewer may come from `source`.
    pub(crate) fn may_play(&self, source: IpAddr) -> Result<(), Refused> {
        if self.has_room() { self.may_open(source) } else { Err(Refused::Full) }
    }

    /// Whether a publisher of `broadcast` may come from `source`: whoever replaces a session needs no place of its
    /// own in the end.
    pub(crate) fn may_publish(&self, broadcast: BroadcastId, source: IpAddr) -> Result<(), Refused> {
        let replaces = self.rooms.get(&broadcast).is_some_and(|room| room.publisher.is_some());
        if replaces || self.has_room() { self.may_open(source) } else { Err(Refused::Full) }
    }

    fn has_room(&self) -> bool {
        self.sessions.len() < self.limits.max_sessions
    }

    /// A session that never connects holds a transport for 15 s: nobody gets many of them. Counted each time: there
    /// are few sessions, and no second count can go wrong.
    fn may_open(&self, source: IpAddr) -> Result<(), Refused> {
        let half_open = |session: &&Session| !session.connected && session.source == source;
        let count = self.sessions.values().filter(half_open).count();
        if count < self.limits.max_half_open_per_source { Ok(()) } else { Err(Refused::HalfOpen) }
    }

    /// A session by its id.
    pub(crate) fn session(&self, id: &SessionId) -> Option<&Session> {
        self.sessions.get(id)
    }

    /// A session by its id, also the last publisher of `broadcast` if it has left by itself.
    pub(crate) fn session_or_left(&self, id: &SessionId, broadcast: BroadcastId) -> Option<&Session> {
        let left = || self.rooms.get(&broadcast)?.left.as_ref().filter(|(left, _)| left == id);
        self.session(id).or_else(|| left().map(|(_, session)| session))
    }

    /// A session by its id, to change its entity tag after an ICE restart.
    pub(crate) fn session_mut(&mut self, id: &SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id)
    }

    /// What viewers of a broadcast get, if it has a publisher here, or had one that may come back.
    pub(crate) fn playable(&self, broadcast: BroadcastId) -> Option<Playable> {
        let room = self.rooms.get(&broadcast)?;
        let there = !room.ended && (room.media.is_some() || room.publisher.is_some());
        let published = room.published.clone().filter(|_| there)?;
        Some(Playable { owner: room.owner.clone(), tracks: room.tracks.clone(), published })
    }

    /// A session by its key.
    pub(crate) fn by_key(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(self.ids.get(&key)?)
    }

    /// The shard of a room's publishers: for a new room the one with the fewest sessions.
    pub(crate) fn home(&self, broadcast: BroadcastId) -> usize {
        self.rooms.get(&broadcast).map_or_else(|| self.emptiest(), |room| room.home)
    }

    /// Takes in a publisher admitted with `key_revision`, answered with the addresses of shard `home`. An
    /// earlier session that did not connect yet is removed; one that did goes on until the new one connects.
    pub(crate) fn open_publisher(
        &mut self,
        new: NewSession,
        home: usize,
        key_revision: i64,
        rng: &mut impl Rng,
    ) -> Result<(Placed, Option<Removal>), Refused> {
        // Two publishers came at once and were answered with different shards: the later one comes again.
        if self.rooms.get(&new.broadcast).is_some_and(|room| room.home != home) {
            return Err(Refused::Full);
        }
        self.may_publish(new.broadcast, new.source)?;
        let room = self.rooms.entry(new.broadcast).or_insert_with(|| RoomState::new(home, rng));
        room.key_revision = key_revision;
        room.ended = false;
        room.left = None;
        let stale = room.incoming.take();
        let broadcast = new.broadcast;
        let placed = self.insert(new, home);
        if let Some(room) = self.rooms.get_mut(&broadcast) {
            room.incoming = Some(placed.key);
        }
        let removal = stale.and_then(|key| self.forget(key));
        Ok((placed, removal))
    }

    /// Takes in a viewer that was answered with the addresses of `shard`. Nothing if the room has gone meanwhile.
    pub(crate) fn open_viewer(&mut self, new: NewSession, shard: usize) -> Result<Option<Placed>, Refused> {
        self.may_play(new.source)?;
        if self.playable(new.broadcast).is_none() {
            return Ok(None);
        }
        Ok(Some(self.insert(new, shard)))
    }

    fn insert(&mut self, new: NewSession, shard: usize) -> Placed {
        let key = SessionKey(self.next_key);
        self.next_key += 1;
        let NewSession { id, broadcast, kind, source, bearer, etag, remote_ufrag, now: opened_at } = new;
        let wanted = match &kind {
            Kind::Publisher(published) => Some(watch::Sender::new(published.every_encoding())),
            Kind::Viewer { .. } => None,
        };
        let session = Session {
            key,
            broadcast,
            shard,
            kind,
            bearer,
            etag,
            remote_ufrag,
            opened_at,
            wanted,
            source,
            connected: false,
        };
        self.ids.insert(key, id.clone());
        self.sessions.insert(id, session);
        if let Some(load) = self.load.get_mut(shard) {
            *load += 1;
        }
        let room =
            self.rooms.get(&broadcast).expect("callers made the room or checked it under the same lock");
        Placed { key, shard, home: room.home }
    }

    /// The shard with the fewest sessions.
    pub(crate) fn emptiest(&self) -> usize {
        let lightest = self.load.iter().enumerate().min_by_key(|(_, load)| **load);
        lightest.map_or(0, |(index, _)| index)
    }

    /// A session has connected. A publisher takes over from the one before, which is removed; so are viewers
    /// that cannot decode what it sends, to come again with a new offer.
    pub(crate) fn connected(&mut self, key: SessionKey) -> Vec<Removal> {
        let Some(session) = self.ids.get(&key).and_then(|id| self.sessions.get_mut(id)) else {
            return Vec::new();
        };
        session.connected = true;
        let broadcast = session.broadcast;
        let Kind::Publisher(published) = &session.kind else { return Vec::new() };
        let published = published.clone();
        let Some(room) = self.rooms.get_mut(&broadcast).filter(|room| room.incoming == Some(key)) else {
            return Vec::new();
        };
        room.incoming = None;
        let formats = published.formats;
        room.published = Some(published);
        let before = room.publisher.replace(key);
        let mut removals: Vec<Removal> = before.and_then(|before| self.forget(before)).into_iter().collect();
        removals.extend(self.remove_all(broadcast, |session| !session.kind.can_play(&formats)));
        removals
    }

    /// A session is gone from its shard by itself: lost, refused, failed.
    pub(crate) fn closed(&mut self, key: SessionKey) {
        let id = self.ids.get(&key).cloned();
        let session = id.and_then(|id| Some((id.clone(), self.sessions.get(&id)?.clone())));
        let room = session.as_ref().and_then(|(_, session)| self.rooms.get_mut(&session.broadcast));
        if let Some(room) = room.filter(|room| room.publisher == Some(key) && room.incoming.is_none()) {
            // Its events end with it.
            room.left = session.map(|(id, session)| (id, Session { wanted: None, ..session }));
        }
        self.forget(key);
    }

    /// A shard says which encodings of a publisher are watched.
    pub(crate) fn wanted(&mut self, key: SessionKey, wanted: EncodingsWanted) {
        if let Some(known) = self.by_key(key).and_then(|session| session.wanted.as_ref()) {
            known.send_if_modified(|known| {
                let changed = *known != wanted;
                *known = wanted;
                changed
            });
        }
    }

    /// A client's DELETE. A publisher's ends the broadcast: everybody leaves.
    pub(crate) fn delete(&mut self, id: &SessionId, now: DateTime<Utc>) -> Vec<Removal> {
        let Some(session) = self.sessions.get(id) else { return self.delete_left(id, now) };
        let (key, broadcast) = (session.key, session.broadcast);
        let is_publisher = session.kind.is_publisher();
        // A session that was replaced already ends only itself.
        let current = self.rooms.get(&broadcast).is_some_and(|room| {
            room.incoming == Some(key) || (room.incoming.is_none() && room.publisher == Some(key))
        });
        if !(is_publisher && current) {
            return self.forget(key).into_iter().collect();
        }
        self.end(broadcast, now)
    }

    /// The DELETE of a publisher that has left already: the broadcast need not wait for its return.
    fn delete_left(&mut self, id: &SessionId, now: DateTime<Utc>) -> Vec<Removal> {
        let of_room = |room: &RoomState| room.left.as_ref().is_some_and(|(left, _)| left == id);
        let broadcast = self.rooms.iter().find(|(_, room)| of_room(room)).map(|(broadcast, _)| *broadcast);
        broadcast.map(|broadcast| self.end(broadcast, now)).unwrap_or_default()
    }

    fn end(&mut self, broadcast: BroadcastId, now: DateTime<Utc>) -> Vec<Removal> {
        // The end is reported until meta has answered, also if no media ever came.
        if let Some(room) = self.rooms.get_mut(&broadcast) {
            room.media.get_or_insert(Media { started_at: now, last_at: now });
            room.ended = true;
            room.left = None;
            room.states.clear();
        }
        self.remove_all(broadcast, |_| true)
    }

    /// An order of meta, in answer to `reports`. A key that was replaced after them revokes nothing.
    pub(crate) fn order(&mut self, order: &CloseOrder, reports: &[MediaReport]) -> Vec<Removal> {
        match order.reason {
            CloseReason::Closed => {
                let removals = self.remove_all(order.broadcast_id, |_| true);
                self.rooms.remove(&order.broadcast_id);
                removals
            }
            CloseReason::KeyRevoked => {
                let revision = self.rooms.get(&order.broadcast_id).map(|room| room.key_revision);
                let mut of_room = reports.iter().filter(|report| report.broadcast_id == order.broadcast_id);
                if of_room.any(|report| Some(report.key_revision) != revision) {
                    return Vec::new();
                }
                if let Some(room) = self.rooms.get_mut(&order.broadcast_id) {
                    room.left = None;
                }
                self.remove_all(order.broadcast_id, |session| session.kind.is_publisher())
            }
        }
    }

    /// Every session: the node stops.
    pub(crate) fn remove_everything(&mut self) -> Vec<Removal> {
        let keys: Vec<SessionKey> = self.ids.keys().copied().collect();
        keys.into_iter().filter_map(|key| self.forget(key)).collect()
    }

    fn remove_all(&mut self, broadcast: BroadcastId, which: impl Fn(&Session) -> bool) -> Vec<Removal> {
        let of_room = |session: &&Session| session.broadcast == broadcast && which(session);
        let keys: Vec<SessionKey> =
            self.sessions.values().filter(of_room).map(|session| session.key).collect();
        keys.into_iter().filter_map(|key| self.forget(key)).collect()
    }

    fn forget(&mut self, key: SessionKey) -> Option<Removal> {
        let session = self.ids.remove(&key).and_then(|id| self.sessions.remove(&id))?;
        if let Some(load) = self.load.get_mut(session.shard) {
            *load = load.saturating_sub(1);
        }
        if let Some(room) = self.rooms.get_mut(&session.broadcast) {
            if room.incoming == Some(key) {
                room.incoming = None;
            }
            if room.publisher == Some(key) {
                room.publisher = None;
                room.states.iter_mut().for_each(|state| state.active = false);
            }
        }
        self.drop_if_idle(session.broadcast);
        Some(Removal { shard: session.shard, key })
    }

    /// A room without sessions that meta need not hear of is nothing.
    fn drop_if_idle(&mut self, broadcast: BroadcastId) {
        let idle = self
            .rooms
            .get(&broadcast)
            .is_some_and(|room| room.media.is_none() && room.publisher.is_none() && room.incoming.is_none());
        if idle && !self.sessions.values().any(|session| session.broadcast == broadcast) {
            self.rooms.remove(&broadcast);
        }
    }

    /// What a publisher's shard saw: the states of its tracks and when media came last, if it did.
    /// Returns whether viewers and meta should hear of it at once.
    pub(crate) fn media(
        &mut self,
        key: SessionKey,
        states: Vec<TrackState>,
        last_media_at: Option<DateTime<Utc>>,
    ) -> bool {
        let Some(session) = self.ids.get(&key).and_then(|id| self.sessions.get(id)) else { return false };
        let Some(room) = self.rooms.get_mut(&session.broadcast) else { return false };
        if room.publisher != Some(key) {
            return false;
        }
        let mut changed = room.states != states;
        room.states = states;
        if let Some(at) = last_media_at {
            changed |= room.media.is_none();
            let media = room.media.get_or_insert(Media { started_at: at, last_at: at });
            media.last_at = media.last_at.max(at);
        }
        changed
    }

    /// Every broadcast with media, and those watched or waited for without.
    pub(crate) fn report(&self) -> (Vec<MediaReport>, Vec<BroadcastId>) {
        let with_media = self.rooms.iter().filter_map(|(id, room)| {
            let media = room.media?;
            Some(MediaReport {
                broadcast_id: *id,
                key_revision: room.key_revision,
                state: room.state(),
                started_at: media.started_at,
                last_media_at: media.last_at,
            })
        });
        let without = self.rooms.iter().filter(|(_, room)| room.media.is_none()).map(|(id, _)| *id);
        (with_media.collect(), without.collect())
    }

    /// Meta has answered a report that named these broadcasts as ended: they need no more reports.
    pub(crate) fn reported(&mut self, reports: &[MediaReport]) {
        for report in reports.iter().filter(|report| report.state == MediaState::Ended) {
            if self.rooms.get(&report.broadcast_id).is_some_and(|room| room.ended && room.incoming.is_none())
            {
                self.rooms.remove(&report.broadcast_id);
            }
        }
    }

    /// This node's part of the viewer counts.
    pub(crate) fn viewers(&self) -> NodeViewers {
        let mut rooms: HashMap<BroadcastId, RoomViewers> = HashMap::new();
        for session in self.sessions.values().filter(|session| session.connected) {
            let Kind::Viewer { subject, preview: false, .. } = &session.kind else { continue };
            let room = rooms.entry(session.broadcast).or_insert_with(|| RoomViewers {
                room: Room::from(session.broadcast),
                subjects: Vec::new(),
                anonymous: 0,
            });
            match subject {
                Some(subject) => room.subjects.push(subject.clone()),
                None => room.anonymous += 1,
            }
        }
        let mut rooms: Vec<RoomViewers> = rooms.into_values().collect();
        for room in &mut rooms {
            room.subjects.sort_unstable();
            room.subjects.dedup();
        }
        rooms.sort_unstable_by(|a, b| a.room.cmp(&b.room));
        NodeViewers { rooms }
    }

    /// What this node's publishers send.
    pub(crate) fn tracks(&self) -> NodeTracks {
        let published = self.rooms.iter().filter(|(_, room)| room.media.is_some());
        let mut rooms: Vec<RoomTracks> = published
            .map(|(id, room)| RoomTracks {
                room: Room::from(*id),
                media: room.state(),
                tracks: room.states.iter().map(|state| room.info(state)).collect(),
            })
            .collect();
        rooms.sort_unstable_by(|a, b| a.room.cmp(&b.room));
        NodeTracks { rooms }
    }
}

impl RoomState {
    fn new(home: usize, rng: &mut impl Rng) -> Self {
        Self {
            owner: ParticipantId::random(rng),
            tracks: std::array::from_fn(|_| TrackId::random(rng)),
            home,
            key_revision: 0,
            publisher: None,
            incoming: None,
            left: None,
            published: None,
            media: None,
            ended: false,
            states: Vec::new(),
        }
    }

    fn state(&self) -> MediaState {
        match (self.ended, self.publisher) {
            (true, _) => MediaState::Ended,
            (false, Some(_)) => MediaState::Live,
            (false, None) => MediaState::Lost,
        }
    }

    fn info(&self, state: &TrackState) -> TrackInfo {
        TrackInfo {
            id: self.tracks[slot(state.source)].clone(),
            owner: self.owner.clone(),
            source: state.source,
            codec: state.codec.to_owned(),
            active: state.active,
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
