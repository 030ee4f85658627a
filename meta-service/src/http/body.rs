//! Request bodies: JSON only where JSON is wanted.

use actix_web::HttpRequest;
use actix_web::http::{StatusCode, header};
use actix_web::web::Payload;
use serde::de::DeserializeOwned;
use service_kit::HttpProblem;
use service_kit::body::read;

/// Most bytes of a body.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Most bytes of a report of another service: 10,000 broadcasts at 200 bytes fit well.
pub(crate) const MAX_REPORT: usize = 4 * 1024 * 1024;

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<T, HttpProblem> {
    check_json(request)?;
    let body = read(request, payload, limit).await?;
    parse(&body)
}

/// Reads a JSON body; no body at all, and null, is `T::default()`.
pub(crate) async fn json_or_nothing<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, HttpProblem> {
    let body = read(request, payload, MAX_BODY).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    check_json(request)?;
    if body.trim_ascii() == b"null" { Ok(T::default()) } else { parse(&body) }
}

/// Every body of the API is an object. serde alone would take an array for one, its items as the fields.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpProblem> {
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(HttpProblem::bad_request("JSON: expected an object"));
    }
    serde_json::from_slice(body).map_err(|error| HttpProblem::bad_request(format!("JSON: {error}")))
}

fn check_json(request: &HttpRequest) -> Result<(), HttpProblem> {
    let media_type = media_type(request);
    if media_type == "application/json" || media_type.ends_with("+json") {
        Ok(())
    } else {
        Err(unsupported("send application/json"))
    }
}

/// The media type of the body, in lower case and without parameters.
pub(crate) fn media_type(request: &HttpRequest) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// 415 with words.
pub(crate) fn unsupported(detail: &str) -> HttpProblem {
    HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type")
        .detail(detail)
}
