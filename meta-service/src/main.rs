//! The meta service as a process of its own: its routes, the web pages, and the admin port.

use anyhow::Context as _;
use clap::Parser;
use meta_service::{Clock, Config, Deps, MetaService};
use prometheus_client::registry::Registry;
use serde::Serialize;
use service_kit::{Cors, Listen, Readiness, Server, process, shutdown, telemetry};

/// The catalogue over REST, and the pages.
///
/// Settings come from a file, then from variables `META_...` (`META_DATABASE`, `META_TOKEN_SECRET`, ...), then from
/// flags.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    #[serde(flatten)]
    process: process::Flags,
    /// `postgres://...`, or the path of a SQLite file
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// Development mode
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (process, config): (_, Config) = process::load("META_", 8081, flags.process.config.clone(), &flags)?;
    config.validate()?;
    telemetry::init(process.log_format, &process.log);
    let stop = shutdown::on_signals()?;
    let server = Server::bind(Listen { http: process.http, https: None, admin: process.admin })?;
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let pages = pages::routes(pages::Config {
        dev: config.dev,
        signaling_url: config.signaling_socket_url(),
        sfu_url: config.sfu_public_url.trim_end_matches('/').to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        connect_origins: config.other_origins(),
    });
    let cors = Cors::new(config.dev, &config.allowed_origins);
    let deps = Deps { registry: &mut registry, readiness: readiness.clone(), clock: Clock::system() };
    let meta = MetaService::start(config, deps).await.context("the meta service does not start")?;

    let parts = process::Parts { server, routes: vec![meta.routes(), pages], cors, readiness, registry };
    let grace = process.drain();
    // Nobody is told: the database closes after the last request.
    process::serve(parts, stop, std::future::pending(), std::future::ready(()), grace).await?;
    meta.drain(grace).await;
    Ok(())
}
