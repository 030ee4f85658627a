//! The running service: what its handlers share, its background tasks, start and drain.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use contract::id::{BroadcastId, NodeId};
use contract::rest::Status;
use contract::token::TokenKeys;
use contract::turn::TurnSecret;
use prometheus_client::registry::Registry;
use service_kit::config::ConfigError;
use service_kit::{HttpProblem, Readiness, Routes};
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::announce::Announcer;
use crate::clock::Clock;
use crate::config::Config;
use crate::counts::Counts;
use crate::http;
use crate::lifecycle::Verdict;
use crate::metrics::{Label, Metrics};
use crate::rate::RateLimit;
use crate::store::{self, OpenError, Record, Store, StoreError};
use crate::sweep::{self, Sweeper};

/// How often time alone is looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Most nodes remembered; the ones over it are served, their URL is not announced.
const MAX_NODES: usize = 1_000;
/// A node that has not reported for this long is not offered.
const NODE_TTL: TimeDelta = TimeDelta::seconds(10);
/// How often a change is tried again after another one came first.
const UPDATE_TRIES: usize = 8;

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
        let store = store::open(config.database.reveal(), config.connections).await?;
        let metrics = Metrics::register(deps.registry);
        let counts = Counts::new(store.viewers().await?, deps.clock.now());
        let announcer = Announcer::new(!config.signaling_url.is_empty(), metrics.clone());
        let shared = Arc::new(Shared {
            limit: Mutex::new(RateLimit::new(config.create_per_minute)),
            turn: config.turn_secret(),
            store,
            keys,
            counts: Mutex::new(counts),
            nodes: Mutex::default(),
            announcer,
            clock: deps.clock,
            metrics,
            readiness: deps.readiness,
            config,
        });
        shared.readiness.ready(sweep::CONDITION);
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

    /// Sends what is still to be announced, within `deadline`, then stops the tasks and closes the database. Call
    /// it after the HTTP server has stopped.
    pub async fn drain(&self, deadline: Duration) {
        let end = Instant::now() + deadline;
        while !self.shared.announcer.is_empty() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.stop.cancel();
        self.tasks.wait().await;
        self.shared.store.close().await;
    }
}

/// What handlers and tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: TokenKeys,
    pub(crate) turn: TurnSecret,
    pub(crate) announcer: Announcer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    counts: Mutex<Counts>,
    limit: Mutex<RateLimit>,
    nodes: Mutex<HashMap<NodeId, (String, DateTime<Utc>)>>,
}

impl Shared {
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one creation from the budget of `address`.
    pub(crate) fn take_creation(&self, address: IpAddr) -> Result<(), HttpProblem> {
        let taken = self.limit.lock().unwrap_or_else(PoisonError::into_inner).take(address, Instant::now());
        taken.map_err(|wait| {
            self.metrics.rate_limited.inc();
            let seconds = u32::try_from(wait.as_secs_f64().ceil() as u64).unwrap_or(60).max(1);
            HttpProblem::new(
                actix_web::http::StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests",
            )
            .detail(format!("{} a minute from one address", self.config.create_per_minute))
            .retry_after(seconds)
        })
    }

    /// Remembers what a node announces.
    pub(crate) fn announce_node(&self, node: NodeId, public_url: String, now: DateTime<Utc>) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, (_, at)| now - *at < NODE_TTL);
        if nodes.len() < MAX_NODES || nodes.contains_key(&node) {
            nodes.insert(node, (public_url, now));
        }
    }

    /// Where browsers reach WHIP and WHEP, if a setting or a node says so; the smallest node id, so that answers
    /// agree.
    pub(crate) fn sfu_url(&self, now: DateTime<Utc>) -> Option<String> {
        if !self.config.sfu_public_url.is_empty() {
            return Some(self.config.sfu_public_url.clone());
        }
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = nodes.iter().filter(|(_, (url, at))| !url.is_empty() && now - *at < NODE_TTL);
        alive.min_by(|a, b| a.0.cmp(b.0)).map(|(_, (url, _))| url.clone())
    }

    /// Applies what `decide` says of the current row, again when another change came first, and announces it. The
    /// last verdict.
    pub(crate) async fn settle(
        &self,
        id: BroadcastId,
        mut record: Option<Record>,
        decide: impl Fn(Option<&Record>) -> Verdict,
    ) -> Result<Verdict, StoreError> {
        for _ in 0..UPDATE_TRIES {
            let mut verdict = decide(record.as_ref());
            let (Some(current), Some(change)) = (&record, verdict.change.take()) else { return Ok(verdict) };
            let now = self.clock.now();
            if let Some(updated) = self.store.update(id, current.version, change.clone(), now).await? {
                self.changed(current.broadcast.status, &updated);
                verdict.change = Some(change);
                return Ok(verdict);
            }
            record = self.store.broadcast(id).await?;
        }
        Err(StoreError::Unavailable("the broadcast keeps changing".into()))
    }

    /// Tells of a change that is stored.
    pub(crate) fn changed(&self, was: Status, record: &Record) {
        let status = record.broadcast.status;
        if was != status {
            let kind = match status {
                Status::Ready => "ready",
                Status::Streaming => "streaming",
                Status::Closed => "closed",
            };
            self.metrics.transitions.get_or_create(&Label::of(kind)).inc();
            tracing::info!(broadcast.id = record.broadcast.id.0, broadcast.status = kind, "broadcast moved");
        }
        self.announcer.announce(record);
    }

    /// Counts and logs a failed database call, and says what the client gets.
    pub(crate) fn failed(&self, error: &StoreError) -> HttpProblem {
        match error {
            StoreError::Unavailable(why) => {
                self.metrics.store_errors.get_or_create(&Label::of("unavailable")).inc();
                tracing::debug!(error = %why, "the database is not available");
                HttpProblem::unavailable("the catalogue is not available at the moment, try again", 1)
            }
            StoreError::Failed(why) => {
                self.metrics.store_errors.get_or_create(&Label::of("failed")).inc();
                tracing::error!(error = %why, "a database call failed");
                HttpProblem::plain(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}
