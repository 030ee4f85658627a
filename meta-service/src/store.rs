//! The catalogue's storage: Postgres and SQLite, the same SQL for both.
//!
//! One module for each aggregate, on the ways to the database in `db`. A new one (nodes and their leases, recordings)
//! is a table in `migrations/`, a module here, and a field of [`Store`].
//!
//! Every call ends within [`CALL_TIMEOUT`], and so do all calls of a client's request together: a database that is
//! gone, hung or saturated is [`StoreError::Unavailable`], never a request that waits. A call that was cut off may
//! still have taken effect; a call that answered has.

mod broadcasts;
mod db;
mod groups;
mod idempotency;
mod postgres;
mod rules;
mod search;
mod sqlite;
mod thumbnails;
mod upkeep;
mod viewers;

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::key::KeyHash;
use tokio::sync::Semaphore;

pub use broadcasts::{Broadcasts, Expired, NewBroadcast, Record, Seen, Unnamed};
pub(crate) use db::one_request;
pub use groups::{GroupRecord, GroupSettings, Groups, NewGroup};
pub use idempotency::{Inserted, Repeatable};
pub use rules::{Opened, Put, Rules};
pub use search::{After, Listing, Lists, SHORT_WORDS_ROWS, Sort};
pub use thumbnails::{Thumbnail, Thumbnails};
pub use upkeep::Upkeep;
pub use viewers::{NewPart, Viewers};

use db::Db;
use search::SEARCHES_AT_ONCE;

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
    /// The database answers and takes no changes: its disk is full, or it is read-only.
    #[error("the database takes no changes: {0}")]
    Unwritable(String),
    /// A statement failed, or a row does not mean anything.
    #[error("the database refused: {0}")]
    Failed(String),
}

/// Whose a broadcast or a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Hash of the owner key.
    pub key: KeyHash,
    /// Subject of the token that created it; who holds a creator token of that subject owns it too.
    pub subject: Option<String>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// As it is now.
    pub record: T,
    /// As it was before; `None` where it has not changed.
    pub was: Option<T>,
}

/// The catalogue's storage, by aggregate. Times are whole milliseconds: callers cut them with [`whole_millis`].
#[derive(Debug)]
pub struct Store {
    /// Broadcasts, one by one.
    pub broadcasts: Broadcasts,
    /// Broadcasts in lists.
    pub lists: Lists,
    /// Groups.
    pub groups: Groups,
    /// What holds in their rooms.
    pub rules: Rules,
    /// Pictures of broadcasts.
    pub thumbnails: Thumbnails,
    /// Who watches.
    pub viewers: Viewers,
    /// Upkeep of all tables.
    pub upkeep: Upkeep,
    db: Db,
}

impl Store {
    /// Opens `postgres://...`, or a path (also `sqlite://path`) as SQLite, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(database: &str, connections: u32) -> Result<Self, OpenError> {
        if database.starts_with("postgres://") || database.starts_with("postgresql://") {
            return Ok(Self::of(Db::Postgres(postgres::open(database, connections).await?)));
        }
        let path = database.strip_prefix("sqlite://").unwrap_or(database);
        if path.is_empty() || path.contains("://") || path.starts_with(":memory:") {
            return Err(OpenError::Url("expected postgres://... or the path of a SQLite file".into()));
        }
        Ok(Self::of(Db::Sqlite(sqlite::open(path.as_ref(), connections).await?)))
    }

    fn of(db: Db) -> Self {
        Self {
            broadcasts: Broadcasts { db: db.clone() },
            lists: Lists { db: db.clone(), searches: Semaphore::new(SEARCHES_AT_ONCE) },
            groups: Groups { db: db.clone() },
            rules: Rules { db: db.clone() },
            thumbnails: Thumbnails { db: db.clone() },
            viewers: Viewers { db: db.clone() },
            upkeep: Upkeep { db: db.clone() },
            db,
        }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.db.close().await;
    }
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

/// `at` without its microseconds: what both databases hold and compare exactly.
#[must_use]
pub fn whole_millis(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}

/// A stored key hash.
fn key_from(bytes: Vec<u8>) -> Result<KeyHash, StoreError> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| StoreError::Failed("a stored key hash".into()))?;
    Ok(KeyHash::from_bytes(bytes))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let text = error.to_string();
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Self::Unavailable(text)
            }
            E::Database(database) => match database.code() {
                Some(code) if is_unwritable(&code) => Self::Unwritable(text),
                Some(code) if is_passing(&code) => Self::Unavailable(text),
                _ => Self::Failed(text),
            },
            _ => Self::Failed(text),
        }
    }
}

/// Codes that say that nothing can be written: Postgres SQLSTATE 53100 (disk full), 25006 (read-only, a standby), 58030
/// (I/O error); SQLite READONLY (8), IOERR (10), FULL (13) with their extended codes.
fn is_unwritable(code: &str) -> bool {
    matches!(code, "53100" | "25006" | "58030")
        || (code.len() != 5 && matches!(primary(code), Some(8 | 10 | 13)))
}

/// Codes after which the same statement may work: Postgres SQLSTATE classes 08 (connection), 53 (resources),
/// 57 (shutdown, statement timeout), 40001 and 40P01 (serialisation, deadlock); SQLite BUSY (5), LOCKED (6), CANTOPEN
/// (14) with their extended codes.
fn is_passing(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "53", "57"].iter().any(|class| code.starts_with(class))
            || matches!(code, "40001" | "40P01");
    }
    matches!(primary(code), Some(5 | 6 | 14))
}

/// The primary code of a SQLite result code.
fn primary(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_a_retry_or_an_operator_helps() {
        for code in ["57P01", "57014", "08006", "53300", "40P01", "5", "261", "6", "14"] {
            assert!(is_passing(code) && !is_unwritable(code), "{code}");
        }
        for code in ["53100", "25006", "8", "1032", "10", "778", "13"] {
            assert!(is_unwritable(code), "{code}");
        }
        for code in ["23505", "42P01", "22021", "1", "19", "2067", ""] {
            assert!(!is_passing(code) && !is_unwritable(code), "{code}");
        }
    }
}
