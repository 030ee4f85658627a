//! What a shard knows of rooms: their publishers, wherever they are, and how many watch here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sfu_core::{Cursor, PublisherId, SourceId, ToEdge};

use crate::published::{Published, RoomKey, SessionKey, SourceGates};

/// Names a publisher on a node.
pub(super) type SourceKey = (RoomKey, SourceId);

/// The rooms that a shard knows.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) rooms: HashMap<RoomKey, Room>,
    /// Whose the publishers of the core are.
    pub(super) of: HashMap<PublisherId, SourceKey>,
}

/// A room with any number of publishers.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Viewers on this shard.
    pub(super) viewers: usize,
    /// Those of them that are members of a call.
    pub(super) members: Vec<usize>,
    /// The publishers of a call that have left for good: what is still on its way from them counts no more.
    pub(super) gone: GoneSources,
    /// In the order of their names.
    pub(super) publishers: Vec<RoomPublisher>,
}

/// Names that are remembered of publishers that have left for good. What is on its way from one comes within moments of
/// its end, so of more the oldest is forgotten.
pub(super) const MAX_GONE: usize = 4_096;

/// Publishers that have left for good, the latest of them.
#[derive(Debug, Default)]
pub(super) struct GoneSources {
    known: HashSet<SourceId>,
    /// Oldest first.
    order: VecDeque<SourceId>,
}

impl GoneSources {
    pub(super) fn insert(&mut self, source: SourceId) {
        if !self.known.insert(source) {
            return;
        }
        self.order.push_back(source);
        if self.order.len() > MAX_GONE
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, source: SourceId) -> bool {
        self.known.contains(&source)
    }
}

/// A publisher of a room, wherever it is.
#[derive(Debug)]
pub(super) struct RoomPublisher {
    /// Its name in the room.
    pub(super) source: SourceId,
    /// Its last connection.
    pub(super) connection: SessionKey,
    /// Where that is.
    pub(super) place: Place,
    /// What it sends, or sent before it was lost.
    pub(super) published: Arc<Published>,
    /// Whether others get it.
    pub(super) gates: SourceGates,
    /// It in this shard's core, and the connection that it stands for there.
    pub(super) core: Option<(PublisherId, SessionKey)>,
    /// Whether this shard pulls that connection.
    pub(super) pulled: bool,
    /// The shards that pull it from here.
    pub(super) edges: Vec<Edge>,
}

/// Where a publisher's connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On this shard.
    Here {
        /// The participant.
        slot: usize,
    },
    /// On another one.
    On {
        /// Its number.
        shard: usize,
    },
    /// Nowhere, for now.
    Away,
}

/// A shard that pulls a publisher from this one.
#[derive(Debug)]
pub(super) struct Edge {
    /// Its number.
    pub(super) shard: usize,
    /// The encodings whose past it has still to be sent; it gets the others as they come.
    pub(super) behind: Vec<Cursor>,
}

impl Edge {
    /// Whether it will get this in its turn, with what it has missed.
    pub(super) fn comes_to(&self, what: &ToEdge<'_>) -> bool {
        let &ToEdge::Packet { track, encoding, run, number, .. } = what else { return false };
        let of = |cursor: &&Cursor| (cursor.track, cursor.encoding) == (track, encoding);
        self.behind.iter().find(of).is_some_and(|cursor| cursor.will_meet(run, number))
    }
}

impl Rooms {
    pub(super) fn room(&self, room: RoomKey) -> Option<&Room> {
        self.rooms.get(&room)
    }

    pub(super) fn publisher(&self, (room, source): SourceKey) -> Option<&RoomPublisher> {
        self.rooms.get(&room)?.publisher(source)
    }

    pub(super) fn publisher_mut(&mut self, (room, source): SourceKey) -> Option<&mut RoomPublisher> {
        self.rooms.get_mut(&room)?.publishers.iter_mut().find(|publisher| publisher.source == source)
    }

    /// The publisher of the core that this is.
    pub(super) fn of_core(&self, id: PublisherId) -> Option<SourceKey> {
        self.of.get(&id).copied()
    }

    /// The publishers whose connection is on this shard.
    pub(super) fn homed(&self) -> impl Iterator<Item = SourceKey> {
        let all = self.rooms.iter().flat_map(|(id, room)| room.publishers.iter().map(move |one| (*id, one)));
        all.filter(|(_, one)| matches!(one.place, Place::Here { .. })).map(|(id, one)| (id, one.source))
    }

    /// A viewer of a room has come, who knows this of its publishers.
    pub(super) fn viewer_came(&mut self, id: RoomKey, known: Vec<(SourceId, Arc<Published>)>) {
        let room = self.rooms.entry(id).or_default();
        room.viewers += 1;
        for (source, published) in known {
            // Nothing is older than what the shards say themselves.
            room.enter(source, SessionKey::default(), published);
        }
    }

    pub(super) fn viewer_left(&mut self, id: RoomKey) {
        if let Some(room) = self.rooms.get_mut(&id) {
            room.viewers = room.viewers.saturating_sub(1);
        }
    }

    /// A participant of a call has come, and counts as a viewer already.
    pub(super) fn member_came(&mut self, id: RoomKey, slot: usize) {
        self.rooms.entry(id).or_default().members.push(slot);
    }

    pub(super) fn member_left(&mut self, id: RoomKey, slot: usize) {
        if let Some(room) = self.rooms.get_mut(&id) {
            room.members.retain(|member| *member != slot);
        }
    }

    pub(super) fn names(&self, id: RoomKey) -> Vec<SourceId> {
        let publishers = self.rooms.get(&id).map(|room| room.publishers.iter().map(|one| one.source));
        publishers.into_iter().flatten().collect()
    }

    pub(super) fn forget(&mut self, (id, source): SourceKey) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.publishers.retain(|publisher| publisher.source != source);
        self.drop_if_idle(id);
    }

    pub(super) fn drop_if_idle(&mut self, id: RoomKey) {
        if self.rooms.get(&id).is_some_and(|room| room.viewers == 0 && room.publishers.is_empty()) {
            self.rooms.remove(&id);
        }
    }
}

impl Room {
    pub(super) fn publisher(&self, source: SourceId) -> Option<&RoomPublisher> {
        self.publishers.iter().find(|publisher| publisher.source == source)
    }

    /// The shards other than `own` that have publishers of the room.
    pub(super) fn homes(&self, own: usize) -> Vec<usize> {
        let place = |publisher: &RoomPublisher| match publisher.place {
            Place::On { shard } if shard != own => Some(shard),
            _ => None,
        };
        let mut homes: Vec<usize> = self.publishers.iter().filter_map(place).collect();
        homes.sort_unstable();
        homes.dedup();
        homes
    }

    /// The publisher with this name, as `published` if it was not known.
    pub(super) fn enter(
        &mut self,
        source: SourceId,
        connection: SessionKey,
        published: Arc<Published>,
    ) -> &mut RoomPublisher {
        let at = self.publishers.partition_point(|publisher| publisher.source < source);
        if self.publishers.get(at).is_none_or(|publisher| publisher.source != source) {
            let new = RoomPublisher {
                source,
                connection,
                place: Place::Away,
                published,
                gates: SourceGates::default(),
                core: None,
                pulled: false,
                edges: Vec::new(),
            };
            self.publishers.insert(at, new);
        }
        self.publishers.get_mut(at).expect("it was there or has been inserted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_who_left_the_latest_are_remembered() {
        let mut gone = GoneSources::default();
        let most = u32::try_from(MAX_GONE).unwrap();
        for source in (0..most + 10).chain(most..most + 10) {
            gone.insert(SourceId(source));
        }
        assert_eq!((gone.known.len(), gone.order.len()), (MAX_GONE, MAX_GONE));
        assert!(
            !gone.contains(SourceId(9)) && gone.contains(SourceId(10)) && gone.contains(SourceId(most + 9))
        );
    }
}
