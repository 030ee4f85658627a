//! `/groups`, `/groups/{id}`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use contract::id::GroupId;
use contract::key::SecretKey;
use contract::rest::{CreateGroup, CreatedGroup, Group};
use service_kit::HttpProblem;

use super::Answer;
use super::extract::{Client, IdempotencyKey, Json, Meta, Path, Somebody, missing};
use super::openapi::{CreateProblems, DeleteProblems, GroupsProblems, ReadProblems};
use super::page::{self, GroupQuery, Query, cursor, next_link};
use super::repeat::{Repeat, Secrets, key_reused};
use crate::auth::Caller;
use crate::lifecycle::title;
use crate::service::Limited;
use crate::store::{GroupRecord, Inserted, NewGroup, Owner};

/// List groups
///
/// Newest first. An id is all that a guest needs to find a group, so in production the list is for admins.
#[utoipa::path(
    get, path = "/groups", tag = "groups", operation_id = "list_groups",
    params(GroupQuery),
    responses(
        (status = 200, description = "Groups", body = Vec<Group>,
            headers(("Link" = Option<String>, description = "The next page, `rel=\"next\"`, if there is one"))),
        GroupsProblems
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn list(
    meta: Meta,
    caller: Caller,
    Query(query): Query<GroupQuery>,
    request: HttpRequest,
) -> Answer {
    if !meta.config.dev && !caller.is_admin() {
        caller.is_somebody()?;
        return Err(HttpProblem::forbidden("this needs an admin token").into());
    }
    let limit = page::limit(query.limit)?;
    let before = cursor(query.cursor.as_deref())?.map(|after| after.id);
    let mut records = meta.store.groups.page(before, limit + 1).await?;
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
    params(IdempotencyKey),
    responses(
        (status = 201, description = "Created", body = CreatedGroup,
            headers(("Location" = String, description = "Path of the group"))),
        CreateProblems
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn create(
    meta: Meta,
    caller: Caller,
    client: Client,
    key: IdempotencyKey,
    Json(wanted): Json<CreateGroup>,
) -> Answer {
    caller.may_create(meta.config.dev)?;
    let name =
        title(&wanted.name).ok_or_else(|| HttpProblem::bad_request("name has at most 255 characters"))?;
    let repeat = Repeat::new(&key, &caller, "group", &wanted)?;
    meta.take(Limited::Create, &client.asker(&caller))?;

    let owner_key = SecretKey::owner(&mut rand::rng());
    let new = NewGroup {
        id: GroupId::random(&mut rand::rng()),
        name,
        owner: Owner { key: owner_key.hash(), subject: caller.creating_subject() },
        created_at: meta.clock.now(),
    };
    let secrets = Secrets { stream_key: None, owner_key: owner_key.reveal().to_owned() };
    let repeatable = repeat.as_ref().map(|repeat| repeat.seal(&secrets)).transpose()?;
    let (group, secrets) = match meta.store.groups.create(new, repeatable).await? {
        Inserted::New(group) => (group, secrets),
        Inserted::Repeated { made, sealed } => (made, Repeat::open(repeat.as_ref(), &sealed)?),
        Inserted::Mismatch => return Err(key_reused().into()),
    };
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/groups/{}", group.id)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(CreatedGroup { group, owner_key: secrets.owner_key }))
}

/// Read a group
#[utoipa::path(
    get, path = "/groups/{id}", tag = "groups", operation_id = "read_group",
    params(GroupId),
    responses((status = 200, description = "The group", body = Group), ReadProblems)
)]
pub(crate) async fn read(meta: Meta, Path(id): Path<GroupId>) -> Answer {
    let record = find(&meta, id).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(record.group))
}

/// Delete a group
#[utoipa::path(
    delete, path = "/groups/{id}", tag = "groups", operation_id = "delete_group",
    params(GroupId),
    responses((status = 204, description = "Deleted"), DeleteProblems),
    security(("bearer" = []))
)]
pub(crate) async fn delete(meta: Meta, Somebody(caller): Somebody, Path(id): Path<GroupId>) -> Answer {
    let record = find(&meta, id).await?;
    caller.acts_on(&record.owner)?.owner_or_admin()?;
    if meta.store.groups.delete(record.group.id).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(missing::<GroupId>().into())
    }
}

/// The group, or 404.
pub(crate) async fn find(meta: &Meta, id: GroupId) -> Result<GroupRecord, super::Failure> {
    Ok(meta.store.groups.find(id).await?.ok_or_else(missing::<GroupId>)?)
}
