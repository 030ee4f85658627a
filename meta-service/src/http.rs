//! The HTTP side: routes and what their handlers share. The URL tree is the module tree.

mod body;
mod broadcasts;
mod conditional;
mod groups;
mod ice;
mod internal;
pub(crate) mod openapi;
mod page;
mod thumbnails;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, Resource, Route, web};
use contract::id::BroadcastId;
use service_kit::client::{self, Origin};
use service_kit::{HttpProblem, Routes};

use crate::auth::Caller;
use crate::service::Shared;
use crate::store::one_request;

/// What every handler returns.
type Answer = Result<HttpResponse, HttpProblem>;
/// What every handler gets.
type State = web::Data<Shared>;

/// The routes of the service.
pub(crate) fn routes(shared: Arc<Shared>) -> Routes {
    Routes::new(move |config| {
        config
            .app_data(web::Data::from(Arc::clone(&shared)))
            .service(
                resource("/broadcasts", "GET, HEAD, POST")
                    .route(web::get().to(broadcasts::list))
                    .route(web::head().to(broadcasts::list))
                    .route(web::post().to(broadcasts::create)),
            )
            .service(
                resource("/broadcasts/{id}", "GET, HEAD, PUT")
                    .route(web::get().to(broadcasts::read))
                    .route(web::head().to(broadcasts::read))
                    .route(web::put().to(broadcasts::update)),
            )
            .service(resource("/broadcasts/{id}/key", "POST").route(web::post().to(broadcasts::replace_key)))
            .service(resource("/broadcasts/{id}/token", "POST").route(web::post().to(tokens::of_broadcast)))
            .service(
                resource("/broadcasts/{id}/thumbnail", "GET, HEAD, PUT")
                    .route(web::get().to(thumbnails::read))
                    .route(web::head().to(thumbnails::read))
                    .route(web::put().to(thumbnails::write)),
            )
            .service(resource("/ice-servers", "GET").route(web::get().to(ice::read)))
            .service(
                resource("/groups", "GET, HEAD, POST")
                    .route(web::get().to(groups::list))
                    .route(web::head().to(groups::list))
                    .route(web::post().to(groups::create)),
            )
            .service(
                resource("/groups/{id}", "GET, HEAD, DELETE")
                    .route(web::get().to(groups::read))
                    .route(web::head().to(groups::read))
                    .route(web::delete().to(groups::delete)),
            )
            .service(resource("/groups/{id}/token", "POST").route(web::post().to(tokens::of_group)))
            .service(
                resource("/internal/broadcasts/{id}/admit", "POST").route(web::post().to(internal::admit)),
            )
            .service(report("/internal/nodes/{node}/report", "POST").route(web::post().to(internal::node)))
            .service(report("/internal/rooms/report", "POST").route(web::post().to(internal::rooms)))
            .service(resource("/openapi.json", "GET").route(web::get().to(openapi::document)))
            .service(resource("/docs", "GET").route(web::get().to(openapi::redirect)))
            .service(resource("/docs/{file:.*}", "GET").route(web::get().to(openapi::page)));
    })
}

/// A path that answers other methods than `allow` with 405, and a plain OPTIONS with what it takes. Clients wait for
/// the answer: it comes in time, also from a database that is away.
fn resource(path: &str, allow: &'static str) -> Resource<impl Factory> {
    report(path, allow)
        .wrap(from_fn(|request: ServiceRequest, next: Next<BoxBody>| one_request(next.call(request))))
}

/// The same for reports of services, which may be long: each call of the store is bounded, not all of them together.
fn report(path: &str, allow: &'static str) -> Resource {
    web::resource(path).default_service(refuse(allow))
}

/// What a resource with middleware is.
trait Factory:
    ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>
{
}
impl<T> Factory for T where
    T: ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>
{
}

fn refuse(allow: &'static str) -> Route {
    web::route().to(move |request: HttpRequest| async move {
        if request.method() == Method::OPTIONS {
            return Ok(HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish());
        }
        Err(HttpProblem::plain(StatusCode::METHOD_NOT_ALLOWED)
            .detail(format!("this path takes {allow}"))
            .header(header::ALLOW, header::HeaderValue::from_static(allow)))
    })
}

impl Shared {
    /// Who calls.
    fn caller(&self, request: &HttpRequest) -> Result<Caller, HttpProblem> {
        Caller::of(request, &self.keys, self.clock.unix())
    }

    /// The address of the client.
    fn client_address(&self, request: &HttpRequest) -> IpAddr {
        client::address(request)
    }

    /// The origin that the client used.
    fn origin(&self, request: &HttpRequest) -> Origin {
        Origin::of(request)
    }
}

/// The broadcast id of the path; what is no id names nothing.
fn broadcast_id(request: &HttpRequest) -> Result<BroadcastId, HttpProblem> {
    request.match_info().query("id").parse().map_err(|_| no_broadcast())
}

fn no_broadcast() -> HttpProblem {
    HttpProblem::not_found("there is no such broadcast")
}
