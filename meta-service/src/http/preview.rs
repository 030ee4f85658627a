//! What the server of the pages is told of a broadcast.

use std::sync::Arc;

use contract::id::BroadcastId;
use service_kit::preview::{Catalogue, Found, Preview};

use crate::shared::Shared;
use crate::store::{StoreError, one_request};

/// Whom the pages ask.
pub(super) fn catalogue(shared: &Arc<Shared>) -> Catalogue {
    let shared = Arc::clone(shared);
    Catalogue::new(move |id| {
        let shared = Arc::clone(&shared);
        async move { one_request(find(&shared, BroadcastId(id))).await.unwrap_or(Found::Unknown) }
    })
}

async fn find(shared: &Shared, id: BroadcastId) -> Result<Found, StoreError> {
    let Some(record) = shared.store.broadcasts.find(id).await? else { return Ok(Found::Missing) };
    let picture = shared.store.thumbnails.etag(id).await?;
    Ok(Found::Broadcast(Preview {
        title: record.broadcast.name,
        description: record.broadcast.description,
        picture: picture.map(|etag| etag.trim_matches('"').to_owned()),
    }))
}
