//! Configuration in layers: defaults, then a TOML file, then the environment, then flags; the last wins.
//!
//! A configuration is one struct with `#[serde(default, deny_unknown_fields)]`. The file has its fields as
//! keys. A variable `PREFIX_KEY` sets `key`; two underscores step into a table (`PREFIX_TABLE__KEY`). Flags
//! are a `clap` struct that serialises to the same keys, with `None` left out.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

/// Why a configuration cannot be used. Each message names the setting or the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// An unknown key, or a value of the wrong type.
    #[error("configuration: {0}")]
    Shape(String),
    /// A value that is out of range or does not fit another one; raised by a service's `validate`.
    #[error("setting `{setting}`: {reason}")]
    Value {
        /// The key.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    /// A value that is out of range or does not fit another one.
    pub fn value(setting: &'static str, reason: impl Into<String>) -> Self {
        Self::Value { setting, reason: reason.into() }
    }
}

/// Loads a configuration. `env` is an iterator of variables (`std::env::vars()` in binaries); variables whose
/// names do not start with `prefix` (with its underscore) are ignored, `{prefix}CONFIG` too: it names the file.
///
/// # Errors
/// [`ConfigError`]; unknown keys are refused, wherever they come from.
pub fn load<C: DeserializeOwned>(
    file: Option<&Path>,
    prefix: &str,
    env: impl IntoIterator<Item = (String, String)>,
    flags: &impl Serialize,
) -> Result<C, ConfigError> {
    let mut table = match file {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    for (name, value) in env {
        if let Some(key) = name.strip_prefix(prefix).filter(|key| *key != "CONFIG") {
            let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
            insert(&mut table, &path, parse_value(&value));
        }
    }
    let flags = Table::try_from(flags).map_err(|error| ConfigError::Shape(error.to_string()))?;
    overlay(&mut table, flags);
    Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Shape(error.message().to_owned()))
}

/// The variables of the process, but for those that are not UTF-8: `std::env::vars` would panic at one.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The file to [`load`]: that of the flag, else the one that `{prefix}CONFIG` names.
#[must_use]
pub fn file(flag: Option<PathBuf>, prefix: &str, env: &[(String, String)]) -> Option<PathBuf> {
    let names = |name: &str| name.strip_prefix(prefix) == Some("CONFIG");
    flag.or_else(|| env.iter().find(|(name, _)| names(name)).map(|(_, path)| path.into()))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    text.parse().map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })
}

/// A number, boolean or array is taken as TOML; anything else is a string.
fn parse_value(text: &str) -> Value {
    let parsed: Option<Value> =
        format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    match parsed {
        Some(value @ (Value::Integer(_) | Value::Boolean(_) | Value::Array(_) | Value::Float(_))) => value,
        Some(Value::String(text)) => Value::String(text),
        _ => Value::String(text.to_owned()),
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn overlay(table: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(value)) => overlay(lower, value),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Deserialises a list that may also be written as one string with commas (the shape of a variable):
/// `#[serde(deserialize_with = "service_kit::config::list")]`.
///
/// # Errors
/// Whatever the items' `FromStr` says.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let items = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        OneOrMany::Many(items) => items,
    };
    let filled = items.iter().filter(|item| !item.is_empty());
    filled.map(|item| item.parse().map_err(|e| serde::de::Error::custom(format!("`{item}`: {e}")))).collect()
}

/// A secret setting: readable in code, never in a log.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret(none)" } else { "Secret(..)" })
    }
}

/// Whether `text` is an origin, or `https://*.` and a domain: of such a list of sites nothing means more in a header.
#[must_use]
pub fn is_site(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = host.map(|host| host.strip_prefix("*.").unwrap_or(host));
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_part))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        http_port: u16,
        name: String,
        #[serde(deserialize_with = "list")]
        public_ip: Vec<IpAddr>,
        turn: Turn,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Turn {
        secret: Secret,
    }

    #[derive(Serialize, Default)]
    struct Flags {
        #[serde(skip_serializing_if = "Option::is_none")]
        http_port: Option<u16>,
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_flag_names_the_file_before_the_variable_of_this_service() {
        let env = [("B_CONFIG", "b.toml"), ("A_CONFIG_X", "x.toml"), ("A_CONFIG", "a.toml")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(file(None, "A_", &env), Some("a.toml".into()));
        assert_eq!(file(Some("flag.toml".into()), "A_", &env), Some("flag.toml".into()));
        assert_eq!(file(None, "C_", &env), None);
    }

    #[test]
    fn the_last_layer_wins() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("madang.toml");
        std::fs::write(&file, "http_port = 1\nname = \"file\"\n[turn]\nsecret = \"s\"").unwrap();
        let vars =
            env(&[("MADANG_HTTP_PORT", "2"), ("MADANG_NAME", "env"), ("HOME", "/"), ("MADANG_CONFIG", "x")]);
        let config: Config = load(Some(&file), "MADANG_", vars, &Flags { http_port: Some(3) }).unwrap();
        assert_eq!((config.http_port, config.name.as_str(), config.turn.secret.reveal()), (3, "env", "s"));
    }

    #[test]
    fn variables_reach_tables_and_lists() {
        let vars = env(&[("M_TURN__SECRET", "n=1 x"), ("M_PUBLIC_IP", "127.0.0.1, ::1")]);
        let config: Config = load(None, "M_", vars, &Flags::default()).unwrap();
        assert_eq!(config.turn.secret.reveal(), "n=1 x");
        assert_eq!(config.public_ip.len(), 2);
        assert!(!format!("{config:?}").contains("n=1"));
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_by_name() {
        let error = load::<Config>(None, "M_", env(&[("M_HTTP_PROT", "1")]), &Flags::default()).unwrap_err();
        assert!(error.to_string().contains("http_prot"), "{error}");
        let error = load::<Config>(None, "M_", env(&[("M_HTTP_PORT", "x")]), &Flags::default()).unwrap_err();
        assert!(error.to_string().contains("http_port") || error.to_string().contains("u16"), "{error}");
    }
}
