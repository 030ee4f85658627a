//! WHIP (RFC 9725): publishers.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use contract::key::SecretKey;
use service_kit::{HttpProblem, client};

use super::offer::{broadcast_id, created, endpoint_options};
use super::request::{SDP, bearer, require_type, text_body};
use crate::node::{Node, Resource};

/// `POST /whip/{broadcast}`: offer in, answer out.
pub(super) async fn post(
    node: Data<Node>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    node.counted(async {
        let broadcast = broadcast_id(&path)?;
        let key: SecretKey = bearer(&request)
            .ok_or_else(|| HttpProblem::unauthorized("send the stream key as `Authorization: Bearer`"))?
            .parse()
            .map_err(|_| HttpProblem::unauthorized("the bearer is not a stream key"))?;
        require_type(&request, SDP)?;
        let source = client::source(&request);
        node.require_capacity(Resource::Whip, broadcast, source)?;
        let offer = text_body(&request, payload).await?;
        let answer = node.publish(broadcast, source, &key, &offer).await?;
        Ok(created(&node, &request, answer))
    })
    .await
}

/// `OPTIONS /whip/{broadcast}`.
pub(super) async fn options(
    node: Data<Node>,
    path: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpProblem> {
    broadcast_id(&path)?;
    Ok(endpoint_options(&node, &request))
}
