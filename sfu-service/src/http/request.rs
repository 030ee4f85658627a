//! What WHIP and WHEP requests have in common: bearer, content type, body, entity tags.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Payload;
use service_kit::{HttpProblem, body};

/// Largest body: an SDP document or fragment.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Longest host name (RFC 1035).
const MAX_HOST: usize = 255;
/// Media type of offers and answers.
pub(crate) const SDP: &str = "application/sdp";

/// The token of `Authorization: Bearer`, if there is one.
pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The host that the client used, without its port. `Link` repeats it, so nothing but a name or an address gets
/// through.
pub(crate) fn host(request: &HttpRequest) -> Option<&str> {
    let from_header = || request.headers().get(header::HOST)?.to_str().ok();
    let authority = request.uri().authority().map(|authority| authority.as_str()).or_else(from_header)?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    (!host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(plain)).then_some(host)
}

/// Whom a request counts for: the address of its connection, with IPv6 the /64 that one customer has.
pub(crate) fn source(request: &HttpRequest) -> IpAddr {
    match request.peer_addr().map(|peer| peer.ip().to_canonical()) {
        Some(IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        Some(ip) => ip,
        None => Ipv4Addr::UNSPECIFIED.into(),
    }
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
    let bytes = body::read(request, payload, MAX_BODY).await?;
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

/// Compares `If-Match` with `etag` (with its quotes).
pub(crate) fn if_match(request: &HttpRequest, etag: &str) -> Precondition {
    let mut values = request.headers().get_all(header::IF_MATCH).peekable();
    if values.peek().is_none() {
        return Precondition::Missing;
    }
    let mut tags =
        values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    if tags.any(|tag| tag == "*" || tag == etag) { Precondition::Holds } else { Precondition::Fails }
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
    fn the_host_is_what_the_client_used_and_nothing_else() {
        for (sent, expected) in [
            ("live.example:8443", Some("live.example")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]")),
            ("[2001:db8::1]", Some("[2001:db8::1]")),
            (":80", None),
            ("a>; rel=\"x\", <b", None),
        ] {
            assert_eq!(host(&request(header::HOST, sent)), expected, "{sent}");
        }
    }

    #[test]
    fn a_source_is_an_address_or_an_ipv6_network() {
        let source_of = |peer: &str| {
            source(&TestRequest::default().peer_addr(peer.parse().unwrap()).to_http_request()).to_string()
        };
        assert_eq!(source_of("192.0.2.1:5"), "192.0.2.1");
        assert_eq!(source_of("[::ffff:192.0.2.1]:5"), "192.0.2.1");
        assert_eq!(source_of("[2001:db8::1:2:3:4]:5"), "2001:db8::");
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
        assert_eq!(if_match(&request(header::IF_MATCH, "\"b\""), tag), Precondition::Fails);
        assert_eq!(if_match(&TestRequest::default().to_http_request(), tag), Precondition::Missing);
    }
}
