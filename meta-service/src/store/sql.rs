//! The one implementation of [`Store`](super::Store) for both databases. The SQL is the common part of both
//! (`$n` parameters, RETURNING, ON CONFLICT, UPDATE FROM); what differs is passed in. It is a macro and not a
//! generic function because sqlx's bounds on a generic database are longer than the code.

/// Implements [`Store`](super::Store) for a type with a `pool` field. `begin` starts a transaction that will
/// write.
macro_rules! impl_store {
    ($store:ty, $db:ty, begin = $begin:expr) => {
        impl $store {
            async fn insert_broadcast(
                connection: &mut <$db as sqlx::Database>::Connection,
                new: &NewBroadcast,
            ) -> Result<Record, StoreError> {
                let row: BroadcastRow = sqlx::query_as(concat!(
                    "INSERT INTO broadcast \
                     (name, description, search, status, created_at, modified_at, stream_key_hash) \
                     VALUES ($1, $2, $3, 'READY', $4, $4, $5) RETURNING ",
                    broadcast_columns!()
                ))
                .bind(&new.name)
                .bind(&new.description)
                .bind(search_text(&new.name, &new.description))
                .bind(new.created_at)
                .bind(new.key.as_bytes().as_slice())
                .fetch_one(connection)
                .await?;
                row.try_into()
            }

            async fn insert_group(
                connection: &mut <$db as sqlx::Database>::Connection,
                new: &NewGroup,
            ) -> Result<Group, StoreError> {
                sqlx::query(
                    "INSERT INTO call_group (group_id, name, created_at, owner_key_hash) \
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(new.id.as_str())
                .bind(&new.name)
                .bind(new.created_at)
                .bind(new.key.as_bytes().as_slice())
                .execute(connection)
                .await?;
                Ok(Group { id: new.id.clone(), name: new.name.clone(), created_at: new.created_at })
            }

            /// Claims an Idempotency-Key inside a transaction: `None` when it is new. Of two at the same time
            /// the second waits for the first here.
            async fn claim(
                connection: &mut <$db as sqlx::Database>::Connection,
                repeat: &Repeatable,
                now: DateTime<Utc>,
            ) -> Result<Option<Claimed>, StoreError> {
                let claimed = sqlx::query(
                    "INSERT INTO idempotency (scope, key_hash, request_hash, created_at) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                )
                .bind(&repeat.scope)
                .bind(repeat.key.as_slice())
                .bind(repeat.request.as_slice())
                .bind(now)
                .execute(&mut *connection)
                .await?;
                if claimed.rows_affected() == 1 {
                    return Ok(None);
                }
                let (request, target): (Vec<u8>, Option<String>) = sqlx::query_as(
                    "SELECT request_hash, target FROM idempotency WHERE scope = $1 AND key_hash = $2",
                )
                .bind(&repeat.scope)
                .bind(repeat.key.as_slice())
                .fetch_one(connection)
                .await?;
                let target = target.ok_or_else(|| StoreError::Failed("a request without a target".into()))?;
                Ok(Some(Claimed { same: request == repeat.request, target }))
            }

            async fn settle(
                connection: &mut <$db as sqlx::Database>::Connection,
                repeat: &Repeatable,
                target: &str,
            ) -> Result<(), StoreError> {
                sqlx::query("UPDATE idempotency SET target = $3 WHERE scope = $1 AND key_hash = $2")
                    .bind(&repeat.scope)
                    .bind(repeat.key.as_slice())
                    .bind(target)
                    .execute(connection)
                    .await?;
                Ok(())
            }
        }

        impl Store for $store {
            fn create_broadcast(
                &self,
                new: NewBroadcast,
                repeat: Option<Repeatable>,
            ) -> StoreFuture<'_, Inserted<Record>> {
                bounded(async move {
                    let Some(repeat) = repeat else {
                        let mut connection = self.pool.acquire().await?;
                        return Ok(Inserted::New(Self::insert_broadcast(&mut connection, &new).await?));
                    };
                    let mut transaction = self.pool.begin_with($begin).await?;
                    if let Some(claimed) = Self::claim(&mut transaction, &repeat, new.created_at).await? {
                        transaction.rollback().await?;
                        if !claimed.same {
                            return Ok(Inserted::Mismatch);
                        }
                        let id = claimed.target.parse().ok().map(BroadcastId);
                        let id = id.ok_or_else(|| StoreError::Failed("a stored target".into()))?;
                        let record = self.broadcast(id).await?;
                        let gone = || StoreError::Failed("the broadcast of a repeated request".into());
                        return Ok(Inserted::Repeated(record.ok_or_else(gone)?));
                    }
                    let record = Self::insert_broadcast(&mut transaction, &new).await?;
                    Self::settle(&mut transaction, &repeat, &record.broadcast.id.to_string()).await?;
                    transaction.commit().await?;
                    Ok(Inserted::New(record))
                })
            }

            fn broadcast(&self, id: BroadcastId) -> StoreFuture<'_, Option<Record>> {
                bounded(async move {
                    let row: Option<BroadcastRow> = sqlx::query_as(concat!(
                        "SELECT ",
                        broadcast_columns!(),
                        " FROM broadcast WHERE broadcast_id = $1"
                    ))
                    .bind(id.0)
                    .fetch_optional(&self.pool)
                    .await?;
                    row.map(Record::try_from).transpose()
                })
            }

            fn broadcasts(&self, ids: Vec<BroadcastId>) -> StoreFuture<'_, Vec<Record>> {
                bounded(async move {
                    let mut found = Vec::with_capacity(ids.len());
                    for chunk in ids.chunks(BATCH_ROWS) {
                        let mut query = QueryBuilder::<$db>::new(concat!(
                            "SELECT ",
                            broadcast_columns!(),
                            " FROM broadcast WHERE broadcast_id IN ("
                        ));
                        let mut list = query.separated(", ");
                        chunk.iter().for_each(|id| {
                            list.push_bind(id.0);
                        });
                        query.push(")");
                        let rows: Vec<BroadcastRow> = query.build_query_as().fetch_all(&self.pool).await?;
                        found.extend(records::<_, Record>(rows)?);
                    }
                    Ok(found)
                })
            }

            fn broadcast_of_key(&self, key: KeyHash) -> StoreFuture<'_, Option<BroadcastId>> {
                bounded(async move {
                    let id: Option<i64> =
                        sqlx::query_scalar("SELECT broadcast_id FROM broadcast WHERE stream_key_hash = $1")
                            .bind(key.as_bytes().as_slice())
                            .fetch_optional(&self.pool)
                            .await?;
                    Ok(id.map(BroadcastId))
                })
            }

            fn list(&self, listing: Listing) -> StoreFuture<'_, Vec<Broadcast>> {
                bounded(async move {
                    let mut query = QueryBuilder::<$db>::new(concat!(
                        "SELECT ",
                        broadcast_columns!(),
                        " FROM broadcast WHERE 1 = 1"
                    ));
                    if let Some(words) = &listing.search {
                        query.push(" AND search LIKE ").push_bind(like_pattern(words));
                        query.push(" ESCAPE '\\'");
                    }
                    if let Some(status) = listing.status {
                        query.push(" AND status = ").push_bind(status_text(status));
                    }
                    match (listing.sort, listing.after) {
                        (_, None) => {}
                        (Sort::Newest, Some(after)) => {
                            query.push(" AND broadcast_id < ").push_bind(after.id);
                        }
                        (Sort::Viewers, Some(after)) => {
                            query.push(" AND (viewer_count, broadcast_id) < (").push_bind(after.viewers);
                            query.push(", ").push_bind(after.id).push(")");
                        }
                    }
                    query.push(match listing.sort {
                        Sort::Newest => " ORDER BY broadcast_id DESC LIMIT ",
                        Sort::Viewers => " ORDER BY viewer_count DESC, broadcast_id DESC LIMIT ",
                    });
                    query.push_bind(listing.limit);
                    let rows: Vec<BroadcastRow> = query.build_query_as().fetch_all(&self.pool).await?;
                    Ok(records::<_, Record>(rows)?.into_iter().map(|record| record.broadcast).collect())
                })
            }

            fn update(
                &self,
                id: BroadcastId,
                version: i64,
                change: Change,
                now: DateTime<Utc>,
            ) -> StoreFuture<'_, Option<Record>> {
                bounded(async move {
                    let row: Option<BroadcastRow> = sqlx::query_as(concat!(
                        "UPDATE broadcast SET name = $3, description = $4, search = $5, status = $6, \
                         started_at = $7, ended_at = $8, modified_at = $9, version = version + 1, \
                         viewer_count = COALESCE($10, viewer_count), seen_at = COALESCE($11, seen_at) \
                         WHERE broadcast_id = $1 AND version = $2 \
                         AND (seen_at IS NULL OR seen_at <= COALESCE($12, seen_at)) RETURNING ",
                        broadcast_columns!()
                    ))
                    .bind(id.0)
                    .bind(version)
                    .bind(&change.name)
                    .bind(&change.description)
                    .bind(search_text(&change.name, &change.description))
                    .bind(status_text(change.status))
                    .bind(change.started_at)
                    .bind(change.ended_at)
                    .bind(now)
                    .bind(change.viewer_count)
                    .bind(change.seen_at)
                    .bind(change.unless_seen_after)
                    .fetch_optional(&self.pool)
                    .await?;
                    row.map(Record::try_from).transpose()
                })
            }

            fn replace_key(&self, id: BroadcastId, key: KeyHash) -> StoreFuture<'_, Option<i64>> {
                bounded(async move {
                    let revision = sqlx::query_scalar(
                        "UPDATE broadcast SET stream_key_hash = $2, key_revision = key_revision + 1 \
                         WHERE broadcast_id = $1 RETURNING key_revision",
                    )
                    .bind(id.0)
                    .bind(key.as_bytes().as_slice())
                    .fetch_optional(&self.pool)
                    .await?;
                    Ok(revision)
                })
            }

            fn touch(&self, seen: Vec<Seen>, now: DateTime<Utc>) -> StoreFuture<'_, ()> {
                bounded(async move {
                    for chunk in seen.chunks(BATCH_ROWS) {
                        let mut query = QueryBuilder::<$db>::new(
                            "UPDATE broadcast SET seen_at = COALESCE(v.seen, seen_at), last_media_at = CASE \
                             WHEN last_media_at > v.media THEN last_media_at ELSE v.media END \
                             FROM (SELECT column1 AS id, column2 AS seen, column3 AS media FROM (",
                        );
                        query.push_values(chunk, |mut row, seen| {
                            row.push_bind(seen.id.0);
                            row.push_bind(seen.present.then_some(now));
                            row.push_bind(seen.last_media_at);
                        });
                        query.push(") AS t) AS v WHERE broadcast.broadcast_id = v.id");
                        query.build().execute(&self.pool).await?;
                    }
                    Ok(())
                })
            }

            fn unseen(&self, before: DateTime<Utc>) -> StoreFuture<'_, Vec<Record>> {
                bounded(async move {
                    let rows: Vec<BroadcastRow> = sqlx::query_as(concat!(
                        "SELECT ",
                        broadcast_columns!(),
                        " FROM broadcast WHERE status = 'STREAMING' AND (seen_at IS NULL OR seen_at <= $1) \
                         ORDER BY broadcast_id LIMIT $2"
                    ))
                    .bind(before)
                    .bind(SWEEP_ROWS)
                    .fetch_all(&self.pool)
                    .await?;
                    records(rows)
                })
            }

            fn unstarted(&self, before: DateTime<Utc>) -> StoreFuture<'_, Vec<Record>> {
                bounded(async move {
                    let rows: Vec<BroadcastRow> = sqlx::query_as(concat!(
                        "SELECT ",
                        broadcast_columns!(),
                        " FROM broadcast WHERE status = 'READY' AND created_at <= $1 \
                         ORDER BY broadcast_id LIMIT $2"
                    ))
                    .bind(before)
                    .bind(SWEEP_ROWS)
                    .fetch_all(&self.pool)
                    .await?;
                    records(rows)
                })
            }

            fn write_viewers(&self, counts: Vec<(BroadcastId, i64)>) -> StoreFuture<'_, ()> {
                bounded(async move {
                    for chunk in counts.chunks(BATCH_ROWS) {
                        let mut query = QueryBuilder::<$db>::new(
                            "UPDATE broadcast SET viewer_count = v.n \
                             FROM (SELECT column1 AS id, column2 AS n FROM (",
                        );
                        query.push_values(chunk, |mut row, (id, count)| {
                            row.push_bind(id.0);
                            row.push_bind((*count).max(0));
                        });
                        query.push(") AS t) AS v WHERE broadcast.broadcast_id = v.id");
                        query.push(" AND (status <> 'CLOSED' OR v.n = 0)");
                        query.build().execute(&self.pool).await?;
                    }
                    Ok(())
                })
            }

            fn viewers(&self) -> StoreFuture<'_, Vec<(BroadcastId, i64)>> {
                bounded(async move {
                    let rows: Vec<(i64, i64)> = sqlx::query_as(
                        "SELECT broadcast_id, viewer_count FROM broadcast WHERE viewer_count > 0",
                    )
                    .fetch_all(&self.pool)
                    .await?;
                    Ok(rows.into_iter().map(|(id, count)| (BroadcastId(id), count)).collect())
                })
            }

            fn put_thumbnail(&self, id: BroadcastId, thumbnail: Thumbnail) -> StoreFuture<'_, ()> {
                bounded(async move {
                    sqlx::query(
                        "INSERT INTO thumbnail (broadcast_id, media_type, etag, image) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (broadcast_id) DO UPDATE SET media_type = excluded.media_type, \
                         etag = excluded.etag, image = excluded.image",
                    )
                    .bind(id.0)
                    .bind(thumbnail.media_type)
                    .bind(thumbnail.etag)
                    .bind(thumbnail.image)
                    .execute(&self.pool)
                    .await?;
                    Ok(())
                })
            }

            fn thumbnail(&self, id: BroadcastId) -> StoreFuture<'_, Option<Thumbnail>> {
                bounded(async move {
                    let row: Option<ThumbnailRow> = sqlx::query_as(
                        "SELECT media_type, etag, image FROM thumbnail WHERE broadcast_id = $1",
                    )
                    .bind(id.0)
                    .fetch_optional(&self.pool)
                    .await?;
                    Ok(row.map(Thumbnail::from))
                })
            }

            fn create_group(
                &self,
                new: NewGroup,
                repeat: Option<Repeatable>,
            ) -> StoreFuture<'_, Inserted<Group>> {
                bounded(async move {
                    let Some(repeat) = repeat else {
                        let mut connection = self.pool.acquire().await?;
                        return Ok(Inserted::New(Self::insert_group(&mut connection, &new).await?));
                    };
                    let mut transaction = self.pool.begin_with($begin).await?;
                    if let Some(claimed) = Self::claim(&mut transaction, &repeat, new.created_at).await? {
                        transaction.rollback().await?;
                        if !claimed.same {
                            return Ok(Inserted::Mismatch);
                        }
                        let id: Option<GroupId> = claimed.target.parse().ok();
                        let id = id.ok_or_else(|| StoreError::Failed("a stored target".into()))?;
                        // A group that was deleted since: the repeat means what it said, a group.
                        return match self.group(id).await? {
                            Some(record) => Ok(Inserted::Repeated(record.group)),
                            None => Ok(Inserted::Mismatch),
                        };
                    }
                    let group = Self::insert_group(&mut transaction, &new).await?;
                    Self::settle(&mut transaction, &repeat, group.id.as_str()).await?;
                    transaction.commit().await?;
                    Ok(Inserted::New(group))
                })
            }

            fn group(&self, id: GroupId) -> StoreFuture<'_, Option<GroupRecord>> {
                bounded(async move {
                    let row: Option<GroupRow> = sqlx::query_as(
                        "SELECT seq, group_id, name, created_at, owner_key_hash FROM call_group \
                         WHERE group_id = $1",
                    )
                    .bind(id.as_str())
                    .fetch_optional(&self.pool)
                    .await?;
                    row.map(GroupRecord::try_from).transpose()
                })
            }

            fn groups(&self, before: Option<i64>, limit: i64) -> StoreFuture<'_, Vec<GroupRecord>> {
                bounded(async move {
                    let rows: Vec<GroupRow> = sqlx::query_as(
                        "SELECT seq, group_id, name, created_at, owner_key_hash FROM call_group \
                         WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
                    )
                    .bind(before.unwrap_or(i64::MAX))
                    .bind(limit)
                    .fetch_all(&self.pool)
                    .await?;
                    records(rows)
                })
            }

            fn group_of_key(&self, key: KeyHash) -> StoreFuture<'_, Option<GroupId>> {
                bounded(async move {
                    let id: Option<String> =
                        sqlx::query_scalar("SELECT group_id FROM call_group WHERE owner_key_hash = $1")
                            .bind(key.as_bytes().as_slice())
                            .fetch_optional(&self.pool)
                            .await?;
                    Ok(id.and_then(|id| id.parse().ok()))
                })
            }

            fn delete_group(&self, id: GroupId) -> StoreFuture<'_, bool> {
                bounded(async move {
                    let deleted = sqlx::query("DELETE FROM call_group WHERE group_id = $1")
                        .bind(id.as_str())
                        .execute(&self.pool)
                        .await?;
                    Ok(deleted.rows_affected() > 0)
                })
            }

            fn purge(&self, requests: DateTime<Utc>, thumbnails: DateTime<Utc>) -> StoreFuture<'_, ()> {
                bounded(async move {
                    sqlx::query("DELETE FROM idempotency WHERE created_at <= $1")
                        .bind(requests)
                        .execute(&self.pool)
                        .await?;
                    sqlx::query(
                        "DELETE FROM thumbnail WHERE broadcast_id IN \
                         (SELECT broadcast_id FROM broadcast WHERE status = 'CLOSED' AND ended_at <= $1)",
                    )
                    .bind(thumbnails)
                    .execute(&self.pool)
                    .await?;
                    Ok(())
                })
            }

            fn ping(&self) -> StoreFuture<'_, ()> {
                bounded(async move {
                    sqlx::query("SELECT 1").execute(&self.pool).await?;
                    Ok(())
                })
            }

            fn close(&self) -> BoxFuture<'_, ()> {
                Box::pin(self.pool.close())
            }
        }
    };
}
pub(super) use impl_store;

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{CALL_TIMEOUT, StoreError, StoreFuture};

/// What an Idempotency-Key was used for before.
pub(super) struct Claimed {
    /// The request was the same.
    pub(super) same: bool,
    /// What it made.
    pub(super) target: String,
}

tokio::task_local! {
    /// Of the request under way, when its calls have to be done.
    static REQUEST: Cell<Option<Instant>>;
}

/// Runs the work on a request: all its calls together get [`CALL_TIMEOUT`], from the first one on.
pub(crate) async fn one_request<T>(work: impl Future<Output = T>) -> T {
    REQUEST.scope(Cell::new(None), work).await
}

/// What a call at `now` may take, of a request whose calls end at `end`.
fn left(end: &Cell<Option<Instant>>, now: Instant) -> Duration {
    let first = end.get().unwrap_or(now + CALL_TIMEOUT);
    end.set(Some(first));
    first.saturating_duration_since(now)
}

/// Gives `call` at most [`CALL_TIMEOUT`], or what is left of it for this request.
pub(super) fn bounded<'a, T: 'a>(
    call: impl Future<Output = Result<T, StoreError>> + Send + 'a,
) -> StoreFuture<'a, T> {
    Box::pin(async move {
        let left = REQUEST.try_with(|end| left(end, Instant::now())).unwrap_or(CALL_TIMEOUT);
        match tokio::time::timeout(left, call).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable("no answer in time".into())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let never = || bounded(std::future::pending::<Result<(), StoreError>>());
        let answer = one_request(async {
            REQUEST.with(|end| end.set(Some(Instant::now())));
            never().await
        })
        .await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
        // The next request has all of its own.
        one_request(async { REQUEST.with(|end| assert!(end.get().is_none())) }).await;
    }
}
