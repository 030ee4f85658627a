//! `/groups`, `/groups/{id}`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use contract::group::{Admission, CreateGroup, CreatedGroup, DEFAULT_PARTICIPANTS, Group, UpdateGroup};
use contract::id::GroupId;
use contract::key::SecretKey;
use service_kit::HttpProblem;

use super::extract::{
    Client, IdempotencyKey, IfMatch, IfNoneMatch, Json, Meta, Path, Somebody, etag, missing,
};
use super::failure::{Answer, Failure};
use super::page::{self, GroupQuery, Query, cursor, next_link};
use super::problems::{ChangeProblems, CreateProblems, DeleteProblems, GroupsProblems, ReadProblems};
use super::repeat::{Repeat, Secrets, key_reused};
use crate::auth::Caller;
use crate::lifecycle::title;
use crate::record::Owner;
use crate::shared::Limited;
use crate::store::{GroupRecord, GroupSettings, Inserted, NewGroup};

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
/// It may stay empty. Answers with its owner key, shown this once. A repeated Idempotency-Key of the same caller within
/// 24 hours returns the same group with the same key.
#[utoipa::path(
    post, path = "/groups", tag = "groups", operation_id = "create_group",
    params(IdempotencyKey),
    responses(
        (status = 201, description = "Created", body = CreatedGroup,
            headers(("Location" = String, description = "Path of the group"), ("ETag" = String))),
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
    let repeat = Repeat::new(&key, &caller, "group", &wanted)?;
    let settings = GroupSettings {
        name: name(&wanted.name)?,
        max_participants: wanted.max_participants.unwrap_or(DEFAULT_PARTICIPANTS),
        admission: wanted.admission.unwrap_or(Admission::Link),
        metadata: wanted.metadata.unwrap_or_default(),
    };
    meta.take(Limited::Create, &client.asker(&caller))?;

    let owner_key = SecretKey::owner(&mut rand::rng());
    let new = NewGroup {
        id: GroupId::random(&mut rand::rng()),
        settings,
        owner: Owner { key: owner_key.hash(), subject: caller.creating_subject() },
        created_at: meta.clock.now(),
    };
    let secrets = Secrets { stream_key: None, owner_key: owner_key.reveal().to_owned() };
    let repeatable = repeat.as_ref().map(|repeat| repeat.seal(&secrets)).transpose()?;
    let (record, secrets) = match meta.store.groups.create(new, repeatable).await? {
        Inserted::New(record) => {
            meta.group_changed(&record);
            (record, secrets)
        }
        Inserted::Repeated { made, sealed } => (made, Repeat::open(repeat.as_ref(), &sealed)?),
        Inserted::Mismatch => return Err(key_reused().into()),
    };
    let call_url = format!("{}/call/{}", client.base(&meta.config.public_url), record.group.id);
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/groups/{}", record.group.id)))
        .insert_header((header::ETAG, etag_of(&record)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(CreatedGroup { group: record.group, owner_key: secrets.owner_key, call_url }))
}

/// Read a group
#[utoipa::path(
    get, path = "/groups/{id}", tag = "groups", operation_id = "read_group",
    params(GroupId, IfNoneMatch),
    responses(
        (status = 200, description = "The group", body = Group, headers(("ETag" = String))),
        (status = 304, description = "As the client has it", headers(("ETag" = String))),
        ReadProblems
    )
)]
pub(crate) async fn read(meta: Meta, Path(id): Path<GroupId>, known: IfNoneMatch) -> Answer {
    let record = find(&meta, id).await?;
    let etag = etag_of(&record);
    let same = known.names(&etag);
    let mut response = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if same {
        return Ok(response.finish());
    }
    Ok(response.json(record.group))
}

/// Change a group
///
/// A field that is not there stays as it is; `metadata` is replaced whole. For the owner (with the owner key, or a
/// creator token of the subject that created it) and admins. A room that is open follows within seconds; who is in it
/// stays in.
#[utoipa::path(
    patch, path = "/groups/{id}", tag = "groups", operation_id = "update_group",
    params(GroupId, IfMatch),
    responses(
        (status = 200, description = "As it is now", body = Group, headers(("ETag" = String))),
        ChangeProblems
    ),
    security(("bearer" = []))
)]
pub(crate) async fn update(
    meta: Meta,
    Somebody(caller): Somebody,
    Path(id): Path<GroupId>,
    if_match: IfMatch,
    Json(patch): Json<UpdateGroup>,
) -> Answer {
    let patched_name = patch.name.as_deref().map(name).transpose()?;
    // Only who may change it gets as far as to keep others waiting.
    caller.acts_on(&find(&meta, id.clone()).await?.owner)?.owner_or_admin()?;
    let decide = |record: &GroupRecord| -> Result<GroupSettings, HttpProblem> {
        if_match.check(&etag_of(record))?;
        let was = GroupSettings::of(&record.group);
        Ok(GroupSettings {
            name: patched_name.unwrap_or(was.name),
            max_participants: patch.max_participants.unwrap_or(was.max_participants),
            admission: patch.admission.unwrap_or(was.admission),
            metadata: patch.metadata.unwrap_or(was.metadata),
        })
    };
    let changed = meta.store.groups.change(id, meta.clock.now(), decide).await?;
    let changed = changed.ok_or_else(missing::<GroupId>)??;
    if changed.was.is_some() {
        meta.group_changed(&changed.record);
    }
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag_of(&changed.record))).json(changed.record.group))
}

/// Delete a group
///
/// For its owner and admins. Whoever is in its room is sent away.
#[utoipa::path(
    delete, path = "/groups/{id}", tag = "groups", operation_id = "delete_group",
    params(GroupId, IfMatch),
    responses((status = 204, description = "Deleted"), DeleteProblems),
    security(("bearer" = []))
)]
pub(crate) async fn delete(
    meta: Meta,
    Somebody(caller): Somebody,
    Path(id): Path<GroupId>,
    if_match: IfMatch,
) -> Answer {
    caller.acts_on(&find(&meta, id.clone()).await?.owner)?.owner_or_admin()?;
    let deleted = meta.store.groups.delete(id, |record| if_match.check(&etag_of(record))).await?;
    meta.group_deleted(&deleted.ok_or_else(missing::<GroupId>)??);
    Ok(HttpResponse::NoContent().finish())
}

/// The group, or 404.
pub(crate) async fn find(meta: &Meta, id: GroupId) -> Result<GroupRecord, Failure> {
    Ok(meta.store.groups.find(id).await?.ok_or_else(missing::<GroupId>)?)
}

/// A name as it is stored.
fn name(wanted: &str) -> Result<String, HttpProblem> {
    title(wanted).ok_or_else(|| HttpProblem::bad_request("name has at most 255 characters"))
}

/// The ETag of a group: changes with everything that its owner decides.
fn etag_of(record: &GroupRecord) -> String {
    etag(record.group.created_at, record.version)
}
