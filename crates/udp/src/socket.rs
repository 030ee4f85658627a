//! The socket: opened, registered with mio, waited for.

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

use crate::types::{AtomicCounters, Counters, IcmpError, Options, Sent, add, canonical, mapped};

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

    /// Sends one datagram by a call of its own: the way out where the batched call is missing or refused.
    pub(crate) fn send_one(&self, to: SocketAddr, from: Option<IpAddr>, data: &[u8], done: &mut Sent) {
        let destination = if self.v6 { mapped(to) } else { to };
        let transmit =
            quinn_udp::Transmit { destination, ecn: None, contents: data, segment_size: None, src_ip: from };
        add(&self.counters.send_calls, 1);
        match self.state.try_send((&self.io).into(), &transmit) {
            Ok(()) => {
                done.sent += 1;
                add(&self.counters.sent_bytes, data.len());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => done.dropped += 1,
            Err(_) => done.failed += 1,
        }
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::mem::size_of;
    use std::os::fd::AsRawFd as _;

    use super::*;
    use crate::{RecvBatch, SendBatch};

    /// The kernel's word for what it does with datagrams that are too long.
    fn mode(socket: &Socket) -> i32 {
        let (mut value, mut length): (libc::c_int, libc::socklen_t) = (-1, size_of::<libc::c_int>() as _);
        // SAFETY: the kernel writes `length` bytes to a live local, and their number to another.
        let result = unsafe {
            libc::getsockopt(
                socket.io.as_raw_fd(),
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0);
        value
    }

    fn socket(dont_fragment: bool) -> Socket {
        let options = Options { dont_fragment, ..Options::default() };
        Socket::bind_with("127.0.0.1:0".parse().unwrap(), options).unwrap()
    }

    #[test]
    fn what_may_be_cut_leaves_without_df_and_the_rest_with_it() {
        let (from, to) = (socket(true), socket(false));
        assert_eq!((mode(&from), mode(&to)), (libc::IP_PMTUDISC_PROBE, libc::IP_PMTUDISC_DONT));
        let mut batch = SendBatch::new(16, 1_500);
        let address = to.local_addr();
        batch.push_fragmentable(address, None, b"flight 1").unwrap();
        batch.push_slice(address, None, b"media 1").unwrap();
        batch.push_fragmentable(address, None, b"flight 2").unwrap();
        batch.push_slice(address, None, b"media 2").unwrap();
        assert_eq!(batch.flush(&from), Sent { sent: 4, dropped: 0, failed: 0 });
        assert_eq!(mode(&from), libc::IP_PMTUDISC_PROBE, "as before");
        let mut recv = RecvBatch::new();
        let mut came = Vec::new();
        while came.len() < 4 {
            to.recv(&mut recv).unwrap();
            came.extend(recv.iter_mut().map(|datagram| String::from_utf8_lossy(datagram.data).into_owned()));
        }
        // In the order of each kind.
        assert_eq!(came, ["media 1", "media 2", "flight 1", "flight 2"]);
    }

    #[test]
    fn an_interface_that_takes_less_ends_it() {
        let from = socket(true);
        from.allow_fragments();
        assert_eq!(mode(&from), libc::IP_PMTUDISC_DONT);
        let mut batch = SendBatch::new(1, 1_500);
        batch.push_fragmentable(from.local_addr(), None, b"to myself").unwrap();
        batch.flush(&from);
        assert_eq!(mode(&from), libc::IP_PMTUDISC_DONT, "a flush does not bring it back");
    }
}
