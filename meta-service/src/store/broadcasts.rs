//! Broadcasts.

use chrono::{DateTime, Utc};
use contract::id::BroadcastId;
use contract::key::KeyHash;
use contract::rest::{Broadcast, Status};

use super::StoreError;
use super::idempotency::{self, Claim, Inserted, Repeatable};
use super::limits::{BATCH_ROWS, SWEEP_ROWS};
use super::{Changed, key_from};
use crate::lifecycle::Change;
use crate::record::{Owner, Record, Seen};
use database::{Db, Sql, Value, Write, bounded};

/// A broadcast to insert, READY.
#[derive(Debug, Clone)]
pub struct NewBroadcast {
    /// Title.
    pub name: String,
    /// Description.
    pub description: String,
    /// Hash of its stream key.
    pub key: KeyHash,
    /// Whose it is.
    pub owner: Owner,
    /// When it is to begin.
    pub planned_at: Option<DateTime<Utc>>,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// Who replaces a stream key without naming the one that is to go.
#[derive(Debug, Clone, Copy)]
pub struct Unnamed {
    /// Hash of who asks.
    pub by: [u8; 32],
    /// Now.
    pub now: DateTime<Utc>,
    /// Nothing is replaced if the same person replaced it, unnamed, after this.
    pub unless_since: DateTime<Utc>,
}

/// What is old enough to be deleted; `None` keeps it for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expired {
    /// Closed ones that ended before this.
    pub ended_before: Option<DateTime<Utc>>,
    /// Closed ones that never started and ended before this.
    pub unstarted_before: Option<DateTime<Utc>>,
}

/// Columns of [`BroadcastRow`], for SELECT and RETURNING.
pub(super) const COLUMNS: &str = "broadcast_id, name, description, status, viewer_count, started_at, ended_at, \
    planned_at, created_at, modified_at, version, stream_key_hash, key_revision, owner_key_hash, owner_subject, seen_at, \
    last_media_at";

#[derive(sqlx::FromRow)]
pub(super) struct BroadcastRow {
    broadcast_id: i64,
    name: String,
    description: String,
    status: String,
    viewer_count: i64,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    planned_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    modified_at: DateTime<Utc>,
    version: i64,
    stream_key_hash: Vec<u8>,
    key_revision: i64,
    owner_key_hash: Option<Vec<u8>>,
    owner_subject: Option<String>,
    seen_at: Option<DateTime<Utc>>,
    last_media_at: Option<DateTime<Utc>>,
}

impl TryFrom<BroadcastRow> for Record {
    type Error = StoreError;

    fn try_from(row: BroadcastRow) -> Result<Self, StoreError> {
        let key = key_from(row.stream_key_hash)?;
        // Made by an earlier release: whoever had the stream key owned it.
        let owner_key = row.owner_key_hash.map_or(Ok(key), key_from)?;
        Ok(Self {
            broadcast: Broadcast {
                id: BroadcastId(row.broadcast_id),
                name: row.name,
                description: row.description,
                status: status_from(&row.status)?,
                viewer_count: row.viewer_count,
                started_at: row.started_at,
                ended_at: row.ended_at,
                planned_at: row.planned_at,
                created_at: row.created_at,
                modified_at: row.modified_at,
            },
            version: row.version,
            key,
            key_revision: row.key_revision,
            owner: Owner { key: owner_key, subject: row.owner_subject },
            seen_at: row.seen_at,
            last_media_at: row.last_media_at,
        })
    }
}

pub(super) fn records(rows: Vec<BroadcastRow>) -> Result<Vec<Record>, StoreError> {
    rows.into_iter().map(Record::try_from).collect()
}

/// The stored form of a status.
pub(super) fn status_text(status: Status) -> &'static str {
    match status {
        Status::Ready => "READY",
        Status::Streaming => "STREAMING",
        Status::Closed => "CLOSED",
    }
}

fn status_from(text: &str) -> Result<Status, StoreError> {
    match text {
        "READY" => Ok(Status::Ready),
        "STREAMING" => Ok(Status::Streaming),
        "CLOSED" => Ok(Status::Closed),
        _ => Err(StoreError::Failed("a stored status".into())),
    }
}

/// What a search looks at: lower case, so that both databases agree.
fn search_text(name: &str, description: &str) -> String {
    format!("{}\n{}", name.to_lowercase(), description.to_lowercase())
}

/// The table of broadcasts.
#[derive(Debug)]
pub struct Broadcasts {
    pub(super) db: Db,
}

impl Broadcasts {
    /// Inserts one, once for each Idempotency-Key.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn create(
        &self,
        new: NewBroadcast,
        repeat: Option<Repeatable>,
    ) -> Result<Inserted<Record>, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            if let Some(repeat) = &repeat {
                match idempotency::claim(&mut write, repeat, new.created_at).await? {
                    Claim::New => {}
                    Claim::Mismatch => return Ok(Inserted::Mismatch),
                    Claim::Same { target, sealed } => {
                        drop(write);
                        let id = target.parse().map_err(|_| StoreError::Failed("a stored target".into()))?;
                        let found = self.find(id).await?;
                        return Ok(
                            found.map_or(Inserted::Mismatch, |made| Inserted::Repeated { made, sealed })
                        );
                    }
                }
            }
            let record = insert(&mut write, &new).await?;
            if let Some(repeat) = &repeat {
                idempotency::keep(&mut write, repeat, &record.broadcast.id.to_string()).await?;
            }
            write.commit().await?;
            Ok(Inserted::New(record))
        };
        bounded(call).await
    }

    /// One broadcast.
    pub async fn find(&self, id: BroadcastId) -> Result<Option<Record>, StoreError> {
        Ok(self.find_all(vec![id]).await?.pop())
    }

    /// Those of these ids that exist.
    pub async fn find_all(&self, ids: Vec<BroadcastId>) -> Result<Vec<Record>, StoreError> {
        let call = async {
            let mut found = Vec::with_capacity(ids.len());
            for chunk in ids.chunks(BATCH_ROWS) {
                let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM broadcast WHERE broadcast_id IN ("));
                sql.push_rows(chunk.iter().map(|id| [Value::from(id.0)]));
                sql.push(")");
                found.extend(records(self.db.rows(sql).await?)?);
            }
            Ok(found)
        };
        bounded(call).await
    }

    /// The broadcast whose stream key or owner key has this hash.
    pub async fn of_key(&self, key: KeyHash) -> Result<Option<BroadcastId>, StoreError> {
        let sql = Sql::new(
            "SELECT broadcast_id FROM broadcast WHERE stream_key_hash = $1 \
             UNION ALL SELECT broadcast_id FROM broadcast WHERE owner_key_hash = $1",
        );
        let row: Option<(i64,)> = bounded(self.db.row(sql.bind(key))).await?;
        Ok(row.map(|(id,)| BroadcastId(id)))
    }

    /// Applies `change` to version `version` of a broadcast; `None` when it is no longer that version, or was seen
    /// after `change.unless_seen_after`.
    pub async fn update(
        &self,
        id: BroadcastId,
        version: i64,
        change: Change,
        now: DateTime<Utc>,
    ) -> Result<Option<Record>, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let record = apply(&mut write, id, version, change, now).await?;
            write.commit().await?;
            Ok(record)
        };
        bounded(call).await
    }

    /// Makes the change that `decide` says of a broadcast as it is; `None` where there is no such broadcast. Others who
    /// change it meanwhile wait, so nothing comes between.
    pub async fn change<E: Send>(
        &self,
        id: BroadcastId,
        now: DateTime<Utc>,
        decide: impl FnOnce(&Record) -> Result<Option<Change>, E> + Send,
    ) -> Result<Option<Result<Changed<Record>, E>>, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let sql =
                format!("SELECT {COLUMNS} FROM broadcast WHERE broadcast_id = $1{}", self.db.for_update());
            let row: Option<BroadcastRow> = write.row(Sql::new(sql).bind(id.0)).await?;
            let Some(was) = row.map(Record::try_from).transpose()? else { return Ok(None) };
            let change = match decide(&was) {
                Ok(Some(change)) => change,
                Ok(None) => return Ok(Some(Ok(Changed { record: was, was: None }))),
                Err(refused) => return Ok(Some(Err(refused))),
            };
            let Some(record) = apply(&mut write, id, was.version, change, now).await? else {
                return Ok(Some(Ok(Changed { record: was, was: None })));
            };
            write.commit().await?;
            Ok(Some(Ok(Changed { record, was: Some(was) })))
        };
        bounded(call).await
    }

    /// Replaces the stream key `old`: the new key revision, or `None` where that is not the key (any more), or where
    /// the same person has just replaced it.
    pub async fn replace_key(
        &self,
        id: BroadcastId,
        old: KeyHash,
        new: KeyHash,
        unnamed: Option<Unnamed>,
    ) -> Result<Option<i64>, StoreError> {
        let call = async {
            let sql = Sql::new(
                "UPDATE broadcast SET stream_key_hash = $3, key_revision = key_revision + 1, \
                 owner_key_hash = COALESCE(owner_key_hash, stream_key_hash), \
                 key_replaced_by = $4, key_replaced_at = $5 \
                 WHERE broadcast_id = $1 AND stream_key_hash = $2 \
                 AND NOT COALESCE(key_replaced_by = $4 AND key_replaced_at > $6, FALSE) RETURNING key_revision",
            );
            let sql = sql.bind(id.0).bind(old).bind(new);
            let sql = sql.bind(unnamed.map(|unnamed| unnamed.by.to_vec()));
            let sql = sql.bind(unnamed.map(|unnamed| unnamed.now));
            let sql = sql.bind(unnamed.map(|unnamed| unnamed.unless_since));
            let mut write = self.db.begin().await?;
            let row: Option<(i64,)> = write.row(sql).await?;
            write.commit().await?;
            Ok(row.map(|(revision,)| revision))
        };
        bounded(call).await
    }

    /// Deletes one, with its picture and its viewers; whether there was one.
    pub async fn delete(&self, id: BroadcastId) -> Result<bool, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let sql = Sql::new("DELETE FROM broadcast WHERE broadcast_id = $1").bind(id.0);
            let deleted = write.execute(sql).await?;
            write.commit().await?;
            Ok(deleted > 0)
        };
        bounded(call).await
    }

    /// Deletes what has expired, at most [`SWEEP_ROWS`]; how many.
    pub async fn delete_expired(&self, expired: Expired) -> Result<u64, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let sql = Sql::new(
                "DELETE FROM broadcast WHERE broadcast_id IN (SELECT broadcast_id FROM broadcast \
                 WHERE status = 'CLOSED' AND (ended_at <= $1 OR (started_at IS NULL AND ended_at <= $2)) \
                 ORDER BY ended_at LIMIT $3)",
            );
            let sql = sql.bind(expired.ended_before).bind(expired.unstarted_before).bind(SWEEP_ROWS);
            let deleted = write.execute(sql).await?;
            write.commit().await?;
            Ok(deleted)
        };
        bounded(call).await
    }

    /// Records signs of life at `now`.
    pub async fn touch(&self, seen: Vec<Seen>, now: DateTime<Utc>) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let call = async {
            let mut write = self.db.begin().await?;
            for chunk in seen.chunks(BATCH_ROWS) {
                let mut sql = Sql::new(
                    "UPDATE broadcast SET seen_at = COALESCE(v.seen, seen_at), last_media_at = CASE \
                     WHEN last_media_at > v.media THEN last_media_at ELSE v.media END \
                     FROM (SELECT column1 AS id, column2 AS seen, column3 AS media FROM (VALUES ",
                );
                sql.push_rows(chunk.iter().map(|seen| {
                    let at = seen.present.then_some(now);
                    [Value::from(seen.id.0), Value::from(at), Value::from(seen.last_media_at)]
                }));
                sql.push(") AS t) AS v WHERE broadcast.broadcast_id = v.id");
                write.execute(sql).await?;
            }
            write.commit().await
        };
        bounded(call).await
    }

    /// STREAMING broadcasts not seen since `before`, at most [`SWEEP_ROWS`].
    pub async fn unseen(&self, before: DateTime<Utc>) -> Result<Vec<Record>, StoreError> {
        self.to_close("status = 'STREAMING' AND (seen_at IS NULL OR seen_at <= $1)", before).await
    }

    /// READY broadcasts created, and planned if they are, before `before`, at most [`SWEEP_ROWS`].
    pub async fn unstarted(&self, before: DateTime<Utc>) -> Result<Vec<Record>, StoreError> {
        self.to_close(
            "status = 'READY' AND created_at <= $1 AND COALESCE(planned_at, created_at) <= $1",
            before,
        )
        .await
    }

    async fn to_close(&self, which: &str, before: DateTime<Utc>) -> Result<Vec<Record>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM broadcast WHERE {which} ORDER BY broadcast_id LIMIT $2");
        records(bounded(self.db.rows(Sql::new(sql).bind(before).bind(SWEEP_ROWS))).await?)
    }

    /// How many there are READY and STREAMING. (Closed ones are not counted: they only grow.)
    pub async fn open_by_status(&self) -> Result<(i64, i64), StoreError> {
        let sql = Sql::new(
            "SELECT (SELECT count(*) FROM broadcast WHERE status = 'READY'), \
             (SELECT count(*) FROM broadcast WHERE status = 'STREAMING')",
        );
        bounded(self.db.row(sql)).await.map(Option::unwrap_or_default)
    }
}

async fn insert(write: &mut Write, new: &NewBroadcast) -> Result<Record, StoreError> {
    let sql = Sql::new(format!(
        "INSERT INTO broadcast (name, description, search, status, created_at, modified_at, stream_key_hash, \
         owner_key_hash, owner_subject, planned_at) VALUES ($1, $2, $3, 'READY', $4, $4, $5, $6, $7, $8) \
         RETURNING {COLUMNS}"
    ));
    let sql = sql.bind(new.name.as_str()).bind(new.description.as_str());
    let sql = sql.bind(search_text(&new.name, &new.description)).bind(new.created_at).bind(new.key);
    let sql = sql.bind(new.owner.key).bind(new.owner.subject.clone()).bind(new.planned_at);
    let row: Option<BroadcastRow> = write.row(sql).await?;
    row.ok_or_else(|| StoreError::Failed("an insert without a row".into()))?.try_into()
}

/// Applies `change` to version `version` of a broadcast; `None` when it is no longer that version, or was seen after
/// `change.unless_seen_after`.
async fn apply(
    write: &mut Write,
    id: BroadcastId,
    version: i64,
    change: Change,
    now: DateTime<Utc>,
) -> Result<Option<Record>, StoreError> {
    let sql = Sql::new(format!(
        "UPDATE broadcast SET name = $3, description = $4, search = $5, status = $6, started_at = $7, \
         ended_at = $8, modified_at = $9, version = version + 1, \
         viewer_count = COALESCE($10, viewer_count), seen_at = COALESCE($11, seen_at), \
         planned_at = $13 \
         WHERE broadcast_id = $1 AND version = $2 \
         AND (seen_at IS NULL OR seen_at <= COALESCE($12, seen_at)) RETURNING {COLUMNS}"
    ));
    let search = search_text(&change.name, &change.description);
    let sql = sql.bind(id.0).bind(version).bind(change.name).bind(change.description).bind(search);
    let sql = sql.bind(status_text(change.status)).bind(change.started_at).bind(change.ended_at);
    let sql = sql.bind(now).bind(change.viewer_count).bind(change.seen_at).bind(change.unless_seen_after);
    let sql = sql.bind(change.planned_at);
    let row: Option<BroadcastRow> = write.row(sql).await?;
    row.map(Record::try_from).transpose()
}
