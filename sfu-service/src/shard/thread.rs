//! A shard's thread as a value: what it is made of and what it holds.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Interest, Poll, Token, Waker};
use slab::Slab;
use tokio::sync::mpsc;
use transport::Identity;

use super::call::CallTurn;
use super::channels::Deliveries;
use super::command::ShardEvent;
use super::inbox::{Inbox, ShardHandle, inbox};
use super::io::{Io, SEND_BATCH};
use super::lane::Lanes;
use super::outbox::Outbox;
use super::owners::AddressOwners;
use super::participant::MediaPaths;
use super::portions::Portions;
use super::pulse::Pulse;
use super::rooms::{Rooms, SourceKey};
use super::tcp::{LISTENER, Tcp};
use crate::metrics::ShardCounters;
use crate::published::SessionKey;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// Runs each turn of a media thread's loop, given as a closure to be called once. For those who measure what a turn
/// costs; `plainly` only calls it.
pub type Around = fn(&mut dyn FnMut());

/// Just calls it.
pub(crate) fn plainly(turn: &mut dyn FnMut()) {
    turn();
}

/// What a shard is made of besides its socket.
#[derive(Debug, Clone)]
pub(crate) struct ShardSettings {
    /// Its number.
    pub(crate) index: usize,
    /// Certificate of the process.
    pub(crate) identity: Identity,
    /// A moment and the time of day at it; the same for all shards.
    pub(crate) epoch: (Instant, Duration),
    /// Start of its random numbers.
    pub(crate) seed: u64,
    /// Its counters.
    pub(crate) counters: Arc<ShardCounters>,
    /// What each turn of its loop runs in.
    pub(crate) around: Around,
}

/// A shard whose socket is bound and whose inbox takes commands, before its thread runs.
pub(crate) struct Prepared {
    poll: Poll,
    socket: Arc<udp::Socket>,
    tcp: Tcp,
    inbox: Inbox,
    handle: ShardHandle,
}

/// Registers a socket, and the listener beside it if there is one, and opens the inbox.
pub(crate) fn prepare(
    mut socket: udp::Socket,
    mut listener: Option<mio::net::TcpListener>,
) -> std::io::Result<Prepared> {
    let poll = Poll::new()?;
    if let Some(listener) = &mut listener {
        poll.registry().register(listener, LISTENER, Interest::READABLE)?;
    }
    let tcp = Tcp::new(poll.registry().try_clone()?, listener);
    socket.watch(&poll, SOCKET)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (handle, inbox) = inbox(waker);
    Ok(Prepared { poll, socket: Arc::new(socket), tcp, inbox, handle })
}

impl Prepared {
    /// Where commands go.
    pub(crate) fn handle(&self) -> &ShardHandle {
        &self.handle
    }

    /// The socket, for its counters.
    pub(crate) fn socket(&self) -> &Arc<udp::Socket> {
        &self.socket
    }
}

pub(super) struct ShardThread {
    pub(super) poll: Poll,
    pub(super) inbox: Inbox,
    pub(super) settings: ShardSettings,
    pub(super) local: SocketAddr,
    pub(super) core: sfu_core::Shard,
    pub(super) io: Io,
    pub(super) by_key: HashMap<SessionKey, usize>,
    pub(super) by_ufrag: HashMap<String, usize>,
    pub(super) by_address: AddressOwners,
    pub(super) timers: BinaryHeap<Reverse<(Instant, usize)>>,
    pub(super) outbox: Outbox,
    pub(super) deliveries: Deliveries,
    pub(super) calls: CallTurn,
    /// Whose turn it is to be sent what this shard has missed.
    pub(super) portions: Portions<SourceKey>,
    /// Packets that may be repeated for other shards in this turn.
    pub(super) may_repeat: usize,
    #[cfg(test)]
    pub(super) fault: Option<&'static str>,
    /// When publishers' media is reported next.
    pub(super) next_report: Instant,
    /// When the lines of calls are looked at next.
    pub(super) next_look: Instant,
    /// Who is looked at next that was sent nothing.
    pub(super) pulse: Pulse,
    pub(super) stopping: bool,
}

impl ShardThread {
    pub(super) fn new(
        prepared: Prepared,
        settings: ShardSettings,
        shards: Vec<ShardHandle>,
        events: mpsc::Sender<ShardEvent>,
    ) -> Self {
        settings.counters.clock.is_this_thread();
        let Prepared { poll, socket, tcp, inbox, .. } = prepared;
        let (epoch, unix) = settings.epoch;
        let core = sfu_core::Shard::new(sfu_core::ShardConfig { epoch, unix, seed: settings.seed });
        let local = socket.local_addr();
        let io = Io {
            socket,
            tcp,
            batch: udp::SendBatch::new(SEND_BATCH, udp::DEFAULT_MAX_DATAGRAM),
            participants: Slab::new(),
            paths: MediaPaths::default(),
            rooms: Rooms::default(),
            viewers: HashMap::new(),
            lanes: Lanes::new(shards),
            index: settings.index,
            may_ask: 0,
            sending: None,
            #[cfg(test)]
            fault: None,
            events: Vec::with_capacity(64),
            counters: settings.counters.clone(),
        };
        Self {
            poll,
            inbox,
            settings,
            local,
            core,
            io,
            by_key: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: AddressOwners::default(),
            timers: BinaryHeap::new(),
            outbox: Outbox::new(events),
            deliveries: Deliveries::default(),
            calls: CallTurn::default(),
            portions: Portions::default(),
            may_repeat: 0,
            #[cfg(test)]
            fault: None,
            next_report: epoch,
            next_look: epoch,
            pulse: Pulse::new(epoch),
            stopping: false,
        }
    }

    /// Where a test may have a fault happen.
    #[cfg(test)]
    pub(super) fn fault_point(&mut self, name: &'static str) {
        if self.fault == Some(name) {
            self.fault = None;
            panic!("a fault of the test");
        }
    }

    #[cfg(not(test))]
    pub(super) fn fault_point(&mut self, _: &'static str) {}
}
