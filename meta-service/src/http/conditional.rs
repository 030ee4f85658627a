//! ETags, If-Match and If-None-Match (RFC 9110, section 13).

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use service_kit::HttpProblem;

use crate::store::Record;

/// The ETag of a broadcast: changes with everything that an owner edits and with the status, not with the viewer
/// count, so that a page may keep it while people come and go.
pub(crate) fn etag(record: &Record) -> String {
    format!("\"{:x}-{}\"", record.broadcast.created_at.timestamp_millis(), record.version)
}

/// Whether If-None-Match names `etag`: the client has it already. Weak comparison.
pub(crate) fn none_match(request: &HttpRequest, etag: &str) -> bool {
    tags(request, header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.iter().any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag))
}

/// Fails with 412 when there is an If-Match and it does not name `etag`. Strong comparison.
pub(crate) fn check_match(request: &HttpRequest, etag: &str) -> Result<(), HttpProblem> {
    match tags(request, header::IF_MATCH) {
        Some(tags) if !tags.iter().any(|tag| tag == "*" || tag == etag) => Err(changed()),
        _ => Ok(()),
    }
}

/// 412.
pub(crate) fn changed() -> HttpProblem {
    HttpProblem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile")
        .detail("it is no longer what If-Match names: read it again")
}

/// The tags of a header, `None` without it. Commas inside quotes are part of a tag that is not ours.
fn tags(request: &HttpRequest, name: HeaderName) -> Option<Vec<String>> {
    let mut values = request.headers().get_all(name).peekable();
    values.peek()?;
    let split = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    Some(split.map(|tag| tag.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn tags_are_compared_as_the_rfc_says() {
        let with = |name: &'static str, value: &'static str| {
            TestRequest::get().insert_header((name, value)).to_http_request()
        };
        assert!(none_match(&with("if-none-match", "\"a\", W/\"b\""), "\"b\""));
        assert!(none_match(&with("if-none-match", "*"), "\"b\""));
        assert!(!none_match(&with("if-none-match", "b"), "\"b\""));
        assert!(!none_match(&TestRequest::get().to_http_request(), "\"b\""));
        assert!(check_match(&with("if-match", "\"a\",\"b\""), "\"b\"").is_ok());
        assert!(check_match(&with("if-match", "W/\"b\""), "\"b\"").is_err());
        assert!(check_match(&with("if-match", "*"), "\"b\"").is_ok());
        assert!(check_match(&TestRequest::get().to_http_request(), "\"b\"").is_ok());
    }
}
