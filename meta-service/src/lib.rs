//! The meta service: the catalogue of broadcasts and groups over REST, keys and tokens, ICE servers, and the
//! lifecycle of broadcasts by what SFU nodes and signaling report.
//!
//! [`MetaService::start`] opens the database (Postgres, or SQLite in the single process), brings its schema up to
//! date and starts the sweeper; [`MetaService::routes`] are mounted by a binary; [`MetaService::drain`] ends it.

mod announce;
mod auth;
mod clock;
mod config;
pub mod counts;
mod http;
pub mod lifecycle;
mod metrics;
mod process;
mod rate;
pub mod record;
mod seal;
mod service;
mod shared;
pub mod store;
mod sweep;

pub use clock::Clock;
pub use config::Config;
pub use http::openapi::openapi;
pub use process::migrate;
pub use service::{Deps, MetaService, StartError};
