//! The data channels of a participant, and the messages that wait for those of a shard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transport::ChannelId;

use super::message::RoomMessage;
use crate::published::RoomKey;

/// Messages of all rooms that wait on a shard; the newest is dropped when it is full.
const MAX_WAITING: usize = 256;
/// Bytes of them; likewise.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// A message costs one token, and another for each KiB.
const TOKEN_BYTES: usize = 1_024;
/// Tokens a second, and the most that are saved up: ten seconds' worth.
pub(super) const VIEWER_RATE: f32 = 10.0;
pub(super) const PUBLISHER_RATE: f32 = 100.0;
const BURST_SECONDS: f32 = 10.0;

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
    pub(super) queue: VecDeque<Delivery>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) room: RoomKey,
    pub(super) message: Arc<RoomMessage>,
    /// The participant that is looked at next.
    pub(super) next: usize,
}

impl Channels {
    pub(super) fn opened(&mut self, channel: ChannelId, label: String) {
        self.open.push((channel, label.into()));
    }

    pub(super) fn closed(&mut self, channel: ChannelId) {
        self.open.retain(|(other, _)| *other != channel);
    }

    pub(super) fn label(&self, channel: ChannelId) -> Option<&str> {
        self.open.iter().find(|(other, _)| *other == channel).map(|(_, label)| &**label)
    }

    pub(super) fn with_label(&self, label: &str) -> Option<ChannelId> {
        self.open.iter().find(|(_, other)| &**other == label).map(|(channel, _)| *channel)
    }

    /// Whether a message of `len` bytes may come now.
    pub(super) fn spend(&mut self, len: usize, rate: f32, now: Instant) -> bool {
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
    pub(super) fn push(&mut self, room: RoomKey, message: Arc<RoomMessage>) -> bool {
        let bytes = self.bytes + message.bytes.len();
        let fits = self.queue.len() < MAX_WAITING && bytes <= MAX_WAITING_BYTES;
        if fits {
            self.bytes = bytes;
            self.queue.push_back(Delivery { room, message, next: 0 });
        }
        fits
    }

    pub(super) fn pop(&mut self) {
        if let Some(done) = self.queue.pop_front() {
            self.bytes = self.bytes.saturating_sub(done.message.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Audience;
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
            let from = "par_a".parse().unwrap();
            Arc::new(RoomMessage { label: "chat".into(), bytes, binary: true, from, to: Audience::Viewers })
        };
        for (len, most) in [(1, MAX_WAITING), (16 * 1024, MAX_WAITING_BYTES / (16 * 1024))] {
            let mut deliveries = Deliveries::default();
            assert_eq!((0..1000).filter(|_| deliveries.push(RoomKey::Group(1), message(len))).count(), most);
            deliveries.pop();
            assert!(deliveries.push(RoomKey::Group(1), message(len)));
        }
    }
}
