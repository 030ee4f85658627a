//! Statements with their values, reads, and writes that are committed or did not happen.
//!
//! The SQL is the common part of both (`$n` parameters, RETURNING, ON CONFLICT, UPDATE FROM); the few differences are
//! methods of [`Db`]. Statements that change something run only inside a [`Write`], and nothing is acknowledged before
//! [`Write::commit`] has succeeded. (Outside of a transaction a commit that fails after the first RETURNING row was
//! read goes unseen: SQLite on a full disk said yes to writes that never happened.)

use std::cell::Cell;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use contract::key::KeyHash;
use futures_util::future::BoxFuture;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Transaction};

use crate::error::{Error, OpenError};
use crate::limits::CALL_TIMEOUT;
use crate::{postgres, sqlite};

/// What stands for a SQLite that lives in the memory of this process, and ends with it.
pub const MEMORY: &str = "sqlite::memory:";

/// Whether `database` names a Postgres.
#[must_use]
pub fn is_postgres(database: &str) -> bool {
    database.starts_with("postgres://") || database.starts_with("postgresql://")
}

/// What a service keeps in its database, and under which name.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// How the service calls itself to Postgres.
    pub application: &'static str,
    /// The schema of Postgres in which its tables are, where it is not the default one: two services may share a
    /// database, each with migrations of its own. Lower-case letters and `_`.
    pub namespace: Option<&'static str>,
    /// Its migrations for Postgres.
    pub postgres: &'static Migrator,
    /// The same for SQLite.
    pub sqlite: &'static Migrator,
}

/// What a call returns.
pub type CallFuture<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// The pool of one of the databases.
#[derive(Debug, Clone)]
pub enum Db {
    /// Of a Postgres.
    Postgres(PgPool),
    /// Of a SQLite.
    Sqlite(SqlitePool),
}

/// A row type that both databases give.
pub trait Row: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

/// A value of a statement.
#[derive(Debug, Clone)]
pub enum Value {
    /// BIGINT, INTEGER.
    Int(Option<i64>),
    /// BOOLEAN.
    Bool(bool),
    /// TEXT.
    Text(Option<String>),
    /// BYTEA, BLOB.
    Bytes(Option<Vec<u8>>),
    /// TIMESTAMPTZ, or what SQLite has in its place.
    Time(Option<DateTime<Utc>>),
}

macro_rules! values {
    ($($from:ty => |$name:ident| $value:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $value
            }
        })*
    };
}
values! {
    i64 => |n| Self::Int(Some(n));
    Option<i64> => |n| Self::Int(n);
    bool => |b| Self::Bool(b);
    &str => |text| Self::Text(Some(text.to_owned()));
    String => |text| Self::Text(Some(text));
    Option<String> => |text| Self::Text(text);
    Vec<u8> => |bytes| Self::Bytes(Some(bytes));
    Option<Vec<u8>> => |bytes| Self::Bytes(bytes);
    [u8; 32] => |bytes| Self::Bytes(Some(bytes.to_vec()));
    KeyHash => |hash| Self::Bytes(Some(hash.as_bytes().to_vec()));
    DateTime<Utc> => |at| Self::Time(Some(at));
    Option<DateTime<Utc>> => |at| Self::Time(at);
}

/// A statement and its values. Whatever came from outside is a value, never text.
#[derive(Debug, Clone)]
pub struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// A statement without values so far.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// The value of the next `$n`.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More text.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Text in front.
    pub fn prepend(&mut self, text: &str) {
        self.text.insert_str(0, text);
    }

    /// A value, and its `$n` at the end of the text.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let n = self.values.len();
        self.text.push_str(&format!("${n}"));
        self
    }

    /// `($1, $2), ($3, $4)`, ...: rows of a VALUES list, or with one value each of an IN list.
    pub fn push_rows<R: IntoIterator<Item = Value>>(&mut self, rows: impl IntoIterator<Item = R>) {
        for (n, row) in rows.into_iter().enumerate() {
            self.push(if n == 0 { "(" } else { ", (" });
            for (n, value) in row.into_iter().enumerate() {
                if n > 0 {
                    self.push(", ");
                }
                self.push_bind(value);
            }
            self.push(")");
        }
    }
}

/// `$query` with the values of `$sql` bound.
macro_rules! bound {
    ($make:expr, $sql:expr) => {{
        let mut query = $make(AssertSqlSafe($sql.text));
        for value in $sql.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Bool(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::Time(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Db {
    /// Opens `postgres://...`, a path (also `sqlite://path`) as a SQLite file, or [`MEMORY`], and brings `schema` up to
    /// date there.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(database: &str, connections: u32, schema: &Schema) -> Result<Self, OpenError> {
        if is_postgres(database) {
            return Ok(Self::Postgres(postgres::open(database, connections, schema).await?));
        }
        if database == MEMORY {
            return Ok(Self::Sqlite(sqlite::open_in_memory(schema).await?));
        }
        let path = database.strip_prefix("sqlite://").unwrap_or(database);
        if path.is_empty() || path.contains("://") || path.starts_with(":memory:") {
            return Err(OpenError::Url("expected postgres://... or the path of a SQLite file".into()));
        }
        Ok(Self::Sqlite(sqlite::open(path.as_ref(), connections, schema).await?))
    }

    /// Runs a SELECT.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rows<T: Row>(&self, sql: Sql) -> Result<Vec<T>, Error> {
        Ok(match self {
            Self::Postgres(pool) => bound!(sqlx::query_as::<sqlx::Postgres, T>, sql).fetch_all(pool).await?,
            Self::Sqlite(pool) => bound!(sqlx::query_as::<sqlx::Sqlite, T>, sql).fetch_all(pool).await?,
        })
    }

    /// Runs a SELECT that gives one row at most.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn row<T: Row>(&self, sql: Sql) -> Result<Option<T>, Error> {
        Ok(self.rows(sql).await?.pop())
    }

    /// Begins to write. Dropped without [`Write::commit`], nothing has happened.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn begin(&self) -> Result<Write, Error> {
        // On a task of its own, which goes on when the call runs out of time: sqlx takes no BEGIN back that was sent and
        // not yet answered, and whoever got that connection next would work in a transaction that nobody ends.
        let db = self.clone();
        let begun = tokio::spawn(async move {
            Ok(match &db {
                Self::Postgres(pool) => Write::Postgres(pool.begin().await?),
                // IMMEDIATE: a transaction that starts by reading could not become a writer while another one writes.
                Self::Sqlite(pool) => Write::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            })
        });
        begun.await.map_err(|_| Error::Failed("the task of a BEGIN ended".into()))?
    }

    /// What a SELECT ends with whose row nobody else may change before the transaction has ended. (SQLite has one writer
    /// at a time.)
    #[must_use]
    pub fn for_update(&self) -> &'static str {
        match self {
            Self::Postgres(_) => " FOR UPDATE",
            Self::Sqlite(_) => "",
        }
    }

    /// The SQL of the database's clock in Unix milliseconds. (Postgres' `now()` stands still in a transaction.)
    #[must_use]
    pub fn now_ms(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            Self::Sqlite(_) => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

/// Changes that happen together, at [`Write::commit`].
#[must_use = "nothing happens without a commit"]
pub enum Write {
    /// In a Postgres.
    Postgres(Transaction<'static, sqlx::Postgres>),
    /// In a SQLite.
    Sqlite(Transaction<'static, sqlx::Sqlite>),
}

impl Write {
    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn execute(&mut self, sql: Sql) -> Result<u64, Error> {
        Ok(match self {
            Self::Postgres(tx) => {
                bound!(sqlx::query::<sqlx::Postgres>, sql).execute(&mut **tx).await?.rows_affected()
            }
            Self::Sqlite(tx) => {
                bound!(sqlx::query::<sqlx::Sqlite>, sql).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// Runs a statement to its end; the rows that it returns.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rows<T: Row>(&mut self, sql: Sql) -> Result<Vec<T>, Error> {
        Ok(match self {
            Self::Postgres(tx) => {
                bound!(sqlx::query_as::<sqlx::Postgres, T>, sql).fetch_all(&mut **tx).await?
            }
            Self::Sqlite(tx) => bound!(sqlx::query_as::<sqlx::Sqlite, T>, sql).fetch_all(&mut **tx).await?,
        })
    }

    /// The same for a statement that returns one row at most.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn row<T: Row>(&mut self, sql: Sql) -> Result<Option<T>, Error> {
        Ok(self.rows(sql).await?.pop())
    }

    /// Makes it so. Only after this may anybody be told.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Postgres(tx) => tx.commit().await?,
            Self::Sqlite(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

tokio::task_local! {
    /// Of the request under way, when its calls have to be done.
    static REQUEST: Cell<Option<Instant>>;
}

/// Runs the work on a request: all its calls together get [`CALL_TIMEOUT`], from the first one on.
pub async fn one_request<T>(work: impl Future<Output = T>) -> T {
    REQUEST.scope(Cell::new(None), work).await
}

/// What a call at `now` may take, of a request whose calls end at `end`.
fn left(end: &Cell<Option<Instant>>, now: Instant) -> Duration {
    let first = end.get().unwrap_or(now + CALL_TIMEOUT);
    end.set(Some(first));
    first.saturating_duration_since(now)
}

/// Gives `call` at most [`CALL_TIMEOUT`], or what is left of it for this request.
pub fn bounded<'a, T: 'a>(call: impl Future<Output = Result<T, Error>> + Send + 'a) -> CallFuture<'a, T> {
    Box::pin(async move {
        let left = REQUEST.try_with(|end| left(end, Instant::now())).unwrap_or(CALL_TIMEOUT);
        match tokio::time::timeout(left, call).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unavailable("no answer in time".into())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_values_are_numbered_on() {
        let mut sql = Sql::new("a = $1 AND b IN ").bind(1);
        sql.push_rows([[Value::from(2), Value::from("x")], [Value::from(3), Value::from("y")]]);
        assert_eq!(sql.text, "a = $1 AND b IN ($2, $3), ($4, $5)");
        assert_eq!(sql.values.len(), 5);
    }

    #[test]
    fn the_calls_of_a_request_share_one_limit() {
        let (end, start) = (Cell::new(None), Instant::now());
        assert_eq!(left(&end, start), CALL_TIMEOUT);
        assert_eq!(left(&end, start + Duration::from_secs(2)), CALL_TIMEOUT - Duration::from_secs(2));
        assert_eq!(left(&end, start + CALL_TIMEOUT * 2), Duration::ZERO);
        // 503 within 2.5 s is promised: the rest is for what is not the database.
        assert!(CALL_TIMEOUT + Duration::from_millis(200) <= Duration::from_millis(2_500));
    }

    #[tokio::test]
    async fn a_request_whose_time_is_over_waits_for_no_call() {
        let never = || bounded(std::future::pending::<Result<(), Error>>());
        let answer = one_request(async {
            REQUEST.with(|end| end.set(Some(Instant::now())));
            never().await
        })
        .await;
        assert!(matches!(answer, Err(Error::Unavailable(_))));
        // The next request has all of its own.
        one_request(async { REQUEST.with(|end| assert!(end.get().is_none())) }).await;
    }
}
