//! Settings of the single process: few keys, from which the settings of the four services follow.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use contract::key::SecretKey;
use contract::token::{MIN_SECRET_LEN, TokenKeys};
use documented::DocumentedFields;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use service_kit::config::{self, ConfigError, Secret};
use service_kit::process::validate_drain;
use service_kit::service::Table;
use service_kit::telemetry::{DEFAULT_FILTER, LogFormat};
use service_kit::{ConnectionLimits, Cors, Settings};

use crate::token::Token;

/// Variables of the process begin with it.
const PREFIX: &str = "MADANG_";

/// Live streaming and group calls in one process: REST, signaling, TURN relay, SFU and the pages.
///
/// Every flag is also a key of the configuration file and a variable `MADANG_...`; flags win over variables,
/// variables over the file. `--help` lists all settings.
#[derive(Debug, Parser, Serialize)]
#[command(version)]
pub(crate) struct Flags {
    #[command(subcommand)]
    #[serde(skip)]
    pub(crate) command: Option<Command>,
    /// Configuration file (TOML) [env: MADANG_CONFIG]
    #[arg(long, global = true)]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Development mode: open to everyone, makes its own secrets
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "is_false")]
    dev: bool,
    /// Publish a demo broadcast from the start
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    demo: bool,
    /// Address that the HTTP, media and TURN ports are bound to [default: 0.0.0.0]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<IpAddr>,
    /// HTTP port [default: 8080]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    http_port: Option<u16>,
    /// HTTPS port, open where a certificate is given or made [default: 8443]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    https_port: Option<u16>,
    /// Admin port: liveness, readiness, metrics [default: 9090]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_port: Option<u16>,
    /// Address that the admin port is bound to [default: 127.0.0.1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_bind: Option<IpAddr>,
    /// First UDP port of the SFU, one a core [default: 50000]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    media_port: Option<u16>,
    /// UDP and TCP port of the TURN relay [default: 3478]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_port: Option<u16>,
    /// TLS port of the TURN relay, where a certificate is given [default: 5349]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_tls_port: Option<u16>,
    /// Folder for the database and the development secrets [default: data]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Address that browsers reach this machine at; may be given several times [default: all of its own]
    #[arg(long)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    public_ip: Vec<IpAddr>,
    /// Network of a proxy whose X-Forwarded-For, -Proto, -Host and Forwarded are believed; may be given several times
    #[arg(long = "trusted-proxy")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trusted_proxies: Vec<IpNet>,
    /// TLS certificate chain (PEM) for HTTPS and TURN
    #[arg(long, requires = "tls_key")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(long, requires = "tls_cert")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    /// HTTPS with a certificate made at the start, for phones on the LAN
    #[arg(long, conflicts_with = "tls_cert")]
    #[serde(skip_serializing_if = "is_false")]
    tls_self_signed: bool,
}

/// What else the binary does than serve.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Token(Token),
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The settings, all layers applied.
#[derive(Debug, Clone, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Development mode: open to everyone, makes its own secrets.
    pub(crate) dev: bool,
    /// Publish a demo broadcast from the start.
    pub(crate) demo: bool,
    /// Address that the HTTP, media and TURN ports are bound to.
    pub(crate) bind: IpAddr,
    /// HTTP port.
    pub(crate) http_port: u16,
    /// HTTPS port, open where a certificate is given or made.
    pub(crate) https_port: u16,
    /// Admin port: liveness, readiness, metrics.
    pub(crate) admin_port: u16,
    /// Address that the admin port is bound to: loopback, unless a probe of another host has to reach it.
    pub(crate) admin_bind: IpAddr,
    /// First UDP and TCP port of the SFU, one a core.
    pub(crate) media_port: u16,
    /// UDP and TCP port of the TURN relay.
    pub(crate) turn_port: u16,
    /// TLS port of the TURN relay, where a certificate is given.
    pub(crate) turn_tls_port: u16,
    /// UDP ports of relayed addresses, `first-last`.
    pub(crate) turn_relay_ports: turn_relay::PortRange,
    /// Media threads; 0 is one a core.
    pub(crate) shards: usize,
    /// Folder for the database and the development secrets.
    pub(crate) data_dir: PathBuf,
    /// `postgres://...`; empty: SQLite in the data folder.
    pub(crate) database_url: Secret,
    /// Addresses that browsers reach this machine at; none: all of its own.
    #[serde(deserialize_with = "config::list")]
    pub(crate) public_ip: Vec<IpAddr>,
    /// Base URL that browsers use, for example `https://live.example.org`; empty: what each request says.
    pub(crate) public_url: String,
    /// Origins of the pages, outside the development mode.
    #[serde(deserialize_with = "config::list")]
    pub(crate) allowed_origins: Vec<String>,
    /// Sites that may show `/embed/{id}` in a frame: origins, or `https://*.` and a domain; empty: none, in the
    /// development mode all.
    #[serde(deserialize_with = "config::list")]
    pub(crate) embed_origins: Vec<String>,
    /// Networks of the proxies whose `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` are believed.
    #[serde(deserialize_with = "config::list")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// HTTP connections in all.
    pub(crate) connections: usize,
    /// HTTP connections of one address (IPv6: one /64). Trusted proxies are not counted.
    pub(crate) connections_per_address: usize,
    /// Broadcasts and groups that one person or address may create in a minute.
    pub(crate) create_per_minute: u32,
    /// Join tokens that one person or address may ask for in a minute.
    pub(crate) tokens_per_minute: u32,
    /// Searches that one person or address may make in a minute.
    pub(crate) searches_per_minute: u32,
    /// Days after its end that a broadcast is kept; 0: for ever.
    pub(crate) keep_closed_days: u32,
    /// Days after it was closed that a broadcast is kept which never started; 0: as long as others.
    pub(crate) keep_unstarted_days: u32,
    /// TLS certificate chain (PEM) for HTTPS and TURN.
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM).
    pub(crate) tls_key: Option<PathBuf>,
    /// HTTPS with a certificate made at the start, for phones on the LAN.
    pub(crate) tls_self_signed: bool,
    /// Signs tokens; at least 32 random bytes.
    pub(crate) token_secret: Secret,
    /// The one before it, still accepted while it rotates.
    pub(crate) token_secret_previous: Secret,
    /// Signs TURN credentials; at least 16 bytes.
    pub(crate) turn_secret: Secret,
    /// The one before it, still accepted while it rotates.
    pub(crate) turn_secret_previous: Secret,
    /// What to log, in the syntax of `RUST_LOG`.
    pub(crate) log: String,
    /// Log lines as `text` or `json`.
    pub(crate) log_format: LogFormat,
    /// Seconds from SIGTERM to the beginning of the drain, in which requests are served as before.
    pub(crate) drain_delay_secs: u64,
    /// Seconds that each part of a drain may take.
    pub(crate) drain_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        let meta = meta_service::Config::default();
        Self {
            dev: false,
            demo: false,
            bind: Ipv4Addr::UNSPECIFIED.into(),
            http_port: 8080,
            https_port: 8443,
            admin_port: 9090,
            admin_bind: Ipv4Addr::LOCALHOST.into(),
            media_port: 50_000,
            turn_port: 3478,
            turn_tls_port: 5349,
            turn_relay_ports: turn_relay::PortRange { first: 50_200, last: 60_999 },
            shards: 0,
            data_dir: "data".into(),
            database_url: Secret::default(),
            public_ip: Vec::new(),
            public_url: String::new(),
            allowed_origins: Vec::new(),
            embed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            connections: ConnectionLimits::default().total,
            connections_per_address: ConnectionLimits::default().per_address,
            create_per_minute: meta.create_per_minute,
            tokens_per_minute: meta.tokens_per_minute,
            searches_per_minute: meta.searches_per_minute,
            keep_closed_days: meta.keep_closed_days,
            keep_unstarted_days: meta.keep_unstarted_days,
            tls_cert: None,
            tls_key: None,
            tls_self_signed: false,
            token_secret: Secret::default(),
            token_secret_previous: Secret::default(),
            turn_secret: Secret::default(),
            turn_secret_previous: Secret::default(),
            log: DEFAULT_FILTER.into(),
            log_format: LogFormat::Text,
            drain_delay_secs: 0,
            drain_secs: 10,
        }
    }
}

impl Config {
    /// All layers: defaults, the file, the environment, the flags; with all that serving needs.
    pub(crate) fn load(flags: &Flags, env: &[(String, String)]) -> Result<Self, ConfigError> {
        let config = Self::layers(flags, env)?;
        config.validate()?;
        Ok(config)
    }

    /// The same layers, for a command that serves nothing and asks only for what it needs.
    pub(crate) fn layers(flags: &Flags, env: &[(String, String)]) -> Result<Self, ConfigError> {
        let file = config::file(flags.config.clone(), PREFIX, env);
        config::load(file.as_deref(), PREFIX, env.iter().cloned(), flags)
    }

    /// How many HTTP connections there may be.
    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits { total: self.connections, per_address: self.connections_per_address }
    }

    /// The keys that sign and verify tokens.
    pub(crate) fn token_keys(&self) -> Result<TokenKeys, ConfigError> {
        let previous = Some(self.token_secret_previous.reveal()).filter(|secret| !secret.is_empty());
        TokenKeys::new(self.token_secret.reveal(), previous)
            .map_err(|_| ConfigError::value("token_secret", format!("needs at least {MIN_SECRET_LEN} bytes")))
    }

    /// What `--help` says of the settings.
    pub(crate) fn help() -> String {
        service_kit::service::help::<Self>(PREFIX, Table::none())
    }

    /// How long requests are served as before after a signal.
    pub(crate) fn drain_delay(&self) -> Duration {
        Duration::from_secs(self.drain_delay_secs)
    }

    /// How long each part of a drain may take.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs)
    }
}

impl Settings for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        self.connection_limits().validate()?;
        validate_drain(self.drain_delay_secs, self.drain_secs)?;
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(ConfigError::value("tls_cert", "certificate and key come together"));
        }
        if self.dev {
            return Ok(());
        }
        let missing = "missing; production has no default. Set it, or start with --dev";
        if self.token_secret.is_empty() {
            return Err(ConfigError::value("token_secret", missing));
        }
        self.token_keys()?;
        if self.turn_secret.is_empty() {
            return Err(ConfigError::value("turn_secret", missing));
        }
        if self.allowed_origins.is_empty() {
            return Err(ConfigError::value("allowed_origins", missing));
        }
        Ok(())
    }

    fn cors(&self) -> Cors {
        Cors::new(self.dev, &self.allowed_origins)
    }
}

impl Config {
    /// Fills in the secrets of the development mode: made at the first start, kept in the data folder.
    pub(crate) fn with_dev_secrets(mut self) -> std::io::Result<Self> {
        std::fs::create_dir_all(&self.data_dir).map_err(|error| {
            let folder = self.data_dir.display();
            std::io::Error::other(format!("cannot make the folder {folder} (setting `data_dir`): {error}"))
        })?;
        if self.dev && (self.token_secret.is_empty() || self.turn_secret.is_empty()) {
            let kept = DevSecrets::load_or_make(&self.data_dir.join("dev-secrets.toml"))?;
            if self.token_secret.is_empty() {
                self.token_secret = Secret::new(kept.token_secret);
            }
            if self.turn_secret.is_empty() {
                self.turn_secret = Secret::new(kept.turn_secret);
            }
        }
        Ok(self)
    }

    /// Where the HTTP port is bound.
    pub(crate) fn socket_addr(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.bind, port)
    }
}

#[derive(Serialize, Deserialize)]
struct DevSecrets {
    token_secret: String,
    turn_secret: String,
}

impl DevSecrets {
    fn load_or_make(path: &Path) -> std::io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                std::io::Error::other(format!(
                    "{}: {}; delete it to make new ones",
                    path.display(),
                    error.message()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut rng = rand::rng();
                // Two keys of 128 bits make one secret of 256.
                let mut secret = || {
                    [SecretKey::stream(&mut rng), SecretKey::stream(&mut rng)]
                        .map(|k| k.reveal()[3..].to_owned())
                };
                let made = Self { token_secret: secret().concat(), turn_secret: secret().concat() };
                write_private(path, &toml::to_string(&made).map_err(std::io::Error::other)?)?;
                Ok(made)
            }
            Err(error) => Err(std::io::Error::other(format!("cannot read {}: {error}", path.display()))),
        }
    }
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(args: &[&str], env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flags = Flags::parse_from(std::iter::once("madang").chain(args.iter().copied()));
        let env: Vec<_> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::load(&flags, &env)
    }

    #[test]
    fn flags_win_over_variables() {
        let config =
            load(&["--dev", "--http-port", "1"], &[("MADANG_HTTP_PORT", "2"), ("MADANG_TURN_PORT", "3")]);
        let config = config.unwrap();
        assert_eq!((config.http_port, config.turn_port, config.dev, config.demo), (1, 3, true, false));
        let config = load(&["--dev", "--public-ip", "10.0.0.1", "--public-ip", "::1"], &[]).unwrap();
        assert_eq!(config.public_ip.len(), 2);
    }

    #[test]
    fn production_asks_for_secrets_and_origins() {
        let all = [
            ("MADANG_TOKEN_SECRET", "0123456789abcdef0123456789abcdef"),
            ("MADANG_TURN_SECRET", "s"),
            ("MADANG_ALLOWED_ORIGINS", "https://a.example"),
        ];
        assert!(load(&[], &all).is_ok());
        for (left_out, (name, _)) in all.iter().enumerate() {
            let mut some = all.to_vec();
            some.remove(left_out);
            let error = load(&[], &some).unwrap_err().to_string();
            assert!(error.contains(&name["MADANG_".len()..].to_lowercase()), "{error}");
        }
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (name, value) in [
            ("CONNECTIONS", "0"),
            ("CONNECTIONS_PER_ADDRESS", "0"),
            ("DRAIN_SECS", "3601"),
            ("DRAIN_DELAY_SECS", "3601"),
        ] {
            let error = load(&["--dev"], &[(&format!("MADANG_{name}"), value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{}`", name.to_lowercase())), "{error}");
        }
    }

    #[test]
    fn development_secrets_are_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let made = || {
            let config = Config { dev: true, data_dir: dir.path().to_owned(), ..Config::default() };
            config.with_dev_secrets().unwrap()
        };
        let (first, second) = (made(), made());
        assert_eq!(first.token_secret, second.token_secret);
        assert_ne!(first.token_secret, first.turn_secret);
        let mode = std::fs::metadata(dir.path().join("dev-secrets.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
