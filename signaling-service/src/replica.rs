//! What this replica knows by itself: who watches, what of broadcasts it was told, chat with its numbers, and the
//! account of rates. It is all here, behind one type, because with a second replica all of it has to be shared or
//! settled between them; the rest of the hub is connections, which stay where they are. Pure.

use std::collections::HashMap;
use std::time::Instant;

use contract::destination::{BroadcastState, Destination, Presence};
use contract::group::RoomRules;
use contract::id::BroadcastId;
use contract::room::Room;
use contract::room_state::RoomUpdate;

use crate::barred::Barred;
use crate::broadcasts::Broadcasts;
use crate::chat::Logs;
use crate::chat::job::{Act, Ask, MODERATOR, Rank, Wanted};
use crate::chatters::Chatters;
use crate::hub::BoardsState;
use crate::hub::chats::now_ms;
use crate::limits::{Limits, MAX_CONNECTIONS_PER_PERSON, Person, Sender};
use crate::refusal::Refusal;
use crate::rights::{Identity, Moderates};
use crate::rooms::{Rooms, Ruled};
use crate::unknown::{Asked, Unknown};
use crate::viewers::Viewers;
use crate::work::Work;

#[derive(Debug, Default)]
pub(crate) struct Replica {
    pub(crate) viewers: Viewers,
    pub(crate) chatters: Chatters,
    pub(crate) broadcasts: Broadcasts,
    pub(crate) chat: Logs,
    pub(crate) limits: Limits,
    pub(crate) boards: BoardsState,
    /// Open connections of each person.
    persons: HashMap<Person, u32>,
    /// What was told last of each room that has anyone.
    presence: HashMap<Room, Presence>,
    pub(crate) unknown: Unknown,
    /// The state of the rooms of calls.
    pub(crate) rooms: Rooms,
    /// Who has no part in them any more.
    pub(crate) barred: Barred,
}

/// What of a room has to be told to its watchers.
pub(crate) struct Change {
    pub(crate) room: Room,
    pub(crate) presence: Presence,
    /// The number of viewers is another one.
    pub(crate) viewers: bool,
}

impl Replica {
    /// Counts one more connection of `person`, if there may be one.
    pub(crate) fn enter(&mut self, person: &Person) -> bool {
        let own = self.persons.entry(person.clone()).or_default();
        let fits = *own < MAX_CONNECTIONS_PER_PERSON;
        *own += u32::from(fits);
        fits
    }

    /// Counts one less.
    pub(crate) fn leave(&mut self, person: &Person) {
        if let Some(own) = self.persons.get_mut(person) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.persons.remove(person);
            }
        }
    }

    /// Whether `work` fits how things are now: chat needs a broadcast that is not over, a request to a node a node that
    /// serves the sender's room, a command a call.
    pub(crate) fn fits(
        &mut self,
        who: &Identity,
        sender: &Sender,
        work: &Work,
        now: Instant,
    ) -> Result<(), Refusal> {
        match work {
            Work::Chat { room, wanted, by_token, .. } => {
                self.may_read(room, sender)?;
                self.fits_chat(who, sender, room, wanted, *by_token, now)
            }
            Work::Relay { to, .. } => match &to.path {
                Destination::SfuQueue(node) => {
                    let Some(room) = who.room() else { return Ok(()) };
                    let publishes = room.broadcast().is_some_and(|id| self.broadcasts.is_served(id, node));
                    let serves = publishes || self.viewers.is_served(room, node);
                    if serves { Ok(()) } else { Err(Refusal::NotServed) }
                }
                _ => Ok(()),
            },
            Work::Board { room, by_token, .. } => self.fits_board(room, sender, *by_token, now),
            Work::Command { room, .. } => {
                self.has_part(room, sender)?;
                if self.rooms.home(room).is_some() { Ok(()) } else { Err(Refusal::NoCall) }
            }
            Work::Viewers { .. } | Work::Tracks { .. } | Work::NodeRoom { .. } | Work::NodeReply { .. } => {
                Ok(())
            }
        }
    }

    /// Whether what is wanted of the chat of a room fits who wants it. That is checked here as things are now, and what
    /// is kept of the room once more where it is written.
    fn fits_chat(
        &mut self,
        who: &Identity,
        sender: &Sender,
        room: &Room,
        wanted: &Wanted,
        by_token: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        let rank = self.rank(who, room);
        let act = match wanted {
            Wanted::Read(Ask::History { .. }) => return Ok(()),
            Wanted::Read(Ask::Bans) => {
                return if rank >= MODERATOR { Ok(()) } else { Err(Refusal::NotModerator) };
            }
            Wanted::Write(act) => act,
        };
        if act.is_moderators() && rank < MODERATOR {
            return Err(Refusal::NotModerator);
        }
        let (subject, address, at) = (who.subject(), sender.address.to_string(), now_ms());
        if let Some(row) = self.chat.get(room).and_then(|log| log.sanction(subject, rank, &address, at)) {
            return Err(Refusal::sanctioned(row, at));
        }
        if matches!(act, Act::Say { .. } | Act::Edit { .. }) {
            self.may_chat(room, sender, by_token)?;
            self.is_open(room, sender, now)?;
        }
        match act {
            Act::Say { to: Some(to), .. }
                if room.group().is_none() || to.id == subject || !self.rooms.is_in(room, &to.id) =>
            {
                Err(Refusal::NotInCall)
            }
            _ => Ok(()),
        }
    }

    /// What somebody may do to others in the chat of `room`: by its token, or because it was made a moderator of the
    /// call.
    pub(crate) fn rank(&self, who: &Identity, room: &Room) -> Rank {
        let by_token = who.chat_rank(room);
        let by_room = who.token_subject().is_some_and(|subject| self.rooms.moderates(room, subject));
        if by_room { by_token.max(MODERATOR) } else { by_token }
    }

    /// Whom the home of a room names is in it.
    pub(crate) fn readmit(&mut self, room: &Room, update: &RoomUpdate) {
        let here = match update {
            RoomUpdate::Snapshot(snapshot) => &snapshot.people,
            RoomUpdate::Delta(delta) => &delta.joined,
        };
        here.iter().for_each(|person| self.barred.readmit(room, person.participant.as_str()));
    }

    /// Whom the home of a room says to be removed is remembered, also when the call is over.
    pub(crate) fn bar_removed(&mut self, room: &Room, rules: &RoomRules, now: Instant) {
        for rule in rules.people.iter().filter(|rule| rule.removed) {
            if !self.barred.is_removed(room, &rule.subject) {
                self.barred.remove(room, &rule.subject, now);
            }
        }
    }

    /// Whether somebody still has the part in a call that its token says.
    pub(crate) fn has_part(&self, room: &Room, sender: &Sender) -> Result<(), Refusal> {
        match &sender.person {
            _ if sender.is_service => Ok(()),
            _ if self.barred.has_ended(room) => Err(Refusal::Ended),
            Person::Subject(subject) if self.barred.is_removed(room, subject) => Err(Refusal::Removed),
            Person::Subject(_) | Person::Connection(_) => Ok(()),
        }
    }

    /// Whether somebody reads the state and the chat of a call: it has its part, and where the room is locked it is in it
    /// or moderates it.
    pub(crate) fn may_read(&self, room: &Room, sender: &Sender) -> Result<(), Refusal> {
        self.has_part(room, sender)?;
        let moderates = match &sender.moderates {
            Moderates::Nowhere => false,
            Moderates::In(own) => own == room,
            Moderates::Everywhere => true,
        };
        let subject = match &sender.person {
            Person::Subject(subject) => Some(&**subject),
            Person::Connection(_) => None,
        };
        if !moderates && self.rooms.keeps_out(room, subject) { Err(Refusal::Locked) } else { Ok(()) }
    }

    /// Whether somebody writes in the chat of a room, whose token has the right to it or not.
    fn may_chat(&self, room: &Room, sender: &Sender, by_token: bool) -> Result<(), Refusal> {
        let ruled = match &sender.person {
            Person::Subject(subject) if !sender.is_service => self.rooms.may_chat(room, subject),
            Person::Subject(_) | Person::Connection(_) => None,
        };
        match (ruled, by_token) {
            (Some(Ruled::Given), _) | (None, true) => Ok(()),
            (Some(Ruled::Taken), _) => Err(Refusal::Taken),
            (None, false) => Err(Refusal::NoChat),
        }
    }

    /// Whether somebody draws on the board of a room as things are now.
    pub(crate) fn fits_board(
        &mut self,
        room: &Room,
        sender: &Sender,
        by_token: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.may_draw(room, sender, by_token)?;
        self.is_open(room, sender, now)
    }

    /// Whether somebody draws on the board of a room, whose token has the right to it or not.
    pub(crate) fn may_draw(&self, room: &Room, sender: &Sender, by_token: bool) -> Result<(), Refusal> {
        self.may_read(room, sender)?;
        let ruled = match &sender.person {
            Person::Subject(subject) if !sender.is_service => self.rooms.may_draw(room, subject),
            Person::Subject(_) | Person::Connection(_) => None,
        };
        match (ruled, by_token) {
            (Some(Ruled::Given), _) | (None, true) => Ok(()),
            (Some(Ruled::Taken), _) => Err(Refusal::DrawTaken),
            (None, false) => Err(Refusal::NoDraw),
        }
    }

    /// Whether somebody moderates in a room, by its token or made so in the call.
    pub(crate) fn moderates(&self, room: &Room, sender: &Sender) -> bool {
        let by_token = match &sender.moderates {
            Moderates::Nowhere => false,
            Moderates::In(own) => own == room,
            Moderates::Everywhere => true,
        };
        by_token
            || matches!(&sender.person, Person::Subject(subject) if self.rooms.is_moderator(room, subject))
    }

    /// Whether the broadcast of a room, if it is one, is not over.
    pub(crate) fn is_open(&mut self, room: &Room, sender: &Sender, now: Instant) -> Result<(), Refusal> {
        let Some(id) = room.broadcast() else { return Ok(()) };
        if self.broadcasts.is_closed(id) {
            return Err(Refusal::Closed);
        }
        // After a restart nothing is known; until meta has answered, talk goes on.
        self.ask_if_unknown(id, sender, now);
        let is_missing = !self.broadcasts.is_known(id) && self.unknown.was_missing(id);
        if is_missing { Err(Refusal::Closed) } else { Ok(()) }
    }

    /// Has `id` asked of meta, unless it is known.
    pub(crate) fn ask_if_unknown(&mut self, id: BroadcastId, sender: &Sender, now: Instant) {
        if !self.broadcasts.is_known(id) {
            self.unknown.ask(id, sender.address, now);
        }
    }

    /// The broadcast to ask of meta now.
    pub(crate) fn next_unknown(&mut self, now: Instant) -> Option<Asked> {
        std::iter::from_fn(|| self.unknown.next(now)).find(|asked| !self.broadcasts.is_known(asked.id))
    }

    /// One subscription of `who` to the chat of `room` has ended.
    pub(crate) fn leave_chat(&mut self, room: &Room, who: &Sender) {
        self.chatters.leave(room, who);
        self.viewers.mark(room);
    }

    /// Who is in `room`.
    pub(crate) fn presence(&mut self, room: &Room) -> Presence {
        Presence { viewer_count: self.viewers.count(room), chatting: self.chatters.count(room) }
    }

    /// The state of a broadcast as viewers see it.
    pub(crate) fn broadcast(&mut self, id: BroadcastId) -> BroadcastState {
        let viewer_count = self.viewers.count(&id.into());
        self.broadcasts.state(id, viewer_count)
    }

    /// What is different in `room` since this was last called, if anything.
    pub(crate) fn take_change(&mut self, room: Room) -> Option<Change> {
        let presence = self.presence(&room);
        let nobody = Presence { viewer_count: 0, chatting: 0 };
        let before = self.presence.get(&room).unwrap_or(&nobody);
        if *before == presence {
            return None;
        }
        let viewers = before.viewer_count != presence.viewer_count;
        if presence == nobody {
            self.presence.remove(&room);
        } else {
            self.presence.insert(room.clone(), presence.clone());
        }
        Some(Change { room, presence, viewers })
    }

    /// Drops what was not renewed; gives back the broadcasts that look different now.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<BroadcastId> {
        self.limits.tick(now);
        self.boards.limits.tick(now);
        self.rooms.expire(now);
        self.barred.expire(now);
        self.viewers.expire(now);
        self.broadcasts.expire(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_a_set_number_of_connections() {
        let mut replica = Replica::default();
        let person = Person::Subject("par_1".into());
        let entered = (0..40).filter(|_| replica.enter(&person)).count();
        assert_eq!(entered, 32);
        assert!(replica.enter(&Person::Subject("par_2".into())));
        replica.leave(&person);
        assert!(replica.enter(&person) && !replica.enter(&person));
        (0..40).for_each(|_| replica.leave(&person));
        replica.leave(&Person::Subject("par_2".into()));
        assert!(replica.persons.is_empty());
    }

    #[test]
    fn a_change_is_told_once_and_an_empty_room_is_forgotten() {
        let mut replica = Replica::default();
        let room: Room = "7".parse().unwrap();
        let address = std::net::IpAddr::from([192, 0, 2, 1]);
        let who = Sender {
            person: Person::Connection(1),
            address,
            is_service: false,
            moderates: Moderates::Nowhere,
        };
        assert!(replica.take_change(room.clone()).is_none());
        replica.chatters.enter(&room, &who);
        let change = replica.take_change(room.clone()).unwrap();
        assert!(!change.viewers && change.presence == Presence { viewer_count: 0, chatting: 1 });
        assert!(replica.take_change(room.clone()).is_none());
        replica.chatters.leave(&room, &who);
        assert!(replica.take_change(room.clone()).is_some());
        assert!(replica.presence.is_empty());
    }

    #[test]
    fn what_meta_has_told_of_meanwhile_is_not_asked() {
        let now = Instant::now();
        let mut replica = Replica::default();
        let address = std::net::IpAddr::from([192, 0, 2, 1]);
        let sender = Sender {
            person: Person::Connection(1),
            address,
            is_service: false,
            moderates: Moderates::Nowhere,
        };
        for id in 1..=3 {
            replica.ask_if_unknown(BroadcastId(id), &sender, now);
        }
        let told = serde_json::json!({"version": 1, "broadcast": {
            "id": 1, "name": "n", "description": "d", "status": "READY", "viewer_count": 0, "started_at": null,
            "ended_at": null, "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
        }});
        replica.broadcasts.changed(serde_json::from_value(told).unwrap());
        replica.ask_if_unknown(BroadcastId(1), &sender, now);
        let asked = std::iter::from_fn(|| replica.next_unknown(now)).map(|asked| asked.id.0);
        assert_eq!(asked.collect::<Vec<_>>(), [2, 3]);
    }
}
