//! What WHIP and WHEP requests have in common: bearer, content type, body, entity tags.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Payload;
use service_kit::{HttpProblem, body};

/// Largest body: an SDP document or fragment.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Media type of offers and answers.
pub(crate) const SDP: &str = "application/sdp";

/// The token of `Authorization: Bearer`, if there is one.
pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Refuses any content type but `wanted`; parameters do not matter.
pub(crate) fn require_type(request: &HttpRequest, wanted: &'static str) -> Result<(), HttpProblem> {
    let sent =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = sent.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type")
        .detail(format!("send {wanted}")))
}

/// The body as text.
pub(crate) async fn text_body(request: &HttpRequest, payload: Payload) -> Result<String, HttpProblem> {
    text_body_within(request, payload, MAX_BODY).await
}

/// The same, of at most `limit` bytes.
pub(crate) async fn text_body_within(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<String, HttpProblem> {
    let bytes = body::read(request, payload, limit).await?;
    String::from_utf8(bytes.to_vec()).map_err(|_| HttpProblem::bad_request("the body is not UTF-8"))
}

/// How the `If-Match` of a PATCH stands to the session's entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// No `If-Match`.
    Missing,
    /// It names the session's tag, or any.
    Holds,
    /// It names other tags only.
    Fails,
}

/// Compares `If-Match` with `etag` (with its quotes). RFC 9110, section 13.1.1, wants the strong comparison, in which a weak
/// tag equals nothing. Here it counts as the tag itself: proxies that compress weaken the tag of the answer that a client
/// then sends back, the tag names a generation of ICE credentials and no bytes, and a fragment of another generation
/// fails by its credentials anyway.
pub(crate) fn if_match(request: &HttpRequest, etag: &str) -> Precondition {
    let mut values = request.headers().get_all(header::IF_MATCH).peekable();
    if values.peek().is_none() {
        return Precondition::Missing;
    }
    let mut tags =
        values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    let names = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == etag;
    if tags.any(|tag| tag == "*" || names(tag)) { Precondition::Holds } else { Precondition::Fails }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn request(name: header::HeaderName, value: &str) -> HttpRequest {
        TestRequest::default().insert_header((name, value)).to_http_request()
    }

    #[test]
    fn the_bearer_is_what_follows_the_scheme() {
        assert_eq!(bearer(&request(header::AUTHORIZATION, "Bearer abc")), Some("abc"));
        assert_eq!(bearer(&request(header::AUTHORIZATION, "bearer  abc ")), Some("abc"));
        for other in ["Basic abc", "Bearer", "Bearer ", "abc"] {
            assert_eq!(bearer(&request(header::AUTHORIZATION, other)), None, "{other}");
        }
    }

    #[test]
    fn content_types_compare_without_parameters() {
        assert!(require_type(&request(header::CONTENT_TYPE, "Application/SDP; charset=utf-8"), SDP).is_ok());
        assert!(require_type(&request(header::CONTENT_TYPE, "application/json"), SDP).is_err());
        assert!(require_type(&TestRequest::default().to_http_request(), SDP).is_err());
    }

    #[test]
    fn tags_match_one_of_several_or_any() {
        let tag = "\"a\"";
        assert_eq!(if_match(&request(header::IF_MATCH, "\"b\", \"a\""), tag), Precondition::Holds);
        assert_eq!(if_match(&request(header::IF_MATCH, "*"), tag), Precondition::Holds);
        assert_eq!(
            if_match(&request(header::IF_MATCH, "\"b\", W/\"a\""), tag),
            Precondition::Holds,
            "weakened"
        );
        assert_eq!(if_match(&request(header::IF_MATCH, "W/\"b\""), tag), Precondition::Fails);
        assert_eq!(if_match(&request(header::IF_MATCH, "\"b\""), tag), Precondition::Fails);
        assert_eq!(if_match(&TestRequest::default().to_http_request(), tag), Precondition::Missing);
    }
}
