//! Requests that may be repeated: an Idempotency-Key makes one thing however often it comes.

use chrono::{DateTime, Utc};

use super::StoreError;
use database::{Sql, Write};

/// A request that carries an Idempotency-Key.
#[derive(Debug, Clone)]
pub struct Repeatable {
    /// Who asks and for what kind of thing: the same key of another caller is another key.
    pub scope: String,
    /// Hash of the key.
    pub key: [u8; 32],
    /// Hash of what was asked.
    pub request: [u8; 32],
    /// The secrets of the answer, sealed so that only the Idempotency-Key opens them.
    pub sealed: Vec<u8>,
}

/// What became of an insert.
#[derive(Debug, Clone)]
pub enum Inserted<T> {
    /// It is new.
    New(T),
    /// The same request came before.
    Repeated {
        /// What it made, as it is now.
        made: T,
        /// Its [`Repeatable::sealed`].
        sealed: Vec<u8>,
    },
    /// The Idempotency-Key came before with another request, or what it made is gone.
    Mismatch,
}

/// What an Idempotency-Key was used for before.
pub(super) enum Claim {
    New,
    Same { target: String, sealed: Vec<u8> },
    Mismatch,
}

/// Claims a key. Of two at the same time the second waits here for the first.
pub(super) async fn claim(
    write: &mut Write,
    repeat: &Repeatable,
    now: DateTime<Utc>,
) -> Result<Claim, StoreError> {
    let sql = Sql::new(
        "INSERT INTO idempotency (scope, key_hash, request_hash, sealed, created_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    );
    let sql = sql.bind(repeat.scope.as_str()).bind(repeat.key).bind(repeat.request);
    if write.execute(sql.bind(repeat.sealed.clone()).bind(now)).await? == 1 {
        return Ok(Claim::New);
    }
    let sql =
        Sql::new("SELECT request_hash, target, sealed FROM idempotency WHERE scope = $1 AND key_hash = $2");
    let row = write.row(sql.bind(repeat.scope.as_str()).bind(repeat.key)).await?;
    Ok(match row {
        Some((request, Some(target), Some(sealed))) if Vec::<u8>::eq(&request, &repeat.request) => {
            Claim::Same { target, sealed }
        }
        // Another request, or one of a release that kept no answer.
        _ => Claim::Mismatch,
    })
}

/// Notes what a claimed key made.
pub(super) async fn keep(write: &mut Write, repeat: &Repeatable, target: &str) -> Result<(), StoreError> {
    let sql = Sql::new("UPDATE idempotency SET target = $3 WHERE scope = $1 AND key_hash = $2");
    write.execute(sql.bind(repeat.scope.as_str()).bind(repeat.key).bind(target)).await?;
    Ok(())
}
