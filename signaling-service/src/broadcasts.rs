//! What is known of each broadcast: what meta announces, and what SFU nodes say of its media. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use contract::destination::{BroadcastState, NodeTracks, RoomTracks};
use contract::id::{BroadcastId, NodeId};
use contract::rest::{Broadcast, BroadcastChanged, MediaState, Status};

/// Broadcasts that are remembered. Beyond, one is forgotten: those that are over or never told of go first, then those
/// that wait for media, and of equals the oldest (lowest id); meta knows them still.
pub(crate) const MAX_KNOWN: usize = 10_000;
/// A node's tracks that were not renewed for this long are dropped: three of its intervals.
pub(crate) const TRACKS_LIFETIME: Duration = Duration::from_secs(6);

/// How much it would be missed; the least is forgotten first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Over,
    Waiting,
    Live,
}

#[derive(Debug, Default)]
struct Known {
    told: Option<BroadcastChanged>,
    media: BTreeMap<NodeId, RoomTracks>,
}

impl Known {
    fn worth(&self) -> Worth {
        let status = self.told.as_ref().map(|told| told.broadcast.status);
        match status {
            Some(Status::Closed) => Worth::Over,
            Some(Status::Streaming) => Worth::Live,
            _ if self.media.values().any(|part| part.media == MediaState::Live) => Worth::Live,
            Some(Status::Ready) => Worth::Waiting,
            None => Worth::Over,
        }
    }
}

/// The merged state of broadcasts.
#[derive(Debug, Default)]
pub(crate) struct Broadcasts {
    known: BTreeMap<BroadcastId, Known>,
    by_worth: BTreeSet<(Worth, BroadcastId)>,
    renewed: HashMap<NodeId, Instant>,
}

/// Whether `new` is later than `old`. Versions say so where both have one; of two without, the one that was modified
/// later, and a status never goes back.
fn is_later(old: &BroadcastChanged, new: &BroadcastChanged) -> bool {
    if old.version > 0 && new.version > 0 {
        return new.version > old.version;
    }
    let key = |told: &BroadcastChanged| (told.broadcast.modified_at, rank_of_status(told.broadcast.status));
    old.broadcast.status != Status::Closed && key(new) >= key(old)
        || new.broadcast.status == Status::Closed && key(new) > key(old)
}

fn rank_of_status(status: Status) -> u8 {
    match status {
        Status::Ready => 0,
        Status::Streaming => 1,
        Status::Closed => 2,
    }
}

/// What of a broadcast viewers are shown.
fn shown(told: &BroadcastChanged) -> impl PartialEq + use<> {
    let Broadcast { status, name, description, started_at, ended_at, planned_at, .. } = &told.broadcast;
    (*status, name.clone(), description.clone(), *started_at, *ended_at, *planned_at, told.deleted)
}

impl Broadcasts {
    /// Meta announced a broadcast; true if viewers see a difference. What is older than what is known changes
    /// nothing, in whatever order it comes.
    pub(crate) fn changed(&mut self, told: BroadcastChanged) -> bool {
        self.change(told.broadcast.id, |known| match &known.told {
            Some(old) if !is_later(old, &told) => false,
            old => {
                let different = old.as_ref().is_none_or(|old| shown(old) != shown(&told));
                // One without a version must not let those count again that are older than what is known.
                let version = old.as_ref().map_or(0, |old| old.version).max(told.version);
                known.told = Some(BroadcastChanged { version, ..told });
                different
            }
        })
    }

    /// Whether chat and joins have nothing to go to any more.
    pub(crate) fn is_closed(&self, id: BroadcastId) -> bool {
        let told = self.known.get(&id).and_then(|known| known.told.as_ref());
        told.is_some_and(|told| told.broadcast.status == Status::Closed)
    }

    /// Whether `node` has said that it has a publisher of `id`.
    pub(crate) fn is_served(&self, id: BroadcastId, node: &NodeId) -> bool {
        self.known.get(&id).is_some_and(|known| known.media.contains_key(node))
    }

    /// A node's whole part; gives back the broadcasts that look different now.
    pub(crate) fn tracks(&mut self, node: &NodeId, report: NodeTracks, now: Instant) -> Vec<BroadcastId> {
        self.renewed.insert(node.clone(), now);
        let parts: BTreeMap<BroadcastId, RoomTracks> =
            report.rooms.into_iter().filter_map(|part| Some((part.room.broadcast()?, part))).collect();
        let mut different = self.drop_media(node, |id| !parts.contains_key(&id));
        for (id, part) in parts {
            let is_new = self.change(id, |known| {
                let is_new = known.media.get(node) != Some(&part);
                if is_new {
                    known.media.insert(node.clone(), part);
                }
                is_new
            });
            if is_new {
                different.push(id);
            }
        }
        different
    }

    /// Drops what silent nodes said; gives back the broadcasts that look different now.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<BroadcastId> {
        let silent: Vec<NodeId> = self
            .renewed
            .iter()
            .filter(|(_, renewed)| now.saturating_duration_since(**renewed) >= TRACKS_LIFETIME)
            .map(|(node, _)| node.clone())
            .collect();
        let mut different = Vec::new();
        for node in silent {
            self.renewed.remove(&node);
            different.extend(self.drop_media(&node, |_| true));
        }
        different
    }

    /// Whether meta has told of `id`.
    pub(crate) fn is_known(&self, id: BroadcastId) -> bool {
        self.known.get(&id).is_some_and(|known| known.told.is_some())
    }

    /// The state as viewers see it. Of several nodes the one with the liveliest media speaks.
    pub(crate) fn state(&self, id: BroadcastId, viewer_count: i64) -> BroadcastState {
        let known = self.known.get(&id);
        let told = known.and_then(|known| known.told.as_ref());
        let broadcast = told.map(|told| &told.broadcast);
        let media = known.and_then(|known| known.media.values().min_by_key(|part| rank(part.media)));
        BroadcastState {
            id,
            status: broadcast.map(|broadcast| broadcast.status),
            name: broadcast.map(|broadcast| broadcast.name.clone()),
            description: broadcast.map(|broadcast| broadcast.description.clone()),
            started_at: broadcast.and_then(|broadcast| broadcast.started_at),
            ended_at: broadcast.and_then(|broadcast| broadcast.ended_at),
            planned_at: broadcast.and_then(|broadcast| broadcast.planned_at),
            created_at: broadcast.map(|broadcast| broadcast.created_at),
            modified_at: broadcast.map(|broadcast| broadcast.modified_at),
            deleted: told.is_some_and(|told| told.deleted),
            viewer_count,
            media: media.map(|part| part.media),
            tracks: media.map(|part| part.tracks.clone()).unwrap_or_default(),
        }
    }

    /// Changes what is known of `id`, and its worth with it.
    fn change<T>(&mut self, id: BroadcastId, how: impl FnOnce(&mut Known) -> T) -> T {
        if self.known.len() >= MAX_KNOWN
            && !self.known.contains_key(&id)
            && let Some((_, least)) = self.by_worth.pop_first()
        {
            self.known.remove(&least);
        }
        let known = self.known.entry(id).or_default();
        self.by_worth.remove(&(known.worth(), id));
        let result = how(known);
        self.by_worth.insert((known.worth(), id));
        result
    }

    fn drop_media(&mut self, node: &NodeId, which: impl Fn(BroadcastId) -> bool) -> Vec<BroadcastId> {
        let named = self.known.iter().filter(|(id, known)| which(**id) && known.media.contains_key(node));
        let dropped: Vec<BroadcastId> = named.map(|(id, _)| *id).collect();
        for id in &dropped {
            let is_empty = self.change(*id, |known| {
                known.media.remove(node);
                known.told.is_none() && known.media.is_empty()
            });
            if is_empty {
                self.known.remove(id);
                self.by_worth.remove(&(Worth::Over, *id));
            }
        }
        dropped
    }
}

fn rank(media: MediaState) -> u8 {
    match media {
        MediaState::Live => 0,
        MediaState::Lost => 1,
        MediaState::Ended => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BroadcastId = BroadcastId(7);

    fn told(status: &str, second: u32) -> BroadcastChanged {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        let broadcast = serde_json::from_value(serde_json::json!({
            "id": 7, "name": "n", "description": "d", "status": status, "viewer_count": 99,
            "started_at": null, "ended_at": null, "created_at": "2026-01-01T00:00:00Z", "modified_at": time,
        }));
        BroadcastChanged { broadcast: broadcast.unwrap(), version: 0, deleted: false }
    }

    fn version(status: &str, version: i64) -> BroadcastChanged {
        BroadcastChanged { version, ..told(status, 0) }
    }

    fn about(id: i64, told: BroadcastChanged) -> BroadcastChanged {
        let broadcast = Broadcast { id: BroadcastId(id), ..told.broadcast };
        BroadcastChanged { broadcast, ..told }
    }

    fn named(name: &str, told: BroadcastChanged) -> BroadcastChanged {
        let broadcast = Broadcast { name: name.into(), ..told.broadcast };
        BroadcastChanged { broadcast, ..told }
    }

    fn tracks(media: MediaState) -> NodeTracks {
        NodeTracks { rooms: vec![RoomTracks { room: ID.into(), media, tracks: Vec::new() }] }
    }

    #[test]
    fn announcements_and_media_merge() {
        let now = Instant::now();
        let mut broadcasts = Broadcasts::default();
        assert!(broadcasts.changed(told("STREAMING", 5)));
        let nodes: [NodeId; 2] = ["nod_1".parse().unwrap(), "nod_2".parse().unwrap()];
        assert_eq!(broadcasts.tracks(&nodes[0], tracks(MediaState::Lost), now), [ID]);
        assert_eq!(broadcasts.tracks(&nodes[0], tracks(MediaState::Lost), now), []);
        assert_eq!(broadcasts.tracks(&nodes[1], tracks(MediaState::Live), now), [ID]);
        assert!(broadcasts.is_served(ID, &nodes[1]));
        let state = broadcasts.state(ID, 3);
        assert_eq!(
            (state.status, state.media, state.viewer_count),
            (Some(Status::Streaming), Some(MediaState::Live), 3)
        );
        assert_eq!(broadcasts.tracks(&nodes[1], NodeTracks::default(), now), [ID]);
        assert!(!broadcasts.is_served(ID, &nodes[1]));
        assert_eq!(broadcasts.expire(now + TRACKS_LIFETIME), [ID]);
        assert_eq!(broadcasts.state(ID, 0).media, None);
    }

    #[test]
    fn late_old_news_is_none_whatever_is_shown() {
        let mut broadcasts = Broadcasts::default();
        assert!(broadcasts.changed(version("STREAMING", 5)));
        assert!(!broadcasts.changed(version("STREAMING", 7)), "nothing that is shown changed");
        assert!(!broadcasts.changed(named("old", version("STREAMING", 6))), "it is older than what is known");
        assert!(broadcasts.changed(named("new", version("STREAMING", 8))));
        assert!(!broadcasts.changed(version("READY", 1)));
        assert!(broadcasts.changed(named("asked", version("STREAMING", 0))));
        assert!(!broadcasts.changed(named("old", version("STREAMING", 7))));
        assert!(broadcasts.changed(BroadcastChanged { deleted: true, ..named("new", version("CLOSED", 9)) }));
        assert!(broadcasts.state(ID, 0).deleted);
        assert_eq!(broadcasts.state(ID, 0).name.as_deref(), Some("new"));
    }

    #[test]
    fn without_versions_the_time_decides_and_closed_is_final() {
        let mut broadcasts = Broadcasts::default();
        assert!(broadcasts.changed(told("STREAMING", 5)));
        assert!(!broadcasts.changed(told("READY", 5)), "a status never goes back");
        assert!(!broadcasts.changed(told("STREAMING", 8)));
        assert!(!broadcasts.changed(named("old", told("STREAMING", 6))));
        assert!(broadcasts.changed(told("CLOSED", 8)));
        assert!(!broadcasts.changed(told("STREAMING", 9)));
        assert!(broadcasts.is_closed(ID) && !broadcasts.is_closed(BroadcastId(8)));
    }

    #[test]
    fn what_is_over_is_forgotten_before_what_is_live() {
        let mut broadcasts = Broadcasts::default();
        let most = i64::try_from(MAX_KNOWN).unwrap();
        broadcasts.changed(about(1, told("STREAMING", 0)));
        broadcasts.changed(about(2, told("READY", 0)));
        for id in 3..=most {
            broadcasts.changed(about(id, told("CLOSED", 0)));
        }
        broadcasts.changed(about(most + 1, told("STREAMING", 0)));
        let known = |broadcasts: &Broadcasts, id| broadcasts.is_known(BroadcastId(id));
        assert_eq!(broadcasts.known.len(), MAX_KNOWN);
        assert!(known(&broadcasts, 1) && known(&broadcasts, 2) && !known(&broadcasts, 3));
        for id in most + 2..2 * most {
            broadcasts.changed(about(id, told("STREAMING", 0)));
        }
        assert!(known(&broadcasts, 1) && known(&broadcasts, 2 * most - 1));
        assert!(!known(&broadcasts, 2), "one that waits goes before one that is live");
        broadcasts.changed(about(2 * most, told("STREAMING", 0)));
        assert!(!known(&broadcasts, 1), "of equals the oldest");
        assert_eq!((broadcasts.known.len(), broadcasts.by_worth.len()), (MAX_KNOWN, MAX_KNOWN));
    }
}
