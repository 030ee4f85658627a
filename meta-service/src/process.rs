//! The service in the shape that all have.

use std::time::{Duration, Instant};

use service_kit::config::ConfigError;
use service_kit::service::Context;
use service_kit::{Cors, Routes, Service, Settings};

use crate::store::{OpenError, Store};
use crate::{Clock, Config, Deps, MetaService, StartError};

/// A database that is not there yet is waited for this long, looked at after pauses that double up to the last one.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

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
        let (begin, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let deps = Deps {
                registry: &mut *context.registry,
                readiness: context.readiness.clone(),
                clock: Clock::system(),
            };
            match MetaService::start(config.clone(), deps).await {
                Err(StartError::Open(error @ OpenError::Connect(_)))
                    if begin.elapsed() < DATABASE_PATIENCE =>
                {
                    let why = service_kit::telemetry::one_line(&error);
                    tracing::warn!(error = why, retry_seconds = pause.as_secs_f32(), "no database yet");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                ended => return ended,
            }
        }
    }

    fn routes(&self) -> Vec<Routes> {
        vec![MetaService::routes(self)]
    }

    async fn close(&self, deadline: Instant) {
        self.drain(deadline.saturating_duration_since(Instant::now())).await;
    }
}
