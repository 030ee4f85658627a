//! Chats between connections and the database: what is asked goes to the writer, and what was committed to the readers.
//! The hub's lock is never held while the database is waited for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use contract::chat::{ChatEvent, ChatHistory, ChatMessage, ChatYou};
use contract::destination::{Address, Destination, Prefix};
use contract::room::Room;
use database::{Batch, CallFuture, Db, Error, Settled, Write, Writer};
use stomp_proto::outbox::Class;
use stomp_proto::session::SubscriptionKey;
use tokio::sync::{Notify, mpsc};

use super::{Hub, Membership, State, topic};
use crate::chat::job::{Act, Ask, Asker, Author, Done, GUEST, Job, MODERATOR, Outcome, Rank, Told};
use crate::chat::{self, Kept, News, To};
use crate::limits::ConnId;
use crate::mailbox::Message;
use crate::refusal::{Refusal, Request};
use crate::rights::Identity;

/// Jobs that wait for the database. One more is refused.
pub(crate) const MAX_JOBS: usize = 2_048;
/// Questions that wait for it. One more is refused.
pub(crate) const MAX_READS: usize = 512;
/// People of rooms that are not written again as known. Beyond, all are forgotten, and written once more.
const MAX_REMEMBERED: usize = 100_000;

/// What leads from the hub to the database.
pub(crate) struct Desk {
    pub(crate) writer: Writer<Job>,
    pub(crate) reads: mpsc::Sender<Read>,
    pub(crate) epoch: u64,
    pub(crate) db: Db,
}

/// A question to what is kept.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) room: Room,
    pub(crate) person: String,
    pub(crate) ask: Ask,
    asker: Asker,
}

/// What the hub has of chats beside their logs.
#[derive(Default)]
pub(crate) struct Chats {
    desk: std::sync::Mutex<Option<Arc<Desk>>>,
    /// Rung when a room has to be read.
    pub(crate) wanted: Notify,
    remembered: std::sync::Mutex<HashSet<(Room, String)>>,
}

impl Chats {
    fn desk(&self) -> Option<Arc<Desk>> {
        self.desk.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether somebody has to be written as known in a room.
    fn is_new(&self, room: &Room, person: &str) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert((room.clone(), person.to_owned()))
    }
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Hub {
    /// From now on chats are written and read.
    pub(crate) fn open_chats(&self, desk: Desk) {
        *self.chats.desk.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::new(desk));
    }

    /// Groups that were deleted before this process began: tokens of before may still be good.
    pub(crate) fn groups_ended(&self, rooms: impl IntoIterator<Item = Room>) {
        let mut state = self.lock();
        for room in rooms.into_iter().filter(|room| room.group().is_some()) {
            self.end_room(&mut state, &room, Instant::now());
        }
    }

    /// Nothing more is written: the writer ends when it has done what waits.
    pub(crate) fn close_chats(&self) {
        drop(self.chats.desk.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }

    /// Something was committed: those who read it here are told, and other replicas where it is from here.
    fn told(&self, room: &Room, told: &Told, is_own: bool) {
        let out = |message: &ChatMessage| outgoing(room, &ChatEvent::Message(message.clone()));
        let mut state = self.lock();
        let news = state.replica.chat.tell(room, told, out);
        self.spread(&state, room, news);
        drop(state);
        if is_own {
            let to = Address { prefix: Prefix::App, path: Destination::Chat(room.clone()) };
            self.tell_replicas(&Class::Chat, &Message::json(to.to_string(), told));
        }
        self.chats.wanted.notify_one();
    }

    /// What another replica has committed; false if it is none of that.
    pub(super) fn hear_chat(&self, destination: &str, body: &[u8]) -> bool {
        let Ok(Address { prefix: Prefix::App, path: Destination::Chat(room) }) = destination.parse() else {
            return false;
        };
        if let Ok(told) = serde_json::from_slice(body) {
            self.told(&room, &told, false);
        }
        true
    }

    fn spread(&self, state: &State, room: &Room, news: Vec<News>) {
        let waiting = state.replica.chat.waiting(room);
        let is_waiting = |reader: &(ConnId, SubscriptionKey)| waiting.is_some_and(|who| who.contains(reader));
        for News { to, event } in news {
            let message = outgoing(room, &event);
            let readers = state.broker.subscribers(&message.destination);
            for (id, key) in readers.filter(|reader| !is_waiting(reader)) {
                let Some(connection) = state.connections.get(&id) else { continue };
                let subject = connection.who.subject();
                match &to {
                    To::Everybody => {}
                    To::Two(two) if two.iter().any(|one| one == subject) => {}
                    To::Two(_) => continue,
                    To::Sanctioned(row) => {
                        let (rank, address) =
                            (state.replica.rank(&connection.who, room), connection.address());
                        if row.is_about(subject, rank, &address) {
                            let event =
                                state.sanction_now(room, subject, rank, &address).unwrap_or(event.clone());
                            self.put(&connection.mailbox, key, &Class::Chat, outgoing(room, &event));
                        }
                        continue;
                    }
                }
                self.put(&connection.mailbox, key, &Class::Chat, message.clone());
            }
        }
    }

    /// The beginning of a chat for a reader, if the chat is held; else it waits for it.
    pub(super) fn greet(&self, state: &mut State, room: &Room, id: ConnId, key: SubscriptionKey) {
        let epoch = self.chats.desk().map_or(0, |desk| desk.epoch);
        let Some(connection) = state.connections.get(&id) else { return };
        let (who, mailbox, address) =
            (connection.who.clone(), connection.mailbox.clone(), connection.address());
        let rank = state.replica.rank(&who, room);
        let Some(log) = state.replica.chat.get(room) else {
            state.replica.chat.wait(room, (id, key));
            self.chats.wanted.notify_one();
            return;
        };
        let subject = who.subject();
        let sanction = log.sanction(subject, rank, &address, now_ms()).map(chat::Sanctioned::shown);
        let open = ChatEvent::Open {
            epoch,
            last: log.last,
            settings: log.settings.clone(),
            pinned: log.pinned.clone(),
            you: ChatYou { id: subject.to_owned(), moderator: rank >= MODERATOR, sanction },
        };
        let messages: Vec<Arc<Message>> = log.messages(subject).cloned().collect();
        self.put(&mailbox, key, &Class::Chat, outgoing(room, &open));
        for message in messages {
            self.put(&mailbox, key, &Class::Chat, message);
        }
    }

    /// The next room to be read from the database, and up to which number it is known.
    pub(crate) fn next_wanted_chat(&self) -> Option<(Room, Option<u64>)> {
        let mut state = self.lock();
        let room = state.replica.chat.next_wanted()?;
        let since = state.replica.chat.settled(&room);
        Some((room, since))
    }

    /// A room could not be read, or something of it was missed.
    pub(crate) fn read_chat_again(&self, room: &Room) {
        self.lock().replica.chat.read_again(room);
        self.chats.wanted.notify_one();
    }

    /// A room was read.
    pub(crate) fn chat_arrived(&self, room: &Room, kept: Kept) {
        let out = |message: &ChatMessage| outgoing(room, &ChatEvent::Message(message.clone()));
        let has_ended = kept.has_ended;
        let mut state = self.lock();
        if has_ended && room.group().is_some() && !state.replica.barred.has_ended(room) {
            // It was deleted before this process began, or where another one heard of it.
            self.end_room(&mut state, room, Instant::now());
        }
        let arrived = state.replica.chat.arrive(room, kept, out);
        self.spread(&state, room, arrived.news);
        // Who has lost its part meanwhile has no subscription any more.
        let readers: HashSet<_> = state.broker.subscribers(&topic(Destination::Chat(room.clone()))).collect();
        for (id, key) in arrived.waiting.into_iter().filter(|reader| readers.contains(reader)) {
            let sender = state.connections.get(&id).map(|connection| &connection.sender);
            if sender.is_some_and(|sender| state.replica.may_read(room, sender).is_ok()) {
                self.greet(&mut state, room, id, key);
            }
        }
    }

    /// The group or the broadcast of `room` was deleted: its chat is over, whoever has a token, and after a restart too.
    ///
    /// # Errors
    /// The database's: then it has to be told again.
    pub(crate) async fn end_chat(&self, room: &Room) -> Result<(), Error> {
        let Some(desk) = self.chats.desk() else { return Err(Error::Failed("chats are closed".into())) };
        chat::store::end(&desk.db, room, now_ms()).await?;
        self.read_chat_again(room);
        Ok(())
    }

    /// Versions of rooms as the database has them: those that are behind are read again.
    pub(crate) fn chat_versions(&self, versions: Vec<(String, i64)>) {
        let mut state = self.lock();
        let mut behind = false;
        for (room, version) in versions {
            let Ok(room) = room.parse::<Room>() else { continue };
            if state.replica.chat.version(&room).is_some_and(|own| own < version) {
                state.replica.chat.read_again(&room);
                behind = true;
            }
        }
        drop(state);
        if behind {
            self.chats.wanted.notify_one();
        }
    }

    fn refuse(&self, asker: Option<Asker>, refusal: &Refusal) {
        self.metrics.refused(refusal.label());
        if let Some(Asker { connection, request }) = asker {
            self.answer(connection, &request.refused(refusal));
        }
    }

    /// What was read for somebody.
    pub(crate) fn chat_read(&self, read: Read, found: Result<Found, Error>) {
        let Asker { connection, request } = read.asker;
        // What it may read can be different now.
        let fits = {
            let state = self.lock();
            let Some(asks) = state.connections.get(&connection) else { return };
            let is_moderator = state.replica.rank(&asks.who, &read.room) >= MODERATOR;
            match state.replica.may_read(&read.room, &asks.sender) {
                Ok(()) if read.ask == Ask::Bans && !is_moderator => Err(Refusal::NotModerator),
                fits => fits,
            }
        };
        if let Err(refusal) = fits {
            self.refuse(Some(Asker { connection, request }), &refusal);
            return;
        }
        let reply = match found {
            Ok(Found::History(history)) => request.history(history),
            Ok(Found::Bans(bans)) => request.bans(bans),
            Err(error) => {
                tracing::debug!(%error, "a chat was not read");
                self.metrics.refused(Refusal::Unavailable.label());
                Some(request.refused(&Refusal::Unavailable))
            }
        };
        if let Some(reply) = reply {
            self.answer(connection, &reply);
        }
    }

    /// Somebody reads a room: known there from now on.
    fn remember(&self, room: &Room, who: &Identity, rank: Rank, address: String) {
        let Some(desk) = self.chats.desk() else { return };
        let Some(person) = who.token_subject().filter(|_| !who.is_service()) else { return };
        if !self.chats.is_new(room, person) {
            return;
        }
        let name = chat::shown_name(who.name());
        let author = Author { id: person.to_owned(), name, host: false, rank, address };
        let job = Job { room: room.clone(), author, act: Act::Known, at: now_ms(), asker: None };
        // Under load it is known a little later: with what it writes.
        let _ = desk.writer.submit(job);
    }
}

/// What a question comes to.
#[derive(Debug)]
pub(crate) enum Found {
    History(ChatHistory),
    Bans(Vec<contract::chat::ChatBan>),
}

impl Membership {
    /// Hands a change of a chat to the database; the answer comes when it is committed.
    ///
    /// # Errors
    /// [`Refusal::Busy`], [`Refusal::Unavailable`]: nothing was handed on.
    pub(crate) fn write_chat(
        &self,
        who: &Identity,
        room: Room,
        act: Act,
        name: Option<&str>,
        request: &Request,
    ) -> Result<(), Refusal> {
        let Some(desk) = self.hub.chats.desk() else { return Err(Refusal::Unavailable) };
        let mut act = act;
        let rank = {
            let state = self.hub.lock();
            if let Act::Say { to: Some(to), .. } = &mut act {
                to.name = chat::shown_name(state.replica.rooms.name_of(&room, &to.id));
            }
            state.replica.rank(who, &room)
        };
        let name = match (who.name().or(name), &act) {
            (None, Act::Say { .. }) => chat::shown_name(None),
            // Nobody is called by a name that it never gave.
            (None, _) => who.subject().to_owned(),
            (Some(name), _) => chat::shown_name(Some(name)),
        };
        let author = Author {
            id: who.subject().to_owned(),
            name,
            host: who.is_host(&room),
            rank,
            address: self.sender.address.to_string(),
        };
        let asker = Some(Asker { connection: self.id, request: request.clone() });
        let job = Job { room, author, act, at: now_ms(), asker };
        desk.writer.submit(job).map_err(|_| Refusal::Busy)
    }

    /// Asks what is kept of a chat.
    ///
    /// # Errors
    /// As [`Membership::write_chat`].
    pub(crate) fn read_chat(
        &self,
        who: &Identity,
        room: Room,
        ask: Ask,
        request: &Request,
    ) -> Result<(), Refusal> {
        let Some(desk) = self.hub.chats.desk() else { return Err(Refusal::Unavailable) };
        let asker = Asker { connection: self.id, request: request.clone() };
        let read = Read { room, person: who.subject().to_owned(), ask, asker };
        desk.reads.try_send(read).map_err(|_| Refusal::Busy)
    }

    /// The connection reads the chat of `room` from now on.
    pub(super) fn enter_chat(&self, state: &mut State, room: &Room, key: SubscriptionKey) {
        self.hub.greet(state, room, self.id, key);
        if let Some(connection) = state.connections.get(&self.id) {
            let (who, rank) = (connection.who.clone(), state.replica.rank(&connection.who, room));
            if rank > GUEST {
                self.hub.remember(room, &who, rank, self.sender.address.to_string());
            }
        }
    }
}

impl State {
    /// What keeps somebody from writing now, as it is told.
    fn sanction_now(&self, room: &Room, person: &str, rank: Rank, address: &str) -> Option<ChatEvent> {
        let log = self.replica.chat.peek(room)?;
        log.sanction(person, rank, address, now_ms()).map(|row| ChatEvent::Sanction(row.shown()))
    }
}

fn outgoing(room: &Room, event: &ChatEvent) -> Arc<Message> {
    Message::json(topic(Destination::Chat(room.clone())), event)
}

/// Writes chats, and tells of what was written.
pub(crate) struct Scribe(pub(crate) Arc<Hub>);

impl Batch for Scribe {
    type Job = Job;
    type Done = Done;

    fn write<'a>(&'a self, write: &'a mut Write, jobs: &'a [Job]) -> CallFuture<'a, Vec<Done>> {
        Box::pin(chat::write(write, jobs))
    }

    fn settled(&self, jobs: Vec<Settled<Job, Done>>) {
        let hub = &self.0;
        for (Job { room, asker, .. }, result) in jobs {
            match result {
                Ok(Ok(Outcome { seq, told })) => {
                    hub.metrics.chat_writes("done");
                    if let Some(Asker { connection, request }) = asker
                        && let Some(reply) = request.done(seq)
                    {
                        hub.answer(connection, &reply);
                    }
                    if let Some(told) = told {
                        hub.told(&room, &told, true);
                    }
                }
                Ok(Err(refusal)) => {
                    hub.metrics.chat_writes("refused");
                    hub.refuse(asker, &refusal);
                }
                Err(error) => {
                    hub.metrics.chat_writes("failed");
                    tracing::warn!(%error, "a change of a chat was not written");
                    hub.refuse(asker, &Refusal::Unavailable);
                    // It may have been written all the same: then its readers have to see it.
                    hub.read_chat_again(&room);
                }
            }
        }
    }
}
