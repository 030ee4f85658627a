//! Join tokens: `/broadcasts/{id}/token`, `/groups/{id}/token`; and Idempotency-Keys, which both creations share.

use actix_web::http::{StatusCode, header};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use chrono::TimeDelta;
use contract::id::ParticipantId;
use contract::key::KeyHash;
use contract::rest::{JoinToken, TokenRequest};
use contract::room::Room;
use contract::token::{Grant, JOIN_TTL_SECS, Role};
use serde::Serialize;
use service_kit::HttpProblem;
use sha2::{Digest as _, Sha256};

use super::{Answer, State, body, broadcasts, groups};
use crate::auth::Caller;
use crate::http::openapi::TokenProblems;
use crate::store::Repeatable;

/// Most characters of a display name.
const MAX_NAME_CHARS: usize = 64;
/// Most characters of an Idempotency-Key.
const MAX_REPEAT_KEY: usize = 255;

/// Get a join token of a broadcast
///
/// Anyone gets a guest token (subscribe and chat), also with no body; more needs the stream key or an admin
/// token. A token lives 12 hours.
#[utoipa::path(
    post, path = "/broadcasts/{id}/token", tag = "tokens", operation_id = "join_broadcast",
    params(("id" = i64, Path, minimum = 1, maximum = 9007199254740991_i64, description = "Id of the broadcast")),
    request_body(content = Option<TokenRequest>),
    responses((status = 200, description = "The token", body = JoinToken), TokenProblems),
    security((), ("bearer" = []))
)]
pub(crate) async fn of_broadcast(request: HttpRequest, state: State, payload: Payload) -> Answer {
    let caller = state.caller(&request)?;
    let wanted: TokenRequest = body::json_or_nothing(&request, payload).await?;
    let record = broadcasts::find(&request, &state).await?;
    let grants = grants(&wanted)?;
    if grants.iter().any(|grant| !matches!(grant, Grant::Subscribe | Grant::Chat)) {
        caller.owner_or_admin(&record.key)?;
    }
    mint(&state, broadcasts::room(&record), wanted, grants)
}

/// Get a join token of a group
///
/// For the holder of the owner key and for admins.
#[utoipa::path(
    post, path = "/groups/{id}/token", tag = "tokens", operation_id = "join_group",
    params(("id" = String, Path, pattern = "^grp_[A-Za-z0-9_-]{22}$", description = "Id of the group")),
    request_body(content = Option<TokenRequest>),
    responses((status = 200, description = "The token", body = JoinToken), TokenProblems),
    security(("bearer" = []))
)]
pub(crate) async fn of_group(request: HttpRequest, state: State, payload: Payload) -> Answer {
    let caller = state.caller(&request)?;
    caller.is_somebody()?;
    let wanted: TokenRequest = body::json_or_nothing(&request, payload).await?;
    let record = groups::find(&request, &state).await?;
    let key: &KeyHash = &record.key;
    caller.owner_or_admin(key)?;
    let grants = grants(&wanted)?;
    mint(&state, Room::from(&record.group.id), wanted, grants)
}

/// The wanted grants, each once.
fn grants(wanted: &TokenRequest) -> Result<Vec<Grant>, HttpProblem> {
    let name = wanted.name.as_deref().unwrap_or_default();
    if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(HttpProblem::bad_request(
            "name has at most 64 characters, none of them a control character",
        ));
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

fn mint(state: &State, room: Room, wanted: TokenRequest, grants: Vec<Grant>) -> Answer {
    let participant_id = ParticipantId::random(&mut rand::rng());
    let name = wanted.name.filter(|name| !name.is_empty());
    let role = Role::Join { room, grants: grants.clone(), name };
    let token = state.keys.mint(participant_id.as_str(), role, state.clock.unix(), JOIN_TTL_SECS);
    let ttl = TimeDelta::seconds(i64::try_from(JOIN_TTL_SECS).unwrap_or(0));
    let answer = JoinToken { token, participant_id, grants, expires_at: state.clock.now() + ttl };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}

/// The Idempotency-Key of a request that wants `wanted`, if it has one. A key belongs to the token's subject, or
/// without a token to the client's address: nobody else's key means anything.
pub(crate) fn repeatable(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    kind: &str,
    wanted: &impl Serialize,
) -> Result<Option<Repeatable>, HttpProblem> {
    let Some(key) = request.headers().get("idempotency-key") else { return Ok(None) };
    let valid = (1..=MAX_REPEAT_KEY).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    if !valid {
        return Err(HttpProblem::bad_request("an Idempotency-Key is 1 to 255 printable characters"));
    }
    let scope = match caller {
        Caller::Token(claims) => format!("{kind} of subject {}", claims.sub),
        Caller::Key(_) | Caller::Anonymous => format!("{kind} of address {}", state.client_address(request)),
    };
    let body = serde_json::to_vec(wanted).map_err(|_| HttpProblem::bad_request("the body"))?;
    Ok(Some(Repeatable {
        scope,
        key: Sha256::digest(key.as_bytes()).into(),
        request: Sha256::digest(body).into(),
    }))
}

/// 422: the Idempotency-Key came with another request before.
pub(crate) fn key_reused() -> HttpProblem {
    HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key", "Idempotency-Key used before")
        .detail("this Idempotency-Key came with another request before")
}
