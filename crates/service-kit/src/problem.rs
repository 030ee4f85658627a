//! Problem details as actix responses: handlers return `Result<_, HttpProblem>` or their own error that turns
//! into one.

use std::fmt;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::ErrorHandlerResponse;
use actix_web::{HttpResponse, ResponseError};
use contract::problem::{CONTENT_TYPE, Problem};

/// An error answer: a problem body and headers that belong to it.
#[derive(Debug, Clone)]
pub struct HttpProblem {
    problem: Problem,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl HttpProblem {
    /// A problem of the kind `code` (lower case with hyphens); see [`Problem::new`].
    #[must_use]
    pub fn new(status: StatusCode, code: &str, title: &str) -> Self {
        Self { problem: Problem::new(status.as_u16(), code, title), headers: Vec::new() }
    }

    /// A problem that says no more than its status.
    #[must_use]
    pub fn plain(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let problem = Problem { kind: "about:blank".into(), title, status: status.as_u16(), detail: None };
        Self { problem, headers: Vec::new() }
    }

    /// Words for the client. Never internals.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(detail.into());
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Retry-After in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// 400 with words.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request").detail(detail)
    }

    /// 401 with the challenge of RFC 6750.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authorized")
            .detail(detail)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"madang\""))
    }

    /// 403 with words.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed").detail(detail)
    }

    /// 404 with words.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found").detail(detail)
    }

    /// 409 with words.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict").detail(detail)
    }

    /// 503 with Retry-After in seconds.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable")
            .detail(detail)
            .retry_after(retry_after)
    }

    /// The problem body.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for HttpProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.problem.status, self.problem.title)?;
        match &self.problem.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HttpProblem {}

impl ResponseError for HttpProblem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in &self.headers {
            response.append_header((name.clone(), value.clone()));
        }
        response.content_type(CONTENT_TYPE).body(serde_json::to_string(&self.problem).unwrap_or_default())
    }
}

/// Error answers that no handler wrote (an unmatched path, a wrong method, an extractor of actix) become
/// problems as well; their headers stay.
pub(crate) fn rewrite_plain_errors<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> actix_web::Result<ErrorHandlerResponse<B>> {
    // What actix writes by itself is plain text or nothing; anything else was written by a handler.
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    if !plain {
        return Ok(ErrorHandlerResponse::Response(response.map_into_left_body()));
    }
    let mut problem = HttpProblem::plain(response.status());
    if let Some(error) = response.response().error().filter(|_| response.status().is_client_error()) {
        problem = problem.detail(error.to_string());
    }
    let body = serde_json::to_string(problem.problem()).unwrap_or_default();
    let (request, response) = response.into_parts();
    let mut response = response.set_body(BoxBody::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let response = ServiceResponse::new(request, response.map_body(|_, body| EitherBody::right(body)));
    Ok(ErrorHandlerResponse::Response(response))
}
