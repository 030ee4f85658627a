//! Receiving: up to 32 kernel messages a call, each one datagram or, with GRO, a run of equal ones.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{BATCH_SIZE, RecvMeta};

use crate::socket::Socket;
use crate::types::{add, canonical};

/// Room for the longest UDP payload, so that neither a datagram nor a GRO run is ever cut. Pages of it that no
/// message reaches are never touched, so they cost address space only.
const SLOT: usize = 65_536;

/// A received datagram.
#[derive(Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Where it came from; IPv4 also on a dual-stack socket.
    pub from: SocketAddr,
    /// The local address that it was sent to, where the kernel says so or the socket is bound to it: answers should
    /// leave from it.
    pub to_ip: Option<IpAddr>,
    /// Its payload, to be decrypted in place.
    pub data: &'a mut [u8],
}

impl Socket {
    /// Receives what is there into `batch`, replacing its contents, and returns the number of datagrams.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; otherwise what the kernel says.
    pub fn recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.fill(self)
    }
}

/// Reusable memory for received datagrams. One serves all sockets of a thread.
pub struct RecvBatch {
    arena: Box<[u8]>,
    meta: [RecvMeta; BATCH_SIZE],
    filled: usize,
    /// Of a socket that is bound to one.
    bound_ip: Option<IpAddr>,
}

impl RecvBatch {
    /// Allocates address space for a full batch (2 MiB; resident as far as messages reach).
    #[must_use]
    pub fn new() -> Self {
        Self {
            arena: vec![0; SLOT * BATCH_SIZE].into_boxed_slice(),
            meta: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            bound_ip: None,
        }
    }

    /// The datagrams of the last [`Socket::recv`], in the order of their arrival.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        let slots = self.arena.chunks_exact_mut(SLOT);
        slots.zip(&self.meta).take(self.filled).flat_map(|(slot, meta)| {
            let from = canonical(meta.addr);
            let to_ip = meta.dst_ip.map(|ip| ip.to_canonical()).or(self.bound_ip);
            let filled = slot.get_mut(..meta.len).unwrap_or_default();
            // An empty datagram has no chunk, and is one all the same.
            let empty = filled.is_empty().then(<&mut [u8]>::default);
            let data = empty.into_iter().chain(filled.chunks_mut(meta.stride.max(1)));
            data.map(move |data| Datagram { from, to_ip, data })
        })
    }

    /// Whether the last [`Socket::recv`] filled the batch, so that more may wait. If it did not, the socket was
    /// empty, and an edge-triggered poll tells of the next datagram: another call would only say `WouldBlock`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filled == BATCH_SIZE
    }

    fn fill(&mut self, socket: &Socket) -> io::Result<usize> {
        self.filled = 0;
        self.bound_ip = socket.bound_ip();
        let mut slots = self.arena.chunks_exact_mut(SLOT);
        // The arena has exactly BATCH_SIZE slots, so no default is ever taken.
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        self.filled = socket.state.recv((&socket.io).into(), &mut buffers, &mut self.meta)?;
        let (mut datagrams, mut bytes) = (0, 0);
        for meta in self.meta.iter().take(self.filled) {
            datagrams += meta.len.div_ceil(meta.stride.max(1)).max(1);
            bytes += meta.len;
        }
        add(&socket.counters.recv_calls, 1);
        add(&socket.counters.received, datagrams);
        add(&socket.counters.received_bytes, bytes);
        Ok(datagrams)
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch").field("filled", &self.filled).finish_non_exhaustive()
    }
}
