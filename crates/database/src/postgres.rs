//! Postgres.

use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::db::Schema;
use crate::error::OpenError;
use crate::limits::{ACQUIRE_TIMEOUT, STATEMENT_TIMEOUT};

/// How long a start waits for a database that is itself starting.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// First pause; it doubles with each try, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(8);
/// The advisory lock under which schemas are made: "madang" in ASCII.
const NAMESPACE_LOCK: i64 = 0x6d61_6461_6e67;

/// Connects (waiting up to a minute for a database that is starting), migrates, and opens the pool.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn open(url: &str, connections: u32, schema: &Schema) -> Result<PgPool, OpenError> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| OpenError::Url("not a valid postgres:// URL".into()))?;
    let mut options = options.application_name(schema.application);
    if let Some(namespace) = schema.namespace {
        // Whatever is not qualified is there: the table of migrations too.
        options = options.options([("search_path", namespace)]);
    }
    migrate(&options, schema).await?;
    let timeout = STATEMENT_TIMEOUT.as_millis().to_string();
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(60))
        .max_lifetime(Duration::from_secs(30 * 60))
        .connect_lazy_with(options.options([("statement_timeout", timeout)])))
}

/// Brings the schema up to date on a connection of its own (no statement timeout). sqlx holds an advisory lock
/// of the database meanwhile: of two that start at once, the second waits and finds nothing left to do.
async fn migrate(options: &PgConnectOptions, schema: &Schema) -> Result<(), OpenError> {
    let (start, mut pause) = (Instant::now(), FIRST_RETRY);
    let mut connection = loop {
        match PgConnection::connect_with(options).await {
            Ok(connection) => break connection,
            Err(error) if is_starting(&error) && start.elapsed() < START_PATIENCE => {
                tracing::warn!(%error, retry_seconds = pause.as_secs_f32(), "no database yet");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_RETRY);
            }
            Err(error) => return Err(OpenError::Connect(error)),
        }
    };
    if let Some(namespace) = schema.namespace {
        make_namespace(&mut connection, namespace).await?;
    }
    let mut migrations = Migrator::with_migrations(schema.postgres.iter().cloned().collect());
    // A newer release may have migrated further: this one goes on working beside it.
    migrations.set_ignore_missing(true);
    migrations.run_direct(None, &mut connection, false).await?;
    connection.close().await.map_err(OpenError::Connect)
}

/// Makes the schema of Postgres, unless it is there. Of two that start at once the second waits for the first: `IF NOT
/// EXISTS` alone can fail then.
async fn make_namespace(connection: &mut PgConnection, namespace: &str) -> Result<(), OpenError> {
    let is_plain = namespace.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !is_plain {
        return Err(OpenError::Url("the name of a schema has lower-case letters and _".into()));
    }
    let sql = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({NAMESPACE_LOCK}); CREATE SCHEMA IF NOT EXISTS {namespace}; COMMIT"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(OpenError::Connect)?;
    Ok(())
}

fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // cannot_connect_now
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "57P03"),
        _ => false,
    }
}
