//! The routes: the WebSocket upgrade, the count of a room, and meta's announcements.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header;
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, dev, web};
use contract::rest::Announced;
use contract::room::Room;
use contract::token::{Role, TokenError};
use serde::Serialize;
use service_kit::body::json_config;
use service_kit::{Cors, HttpProblem, Routes};
use stomp_proto::{Limits, SUBPROTOCOLS};

use crate::boards;
use crate::guard::{FrameLimit, Guarded};
use crate::seats::Seats;
use crate::socket::{self, FRAME_OVERHEAD, OPENING_FRAME, Shared};
use crate::window::{Measured, Window};

/// Largest body of an announcement.
const MAX_BODY: usize = 64 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) shared: Shared,
    pub(crate) boards: boards::http::Site,
    pub(crate) cors: Cors,
    pub(crate) seats: Arc<Seats>,
}

/// Answer to `GET /room/{id}/count` (L9).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UserCount {
    user_count: i64,
}

pub(crate) fn routes(site: Site) -> Routes {
    let site = Arc::new(site);
    Routes::new(move |config| {
        boards::http::configure(config, site.boards.clone());
        let site = web::Data::from(site.clone());
        config
            .service(web::resource("/streaming").app_data(site.clone()).route(web::get().to(streaming)))
            .service(web::resource("/room/{id}/count").app_data(site.clone()).route(web::get().to(count)))
            .service(
                web::resource("/internal/events")
                    .app_data(site)
                    .app_data(json_config(MAX_BODY))
                    .route(web::post().to(events)),
            );
    })
}

async fn streaming(
    site: web::Data<Site>,
    request: HttpRequest,
    payload: web::Payload,
) -> actix_web::Result<HttpResponse> {
    // Browsers always send Origin with a WebSocket; whoever sends none is no page that could be abused.
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && !origin.to_str().is_ok_and(|origin| site.cors.allows(origin))
    {
        return Err(HttpProblem::forbidden("this origin may not connect").into());
    }
    let hub = &site.shared.hub;
    if hub.draining.is_cancelled() {
        return Err(HttpProblem::unavailable("the service restarts", 1).into());
    }
    let limit = FrameLimit::new(OPENING_FRAME);
    let guarded = Guarded::new(payload.into_inner(), limit.clone());
    let mut payload = dev::Payload::Stream { payload: Box::pin(guarded) as _ };
    let payload = web::Payload::from_request(&request, &mut payload).await?;
    let best = best_subprotocol(&request);
    let (response, session, stream) = actix_ws::handle_with_protocols(&request, payload, best.as_slice())?;
    let window = Arc::new(Window::default());
    let measured = window.clone();
    let response = response.map_body(|_, body| Measured { body, window: measured }).map_into_boxed_body();
    let address = service_kit::client::source(&request);
    // A service shows its token here already: all of them may come from one address.
    let is_service = authorize(&request).is_ok();
    let seat = site.seats.take((!is_service).then_some(address));
    let seat = seat.map_err(|full| HttpProblem::unavailable(full.to_string(), 5))?;
    // The guard has the real limit, which rises for services; the library's own only must not be lower.
    let stream = stream.max_frame_size(Limits::SERVICE.body + FRAME_OVERHEAD);
    let shared = site.shared.clone();
    actix_web::rt::spawn(async move {
        let _seat = seat;
        socket::run(shared, address, limit, window, session, stream).await;
    });
    Ok(response)
}

/// The best version that the client offers, or none: then it speaks STOMP all the same.
fn best_subprotocol(request: &HttpRequest) -> Option<&'static str> {
    let offers: Vec<&str> = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    SUBPROTOCOLS.into_iter().find(|own| offers.contains(own))
}

async fn count(site: web::Data<Site>, room: web::Path<String>) -> Result<web::Json<UserCount>, HttpProblem> {
    let room: Room = room.parse().map_err(|_| HttpProblem::not_found("there is no room of this name"))?;
    Ok(web::Json(UserCount { user_count: site.shared.hub.count(&room) }))
}

/// Only services get as far as the body.
struct Service;

impl actix_web::FromRequest for Service {
    type Error = actix_web::Error;
    type Future = std::future::Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(authorize(request).map_err(Into::into))
    }
}

fn authorize(request: &HttpRequest) -> Result<Service, HttpProblem> {
    let site = request.app_data::<web::Data<Site>>();
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (Some(site), Some((_, token))) = (site, token) else {
        return Err(HttpProblem::unauthorized("a service token is needed"));
    };
    let verified = site.shared.keys.verify(token.trim(), service_kit::unix_now());
    let claims = verified.map_err(|error: TokenError| HttpProblem::unauthorized(error.to_string()))?;
    if claims.role == Role::Service {
        Ok(Service)
    } else {
        Err(HttpProblem::forbidden("only services may call this"))
    }
}

async fn events(
    site: web::Data<Site>,
    _: Service,
    request: HttpRequest,
    payload: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let mut payload = payload.into_inner();
    match web::Json::<Announced>::from_request(&request, &mut payload).await?.into_inner() {
        Announced::Broadcast(news) => {
            let deleted = news.deleted.then(|| Room::from(news.broadcast.id));
            site.shared.hub.broadcast_changed(*news);
            ended(&site, deleted).await?;
        }
        Announced::Group(news) => {
            let deleted = news.deleted.then(|| Room::from(&news.group.id));
            site.shared.hub.group_changed(&news, Instant::now());
            ended(&site, deleted).await?;
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Keeps that what `room` belongs to was deleted. Where it cannot be kept now, meta tells it again.
async fn ended(site: &Site, room: Option<Room>) -> Result<(), HttpProblem> {
    let Some(room) = room else { return Ok(()) };
    site.shared.hub.end_chat(&room).await.map_err(|error| {
        tracing::warn!(%error, "the end of a chat was not written: meta tells it again");
        HttpProblem::unavailable("the end of a chat cannot be kept now", 1)
    })
}
