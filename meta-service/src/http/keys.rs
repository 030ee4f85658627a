//! `/broadcasts/{id}/key`: stream keys are replaced by the owner.

use actix_web::HttpResponse;
use actix_web::http::header;
use contract::id::BroadcastId;
use contract::key::SecretKey;
use contract::rest::{NewStreamKey, ReplaceStreamKey};
use service_kit::HttpProblem;

use super::Answer;
use super::broadcasts::find;
use super::extract::{JsonOrNothing, Meta, Path, Somebody};
use super::openapi::KeyProblems;

/// Replace the stream key
///
/// The old key ends at once: a publisher that uses it is cut off. For the owner and admins. A client that names the
/// key it replaces is the only one of several who replaces it.
#[utoipa::path(
    post, path = "/broadcasts/{id}/key", tag = "broadcasts", operation_id = "replace_stream_key",
    params(BroadcastId),
    request_body(content = Option<ReplaceStreamKey>),
    responses(
        (status = 200, description = "The new key, shown this once", body = NewStreamKey),
        KeyProblems
    ),
    security(("bearer" = []))
)]
pub(crate) async fn replace(
    meta: Meta,
    Somebody(caller): Somebody,
    Path(id): Path<BroadcastId>,
    JsonOrNothing(wanted): JsonOrNothing<ReplaceStreamKey>,
) -> Answer {
    let record = find(&meta, id).await?;
    caller.acts_on_broadcast(&record)?.owner_or_admin()?;
    let old = match wanted.stream_key {
        None => record.key,
        Some(key) => {
            let key: SecretKey =
                key.parse().map_err(|_| HttpProblem::bad_request("stream_key is no stream key"))?;
            key.hash()
        }
    };
    let key = SecretKey::stream(&mut rand::rng());
    if meta.store.broadcasts.replace_key(id, old, key.hash()).await?.is_none() {
        return Err(HttpProblem::conflict("the stream key was replaced meanwhile, or is another one").into());
    }
    tracing::info!(broadcast.id = id.0, "stream key replaced");
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(NewStreamKey { stream_key: key.reveal().to_owned() }))
}
