//! What the service keeps: its database, Postgres or SQLite, with tables and migrations of its own.

use database::{Db, MEMORY, OpenError, Schema};
use sqlx::migrate::Migrator;

use crate::Config;

static SCHEMA: Schema = Schema {
    application: "madang-signaling",
    namespace: Some("signaling"),
    postgres: &POSTGRES_MIGRATIONS,
    sqlite: &SQLITE_MIGRATIONS,
};
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/signaling-postgres");
static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/signaling-sqlite");

/// Opens the database of the settings and brings it up to date. Without one, in the development mode, what is kept ends
/// with the process.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn open(config: &Config) -> Result<Db, OpenError> {
    let database = match config.database_url.reveal() {
        "" => {
            tracing::warn!("setting `database_url` is empty: what is written in chats ends with the process");
            MEMORY
        }
        database => database,
    };
    Db::open(database, config.database_connections, &SCHEMA).await
}
