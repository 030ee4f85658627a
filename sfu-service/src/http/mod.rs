//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) over HTTP; calls are in `call`.
//!
//! ```text
//! POST   /whip/{broadcast}            /whep/{broadcast}             offer in, answer out: a new session
//! PATCH  /whip/{broadcast}/{session}  /whep/{broadcast}/{session}   candidates, or an ICE restart
//! DELETE /whip/{broadcast}/{session}  /whep/{broadcast}/{session}   the end
//!        /whip/{broadcast}/{session}/events                         extensions: see `events`
//!                                     /whep/{broadcast}/{session}/layer               and `layer`
//! ```
//! The session part of a URL is 128 random bits; changing a session also takes the bearer that opened it.

mod call;
mod events;
mod layer;
mod offer;
mod request;
mod session;
mod whep;
mod whip;

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use service_kit::{HttpProblem, Routes};

use crate::node::Node;

/// Media type of trickled candidates and ICE restarts (RFC 8840).
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// The routes of this service.
pub(crate) fn routes(node: Arc<Node>) -> Routes {
    let node = web::Data::from(node);
    Routes::new(move |config| {
        config
            .app_data(node.clone())
            .service(
                web::resource("/whip/{broadcast}")
                    .route(web::post().to(whip::post))
                    .route(web::method(actix_web::http::Method::OPTIONS).to(whip::options))
                    .default_service(web::to(|| method_not_allowed("POST, OPTIONS"))),
            )
            .service(
                web::resource("/whep/{broadcast}")
                    .route(web::post().to(whep::post))
                    .route(web::method(actix_web::http::Method::OPTIONS).to(whep::options))
                    .default_service(web::to(|| method_not_allowed("POST, OPTIONS"))),
            )
            .service(
                web::resource(["/whip/{broadcast}/{session}", "/whep/{broadcast}/{session}"])
                    .route(web::patch().to(session::patch))
                    .route(web::delete().to(session::delete))
                    .route(web::method(actix_web::http::Method::OPTIONS).to(session::options))
                    .default_service(web::to(|| method_not_allowed("PATCH, DELETE, OPTIONS"))),
            )
            .service(
                web::resource("/rooms/{group}/sessions")
                    .route(web::post().to(call::post))
                    .route(web::method(actix_web::http::Method::OPTIONS).to(call::options))
                    .default_service(web::to(|| method_not_allowed("POST, OPTIONS"))),
            )
            .service(
                web::resource("/rooms/{group}/sessions/{session}")
                    .route(web::patch().to(call::patch))
                    .route(web::delete().to(call::delete))
                    .route(web::method(actix_web::http::Method::OPTIONS).to(call::session_options))
                    .default_service(web::to(|| method_not_allowed("PATCH, DELETE, OPTIONS"))),
            )
            .service(
                web::resource("/whep/{broadcast}/{session}/layer")
                    .route(web::get().to(layer::get))
                    .route(web::post().to(layer::post))
                    .default_service(web::to(|| method_not_allowed("GET, POST"))),
            )
            .service(
                web::resource("/whip/{broadcast}/{session}/events")
                    .route(web::get().to(events::get))
                    .default_service(web::to(|| method_not_allowed("GET"))),
            );
    })
}

async fn method_not_allowed(allow: &'static str) -> Result<HttpResponse, HttpProblem> {
    let allow_value = header::HeaderValue::from_static(allow);
    Err(HttpProblem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
        .detail(format!("this resource takes {allow}"))
        .header(header::ALLOW, allow_value))
}
