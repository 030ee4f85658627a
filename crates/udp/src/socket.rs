//! The socket: options, mio registration, counters.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use quinn_udp::UdpSocketState;
use socket2::{Domain, Protocol, Type};

use crate::recv::RecvBatch;

/// How to open a [`Socket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Kernel receive buffer in bytes, best effort: the kernel caps it at `net.core.rmem_max`. 0 leaves it as it is.
    pub recv_buffer: usize,
    /// Kernel send buffer in bytes, best effort: the kernel caps it at `net.core.wmem_max`. 0 leaves it as it is.
    pub send_buffer: usize,
    /// Use segmentation offload for several packets to one destination, where the kernel has it.
    pub gso: bool,
    /// For an IPv6 wildcard address: take IPv4 too (addresses are reported as IPv4).
    pub dual_stack: bool,
    /// Let several sockets of this user have the address: the kernel spreads clients over them, and keeps each
    /// client with one (`SO_REUSEPORT`).
    pub share_port: bool,
    /// Keep ICMP errors for [`Socket::recv_error`].
    pub icmp_errors: bool,
    /// Have the kernel tell the local address of each datagram ([`crate::Datagram::to_ip`]), which costs a little for
    /// each. A socket that is bound to one address knows it without.
    pub to_ip: bool,
    /// Set the DF bit of IPv4 datagrams, and ignore what the kernel believes of the path: the kernel need not number
    /// each datagram for its fragments (0.14 us). What is longer than the path takes is lost, but for what was added by
    /// [`crate::SendBatch::push_fragmentable`]. An interface of this machine that takes less ends it for the socket.
    /// IPv6 has no such cost, and stays as it is.
    pub dont_fragment: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            recv_buffer: 4 << 20,
            send_buffer: 4 << 20,
            gso: true,
            dual_stack: true,
            share_port: false,
            icmp_errors: false,
            to_ip: true,
            dont_fragment: false,
        }
    }
}

/// An ICMP error that came back for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Where the datagram was sent to.
    pub to: SocketAddr,
    /// ICMP type, or ICMPv6 type where `to` is an IPv6 address.
    pub kind: u8,
    /// ICMP or ICMPv6 code.
    pub code: u8,
    /// MTU of the next hop, where the error is about that; else 0.
    pub mtu: u32,
}

/// What a socket has done since it was opened. All counts only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received, GRO segments counted apart.
    pub received: u64,
    /// Bytes in them.
    pub received_bytes: u64,
    /// Calls that received.
    pub recv_calls: u64,
    /// Datagrams handed to the kernel, GSO segments counted apart.
    pub sent: u64,
    /// Bytes in them.
    pub sent_bytes: u64,
    /// Calls that sent.
    pub send_calls: u64,
    /// Datagrams dropped because the send buffer was full.
    pub dropped: u64,
    /// Datagrams that the kernel refused (unreachable, too long, filtered).
    pub failed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct AtomicCounters {
    pub(crate) received: AtomicU64,
    pub(crate) received_bytes: AtomicU64,
    pub(crate) recv_calls: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) send_calls: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Adds to a counter that one thread writes and any may read.
pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

/// A non-blocking UDP socket with batched calls. Register it with a [`mio::Poll`] as any event source; events
/// are edge triggered, so receive until `WouldBlock`. Or wait for it with [`Socket::wait`].
#[derive(Debug)]
pub struct Socket {
    pub(crate) io: mio::net::UdpSocket,
    pub(crate) state: Arc<UdpSocketState>,
    pub(crate) counters: AtomicCounters,
    pub(crate) v6: bool,
    gso: AtomicBool,
    /// Of [`Options::dont_fragment`].
    dont_fragment: AtomicBool,
    local: SocketAddr,
}

impl Socket {
    /// Opens a socket on `addr` (port 0 takes a free one) with default [`Options`].
    ///
    /// # Errors
    /// What the kernel says: the port is taken, the address is not of this machine, and so on.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(addr, Options::default())
    }

    /// Opens a socket on `addr`.
    ///
    /// # Errors
    /// As [`Socket::bind`].
    pub fn bind_with(addr: SocketAddr, options: Options) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let kind = Type::DGRAM.nonblocking();
        #[cfg(not(target_os = "linux"))]
        let kind = Type::DGRAM;
        let socket = socket2::Socket::new(Domain::for_address(addr), kind, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(!options.dual_stack)?;
        }
        #[cfg(unix)]
        if options.share_port {
            socket.set_reuse_port(true)?;
        }
        // Best effort: a small buffer still works, it only drops earlier.
        if options.recv_buffer > 0 {
            let _ = socket.set_recv_buffer_size(options.recv_buffer);
        }
        if options.send_buffer > 0 {
            let _ = socket.set_send_buffer_size(options.send_buffer);
        }
        socket.bind(&addr.into())?;
        let state = prepare(&socket, addr, options)?;
        let socket = std::net::UdpSocket::from(socket);
        let local = if addr.port() == 0 { socket.local_addr()? } else { addr };
        let gso = AtomicBool::new(options.gso && state.max_gso_segments() > 1);
        let io = mio::net::UdpSocket::from_std(socket);
        let dont_fragment = AtomicBool::new(options.dont_fragment);
        let counters = AtomicCounters::default();
        Ok(Self { io, state, counters, v6: addr.is_ipv6(), gso, dont_fragment, local })
    }

    /// The address that the socket is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Receives what is there into `batch`, replacing its contents, and returns the number of datagrams.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; otherwise what the kernel says.
    pub fn recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.fill(self)
    }

    /// Waits up to `timeout` until there is a datagram or something that `poll` watches; `events` are those of `poll`.
    /// For a socket that sends much: [`Socket::watch`] it instead of registering it. The kernel looks at a poll that a
    /// socket is registered with for each datagram that leaves, at one that waits only while it waits.
    ///
    /// # Errors
    /// What the kernel says; `Interrupted` by a signal.
    pub fn wait(&self, poll: &mut mio::Poll, events: &mut mio::Events, timeout: Duration) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if !crate::sys::wait(&self.io, poll, timeout)? {
            events.clear();
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        let timeout = Duration::ZERO;
        poll.poll(events, Some(timeout))
    }

    /// Makes the socket known to a poll that is used with [`Socket::wait`] only; its events are of no use.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn watch(&mut self, poll: &mio::Poll, token: Token) -> io::Result<()> {
        #[cfg(not(target_os = "linux"))]
        poll.registry().register(self, token, Interest::READABLE)?;
        #[cfg(target_os = "linux")]
        let _ = (poll, token);
        Ok(())
    }

    /// Takes the oldest ICMP error that came back for a datagram of this socket (see
    /// [`Options::icmp_errors`]). `None` when there is none.
    #[must_use]
    pub fn recv_error(&self) -> Option<IcmpError> {
        #[cfg(target_os = "linux")]
        return crate::sys::recv_error(&self.io).map(|error| IcmpError { to: canonical(error.to), ..error });
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Whether datagrams that are sent from now on must not be fragmented on their way. Best effort.
    pub fn set_dont_fragment(&self, dont_fragment: bool) {
        #[cfg(target_os = "linux")]
        crate::sys::set_dont_fragment(&self.io, self.v6, dont_fragment);
        #[cfg(not(target_os = "linux"))]
        let _ = dont_fragment;
    }

    /// What this socket has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let c = &self.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            received: read(&c.received),
            received_bytes: read(&c.received_bytes),
            recv_calls: read(&c.recv_calls),
            sent: read(&c.sent),
            sent_bytes: read(&c.sent_bytes),
            send_calls: read(&c.send_calls),
            dropped: read(&c.dropped),
            failed: read(&c.failed),
        }
    }

    /// Whether several packets to one destination go out as one message. Turns false for good when the kernel
    /// or the network card refuses one.
    #[must_use]
    pub fn uses_gso(&self) -> bool {
        self.gso.load(Ordering::Relaxed)
    }

    /// Whether datagrams can leave from several addresses: a socket that is bound to one leaves from it, and need not
    /// tell the kernel with each.
    pub(crate) fn chooses_source(&self) -> bool {
        self.local.ip().is_unspecified()
    }

    /// The address that the socket is bound to, unless it is bound to all.
    pub(crate) fn bound_ip(&self) -> Option<IpAddr> {
        Some(self.local.ip().to_canonical()).filter(|_| !self.chooses_source())
    }

    /// Whether its datagrams have the DF bit.
    pub(crate) fn forbids_fragments(&self) -> bool {
        self.dont_fragment.load(Ordering::Relaxed)
    }

    /// An interface takes less than a datagram has: from now on what is too long leaves in fragments.
    pub(crate) fn allow_fragments(&self) {
        self.dont_fragment.store(false, Ordering::Relaxed);
        self.set_dont_fragment(false);
    }

    pub(crate) fn stop_gso(&self) {
        self.gso.store(false, Ordering::Relaxed);
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.io.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.io.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.io.deregister(registry)
    }
}

/// Sets what every socket needs, and what `options` ask for beside. Not by [`UdpSocketState::new`], which asks the
/// kernel again for each socket, and has it tell times and classes of each datagram that nobody here reads.
#[cfg(target_os = "linux")]
fn prepare(socket: &socket2::Socket, addr: SocketAddr, options: Options) -> io::Result<Arc<UdpSocketState>> {
    let to_ip = options.to_ip && addr.ip().is_unspecified();
    crate::sys::prepare(socket, addr.is_ipv6(), Options { to_ip, ..options });
    kernel(addr)
}

/// Sets what every socket needs, and what `options` ask for beside.
#[cfg(not(target_os = "linux"))]
fn prepare(socket: &socket2::Socket, _: SocketAddr, options: Options) -> io::Result<Arc<UdpSocketState>> {
    let state = UdpSocketState::new(socket.into())?;
    if options.icmp_errors {
        state.enable_transport_errors(socket.into())?;
    }
    Ok(Arc::new(state))
}

/// What the kernel can do, asked once with a socket of its own: it is the same for all of them.
#[cfg(target_os = "linux")]
fn kernel(addr: SocketAddr) -> io::Result<Arc<UdpSocketState>> {
    static KERNEL: OnceLock<Arc<UdpSocketState>> = OnceLock::new();
    if let Some(known) = KERNEL.get() {
        return Ok(known.clone());
    }
    let probe = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    let state = Arc::new(UdpSocketState::new((&probe).into())?);
    Ok(KERNEL.get_or_init(|| state).clone())
}

/// An IPv4 address as such, also where a dual-stack socket reports it as an IPv6 one.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => addr,
        },
        SocketAddr::V4(_) => addr,
    }
}
