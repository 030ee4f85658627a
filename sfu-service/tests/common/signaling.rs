//! The real signaling service on the loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Server};
use signaling_service::Signaling;

use crate::common::SECRET;

/// A port that is free.
pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The same on a port that another one is about to leave.
#[allow(dead_code, reason = "not every test starts it anew")]
pub(crate) async fn start_when_free(http: SocketAddr) -> (Signaling, String, CancellationToken) {
    let free = async {
        while std::net::TcpListener::bind(http).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::common::PATIENCE, free).await.expect("the port is free");
    start(http).await
}

/// Starts it, with its HTTP port at `http`; the WebSocket URL of it.
pub(crate) async fn start(http: SocketAddr) -> (Signaling, String, CancellationToken) {
    let config = signaling_service::Config {
        dev: true,
        token_secret: Secret::new(SECRET.into()),
        // Nobody listens there: these tests are not about the catalogue.
        meta_url: "http://127.0.0.1:9".into(),
        ..signaling_service::Config::default()
    };
    let mut registry = Registry::default();
    let bus = Arc::new(signaling_service::bus::InMemoryBus::default());
    let service = Signaling::start(config, bus, &mut registry).await.unwrap();
    let server = Server::bind(Listen { http, https: None, admin: ANYWHERE }).unwrap();
    let url = format!("ws://{}/streaming", server.http_addr());
    let stop = CancellationToken::new();
    let (routes, readiness) = (vec![service.routes()], Readiness::default());
    let serving = server.serve(routes, Cors::Any, readiness, registry, stop.clone(), Duration::from_secs(1));
    tokio::spawn(async move { serving.await.unwrap() });
    (service, url, stop)
}
