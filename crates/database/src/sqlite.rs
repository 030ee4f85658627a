//! SQLite, for a process that shares its database with nobody: one file with a write-ahead log, or memory.

use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::db::Schema;
use crate::error::OpenError;
use crate::limits::ACQUIRE_TIMEOUT;

/// Most connections to one file: one writes at a time, more only wait for each other.
const MAX_CONNECTIONS: u32 = 8;

/// Opens the file, which is made where missing, and migrates it.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn open(path: &Path, connections: u32, schema: &Schema) -> Result<SqlitePool, OpenError> {
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
        // A full disk can end a transaction without sqlx knowing: such a connection would refuse every later one.
        .after_release(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_lazy_with(options);
    let lock = lock_beside(path).await?;
    migrate(&pool, schema).await?;
    drop(lock);
    Ok(pool)
}

/// Makes a database in memory.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn open_in_memory(schema: &Schema) -> Result<SqlitePool, OpenError> {
    let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
    // It is the database: one connection, which is never closed.
    let pool = SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options);
    migrate(&pool, schema).await?;
    Ok(pool)
}

async fn migrate(pool: &SqlitePool, schema: &Schema) -> Result<(), OpenError> {
    let mut migrations = Migrator::with_migrations(schema.sqlite.iter().cloned().collect());
    // A newer release may have migrated further: this one goes on working beside it.
    migrations.set_ignore_missing(true);
    let mut connection = pool.acquire().await.map_err(OpenError::Connect)?;
    migrations.run_direct(None, &mut *connection, false).await?;
    Ok(())
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
