//! Clients over TCP and TLS. A connection is a byte stream cut into messages, and a bounded buffer of what the
//! client has not read yet.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use slab::Slab;
use turn_proto::{
    ClientAddr, FiveTuple, Framer, Header, MAX_FIRST_MESSAGE, MAX_MESSAGE, Transport, message_length,
};

use crate::admission::{Admission, Place};
use crate::relaying::Relaying;
use crate::tls::InUse;

/// How long a connection may be without an allocation, from its first byte on and after its allocation ended.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// Bytes that wait for a client. Data for a client that reads more slowly is dropped, as a full UDP buffer would:
/// media that comes late is worth nothing.
const MAX_WAITING: usize = 256 << 10;

/// Room for answers beside that. A client that does not read its answers either is disconnected.
const MAX_WAITING_ANSWERS: usize = 64 << 10;

/// Reads of one connection before the others have their turn.
const MAX_READS: usize = 8;

/// Connections taken from one listener before others have their turn.
const MAX_ACCEPTS: usize = 64;

/// Bytes read at once, beside a message that has arrived in part.
const READ: usize = 64 << 10;

/// Whether there may be more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    More,
    /// There is, and no means to take it: later.
    Later,
}

/// The TCP and TLS connections of one thread.
pub(crate) struct Streams {
    listeners: Vec<(TcpListener, Transport)>,
    connections: Slab<Connection>,
    by_client: HashMap<FiveTuple, usize>,
    /// When connections are looked at that had no allocation, in order.
    deadlines: VecDeque<(Instant, usize, u64)>,
    /// Connections with bytes to send.
    unsent: Vec<usize>,
    serial: u64,
    admission: Admission,
    certificate: InUse,
    buffer: Box<[u8]>,
}

struct Connection {
    /// Unique, so that a late deadline of an earlier connection finds nothing.
    serial: u64,
    client: FiveTuple,
    stream: TcpStream,
    tls: Option<Box<rustls::ServerConnection>>,
    framer: Framer,
    /// Bytes for the socket, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    is_listed: bool,
    _place: Place,
}

impl Streams {
    /// Listens with these sockets, whose tokens count up from `first`.
    pub(crate) fn new(
        mut listeners: Vec<(TcpListener, Transport)>,
        admission: Admission,
        certificate: InUse,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) -> io::Result<Self> {
        for (index, (listener, _)) in listeners.iter_mut().enumerate() {
            registry.register(listener, token(index), Interest::READABLE)?;
        }
        Ok(Self {
            listeners,
            connections: Slab::new(),
            by_client: HashMap::new(),
            deadlines: VecDeque::new(),
            unsent: Vec::new(),
            serial: 0,
            admission,
            certificate,
            buffer: vec![0; MAX_MESSAGE + READ].into_boxed_slice(),
        })
    }

    /// Takes new connections of one listener.
    pub(crate) fn accept(
        &mut self,
        index: usize,
        now: Instant,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) -> Left {
        let Some((listener, transport)) = self.listeners.get(index) else { return Left::Nothing };
        for _ in 0..MAX_ACCEPTS {
            let (mut stream, from) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Left::Nothing,
                // The client is gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                // No file or memory is left for it; it waits in the kernel.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be taken");
                    return Left::Later;
                }
            };
            let (Some(place), Ok(server)) = (self.admission.admit(from.ip()), stream.local_addr()) else {
                tracing::debug!(client.addr = %from, "too many connections: closed");
                continue;
            };
            let tls = match transport {
                Transport::Tls => {
                    match self.certificate.get().map(|it| rustls::ServerConnection::new(it.tls)) {
                        Some(Ok(mut tls)) => {
                            // What it holds is moved to the connection's own bounded buffer at once.
                            tls.set_buffer_limit(None);
                            Some(Box::new(tls))
                        }
                        _ => continue,
                    }
                }
                _ => None,
            };
            let entry = self.connections.vacant_entry();
            let _ = stream.set_nodelay(true);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = registry.register(&mut stream, token(entry.key()), interest) {
                tracing::debug!(%error, "a connection could not be watched");
                continue;
            }
            let (client, server) = (ClientAddr(canonical(from)), canonical(server));
            let client = FiveTuple { transport: *transport, client, server };
            self.serial += 1;
            self.deadlines.push_back((now + MAX_IDLE, entry.key(), self.serial));
            self.by_client.insert(client, entry.key());
            entry.insert(Connection {
                serial: self.serial,
                client,
                stream,
                tls,
                framer: Framer::default(),
                out: Vec::new(),
                sent: 0,
                is_listed: false,
                _place: place,
            });
        }
        Left::More
    }

    /// Something happened on a connection: sends what waits and hands in what has arrived.
    pub(crate) fn ready(&mut self, key: usize, relaying: &mut Relaying, now: Instant) -> Left {
        let Some(connection) = self.connections.get_mut(key) else { return Left::Nothing };
        let result = connection.flush().and_then(|()| {
            for _ in 0..MAX_READS {
                if connection.read(&mut self.buffer, relaying, now)? == Left::Nothing {
                    return Ok(Left::Nothing);
                }
            }
            Ok(Left::More)
        });
        match result {
            Ok(left) => {
                self.list(key);
                left
            }
            Err(error) => {
                tracing::debug!(%error, "a connection ended");
                self.close(key, relaying);
                Left::Nothing
            }
        }
    }

    /// Queues a payload of a peer for a client; false if the client is gone or reads too slowly.
    pub(crate) fn send_data(&mut self, client: &FiveTuple, header: &Header, payload: &[u8]) -> bool {
        let Some(key) = self.by_client.get(client).copied() else { return false };
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if connection.waiting() > MAX_WAITING {
            return false;
        }
        let Some(length) = header.write_message(payload, &mut self.buffer) else { return false };
        let queued = self.buffer.get(..length).is_some_and(|message| connection.queue(message).is_ok());
        self.list(key);
        queued
    }

    /// Queues an answer; disconnects a client that reads none.
    pub(crate) fn send_answer(&mut self, client: &FiveTuple, message: &[u8], relaying: &mut Relaying) {
        let Some(key) = self.by_client.get(client).copied() else { return };
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.waiting() > MAX_WAITING + MAX_WAITING_ANSWERS || connection.queue(message).is_err() {
            return self.close(key, relaying);
        }
        self.list(key);
    }

    /// Sends what was queued since the last call.
    pub(crate) fn flush(&mut self, relaying: &mut Relaying) {
        while let Some(key) = self.unsent.pop() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            connection.is_listed = false;
            if connection.flush().is_err() {
                self.close(key, relaying);
            }
        }
    }

    /// A client has no allocation any more: its connection ends unless it makes another one.
    pub(crate) fn idle(&mut self, client: &FiveTuple, now: Instant) {
        if let Some(key) = self.by_client.get(client).copied()
            && let Some(connection) = self.connections.get(key)
        {
            self.deadlines.push_back((now + MAX_IDLE, key, connection.serial));
        }
    }

    /// Closes connections that had their time.
    pub(crate) fn handle_timeout(&mut self, relaying: &mut Relaying, now: Instant) {
        while let Some((at, key, serial)) = self.deadlines.front().copied()
            && at <= now
        {
            self.deadlines.pop_front();
            let late = |connection: &&Connection| {
                connection.serial == serial && !relaying.has_allocation(&connection.client)
            };
            if self.connections.get(key).filter(late).is_some() {
                tracing::debug!("a connection without an allocation is closed");
                self.close(key, relaying);
            }
        }
    }

    /// When [`Streams::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, ..)| *at)
    }

    /// Notes that a connection has bytes to send.
    fn list(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.waiting() > 0
            && !connection.is_listed
        {
            connection.is_listed = true;
            self.unsent.push(key);
        }
    }

    fn close(&mut self, key: usize, relaying: &mut Relaying) {
        // Closing the socket ends its registration too.
        if let Some(mut connection) = self.connections.try_remove(key) {
            // A TLS alert says why, if there is one. Best effort.
            let _ = connection.flush();
            self.by_client.remove(&connection.client);
            relaying.disconnected(&connection.client);
        }
    }
}

impl Connection {
    fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Reads once and hands in every message that is whole.
    fn read(&mut self, buffer: &mut [u8], relaying: &mut Relaying, now: Instant) -> io::Result<Left> {
        let limit = if relaying.has_allocation(&self.client) { MAX_MESSAGE } else { MAX_FIRST_MESSAGE };
        let start = self.framer.restore(buffer);
        let room = buffer.len() - start;
        let read = self.fill(buffer.get_mut(start..).unwrap_or_default());
        let read = match read {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.framer.keep(buffer.get(..start).unwrap_or_default());
                return Ok(Left::Nothing);
            }
            Err(error) => return Err(error),
        };
        let mut rest = buffer.get(..start + read).unwrap_or_default();
        while let Some(length) = message_length(rest, limit).map_err(io::Error::other)?
            && let Some((message, behind)) = rest.split_at_checked(length)
        {
            relaying.receive(message, self.client, now);
            rest = behind;
        }
        self.framer.keep(rest);
        relaying.flush();
        // A socket that gave less than it could is empty. TLS may hold more records.
        Ok(if self.tls.is_none() && read < room { Left::Nothing } else { Left::More })
    }

    /// Reads plain bytes; 0 at the end of the stream.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            let result = tls.process_new_packets();
            while tls.wants_write() {
                tls.write_tls(&mut self.out)?;
            }
            result.map_err(io::Error::other)?;
            self.flush()?;
        }
    }

    /// Puts a message behind what waits. The caller has looked at the limits.
    fn queue(&mut self, message: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.out.extend_from_slice(message);
            return Ok(());
        };
        tls.writer().write_all(message)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.out)?;
        }
        Ok(())
    }

    /// Sends what the socket takes.
    fn flush(&mut self) -> io::Result<()> {
        while self.waiting() > 0 {
            match self.stream.write(self.out.get(self.sent..).unwrap_or_default()) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.out.drain(..self.sent);
                    self.sent = 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        // A burst must not hold its memory for the life of the connection.
        self.out.shrink_to(8 << 10);
        self.sent = 0;
        Ok(())
    }
}

/// An IPv4 address as such, also where a dual-stack socket reports it as an IPv6 one.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) => SocketAddr::new(ip.to_canonical(), address.port()),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use mio::{Events, Poll};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::Config;
    use crate::relaying::Parked;

    struct World {
        poll: Poll,
        streams: Streams,
        relaying: Relaying,
        now: Instant,
        at: SocketAddr,
    }

    fn token(index: usize) -> Token {
        Token(1 + index)
    }

    impl World {
        fn new() -> Self {
            let config = Config {
                public_ips: vec![[127, 0, 0, 1].into()],
                secret: service_kit::config::Secret::new("north-of-the-river".into()),
                ..Config::default()
            };
            let (poll, now) = (Poll::new().expect("epoll"), Instant::now());
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a socket");
            let at = listener.local_addr().expect("bound");
            let server = turn_proto::Server::new(config.proto(), StdRng::seed_from_u64(3), now, 0);
            let registry = poll.registry().try_clone().expect("a handle");
            let relaying = Relaying::new(server.expect("valid"), registry, HashMap::new(), Parked::default());
            let (admission, certificate) = (Admission::new(&crate::Limits::default()), InUse::default());
            let listeners = vec![(listener, Transport::Tcp)];
            let listener_token = |_| Token(0);
            let streams = Streams::new(listeners, admission, certificate, poll.registry(), listener_token);
            Self { streams: streams.expect("watched"), poll, relaying, now, at }
        }

        fn connect(&mut self) -> std::net::TcpStream {
            let before = self.streams.connections.len();
            let stream = std::net::TcpStream::connect(self.at).expect("connects");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("an option");
            let mut events = Events::with_capacity(8);
            while self.streams.connections.len() == before {
                self.poll.poll(&mut events, Some(Duration::from_secs(30))).expect("polls");
                assert!(!events.is_empty(), "nobody came");
                self.streams.accept(0, self.now, self.poll.registry(), token);
            }
            stream
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.streams.handle_timeout(&mut self.relaying, self.now);
        }
    }

    #[test]
    fn who_has_no_allocation_in_ten_seconds_is_disconnected() {
        let mut world = World::new();
        let mut early = world.connect();
        world.pass(Duration::from_secs(5));
        let _late = world.connect();
        assert_eq!(world.streams.poll_timeout(), Some(world.now + Duration::from_secs(5)));
        world.pass(Duration::from_millis(4_999));
        assert_eq!(world.streams.connections.len(), 2);
        world.pass(Duration::from_millis(1));
        assert_eq!(world.streams.connections.len(), 1);
        assert_eq!(early.read(&mut [0; 10]).expect("the end"), 0);
        world.pass(Duration::from_secs(5));
        assert_eq!((world.streams.connections.len(), world.streams.poll_timeout()), (0, None));
    }

    #[test]
    fn a_deadline_of_an_earlier_connection_does_not_meet_a_later_one() {
        let mut world = World::new();
        let first = world.connect();
        first.shutdown(Shutdown::Both).expect("closes");
        let mut events = Events::with_capacity(8);
        while !world.streams.connections.is_empty() {
            world.poll.poll(&mut events, Some(Duration::from_secs(30))).expect("polls");
            assert_eq!(world.streams.ready(0, &mut world.relaying, world.now), Left::Nothing);
        }
        world.pass(Duration::from_secs(5));
        let _second = world.connect();
        assert!(world.streams.connections.contains(0), "in the same place");
        world.pass(Duration::from_secs(5));
        assert_eq!(world.streams.connections.len(), 1);
        world.pass(Duration::from_secs(5));
        assert_eq!(world.streams.connections.len(), 0);
    }
}
