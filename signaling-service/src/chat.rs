//! Chat: the last messages of each room, and what of a text and a name is shown. Pure.

use std::collections::{HashMap, VecDeque};

use contract::chat::{CHAT_HISTORY, CHAT_ID_BYTES, MAX_CHAT_CHARS};
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
    entries: VecDeque<Entry<M>>,
    used: u64,
}

#[derive(Debug)]
struct Entry<M> {
    seq: u64,
    /// What its sender called it.
    id: Option<Box<str>>,
    message: M,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added<M> {
    /// It got this number.
    New(u64, M),
    /// The room has had it before, under this number.
    Known(u64),
}

impl<M> Default for Log<M> {
    fn default() -> Self {
        Self { last: 0, entries: VecDeque::new(), used: 0 }
    }
}

impl<M: Clone> Logs<M> {
    /// Empty histories; `size` tells what a message counts against `max_bytes`.
    pub(crate) fn new(size: fn(&M) -> usize, max_bytes: usize) -> Self {
        Self { rooms: HashMap::new(), clock: 0, size, bytes: 0, max_bytes }
    }

    /// Adds the message that `make` builds from its number, unless the history has one with this `id`: who got no
    /// answer sends again, and nobody reads it twice. Ids are random, so whose they are is not asked: a guest is
    /// somebody else on each connection.
    pub(crate) fn add(&mut self, room: &Room, id: Option<&str>, make: impl FnOnce(u64) -> M) -> Added<M> {
        if self.rooms.len() >= MAX_LOGS && !self.rooms.contains_key(room) {
            self.forget_silent();
        }
        self.clock += 1;
        let log = self.rooms.entry(room.clone()).or_default();
        log.used = self.clock;
        let first = id.and_then(|id| log.entries.iter().find(|entry| entry.id.as_deref() == Some(id)));
        if let Some(entry) = first {
            return Added::Known(entry.seq);
        }
        log.last += 1;
        let seq = log.last;
        let message = make(seq);
        let oldest = if log.entries.len() >= CHAT_HISTORY { log.entries.pop_front() } else { None };
        let entry = Entry { seq, id: id.map(Box::from), message: message.clone() };
        let (freed, taken) = (oldest.map_or(0, |entry| entry.bytes(self.size)), entry.bytes(self.size));
        log.entries.push_back(entry);
        self.bytes = self.bytes.saturating_sub(freed).saturating_add(taken);
        while self.bytes > self.max_bytes && self.rooms.len() > 1 {
            self.forget_silent();
        }
        Added::New(seq, message)
    }

    fn forget_silent(&mut self) {
        let silent = self.rooms.iter().min_by_key(|(_, log)| log.used).map(|(room, _)| room.clone());
        if let Some(log) = silent.and_then(|room| self.rooms.remove(&room)) {
            let freed = log.entries.iter().map(|entry| entry.bytes(self.size)).sum();
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }

    /// The last messages of `room`, oldest first.
    pub(crate) fn history(&self, room: &Room) -> impl Iterator<Item = &M> {
        self.rooms.get(room).into_iter().flat_map(|log| &log.entries).map(|entry| &entry.message)
    }
}

impl<M> Entry<M> {
    fn bytes(&self, size: fn(&M) -> usize) -> usize {
        size(&self.message).saturating_add(self.id.as_deref().map_or(0, str::len))
    }
}

/// Why something is no chat message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadText {
    #[error("the id of a chat message has 16 to 64 letters, digits, - or _")]
    Id,
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

/// What a sender calls its message.
///
/// # Errors
/// [`BadText::Id`] if it is too short to be random, too long, or of other characters.
pub(crate) fn message_id(id: Option<String>) -> Result<Option<String>, BadText> {
    let fits = |id: &String| {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        CHAT_ID_BYTES.contains(&id.len()) && id.bytes().all(of_name)
    };
    if id.as_ref().is_none_or(fits) { Ok(id) } else { Err(BadText::Id) }
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
            logs.add(&room, None, |seq| seq);
        }
        assert_eq!(logs.history(&room).copied().collect::<Vec<_>>(), (51..=150).collect::<Vec<_>>());
        assert_eq!(logs.history(&"8".parse().unwrap()).count(), 0);
    }

    #[test]
    fn the_silent_rooms_are_forgotten_first() {
        let mut logs = Logs::new(|_: &u64| 1, usize::MAX);
        let room = |n: usize| (n + 1).to_string().parse::<Room>().unwrap();
        for n in 0..MAX_LOGS {
            logs.add(&room(n), None, |seq| seq);
        }
        logs.add(&room(0), None, |seq| seq);
        logs.add(&room(MAX_LOGS), None, |seq| seq);
        assert_eq!(logs.rooms.len(), MAX_LOGS);
        assert_eq!((logs.history(&room(0)).count(), logs.history(&room(1)).count()), (2, 0));
    }

    #[test]
    fn all_histories_together_are_bounded_in_bytes() {
        let mut logs = Logs::new(|_: &u64| 10, 100);
        let rooms: Vec<Room> = (1..4).map(|n| n.to_string().parse().unwrap()).collect();
        for n in 0..12 {
            logs.add(&rooms[n / 4], None, |seq| seq);
        }
        assert_eq!(rooms.iter().map(|room| logs.history(room).count()).collect::<Vec<_>>(), [0, 4, 4]);
        assert_eq!(logs.bytes, 80);
    }

    #[test]
    fn what_is_sent_again_is_there_once_while_it_is_remembered() {
        let mut logs = Logs::new(|_: &u64| 10, usize::MAX);
        let (room, other): (Room, Room) = ("7".parse().unwrap(), "8".parse().unwrap());
        assert_eq!(logs.add(&room, Some("one"), |seq| seq), Added::New(1, 1));
        assert_eq!(logs.add(&room, Some("two"), |seq| seq), Added::New(2, 2));
        assert_eq!(logs.add(&room, Some("one"), |seq| seq), Added::Known(1));
        assert_eq!(logs.add(&other, Some("one"), |seq| seq), Added::New(1, 1));
        // Two without an id are two, however equal.
        assert_eq!(logs.add(&room, None, |seq| seq), Added::New(3, 3));
        assert_eq!(logs.add(&room, None, |seq| seq), Added::New(4, 4));
        assert_eq!(logs.history(&room).count(), 4);
        assert_eq!(logs.bytes, 5 * 10 + 3 * 3);
        for _ in 0..CHAT_HISTORY {
            logs.add(&room, None, |seq| seq);
        }
        assert_eq!(logs.add(&room, Some("one"), |seq| seq), Added::New(105, 105));
        assert_eq!(logs.bytes, 101 * 10 + 2 * 3);
    }

    #[test]
    fn ids_are_long_enough_to_be_random_and_plain() {
        for (id, fits) in [
            ("0123456789abcdef", true),
            ("0123456789-_CDEF", true),
            ("0123456789abcde", false),
            ("0123456789abcde ", false),
            ("0123456789abcd한", false),
        ] {
            assert_eq!(message_id(Some(id.into())).is_ok(), fits, "{id}");
        }
        assert_eq!(message_id(Some("x".repeat(64))), Ok(Some("x".repeat(64))));
        assert_eq!(message_id(Some("x".repeat(65))), Err(BadText::Id));
        assert_eq!(message_id(None), Ok(None));
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
