//! What is known of the rooms of calls: what their homes say of them. The state is replicated here, so that whoever
//! subscribes gets the whole of it first, and then only what changes, without asking the home. Pure.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use contract::group::{PersonRule, RoomRules};
use contract::id::NodeId;
use contract::room::Room;
use contract::room_state::{NodeRoom, Person, Right, RoomUpdate, SNAPSHOT_SECS};
use contract::token::Grant;
use room::{Applied, Replica};

/// Rooms that are known at once. One more is not taken in until another is over.
pub(crate) const MAX_ROOMS: usize = 10_000;
/// A room that its home has said nothing of for so long is forgotten: three snapshots.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3 * SNAPSHOT_SECS);

#[derive(Debug)]
struct Known {
    home: NodeId,
    state: Replica,
    renewed: Instant,
    held: Held,
}

/// What holds in a room beside the tokens, of what matters here; also for those who are not in.
#[derive(Debug, Default)]
struct Held {
    /// Who has the right to chat, or has it no more.
    chat: HashMap<String, bool>,
    /// The same of drawing.
    draw: HashMap<String, bool>,
    /// Who was made a moderator.
    moderators: HashSet<String>,
    /// Who was in when it was locked, and may come back.
    seated: HashSet<String>,
}

impl Held {
    fn of(rules: &RoomRules) -> Self {
        let mut held = Self::default();
        for PersonRule { subject, given, taken, seated, .. } in &rules.people {
            if *seated {
                held.seated.insert(subject.clone());
            }
            for (grants, is_given) in [(given, true), (taken, false)] {
                if grants.contains(&Grant::Chat) {
                    held.chat.insert(subject.clone(), is_given);
                }
                if grants.contains(&Grant::Draw) {
                    held.draw.insert(subject.clone(), is_given);
                }
            }
            if given.contains(&Grant::Moderate) {
                held.moderators.insert(subject.clone());
            }
        }
        held
    }
}

/// What is ruled of a right in a room, whatever a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruled {
    Given,
    Taken,
}

impl Known {
    fn person(&self, subject: &str) -> Option<&Person> {
        self.state.person(&subject.parse().ok()?)
    }
}

/// The states of rooms.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    by_name: HashMap<Room, Known>,
}

impl Rooms {
    /// A node says something of a room; true if that is news to those who read it. Of two nodes the one with the greater
    /// epoch is the home: what the other says counts for nothing.
    pub(crate) fn hear(&mut self, node: &NodeId, said: &NodeRoom, now: Instant) -> bool {
        let NodeRoom { room, update, rules } = said;
        let epoch = match update {
            RoomUpdate::Snapshot(snapshot) => snapshot.epoch,
            RoomUpdate::Delta(delta) => delta.epoch,
        };
        let Some(known) = self.by_name.get_mut(room) else {
            let mut state = Replica::default();
            // A delta alone says nothing.
            let is_taken = self.by_name.len() < MAX_ROOMS && state.apply(update) == Applied::Changed;
            if is_taken {
                let held = rules.as_ref().map(Held::of).unwrap_or_default();
                self.by_name.insert(room.clone(), Known { home: node.clone(), state, renewed: now, held });
            }
            return is_taken;
        };
        let is_home = known.home == *node;
        let own = known.state.version().map(|(epoch, _)| epoch);
        if !is_home && own.is_some_and(|own| epoch <= own) {
            return false;
        }
        let applied = known.state.apply(update);
        if applied == Applied::Changed {
            known.home = node.clone();
        }
        let is_alive = applied == Applied::Changed || applied == Applied::Stale && own == Some(epoch);
        if is_alive {
            known.renewed = now;
            if let Some(rules) = rules {
                known.held = Held::of(rules);
            }
        }
        applied == Applied::Changed
    }

    /// The home of `room`, if there is one.
    pub(crate) fn home(&self, room: &Room) -> Option<&NodeId> {
        self.by_name.get(room).map(|known| &known.home)
    }

    /// Whether somebody may chat in the call of `room`, whatever its token says; `None` where that counts.
    pub(crate) fn may_chat(&self, room: &Room, subject: &str) -> Option<Ruled> {
        let known = self.by_name.get(room)?;
        if let Some(is_given) = known.held.chat.get(subject) {
            return Some(if *is_given { Ruled::Given } else { Ruled::Taken });
        }
        // It came in with another token that has less.
        let lacks = known.person(subject).is_some_and(|person| !person.rights.contains(&Right::Chat));
        lacks.then_some(Ruled::Taken)
    }

    /// Whether somebody may draw in the call of `room`, whatever its token says; `None` where that counts.
    pub(crate) fn may_draw(&self, room: &Room, subject: &str) -> Option<Ruled> {
        let known = self.by_name.get(room)?;
        if let Some(is_given) = known.held.draw.get(subject) {
            return Some(if *is_given { Ruled::Given } else { Ruled::Taken });
        }
        let lacks = known.person(subject).is_some_and(|person| !person.rights.contains(&Right::Draw));
        lacks.then_some(Ruled::Taken)
    }

    /// Whether somebody was made a moderator of the call of `room`.
    pub(crate) fn is_moderator(&self, room: &Room, subject: &str) -> bool {
        self.by_name.get(room).is_some_and(|known| known.held.moderators.contains(subject))
    }

    /// Whether the call of `room` is locked, and somebody is neither in it, nor was when it was locked, nor was made its
    /// moderator.
    pub(crate) fn keeps_out(&self, room: &Room, subject: Option<&str>) -> bool {
        let Some(known) = self.by_name.get(room).filter(|known| known.state.is_locked()) else {
            return false;
        };
        let held = &known.held;
        let is_known = |subject| {
            known.person(subject).is_some()
                || held.moderators.contains(subject)
                || held.seated.contains(subject)
        };
        !subject.is_some_and(is_known)
    }

    /// Whether the call of `room` is locked.
    pub(crate) fn is_locked(&self, room: &Room) -> bool {
        self.by_name.get(room).is_some_and(|known| known.state.is_locked())
    }

    /// Whether somebody moderates the call of `room`: it has the right there, or was given it.
    pub(crate) fn moderates(&self, room: &Room, subject: &str) -> bool {
        self.by_name.get(room).is_some_and(|known| match known.person(subject) {
            Some(person) => person.rights.contains(&Right::Moderate),
            None => known.held.moderators.contains(subject),
        })
    }

    /// How somebody is called in the call of `room`.
    pub(crate) fn name_of(&self, room: &Room, subject: &str) -> Option<&str> {
        Some(self.by_name.get(room)?.person(subject)?.name.as_str())
    }

    /// Whether somebody is in the call of `room`.
    pub(crate) fn is_in(&self, room: &Room, subject: &str) -> bool {
        self.by_name.get(room).is_some_and(|known| known.person(subject).is_some())
    }

    /// The whole state of `room`.
    pub(crate) fn snapshot(&self, room: &Room) -> Option<RoomUpdate> {
        self.by_name.get(room).and_then(|known| known.state.snapshot()).map(RoomUpdate::Snapshot)
    }

    /// Drops what was not renewed.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.by_name.retain(|_, known| now.saturating_duration_since(known.renewed) < LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use contract::room_state::{RoomDelta, RoomSnapshot};

    use super::*;

    fn room() -> Room {
        "grp_a".parse().unwrap()
    }

    fn node(name: &str) -> NodeId {
        name.parse().unwrap()
    }

    fn snapshot(epoch: u64, seq: u64) -> NodeRoom {
        let snapshot = RoomSnapshot { epoch, seq, ..RoomSnapshot::default() };
        NodeRoom { room: room(), update: RoomUpdate::Snapshot(snapshot), rules: None }
    }

    fn delta(epoch: u64, seq: u64, locked: bool) -> NodeRoom {
        let delta = RoomDelta { epoch, seq, locked: Some(locked), ..RoomDelta::default() };
        NodeRoom { room: room(), update: RoomUpdate::Delta(delta), rules: None }
    }

    fn version(rooms: &Rooms) -> Option<(u64, u64, bool)> {
        match rooms.snapshot(&room())? {
            RoomUpdate::Snapshot(state) => Some((state.epoch, state.seq, state.locked)),
            RoomUpdate::Delta(_) => None,
        }
    }

    #[test]
    fn a_room_is_known_from_its_first_snapshot_on() {
        let (now, a) = (Instant::now(), node("nod_a"));
        let mut rooms = Rooms::default();
        assert!(!rooms.hear(&a, &delta(1, 1, true), now));
        assert!(rooms.home(&room()).is_none() && rooms.snapshot(&room()).is_none());
        assert!(rooms.hear(&a, &snapshot(1, 3), now));
        assert!(rooms.hear(&a, &delta(1, 4, true), now));
        assert!(!rooms.hear(&a, &delta(1, 4, false), now), "it came twice");
        assert!(!rooms.hear(&a, &delta(1, 6, false), now), "one is missing");
        assert_eq!(version(&rooms), Some((1, 4, true)));
        assert!(rooms.hear(&a, &snapshot(1, 6), now));
        assert_eq!(rooms.home(&room()), Some(&a));
    }

    #[test]
    fn of_two_homes_the_one_with_the_greater_epoch_counts() {
        let now = Instant::now();
        let (old, new) = (node("nod_old"), node("nod_new"));
        let mut rooms = Rooms::default();
        rooms.hear(&old, &snapshot(1, 9), now);
        assert!(!rooms.hear(&new, &snapshot(1, 20), now), "an equal epoch is no claim");
        assert_eq!(rooms.home(&room()), Some(&old));
        assert!(rooms.hear(&new, &snapshot(2, 0), now));
        assert!(!rooms.hear(&old, &delta(1, 10, true), now) && !rooms.hear(&old, &snapshot(1, 11), now));
        assert_eq!((rooms.home(&room()), version(&rooms)), (Some(&new), Some((2, 0, false))));
    }

    #[test]
    fn what_its_home_does_not_renew_is_forgotten() {
        let now = Instant::now();
        let (old, new) = (node("nod_old"), node("nod_new"));
        let mut rooms = Rooms::default();
        rooms.hear(&new, &snapshot(2, 0), now);
        let later = now + LIFETIME / 2;
        // The same again renews; what a home says that is none any more does not, nor does a gap.
        rooms.hear(&new, &snapshot(2, 0), later);
        let end = later + LIFETIME - Duration::from_millis(1);
        rooms.hear(&old, &snapshot(1, 9), end);
        rooms.hear(&new, &delta(2, 5, true), end);
        rooms.hear(&new, &snapshot(1, 5), end);
        rooms.expire(end);
        assert!(rooms.home(&room()).is_some());
        rooms.expire(later + LIFETIME);
        assert!(rooms.by_name.is_empty());
        assert!(rooms.hear(&old, &snapshot(1, 9), end), "there is no other home");
    }

    #[test]
    fn so_many_rooms_and_no_more() {
        let (now, a) = (Instant::now(), node("nod_a"));
        let mut rooms = Rooms::default();
        let name = |n: usize| format!("grp_{n}").parse::<Room>().unwrap();
        for n in 0..=MAX_ROOMS {
            let said = NodeRoom { room: name(n), ..snapshot(1, 0) };
            assert_eq!(rooms.hear(&a, &said, now), n < MAX_ROOMS);
        }
        assert_eq!(rooms.by_name.len(), MAX_ROOMS);
    }
}
