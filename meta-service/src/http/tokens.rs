//! Join tokens: `/broadcasts/{id}/token`, `/groups/{id}/token`.

use actix_web::HttpResponse;
use actix_web::http::header;
use chrono::TimeDelta;
use contract::id::{BroadcastId, GroupId, ParticipantId};
use contract::rest::{JoinToken, TokenRequest};
use contract::room::Room;
use contract::text;
use contract::token::{Grant, JOIN_TTL_SECS, Role};
use service_kit::HttpProblem;

use super::extract::{Client, JsonOrNothing, Meta, Path, Somebody};
use super::openapi::TokenProblems;
use super::{Answer, broadcasts, groups};
use crate::auth::Caller;
use crate::service::Limited;

/// Most characters of a display name.
const MAX_NAME_CHARS: usize = 64;

/// Get a join token of a broadcast
///
/// Anyone gets a guest token (subscribe and chat), also with no body; more needs the owner key or an admin token. A
/// token lives 12 hours.
#[utoipa::path(
    post, path = "/broadcasts/{id}/token", tag = "tokens", operation_id = "join_broadcast",
    params(BroadcastId),
    request_body(content = Option<TokenRequest>),
    responses((status = 200, description = "The token", body = JoinToken), TokenProblems),
    security((), ("bearer" = []))
)]
pub(crate) async fn of_broadcast(
    meta: Meta,
    caller: Caller,
    client: Client,
    Path(id): Path<BroadcastId>,
    JsonOrNothing(wanted): JsonOrNothing<TokenRequest>,
) -> Answer {
    meta.take(Limited::Token, &client.asker(&caller))?;
    let record = broadcasts::find(&meta, id).await?;
    let grants = grants(&wanted)?;
    if grants.iter().any(|grant| !matches!(grant, Grant::Subscribe | Grant::Chat)) {
        caller.acts_on_broadcast(&record)?.owner_or_admin()?;
    }
    mint(&meta, record.broadcast.id.into(), wanted, grants)
}

/// Get a join token of a group
///
/// For the holder of the owner key, creators of the group and admins.
#[utoipa::path(
    post, path = "/groups/{id}/token", tag = "tokens", operation_id = "join_group",
    params(GroupId),
    request_body(content = Option<TokenRequest>),
    responses((status = 200, description = "The token", body = JoinToken), TokenProblems),
    security(("bearer" = []))
)]
pub(crate) async fn of_group(
    meta: Meta,
    Somebody(caller): Somebody,
    client: Client,
    Path(id): Path<GroupId>,
    JsonOrNothing(wanted): JsonOrNothing<TokenRequest>,
) -> Answer {
    meta.take(Limited::Token, &client.asker(&caller))?;
    let record = groups::find(&meta, id).await?;
    caller.acts_on(&record.owner)?.owner_or_admin()?;
    let grants = grants(&wanted)?;
    mint(&meta, Room::from(&record.group.id), wanted, grants)
}

/// The wanted grants, each once.
fn grants(wanted: &TokenRequest) -> Result<Vec<Grant>, HttpProblem> {
    if wanted.name.as_deref().unwrap_or_default().chars().count() > MAX_NAME_CHARS {
        return Err(HttpProblem::bad_request("name has at most 64 characters"));
    }
    let Some(wanted) = &wanted.grants else { return Ok(vec![Grant::Subscribe, Grant::Chat]) };
    let mut grants = Vec::new();
    for grant in wanted {
        if !grants.contains(grant) {
            grants.push(*grant);
        }
    }
    if grants.is_empty() {
        Err(HttpProblem::bad_request("grants name at least one right"))
    } else {
        Ok(grants)
    }
}

fn mint(meta: &Meta, room: Room, wanted: TokenRequest, grants: Vec<Grant>) -> Answer {
    let participant_id = ParticipantId::random(&mut rand::rng());
    let name = wanted.name.map(|name| text::one_line(&name)).filter(|name| !name.is_empty());
    let role = Role::Join { room, grants: grants.clone(), name };
    let token = meta.keys.mint(participant_id.as_str(), role, meta.clock.unix(), JOIN_TTL_SECS);
    let ttl = TimeDelta::seconds(i64::try_from(JOIN_TTL_SECS).unwrap_or(0));
    let answer = JoinToken { token, participant_id, grants, expires_at: meta.clock.now() + ttl };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}
