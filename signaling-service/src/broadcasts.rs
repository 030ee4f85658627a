//! What is known of each broadcast: what meta announces, and what SFU nodes say of its media. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use contract::destination::{BroadcastState, NodeTracks, RoomTracks};
use contract::id::{BroadcastId, NodeId};
use contract::rest::{Broadcast, MediaState};

/// Broadcasts that are remembered. Beyond, the oldest (lowest id) is forgotten; meta knows it still.
pub(crate) const MAX_KNOWN: usize = 10_000;
/// A node's tracks that were not renewed for this long are dropped: three of its intervals.
pub(crate) const TRACKS_LIFETIME: Duration = Duration::from_secs(6);

#[derive(Debug, Default)]
struct Known {
    broadcast: Option<Broadcast>,
    media: BTreeMap<NodeId, RoomTracks>,
}

/// The merged state of broadcasts.
#[derive(Debug, Default)]
pub(crate) struct Broadcasts {
    known: BTreeMap<BroadcastId, Known>,
    renewed: HashMap<NodeId, Instant>,
}

impl Broadcasts {
    /// Meta announced a broadcast; true if that is news. An announcement older than what is known is not.
    pub(crate) fn changed(&mut self, broadcast: Broadcast) -> bool {
        let known = self.entry(broadcast.id);
        let news = known.broadcast.as_ref().is_none_or(|old| {
            let same = old.status == broadcast.status
                && old.name == broadcast.name
                && old.description == broadcast.description;
            !same && old.modified_at <= broadcast.modified_at
        });
        if news {
            known.broadcast = Some(broadcast);
        }
        news
    }

    /// A node's whole part; gives back the broadcasts that look different now.
    pub(crate) fn tracks(&mut self, node: &NodeId, report: NodeTracks, now: Instant) -> Vec<BroadcastId> {
        self.renewed.insert(node.clone(), now);
        let parts: BTreeMap<BroadcastId, RoomTracks> =
            report.rooms.into_iter().filter_map(|part| Some((part.room.broadcast()?, part))).collect();
        let mut different = self.drop_media(node, |id| !parts.contains_key(&id));
        for (id, part) in parts {
            let media = &mut self.entry(id).media;
            if media.get(node) != Some(&part) {
                media.insert(node.clone(), part);
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
        self.known.get(&id).is_some_and(|known| known.broadcast.is_some())
    }

    /// The state as viewers see it. Of several nodes the one with the liveliest media speaks.
    pub(crate) fn state(&self, id: BroadcastId, viewer_count: i64) -> BroadcastState {
        let known = self.known.get(&id);
        let broadcast = known.and_then(|known| known.broadcast.as_ref());
        let media = known.and_then(|known| known.media.values().min_by_key(|part| rank(part.media)));
        BroadcastState {
            id,
            status: broadcast.map(|broadcast| broadcast.status),
            name: broadcast.map(|broadcast| broadcast.name.clone()),
            description: broadcast.map(|broadcast| broadcast.description.clone()),
            started_at: broadcast.and_then(|broadcast| broadcast.started_at),
            ended_at: broadcast.and_then(|broadcast| broadcast.ended_at),
            created_at: broadcast.map(|broadcast| broadcast.created_at),
            modified_at: broadcast.map(|broadcast| broadcast.modified_at),
            viewer_count,
            media: media.map(|part| part.media),
            tracks: media.map(|part| part.tracks.clone()).unwrap_or_default(),
        }
    }

    fn entry(&mut self, id: BroadcastId) -> &mut Known {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&id) {
            self.known.pop_first();
        }
        self.known.entry(id).or_default()
    }

    fn drop_media(&mut self, node: &NodeId, which: impl Fn(BroadcastId) -> bool) -> Vec<BroadcastId> {
        let mut dropped = Vec::new();
        self.known.retain(|id, known| {
            if which(*id) && known.media.remove(node).is_some() {
                dropped.push(*id);
            }
            known.broadcast.is_some() || !known.media.is_empty()
        });
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
    use contract::rest::Status;

    use super::*;

    const ID: BroadcastId = BroadcastId(7);

    fn broadcast(status: &str, second: u32) -> Broadcast {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        serde_json::from_value(serde_json::json!({
            "id": 7, "name": "n", "description": "d", "status": status, "viewer_count": 99,
            "started_at": null, "ended_at": null, "created_at": "2026-01-01T00:00:00Z", "modified_at": time,
        }))
        .unwrap()
    }

    fn tracks(media: MediaState) -> NodeTracks {
        NodeTracks { rooms: vec![RoomTracks { room: ID.into(), media, tracks: Vec::new() }] }
    }

    #[test]
    fn announcements_and_media_merge_and_old_news_is_none() {
        let now = Instant::now();
        let mut broadcasts = Broadcasts::default();
        assert!(broadcasts.changed(broadcast("STREAMING", 5)));
        assert!(!broadcasts.changed(broadcast("STREAMING", 6)), "nothing that is shown changed");
        assert!(!broadcasts.changed(broadcast("READY", 1)), "out of order");
        let nodes: [NodeId; 2] = ["nod_1".parse().unwrap(), "nod_2".parse().unwrap()];
        assert_eq!(broadcasts.tracks(&nodes[0], tracks(MediaState::Lost), now), [ID]);
        assert_eq!(broadcasts.tracks(&nodes[0], tracks(MediaState::Lost), now), []);
        assert_eq!(broadcasts.tracks(&nodes[1], tracks(MediaState::Live), now), [ID]);
        let state = broadcasts.state(ID, 3);
        assert_eq!(
            (state.status, state.media, state.viewer_count),
            (Some(Status::Streaming), Some(MediaState::Live), 3)
        );
        assert_eq!(broadcasts.tracks(&nodes[1], NodeTracks::default(), now), [ID]);
        assert_eq!(broadcasts.expire(now + TRACKS_LIFETIME), [ID]);
        assert_eq!(broadcasts.state(ID, 0).media, None);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut broadcasts = Broadcasts::default();
        for id in 1..=(MAX_KNOWN as i64 + 5) {
            broadcasts.changed(Broadcast { id: BroadcastId(id), ..broadcast("READY", 0) });
        }
        assert_eq!(broadcasts.known.len(), MAX_KNOWN);
        assert!(!broadcasts.is_known(BroadcastId(5)) && broadcasts.is_known(BroadcastId(6)));
    }
}
