//! Who watches which room (L9): peer-to-peer viewers and the viewers that SFU nodes report, a subject once.
//! Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use contract::destination::{NodeViewers, RoomViewers};
use contract::id::NodeId;
use contract::rest::{RoomReport, Subjects};
use contract::room::Room;

use crate::limits::{ConnId, MAX_VIEWERS_PER_ADDRESS};

/// A node's part that was not renewed for this long is dropped.
pub(crate) const PART_LIFETIME: Duration = Duration::from_secs(4);

/// A connection that sent to `/app/{room}`.
#[derive(Debug)]
struct Peer {
    /// The subject of its token.
    subject: Option<String>,
    address: IpAddr,
}

#[derive(Debug, Default)]
struct Watched {
    /// In the order of connecting.
    peers: BTreeMap<ConnId, Peer>,
    /// What nodes report.
    nodes: HashMap<NodeId, RoomViewers>,
    /// Subscriptions to `/topic/{room}` of each connection: peer-to-peer streamers.
    streamers: HashMap<ConnId, u32>,
    /// What [`Watched::count`] and [`Watched::subjects`] found, until someone comes or goes.
    count: Option<i64>,
    subjects: Option<Subjects>,
}

impl Watched {
    fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.nodes.is_empty() && self.streamers.is_empty()
    }

    /// The viewers: subjects, each once, and how many have no token. Of the peers behind one address at most a set
    /// number count.
    fn viewers(&self) -> (HashSet<&str>, u64) {
        let of_nodes = self.nodes.values().flat_map(|part| &part.subjects);
        let mut subjects: HashSet<&str> = of_nodes.map(String::as_str).collect();
        let mut nameless: u64 = self.nodes.values().map(|part| u64::from(part.anonymous)).sum();
        let mut behind: HashMap<IpAddr, usize> = HashMap::new();
        for Peer { subject, address } in self.peers.values() {
            let own = behind.entry(*address).or_default();
            let known = subject.as_deref().is_some_and(|subject| subjects.contains(subject));
            if known || *own >= MAX_VIEWERS_PER_ADDRESS {
                continue;
            }
            *own += 1;
            match subject {
                Some(subject) => drop(subjects.insert(subject)),
                None => nameless += 1,
            }
        }
        (subjects, nameless)
    }

    fn count(&mut self) -> i64 {
        let count = self.count.unwrap_or_else(|| {
            let (subjects, nameless) = self.viewers();
            i64::try_from(nameless.saturating_add(subjects.len() as u64)).unwrap_or(i64::MAX)
        });
        self.count = Some(count);
        count
    }

    /// Those of them who have a token.
    fn subjects(&mut self) -> &Subjects {
        let subjects = self.subjects.take().unwrap_or_else(|| self.viewers().0.into_iter().collect());
        self.subjects.insert(subjects)
    }

    fn someone_came_or_went(&mut self) {
        (self.count, self.subjects) = (None, None);
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
    pub(crate) fn join(&mut self, room: &Room, connection: ConnId, subject: Option<&str>, address: IpAddr) {
        let watched = self.rooms.entry(room.clone()).or_default();
        let peer = Peer { subject: subject.map(str::to_owned), address };
        if watched.peers.insert(connection, peer).is_none() {
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
    pub(crate) fn count(&mut self, room: &Room) -> i64 {
        self.rooms.get_mut(room).map_or(0, Watched::count)
    }

    /// Whether `node` has said that it serves viewers of `room`.
    pub(crate) fn is_served(&self, room: &Room, node: &NodeId) -> bool {
        self.rooms.get(room).is_some_and(|watched| watched.nodes.contains_key(node))
    }

    /// The numbers of every broadcast's room that has anyone.
    pub(crate) fn numbers(&mut self) -> Vec<RoomReport> {
        let broadcasts = self.rooms.iter_mut().filter(|(room, _)| room.broadcast().is_some());
        broadcasts
            .map(|(room, watched)| RoomReport {
                room: room.clone(),
                viewer_count: watched.count(),
                subjects: watched.subjects().clone(),
                p2p_streamer: !watched.streamers.is_empty(),
            })
            .collect()
    }

    /// How many rooms have anyone.
    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
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
            watched.someone_came_or_went();
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

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn part(subjects: &[&str], anonymous: u32) -> NodeViewers {
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        NodeViewers { rooms: vec![RoomViewers { room: room(), subjects, anonymous }] }
    }

    #[test]
    fn a_subject_counts_once_wherever_it_watches() {
        let now = Instant::now();
        let mut viewers = Viewers::default();
        viewers.join(&room(), 1, None, address(1));
        viewers.join(&room(), 1, None, address(1));
        viewers.join(&room(), 2, Some("a"), address(1));
        viewers.join(&room(), 3, Some("a"), address(2));
        assert_eq!(viewers.count(&room()), 2);
        viewers.report(&node(1), part(&["a", "b"], 2), now);
        viewers.report(&node(2), part(&["b", "c"], 0), now);
        assert_eq!(viewers.count(&room()), 1 + 3 + 2);
        assert_eq!(viewers.numbers()[0].subjects, ["a", "b", "c"].into_iter().collect());
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
        let [only] = viewers.numbers().try_into().unwrap();
        assert!(only.p2p_streamer && only.viewer_count == 0 && only.room == room());
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

    #[test]
    fn sockets_of_one_address_do_not_make_an_audience() {
        let mut viewers = Viewers::default();
        for connection in 0..300 {
            viewers.join(&room(), connection, None, address(1));
        }
        assert_eq!(viewers.count(&room()), 50);
        for connection in 300..600 {
            viewers.join(&room(), connection, Some(&connection.to_string()), address(1));
        }
        assert_eq!(viewers.count(&room()), 50, "nor do tokens that cost nothing");
        assert!(viewers.numbers()[0].subjects.is_empty(), "what meta is told adds up");
        viewers.join(&room(), 600, None, address(2));
        viewers.report(&node(1), part(&["a"], 2), Instant::now());
        assert_eq!(viewers.count(&room()), 50 + 1 + 3);
        for connection in 0..299 {
            viewers.leave(connection, [&room()]);
        }
        assert_eq!(viewers.count(&room()), 50 + 1 + 3, "those who stay are counted instead");
    }
}
