//! Answers in gzip. A body that is in memory is compressed at once and whole, so that nothing but the result waits
//! for a slow client; streams are sent as they are.

use std::io::Write as _;

use actix_web::Error;
use actix_web::HttpMessage as _;
use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, AcceptEncoding, Encoding, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bodies shorter than this gain nothing.
const SHORTEST: u64 = 512;
/// Longest body that is compressed for each request; what is longer is compressed once by whoever serves it.
const LONGEST: u64 = 256 * 1024;

/// Whether the client takes gzip.
#[must_use]
pub fn accepts_gzip(request: &HttpRequest) -> bool {
    let accepted = request.get_header::<AcceptEncoding>();
    accepted.is_some_and(|accepted| {
        accepted.negotiate([Encoding::gzip(), Encoding::identity()].iter()) == Some(Encoding::gzip())
    })
}

/// `bytes` in gzip.
#[must_use]
pub fn gzip(bytes: &[u8], level: u32) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(level));
    let _ = encoder.write_all(bytes);
    encoder.finish().expect("a Vec takes everything").into()
}

/// Whether a body of this type becomes shorter.
#[must_use]
pub fn is_compressible(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.starts_with("text/")
        || ["json", "javascript", "xml", "wasm"].iter().any(|kind| essence.ends_with(kind))
}

/// Middleware.
pub(crate) async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let wanted = accepts_gzip(request.request());
    let response = next.call(request).await?;
    let fits = matches!(response.response().body().size(), BodySize::Sized(SHORTEST..=LONGEST))
        && may_be_encoded(response.headers());
    if !fits {
        return Ok(response.map_into_boxed_body());
    }
    let mut response = response.map_body(|head, body| {
        let body = body.boxed();
        if !wanted {
            return body;
        }
        match body.try_into_bytes() {
            Ok(bytes) => {
                head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                BoxBody::new(gzip(&bytes, Compression::fast().level()))
            }
            Err(stream) => stream,
        }
    });
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

fn may_be_encoded(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // Whoever says that an answer varies has chosen already.
    let chosen = headers.get_all(header::VARY).any(|vary| vary.as_bytes() == b"accept-encoding");
    !chosen && !headers.contains_key(header::CONTENT_ENCODING) && content_type.is_some_and(is_compressible)
}
