//! What this node knows of its sessions and rooms: the control plane's state, pure. It says which sessions have
//! to be removed; the caller sends that to the shards.
//!
//! Everything about publishers is kept by publisher: a room has any number of them, each with a home shard of its own,
//! and a broadcast is a room with one. Owner and track ids belong to the publisher, not to its session: viewers were told
//! them once and are not renegotiated.

mod calls;
mod departed;
mod pictures;
mod room;
mod seats;
mod session;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use chrono::{DateTime, Utc};
use contract::id::{BroadcastId, ParticipantId, SessionId};
use contract::layer::EncodingsWanted;
use contract::rest::{CloseOrder, CloseReason, MediaReport};
use rand::Rng;
use sfu_core::SourceId;
use tokio::sync::watch;

use self::calls::Calls;
pub(crate) use self::calls::{CallRefused, Connection, Gone, NewCall, OpenedCall, Opening, Who};
use self::departed::Departed;
pub(crate) use self::pictures::ToldPictures;
use self::room::{Media, PublisherState, RoomState};
use self::seats::Seats;
pub(crate) use self::session::{BearerHash, Kind, NewSession, Placed, Playable, Refused, Removal, Session};
use crate::config::Limits;
use crate::end::EndReason;
use crate::published::SessionKey;

/// Sessions and rooms of this node.
#[derive(Debug)]
pub(crate) struct Registry {
    seats: Seats,
    publishers: usize,
    sessions: HashMap<SessionId, Session>,
    ids: HashMap<SessionKey, SessionId>,
    rooms: HashMap<BroadcastId, RoomState>,
    departed: Departed,
    calls: Calls,
}

impl Registry {
    /// An empty registry over `shards` shards (at least one).
    pub(crate) fn new(shards: usize, limits: Limits) -> Self {
        Self {
            seats: Seats::new(shards, limits),
            publishers: 0,
            sessions: HashMap::new(),
            ids: HashMap::new(),
            rooms: HashMap::new(),
            departed: Departed::default(),
            calls: Calls::default(),
        }
    }

    /// Connections now: those of publishers and those of viewers. A session of a call may have one of each.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let (publishing, receiving) = self.calls.counts();
        (self.publishers + publishing, self.sessions.len() - self.publishers + receiving)
    }

    /// Whether a viewer may come from `source`.
    pub(crate) fn may_play(&self, source: IpAddr) -> Result<(), Refused> {
        if self.seats.has_room(1) { self.seats.may_open(source) } else { Err(Refused::Full) }
    }

    /// Whether a publisher of `broadcast` may come from `source`: whoever replaces a session needs no place of its
    /// own in the end.
    pub(crate) fn may_publish(&self, broadcast: BroadcastId, source: IpAddr) -> Result<(), Refused> {
        let replaces = self.rooms.get(&broadcast).is_some_and(RoomState::is_live);
        if replaces || self.seats.has_room(1) { self.seats.may_open(source) } else { Err(Refused::Full) }
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
        let left = || {
            let mut publishers = self.rooms.get(&broadcast)?.publishers.values();
            publishers.find_map(|publisher| publisher.left.as_ref().filter(|(left, _)| left == id))
        };
        let session = self.session(id).or_else(|| left().map(|(_, session)| session));
        session.or_else(|| self.departed.get(id, now))
    }

    /// A session by its id, to change its entity tag after an ICE restart.
    pub(crate) fn session_mut(&mut self, id: &SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id)
    }

    /// What viewers of a room get, publisher by publisher: of those that are here, or were and may come back.
    pub(crate) fn playable(&self, broadcast: BroadcastId) -> Vec<Playable> {
        let room = self.rooms.get(&broadcast);
        let room = room.filter(|room| !room.ended && (room.media.is_some() || room.is_live()));
        let publishers = room.into_iter().flat_map(|room| &room.publishers);
        let playable = publishers.filter_map(|(source, publisher)| {
            let published = publisher.published.clone()?;
            let (owner, tracks) = (publisher.owner.clone(), publisher.tracks.clone());
            Some(Playable { source: *source, owner, tracks, published })
        });
        playable.collect()
    }

    /// Who a publisher is in its room, whichever session it has, if it was there before.
    pub(crate) fn owner(&self, broadcast: BroadcastId, source: SourceId) -> Option<ParticipantId> {
        Some(self.rooms.get(&broadcast)?.publishers.get(&source)?.owner.clone())
    }

    /// A session by its key.
    pub(crate) fn by_key(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(self.ids.get(&key)?)
    }

    /// Takes in a publisher admitted with `key_revision`, answered with the addresses of `shard`. An earlier session
    /// that did not connect yet is removed; one that did goes on until the new one connects.
    pub(crate) fn open_publisher(
        &mut self,
        new: NewSession,
        shard: usize,
        key_revision: i64,
        rng: &mut impl Rng,
    ) -> Result<(Placed, Option<Removal>), Refused> {
        self.may_publish(new.broadcast, new.source)?;
        let (broadcast, source) = (new.broadcast, new.kind.source().unwrap_or(SourceId(0)));
        let room = self.rooms.entry(broadcast).or_default();
        room.ended = false;
        let publisher = room.publishers.entry(source).or_insert_with(|| PublisherState::new(rng));
        publisher.key_revision = key_revision;
        publisher.left = None;
        let stale = publisher.incoming.take();
        let placed = self.insert(new, shard);
        if let Some(publisher) = self.publisher_mut(broadcast, source) {
            publisher.incoming = Some(placed.key);
        }
        let removal = stale.and_then(|key| self.forget(key, EndReason::Replaced));
        Ok((placed, removal))
    }

    fn publisher_mut(&mut self, broadcast: BroadcastId, source: SourceId) -> Option<&mut PublisherState> {
        self.rooms.get_mut(&broadcast)?.publishers.get_mut(&source)
    }

    /// Takes in a viewer that was answered with the addresses of `shard`. Nothing if the room has gone meanwhile.
    pub(crate) fn open_viewer(&mut self, new: NewSession, shard: usize) -> Result<Option<Placed>, Refused> {
        self.may_play(new.source)?;
        if self.playable(new.broadcast).is_empty() {
            return Ok(None);
        }
        Ok(Some(self.insert(new, shard)))
    }

    fn insert(&mut self, new: NewSession, shard: usize) -> Placed {
        let NewSession { id, broadcast, kind, source, bearer, etag, remote_ufrag, now: opened_at } = new;
        let key = self.seats.take(source, shard);
        let wanted = match &kind {
            Kind::Publisher { published, .. } => Some(watch::Sender::new(published.every_encoding())),
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
        self.publishers += usize::from(session.kind.is_publisher());
        self.ids.insert(key, id.clone());
        self.sessions.insert(id, session);
        Placed { key, shard }
    }

    /// The shard with the fewest sessions.
    pub(crate) fn emptiest(&self) -> usize {
        self.seats.emptiest()
    }

    /// A session has connected. A publisher takes over from the one before, which is removed; so are viewers
    /// that cannot decode what it sends, to come again with a new offer.
    pub(crate) fn connected(&mut self, key: SessionKey) -> Vec<Removal> {
        let Some(session) = self.ids.get(&key).and_then(|id| self.sessions.get_mut(id)) else {
            return Vec::new();
        };
        if !std::mem::replace(&mut session.connected, true) {
            self.seats.connected(session.source);
        }
        let broadcast = session.broadcast;
        let Kind::Publisher { source, published } = &session.kind else { return Vec::new() };
        let (source, published) = (*source, published.clone());
        let publisher = self.publisher_mut(broadcast, source);
        let Some(publisher) = publisher.filter(|publisher| publisher.incoming == Some(key)) else {
            return Vec::new();
        };
        publisher.incoming = None;
        let formats = published.formats;
        publisher.published = Some(published);
        publisher.silent = false;
        let before = publisher.current.replace(key);
        let mut removals: Vec<Removal> =
            before.and_then(|before| self.forget(before, EndReason::Replaced)).into_iter().collect();
        removals.extend(
            self.remove_all(broadcast, EndReason::Codec, |session| !session.kind.can_play(source, &formats)),
        );
        removals
    }

    /// A session is gone from its shard by itself: lost, refused, failed.
    pub(crate) fn closed(&mut self, key: SessionKey, now: Instant) {
        let id = self.ids.get(&key).cloned();
        let session = id.and_then(|id| Some((id.clone(), self.sessions.get(&id)?.clone())));
        if let Some((id, session)) = session.clone() {
            self.departed.add(id, session, now);
        }
        let publisher = session
            .as_ref()
            .and_then(|(_, session)| Some((session.broadcast, session.kind.source()?)))
            .and_then(|(broadcast, source)| self.publisher_mut(broadcast, source));
        if let Some(publisher) =
            publisher.filter(|publisher| publisher.current == Some(key) && publisher.incoming.is_none())
        {
            // Its events end with it.
            publisher.left = session.map(|(id, session)| (id, Session { wanted: None, ..session }));
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

    /// A client's DELETE. That of the last publisher ends the broadcast: everybody leaves.
    pub(crate) fn delete(&mut self, id: &SessionId, now: DateTime<Utc>) -> Vec<Removal> {
        let Some(session) = self.sessions.get(id) else { return self.delete_left(id, now) };
        let (key, broadcast) = (session.key, session.broadcast);
        let source = session.kind.source();
        let publisher = source.and_then(|source| self.publisher_mut(broadcast, source));
        // A session that was replaced already ends only itself.
        let is_current = |publisher: &PublisherState| {
            publisher.incoming == Some(key)
                || (publisher.incoming.is_none() && publisher.current == Some(key))
        };
        match source.filter(|_| publisher.is_some_and(|publisher| is_current(publisher))) {
            Some(source) => self.end_publisher(broadcast, source, now),
            None => self.forget(key, EndReason::Deleted).into_iter().collect(),
        }
    }

    /// The DELETE of a session that has left already. If it was a publisher, the broadcast need not wait for its return.
    fn delete_left(&mut self, id: &SessionId, now: DateTime<Utc>) -> Vec<Removal> {
        self.departed.remove(id);
        let found = self.rooms.iter().find_map(|(broadcast, room)| {
            let is_it =
                |publisher: &PublisherState| publisher.left.as_ref().is_some_and(|(left, _)| left == id);
            let (source, _) = room.publishers.iter().find(|(_, publisher)| is_it(publisher))?;
            Some((*broadcast, *source))
        });
        found.map(|(broadcast, source)| self.end_publisher(broadcast, source, now)).unwrap_or_default()
    }

    /// A publisher goes for good, and with the last one the broadcast.
    fn end_publisher(
        &mut self,
        broadcast: BroadcastId,
        source: SourceId,
        now: DateTime<Utc>,
    ) -> Vec<Removal> {
        let Some(room) = self.rooms.get_mut(&broadcast) else { return Vec::new() };
        let stays = |(other, publisher): (&SourceId, &PublisherState)| {
            *other != source && publisher.current.or(publisher.incoming).is_some()
        };
        if !room.publishers.iter().any(stays) {
            return self.end(broadcast, now);
        }
        room.publishers.remove(&source);
        self.remove_all(broadcast, EndReason::Deleted, |session| session.kind.source() == Some(source))
    }

    fn end(&mut self, broadcast: BroadcastId, now: DateTime<Utc>) -> Vec<Removal> {
        // The end is reported until meta has answered, also if no media ever came.
        if let Some(room) = self.rooms.get_mut(&broadcast) {
            room.media.get_or_insert(Media { started_at: now, last_at: now });
            room.ended = true;
            for publisher in room.publishers.values_mut() {
                publisher.left = None;
                publisher.states.clear();
            }
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
                let revision = self.rooms.get(&order.broadcast_id).map(RoomState::key_revision);
                let mut of_room = reports.iter().filter(|report| report.broadcast_id == order.broadcast_id);
                if of_room.any(|report| Some(report.key_revision) != revision) {
                    return Vec::new();
                }
                let room = self.rooms.get_mut(&order.broadcast_id);
                for publisher in room.into_iter().flat_map(|room| room.publishers.values_mut()) {
                    publisher.left = None;
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
        let removals = keys.into_iter().filter_map(|key| self.forget(key, EndReason::Shutdown));
        let mut removals: Vec<Removal> = removals.collect();
        removals.extend(self.end_calls(EndReason::Shutdown));
        removals
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
        self.seats.free(session.source, session.shard, session.connected);
        let source = session.kind.source();
        if let Some(publisher) = source.and_then(|source| self.publisher_mut(session.broadcast, source)) {
            publisher.incoming = publisher.incoming.filter(|incoming| *incoming != key);
            if publisher.current == Some(key) {
                publisher.current = None;
                publisher.states.iter_mut().for_each(|state| state.active = false);
            }
        }
        self.drop_if_idle(session.broadcast);
        Some(session.shard)
    }

    /// A room without sessions that meta need not hear of is nothing.
    fn drop_if_idle(&mut self, broadcast: BroadcastId) {
        let room = self.rooms.get(&broadcast);
        let idle = room.is_some_and(|room| room.media.is_none() && !room.is_open());
        if idle && !self.sessions.values().any(|session| session.broadcast == broadcast) {
            self.rooms.remove(&broadcast);
        }
    }
}

#[cfg(test)]
mod tests;
