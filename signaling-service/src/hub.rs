//! The broker of this replica: its connections, who reads what, and what the replica knows, behind one lock that
//! nobody holds while waiting.

mod boards;
mod calls;
pub(crate) mod chats;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::destination::{Address, BroadcastState, Destination, NodeTracks, NodeViewers, Prefix};
use contract::group::GroupChanged;
use contract::id::{BroadcastId, NodeId};
use contract::rest::{BroadcastChanged, RoomReport};
use contract::room::Room;
use service_kit::shutdown::CancellationToken;
use stomp_proto::Headers;
use stomp_proto::broker::Broker;
use stomp_proto::outbox::{Caps, Class, Pushed};
use stomp_proto::session::SubscriptionKey;

use boards::OwnBoard;
pub(crate) use boards::{BoardsState, Grip};
use calls::of_members;

use crate::boards::Boards;
use crate::bus::{Bus, Envelope};
use crate::limits::{ConnId, Demand, MAX_JOINED, Person, Sender, subscription_cost};
use crate::mailbox::{Mailbox, Message};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::replica::{Change, Replica};
use crate::rights::Identity;
use crate::unknown::Asked;
use crate::work::Work;

/// How often [`Hub::tick`] runs: counts go out at most once a second.
pub(crate) const TICK: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Connection {
    who: Arc<Identity>,
    sender: Sender,
    mailbox: Arc<Mailbox>,
    joined: HashSet<Room>,
    /// Where it reads what others answer to it.
    replies: Option<SubscriptionKey>,
    /// What it is called where it has no token.
    name: Arc<str>,
    boards: HashMap<Room, OwnBoard>,
}

impl Connection {
    /// Its network, as chats keep it.
    fn address(&self) -> String {
        self.sender.address.to_string()
    }
}

#[derive(Debug, Default)]
struct State {
    broker: Broker<ConnId>,
    connections: HashMap<ConnId, Connection>,
    replica: Replica,
}

/// The shared broker.
pub(crate) struct Hub {
    state: Mutex<State>,
    next: AtomicU64,
    name: Arc<str>,
    bus: Arc<dyn Bus>,
    pub(crate) chats: chats::Chats,
    pub(crate) metrics: Metrics,
    /// The whiteboards, once they are there.
    pub(crate) boards: OnceLock<Boards>,
    /// Cancelled when the clients are to be told that the service goes away.
    pub(crate) draining: CancellationToken,
}

/// A person has as many connections as it may have.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many connections with this token")]
pub(crate) struct TooManyConnections;

impl Hub {
    pub(crate) fn new(name: &str, bus: Arc<dyn Bus>, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            next: AtomicU64::new(1),
            name: name.into(),
            bus,
            chats: chats::Chats::default(),
            metrics,
            boards: OnceLock::new(),
            draining: CancellationToken::new(),
        })
    }

    /// Admits a connection that has said who it is. It leaves when the membership is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        who: &Identity,
        address: IpAddr,
    ) -> Result<Membership, TooManyConnections> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let is_service = who.is_service();
        let person = who.token_subject().map_or(Person::Connection(id), |sub| Person::Subject(sub.into()));
        let mut state = self.lock();
        if !is_service && !state.replica.enter(&person) {
            return Err(TooManyConnections);
        }
        let mailbox = Mailbox::new(if is_service { Caps::SERVICE } else { Caps::CLIENT });
        let sender = Sender { person, address, is_service, moderates: who.moderates() };
        let connection = Connection {
            who: Arc::new(who.clone()),
            sender: sender.clone(),
            mailbox: mailbox.clone(),
            joined: HashSet::new(),
            replies: None,
            name: who.subject().into(),
            boards: HashMap::new(),
        };
        state.connections.insert(id, connection);
        Ok(Membership { hub: self.clone(), id, sender, mailbox })
    }

    /// A node's part of the viewer counts.
    pub(crate) fn node_viewers(&self, node: &NodeId, report: NodeViewers, now: Instant) {
        self.lock().replica.viewers.report(node, report, now);
    }

    /// What a node's publishers send.
    pub(crate) fn node_tracks(&self, node: &NodeId, report: NodeTracks, now: Instant) {
        let mut state = self.lock();
        let different = state.replica.broadcasts.tracks(node, report, now);
        different.into_iter().for_each(|id| self.publish_broadcast(&mut state, id));
    }

    /// Meta announced a broadcast.
    pub(crate) fn broadcast_changed(&self, told: BroadcastChanged) {
        let id = told.broadcast.id;
        let mut state = self.lock();
        if state.replica.broadcasts.changed(told) {
            self.publish_broadcast(&mut state, id);
        }
    }

    /// Meta announced a group. Nothing is kept of it: who subscribes reads the group of meta, and of two announcements the
    /// one with the higher version counts, however they arrive.
    pub(crate) fn group_changed(&self, told: &GroupChanged, now: Instant) {
        let destination = topic(Destination::Group(told.group.id.clone()));
        let class = Class::State(destination.as_str().into());
        let mut state = self.lock();
        self.publish(&state, &class, &Message::json(destination, told));
        if told.deleted {
            self.end_room(&mut state, &Room::from(&told.group.id), now);
        }
    }

    /// Once a second: drops what was not renewed and publishes the counts that changed.
    pub(crate) fn tick(&self, now: Instant) {
        let mut state = self.lock();
        for id in state.replica.expire(now) {
            self.publish_broadcast(&mut state, id);
        }
        for room in state.replica.viewers.take_changed() {
            let Some(Change { room, presence, viewers }) = state.replica.take_change(room) else { continue };
            let destination = topic(Destination::Presence(room.clone()));
            let message = Message::json(destination.clone(), &presence);
            self.publish(&state, &Class::State(destination.into()), &message);
            if let Some(id) = room.broadcast().filter(|_| viewers) {
                self.publish_broadcast(&mut state, id);
            }
        }
        self.metrics.rooms.set(i64::try_from(state.replica.viewers.len()).unwrap_or(i64::MAX));
    }

    /// Viewers of `room` now.
    pub(crate) fn count(&self, room: &Room) -> i64 {
        self.lock().replica.viewers.count(room)
    }

    /// The numbers of every broadcast's room that has anyone.
    pub(crate) fn numbers(&self) -> Vec<RoomReport> {
        self.lock().replica.viewers.numbers()
    }

    /// A broadcast that someone asked for and meta has not told of.
    pub(crate) fn next_unknown(&self, now: Instant) -> Option<Asked> {
        self.lock().replica.next_unknown(now)
    }

    /// Meta did not answer: it is asked again.
    pub(crate) fn ask_again(&self, asked: Asked, now: Instant) {
        self.lock().replica.unknown.ask_again(asked, now);
    }

    /// Meta does not have `id`.
    pub(crate) fn is_not_there(&self, id: BroadcastId, now: Instant) {
        self.lock().replica.unknown.is_not_there(id, now);
    }

    /// A message of another replica.
    pub(crate) fn hear(&self, envelope: Envelope, now: Instant) {
        let is_own = envelope.origin == self.name;
        if is_own
            || self.hear_node(&envelope.destination, &envelope.body, now)
            || self.hear_chat(&envelope.destination, &envelope.body)
        {
            return;
        }
        let message = Message::new(envelope.destination, envelope.headers, envelope.body);
        self.publish(&self.lock(), &envelope.class, &message);
    }

    fn publish_broadcast(&self, state: &mut State, id: BroadcastId) {
        let latest = state.replica.broadcast(id);
        let one = topic(Destination::Broadcast(id));
        let class = Class::State(one.as_str().into());
        self.publish(state, &class, &Message::json(one, &latest));
        let brief = BroadcastState { tracks: Vec::new(), ..latest };
        self.publish(state, &class, &Message::json(topic(Destination::Broadcasts), &brief));
    }

    /// Puts a message into the queue of each subscriber; false if one of them had no room for it.
    fn publish(&self, state: &State, class: &Class, message: &Arc<Message>) -> bool {
        let mut taken = true;
        for (id, key) in state.broker.subscribers(&message.destination) {
            if let Some(connection) = state.connections.get(&id) {
                taken &= self.put(&connection.mailbox, key, class, message.clone());
            }
        }
        taken
    }

    fn tell_replicas(&self, class: &Class, message: &Message) {
        self.bus.publish(Envelope {
            origin: self.name.clone(),
            destination: message.destination.clone(),
            headers: message.headers.clone(),
            body: message.body.clone(),
            class: class.clone(),
        });
    }

    fn put(&self, mailbox: &Mailbox, key: SubscriptionKey, class: &Class, message: Arc<Message>) -> bool {
        match mailbox.push(key, class, message) {
            Pushed::Queued | Pushed::Replaced => {}
            Pushed::Dropped(count) => {
                self.metrics.dropped(if *class == Class::Chat { "chat" } else { "state" }, count);
            }
            Pushed::Full => {
                self.metrics.dropped("full", 1);
                return false;
            }
        }
        self.metrics.delivered.inc();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data that every critical section leaves whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the hub. Whatever ends the connection, dropping this takes its subscriptions, its joins and
/// its queue away.
pub(crate) struct Membership {
    hub: Arc<Hub>,
    id: ConnId,
    sender: Sender,
    mailbox: Arc<Mailbox>,
}

impl Membership {
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// A subscription begins; what is there already goes to it first.
    pub(crate) fn subscribe(&self, key: SubscriptionKey, address: &Address, now: Instant) {
        let Self { hub, id, sender, mailbox } = self;
        let destination = address.to_string();
        let mut state = hub.lock();
        // It may have lost its part while it was held back.
        if let Some(room) = of_members(&address.path)
            && state.replica.may_read(room, sender).is_err()
        {
            return;
        }
        state.broker.subscribe(*id, key, &destination);
        hub.metrics.subscriptions.inc();
        match &address.path {
            // A node that listens in is not the streamer.
            Destination::Room(room) if !sender.is_service => state.replica.viewers.stream(room, *id),
            Destination::Chat(room) => {
                self.enter_chat(&mut state, room, key);
                state.replica.chatters.enter(room, sender);
                state.replica.viewers.mark(room);
            }
            Destination::RoomState(room) => {
                if let Some(message) = state.room_state(room) {
                    hub.put(mailbox, key, &Class::Chat, message);
                }
            }
            Destination::Presence(room) => {
                let message = Message::json(destination.clone(), &state.replica.presence(room));
                hub.put(mailbox, key, &Class::State(destination.into()), message);
            }
            Destination::Broadcast(broadcast) => {
                state.replica.ask_if_unknown(*broadcast, sender, now);
                let message = Message::json(destination.clone(), &state.replica.broadcast(*broadcast));
                hub.put(mailbox, key, &Class::State(destination.into()), message);
            }
            _ => {}
        }
    }

    /// A subscription has ended.
    pub(crate) fn unsubscribe(&self, key: SubscriptionKey) {
        let mut state = self.hub.lock();
        let Some(destination) = state.broker.unsubscribe(self.id, key) else { return };
        self.hub.metrics.subscriptions.dec();
        match destination.parse().map(|address: Address| address.path) {
            Ok(Destination::Room(room)) => state.replica.viewers.unstream(&room, self.id),
            Ok(Destination::Chat(room)) => state.replica.leave_chat(&room, &self.sender),
            _ => {}
        }
    }

    /// Asks every limit, and whether things are such that `works` can be done, for all of them together. Gives back
    /// how long they have to be held back.
    ///
    /// # Errors
    /// Why none of it may be done; then nothing is taken from any limit.
    pub(crate) fn admit(&self, who: &Identity, works: &[Work], now: Instant) -> Result<Duration, Refusal> {
        let mut guard = self.hub.lock();
        let state = &mut *guard;
        let joined = state.connections.get(&self.id).map(|connection| &connection.joined);
        let rooms = works.iter().filter_map(|work| match work {
            Work::Relay { joins, .. } => joins.as_ref(),
            _ => None,
        });
        let new: HashSet<&Room> =
            rooms.filter(|room| joined.is_none_or(|own| !own.contains(*room))).collect();
        if joined.map_or(0, HashSet::len) + new.len() > MAX_JOINED {
            return Err(Refusal::TooManyRooms);
        }
        let mut demand = Demand::default();
        for work in works {
            state.replica.fits(who, &self.sender, work, now)?;
            demand = demand.and(work.demand());
        }
        Ok(state.replica.limits.admit(&self.sender, demand, now)?)
    }

    /// Asks the limits of subscriptions. Gives back how long this one has to be held back.
    ///
    /// # Errors
    /// It is one too many, or of a call in which its reader has no part any more.
    pub(crate) fn admit_subscription(&self, address: &Address, now: Instant) -> Result<Duration, Refusal> {
        let demand = Demand { subscriptions: subscription_cost(&address.path), ..Demand::default() };
        let mut state = self.hub.lock();
        if let Some(room) = of_members(&address.path) {
            state.replica.may_read(room, &self.sender)?;
        }
        Ok(state.replica.limits.admit(&self.sender, demand, now)?)
    }

    /// The connection watches `room` from now on.
    pub(crate) fn join(&self, room: &Room, subject: Option<&str>) {
        let mut state = self.hub.lock();
        let Some(connection) = state.connections.get_mut(&self.id) else { return };
        connection.joined.insert(room.clone());
        state.replica.viewers.join(room, self.id, subject, self.sender.address);
    }

    /// Relays a message unchanged to the subscribers of `to`, here and on other replicas.
    ///
    /// # Errors
    /// [`Refusal::Full`] if a reader here has no room for it; the others have it.
    pub(crate) fn relay(&self, to: &Address, headers: Headers, body: Bytes) -> Result<(), Refusal> {
        let message = Message::new(to.to_string(), headers, body);
        let class = Class::Signal(self.sender.key());
        let taken = self.hub.publish(&self.hub.lock(), &class, &message);
        self.hub.tell_replicas(&class, &message);
        if taken { Ok(()) } else { Err(Refusal::Full) }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        if !self.sender.is_service {
            state.replica.leave(&self.sender.person);
        }
        let (mut rooms, boards) =
            state.connections.remove(&self.id).map(|own| (own.joined, own.boards)).unwrap_or_default();
        for (room, client) in state.let_boards_go(self.id, boards) {
            self.hub.tell_board_left(&state, room, client);
        }
        for destination in state.broker.remove(self.id) {
            self.hub.metrics.subscriptions.dec();
            match destination.parse().map(|address: Address| address.path) {
                Ok(Destination::Room(room)) => drop(rooms.insert(room)),
                Ok(Destination::Chat(room)) => state.replica.leave_chat(&room, &self.sender),
                _ => {}
            }
        }
        state.replica.viewers.leave(self.id, &rooms);
    }
}

fn topic(path: Destination) -> String {
    Address { prefix: Prefix::Topic, path }.to_string()
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::bus::InMemoryBus;

    #[test]
    fn who_loses_its_part_while_a_chat_is_read_gets_none_of_it() {
        let metrics = Metrics::register(&mut Registry::default());
        let hub = Hub::new("test", Arc::new(InMemoryBus::default()), metrics);
        let room: Room = "grp_a".parse().unwrap();
        let keys = contract::token::TokenKeys::new("0123456789abcdef0123456789abcdef", None).unwrap();
        let claims = |sub: &str| {
            let role = contract::token::Role::Creator;
            keys.verify(&keys.mint(sub, role, 1_000, 60), 1_000).unwrap()
        };
        let enter = |sub: &str| {
            let who = Identity::new(Some(claims(sub)), String::new());
            hub.enter(&who, IpAddr::from([192, 0, 2, 1])).unwrap()
        };
        let (stays, goes) = (enter("par_stays"), enter("par_goes"));
        let address = "/topic/-/chat/grp_a".parse().unwrap();
        for member in [&stays, &goes] {
            member.subscribe(SubscriptionKey(1), &address, Instant::now());
        }
        {
            let mut state = hub.lock();
            state.replica.barred.remove(&room, "par_goes", Instant::now());
            hub.settle(&mut state, &room, &[]);
        }
        let message = contract::chat::ChatMessage { seq: 1, ..Default::default() };
        let kept = crate::chat::Kept { last: 1, version: 1, messages: vec![message], ..Default::default() };
        hub.chat_arrived(&room, kept);
        assert_eq!(hub.metrics.delivered.get(), 2, "the beginning and one message, to one reader");
    }

    #[test]
    fn a_connection_that_panics_leaves_nothing_behind() {
        let metrics = Metrics::register(&mut Registry::default());
        let hub = Hub::new("test", Arc::new(InMemoryBus::default()), metrics);
        let room: Room = "7".parse().unwrap();
        let own = hub.clone();
        let panicked = std::thread::spawn(move || {
            let who = Identity::new(None, "guest".into());
            let membership = own.enter(&who, IpAddr::from([192, 0, 2, 1])).unwrap();
            let address = "/topic/7".parse().unwrap();
            membership.subscribe(SubscriptionKey(1), &address, Instant::now());
            let address = "/topic/-/chat/7".parse().unwrap();
            membership.subscribe(SubscriptionKey(2), &address, Instant::now());
            membership.join(&"7".parse().unwrap(), None);
            assert_eq!(own.count(&"7".parse().unwrap()), 1);
            panic!("as a handler might");
        });
        assert!(panicked.join().is_err());
        assert_eq!(hub.count(&room), 0);
        let state = hub.lock();
        assert!(
            state.connections.is_empty() && state.broker.is_empty() && hub.metrics.subscriptions.get() == 0
        );
        assert!(state.replica.viewers.len() == 0 && state.replica.chatters.is_empty());
    }
}
