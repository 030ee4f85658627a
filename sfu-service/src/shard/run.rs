//! The thread of a shard: its loop, timers and commands.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use sfu_core::Served;
use slab::Slab;
use tokio::sync::mpsc;
use transport::Identity;

use super::command::{Command, Inbox, LayerError, ShardEvent, ShardHandle, inbox};
use super::data::Deliveries;
use super::io::{Io, SEND_BATCH};
use super::lane::Lanes;
use super::outbox::Outbox;
use super::owners::AddressOwners;
use super::participant::MediaPaths;
use super::portions::Portions;
use super::room::{Rooms, SourceKey};
use super::tcp::{LISTENER, Tcp};
use crate::end::EndReason;
use crate::metrics::ShardCounters;
use crate::registry::SessionKey;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// Receive calls before timers and commands get their turn again.
const RECV_ROUNDS: usize = 32;
/// How often publishers' media is reported to the control plane when nothing changes.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Longest sleep, in case nothing has a timer.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Runs each turn of a media thread's loop, given as a closure to be called once. For those who measure what a turn
/// costs; `plainly` only calls it.
pub type Around = fn(&mut dyn FnMut());

/// Just calls it.
pub(crate) fn plainly(turn: &mut dyn FnMut()) {
    turn();
}

/// What a shard is made of besides its socket.
#[derive(Debug, Clone)]
pub(crate) struct ShardSettings {
    /// Its number.
    pub(crate) index: usize,
    /// Certificate of the process.
    pub(crate) identity: Identity,
    /// A moment and the time of day at it; the same for all shards.
    pub(crate) epoch: (Instant, Duration),
    /// Start of its random numbers.
    pub(crate) seed: u64,
    /// Its counters.
    pub(crate) counters: Arc<ShardCounters>,
    /// What each turn of its loop runs in.
    pub(crate) around: Around,
}

/// A shard whose socket is bound and whose inbox takes commands, before its thread runs.
pub(crate) struct Prepared {
    poll: Poll,
    socket: Arc<udp::Socket>,
    tcp: Tcp,
    inbox: Inbox,
    handle: ShardHandle,
}

/// Registers a socket, and the listener beside it if there is one, and opens the inbox.
pub(crate) fn prepare(
    mut socket: udp::Socket,
    mut listener: Option<mio::net::TcpListener>,
) -> std::io::Result<Prepared> {
    let poll = Poll::new()?;
    if let Some(listener) = &mut listener {
        poll.registry().register(listener, LISTENER, Interest::READABLE)?;
    }
    let tcp = Tcp::new(poll.registry().try_clone()?, listener);
    socket.watch(&poll, SOCKET)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (handle, inbox) = inbox(waker);
    Ok(Prepared { poll, socket: Arc::new(socket), tcp, inbox, handle })
}

impl Prepared {
    /// Where commands go.
    pub(crate) fn handle(&self) -> &ShardHandle {
        &self.handle
    }

    /// The socket, for its counters.
    pub(crate) fn socket(&self) -> &Arc<udp::Socket> {
        &self.socket
    }

    /// Starts the thread. `shards` are all shards of the node in order, this one included; `ended` runs when the
    /// thread ends, whatever the cause.
    pub(crate) fn spawn(
        self,
        settings: ShardSettings,
        shards: Vec<ShardHandle>,
        events: mpsc::Sender<ShardEvent>,
        ended: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let name = format!("sfu-shard-{}", settings.index);
        std::thread::Builder::new().name(name).spawn(move || {
            let shard = ShardThread::new(self, settings, shards, events);
            // Sessions have a boundary of their own: what comes here is a fault of the loop itself.
            let _ = catch_unwind(AssertUnwindSafe(|| shard.run()));
            ended();
        })
    }
}

pub(super) struct ShardThread {
    poll: Poll,
    pub(super) inbox: Inbox,
    pub(super) settings: ShardSettings,
    local: SocketAddr,
    pub(super) core: sfu_core::Shard,
    pub(super) io: Io,
    pub(super) by_key: HashMap<SessionKey, usize>,
    pub(super) by_ufrag: HashMap<String, usize>,
    pub(super) by_address: AddressOwners,
    pub(super) timers: BinaryHeap<Reverse<(Instant, usize)>>,
    pub(super) outbox: Outbox,
    pub(super) deliveries: Deliveries,
    /// Whose turn it is to be sent what this shard has missed.
    pub(super) portions: Portions<SourceKey>,
    /// Packets that may be repeated for other shards in this turn.
    pub(super) may_repeat: usize,
    #[cfg(test)]
    pub(super) fault: Option<&'static str>,
    next_report: Instant,
    stopping: bool,
}

impl ShardThread {
    pub(super) fn new(
        prepared: Prepared,
        settings: ShardSettings,
        shards: Vec<ShardHandle>,
        events: mpsc::Sender<ShardEvent>,
    ) -> Self {
        settings.counters.clock.is_this_thread();
        let Prepared { poll, socket, tcp, inbox, .. } = prepared;
        let (epoch, unix) = settings.epoch;
        let core = sfu_core::Shard::new(sfu_core::ShardConfig { epoch, unix, seed: settings.seed });
        let local = socket.local_addr();
        let io = Io {
            socket,
            tcp,
            batch: udp::SendBatch::new(SEND_BATCH, udp::DEFAULT_MAX_DATAGRAM),
            participants: Slab::new(),
            paths: MediaPaths::default(),
            rooms: Rooms::default(),
            viewers: HashMap::new(),
            lanes: Lanes::new(shards),
            index: settings.index,
            may_ask: 0,
            sending: None,
            #[cfg(test)]
            fault: None,
            events: Vec::with_capacity(64),
            counters: settings.counters.clone(),
        };
        Self {
            poll,
            inbox,
            settings,
            local,
            core,
            io,
            by_key: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: AddressOwners::default(),
            timers: BinaryHeap::new(),
            outbox: Outbox::new(events),
            deliveries: Deliveries::default(),
            portions: Portions::default(),
            may_repeat: 0,
            #[cfg(test)]
            fault: None,
            next_report: epoch,
            stopping: false,
        }
    }

    fn run(mut self) {
        let mut recv = udp::RecvBatch::new();
        let mut ready = Events::with_capacity(64);
        let mut more = true;
        while !self.stopping {
            (self.settings.around)(&mut || more = self.turn(more, &mut ready, &mut recv));
        }
    }

    /// Waits, if nothing is known to be there, and does what there is to do; `true` if there may be more.
    fn turn(&mut self, more: bool, ready: &mut Events, recv: &mut udp::RecvBatch) -> bool {
        let sleep = if more { Duration::ZERO } else { self.sleep(Instant::now()) };
        if let Err(error) = self.io.socket.wait(&mut self.poll, ready, sleep)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            tracing::error!(shard = self.settings.index, %error, "a media thread cannot wait for its socket");
            self.stopping = true;
            return false;
        }
        while let Some(command) = self.inbox.command() {
            self.command(command, Instant::now());
        }
        ready.iter().for_each(|event| self.io.tcp.ready(event));
        let mut more = self.receive(recv) | self.take_messages(Instant::now());
        more |= self.receive_tcp(Instant::now());
        self.run_timers(Instant::now());
        more |= self.deliver(Instant::now());
        self.io.flush();
        self.io.lanes.flush();
        self.io.counters.show(&self.core.totals());
        self.outbox.flush();
        more
    }

    fn sleep(&self, now: Instant) -> Duration {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let next = [timer, self.core.poll_timeout(), Some(self.next_report)].into_iter().flatten().min();
        let sleep = next.map_or(MAX_SLEEP, |at| at.saturating_duration_since(now));
        // What the channel or another shard did not take is tried again soon.
        if self.outbox.is_empty() && self.io.lanes.is_clear() {
            sleep.min(MAX_SLEEP)
        } else {
            sleep.min(Duration::from_millis(10))
        }
    }

    /// Takes what the socket has; `true` if there may be more.
    fn receive(&mut self, recv: &mut udp::RecvBatch) -> bool {
        for _ in 0..RECV_ROUNDS {
            match self.io.socket.recv(recv) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                // An ICMP error of an earlier datagram, or a signal: the next call goes on.
                Err(_) => continue,
            }
            let now = Instant::now();
            for datagram in recv.iter_mut() {
                let local = datagram.to_ip.map_or(self.local, |ip| SocketAddr::new(ip, self.local.port()));
                self.datagram(datagram.from, local, datagram.data, now);
            }
            self.forward(now);
            self.io.flush();
            if !recv.is_full() {
                return false;
            }
        }
        true
    }

    /// Hands on what the core has taken in, viewer by viewer.
    pub(super) fn forward(&mut self, now: Instant) {
        if catch_unwind(AssertUnwindSafe(|| self.core.forward(now, &mut self.io))).is_err() {
            self.core_failed("forwarding failed", now);
        }
        self.handle_core_events(now);
    }

    /// A fault in the core, which says whom it was working for: that session ends.
    fn core_failed(&mut self, what: &'static str, now: Instant) {
        ShardCounters::add(&self.io.counters.panics, 1);
        tracing::error!(shard = self.settings.index, "{what}");
        let served = self.core.take_served();
        if let Some(peer) = self.io.sending.take() {
            return self.end_faulty(peer.0 as usize, now);
        }
        match served {
            Some(Served::Publisher(id)) => {
                if let Some(key) = self.io.rooms.of_core(id) {
                    self.give_up(key, now);
                }
            }
            Some(Served::Subscriber(id)) => {
                if let Some(&slot) = self.io.viewers.get(&id) {
                    self.end_faulty(slot, now);
                }
            }
            None => {}
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(&Reverse((at, slot))) = self.timers.peek().filter(|Reverse((at, _))| *at <= now) {
            self.timers.pop();
            let Some(participant) = self.io.participants.get_mut(slot) else { continue };
            if participant.timer != Some(at) {
                continue;
            }
            participant.timer = None;
            self.guarded(slot, now, |shard| {
                if let Some(participant) = shard.io.participants.get_mut(slot) {
                    participant.transport.handle_timeout(now);
                }
                shard.drain_transport(slot, now);
            });
        }
        self.run_core(now);
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            self.io.tcp.sweep(now);
            let homed: Vec<SourceKey> = self.io.rooms.homed().collect();
            homed.into_iter().for_each(|key| self.report_media(key, now));
        }
    }

    /// Does what the core has due.
    pub(super) fn run_core(&mut self, now: Instant) {
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            if catch_unwind(AssertUnwindSafe(|| self.core.handle_timeout(now, &mut self.io))).is_err() {
                self.core_failed("the timers of the media core failed", now);
            }
            self.handle_core_events(now);
        }
    }

    pub(super) fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Join(join, reply) => {
                let joined = self.join_guarded(*join, now);
                // Nobody waits any more if the client has gone.
                let _ = reply.send(joined.ok_or_else(|| "a fault inside".to_owned()));
            }
            Command::Leave(key, reason) => {
                if let Some(&slot) = self.by_key.get(&key) {
                    self.guarded(slot, now, |shard| shard.close(slot, reason, now));
                }
            }
            Command::RestartIce { key, local, remote, reply } => {
                let Some(&slot) = self.by_key.get(&key) else {
                    let _ = reply.send(Err("the session has ended".to_owned()));
                    return;
                };
                // A fault drops the answer with the session.
                self.guarded(slot, now, |shard| {
                    shard.restart_ice(slot, &local, &remote, now);
                    let _ = reply.send(Ok(()));
                });
            }
            Command::ChooseLayers { key, change, reply } => {
                let Some(&slot) = self.by_key.get(&key) else {
                    let _ = reply.send(Err(LayerError::Ended));
                    return;
                };
                self.guarded(slot, now, |shard| {
                    let _ = reply.send(shard.choose_layers(slot, change.as_ref(), now));
                });
            }
            Command::Stop => {
                let slots: Vec<usize> = self.by_key.values().copied().collect();
                slots.into_iter().for_each(|slot| {
                    self.guarded(slot, now, |shard| shard.close(slot, EndReason::Shutdown, now))
                });
                self.io.flush();
                self.stopping = true;
            }
        }
    }

    /// Where a test may have a fault happen.
    #[cfg(test)]
    pub(super) fn fault_point(&mut self, name: &'static str) {
        if self.fault == Some(name) {
            self.fault = None;
            panic!("a fault of the test");
        }
    }

    #[cfg(not(test))]
    pub(super) fn fault_point(&mut self, _: &'static str) {}
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
