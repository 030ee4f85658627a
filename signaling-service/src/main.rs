//! The signaling service as a process of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use prometheus_client::registry::Registry;
use serde::Serialize;
use service_kit::telemetry::{self, LogFormat};
use service_kit::{Cors, Listen, Readiness, Server, config, shutdown};
use signaling_service::bus::InMemoryBus;
use signaling_service::{Config, Signaling};

/// Time for clients to leave when the process stops.
const GRACE: Duration = Duration::from_secs(10);

/// STOMP over WebSocket: rooms, chat, presence, viewer counts.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Settings file (TOML).
    #[arg(long, env = "SIGNALING_CONFIG")]
    config: Option<PathBuf>,
    /// Log lines as text or JSON.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    #[command(flatten)]
    flags: Flags,
}

/// Flags that are settings too.
#[derive(Debug, clap::Args, Serialize)]
struct Flags {
    /// Address of HTTP and WebSocket.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    /// Address of the admin port.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_listen: Option<String>,
    /// Development mode.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    telemetry::init(arguments.log_format, "info,actix_server=warn");
    let config: Config =
        config::load(arguments.config.as_deref(), "SIGNALING_", utf8_vars(), &arguments.flags)?;
    config.validate()?;
    let (dev, origins) = (config.dev, config.allowed_origins.clone());
    let listen = Listen { http: config.listen, https: None, admin: config.admin_listen };
    let server = Server::bind(listen)?;
    let mut registry = Registry::default();
    let signaling = Signaling::start(config, Arc::new(InMemoryBus::default()), &mut registry).await?;
    let readiness = Readiness::default();
    readiness.ready("signaling");
    tracing::info!(http = %server.http_addr(), admin = %server.admin_addr(), dev, "signaling serves");

    let shutdown = shutdown::on_signals()?;
    let stop_accepting = shutdown::CancellationToken::new();
    let serving = server.serve(
        vec![signaling.routes()],
        Cors::new(dev, &origins),
        readiness.clone(),
        registry,
        stop_accepting.clone(),
        GRACE,
    );
    let draining = async {
        shutdown.cancelled().await;
        readiness.not_ready("signaling", "draining");
        signaling.drain(Instant::now() + GRACE).await;
        stop_accepting.cancel();
    };
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = draining => {}
    }
    serving.await?;
    tracing::info!("signaling has stopped");
    Ok(())
}

/// The environment without variables that are not UTF-8: `std::env::vars` would panic at them.
fn utf8_vars() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
