//! What the others have in common: options, counters, outcomes, and addresses as the kernel has them.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

/// How to open a [`crate::Socket`].
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
    /// Keep ICMP errors for [`crate::Socket::recv_error`].
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

/// What a [`crate::SendBatch::flush`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub sent: usize,
    /// Datagrams dropped because the socket's send buffer was full.
    pub dropped: usize,
    /// Datagrams that the kernel refused.
    pub failed: usize,
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

/// The address as an IPv6 socket takes it.
pub(crate) fn mapped(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
        SocketAddr::V6(_) => to,
    }
}
