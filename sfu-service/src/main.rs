//! The SFU as a process of its own: settings from a file, the environment (`SFU_...`) and flags.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use service_kit::telemetry::{self, LogFormat};
use service_kit::{Cors, Listen, Readiness, Server, config, shutdown};
use sfu_service::{Config, SfuService};

/// Time for clients to be told and for answers to be written.
const GRACE: Duration = Duration::from_secs(10);

/// Flags; the last layer of the settings.
#[derive(Debug, Parser, Serialize)]
#[command(name = "sfu-service", version, about = "Madang SFU: WHIP in, WHEP out")]
struct Flags {
    /// TOML file with settings.
    #[arg(long, env = "SFU_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Port of WHIP and WHEP.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    http_port: Option<u16>,
    /// Port of /livez, /readyz and /metrics.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_port: Option<u16>,
    /// UDP port of the first shard.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    media_port: Option<u16>,
    /// Development mode.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
}

/// What the process itself needs; everything else in the file is the service's.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Process {
    bind: IpAddr,
    http_port: u16,
    admin_port: u16,
    log: String,
    log_format: LogFormat,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            http_port: 8083,
            admin_port: 9083,
            log: "info".into(),
            log_format: LogFormat::default(),
        }
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (process, config) = settings(&flags)?;
    telemetry::init(process.log_format, &process.log);
    let at = |port| SocketAddr::new(process.bind, port);
    let server =
        Server::bind(Listen { http: at(process.http_port), https: None, admin: at(process.admin_port) })?;
    let stop = shutdown::on_signals()?;
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let cors = Cors::new(config.dev, &config.allowed_origins);
    let service = SfuService::start(config, &mut registry, readiness.clone()).await?;
    let failed = service.failed();
    let draining = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = failed.cancelled() => stop.cancel(),
        }
        service.drain(GRACE).await;
    };
    let serving = server.serve(vec![service.routes()], cors, readiness, registry, stop.clone(), GRACE);
    let (served, ()) = tokio::join!(serving, draining);
    served.context("the HTTP server failed")?;
    anyhow::ensure!(!failed.is_cancelled(), "a part of the service ended by itself");
    Ok(())
}

/// One file and one environment for the process and the service: the process takes its keys, the service refuses any
/// that it does not know.
fn settings(flags: &Flags) -> anyhow::Result<(Process, Config)> {
    let mut table: toml::Table = config::load(flags.config.as_deref(), "SFU_", std::env::vars(), flags)?;
    let mut own = toml::Table::new();
    for key in ["bind", "http_port", "admin_port", "log", "log_format"] {
        if let Some(value) = table.remove(key) {
            own.insert(key.to_owned(), value);
        }
    }
    let process = own.try_into().context("settings of the process")?;
    let config: Config = table.try_into().context("settings of the service")?;
    Ok((process, config))
}
