//! Addresses and ids. A client address and a peer address look alike and must never be swapped, so each has
//! a type of its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How a client reaches the server (not how the server reaches peers: that is always UDP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams. Answers that could amplify are rate limited.
    Udp,
    /// Datagrams inside DTLS.
    Dtls,
    /// A byte stream, already cut into messages. ChannelData is padded to four bytes.
    Tcp,
    /// A byte stream inside TLS.
    Tls,
}

impl Transport {
    /// Every transport, in the order of [`Transport::index`].
    pub const ALL: [Self; 4] = [Self::Udp, Self::Dtls, Self::Tcp, Self::Tls];

    /// A dense number for tables.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// A short name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Dtls => "dtls",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Whether the server shows a certificate.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Dtls)
    }

    /// Whether messages come as bytes without borders.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

/// The address a client sends from: the "client's transport address" of RFC 8656, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientAddr(pub SocketAddr);

/// A host that the client talks to through the relay: the "peer" of RFC 8656, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddr(pub SocketAddr);

/// What identifies an allocation (RFC 8656, section 3): the transport, the client's address, and the
/// server's address that the client sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiveTuple {
    /// The transport between client and server.
    pub transport: Transport,
    /// The client's address, as the server sees it.
    pub client: ClientAddr,
    /// The server's local address.
    pub server: SocketAddr,
}

/// Names one relay socket for its whole life. A slot is used again after the socket is closed, with another
/// generation, so a late event of the old socket finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl RelayId {
    /// A small dense number, unique among the sockets that are open now: an index for the owner's tables.
    #[must_use]
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// An address family, as in REQUESTED-ADDRESS-FAMILY (RFC 8656, section 18.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, value 1.
    V4,
    /// IPv6, value 2.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(crate) fn from_wire(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::V4),
            2 => Some(Self::V6),
            _ => None,
        }
    }

    pub(crate) fn to_wire(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An ICMP error that came back for a datagram to a peer (RFC 8656, section 11.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// ICMP or ICMPv6 type, after the family of the peer.
    pub kind: u8,
    /// ICMP or ICMPv6 code.
    pub code: u8,
    /// MTU of the next hop where the error is about that, else 0.
    pub mtu: u32,
}

impl Icmp {
    /// Whether clients are told of it: destination unreachable and time exceeded, and for IPv6 packet too big.
    pub(crate) fn is_reported(self, family: Family) -> bool {
        match family {
            Family::V4 => matches!(self.kind, 3 | 11),
            Family::V6 => matches!(self.kind, 1..=3),
        }
    }
}

/// The requests that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// STUN Binding, for everyone.
    Binding,
    /// Create an allocation.
    Allocate,
    /// Prolong or delete an allocation.
    Refresh,
    /// Let peers' addresses in.
    CreatePermission,
    /// Bind a channel number to a peer.
    ChannelBind,
}

impl Method {
    /// The name in the RFC.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binding => "Binding",
            Self::Allocate => "Allocate",
            Self::Refresh => "Refresh",
            Self::CreatePermission => "CreatePermission",
            Self::ChannelBind => "ChannelBind",
        }
    }
}
