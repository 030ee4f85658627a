//! The service in the shape that all have.

use std::time::Instant;

use service_kit::config::ConfigError;
use service_kit::service::{Context, Table};
use service_kit::{Routes, Service, Settings};

use crate::{Config, Limits, StartError, TurnRelay};

impl Settings for Config {
    fn validate(&self) -> Result<(), ConfigError> {
        Config::validate(self)
    }

    fn tables() -> Vec<Table> {
        vec![Table::of::<Limits>("limits")]
    }
}

impl Service for TurnRelay {
    type Config = Config;
    type Error = StartError;
    const NAME: &'static str = "turn";
    const PREFIX: &'static str = "TURN_";
    const HTTP_PORT: Option<u16> = None;

    async fn bind(config: Config, context: Context<'_>) -> Result<Self, StartError> {
        let relay = TurnRelay::start(config, context.registry).await?;
        context.readiness.ready(Self::NAME);
        tracing::info!(turn.addresses = ?relay.listen_addrs(), "serving");
        Ok(relay)
    }

    fn routes(&self) -> Vec<Routes> {
        Vec::new()
    }

    async fn failed(&self) {
        TurnRelay::failed(self).await;
    }

    async fn leave(&self, deadline: Instant) {
        self.drain(deadline.saturating_duration_since(Instant::now())).await;
    }
}
