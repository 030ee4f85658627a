//! The rooms of calls: what their homes say, and the way of commands to them and of answers back.

use std::time::Instant;

use bytes::Bytes;
use contract::destination::{Address, Destination, Prefix, SENDER_CONNECTION};
use contract::id::NodeId;
use contract::room::Room;
use contract::room_state::{Gone, NodeReply, NodeRoom, RoomUpdate, WhyGone};
use serde::Serialize;
use stomp_proto::Headers;
use stomp_proto::outbox::Class;
use stomp_proto::session::SubscriptionKey;

use super::{Hub, Membership, State, topic};
use crate::boards::Job;
use crate::limits::{ConnId, Person, Sender, service_key};
use crate::mailbox::Message;
use crate::refusal::Refusal;

/// A subscription to the state or the chat of a room.
struct Reading {
    id: ConnId,
    key: SubscriptionKey,
    sender: Sender,
    is_chat: bool,
}

impl Hub {
    /// A node says something of a room that it is the home of.
    pub(crate) fn node_room(&self, node: &NodeId, said: &NodeRoom, now: Instant) {
        self.take_room(node, said, now);
        self.tell_replicas_as_said(Destination::NodeRooms(node.clone()), said);
    }

    /// A node answers a command.
    pub(crate) fn node_reply(&self, node: &NodeId, said: &NodeReply) {
        if !self.take_reply(node, said) {
            self.tell_replicas_as_said(Destination::NodeReplies(node.clone()), said);
        }
    }

    /// What a node has said to another replica; false if it is none of that.
    pub(super) fn hear_node(&self, destination: &str, body: &[u8], now: Instant) -> bool {
        match destination.parse().map(|address: Address| address.path) {
            Ok(Destination::NodeRooms(node)) => {
                if let Ok(said) = serde_json::from_slice(body) {
                    self.take_room(&node, &said, now);
                }
                true
            }
            Ok(Destination::NodeReplies(node)) => {
                if let Ok(said) = serde_json::from_slice(body) {
                    self.take_reply(&node, &said);
                }
                true
            }
            _ => false,
        }
    }

    /// The whole state of a room, as a message.
    pub(crate) fn room_state(&self, room: &Room) -> Option<std::sync::Arc<Message>> {
        self.lock().room_state(room)
    }

    fn take_room(&self, node: &NodeId, said: &NodeRoom, now: Instant) {
        let NodeRoom { room, update, rules } = said;
        let mut state = self.lock();
        let is_news = state.replica.rooms.hear(node, said, now);
        let is_home = state.replica.rooms.home(room) == Some(node);
        if is_news {
            state.replica.readmit(room, update);
        }
        if let Some(rules) = rules.as_ref().filter(|_| is_home) {
            state.replica.bar_removed(room, rules, now);
        }
        // Who goes with this update reads it as its last; who has no part already does not read it.
        let gone = match update {
            RoomUpdate::Delta(delta) if is_news => delta.gone.as_slice(),
            RoomUpdate::Delta(_) | RoomUpdate::Snapshot(_) => &[],
        };
        self.settle(&mut state, room, gone);
        self.tell_board_rights(&mut state, room);
        if is_news {
            let to = topic(Destination::RoomState(room.clone()));
            // Who is too slow for it gets the whole state instead.
            self.publish(&state, &Class::Chat, &Message::json(to, update));
            for Gone { participant, .. } in gone.iter().filter(|gone| gone.why == WhyGone::Removed) {
                state.replica.barred.remove(room, participant.as_str(), now);
            }
            self.settle(&mut state, room, &[]);
        }
    }

    /// Who was removed, or is not in a room that is locked, reads nothing more in it; those who are in, and those of
    /// `spared`, do for now.
    pub(super) fn settle(&self, state: &mut State, room: &Room, spared: &[Gone]) {
        let replica = &state.replica;
        if !replica.rooms.is_locked(room) && !replica.barred.is_about(room) {
            return;
        }
        let is_spared = |subject: &str| {
            replica.rooms.is_in(room, subject)
                || spared.iter().any(|gone| gone.participant.as_str() == subject)
        };
        let is_out = |sender: &Sender| match &sender.person {
            Person::Subject(subject) if is_spared(subject) => false,
            Person::Subject(_) | Person::Connection(_) => replica.may_read(room, sender).is_err(),
        };
        let ended = self.readers(state, room, is_out);
        self.end_subscriptions(state, room, ended);
    }

    /// The group of `room` is no more: nobody reads or writes anything more there.
    pub(super) fn end_room(&self, state: &mut State, room: &Room, now: Instant) {
        state.replica.barred.end(room, now);
        let ended = self.readers(state, room, |sender| !sender.is_service);
        self.end_subscriptions(state, room, ended);
        if let Some(boards) = self.boards.get() {
            // Where there is no room for it, the board goes when it is old.
            let _ = boards.send(room, Job::Forget);
        }
    }

    /// What those whom `is_meant` means read of `room`.
    fn readers(&self, state: &State, room: &Room, is_meant: impl Fn(&Sender) -> bool) -> Vec<Reading> {
        let mut meant = Vec::new();
        let paths =
            [Destination::RoomState, Destination::Chat, Destination::Board].map(|path| path(room.clone()));
        for path in paths {
            let is_chat = matches!(path, Destination::Chat(_));
            for (id, key) in state.broker.subscribers(&topic(path)) {
                let sender = state.connections.get(&id).map(|connection| &connection.sender);
                if let Some(sender) = sender.filter(|sender| is_meant(sender)) {
                    meant.push(Reading { id, key, sender: sender.clone(), is_chat });
                }
            }
        }
        meant
    }

    fn end_subscriptions(&self, state: &mut State, room: &Room, ended: Vec<Reading>) {
        for Reading { id, key, sender, is_chat } in ended {
            state.broker.unsubscribe(id, key);
            self.metrics.subscriptions.dec();
            if is_chat {
                state.replica.leave_chat(room, &sender);
            }
        }
    }

    /// Hands a reply to the connection that it is for; false if that is not here.
    fn take_reply(&self, node: &NodeId, said: &NodeReply) -> bool {
        let NodeReply { connection, reply } = said;
        let Some(id) = self.own_connection(connection) else { return false };
        let state = self.lock();
        // A connection that is gone, or reads no replies, hears nothing.
        let reader = state.connections.get(&id).and_then(|own| Some((&own.mailbox, own.replies?)));
        if let Some((mailbox, key)) = reader {
            let to = Address { prefix: Prefix::User, path: Destination::Replies }.to_string();
            let class = Class::Signal(service_key(node.as_str()));
            self.put(mailbox, key, &class, Message::json(to, reply));
        }
        true
    }

    /// What the connection `id` is called on all replicas.
    fn connection_name(&self, id: ConnId) -> String {
        format!("{}/{id}", self.name)
    }

    fn own_connection(&self, name: &str) -> Option<ConnId> {
        name.strip_prefix(&*self.name)?.strip_prefix('/')?.parse().ok()
    }

    fn tell_replicas_as_said(&self, path: Destination, said: &impl Serialize) {
        let to = Address { prefix: Prefix::App, path }.to_string();
        self.tell_replicas(&Class::Chat, &Message::json(to, said));
    }
}

/// The room whose members alone read `path`.
pub(super) fn of_members(path: &Destination) -> Option<&Room> {
    match path {
        Destination::RoomState(room) | Destination::Chat(room) | Destination::Board(room) => Some(room),
        _ => None,
    }
}

impl State {
    pub(super) fn room_state(&self, room: &Room) -> Option<std::sync::Arc<Message>> {
        let snapshot = self.replica.rooms.snapshot(room)?;
        Some(Message::json(topic(Destination::RoomState(room.clone())), &snapshot))
    }
}

impl Membership {
    /// Hands a command to the home of its room, which answers it.
    ///
    /// # Errors
    /// [`Refusal::NoCall`] if the room has no home, [`Refusal::Full`] if that does not keep up.
    pub(crate) fn command(&self, room: &Room, headers: Headers, body: Bytes) -> Result<(), Refusal> {
        let home = self.hub.lock().replica.rooms.home(room).cloned().ok_or(Refusal::NoCall)?;
        let name = self.hub.connection_name(self.id);
        let stamp = std::iter::once((SENDER_CONNECTION, name.as_str()));
        let headers = stamp.chain(headers.iter()).collect();
        self.relay(&Address { prefix: Prefix::Queue, path: Destination::SfuQueue(home) }, headers, body)
    }

    /// The subscription by which this connection reads replies, if it does.
    pub(crate) fn read_replies(&self, key: Option<SubscriptionKey>) {
        if let Some(connection) = self.hub.lock().connections.get_mut(&self.id) {
            connection.replies = key;
        }
    }
}
