//! What the answers to WHIP and WHEP offers have in common.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use contract::id::BroadcastId;
use contract::layer::{ENCODINGS_EVENT, EVENTS_REL, LAYER_REL};
use service_kit::HttpProblem;
use service_kit::client::Origin;

use super::FRAGMENT;
use super::request::SDP;
use crate::node::{Node, Opened, Resource};

/// The broadcast of a path. A name that cannot be one is a broadcast that is not there.
pub(super) fn broadcast_id(segment: &str) -> Result<BroadcastId, HttpProblem> {
    segment.parse().map_err(|_| HttpProblem::not_found("there is no such broadcast"))
}

/// 201 with the answer. The location is relative, so that it holds behind any proxy.
pub(super) fn created(node: &Node, request: &HttpRequest, opened: Opened) -> HttpResponse {
    let kind = match opened.resource {
        Resource::Whip => "whip",
        Resource::Whep => "whep",
    };
    let location = format!("/{kind}/{}/{}", opened.broadcast, opened.session);
    let extension = match opened.resource {
        Resource::Whip => format!("<{location}/events>; rel=\"{EVENTS_REL}\"; events=\"{ENCODINGS_EVENT}\""),
        Resource::Whep => format!("<{location}/layer>; rel=\"{LAYER_REL}\""),
    };
    let mut response = HttpResponse::Created();
    response
        .content_type(SDP)
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, opened.etag))
        .insert_header((header::HeaderName::from_static("accept-patch"), FRAGMENT))
        // The session's URL is a secret of its own.
        .insert_header((header::CACHE_CONTROL, "no-store"));
    for link in node.ice_links(Some(opened.session.as_str()), Some(Origin::of(request).host())) {
        response.append_header((header::LINK, link));
    }
    response.append_header((header::LINK, extension));
    response.body(opened.sdp)
}

/// The answer to OPTIONS of an endpoint. Nobody is asked who he is, so servers that need credentials are left
/// out.
pub(super) fn endpoint_options(node: &Node, request: &HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((header::ALLOW, "POST, OPTIONS"))
        // Where clients look for PATCH to decide whether they may trickle: without it they wait until all their
        // candidates are gathered.
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST, PATCH, DELETE, OPTIONS"))
        .insert_header((header::HeaderName::from_static("accept-post"), SDP));
    for link in node.ice_links(None, Some(Origin::of(request).host())) {
        response.append_header((header::LINK, link));
    }
    response.finish()
}
