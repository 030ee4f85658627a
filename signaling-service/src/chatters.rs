//! How many people read the chat of each room: a person once, however many connections it has, and of those behind one
//! address a set number, because connections and tokens cost nothing. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use contract::room::Room;

use crate::limits::{MAX_VIEWERS_PER_ADDRESS, Person, Sender};

/// The people in one chat.
#[derive(Debug, Default)]
struct Chat {
    people: HashMap<Person, Reader>,
    /// How many there are behind each address.
    behind: HashMap<IpAddr, usize>,
    /// How many of them count.
    count: usize,
}

#[derive(Debug)]
struct Reader {
    subscriptions: u32,
    /// Where it was first.
    address: IpAddr,
}

/// The people in all chats. Bounded by subscriptions, each of which adds at most one.
#[derive(Debug, Default)]
pub(crate) struct Chatters(HashMap<Room, Chat>);

impl Chatters {
    /// `who` begins to read the chat of `room`.
    pub(crate) fn enter(&mut self, room: &Room, who: &Sender) {
        let chat = self.0.entry(room.clone()).or_default();
        if let Some(reader) = chat.people.get_mut(&who.person) {
            reader.subscriptions = reader.subscriptions.saturating_add(1);
            return;
        }
        chat.people.insert(who.person.clone(), Reader { subscriptions: 1, address: who.address });
        let behind = chat.behind.entry(who.address).or_default();
        *behind += 1;
        chat.count += usize::from(*behind <= MAX_VIEWERS_PER_ADDRESS);
    }

    /// One subscription of `who` to the chat of `room` has ended.
    pub(crate) fn leave(&mut self, room: &Room, who: &Sender) {
        let Some(chat) = self.0.get_mut(room) else { return };
        let Some(reader) = chat.people.get_mut(&who.person) else { return };
        reader.subscriptions = reader.subscriptions.saturating_sub(1);
        if reader.subscriptions > 0 {
            return;
        }
        let address = reader.address;
        chat.people.remove(&who.person);
        if let Some(behind) = chat.behind.get_mut(&address) {
            chat.count = chat.count.saturating_sub(usize::from(*behind <= MAX_VIEWERS_PER_ADDRESS));
            *behind = behind.saturating_sub(1);
            if *behind == 0 {
                chat.behind.remove(&address);
            }
        }
        if chat.people.is_empty() {
            self.0.remove(room);
        }
    }

    /// How many there are in the chat of `room`.
    pub(crate) fn count(&self, room: &Room) -> i64 {
        self.0.get(room).map_or(0, |chat| i64::try_from(chat.count).unwrap_or(i64::MAX))
    }

    /// Whether there is nobody in any.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(subject: &str, last: u8) -> Sender {
        let address = IpAddr::from([192, 0, 2, last]);
        Sender {
            person: Person::Subject(subject.into()),
            address,
            is_service: false,
            moderates: crate::rights::Moderates::Nowhere,
        }
    }

    #[test]
    fn a_person_counts_once_and_leaves_with_its_last_subscription() {
        let mut chatters = Chatters::default();
        let room: Room = "7".parse().unwrap();
        chatters.enter(&room, &who("a", 1));
        chatters.enter(&room, &who("a", 2));
        chatters.enter(&room, &who("b", 2));
        assert_eq!(chatters.count(&room), 2);
        chatters.leave(&room, &who("a", 1));
        assert_eq!(chatters.count(&room), 2);
        chatters.leave(&room, &who("a", 2));
        chatters.leave(&room, &who("a", 2));
        assert_eq!(chatters.count(&room), 1);
        chatters.leave(&room, &who("b", 2));
        assert!(chatters.is_empty());
    }

    #[test]
    fn connections_of_one_address_make_no_crowd() {
        let mut chatters = Chatters::default();
        let room: Room = "7".parse().unwrap();
        for n in 0..300 {
            chatters.enter(&room, &who(&n.to_string(), 1));
        }
        chatters.enter(&room, &who("other", 2));
        assert_eq!(chatters.count(&room), 51);
        for n in 0..260 {
            chatters.leave(&room, &who(&n.to_string(), 1));
        }
        assert_eq!(chatters.count(&room), 41, "those who stay are counted instead");
    }
}
