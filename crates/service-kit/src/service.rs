//! The shape that all services have.

use std::future::Future;
use std::time::Instant;

use documented::DocumentedFields;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;

use crate::config::ConfigError;
use crate::{Cors, Readiness, Routes};

/// The settings of a service: a struct with `#[serde(default, deny_unknown_fields)]`, whose documented fields are what
/// `--help` lists.
pub trait Settings: DeserializeOwned + DocumentedFields {
    /// Checks every value without touching the network.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    fn validate(&self) -> Result<(), ConfigError>;

    /// Who may call from other origins.
    fn cors(&self) -> Cors {
        Cors::Only(Vec::new())
    }

    /// The base URL that all clients use; empty: what each request says.
    fn public_url(&self) -> &str {
        ""
    }

    /// Tables among the settings: the key, then names and documentation of its own keys.
    fn tables() -> Vec<Table> {
        Vec::new()
    }
}

/// A table among the settings.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    key: &'static str,
    names: &'static [&'static str],
    docs: &'static [&'static str],
}

impl Table {
    /// No table.
    #[must_use]
    pub fn none() -> Self {
        Self { key: "", names: &[], docs: &[] }
    }

    /// The struct `T` under `key`.
    #[must_use]
    pub fn of<T: DocumentedFields>(key: &'static str) -> Self {
        Self { key, names: T::FIELD_NAMES, docs: T::FIELD_DOCS }
    }
}

/// What a service gets besides its settings.
#[derive(Debug)]
pub struct Context<'a> {
    /// Where its metrics are registered.
    pub registry: &'a mut Registry,
    /// Where it says whether it is well, under a condition that begins with its name.
    pub readiness: Readiness,
}

impl<'a> Context<'a> {
    /// Of a process.
    #[must_use]
    pub fn new(registry: &'a mut Registry, readiness: &Readiness) -> Self {
        Self { registry, readiness: readiness.clone() }
    }
}

/// A service: settings are checked, ports and databases opened, then it serves until it is drained.
///
/// ```text
/// Settings::validate -> Service::bind -> routes, mounted by a binary -> leave -> (HTTP ends) -> close
/// ```
pub trait Service: Sized + Send + Sync {
    /// Its settings.
    type Config: Settings;
    /// Why it does not start; names the setting.
    type Error: std::error::Error + Send + Sync + 'static;
    /// Its name, in logs and as the prefix of conditions and metrics.
    const NAME: &'static str;
    /// What its variables start with, underscore included.
    const PREFIX: &'static str;
    /// The HTTP port of its own process, unless set; `None` where it has no routes. The admin port is 1000 higher.
    const HTTP_PORT: Option<u16>;

    /// Opens what it needs and starts its tasks. Requests come when it returns.
    fn bind(
        config: Self::Config,
        context: Context<'_>,
    ) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// Its HTTP routes.
    fn routes(&self) -> Vec<Routes>;

    /// Resolves when a part of it has ended by itself: the process should end, too.
    fn failed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Tells its clients to leave and waits for them, while HTTP still answers; at most until `deadline`.
    fn leave(&self, deadline: Instant) -> impl Future<Output = ()> + Send {
        let _ = deadline;
        std::future::ready(())
    }

    /// Ends its tasks and closes what it had opened, after the last request; at most until `deadline`.
    fn close(&self, deadline: Instant) -> impl Future<Output = ()> + Send {
        let _ = deadline;
        std::future::ready(())
    }
}

/// The settings as `--help` lists them: key and variable, and what it is.
#[must_use]
pub fn help<C: Settings>(prefix: &str, own: Table) -> String {
    let mut text = String::from("Settings, as keys of the file and as variables:\n");
    let mut add = |table: &str, names: &[&str], docs: &[&str]| {
        for (name, doc) in names.iter().zip(docs) {
            let key = if table.is_empty() { (*name).to_owned() } else { format!("{table}.{name}") };
            let variable = format!("{prefix}{}", key.replace('.', "__").to_uppercase());
            let doc = doc.split_whitespace().collect::<Vec<_>>().join(" ");
            text.push_str(&format!("  {key}  [{variable}]\n      {doc}\n"));
        }
    };
    add(own.key, own.names, own.docs);
    let tables = C::tables();
    let is_table = |name: &&&str| tables.iter().any(|table| table.key == **name);
    let (names, docs): (Vec<&str>, Vec<&str>) =
        C::FIELD_NAMES.iter().zip(C::FIELD_DOCS).filter(|(name, _)| !is_table(name)).unzip();
    add("", &names, &docs);
    for table in &tables {
        add(table.key, table.names, table.docs);
    }
    text
}
