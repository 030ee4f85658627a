//! What every service does alike: layered configuration, problem details at the HTTP edge, one HTTP server
//! that mounts the routes of one or several services, the admin port, telemetry, TLS, shutdown.
//!
//! A service's library implements [`Service`]; [`process::run`] makes a process of one, and the single process mounts
//! the routes of all of them in one server.

mod accept;
pub mod admin;
pub mod body;
pub mod client;
pub mod compress;
pub mod config;
mod connection;
pub mod file;
mod http;
mod listen;
mod metrics;
mod observe;
pub mod preview;
pub mod problem;
pub mod process;
mod routes;
mod seats;
pub mod service;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

pub use admin::Readiness;
pub use http::{Listen, Options, Server, SettingNames};
pub use listen::BindError;
pub use observe::RequestId;
pub use problem::HttpProblem;
pub use routes::{Cors, Routes};
pub use seats::ConnectionLimits;
pub use service::{Service, Settings};

/// Seconds since the Unix epoch, for tokens and credentials. Only shells call this.
#[must_use]
pub fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
