//! The HTTP side: how routes are mounted. The URL tree is the module tree.
//!
//! A handler takes typed extractors ([`extract`]) and carries `#[utoipa::path]`; one line in [`operations()`] mounts it
//! and describes it. ARCHITECTURE.md has the steps for a new resource.

mod broadcasts;
mod extract;
mod failure;
mod groups;
mod homes;
mod ice;
mod internal;
mod keys;
pub(crate) mod openapi;
mod operations;
mod page;
mod preview;
mod problems;
mod repeat;
mod thumbnails;
mod tokens;

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, Route, web};
use service_kit::{HttpProblem, Routes};
use utoipa::openapi::HttpMethod;

use failure::Failure;
use operations::operations;

use crate::shared::Shared;
use crate::store::one_request;

/// The routes of the service.
pub(crate) fn routes(shared: Arc<Shared>) -> Routes {
    let operations = Arc::new(operations());
    Routes::new(move |config| {
        config.app_data(web::Data::from(Arc::clone(&shared)));
        // For whoever serves the pages beside this.
        config.app_data(web::Data::new(preview::catalogue(&shared)));
        for same_path in operations.chunk_by(|a, b| a.path == b.path) {
            let Some(first) = same_path.first() else { continue };
            let methods = same_path.iter().flat_map(|operation| {
                let methods = operation.methods.iter().map(method);
                methods.flatten().map(|method| (method, (operation.route)()))
            });
            mount(config, &first.path, methods.collect(), true);
        }
        let post = |route: Route| vec![(Method::POST, route)];
        let put = |route: Route| vec![(Method::PUT, route)];
        let get = |route: Route| vec![(Method::GET, route)];
        mount(config, "/internal/broadcasts/{id}/admit", post(web::route().to(internal::admit)), true);
        mount(config, "/internal/groups/{id}/open", post(web::route().to(homes::open)), true);
        mount(config, "/internal/groups/{id}/rules", put(web::route().to(homes::put_rules)), true);
        // Reports may be long: each call of the store is bounded, not all of them together.
        mount(config, "/internal/nodes/{node}/report", post(web::route().to(internal::node)), false);
        mount(config, "/internal/rooms/report", post(web::route().to(internal::rooms)), false);
        mount(config, "/openapi.json", get(web::route().to(openapi::document)), true);
        mount(config, "/docs", get(web::route().to(openapi::redirect)), true);
        mount(config, "/docs/{file:.*}", get(web::route().to(openapi::page)), true);
    })
}

/// The methods that serve an operation: HEAD comes with GET.
fn method(method: &HttpMethod) -> Vec<Method> {
    match method {
        HttpMethod::Get => vec![Method::GET, Method::HEAD],
        HttpMethod::Post => vec![Method::POST],
        HttpMethod::Put => vec![Method::PUT],
        HttpMethod::Delete => vec![Method::DELETE],
        HttpMethod::Patch => vec![Method::PATCH],
        HttpMethod::Options | HttpMethod::Head | HttpMethod::Trace => Vec::new(),
    }
}

/// Mounts a path: other methods than its own get 405, a plain OPTIONS what it takes, failures of the database are
/// counted. With `is_short` all calls of the store share one limit: the answer comes in time, also from a database that
/// is away.
fn mount(config: &mut web::ServiceConfig, path: &str, methods: Vec<(Method, Route)>, is_short: bool) {
    let allow: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    let allow: Arc<str> = allow.join(", ").into();
    let mut resource = web::resource(path.to_owned()).default_service(refuse(allow));
    for (method, route) in methods {
        resource = resource.route(route.method(method));
    }
    config.service(resource.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| async move {
        let response =
            if is_short { one_request(next.call(request)).await } else { next.call(request).await };
        response.inspect(count_failure)
    })));
}

fn count_failure(response: &ServiceResponse) {
    let failure = response.response().error().and_then(Error::as_error::<Failure>);
    if let (Some(Failure::Store(error)), Ok(state)) = (failure, extract::state(response.request())) {
        state.count_failure(error);
    }
}

fn refuse(allow: Arc<str>) -> Route {
    web::route().to(move |request: HttpRequest| {
        let allow = header::HeaderValue::from_str(&allow);
        async move {
            let allow = allow.map_err(|_| HttpProblem::plain(StatusCode::INTERNAL_SERVER_ERROR))?;
            if request.method() == Method::OPTIONS {
                return Ok(HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish());
            }
            let words = format!("this path takes {}", allow.to_str().unwrap_or_default());
            let refused = HttpProblem::plain(StatusCode::METHOD_NOT_ALLOWED).detail(words);
            Err(refused.header(header::ALLOW, allow))
        }
    })
}
