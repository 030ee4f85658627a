//! Pictures of broadcasts.

use contract::id::BroadcastId;

use super::StoreError;
use database::{Db, Sql, bounded};

/// A stored picture.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Thumbnail {
    /// `image/jpeg` or `image/webp`.
    pub media_type: String,
    /// Strong ETag, quotes included.
    pub etag: String,
    /// The file.
    pub image: Vec<u8>,
}

/// The table of pictures.
#[derive(Debug)]
pub struct Thumbnails {
    pub(super) db: Db,
}

impl Thumbnails {
    /// Stores one in place of the old one. Nothing happens where the broadcast is gone.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn put(&self, id: BroadcastId, thumbnail: Thumbnail) -> Result<(), StoreError> {
        let call = async {
            let sql = Sql::new(
                "INSERT INTO thumbnail (broadcast_id, media_type, etag, image) \
                 SELECT broadcast_id, $2, $3, $4 FROM broadcast WHERE broadcast_id = $1 \
                 ON CONFLICT (broadcast_id) DO UPDATE SET media_type = excluded.media_type, \
                 etag = excluded.etag, image = excluded.image",
            );
            let sql = sql.bind(id.0).bind(thumbnail.media_type).bind(thumbnail.etag).bind(thumbnail.image);
            let mut write = self.db.begin().await?;
            write.execute(sql).await?;
            write.commit().await
        };
        bounded(call).await
    }

    /// The picture of a broadcast.
    pub async fn find(&self, id: BroadcastId) -> Result<Option<Thumbnail>, StoreError> {
        let sql = Sql::new("SELECT media_type, etag, image FROM thumbnail WHERE broadcast_id = $1");
        bounded(self.db.row(sql.bind(id.0))).await
    }

    /// Only its ETag: most who ask have the picture already.
    pub async fn etag(&self, id: BroadcastId) -> Result<Option<String>, StoreError> {
        let sql = Sql::new("SELECT etag FROM thumbnail WHERE broadcast_id = $1").bind(id.0);
        let row: Option<(String,)> = bounded(self.db.row(sql)).await?;
        Ok(row.map(|(etag,)| etag))
    }
}
