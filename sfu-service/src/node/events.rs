//! What the shards say.

use std::time::Instant;

use chrono::{DateTime, Utc};

use super::Node;
use crate::metrics::Reason;
use crate::registry::Kind;
use crate::shard::{Command, ShardEvent};

impl Node {
    /// Takes in what a shard says.
    pub(crate) fn shard_event(&self, event: ShardEvent) {
        match event {
            ShardEvent::Connected(key) => {
                let removals = {
                    let mut registry = self.registry();
                    if let Some(opened_at) = registry.call_connected(key) {
                        self.metrics.connect_seconds.0.observe(opened_at.elapsed().as_secs_f64());
                        return;
                    }
                    if let Some(session) = registry.by_key(key) {
                        self.metrics.connect_seconds.0.observe(session.opened_at.elapsed().as_secs_f64());
                    }
                    registry.connected(key)
                };
                self.remove(removals);
            }
            ShardEvent::Ended(key, reason) => {
                self.metrics.ended.get_or_create(&Reason { reason: reason.as_str() }).inc();
                tracing::debug!(reason = reason.as_str(), "a session has ended");
                let lost_publisher = {
                    let (mut registry, now) = (self.registry(), Instant::now());
                    let participant = registry.participant_of(key);
                    if registry.call_closed(key, now) {
                        drop(registry);
                        if let Some((group, who)) = participant {
                            self.is_lost(&group, &who, now);
                        }
                        return self.update_gauges();
                    }
                    let room =
                        registry.by_key(key).filter(|session| matches!(session.kind, Kind::Publisher { .. }));
                    let room = room.map(|session| session.broadcast);
                    registry.closed(key, Instant::now());
                    room
                };
                if let Some(room) = lost_publisher {
                    tracing::info!(room.id = %room, reason = reason.as_str(), "a publisher is lost");
                    self.report_now.notify_one();
                }
                self.update_gauges();
                self.changed.notify_one();
            }
            ShardEvent::Encodings { key, wanted } => {
                let mut registry = self.registry();
                match registry.call_receiver(key) {
                    Some((shard, key)) => {
                        drop(registry);
                        self.tell(shard, Command::EncodingsWatched { key, wanted });
                    }
                    None => registry.wanted(key, wanted),
                }
            }
            ShardEvent::Quality { key, quality } => self.quality_is(key, quality, Instant::now()),
            ShardEvent::Media { key, states, last_media, silent } => {
                let at = last_media.map(wall_clock);
                if self.registry().media(key, states, at, silent) {
                    self.report_now.notify_one();
                    self.changed.notify_one();
                }
            }
        }
    }
}

/// The wall-clock time of an instant of the past.
fn wall_clock(at: Instant) -> DateTime<Utc> {
    let age = chrono::TimeDelta::from_std(at.elapsed()).unwrap_or_default();
    Utc::now() - age
}
