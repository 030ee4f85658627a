//! The TURN relay as a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer};
use anyhow::Context as _;
use clap::Parser;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use service_kit::Readiness;
use service_kit::telemetry::LogFormat;
use turn_relay::TurnRelay;

/// TURN relay (RFC 8656) with time-limited credentials.
///
/// Settings come from a TOML file, then from variables `TURN_...` (`TURN_RELAY__SECRET` sets `secret` of the
/// table `[relay]`), then from flags.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    /// TOML file with settings
    #[arg(long, env = "TURN_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Address of the admin port: /livez, /readyz, /metrics [default: 127.0.0.1:9478]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<SocketAddr>,
    /// What to log, in the syntax of RUST_LOG [default: info]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
}

/// Settings of the process around the relay's own.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    admin: SocketAddr,
    log: String,
    log_format: LogFormat,
    drain_secs: u64,
    relay: turn_relay::Config,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            admin: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9478),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            drain_secs: 30,
            relay: turn_relay::Config::default(),
        }
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let settings: Settings =
        service_kit::config::load(flags.config.as_deref(), "TURN_", std::env::vars(), &flags)?;
    settings.relay.validate()?;
    service_kit::telemetry::init(settings.log_format, &settings.log);
    let shutdown = service_kit::shutdown::on_signals().context("cannot listen for signals")?;

    let mut registry = Registry::default();
    let readiness = Readiness::default();
    let relay = TurnRelay::start(settings.relay, &mut registry).await?;
    readiness.ready("turn");

    let registry = Arc::new(registry);
    let conditions = readiness.clone();
    let admin = HttpServer::new(move || {
        let (readiness, registry) = (conditions.clone(), registry.clone());
        App::new().configure(move |config| service_kit::admin::configure(config, readiness, registry))
    })
    .workers(1)
    .disable_signals()
    .bind(settings.admin)
    .with_context(|| format!("cannot listen on {} (setting `admin`)", settings.admin))?;
    let admin_addrs = admin.addrs();
    let admin = admin.run();
    let admin_handle = admin.handle();
    let admin = tokio::spawn(admin);
    tracing::info!(turn = ?relay.listen_addrs(), admin = ?admin_addrs, "TURN relay is up");

    let failed = tokio::select! {
        () = shutdown.cancelled() => false,
        () = relay.failed() => true,
    };
    if failed {
        readiness.not_ready("turn", "the relay thread has failed");
    } else {
        readiness.not_ready("turn", "draining");
        relay.drain(Duration::from_secs(settings.drain_secs)).await;
    }
    admin_handle.stop(false).await;
    admin.await.context("the admin port has failed")??;
    anyhow::ensure!(!failed, "the relay thread has failed");
    Ok(())
}
