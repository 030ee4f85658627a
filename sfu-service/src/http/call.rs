//! Calls: joining a group's room with one exchange (docs/calls.md).
//!
//! ```text
//! POST   /rooms/{group}/sessions             both offers in, both answers out
//! PATCH  /rooms/{group}/sessions/{session}   ICE restarts, wants; the bindings come back
//! DELETE /rooms/{group}/sessions/{session}   the end
//! ```
//! The session part of a URL is 128 random bits: it is the secret that changes, ends and resumes a session.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use contract::call::{JoinCall, MAX_CALL_BODY, PatchCall};
use contract::id::{GroupId, SessionId};
use contract::token::Claims;
use serde::de::DeserializeOwned;
use service_kit::client::Origin;
use service_kit::{HttpProblem, client};

use super::request::{Precondition, bearer, if_match, require_type, text_body_within};
use crate::end::EndReason;
use crate::node::{Caller, Node};

/// Media type of all bodies.
const JSON: &str = "application/json";

/// `POST /rooms/{group}/sessions`.
pub(super) async fn post(
    node: Data<Node>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    node.counted(async {
        let group = group(&path)?;
        // Whoever resumes has another secret; a bearer that is there must be good all the same.
        let claims = claims(&node, &request)?;
        require_type(&request, JSON)?;
        let address = client::source(&request);
        // What can be refused without the body is; a resume is known by it.
        node.require_call_capacity(address, true)?;
        let body: JoinCall = json(&request, payload).await?;
        node.require_call_capacity(address, body.resume.is_some())?;
        let origin = Origin::of(&request);
        let caller = Caller { claims, address, host: origin.host() };
        let (joined, etag) = node.join_call(&group, caller, body).await?;
        Ok(HttpResponse::Created()
            .insert_header((header::LOCATION, format!("/rooms/{group}/sessions/{}", joined.session)))
            .insert_header((header::ETAG, etag))
            // It has the secret of the session in it.
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(joined))
    })
    .await
}

/// `PATCH /rooms/{group}/sessions/{session}`.
pub(super) async fn patch(
    node: Data<Node>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    node.counted(async {
        let (group, session, etag) = find(&node, &path)?;
        require_type(&request, JSON)?;
        let precondition = if_match(&request, &etag);
        if precondition == Precondition::Fails {
            return Err(HttpProblem::new(StatusCode::PRECONDITION_FAILED, "stale", "Precondition failed")
                .detail("the ICE session has changed since: If-Match names an old one"));
        }
        let body: PatchCall = json(&request, payload).await?;
        let may_restart = precondition == Precondition::Holds;
        let (patched, etag) = node.patch_call(&session, &group, body, may_restart).await?;
        Ok(HttpResponse::Ok()
            .insert_header((header::ETAG, etag))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(patched))
    })
    .await
}

/// `DELETE /rooms/{group}/sessions/{session}`.
pub(super) async fn delete(
    node: Data<Node>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, HttpProblem> {
    let (_, session, _) = find(&node, &path)?;
    node.leave_call(&session, EndReason::Deleted);
    Ok(HttpResponse::Ok().finish())
}

/// `OPTIONS` of the collection.
pub(super) async fn options(path: Path<String>) -> Result<HttpResponse, HttpProblem> {
    group(&path)?;
    Ok(HttpResponse::NoContent()
        .insert_header((header::ALLOW, "POST, OPTIONS"))
        .insert_header((header::HeaderName::from_static("accept-post"), JSON))
        .finish())
}

/// `OPTIONS` of a session: the same whether it is there or not.
pub(super) async fn session_options() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ALLOW, "PATCH, DELETE, OPTIONS"))
        .insert_header((header::HeaderName::from_static("accept-patch"), JSON))
        .finish()
}

/// The group of a path. A name that cannot be one is a room that is not there.
fn group(segment: &str) -> Result<GroupId, HttpProblem> {
    segment.parse().map_err(|_| HttpProblem::not_found("there is no such room"))
}

/// What the bearer says, if there is one.
fn claims(node: &Node, request: &HttpRequest) -> Result<Option<Claims>, HttpProblem> {
    let verify = |token| node.keys.verify(token, service_kit::unix_now());
    let verified = bearer(request).map(verify).transpose();
    verified.map_err(|error| HttpProblem::unauthorized(error.to_string()))
}

/// The session of a path with its entity tag.
fn find(node: &Node, path: &(String, String)) -> Result<(GroupId, SessionId, String), HttpProblem> {
    let gone = || HttpProblem::not_found("there is no such session, or it has ended");
    let (group, session) = (path.0.parse().map_err(|_| gone())?, path.1.parse().map_err(|_| gone())?);
    let etag = node.call_etag(&session, &group).ok_or_else(gone)?;
    Ok((group, session, etag))
}

async fn json<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, HttpProblem> {
    let body = text_body_within(request, payload, MAX_CALL_BODY).await?;
    serde_json::from_str(&body).map_err(|error| HttpProblem::bad_request(error.to_string()))
}
