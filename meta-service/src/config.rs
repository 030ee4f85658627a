//! Settings of the meta service.

use contract::token::{MIN_SECRET_LEN, TokenKeys};
use contract::turn::TurnSecret;
use documented::DocumentedFields;
use serde::Deserialize;
use service_kit::config::{ConfigError, Secret, is_site, list};
use url::Url;

/// Longest retention: a hundred years.
const MAX_DAYS: u32 = 36_500;

/// Settings of the meta service. Every list may be written as one string with commas.
#[derive(Debug, Clone, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `postgres://user:password@host/database`, or the path of a SQLite file.
    pub database: Secret,
    /// Most connections to the database (SQLite: 8 at most).
    pub connections: u32,
    /// Development mode: anybody creates broadcasts and groups and lists groups.
    pub dev: bool,
    /// Secret that signs tokens, at least 32 bytes; shared by all services.
    pub token_secret: Secret,
    /// The previous token secret while one rotates, or empty.
    pub token_secret_previous: Secret,
    /// Secret shared with the TURN relay.
    pub turn_secret: Secret,
    /// `turn:host:port?transport=udp` and the like. `{host}` stands for the host of the request, so that a phone
    /// on the LAN gets the address that it can reach.
    #[serde(deserialize_with = "list")]
    pub turn_urls: Vec<String>,
    /// `stun:host:port`; `{host}` as above.
    #[serde(deserialize_with = "list")]
    pub stun_urls: Vec<String>,
    /// Base URL of the pages; empty: the origin of the request.
    pub public_url: String,
    /// Base URL of WHIP and WHEP; empty: what a node announces, or else the origin of the request.
    pub sfu_public_url: String,
    /// Base URL of signaling's WebSocket (http or https); empty: the origin of the request.
    pub signaling_public_url: String,
    /// Base URL at which signaling takes announcements, for example `http://127.0.0.1:8080`; empty: none are made.
    pub signaling_url: String,
    /// Broadcasts and groups that one person (by token), or one address without, may create in a minute.
    pub create_per_minute: u32,
    /// Join tokens that one person or address may ask for in a minute.
    pub tokens_per_minute: u32,
    /// Searches that one person or address may make in a minute.
    pub searches_per_minute: u32,
    /// Days after its end that a broadcast is kept; 0: for ever.
    pub keep_closed_days: u32,
    /// Days after it was closed that a broadcast is kept which never started; 0: as long as others.
    pub keep_unstarted_days: u32,
    /// Origins whose pages may call, outside the development mode.
    #[serde(deserialize_with = "list")]
    pub allowed_origins: Vec<String>,
    /// Sites that may show `/embed/{id}` in a frame: origins, or `https://*.` and a domain; empty: none, in the
    /// development mode all.
    #[serde(deserialize_with = "list")]
    pub embed_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: Secret::default(),
            connections: 16,
            dev: false,
            token_secret: Secret::default(),
            token_secret_previous: Secret::default(),
            turn_secret: Secret::default(),
            turn_urls: Vec::new(),
            stun_urls: Vec::new(),
            public_url: String::new(),
            sfu_public_url: String::new(),
            signaling_public_url: String::new(),
            signaling_url: String::new(),
            create_per_minute: 10,
            tokens_per_minute: 120,
            searches_per_minute: 120,
            keep_closed_days: 90,
            keep_unstarted_days: 7,
            allowed_origins: Vec::new(),
            embed_origins: Vec::new(),
        }
    }
}

impl Config {
    /// Checks every value without touching the network.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.database.is_empty() {
            return Err(ConfigError::value("database", "is missing: postgres://... or a SQLite file"));
        }
        if !self.dev && self.allowed_origins.is_empty() {
            return Err(ConfigError::value("allowed_origins", "production lists the origins of its pages"));
        }
        if !(1..=500).contains(&self.connections) {
            return Err(ConfigError::value("connections", "must be from 1 to 500"));
        }
        for (setting, per_minute) in [
            ("create_per_minute", self.create_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("searches_per_minute", self.searches_per_minute),
        ] {
            if !(1..=1_000_000).contains(&per_minute) {
                return Err(ConfigError::value(setting, "must be from 1 to 1000000"));
            }
        }
        for (setting, days) in
            [("keep_closed_days", self.keep_closed_days), ("keep_unstarted_days", self.keep_unstarted_days)]
        {
            if days > MAX_DAYS {
                return Err(ConfigError::value(setting, "must be from 0 to 36500"));
            }
        }
        if self.token_secret.reveal().len() < MIN_SECRET_LEN {
            return Err(ConfigError::value("token_secret", "must have at least 32 bytes"));
        }
        let previous = self.token_secret_previous.reveal();
        if !previous.is_empty() && previous.len() < MIN_SECRET_LEN {
            return Err(ConfigError::value("token_secret_previous", "must have at least 32 bytes, or none"));
        }
        if !self.turn_urls.is_empty() && self.turn_secret.is_empty() {
            return Err(ConfigError::value("turn_secret", "is needed where turn_urls are set"));
        }
        check_sites("embed_origins", &self.embed_origins)?;
        check_ice("turn_urls", &self.turn_urls, &["turn:", "turns:"])?;
        check_ice("stun_urls", &self.stun_urls, &["stun:", "stuns:"])?;
        check_url("public_url", &self.public_url)?;
        check_url("sfu_public_url", &self.sfu_public_url)?;
        check_url("signaling_public_url", &self.signaling_public_url)?;
        check_url("signaling_url", &self.signaling_url)
    }

    /// The WebSocket URL of signaling for the pages, or empty for `/streaming` of the page's own origin.
    #[must_use]
    pub fn signaling_socket_url(&self) -> String {
        match self.signaling_public_url.trim_end_matches('/').strip_prefix("http") {
            Some(rest) => format!("ws{rest}/streaming"),
            None => String::new(),
        }
    }

    /// Origins besides their own that pages have to connect to, by the settings.
    #[must_use]
    pub fn other_origins(&self) -> Vec<String> {
        let bases = [&self.public_url, &self.sfu_public_url, &self.signaling_public_url];
        let mut origins: Vec<String> = Vec::new();
        for url in bases.into_iter().filter_map(|base| Url::parse(base).ok()) {
            let origin = url.origin().ascii_serialization();
            origins.extend(origin.strip_prefix("http").map(|rest| format!("ws{rest}")));
            origins.push(origin);
        }
        origins.sort();
        origins.dedup();
        origins
    }

    /// The keys that sign and verify tokens.
    pub(crate) fn token_keys(&self) -> Result<TokenKeys, ConfigError> {
        let previous = self.token_secret_previous.reveal();
        TokenKeys::new(self.token_secret.reveal(), Some(previous).filter(|secret| !secret.is_empty()))
            .map_err(|error| ConfigError::value("token_secret", error.to_string()))
    }

    /// The secret shared with the TURN relay.
    pub(crate) fn turn_secret(&self) -> TurnSecret {
        TurnSecret::new(self.turn_secret.reveal().to_owned())
    }
}

fn check_ice(setting: &'static str, urls: &[String], schemes: &[&str]) -> Result<(), ConfigError> {
    match urls.iter().find(|url| !schemes.iter().any(|scheme| url.starts_with(scheme))) {
        Some(url) => Err(ConfigError::value(setting, format!("`{url}` does not start with {}", schemes[0]))),
        None => Ok(()),
    }
}

fn check_sites(setting: &'static str, sites: &[String]) -> Result<(), ConfigError> {
    match sites.iter().find(|site| !is_site(site)) {
        Some(site) => {
            Err(ConfigError::value(setting, format!("`{site}` is no origin such as https://example.org")))
        }
        None => Ok(()),
    }
}

fn check_url(setting: &'static str, text: &str) -> Result<(), ConfigError> {
    if text.is_empty() {
        return Ok(());
    }
    let url = Url::parse(text).map_err(|error| ConfigError::value(setting, format!("`{text}`: {error}")))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() {
        Ok(())
    } else {
        Err(ConfigError::value(setting, format!("`{text}` is no http or https base URL")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Config {
        Config {
            database: Secret::new("meta.db".into()),
            token_secret: Secret::new("s".repeat(32)),
            allowed_origins: vec!["https://live.example".into()],
            ..Config::default()
        }
    }

    #[test]
    fn a_wrong_value_is_named() {
        type Spoil = fn(&mut Config);
        assert!(valid().validate().is_ok());
        let cases: [(&str, Spoil); 12] = [
            ("database", |c| c.database = Secret::default()),
            ("token_secret", |c| c.token_secret = Secret::new("short".into())),
            ("token_secret_previous", |c| c.token_secret_previous = Secret::new("short".into())),
            ("turn_secret", |c| c.turn_urls = vec!["turn:example.org".into()]),
            ("stun_urls", |c| c.stun_urls = vec!["http://example.org".into()]),
            ("public_url", |c| c.public_url = "example.org".into()),
            ("signaling_url", |c| c.signaling_url = "ftp://example.org".into()),
            ("embed_origins", |c| c.embed_origins = vec!["https://a.example; script-src *".into()]),
            ("create_per_minute", |c| c.create_per_minute = 0),
            ("tokens_per_minute", |c| c.tokens_per_minute = 0),
            ("searches_per_minute", |c| c.searches_per_minute = 1_000_001),
            ("keep_closed_days", |c| c.keep_closed_days = 36_501),
        ];
        for (setting, spoil) in cases {
            let mut config = valid();
            spoil(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("`{setting}`")), "{setting}: {error}");
        }
    }

    #[test]
    fn urls_for_the_pages_come_from_the_settings() {
        assert_eq!((valid().signaling_socket_url(), valid().other_origins()), (String::new(), Vec::new()));
        let config = Config {
            signaling_public_url: "https://signal.example/".into(),
            sfu_public_url: "http://10.0.0.1:8083".into(),
            ..valid()
        };
        assert_eq!(config.signaling_socket_url(), "wss://signal.example/streaming");
        let expected =
            ["http://10.0.0.1:8083", "https://signal.example", "ws://10.0.0.1:8083", "wss://signal.example"];
        assert_eq!(config.other_origins(), expected);
    }

    #[test]
    fn secrets_do_not_print() {
        let config = Config { database: Secret::new("postgres://u:hunter2@h/d".into()), ..valid() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
