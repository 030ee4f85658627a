//! SQLite, for the single process: one file, write-ahead log.

use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::error::OpenError;
use super::limits::ACQUIRE_TIMEOUT;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Most connections to one file: one writes at a time, more only wait for each other.
const MAX_CONNECTIONS: u32 = 8;

/// Opens the file, which is made where missing, and migrates it.
///
/// # Errors
/// [`OpenError`].
pub(super) async fn open(path: &Path, connections: u32) -> Result<SqlitePool, OpenError> {
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
    let mut migrations = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrations.set_ignore_missing(true);
    let mut connection = pool.acquire().await.map_err(OpenError::Connect)?;
    migrations.run_direct(None, &mut *connection, false).await?;
    drop(lock);
    drop(connection);
    Ok(pool)
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
