//! `/broadcasts`, `/broadcasts/{id}`, `/broadcasts/{id}/key`.

use actix_web::http::header;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use contract::key::SecretKey;
use contract::rest::{Broadcast, CreateBroadcast, CreatedBroadcast, NewStreamKey, Status, UpdateBroadcast};
use contract::room::Room;
use service_kit::HttpProblem;

use super::conditional::{changed, check_match, etag, none_match};
use super::page::{self, BroadcastQuery, PLAIN_LIMIT, SortBy, cursor, cursor_after, next_link};
use super::{Answer, State, body, broadcast_id, no_broadcast};
use crate::auth::Access;
use crate::http::ice::ice_servers;
use crate::http::openapi::{CreateProblems, KeyProblems, ListProblems, ReadProblems, UpdateProblems};
use crate::http::tokens::repeatable;
use crate::lifecycle::{self, EditError, Editor, is_text};
use crate::store::{Inserted, Listing, NewBroadcast, Record, Sort, StoreError};

/// List broadcasts
///
/// Without any parameter: the newest 1,000, ascending by id. With one: a page, newest (or most viewed) first, and
/// a Link header to the next page.
#[utoipa::path(
    get, path = "/broadcasts", tag = "broadcasts", operation_id = "list_broadcasts",
    params(
        ("q" = Option<String>, Query, max_length = 255, pattern = r"^[^\u0000]*$",
            description = "Words to find in name or description, in any case"),
        ("status" = Option<Status>, Query, description = "Only this status"),
        ("sort" = Option<SortBy>, Query, description = "Order; newest without it"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; 20 without it"),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,15}-[0-9]{1,15}$",
            description = "Where to go on: from a Link header"),
    ),
    responses(
        (status = 200, description = "Broadcasts", body = Vec<Broadcast>,
            headers(("Link" = Option<String>, description = "The next page, `rel=\"next\"`, if there is one"))),
        ListProblems
    )
)]
pub(crate) async fn list(request: HttpRequest, state: State) -> Answer {
    let query: BroadcastQuery = page::query(&request)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    if query.is_plain() {
        let listing =
            Listing { search: None, status: None, sort: Sort::Newest, after: None, limit: PLAIN_LIMIT };
        let mut broadcasts = state.store.list(listing).await.map_err(|error| state.failed(&error))?;
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
    let mut broadcasts = state.store.list(listing).await.map_err(|error| state.failed(&error))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if broadcasts.len() > limit {
        broadcasts.truncate(limit);
        if let Some(last) = broadcasts.last() {
            response.insert_header((header::LINK, next_link(&request, &cursor_after(last))));
        }
    }
    Ok(response.json(broadcasts))
}

/// Create a broadcast
///
/// Answers with its stream key, shown this once. A repeated Idempotency-Key of the same caller within 24 hours
/// returns the same broadcast without the key.
#[utoipa::path(
    post, path = "/broadcasts", tag = "broadcasts", operation_id = "create_broadcast",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$",
        description = "Chosen by the client: a repeated request makes no second broadcast")),
    request_body = CreateBroadcast,
    responses(
        (status = 201, description = "Created", body = CreatedBroadcast,
            headers(("Location" = String, description = "Path of the broadcast"), ("ETag" = String))),
        CreateProblems
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn create(request: HttpRequest, state: State, payload: Payload) -> Answer {
    let caller = state.caller(&request)?;
    caller.may_create(state.config.dev)?;
    let wanted: CreateBroadcast = body::json(&request, payload, body::MAX_BODY).await?;
    if !is_text(&wanted.name) || !is_text(&wanted.description) {
        return Err(HttpProblem::bad_request(
            "name and description have at most 255 characters, none of them NUL",
        ));
    }
    let repeat = repeatable(&request, &state, &caller, "broadcast", &wanted)?;
    state.take_creation(state.client_address(&request))?;
    let key = SecretKey::stream(&mut rand::rng());
    let new = NewBroadcast {
        name: wanted.name,
        description: wanted.description,
        key: key.hash(),
        created_at: state.clock.now(),
    };
    let (record, key) =
        match state.store.create_broadcast(new, repeat).await.map_err(|error| state.failed(&error))? {
            Inserted::New(record) => {
                state.changed(record.broadcast.status, &record);
                (record, Some(key))
            }
            Inserted::Repeated(record) => (record, None),
            Inserted::Mismatch => return Err(super::tokens::key_reused()),
        };
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/broadcasts/{}", record.broadcast.id)))
        .insert_header((header::ETAG, etag(&record)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(created(&request, &state, record, key)))
}

fn created(request: &HttpRequest, state: &State, record: Record, key: Option<SecretKey>) -> CreatedBroadcast {
    let now = state.clock.now();
    let origin = state.origin(request);
    let id = record.broadcast.id;
    let base = |url: &str| match url.trim_end_matches('/') {
        "" => origin.http(),
        url => url.to_owned(),
    };
    let sfu = base(&state.sfu_url(now).unwrap_or_default());
    CreatedBroadcast {
        stream_key: key.map(|key| key.reveal().to_owned()),
        whip_url: format!("{sfu}/whip/{id}"),
        whep_url: format!("{sfu}/whep/{id}"),
        watch_url: format!("{}/watch/{id}", base(&state.config.public_url)),
        ice_servers: ice_servers(state, &origin, &format!("broadcast-{id}")),
        broadcast: record.broadcast,
    }
}

/// Read a broadcast
///
/// The ETag covers everything but the viewer count.
#[utoipa::path(
    get, path = "/broadcasts/{id}", tag = "broadcasts", operation_id = "read_broadcast",
    params(
        ("id" = i64, Path, minimum = 1, maximum = 9007199254740991_i64, description = "Its id"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that the client has"),
    ),
    responses(
        (status = 200, description = "The broadcast", body = Broadcast, headers(("ETag" = String))),
        (status = 304, description = "As the client has it", headers(("ETag" = String))),
        ReadProblems
    )
)]
pub(crate) async fn read(request: HttpRequest, state: State) -> Answer {
    let record = find(&request, &state).await?;
    let etag = etag(&record);
    let same = none_match(&request, &etag);
    let mut response = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if same {
        return Ok(response.finish());
    }
    Ok(response.json(record.broadcast))
}

/// Change a broadcast
///
/// A field that is not there stays as it is. The owner (with the stream key) and admins set `name`, `description`
/// and `status: CLOSED`; services set everything. The status only moves forward.
#[utoipa::path(
    put, path = "/broadcasts/{id}", tag = "broadcasts", operation_id = "update_broadcast",
    params(
        ("id" = i64, Path, minimum = 1, maximum = 9007199254740991_i64, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is for"),
    ),
    request_body = UpdateBroadcast,
    responses(
        (status = 200, description = "As it is now", body = Broadcast, headers(("ETag" = String))),
        UpdateProblems
    ),
    security(("bearer" = []))
)]
pub(crate) async fn update(request: HttpRequest, state: State, payload: Payload) -> Answer {
    let caller = state.caller(&request)?;
    let id = broadcast_id(&request);
    caller.is_somebody()?;
    let patch: UpdateBroadcast = body::json(&request, payload, body::MAX_BODY).await?;
    lifecycle::check(&patch).map_err(refusal)?;
    let id = id?;
    let failed = |error: StoreError| state.failed(&error);
    // Tried again when another change came between: a viewer count or a status must not fail an edit.
    for _ in 0..8 {
        let record = state.store.broadcast(id).await.map_err(failed)?.ok_or_else(no_broadcast)?;
        let editor = match caller.access(&record.key)? {
            Access::Owner | Access::Admin => Editor::Owner,
            Access::Service => Editor::Service,
        };
        check_match(&request, &etag(&record))?;
        let now = state.clock.now();
        let record = match lifecycle::edit(&record, &patch, editor, now).map_err(refusal)? {
            None => record,
            Some(change) => {
                let counted = change.viewer_count.is_some();
                let updated = state.store.update(id, record.version, change, now).await.map_err(failed)?;
                let Some(updated) = updated else { continue };
                if counted {
                    state.counts().forget(id);
                }
                state.changed(record.broadcast.status, &updated);
                updated
            }
        };
        return Ok(HttpResponse::Ok().insert_header((header::ETAG, etag(&record))).json(record.broadcast));
    }
    Err(changed())
}

fn refusal(error: EditError) -> HttpProblem {
    match error {
        EditError::Invalid(_) => HttpProblem::bad_request(error.to_string()),
        EditError::Reserved(_) => HttpProblem::forbidden(error.to_string()),
        EditError::Backwards { .. } => HttpProblem::conflict(error.to_string()),
    }
}

/// Replace the stream key
///
/// The old key ends at once: a publisher that uses it is cut off.
#[utoipa::path(
    post, path = "/broadcasts/{id}/key", tag = "broadcasts", operation_id = "replace_stream_key",
    params(("id" = i64, Path, minimum = 1, maximum = 9007199254740991_i64, description = "Its id")),
    responses(
        (status = 200, description = "The new key, shown this once", body = NewStreamKey),
        KeyProblems
    ),
    security(("bearer" = []))
)]
pub(crate) async fn replace_key(request: HttpRequest, state: State) -> Answer {
    let caller = state.caller(&request)?;
    caller.is_somebody()?;
    let record = find(&request, &state).await?;
    caller.owner_or_admin(&record.key)?;
    let key = SecretKey::stream(&mut rand::rng());
    let replaced = state.store.replace_key(record.broadcast.id, key.hash()).await;
    replaced.map_err(|error| state.failed(&error))?.ok_or_else(no_broadcast)?;
    tracing::info!(broadcast.id = record.broadcast.id.0, "stream key replaced");
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(NewStreamKey { stream_key: key.reveal().to_owned() }))
}

/// The broadcast of the path.
pub(crate) async fn find(request: &HttpRequest, state: &State) -> Result<Record, HttpProblem> {
    let found = state.store.broadcast(broadcast_id(request)?).await;
    found.map_err(|error| state.failed(&error))?.ok_or_else(no_broadcast)
}

/// The room of a broadcast.
pub(crate) fn room(record: &Record) -> Room {
    record.broadcast.id.into()
}
