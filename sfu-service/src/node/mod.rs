//! What everything on a node shares: settings, clients, shards, the registry. Its submodules are what the HTTP
//! endpoints and the shards do with it.
//!
//! ```text
//! open     a publisher or a viewer comes     session  PATCH and DELETE of a session
//! events   what the shards say               links    the ICE servers of an answer
//! layers   which encodings go where                call     participants of calls come, change and go
//! home     the state of the rooms of calls
//! ```

mod call;
mod events;
mod home;
mod layers;
mod links;
mod open;
mod problem;
mod session;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::id::{BroadcastId, NodeId};
use contract::token::TokenKeys;
use rand::RngExt as _;
use service_kit::HttpProblem;
use tokio::sync::{Notify, mpsc};
use transport::sdp::Local;
use transport::{IceCredentials, Identity};

pub(crate) use self::call::Caller;
use self::home::Asks;
pub(crate) use self::home::{MAX_STORES, Store, store_rules};
pub(crate) use self::open::{Opened, Viewer};
use self::problem::{RETRY_AFTER, overloaded, refused};
pub(crate) use self::session::{Patched, SessionView};
use crate::config::Config;
use crate::homes::Homes;
use crate::load::Load;
use crate::meta::MetaClient;
use crate::metrics::{Metrics, Reason};
use crate::registry::{Registry, Removal};
use crate::shard::{Command, ShardHandle};

/// Longest wait for a shard to take a session in.
const SHARD_TIMEOUT: Duration = Duration::from_secs(2);

/// WHIP or WHEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Publishing.
    Whip,
    /// Playing.
    Whep,
}

/// What everything on this node shares.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) id: NodeId,
    pub(crate) keys: TokenKeys,
    pub(crate) meta: MetaClient,
    pub(crate) metrics: Metrics,
    pub(crate) identity: Identity,
    pub(crate) shards: Vec<ShardHandle>,
    /// Announced addresses of each shard.
    pub(crate) addresses: Vec<Vec<SocketAddr>>,
    /// Something that signaling should hear of has changed.
    pub(crate) changed: Arc<Notify>,
    /// There may be something to tell signaling of the rooms of calls.
    pub(crate) said: Arc<Notify>,
    /// Something that meta should hear of at once has changed.
    pub(crate) report_now: Arc<Notify>,
    /// What the data plane does now.
    pub(crate) load: Arc<Load>,
    registry: Mutex<Registry>,
    /// Locked after the registry where both are.
    homes: Mutex<Homes>,
    asks: Asks,
    stores: mpsc::Sender<Store>,
    draining: AtomicBool,
}

/// What a [`Node`] is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) id: NodeId,
    pub(crate) keys: TokenKeys,
    pub(crate) meta: MetaClient,
    pub(crate) metrics: Metrics,
    pub(crate) identity: Identity,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) addresses: Vec<Vec<SocketAddr>>,
    /// What is read by [`store_rules`].
    pub(crate) stores: mpsc::Sender<Store>,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, id, keys, meta, metrics, identity, shards, addresses, stores } = parts;
        let registry = Mutex::new(Registry::new(shards.len(), config.limits.clone()));
        let load = Arc::new(Load::new(shards.len()));
        Self {
            config,
            id,
            keys,
            meta,
            metrics,
            identity,
            shards,
            addresses,
            changed: Arc::default(),
            said: Arc::default(),
            report_now: Arc::default(),
            load,
            registry,
            homes: Mutex::default(),
            asks: Asks::default(),
            stores,
            draining: AtomicBool::new(false),
        }
    }

    /// From now on no session is opened.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether no session is opened any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The registry. Held for moments only, never across an await.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a request and counts it if it is refused.
    pub(crate) async fn counted<T>(
        &self,
        request: impl Future<Output = Result<T, HttpProblem>>,
    ) -> Result<T, HttpProblem> {
        let result = request.await;
        if let Err(problem) = &result {
            let reason = match problem.problem().status {
                400 => "malformed",
                401 | 403 => "unauthorized",
                404 => "not_found",
                406 => "not_acceptable",
                408 => "timeout",
                409 | 410 => "conflict",
                412 | 428 => "precondition",
                413 => "too_large",
                415 => "media_type",
                429 => "half_open",
                503 => "unavailable",
                _ => "other",
            };
            self.metrics.refused.get_or_create(&Reason { reason }).inc();
        }
        result
    }

    /// Refuses early when the node is full or leaving, or when `source` has too many sessions that do not connect.
    pub(crate) fn require_capacity(
        &self,
        resource: Resource,
        broadcast: BroadcastId,
        source: IpAddr,
    ) -> Result<(), HttpProblem> {
        if self.is_draining() {
            return Err(HttpProblem::unavailable("this server is being restarted", RETRY_AFTER));
        }
        let registry = self.registry();
        let may_come = match resource {
            Resource::Whip => registry.may_publish(broadcast, source),
            Resource::Whep => registry.may_play(source),
        };
        may_come.map_err(refused)?;
        // Whoever comes back is waited for by viewers, whose load was taken before.
        if resource == Resource::Whip && !registry.playable(broadcast).is_empty() {
            return Ok(());
        }
        match self.load.exceeded(&self.config.limits, registry.emptiest()) {
            None => Ok(()),
            Some(limit) => Err(overloaded(limit)),
        }
    }

    /// Our side of a new session.
    fn local(&self, addresses: Vec<SocketAddr>) -> Local {
        Local {
            session_id: rand::rng().random::<u64>() >> 1,
            version: 1,
            ice: IceCredentials::random(&mut rand::rng()),
            fingerprint: self.identity.fingerprint().clone(),
            tcp_addresses: if self.config.ice_tcp { addresses.clone() } else { Vec::new() },
            addresses,
        }
    }

    /// Takes sessions from their shards.
    pub(crate) fn remove(&self, removals: impl IntoIterator<Item = Removal>) {
        for removal in removals {
            self.tell(removal.shard, Command::Leave(removal.key, removal.reason));
        }
        self.update_gauges();
        self.changed.notify_one();
    }

    /// Tells a shard something that is always taken.
    fn tell(&self, shard: usize, command: Command) {
        if let Some(shard) = self.shards.get(shard) {
            let _ = shard.send(command);
        }
    }

    fn update_gauges(&self) {
        let (publishers, viewers) = self.registry().counts();
        self.metrics.set_sessions(publishers, viewers);
    }
}

fn new_etag() -> String {
    format!("\"{:032x}\"", rand::rng().random::<u128>())
}
