//! Room data: messages on data channels (docs/data.md).
//!
//! A publisher's message goes to every viewer of the room that has a channel of that label open, a viewer's to the
//! publishers. On a channel whose label begins with `named/` each message says to whom it goes, and is received with the
//! name of who sent it. Messages wait in a queue of the shard and are delivered between batches of media, some at a time, so
//! that a message to thousands of viewers delays no packet.

use std::sync::Arc;
use std::time::Instant;

use contract::call::RESERVED_LABEL;
use contract::id::ParticipantId;
use sfu_core::SourceId;
use transport::ChannelId;

use super::channels::{PUBLISHER_RATE, VIEWER_RATE};
use super::message::{Audience, RoomMessage, ShardMessage, ShardMessageKind};
use super::participant::{Participant, Role};
use super::thread::ShardThread;
use crate::metrics::ShardCounters;
use crate::published::{RoomKey, SessionKey};

/// Messages that are encrypted and sent before media has its turn again.
const SENDS_A_ROUND: usize = 32;
/// Participants that are looked at before media has its turn again.
const LOOKS_A_ROUND: usize = 2_048;

/// Labels that begin like this carry names: the first line of a message is the participant that it is for, or empty;
/// when it is delivered, that line is the participant that it is from.
const NAMED: &str = "named/";
/// Longest name of a participant, with the end of its line.
const MAX_NAME_LINE: usize = 65;

/// Whether a message is for a participant.
fn is_for(to: &Audience, participant: &Participant) -> bool {
    let publishes = match participant.role {
        // One that another connection has replaced hears nothing any more.
        Role::Publisher { current: false, .. } => return false,
        Role::Publisher { current: true, .. } => true,
        Role::Viewer { .. } => false,
        // In a call there is room state and chat.
        Role::Member(_) => return false,
    };
    match to {
        Audience::Viewers => !publishes,
        Audience::Publishers => publishes,
        Audience::All => true,
        Audience::One(id) => participant.id == *id,
        Audience::OnePublisher(id) => publishes && participant.id == *id,
    }
}

/// Reads whom a message on a channel with names is for, and puts the sender in place of that; nothing if it is not as it
/// should be. Viewers reach publishers only: for talking among themselves there is chat.
fn readdress(bytes: &[u8], from: &ParticipantId, publishes: bool) -> Option<(Audience, Vec<u8>)> {
    let head = bytes.get(..bytes.len().min(MAX_NAME_LINE))?;
    let end = head.iter().position(|byte| *byte == b'\n')?;
    let (name, payload) = (bytes.get(..end)?, bytes.get(end..)?);
    let to = match (std::str::from_utf8(name).ok()?, publishes) {
        ("", true) => Audience::All,
        ("", false) => Audience::Publishers,
        (name, true) => Audience::One(name.parse().ok()?),
        (name, false) => Audience::OnePublisher(name.parse().ok()?),
    };
    Some((to, [from.as_str().as_bytes(), payload].concat()))
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
        let label = participant.channels.label(channel).unwrap_or_default();
        let is_reserved = label.starts_with(RESERVED_LABEL);
        if is_reserved || matches!(participant.role, Role::Member(_)) {
            // Nothing of it reaches others.
            return self.call_message(slot, channel, bytes);
        }
        let (room, from) = (participant.room, participant.id.clone());
        let source = match participant.role {
            Role::Publisher { current: true, source, .. } => Some(source),
            // Another one has taken its place.
            Role::Publisher { current: false, .. } => return,
            Role::Viewer { .. } | Role::Member(_) => None,
        };
        let publishes = source.is_some();
        let rate = if publishes { PUBLISHER_RATE } else { VIEWER_RATE };
        let Some(label) = participant.channels.label(channel).map(Box::<str>::from) else { return };
        if !participant.channels.spend(bytes.len(), rate, now) {
            return ShardCounters::add(&self.io.counters.data_dropped, 1);
        }
        let addressed = match (label.starts_with(NAMED), publishes) {
            (true, _) => readdress(&bytes, &from, publishes),
            (false, true) => Some((Audience::Viewers, bytes)),
            (false, false) => Some((Audience::Publishers, bytes)),
        };
        let Some((to, bytes)) = addressed else {
            return ShardCounters::add(&self.io.counters.data_dropped, 1);
        };
        let message = Arc::new(RoomMessage { label, bytes, binary, from, to });
        self.tell_room(room, source, message);
    }

    /// Hands a message to every shard that may have somebody whom it is for: the homes of the room's publishers, and for
    /// one of `source` the shards that pull it, which are those with viewers.
    fn tell_room(&mut self, room: RoomKey, source: Option<SourceId>, message: Arc<RoomMessage>) {
        let own = self.settings.index;
        let mut shards = match message.to {
            Audience::Viewers => Vec::new(),
            _ => self.io.rooms.room(room).map(|room| room.homes(own)).unwrap_or_default(),
        };
        if let Some(source) = source {
            let entry = self.io.rooms.publisher((room, source));
            shards.extend(entry.into_iter().flat_map(|entry| &entry.edges).map(|edge| edge.shard));
            shards.sort_unstable();
            shards.dedup();
        }
        for shard in shards {
            let kind = ShardMessageKind::Data(message.clone());
            let (source, connection) = (SourceId(0), SessionKey::default());
            if !self.io.lanes.send(shard, ShardMessage { room, source, connection, from: own, kind }) {
                ShardCounters::add(&self.io.counters.data_dropped, 1);
            }
        }
        self.take_room_message(room, message);
    }

    /// Queues a message for the participants of this shard.
    pub(super) fn take_room_message(&mut self, room: RoomKey, message: Arc<RoomMessage>) {
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
                participant.room == room && participant.id != message.from && is_for(&message.to, participant)
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
    fn a_message_with_names_says_who_sent_it_and_goes_to_whom_it_may() {
        let from: ParticipantId = "par_me".parse().unwrap();
        let you: ParticipantId = "par_you".parse().unwrap();
        let read = |text: &str, publishes| readdress(text.as_bytes(), &from, publishes);
        let delivered = |to, text: &str| Some((to, text.as_bytes().to_vec()));
        assert_eq!(read("\nhello", true), delivered(Audience::All, "par_me\nhello"));
        assert_eq!(read("\nhello", false), delivered(Audience::Publishers, "par_me\nhello"));
        assert_eq!(read("par_you\n\nx", true), delivered(Audience::One(you.clone()), "par_me\n\nx"));
        assert_eq!(read("par_you\n", false), delivered(Audience::OnePublisher(you), "par_me\n"));
        let long = format!("par_{}\n", "x".repeat(100));
        for bad in ["", "hello", "you\nhello", "par_\n", &long] {
            assert_eq!(read(bad, true), None, "{bad:?}");
        }
    }
}
