//! The service: sockets, threads, tasks, and their end.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::id::NodeId;
use prometheus_client::registry::Registry;
use rand::RngExt as _;
use service_kit::config::ConfigError;
use service_kit::shutdown::CancellationToken;
use service_kit::{Readiness, Routes};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use transport::{Identity, IdentityError};

use crate::config::Config;
use crate::meta::MetaClient;
use crate::metrics::{Metrics, ShardCounters, ShardMetrics};
use crate::node::{MAX_STORES, Node, Parts, store_rules};
use crate::shard::{Around, Command, Prepared, ShardEvent, ShardSettings, plainly, prepare};
use crate::{addresses, http, load, report, signaling};

/// Events of shards that may wait for the control plane; shards keep what does not fit.
const MAX_SHARD_EVENTS: usize = 4_096;
/// Name of this service's readiness condition.
const CONDITION: &str = "sfu";
/// How often a drain looks whether everybody has gone.
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A media port cannot be opened.
    #[error("cannot open the media port {address} (setting `media_port`): {source}")]
    Media {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A media thread cannot be started.
    #[error("cannot start a media thread: {0}")]
    Thread(std::io::Error),
    /// There is no certificate for DTLS.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The client of the meta service cannot be made.
    #[error("cannot make the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// The running SFU service.
#[derive(Debug)]
pub struct SfuService {
    node: Arc<Node>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
    readiness: Readiness,
}

impl SfuService {
    /// Opens the media sockets and starts the data plane and the control plane's tasks. The service is ready when it
    /// returns; meta and signaling need not be there yet.
    ///
    /// # Errors
    /// [`StartError`] names the setting.
    pub async fn start(
        config: Config,
        registry: &mut Registry,
        readiness: Readiness,
    ) -> Result<Self, StartError> {
        Self::start_around(config, registry, readiness, plainly).await
    }

    /// The same, with every turn of a media thread's loop inside of `around`: for benchmarks that measure them.
    ///
    /// # Errors
    /// [`StartError`] names the setting.
    pub async fn start_around(
        config: Config,
        registry: &mut Registry,
        readiness: Readiness,
        around: Around,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let keys = config.token_keys()?;
        let id = config.node_id.clone().unwrap_or_else(|| NodeId::random(&mut rand::rng()));
        let meta = MetaClient::new(&config.meta_url, id.clone(), &config.public_url, keys.clone())?;
        let identity = Identity::generate()?;
        let machine = addresses::of_this_machine();
        let prepared = bind(&config, addresses::to_bind(&config, &machine))?;
        let announced =
            |shard: &Prepared| addresses::announced(&config, &machine, shard.socket().local_addr());
        let addresses: Vec<Vec<SocketAddr>> = prepared.iter().map(announced).collect();
        let shards: Vec<_> = prepared.iter().map(|shard| shard.handle().clone()).collect();
        let counters: Vec<ShardMetrics> = prepared
            .iter()
            .map(|shard| ShardMetrics { counters: Arc::default(), socket: shard.socket().clone() })
            .collect();
        let metrics = Metrics::register(registry, counters.clone());
        let measured = counters.clone();
        let signaling =
            signaling::Settings { url: config.signaling_url.clone(), node: id.clone(), keys: keys.clone() };
        let (stores, to_store) = mpsc::channel(MAX_STORES);
        let parts = Parts {
            config,
            id,
            keys,
            meta,
            metrics,
            identity: identity.clone(),
            shards: shards.clone(),
            addresses,
            stores,
        };
        let node = Arc::new(Node::new(parts));
        let (stop, failed) = (CancellationToken::new(), CancellationToken::new());

        let (events, received) = mpsc::channel(MAX_SHARD_EVENTS);
        let counters = counters.into_iter().map(|shard| shard.counters);
        let threads = spawn_shards(prepared, counters, &identity, around, &events, &stop, &failed)?;
        drop(events);

        let tasks = TaskTracker::new();
        let watched = |task| Watched { task, stop: stop.clone(), failed: failed.clone() };
        tasks.spawn(watched("events").run(take_events(node.clone(), received)));
        tasks.spawn(watched("report").run(report::run(node.clone(), stop.clone())));
        tasks.spawn(watched("calls").run(end_lost_calls(node.clone(), stop.clone())));
        tasks.spawn(watched("load").run(load::run(
            node.load.clone(),
            measured,
            node.metrics.clone(),
            stop.clone(),
        )));
        tasks.spawn(watched("rules").run(store_rules(node.clone(), to_store, stop.clone())));
        let changed = signaling::Changed { parts: node.changed.clone(), calls: node.said.clone() };
        let report_to_signaling =
            signaling::run(signaling, node.clone(), changed, node.metrics.clone(), stop.clone());
        tasks.spawn(watched("signaling").run(report_to_signaling));
        tasks.close();

        readiness.ready(CONDITION);
        tracing::info!(
            node.id = %node.id,
            shards = node.shards.len(),
            media_port = node.addresses.first().and_then(|list| list.first()).map_or(0, SocketAddr::port),
            "the SFU is ready"
        );
        Ok(Self { node, threads: Mutex::new(threads), tasks, stop, failed, readiness })
    }

    /// WHIP and WHEP.
    #[must_use]
    pub fn routes(&self) -> Routes {
        http::routes(self.node.clone())
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> &NodeId {
        &self.node.id
    }

    /// Every announced address of every media port: peers that a TURN relay has to allow.
    #[must_use]
    pub fn media_addresses(&self) -> Vec<SocketAddr> {
        self.node.addresses.iter().flatten().copied().collect()
    }

    /// Cancelled when a thread or task of the service ended by itself: the process should end, too.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// Not ready, no new sessions; every client is told that its session has ended (it comes again, elsewhere or after
    /// the restart); meta hears that the publishers are lost; then threads and tasks end. Takes at most `deadline`,
    /// and a moment for the threads.
    pub async fn drain(&self, deadline: Duration) {
        let end = Instant::now() + deadline;
        self.readiness.not_ready(CONDITION, "draining");
        self.node.start_draining();
        let removals = self.node.registry().remove_everything();
        tracing::info!(sessions = removals.len(), "draining");
        self.node.remove(removals);
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        // A handshake that ended just now may have brought one more.
        while self.node.registry().counts() != (0, 0) && left(end) > Duration::ZERO {
            tokio::time::sleep(DRAIN_POLL.min(left(end))).await;
        }
        let _ = tokio::time::timeout(left(end), report::once(&self.node, &mut false)).await;
        self.stop.cancel();
        for shard in &self.node.shards {
            let _ = shard.send(Command::Stop);
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        let _ = joined.await;
        let _ = tokio::time::timeout(left(end).max(DRAIN_POLL), self.tasks.wait()).await;
    }
}

impl Drop for SfuService {
    fn drop(&mut self) {
        self.stop.cancel();
        for shard in &self.node.shards {
            let _ = shard.send(Command::Stop);
        }
    }
}

/// Ports tried for one that is free for UDP and TCP.
const PORT_TRIES: usize = 16;

/// Opens the media port of each shard, for UDP on `ip`.
fn bind(config: &Config, ip: IpAddr) -> Result<Vec<Prepared>, StartError> {
    let shards = u16::try_from(config.shard_count()).unwrap_or(u16::MAX);
    let open = |index: u16| {
        let port = if config.media_port == 0 { 0 } else { config.media_port.saturating_add(index) };
        let address = SocketAddr::new(ip, port);
        // The number that is free for UDP may be taken for TCP: then another one is.
        let tries = if port == 0 { PORT_TRIES } else { 1 };
        let listen = config.ice_tcp.then_some(config.media_bind);
        let mut opened = open_port(address, listen);
        for _ in 1..tries {
            if opened.is_ok() {
                break;
            }
            opened = open_port(address, listen);
        }
        opened.map_err(|source| StartError::Media { address, source })
    };
    (0..shards).map(open).collect()
}

/// UDP on `address`, and TCP on the same port of `listen` if it is given.
fn open_port(address: SocketAddr, listen: Option<IpAddr>) -> std::io::Result<Prepared> {
    let socket =
        udp::Socket::bind_with(address, udp::Options { dont_fragment: true, ..udp::Options::default() })?;
    let listener = |ip| mio::net::TcpListener::bind(SocketAddr::new(ip, socket.local_addr().port()));
    let listener = listen.map(listener).transpose()?;
    prepare(socket, listener)
}

fn spawn_shards(
    prepared: Vec<Prepared>,
    counters: impl Iterator<Item = Arc<ShardCounters>>,
    identity: &Identity,
    around: Around,
    events: &mpsc::Sender<ShardEvent>,
    stop: &CancellationToken,
    failed: &CancellationToken,
) -> Result<Vec<std::thread::JoinHandle<()>>, StartError> {
    let handles: Vec<_> = prepared.iter().map(|shard| shard.handle().clone()).collect();
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let epoch = (Instant::now(), unix);
    let mut threads = Vec::with_capacity(prepared.len());
    for (index, (shard, counters)) in prepared.into_iter().zip(counters).enumerate() {
        let seed = rand::rng().random();
        let settings = ShardSettings { index, identity: identity.clone(), epoch, seed, counters, around };
        let (stop, failed) = (stop.clone(), failed.clone());
        let ended = move || {
            if !stop.is_cancelled() {
                tracing::error!(shard = index, "a media thread has ended by itself");
                failed.cancel();
            }
        };
        threads
            .push(shard.spawn(settings, handles.clone(), events.clone(), ended).map_err(StartError::Thread)?);
    }
    Ok(threads)
}

async fn take_events(node: Arc<Node>, mut events: mpsc::Receiver<ShardEvent>) {
    while let Some(event) = events.recv().await {
        node.shard_event(event);
    }
}

/// How often sessions of calls are looked at that nobody has resumed.
const LOST_CALLS: Duration = Duration::from_secs(1);

async fn end_lost_calls(node: Arc<Node>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(LOST_CALLS)).await.is_some() {
        node.end_lost_calls();
    }
}

/// A task whose end before `stop` is a failure of the service.
struct Watched {
    task: &'static str,
    stop: CancellationToken,
    failed: CancellationToken,
}

impl Watched {
    async fn run(self, task: impl Future<Output = ()>) {
        task.await;
        // Dropped here, or by a panic in the task.
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            tracing::error!(task = self.task, "a task of the SFU has ended by itself");
            self.failed.cancel();
        }
    }
}
