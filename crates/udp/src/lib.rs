//! Batched UDP: `recvmmsg` and GRO in, `sendmmsg` and GSO out, on a socket that a mio poll watches.
//!
//! One [`Socket`] belongs to one thread's event loop. Datagrams come in through a [`RecvBatch`] and go out
//! through a [`SendBatch`]; both are allocated once and used for every call, and one of each may serve many
//! sockets of a thread. Nothing here waits: when the kernel's send buffer is full the rest of a batch is
//! dropped and counted, because a late media packet is worth less than a lost one.
//!
//! This is the only crate of the workspace with unsafe code, all of it in `sys.rs` and `chunk.rs`.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
mod chunk;
mod recv;
mod send;
mod socket;
#[cfg(target_os = "linux")]
mod sys;
mod types;

pub use recv::{Datagram, RecvBatch};
pub use send::{Full, SendBatch};
pub use socket::Socket;
pub use types::{Counters, IcmpError, Options, Sent};

/// Raises the number of files (sockets are files) that this process may open to what the system allows it, and
/// returns that number; `None` where it cannot be told.
#[must_use]
pub fn raise_file_limit() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return sys::raise_file_limit();
    #[cfg(not(target_os = "linux"))]
    None
}

/// Longest datagram that a [`SendBatch`] takes by default: an Ethernet frame's worth.
pub const DEFAULT_MAX_DATAGRAM: usize = 1500;
