//! `/groups`, `/groups/{id}`.

use actix_web::http::header;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use contract::id::GroupId;
use contract::key::SecretKey;
use contract::rest::{CreateGroup, CreatedGroup, Group};
use service_kit::HttpProblem;

use super::page::{self, GroupQuery, cursor, next_link};
use super::tokens::{key_reused, repeatable};
use super::{Answer, State, body};
use crate::auth::Caller;
use crate::http::openapi::{CreateProblems, DeleteProblems, GroupsProblems, ReadProblems};
use crate::lifecycle::is_text;
use crate::store::{GroupRecord, Inserted, NewGroup};

/// List groups
///
/// Newest first. An id is all that a guest needs to find a group, so in production the list is for admins.
#[utoipa::path(
    get, path = "/groups", tag = "groups", operation_id = "list_groups",
    params(
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; 20 without it"),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,15}-[0-9]{1,15}$",
            description = "Where to go on: from a Link header"),
    ),
    responses(
        (status = 200, description = "Groups", body = Vec<Group>,
            headers(("Link" = Option<String>, description = "The next page, `rel=\"next\"`, if there is one"))),
        GroupsProblems
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn list(request: HttpRequest, state: State) -> Answer {
    let caller = state.caller(&request)?;
    if !state.config.dev && !caller.is_admin() {
        return Err(match caller {
            Caller::Anonymous => HttpProblem::unauthorized("this needs an admin token"),
            _ => HttpProblem::forbidden("this needs an admin token"),
        });
    }
    let query: GroupQuery = page::query(&request)?;
    let limit = page::limit(query.limit)?;
    let before = cursor(query.cursor.as_deref())?.map(|after| after.id);
    let mut records = state.store.groups(before, limit + 1).await.map_err(|error| state.failed(&error))?;
    let mut response = HttpResponse::Ok();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if records.len() > limit {
        records.truncate(limit);
        if let Some(last) = records.last() {
            response.insert_header((header::LINK, next_link(&request, &format!("0-{}", last.seq))));
        }
    }
    let groups: Vec<Group> = records.into_iter().map(|record| record.group).collect();
    Ok(response.insert_header((header::CACHE_CONTROL, "no-cache")).json(groups))
}

/// Create a group
///
/// It may stay empty. Answers with its owner key, shown this once.
#[utoipa::path(
    post, path = "/groups", tag = "groups", operation_id = "create_group",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$",
        description = "Chosen by the client: a repeated request makes no second group")),
    request_body = CreateGroup,
    responses(
        (status = 201, description = "Created", body = CreatedGroup,
            headers(("Location" = String, description = "Path of the group"))),
        CreateProblems
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn create(request: HttpRequest, state: State, payload: Payload) -> Answer {
    let caller = state.caller(&request)?;
    caller.may_create(state.config.dev)?;
    let wanted: CreateGroup = body::json(&request, payload, body::MAX_BODY).await?;
    if !is_text(&wanted.name) {
        return Err(HttpProblem::bad_request("name has at most 255 characters, none of them NUL"));
    }
    let repeat = repeatable(&request, &state, &caller, "group", &wanted)?;
    state.take_creation(state.client_address(&request))?;
    let key = SecretKey::owner(&mut rand::rng());
    let new = NewGroup {
        id: GroupId::random(&mut rand::rng()),
        name: wanted.name,
        key: key.hash(),
        created_at: state.clock.now(),
    };
    let (group, key) =
        match state.store.create_group(new, repeat).await.map_err(|error| state.failed(&error))? {
            Inserted::New(group) => (group, Some(key)),
            Inserted::Repeated(group) => (group, None),
            Inserted::Mismatch => return Err(key_reused()),
        };
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/groups/{}", group.id)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(CreatedGroup { group, owner_key: key.map(|key| key.reveal().to_owned()) }))
}

/// Read a group
#[utoipa::path(
    get, path = "/groups/{id}", tag = "groups", operation_id = "read_group",
    params(("id" = String, Path, pattern = "^grp_[A-Za-z0-9_-]{22}$", description = "Its id")),
    responses((status = 200, description = "The group", body = Group), ReadProblems)
)]
pub(crate) async fn read(request: HttpRequest, state: State) -> Answer {
    let record = find(&request, &state).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(record.group))
}

/// Delete a group
#[utoipa::path(
    delete, path = "/groups/{id}", tag = "groups", operation_id = "delete_group",
    params(("id" = String, Path, pattern = "^grp_[A-Za-z0-9_-]{22}$", description = "Its id")),
    responses((status = 204, description = "Deleted"), DeleteProblems),
    security(("bearer" = []))
)]
pub(crate) async fn delete(request: HttpRequest, state: State) -> Answer {
    let caller = state.caller(&request)?;
    caller.is_somebody()?;
    let record = find(&request, &state).await?;
    caller.owner_or_admin(&record.key)?;
    let deleted = state.store.delete_group(record.group.id).await.map_err(|error| state.failed(&error))?;
    if deleted { Ok(HttpResponse::NoContent().finish()) } else { Err(no_group()) }
}

/// The group of the path.
pub(crate) async fn find(request: &HttpRequest, state: &State) -> Result<GroupRecord, HttpProblem> {
    let id: GroupId = request.match_info().query("id").parse().map_err(|_| no_group())?;
    state.store.group(id).await.map_err(|error| state.failed(&error))?.ok_or_else(no_group)
}

fn no_group() -> HttpProblem {
    HttpProblem::not_found("there is no such group")
}
