//! One thread: client sockets, its relay sockets, one state machine, one event loop. Threads share the books of
//! `turn-proto`, parked sockets and metrics, and none of them for a packet; the kernel spreads clients over them
//! (`SO_REUSEPORT`) and keeps each client with one.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use contract::turn::TurnSecret;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Waker};
use rand::rngs::StdRng;
use turn_proto::{
    ClientAddr, Command, Event, FiveTuple, PeerAddr, Reason, Server, StaticUser, Stats, Transport,
};
use udp::{RecvBatch, SendBatch, Socket};

use crate::admission::Admission;
use crate::dtls::Sessions;
use crate::metrics::{Metrics, Unsent};
use crate::refusals::Refusals;
use crate::relaying::{MAX_DATAGRAM, Parked, Relaying, SEND_BATCH};
use crate::source::Source;
use crate::tcp::{Left, Streams};
use crate::tls::InUse;

/// Receive calls on one socket before the others have their turn.
const MAX_RECV_CALLS: usize = 4;

/// Errors of one socket in a row before it is left alone until its next datagram.
const MAX_RECV_ERRORS: usize = 64;

/// Longest sleep: the wall clock is looked at this often, and counters are never older.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Counters are published this often at most: adding them up costs as much as a packet does.
const PUBLISH_EVERY: Duration = Duration::from_millis(10);

/// What the owner of a worker asks of it.
pub(crate) enum Order {
    /// Take no new allocations; answer when none is left.
    Drain(tokio::sync::oneshot::Sender<()>),
    /// Take these secrets and users instead of those before; allocations of what is gone end.
    Credentials(Vec<TurnSecret>, Vec<StaticUser>),
    /// End now.
    Stop,
}

/// The sockets for clients of one thread, open.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// UDP and DTLS.
    pub(crate) datagrams: Vec<(Socket, Transport)>,
    /// TCP and TLS.
    pub(crate) streams: Vec<(TcpListener, Transport)>,
}

/// What the threads of one relay share.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// Where a relay address is bound.
    pub(crate) binds: HashMap<IpAddr, IpAddr>,
    pub(crate) parked: Parked,
    pub(crate) admission: Admission,
    pub(crate) certificate: InUse,
    pub(crate) metrics: Metrics,
}

/// A worker before its thread runs.
pub(crate) struct Worker {
    poll: Poll,
    relaying: Relaying,
    clients: ToClients,
    streams: Streams,
    sessions: Sessions,
    orders: mpsc::Receiver<Order>,
    drained: Vec<tokio::sync::oneshot::Sender<()>>,
    metrics: Metrics,
    published: Stats,
    /// When counters are published again, and when slow work is looked at again.
    publish_at: Instant,
    tick_at: Instant,
    refusals: Refusals,
    /// What had more to read than its turn allowed.
    unread: Vec<Source>,
    /// What could not be served for want of means, until the next tick.
    later: Vec<Source>,
    recv: RecvBatch,
}

/// The owner's end of a worker.
#[derive(Clone)]
pub(crate) struct Handle {
    orders: mpsc::Sender<Order>,
    waker: std::sync::Arc<Waker>,
}

impl Handle {
    /// Gives an order; a worker that is gone takes none.
    pub(crate) fn give(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            // A worker that is not woken still looks every second.
            let _ = self.waker.wake();
        }
    }
}

impl Worker {
    pub(crate) fn new(
        listeners: Listeners,
        server: Server<StdRng>,
        common: Common,
    ) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let mut sockets = listeners.datagrams;
        for (index, (socket, _)) in sockets.iter_mut().enumerate() {
            poll.registry().register(socket, Source::Client(index).token(), Interest::READABLE)?;
        }
        let Common { binds, parked, admission, certificate, metrics } = common;
        let token = |index| Source::Listener(index).token();
        let streams =
            Streams::new(listeners.streams, admission.clone(), certificate.clone(), poll.registry(), token)?;
        let waker = std::sync::Arc::new(Waker::new(poll.registry(), Source::Waker.token())?);
        let (sender, orders) = mpsc::channel();
        let published = *server.stats();
        let registry = poll.registry().try_clone()?;
        let worker = Self {
            poll,
            relaying: Relaying::new(server, registry, binds, parked),
            clients: ToClients::new(sockets),
            streams,
            sessions: Sessions::new(admission, certificate),
            orders,
            drained: Vec::new(),
            metrics,
            published,
            publish_at: Instant::now(),
            tick_at: Instant::now(),
            refusals: Refusals::default(),
            unread: Vec::new(),
            later: Vec::new(),
            recv: RecvBatch::new(),
        };
        Ok((worker, Handle { orders: sender, waker }))
    }

    /// Runs until it is told to stop or the poll fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut unread = Vec::new();
        loop {
            let timeout = self.sleep(Instant::now());
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.tick(Instant::now());
            std::mem::swap(&mut unread, &mut self.unread);
            for source in unread.drain(..) {
                self.serve(source);
            }
            for event in &events {
                let source = Source::of(event.token());
                if let (Source::Relay(slot), true) = (source, event.is_error()) {
                    self.relaying.read_errors(slot, Instant::now());
                }
                self.serve(source);
            }
            let now = Instant::now();
            self.handle_timeouts(now);
            self.settle();
            self.log();
            if now >= self.publish_at {
                self.publish_at = now + PUBLISH_EVERY;
                self.publish();
            }
            let stop = self.take_orders();
            if self.relaying.server.allocations() == 0 {
                for done in self.drained.drain(..) {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
            }
            if stop {
                self.publish();
                // What still lives ends with the sockets.
                self.metrics.ended(self.relaying.server.allocations());
                return Ok(());
            }
        }
    }

    fn serve(&mut self, source: Source) {
        let now = Instant::now();
        let left = match source {
            Source::Waker => Left::Nothing,
            Source::Client(index) => self.read_client(index, now),
            Source::Relay(slot) => self.read_relay(slot, now),
            Source::Listener(index) => {
                let token = |key| Source::Stream(key).token();
                self.streams.accept(index, now, self.poll.registry(), token)
            }
            Source::Stream(key) => {
                let left = self.streams.ready(key, &mut self.relaying, now);
                self.obey();
                left
            }
        };
        match left {
            Left::Nothing => {}
            Left::More => self.unread.push(source),
            Left::Later => self.later.push(source),
        }
    }

    /// What is looked at now and then only: the wall clock, and what waits for means.
    fn tick(&mut self, now: Instant) {
        if now >= self.tick_at {
            self.tick_at = now + MAX_SLEEP;
            self.relaying.server.set_wall_clock(now, service_kit::unix_now());
            self.unread.append(&mut self.later);
        }
    }

    fn sleep(&self, now: Instant) -> Duration {
        if !self.unread.is_empty() {
            return Duration::ZERO;
        }
        // Counters wake nobody: they are published when something else does, which is within MAX_SLEEP.
        let timeouts =
            [self.relaying.server.poll_timeout(), self.streams.poll_timeout(), self.sessions.poll_timeout()];
        let next = timeouts.into_iter().flatten().min();
        next.map_or(MAX_SLEEP, |at| at.saturating_duration_since(now).min(MAX_SLEEP))
    }

    fn handle_timeouts(&mut self, now: Instant) {
        let Self { relaying, clients, streams, sessions, .. } = self;
        relaying.server.handle_timeout(now);
        streams.handle_timeout(relaying, now);
        sessions.handle_timeout(now, relaying, &mut |to, datagram| clients.push_slice(to, datagram));
    }

    /// Carries out everything that was decided, and sends everything that waits.
    fn settle(&mut self) {
        self.obey();
        self.streams.flush(&mut self.relaying);
        // A connection that failed meanwhile has ended its allocation.
        self.obey();
        self.relaying.flush();
        self.clients.flush();
    }

    /// True when the worker must end.
    fn take_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Drain(done)) => {
                    self.relaying.server.set_draining(true);
                    self.drained.push(done);
                }
                Ok(Order::Credentials(secrets, users)) => {
                    self.relaying.server.set_credentials(secrets, users);
                    self.settle();
                    self.log();
                    self.publish();
                }
                Err(mpsc::TryRecvError::Empty) => return false,
                Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Reads a client socket and forwards what is for peers.
    fn read_client(&mut self, index: usize, now: Instant) -> Left {
        for _ in 0..MAX_RECV_CALLS {
            let Self { relaying, clients, sessions, recv, .. } = self;
            let Some((socket, transport)) = clients.sockets.get(index) else { return Left::Nothing };
            if recv.receive(socket).is_none() {
                return Left::Nothing;
            }
            let (local, transport) = (socket.local_addr(), *transport);
            for datagram in recv.iter_mut() {
                let from = FiveTuple {
                    transport,
                    client: ClientAddr(datagram.from),
                    server: SocketAddr::new(datagram.to_ip.unwrap_or(local.ip()), local.port()),
                };
                if transport == Transport::Dtls {
                    let out = &mut |to: &FiveTuple, data: &[u8]| clients.push_slice(to, data);
                    sessions.receive(datagram.data, from, now, relaying, out);
                } else {
                    relaying.receive(datagram.data, from, now);
                }
            }
            relaying.flush();
            let more = recv.is_full();
            self.obey();
            if !more {
                return Left::Nothing;
            }
        }
        Left::More
    }

    /// Reads a relay socket and forwards what its client may have.
    fn read_relay(&mut self, slot: usize, now: Instant) -> Left {
        let Self { relaying, clients, streams, sessions, recv, .. } = self;
        for _ in 0..MAX_RECV_CALLS {
            let Some((relay, socket)) = relaying.in_slot(slot) else { return Left::Nothing };
            if recv.receive(socket).is_none() {
                return Left::Nothing;
            }
            let relay = *relay;
            for datagram in recv.iter_mut() {
                let payload = &*datagram.data;
                let peer = PeerAddr(datagram.from);
                let Some(to) = relaying.server.handle_peer(payload.len(), relay, peer, now) else { continue };
                match to.to.transport {
                    Transport::Udp => {
                        clients.push(&to.to, |out| to.header.write_message(payload, out).unwrap_or(0));
                    }
                    Transport::Tcp | Transport::Tls => {
                        if !streams.send_data(&to.to, &to.header, payload) {
                            relaying.unsent.full += 1;
                        }
                    }
                    Transport::Dtls => {
                        let out = &mut |to: &FiveTuple, data: &[u8]| clients.push_slice(to, data);
                        sessions.send_data(&to.to, &to.header, payload, now, relaying, out);
                    }
                }
            }
            if !recv.is_full() {
                return Left::Nothing;
            }
        }
        Left::More
    }

    /// Does what the state machine asks for.
    fn obey(&mut self) {
        let Self { relaying, clients, streams, sessions, .. } = self;
        while let Some(command) = relaying.server.poll_command() {
            match command {
                Command::Send { to, message } => match to.transport {
                    Transport::Udp => clients.push_slice(&to, &message),
                    Transport::Tcp | Transport::Tls => streams.send_answer(&to, &message, relaying),
                    Transport::Dtls => {
                        let out = &mut |to: &FiveTuple, data: &[u8]| clients.push_slice(to, data);
                        sessions.send_answer(&to, &message, Instant::now(), relaying, out);
                    }
                },
                Command::OpenRelay { relay, address } => relaying.open(relay, address),
                Command::CloseRelay { relay } => relaying.close(relay),
                Command::ParkRelay { relay, address } => relaying.park(relay, address),
                Command::UnparkRelay { relay, address } => relaying.unpark(relay, address),
                Command::CloseParked { address } => relaying.close_parked(address),
                Command::Idle { client } => {
                    let now = Instant::now();
                    streams.idle(&client, now);
                    sessions.idle(&client, now);
                }
            }
        }
    }

    fn log(&mut self) {
        while let Some(event) = self.relaying.server.poll_event() {
            match event {
                Event::Created { tuple, username } => {
                    tracing::info!("allocation made");
                    tracing::debug!(client.addr = %tuple.client.0, user = %username, "allocation made for");
                }
                Event::Closed { tuple, reason } => {
                    tracing::info!(turn.reason = ?reason, "allocation ended");
                    tracing::debug!(client.addr = %tuple.client.0, "allocation ended for");
                }
                Event::Refused { tuple, refusal } => {
                    let code = refusal.code.code();
                    // Every client's first request is refused like this: nothing to read about. Of the others as
                    // many are told as fit a log that strangers must not fill.
                    if matches!(refusal.reason, Reason::NoCredentials | Reason::StaleNonce) {
                        tracing::trace!(turn.code = code, client.addr = %tuple.client.0, "{refusal}");
                    } else {
                        if let Some(unsaid) = self.refusals.may_say(Instant::now()) {
                            tracing::info!(turn.code = code, turn.unsaid = unsaid, "{refusal}");
                        }
                        tracing::debug!(turn.code = code, client.addr = %tuple.client.0, "{refusal}");
                    }
                }
            }
        }
    }

    fn publish(&mut self) {
        let now = *self.relaying.server.stats();
        let mut unsent = std::mem::take(&mut self.relaying.unsent);
        let to_clients = std::mem::take(&mut self.clients.unsent);
        (unsent.full, unsent.failed) = (unsent.full + to_clients.full, unsent.failed + to_clients.failed);
        if now != self.published || unsent.full + unsent.failed > 0 {
            self.metrics.publish(&self.published, &now, unsent);
            self.published = now;
        }
    }
}

/// Where a relay address is bound: as it is if this machine has it, else all addresses of its family (the
/// address is then a NAT's, which forwards to this machine).
pub(crate) fn bind_address(announced: IpAddr) -> io::Result<IpAddr> {
    match std::net::UdpSocket::bind(SocketAddr::new(announced, 0)) {
        Ok(_) => Ok(announced),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(match announced {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        }),
        Err(error) => Err(error),
    }
}

trait Receive {
    /// Fills the batch; `None` when there is nothing more to read now.
    fn receive(&mut self, socket: &Socket) -> Option<()>;
}

impl Receive for RecvBatch {
    fn receive(&mut self, socket: &Socket) -> Option<()> {
        for _ in 0..MAX_RECV_ERRORS {
            match socket.recv(self) {
                Ok(_) => return Some(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // An interruption, or an ICMP error of an earlier datagram, which reading has cleared; what
                // waits behind it must be read, because the event does not come again.
                Err(error) => tracing::debug!(%error, "receiving failed"),
            }
        }
        None
    }
}

/// Datagrams on their way to clients, and the sockets that they leave from.
struct ToClients {
    sockets: Vec<(Socket, Transport)>,
    batch: SendBatch,
    /// The socket that the batch leaves from.
    run: Option<usize>,
    unsent: Unsent,
}

impl ToClients {
    fn new(sockets: Vec<(Socket, Transport)>) -> Self {
        let batch = SendBatch::new(SEND_BATCH, MAX_DATAGRAM);
        Self { sockets, batch, run: None, unsent: Unsent::default() }
    }

    /// Adds a datagram that `write` writes and returns the length of.
    fn push(&mut self, to: &FiveTuple, write: impl FnOnce(&mut [u8]) -> usize) {
        let Some(index) = self.socket(to) else {
            self.unsent.failed += 1;
            return;
        };
        if self.run != Some(index) || self.batch.len() == SEND_BATCH {
            self.flush();
            self.run = Some(index);
        }
        let from = Some(to.server.ip()).filter(|ip| !ip.is_unspecified());
        if self.batch.push(to.client.0, from, write).is_err() {
            self.unsent.failed += 1;
        }
    }

    fn push_slice(&mut self, to: &FiveTuple, datagram: &[u8]) {
        self.push(to, |out| match out.get_mut(..datagram.len()) {
            Some(out) => {
                out.copy_from_slice(datagram);
                datagram.len()
            }
            None => 0,
        });
    }

    fn flush(&mut self) {
        match self.run.and_then(|run| self.sockets.get(run)) {
            Some((socket, _)) if !self.batch.is_empty() => {
                let sent = self.batch.flush(socket);
                self.unsent.full += sent.dropped as u64;
                self.unsent.failed += sent.failed as u64;
            }
            _ => {}
        }
    }

    /// The socket that a client talks to.
    fn socket(&self, to: &FiveTuple) -> Option<usize> {
        self.sockets.iter().position(|(socket, transport)| {
            let local = socket.local_addr();
            *transport == to.transport
                && local.port() == to.server.port()
                && (local.ip() == to.server.ip() || local.ip().is_unspecified())
                && local.is_ipv4() == to.client.0.is_ipv4()
        })
    }
}
