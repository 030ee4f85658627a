//! What handlers take: the path's id, the caller, the body, the headers that matter, each parsed and described once.
//!
//! A handler's arguments are checked in their order, so that who has no credential is told so first. The API description
//! is made from the same types: a `Json` body by itself, parameters by the types that `params(...)` names.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::ops::Deref;
use std::pin::Pin;
use std::str::FromStr;

use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, dev, web};
use chrono::{DateTime, Utc};
use contract::id::{BroadcastId, GroupId, NodeId};
use serde::de::DeserializeOwned;
use service_kit::HttpProblem;
use service_kit::body::read;
use service_kit::client::{self, Origin};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::auth::Caller;
use crate::rate::Asker;
use crate::shared::Shared;

/// Most bytes of a body.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Most bytes of a report of another service: 10,000 broadcasts at 200 bytes fit well.
pub(crate) const MAX_REPORT: usize = 4 * 1024 * 1024;
/// Characters of an Idempotency-Key: fewer cannot hold 128 random bits.
const REPEAT_KEY_CHARS: std::ops::RangeInclusive<usize> = 22..=255;

/// What every handler can get at.
pub(crate) type State = web::Data<Shared>;

/// What handlers and extractors share.
pub(crate) fn state(request: &HttpRequest) -> Result<&State, HttpProblem> {
    let state = request.app_data::<State>();
    state.ok_or_else(|| HttpProblem::plain(StatusCode::INTERNAL_SERVER_ERROR))
}

/// An id that a path names a thing by.
pub(crate) trait PathId: FromStr {
    /// The variable in the path.
    const VARIABLE: &str = "id";
    /// What is said where there is no such thing.
    const MISSING: &str;
}

impl PathId for BroadcastId {
    const MISSING: &str = "there is no such broadcast";
}

impl PathId for GroupId {
    const MISSING: &str = "there is no such group";
}

impl PathId for NodeId {
    const VARIABLE: &str = "node";
    const MISSING: &str = "there is no such node";
}

/// The id in the path. What is no id names nothing: 404.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: PathId> FromRequest for Path<T> {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let id = request.match_info().query(T::VARIABLE).parse();
        ready(id.map(Self).map_err(|_| missing::<T>()))
    }
}

/// 404.
pub(crate) fn missing<T: PathId>() -> HttpProblem {
    HttpProblem::not_found(T::MISSING)
}

impl FromRequest for Caller {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(state(request).and_then(|state| Self::of(request, &state.keys, state.clock.unix())))
    }
}

/// A caller with a credential, whichever; without one: 401.
#[derive(Debug)]
pub(crate) struct Somebody(pub(crate) Caller);

impl FromRequest for Somebody {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        ready(caller.and_then(|caller| caller.is_somebody().map(|()| Self(caller))))
    }
}

/// Another service.
#[derive(Debug)]
pub(crate) struct Service;

impl FromRequest for Service {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        ready(caller.and_then(|caller| caller.service().map(|()| Self)))
    }
}

/// Where the client is, and which address of ours it used.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) origin: Origin,
}

impl Client {
    /// Who asks, for limits.
    pub(crate) fn asker(&self, caller: &Caller) -> Asker {
        Asker { address: self.address, person: caller.person() }
    }

    /// What URLs begin with: the setting `url`, or where it is empty the address of ours that the client used.
    pub(crate) fn base(&self, url: &str) -> String {
        match url.trim_end_matches('/') {
            "" => self.origin.http(),
            url => url.to_owned(),
        }
    }
}

impl FromRequest for Client {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(Ok(Self { address: client::address(request), origin: Origin::of(request) }))
    }
}

/// The service itself, for handlers that need it beside their arguments.
pub(crate) struct Meta(State);

impl Deref for Meta {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRequest for Meta {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(state(request).map(|state| Self(State::clone(state))))
    }
}

/// What extractors that read a body return.
type Reading<T> = Pin<Box<dyn Future<Output = Result<T, HttpProblem>>>>;

fn payload(request: &HttpRequest, payload: &mut dev::Payload) -> (HttpRequest, Reading<web::Payload>) {
    let payload = web::Payload::from_request(request, payload).into_inner();
    let payload = payload.map_err(|_| HttpProblem::bad_request("the body cannot be read"));
    (request.clone(), Box::pin(ready(payload)))
}

/// A JSON object as body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = HttpProblem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, body: &mut dev::Payload) -> Self::Future {
        let (request, payload) = payload(request, body);
        Box::pin(async move {
            check_json(&request)?;
            parse(&read(&request, payload.await?, MAX_BODY).await?).map(Self)
        })
    }
}

/// A JSON object of another service, which may be long.
#[derive(Debug)]
pub(crate) struct Report<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Report<T> {
    type Error = HttpProblem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, body: &mut dev::Payload) -> Self::Future {
        let (request, payload) = payload(request, body);
        Box::pin(async move {
            check_json(&request)?;
            parse(&read(&request, payload.await?, MAX_REPORT).await?).map(Self)
        })
    }
}

/// A JSON object as body; no body at all, and null, is `T::default()`.
#[derive(Debug)]
pub(crate) struct JsonOrNothing<T>(pub(crate) T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for JsonOrNothing<T> {
    type Error = HttpProblem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, body: &mut dev::Payload) -> Self::Future {
        let (request, payload) = payload(request, body);
        Box::pin(async move {
            let body = read(&request, payload.await?, MAX_BODY).await?;
            if body.is_empty() {
                return Ok(Self(T::default()));
            }
            check_json(&request)?;
            if body.trim_ascii() == b"null" { Ok(Self(T::default())) } else { parse(&body).map(Self) }
        })
    }
}

/// A file as body, with its media type in lower case and without parameters.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

impl FromRequest for File {
    type Error = HttpProblem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, body: &mut dev::Payload) -> Self::Future {
        let (request, payload) = payload(request, body);
        Box::pin(async move {
            let media_type = media_type(&request);
            Ok(Self { media_type, bytes: read(&request, payload.await?, MAX_BODY).await? })
        })
    }
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

fn media_type(request: &HttpRequest) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// 415 with words.
pub(crate) fn unsupported(detail: &str) -> HttpProblem {
    HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type")
        .detail(detail)
}

/// The ETag of a row: `version` is raised with everything that the tag stands for.
pub(crate) fn etag(created_at: DateTime<Utc>, version: i64) -> String {
    format!("\"{:x}-{version}\"", created_at.timestamp_millis())
}

/// The tags of a header, `None` without it. Commas inside quotes are part of a tag that is not ours.
fn tags(request: &HttpRequest, name: header::HeaderName) -> Option<Vec<String>> {
    let mut values = request.headers().get_all(name).peekable();
    values.peek()?;
    let split = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    Some(split.map(|tag| tag.trim().to_owned()).collect())
}

/// If-Match (RFC 9110, section 13.1.1).
#[derive(Debug)]
pub(crate) struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// As without the header.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Fails with 412 when there is one and it does not name `etag`. Strong comparison.
    pub(crate) fn check(&self, etag: &str) -> Result<(), HttpProblem> {
        match &self.0 {
            Some(tags) if !tags.iter().any(|tag| tag == "*" || tag == etag) => {
                let changed =
                    HttpProblem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile");
                Err(changed.detail("it is no longer what If-Match names: read it again"))
            }
            _ => Ok(()),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(Ok(Self(tags(request, header::IF_MATCH))))
    }
}

/// If-None-Match (RFC 9110, section 13.1.2).
#[derive(Debug)]
pub(crate) struct IfNoneMatch(Option<Vec<String>>);

impl IfNoneMatch {
    /// Whether the client has something.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it names `etag`: the client has it already. Weak comparison.
    pub(crate) fn names(&self, etag: &str) -> bool {
        let named = |tag: &String| tag == "*" || tag.trim_start_matches("W/") == etag;
        self.0.as_ref().is_some_and(|tags| tags.iter().any(named))
    }
}

impl FromRequest for IfNoneMatch {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(Ok(Self(tags(request, header::IF_NONE_MATCH))))
    }
}

/// Idempotency-Key, if there is one.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(pub(crate) Option<Vec<u8>>);

impl FromRequest for IdempotencyKey {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let Some(key) = request.headers().get("idempotency-key") else { return ready(Ok(Self(None))) };
        let valid = REPEAT_KEY_CHARS.contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
        ready(if valid {
            Ok(Self(Some(key.as_bytes().to_vec())))
        } else {
            Err(HttpProblem::bad_request(
                "an Idempotency-Key has 22 to 255 printable characters that hold at least 128 random bits",
            ))
        })
    }
}

macro_rules! header_params {
    ($($extractor:ident = $name:literal, $description:literal, $pattern:expr;)*) => {
        $(impl IntoParams for $extractor {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                let pattern: Option<&str> = $pattern;
                let parameter = ParameterBuilder::new()
                    .name($name)
                    .parameter_in(ParameterIn::Header)
                    .description(Some($description))
                    .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(pattern)));
                vec![parameter.build()]
            }
        })*
    };
}
header_params! {
    IfMatch = "If-Match", "The ETag that the change is for", None;
    IfNoneMatch = "If-None-Match", "ETags that the client has", None;
    IdempotencyKey = "Idempotency-Key", "Chosen by the client, with at least 128 random bits: a repeated request \
        makes no second thing and gets the same keys, for 24 hours", Some("^[!-~]{22,255}$");
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn with(name: &'static str, value: &'static str) -> HttpRequest {
        TestRequest::get().insert_header((name, value)).to_http_request()
    }

    #[test]
    fn tags_are_compared_as_the_rfc_says() {
        let none_match = |value| IfNoneMatch(tags(&with("if-none-match", value), header::IF_NONE_MATCH));
        assert!(none_match("\"a\", W/\"b\"").names("\"b\""));
        assert!(none_match("*").names("\"b\""));
        assert!(!none_match("b").names("\"b\""));
        assert!(!IfNoneMatch(None).names("\"b\""));
        let matches =
            |value| IfMatch(tags(&with("if-match", value), header::IF_MATCH)).check("\"b\"").is_ok();
        assert!(matches("\"a\",\"b\"") && matches("*") && IfMatch(None).check("\"b\"").is_ok());
        assert!(!matches("W/\"b\"") && !matches(""));
    }
}
