//! What the registry keeps of a room, and what is told of rooms: to meta and to signaling.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contract::destination::{NodeTracks, NodeViewers, RoomTracks, RoomViewers, TrackInfo};
use contract::id::{BroadcastId, ParticipantId, SessionId, TrackId};
use contract::rest::{MediaReport, MediaState};
use contract::room::Room;
use rand::Rng;

use super::Registry;
use super::session::{Kind, SOURCES, Session, SessionKey, TrackState, slot};
use crate::shard::Published;

#[derive(Debug)]
pub(super) struct RoomState {
    pub(super) owner: ParticipantId,
    pub(super) tracks: [TrackId; SOURCES.len()],
    pub(super) home: usize,
    pub(super) key_revision: i64,
    /// The session that the viewers see.
    pub(super) publisher: Option<SessionKey>,
    /// A newer session that has not connected yet.
    pub(super) incoming: Option<SessionKey>,
    /// The publisher that left by itself, until another comes: clients say goodbye with DTLS before they DELETE.
    pub(super) left: Option<(SessionId, Session)>,
    /// What the viewers get.
    pub(super) published: Option<Arc<Published>>,
    pub(super) media: Option<Media>,
    pub(super) ended: bool,
    pub(super) states: Vec<TrackState>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Media {
    pub(super) started_at: DateTime<Utc>,
    pub(super) last_at: DateTime<Utc>,
}

impl RoomState {
    pub(super) fn new(home: usize, rng: &mut impl Rng) -> Self {
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

    pub(super) fn state(&self) -> MediaState {
        match (self.ended, self.publisher) {
            (true, _) => MediaState::Ended,
            (false, Some(_)) => MediaState::Live,
            (false, None) => MediaState::Lost,
        }
    }

    pub(super) fn info(&self, state: &TrackState) -> TrackInfo {
        TrackInfo {
            id: self.tracks[slot(state.source)].clone(),
            owner: self.owner.clone(),
            source: state.source,
            codec: state.codec.to_owned(),
            active: state.active,
        }
    }
}

impl Registry {
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
