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
mod error;
mod groups;
mod homes;
mod idempotency;
mod limits;
mod postgres;
mod rules;
mod search;
mod sqlite;
mod thumbnails;
mod upkeep;
mod viewers;

use tokio::sync::Semaphore;

pub use broadcasts::{Broadcasts, Expired, NewBroadcast, Unnamed};
pub use db::Changed;
pub(crate) use db::one_request;
pub use error::{OpenError, StoreError};
pub use groups::{GroupRecord, GroupSettings, Groups, NewGroup};
pub use homes::{Home, Homes, LEASE, Opened, Opening};
pub use idempotency::{Inserted, Repeatable};
pub use limits::{ACQUIRE_TIMEOUT, BATCH_ROWS, CALL_TIMEOUT, STATEMENT_TIMEOUT, SWEEP_ROWS};
pub use rules::{Put, Rules};
pub use search::{After, Listing, Lists, SHORT_WORDS_ROWS, Sort};
pub use thumbnails::{Thumbnail, Thumbnails};
pub use upkeep::Upkeep;
pub use viewers::Viewers;

use db::Db;
use search::SEARCHES_AT_ONCE;

/// The catalogue's storage, by aggregate. Times are whole milliseconds: callers cut them.
#[derive(Debug)]
pub struct Store {
    /// Broadcasts, one by one.
    pub broadcasts: Broadcasts,
    /// Broadcasts in lists.
    pub lists: Lists,
    /// Groups.
    pub groups: Groups,
    /// The homes of their rooms.
    pub homes: Homes,
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
            homes: Homes { db: db.clone() },
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
