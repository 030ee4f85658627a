//! What this node knows of its sessions and rooms: the control plane's state, pure. It says which sessions have
//! to be removed; the caller sends that to the shards.
//!
//! A room's publishers all go to one shard, its home, so that a publisher who comes back takes over its viewers
//! there without anyone else noticing. Owner and track ids belong to the room, not to the session: viewers were
//! told them once and are not renegotiated.

mod departed;
mod room;
mod session;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use chrono::{DateTime, Utc};
use contract::id::{BroadcastId, SessionId};
use contract::layer::EncodingsWanted;
use contract::rest::{CloseOrder, CloseReason, MediaReport};
use rand::Rng;
use tokio::sync::watch;

use self::departed::Departed;
use self::room::{Media, RoomState};
pub(crate) use self::session::{
    BearerHash, Formats, Kind, NewSession, Placed, Playable, Refused, Removal, SOURCES, Session, SessionKey,
    TrackState, slot,
};
use crate::config::Limits;
use crate::end::EndReason;

/// Sessions and rooms of this node.
#[derive(Debug)]
pub(crate) struct Registry {
    limits: Limits,
    load: Vec<usize>,
    publishers: usize,
    /// Sessions of each source that are not connected; a source without any is not here.
    half_open: HashMap<IpAddr, usize>,
    next_key: u64,
    sessions: HashMap<SessionId, Session>,
    ids: HashMap<SessionKey, SessionId>,
    rooms: HashMap<BroadcastId, RoomState>,
    departed: Departed,
}

impl Registry {
    /// An empty registry over `shards` shards (at least one).
    pub(crate) fn new(shards: usize, limits: Limits) -> Self {
        Self {
            limits,
            load: vec![0; shards.max(1)],
            publishers: 0,
            half_open: HashMap::new(),
            next_key: 1,
            sessions: HashMap::new(),
            ids: HashMap::new(),
            rooms: HashMap::new(),
            departed: Departed::default(),
        }
    }

    /// Sessions now: publishers and viewers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.publishers, self.sessions.len() - self.publishers)
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

    /// A session that never connects holds a transport for 15 s: nobody gets many of them.
    fn may_open(&self, source: IpAddr) -> Result<(), Refused> {
        let count = self.half_open.get(&source).copied().unwrap_or_default();
        if count < self.limits.max_half_open_per_source { Ok(()) } else { Err(Refused::HalfOpen) }
    }

    /// A session by its id.
    pub(crate) fn session(&self, id: &SessionId) -> Option<&Session> {
        self.sessions.get(id)
    }

    /// A session by its id, also one that has left by itself: the last publisher of `broadcast`, others for a minute.
    pub(crate) fn session_or_left(
        &self,
        id: &SessionId,
        broadcast: BroadcastId,
        now: Instant,
    ) -> Option<&Session> {
        let left = || self.rooms.get(&broadcast)?.left.as_ref().filter(|(left, _)| left == id);
        let session = self.session(id).or_else(|| left().map(|(_, session)| session));
        session.or_else(|| self.departed.get(id, now))
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
        let removal = stale.and_then(|key| self.forget(key, EndReason::Replaced));
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
        *self.half_open.entry(source).or_default() += 1;
        self.publishers += usize::from(session.kind.is_publisher());
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
        if !std::mem::replace(&mut session.connected, true) {
            close_half_open(&mut self.half_open, session.source);
        }
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
        let mut removals: Vec<Removal> =
            before.and_then(|before| self.forget(before, EndReason::Replaced)).into_iter().collect();
        removals
            .extend(self.remove_all(broadcast, EndReason::Codec, |session| !session.kind.can_play(&formats)));
        removals
    }

    /// A session is gone from its shard by itself: lost, refused, failed.
    pub(crate) fn closed(&mut self, key: SessionKey, now: Instant) {
        let id = self.ids.get(&key).cloned();
        let session = id.and_then(|id| Some((id.clone(), self.sessions.get(&id)?.clone())));
        if let Some((id, session)) = session.clone() {
            self.departed.add(id, session, now);
        }
        let room = session.as_ref().and_then(|(_, session)| self.rooms.get_mut(&session.broadcast));
        if let Some(room) = room.filter(|room| room.publisher == Some(key) && room.incoming.is_none()) {
            // Its events end with it.
            room.left = session.map(|(id, session)| (id, Session { wanted: None, ..session }));
        }
        self.take_out(key);
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
            return self.forget(key, EndReason::Deleted).into_iter().collect();
        }
        self.end(broadcast, now)
    }

    /// The DELETE of a session that has left already. If it was a publisher, the broadcast need not wait for its return.
    fn delete_left(&mut self, id: &SessionId, now: DateTime<Utc>) -> Vec<Removal> {
        let of_room = |room: &RoomState| room.left.as_ref().is_some_and(|(left, _)| left == id);
        self.departed.remove(id);
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
        self.remove_all(broadcast, EndReason::BroadcastEnded, |_| true)
    }

    /// An order of meta, in answer to `reports`. A key that was replaced after them revokes nothing.
    pub(crate) fn order(&mut self, order: &CloseOrder, reports: &[MediaReport]) -> Vec<Removal> {
        match order.reason {
            CloseReason::Closed => {
                let removals = self.remove_all(order.broadcast_id, EndReason::BroadcastEnded, |_| true);
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
                self.remove_all(order.broadcast_id, EndReason::KeyRevoked, |session| {
                    session.kind.is_publisher()
                })
            }
        }
    }

    /// Every session: the node stops.
    pub(crate) fn remove_everything(&mut self) -> Vec<Removal> {
        let keys: Vec<SessionKey> = self.ids.keys().copied().collect();
        keys.into_iter().filter_map(|key| self.forget(key, EndReason::Shutdown)).collect()
    }

    fn remove_all(
        &mut self,
        broadcast: BroadcastId,
        reason: EndReason,
        which: impl Fn(&Session) -> bool,
    ) -> Vec<Removal> {
        let of_room = |session: &&Session| session.broadcast == broadcast && which(session);
        let keys: Vec<SessionKey> =
            self.sessions.values().filter(of_room).map(|session| session.key).collect();
        keys.into_iter().filter_map(|key| self.forget(key, reason)).collect()
    }

    fn forget(&mut self, key: SessionKey, reason: EndReason) -> Option<Removal> {
        let shard = self.take_out(key)?;
        Some(Removal { shard, key, reason })
    }

    /// Forgets a session; returns its shard.
    fn take_out(&mut self, key: SessionKey) -> Option<usize> {
        let session = self.ids.remove(&key).and_then(|id| self.sessions.remove(&id))?;
        self.publishers -= usize::from(session.kind.is_publisher());
        if !session.connected {
            close_half_open(&mut self.half_open, session.source);
        }
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
        Some(session.shard)
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
}

/// A source has one session less that is not connected.
fn close_half_open(half_open: &mut HashMap<IpAddr, usize>, source: IpAddr) {
    if let Some(count) = half_open.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            half_open.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests;
