//! What handlers and background tasks share.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use contract::id::{BroadcastId, NodeId};
use contract::rest::Status;
use contract::token::TokenKeys;
use contract::turn::TurnSecret;
use service_kit::{HttpProblem, Readiness};

use crate::announce::Announcer;
use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::{Change, Outcome, Watch};
use crate::metrics::{Label, Metrics};
use crate::rate::{Asker, RateLimit};
use crate::record::Record;
use crate::store::{GroupRecord, Store, StoreError};

/// The readiness condition of the database.
pub(crate) const CONDITION: &str = "meta.database";
/// Most nodes remembered; the ones over it are served, their URL is not announced.
const MAX_NODES: usize = 1_000;
/// A node that has not reported for this long is not offered.
const NODE_TTL: TimeDelta = TimeDelta::seconds(10);

/// What is limited by person and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// Creating broadcasts and groups.
    Create,
    /// Join tokens.
    Token,
    /// Searches.
    Search,
}

#[derive(Debug)]
struct Limits {
    create: Mutex<RateLimit>,
    token: Mutex<RateLimit>,
    search: Mutex<RateLimit>,
}

impl Limits {
    fn new(config: &Config) -> Self {
        Self {
            create: Mutex::new(RateLimit::new(config.create_per_minute)),
            token: Mutex::new(RateLimit::new(config.tokens_per_minute)),
            search: Mutex::new(RateLimit::new(config.searches_per_minute)),
        }
    }
}

/// What handlers and tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) keys: TokenKeys,
    pub(crate) turn: TurnSecret,
    pub(crate) announcer: Announcer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    /// A call failed since the last sweep, which then tries whether the database takes changes.
    pub(crate) suspect: AtomicBool,
    limits: Limits,
    homes: Mutex<Watch>,
    nodes: Mutex<HashMap<NodeId, (String, DateTime<Utc>)>>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        store: Store,
        keys: TokenKeys,
        announcer: Announcer,
        clock: Clock,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Self {
        Self {
            limits: Limits::new(&config),
            suspect: AtomicBool::new(false),
            turn: config.turn_secret(),
            homes: Mutex::new(Watch::of_homes()),
            nodes: Mutex::default(),
            store,
            keys,
            announcer,
            clock,
            metrics,
            readiness,
            config,
        }
    }

    /// Whether a home of a room that lives could have said so in the time of a lease before `now`.
    pub(crate) fn homes_could_speak(&self, now: DateTime<Utc>) -> bool {
        self.watch_homes(|homes| homes.silence_counts(now))
    }

    /// Does something with the watch of the homes of rooms.
    pub(crate) fn watch_homes<T>(&self, act: impl FnOnce(&mut Watch) -> T) -> T {
        act(&mut self.homes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes one of `what` from the budget of `asker`.
    pub(crate) fn take(&self, what: Limited, asker: &Asker) -> Result<(), HttpProblem> {
        let (limit, name, per_minute) = match what {
            Limited::Create => (&self.limits.create, "create", self.config.create_per_minute),
            Limited::Token => (&self.limits.token, "token", self.config.tokens_per_minute),
            Limited::Search => (&self.limits.search, "search", self.config.searches_per_minute),
        };
        let taken = limit.lock().unwrap_or_else(PoisonError::into_inner).take(asker, Instant::now());
        taken.map_err(|wait| {
            self.metrics.rate_limited.get_or_create(&Label::of(name)).inc();
            let seconds = u32::try_from(wait.as_secs_f64().ceil() as u64).unwrap_or(60).max(1);
            HttpProblem::new(
                actix_web::http::StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests",
            )
            .detail(format!("{per_minute} a minute from one person or address"))
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

    /// Makes the change that `decide` says of `record`, if that is one also of the row as it is then, and announces it.
    /// The last outcome.
    pub(crate) async fn write(
        &self,
        id: BroadcastId,
        record: Option<&Record>,
        decide: impl Fn(Option<&Record>) -> Outcome + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        let mut outcome = decide(record);
        // Most reports change nothing, and keep nobody waiting.
        if record.is_none() || outcome.change.is_none() {
            return Ok(outcome);
        }
        let decided = &mut outcome;
        let again = |record: &Record| -> Result<Option<Change>, Infallible> {
            *decided = decide(Some(record));
            Ok(decided.change.clone())
        };
        match self.store.broadcasts.change(id, self.clock.now(), again).await? {
            None => Ok(decide(None)),
            Some(Ok(changed)) => {
                match changed.was {
                    Some(was) => self.changed(was.broadcast.status, &changed.record),
                    None => outcome.change = None,
                }
                Ok(outcome)
            }
        }
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

    /// Tells of a broadcast that is no longer there.
    pub(crate) fn deleted(&self, record: &Record) {
        tracing::info!(broadcast.id = record.broadcast.id.0, "broadcast deleted");
        self.announcer.announce_deleted(record);
    }

    /// Tells of a group that is new or different.
    pub(crate) fn group_changed(&self, record: &GroupRecord) {
        self.announcer.announce_group(record, false);
    }

    /// Tells of a group that is no longer there. The node that has its room open learns it from the answer to its next
    /// report.
    pub(crate) fn group_deleted(&self, record: &GroupRecord) {
        tracing::info!(group.id = %record.group.id, "group deleted");
        self.announcer.announce_group(record, true);
    }

    /// Counts and logs a failed database call.
    pub(crate) fn count_failure(&self, error: &StoreError) {
        let kind = match error {
            StoreError::Unavailable(why) => {
                tracing::debug!(error = %why, "the database is not available");
                "unavailable"
            }
            StoreError::Unwritable(why) => {
                tracing::debug!(error = %why, "the database takes no changes");
                // At once, and until a sweep has written something.
                self.suspect.store(true, Ordering::Relaxed);
                self.readiness.not_ready(CONDITION, "the database takes no changes");
                "unwritable"
            }
            StoreError::Failed(why) => {
                tracing::error!(error = %why, "a database call failed");
                self.suspect.store(true, Ordering::Relaxed);
                "failed"
            }
        };
        self.metrics.store_errors.get_or_create(&Label::of(kind)).inc();
    }
}
