//! Chat: the last messages of each room, and what of a text and a name is shown. Pure.

use std::collections::{HashMap, VecDeque};

use contract::destination::{CHAT_HISTORY, MAX_CHAT_CHARS};
use contract::room::Room;
use contract::text;

/// Rooms whose history is kept. Beyond, the one that was silent for longest is forgotten.
pub(crate) const MAX_LOGS: usize = 2_000;
/// Bytes of all histories together. Beyond, as with [`MAX_LOGS`].
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Longest display name, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 64;

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

/// Why a text is no chat message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadText {
    #[error("a chat message needs text")]
    Empty,
    #[error("a chat message has at most 500 characters")]
    TooLong,
}

/// A text as it is shown: without what nobody sees.
///
/// # Errors
/// [`BadText`] if nothing is left of it, or too much.
pub(crate) fn shown_text(text: &str) -> Result<String, BadText> {
    let shown = text::lines(text);
    if shown.is_empty() {
        return Err(BadText::Empty);
    }
    if shown.chars().count() > MAX_CHAT_CHARS { Err(BadText::TooLong) } else { Ok(shown) }
}

/// A name as it is shown: one line, cut to its limit, or `guest`.
pub(crate) fn shown_name(name: Option<&str>) -> String {
    let name: String = text::one_line(name.unwrap_or_default()).chars().take(MAX_NAME_CHARS).collect();
    if name.is_empty() { "guest".into() } else { name }
}

#[cfg(test)]
mod tests {
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
        let room = |n: usize| (n + 1).to_string().parse::<Room>().unwrap();
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
        let rooms: Vec<Room> = (1..4).map(|n| n.to_string().parse().unwrap()).collect();
        for n in 0..12 {
            logs.add(&rooms[n / 4], |seq| seq);
        }
        assert_eq!(rooms.iter().map(|room| logs.history(room).count()).collect::<Vec<_>>(), [0, 4, 4]);
        assert_eq!(logs.bytes, 80);
    }

    #[test]
    fn texts_and_names_have_limits_and_hide_nothing() {
        assert_eq!(shown_text(&"한".repeat(500)), Ok("한".repeat(500)));
        assert_eq!(shown_text(&"한".repeat(501)), Err(BadText::TooLong));
        assert_eq!(shown_text(" \u{202e}\n\u{200b}"), Err(BadText::Empty));
        assert_eq!(shown_text("a\u{202e}b\u{7}\n c"), Ok("ab\n c".into()));
        assert_eq!(shown_name(Some(" a\u{7}\u{2066}b\nc ")), "ab c");
        assert_eq!(shown_name(Some(" \u{feff} ")), "guest");
        assert_eq!(shown_name(None), "guest");
        assert_eq!(shown_name(Some(&"x".repeat(100))).len(), 64);
    }
}
