//! Chats in the database: what is read of them, and what is forgotten. What changes them is in `write`.

use contract::chat::{
    CHAT_HISTORY, ChatBan, ChatMessage, ChatPerson, ChatQuote, ChatSettings, MAX_QUOTE_CHARS, SanctionKind,
};
use contract::room::Room;
use database::{Db, Error, Sql, Value, bounded};

use super::job::{Rank, Sanctioned, stored};
use crate::barred::MAX_BARRED;

/// Direct messages beside the last public ones that are read with a chat.
const DIRECT_MESSAGES: i64 = 200;
/// Pairs of people of whom it is read up to where direct messages are missing. Where there are more, it is for all.
const MAX_PAIRS: i64 = 500;
/// Public messages that are read with a chat.
const HISTORY: i64 = CHAT_HISTORY as i64;
/// Messages of another process that are shown at once. Of more the latest are, and the rest is in the history.
const MAX_MISSED: i64 = 1_000;
/// Who may not write in one room: more than so many are refused.
pub(crate) const MAX_SANCTIONS: i64 = 1_000;
/// The latest sanctions that a moderator reads at once.
pub(crate) const SHOWN_SANCTIONS: i64 = 200;
/// Rows that one statement of upkeep deletes.
const SWEEP_ROWS: i64 = 500;
/// Statements of upkeep in a row; the rest waits for the next time.
const SWEEPS: usize = 20;
/// Rooms whose new version is read at once.
const MAX_NEWS: i64 = 1_000;

/// A row of `chat_message`.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct MessageRow {
    pub(crate) seq: i64,
    pub(crate) sender: String,
    pub(crate) name: String,
    pub(crate) host: bool,
    pub(crate) rank: Rank,
    pub(crate) address: String,
    pub(crate) text: String,
    pub(crate) at: i64,
    pub(crate) id: Option<String>,
    pub(crate) reply_to: Option<i64>,
    pub(crate) to_id: Option<String>,
    pub(crate) to_name: Option<String>,
    pub(crate) edited_at: Option<i64>,
    pub(crate) deleted: bool,
}

/// The columns of [`MessageRow`], in a query that calls the table `m`.
pub(crate) const MESSAGE: &str = "m.seq, m.sender, m.name, m.host, m.rank, m.address, m.text, m.at, m.id, \
     m.reply_to, m.to_id, m.to_name, m.edited_at, m.deleted";

impl MessageRow {
    pub(crate) fn number(&self) -> u64 {
        u64::try_from(self.seq).unwrap_or(0)
    }

    /// Whether `person` reads it.
    pub(crate) fn is_for(&self, person: &str) -> bool {
        self.to_id.as_deref().is_none_or(|to| to == person || self.sender == person)
    }

    /// Its two people, where it is a direct one.
    pub(crate) fn only(&self) -> Option<[String; 2]> {
        self.to_id.clone().map(|to| [self.sender.clone(), to])
    }

    pub(crate) fn quote(&self) -> ChatQuote {
        ChatQuote {
            seq: self.number(),
            from: self.sender.clone(),
            name: self.name.clone(),
            text: self.text.chars().take(MAX_QUOTE_CHARS).collect(),
            deleted: self.deleted,
        }
    }

    /// As readers get it, with what it answers.
    pub(crate) fn shown(self, quoted: Option<ChatQuote>) -> ChatMessage {
        let lost = |seq| ChatQuote { seq, deleted: true, ..ChatQuote::default() };
        let answers = self.reply_to.and_then(|seq| u64::try_from(seq).ok());
        ChatMessage {
            seq: self.number(),
            from: self.sender,
            name: self.name,
            host: self.host,
            text: self.text,
            at: self.at,
            id: self.id,
            reply_to: quoted.or_else(|| answers.map(lost)),
            to: self.to_id.map(|id| ChatPerson { id, name: self.to_name.unwrap_or_default() }),
            edited_at: self.edited_at,
            deleted: self.deleted,
        }
    }
}

/// A row of `chat_room`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct RoomRow {
    pub(crate) room: String,
    pub(crate) last_seq: i64,
    pub(crate) version: i64,
    pub(crate) slow_seconds: i64,
    pub(crate) followers_minutes: Option<i64>,
    pub(crate) pinned: Option<i64>,
    pub(crate) ended_at: Option<i64>,
}

/// The columns of [`RoomRow`].
pub(crate) const ROOM: &str = "room, last_seq, version, slow_seconds, followers_minutes, pinned, ended_at";

impl RoomRow {
    pub(crate) fn settings(&self) -> ChatSettings {
        ChatSettings {
            slow_seconds: u32::try_from(self.slow_seconds).unwrap_or(0),
            followers_minutes: self.followers_minutes.and_then(|minutes| u32::try_from(minutes).ok()),
        }
    }
}

/// A row of `chat_sanction`.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct SanctionRow {
    person: String,
    name: String,
    is_ban: bool,
    until_ms: Option<i64>,
    reason: Option<String>,
    by_name: String,
    by_rank: Rank,
    at: i64,
    address: Option<String>,
}

/// The columns of [`SanctionRow`].
pub(crate) const SANCTION: &str = "person, name, is_ban, until_ms, reason, by_name, by_rank, at, address";

impl From<SanctionRow> for Sanctioned {
    fn from(row: SanctionRow) -> Self {
        let SanctionRow { person, name, is_ban, until_ms, reason, by_name, by_rank, at, address } = row;
        Self { person, name, is_ban, until: until_ms, reason, by: by_name, by_rank, at, address }
    }
}

/// A chat as it is kept: what a replica has to know of it to serve readers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) last: u64,
    pub(crate) version: i64,
    pub(crate) settings: ChatSettings,
    pub(crate) pinned: Option<ChatMessage>,
    /// Oldest first.
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) sanctions: Vec<Sanctioned>,
    /// The group or the broadcast was deleted: nothing else is told of it.
    pub(crate) has_ended: bool,
    /// Up to here messages are missing.
    pub(crate) cut: u64,
    /// People of whom direct messages are missing, up to these numbers.
    pub(crate) cut_of: Vec<(String, u64)>,
}

/// How long chats are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// 0: for ever.
    pub(crate) days: u32,
    /// Messages of one room.
    pub(crate) per_room: u32,
    /// Messages in all.
    pub(crate) in_all: u64,
}

/// The epoch of this database's numbers.
pub(crate) async fn epoch(db: &Db) -> Result<u64, Error> {
    let row: Option<(i64,)> = bounded(db.row(Sql::new("SELECT epoch FROM chat_epoch"))).await?;
    let epoch = row.and_then(|(epoch,)| u64::try_from(epoch).ok());
    epoch.ok_or_else(|| Error::Failed("there is no epoch of chats".into()))
}

/// Reads a chat: the last public messages, direct ones beside them, settings, and who may not write at `now`. Where a
/// part is known already, up to the number `since`, all messages after that as far as [`MAX_MISSED`] goes.
pub(crate) async fn load(db: &Db, room: &Room, since: Option<u64>, now: i64) -> Result<Kept, Error> {
    bounded(async {
        // First: what is committed meanwhile is told as well. A change that is told twice is one, but a message would come
        // twice: those after this number are left out.
        let sql = Sql::new(format!("SELECT {ROOM} FROM chat_room WHERE room = $1")).bind(room.as_str());
        let Some(row) = db.row::<RoomRow>(sql).await? else { return Ok(Kept::default()) };
        if row.ended_at.is_some() {
            let last = u64::try_from(row.last_seq).unwrap_or(0);
            return Ok(Kept { last, version: row.version, has_ended: true, ..Kept::default() });
        }
        let public = Sql::new(format!(
            "SELECT {MESSAGE} FROM chat_message m WHERE room = $1 AND to_id IS NULL AND seq <= $2 \
             ORDER BY seq DESC LIMIT $3"
        ));
        let missed = since.map_or(0, |since| row.last_seq.saturating_sub(stored(since)));
        let most = missed.clamp(HISTORY, MAX_MISSED);
        let mut rows: Vec<MessageRow> =
            db.rows(public.bind(room.as_str()).bind(row.last_seq).bind(most)).await?;
        let oldest = if rows.len() as i64 == most { rows.last().map_or(0, |row| row.seq) } else { 0 };
        let direct = Sql::new(format!(
            "SELECT {MESSAGE} FROM chat_message m WHERE room = $1 AND to_id IS NOT NULL AND seq > $2 \
             AND seq <= $3 ORDER BY seq DESC LIMIT $4"
        ));
        let direct = direct.bind(room.as_str()).bind(oldest).bind(row.last_seq).bind(DIRECT_MESSAGES);
        let direct: Vec<MessageRow> = db.rows(direct).await?;
        let (mut cut, mut cut_of) = (oldest.saturating_sub(1), Vec::new());
        if direct.len() as i64 == DIRECT_MESSAGES
            && let Some(first) = direct.last()
        {
            let missing = Sql::new(
                "SELECT sender, to_id, MAX(seq) FROM chat_message WHERE room = $1 AND to_id IS NOT NULL \
                 AND seq > $2 AND seq < $3 GROUP BY sender, to_id LIMIT $4",
            );
            let missing = missing.bind(room.as_str()).bind(oldest).bind(first.seq).bind(MAX_PAIRS);
            let pairs: Vec<(String, String, i64)> = db.rows(missing).await?;
            if pairs.len() as i64 == MAX_PAIRS {
                cut = first.seq - 1;
            }
            let number = |seq: i64| u64::try_from(seq).unwrap_or(0);
            cut_of.extend(pairs.into_iter().flat_map(|(a, b, seq)| [(a, number(seq)), (b, number(seq))]));
        }
        rows.extend(direct);
        rows.sort_by_key(|row| row.seq);
        let sanctions = Sql::new(format!(
            "SELECT {SANCTION} FROM chat_sanction WHERE room = $1 AND (until_ms IS NULL OR until_ms > $2)"
        ));
        let sanctions: Vec<SanctionRow> = db.rows(sanctions.bind(room.as_str()).bind(now)).await?;
        let pinned = match row.pinned {
            Some(seq) => message(db, room, seq).await?,
            None => None,
        };
        let pinned = match pinned.filter(|pinned| !pinned.deleted) {
            Some(pinned) => shown(db, room, vec![pinned]).await?.pop(),
            None => None,
        };
        Ok(Kept {
            last: u64::try_from(row.last_seq).unwrap_or(0),
            version: row.version,
            settings: row.settings(),
            pinned,
            messages: shown(db, room, rows).await?,
            sanctions: sanctions.into_iter().map(Sanctioned::from).collect(),
            has_ended: false,
            cut: u64::try_from(cut).unwrap_or(0),
            cut_of,
        })
    })
    .await
}

async fn message(db: &Db, room: &Room, seq: i64) -> Result<Option<MessageRow>, Error> {
    let sql = Sql::new(format!("SELECT {MESSAGE} FROM chat_message m WHERE room = $1 AND seq = $2"));
    db.row(sql.bind(room.as_str()).bind(seq)).await
}

/// Messages with what they answer.
async fn shown(db: &Db, room: &Room, rows: Vec<MessageRow>) -> Result<Vec<ChatMessage>, Error> {
    let mut answered: Vec<i64> = rows.iter().filter_map(|row| row.reply_to).collect();
    answered.sort_unstable();
    answered.dedup();
    let mut quoted: Vec<MessageRow> = Vec::new();
    if !answered.is_empty() {
        let mut sql = Sql::new(format!("SELECT {MESSAGE} FROM chat_message m WHERE room = $1 AND seq IN ("))
            .bind(room.as_str());
        sql.push_rows(answered.into_iter().map(|seq| [Value::from(seq)]));
        sql.push(")");
        quoted = db.rows(sql).await?;
    }
    let quote = |seq: i64| quoted.iter().find(|row| row.seq == seq).map(MessageRow::quote);
    let shown = rows.into_iter().map(|row| {
        let quoted = row.reply_to.and_then(quote);
        row.shown(quoted)
    });
    Ok(shown.collect())
}

/// The messages before `before` that `person` reads, oldest first, and whether there are older ones.
pub(crate) async fn history(
    db: &Db,
    room: &Room,
    person: &str,
    before: u64,
    limit: usize,
) -> Result<(Vec<ChatMessage>, bool), Error> {
    bounded(async {
        let sql = Sql::new(format!(
            "SELECT {MESSAGE} FROM chat_message m WHERE room = $1 AND seq < $2 \
             AND (to_id IS NULL OR to_id = $3 OR sender = $3) \
             AND NOT EXISTS (SELECT 1 FROM chat_room r WHERE r.room = $1 AND r.ended_at IS NOT NULL) \
             ORDER BY seq DESC LIMIT $4"
        ));
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let sql = sql.bind(room.as_str()).bind(stored(before)).bind(person).bind(most);
        let mut rows: Vec<MessageRow> = db.rows(sql).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        rows.reverse();
        Ok((shown(db, room, rows).await?, more))
    })
    .await
}

/// Who may not write in `room` at `now`, the latest first.
pub(crate) async fn bans(db: &Db, room: &Room, now: i64) -> Result<Vec<ChatBan>, Error> {
    let sql = Sql::new(format!(
        "SELECT {SANCTION} FROM chat_sanction WHERE room = $1 AND (until_ms IS NULL OR until_ms > $2) \
         ORDER BY at DESC LIMIT $3"
    ));
    let sql = sql.bind(room.as_str()).bind(now).bind(SHOWN_SANCTIONS);
    let rows: Vec<SanctionRow> = bounded(db.rows(sql)).await?;
    let ban = |row: SanctionRow| ChatBan {
        person: row.person,
        name: row.name,
        kind: if row.is_ban { SanctionKind::Ban } else { SanctionKind::Timeout },
        until: row.until_ms,
        by: row.by_name,
        at: row.at,
        address: row.address.is_some(),
        reason: row.reason,
    };
    Ok(rows.into_iter().map(ban).collect())
}

/// The rooms whose chat was changed at `since` or later, with their versions.
pub(crate) async fn news(db: &Db, since: i64) -> Result<Vec<(String, i64)>, Error> {
    let sql =
        Sql::new("SELECT room, version FROM chat_room WHERE used_at >= $1 ORDER BY used_at DESC LIMIT $2");
    bounded(db.rows(sql.bind(since).bind(MAX_NEWS))).await
}

/// The group or the broadcast of `room` was deleted: nobody reads or writes its chat any more, in no process, and upkeep
/// forgets it.
pub(crate) async fn end(db: &Db, room: &Room, now: i64) -> Result<(), Error> {
    let sql = Sql::new(
        "INSERT INTO chat_room (room, used_at, version, ended_at) VALUES ($1, $2, 1, $2) ON CONFLICT (room) \
         DO UPDATE SET used_at = excluded.used_at, version = chat_room.version + 1, \
         ended_at = COALESCE(chat_room.ended_at, excluded.ended_at), pinned = NULL",
    );
    change(db, sql.bind(room.as_str()).bind(now)).await.map(drop)
}

/// The rooms that were deleted at `since` or later, the latest first.
pub(crate) async fn ended(db: &Db, since: i64) -> Result<Vec<Room>, Error> {
    let sql = Sql::new("SELECT room FROM chat_room WHERE ended_at >= $1 ORDER BY ended_at DESC LIMIT $2");
    let most = i64::try_from(MAX_BARRED).unwrap_or(i64::MAX);
    let rooms: Vec<(String,)> = bounded(db.rows(sql.bind(since).bind(most))).await?;
    Ok(rooms.into_iter().filter_map(|(room,)| room.parse().ok()).collect())
}

/// Forgets what is older or more than is kept, in small steps; how many messages that were. Numbers are never given
/// again: the rows of rooms stay.
pub(crate) async fn sweep(db: &Db, keep: Retention, now: i64) -> Result<u64, Error> {
    let day = 24 * 3_600 * 1_000;
    // Those that ended long ago have nothing left.
    let ended = "SELECT m.room, m.seq FROM chat_room r JOIN chat_message m ON m.room = r.room \
         WHERE r.ended_at >= $1 LIMIT $2";
    let lately = now.saturating_sub(7 * day);
    let mut forgotten = forget(db, ended, &[lately, SWEEP_ROWS]).await?;
    for table in ["chat_sanction", "chat_person"] {
        let rows = Sql::new(format!(
            "DELETE FROM {table} WHERE (room, person) IN (SELECT p.room, p.person FROM chat_room r \
             JOIN {table} p ON p.room = r.room WHERE r.ended_at >= $1 LIMIT $2)"
        ));
        change(db, rows.bind(lately).bind(SWEEP_ROWS)).await?;
    }
    let oldest = now.saturating_sub(i64::from(keep.days).saturating_mul(day));
    if keep.days > 0 {
        let old = "SELECT room, seq FROM chat_message WHERE at < $1 ORDER BY at LIMIT $2";
        forgotten += forget(db, old, &[oldest, SWEEP_ROWS]).await?;
        let people = Sql::new(
            "DELETE FROM chat_person WHERE (room, person) IN \
             (SELECT room, person FROM chat_person WHERE first_at < $1 AND NOT EXISTS (SELECT 1 FROM chat_room r \
             WHERE r.room = chat_person.room AND r.used_at >= $1) ORDER BY first_at LIMIT $2)",
        );
        change(db, people.bind(oldest).bind(SWEEP_ROWS)).await?;
    }
    let surplus = "SELECT m.room, m.seq FROM chat_room r JOIN chat_message m ON m.room = r.room \
         AND m.seq <= r.last_seq - $1 WHERE r.used_at >= $2 LIMIT $3";
    let lately = now.saturating_sub(day);
    forgotten += forget(db, surplus, &[i64::from(keep.per_room), lately, SWEEP_ROWS]).await?;
    let count: Option<(i64,)> = bounded(db.row(Sql::new("SELECT COUNT(*) FROM chat_message"))).await?;
    let most = i64::try_from(keep.in_all).unwrap_or(i64::MAX);
    let mut over = count.map_or(0, |(count,)| count.saturating_sub(most));
    while over > 0 {
        let rows = over.min(SWEEP_ROWS);
        let gone = step(db, "SELECT room, seq FROM chat_message ORDER BY at LIMIT $1", &[rows]).await?;
        forgotten += gone;
        over = if gone == 0 { 0 } else { over - rows };
    }
    let ended = Sql::new("DELETE FROM chat_sanction WHERE until_ms IS NOT NULL AND until_ms < $1").bind(now);
    change(db, ended).await?;
    Ok(forgotten)
}

/// Deletes the messages that `which` selects, until there are no more or it has been long enough.
async fn forget(db: &Db, which: &str, values: &[i64]) -> Result<u64, Error> {
    let mut forgotten = 0;
    for _ in 0..SWEEPS {
        let gone = step(db, which, values).await?;
        forgotten += gone;
        if gone < SWEEP_ROWS as u64 {
            break;
        }
    }
    Ok(forgotten)
}

async fn step(db: &Db, which: &str, values: &[i64]) -> Result<u64, Error> {
    let sql = Sql::new(format!("DELETE FROM chat_message WHERE (room, seq) IN ({which})"));
    change(db, values.iter().fold(sql, |sql, value| sql.bind(*value))).await
}

async fn change(db: &Db, sql: Sql) -> Result<u64, Error> {
    bounded(async {
        let mut write = db.begin().await?;
        let rows = write.execute(sql).await?;
        write.commit().await?;
        Ok(rows)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::job::{Act, Author, Job, PARTICIPANT};
    use crate::chat::write;

    const DAY: i64 = 24 * 3_600 * 1_000;

    async fn db() -> Db {
        crate::store::open(&crate::Config::default()).await.unwrap()
    }

    async fn say(db: &Db, room: &str, at: &[i64]) {
        let author = |n: usize| Author {
            id: format!("par_{}", n % 3),
            name: "A".into(),
            host: false,
            rank: PARTICIPANT,
            address: "192.0.2.1".into(),
        };
        let job = |(n, at): (usize, &i64)| Job {
            room: room.parse().unwrap(),
            author: author(n),
            act: Act::Say { text: n.to_string(), id: None, reply_to: None, to: None },
            at: *at,
            asker: None,
        };
        let jobs: Vec<Job> = at.iter().enumerate().map(job).collect();
        for jobs in jobs.chunks(100) {
            let mut transaction = db.begin().await.unwrap();
            let done = write(&mut transaction, jobs).await.unwrap();
            assert!(done.iter().all(Result::is_ok));
            transaction.commit().await.unwrap();
        }
    }

    async fn kept(db: &Db, room: &str) -> (usize, u64) {
        let room = room.parse().unwrap();
        let (messages, more) = history(db, &room, "par_0", u64::MAX, 10_000).await.unwrap();
        assert!(!more);
        (messages.len(), load(db, &room, None, 0).await.unwrap().last)
    }

    #[tokio::test]
    async fn what_is_old_or_too_much_is_forgotten_and_numbers_go_on() {
        let db = db().await;
        let now = 100 * DAY;
        say(&db, "7", &[now - 91 * DAY, now - 89 * DAY, now - 1, now]).await;
        say(&db, "8", &vec![now; 1_500]).await;
        let keep = Retention { days: 90, per_room: 200, in_all: 2_000 };
        assert_eq!(sweep(&db, keep, now).await.unwrap(), 1 + 1_300);
        assert_eq!((kept(&db, "7").await, kept(&db, "8").await), ((3, 4), (200, 1_500)));
        assert_eq!(sweep(&db, keep, now).await.unwrap(), 0);
        // Over the limit of all, the oldest of any room go.
        assert_eq!(sweep(&db, Retention { in_all: 150, ..keep }, now).await.unwrap(), 53);
        assert_eq!(sweep(&db, Retention { days: 1, ..keep }, now + 3 * DAY).await.unwrap(), 150);
        assert_eq!((kept(&db, "7").await, kept(&db, "8").await), ((0, 4), (0, 1_500)));
        say(&db, "7", &[now + 3 * DAY]).await;
        assert_eq!(kept(&db, "7").await, (1, 5));
        let for_ever = Retention { days: 0, ..keep };
        assert_eq!(sweep(&db, for_ever, now + 10_000 * DAY).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn of_a_room_that_has_ended_nothing_is_read_and_all_is_forgotten() {
        let db = db().await;
        say(&db, "7", &[1; 700]).await;
        say(&db, "8", &[1; 3]).await;
        for _ in 0..2 {
            end(&db, &"7".parse().unwrap(), DAY).await.unwrap();
        }
        assert_eq!(kept(&db, "7").await, (0, 700));
        let room = "7".parse().unwrap();
        let read = load(&db, &room, None, DAY).await.unwrap();
        assert!(read.has_ended && read.messages.is_empty() && read.version == 702);
        let author = Author {
            id: "par_0".into(),
            name: "A".into(),
            host: true,
            rank: crate::chat::job::OPERATOR,
            address: String::new(),
        };
        for act in [
            Act::Say { text: "on".into(), id: None, reply_to: None, to: None },
            Act::Slow { seconds: 5 },
            Act::Delete { seq: 3 },
        ] {
            let job = Job { room: room.clone(), author: author.clone(), act, at: DAY, asker: None };
            let mut transaction = db.begin().await.unwrap();
            let done = write(&mut transaction, &[job]).await.unwrap();
            transaction.commit().await.unwrap();
            assert!(matches!(done[..], [Err(crate::refusal::Refusal::Closed)]), "{done:?}");
        }
        let keep = Retention { days: 90, per_room: 1_000, in_all: 2_000 };
        assert_eq!(sweep(&db, keep, DAY + 5).await.unwrap(), 700);
        assert_eq!((kept(&db, "7").await, kept(&db, "8").await), ((0, 700), (3, 3)));
    }

    #[tokio::test]
    async fn an_epoch_is_that_of_its_database() {
        let (one, other) = (db().await, db().await);
        assert_eq!(epoch(&one).await.unwrap(), epoch(&one).await.unwrap());
        assert_ne!(epoch(&one).await.unwrap(), epoch(&other).await.unwrap());
        assert!(epoch(&one).await.unwrap() < 1 << 53);
    }
}
