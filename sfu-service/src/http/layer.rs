//! Which layers a viewer gets: an extension of WHEP that the `Link` of the answer names.
//!
//! ```text
//! GET  /whep/{broadcast}/{session}/layer   what there is, what was asked for, what is sent
//! POST /whep/{broadcast}/{session}/layer   ask for something; the same answer
//! ```

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, http::header};
use contract::layer::LayerRequest;
use service_kit::HttpProblem;

use super::request::{require_type, text_body};
use super::session::find;
use crate::node::{Node, Resource};

/// Media type of requests and answers.
const JSON: &str = "application/json";

/// `GET`.
pub(super) async fn get(
    node: Data<Node>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpProblem> {
    node.counted(async {
        let (id, _) = find(&node, Resource::Whep, &path, &request)?;
        Ok(answer(&node.layers(&id, None).await?))
    })
    .await
}

/// `POST`.
pub(super) async fn post(
    node: Data<Node>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, HttpProblem> {
    node.counted(async {
        let (id, _) = find(&node, Resource::Whep, &path, &request)?;
        require_type(&request, JSON)?;
        let body = text_body(&request, payload).await?;
        let change: LayerRequest =
            serde_json::from_str(&body).map_err(|error| HttpProblem::bad_request(error.to_string()))?;
        if change.encoding_id.is_some() && change.max_height.is_some() {
            return Err(HttpProblem::bad_request("ask for `encodingId` or for `maxHeight`, not both"));
        }
        Ok(answer(&node.layers(&id, Some(change)).await?))
    })
    .await
}

fn answer(layers: &contract::layer::LayerList) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(layers)
}
