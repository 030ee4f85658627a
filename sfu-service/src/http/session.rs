//! Session resources: what WHIP and WHEP do alike once a session is there.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use contract::id::SessionId;
use service_kit::HttpProblem;

use super::FRAGMENT;
use super::request::{Precondition, bearer, if_match, require_type, text_body};
use crate::node::{Node, Patched, Resource, SessionView};

/// `PATCH`: candidates (204), or an ICE restart (200 with our new credentials).
pub(super) async fn patch(
    node: Data<Node>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    node.counted(async {
        let (id, access) = find(&node, resource(&request), &path, &request)?;
        require_type(&request, FRAGMENT)?;
        let precondition = if_match(&request, &access.etag);
        if precondition == Precondition::Fails {
            return Err(HttpProblem::new(StatusCode::PRECONDITION_FAILED, "stale", "Precondition failed")
                .detail("the ICE session has changed since: If-Match names an old one"));
        }
        let text = text_body(&request, payload).await?;
        // Candidates change nothing, and known clients trickle without If-Match; a restart does change something.
        let may_restart = precondition == Precondition::Holds;
        match node.patch(&id, &text, may_restart).await? {
            Patched::Candidates => Ok(HttpResponse::NoContent().finish()),
            Patched::Restarted { etag, fragment } => Ok(HttpResponse::Ok()
                .content_type(FRAGMENT)
                .insert_header((header::ETAG, etag))
                .body(fragment)),
        }
    })
    .await
}

/// `DELETE`: the end of the session; of a publisher's: of the broadcast.
pub(super) async fn delete(
    node: Data<Node>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpProblem> {
    let (id, _) = find(&node, resource(&request), &path, &request)?;
    node.delete(&id);
    Ok(HttpResponse::Ok().finish())
}

/// `OPTIONS`: what the resource takes. It is the same whether the session is there or not.
pub(super) async fn options() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ALLOW, "PATCH, DELETE, OPTIONS"))
        .insert_header((header::HeaderName::from_static("accept-patch"), FRAGMENT))
        .finish()
}

fn resource(request: &HttpRequest) -> Resource {
    if request.path().starts_with("/whip/") { Resource::Whip } else { Resource::Whep }
}

/// The session of the URL, if it is there, of this broadcast and kind, and the bearer is the one that opened it.
pub(super) fn find(
    node: &Node,
    resource: Resource,
    path: &(String, String),
    request: &HttpRequest,
) -> Result<(SessionId, SessionView), HttpProblem> {
    let gone = || HttpProblem::not_found("there is no such session, or it has ended");
    let id: SessionId = path.1.parse().map_err(|_| gone())?;
    let broadcast = path.0.parse().map_err(|_| gone())?;
    let access = node.access(&id, broadcast, resource, bearer(request)).ok_or_else(gone)?;
    if access.allowed {
        Ok((id, access))
    } else {
        Err(HttpProblem::unauthorized("send the bearer that opened the session"))
    }
}
