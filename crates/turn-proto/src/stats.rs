//! Counters of one server. Plain numbers: whoever owns the server publishes them.

use crate::error::ErrorCode;
use crate::peer::PeerRefusal;

/// Totals since the start. `packets` and `bytes` count payloads that were handed on, not headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Allocations made.
    pub allocations_created: u64,
    /// Allocations that ended, for whatever reason.
    pub allocations_closed: u64,
    /// Binding requests answered.
    pub bindings: u64,
    /// Error responses, by [`ErrorCode::index`].
    pub errors: [u64; ErrorCode::ALL.len()],
    /// Permissions, channels and datagrams refused by the peer filter, by [`PeerRefusal::index`].
    pub refused_peers: [u64; PeerRefusal::ALL.len()],
    /// 401, 438, and 420 to Binding, that were not sent because the source had its share.
    pub suppressed_challenges: u64,
    /// Datagrams from clients to peers.
    pub to_peer_packets: u64,
    /// Their payload bytes.
    pub to_peer_bytes: u64,
    /// Datagrams from peers to clients.
    pub to_client_packets: u64,
    /// Their payload bytes.
    pub to_client_bytes: u64,
    /// Datagrams from clients that are no message, or no message that is answered.
    pub ignored: u64,
    /// Send indications and ChannelData without allocation, permission or channel.
    pub dropped_from_client: u64,
    /// Datagrams from peers without a permission.
    pub dropped_from_peer: u64,
}
