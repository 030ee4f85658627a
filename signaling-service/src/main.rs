//! The signaling service as a process of its own.

use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use prometheus_client::registry::Registry;
use serde::Serialize;
use service_kit::{Cors, Listen, Readiness, Server, process, shutdown, telemetry};
use signaling_service::bus::InMemoryBus;
use signaling_service::{Config, Signaling};

/// STOMP over WebSocket: rooms, chat, presence, viewer counts.
///
/// Settings come from a file, then from variables `SIGNALING_...`, then from flags.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
    /// Development mode
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (process, config): (_, Config) =
        process::load("SIGNALING_", 8082, flags.process.config.clone(), &flags)?;
    config.validate()?;
    telemetry::init(process.log_format, &process.log);
    let stop = shutdown::on_signals()?;
    let server = Server::bind(Listen { http: process.http, https: None, admin: process.admin })?;
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let cors = Cors::new(config.dev, &config.allowed_origins);
    let signaling = Signaling::start(config, Arc::new(InMemoryBus::default()), &mut registry).await?;
    readiness.ready("signaling");

    let routes = vec![signaling.routes()];
    let parts = process::Parts { server, routes, cors, readiness, registry };
    let grace = process.drain();
    let drain = async { signaling.drain(Instant::now() + grace).await };
    process::serve(parts, stop, std::future::pending(), drain, grace).await?;
    Ok(())
}
