//! The admin port: `/livez`, `/readyz`, `/metrics`, and a list of them at `/`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::{App, HttpResponse, HttpServer, web};
use prometheus_client::registry::Registry;

use crate::shutdown::CancellationToken;

/// What is listed at `/`.
const INDEX: &str = "<!doctype html><title>Admin port</title><ul>\
    <li><a href=\"/livez\">/livez</a>: the process answers\
    <li><a href=\"/readyz\">/readyz</a>: traffic is welcome, or why not\
    <li><a href=\"/metrics\">/metrics</a>: for Prometheus (OpenMetrics)</ul>\n";

/// What must be well before traffic is welcome: named conditions, each ready or with a reason. Cheap to clone;
/// all clones share the same conditions.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<RwLock<BTreeMap<&'static str, Result<(), String>>>>);

impl Readiness {
    /// `name` is well.
    pub fn ready(&self, name: &'static str) {
        self.set(name, Ok(()));
    }

    /// `name` is not well, because.
    pub fn not_ready(&self, name: &'static str, reason: impl Into<String>) {
        self.set(name, Err(reason.into()));
    }

    fn set(&self, name: &'static str, state: Result<(), String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, state);
    }

    /// Whether every condition is well.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().all(Result::is_ok)
    }

    /// One line a condition: `name: ok` or `name: reason`.
    #[must_use]
    pub fn report(&self) -> String {
        let conditions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let line = |(name, state): (&&str, &Result<(), String>)| match state {
            Ok(()) => format!("{name}: ok\n"),
            Err(reason) => format!("{name}: {reason}\n"),
        };
        conditions.iter().map(line).collect()
    }
}

/// Serves the admin port until `stop`. It answers to the end, so that `/readyz` tells of a drain.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    registry: Registry,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let registry = Arc::new(registry);
    let server = HttpServer::new(move || {
        let (readiness, registry) = (readiness.clone(), registry.clone());
        App::new().configure(move |config| configure(config, readiness, registry))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = stop.cancelled() => {}
    }
    let ((), ended) = tokio::join!(handle.stop(false), server);
    ended
}

fn configure(config: &mut web::ServiceConfig, readiness: Readiness, registry: Arc<Registry>) {
    config
        .app_data(web::Data::new(readiness))
        .app_data(web::Data::from(registry))
        .route("/", web::get().to(index))
        .route("/livez", web::get().to(|| async { "ok\n" }))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics));
}

async fn index() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(INDEX)
}

async fn readyz(readiness: web::Data<Readiness>) -> HttpResponse {
    let mut response =
        if readiness.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.content_type("text/plain; charset=utf-8").body(readiness.report())
}

async fn metrics(registry: web::Data<Registry>) -> HttpResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
