//! WHEP (draft-ietf-wish-whep): viewers.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use contract::id::BroadcastId;
use contract::room::Room;
use contract::token::Grant;
use serde::Deserialize;
use service_kit::{HttpProblem, client};

use super::offer::{broadcast_id, created, endpoint_options};
use super::request::{SDP, bearer, require_type, text_body};
use crate::node::{Node, Resource, Viewer};

/// The query of `POST /whep/{broadcast}`: an extension of ours.
#[derive(Debug, Deserialize)]
pub(super) struct Options {
    /// `1`: a preview, as on the Home page; not counted as a viewer.
    preview: Option<String>,
}

/// `POST /whep/{broadcast}`: offer in, answer out.
pub(super) async fn post(
    node: Data<Node>,
    path: Path<String>,
    query: Query<Options>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    node.counted(async {
        let broadcast = broadcast_id(&path)?;
        let subject = authorise(&node, &request, broadcast)?;
        require_type(&request, SDP)?;
        let source = client::source(&request);
        node.require_capacity(Resource::Whep, broadcast, source)?;
        let offer = text_body(&request, payload).await?;
        let preview = query.preview.as_deref() == Some("1");
        let viewer = Viewer { source, subject, preview, bearer: bearer(&request) };
        let answer = node.play(broadcast, viewer, &offer).await?;
        Ok(created(&node, &request, answer))
    })
    .await
}

/// `OPTIONS /whep/{broadcast}`.
pub(super) async fn options(
    node: Data<Node>,
    path: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpProblem> {
    broadcast_id(&path)?;
    Ok(endpoint_options(&node, &request))
}

/// The subject of the viewer's token. In the development mode nobody needs one; whoever sends one that is not
/// good is told, in either mode.
fn authorise(
    node: &Node,
    request: &HttpRequest,
    broadcast: BroadcastId,
) -> Result<Option<String>, HttpProblem> {
    let Some(token) = bearer(request) else {
        return if node.config.dev {
            Ok(None)
        } else {
            Err(HttpProblem::unauthorized("watching needs a join token as `Authorization: Bearer`"))
        };
    };
    let claims = node
        .keys
        .verify(token, service_kit::unix_now())
        .map_err(|error| HttpProblem::unauthorized(error.to_string()))?;
    if claims.may(&Room::from(broadcast), Grant::Subscribe) {
        Ok(Some(claims.sub))
    } else {
        Err(HttpProblem::forbidden("the token does not admit to this broadcast"))
    }
}
