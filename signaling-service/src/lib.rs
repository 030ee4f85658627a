//! The signaling service: STOMP over WebSocket at `/streaming`, chat, presence, viewer counts, broadcast state.
//! Destinations, bodies, rights and limits are in `docs/signaling.md`.

#![forbid(unsafe_code)]

mod barred;
mod boards;
mod broadcasts;
pub mod bus;
mod chat;
mod chatters;
mod config;
#[cfg(test)]
mod docs_tests;
mod guard;
mod http;
mod hub;
mod limits;
mod mailbox;
mod member;
mod metrics;
mod process;
mod refusal;
mod replica;
mod report;
mod rights;
mod rooms;
mod seats;
mod socket;
mod store;
mod unknown;
mod utf8;
mod viewers;
mod window;
mod work;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::token::{JOIN_TTL_SECS, TokenKeys};
use database::{Db, Writer};
use prometheus_client::registry::Registry;
use service_kit::config::ConfigError;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Routes};
use tokio::task::JoinHandle;

pub use config::Config;

use crate::boards::Boards;
use crate::bus::{Bus, Heard};
use crate::chat::store::Retention;
use crate::http::Site;
use crate::hub::chats::{Desk, MAX_JOBS, MAX_READS, Scribe, now_ms};
use crate::hub::{Hub, TICK};
use crate::metrics::Metrics;
use crate::report::Reporter;
use crate::rights::Rights;
use crate::seats::Seats;
use crate::socket::Shared;

/// How often boards are looked for that nobody has changed for long.
const SWEEP: Duration = Duration::from_secs(3_600);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP client for reports.
    #[error("cannot make an HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// The threads that compute on whiteboards.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
    /// The database.
    #[error(transparent)]
    Open(#[from] database::OpenError),
    /// The first read of it.
    #[error("cannot read the database: {0}")]
    Read(#[from] database::Error),
}

/// The running service: its broker and its two tasks. The sockets live in the HTTP server that mounts
/// [`Signaling::routes`].
pub struct Signaling {
    hub: Arc<Hub>,
    seats: Arc<Seats>,
    keys: TokenKeys,
    config: Config,
    db: Db,
    boards: Boards,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Signaling {
    /// Starts the service on the running tokio runtime. Metrics `signaling_*` go into `registry`.
    ///
    /// # Errors
    /// [`StartError`] for a setting that cannot be used.
    pub async fn start(
        config: Config,
        bus: Arc<dyn Bus>,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let keys = config.token_keys()?;
        let replica = match config.replica.as_str() {
            "" => format!("sig_{:016x}", rand::random::<u64>()),
            name => name.to_owned(),
        };
        let metrics = Metrics::register(registry);
        let seats = Seats::new(config.max_connections, config.max_connections_per_address, metrics.clone());
        let hub = Hub::new(&replica, bus.clone(), metrics);
        let db = store::open(&config).await?;
        let boards = Boards::start(hub.clone(), boards::store::Store(db.clone()));
        let boards = boards.map_err(StartError::Threads)?;
        // It is empty so far.
        let _ = hub.boards.set(boards.clone());
        let stop = CancellationToken::new();
        let (writer, written) = Writer::start(db.clone(), Arc::new(Scribe(hub.clone())), MAX_JOBS);
        let (reads, asked) = tokio::sync::mpsc::channel(MAX_READS);
        let epoch = chat::store::epoch(&db).await?;
        hub.open_chats(Desk { writer, reads, epoch, db: db.clone() });
        let oldest_token = now_ms().saturating_sub(i64::try_from(JOIN_TTL_SECS * 1_000).unwrap_or(i64::MAX));
        hub.groups_ended(chat::store::ended(&db, oldest_token).await?);
        let keep = Retention {
            days: config.chat_keep_days,
            per_room: config.chat_keep_messages,
            in_all: config.chat_keep_messages_in_all,
        };
        let mut tasks = vec![
            tokio::spawn(tick(hub.clone(), stop.clone())),
            tokio::spawn(sweep(boards.clone(), stop.clone())),
            tokio::spawn(listen(hub.clone(), bus, stop.clone())),
        ];
        if !config.meta_url.is_empty() {
            let reporter = Reporter {
                hub: hub.clone(),
                keys: keys.clone(),
                meta_url: config.meta_url.trim_end_matches('/').to_owned(),
                replica,
                http: reqwest::Client::builder().no_proxy().build()?,
            };
            tasks.push(tokio::spawn(reporter.run(stop.clone())));
        }
        tasks.extend(chat::keeper::start(&hub, &db, asked, keep, &stop));
        tasks.push(written);
        Ok(Self { hub, seats, keys, config, db, boards, stop, tasks: Mutex::new(tasks) })
    }

    /// `/streaming`, `/room/{id}/count`, `/boards/{room}/...`, `/internal/events`.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let rights = Rights { dev: self.config.dev };
        let shared = Shared { hub: self.hub.clone(), keys: self.keys.clone(), rights };
        let boards = boards::http::Site::new(shared.clone(), self.boards.clone());
        http::routes(Site {
            shared,
            boards,
            cors: Cors::new(self.config.dev, &self.config.allowed_origins),
            seats: self.seats.clone(),
        })
    }

    /// Tells every client to connect again elsewhere (close code 1012), waits until they have left, at most
    /// until `deadline`, and ends the tasks. New connections get 503 from the beginning on.
    pub async fn drain(&self, deadline: Instant) {
        self.hub.draining.cancel();
        while self.seats.taken() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.boards.stop().await;
        self.stop.cancel();
        // What was taken is written: the task of the writer ends then.
        self.hub.close_chats();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the signaling service failed");
            }
        }
        self.db.close().await;
    }
}

/// Publishes counts and drops what was not renewed, once a second.
async fn tick(hub: Arc<Hub>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => hub.tick(Instant::now()),
        }
    }
}

/// Forgets old boards, once an hour.
async fn sweep(boards: Boards, stop: CancellationToken) {
    let mut interval = tokio::time::interval(SWEEP);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => boards.sweep().await,
        }
    }
}

/// Delivers what clients of other replicas sent.
async fn listen(hub: Arc<Hub>, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let mut listener = bus.listen();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            heard = listener.hear() => match heard {
                Heard::Envelope(envelope) => hub.hear(*envelope, Instant::now()),
                Heard::Missed(missed) => {
                    hub.metrics.bus_missed.inc_by(missed);
                    tracing::warn!(missed, "messages of other replicas were lost: this one was too slow");
                }
                Heard::Ended => return,
            },
        }
    }
}
