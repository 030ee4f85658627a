//! The SFU as a process of its own.

use clap::Parser;
use prometheus_client::registry::Registry;
use serde::Serialize;
use service_kit::{Cors, Listen, Readiness, Server, process, shutdown, telemetry};
use sfu_service::{Config, SfuService};

/// SFU: WHIP in, WHEP out.
///
/// Settings come from a file, then from variables `SFU_...`, then from flags.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
    /// UDP and TCP port of the first shard
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    media_port: Option<u16>,
    /// Development mode
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (process, config): (_, Config) = process::load("SFU_", 8083, flags.process.config.clone(), &flags)?;
    config.validate()?;
    telemetry::init(process.log_format, &process.log);
    let stop = shutdown::on_signals()?;
    let server = Server::bind(Listen { http: process.http, https: None, admin: process.admin })?;
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let cors = Cors::new(config.dev, &config.allowed_origins);
    let service = SfuService::start(config, &mut registry, readiness.clone()).await?;

    let parts = process::Parts { server, routes: vec![service.routes()], cors, readiness, registry };
    let grace = process.drain();
    process::serve(parts, stop, service.failed().cancelled_owned(), service.drain(grace), grace).await?;
    Ok(())
}
