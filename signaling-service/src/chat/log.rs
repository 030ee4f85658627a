//! What this replica holds of the chats that somebody reads or writes: their last messages, settings and sanctions, so
//! that a reader gets them at once. The database is the truth: what is held is read from it, follows what is told of
//! commits, and is read again where something was missed. Pure.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use contract::chat::{CHAT_HISTORY, ChatEvent, ChatMessage, ChatQuote, ChatSettings};
use contract::room::Room;
use stomp_proto::session::SubscriptionKey;

use super::job::{Change, Rank, Sanctioned, Told};
use super::store::Kept;
use crate::limits::ConnId;
use crate::mailbox::Message;

/// Rooms whose chat is held. Beyond, the one that was silent for longest is let go, and read again when it is needed.
pub(crate) const MAX_LOGS: usize = 2_000;
/// Bytes of all chats that are held. Beyond, as with [`MAX_LOGS`].
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Direct messages of a room that are held beside the public ones.
const MAX_DIRECT: usize = 200;
/// People of a room of whom it is known up to where direct messages are missing. Beyond, it counts for everybody.
pub(crate) const MAX_CUT: usize = 1_000;
/// Rooms that wait to be read. Beyond, readers of more wait for their own next try.
const MAX_WAITING: usize = 10_000;

/// A message that is held.
#[derive(Debug, Clone)]
struct Held {
    message: ChatMessage,
    /// As it goes out.
    out: Arc<Message>,
}

/// The chat of one room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) last: u64,
    /// Up to here nothing was missed.
    version: i64,
    /// The highest number up to there.
    settled: u64,
    /// What is known beyond that, by its version: something before it was missed.
    ahead: BTreeMap<i64, Told>,
    pub(crate) settings: ChatSettings,
    pub(crate) pinned: Option<ChatMessage>,
    messages: BTreeMap<u64, Held>,
    direct: usize,
    /// Up to here messages are missing.
    cut: u64,
    /// Up to here direct messages of a person are missing.
    cut_of: HashMap<String, u64>,
    pub(crate) sanctions: HashMap<String, Sanctioned>,
    bytes: usize,
}

/// Who hears a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    Everybody,
    /// These two.
    Two([String; 2]),
    /// Whom this sanction is for, as it is now or was.
    Sanctioned(Sanctioned),
}

/// What readers are told.
#[derive(Debug, Clone)]
pub(crate) struct News {
    pub(crate) to: To,
    pub(crate) event: ChatEvent,
}

impl News {
    fn all(event: ChatEvent) -> Self {
        Self { to: To::Everybody, event }
    }

    /// What readers hear of `change`.
    pub(crate) fn of(change: Change) -> Self {
        let to = |only: Option<[String; 2]>| only.map_or(To::Everybody, To::Two);
        match change {
            Change::Message { message } => {
                let only = message.to.as_ref().map(|person| [message.from.clone(), person.id.clone()]);
                Self { to: to(only), event: ChatEvent::Message(message) }
            }
            Change::Edited { seq, text, edited_at, only } => {
                Self { to: to(only), event: ChatEvent::Edited { seq, text, edited_at } }
            }
            Change::Deleted { seq, by, only } => Self { to: to(only), event: ChatEvent::Deleted { seq, by } },
            Change::DeletedFrom { from, by } => Self::all(ChatEvent::DeletedFrom { from, by }),
            Change::Settings { settings, pinned } => Self::all(ChatEvent::Settings { settings, pinned }),
            Change::Sanction { row } => {
                let event = ChatEvent::Sanction(row.shown());
                Self { to: To::Sanctioned(row), event }
            }
            Change::Lifted { row } => {
                let lifted = contract::chat::ChatSanction {
                    kind: contract::chat::SanctionKind::Lifted,
                    until: None,
                    reason: None,
                };
                Self { to: To::Sanctioned(row), event: ChatEvent::Sanction(lifted) }
            }
        }
    }
}

impl Log {
    fn of(kept: Kept, out: impl Fn(&ChatMessage) -> Arc<Message>) -> Self {
        let mut log = Self {
            last: kept.last,
            settled: kept.last,
            version: kept.version,
            settings: kept.settings,
            pinned: kept.pinned,
            sanctions: kept.sanctions.into_iter().map(|row| (row.person.clone(), row)).collect(),
            ..Self::default()
        };
        kept.messages.into_iter().for_each(|message| log.hold(message, &out));
        log.cut = log.cut.max(kept.cut);
        kept.cut_of.into_iter().for_each(|(person, seq)| log.cut_off(person, seq));
        log
    }

    /// The messages that `person` reads, oldest first: the last ones without a hole, for who has some asks for those
    /// before the first.
    pub(crate) fn messages(&self, person: &str) -> impl Iterator<Item = &Arc<Message>> {
        let is_for = move |message: &ChatMessage| {
            message.to.as_ref().is_none_or(|to| to.id == person || message.from == person)
        };
        let cut = self.cut.max(self.cut_of.get(person).copied().unwrap_or(0));
        let whole = self.messages.range((Bound::Excluded(cut), Bound::Unbounded)).map(|(_, held)| held);
        let visible: Vec<_> = whole.filter(|held| is_for(&held.message)).collect();
        let first = visible.len().saturating_sub(CHAT_HISTORY);
        visible.into_iter().skip(first).map(|held| &held.out)
    }

    /// What keeps somebody from writing at `now`: that which lasts longest.
    pub(crate) fn sanction(&self, person: &str, rank: Rank, address: &str, now: i64) -> Option<&Sanctioned> {
        let binding = self.sanctions.values().filter(|row| row.binds(person, rank, address, now));
        binding.max_by_key(|row| row.until.unwrap_or(i64::MAX))
    }

    fn hold(&mut self, message: ChatMessage, out: impl Fn(&ChatMessage) -> Arc<Message>) {
        self.last = self.last.max(message.seq);
        let held = Held { out: out(&message), message };
        self.bytes = self.bytes.saturating_add(held.bytes());
        self.direct += usize::from(held.message.to.is_some());
        if let Some(before) = self.messages.insert(held.message.seq, held) {
            self.forget(&before);
        }
        if self.direct > MAX_DIRECT {
            self.drop_first(true);
        }
        if self.messages.len() - self.direct.min(self.messages.len()) > CHAT_HISTORY {
            self.drop_first(false);
        }
    }

    fn forget(&mut self, held: &Held) {
        self.bytes = self.bytes.saturating_sub(held.bytes());
        self.direct = self.direct.saturating_sub(usize::from(held.message.to.is_some()));
    }

    fn drop_first(&mut self, direct: bool) {
        let first = self.messages.iter().find(|(_, held)| held.message.to.is_some() == direct);
        if let Some(held) = first.map(|(seq, _)| *seq).and_then(|seq| self.messages.remove(&seq)) {
            self.forget(&held);
            let ChatMessage { seq, from, to, .. } = held.message;
            match to {
                Some(to) => [from, to.id].into_iter().for_each(|person| self.cut_off(person, seq)),
                None => self.cut = self.cut.max(seq),
            }
        }
    }

    /// What `person` reads is missing up to `seq`.
    fn cut_off(&mut self, person: String, seq: u64) {
        if self.cut_of.len() >= MAX_CUT && !self.cut_of.contains_key(&person) {
            let most = self.cut_of.drain().map(|(_, seq)| seq).max();
            self.cut = self.cut.max(most.unwrap_or(0));
        }
        let before = self.cut_of.entry(person).or_default();
        *before = seq.max(*before);
    }

    /// Changes the messages that `which` names by number and author, and what quotes them, held or not.
    fn change(
        &mut self,
        which: impl Fn(u64, &str) -> bool,
        text: &str,
        edited_at: Option<i64>,
        out: &impl Fn(&ChatMessage) -> Arc<Message>,
    ) {
        let is_meant = |message: &ChatMessage| which(message.seq, &message.from);
        let is_quoted = |quote: &ChatQuote| which(quote.seq, &quote.from);
        let meant: Vec<u64> = (self.messages.values())
            .map(|held| &held.message)
            .filter(|message| is_meant(message) || message.reply_to.as_ref().is_some_and(is_quoted))
            .map(|message| message.seq)
            .collect();
        for seq in meant {
            let Some(mut held) = self.messages.remove(&seq) else { continue };
            self.forget(&held);
            if is_meant(&held.message) {
                held.message.text = text.to_owned();
                match edited_at {
                    Some(at) => held.message.edited_at = Some(at),
                    None => held.message.deleted = true,
                }
            }
            if let Some(quote) = held.message.reply_to.as_mut().filter(|quote| is_quoted(quote)) {
                quote.text = text.chars().take(contract::chat::MAX_QUOTE_CHARS).collect();
                quote.deleted |= edited_at.is_none();
            }
            self.hold(held.message, out);
        }
    }

    /// Whether what led to this version is in it.
    fn knows(&self, version: i64) -> bool {
        version <= self.version || self.ahead.contains_key(&version)
    }

    /// Applies what it does not know yet, and once more what is known of later: changes of messages hold on top. Gives
    /// back what readers hear again because of that.
    fn follow(&mut self, told: &Told, out: &impl Fn(&ChatMessage) -> Arc<Message>) -> Vec<News> {
        told.changes.iter().for_each(|change| self.apply(change, out));
        let after = (Bound::Excluded(told.version), Bound::Unbounded);
        let later = self.ahead.range(after).flat_map(|(_, told)| told.changes.clone());
        let again: Vec<Change> = later.filter(|change| !matches!(change, Change::Message { .. })).collect();
        again.iter().for_each(|change| self.apply(change, out));
        if self.ahead.len() < MAX_TOLD {
            self.ahead.insert(told.version, told.clone());
        }
        while let Some(next) = self.ahead.remove(&self.version.saturating_add(1)) {
            self.version = next.version;
            self.settled = next.numbers().max().unwrap_or(0).max(self.settled);
        }
        again.into_iter().map(News::of).collect()
    }

    fn apply(&mut self, change: &Change, out: &impl Fn(&ChatMessage) -> Arc<Message>) {
        match change {
            Change::Message { message } => self.hold(message.clone(), out),
            Change::Edited { seq, text, edited_at, .. } => {
                self.change(|number, _| number == *seq, text, Some(*edited_at), out);
            }
            Change::Deleted { seq, .. } => self.change(|number, _| number == *seq, "", None, out),
            Change::DeletedFrom { from, .. } => self.change(|_, author| author == from, "", None, out),
            Change::Settings { settings, pinned } => {
                (self.settings, self.pinned) = (settings.clone(), pinned.clone());
            }
            Change::Sanction { row } => drop(self.sanctions.insert(row.person.clone(), row.clone())),
            Change::Lifted { row } => drop(self.sanctions.remove(&row.person)),
        }
    }

    /// What is different in `kept`, which is later, from what readers were told.
    fn difference(&self, kept: &Kept) -> Vec<News> {
        let mut news = Vec::new();
        let shown: HashSet<u64> = self.ahead.values().flat_map(Told::numbers).collect();
        for message in &kept.messages {
            let only = || message.to.as_ref().map(|to| [message.from.clone(), to.id.clone()]);
            let quoted = self.messages.get(&message.seq).and_then(|held| held.message.reply_to.as_ref());
            if let (Some(before), Some(now)) = (quoted, &message.reply_to)
                && (now.deleted && !before.deleted)
            {
                // What is quoted may not be held here: who shows it hears of it all the same.
                let by = contract::chat::DeletedBy::Moderator;
                news.push(News::of(Change::Deleted { seq: now.seq, by, only: only() }));
            }
            let change = match self.messages.get(&message.seq).map(|held| &held.message) {
                None if message.seq > self.settled && !shown.contains(&message.seq) => {
                    Change::Message { message: message.clone() }
                }
                Some(before) if message.deleted && !before.deleted => Change::Deleted {
                    seq: message.seq,
                    by: contract::chat::DeletedBy::Moderator,
                    only: only(),
                },
                Some(before) if message.edited_at != before.edited_at => Change::Edited {
                    seq: message.seq,
                    text: message.text.clone(),
                    edited_at: message.edited_at.unwrap_or(message.at),
                    only: only(),
                },
                _ => continue,
            };
            news.push(News::of(change));
        }
        if (&kept.settings, &kept.pinned) != (&self.settings, &self.pinned) {
            let (settings, pinned) = (kept.settings.clone(), kept.pinned.clone());
            news.push(News::of(Change::Settings { settings, pinned }));
        }
        for row in &kept.sanctions {
            if self.sanctions.get(&row.person) != Some(row) {
                news.push(News::of(Change::Sanction { row: row.clone() }));
            }
        }
        for row in self.sanctions.values() {
            if !kept.sanctions.iter().any(|now| now.person == row.person) {
                news.push(News::of(Change::Lifted { row: row.clone() }));
            }
        }
        news
    }
}

impl Held {
    fn bytes(&self) -> usize {
        // The text is there twice, and the rest is small.
        self.out.bytes().saturating_mul(2).saturating_add(256)
    }
}

/// A subscription that waits for its chat.
pub(crate) type Waiting = (ConnId, SubscriptionKey);

#[derive(Debug)]
enum Chat {
    /// Is being read. Who waits for it hears nothing until then; what is told meanwhile is kept for it.
    Reading {
        waiting: HashSet<Waiting>,
        told: Vec<Told>,
    },
    Ready(Box<Log>),
}

#[derive(Debug)]
struct Known {
    chat: Chat,
    used: u64,
}

/// The chats that are held.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    rooms: HashMap<Room, Known>,
    clock: u64,
    bytes: usize,
    /// To be read from the database, the first first.
    wanted: VecDeque<Room>,
}

/// What readers of a room hear when its chat was read.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// They get it from the beginning.
    pub(crate) waiting: HashSet<Waiting>,
    /// For those who read it already.
    pub(crate) news: Vec<News>,
}

/// Told of more than this while a room is being read, it is read again instead.
const MAX_TOLD: usize = 1_000;

impl Logs {
    /// The chat of `room`, if it is held.
    pub(crate) fn get(&mut self, room: &Room) -> Option<&Log> {
        self.clock += 1;
        let known = self.rooms.get_mut(room)?;
        known.used = self.clock;
        match &known.chat {
            Chat::Ready(log) => Some(log),
            Chat::Reading { .. } => None,
        }
    }

    /// The same without counting as use.
    pub(crate) fn peek(&self, room: &Room) -> Option<&Log> {
        match &self.rooms.get(room)?.chat {
            Chat::Ready(log) => Some(log),
            Chat::Reading { .. } => None,
        }
    }

    /// `who` waits for the chat of `room`, which is not held.
    pub(crate) fn wait(&mut self, room: &Room, who: Waiting) {
        self.clock += 1;
        let used = self.clock;
        let known = self.rooms.entry(room.clone()).or_insert_with(|| {
            self.wanted.push_back(room.clone());
            Known { chat: Chat::Reading { waiting: HashSet::new(), told: Vec::new() }, used }
        });
        known.used = used;
        if let Chat::Reading { waiting, .. } = &mut known.chat {
            waiting.insert(who);
        }
        self.let_go();
    }

    /// Who waits for the chat of `room`, and hears nothing of it yet.
    pub(crate) fn waiting(&self, room: &Room) -> Option<&HashSet<Waiting>> {
        match &self.rooms.get(room)?.chat {
            Chat::Reading { waiting, .. } => Some(waiting),
            Chat::Ready(_) => None,
        }
    }

    /// The next room to be read.
    pub(crate) fn next_wanted(&mut self) -> Option<Room> {
        self.wanted.pop_front()
    }

    /// Has `room` read again: something of it was missed, or its reading failed.
    pub(crate) fn read_again(&mut self, room: &Room) {
        let is_known = self.rooms.contains_key(room);
        if is_known && self.wanted.len() < MAX_WAITING && !self.wanted.contains(room) {
            self.wanted.push_back(room.clone());
        }
    }

    /// A change was committed. Gives back what readers are told: nothing where they know it.
    pub(crate) fn tell(
        &mut self,
        room: &Room,
        told: &Told,
        out: impl Fn(&ChatMessage) -> Arc<Message>,
    ) -> Vec<News> {
        let news = || told.changes.iter().cloned().map(News::of).collect();
        let Some(known) = self.rooms.get_mut(room) else { return news() };
        let (missed, again) = match &mut known.chat {
            Chat::Reading { told: before, .. } => {
                if before.len() < MAX_TOLD {
                    before.push(told.clone());
                }
                return news();
            }
            Chat::Ready(log) if log.knows(told.version) => return Vec::new(),
            Chat::Ready(log) => {
                let bytes = log.bytes;
                let again = log.follow(told, &out);
                self.bytes = self.bytes.saturating_sub(bytes).saturating_add(log.bytes);
                (!log.ahead.is_empty(), again)
            }
        };
        if missed {
            self.read_again(room);
        }
        self.let_go();
        let mut all: Vec<News> = news();
        all.extend(again);
        all
    }

    /// The highest number of `room` up to which nothing was missed here; `None` where the room is not held.
    pub(crate) fn settled(&self, room: &Room) -> Option<u64> {
        self.peek(room).map(|log| log.settled)
    }

    /// The version of what is held of `room`.
    pub(crate) fn version(&self, room: &Room) -> Option<i64> {
        match &self.rooms.get(room)?.chat {
            Chat::Ready(log) => Some(log.version),
            Chat::Reading { .. } => None,
        }
    }

    /// The chat of `room` was read.
    pub(crate) fn arrive(
        &mut self,
        room: &Room,
        kept: Kept,
        out: impl Fn(&ChatMessage) -> Arc<Message>,
    ) -> Arrived {
        let Some(known) = self.rooms.get_mut(room) else { return Arrived::default() };
        let mut arrived = Arrived::default();
        let missed = match &mut known.chat {
            // It was read before what is known here.
            Chat::Ready(log) if kept.version <= log.version => !log.ahead.is_empty(),
            Chat::Ready(log) => {
                arrived.news = log.difference(&kept);
                self.bytes = self.bytes.saturating_sub(log.bytes);
                let mut now = Log::of(kept, &out);
                for told in
                    log.ahead.values().filter(|told| !now.knows(told.version)).cloned().collect::<Vec<_>>()
                {
                    now.follow(&told, &out);
                    let changes = told.changes.into_iter();
                    let again = changes.filter(|change| !matches!(change, Change::Message { .. }));
                    arrived.news.extend(again.map(News::of));
                }
                self.bytes = self.bytes.saturating_add(now.bytes);
                **log = now;
                !log.ahead.is_empty()
            }
            Chat::Reading { waiting, told } => {
                arrived.waiting = std::mem::take(waiting);
                let mut told = std::mem::take(told);
                let mut log = Log::of(kept, &out);
                told.sort_by_key(|told| told.version);
                for told in &told {
                    if !log.knows(told.version) {
                        log.follow(told, &out);
                    }
                }
                self.bytes = self.bytes.saturating_add(log.bytes);
                let missed = !log.ahead.is_empty();
                known.chat = Chat::Ready(Box::new(log));
                missed
            }
        };
        if missed {
            self.read_again(room);
        }
        self.let_go();
        arrived
    }

    /// Lets go of the silent ones over the limits. Who reads them goes on reading.
    fn let_go(&mut self) {
        while self.rooms.len() > MAX_LOGS || self.bytes > MAX_BYTES {
            let ready = self.rooms.iter().filter(|(_, known)| matches!(known.chat, Chat::Ready(_)));
            let Some(room) = ready.min_by_key(|(_, known)| known.used).map(|(room, _)| room.clone()) else {
                return;
            };
            if let Some(Known { chat: Chat::Ready(log), .. }) = self.rooms.remove(&room) {
                self.bytes = self.bytes.saturating_sub(log.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::chat::DeletedBy;
    use proptest::prelude::*;

    use super::*;

    fn room() -> Room {
        "7".parse().unwrap()
    }

    fn out(message: &ChatMessage) -> Arc<Message> {
        Message::json("/topic/-/chat/7".into(), message)
    }

    fn message(seq: u64) -> ChatMessage {
        let from = format!("par_{}", seq % 3);
        ChatMessage { seq, from, text: format!("text {seq}"), ..ChatMessage::default() }
    }

    /// A database: what `kept` gives is all that was committed.
    #[derive(Default)]
    struct Truth {
        kept: Kept,
        commits: Vec<Told>,
    }

    impl Truth {
        fn commit(&mut self, what: u8) {
            let last = self.kept.last;
            let messages = &mut self.kept.messages;
            let live = messages.iter_mut().rev().find(|message| !message.deleted);
            let change = match (what, live) {
                (0, Some(message)) => {
                    message.text = format!("{}!", message.text);
                    message.edited_at = Some(message.edited_at.unwrap_or(0) + 1);
                    let edited_at = message.edited_at.unwrap();
                    Change::Edited { seq: message.seq, text: message.text.clone(), edited_at, only: None }
                }
                (1, Some(message)) => {
                    (message.deleted, message.text) = (true, String::new());
                    Change::Deleted { seq: message.seq, by: DeletedBy::Moderator, only: None }
                }
                (2, _) => {
                    self.kept.settings.slow_seconds += 1;
                    Change::Settings { settings: self.kept.settings.clone(), pinned: None }
                }
                _ => {
                    self.kept.last = last + 1;
                    let quoted = messages.iter().rev().nth(2).filter(|_| what == 3);
                    let quote = |quoted: &ChatMessage| {
                        let ChatMessage { seq, from, name, text, deleted, .. } = quoted.clone();
                        ChatQuote { seq, from, name, text, deleted }
                    };
                    let message = ChatMessage { reply_to: quoted.map(quote), ..message(last + 1) };
                    messages.push(message.clone());
                    Change::Message { message }
                }
            };
            let now: HashMap<u64, (String, bool)> = (messages.iter())
                .map(|message| (message.seq, (message.text.clone(), message.deleted)))
                .collect();
            for quote in messages.iter_mut().filter_map(|message| message.reply_to.as_mut()) {
                (quote.text, quote.deleted) = now[&quote.seq].clone();
            }
            self.kept.version += 1;
            self.commits.push(Told { version: self.kept.version, changes: vec![change] });
        }
    }

    /// A reader's page: what it shows after what it was told.
    #[derive(Default, Debug, PartialEq)]
    struct Page {
        messages: BTreeMap<u64, (String, bool)>,
        slow: u32,
    }

    impl Page {
        fn hear(&mut self, news: Vec<News>) {
            for News { event, .. } in news {
                match event {
                    ChatEvent::Message(message) => {
                        let new = self.messages.insert(message.seq, (message.text, message.deleted));
                        assert_eq!(new, None, "it came twice");
                    }
                    ChatEvent::Edited { seq, text, .. } => {
                        if let Some(line) = self.messages.get_mut(&seq) {
                            line.0 = text;
                        }
                    }
                    ChatEvent::Deleted { seq, .. } => {
                        if let Some(line) = self.messages.get_mut(&seq) {
                            *line = (String::new(), true);
                        }
                    }
                    ChatEvent::Settings { settings, .. } => self.slow = settings.slow_seconds,
                    other => panic!("{other:?}"),
                }
            }
        }

        fn of(kept: &Kept) -> Self {
            let lines = kept.messages.iter();
            let line = |message: &ChatMessage| (message.seq, (message.text.clone(), message.deleted));
            Self { messages: lines.map(line).collect(), slow: kept.settings.slow_seconds }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whatever is told in which order or never, and whenever the database is read: at the end a reader has seen
        /// each message once, and everything as it is.
        #[test]
        fn a_reader_ends_with_what_is_kept(
            whats in proptest::collection::vec(0..6_u8, 1..40),
            steps in proptest::collection::vec((0..5_u8, any::<prop::sample::Index>()), 0..80),
        ) {
            let (mut truth, mut logs, mut page) = (Truth::default(), Logs::default(), Page::default());
            let reader = (1, SubscriptionKey(1));
            logs.wait(&room(), reader);
            let begun = logs.arrive(&room(), truth.kept.clone(), out);
            prop_assert!(begun.waiting.contains(&reader));
            let (mut whats, mut told, mut read) = (whats.into_iter(), Vec::new(), Vec::new());
            for (step, index) in steps {
                match step {
                    // Something is committed here or elsewhere; elsewhere nobody here may ever be told.
                    0 | 1 => {
                        let Some(what) = whats.next() else { continue };
                        truth.commit(what);
                        if step == 0 {
                            told.extend(truth.commits.last().cloned());
                        }
                    }
                    // It is told of late, and of others before it.
                    2 if !told.is_empty() => {
                        let which = told.remove(index.index(told.len()));
                        page.hear(logs.tell(&room(), &which, out));
                    }
                    // The database is read, and that takes a while.
                    3 => read.push(truth.kept.clone()),
                    4 if !read.is_empty() => {
                        let kept = read.remove(index.index(read.len()));
                        page.hear(logs.arrive(&room(), kept, out).news);
                    }
                    _ => {}
                }
            }
            page.hear(logs.arrive(&room(), truth.kept.clone(), out).news);
            for which in told {
                page.hear(logs.tell(&room(), &which, out));
            }
            page.hear(logs.arrive(&room(), truth.kept.clone(), out).news);
            prop_assert_eq!(page, Page::of(&truth.kept));
            prop_assert_eq!(logs.version(&room()), Some(truth.kept.version));
            let own: Vec<_> = logs.peek(&room()).unwrap().messages.values().map(|held| &held.message).collect();
            prop_assert_eq!(own, truth.kept.messages.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_last_hundred_and_what_is_direct_are_held_within_bounds() {
        let mut logs = Logs::default();
        logs.wait(&room(), (1, SubscriptionKey(1)));
        logs.arrive(&room(), Kept::default(), out);
        for seq in 1..=1_000 {
            let to = (seq % 2 == 0)
                .then(|| contract::chat::ChatPerson { id: "par_x".into(), name: String::new() });
            let message = ChatMessage { to, ..message(seq) };
            let version = i64::try_from(seq).unwrap();
            logs.tell(&room(), &Told { version, changes: vec![Change::Message { message }] }, out);
        }
        let log = logs.get(&room()).unwrap();
        assert_eq!((log.messages.len(), log.direct), (CHAT_HISTORY + MAX_DIRECT, MAX_DIRECT));
        assert_eq!(log.messages("par_y").count(), CHAT_HISTORY);
        assert_eq!(log.messages("par_x").count(), CHAT_HISTORY);
        let bytes: usize = log.messages.values().map(Held::bytes).sum();
        assert_eq!((log.bytes, log.last), (bytes, 1_000));
        assert_eq!(logs.bytes, bytes);
    }

    fn said(logs: &mut Logs, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            let version = logs.version(&room()).unwrap() + 1;
            logs.tell(&room(), &Told { version, changes: vec![change] }, out);
        }
    }

    fn seen(logs: &Logs, person: &str) -> Vec<u64> {
        let read = |message: &Arc<Message>| serde_json::from_slice::<ChatMessage>(&message.body).unwrap().seq;
        logs.peek(&room()).unwrap().messages(person).map(read).collect()
    }

    #[test]
    fn a_person_gets_its_last_messages_without_a_hole() {
        let mut logs = Logs::default();
        logs.wait(&room(), (1, SubscriptionKey(1)));
        logs.arrive(&room(), Kept::default(), out);
        let direct = |seq: u64, from: &str, to: &str| {
            let to = contract::chat::ChatPerson { id: to.into(), name: String::new() };
            Change::Message { message: ChatMessage { from: from.into(), to: Some(to), ..message(seq) } }
        };
        let public = |seq| Change::Message { message: ChatMessage { from: "par_p".into(), ..message(seq) } };
        said(&mut logs, [public(1), direct(2, "a", "b")]);
        said(&mut logs, (3..=242).map(|seq| direct(seq, "c", "d")));
        said(&mut logs, [public(243), direct(244, "a", "b")]);
        // 2 is not held any more: 1 before it would be a hole that nobody asks for.
        for person in ["a", "b"] {
            assert_eq!(seen(&logs, person), [243, 244]);
        }
        assert_eq!(seen(&logs, "e"), [1, 243]);
        assert_eq!(seen(&logs, "c"), (144..=243).collect::<Vec<_>>());
        // Also among very many people.
        for n in 0..2 * MAX_CUT as u64 {
            said(&mut logs, [direct(245 + n, &format!("x{n}"), &format!("y{n}"))]);
        }
        let log = logs.peek(&room()).unwrap();
        assert!(log.cut_of.len() <= MAX_CUT && log.cut > 0, "{} {}", log.cut_of.len(), log.cut);
        assert_eq!(seen(&logs, "x0"), Vec::<u64>::new());
    }

    #[test]
    fn a_quote_of_what_is_not_held_changes_with_it() {
        for (how, text, deleted) in [
            (Change::Deleted { seq: 1, by: DeletedBy::Moderator, only: None }, "", true),
            (Change::DeletedFrom { from: "par_1".into(), by: DeletedBy::Moderator }, "", true),
            (Change::Edited { seq: 1, text: "new".into(), edited_at: 5, only: None }, "new", false),
        ] {
            let quote =
                ChatQuote { seq: 1, from: "par_1".into(), text: "old".into(), ..ChatQuote::default() };
            let answer = ChatMessage { from: "par_2".into(), reply_to: Some(quote), ..message(102) };
            // Of an answer that was deleted itself too.
            let gone = ChatMessage { deleted: true, seq: 103, ..answer.clone() };
            let kept = Kept { last: 103, version: 103, messages: vec![answer, gone], ..Kept::default() };
            let mut logs = Logs::default();
            logs.wait(&room(), (1, SubscriptionKey(1)));
            logs.arrive(&room(), kept.clone(), out);
            said(&mut logs, [how]);
            let log = logs.peek(&room()).unwrap();
            for held in log.messages.values() {
                let quote = held.message.reply_to.as_ref().unwrap();
                assert_eq!((quote.text.as_str(), quote.deleted), (text, deleted));
                assert_eq!(held.out.body, out(&held.message).body);
            }
            // Where the deletion was missed and the room is read again, readers hear of it.
            if deleted {
                let mut logs = Logs::default();
                logs.wait(&room(), (1, SubscriptionKey(1)));
                logs.arrive(&room(), kept.clone(), out);
                let mut now = Kept { version: 104, ..kept };
                for quote in now.messages.iter_mut().filter_map(|message| message.reply_to.as_mut()) {
                    (quote.text, quote.deleted) = (String::new(), true);
                }
                let news = logs.arrive(&room(), now, out).news;
                assert!(matches!(news[0].event, ChatEvent::Deleted { seq: 1, .. }), "{news:?}");
            }
        }
    }

    #[test]
    fn the_silent_rooms_are_let_go_first() {
        let mut logs = Logs::default();
        let room = |n: usize| (n + 1).to_string().parse::<Room>().unwrap();
        for n in 0..MAX_LOGS {
            logs.wait(&room(n), (1, SubscriptionKey(1)));
            logs.arrive(&room(n), Kept::default(), out);
        }
        assert!(logs.get(&room(0)).is_some());
        logs.wait(&room(MAX_LOGS), (1, SubscriptionKey(1)));
        assert!(logs.peek(&room(0)).is_some() && logs.peek(&room(1)).is_none());
        assert_eq!(logs.rooms.len(), MAX_LOGS);
    }
}
