//! Boards by HTTP: whole documents, large updates, snapshots, images.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use contract::board::{BoardImage, MAX_BOARD_IMAGE, MAX_BOARD_UPDATE};
use contract::room::Room;
use database::Error;
use serde::Deserialize;
use service_kit::HttpProblem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::limits::Excess;
use super::{Answer, Asked, Boards, Busy, Document, Job, No, Wanted, Who, image};
use crate::limits::{Person, Sender, TooFast};
use crate::refusal::Refusal;
use crate::rights::Identity;
use crate::socket::Shared;

/// Most bytes of a snapshot.
pub(crate) const MAX_SNAPSHOT: usize = 16 << 20;
/// Snapshots that are read or written at once.
const SNAPSHOTS: usize = 2;
/// How long an answer waits for room to be sent.
const SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that go to the socket at once.
const PIECE: usize = 32 << 10;

const EPOCH: HeaderName = HeaderName::from_static("board-epoch");
const N: HeaderName = HeaderName::from_static("board-n");
const HAS: HeaderName = HeaderName::from_static("board-has");

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) shared: Shared,
    pub(crate) boards: Boards,
    snapshots: Arc<Semaphore>,
}

impl Site {
    pub(crate) fn new(shared: Shared, boards: Boards) -> Self {
        Self { shared, boards, snapshots: Arc::new(Semaphore::new(SNAPSHOTS)) }
    }
}

pub(crate) fn configure(config: &mut web::ServiceConfig, site: Site) {
    let site = web::Data::new(site);
    let resource = |path: &str| web::resource(format!("/boards/{{room}}{path}")).app_data(site.clone());
    config
        .service(resource("/document").route(web::get().to(document)))
        .service(resource("/updates").route(web::post().to(update)))
        .service(resource("/snapshot").route(web::get().to(export)).route(web::put().to(import)))
        .service(resource("/images").route(web::post().to(add_image)))
        .service(resource("/images/{id}").route(web::get().to(show_image)));
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Who calls, of which room.
struct Caller {
    room: Room,
    who: Identity,
    sender: Sender,
}

impl Caller {
    /// Whoever reads the board. In development that is anybody, as with chat.
    fn reader(site: &Site, request: &HttpRequest, room: &str) -> Result<Self, HttpProblem> {
        let room: Room = room.parse().map_err(|_| HttpProblem::not_found("there is no room of this name"))?;
        let rights = site.shared.rights;
        let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let claims = match bearer {
            Some((_, token)) => {
                let verified = site.shared.keys.verify(token.trim(), service_kit::unix_now());
                Some(verified.map_err(|error| HttpProblem::unauthorized(error.to_string()))?)
            }
            None if rights.dev => None,
            None => return Err(HttpProblem::unauthorized("a join token of this room is needed")),
        };
        // A guest is known by the address alone.
        let who = Identity::new(claims, String::new());
        if !rights.reads_board(&who, &room) {
            return Err(HttpProblem::forbidden("your token is of another room"));
        }
        let person = who.token_subject().map_or(Person::Connection(0), |sub| Person::Subject(sub.into()));
        let sender = Sender {
            person,
            address: service_kit::client::source(request),
            is_service: who.is_service(),
            moderates: who.moderates(),
        };
        site.shared.hub.board_fits_reader(&room, &sender).map_err(|refusal| refused(&refusal))?;
        Ok(Self { room, who, sender })
    }

    fn drawer(site: &Site, request: &HttpRequest, room: &str) -> Result<Self, HttpProblem> {
        let caller = Self::reader(site, request, room)?;
        let by_token = site.shared.rights.draws(&caller.who, &caller.room);
        let fits = site.shared.hub.board_fits_drawer(&caller.room, &caller.sender, by_token, Instant::now());
        fits.map_err(|refusal| refused(&refusal))?;
        Ok(caller)
    }

    fn moderator(site: &Site, request: &HttpRequest, room: &str) -> Result<Self, HttpProblem> {
        let caller = Self::reader(site, request, room)?;
        let by_token = site.shared.rights.dev || caller.who.is_host(&caller.room);
        if !by_token && !site.shared.hub.board_moderated_by(&caller.room, &caller.sender) {
            return Err(HttpProblem::forbidden("only who moderates this room may replace its board"));
        }
        let is_open = site.shared.hub.board_is_open(&caller.room, &caller.sender, Instant::now());
        is_open.map_err(|refusal| refused(&refusal))?;
        Ok(caller)
    }

    /// That it is not barred from the board; of updates the keeper itself asks that. It may be that the board is not in
    /// memory, and that another process has barred it.
    async fn is_not_barred(&self, site: &Site) -> Result<(), HttpProblem> {
        let (room, person) = (&self.room, self.who.subject());
        // A guest who calls by HTTP has no name.
        let is_barred = !person.is_empty()
            && (site.shared.hub.board_is_barred(room, person)
                || site.boards.store().is_barred(room, person).await.map_err(|error| away(&error))?);
        if is_barred { Err(no(&No::Barred)) } else { Ok(()) }
    }
}

fn refused(refusal: &Refusal) -> HttpProblem {
    use contract::destination::Reason;
    match refusal.reason() {
        Reason::Right => HttpProblem::forbidden(refusal.to_string()),
        Reason::Rate | Reason::Full => too_many(refusal.to_string(), 1),
        Reason::State => HttpProblem::conflict(refusal.to_string()),
        Reason::Body => HttpProblem::bad_request(refusal.to_string()),
    }
}

fn too_many(detail: String, seconds: u32) -> HttpProblem {
    HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests")
        .detail(detail)
        .retry_after(seconds)
}

fn too_fast(too_fast: &TooFast) -> HttpProblem {
    let seconds = too_fast.retry_after.map_or(60, |wait| wait.as_secs().saturating_add(1));
    too_many(too_fast.to_string(), u32::try_from(seconds).unwrap_or(60))
}

fn busy(busy: Busy) -> HttpProblem {
    HttpProblem::unavailable(busy.to_string(), 1)
}

fn gone<T>(_: T) -> HttpProblem {
    HttpProblem::unavailable("the service restarts", 1)
}

fn away(error: &Error) -> HttpProblem {
    tracing::warn!(%error, "the store of boards is not to be reached");
    HttpProblem::unavailable(No::Away.to_string(), 1)
}

fn no(no: &No) -> HttpProblem {
    let conflict = |code| HttpProblem::new(StatusCode::CONFLICT, code, "Conflict").detail(no.to_string());
    match no {
        No::Gap { has } => conflict("board-gap").header(HAS, HeaderValue::from(*has)),
        No::Epoch { epoch } => conflict("board-epoch").header(EPOCH, HeaderValue::from(*epoch)),
        No::Client => conflict("board-client"),
        No::Full => conflict("board-full"),
        No::TooLong => too_large(no.to_string()),
        No::Barred | No::Hostile(_) => {
            HttpProblem::new(StatusCode::FORBIDDEN, "board-barred", "Not allowed").detail(no.to_string())
        }
        No::Away | No::Busy | No::Broken => HttpProblem::unavailable(no.to_string(), 1),
        No::State(_) | No::Snapshot(_) => HttpProblem::bad_request(no.to_string()),
    }
}

fn too_large(detail: impl Into<String>) -> HttpProblem {
    HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large").detail(detail)
}

/// The body, of at most `most` bytes. It is read only when who sends it may.
async fn body(request: &HttpRequest, payload: web::Payload, most: usize) -> Result<Bytes, HttpProblem> {
    service_kit::body::wait_for(request, most);
    service_kit::body::read(request, payload, most).await
}

/// An answer that holds its part of what is sent at once until the client has taken it.
struct Sent {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl MessageBody for Sent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let length = self.bytes.len().min(PIECE);
        let piece = self.bytes.split_to(length);
        Poll::Ready(Some(Ok(piece)).filter(|_| length > 0))
    }
}

/// Has `bytes` sent when there is room for them.
async fn sent(boards: &Boards, bytes: Bytes) -> Result<Sent, HttpProblem> {
    let kib = u32::try_from(bytes.len().div_ceil(1024)).unwrap_or(u32::MAX);
    let kib = kib.min(u32::try_from(super::MAX_SENDING_KIB).unwrap_or(u32::MAX));
    let room = boards.sending().clone().acquire_many_owned(kib);
    match tokio::time::timeout(SEND_PATIENCE, room).await {
        Ok(Ok(room)) => Ok(Sent { bytes, _room: room }),
        Ok(Err(_)) | Err(_) => Err(HttpProblem::unavailable("too much is being sent at the moment", 1)),
    }
}

/// Asks the keeper of a room.
async fn ask<T>(
    boards: &Boards,
    room: &Room,
    job: impl FnOnce(oneshot::Sender<Result<T, No>>) -> Job,
) -> Result<T, HttpProblem> {
    let (done, result) = oneshot::channel();
    boards.send(room, job(done)).map_err(busy)?;
    result.await.map_err(gone)?.map_err(|refusal| no(&refusal))
}

#[derive(Debug, Deserialize)]
struct OfDocument {
    /// A state vector, base64url.
    state: Option<String>,
}

async fn document(
    site: web::Data<Site>,
    request: HttpRequest,
    room: web::Path<String>,
    query: web::Query<OfDocument>,
) -> Result<HttpResponse, HttpProblem> {
    let caller = Caller::reader(&site, &request, &room)?;
    site.shared.hub.board_opens(&caller.sender, Instant::now()).map_err(|error| too_fast(&error))?;
    let state = match query.into_inner().state {
        Some(state) => {
            let state = URL_SAFE_NO_PAD.decode(state.trim_end_matches('='));
            Some(state.map_err(|_| HttpProblem::bad_request("`state` is no base64url"))?)
        }
        None => None,
    };
    let job = |done| Job::Document { state, done };
    let Document { epoch, n, update } = ask(&site.boards, &caller.room, job).await?;
    let body = sent(&site.boards, update).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((EPOCH, epoch))
        .insert_header((N, n))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(body))
}

#[derive(Debug, Deserialize)]
struct OfUpdate {
    epoch: u64,
    client: u64,
    holder: String,
}

async fn update(
    site: web::Data<Site>,
    request: HttpRequest,
    room: web::Path<String>,
    query: web::Query<OfUpdate>,
    payload: web::Payload,
) -> Result<HttpResponse, HttpProblem> {
    let caller = Caller::drawer(&site, &request, &room)?;
    let OfUpdate { epoch, client, holder } = query.into_inner();
    let bytes = body(&request, payload, MAX_BOARD_UPDATE).await?;
    let hub = &site.shared.hub;
    hub.board_takes(&caller.sender, bytes.len(), Instant::now()).map_err(|excess| match excess {
        Excess::TooFast(fast) => too_fast(&fast),
        Excess::Flood => {
            flooded(&site.boards, &caller.room, caller.who.subject());
            no(&No::Barred)
        }
    })?;
    let who =
        Who { person: caller.who.subject().into(), id: None, holder: u64::from_str_radix(&holder, 16).ok() };
    let wanted = Wanted::Update { epoch, client, update: bytes };
    let done = ask(&site.boards, &caller.room, |done| {
        Job::Change(Asked { who, wanted, answer: Answer::Http(done) })
    });
    Ok(HttpResponse::Ok().json(done.await?))
}

/// Somebody has sent too much for too long: it draws no more there.
pub(crate) fn flooded(boards: &Boards, room: &Room, person: &str) {
    if !person.is_empty() {
        // Where there is no room for this, the next update is too much as well.
        let _ = boards.send(room, Job::Bar { person: person.into() });
    }
}

async fn export(
    site: web::Data<Site>,
    request: HttpRequest,
    room: web::Path<String>,
) -> Result<HttpResponse, HttpProblem> {
    let caller = Caller::reader(&site, &request, &room)?;
    site.shared.hub.board_opens(&caller.sender, Instant::now()).map_err(|error| too_fast(&error))?;
    let json = {
        let _permit = snapshot(&site).await?;
        let json = ask(&site.boards, &caller.room, |done| Job::Export { done }).await?;
        serde_json::to_vec(&json).map_err(|_| HttpProblem::plain(StatusCode::INTERNAL_SERVER_ERROR))?
    };
    let body = sent(&site.boards, json.into()).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

async fn snapshot(site: &Site) -> Result<OwnedSemaphorePermit, HttpProblem> {
    let permit = tokio::time::timeout(SEND_PATIENCE, site.snapshots.clone().acquire_owned());
    permit.await.map_err(gone)?.map_err(gone)
}

async fn import(
    site: web::Data<Site>,
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, HttpProblem> {
    let caller = Caller::moderator(&site, &request, &room)?;
    site.shared.hub.board_opens(&caller.sender, Instant::now()).map_err(|error| too_fast(&error))?;
    caller.is_not_barred(&site).await?;
    let bytes = body(&request, payload, MAX_SNAPSHOT).await?;
    let _permit = snapshot(&site).await?;
    let json = serde_json::from_slice(&bytes).map_err(|error| HttpProblem::bad_request(error.to_string()))?;
    let epoch = ask(&site.boards, &caller.room, |done| Job::Import { json, done }).await?;
    Ok(HttpResponse::NoContent().insert_header((EPOCH, epoch)).finish())
}

async fn add_image(
    site: web::Data<Site>,
    request: HttpRequest,
    room: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, HttpProblem> {
    let caller = Caller::drawer(&site, &request, &room)?;
    site.shared.hub.board_takes_image(&caller.sender, Instant::now()).map_err(|error| too_fast(&error))?;
    caller.is_not_barred(&site).await?;
    let bytes = body(&request, payload, MAX_BOARD_IMAGE).await?;
    let read = image::read(&bytes).map_err(|error| match error {
        image::NoImage::Format => {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            HttpProblem::new(status, "unsupported-media-type", "Unsupported media type")
                .detail(error.to_string())
        }
        image::NoImage::Broken => HttpProblem::bad_request(error.to_string()),
        image::NoImage::TooLarge => too_large(error.to_string()),
    })?;
    let id = format!("img_{:032x}", rand::random::<u128>());
    let room = &caller.room;
    let added = site.boards.store().add_image(&id, room, read, bytes.to_vec()).await;
    if !added.map_err(|error| away(&error))? {
        let status = StatusCode::INSUFFICIENT_STORAGE;
        return Err(HttpProblem::new(status, "board-images-full", "No room for more images")
            .detail("the board of this room has as many images as it may have"));
    }
    let url = format!("/boards/{}/images/{id}", escaped(room.as_str()));
    let image = BoardImage { id, url: url.clone(), width: read.width, height: read.height };
    Ok(HttpResponse::Created().insert_header((header::LOCATION, url)).json(image))
}

/// A path segment of a URL (RFC 3986): everything but unreserved characters in percent.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

async fn show_image(
    site: web::Data<Site>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, HttpProblem> {
    let (room, id) = path.into_inner();
    let is_id = id.strip_prefix("img_").is_some_and(|rest| {
        rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    let missing = || HttpProblem::not_found("there is no such image");
    let room: Room = room.parse().map_err(|_| missing())?;
    if !is_id {
        return Err(missing());
    }
    let found = site.boards.store().image(&room, &id).await.map_err(|error| away(&error))?;
    let (content_type, data) = found.ok_or_else(missing)?;
    let body = sent(&site.boards, data.into()).await?;
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"))
        .body(body))
}
