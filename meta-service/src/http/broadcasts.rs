//! `/broadcasts`, `/broadcasts/{id}`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use contract::id::BroadcastId;
use contract::key::SecretKey;
use contract::rest::{Broadcast, CreateBroadcast, CreatedBroadcast, Status, UpdateBroadcast};
use service_kit::HttpProblem;

use super::extract::{
    Client, IdempotencyKey, IfMatch, IfNoneMatch, Json, Meta, Path, Somebody, etag, missing,
};
use super::failure::{Answer, Failure};
use super::page::{self, BroadcastQuery, PLAIN_LIMIT, Query, cursor, cursor_after, next_link};
use super::problems::{CreateProblems, DeleteProblems, ListProblems, ReadProblems, UpdateProblems};
use super::repeat::{Repeat, Secrets, key_reused};
use crate::auth::{ActsAs, Caller};
use crate::clock::whole_millis;
use crate::http::ice::ice_servers;
use crate::lifecycle::{self, Change, Editor};
use crate::record::{Owner, Record};
use crate::shared::Limited;
use crate::store::{Inserted, Listing, NewBroadcast, Sort};

/// List broadcasts
///
/// Without any parameter: the newest 1,000, ascending by id. With one: a page, newest (or most viewed) first, and
/// a Link header to the next page.
#[utoipa::path(
    get, path = "/broadcasts", tag = "broadcasts", operation_id = "list_broadcasts",
    params(BroadcastQuery),
    responses(
        (status = 200, description = "Broadcasts", body = Vec<Broadcast>,
            headers(("Link" = Option<String>, description = "The next page, `rel=\"next\"`, if there is one"))),
        ListProblems
    )
)]
pub(crate) async fn list(
    meta: Meta,
    caller: Option<Caller>,
    client: Client,
    Query(query): Query<BroadcastQuery>,
    request: HttpRequest,
) -> Answer {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    if query.is_plain() {
        let listing =
            Listing { search: None, status: None, sort: Sort::Newest, after: None, limit: PLAIN_LIMIT };
        let mut broadcasts = meta.store.lists.page(listing).await?;
        broadcasts.reverse();
        return Ok(response.json(broadcasts));
    }
    let limit = page::limit(query.limit)?;
    let listing = Listing {
        search: query.words()?,
        status: query.status,
        sort: query.sort.map_or(Sort::Newest, Sort::from),
        after: cursor(query.cursor.as_deref())?,
        // One more row tells whether there is a next page.
        limit: limit + 1,
    };
    if listing.search.is_some() {
        // Who cannot say who they are is nobody: the list is for everybody.
        meta.take(Limited::Search, &client.asker(&caller.unwrap_or(Caller::Anonymous)))?;
    }
    let sort = listing.sort;
    let mut broadcasts = meta.store.lists.page(listing).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if broadcasts.len() > limit {
        broadcasts.truncate(limit);
        if let Some(last) = broadcasts.last() {
            response.insert_header((header::LINK, next_link(&request, &cursor_after(last, sort))));
        }
    }
    Ok(response.json(broadcasts))
}

/// Create a broadcast
///
/// Answers with its stream key and its owner key, shown this once. A repeated Idempotency-Key of the same caller
/// within 24 hours returns the same broadcast with the same keys.
#[utoipa::path(
    post, path = "/broadcasts", tag = "broadcasts", operation_id = "create_broadcast",
    params(IdempotencyKey),
    responses(
        (status = 201, description = "Created", body = CreatedBroadcast,
            headers(("Location" = String, description = "Path of the broadcast"), ("ETag" = String))),
        CreateProblems
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn create(
    meta: Meta,
    caller: Caller,
    client: Client,
    key: IdempotencyKey,
    Json(wanted): Json<CreateBroadcast>,
) -> Answer {
    caller.may_create(meta.config.dev)?;
    let texts = lifecycle::title(&wanted.name).zip(lifecycle::description(&wanted.description));
    let (name, description) =
        texts.ok_or_else(|| HttpProblem::bad_request("name and description have at most 255 characters"))?;
    let now = meta.clock.now();
    let planned_at = wanted.planned_at.map(whole_millis);
    lifecycle::check_plan(planned_at, now)?;
    let repeat = Repeat::new(&key, &caller, "broadcast", &wanted)?;
    meta.take(Limited::Create, &client.asker(&caller))?;

    let (stream_key, owner_key) = (SecretKey::stream(&mut rand::rng()), SecretKey::owner(&mut rand::rng()));
    let new = NewBroadcast {
        name,
        description,
        key: stream_key.hash(),
        owner: Owner { key: owner_key.hash(), subject: caller.creating_subject() },
        planned_at,
        created_at: now,
    };
    let secrets =
        Secrets { stream_key: Some(stream_key.reveal().into()), owner_key: owner_key.reveal().into() };
    let repeatable = repeat.as_ref().map(|repeat| repeat.seal(&secrets)).transpose()?;
    let (record, secrets) = match meta.store.broadcasts.create(new, repeatable).await? {
        Inserted::New(record) => {
            meta.changed(record.broadcast.status, &record);
            (record, secrets)
        }
        Inserted::Repeated { made, sealed } => (made, Repeat::open(repeat.as_ref(), &sealed)?),
        Inserted::Mismatch => return Err(key_reused().into()),
    };
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/broadcasts/{}", record.broadcast.id)))
        .insert_header((header::ETAG, etag_of(&record)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(created(&meta, &client, record, secrets)))
}

fn created(meta: &Meta, client: &Client, record: Record, secrets: Secrets) -> CreatedBroadcast {
    let now = meta.clock.now();
    let id = record.broadcast.id;
    let sfu = client.base(&meta.sfu_url(now).unwrap_or_default());
    CreatedBroadcast {
        stream_key: secrets.stream_key.unwrap_or_default(),
        owner_key: secrets.owner_key,
        whip_url: format!("{sfu}/whip/{id}"),
        whep_url: format!("{sfu}/whep/{id}"),
        watch_url: format!("{}/watch/{id}", client.base(&meta.config.public_url)),
        ice_servers: ice_servers(meta, &client.origin, &format!("broadcast-{id}")),
        broadcast: record.broadcast,
    }
}

/// Read a broadcast
///
/// The ETag covers everything but the viewer count.
#[utoipa::path(
    get, path = "/broadcasts/{id}", tag = "broadcasts", operation_id = "read_broadcast",
    params(BroadcastId, IfNoneMatch),
    responses(
        (status = 200, description = "The broadcast", body = Broadcast, headers(("ETag" = String))),
        (status = 304, description = "As the client has it", headers(("ETag" = String))),
        ReadProblems
    )
)]
pub(crate) async fn read(meta: Meta, Path(id): Path<BroadcastId>, known: IfNoneMatch) -> Answer {
    let record = find(&meta, id).await?;
    let etag = etag_of(&record);
    let same = known.names(&etag);
    let mut response = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if same {
        return Ok(response.finish());
    }
    Ok(response.json(record.broadcast))
}

/// Change a broadcast
///
/// A field that is not there stays as it is. The owner (with the owner key, or a creator token of the subject that
/// created it) and admins set `name`, `description`, `planned_at` and `status: CLOSED`; services set everything. The status only
/// moves forward.
#[utoipa::path(
    put, path = "/broadcasts/{id}", tag = "broadcasts", operation_id = "update_broadcast",
    params(BroadcastId, IfMatch),
    responses(
        (status = 200, description = "As it is now", body = Broadcast, headers(("ETag" = String))),
        UpdateProblems
    ),
    security(("bearer" = []))
)]
pub(crate) async fn update(
    meta: Meta,
    Somebody(caller): Somebody,
    Path(id): Path<BroadcastId>,
    if_match: IfMatch,
    Json(patch): Json<UpdateBroadcast>,
) -> Answer {
    lifecycle::check(&patch)?;
    let record = edit(&meta, &caller, id, &patch, &if_match).await?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag_of(&record))).json(record.broadcast))
}

/// Applies `patch` to the broadcast as it is: of many who edit at once each waits for the one before.
async fn edit(
    meta: &Meta,
    caller: &Caller,
    id: BroadcastId,
    patch: &UpdateBroadcast,
    if_match: &IfMatch,
) -> Result<Record, Failure> {
    let now = meta.clock.now();
    let decide = |record: &Record| -> Result<Option<Change>, Failure> {
        let editor = match caller.acts_on_broadcast(record)? {
            ActsAs::Owner | ActsAs::Admin => Editor::Owner,
            ActsAs::Service => Editor::Service,
        };
        if_match.check(&etag_of(record))?;
        Ok(lifecycle::edit(record, patch, editor, now)?)
    };
    // Only who has something to change and may gets as far as to keep others waiting.
    let record = find(meta, id).await?;
    if decide(&record)?.is_none() {
        return Ok(record);
    }
    let changed = meta.store.broadcasts.change(id, now, decide).await?;
    let changed = changed.ok_or_else(missing::<BroadcastId>)??;
    if let Some(was) = changed.was {
        meta.changed(was.broadcast.status, &changed.record);
    }
    Ok(changed.record)
}

/// Delete a broadcast
///
/// For its owner and admins. One that is not closed is closed first: publisher and viewers are sent away.
#[utoipa::path(
    delete, path = "/broadcasts/{id}", tag = "broadcasts", operation_id = "delete_broadcast",
    params(BroadcastId, IfMatch),
    responses((status = 204, description = "Deleted"), DeleteProblems),
    security(("bearer" = []))
)]
pub(crate) async fn delete(
    meta: Meta,
    Somebody(caller): Somebody,
    Path(id): Path<BroadcastId>,
    if_match: IfMatch,
) -> Answer {
    let record = find(&meta, id).await?;
    caller.acts_on_broadcast(&record)?.owner_or_admin()?;
    if_match.check(&etag_of(&record))?;
    let close = UpdateBroadcast { status: Some(Status::Closed), ..UpdateBroadcast::default() };
    let closed = edit(&meta, &caller, id, &close, &IfMatch::none()).await?;
    if !meta.store.broadcasts.delete(id).await? {
        return Err(missing::<BroadcastId>().into());
    }
    meta.deleted(&closed);
    Ok(HttpResponse::NoContent().finish())
}

/// The broadcast, or 404.
pub(crate) async fn find(meta: &Meta, id: BroadcastId) -> Result<Record, Failure> {
    Ok(meta.store.broadcasts.find(id).await?.ok_or_else(missing::<BroadcastId>)?)
}

/// The ETag of a broadcast: changes with everything that an owner edits and with the status, not with the viewer
/// count, so that a page may keep it while people come and go.
fn etag_of(record: &Record) -> String {
    etag(record.broadcast.created_at, record.version)
}
