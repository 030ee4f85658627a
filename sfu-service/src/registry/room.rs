//! What the registry keeps of a room, and what is told of rooms: to meta and to signaling.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contract::destination::{NodeTracks, NodeViewers, RoomTracks, RoomViewers, TrackInfo};
use contract::id::{BroadcastId, ParticipantId, SessionId, TrackId};
use contract::rest::{MediaReport, MediaState};
use contract::room::Room;
use rand::Rng;
use sfu_core::SourceId;

use super::Registry;
use super::session::{Kind, Session};
use crate::published::{Published, SOURCES, SessionKey, TrackState, slot};

/// A room with any number of publishers.
#[derive(Debug, Default)]
pub(super) struct RoomState {
    /// By their names.
    pub(super) publishers: BTreeMap<SourceId, PublisherState>,
    pub(super) media: Option<Media>,
    pub(super) ended: bool,
}

/// A publisher of a room, over its sessions: viewers were told its owner and track ids once and are not renegotiated.
#[derive(Debug)]
pub(super) struct PublisherState {
    pub(super) owner: ParticipantId,
    pub(super) tracks: [TrackId; SOURCES.len()],
    pub(super) key_revision: i64,
    /// The session that the viewers see.
    pub(super) current: Option<SessionKey>,
    /// A newer session that has not connected yet.
    pub(super) incoming: Option<SessionKey>,
    /// The publisher that left by itself, until another comes: clients say goodbye with DTLS before they DELETE.
    pub(super) left: Option<(SessionId, Session)>,
    /// What the viewers get.
    pub(super) published: Option<Arc<Published>>,
    pub(super) states: Vec<TrackState>,
    /// The current session is there and not heard any more.
    pub(super) silent: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Media {
    pub(super) started_at: DateTime<Utc>,
    pub(super) last_at: DateTime<Utc>,
}

impl RoomState {
    /// Whether a publisher of it has a session that viewers see.
    pub(super) fn is_live(&self) -> bool {
        self.publishers.values().any(|publisher| publisher.current.is_some())
    }

    pub(super) fn state(&self) -> MediaState {
        match (self.ended, self.is_live()) {
            (true, _) => MediaState::Ended,
            (false, true) => MediaState::Live,
            (false, false) => MediaState::Lost,
        }
    }

    /// What viewers are told: also a publisher whose session is there has lost its connection when it is not heard.
    /// Meta is not, which closes what is lost for long: a session ends by its own rules.
    fn heard(&self) -> MediaState {
        let mut current = self.publishers.values().filter(|publisher| publisher.current.is_some());
        match self.state() {
            MediaState::Live if current.all(|publisher| publisher.silent) => MediaState::Lost,
            state => state,
        }
    }

    /// The revision of the last key that was used.
    pub(super) fn key_revision(&self) -> i64 {
        self.publishers.values().map(|publisher| publisher.key_revision).max().unwrap_or_default()
    }

    /// The tracks of everybody who publishes.
    fn infos(&self) -> impl Iterator<Item = TrackInfo> {
        let infos = |publisher: &PublisherState| {
            publisher.states.iter().map(|state| publisher.info(state)).collect::<Vec<_>>()
        };
        self.publishers.values().flat_map(infos)
    }

    /// A session of it that is connected, or will be.
    pub(super) fn is_open(&self) -> bool {
        self.publishers.values().any(|publisher| publisher.current.or(publisher.incoming).is_some())
    }
}

impl PublisherState {
    pub(super) fn new(rng: &mut impl Rng) -> Self {
        Self {
            owner: ParticipantId::random(rng),
            tracks: std::array::from_fn(|_| TrackId::random(rng)),
            key_revision: 0,
            current: None,
            incoming: None,
            left: None,
            published: None,
            states: Vec::new(),
            silent: false,
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
    /// What a publisher's shard saw: the states of its tracks, when media came last, if it did, and whether it is silent.
    /// Returns whether viewers and meta should hear of it at once.
    pub(crate) fn media(
        &mut self,
        key: SessionKey,
        states: Vec<TrackState>,
        last_media_at: Option<DateTime<Utc>>,
        silent: bool,
    ) -> bool {
        let Some(session) = self.ids.get(&key).and_then(|id| self.sessions.get(id)) else { return false };
        let Some(room) = self.rooms.get_mut(&session.broadcast) else { return false };
        let publisher = session.kind.source().and_then(|source| room.publishers.get_mut(&source));
        let Some(publisher) = publisher.filter(|publisher| publisher.current == Some(key)) else {
            return false;
        };
        let mut changed = publisher.states != states || publisher.silent != silent;
        (publisher.states, publisher.silent) = (states, silent);
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
                key_revision: room.key_revision(),
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
            let room = self.rooms.get(&report.broadcast_id);
            if room.is_some_and(|room| room.ended && !room.is_open()) {
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
                media: room.heard(),
                tracks: room.infos().collect(),
            })
            .collect();
        rooms.sort_unstable_by(|a, b| a.room.cmp(&b.room));
        NodeTracks { rooms }
    }
}
