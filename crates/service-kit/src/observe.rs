//! What is told of each request: an id that the logs of several services have in common, a span, and how long the
//! answer took.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tracing::Instrument as _;

use crate::client::Origin;

/// The header of the id: taken from the client or a proxy where it is well formed, and always answered.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over.
const MAX_ID: usize = 64;
/// Upper bounds in seconds.
const BUCKETS: [f64; 8] = [0.005, 0.02, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
/// How long browsers come back over HTTPS only, in seconds: a year (RFC 6797).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The id of a request, among its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    /// The pattern, never the path: there are as many paths as people.
    route: String,
    status: u16,
}

/// Counts and times requests. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Observer {
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    hsts: bool,
}

impl Observer {
    /// `hsts` tells browsers that came over HTTPS to do so from now on.
    pub(crate) fn new(hsts: bool, registry: &mut Registry) -> Self {
        let durations: Family<Labels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register_with_unit(
            "http_request_duration",
            "From the head of a request to the head of its answer, by route and status",
            Unit::Seconds,
            durations.clone(),
        );
        Self { durations, hsts }
    }

    /// Middleware.
    pub(crate) async fn observe<B: MessageBody + 'static>(
        self,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<B>, Error> {
        let begin = Instant::now();
        let id = id_of(&request);
        let method = known(request.method());
        let secure = self.hsts && Origin::of(request.request()).is_secure();
        let span = tracing::info_span!("request", request.id = %id.0, http.method = method);
        request.extensions_mut().insert(id.clone());
        let mut response = next.call(request).instrument(span.clone()).await?;
        let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
        let status = response.status().as_u16();
        let seconds = begin.elapsed().as_secs_f64();
        span.in_scope(|| {
            tracing::debug!(http.route = route, http.status = status, duration_seconds = seconds, "answered");
        });
        self.durations.get_or_create(&Labels { method, route, status }).observe(seconds);
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&id.0) {
            headers.insert(REQUEST_ID, id);
        }
        if secure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        Ok(response)
    }
}

fn id_of(request: &ServiceRequest) -> RequestId {
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let good = sent.filter(|id| (1..=MAX_ID).contains(&id.len()) && id.bytes().all(plain));
    RequestId(good.map_or_else(|| format!("{:016x}", rand::random::<u64>()), ToOwned::to_owned))
}

/// A method as a label: clients invent more.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
