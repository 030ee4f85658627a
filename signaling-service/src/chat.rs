//! Chat: the last messages of each room, and how fast one connection may talk. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use contract::destination::{CHAT_HISTORY, MAX_CHAT_CHARS};
use contract::room::Room;

/// Rooms whose history is kept. Beyond, the one that was silent for longest is forgotten.
pub(crate) const MAX_LOGS: usize = 2_000;
/// Bytes of all histories together. Beyond, as with [`MAX_LOGS`].
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Longest display name of a guest, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 64;
/// Messages that a connection may send at once.
pub(crate) const BURST: f64 = 10.0;
/// Messages a second that it may send for long.
pub(crate) const RATE: f64 = 1.0;

/// The histories. `M` is a message as it goes out.
#[derive(Debug)]
pub(crate) struct Logs<M> {
    rooms: HashMap<Room, Log<M>>,
    clock: u64,
    size: fn(&M) -> usize,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Log<M> {
    last: u64,
    messages: VecDeque<M>,
    used: u64,
}

impl<M> Default for Log<M> {
    fn default() -> Self {
        Self { last: 0, messages: VecDeque::new(), used: 0 }
    }
}

impl<M: Clone> Logs<M> {
    /// Empty histories; `size` tells what a message counts against `max_bytes`.
    pub(crate) fn new(size: fn(&M) -> usize, max_bytes: usize) -> Self {
        Self { rooms: HashMap::new(), clock: 0, size, bytes: 0, max_bytes }
    }

    /// Adds the message that `make` builds from its number.
    pub(crate) fn add(&mut self, room: &Room, make: impl FnOnce(u64) -> M) -> M {
        if self.rooms.len() >= MAX_LOGS && !self.rooms.contains_key(room) {
            self.forget_silent();
        }
        self.clock += 1;
        let log = self.rooms.entry(room.clone()).or_default();
        log.used = self.clock;
        log.last += 1;
        let message = make(log.last);
        let oldest = if log.messages.len() >= CHAT_HISTORY { log.messages.pop_front() } else { None };
        log.messages.push_back(message.clone());
        let freed = oldest.as_ref().map_or(0, self.size);
        self.bytes = self.bytes.saturating_sub(freed).saturating_add((self.size)(&message));
        while self.bytes > self.max_bytes && self.rooms.len() > 1 {
            self.forget_silent();
        }
        message
    }

    fn forget_silent(&mut self) {
        let silent = self.rooms.iter().min_by_key(|(_, log)| log.used).map(|(room, _)| room.clone());
        if let Some(log) = silent.and_then(|room| self.rooms.remove(&room)) {
            let freed = log.messages.iter().map(self.size).sum();
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }

    /// The last messages of `room`, oldest first.
    pub(crate) fn history(&self, room: &Room) -> impl Iterator<Item = &M> {
        self.rooms.get(room).into_iter().flat_map(|log| &log.messages)
    }
}

/// A token bucket for one connection.
#[derive(Debug)]
pub(crate) struct Pace {
    tokens: f64,
    at: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { tokens: BURST, at: now }
    }

    /// Whether one more message is within the rate.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * RATE).min(BURST);
        self.at = now;
        let within = self.tokens >= 1.0;
        if within {
            self.tokens -= 1.0;
        }
        within
    }
}

/// Why a text is no chat message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadText {
    #[error("a chat message needs text")]
    Empty,
    #[error("a chat message has at most 500 characters")]
    TooLong,
}

pub(crate) fn check_text(text: &str) -> Result<(), BadText> {
    if text.trim().is_empty() {
        return Err(BadText::Empty);
    }
    if text.chars().count() > MAX_CHAT_CHARS { Err(BadText::TooLong) } else { Ok(()) }
}

/// A guest's name as it is shown: without control characters, cut to its limit, or `guest`.
pub(crate) fn guest_name(wanted: Option<&str>) -> String {
    let name: String =
        wanted.unwrap_or_default().trim().chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    if name.is_empty() { "guest".into() } else { name }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_hundred_are_kept_and_numbers_go_on() {
        let mut logs = Logs::new(|_: &u64| 1, usize::MAX);
        let room: Room = "7".parse().unwrap();
        for _ in 0..150 {
            logs.add(&room, |seq| seq);
        }
        assert_eq!(logs.history(&room).copied().collect::<Vec<_>>(), (51..=150).collect::<Vec<_>>());
        assert_eq!(logs.history(&"8".parse().unwrap()).count(), 0);
    }

    #[test]
    fn the_silent_rooms_are_forgotten_first() {
        let mut logs = Logs::new(|_: &u64| 1, usize::MAX);
        let room = |n: usize| n.to_string().parse::<Room>().unwrap();
        for n in 0..MAX_LOGS {
            logs.add(&room(n), |seq| seq);
        }
        logs.add(&room(0), |seq| seq);
        logs.add(&room(MAX_LOGS), |seq| seq);
        assert_eq!(logs.rooms.len(), MAX_LOGS);
        assert_eq!((logs.history(&room(0)).count(), logs.history(&room(1)).count()), (2, 0));
    }

    #[test]
    fn all_histories_together_are_bounded_in_bytes() {
        let mut logs = Logs::new(|_: &u64| 10, 100);
        let rooms: Vec<Room> = (0..3).map(|n| n.to_string().parse().unwrap()).collect();
        for n in 0..12 {
            logs.add(&rooms[n / 4], |seq| seq);
        }
        assert_eq!(rooms.iter().map(|room| logs.history(room).count()).collect::<Vec<_>>(), [0, 4, 4]);
        assert_eq!(logs.bytes, 80);
    }

    #[test]
    fn the_pace_is_bounded() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!((0..20).filter(|_| pace.take(now)).count(), 10);
        assert_eq!((0..20).filter(|_| pace.take(now + Duration::from_secs(3))).count(), 3);
    }

    #[test]
    fn texts_and_names_have_limits() {
        assert_eq!(check_text(&"한".repeat(500)), Ok(()));
        assert_eq!(check_text(&"한".repeat(501)), Err(BadText::TooLong));
        assert_eq!(check_text(" \n"), Err(BadText::Empty));
        assert_eq!(guest_name(Some(" a\u{7}b ")), "ab");
        assert_eq!(guest_name(Some("  ")), "guest");
        assert_eq!(guest_name(Some(&"x".repeat(100))).len(), 64);
    }
}
