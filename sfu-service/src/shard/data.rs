//! Room data: messages on data channels (docs/data.md).
//!
//! A publisher's message goes to every viewer of the room that has a channel of that label open, a viewer's to the
//! publisher. Messages wait in a queue of the shard and are delivered between batches of media, some at a time, so
//! that a message to thousands of viewers delays no packet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::id::BroadcastId;
use transport::ChannelId;

use super::command::{Relayed, RelayedKind};
use super::participant::{Participant, Role};
use super::run::ShardThread;
use crate::metrics::ShardCounters;

/// Messages of all rooms that wait on a shard; the newest is dropped when it is full.
const MAX_WAITING: usize = 256;
/// Bytes of them; likewise.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// Messages that are encrypted and sent before media has its turn again.
const SENDS_A_ROUND: usize = 32;
/// Participants that are looked at before media has its turn again.
const LOOKS_A_ROUND: usize = 2_048;

/// A message costs one token, and another for each KiB.
const TOKEN_BYTES: usize = 1_024;
/// Tokens a second, and the most that are saved up: ten seconds' worth.
const VIEWER_RATE: f32 = 10.0;
const PUBLISHER_RATE: f32 = 100.0;
const BURST_SECONDS: f32 = 10.0;

/// A message of a room.
#[derive(Debug)]
pub(crate) struct RoomMessage {
    /// Label of the channel that it came on.
    label: Box<str>,
    bytes: Vec<u8>,
    binary: bool,
    /// From the publisher to the viewers, or from a viewer to the publisher.
    from_publisher: bool,
}

/// Data channels of a participant.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// Open ones with their labels; the transport bounds their number.
    open: Vec<(ChannelId, Box<str>)>,
    /// What it may send: tokens, and when they were counted.
    tokens: Option<(f32, Instant)>,
}

/// What waits to be delivered.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    queue: VecDeque<Delivery>,
    bytes: usize,
}

#[derive(Debug)]
struct Delivery {
    room: BroadcastId,
    message: Arc<RoomMessage>,
    /// The participant that is looked at next.
    next: usize,
}

impl Channels {
    pub(super) fn opened(&mut self, channel: ChannelId, label: String) {
        self.open.push((channel, label.into()));
    }

    pub(super) fn closed(&mut self, channel: ChannelId) {
        self.open.retain(|(other, _)| *other != channel);
    }

    fn label(&self, channel: ChannelId) -> Option<&str> {
        self.open.iter().find(|(other, _)| *other == channel).map(|(_, label)| &**label)
    }

    fn with_label(&self, label: &str) -> Option<ChannelId> {
        self.open.iter().find(|(_, other)| &**other == label).map(|(channel, _)| *channel)
    }

    /// Whether a message of `len` bytes may come now.
    fn spend(&mut self, len: usize, rate: f32, now: Instant) -> bool {
        let full = rate * BURST_SECONDS;
        let (saved, since) = self.tokens.unwrap_or((full, now));
        let earned = now.saturating_duration_since(since).min(Duration::from_secs(60)).as_secs_f32() * rate;
        let cost = 1.0 + (len / TOKEN_BYTES) as f32;
        let tokens = (saved + earned).min(full);
        let may = tokens >= cost;
        self.tokens = Some((if may { tokens - cost } else { tokens }, now));
        may
    }
}

impl Deliveries {
    /// Queues; `false` if there is no room.
    fn push(&mut self, room: BroadcastId, message: Arc<RoomMessage>) -> bool {
        let bytes = self.bytes + message.bytes.len();
        let fits = self.queue.len() < MAX_WAITING && bytes <= MAX_WAITING_BYTES;
        if fits {
            self.bytes = bytes;
            self.queue.push_back(Delivery { room, message, next: 0 });
        }
        fits
    }

    fn pop(&mut self) {
        if let Some(done) = self.queue.pop_front() {
            self.bytes = self.bytes.saturating_sub(done.message.bytes.len());
        }
    }
}

impl ShardThread {
    /// A participant sent a message on one of its channels.
    pub(super) fn room_data(
        &mut self,
        slot: usize,
        channel: ChannelId,
        bytes: Vec<u8>,
        binary: bool,
        now: Instant,
    ) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let room = participant.room;
        let (rate, from_publisher) = match participant.role {
            Role::Publisher { current: true, .. } => (PUBLISHER_RATE, true),
            // Another one has taken the room over.
            Role::Publisher { current: false, .. } => return,
            Role::Viewer { .. } => (VIEWER_RATE, false),
        };
        let Some(label) = participant.channels.label(channel).map(Box::from) else { return };
        if !participant.channels.spend(bytes.len(), rate, now) {
            return ShardCounters::add(&self.io.counters.data_dropped, 1);
        }
        let message = Arc::new(RoomMessage { label, bytes, binary, from_publisher });
        let Some(entry) = self.io.rooms.get(&room) else { return };
        // A viewer's goes to the home only, a publisher's to every shard with viewers.
        match (from_publisher, entry.home) {
            (false, Some(home)) => {
                self.io.relay(home, Relayed { room, what: RelayedKind::Data(message) });
            }
            (false, None) => self.take_room_message(room, message),
            (true, _) => {
                for shard in entry.relays.clone() {
                    self.io.relay(shard, Relayed { room, what: RelayedKind::Data(message.clone()) });
                }
                self.take_room_message(room, message);
            }
        }
    }

    /// Queues a message for the participants of this shard.
    pub(super) fn take_room_message(&mut self, room: BroadcastId, message: Arc<RoomMessage>) {
        if !self.deliveries.push(room, message) {
            ShardCounters::add(&self.io.counters.data_dropped, 1);
        }
    }

    /// Delivers a part of what waits; `true` if there is more.
    pub(super) fn deliver(&mut self, now: Instant) -> bool {
        let (mut sends, mut looks) = (0, 0);
        while let Some(delivery) = self.deliveries.queue.front_mut() {
            if sends >= SENDS_A_ROUND || looks >= LOOKS_A_ROUND {
                return true;
            }
            let (slot, room, message) = (delivery.next, delivery.room, delivery.message.clone());
            delivery.next += 1;
            looks += 1;
            if slot >= self.io.participants.capacity() {
                self.deliveries.pop();
                continue;
            }
            let wanted = |participant: &&mut Participant| {
                participant.room == room
                    && match participant.role {
                        Role::Publisher { current, .. } => current && !message.from_publisher,
                        Role::Viewer { .. } => message.from_publisher,
                    }
            };
            let Some(participant) = self.io.participants.get_mut(slot).filter(wanted) else { continue };
            let Some(channel) = participant.channels.with_label(&message.label) else { continue };
            sends += 1;
            self.guarded(slot, now, |shard| {
                let Some(participant) = shard.io.participants.get_mut(slot) else { return };
                let sent = participant.transport.send_data(channel, &message.bytes, message.binary, now);
                let counter = match sent {
                    Ok(()) => &shard.io.counters.data_sent,
                    // Its buffer is full, or it takes no message as long: the others get it.
                    Err(_) => &shard.io.counters.data_dropped,
                };
                ShardCounters::add(counter, 1);
                shard.drain_transport(slot, now);
            });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_participant_sends_is_bounded() {
        let mut channels = Channels::default();
        let start = Instant::now();
        let at_once = (0..10_000).filter(|_| channels.spend(10, VIEWER_RATE, start)).count();
        assert_eq!(at_once, 100);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..10_000).filter(|_| channels.spend(10, VIEWER_RATE, later)).count(), 10);
        // A long one costs more.
        let later = start + Duration::from_secs(100);
        assert_eq!((0..10_000).filter(|_| channels.spend(9 * TOKEN_BYTES, VIEWER_RATE, later)).count(), 10);
    }

    #[test]
    fn what_waits_is_bounded_in_messages_and_bytes() {
        let message = |len| {
            let bytes = vec![0; len];
            Arc::new(RoomMessage { label: "chat".into(), bytes, binary: true, from_publisher: true })
        };
        for (len, most) in [(1, MAX_WAITING), (16 * 1024, MAX_WAITING_BYTES / (16 * 1024))] {
            let mut deliveries = Deliveries::default();
            assert_eq!((0..1000).filter(|_| deliveries.push(BroadcastId(1), message(len))).count(), most);
            deliveries.pop();
            assert!(deliveries.push(BroadcastId(1), message(len)));
        }
    }
}
