//! What comes from other shards: packets of the publishers that are pulled, and what edges ask of those whose home is
//! here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rtp::MediaKind;
use sfu_core::{Cursor, EncodingIndex, Missing, PublisherId, Read, ReadFrom, SourceId, ToEdge, TrackIndex};

use super::message::{MAX_PACKET, ShardMessage, ShardMessageKind};
use super::portions::PORTION;
use super::rooms::{Edge, Place, RoomPublisher, SourceKey};
use super::thread::ShardThread;
use crate::metrics::ShardCounters;
use crate::published::{SessionKey, SourceGates};

/// Messages of other shards before timers and commands get their turn again.
const MESSAGE_ROUNDS: usize = 512;
/// Packets that are asked for again, or repeated, before they do. What is beyond is asked for again later.
const MAX_REPEATED: usize = 256;

impl ShardThread {
    /// Takes what other shards have said; `true` if there may be more.
    pub(super) fn take_messages(&mut self, now: Instant) -> bool {
        (self.io.may_ask, self.may_repeat) = (MAX_REPEATED, MAX_REPEATED);
        let Some(mut next) = self.inbox.message() else { return false };
        let mut left = MESSAGE_ROUNDS;
        let more = loop {
            self.message(&next, now);
            left -= 1;
            if left == 0 {
                break true;
            }
            next = match self.inbox.message() {
                Some(message) => message,
                None => break false,
            };
        };
        self.forward(now);
        more
    }

    /// Takes a message. A fault inside ends what this shard has of that publisher, and nothing else.
    pub(super) fn message(&mut self, message: &ShardMessage, now: Instant) {
        if self.core.is_full() {
            self.forward(now);
        }
        if catch_unwind(AssertUnwindSafe(|| self.take_message(message, now))).is_err() {
            ShardCounters::add(&self.io.counters.panics, 1);
            tracing::error!(shard = self.settings.index, "a message of another shard met a fault inside");
            self.give_up((message.room, message.source), now);
        }
        if !self.io.events.is_empty() {
            self.handle_core_events(now);
        }
    }

    fn take_message(&mut self, message: &ShardMessage, now: Instant) {
        let &ShardMessage { room, source, connection, from, ref kind } = message;
        let key = (room, source);
        match kind {
            ShardMessageKind::Packet { track, encoding, run, began, number, len, bytes } => {
                let Some(id) = self.pulled(message) else { return };
                let Some(packet) = bytes.get(..usize::from(*len)) else { return };
                let (track, encoding, run) = (*track, *encoding, *run);
                let what = ToEdge::Packet { track, encoding, run, began: *began, number: *number, packet };
                self.core.handle_from_origin(id, what, now, &mut self.io);
            }
            ShardMessageKind::Clock(clock) => {
                let Some(id) = self.pulled(message) else { return };
                self.core.handle_from_origin(id, ToEdge::Report(*clock), now, &mut self.io);
            }
            ShardMessageKind::PortionEnd { more } => {
                if self.is_pulled(message) {
                    self.portions.came(key, *more);
                    self.ask_for_portions();
                }
            }
            ShardMessageKind::Published(published) => {
                self.fault_point("published");
                let of = (Place::On { shard: from }, SourceGates::default());
                self.publisher_is(key, connection, of, published.clone(), now);
            }
            ShardMessageKind::Withdrawn => {
                self.publisher_is_away(key, connection, now);
            }
            ShardMessageKind::Gates(gates) => {
                let entry = self.io.rooms.publisher_mut(key);
                let is_it = |entry: &&mut RoomPublisher| {
                    (entry.connection, entry.place) == (connection, Place::On { shard: from })
                };
                if let Some(entry) = entry.filter(is_it) {
                    entry.gates = *gates;
                    self.set_gates(key, now);
                }
            }
            ShardMessageKind::Pull => {
                self.fault_point("pull");
                if let Some(id) = self.homed(key, connection) {
                    self.begin_edge(key, id, from, now);
                }
            }
            ShardMessageKind::Release => {
                if let Some(id) = self.homed(key, connection) {
                    self.end_edge(key, id, from, now);
                }
            }
            ShardMessageKind::More => {
                // Whoever asks waits for the end, also where there is nothing to send.
                let more = self.homed(key, connection).is_some() && self.send_portion(key, from, now);
                let kind = ShardMessageKind::PortionEnd { more };
                let message = ShardMessage { room, source, connection, from: self.settings.index, kind };
                self.io.lanes.send(from, message);
            }
            ShardMessageKind::Wanted { track, encoding, wanted } => {
                if let (Some(id), Ok(shard)) = (self.homed(key, connection), u8::try_from(from)) {
                    self.core.set_encoding_wanted(id, *track, *encoding, shard, *wanted, now);
                }
            }
            ShardMessageKind::KeyframeNeeded { track, encoding, purpose } => {
                if let Some(id) = self.homed(key, connection) {
                    self.core.request_keyframe(id, *track, *encoding, *purpose, now);
                }
            }
            ShardMessageKind::Missing(missing) => {
                if let Some(id) = self.homed(key, connection) {
                    self.repeat(key, id, from, *missing);
                }
            }
            ShardMessageKind::Data(data) => self.take_room_message(room, data.clone()),
        }
    }

    /// The publisher in the core that a home sent something of, if it is the one that is pulled from there.
    fn pulled(&self, message: &ShardMessage) -> Option<PublisherId> {
        let entry = self.io.rooms.publisher((message.room, message.source))?;
        let is_it = self.is_pulled(message);
        entry.core.filter(|(_, of)| is_it && *of == message.connection).map(|(id, _)| id)
    }

    /// Whether a message is of a home that this shard pulls from, and of the connection that it pulls.
    fn is_pulled(&self, message: &ShardMessage) -> bool {
        self.io.rooms.publisher((message.room, message.source)).is_some_and(|entry| {
            let place = Place::On { shard: message.from };
            entry.pulled && (entry.connection, entry.place) == (message.connection, place)
        })
    }

    /// The publisher in the core that an edge asked something of, if that connection is here.
    fn homed(&self, key: SourceKey, connection: SessionKey) -> Option<PublisherId> {
        let entry = self.io.rooms.publisher(key)?;
        let is_it = entry.connection == connection && matches!(entry.place, Place::Here { .. });
        entry.core.filter(|(_, of)| is_it && *of == connection).map(|(id, _)| id)
    }

    /// A shard pulls a publisher. Its viewers start at once like those here, not with the next keyframe: of video it is
    /// sent what has come since the last one, in portions, before what follows.
    fn begin_edge(&mut self, key: SourceKey, id: PublisherId, shard: usize, now: Instant) {
        let Some(entry) = self.io.rooms.publisher(key) else { return };
        let connection = entry.connection;
        let tracks = (0..).map(TrackIndex).zip(&entry.published.tracks);
        let video = tracks.filter(|(_, track)| track.kind == MediaKind::Video);
        let encodings = video.flat_map(|(track, config)| {
            (0..).map(EncodingIndex).take(config.encodings.len()).map(move |encoding| (track, encoding))
        });
        let open = |(track, encoding)| {
            self.core.open_cursor(id, track, encoding, ReadFrom::Keyframe, Duration::ZERO, now)
        };
        let behind: Vec<Cursor> = encodings.filter_map(open).collect();
        if let Some(entry) = self.io.rooms.publisher_mut(key) {
            entry.edges.retain(|edge| edge.shard != shard);
            entry.edges.push(Edge { shard, behind });
        }
        self.core.set_pulled(id, true);
        let io = &mut self.io;
        self.core.clocks(id, |what| {
            // A clock is held back where there is no room.
            io.send_media(shard, key, connection, what);
        });
    }

    fn end_edge(&mut self, key: SourceKey, id: PublisherId, shard: usize, now: Instant) {
        let Some(entry) = self.io.rooms.publisher_mut(key) else { return };
        entry.edges.retain(|edge| edge.shard != shard);
        self.core.set_pulled(id, !entry.edges.is_empty());
        let Ok(number) = u8::try_from(shard) else { return };
        for (track, config) in (0..).map(TrackIndex).zip(&entry.published.tracks) {
            for encoding in (0..).map(EncodingIndex).take(config.encodings.len()) {
                self.core.set_encoding_wanted(id, track, encoding, number, false, now);
            }
        }
    }

    /// Sends an edge a portion of what it has missed; `true` if there is more. Where its inbox is full the portion ends,
    /// and goes on there.
    fn send_portion(&mut self, key: SourceKey, shard: usize, now: Instant) -> bool {
        let Some(entry) = self.io.rooms.publisher_mut(key) else { return false };
        let connection = entry.connection;
        let Some(edge) = entry.edges.iter_mut().find(|edge| edge.shard == shard) else { return false };
        let mut behind = std::mem::take(&mut edge.behind);
        let mut left = PORTION;
        behind.retain_mut(|cursor| {
            while left > 0 {
                let before = *cursor;
                let (track, encoding) = (cursor.track, cursor.encoding);
                let what = match self.core.read(cursor, now) {
                    // Longer than what crosses: it never will.
                    Read::Packet { packet, .. } if packet.len() > MAX_PACKET => {
                        self.io.count_dropped();
                        continue;
                    }
                    Read::Packet { run, number, packet, .. } => {
                        // It is the first that the edge gets: what came before is not missing there.
                        ToEdge::Packet { track, encoding, run, began: number, number, packet }
                    }
                    Read::StartedOver | Read::Gap(_) | Read::Lag(_) => continue,
                    Read::Wait(_) | Read::Gone => return false,
                };
                if !self.io.send_media(shard, key, connection, what) {
                    (*cursor, left) = (before, 0);
                    return true;
                }
                left -= 1;
            }
            true
        });
        let more = !behind.is_empty();
        let entry = self.io.rooms.publisher_mut(key);
        if let Some(edge) = entry.and_then(|entry| entry.edges.iter_mut().find(|edge| edge.shard == shard)) {
            edge.behind = behind;
        }
        more
    }

    /// Asks for as many portions as may be on their way.
    pub(super) fn ask_for_portions(&mut self) {
        while let Some(key) = self.portions.grant() {
            self.tell_home(key, ShardMessageKind::More);
        }
    }

    /// Hands out again what an edge did not get.
    fn repeat(&mut self, (room, source): SourceKey, id: PublisherId, shard: usize, missing: Missing) {
        let count = missing.count() as usize;
        let Some(left) = self.may_repeat.checked_sub(count) else { return };
        self.may_repeat = left;
        let Some(connection) = self.io.rooms.publisher((room, source)).map(|entry| entry.connection) else {
            return;
        };
        let (io, key): (_, (_, SourceId)) = (&mut self.io, (room, source));
        self.core.repeat(id, missing, |what| {
            if !io.send_media(shard, key, connection, what) {
                io.count_dropped();
            }
        });
    }

    /// Gives up what this shard has of a publisher after a fault: of one whose home is here its session, of another one
    /// the pull.
    pub(super) fn give_up(&mut self, key: SourceKey, now: Instant) {
        let Some(entry) = self.io.rooms.publisher(key) else { return };
        let (place, connection) = (entry.place, entry.connection);
        let given_up = catch_unwind(AssertUnwindSafe(|| match place {
            Place::Here { slot } => self.end_faulty(slot, now),
            Place::On { .. } => {
                self.tell_home(key, ShardMessageKind::Release);
                self.publisher_is_away(key, connection, now);
            }
            Place::Away => {}
        }));
        if given_up.is_err() {
            tracing::error!(shard = self.settings.index, "a publisher could not be given up cleanly");
        }
    }
}
