//! The service in the shape that all have.

use std::time::Instant;

use service_kit::config::ConfigError;
use service_kit::service::Context;
use service_kit::{Cors, Routes, Service, Settings};

use crate::store::{OpenError, Store};
use crate::{Clock, Config, Deps, MetaService, StartError};

/// Brings the schema of the database up to date, and nothing else: for a job that runs before the services do.
///
/// # Errors
/// [`OpenError`].
pub async fn migrate(config: &Config) -> Result<(), OpenError> {
    Store::open(config.database.reveal(), 1).await?.close().await;
    Ok(())
}

impl Settings for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        Config::validate(self)
    }

    fn cors(&self) -> Cors {
        Cors::new(self.dev, &self.allowed_origins)
    }

    fn public_url(&self) -> &str {
        &self.public_url
    }
}

impl Service for MetaService {
    type Config = Config;
    type Error = StartError;
    const NAME: &'static str = "meta";
    const PREFIX: &'static str = "META_";
    const HTTP_PORT: Option<u16> = Some(8081);

    async fn bind(config: Config, context: Context<'_>) -> Result<Self, StartError> {
        let Context { registry, readiness } = context;
        MetaService::start(config, Deps { registry, readiness, clock: Clock::system() }).await
    }

    fn routes(&self) -> Vec<Routes> {
        vec![MetaService::routes(self)]
    }

    async fn close(&self, deadline: Instant) {
        self.drain(deadline.saturating_duration_since(Instant::now())).await;
    }
}
