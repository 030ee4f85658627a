//! The service in the shape that all have.

use std::time::Instant;

use service_kit::config::ConfigError;
use service_kit::service::{Context, Table};
use service_kit::{Cors, Routes, Service, Settings};

use crate::{Config, Limits, SfuService, StartError};

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

    fn tables() -> Vec<Table> {
        vec![Table::of::<Limits>("limits")]
    }
}

impl Service for SfuService {
    type Config = Config;
    type Error = StartError;
    const NAME: &'static str = "sfu";
    const PREFIX: &'static str = "SFU_";
    const HTTP_PORT: Option<u16> = Some(8083);

    async fn bind(config: Config, context: Context<'_>) -> Result<Self, StartError> {
        SfuService::start(config, context.registry, context.readiness).await
    }

    fn routes(&self) -> Vec<Routes> {
        vec![SfuService::routes(self)]
    }

    async fn failed(&self) {
        SfuService::failed(self).cancelled().await;
    }

    async fn leave(&self, deadline: Instant) {
        self.drain(deadline.saturating_duration_since(Instant::now())).await;
    }
}
