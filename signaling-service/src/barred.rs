//! Who has no part in the room of a call any more although its token still says so: people whom a moderator removed, and
//! everybody where the group was deleted. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use contract::room::Room;
use contract::token::JOIN_TTL_SECS;

/// People and rooms that are remembered; beyond, the oldest is forgotten.
pub(crate) const MAX_BARRED: usize = 10_000;
/// By then every token from before has run out.
pub(crate) const LIFETIME: Duration = Duration::from_secs(JOIN_TTL_SECS);

/// Whom it is about: a token's subject, or everybody.
type Whom = Option<String>;

/// Everybody who is barred.
#[derive(Debug, Default)]
pub(crate) struct Barred {
    /// Each with the number of its entry in `order`.
    by_room: HashMap<Room, HashMap<Whom, u64>>,
    /// Oldest first. One that has another number in `by_room` by now, or none, means nothing.
    order: VecDeque<(Instant, u64, Room, Whom)>,
    counter: u64,
}

impl Barred {
    /// Somebody was removed from `room`.
    pub(crate) fn remove(&mut self, room: &Room, subject: &str, now: Instant) {
        self.bar(room, Some(subject.to_owned()), now);
    }

    /// `room` is no more.
    pub(crate) fn end(&mut self, room: &Room, now: Instant) {
        self.bar(room, None, now);
    }

    /// Somebody is in `room` again.
    pub(crate) fn readmit(&mut self, room: &Room, subject: &str) {
        if let Some(people) = self.by_room.get_mut(room) {
            people.retain(|whom, _| whom.as_deref() != Some(subject));
            if people.is_empty() {
                self.by_room.remove(room);
            }
        }
    }

    /// Whether somebody was removed from `room`.
    pub(crate) fn is_removed(&self, room: &Room, subject: &str) -> bool {
        let people = self.by_room.get(room);
        people.is_some_and(|people| people.contains_key(&Some(subject.to_owned())))
    }

    /// Whether anybody is barred from `room`.
    pub(crate) fn is_about(&self, room: &Room) -> bool {
        self.by_room.contains_key(room)
    }

    /// Whether `room` is no more.
    pub(crate) fn has_ended(&self, room: &Room) -> bool {
        self.by_room.get(room).is_some_and(|people| people.contains_key(&None))
    }

    /// Forgets those whose tokens have all run out.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) >= LIFETIME) {
            self.forget_oldest();
        }
    }

    fn bar(&mut self, room: &Room, whom: Whom, now: Instant) {
        while self.order.len() >= MAX_BARRED {
            self.forget_oldest();
        }
        self.counter = self.counter.wrapping_add(1);
        self.by_room.entry(room.clone()).or_default().insert(whom.clone(), self.counter);
        self.order.push_back((now, self.counter, room.clone(), whom));
    }

    fn forget_oldest(&mut self) {
        let Some((_, number, room, whom)) = self.order.pop_front() else { return };
        let Some(people) = self.by_room.get_mut(&room) else { return };
        if people.get(&whom) == Some(&number) {
            people.remove(&whom);
        }
        if people.is_empty() {
            self.by_room.remove(&room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> Room {
        name.parse().unwrap()
    }

    #[test]
    fn who_is_removed_is_so_in_that_room_until_its_tokens_have_run_out() {
        let (mut barred, start) = (Barred::default(), Instant::now());
        let (a, b) = (room("grp_a"), room("grp_b"));
        barred.remove(&a, "par_1", start);
        barred.end(&b, start + Duration::from_secs(1));
        assert!(barred.is_removed(&a, "par_1") && !barred.is_removed(&a, "par_2"));
        assert!(!barred.is_removed(&b, "par_1") && !barred.has_ended(&a) && barred.has_ended(&b));
        barred.expire(start + LIFETIME - Duration::from_nanos(1));
        assert!(barred.is_removed(&a, "par_1"));
        barred.expire(start + LIFETIME);
        assert!(!barred.is_removed(&a, "par_1") && barred.has_ended(&b));
        barred.expire(start + LIFETIME * 2);
        assert!(barred.by_room.is_empty() && barred.order.is_empty());
    }

    #[test]
    fn who_comes_back_and_is_removed_again_is_remembered_from_then_on() {
        let (mut barred, start) = (Barred::default(), Instant::now());
        let a = room("grp_a");
        let later = start + Duration::from_secs(60);
        barred.remove(&a, "par_1", start);
        barred.readmit(&a, "par_2");
        assert!(barred.is_removed(&a, "par_1"));
        barred.readmit(&a, "par_1");
        assert!(!barred.is_removed(&a, "par_1") && barred.by_room.is_empty());
        barred.remove(&a, "par_1", later);
        barred.expire(start + LIFETIME);
        assert!(barred.is_removed(&a, "par_1"));
        barred.expire(later + LIFETIME);
        assert!(!barred.is_removed(&a, "par_1"));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut barred, now) = (Barred::default(), Instant::now());
        let a = room("grp_a");
        for n in 0..=MAX_BARRED {
            barred.remove(&a, &format!("par_{n}"), now);
        }
        assert!(!barred.is_removed(&a, "par_0") && barred.is_removed(&a, "par_1"));
        assert_eq!(barred.order.len(), MAX_BARRED);
    }
}
