//! Threads that drive light clients: sockets, timers, and nothing else.
//!
//! Where the server is on 127.0.0.1, up to [`CLIENTS_PER_SOCKET`] clients share a socket, each under its own address
//! of 127.0.1.0/24: the server sees as many peers, and a call of ours receives for several of them. Elsewhere each
//! client has a socket.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::oneshot;
use udp::{Options, RecvBatch, SendBatch, Socket};

use crate::call::Order;
use crate::client::{Client, Shared, Sink};
use crate::offer::Agreed;
use crate::scenario::Sockets;
use crate::totals::{Reasons, Totals};
use crate::viewer::ViewerSummary;

/// Clients of one socket: few enough that a burst to all of them fits into its receive buffer.
pub const CLIENTS_PER_SOCKET: usize = 16;
/// Commands that wait for a thread; who sends one more waits.
const MAX_COMMANDS: usize = 1_024;
/// Datagrams that leave in one go.
const SEND_BATCH: usize = 128;
/// Receive calls for one socket before others have their turn.
const RECV_TURNS: usize = 4;
/// Socket buffers: a keyframe to all clients of a socket, several times.
const SOCKET_BUFFER: usize = 4 << 20;
const WAKE: Token = Token(usize::MAX);

enum Command {
    Join { number: u32, agreed: Box<Agreed>, asked: Instant },
    Leave(u32, oneshot::Sender<()>),
    Order(u32, Order),
    Snapshot(oneshot::Sender<Snapshot>),
    Stop,
}

/// The state of a thread's clients.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What they have seen.
    pub totals: Totals,
    /// Why sessions did not connect.
    pub failed: Reasons,
    /// Why sessions ended by themselves.
    pub dropped: Reasons,
    /// Clients that are connected.
    pub connected: usize,
    /// Clients that are not connected yet.
    pub connecting: usize,
    /// Every viewer that is connected.
    pub viewers: Vec<ViewerSummary>,
    /// Callers' connections that receive.
    pub callers: usize,
    /// Of those, the ones that wait for something that is not there yet.
    pub waiting: usize,
    /// Jitter of everything that callers get.
    pub jitters: Vec<Duration>,
    /// Ports of the sockets.
    pub ports: Vec<u16>,
}

impl Snapshot {
    /// Adds everything of `other`.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.totals.merge(&other.totals);
        self.failed.merge(&other.failed);
        self.dropped.merge(&other.dropped);
        self.connected += other.connected;
        self.connecting += other.connecting;
        self.viewers.append(&mut other.viewers);
        self.callers += other.callers;
        self.waiting += other.waiting;
        self.jitters.append(&mut other.jitters);
        self.ports.append(&mut other.ports);
    }
}

struct Handle {
    commands: SyncSender<Command>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Waits where the thread is behind; a thread that ended takes nothing.
    fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            // It polls with a timeout: a lost wake-up is late, not lost.
            let _ = self.waker.wake();
        }
    }

    async fn leave(&self, number: u32) {
        let (reply, left) = oneshot::channel();
        self.send(Command::Leave(number, reply));
        // An error is a thread that has died: it has nobody left.
        let _ = left.await;
    }
}

/// All threads of a run: the first has the publishers, the others the viewers. Dropping it ends them.
pub struct Fleet {
    threads: Vec<Handle>,
}

impl Fleet {
    /// Starts a thread for publishers and `viewer_threads` for viewers.
    ///
    /// # Errors
    /// When a thread or its poll cannot be made.
    pub fn start(shared: &Arc<Shared>, viewer_threads: usize) -> io::Result<Self> {
        let mut threads = Vec::new();
        for index in 0..=viewer_threads.max(1) {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKE)?;
            let (commands, received) = sync_channel(MAX_COMMANDS);
            let worker = Worker::new(poll, received, Arc::clone(shared));
            let name = if index == 0 { "publish".to_owned() } else { format!("view-{index}") };
            let thread = std::thread::Builder::new().name(name).spawn(move || worker.run())?;
            threads.push(Handle { commands, waker, thread: Some(thread) });
        }
        Ok(Self { threads })
    }

    /// Connects a publisher. `asked` is when its POST was made.
    pub fn publish(&self, number: u32, agreed: Agreed, asked: Instant) {
        if let Some(thread) = self.threads.first() {
            thread.send(Command::Join { number, agreed: Box::new(agreed), asked });
        }
    }

    /// Connects a viewer. `asked` is when its POST was made.
    pub fn view(&self, number: u32, agreed: Agreed, asked: Instant) {
        if let Some(thread) = self.viewer_thread(number) {
            thread.send(Command::Join { number, agreed: Box::new(agreed), asked });
        }
    }

    /// Tells a caller's connection that receives what to do, after all that was told before.
    pub(crate) fn order(&self, number: u32, order: Order) {
        if let Some(thread) = self.viewer_thread(number) {
            thread.send(Command::Order(number, order));
        }
    }

    /// Ends the session of publisher `number`, as [`Fleet::leave`] that of a viewer.
    pub async fn unpublish(&self, number: u32) {
        if let Some(thread) = self.threads.first() {
            thread.leave(number).await;
        }
    }

    /// Ends the session of viewer `number`, and returns when it has: what the server says to it from then on is no
    /// session that ended by itself.
    pub async fn leave(&self, number: u32) {
        if let Some(thread) = self.viewer_thread(number) {
            thread.leave(number).await;
        }
    }

    /// The state of all clients together. A thread that has died is left out.
    pub async fn snapshot(&self) -> Snapshot {
        let mut replies = Vec::with_capacity(self.threads.len());
        for thread in &self.threads {
            let (reply, received) = oneshot::channel();
            thread.send(Command::Snapshot(reply));
            replies.push(received);
        }
        let mut all = Snapshot::default();
        for reply in replies {
            if let Ok(snapshot) = reply.await {
                all.merge(snapshot);
            }
        }
        all
    }

    fn viewer_thread(&self, number: u32) -> Option<&Handle> {
        let viewers = self.threads.get(1..)?;
        viewers.get(number as usize % viewers.len().max(1))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.send(Command::Stop);
        }
        for thread in &mut self.threads {
            if let Some(thread) = thread.thread.take() {
                // A panic of it was printed by itself.
                let _ = thread.join();
            }
        }
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("threads", &self.threads.len()).finish()
    }
}

/// A socket and the clients on it.
struct Port {
    socket: Socket,
    shared: bool,
    members: Vec<Option<usize>>,
}

struct Entry {
    client: Client,
    number: u32,
    port: usize,
    member: usize,
    local: SocketAddr,
    /// The deadline that stands for it in the heap.
    scheduled: Option<Instant>,
}

/// Collects what a client sends; full, it makes room by sending.
struct Outgoing<'a> {
    batch: &'a mut SendBatch,
    socket: &'a Socket,
    from: Option<IpAddr>,
    not_sent: u64,
}

impl Sink for Outgoing<'_> {
    fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        if self.batch.push_slice(to, self.from, bytes).is_err() {
            self.flush();
            // Longer than any datagram of ours: never.
            if self.batch.push_slice(to, self.from, bytes).is_err() {
                self.not_sent += 1;
            }
        }
    }
}

impl Outgoing<'_> {
    fn flush(&mut self) {
        let sent = self.batch.flush(self.socket);
        self.not_sent += (sent.dropped + sent.failed) as u64;
    }
}

struct Worker {
    poll: Poll,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    ports: Vec<Port>,
    /// Places of ports whose only client has left.
    free_ports: Vec<usize>,
    /// Shared ports with room.
    roomy: Vec<usize>,
    clients: Vec<Option<Entry>>,
    free: Vec<usize>,
    by_number: HashMap<u32, usize>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Ports that may have more to read: events come once.
    readable: VecDeque<usize>,
    receive: RecvBatch,
    send: SendBatch,
    state: Snapshot,
    stopped: bool,
}

impl Worker {
    fn new(poll: Poll, commands: Receiver<Command>, shared: Arc<Shared>) -> Self {
        Self {
            poll,
            commands,
            shared,
            ports: Vec::new(),
            free_ports: Vec::new(),
            roomy: Vec::new(),
            clients: Vec::new(),
            free: Vec::new(),
            by_number: HashMap::new(),
            timers: BinaryHeap::new(),
            readable: VecDeque::new(),
            receive: RecvBatch::new(),
            send: SendBatch::new(SEND_BATCH, 2_048),
            state: Snapshot::default(),
            stopped: false,
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        while !self.stopped {
            let now = Instant::now();
            let next = self.timers.peek().map(|Reverse((at, _))| at.saturating_duration_since(now));
            let wait = if self.readable.is_empty() {
                next.unwrap_or(Duration::from_secs(1))
            } else {
                Duration::ZERO
            };
            match self.poll.poll(&mut events, Some(wait.min(Duration::from_secs(1)))) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    eprintln!("probe: the poll of a thread failed: {error}");
                    return;
                }
            }
            let ready = events.iter().map(|event| event.token()).filter(|token| *token != WAKE);
            self.readable.extend(ready.map(|token| token.0));
            for _ in 0..self.readable.len() {
                if let Some(port) = self.readable.pop_front() {
                    self.read(port);
                }
            }
            self.expire();
            while let Ok(command) = self.commands.try_recv() {
                self.command(command);
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join { number, agreed, asked } => {
                if let Err(error) = self.join(number, *agreed, asked) {
                    self.state.totals.failed += 1;
                    self.state.failed.add(&format!("no socket: {error}"));
                }
            }
            Command::Leave(number, reply) => {
                if let Some(index) = self.by_number.get(&number).copied() {
                    self.with_client(index, |client, now, totals, sink| client.close(now, totals, sink));
                    self.remove(index);
                }
                // Nobody waits any more: nothing to do.
                let _ = reply.send(());
            }
            Command::Order(number, order) => {
                if let Some(index) = self.by_number.get(&number).copied() {
                    self.with_client(index, |client, now, totals, sink| {
                        client.order(order, now, totals, sink);
                    });
                }
            }
            Command::Snapshot(reply) => {
                // Nobody waits any more: nothing to do.
                let _ = reply.send(self.snapshot());
            }
            Command::Stop => {
                for index in 0..self.clients.len() {
                    self.with_client(index, |client, now, totals, sink| client.close(now, totals, sink));
                }
                self.stopped = true;
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let mut snapshot = self.state.clone();
        for entry in self.clients.iter().flatten() {
            if let Some(settled) = entry.client.is_settled() {
                snapshot.callers += 1;
                snapshot.waiting += usize::from(!settled);
                snapshot.jitters.extend(entry.client.jitters());
            }
            if entry.client.was_connected() {
                snapshot.connected += 1;
                snapshot.viewers.extend(entry.client.summary(now));
            } else {
                snapshot.connecting += 1;
            }
        }
        snapshot.totals.served += snapshot.viewers.iter().filter(|viewer| viewer.served).count() as u64;
        snapshot.ports = self.ports.iter().map(|port| port.socket.local_addr().port()).collect();
        snapshot
    }

    fn join(&mut self, number: u32, agreed: Agreed, asked: Instant) -> io::Result<()> {
        let index = self.free.pop().unwrap_or(self.clients.len());
        let (port, member, local) = self.place(&agreed, index)?;
        let shared = Arc::clone(&self.shared);
        let client = Client::new(agreed, shared, number, local, asked, Instant::now());
        let entry = Some(Entry { client, number, port, member, local, scheduled: None });
        match self.clients.get_mut(index) {
            Some(slot) => *slot = entry,
            None => self.clients.push(entry),
        }
        self.by_number.insert(number, index);
        self.with_client(index, |client, now, totals, sink| client.handle_timeout(now, totals, sink));
        Ok(())
    }

    /// A place on a socket for client `index`.
    fn place(&mut self, agreed: &Agreed, index: usize) -> io::Result<(usize, usize, SocketAddr)> {
        let shared = agreed.is_loopback() && self.shared.view.sockets == Sockets::Auto;
        let place = match self.roomy.last().copied().filter(|_| shared) {
            Some(place) => place,
            None => self.open(agreed, shared)?,
        };
        let port = self.ports.get_mut(place).ok_or(io::ErrorKind::NotFound)?;
        let mut free = port.members.iter_mut().enumerate().filter(|(_, member)| member.is_none());
        let (member, slot) = free.next().ok_or(io::ErrorKind::NotFound)?;
        *slot = Some(index);
        if shared && free.next().is_none() {
            self.roomy.pop();
        }
        let mut local = port.socket.local_addr();
        if shared {
            local.set_ip(Ipv4Addr::new(127, 0, 1, 1 + member as u8).into());
        }
        Ok((place, member, local))
    }

    /// Opens a socket for one client or for several.
    fn open(&mut self, agreed: &Agreed, shared: bool) -> io::Result<usize> {
        let is_v6 = agreed.server().is_some_and(|server| server.is_ipv6());
        let any: IpAddr = if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let options =
            Options { recv_buffer: SOCKET_BUFFER, send_buffer: SOCKET_BUFFER, ..Options::default() };
        let mut socket = Socket::bind_with(SocketAddr::new(any, 0), options)?;
        let place = self.free_ports.pop().unwrap_or(self.ports.len());
        self.poll.registry().register(&mut socket, Token(place), Interest::READABLE)?;
        let members = vec![None; if shared { CLIENTS_PER_SOCKET } else { 1 }];
        let port = Port { socket, shared, members };
        match self.ports.get_mut(place) {
            Some(slot) => *slot = port,
            None => self.ports.push(port),
        }
        if shared {
            self.roomy.push(place);
        }
        Ok(place)
    }

    fn remove(&mut self, index: usize) {
        let Some(entry) = self.clients.get_mut(index).and_then(Option::take) else { return };
        let summary = entry.client.summary(Instant::now());
        self.state.totals.served += u64::from(summary.is_some_and(|summary| summary.served));
        self.by_number.remove(&entry.number);
        self.free.push(index);
        let Some(port) = self.ports.get_mut(entry.port) else { return };
        let was_full = port.members.iter().all(Option::is_some);
        if let Some(slot) = port.members.get_mut(entry.member) {
            *slot = None;
        }
        if port.shared {
            if was_full {
                self.roomy.push(entry.port);
            }
        } else if self.poll.registry().deregister(&mut port.socket).is_ok() {
            // The socket itself is closed when its place is taken.
            self.free_ports.push(entry.port);
        }
    }

    /// Lets `step` act on a client, sends what it wrote, and sees to its deadline and its end.
    fn with_client(
        &mut self,
        index: usize,
        step: impl FnOnce(&mut Client, Instant, &mut Totals, &mut dyn Sink),
    ) {
        let Some(Some(entry)) = self.clients.get_mut(index) else { return };
        let Some(port) = self.ports.get(entry.port) else { return };
        let from = port.shared.then_some(entry.local.ip());
        let mut sink = Outgoing { batch: &mut self.send, socket: &port.socket, from, not_sent: 0 };
        step(&mut entry.client, Instant::now(), &mut self.state.totals, &mut sink);
        sink.flush();
        self.state.totals.not_sent += sink.not_sent;
        self.settle(index);
    }

    /// After anything that a client did: its deadline into the heap, or its end.
    fn settle(&mut self, index: usize) {
        let Some(Some(entry)) = self.clients.get_mut(index) else { return };
        if let Some(reason) = entry.client.closed() {
            let was_connected = entry.client.was_connected();
            let (count, reasons) = if was_connected {
                (&mut self.state.totals.dropped, &mut self.state.dropped)
            } else {
                (&mut self.state.totals.failed, &mut self.state.failed)
            };
            if *reason != transport::CloseReason::Local {
                *count += 1;
                reasons.add(&reason.to_string());
                self.remove(index);
            }
            return;
        }
        if let Some(at) = entry.client.poll_timeout()
            && entry.scheduled.is_none_or(|scheduled| at < scheduled)
        {
            entry.scheduled = Some(at);
            self.timers.push(Reverse((at, index)));
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, index))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            // A deadline that was overtaken by an earlier one, or whose client has gone, is stale.
            let Some(Some(entry)) = self.clients.get_mut(index) else { continue };
            if entry.scheduled == Some(at) {
                entry.scheduled = None;
                self.with_client(index, |client, now, totals, sink| client.handle_timeout(now, totals, sink));
            }
        }
    }

    fn read(&mut self, place: usize) {
        for _ in 0..RECV_TURNS {
            let Some(port) = self.ports.get(place) else { return };
            match port.socket.recv(&mut self.receive) {
                Ok(_) => self.deliver(place),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of an earlier datagram: ICE decides whether the path is lost.
                Err(_) => {}
            }
        }
        self.readable.push_back(place);
    }

    /// Hands a batch of datagrams to their clients.
    fn deliver(&mut self, place: usize) {
        let now = Instant::now();
        let Some(port) = self.ports.get(place) else { return };
        let mut touched = [0usize; CLIENTS_PER_SOCKET];
        let mut count = 0;
        let mut last = None;
        for datagram in self.receive.iter_mut() {
            let member = match datagram.to_ip {
                Some(IpAddr::V4(ip)) if port.shared => usize::from(ip.octets()[3]).wrapping_sub(1),
                _ => 0,
            };
            let Some(Some(index)) = port.members.get(member).copied() else { continue };
            let Some(Some(entry)) = self.clients.get_mut(index) else { continue };
            let from = port.shared.then_some(entry.local.ip());
            let mut sink = Outgoing { batch: &mut self.send, socket: &port.socket, from, not_sent: 0 };
            let totals = &mut self.state.totals;
            entry.client.handle_datagram(datagram.from, datagram.data, now, totals, &mut sink);
            totals.not_sent += sink.not_sent;
            if last != Some(index) {
                last = Some(index);
                let known = touched.iter().take(count).any(|other| *other == index);
                if !known && let Some(slot) = touched.get_mut(count) {
                    *slot = index;
                    count += 1;
                }
            }
        }
        let sent = self.send.flush(&port.socket);
        self.state.totals.not_sent += (sent.dropped + sent.failed) as u64;
        for index in touched.iter().take(count) {
            self.settle(*index);
        }
    }
}
