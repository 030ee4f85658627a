//! The catalogue's storage: Postgres and SQLite, the same SQL for both.
//!
//! One module for each aggregate, on the ways to the database of the crate `database`. A new one (nodes and their leases, recordings)
//! is a table in `migrations/`, a module here, and a field of [`Store`].
//!
//! Every call ends within [`CALL_TIMEOUT`], and so do all calls of a client's request together: a database that is
//! gone, hung or saturated is [`StoreError::Unavailable`], never a request that waits. A call that was cut off may
//! still have taken effect; a call that answered has.

mod broadcasts;
mod groups;
mod homes;
mod idempotency;
mod limits;
mod rules;
mod search;
mod thumbnails;
mod upkeep;
mod viewers;

use sqlx::migrate::Migrator;
use tokio::sync::Semaphore;

pub use broadcasts::{Broadcasts, Expired, NewBroadcast, Unnamed};
pub(crate) use database::one_request;
pub use database::{ACQUIRE_TIMEOUT, CALL_TIMEOUT, Error as StoreError, OpenError, STATEMENT_TIMEOUT};
pub use groups::{GroupRecord, GroupSettings, Groups, NewGroup};
pub use homes::{Home, Homes, LEASE, Opened, Opening};
pub use idempotency::{Inserted, Repeatable};
pub use limits::{BATCH_ROWS, SWEEP_ROWS};
pub use rules::{Put, Rules};
pub use search::{After, Listing, Lists, SHORT_WORDS_ROWS, Sort};
pub use thumbnails::{Thumbnail, Thumbnails};
pub use upkeep::Upkeep;
pub use viewers::Viewers;

use contract::key::KeyHash;
use database::{Db, Schema};
use search::SEARCHES_AT_ONCE;

static SCHEMA: Schema = Schema {
    application: "madang-meta",
    namespace: None,
    postgres: &POSTGRES_MIGRATIONS,
    sqlite: &SQLITE_MIGRATIONS,
};
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");
static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// As it is now.
    pub record: T,
    /// As it was before; `None` where it has not changed.
    pub was: Option<T>,
}

/// A stored key hash.
fn key_from(bytes: Vec<u8>) -> Result<KeyHash, StoreError> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| StoreError::Failed("a stored key hash".into()))?;
    Ok(KeyHash::from_bytes(bytes))
}

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
        Ok(Self::of(Db::open(database, connections, &SCHEMA).await?))
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
