//! What comes from other shards, and what the core says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use sfu_core::Event;

use super::command::{Command, Relayed, RelayedKind};
use super::run::ShardThread;
use crate::metrics::ShardCounters;

/// Packets of other shards before timers and commands get their turn again.
const RELAYED_ROUNDS: usize = 512;

impl ShardThread {
    /// Takes what other shards relayed; `true` if there may be more.
    pub(super) fn take_relayed(&mut self) -> bool {
        let Some(mut next) = self.inbox.relayed() else { return false };
        let now = Instant::now();
        let mut left = RELAYED_ROUNDS;
        let more = loop {
            if catch_unwind(AssertUnwindSafe(|| self.handle_relayed(&next, now))).is_err() {
                ShardCounters::add(&self.io.counters.panics, 1);
            }
            left -= 1;
            if left == 0 {
                break true;
            }
            next = match self.inbox.relayed() {
                Some(relayed) => relayed,
                None => break false,
            };
        };
        self.forward(now);
        more
    }

    fn handle_relayed(&mut self, relayed: &Relayed, now: Instant) {
        let Relayed { room, what } = relayed;
        if let RelayedKind::Data(message) = what {
            return self.take_room_message(*room, message.clone());
        }
        let Some(id) = self.io.rooms.get(room).and_then(|entry| entry.publisher) else { return };
        match what {
            &RelayedKind::Packet { track, encoding, run, began, number, len, ref bytes } => {
                let Some(packet) = bytes.get(..usize::from(len)) else { return };
                let what = sfu_core::ToEdge::Packet { track, encoding, run, began, number, packet };
                self.core.handle_from_origin(id, what, now, &mut self.io);
            }
            RelayedKind::Report(report) => {
                self.core.handle_from_origin(id, sfu_core::ToEdge::Report(*report), now, &mut self.io);
            }
            RelayedKind::KeyframeNeeded { track, encoding } => {
                self.core.request_keyframe(id, *track, *encoding, now);
            }
            RelayedKind::Missing(missing) => {
                // Who asks is not named yet: every shard that pulls gets it, and drops what it has.
                let shards = self.io.rooms.get(room).map(|entry| entry.relays.clone()).unwrap_or_default();
                for shard in shards {
                    self.core.repeat(id, *missing, |what| self.io.relay_media(shard, *room, what));
                }
            }
            RelayedKind::Data(_) => {}
        }
    }

    pub(super) fn handle_core_events(&mut self, now: Instant) {
        for index in 0..self.io.events.len() {
            let Some(event) = self.io.events.get(index).copied() else { break };
            match event {
                Event::KeyframeNeeded { publisher, track, encoding } => {
                    let room = self.io.room_of.get(&publisher).copied();
                    let home = room.and_then(|room| self.io.rooms.get(&room)?.home);
                    if let (Some(room), Some(home)) = (room, home) {
                        let what = RelayedKind::KeyframeNeeded { track, encoding };
                        self.io.relay(home, Relayed { room, what });
                    }
                }
                Event::EncodingWanted { publisher, track, encoding, wanted } => {
                    let Some(room) = self.io.room_of.get(&publisher).copied() else { continue };
                    match self.io.rooms.get(&room).and_then(|entry| entry.home) {
                        Some(home) => {
                            let shard = self.settings.index;
                            self.send_to(home, Command::Wanted { room, shard, track, encoding, wanted });
                        }
                        None => self.report_wanted(room, now),
                    }
                }
                Event::TrackActive { publisher, .. } | Event::TrackInactive { publisher, .. } => {
                    if let Some(room) = self.io.room_of.get(&publisher).copied() {
                        self.report_media(room, now);
                    }
                }
                Event::Missing { publisher, missing } => {
                    let room = self.io.room_of.get(&publisher).copied();
                    let home = room.and_then(|room| self.io.rooms.get(&room)?.home);
                    if let (Some(room), Some(home)) = (room, home) {
                        self.io.relay(home, Relayed { room, what: RelayedKind::Missing(missing) });
                    }
                }
                _ => {}
            }
        }
        self.io.events.clear();
    }
}
