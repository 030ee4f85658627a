//! A service as a process of its own: the settings and flags that all four binaries share, and the order in which
//! one starts and ends.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use documented::DocumentedFields;
use ipnet::IpNet;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::{self, ConfigError};
use crate::service::{self, Context, Service, Settings};
use crate::shutdown::{self, CancellationToken};
use crate::telemetry::{self, DEFAULT_FILTER, LogFormat};
use crate::{
    BindError, ConnectionLimits, Cors, Listen, Options, Readiness, Routes, Server, SettingNames, admin,
    listen, metrics,
};

/// How long a process may take to end beyond what its settings allow, before it is ended.
const END_MARGIN: Duration = Duration::from_secs(10);

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
#[derive(Debug, Clone, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Address of the HTTP port.
    pub http: SocketAddr,
    /// Address of the admin port: a probe of another host (a kubelet) needs one that it can reach.
    pub admin: SocketAddr,
    /// What to log, in the syntax of `RUST_LOG`.
    pub log: String,
    /// Log lines as `text` or `json`.
    pub log_format: LogFormat,
    /// Seconds from SIGTERM to the beginning of the drain, in which requests are served as before: whoever balances
    /// load has heard by then that this process is not ready.
    pub drain_delay_secs: u64,
    /// Seconds that a drain may take.
    pub drain_secs: u64,
    /// Networks of the proxies whose `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` are believed.
    #[serde(deserialize_with = "config::list")]
    pub trusted_proxies: Vec<IpNet>,
    /// HTTP connections in all.
    pub connections: usize,
    /// HTTP connections of one address (IPv6: one /64). Trusted proxies are not counted.
    pub connections_per_address: usize,
}

impl Default for Process {
    fn default() -> Self {
        let connections = ConnectionLimits::default();
        Self {
            http: (Ipv4Addr::UNSPECIFIED, 8080).into(),
            admin: (Ipv4Addr::LOCALHOST, 9090).into(),
            log: DEFAULT_FILTER.into(),
            log_format: LogFormat::Text,
            drain_delay_secs: 0,
            drain_secs: 10,
            trusted_proxies: Vec::new(),
            connections: connections.total,
            connections_per_address: connections.per_address,
        }
    }
}

impl Process {
    /// How long requests are served as before after a signal.
    #[must_use]
    pub fn drain_delay(&self) -> Duration {
        Duration::from_secs(self.drain_delay_secs)
    }

    /// How long a drain may take.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs)
    }

    /// From a signal to the end, at most.
    #[must_use]
    pub fn end_limit(&self) -> Duration {
        // Clients leave, then requests end, then the database closes: each has the time of a drain.
        self.drain_delay().saturating_add(self.drain().saturating_mul(3)).saturating_add(END_MARGIN)
    }

    fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits { total: self.connections, per_address: self.connections_per_address }
    }

    fn options(&self, public_url: &str) -> Options {
        let connections = self.connection_limits();
        let public_url = Some(public_url.to_owned()).filter(|url| !url.is_empty());
        Options { connections, trusted_proxies: self.trusted_proxies.clone(), public_url, hsts: true }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.connection_limits().validate()?;
        validate_drain(self.drain_delay_secs, self.drain_secs)
    }
}

/// Checks the settings `drain_delay_secs` and `drain_secs`.
///
/// # Errors
/// [`ConfigError`]: one of them is more than an hour.
pub fn validate_drain(drain_delay_secs: u64, drain_secs: u64) -> Result<(), ConfigError> {
    for (setting, seconds) in [("drain_delay_secs", drain_delay_secs), ("drain_secs", drain_secs)] {
        if seconds > 3_600 {
            return Err(ConfigError::value(setting, "may be an hour at most (3600)"));
        }
    }
    Ok(())
}

/// What `--help` says of the settings of a service binary.
#[must_use]
pub fn help<S: Service>() -> String {
    service::help::<S::Config>(S::PREFIX, service::Table::of::<Process>(""))
}

/// Loads the settings of a service binary: the process's keys go to [`Process`], all others to the service, which
/// refuses what it does not know. `flags` may carry more than [`Flags`]; `{PREFIX}CONFIG` names the file where no flag
/// does.
///
/// # Errors
/// [`ConfigError`].
pub fn load<S: Service>(
    file: Option<PathBuf>,
    flags: &impl Serialize,
) -> Result<(Process, S::Config), ConfigError> {
    let env = config::environment();
    let file = config::file(file, S::PREFIX, &env);
    let mut service: Table = config::load(file.as_deref(), S::PREFIX, env, flags)?;
    let mut process = Table::new();
    for key in Process::FIELD_NAMES {
        if let Some((key, value)) = service.remove_entry(*key) {
            process.insert(key, value);
        }
    }
    let port = S::HTTP_PORT.unwrap_or(8084);
    for (key, ip, port) in
        [("http", Ipv4Addr::UNSPECIFIED, port), ("admin", Ipv4Addr::LOCALHOST, port.saturating_add(1000))]
    {
        process.entry(key).or_insert_with(|| SocketAddr::from((ip, port)).to_string().into());
    }
    let shape = |error: toml::de::Error| ConfigError::Shape(error.message().to_owned());
    let (process, service): (Process, S::Config) =
        (process.try_into().map_err(shape)?, service.try_into().map_err(shape)?);
    process.validate()?;
    service.validate()?;
    Ok((process, service))
}

/// Why a process has not served, or does not any more.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E: Error + 'static> {
    /// A port of the process.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The service does not start.
    #[error("the {name} service does not start: {reason}")]
    Start {
        /// Its name.
        name: &'static str,
        /// Why.
        reason: E,
    },
    /// A listener, or a signal handler.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A part of it ended by itself.
    #[error("a part of the {0} service has ended by itself")]
    Failed(&'static str),
}

/// Runs a service until a signal; `beside` runs while it serves.
///
/// # Errors
/// [`RunError`].
pub async fn run<S: Service>(
    process: &Process,
    config: S::Config,
    extra: Vec<Routes>,
    beside: impl AsyncFnOnce(&S) -> Result<(), std::io::Error>,
) -> Result<(), RunError<S::Error>> {
    let stop = shutdown::on_signals(process.end_limit())?;
    raise_file_limit();
    let front = Front::bind::<S>(process, config.public_url())?;
    let cors = config.cors();
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let context = Context::new(&mut registry, &readiness);
    let service = tokio::select! {
        bound = S::bind(config, context) => {
            bound.map_err(|reason| RunError::Start { name: S::NAME, reason })?
        }
        () = stop.cancelled() => return Ok(()),
    };
    let mut routes = service.routes();
    routes.extend(extra);
    let (stop_http, drain) = (CancellationToken::new(), process.drain());
    let serving = front.serve(routes, cors, readiness.clone(), registry, stop_http.clone(), drain);
    tokio::pin!(serving);
    let failed = tokio::select! {
        () = stop.cancelled() => false,
        () = service.failed() => true,
        ended = beside(&service) => { ended?; false }
        ended = &mut serving => return Ok(ended?),
    };
    readiness.not_ready(S::NAME, if failed { "a part has failed" } else { "draining" });
    let leaving = async {
        if !failed {
            tokio::time::sleep(process.drain_delay()).await;
        }
        service.leave(Instant::now() + drain).await;
        stop_http.cancel();
    };
    let (served, ()) = tokio::join!(serving, leaving);
    service.close(Instant::now() + drain).await;
    served?;
    tracing::info!("stopped");
    if failed { Err(RunError::Failed(S::NAME)) } else { Ok(()) }
}

/// What a binary's `main` returns; an error is told in one line.
#[must_use]
pub fn end<E: Into<Box<dyn Error + Send + Sync>>>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| {
        telemetry::say_error(error.into().as_ref());
        ExitCode::FAILURE
    })
}

/// Connections are files: as many as the system lets this process have.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// What a process listens on.
enum Front {
    Http(Box<Server>),
    /// A service without routes.
    Admin(TcpListener),
}

impl Front {
    fn bind<S: Service>(process: &Process, public_url: &str) -> Result<Self, BindError> {
        if S::HTTP_PORT.is_none() {
            return Ok(Self::Admin(listen::tcp("admin", process.admin)?));
        }
        let listen = Listen { http: process.http, https: None, admin: process.admin };
        let names = SettingNames { http: "http", https: "https", admin: "admin" };
        Ok(Self::Http(Box::new(Server::bind_named(listen, names)?.with(process.options(public_url)))))
    }

    async fn serve(
        self,
        routes: Vec<Routes>,
        cors: Cors,
        readiness: Readiness,
        mut registry: Registry,
        stop: CancellationToken,
        grace: Duration,
    ) -> std::io::Result<()> {
        match self {
            Self::Http(server) => {
                tracing::info!(http.address = %server.http_addr(), admin.address = %server.admin_addr(), "serving");
                server.serve(routes, cors, readiness, registry, stop, grace).await
            }
            Self::Admin(listener) => {
                metrics::register(&mut registry);
                tracing::info!(admin.address = %listen::local_addr(&listener), "the admin port answers");
                admin::serve(listener, readiness, registry, stop).await
            }
        }
    }
}
