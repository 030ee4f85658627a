//! The running service: start, background tasks, drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use service_kit::config::ConfigError;
use service_kit::{Readiness, Routes};
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::announce::Announcer;
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::metrics::Metrics;
use crate::shared::{self, Shared};
use crate::store::{OpenError, Store, StoreError};
use crate::sweep::Sweeper;

/// How often time alone is looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What a start needs besides the settings.
#[derive(Debug)]
pub struct Deps<'a> {
    /// Where metrics are registered.
    pub registry: &'a mut Registry,
    /// Gets the condition `meta.database`.
    pub readiness: Readiness,
    /// [`Clock::system`] outside of tests.
    pub clock: Clock,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The first read of the catalogue.
    #[error("cannot read the catalogue: {0}")]
    Read(#[from] StoreError),
    /// The HTTP client of announcements.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// The meta service.
#[derive(Debug)]
pub struct MetaService {
    shared: Arc<Shared>,
    sweeper: Arc<AsyncMutex<Sweeper>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl MetaService {
    /// Checks the settings, opens and migrates the database, and starts the background tasks.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config, deps: Deps<'_>) -> Result<Self, StartError> {
        config.validate()?;
        let keys = config.token_keys()?;
        let store = Store::open(config.database.reveal(), config.connections).await?;
        deps.clock.follow(store.upkeep.now().await?);
        let metrics = Metrics::register(deps.registry);
        let announcer = Announcer::new(!config.signaling_url.is_empty(), metrics.clone());
        let shared =
            Arc::new(Shared::new(config, store, keys, announcer, deps.clock, metrics, deps.readiness));
        shared.readiness.ready(shared::CONDITION);
        let service = Self {
            sweeper: Arc::new(AsyncMutex::new(Sweeper::new(Arc::clone(&shared)))),
            shared,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        service.spawn()?;
        Ok(service)
    }

    fn spawn(&self) -> Result<(), StartError> {
        let (sweeper, stop) = (Arc::clone(&self.sweeper), self.stop.clone());
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => sweeper.lock().await.sweep().await,
                }
            }
        });
        let shared = &self.shared;
        if !shared.config.signaling_url.is_empty() {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let base = shared.config.signaling_url.clone();
            let run = shared.announcer.clone().run(base, shared.keys.clone(), shared.clock.clone(), client);
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = run => {}
                }
            });
        }
        self.tasks.close();
        Ok(())
    }

    /// The HTTP routes: public, and `/internal` for services.
    #[must_use]
    pub fn routes(&self) -> Routes {
        http::routes(Arc::clone(&self.shared))
    }

    /// One look at what time alone changes: what a background task does each second.
    pub async fn sweep(&self) {
        self.sweeper.lock().await.sweep().await;
    }

    /// Sends what is still to be announced, what is on its way included, within `deadline`; then stops the tasks and
    /// closes the database. Call it after the HTTP server has stopped, with what that has left of the time.
    pub async fn drain(&self, deadline: Duration) {
        self.shared.announcer.flush(Instant::now() + deadline).await;
        self.stop.cancel();
        self.tasks.wait().await;
        self.shared.store.close().await;
    }
}
