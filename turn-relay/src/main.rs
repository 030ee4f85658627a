//! The TURN relay as a process of its own.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use prometheus_client::registry::Registry;
use serde::Serialize;
use service_kit::shutdown::CancellationToken;
use service_kit::{Readiness, admin, process, shutdown, telemetry};
use turn_relay::{Config, TurnRelay};

/// TURN relay (RFC 8656) with time-limited credentials.
///
/// Settings come from a TOML file, then from variables `TURN_...` (`TURN_SECRET`, `TURN_PUBLIC_IPS`, ...), then from
/// flags.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (process, config): (_, Config) = process::load("TURN_", 8084, flags.process.config.clone(), &flags)?;
    config.validate()?;
    telemetry::init(process.log_format, &process.log);
    let stop = shutdown::on_signals().context("cannot listen for signals")?;

    let listener = TcpListener::bind(process.admin)
        .with_context(|| format!("cannot listen on {} (setting `admin`)", process.admin))?;
    let admin_addr = listener.local_addr()?;
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let relay = TurnRelay::start(config, &mut registry).await?;
    readiness.ready("turn");
    let stop_admin = CancellationToken::new();
    let serving = tokio::spawn(admin::serve(listener, readiness.clone(), registry, stop_admin.clone()));
    tracing::info!(turn.addresses = ?relay.listen_addrs(), admin.address = %admin_addr, "serving");

    let failed = tokio::select! {
        () = stop.cancelled() => false,
        () = relay.failed() => true,
    };
    readiness.not_ready("turn", if failed { "the relay thread has failed" } else { "draining" });
    relay.drain(if failed { Duration::ZERO } else { process.drain() }).await;
    stop_admin.cancel();
    serving.await??;
    anyhow::ensure!(!failed, "the relay thread has failed");
    tracing::info!("stopped");
    Ok(())
}
