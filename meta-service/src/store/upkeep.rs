//! What the store does for itself: telling the time, trying whether it can be written, forgetting.

use chrono::{DateTime, Utc};

use super::StoreError;
use database::{Db, Sql, bounded};

/// Upkeep of all tables.
#[derive(Debug)]
pub struct Upkeep {
    pub(super) db: Db,
}

impl Upkeep {
    /// The database's clock: it is one for all processes.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let row: Option<(i64,)> =
            bounded(self.db.row(Sql::new(format!("SELECT {}", self.db.now_ms())))).await?;
        let now = row.and_then(|(millis,)| DateTime::from_timestamp_millis(millis));
        now.ok_or_else(|| StoreError::Failed("a time of the database".into()))
    }

    /// Writes one row: whether the database takes changes at all.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            write
                .execute(Sql::new(format!("UPDATE write_probe SET written_ms = {}", self.db.now_ms())))
                .await?;
            write.commit().await
        };
        bounded(call).await
    }

    /// Forgets requests older than `requests`, and the thumbnails of broadcasts that ended before `thumbnails`.
    pub async fn purge(&self, requests: DateTime<Utc>, thumbnails: DateTime<Utc>) -> Result<(), StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            write.execute(Sql::new("DELETE FROM idempotency WHERE created_at <= $1").bind(requests)).await?;
            let sql = Sql::new(
                "DELETE FROM thumbnail WHERE broadcast_id IN \
                 (SELECT broadcast_id FROM broadcast WHERE status = 'CLOSED' AND ended_at <= $1)",
            );
            write.execute(sql.bind(thumbnails)).await?;
            write.commit().await
        };
        bounded(call).await
    }
}
