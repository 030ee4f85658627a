//! ICE over TCP (RFC 6544): the shard's listener, on the number of its UDP port, and its connections.
//!
//! A connection carries frames (RFC 4571). Its first STUN request says whose it is, and has to be authentic within
//! [`AUTHENTICATION_TIME`]. Written media that the connection does not take waits in a small buffer and is dropped
//! beyond: a slow stream loses packets like a slow datagram path, it does not fall behind.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use slab::Slab;
use transport::{AddressPair, Deframer, FRAME_HEADER, Protocol, frame_header};

/// Connections of a shard; one more is closed at once.
const MAX_CONNECTIONS: usize = 2_048;
/// Connections of one source (with IPv6 its /64); likewise. An office behind one address fits.
const MAX_PER_SOURCE: usize = 128;
/// A connection without an authenticated STUN request by then is closed.
const AUTHENTICATION_TIME: Duration = Duration::from_secs(10);
/// Bytes that a connection has not taken yet: a keyframe fits. Media beyond is dropped.
const MAX_UNSENT: usize = 48 * 1024;
/// What STUN and DTLS may use on top of it.
const CONTROL_RESERVE: usize = 16 * 1024;
/// The kernel's own buffer, and how much of it may be what it has not sent even once: the queue is ours to bound.
const SEND_BUFFER: usize = 128 * 1024;
const KERNEL_UNSENT: u32 = 16 * 1024;
/// Longest packet of ours with what encryption adds.
const MAX_PACKET: usize = 2 * 1024;
/// Bytes read at once, and how often from one connection before others have their turn.
pub(super) const READ_SIZE: usize = 16 * 1024;
pub(super) const READ_ROUNDS: usize = 4;
/// Connections accepted before media has its turn.
const ACCEPT_ROUNDS: usize = 64;

/// The listener's token; connections follow it.
pub(super) const LISTENER: Token = Token(2);
const FIRST_CONNECTION: usize = LISTENER.0 + 1;

/// The listener and connections of a shard.
pub(super) struct Tcp {
    pub(super) registry: Registry,
    pub(super) listener: Option<TcpListener>,
    pub(super) connections: Slab<Connection>,
    pub(super) by_path: HashMap<AddressPair, usize>,
    pub(super) per_source: HashMap<IpAddr, usize>,
    /// Connections that may have more to read; each is in it once.
    pub(super) readable: VecDeque<usize>,
    /// Connections that were written to since the last flush.
    pub(super) unflushed: Vec<usize>,
    /// Connections that failed and wait to be removed.
    pub(super) broken: Vec<usize>,
    pub(super) accepting: bool,
    pub(super) scratch: Vec<u8>,
}

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) path: AddressPair,
    pub(super) opened: Instant,
    /// The participant, once a STUN request of it was authentic.
    pub(super) slot: Option<usize>,
    pub(super) deframer: Deframer,
    /// Whole frames, the first of which may be sent in part.
    pub(super) unsent: VecDeque<u8>,
    pub(super) is_queued: bool,
    pub(super) is_broken: bool,
}

impl Tcp {
    pub(super) fn new(registry: Registry, listener: Option<TcpListener>) -> Self {
        Self {
            registry,
            accepting: listener.is_some(),
            listener,
            connections: Slab::new(),
            by_path: HashMap::new(),
            per_source: HashMap::new(),
            readable: VecDeque::new(),
            unflushed: Vec::new(),
            broken: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes note of what the poll says.
    pub(super) fn ready(&mut self, event: &mio::event::Event) {
        if event.token() == LISTENER {
            self.accepting = true;
            return;
        }
        let Some(id) = event.token().0.checked_sub(FIRST_CONNECTION) else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        if event.is_writable() {
            self.unflushed.push(id);
        }
        if (event.is_readable() || event.is_read_closed()) && !connection.is_queued {
            connection.is_queued = true;
            self.readable.push_back(id);
        }
    }

    /// Whether there is a stream or somebody may open one: everything else here costs nothing without.
    pub(super) fn is_idle(&self) -> bool {
        !self.accepting && self.connections.is_empty()
    }

    /// Writes one packet of at most [`MAX_PACKET`] bytes into the buffer of a connection; `write` says how long it is
    /// and is not called when it would be dropped. Returns whether there was room.
    pub(super) fn push(
        &mut self,
        path: AddressPair,
        control: bool,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let Some(&id) = self.by_path.get(&path) else { return false };
        let Some(connection) = self.connections.get_mut(id) else { return false };
        let limit = if control { MAX_UNSENT + CONTROL_RESERVE } else { MAX_UNSENT };
        if connection.is_broken || connection.unsent.len() + FRAME_HEADER + MAX_PACKET > limit {
            return false;
        }
        let mut packet = [0; MAX_PACKET];
        let len = write(&mut packet);
        if let (Some(packet @ [_, ..]), Some(head)) = (packet.get(..len), frame_header(len)) {
            connection.unsent.extend(head);
            connection.unsent.extend(packet);
            self.unflushed.push(id);
        }
        true
    }

    /// Hands what waits to the kernel.
    pub(super) fn flush(&mut self) {
        while let Some(id) = self.unflushed.pop() {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            if !connection.flush() {
                self.broken.push(id);
            }
        }
    }

    pub(super) fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPT_ROUNDS {
            let Some(listener) = self.listener.as_ref().filter(|_| self.accepting) else { return };
            match listener.accept() {
                Ok((stream, remote)) => self.take(stream, canonical(remote), now),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody more, or no file descriptor: `sweep` tries again in a second.
                Err(_) => self.accepting = false,
            }
        }
    }

    pub(super) fn take(&mut self, mut stream: TcpStream, remote: SocketAddr, now: Instant) {
        let Ok(local) = stream.local_addr().map(canonical) else { return };
        let path = AddressPair { protocol: Protocol::Tcp, local, remote };
        let count = self.per_source.get(&source(remote.ip())).copied().unwrap_or(0);
        if self.connections.len() >= MAX_CONNECTIONS || count >= MAX_PER_SOURCE {
            return;
        }
        // All are for speed alone.
        let _ = stream.set_nodelay(true);
        let socket = socket2::SockRef::from(&stream);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        let _ = socket.set_tcp_notsent_lowat(KERNEL_UNSENT);
        let entry = self.connections.vacant_entry();
        let id = entry.key();
        let token = Token(FIRST_CONNECTION + id);
        if self.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_err() {
            return;
        }
        entry.insert(Connection {
            stream,
            path,
            opened: now,
            slot: None,
            deframer: Deframer::default(),
            unsent: VecDeque::new(),
            // What came before it was registered shows as readable at once.
            is_queued: false,
            is_broken: false,
        });
        self.by_path.insert(path, id);
        *self.per_source.entry(source(remote.ip())).or_default() += 1;
    }

    pub(super) fn remove(&mut self, id: usize) -> Option<Connection> {
        let mut connection = self.connections.try_remove(id)?;
        let _ = self.registry.deregister(&mut connection.stream);
        self.by_path.remove(&connection.path);
        let source = source(connection.path.remote.ip());
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
        Some(connection)
    }

    /// Closes the connections of a participant that has gone, once what waits has been handed to the kernel.
    pub(super) fn forget(&mut self, slot: usize) {
        if self.connections.is_empty() {
            return;
        }
        self.flush();
        let of_slot = |(id, connection): (usize, &Connection)| (connection.slot == Some(slot)).then_some(id);
        let ids: Vec<usize> = self.connections.iter().filter_map(of_slot).collect();
        ids.into_iter().for_each(|id| drop(self.remove(id)));
    }

    /// Once a second: closes who did not authenticate, and looks for newcomers again.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.accepting = self.listener.is_some();
        let late = |(id, connection): (usize, &Connection)| {
            let age = now.saturating_duration_since(connection.opened);
            (connection.slot.is_none() && age >= AUTHENTICATION_TIME).then_some(id)
        };
        let ids: Vec<usize> = self.connections.iter().filter_map(late).collect();
        ids.into_iter().for_each(|id| drop(self.remove(id)));
    }
}

impl Connection {
    /// Writes what the kernel takes; `false` if the stream has ended.
    pub(super) fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            let (front, _) = self.unsent.as_slices();
            match self.stream.write(front) {
                Ok(0) => {
                    self.is_broken = true;
                    return false;
                }
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.is_broken = true;
                    return false;
                }
            }
        }
        true
    }
}

/// IPv4 as IPv4, as the UDP socket says it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whom a connection counts for.
fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & (u128::MAX << 64)).into()),
        ip => ip,
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
