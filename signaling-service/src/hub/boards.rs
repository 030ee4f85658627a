//! Whiteboards as far as connections are concerned: who reads one, who draws on it under which id, and whether it may.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use contract::board::BoardEvent;
use contract::destination::{Address, Destination, Prefix, Reply};
use contract::room::Room;
use stomp_proto::outbox::Class;
use stomp_proto::session::SubscriptionKey;

use super::{Hub, Membership, State, topic};
use crate::boards::Job;
use crate::boards::limits::{BoardLimits, Excess};
use crate::limits::{ConnId, Person, Sender, TooFast};
use crate::mailbox::Message;
use crate::refusal::Refusal;

/// What a connection has to do with one board.
#[derive(Debug, Default)]
pub(super) struct OwnBoard {
    /// Whether its token says that it draws.
    by_token: bool,
    /// What it was told last of whether it may draw.
    told: bool,
    /// The id under which it draws.
    grip: Option<Grip>,
}

/// That a connection draws under an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grip {
    pub(crate) client: u64,
    /// Of two connections that claim the same id the one whose number is stored has it.
    pub(crate) holder: u64,
}

/// What is known of all boards.
#[derive(Debug, Default)]
pub(crate) struct BoardsState {
    pub(crate) limits: BoardLimits,
    /// Who draws no more, of the boards that are loaded.
    barred: HashMap<Room, HashSet<Arc<str>>>,
    /// Which connection draws under an id.
    holders: HashMap<(Room, u64), ConnId>,
}

/// What a person is called where it draws: its token's subject, or the name of the connection.
pub(crate) type PersonName = Arc<str>;

impl Hub {
    /// A subscription to a board has begun: its keeper says how the board is.
    pub(crate) fn read_board(&self, id: ConnId, key: SubscriptionKey, room: &Room) {
        let is_told =
            self.boards.get().is_some_and(|boards| boards.send(room, Job::Read { id, key }).is_ok());
        if !is_told {
            self.board_tells(id, key, room, &BoardEvent::Away {});
        }
    }

    /// Says something to all readers of a board here.
    pub(crate) fn board_says(&self, room: &Room, event: &BoardEvent) {
        let message = Message::json(topic(Destination::Board(room.clone())), event);
        self.publish(&self.lock(), &Class::Chat, &message);
    }

    /// Says something of a board to one subscription, if that is still there.
    pub(crate) fn board_tells(&self, id: ConnId, key: SubscriptionKey, room: &Room, event: &BoardEvent) {
        let destination = topic(Destination::Board(room.clone()));
        let state = self.lock();
        let is_read = state.broker.subscribers(&destination).any(|reader| reader == (id, key));
        if let Some(connection) = state.connections.get(&id).filter(|_| is_read) {
            self.put(&connection.mailbox, key, &Class::Chat, Message::json(destination, event));
        }
    }

    /// How many read a board here.
    pub(crate) fn board_readers(&self, room: &Room) -> usize {
        self.lock().broker.subscribers(&topic(Destination::Board(room.clone()))).count()
    }

    /// Answers a connection on its own queue.
    pub(crate) fn answer(&self, id: ConnId, reply: &Reply) {
        let state = self.lock();
        // A connection that is gone, or reads no replies, hears nothing.
        let Some(own) = state.connections.get(&id) else { return };
        let Some(key) = own.replies else { return };
        let to = Address { prefix: Prefix::User, path: Destination::Replies }.to_string();
        // As much as it asks for itself comes of this, and it asks at a bounded rate.
        self.put(&own.mailbox, key, &Class::Signal(own.sender.key()), Message::json(to, reply));
    }

    /// Whether a connection may draw on the board of `room` now.
    pub(crate) fn board_open_to(&self, id: ConnId, room: &Room) -> bool {
        let mut state = self.lock();
        let may_draw = state.may_draw_now(id, room);
        if let Some(own) = state.connections.get_mut(&id).and_then(|own| own.boards.get_mut(room)) {
            own.told = may_draw;
        }
        may_draw
    }

    /// A connection draws under an id from now on, and whoever did before does not.
    pub(crate) fn board_grips(&self, id: ConnId, room: &Room, grip: Grip) {
        let mut state = self.lock();
        let Some(connection) = state.connections.get_mut(&id) else { return };
        let own = connection.boards.entry(room.clone()).or_default();
        let before = own.grip.replace(grip);
        let holders = &mut state.replica.boards.holders;
        if let Some(before) = before.filter(|before| before.client != grip.client) {
            holders.remove(&(room.clone(), before.client));
        }
        let other = holders.insert((room.clone(), grip.client), id).filter(|other| *other != id);
        let other = other.and_then(|other| state.connections.get_mut(&other)?.boards.get_mut(room));
        if let Some(other) = other {
            other.grip = None;
        }
    }

    /// The board of `room` is loaded: these draw no more there.
    pub(crate) fn board_loaded(&self, room: &Room, barred: HashSet<PersonName>) {
        let mut state = self.lock();
        state.replica.boards.barred.insert(room.clone(), barred);
        self.tell_board_rights(&mut state, room);
    }

    /// Somebody draws no more on the board of `room`.
    pub(crate) fn board_bars(&self, room: &Room, person: PersonName) {
        let mut state = self.lock();
        state.replica.boards.barred.entry(room.clone()).or_default().insert(person);
        self.tell_board_rights(&mut state, room);
    }

    /// The board of `room` is not loaded any more.
    pub(crate) fn board_dropped(&self, room: &Room) {
        self.lock().replica.boards.barred.remove(room);
    }

    /// Tells those of the readers of a board whose right to draw is another one than they know.
    pub(super) fn tell_board_rights(&self, state: &mut State, room: &Room) {
        let destination = topic(Destination::Board(room.clone()));
        let readers: Vec<(ConnId, SubscriptionKey)> = state.broker.subscribers(&destination).collect();
        for (id, key) in readers {
            let may_draw = state.may_draw_now(id, room);
            let Some(connection) = state.connections.get_mut(&id) else { continue };
            let own = connection.boards.entry(room.clone()).or_default();
            if std::mem::replace(&mut own.told, may_draw) != may_draw {
                let event = BoardEvent::Rights { may_draw };
                let message = Message::json(destination.clone(), &event);
                self.put(&connection.mailbox, key, &Class::Chat, message);
            }
        }
    }

    /// Somebody who drew is gone.
    pub(super) fn tell_board_left(&self, state: &State, room: Room, client: u64) {
        let message = Message::json(topic(Destination::Board(room)), &BoardEvent::Left { client });
        self.publish(state, &Class::Chat, &message);
        self.tell_replicas(&Class::Chat, &message);
    }

    /// Whether somebody who has no connection here reads the board of `room`.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn board_fits_reader(&self, room: &Room, sender: &Sender) -> Result<(), Refusal> {
        self.lock().replica.may_read(room, sender)
    }

    /// Whether somebody who has no connection here draws on the board of `room`.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn board_fits_drawer(
        &self,
        room: &Room,
        sender: &Sender,
        by_token: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.lock().replica.fits_board(room, sender, by_token, now)
    }

    /// Whether there is drawing on the board of `room` at all, whoever asks.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn board_is_open(&self, room: &Room, sender: &Sender, now: Instant) -> Result<(), Refusal> {
        self.lock().replica.is_open(room, sender, now)
    }

    /// Whether somebody draws no more on the board of `room`, as far as that is in memory.
    pub(crate) fn board_is_barred(&self, room: &Room, person: &str) -> bool {
        self.lock().replica.boards.is_barred(room, person)
    }

    /// Whether somebody moderates in `room`: by its token, or made so in the call.
    pub(crate) fn board_moderated_by(&self, room: &Room, sender: &Sender) -> bool {
        self.lock().replica.moderates(room, sender)
    }

    /// Takes an update from the limits.
    ///
    /// # Errors
    /// [`Excess`].
    pub(crate) fn board_takes(&self, sender: &Sender, bytes: usize, now: Instant) -> Result<(), Excess> {
        self.lock().replica.boards.limits.update(sender, bytes, now)
    }

    /// Takes a client id, or a whole board, from the limits.
    ///
    /// # Errors
    /// [`TooFast`].
    pub(crate) fn board_opens(&self, sender: &Sender, now: Instant) -> Result<(), TooFast> {
        self.lock().replica.boards.limits.open(sender, now)
    }

    /// Takes an image from the limits.
    ///
    /// # Errors
    /// [`TooFast`].
    pub(crate) fn board_takes_image(&self, sender: &Sender, now: Instant) -> Result<(), TooFast> {
        self.lock().replica.boards.limits.image(sender, now)
    }
}

impl State {
    fn may_draw_now(&self, id: ConnId, room: &Room) -> bool {
        let Some(connection) = self.connections.get(&id) else { return false };
        let by_token = connection.boards.get(room).is_some_and(|own| own.by_token);
        let is_barred = match &connection.sender.person {
            Person::Subject(subject) => self.replica.boards.is_barred(room, subject),
            Person::Connection(_) => self.replica.boards.is_barred(room, &connection.name),
        };
        !is_barred && self.replica.may_draw(room, &connection.sender, by_token).is_ok()
    }

    /// A connection is gone: what it drew under.
    pub(super) fn let_boards_go(&mut self, id: ConnId, boards: HashMap<Room, OwnBoard>) -> Vec<(Room, u64)> {
        let mut left = Vec::new();
        for (room, own) in boards {
            let Some(Grip { client, .. }) = own.grip else { continue };
            let named = (room, client);
            // Somebody else may have it by now.
            if self.replica.boards.holders.get(&named) == Some(&id) {
                self.replica.boards.holders.remove(&named);
                left.push(named);
            }
        }
        left
    }
}

impl BoardsState {
    fn is_barred(&self, room: &Room, person: &str) -> bool {
        self.barred.get(room).is_some_and(|people| people.contains(person))
    }
}

impl Membership {
    /// The connection reads the board of `room`; its token says that it draws, or not.
    pub(crate) fn reads_board(&self, room: &Room, by_token: bool) {
        let mut state = self.hub.lock();
        if let Some(connection) = state.connections.get_mut(&self.id) {
            connection.boards.entry(room.clone()).or_default().by_token = by_token;
        }
    }

    /// The id under which this connection draws on the board of `room`.
    pub(crate) fn board_grip(&self, room: &Room) -> Option<Grip> {
        let state = self.hub.lock();
        state.connections.get(&self.id)?.boards.get(room)?.grip
    }

    /// Passes on what somebody shows at the moment, if that is not too often.
    ///
    /// # Errors
    /// The id is not this connection's.
    pub(crate) fn board_presence(
        &self,
        room: &Room,
        client: u64,
        event: &BoardEvent,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Self { hub, id, sender, .. } = self;
        let destination = topic(Destination::Board(room.clone()));
        // Of each client the latest counts: a reader that is slow misses those between.
        let class = Class::State(format!("{destination}#{client}").into());
        let message = Message::json(destination, event);
        let mut state = hub.lock();
        let grip = state.connections.get(id).and_then(|own| own.boards.get(room)?.grip);
        if grip.is_none_or(|grip| grip.client != client) {
            return Err(Refusal::BoardClient);
        }
        if state.replica.boards.limits.presence(sender, now) {
            hub.publish(&state, &class, &message);
            drop(state);
            hub.tell_replicas(&class, &message);
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> ConnId {
        self.id
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }
}
