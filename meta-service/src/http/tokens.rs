//! Join tokens: `/broadcasts/{id}/token`, `/groups/{id}/token`.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use chrono::TimeDelta;
use contract::group::Admission;
use contract::id::{BroadcastId, GroupId, ParticipantId};
use contract::rest::{JoinToken, TokenRequest};
use contract::room::Room;
use contract::text;
use contract::token::{Claims, Grant, JOIN_TTL_SECS, Role};
use service_kit::HttpProblem;

use super::extract::{Client, JsonOrNothing, Meta, Path};
use super::failure::Answer;
use super::problems::TokenProblems;
use super::{broadcasts, groups};
use crate::auth::Caller;
use crate::shared::Limited;
use crate::store::GroupRecord;

/// Most characters of a display name.
const MAX_NAME_CHARS: usize = 64;
const JOIN_TTL: TimeDelta = TimeDelta::seconds(JOIN_TTL_SECS as i64);
/// How long what holds for a person is remembered after the last token that the person may have got: as long as that
/// token lives, and some for requests that were under way.
pub(crate) const RULE_TTL: TimeDelta = TimeDelta::seconds(JOIN_TTL_SECS as i64 + 3600);

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
    let name = name(&wanted)?;
    let grants = grants(&wanted)?.unwrap_or_else(|| vec![Grant::Subscribe, Grant::Chat]);
    if grants.iter().any(|grant| !matches!(grant, Grant::Subscribe | Grant::Chat)) {
        caller.acts_on_broadcast(&record)?.owner_or_admin()?;
    }
    mint(&meta, record.broadcast.id.into(), somebody_new(), name, grants)
}

/// Get a join token of a group
///
/// Where `admission` is `link`, anyone gets a participant's token (camera, microphone, screen, subscribe, chat, draw),
/// also with no body. More, and a token of other groups, is for the holder of the owner key, the creator and admins,
/// who get `moderate` as well where they name no grants. A token lives 12 hours. Whoever shows a join token of this
/// group gets a fresh one before it ends: of the same subject and name, with the same grants or those of them that are
/// wanted, without what a moderator took away. Who was removed gets none.
#[utoipa::path(
    post, path = "/groups/{id}/token", tag = "tokens", operation_id = "join_group",
    params(GroupId),
    request_body(content = Option<TokenRequest>),
    responses((status = 200, description = "The token", body = JoinToken), TokenProblems),
    security((), ("bearer" = []))
)]
pub(crate) async fn of_group(
    meta: Meta,
    caller: Caller,
    client: Client,
    Path(id): Path<GroupId>,
    JsonOrNothing(wanted): JsonOrNothing<TokenRequest>,
) -> Answer {
    meta.take(Limited::Token, &client.asker(&caller))?;
    let record = groups::find(&meta, id).await?;
    let room = Room::from(&record.group.id);
    let (name, grants) = (name(&wanted)?, grants(&wanted)?);
    if let Caller::Token(claims) = &caller
        && matches!(claims.role, Role::Join { .. })
        && claims.is_in(&room)
    {
        return renew(&meta, &record, claims, name, grants).await;
    }
    let is_for_anyone = |grants: &[Grant]| grants.iter().all(|grant| Grant::PARTICIPANT.contains(grant));
    let admitted = record.group.admission == Admission::Link && grants.as_deref().is_none_or(is_for_anyone);
    let owns = caller.acts_on(&record.owner).and_then(|acts_as| acts_as.owner_or_admin());
    let grants = match owns {
        Ok(()) => grants.unwrap_or_else(|| [&Grant::PARTICIPANT[..], &[Grant::Moderate]].concat()),
        Err(_) if admitted => grants.unwrap_or_else(|| Grant::PARTICIPANT.to_vec()),
        Err(refused) => return Err(refused.into()),
    };
    mint(&meta, room, somebody_new(), name, grants)
}

/// A fresh token for who holds one: never more than it says, and what a moderator decided holds.
async fn renew(
    meta: &Meta,
    record: &GroupRecord,
    claims: &Claims,
    wanted_name: Option<String>,
    wanted: Option<Vec<Grant>>,
) -> Answer {
    let Role::Join { room, grants: held, name } = &claims.role else {
        return Err(HttpProblem::forbidden("this is no join token").into());
    };
    if wanted_name.is_some() && wanted_name != *name {
        return Err(HttpProblem::forbidden("a renewed token keeps its name").into());
    }
    if let Some(wanted) = &wanted
        && !wanted.iter().all(|grant| claims.may(room, *grant))
    {
        return Err(
            HttpProblem::forbidden("a renewed token has no more rights than the one it renews").into()
        );
    }
    let mut grants = wanted.unwrap_or_else(|| held.clone());
    let id = &record.group.id;
    if let Some(rule) = meta.store.rules.of_person(id.clone(), &claims.sub).await? {
        if rule.removed {
            let removed = HttpProblem::new(StatusCode::FORBIDDEN, "removed", "Removed from the call");
            return Err(removed.detail("a moderator has removed this person from the call").into());
        }
        grants = Grant::without(&grants, &rule.taken);
        if grants.is_empty() {
            return Err(HttpProblem::forbidden("a moderator has taken these rights away").into());
        }
        meta.store.rules.extend(id.clone(), &claims.sub, meta.clock.now() + RULE_TTL).await?;
    }
    let subject = claims.sub.parse().map_err(|_| HttpProblem::forbidden("this token cannot be renewed"))?;
    mint(meta, room.clone(), subject, name.clone(), grants)
}

/// The wanted grants, each once; `None` where none are named.
fn grants(wanted: &TokenRequest) -> Result<Option<Vec<Grant>>, HttpProblem> {
    let Some(wanted) = &wanted.grants else { return Ok(None) };
    let mut grants = Vec::new();
    for grant in wanted {
        if !grants.contains(grant) {
            grants.push(*grant);
        }
    }
    if grants.is_empty() {
        Err(HttpProblem::bad_request("grants name at least one right"))
    } else {
        Ok(Some(grants))
    }
}

/// The wanted display name, if there is anything to see of it.
fn name(wanted: &TokenRequest) -> Result<Option<String>, HttpProblem> {
    let Some(name) = &wanted.name else { return Ok(None) };
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(HttpProblem::bad_request("name has at most 64 characters"));
    }
    Ok(Some(text::one_line(name)).filter(|name| !name.is_empty()))
}

fn somebody_new() -> ParticipantId {
    ParticipantId::random(&mut rand::rng())
}

fn mint(
    meta: &Meta,
    room: Room,
    participant_id: ParticipantId,
    name: Option<String>,
    grants: Vec<Grant>,
) -> Answer {
    let role = Role::Join { room, grants: grants.clone(), name };
    let token = meta.keys.mint(participant_id.as_str(), role, meta.clock.unix(), JOIN_TTL_SECS);
    let answer = JoinToken { token, participant_id, grants, expires_at: meta.clock.now() + JOIN_TTL };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}
