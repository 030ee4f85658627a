//! Changes of chats, many in one transaction. What decides on them is read in the same transaction, under the lock of
//! the room's row: of two processes one waits for the other, so no number is given twice, and the order of numbers is
//! that of commits.

use std::collections::{BTreeMap, HashMap};

use contract::chat::{CHAT_EDIT_SECS, ChatQuote, DeletedBy};
use database::{Error, Sql, Value, Write};

use super::job::{Act, Author, Change, Done, GUEST, Job, MODERATOR, Outcome, PARTICIPANT, Rank};
use super::job::{Sanctioned, Told, Whom, stored};
use super::store::{MAX_SANCTIONS, MESSAGE, MessageRow, ROOM, RoomRow, SANCTION, SanctionRow};
use crate::refusal::Refusal;

/// What of one room a transaction knows and changes.
struct Chat {
    row: RoomRow,
    /// The row is another one now.
    is_changed: bool,
    /// Written at the end, or before something has to find them.
    unwritten: Vec<MessageRow>,
    /// Numbers of messages by the ids that their senders gave them.
    by_id: HashMap<String, i64>,
    sanctions: Vec<Sanctioned>,
    /// When people wrote last, as far as that was asked.
    wrote: HashMap<String, i64>,
    /// Who was not known and is now.
    newcomers: Vec<Author>,
}

/// Does `jobs` in their order.
pub(crate) async fn write(write: &mut Write, jobs: &[Job]) -> Result<Vec<Done>, Error> {
    let mut chats = chats(write, jobs).await?;
    let mut done = Vec::with_capacity(jobs.len());
    for job in jobs {
        done.push(match chats.get_mut(job.room.as_str()) {
            Some(chat) => one(write, chat, job).await?,
            // Only who is known is written without its room.
            None => Ok(Outcome { seq: None, told: None }),
        });
    }
    remember(write, jobs, &chats).await?;
    for chat in chats.values_mut() {
        chat.flush(write).await?;
        if chat.is_changed {
            chat.save(write).await?;
        }
    }
    Ok(done)
}

/// Locks the rooms of `jobs` and reads what decides on all of them.
async fn chats(write: &mut Write, jobs: &[Job]) -> Result<BTreeMap<String, Chat>, Error> {
    let acting = || jobs.iter().filter(|job| job.act != Act::Known);
    // In one order in every process, or two would wait for each other.
    let rooms: BTreeMap<&str, i64> = acting().map(|job| (job.room.as_str(), job.at)).collect();
    let mut chats = BTreeMap::new();
    if rooms.is_empty() {
        return Ok(chats);
    }
    let mut sql = Sql::new("INSERT INTO chat_room (room, used_at) VALUES ");
    sql.push_rows(rooms.iter().map(|(room, at)| [Value::from(*room), Value::from(*at)]));
    sql.push(" ON CONFLICT (room) DO UPDATE SET used_at = excluded.used_at RETURNING ").push(ROOM);
    for row in write.rows::<RoomRow>(sql).await? {
        let chat = Chat {
            is_changed: false,
            unwritten: Vec::new(),
            by_id: HashMap::new(),
            sanctions: Vec::new(),
            wrote: HashMap::new(),
            newcomers: Vec::new(),
            row,
        };
        chats.insert(chat.row.room.clone(), chat);
    }
    let named = acting().filter_map(|job| match &job.act {
        Act::Say { id: Some(id), .. } => Some([Value::from(job.room.as_str()), Value::from(id.as_str())]),
        _ => None,
    });
    let named: Vec<_> = named.collect();
    if !named.is_empty() {
        let mut sql = Sql::new("SELECT room, id, seq FROM chat_message WHERE (room, id) IN (VALUES ");
        sql.push_rows(named);
        sql.push(")");
        for (room, id, seq) in write.rows::<(String, String, i64)>(sql).await? {
            if let Some(chat) = chats.get_mut(&room) {
                chat.by_id.insert(id, seq);
            }
        }
    }
    let mut sql = Sql::new(format!("SELECT room, {SANCTION} FROM chat_sanction WHERE room IN ("));
    sql.push_rows(rooms.keys().map(|room| [Value::from(*room)]));
    sql.push(") AND (person IN (");
    sql.push_rows(acting().map(|job| [Value::from(job.author.id.as_str())]));
    sql.push(") OR address IN (");
    sql.push_rows(acting().map(|job| [Value::from(job.author.address.as_str())]));
    sql.push("))");
    for InRoom { room, sanction } in write.rows::<InRoom>(sql).await? {
        if let Some(chat) = chats.get_mut(&room) {
            chat.sanctions.push(sanction.into());
        }
    }
    Ok(chats)
}

#[derive(sqlx::FromRow)]
struct InRoom {
    room: String,
    #[sqlx(flatten)]
    sanction: SanctionRow,
}

/// Does one job; `Err` is the database's.
async fn one(write: &mut Write, chat: &mut Chat, job: &Job) -> Result<Done, Error> {
    let Job { author, act, at, .. } = job;
    if *act == Act::Known {
        return Ok(Ok(Outcome { seq: None, told: None }));
    }
    if chat.row.ended_at.is_some() {
        let is_call = job.room.group().is_some();
        return Ok(Err(if is_call { Refusal::Ended } else { Refusal::Closed }));
    }
    if let Act::Say { id: Some(id), .. } = act
        && let Some(seq) = chat.by_id.get(id)
    {
        // It came before: its answer was lost, not it.
        return Ok(Ok(Outcome { seq: u64::try_from(*seq).ok(), told: None }));
    }
    if let Some(refusal) = chat.sanction(author, *at) {
        return Ok(Err(refusal));
    }
    if act.is_moderators() && author.rank < MODERATOR {
        return Ok(Err(Refusal::NotModerator));
    }
    match act {
        Act::Say { .. } => chat.say(write, job).await,
        Act::Edit { seq, text } => chat.edit(write, author, *seq, text, *at).await,
        Act::Delete { seq } => chat.delete(write, author, *seq).await,
        Act::Sanction { .. } => chat.punish(write, job).await,
        Act::Lift { person } => chat.lift(write, author, person).await,
        Act::Slow { seconds } => {
            chat.row.slow_seconds = i64::from(*seconds);
            chat.settings(write).await
        }
        Act::Followers { minutes } => {
            chat.row.followers_minutes = minutes.map(i64::from);
            chat.settings(write).await
        }
        Act::Pin { seq } => {
            if let Some(seq) = seq {
                let message = chat.find(write, *seq).await?;
                if message.is_none_or(|message| message.deleted || message.to_id.is_some()) {
                    return Ok(Err(Refusal::NoMessage));
                }
            }
            chat.row.pinned = seq.map(stored);
            chat.settings(write).await
        }
        Act::Known => Ok(Ok(Outcome { seq: None, told: None })),
    }
}

impl Chat {
    /// What keeps `author` from writing at `now`.
    fn sanction(&self, author: &Author, now: i64) -> Option<Refusal> {
        let binding =
            self.sanctions.iter().filter(|row| row.binds(&author.id, author.rank, &author.address, now));
        // The one that lasts longest.
        let longest = binding.max_by_key(|row| row.until.unwrap_or(i64::MAX))?;
        Some(Refusal::sanctioned(longest, now))
    }

    fn told(&mut self, changes: Vec<Change>) -> Told {
        self.is_changed = true;
        self.row.version = self.row.version.saturating_add(1);
        Told { version: self.row.version, changes }
    }

    fn changed(&mut self, seq: Option<u64>, changes: Vec<Change>) -> Done {
        Ok(Outcome { seq, told: Some(self.told(changes)) })
    }

    async fn say(&mut self, write: &mut Write, job: &Job) -> Result<Done, Error> {
        let Job { room, author, act, at, .. } = job;
        let Act::Say { text, id, reply_to, to } = act else { return Ok(Err(Refusal::NoMessage)) };
        if author.rank < MODERATOR {
            if let Some(minutes) = self.row.followers_minutes {
                let known = known(write, room.as_str(), &author.id).await?;
                if known.is_none() && author.rank > GUEST {
                    self.newcomers.push(author.clone());
                }
                let since = known.map(|known| known.first_at);
                let wait =
                    minutes.saturating_mul(60_000).saturating_sub(at.saturating_sub(since.unwrap_or(*at)));
                if wait > 0 {
                    return Ok(Err(Refusal::NotFollowed { minutes, wait_ms: wait }));
                }
            }
            if self.row.slow_seconds > 0 {
                let last = self.wrote(write, &author.id).await?;
                let next = last.map_or(0, |last| last.saturating_add(self.row.slow_seconds * 1_000));
                if *at < next {
                    return Ok(Err(Refusal::Slow { wait_ms: next.saturating_sub(*at) }));
                }
            }
        }
        let mut quote: Option<ChatQuote> = None;
        if let Some(answered) = reply_to {
            let Some(answered) = self.find(write, *answered).await?.filter(|row| row.is_for(&author.id))
            else {
                return Ok(Err(Refusal::NoMessage));
            };
            // What was said to one person is quoted to nobody else.
            if let Some([a, b]) = answered.only() {
                let is_between = to
                    .as_ref()
                    .is_some_and(|to| (a == author.id && b == to.id) || (b == author.id && a == to.id));
                if !is_between {
                    return Ok(Err(Refusal::NoMessage));
                }
            }
            quote = Some(answered.quote());
        }
        self.row.last_seq = self.row.last_seq.saturating_add(1);
        let row = MessageRow {
            seq: self.row.last_seq,
            sender: author.id.clone(),
            name: author.name.clone(),
            host: author.host,
            rank: author.rank,
            address: author.address.clone(),
            text: text.clone(),
            at: *at,
            id: id.clone(),
            reply_to: reply_to.map(stored),
            to_id: to.as_ref().map(|to| to.id.clone()),
            to_name: to.as_ref().map(|to| to.name.clone()),
            edited_at: None,
            deleted: false,
        };
        if let Some(id) = id {
            self.by_id.insert(id.clone(), row.seq);
        }
        self.wrote.insert(author.id.clone(), *at);
        let message = row.clone().shown(quote);
        let seq = message.seq;
        self.unwritten.push(row);
        Ok(self.changed(Some(seq), vec![Change::Message { message }]))
    }

    async fn edit(
        &mut self,
        write: &mut Write,
        author: &Author,
        seq: u64,
        text: &str,
        at: i64,
    ) -> Result<Done, Error> {
        let found = self.find(write, seq).await?.filter(|row| row.is_for(&author.id) && !row.deleted);
        let Some(row) = found else { return Ok(Err(Refusal::NoMessage)) };
        if row.sender != author.id {
            return Ok(Err(Refusal::NotYours));
        }
        let limit = i64::try_from(CHAT_EDIT_SECS * 1_000).unwrap_or(i64::MAX);
        if at.saturating_sub(row.at) > limit {
            return Ok(Err(Refusal::TooLate));
        }
        // It was done, and the answer was lost.
        if row.text == text {
            return Ok(Ok(Outcome { seq: Some(seq), told: None }));
        }
        if let Some(before) = row.edited_at.filter(|_| author.rank < MODERATOR) {
            let next = before.saturating_add(self.row.slow_seconds.saturating_mul(1_000));
            if at < next {
                return Ok(Err(Refusal::Slow { wait_ms: next.saturating_sub(at) }));
            }
        }
        self.flush(write).await?;
        let sql = Sql::new("UPDATE chat_message SET text = $3, edited_at = $4 WHERE room = $1 AND seq = $2");
        write.execute(sql.bind(self.row.room.as_str()).bind(row.seq).bind(text).bind(at)).await?;
        let edited = Change::Edited { seq, text: text.to_owned(), edited_at: at, only: row.only() };
        let mut changes = vec![edited];
        if self.pin_shows(write, |shown| shown.seq == row.seq).await? {
            changes.push(self.now(write).await?);
        }
        Ok(self.changed(Some(seq), changes))
    }

    async fn delete(&mut self, write: &mut Write, author: &Author, seq: u64) -> Result<Done, Error> {
        let found = self.find(write, seq).await?.filter(|row| row.is_for(&author.id));
        let Some(row) = found else { return Ok(Err(Refusal::NoMessage)) };
        let is_own = row.sender == author.id;
        if !is_own && (author.rank < MODERATOR || row.to_id.is_some()) {
            return Ok(Err(Refusal::NotYours));
        }
        if !is_own && author.rank < row.rank {
            return Ok(Err(Refusal::Above));
        }
        if row.deleted {
            return Ok(Ok(Outcome { seq: Some(seq), told: None }));
        }
        self.flush(write).await?;
        let sql = Sql::new("UPDATE chat_message SET text = '', deleted = TRUE WHERE room = $1 AND seq = $2");
        write.execute(sql.bind(self.row.room.as_str()).bind(row.seq)).await?;
        let by = if is_own { DeletedBy::Author } else { DeletedBy::Moderator };
        let mut changes = vec![Change::Deleted { seq, by, only: row.only() }];
        if self.pin_shows(write, |shown| shown.seq == row.seq).await? {
            self.row.pinned = self.row.pinned.filter(|pinned| *pinned != row.seq);
            changes.push(self.now(write).await?);
        }
        Ok(self.changed(Some(seq), changes))
    }

    async fn punish(&mut self, write: &mut Write, job: &Job) -> Result<Done, Error> {
        let Job { author, act, at, .. } = job;
        let Act::Sanction { whom, seconds, address, delete, reason } = act else {
            return Ok(Err(Refusal::NoMessage));
        };
        let room = self.row.room.clone();
        let Some(target) = self.target(write, author, whom).await? else {
            return Ok(Err(Refusal::NoMessage));
        };
        if target.id == author.id || target.rank >= author.rank {
            return Ok(Err(Refusal::Above));
        }
        let before = held(write, &room, &target.id).await?;
        let before = before.filter(|before| before.until.is_none_or(|until| *at < until));
        if before.as_ref().is_some_and(|before| before.by_rank > author.rank) {
            return Ok(Err(Refusal::Above));
        }
        let ended = Sql::new("DELETE FROM chat_sanction WHERE room = $1 AND until_ms <= $2");
        write.execute(ended.bind(room.as_str()).bind(*at)).await?;
        let count = Sql::new("SELECT COUNT(*) FROM chat_sanction WHERE room = $1").bind(room.as_str());
        let count: Option<(i64,)> = write.row(count).await?;
        if before.is_none() && count.is_some_and(|(count,)| count >= MAX_SANCTIONS) {
            return Ok(Err(Refusal::TooManyBans));
        }
        // A guest is somebody new with each connection: only its network says who it was.
        let by_address = *address || target.rank == GUEST;
        let mut row = Sanctioned {
            person: target.id,
            name: target.name,
            is_ban: seconds.is_none(),
            until: seconds.map(|seconds| at.saturating_add(i64::from(seconds) * 1_000)),
            reason: reason.clone(),
            by: author.name.clone(),
            by_rank: author.rank,
            at: *at,
            address: target.address.filter(|address| by_address && !address.is_empty()),
        };
        if let Some(before) = before {
            // Only `unban` makes shorter or smaller what was decided before.
            row.address = row.address.or_else(|| before.address.clone());
            if before.until.unwrap_or(i64::MAX) > row.until.unwrap_or(i64::MAX) {
                row = Sanctioned { address: row.address, by_rank: author.rank, ..before };
            }
        }
        save_sanction(write, &room, &row).await?;
        self.sanctions.retain(|other| other.person != row.person);
        self.sanctions.push(row.clone());
        let person = row.person.clone();
        let mut changes = vec![Change::Sanction { row }];
        if *delete {
            self.flush(write).await?;
            let sql = Sql::new(
                "UPDATE chat_message SET text = '', deleted = TRUE WHERE room = $1 AND sender = $2 AND NOT deleted",
            );
            write.execute(sql.bind(room.as_str()).bind(person.as_str())).await?;
            changes.push(Change::DeletedFrom { from: person.clone(), by: DeletedBy::Moderator });
            if self.pin_shows(write, |shown| shown.sender == person).await? {
                if self.pinned(write).await?.is_some_and(|pinned| pinned.sender == person) {
                    self.row.pinned = None;
                }
                changes.push(self.now(write).await?);
            }
        }
        Ok(self.changed(None, changes))
    }

    async fn lift(&mut self, write: &mut Write, author: &Author, person: &str) -> Result<Done, Error> {
        let room = self.row.room.clone();
        let Some(row) = held(write, &room, person).await? else { return Ok(Err(Refusal::NotBanned)) };
        if row.by_rank > author.rank {
            return Ok(Err(Refusal::Above));
        }
        let sql = Sql::new("DELETE FROM chat_sanction WHERE room = $1 AND person = $2");
        write.execute(sql.bind(room.as_str()).bind(person)).await?;
        self.sanctions.retain(|other| other.person != person);
        Ok(self.changed(None, vec![Change::Lifted { row }]))
    }

    async fn settings(&mut self, write: &mut Write) -> Result<Done, Error> {
        let now = self.now(write).await?;
        Ok(self.changed(None, vec![now]))
    }

    /// What holds for everybody, all of it.
    async fn now(&mut self, write: &mut Write) -> Result<Change, Error> {
        let pinned = self.pinned(write).await?;
        let quoted = self.quoted(write, pinned.as_ref()).await?.map(|row| row.quote());
        let pinned = pinned.filter(|row| !row.deleted).map(|row| row.shown(quoted));
        Ok(Change::Settings { settings: self.row.settings(), pinned })
    }

    async fn pinned(&self, write: &mut Write) -> Result<Option<MessageRow>, Error> {
        match self.row.pinned.and_then(|seq| u64::try_from(seq).ok()) {
            Some(seq) => self.find(write, seq).await,
            None => Ok(None),
        }
    }

    /// What `row` answers.
    async fn quoted(&self, write: &mut Write, row: Option<&MessageRow>) -> Result<Option<MessageRow>, Error> {
        match row.and_then(|row| row.reply_to).and_then(|seq| u64::try_from(seq).ok()) {
            Some(seq) => self.find(write, seq).await,
            None => Ok(None),
        }
    }

    /// Whether the pin is one that `which` means, or quotes one.
    async fn pin_shows(&self, write: &mut Write, which: impl Fn(&MessageRow) -> bool) -> Result<bool, Error> {
        let pinned = self.pinned(write).await?;
        let quoted = self.quoted(write, pinned.as_ref()).await?;
        Ok(pinned.is_some_and(|row| which(&row)) || quoted.is_some_and(|row| which(&row)))
    }

    /// The message with this number.
    async fn find(&self, write: &mut Write, seq: u64) -> Result<Option<MessageRow>, Error> {
        let seq = stored(seq);
        if let Some(row) = self.unwritten.iter().find(|row| row.seq == seq) {
            return Ok(Some(row.clone()));
        }
        let sql = Sql::new(format!("SELECT {MESSAGE} FROM chat_message m WHERE room = $1 AND seq = $2"));
        write.row(sql.bind(self.row.room.as_str()).bind(seq)).await
    }

    /// When somebody wrote last.
    async fn wrote(&mut self, write: &mut Write, person: &str) -> Result<Option<i64>, Error> {
        if let Some(at) = self.wrote.get(person) {
            return Ok(Some(*at));
        }
        let sql =
            Sql::new("SELECT at FROM chat_message WHERE room = $1 AND sender = $2 ORDER BY seq DESC LIMIT 1");
        let row: Option<(i64,)> = write.row(sql.bind(self.row.room.as_str()).bind(person)).await?;
        Ok(row.map(|(at,)| at))
    }

    async fn target(&self, write: &mut Write, author: &Author, whom: &Whom) -> Result<Option<Target>, Error> {
        let id = match whom {
            Whom::AuthorOf(seq) => {
                let found = self.find(write, *seq).await?.filter(|row| row.is_for(&author.id));
                let Some(row) = found else { return Ok(None) };
                let known = known(write, &self.row.room, &row.sender).await?;
                return Ok(Some(Target::of(row, known)));
            }
            Whom::Person(id) => id,
        };
        let wrote = self.unwritten.iter().rev().find(|row| row.sender == *id).cloned();
        let wrote = match wrote {
            Some(row) => Some(row),
            None => {
                let sql = Sql::new(format!(
                    "SELECT {MESSAGE} FROM chat_message m WHERE room = $1 AND sender = $2 ORDER BY seq DESC LIMIT 1"
                ));
                write.row::<MessageRow>(sql.bind(self.row.room.as_str()).bind(id.as_str())).await?
            }
        };
        let known = known(write, &self.row.room, id).await?;
        Ok(Some(match (wrote, known) {
            (Some(row), known) => Target::of(row, known),
            (None, Some(known)) => {
                Target { id: id.clone(), name: known.name, rank: known.rank, address: Some(known.address) }
            }
            // Nobody has seen it here yet: it holds when they come.
            (None, None) => Target { id: id.clone(), name: String::new(), rank: PARTICIPANT, address: None },
        }))
    }

    /// Writes what is not written yet.
    async fn flush(&mut self, write: &mut Write) -> Result<(), Error> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let mut sql = Sql::new(
            "INSERT INTO chat_message (room, seq, sender, name, host, rank, address, text, at, id, reply_to, to_id, \
             to_name) VALUES ",
        );
        let room = self.row.room.as_str();
        sql.push_rows(self.unwritten.drain(..).map(|row| {
            [
                Value::from(room),
                Value::from(row.seq),
                Value::from(row.sender),
                Value::from(row.name),
                Value::from(row.host),
                Value::from(row.rank),
                Value::from(row.address),
                Value::from(row.text),
                Value::from(row.at),
                Value::from(row.id),
                Value::from(row.reply_to),
                Value::from(row.to_id),
                Value::from(row.to_name),
            ]
        }));
        write.execute(sql).await?;
        Ok(())
    }

    async fn save(&self, write: &mut Write) -> Result<(), Error> {
        let RoomRow { room, last_seq, version, slow_seconds, followers_minutes, pinned, .. } = &self.row;
        let sql = Sql::new(
            "UPDATE chat_room SET last_seq = $2, version = $3, slow_seconds = $4, followers_minutes = $5, \
             pinned = $6 WHERE room = $1",
        );
        let sql = sql.bind(room.as_str()).bind(*last_seq).bind(*version).bind(*slow_seconds);
        write.execute(sql.bind(*followers_minutes).bind(*pinned)).await?;
        Ok(())
    }
}

/// Whom a sanction is for.
struct Target {
    id: String,
    name: String,
    rank: Rank,
    address: Option<String>,
}

impl Target {
    fn of(row: MessageRow, known: Option<KnownRow>) -> Self {
        let rank = known.map_or(row.rank, |known| known.rank.max(row.rank));
        Self { id: row.sender, name: row.name, rank, address: Some(row.address) }
    }
}

#[derive(sqlx::FromRow)]
struct KnownRow {
    name: String,
    rank: Rank,
    address: String,
    first_at: i64,
}

/// What is known of somebody in a room.
async fn known(write: &mut Write, room: &str, person: &str) -> Result<Option<KnownRow>, Error> {
    let sql =
        Sql::new("SELECT name, rank, address, first_at FROM chat_person WHERE room = $1 AND person = $2");
    write.row(sql.bind(room).bind(person)).await
}

/// What keeps somebody from writing, whether it has ended or not.
async fn held(write: &mut Write, room: &str, person: &str) -> Result<Option<Sanctioned>, Error> {
    let sql = Sql::new(format!("SELECT {SANCTION} FROM chat_sanction WHERE room = $1 AND person = $2"));
    let row: Option<SanctionRow> = write.row(sql.bind(room).bind(person)).await?;
    Ok(row.map(Sanctioned::from))
}

async fn save_sanction(write: &mut Write, room: &str, row: &Sanctioned) -> Result<(), Error> {
    let sql = Sql::new(
        "INSERT INTO chat_sanction (room, person, name, is_ban, until_ms, reason, by_name, by_rank, at, address) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (room, person) DO UPDATE SET \
         name = excluded.name, is_ban = excluded.is_ban, until_ms = excluded.until_ms, reason = excluded.reason, \
         by_name = excluded.by_name, by_rank = excluded.by_rank, at = excluded.at, address = excluded.address",
    );
    let sql = sql.bind(room).bind(row.person.as_str()).bind(row.name.as_str()).bind(row.is_ban);
    let sql = sql.bind(row.until).bind(row.reason.clone()).bind(row.by.as_str()).bind(row.by_rank);
    write.execute(sql.bind(row.at).bind(row.address.clone())).await?;
    Ok(())
}

/// Writes who is known from now on. Since when stays as it was.
async fn remember(write: &mut Write, jobs: &[Job], chats: &BTreeMap<String, Chat>) -> Result<(), Error> {
    let mut people: BTreeMap<(&str, &str), (&Author, i64)> = BTreeMap::new();
    let now = jobs.iter().map(|job| job.at).max().unwrap_or(0);
    for job in jobs.iter().filter(|job| job.act == Act::Known) {
        people.insert((job.room.as_str(), job.author.id.as_str()), (&job.author, job.at));
    }
    for (room, chat) in chats {
        people
            .extend(chat.newcomers.iter().map(|author| ((room.as_str(), author.id.as_str()), (author, now))));
    }
    if people.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new("INSERT INTO chat_person (room, person, name, rank, address, first_at) VALUES ");
    sql.push_rows(people.iter().map(|((room, person), (author, at))| {
        [
            Value::from(*room),
            Value::from(*person),
            Value::from(author.name.as_str()),
            Value::from(author.rank),
            Value::from(author.address.as_str()),
            Value::from(*at),
        ]
    }));
    sql.push(
        " ON CONFLICT (room, person) DO UPDATE SET name = excluded.name, rank = excluded.rank, \
         address = excluded.address",
    );
    write.execute(sql).await?;
    Ok(())
}
