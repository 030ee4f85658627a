//! A service as a process of its own: the settings and flags that all four binaries share, and the order in which
//! one ends.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::{self, ConfigError};
use crate::shutdown::CancellationToken;
use crate::telemetry::{DEFAULT_FILTER, LogFormat};
use crate::{Cors, Readiness, Routes, Server};

/// Flags of every service binary. Every other setting is a key of the file or a variable.
#[derive(Debug, clap::Args, Serialize)]
#[group(skip)]
pub struct Flags {
    /// Configuration file (TOML)
    #[arg(long)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Address of the HTTP port
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// Address of the admin port: /livez, /readyz, /metrics
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// What to log, in the syntax of RUST_LOG [default: info]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Log lines as text or JSON [default: text]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}

/// Settings of the process around a service. They are keys of the same file as the service's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Address of the HTTP port.
    pub http: SocketAddr,
    /// Address of the admin port.
    pub admin: SocketAddr,
    /// What to log, in the syntax of `RUST_LOG`.
    pub log: String,
    /// Log lines as text or JSON.
    pub log_format: LogFormat,
    /// Seconds that a drain may take.
    pub drain_secs: u64,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            http: (Ipv4Addr::UNSPECIFIED, 8080).into(),
            admin: (Ipv4Addr::LOCALHOST, 9090).into(),
            log: DEFAULT_FILTER.into(),
            log_format: LogFormat::Text,
            drain_secs: 10,
        }
    }
}

impl Process {
    const KEYS: [&str; 5] = ["http", "admin", "log", "log_format", "drain_secs"];

    /// How long a drain may take.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs)
    }
}

/// Loads the settings of a service binary: the process's keys go to [`Process`], all others to the service, which
/// refuses what it does not know. `flags` may carry more than [`Flags`]; variables start with `prefix`, and
/// `{prefix}CONFIG` names the file where no flag does. Unset ports default to `http_port` and `http_port` + 1000.
///
/// # Errors
/// [`ConfigError`].
pub fn load<C: DeserializeOwned>(
    prefix: &str,
    http_port: u16,
    file: Option<PathBuf>,
    flags: &impl Serialize,
) -> Result<(Process, C), ConfigError> {
    // `std::env::vars` would panic at a variable that is not UTF-8.
    let env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let named = env.iter().find(|(name, _)| *name == format!("{prefix}CONFIG"));
    let file = file.or(named.map(|(_, path)| path.into()));
    let mut service: Table = config::load(file.as_deref(), prefix, env, flags)?;
    let mut process = Table::new();
    for key in Process::KEYS {
        if let Some((key, value)) = service.remove_entry(key) {
            process.insert(key, value);
        }
    }
    for (key, ip, port) in
        [("http", Ipv4Addr::UNSPECIFIED, http_port), ("admin", Ipv4Addr::LOCALHOST, http_port + 1000)]
    {
        process.entry(key).or_insert_with(|| SocketAddr::from((ip, port)).to_string().into());
    }
    let shape = |error: toml::de::Error| ConfigError::Shape(error.message().to_owned());
    Ok((process.try_into().map_err(shape)?, service.try_into().map_err(shape)?))
}

/// What a binary has put together: its server and what it mounts.
pub struct Parts {
    /// The bound server.
    pub server: Server,
    /// The routes.
    pub routes: Vec<Routes>,
    /// Who may call from other origins.
    pub cors: Cors,
    /// Conditions of the service.
    pub readiness: Readiness,
    /// Its metrics.
    pub registry: Registry,
}

/// Serves until `stop`, then: not ready, `drain` (clients are told while the ports still answer), ports closed.
/// `failed` resolves when the service has failed by itself; the process then ends with an error.
///
/// # Errors
/// When a listener or the service fails.
pub async fn serve(
    parts: Parts,
    stop: CancellationToken,
    failed: impl Future<Output = ()>,
    drain: impl Future<Output = ()>,
    grace: Duration,
) -> std::io::Result<()> {
    let Parts { server, routes, cors, readiness, registry } = parts;
    tracing::info!(http.address = %server.http_addr(), admin.address = %server.admin_addr(), "serving");
    let stop_http = CancellationToken::new();
    let serving = server.serve(routes, cors, readiness.clone(), registry, stop_http.clone(), grace);
    tokio::pin!(serving);
    let failed = tokio::select! {
        () = stop.cancelled() => false,
        () = failed => true,
        ended = &mut serving => return ended,
    };
    readiness.not_ready("process", if failed { "a part has failed" } else { "draining" });
    let draining = async {
        drain.await;
        stop_http.cancel();
    };
    let (served, ()) = tokio::join!(serving, draining);
    served?;
    tracing::info!("stopped");
    if failed { Err(std::io::Error::other("a part of the service ended by itself")) } else { Ok(()) }
}
