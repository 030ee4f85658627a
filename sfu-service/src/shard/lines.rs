//! Has a look at the connections of calls now and then, and says how good they are.

use std::time::Instant;

use contract::room_state::Quality;
use sfu_core::Gate;

use super::command::ShardEvent;
use super::participant::Role;
use super::quality::{LOOK_INTERVAL, Line};
use super::thread::ShardThread;
use crate::published::RoomKey;

impl ShardThread {
    /// Looks at all connections of calls, if it is time to.
    pub(super) fn look_at_lines(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_INTERVAL;
        let in_calls = self.io.participants.iter().filter(|(_, one)| matches!(one.room, RoomKey::Group(_)));
        let slots: Vec<usize> = in_calls.map(|(slot, _)| slot).collect();
        for slot in slots {
            self.look_at_line(slot, now);
            self.say_quality(slot);
        }
    }

    fn look_at_line(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let line = match &participant.role {
            Role::Publisher { source, current: true, .. } => {
                let entry = self.io.rooms.publisher((participant.room, *source));
                let id = entry.and_then(|entry| entry.core).map(|(id, _)| id);
                let stats = id.and_then(|id| self.core.publisher_stats(id, now));
                stats.map(|stats| Line::of_publisher(&stats, &mut participant.counted))
            }
            Role::Member(member) => {
                let stats = member.subscriber.and_then(|id| self.core.subscriber_stats(id));
                stats.map(|stats| Line::of_subscriber(&stats))
            }
            Role::Publisher { .. } | Role::Viewer { .. } => None,
        };
        if let Some(line) = line {
            participant.rating.look(&line);
        }
    }

    /// Says how good a connection of a call is, if that is something else than was said last.
    pub(super) fn say_quality(&mut self, slot: usize) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        if !matches!(participant.room, RoomKey::Group(_)) {
            return;
        }
        // Whoever has switched everything off is silent and there.
        let sends = match &participant.role {
            Role::Publisher { published, gates, current: true, .. } => {
                let offered = published.formats.iter().map(Option::is_some);
                let mut open = gates.by_slot().into_iter().zip(offered);
                open.any(|(gate, is_offered)| is_offered && gate == Gate::Open)
            }
            Role::Publisher { .. } | Role::Viewer { .. } | Role::Member(_) => false,
        };
        let is_lost = sends && participant.hearing.is_silent();
        let quality = if is_lost { Quality::Lost } else { participant.rating.quality() };
        if std::mem::replace(&mut participant.said_quality, quality) != quality {
            self.outbox.say(ShardEvent::Quality { key: participant.key, quality });
        }
    }
}
