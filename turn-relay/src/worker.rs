//! One thread: client sockets, its slice of relay sockets, one state machine, one event loop. Workers share
//! nothing but metrics; more of them means more client sockets on the same port (`SO_REUSEPORT`) and a slice
//! of the relay ports each.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use contract::turn::TurnSecret;
use mio::{Events, Interest, Poll, Token, Waker};
use rand::rngs::StdRng;
use turn_proto::{
    ClientAddr, Command, Event, FiveTuple, PeerAddr, Reason, RelayId, Server, Stats, Transport,
};
use udp::{RecvBatch, SendBatch, Socket};

use crate::metrics::{Metrics, Unsent};

/// Datagrams that wait for one call to the kernel. A full batch is flushed.
const SEND_BATCH: usize = 64;

/// Longest UDP payload over IPv4.
const MAX_DATAGRAM: usize = 65_507;

/// Receive calls on one socket before the others have their turn.
const MAX_RECV_CALLS: usize = 4;

/// Errors of one socket in a row before it is left alone until its next datagram.
const MAX_RECV_ERRORS: usize = 64;

/// Kernel buffer of a relay socket: a fifth of a second at 10 Mbit/s.
const RELAY_BUFFER: usize = 256 << 10;

/// Longest sleep: the wall clock is looked at this often.
const MAX_SLEEP: Duration = Duration::from_secs(1);

const WAKER: Token = Token(0);
/// Client sockets from here on.
const LISTENERS: usize = 1;
/// Relay sockets from here on; between them there is room for every client socket.
const RELAYS: usize = 1024;

/// What the owner of a worker asks of it.
pub(crate) enum Order {
    /// Take no new allocations; answer when none is left.
    Drain(tokio::sync::oneshot::Sender<()>),
    /// Accept these secrets and no others from now on.
    Secrets(Vec<TurnSecret>),
    /// End now.
    Stop,
}

/// A worker before its thread runs.
pub(crate) struct Worker {
    poll: Poll,
    listeners: Vec<Socket>,
    /// By the slot of their id.
    relays: HashMap<usize, (RelayId, Socket)>,
    /// Where a relay address is bound.
    binds: HashMap<IpAddr, IpAddr>,
    parked: HashMap<SocketAddr, Socket>,
    server: Server<StdRng>,
    orders: mpsc::Receiver<Order>,
    drained: Vec<tokio::sync::oneshot::Sender<()>>,
    metrics: Metrics,
    published: Stats,
    unsent: Unsent,
    /// Sockets that had more to read than their turn allowed.
    unread: Vec<Token>,
    recv: RecvBatch,
    send: SendBatch,
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
        mut listeners: Vec<Socket>,
        binds: HashMap<IpAddr, IpAddr>,
        server: Server<StdRng>,
        metrics: Metrics,
    ) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(LISTENERS + index), Interest::READABLE)?;
        }
        let waker = std::sync::Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, orders) = mpsc::channel();
        let published = *server.stats();
        let worker = Self {
            poll,
            listeners,
            relays: HashMap::new(),
            binds,
            parked: HashMap::new(),
            server,
            orders,
            drained: Vec::new(),
            metrics,
            published,
            unsent: Unsent::default(),
            unread: Vec::new(),
            recv: RecvBatch::new(),
            send: SendBatch::new(SEND_BATCH, MAX_DATAGRAM),
        };
        Ok((worker, Handle { orders: sender, waker }))
    }

    /// Runs until it is told to stop or the poll fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = self.sleep(Instant::now());
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.server.set_wall_clock(Instant::now(), service_kit::unix_now());
            let unread = std::mem::take(&mut self.unread);
            for token in unread.into_iter().chain(events.iter().map(mio::event::Event::token)) {
                match token {
                    WAKER => {}
                    Token(token) if token >= RELAYS => self.read_relay(token - RELAYS),
                    Token(token) => self.read_client(token - LISTENERS),
                }
            }
            self.server.handle_timeout(Instant::now());
            self.obey();
            self.log();
            self.publish();
            let stop = self.take_orders();
            if self.server.allocations() == 0 {
                for done in self.drained.drain(..) {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
            }
            if stop {
                // What still lives ends with the sockets.
                self.metrics.ended(self.server.allocations());
                return Ok(());
            }
        }
    }

    fn sleep(&self, now: Instant) -> Duration {
        if !self.unread.is_empty() {
            return Duration::ZERO;
        }
        let next = self.server.poll_timeout().map(|at| at.saturating_duration_since(now));
        next.map_or(MAX_SLEEP, |next| next.min(MAX_SLEEP))
    }

    /// True when the worker must end.
    fn take_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Drain(done)) => {
                    self.server.set_draining(true);
                    self.drained.push(done);
                }
                Ok(Order::Secrets(secrets)) => {
                    self.server.set_credentials(secrets, Vec::new());
                    self.obey();
                    self.log();
                    self.publish();
                }
                Err(mpsc::TryRecvError::Empty) => return false,
                Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Reads a client socket and forwards what is for peers.
    fn read_client(&mut self, index: usize) {
        for _ in 0..MAX_RECV_CALLS {
            let Some(socket) = self.listeners.get(index) else { return };
            if self.recv.receive(socket).is_none() {
                return;
            }
            let now = Instant::now();
            let local = socket.local_addr();
            // Datagrams of one relay socket in a row leave in one call.
            let mut run: Option<RelayId> = None;
            for datagram in self.recv.iter_mut() {
                let from = FiveTuple {
                    transport: Transport::Udp,
                    client: ClientAddr(datagram.from),
                    server: SocketAddr::new(datagram.to_ip.unwrap_or(local.ip()), local.port()),
                };
                let Some(to) = self.server.handle_client(datagram.data, from, now) else { continue };
                let Some(payload) = datagram.data.get(to.payload) else { continue };
                if run.is_some_and(|run| run != to.relay) || self.send.len() == SEND_BATCH {
                    flush(&mut self.send, run, &self.relays, &mut self.unsent);
                }
                run = Some(to.relay);
                if self.send.push_slice(to.peer.0, None, payload).is_err() {
                    self.unsent.failed += 1;
                }
            }
            flush(&mut self.send, run, &self.relays, &mut self.unsent);
            self.obey();
        }
        self.unread.push(Token(LISTENERS + index));
    }

    /// Reads a relay socket and forwards what its client may have.
    fn read_relay(&mut self, slot: usize) {
        for _ in 0..MAX_RECV_CALLS {
            let Some((relay, socket)) = self.relays.get(&slot) else { return };
            if self.recv.receive(socket).is_none() {
                return;
            }
            let now = Instant::now();
            let mut run: Option<FiveTuple> = None;
            for datagram in self.recv.iter_mut() {
                let payload = &*datagram.data;
                let peer = PeerAddr(datagram.from);
                let Some(to) = self.server.handle_peer(payload.len(), *relay, peer, now) else { continue };
                run = Some(to.to);
                let from = Some(to.to.server.ip()).filter(|ip| !ip.is_unspecified());
                let write = |out: &mut [u8]| to.header.write_message(payload, out).unwrap_or(0);
                if self.send.len() == SEND_BATCH {
                    flush_client(&mut self.send, run, &self.listeners, &mut self.unsent);
                }
                if self.send.push(to.to.client.0, from, write).is_err() {
                    self.unsent.failed += 1;
                }
            }
            // A relay socket has one client, so one client socket.
            flush_client(&mut self.send, run, &self.listeners, &mut self.unsent);
        }
        self.unread.push(Token(RELAYS + slot));
    }

    /// Does what the state machine asks for.
    fn obey(&mut self) {
        while let Some(command) = self.server.poll_command() {
            match command {
                Command::Send { to, message } => {
                    let from = Some(to.server.ip()).filter(|ip| !ip.is_unspecified());
                    if self.send.push_slice(to.client.0, from, &message).is_err() {
                        self.unsent.failed += 1;
                    }
                    flush_client(&mut self.send, Some(to), &self.listeners, &mut self.unsent);
                }
                Command::OpenRelay { relay, address } => {
                    let opened = match self.open(relay, address) {
                        Ok(()) => true,
                        // Somebody else's port; the state machine tries another one.
                        Err(error) if error.kind() == io::ErrorKind::AddrInUse => false,
                        Err(error) => {
                            tracing::warn!(%error, "a relay socket could not be opened");
                            false
                        }
                    };
                    self.server.relay_opened(relay, opened, Instant::now());
                }
                Command::ParkRelay { relay, address } => {
                    if let Some((_, mut socket)) = self.relays.remove(&relay.slot()) {
                        // What it receives meanwhile is nobody's.
                        let _ = self.poll.registry().deregister(&mut socket);
                        self.parked.insert(address, socket);
                    }
                }
                Command::UnparkRelay { relay, address } => {
                    let socket = self.parked.remove(&address);
                    let opened = socket.is_some_and(|socket| self.keep(relay, socket).is_ok());
                    self.server.relay_opened(relay, opened, Instant::now());
                }
                Command::CloseParked { address } => drop(self.parked.remove(&address)),
                Command::Idle { .. } => {}
                Command::CloseRelay { relay } => {
                    if let Some((_, mut socket)) = self.relays.remove(&relay.slot()) {
                        // Closing the socket ends its registration too.
                        let _ = self.poll.registry().deregister(&mut socket);
                    }
                }
            }
        }
    }

    fn open(&mut self, relay: RelayId, address: SocketAddr) -> io::Result<()> {
        let bind = self.binds.get(&address.ip()).copied().unwrap_or(address.ip());
        let options = udp::Options {
            recv_buffer: RELAY_BUFFER,
            send_buffer: RELAY_BUFFER,
            gso: true,
            // An IPv6 relay socket must not reach IPv4 peers past the family check.
            dual_stack: false,
            icmp_errors: true,
            ..udp::Options::default()
        };
        self.keep(relay, Socket::bind_with(SocketAddr::new(bind, address.port()), options)?)
    }

    fn keep(&mut self, relay: RelayId, mut socket: Socket) -> io::Result<()> {
        self.poll.registry().register(&mut socket, Token(RELAYS + relay.slot()), Interest::READABLE)?;
        self.relays.insert(relay.slot(), (relay, socket));
        Ok(())
    }

    fn log(&mut self) {
        while let Some(event) = self.server.poll_event() {
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
                    // Every client's first request is refused like this: nothing to read about. Others are for
                    // whoever looks into them, and counted: strangers must not fill the log.
                    if matches!(refusal.reason, Reason::NoCredentials | Reason::StaleNonce) {
                        tracing::trace!(turn.code = code, client.addr = %tuple.client.0, "{refusal}");
                    } else {
                        tracing::debug!(turn.code = code, client.addr = %tuple.client.0, "{refusal}");
                    }
                }
            }
        }
    }

    fn publish(&mut self) {
        let now = *self.server.stats();
        let unsent = std::mem::take(&mut self.unsent);
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

fn flush(
    send: &mut SendBatch,
    relay: Option<RelayId>,
    relays: &HashMap<usize, (RelayId, Socket)>,
    unsent: &mut Unsent,
) {
    let socket = relay.and_then(|relay| relays.get(&relay.slot())).map(|(_, socket)| socket);
    flush_to(send, socket, unsent);
}

fn flush_client(send: &mut SendBatch, to: Option<FiveTuple>, listeners: &[Socket], unsent: &mut Unsent) {
    let socket = to.and_then(|to| {
        listeners.iter().find(|socket| {
            let local = socket.local_addr();
            local.port() == to.server.port()
                && (local.ip() == to.server.ip() || local.ip().is_unspecified())
                && (local.is_ipv4() || to.client.0.is_ipv6())
                && (local.is_ipv6() || to.client.0.is_ipv4())
        })
    });
    flush_to(send, socket, unsent);
}

fn flush_to(send: &mut SendBatch, socket: Option<&Socket>, unsent: &mut Unsent) {
    match socket {
        Some(socket) => {
            let sent = send.flush(socket);
            unsent.full += sent.dropped as u64;
            unsent.failed += sent.failed as u64;
        }
        None => {
            unsent.failed += send.len() as u64;
            send.clear();
        }
    }
}
