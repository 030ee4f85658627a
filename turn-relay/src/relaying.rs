//! The state machine with its relay sockets: what clients send leaves here towards peers, whatever transport the
//! clients come over.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mio::{Interest, Registry};
use rand::rngs::StdRng;
use turn_proto::{FiveTuple, Icmp, PeerAddr, RelayId, Server};
use udp::{SendBatch, Socket};

use crate::metrics::Unsent;
use crate::source::Source;

/// Datagrams that wait for one call to the kernel. A full batch is flushed.
pub(crate) const SEND_BATCH: usize = 64;

/// Longest UDP payload over IPv4.
pub(crate) const MAX_DATAGRAM: usize = 65_507;

/// Kernel receive buffer of a relay socket: a fifth of a second at 10 Mbit/s.
const RELAY_BUFFER: usize = 256 << 10;

/// ICMP errors taken from one socket before others have their turn.
const MAX_ERRORS: usize = 64;

/// Relay sockets that wait for the client of a reservation, which may come to another thread. At most one for each
/// reservation, which the quotas bound.
pub(crate) type Parked = Arc<Mutex<HashMap<SocketAddr, Socket>>>;

/// The state machine of one thread, its relay sockets, and datagrams on their way to peers.
pub(crate) struct Relaying {
    pub(crate) server: Server<StdRng>,
    registry: Registry,
    /// By the slot of their id, which is dense.
    sockets: Vec<Option<(RelayId, Socket)>>,
    /// Where a relay address is bound.
    binds: HashMap<IpAddr, IpAddr>,
    parked: Parked,
    batch: SendBatch,
    /// The socket that the batch leaves from.
    run: Option<RelayId>,
    pub(crate) unsent: Unsent,
    /// The log has been told once that there are no more files.
    is_out_of_files: bool,
}

impl Relaying {
    pub(crate) fn new(
        server: Server<StdRng>,
        registry: Registry,
        binds: HashMap<IpAddr, IpAddr>,
        parked: Parked,
    ) -> Self {
        Self {
            server,
            registry,
            sockets: Vec::new(),
            binds,
            parked,
            batch: SendBatch::new(SEND_BATCH, MAX_DATAGRAM),
            run: None,
            unsent: Unsent::default(),
            is_out_of_files: false,
        }
    }

    /// Hands a message of a client in. What is for a peer leaves with the next flush: messages of one client in a
    /// row share a call.
    pub(crate) fn receive(&mut self, message: &[u8], from: FiveTuple, now: Instant) {
        let Some(to) = self.server.handle_client(message, from, now) else { return };
        let Some(payload) = message.get(to.payload) else { return };
        if self.run.is_some_and(|run| run != to.relay) || self.batch.len() == SEND_BATCH || to.dont_fragment {
            self.flush();
        }
        self.run = Some(to.relay);
        if self.batch.push_slice(to.peer.0, None, payload).is_err() {
            self.unsent.failed += 1;
        }
        if to.dont_fragment {
            self.flush_unfragmented();
        }
    }

    /// Sends what waits for peers.
    pub(crate) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let socket = self.run.and_then(|run| socket(&self.sockets, run));
        match socket {
            Some(socket) => {
                let sent = self.batch.flush(socket);
                self.unsent.full += sent.dropped as u64;
                self.unsent.failed += sent.failed as u64;
            }
            None => {
                self.unsent.failed += self.batch.len() as u64;
                self.batch.clear();
            }
        }
    }

    /// The kernel takes the DF bit by socket, not by datagram; one thread owns the socket, so setting it around one
    /// datagram is as good.
    fn flush_unfragmented(&mut self) {
        let Some(run) = self.run else { return };
        if let Some(socket) = socket(&self.sockets, run) {
            socket.set_dont_fragment(true);
        }
        self.flush();
        if let Some(socket) = socket(&self.sockets, run) {
            socket.set_dont_fragment(false);
        }
    }

    /// The relay socket in a slot.
    pub(crate) fn in_slot(&self, slot: usize) -> Option<&(RelayId, Socket)> {
        self.sockets.get(slot)?.as_ref()
    }

    /// Tells clients of ICMP errors that came back for their datagrams.
    pub(crate) fn read_errors(&mut self, slot: usize, now: Instant) {
        for _ in 0..MAX_ERRORS {
            let Some(Some((relay, socket))) = self.sockets.get(slot) else { return };
            let Some(error) = socket.recv_error() else { return };
            let icmp = Icmp { kind: error.kind, code: error.code, mtu: error.mtu };
            self.server.handle_icmp(*relay, PeerAddr(error.to), icmp, now);
        }
    }

    /// Whether this client has an allocation.
    pub(crate) fn has_allocation(&self, client: &FiveTuple) -> bool {
        self.server.has_allocation(client)
    }

    /// A client's connection has ended.
    pub(crate) fn disconnected(&mut self, client: &FiveTuple) {
        self.flush();
        self.server.disconnected(client);
    }

    /// Opens a relay socket and tells the state machine.
    pub(crate) fn open(&mut self, relay: RelayId, address: SocketAddr) {
        let opened = match self.try_open(relay, address) {
            Ok(()) => true,
            // Somebody else's port; the state machine tries another one.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => false,
            Err(error) => {
                if !self.is_out_of_files {
                    tracing::warn!(
                        %error,
                        "a relay socket could not be opened (too many open files: raise the limit, ulimit -n or \
                         LimitNOFILE); clients get 508. Said once"
                    );
                }
                self.is_out_of_files = true;
                false
            }
        };
        self.server.relay_opened(relay, opened, Instant::now());
    }

    fn try_open(&mut self, relay: RelayId, address: SocketAddr) -> io::Result<()> {
        let bind = self.binds.get(&address.ip()).copied().unwrap_or(address.ip());
        let options = udp::Options {
            recv_buffer: RELAY_BUFFER,
            // The system's own is enough for what one client sends.
            send_buffer: 0,
            gso: true,
            // An IPv6 relay socket must not reach IPv4 peers past the family check.
            dual_stack: false,
            icmp_errors: true,
            share_port: false,
            to_ip: false,
            dont_fragment: false,
        };
        self.watch(relay, Socket::bind_with(SocketAddr::new(bind, address.port()), options)?)
    }

    fn watch(&mut self, relay: RelayId, mut socket: Socket) -> io::Result<()> {
        self.registry.register(&mut socket, Source::Relay(relay.slot()).token(), Interest::READABLE)?;
        if self.sockets.len() <= relay.slot() {
            self.sockets.resize_with(relay.slot() + 1, || None);
        }
        if let Some(place) = self.sockets.get_mut(relay.slot()) {
            *place = Some((relay, socket));
        }
        Ok(())
    }

    /// Closes a relay socket; the poll forgets it with that.
    pub(crate) fn close(&mut self, relay: RelayId) {
        drop(self.take(relay));
    }

    /// Puts a relay socket where every thread finds it.
    pub(crate) fn park(&mut self, relay: RelayId, address: SocketAddr) {
        if let Some(mut socket) = self.take(relay) {
            let _ = self.registry.deregister(&mut socket);
            self.parked().insert(address, socket);
        }
    }

    /// Takes a parked socket and tells the state machine.
    pub(crate) fn unpark(&mut self, relay: RelayId, address: SocketAddr) {
        let parked = self.parked().remove(&address);
        let opened = parked.is_some_and(|socket| self.watch(relay, socket).is_ok());
        self.server.relay_opened(relay, opened, Instant::now());
    }

    /// Closes a parked socket.
    pub(crate) fn close_parked(&mut self, address: SocketAddr) {
        let parked = self.parked().remove(&address);
        drop(parked);
    }

    fn take(&mut self, relay: RelayId) -> Option<Socket> {
        if self.run == Some(relay) {
            self.flush();
            self.run = None;
        }
        let (_, socket) = self.sockets.get_mut(relay.slot())?.take_if(|(id, _)| *id == relay)?;
        Some(socket)
    }

    fn parked(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Socket>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn socket(sockets: &[Option<(RelayId, Socket)>], relay: RelayId) -> Option<&Socket> {
    sockets.get(relay.slot())?.as_ref().filter(|(id, _)| *id == relay).map(|(_, socket)| socket)
}
