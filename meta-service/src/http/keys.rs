//! `/broadcasts/{id}/key`: stream keys are replaced by the owner.

use actix_web::HttpResponse;
use actix_web::http::header;
use chrono::TimeDelta;
use contract::id::BroadcastId;
use contract::key::SecretKey;
use contract::rest::{NewStreamKey, ReplaceStreamKey};
use service_kit::HttpProblem;
use sha2::{Digest as _, Sha256};

use super::broadcasts::find;
use super::extract::{JsonOrNothing, Meta, Path, Somebody};
use super::failure::Answer;
use super::problems::KeyProblems;
use crate::store::Unnamed;

/// Requests of one person that name no key and come within this time are one wish: one of them replaces the key, the
/// others would only make that answer's key a dead one.
const SAME_WISH: TimeDelta = TimeDelta::seconds(5);

/// Replace the stream key
///
/// The old key ends at once: a publisher that uses it is cut off. For the owner and admins. Of several who name the
/// same key one replaces it, and of several requests of one person that name none one in five seconds: the others get
/// 409.
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
    let (old, unnamed) = match wanted.stream_key {
        None => {
            let (now, by) = (meta.clock.now(), caller.person().unwrap_or_default());
            let unnamed = Unnamed { by: Sha256::digest(by).into(), now, unless_since: now - SAME_WISH };
            (record.key, Some(unnamed))
        }
        Some(key) => {
            let key: SecretKey =
                key.parse().map_err(|_| HttpProblem::bad_request("stream_key is no stream key"))?;
            (key.hash(), None)
        }
    };
    let key = SecretKey::stream(&mut rand::rng());
    if meta.store.broadcasts.replace_key(id, old, key.hash(), unnamed).await?.is_none() {
        return Err(HttpProblem::conflict(
            "the stream key was replaced meanwhile, or is another one; who names the key is not held up",
        )
        .into());
    }
    tracing::info!(broadcast.id = id.0, "stream key replaced");
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(NewStreamKey { stream_key: key.reveal().to_owned() }))
}
