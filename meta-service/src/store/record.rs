//! Rows as both databases return them, and what they mean.

use chrono::{DateTime, Utc};
use contract::id::BroadcastId;
use contract::key::KeyHash;
use contract::rest::{Broadcast, Group, Status};

use super::{GroupRecord, StoreError, Thumbnail};

/// A stored broadcast.
#[derive(Debug, Clone)]
pub struct Record {
    /// What everybody sees.
    pub broadcast: Broadcast,
    /// Raised by every change but viewer_count and signs of life.
    pub version: i64,
    /// Hash of its stream key.
    pub key: KeyHash,
    /// Raised each time the key is replaced.
    pub key_revision: i64,
    /// Last sign of life of a publisher.
    pub seen_at: Option<DateTime<Utc>>,
    /// Last media that a report named.
    pub last_media_at: Option<DateTime<Utc>>,
}

/// Columns of [`BroadcastRow`], for SELECT and RETURNING.
macro_rules! broadcast_columns {
    () => {
        "broadcast_id, name, description, status, viewer_count, started_at, ended_at, created_at, modified_at, \
         version, stream_key_hash, key_revision, seen_at, last_media_at"
    };
}
pub(super) use broadcast_columns;

#[derive(sqlx::FromRow)]
pub(super) struct BroadcastRow {
    broadcast_id: i64,
    name: String,
    description: String,
    status: String,
    viewer_count: i64,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    modified_at: DateTime<Utc>,
    version: i64,
    stream_key_hash: Vec<u8>,
    key_revision: i64,
    seen_at: Option<DateTime<Utc>>,
    last_media_at: Option<DateTime<Utc>>,
}

impl TryFrom<BroadcastRow> for Record {
    type Error = StoreError;

    fn try_from(row: BroadcastRow) -> Result<Self, StoreError> {
        Ok(Self {
            broadcast: Broadcast {
                id: BroadcastId(row.broadcast_id),
                name: row.name,
                description: row.description,
                status: status_from(&row.status)?,
                viewer_count: row.viewer_count,
                started_at: row.started_at,
                ended_at: row.ended_at,
                created_at: row.created_at,
                modified_at: row.modified_at,
            },
            version: row.version,
            key: key_from(row.stream_key_hash)?,
            key_revision: row.key_revision,
            seen_at: row.seen_at,
            last_media_at: row.last_media_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct GroupRow {
    seq: i64,
    group_id: String,
    name: String,
    created_at: DateTime<Utc>,
    owner_key_hash: Vec<u8>,
}

impl TryFrom<GroupRow> for GroupRecord {
    type Error = StoreError;

    fn try_from(row: GroupRow) -> Result<Self, StoreError> {
        let id = row.group_id.parse().map_err(|_| StoreError::Failed("a stored group id".into()))?;
        Ok(Self {
            group: Group { id, name: row.name, created_at: row.created_at },
            seq: row.seq,
            key: key_from(row.owner_key_hash)?,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct ThumbnailRow {
    media_type: String,
    etag: String,
    image: Vec<u8>,
}

impl From<ThumbnailRow> for Thumbnail {
    fn from(row: ThumbnailRow) -> Self {
        Self { media_type: row.media_type, etag: row.etag, image: row.image }
    }
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

fn key_from(bytes: Vec<u8>) -> Result<KeyHash, StoreError> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| StoreError::Failed("a stored key hash".into()))?;
    Ok(KeyHash::from_bytes(bytes))
}

/// `rows` as records.
pub(super) fn records<R, T: TryFrom<R, Error = StoreError>>(rows: Vec<R>) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(T::try_from).collect()
}
