//! The service in the shape that all have.

use std::sync::Arc;
use std::time::Instant;

use service_kit::config::ConfigError;
use service_kit::service::Context;
use service_kit::{Cors, Routes, Service, Settings};

use crate::bus::InMemoryBus;
use crate::{Config, Signaling, StartError};

impl Settings for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        Config::validate(self)
    }

    fn cors(&self) -> Cors {
        Cors::new(self.dev, &self.allowed_origins)
    }
}

impl Service for Signaling {
    type Config = Config;
    type Error = StartError;
    const NAME: &'static str = "signaling";
    const PREFIX: &'static str = "SIGNALING_";
    const HTTP_PORT: Option<u16> = Some(8082);

    async fn bind(config: Config, context: Context<'_>) -> Result<Self, StartError> {
        let service = Signaling::start(config, Arc::new(InMemoryBus::default()), context.registry).await?;
        context.readiness.ready(Self::NAME);
        Ok(service)
    }

    fn routes(&self) -> Vec<Routes> {
        vec![Signaling::routes(self)]
    }

    async fn leave(&self, deadline: Instant) {
        self.drain(deadline).await;
    }
}
