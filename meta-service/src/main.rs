//! The meta service as a process of its own: its routes, the web pages, and the admin port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use meta_service::{Clock, Config, Deps, MetaService};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use service_kit::config::{ConfigError, list, load};
use service_kit::telemetry::{self, LogFormat};
use service_kit::{Cors, Listen, Readiness, Server, shutdown};
use toml::Table;

/// The Madang meta service. Settings come from a file, then the environment (`META_...`), then flags; besides
/// those below, every setting of the service is a key of the file and a variable: `META_DATABASE`,
/// `META_TOKEN_SECRET`, `META_TURN_URLS`, ...
#[derive(Debug, Parser, Serialize)]
#[command(version)]
struct Flags {
    /// Configuration file (TOML).
    #[arg(long, env = "META_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Address of the HTTP port.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    /// Address of the admin port.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<SocketAddr>,
    /// `postgres://...`, or the path of a SQLite file.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// Development mode: open to everybody.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
    /// Print the base URL on standard output once it serves: for scripts that let the system choose the port.
    #[arg(long)]
    #[serde(skip)]
    print_address: bool,
}

/// The settings of the process; the others are the service's.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Process {
    http: SocketAddr,
    admin: SocketAddr,
    #[serde(deserialize_with = "list")]
    allowed_origins: Vec<String>,
    log: String,
    log_format: LogFormat,
    /// Seconds that a drain may take.
    grace: u64,
}

impl Process {
    const KEYS: [&str; 6] = ["http", "admin", "allowed_origins", "log", "log_format", "grace"];
}

impl Default for Process {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([0, 0, 0, 0], 8081)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9081)),
            allowed_origins: Vec::new(),
            log: "info".into(),
            log_format: LogFormat::Text,
            grace: 10,
        }
    }
}

fn settings(flags: &Flags) -> Result<(Process, Config), ConfigError> {
    let mut service: Table = load(flags.config.as_deref(), "META_", std::env::vars(), flags)?;
    let mut process = Table::new();
    for key in Process::KEYS {
        if let Some((key, value)) = service.remove_entry(key) {
            process.insert(key, value);
        }
    }
    let shape = |error: toml::de::Error| ConfigError::Shape(error.message().to_owned());
    let process: Process = process.try_into().map_err(shape)?;
    let config: Config = service.try_into().map_err(shape)?;
    config.validate()?;
    if !config.dev && process.allowed_origins.is_empty() {
        return Err(ConfigError::value("allowed_origins", "production lists the origins of its pages"));
    }
    Ok((process, config))
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (process, config) = settings(&flags)?;
    telemetry::init(process.log_format, &process.log);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(
        process,
        config,
        flags.print_address,
    ))
}

async fn run(process: Process, config: Config, print_address: bool) -> anyhow::Result<()> {
    let stop = shutdown::on_signals()?;
    let server = Server::bind(Listen { http: process.http, https: None, admin: process.admin })?;
    let (http, admin) = (server.http_addr(), server.admin_addr());
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let pages = pages::routes(pages::Config {
        dev: config.dev,
        signaling_url: config.signaling_socket_url(),
        version: env!("CARGO_PKG_VERSION").into(),
        connect_origins: config.other_origins(),
    });
    let cors = Cors::new(config.dev, &process.allowed_origins);
    let deps = Deps { registry: &mut registry, readiness: readiness.clone(), clock: Clock::system() };
    let meta = MetaService::start(config, deps).await.context("the meta service does not start")?;
    tracing::info!(http.address = %http, admin.address = %admin, "serving");
    if print_address {
        println!("http://{http}");
    }
    let grace = Duration::from_secs(process.grace);
    let served = server.serve(vec![meta.routes(), pages], cors, readiness, registry, stop, grace).await;
    meta.drain(grace).await;
    tracing::info!("stopped");
    served.context("the HTTP server failed")
}
