//! The TURN relay as a service: sockets, threads and metrics around the state machine of `turn-proto`.
//!
//! ```no_run
//! # async fn f() -> Result<(), turn_relay::StartError> {
//! let mut registry = prometheus_client::registry::Registry::default();
//! let config = turn_relay::Config {
//!     public_ips: vec!["198.51.100.7".parse().expect("an address")],
//!     secret: service_kit::config::Secret::new("shared with meta".to_owned()),
//!     ..turn_relay::Config::default()
//! };
//! let relay = turn_relay::TurnRelay::start(config, &mut registry).await?;
//! println!("TURN on {:?}", relay.listen_addrs());
//! relay.drain(std::time::Duration::from_secs(10)).await;
//! # Ok(()) }
//! ```

mod admission;
pub mod check;
mod config;
pub mod doctor;
mod dtls;
mod listen;
mod metrics;
mod process;
mod refusals;
mod relaying;
pub mod reload;
mod source;
mod tcp;
mod tls;
mod worker;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};
use tokio::sync::{oneshot, watch};

pub use config::{Config, Limits, MediaPorts, ParseMediaPortsError, ParsePortRangeError, PortRange, User};

pub use tls::{Certificate, CertificateError};
pub use turn_proto::Transport;

use admission::Admission;
use listen::Addresses;
use metrics::Metrics;
use relaying::Parked;
use tls::InUse;
use worker::{Common, Handle, Listeners, Order, Worker};

/// Why the relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] service_kit::config::ConfigError),
    /// A setting is wrong in a way that only the state machine sees.
    #[error(transparent)]
    Proto(#[from] turn_proto::ConfigError),
    /// A client address cannot be opened.
    #[error("cannot listen on {address}/{} (setting `{setting}`): {source}", .transport.name())]
    Listen {
        /// The setting.
        setting: &'static str,
        /// The transport.
        transport: Transport,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A relay address cannot be used.
    #[error("cannot use the relay address {address} (setting `public_ips`): {source}")]
    Relay {
        /// The address.
        address: IpAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The event loop or its thread cannot be made, or the system has no randomness.
    #[error("cannot start the relay thread: {0}")]
    Thread(#[source] io::Error),
}

/// A running TURN relay. It owns its threads: dropping it stops them and waits for them.
#[derive(Debug)]
pub struct TurnRelay {
    listen: Addresses,
    certificate: InUse,
    workers: Vec<Running>,
    failed: watch::Receiver<bool>,
}

struct Running {
    handle: Handle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running")
    }
}

/// Open client sockets, before the relay runs: the addresses are known, and what depends on other services can
/// still be set.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    /// One for each thread.
    listeners: Vec<Listeners>,
    addresses: Addresses,
    certificate: InUse,
}

impl Bound {
    /// The UDP addresses for clients, in the order of the settings, with the ports that were taken for 0.
    #[must_use]
    pub fn listen_addrs(&self) -> Vec<SocketAddr> {
        self.addresses.of(Transport::Udp).to_vec()
    }

    /// The addresses for clients of one transport, in the order of the settings.
    #[must_use]
    pub fn addresses(&self, transport: Transport) -> &[SocketAddr] {
        self.addresses.of(transport)
    }

    /// Allows these media ports of an SFU as peers, besides those in the settings.
    pub fn allow_media(&mut self, ports: &[SocketAddr]) {
        self.config.media.extend(ports.iter().map(|port| MediaPorts::from(*port)));
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`StartError`] names the setting.
    pub fn start(self, registry: &mut Registry) -> Result<TurnRelay, StartError> {
        let Self { config, listeners, addresses, certificate } = self;
        let mut binds = HashMap::new();
        for address in &config.public_ips {
            let bind = worker::bind_address(*address)
                .map_err(|source| StartError::Relay { address: *address, source })?;
            if bind.is_unspecified() {
                tracing::info!("a relay address is not of this machine: relay sockets take all addresses");
            }
            binds.insert(*address, bind);
        }

        let rng = || StdRng::try_from_rng(&mut SysRng).map_err(|e| StartError::Thread(io::Error::other(e)));
        let (now, unix, settings) = (Instant::now(), service_kit::unix_now(), config.proto());
        let shared = turn_proto::Shared::new(&settings, &mut rng()?, now)?;
        let common = Common {
            binds,
            parked: Parked::default(),
            admission: Admission::new(&config.limits),
            certificate: certificate.clone(),
            metrics: Metrics::register(registry),
        };
        let (failure, failed) = watch::channel(false);
        let mut relay = TurnRelay { listen: addresses, certificate, workers: Vec::new(), failed };
        for (index, listeners) in listeners.into_iter().enumerate() {
            let server = turn_proto::Server::with_shared(settings.clone(), &shared, rng()?, now, unix)?;
            let (worker, handle) =
                Worker::new(listeners, server, common.clone()).map_err(StartError::Thread)?;
            let failure = failure.clone();
            let thread = std::thread::Builder::new()
                .name(format!("turn-{index}"))
                .spawn(move || run(worker, &failure))
                .map_err(StartError::Thread)?;
            relay.workers.push(Running { handle, thread: Mutex::new(Some(thread)) });
        }
        Ok(relay)
    }
}

impl TurnRelay {
    /// Validates and opens the client sockets.
    ///
    /// # Errors
    /// [`StartError`] names the setting.
    pub fn bind(config: Config) -> Result<Bound, StartError> {
        config.validate()?;
        // Each allocation is a socket, and each socket a file.
        let _ = udp::raise_file_limit();
        let certificate = InUse::default();
        if let Some(found) = Certificate::of(&config)? {
            certificate.set(found);
        }
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            threads => threads,
        };
        let (listeners, addresses) = listen::open(&config, threads)?;
        Ok(Bound { config, listeners, addresses, certificate })
    }

    /// Both steps in one.
    ///
    /// # Errors
    /// [`StartError`] names the setting.
    pub async fn start(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        Self::bind(config)?.start(registry)
    }

    /// The UDP addresses for clients, in the order of the settings, with the ports that were taken for 0.
    #[must_use]
    pub fn listen_addrs(&self) -> &[SocketAddr] {
        self.listen.of(Transport::Udp)
    }

    /// The addresses for clients of one transport, in the order of the settings.
    #[must_use]
    pub fn addresses(&self, transport: Transport) -> &[SocketAddr] {
        self.listen.of(transport)
    }

    /// Uses this certificate for connections that begin from now on.
    pub fn set_certificate(&self, certificate: Certificate) {
        self.certificate.set(certificate);
    }

    /// Resolves when a thread ended by itself: the service has failed, live allocations are gone.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // Every thread ended as it was told to: that is no failure.
            std::future::pending::<()>().await;
        }
    }

    /// Takes over secrets, users and the certificate of changed settings. Allocations of a secret or user that is gone
    /// end at once. Other settings wait for a restart: [`reload::needs_restart`] names them.
    ///
    /// # Errors
    /// The settings are wrong, or the certificate cannot be read; everything stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        config.validate()?;
        if let Some(found) = Certificate::of(config)? {
            self.certificate.set(found);
        }
        for worker in &self.workers {
            worker.handle.give(Order::Credentials(config.secrets(), config.static_users()));
        }
        Ok(())
    }

    /// Takes no new allocations, waits until the live ones have ended or `deadline` has passed, and stops.
    pub async fn drain(&self, deadline: Duration) {
        let drained = async {
            let drain = |worker: &Running| {
                let (sender, done) = oneshot::channel();
                worker.handle.give(Order::Drain(sender));
                done
            };
            // All of them stop taking new ones before the first is waited for.
            let drains: Vec<_> = self.workers.iter().map(drain).collect();
            for done in drains {
                // A worker that is gone has nothing to drain.
                let _ = done.await;
            }
        };
        if tokio::time::timeout(deadline, drained).await.is_err() {
            tracing::info!("the drain deadline has passed: live allocations end now");
        }
        self.stop();
    }

    /// Stops the threads, which look at their orders at once, and waits for them.
    fn stop(&self) {
        for worker in &self.workers {
            worker.handle.give(Order::Stop);
        }
        for worker in &self.workers {
            let thread = worker.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a relay thread had failed");
            }
        }
    }
}

impl Drop for TurnRelay {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A thread's life. An end that nobody asked for, a panic included, is told to whoever waits for
/// [`TurnRelay::failed`].
fn run(worker: Worker, failure: &watch::Sender<bool>) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run()));
    let why = match result {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "a panic".to_owned(),
    };
    tracing::error!(error = why, "the relay thread has failed");
    failure.send_replace(true);
}
