//! Structured logs. Only binaries call [`init`].

use tracing_subscriber::EnvFilter;

/// What is logged unless the settings say otherwise. The HTTP library logs what strangers send as its own errors:
/// whoever sends garbage would fill the log.
pub const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// How log lines look.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets the process's subscriber: level from `filter` in the syntax of `RUST_LOG` (which wins when set).
pub fn init(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}
