//! The catalogue's storage: one trait, Postgres and SQLite behind it, the same SQL for both.
//!
//! Every call ends within [`CALL_TIMEOUT`], and so do all calls of a client's request together: a database that is
//! gone, hung or saturated is [`StoreError::Unavailable`], never a request that waits. A call that was cut off may still have taken
//! effect; a call that answered has.

mod postgres;
mod record;
mod sql;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::id::{BroadcastId, GroupId};
use contract::key::KeyHash;
use contract::rest::{Broadcast, Group, Status};
use futures_util::future::BoxFuture;

pub use postgres::Postgres;
pub use record::Record;
pub(crate) use sql::one_request;
pub use sqlite::Sqlite;

use crate::lifecycle::Change;

/// Longest wait for a connection of the pool.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest run of one statement, enforced by the database.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest call, and longest time for the calls of one request; enforced here, as a database that is stopped enforces
/// nothing itself.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(2300);
/// Rows that one sweep query returns; the next sweep goes on.
pub const SWEEP_ROWS: i64 = 500;
/// Rows that one batched statement writes; more are written in several. (SQLite binds 32,766 values at most.)
pub const BATCH_ROWS: usize = 1_000;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, saturated or too slow. Trying again later can help.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A statement failed, or a row does not mean anything.
    #[error("the database refused: {0}")]
    Failed(String),
}

/// What every call returns.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A broadcast to insert, READY.
#[derive(Debug, Clone)]
pub struct NewBroadcast {
    /// Title.
    pub name: String,
    /// Description.
    pub description: String,
    /// Hash of its stream key.
    pub key: KeyHash,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// A group to insert.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Its id.
    pub id: GroupId,
    /// Title.
    pub name: String,
    /// Hash of its owner key.
    pub key: KeyHash,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// A request that carries an Idempotency-Key.
#[derive(Debug, Clone)]
pub struct Repeatable {
    /// Who asks and for what kind of thing: the same key of another caller is another key.
    pub scope: String,
    /// Hash of the key.
    pub key: [u8; 32],
    /// Hash of what was asked.
    pub request: [u8; 32],
}

/// What became of an insert.
#[derive(Debug, Clone)]
pub enum Inserted<T> {
    /// It is new.
    New(T),
    /// The same request came before: this is what it made.
    Repeated(T),
    /// The Idempotency-Key came before with another request.
    Mismatch,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Highest id first.
    Newest,
    /// Most viewers first, then highest id.
    Viewers,
}

/// Where a page starts: after this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Viewers of the last row (used when sorting by viewers).
    pub viewers: i64,
    /// Id of the last row.
    pub id: i64,
}

/// What to list.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Words to find in name or description, in any case; `%` and `_` mean themselves.
    pub search: Option<String>,
    /// Only this status.
    pub status: Option<Status>,
    /// Order.
    pub sort: Sort,
    /// Where to go on.
    pub after: Option<After>,
    /// Most rows.
    pub limit: i64,
}

/// A stored group.
#[derive(Debug, Clone)]
pub struct GroupRecord {
    /// The group.
    pub group: Group,
    /// Position in the list of groups.
    pub seq: i64,
    /// Hash of its owner key.
    pub key: KeyHash,
}

/// A stored picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// `image/jpeg` or `image/webp`.
    pub media_type: String,
    /// Strong ETag, quotes included.
    pub etag: String,
    /// The file.
    pub image: Vec<u8>,
}

/// A sign of life of a publisher.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The broadcast.
    pub id: BroadcastId,
    /// Last media that the report names.
    pub last_media_at: DateTime<Utc>,
    /// Whether the publisher is there now, not just lost.
    pub present: bool,
}

/// The catalogue's storage. Times are whole milliseconds: callers cut them with [`whole_millis`].
pub trait Store: std::fmt::Debug + Send + Sync {
    /// Inserts a broadcast, once for each Idempotency-Key.
    fn create_broadcast(
        &self,
        new: NewBroadcast,
        repeat: Option<Repeatable>,
    ) -> StoreFuture<'_, Inserted<Record>>;
    /// One broadcast.
    fn broadcast(&self, id: BroadcastId) -> StoreFuture<'_, Option<Record>>;
    /// The broadcasts of these ids that exist.
    fn broadcasts(&self, ids: Vec<BroadcastId>) -> StoreFuture<'_, Vec<Record>>;
    /// The broadcast whose stream key has this hash.
    fn broadcast_of_key(&self, key: KeyHash) -> StoreFuture<'_, Option<BroadcastId>>;
    /// A page of broadcasts.
    fn list(&self, listing: Listing) -> StoreFuture<'_, Vec<Broadcast>>;
    /// Applies `change` to version `version` of a broadcast; `None` when it is no longer that version, or was
    /// seen after `change.unless_seen_after`.
    fn update(
        &self,
        id: BroadcastId,
        version: i64,
        change: Change,
        now: DateTime<Utc>,
    ) -> StoreFuture<'_, Option<Record>>;
    /// Replaces a stream key; the new key revision, or `None` without such a broadcast.
    fn replace_key(&self, id: BroadcastId, key: KeyHash) -> StoreFuture<'_, Option<i64>>;
    /// Records signs of life at `now`.
    fn touch(&self, seen: Vec<Seen>, now: DateTime<Utc>) -> StoreFuture<'_, ()>;
    /// STREAMING broadcasts not seen since `before`, at most [`SWEEP_ROWS`].
    fn unseen(&self, before: DateTime<Utc>) -> StoreFuture<'_, Vec<Record>>;
    /// READY broadcasts created before `before`, at most [`SWEEP_ROWS`].
    fn unstarted(&self, before: DateTime<Utc>) -> StoreFuture<'_, Vec<Record>>;
    /// Writes viewer counts; a closed broadcast has none.
    fn write_viewers(&self, counts: Vec<(BroadcastId, i64)>) -> StoreFuture<'_, ()>;
    /// Every broadcast with viewers, as written.
    fn viewers(&self) -> StoreFuture<'_, Vec<(BroadcastId, i64)>>;
    /// Stores a thumbnail in place of the old one.
    fn put_thumbnail(&self, id: BroadcastId, thumbnail: Thumbnail) -> StoreFuture<'_, ()>;
    /// The thumbnail of a broadcast.
    fn thumbnail(&self, id: BroadcastId) -> StoreFuture<'_, Option<Thumbnail>>;
    /// Inserts a group, once for each Idempotency-Key.
    fn create_group(&self, new: NewGroup, repeat: Option<Repeatable>) -> StoreFuture<'_, Inserted<Group>>;
    /// One group.
    fn group(&self, id: GroupId) -> StoreFuture<'_, Option<GroupRecord>>;
    /// Groups, newest first, below `before` if given.
    fn groups(&self, before: Option<i64>, limit: i64) -> StoreFuture<'_, Vec<GroupRecord>>;
    /// The group whose owner key has this hash.
    fn group_of_key(&self, key: KeyHash) -> StoreFuture<'_, Option<GroupId>>;
    /// Deletes a group; whether there was one.
    fn delete_group(&self, id: GroupId) -> StoreFuture<'_, bool>;
    /// Forgets requests older than `requests`, and the thumbnails of broadcasts that ended before `thumbnails`.
    fn purge(&self, requests: DateTime<Utc>, thumbnails: DateTime<Utc>) -> StoreFuture<'_, ()>;
    /// Whether the database answers.
    fn ping(&self) -> StoreFuture<'_, ()>;
    /// Closes every connection.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Why there is no store to start with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The setting is no database of a known kind.
    #[error("setting `database`: {0}")]
    Url(String),
    /// It cannot be reached or opened.
    #[error("cannot open the database: {0}")]
    Connect(#[source] sqlx::Error),
    /// Its schema cannot be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The lock beside a SQLite file.
    #[error("cannot lock {path}: {source}")]
    Lock {
        /// The lock file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Opens `postgres://...`, or a path (also `sqlite://path`) as SQLite, and brings its schema up to date.
///
/// # Errors
/// [`OpenError`].
pub async fn open(database: &str, connections: u32) -> Result<Arc<dyn Store>, OpenError> {
    if database.starts_with("postgres://") || database.starts_with("postgresql://") {
        return Ok(Arc::new(Postgres::open(database, connections).await?));
    }
    let path = database.strip_prefix("sqlite://").unwrap_or(database);
    if path.is_empty() || path.contains("://") || path.starts_with(":memory:") {
        return Err(OpenError::Url("expected postgres://... or the path of a SQLite file".into()));
    }
    Ok(Arc::new(Sqlite::open(path.as_ref(), connections).await?))
}

/// `at` without its microseconds: what both databases hold and compare exactly.
#[must_use]
pub fn whole_millis(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}

/// What `search` finds: lower case, so that both databases agree.
pub(crate) fn search_text(name: &str, description: &str) -> String {
    format!("{}\n{}", name.to_lowercase(), description.to_lowercase())
}

/// A LIKE pattern (escape character `\`) that finds `words` anywhere.
pub(crate) fn like_pattern(words: &str) -> String {
    let mut pattern = String::from("%");
    for c in words.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let text = error.to_string();
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Self::Unavailable(text)
            }
            E::Database(database) if database.code().is_some_and(|code| is_passing(&code)) => {
                Self::Unavailable(text)
            }
            _ => Self::Failed(text),
        }
    }
}

/// Codes after which the same statement may work: Postgres SQLSTATE classes 08 (connection), 53 (resources),
/// 57 (shutdown, statement timeout), 25006 (a standby), 40001 and 40P01 (serialisation, deadlock); SQLite BUSY (5), LOCKED
/// (6), IOERR (10), FULL (13), CANTOPEN (14) with their extended codes.
fn is_passing(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "53", "57"].iter().any(|class| code.starts_with(class))
            || matches!(code, "25006" | "40001" | "40P01");
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13 | 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_escape_what_like_would_read() {
        assert_eq!(like_pattern("50%_\\X"), "%50\\%\\_\\\\x%");
        assert_eq!(like_pattern(""), "%%");
    }

    #[test]
    fn only_passing_codes_are_worth_a_retry() {
        for code in ["57P01", "57014", "08006", "53300", "40P01", "5", "261", "6", "13"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["23505", "42P01", "22021", "1", "19", "2067", ""] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
