//! Who watches which room (L9): peer-to-peer viewers and the viewers that SFU nodes report, a subject once.
//! Pure.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use contract::destination::{NodeViewers, RoomViewers};
use contract::id::NodeId;
use contract::rest::Subjects;
use contract::room::Room;

/// A node's part that was not renewed for this long is dropped.
pub(crate) const PART_LIFETIME: Duration = Duration::from_secs(4);

/// A connection.
pub(crate) type ConnId = u64;

#[derive(Debug, Default)]
struct Watched {
    /// Connections that sent to `/app/{room}`, with the subject of their token.
    peers: HashMap<ConnId, Option<String>>,
    /// What nodes report.
    nodes: HashMap<NodeId, RoomViewers>,
    /// Subscriptions to `/topic/{room}` of each connection: peer-to-peer streamers.
    streamers: HashMap<ConnId, u32>,
    count: i64,
}

impl Watched {
    fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.nodes.is_empty() && self.streamers.is_empty()
    }

    /// The subjects that watch, each once.
    fn subjects(&self) -> HashSet<&str> {
        let peers = self.peers.values().filter_map(Option::as_deref);
        let nodes = self.nodes.values().flat_map(|part| part.subjects.iter().map(String::as_str));
        peers.chain(nodes).collect()
    }

    fn recount(&mut self) {
        let peers = self.peers.values().filter(|subject| subject.is_none()).count() as u64;
        let nameless = self.nodes.values().fold(peers, |sum, part| sum + u64::from(part.anonymous));
        let subjects = self.subjects().len() as u64;
        self.count = i64::try_from(nameless.saturating_add(subjects)).unwrap_or(i64::MAX);
    }
}

/// The viewers of all rooms. Bounded by connections (each joins at most a set number of rooms) and by what
/// services report.
#[derive(Debug, Default)]
pub(crate) struct Viewers {
    rooms: HashMap<Room, Watched>,
    renewed: HashMap<NodeId, Instant>,
    /// Rooms whose numbers may have changed since [`Viewers::take_changed`].
    changed: HashSet<Room>,
}

impl Viewers {
    /// A connection sent to `/app/{room}`.
    pub(crate) fn join(&mut self, room: &Room, connection: ConnId, subject: Option<&str>) {
        let watched = self.rooms.entry(room.clone()).or_default();
        if watched.peers.insert(connection, subject.map(str::to_owned)).is_none() {
            self.touch(room);
        }
    }

    /// A connection is gone: it leaves `rooms`.
    pub(crate) fn leave<'a>(&mut self, connection: ConnId, rooms: impl IntoIterator<Item = &'a Room>) {
        for room in rooms {
            let Some(watched) = self.rooms.get_mut(room) else { continue };
            let peer = watched.peers.remove(&connection).is_some();
            let streamer = watched.streamers.remove(&connection).is_some();
            if peer || streamer {
                self.touch(room);
            }
        }
    }

    /// A connection subscribed to `/topic/{room}`.
    pub(crate) fn stream(&mut self, room: &Room, connection: ConnId) {
        *self.rooms.entry(room.clone()).or_default().streamers.entry(connection).or_default() += 1;
        self.touch(room);
    }

    /// A connection ended one subscription to `/topic/{room}`.
    pub(crate) fn unstream(&mut self, room: &Room, connection: ConnId) {
        let Some(watched) = self.rooms.get_mut(room) else { return };
        if let Some(count) = watched.streamers.get_mut(&connection) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                watched.streamers.remove(&connection);
            }
        }
        self.touch(room);
    }

    /// A node's whole part: what it does not name any more is gone.
    pub(crate) fn report(&mut self, node: &NodeId, report: NodeViewers, now: Instant) {
        self.renewed.insert(node.clone(), now);
        let named: HashSet<Room> = report.rooms.iter().map(|part| part.room.clone()).collect();
        self.drop_parts(node, |room| !named.contains(room));
        for part in report.rooms {
            let watched = self.rooms.entry(part.room.clone()).or_default();
            if watched.nodes.get(node) != Some(&part) {
                let room = part.room.clone();
                watched.nodes.insert(node.clone(), part);
                self.touch(&room);
            }
        }
    }

    /// Drops the parts of nodes that are silent for [`PART_LIFETIME`].
    pub(crate) fn expire(&mut self, now: Instant) {
        let silent: Vec<NodeId> = self
            .renewed
            .iter()
            .filter(|(_, renewed)| now.saturating_duration_since(**renewed) >= PART_LIFETIME)
            .map(|(node, _)| node.clone())
            .collect();
        for node in silent {
            self.renewed.remove(&node);
            self.drop_parts(&node, |_| true);
        }
    }

    /// Viewers of `room` now.
    pub(crate) fn count(&self, room: &Room) -> i64 {
        self.rooms.get(room).map_or(0, |watched| watched.count)
    }

    /// Viewers of `room` who have a token.
    pub(crate) fn subjects(&self, room: &Room) -> Subjects {
        self.rooms
            .get(room)
            .map_or_else(Subjects::default, |watched| watched.subjects().into_iter().collect())
    }

    /// The rooms that have anyone, with their count and whether they have a peer-to-peer streamer.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = (&Room, i64, bool)> {
        self.rooms.iter().map(|(room, watched)| (room, watched.count, !watched.streamers.is_empty()))
    }

    /// Something else about `room` changed that goes out with its count.
    pub(crate) fn mark(&mut self, room: &Room) {
        self.changed.insert(room.clone());
    }

    /// The rooms whose numbers may have changed since the last call.
    pub(crate) fn take_changed(&mut self) -> HashSet<Room> {
        std::mem::take(&mut self.changed)
    }

    fn drop_parts(&mut self, node: &NodeId, which: impl Fn(&Room) -> bool) {
        let rooms: Vec<Room> = self
            .rooms
            .iter()
            .filter(|(room, watched)| watched.nodes.contains_key(node) && which(room))
            .map(|(room, _)| room.clone())
            .collect();
        for room in rooms {
            if let Some(watched) = self.rooms.get_mut(&room) {
                watched.nodes.remove(node);
            }
            self.touch(&room);
        }
    }

    fn touch(&mut self, room: &Room) {
        self.changed.insert(room.clone());
        let Some(watched) = self.rooms.get_mut(room) else { return };
        if watched.is_empty() {
            self.rooms.remove(room);
        } else {
            watched.recount();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        "7".parse().unwrap()
    }

    fn node(n: u32) -> NodeId {
        format!("nod_{n}").parse().unwrap()
    }

    fn part(subjects: &[&str], anonymous: u32) -> NodeViewers {
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        NodeViewers { rooms: vec![RoomViewers { room: room(), subjects, anonymous }] }
    }

    #[test]
    fn a_subject_counts_once_wherever_it_watches() {
        let now = Instant::now();
        let mut viewers = Viewers::default();
        viewers.join(&room(), 1, None);
        viewers.join(&room(), 1, None);
        viewers.join(&room(), 2, Some("a"));
        viewers.join(&room(), 3, Some("a"));
        assert_eq!(viewers.count(&room()), 2);
        viewers.report(&node(1), part(&["a", "b"], 2), now);
        viewers.report(&node(2), part(&["b", "c"], 0), now);
        assert_eq!(viewers.count(&room()), 1 + 3 + 2);
        assert_eq!(viewers.subjects(&room()), ["a", "b", "c"].into_iter().collect());
        viewers.leave(2, [&room()]);
        viewers.leave(3, [&room()]);
        assert_eq!(viewers.count(&room()), 1 + 3 + 2);
        viewers.report(&node(1), NodeViewers::default(), now);
        assert_eq!(viewers.count(&room()), 1 + 2);
    }

    #[test]
    fn a_part_that_is_not_renewed_is_dropped() {
        let now = Instant::now();
        let mut viewers = Viewers::default();
        viewers.report(&node(1), part(&["a"], 0), now);
        viewers.report(&node(2), part(&["b"], 0), now + Duration::from_secs(1));
        viewers.expire(now + Duration::from_millis(3_999));
        assert_eq!(viewers.count(&room()), 2);
        viewers.expire(now + PART_LIFETIME);
        assert_eq!(viewers.count(&room()), 1);
        viewers.expire(now + 2 * PART_LIFETIME);
        assert!(viewers.rooms.is_empty() && viewers.renewed.is_empty());
    }

    #[test]
    fn the_streamer_is_there_while_subscribed_and_is_no_viewer() {
        let mut viewers = Viewers::default();
        viewers.stream(&room(), 1);
        viewers.stream(&room(), 1);
        viewers.unstream(&room(), 1);
        assert_eq!(viewers.rooms().next(), Some((&room(), 0, true)));
        assert_eq!(viewers.count(&room()), 0);
        viewers.leave(1, [&room()]);
        assert!(viewers.rooms.is_empty());
        assert_eq!(viewers.take_changed().len(), 1);
        assert_eq!(viewers.take_changed().len(), 0);
    }

    #[test]
    fn an_unchanged_report_changes_nothing() {
        let mut viewers = Viewers::default();
        viewers.report(&node(1), part(&["a"], 0), Instant::now());
        viewers.take_changed();
        viewers.report(&node(1), part(&["a"], 0), Instant::now());
        assert!(viewers.take_changed().is_empty());
    }
}
