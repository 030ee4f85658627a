//! SQLite, for the single process: one file, write-ahead log.

use std::fs::File;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use contract::id::{BroadcastId, GroupId};
use contract::key::KeyHash;
use contract::rest::{Broadcast, Group};
use futures_util::future::BoxFuture;
use sqlx::QueryBuilder;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::record::{BroadcastRow, GroupRow, ThumbnailRow, broadcast_columns, records, status_text};
use super::sql::{Claimed, bounded, impl_store};
use super::*;
use crate::lifecycle::Change;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Most connections to one file: one writes at a time, more only wait for each other.
const MAX_CONNECTIONS: u32 = 8;

/// The catalogue in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    pool: SqlitePool,
}

impl Sqlite {
    /// Opens the file, which is made where missing, and migrates it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(path: &Path, connections: u32) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged survives a crash of the machine too, not only of the process.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(connections.clamp(1, MAX_CONNECTIONS))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        let lock = lock_beside(path).await?;
        let mut migrations = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
        migrations.set_ignore_missing(true);
        let mut connection = pool.acquire().await.map_err(OpenError::Connect)?;
        migrations.run_direct(None, &mut *connection, false).await?;
        drop(lock);
        drop(connection);
        Ok(Self { pool })
    }
}

/// Holds `{path}.lock` so that of two that start at once the second waits for the first's migration: SQLite has
/// no advisory lock of its own.
async fn lock_beside(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let file = path.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).write(true).truncate(false).open(file)?;
        file.lock()?;
        Ok(file)
    });
    let locked = locked.await.map_err(std::io::Error::other).and_then(|locked| locked);
    locked.map_err(|source| OpenError::Lock { path, source })
}

// IMMEDIATE: a transaction that starts by reading could not become a writer while another one writes.
impl_store!(Sqlite, sqlx::Sqlite, begin = "BEGIN IMMEDIATE");
