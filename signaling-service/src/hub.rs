//! The broker of this replica: all state that connections share, behind one lock that nobody holds while waiting.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::destination::{
    Address, BroadcastState, Destination, NodeTracks, NodeViewers, Prefix, Presence,
};
use contract::id::{BroadcastId, NodeId};
use contract::rest::{Broadcast, RoomReport};
use contract::room::Room;
use serde::Serialize;
use service_kit::shutdown::CancellationToken;
use stomp_proto::Headers;
use stomp_proto::broker::Broker;
use stomp_proto::outbox::{Caps, Class, Next, Outbox, Pushed};
use stomp_proto::session::SubscriptionKey;
use tokio::sync::Notify;

use crate::access::Identity;
use crate::broadcasts::Broadcasts;
use crate::bus::{Bus, Envelope};
use crate::chat::{self, Logs};
use crate::metrics::Metrics;
use crate::viewers::{ConnId, Viewers};

/// Rooms that one connection may join as a peer-to-peer viewer.
pub(crate) const MAX_JOINED: usize = 100;
/// Broadcasts that wait to be asked of meta; beyond, a subscriber waits for the next announcement.
const MAX_UNKNOWN: usize = 256;

/// A message as it goes to every subscriber.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) destination: String,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl Message {
    pub(crate) fn new(destination: String, headers: Headers, body: Bytes) -> Arc<Self> {
        Arc::new(Self { destination, headers, body })
    }

    /// A message of ours, in JSON.
    pub(crate) fn json(destination: String, body: &impl Serialize) -> Arc<Self> {
        let body = serde_json::to_vec(body).expect("bodies of strings and numbers serialise");
        let headers = [("content-type", "application/json")].into_iter().collect();
        Self::new(destination, headers, body.into())
    }

    fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.body.len() + self.destination.len() + headers
    }
}

/// The bounded queue of one connection, and its bell.
#[derive(Debug)]
pub(crate) struct Mailbox {
    outbox: Mutex<Outbox<Arc<Message>>>,
    bell: Notify,
    too_slow: AtomicBool,
}

impl Mailbox {
    fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self {
            outbox: Mutex::new(Outbox::new(caps)),
            bell: Notify::new(),
            too_slow: AtomicBool::new(false),
        })
    }

    pub(crate) fn pop(&self) -> Option<Next<Arc<Message>>> {
        lock(&self.outbox).pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.outbox).is_empty()
    }

    pub(crate) fn is_too_slow(&self) -> bool {
        self.too_slow.load(Ordering::Relaxed)
    }

    pub(crate) async fn ring(&self) {
        self.bell.notified().await;
    }
}

/// A mutex holds plain data that every critical section leaves whole, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Connection {
    mailbox: Arc<Mailbox>,
    is_service: bool,
    joined: HashSet<Room>,
}

#[derive(Debug)]
struct State {
    broker: Broker<ConnId>,
    connections: HashMap<ConnId, Connection>,
    viewers: Viewers,
    broadcasts: Broadcasts,
    chat: Logs<Arc<Message>>,
    presence: HashMap<Room, Presence>,
    unknown: VecDeque<BroadcastId>,
}

/// The shared broker.
pub(crate) struct Hub {
    state: Mutex<State>,
    next: AtomicU64,
    pub(crate) open: AtomicU64,
    replica: Arc<str>,
    bus: Arc<dyn Bus>,
    pub(crate) metrics: Metrics,
    /// Cancelled when the clients are to be told that the service goes away.
    pub(crate) draining: CancellationToken,
}

/// A connection may not join any more rooms.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a connection joins at most {MAX_JOINED} rooms")]
pub(crate) struct TooManyRooms;

impl Hub {
    pub(crate) fn new(replica: &str, bus: Arc<dyn Bus>, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                broker: Broker::default(),
                connections: HashMap::new(),
                viewers: Viewers::default(),
                broadcasts: Broadcasts::default(),
                chat: Logs::new(|message| message.bytes(), chat::MAX_BYTES),
                presence: HashMap::new(),
                unknown: VecDeque::new(),
            }),
            next: AtomicU64::new(1),
            open: AtomicU64::new(0),
            replica: replica.into(),
            bus,
            metrics,
            draining: CancellationToken::new(),
        })
    }

    /// Admits a connection that has said who it is.
    pub(crate) fn enter(&self, who: &Identity) -> (ConnId, Arc<Mailbox>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let is_service = who.is_service();
        let mailbox = Mailbox::new(if is_service { Caps::SERVICE } else { Caps::CLIENT });
        let connection = Connection { mailbox: mailbox.clone(), is_service, joined: HashSet::new() };
        lock(&self.state).connections.insert(id, connection);
        (id, mailbox)
    }

    /// A connection is gone: its subscriptions, joins and queue go with it.
    pub(crate) fn leave(&self, id: ConnId) {
        let mut state = lock(&self.state);
        let Some(connection) = state.connections.remove(&id) else { return };
        let mut rooms = connection.joined;
        for destination in state.broker.remove(id) {
            self.metrics.subscriptions.dec();
            match destination.parse().map(|address: Address| address.path) {
                Ok(Destination::Room(room)) => drop(rooms.insert(room)),
                Ok(Destination::Chat(room)) => state.viewers.mark(&room),
                _ => {}
            }
        }
        state.viewers.leave(id, &rooms);
    }

    /// A subscription begins; what is there already goes to it first.
    pub(crate) fn subscribe(&self, id: ConnId, key: SubscriptionKey, address: &Address) {
        let destination = address.to_string();
        let mut state = lock(&self.state);
        let Some(connection) = state.connections.get(&id) else { return };
        let (mailbox, is_service) = (connection.mailbox.clone(), connection.is_service);
        state.broker.subscribe(id, key, &destination);
        self.metrics.subscriptions.inc();
        match &address.path {
            // A node that listens in is not the streamer.
            Destination::Room(room) if !is_service => state.viewers.stream(room, id),
            Destination::Chat(room) => {
                for message in state.chat.history(room) {
                    self.put(&mailbox, is_service, key, &Class::Chat, message.clone());
                }
                state.viewers.mark(room);
            }
            Destination::Presence(room) => {
                let message = Message::json(destination.clone(), &state.presence(room));
                self.put(&mailbox, is_service, key, &Class::State(destination.into()), message);
            }
            Destination::Broadcast(broadcast) => {
                if !state.broadcasts.is_known(*broadcast) {
                    state.ask(*broadcast);
                }
                let message = Message::json(destination.clone(), &state.broadcast(*broadcast));
                self.put(&mailbox, is_service, key, &Class::State(destination.into()), message);
            }
            _ => {}
        }
    }

    /// A subscription has ended.
    pub(crate) fn unsubscribe(&self, id: ConnId, key: SubscriptionKey) {
        let mut state = lock(&self.state);
        let Some(destination) = state.broker.unsubscribe(id, key) else { return };
        self.metrics.subscriptions.dec();
        match destination.parse().map(|address: Address| address.path) {
            Ok(Destination::Room(room)) => state.viewers.unstream(&room, id),
            Ok(Destination::Chat(room)) => state.viewers.mark(&room),
            _ => {}
        }
    }

    /// Whether `id` may join all of `rooms`.
    pub(crate) fn may_join<'a>(
        &self,
        id: ConnId,
        rooms: impl Iterator<Item = &'a Room>,
    ) -> Result<(), TooManyRooms> {
        let state = lock(&self.state);
        let Some(connection) = state.connections.get(&id) else { return Ok(()) };
        let new: HashSet<&Room> = rooms.filter(|room| !connection.joined.contains(*room)).collect();
        if connection.joined.len() + new.len() > MAX_JOINED { Err(TooManyRooms) } else { Ok(()) }
    }

    /// `id` watches `room` from now on.
    pub(crate) fn join(&self, id: ConnId, room: &Room, subject: Option<&str>) {
        let mut state = lock(&self.state);
        let Some(connection) = state.connections.get_mut(&id) else { return };
        connection.joined.insert(room.clone());
        state.viewers.join(room, id, subject);
    }

    /// Relays a message unchanged to the subscribers of `to`, here and on other replicas.
    pub(crate) fn relay(&self, to: &Address, headers: Headers, body: Bytes) {
        let message = Message::new(to.to_string(), headers, body);
        let mut state = lock(&self.state);
        self.publish(&mut state, &Class::Signal, &message, true);
    }

    /// Adds a chat message that `make` builds from its number, and sends it to the room.
    pub(crate) fn chat<T: Serialize>(&self, room: &Room, make: impl FnOnce(u64) -> T) {
        let destination =
            Address { prefix: Prefix::Topic, path: Destination::Chat(room.clone()) }.to_string();
        let mut state = lock(&self.state);
        let message = state.chat.add(room, |seq| Message::json(destination, &make(seq)));
        self.publish(&mut state, &Class::Chat, &message, true);
    }

    /// A node's part of the viewer counts.
    pub(crate) fn node_viewers(&self, node: &NodeId, report: NodeViewers, now: Instant) {
        lock(&self.state).viewers.report(node, report, now);
    }

    /// What a node's publishers send.
    pub(crate) fn node_tracks(&self, node: &NodeId, report: NodeTracks, now: Instant) {
        let mut state = lock(&self.state);
        let different = state.broadcasts.tracks(node, report, now);
        different.into_iter().for_each(|id| self.publish_broadcast(&mut state, id));
    }

    /// Meta announced a broadcast.
    pub(crate) fn broadcast_changed(&self, broadcast: Broadcast) {
        let id = broadcast.id;
        let mut state = lock(&self.state);
        if state.broadcasts.changed(broadcast) {
            self.publish_broadcast(&mut state, id);
        }
    }

    /// Once a second: drops what was not renewed and publishes the counts that changed.
    pub(crate) fn tick(&self, now: Instant) {
        let mut state = lock(&self.state);
        state.viewers.expire(now);
        for id in state.broadcasts.expire(now) {
            self.publish_broadcast(&mut state, id);
        }
        for room in state.viewers.take_changed() {
            let presence = state.presence(&room);
            let before = state.presence.get(&room).map_or(0, |before| before.viewer_count);
            if state.presence.get(&room) == Some(&presence) {
                continue;
            }
            let count = presence.viewer_count;
            let path = Destination::Presence(room.clone());
            let destination = Address { prefix: Prefix::Topic, path }.to_string();
            let message = Message::json(destination.clone(), &presence);
            self.publish(&mut state, &Class::State(destination.into()), &message, false);
            if presence == (Presence { viewer_count: 0, chatting: 0 }) {
                state.presence.remove(&room);
            } else {
                state.presence.insert(room.clone(), presence);
            }
            if let Some(id) = room.broadcast().filter(|_| count != before) {
                self.publish_broadcast(&mut state, id);
            }
        }
        self.metrics.rooms.set(i64::try_from(state.viewers.rooms().count()).unwrap_or(i64::MAX));
    }

    /// Viewers of `room` now.
    pub(crate) fn count(&self, room: &Room) -> i64 {
        lock(&self.state).viewers.count(room)
    }

    /// The numbers of every broadcast's room that has anyone.
    pub(crate) fn numbers(&self) -> Vec<RoomReport> {
        let state = lock(&self.state);
        let all = state.viewers.rooms().filter(|(room, ..)| room.broadcast().is_some());
        all.map(|(room, viewer_count, p2p_streamer)| RoomReport {
            room: room.clone(),
            viewer_count,
            subjects: state.viewers.subjects(room),
            p2p_streamer,
        })
        .collect()
    }

    /// Broadcasts that someone asked for and meta has not told of.
    pub(crate) fn take_unknown(&self, most: usize) -> Vec<BroadcastId> {
        let mut state = lock(&self.state);
        let most = most.min(state.unknown.len());
        state.unknown.drain(..most).collect()
    }

    /// Meta did not answer: `id` is asked for again.
    pub(crate) fn ask_again(&self, id: BroadcastId) {
        lock(&self.state).ask(id);
    }

    /// A message of another replica.
    pub(crate) fn hear(&self, envelope: Envelope) {
        if envelope.origin == self.replica {
            return;
        }
        let message = Message::new(envelope.destination, envelope.headers, envelope.body);
        self.publish(&mut lock(&self.state), &envelope.class, &message, false);
    }

    fn publish_broadcast(&self, state: &mut State, id: BroadcastId) {
        let latest = state.broadcast(id);
        let one = Address { prefix: Prefix::Topic, path: Destination::Broadcast(id) }.to_string();
        let key: Arc<str> = one.clone().into();
        self.publish(state, &Class::State(key.clone()), &Message::json(one, &latest), false);
        let all = Address { prefix: Prefix::Topic, path: Destination::Broadcasts }.to_string();
        let brief = BroadcastState { tracks: Vec::new(), ..latest };
        self.publish(state, &Class::State(key), &Message::json(all, &brief), false);
    }

    /// Puts a message into the queue of each subscriber, and on the bus if others are to have it.
    fn publish(&self, state: &mut State, class: &Class, message: &Arc<Message>, on_bus: bool) {
        for (id, key) in state.broker.subscribers(&message.destination) {
            if let Some(connection) = state.connections.get(&id) {
                self.put(&connection.mailbox, connection.is_service, key, class, message.clone());
            }
        }
        if on_bus {
            self.bus.publish(Envelope {
                origin: self.replica.clone(),
                destination: message.destination.clone(),
                headers: message.headers.clone(),
                body: message.body.clone(),
                class: class.clone(),
            });
        }
    }

    fn put(
        &self,
        mailbox: &Mailbox,
        is_service: bool,
        key: SubscriptionKey,
        class: &Class,
        message: Arc<Message>,
    ) {
        let bytes = message.bytes();
        match lock(&mailbox.outbox).push(key, class, bytes, message) {
            Pushed::Queued | Pushed::Replaced => {}
            Pushed::Dropped(count) => {
                self.metrics.dropped(if *class == Class::Chat { "chat" } else { "state" }, count);
            }
            // A full service refuses what is new; requests to it have deadlines. Closing it would cost everyone.
            Pushed::Full if is_service => self.metrics.dropped("service_full", 1),
            Pushed::Full => {
                self.metrics.dropped("slow", 1);
                mailbox.too_slow.store(true, Ordering::Relaxed);
            }
        }
        self.metrics.delivered.inc();
        mailbox.bell.notify_one();
    }
}

impl State {
    fn ask(&mut self, id: BroadcastId) {
        if self.unknown.len() < MAX_UNKNOWN && !self.unknown.contains(&id) {
            self.unknown.push_back(id);
        }
    }

    fn presence(&self, room: &Room) -> Presence {
        let chat = Address { prefix: Prefix::Topic, path: Destination::Chat(room.clone()) }.to_string();
        let chatting = i64::try_from(self.broker.connections(&chat)).unwrap_or(i64::MAX);
        Presence { viewer_count: self.viewers.count(room), chatting }
    }

    fn broadcast(&self, id: BroadcastId) -> BroadcastState {
        self.broadcasts.state(id, self.viewers.count(&id.into()))
    }
}

/// How often [`Hub::tick`] runs: counts go out at most once a second.
pub(crate) const TICK: Duration = Duration::from_secs(1);
