//! Settings of the signaling service.

use contract::chat::CHAT_HISTORY;
use contract::token::{MIN_SECRET_LEN, TokenKeys};
use documented::DocumentedFields;
use serde::Deserialize;
use service_kit::config::{ConfigError, Secret};

/// Longest retention: a hundred years.
const MAX_DAYS: u32 = 36_500;

/// Settings. In the environment they are `SIGNALING_{FIELD}`.
#[derive(Debug, Clone, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Development mode: any origin, peer-to-peer rooms and chat without a token.
    pub dev: bool,
    /// Origins whose pages may open a WebSocket, in production. Clients that send no Origin are no browsers.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub allowed_origins: Vec<String>,
    /// Signs and verifies tokens; shared with the other services.
    pub token_secret: Secret,
    /// The previous secret, accepted while one rotates.
    pub token_secret_previous: Secret,
    /// `postgres://user:password@host/database`, or the path of a SQLite file; its tables are its own, so meta's
    /// database will do. In the development mode it may be empty: what is kept ends with the process.
    pub database_url: Secret,
    /// Most connections to the database (SQLite: 8 at most).
    pub database_connections: u32,
    /// Days that chat messages are kept; 0: for ever.
    pub chat_keep_days: u32,
    /// Chat messages of one room that are kept at least; what is older is forgotten.
    pub chat_keep_messages: u32,
    /// Chat messages of all rooms together that are kept; the oldest are forgotten beyond.
    pub chat_keep_messages_in_all: u64,
    /// Base URL of meta, for reports; empty: no reports.
    pub meta_url: String,
    /// Name of this replica in reports; empty: a random one.
    pub replica: String,
    /// Connections at once; more get 503.
    pub max_connections: usize,
    /// Connections at once from one client address (IPv6: from one /64); more get 503.
    pub max_connections_per_address: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dev: false,
            allowed_origins: Vec::new(),
            token_secret: Secret::default(),
            token_secret_previous: Secret::default(),
            database_url: Secret::default(),
            database_connections: 8,
            chat_keep_days: 90,
            chat_keep_messages: 10_000,
            chat_keep_messages_in_all: 2_000_000,
            meta_url: String::new(),
            replica: String::new(),
            max_connections: 50_000,
            max_connections_per_address: 2_000,
        }
    }
}

impl Config {
    /// Checks everything that can be checked without I/O.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.token_keys()?;
        if !self.dev && self.allowed_origins.is_empty() {
            let reason = "production needs the origins of the pages, for example https://live.example.org";
            return Err(ConfigError::value("allowed_origins", reason));
        }
        if !self.dev && self.database_url.is_empty() {
            return Err(ConfigError::value("database_url", "is missing: postgres://... or a SQLite file"));
        }
        if !(1..=500).contains(&self.database_connections) {
            return Err(ConfigError::value("database_connections", "must be from 1 to 500"));
        }
        if self.chat_keep_days > MAX_DAYS {
            return Err(ConfigError::value("chat_keep_days", "must be from 0 to 36500"));
        }
        let least = u32::try_from(CHAT_HISTORY).unwrap_or(u32::MAX);
        if self.chat_keep_messages < least || self.chat_keep_messages_in_all < u64::from(least) {
            let reason = "a late joiner gets the last 100 messages: keep them";
            return Err(ConfigError::value("chat_keep_messages", reason));
        }
        let is_origin = |text: &String| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        if let Some(bad) = self.allowed_origins.iter().find(|origin| !is_origin(origin)) {
            let reason = format!("`{bad}` is not an origin: scheme and host, without a path");
            return Err(ConfigError::value("allowed_origins", reason));
        }
        let url = &self.meta_url;
        if !url.is_empty() && reqwest::Url::parse(url).map_or(true, |url| !url.scheme().starts_with("http")) {
            return Err(ConfigError::value("meta_url", "is not an http(s) URL"));
        }
        if self.max_connections == 0 {
            return Err(ConfigError::value("max_connections", "must be at least 1"));
        }
        if self.max_connections_per_address == 0 {
            return Err(ConfigError::value("max_connections_per_address", "must be at least 1"));
        }
        Ok(())
    }

    /// The keys from the secrets.
    ///
    /// # Errors
    /// [`ConfigError`] if a secret is missing or short.
    pub fn token_keys(&self) -> Result<TokenKeys, ConfigError> {
        let previous = Some(self.token_secret_previous.reveal()).filter(|secret| !secret.is_empty());
        TokenKeys::new(self.token_secret.reveal(), previous)
            .map_err(|_| ConfigError::value("token_secret", format!("needs at least {MIN_SECRET_LEN} bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Config {
        Config {
            token_secret: Secret::new("0123456789abcdef0123456789abcdef".into()),
            allowed_origins: vec!["https://live.example.org".into()],
            database_url: Secret::new("signaling.db".into()),
            ..Config::default()
        }
    }

    #[test]
    fn production_needs_a_secret_a_database_and_origins() {
        assert!(good().validate().is_ok());
        assert!(Config { token_secret: Secret::default(), ..good() }.validate().is_err());
        assert!(Config { allowed_origins: Vec::new(), ..good() }.validate().is_err());
        assert!(Config { database_url: Secret::default(), ..good() }.validate().is_err());
        assert!(Config { database_url: Secret::default(), dev: true, ..good() }.validate().is_ok());
        assert!(Config { database_connections: 0, ..good() }.validate().is_err());
        assert!(Config { allowed_origins: Vec::new(), dev: true, ..good() }.validate().is_ok());
        assert!(Config { allowed_origins: vec!["https://a.example/".into()], ..good() }.validate().is_err());
        assert!(Config { meta_url: "not a url".into(), ..good() }.validate().is_err());
    }
}
