//! The loop of a shard's thread.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::id::BroadcastId;
use mio::{Events, Interest, Poll, Token, Waker};
use sfu_core::{Event, Origin, Peer, PublisherConfig, SubscriberConfig, SubscriptionConfig};
use slab::Slab;
use tokio::sync::mpsc;
use transport::{CloseReason, DatagramKind, Identity, Received, ServerConfig, Transport};

use super::command::{
    Command, EndReason, Inbox, Join, JoinRole, Published, Relayed, RelayedKind, ShardEvent, ShardHandle,
    inbox,
};
use super::io::{Io, SEND_BATCH};
use super::participant::{Participant, Role};
use super::room::RoomSlot;
use crate::metrics::ShardCounters;
use crate::registry::{SOURCES, SessionKey, TrackState};

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// Receive calls before timers and commands get their turn again.
const RECV_ROUNDS: usize = 32;
/// Packets of other shards before timers and commands get their turn again.
const RELAYED_ROUNDS: usize = 512;
/// How often publishers' media is reported to the control plane when nothing changes.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Longest sleep, in case nothing has a timer.
const MAX_SLEEP: Duration = Duration::from_secs(1);

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
}

/// A shard whose socket is bound and whose inbox takes commands, before its thread runs.
pub(crate) struct Prepared {
    poll: Poll,
    socket: Arc<udp::Socket>,
    inbox: Inbox,
    handle: ShardHandle,
}

/// Registers a socket and opens the inbox.
pub(crate) fn prepare(mut socket: udp::Socket) -> std::io::Result<Prepared> {
    let poll = Poll::new()?;
    poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (handle, inbox) = inbox(waker);
    Ok(Prepared { poll, socket: Arc::new(socket), inbox, handle })
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

    /// Starts the thread. `shards` are all shards of the node in order, this one included; `ended` runs when the
    /// thread ends, whatever the cause.
    pub(crate) fn spawn(
        self,
        settings: ShardSettings,
        shards: Vec<ShardHandle>,
        events: mpsc::Sender<ShardEvent>,
        ended: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let name = format!("sfu-shard-{}", settings.index);
        std::thread::Builder::new().name(name).spawn(move || {
            let shard = Shard::new(self, settings, shards, events);
            // Sessions have a boundary of their own: what comes here is a fault of the loop itself.
            let _ = catch_unwind(AssertUnwindSafe(|| shard.run()));
            ended();
        })
    }
}

struct Shard {
    poll: Poll,
    inbox: Inbox,
    settings: ShardSettings,
    local: SocketAddr,
    core: sfu_core::Shard,
    io: Io,
    by_key: HashMap<SessionKey, usize>,
    by_ufrag: HashMap<String, usize>,
    by_address: HashMap<SocketAddr, usize>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    events: mpsc::Sender<ShardEvent>,
    /// What the channel did not take yet.
    backlog: VecDeque<ShardEvent>,
    next_report: Instant,
    stopping: bool,
}

impl Shard {
    fn new(
        prepared: Prepared,
        settings: ShardSettings,
        shards: Vec<ShardHandle>,
        events: mpsc::Sender<ShardEvent>,
    ) -> Self {
        let Prepared { poll, socket, inbox, .. } = prepared;
        let (epoch, unix) = settings.epoch;
        let core = sfu_core::Shard::new(sfu_core::ShardConfig { epoch, unix, seed: settings.seed });
        let local = socket.local_addr();
        let io = Io {
            socket,
            batch: udp::SendBatch::new(SEND_BATCH, udp::DEFAULT_MAX_DATAGRAM),
            participants: Slab::new(),
            rooms: HashMap::new(),
            room_of: HashMap::new(),
            wake: vec![false; shards.len()],
            shards,
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
            by_address: HashMap::new(),
            timers: BinaryHeap::new(),
            events,
            backlog: VecDeque::new(),
            next_report: epoch,
            stopping: false,
        }
    }

    fn run(mut self) {
        let mut recv = udp::RecvBatch::new();
        let mut ready = Events::with_capacity(8);
        let mut more = true;
        while !self.stopping {
            let sleep = if more { Duration::ZERO } else { self.sleep(Instant::now()) };
            if let Err(error) = self.poll.poll(&mut ready, Some(sleep))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(shard = self.settings.index, %error, "a media thread cannot wait for its socket");
                return;
            }
            while let Some(command) = self.inbox.command() {
                self.command(command, Instant::now());
            }
            more = self.receive(&mut recv) | self.take_relayed();
            self.run_timers(Instant::now());
            self.io.flush();
            self.io.wake_shards();
            self.flush_backlog();
        }
    }

    fn sleep(&self, now: Instant) -> Duration {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let next = [timer, self.core.poll_timeout(), Some(self.next_report)].into_iter().flatten().min();
        let sleep = next.map_or(MAX_SLEEP, |at| at.saturating_duration_since(now));
        // What the channel did not take is tried again soon.
        if self.backlog.is_empty() { sleep.min(MAX_SLEEP) } else { sleep.min(Duration::from_millis(10)) }
    }

    /// Takes what the socket has; `true` if there may be more.
    fn receive(&mut self, recv: &mut udp::RecvBatch) -> bool {
        for _ in 0..RECV_ROUNDS {
            match self.io.socket.clone().recv(recv) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                // An ICMP error of an earlier datagram, or a signal: the next call goes on.
                Err(_) => continue,
            }
            let now = Instant::now();
            for datagram in recv.iter_mut() {
                let local = datagram.to_ip.map_or(self.local, |ip| SocketAddr::new(ip, self.local.port()));
                self.datagram(datagram.from, local, datagram.data, now);
            }
            self.io.flush();
        }
        true
    }

    /// Finds whom a datagram belongs to: STUN by the user name that it carries, anything else by an address that ICE
    /// has validated.
    fn datagram(&mut self, from: SocketAddr, local: SocketAddr, data: &mut [u8], now: Instant) {
        let slot = match transport::classify(data) {
            DatagramKind::Stun => {
                let name = transport::peek_binding_username(data).map(|(local, _)| local);
                name.and_then(|ufrag| self.by_ufrag.get(ufrag))
            }
            DatagramKind::Other => None,
            DatagramKind::Dtls | DatagramKind::Rtp | DatagramKind::Rtcp => self.by_address.get(&from),
        };
        let Some(&slot) = slot else {
            ShardCounters::add(&self.io.counters.unvalidated, 1);
            return;
        };
        self.guarded(slot, now, |shard| shard.session_datagram(slot, from, local, data, now));
    }

    /// The boundary of a session: a panic inside ends it alone.
    fn guarded(&mut self, slot: usize, now: Instant, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            ShardCounters::add(&self.io.counters.panics, 1);
            tracing::error!(shard = self.settings.index, "a session ended by a fault inside");
            if catch_unwind(AssertUnwindSafe(|| self.remove(slot, EndReason::Panic, now))).is_err() {
                tracing::error!(shard = self.settings.index, "a faulty session could not be removed cleanly");
            }
        }
        self.handle_core_events(now);
    }

    fn session_datagram(
        &mut self,
        slot: usize,
        from: SocketAddr,
        local: SocketAddr,
        data: &mut [u8],
        now: Instant,
    ) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let room = participant.room;
        match participant.transport.handle_datagram(from, local, data, now) {
            Received::Rtp(packet) => {
                let Role::Publisher { current: true, .. } = participant.role else { return };
                if let Some(id) = self.io.rooms.get(&room).and_then(|room| room.publisher) {
                    self.core.handle_rtp(id, packet, now, &mut self.io);
                }
            }
            Received::Rtcp(packet) => match participant.role {
                Role::Publisher { current: true, .. } => {
                    if let Some(id) = self.io.rooms.get(&room).and_then(|room| room.publisher) {
                        self.core.handle_publisher_rtcp(id, packet, now, &mut self.io);
                    }
                }
                Role::Viewer { subscriber: Some(id), .. } => {
                    self.core.handle_subscriber_rtcp(id, packet, now, &mut self.io);
                }
                Role::Publisher { .. } | Role::Viewer { .. } => {}
            },
            Received::Nothing => self.settle(slot, now),
            Received::Refused(refusal) => {
                match refusal {
                    transport::Refusal::Srtp(_) => ShardCounters::add(&self.io.counters.srtp_failures, 1),
                    _ => ShardCounters::add(&self.io.counters.unvalidated, 1),
                }
                self.settle(slot, now);
            }
        }
    }

    /// Carries out what a transport wants after a call.
    fn settle(&mut self, slot: usize, now: Instant) {
        self.send_transmits(slot);
        while let Some(event) = self.io.participants.get_mut(slot).and_then(|p| p.transport.poll_event()) {
            match event {
                transport::Event::Validated(address) => {
                    self.by_address.insert(address, slot);
                }
                transport::Event::Invalidated(address) => self.forget_address(address, slot),
                transport::Event::AddressChanged(pair) => {
                    if let Some(participant) = self.io.participants.get_mut(slot) {
                        participant.pair = Some(pair);
                    }
                }
                transport::Event::Connected(_) => self.connected(slot, now),
                transport::Event::Closed(reason) => {
                    tracing::debug!(%reason, "a transport is closed");
                    return self.remove(slot, end_reason(&reason), now);
                }
            }
        }
        self.schedule(slot);
    }

    fn send_transmits(&mut self, slot: usize) {
        while let Some(transmit) =
            self.io.participants.get_mut(slot).and_then(|p| p.transport.poll_transmit())
        {
            self.io.push(transmit.to, transmit.from_local, &transmit.bytes);
        }
    }

    fn forget_address(&mut self, address: SocketAddr, slot: usize) {
        // A browser that reloads may come from the same address in a new session, which owns it then.
        if self.by_address.get(&address) == Some(&slot) {
            self.by_address.remove(&address);
        }
    }

    fn schedule(&mut self, slot: usize) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let Some(at) = participant.transport.poll_timeout() else { return };
        // A later deadline needs no new entry: the one that is set finds out when it fires.
        if participant.timer.is_none_or(|set| at < set) {
            participant.timer = Some(at);
            self.timers.push(Reverse((at, slot)));
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(&Reverse((at, slot))) = self.timers.peek().filter(|Reverse((at, _))| *at <= now) {
            self.timers.pop();
            let Some(participant) = self.io.participants.get_mut(slot) else { continue };
            if participant.timer != Some(at) {
                continue;
            }
            participant.timer = None;
            self.guarded(slot, now, |shard| {
                if let Some(participant) = shard.io.participants.get_mut(slot) {
                    participant.transport.handle_timeout(now);
                }
                shard.settle(slot, now);
            });
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            if catch_unwind(AssertUnwindSafe(|| self.core.handle_timeout(now, &mut self.io))).is_err() {
                ShardCounters::add(&self.io.counters.panics, 1);
                tracing::error!(shard = self.settings.index, "the timers of the media core failed");
            }
            self.handle_core_events(now);
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            let rooms: Vec<BroadcastId> = self.io.rooms.keys().copied().collect();
            rooms.into_iter().for_each(|room| self.report_media(room, now));
        }
    }

    fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Join(join, reply) => {
                self.join(*join, now);
                // Nobody waits any more if the client has gone.
                let _ = reply.send(Ok(()));
            }
            Command::Leave(key) => {
                if let Some(&slot) = self.by_key.get(&key) {
                    self.guarded(slot, now, |shard| shard.close(slot, now));
                }
            }
            Command::RestartIce { key, local, remote, reply } => {
                let restarted = self.restart_ice(key, &local, &remote, now);
                let _ = reply.send(restarted.ok_or_else(|| "the session has ended".to_owned()));
            }
            Command::Published(room, published) => self.published(room, published, now),
            Command::Relay { room, shard, wanted } => self.set_relay(room, shard, wanted, now),
            Command::Stop => {
                let slots: Vec<usize> = self.by_key.values().copied().collect();
                slots.into_iter().for_each(|slot| self.guarded(slot, now, |shard| shard.close(slot, now)));
                self.io.flush();
                self.stopping = true;
            }
        }
    }

    fn join(&mut self, join: Join, now: Instant) {
        let Join { key, room, local, remote, remote_fingerprint, role } = join;
        let config = ServerConfig {
            identity: self.settings.identity.clone(),
            local: local.clone(),
            remote,
            remote_fingerprint,
        };
        let transport = Transport::server(config, now);
        let slot_of_room = self.io.rooms.entry(room).or_default();
        let role = match role {
            JoinRole::Publisher(published) => {
                slot_of_room.publishers += 1;
                Role::Publisher { published, current: false }
            }
            JoinRole::Viewer { home, published, extensions, subscriptions } => {
                slot_of_room.viewers += 1;
                if home != self.settings.index && slot_of_room.home.is_none() {
                    slot_of_room.home = Some(home);
                    slot_of_room.published = Some(published);
                    let relay = Command::Relay { room, shard: self.settings.index, wanted: true };
                    self.send_to(home, relay);
                    self.add_remote(room, now);
                }
                Role::Viewer { extensions, subscriptions, subscriber: None }
            }
        };
        let ufrag = local.ufrag;
        let slot = self.io.participants.insert(Participant {
            key,
            room,
            transport,
            pair: None,
            timer: None,
            ufrags: vec![ufrag.clone()],
            role,
        });
        self.by_key.insert(key, slot);
        self.by_ufrag.insert(ufrag, slot);
        self.schedule(slot);
    }

    fn send_to(&self, shard: usize, command: Command) {
        // Orders between shards are always taken.
        let _ = self.io.shards.get(shard).map(|handle| handle.send(command));
    }

    fn restart_ice(
        &mut self,
        key: SessionKey,
        local: &transport::IceCredentials,
        remote: &transport::IceCredentials,
        now: Instant,
    ) -> Option<()> {
        let slot = *self.by_key.get(&key)?;
        let participant = self.io.participants.get_mut(slot)?;
        participant.transport.restart_ice(local, remote, now);
        // The transport takes checks of one generation before the current one.
        while participant.ufrags.len() > 1 {
            self.by_ufrag.remove(&participant.ufrags.remove(0));
        }
        participant.ufrags.push(local.ufrag.clone());
        self.by_ufrag.insert(local.ufrag.clone(), slot);
        self.settle(slot, now);
        Some(())
    }

    /// Ends a session from our side: the client is told.
    fn close(&mut self, slot: usize, now: Instant) {
        if let Some(participant) = self.io.participants.get_mut(slot) {
            participant.transport.close(now);
        }
        self.remove(slot, EndReason::Removed, now);
    }

    fn connected(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get(slot) else { return };
        let key = participant.key;
        if participant.is_publisher() {
            self.attach_publisher(slot, now)
        } else {
            self.attach_viewer(slot, now)
        }
        self.say(ShardEvent::Connected(key));
    }

    /// A publisher is connected: it takes over its room.
    fn attach_publisher(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get(slot) else { return };
        let Role::Publisher { published, .. } = &participant.role else { return };
        let (room, published) = (participant.room, published.clone());
        for (other, participant) in &mut self.io.participants {
            if participant.room == room
                && let Role::Publisher { current, .. } = &mut participant.role
            {
                *current = other == slot;
            }
        }
        let config = publisher_config(room, Origin::Local(Peer(slot as u32)), &published);
        let Some(entry) = self.io.rooms.get_mut(&room) else { return };
        entry.published = Some(published.clone());
        let relays = entry.relays.clone();
        self.put_publisher(room, config, now);
        for shard in relays {
            self.send_to(shard, Command::Published(room, published.clone()));
        }
    }

    /// Gives the core the publisher of a room, or the one that comes after it.
    fn put_publisher(&mut self, room: BroadcastId, config: PublisherConfig, now: Instant) {
        let Some(entry) = self.io.rooms.get_mut(&room) else { return };
        let result = match entry.publisher {
            Some(id) => self.core.resume_publisher(id, config, now),
            None => self.core.add_publisher(config, now).map(|id| {
                entry.publisher = Some(id);
                self.io.room_of.insert(id, room);
                self.core.set_relayed(id, !entry.relays.is_empty());
            }),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "the media core refuses a publisher");
        }
    }

    fn add_remote(&mut self, room: BroadcastId, now: Instant) {
        let published = self.io.rooms.get(&room).and_then(|entry| entry.published.clone());
        if let Some(published) = published {
            self.put_publisher(room, publisher_config(room, Origin::Remote, &published), now);
        }
    }

    /// The publisher of a room whose home is another shard is a new one.
    fn published(&mut self, room: BroadcastId, published: Arc<Published>, now: Instant) {
        let Some(entry) = self.io.rooms.get_mut(&room).filter(|entry| entry.home.is_some()) else { return };
        if entry.published.as_ref().is_some_and(|known| Arc::ptr_eq(known, &published)) {
            return;
        }
        entry.published = Some(published);
        self.add_remote(room, now);
    }

    fn set_relay(&mut self, room: BroadcastId, shard: usize, wanted: bool, now: Instant) {
        let entry = self.io.rooms.entry(room).or_default();
        entry.relays.retain(|other| *other != shard);
        if wanted {
            entry.relays.push(shard);
        }
        let relayed = !entry.relays.is_empty();
        let publisher = entry.publisher;
        // The viewers' shard may have been told of a publisher that has been replaced meanwhile.
        if let Some(published) = entry.published.clone().filter(|_| wanted) {
            self.send_to(shard, Command::Published(room, published));
        }
        if let Some(id) = publisher {
            self.core.set_relayed(id, relayed);
        }
        self.drop_idle_room(room);
        self.handle_core_events(now);
    }

    fn attach_viewer(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let Role::Viewer { extensions, subscriptions, subscriber } = &mut participant.role else { return };
        let room = participant.room;
        let config = SubscriberConfig {
            peer: Peer(slot as u32),
            room: core_room(room),
            extensions: *extensions,
            reduced_size: true,
        };
        let id = match self.core.add_subscriber(config, now) {
            Ok(id) => id,
            Err(error) => return tracing::warn!(%error, "the media core refuses a viewer"),
        };
        *subscriber = Some(id);
        let Some(publisher) = self.io.rooms.get(&room).and_then(|entry| entry.publisher) else { return };
        for wanted in subscriptions {
            let config = SubscriptionConfig {
                publisher,
                track: wanted.track,
                mid: wanted.mid,
                ssrc: wanted.ssrc,
                rtx_ssrc: wanted.rtx_ssrc,
                formats: wanted.formats.clone(),
            };
            if let Err(error) = self.core.subscribe(id, config, now) {
                tracing::warn!(%error, "the media core refuses a subscription");
            }
        }
    }

    /// A session is over: nothing of it stays.
    fn remove(&mut self, slot: usize, reason: EndReason, now: Instant) {
        self.send_transmits(slot);
        let Some(participant) = self.io.participants.try_remove(slot) else { return };
        let Participant { key, room, ufrags, role, .. } = participant;
        self.by_key.remove(&key);
        for ufrag in ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        self.by_address.retain(|_, owner| *owner != slot);
        self.say(ShardEvent::Ended(key, reason));
        let Some(entry) = self.io.rooms.get_mut(&room) else { return };
        match role {
            Role::Publisher { current, .. } => {
                entry.publishers = entry.publishers.saturating_sub(1);
                if let Some(id) = entry.publisher.filter(|_| current) {
                    self.core.publisher_lost(id);
                }
            }
            Role::Viewer { subscriber, .. } => {
                entry.viewers = entry.viewers.saturating_sub(1);
                if let Some(id) = subscriber {
                    self.core.remove_subscriber(id);
                }
            }
        }
        self.drop_idle_room(room);
        self.handle_core_events(now);
    }

    fn drop_idle_room(&mut self, room: BroadcastId) {
        if !self.io.rooms.get(&room).is_some_and(RoomSlot::is_idle) {
            return;
        }
        let Some(entry) = self.io.rooms.remove(&room) else { return };
        if let Some(id) = entry.publisher {
            self.core.remove_publisher(id);
            self.io.room_of.remove(&id);
        }
        if let Some(home) = entry.home {
            self.send_to(home, Command::Relay { room, shard: self.settings.index, wanted: false });
        }
    }

    /// Takes what other shards relayed; `true` if there may be more.
    fn take_relayed(&mut self) -> bool {
        for _ in 0..RELAYED_ROUNDS {
            let Some(relayed) = self.inbox.relayed() else { return false };
            let now = Instant::now();
            if catch_unwind(AssertUnwindSafe(|| self.handle_relayed(relayed, now))).is_err() {
                ShardCounters::add(&self.io.counters.panics, 1);
            }
            self.handle_core_events(now);
        }
        true
    }

    fn handle_relayed(&mut self, relayed: Relayed, now: Instant) {
        let Relayed { room, what } = relayed;
        let Some(id) = self.io.rooms.get(&room).and_then(|entry| entry.publisher) else { return };
        match &what {
            RelayedKind::Packet { track, encoding, len, bytes } => {
                let Some(packet) = bytes.get(..usize::from(*len)) else { return };
                let what = sfu_core::Relayed::Packet { track: *track, encoding: *encoding, packet };
                self.core.handle_relayed(id, what, now, &mut self.io);
            }
            RelayedKind::Report(report) => {
                self.core.handle_relayed(id, sfu_core::Relayed::Report(*report), now, &mut self.io);
            }
            RelayedKind::KeyframeNeeded { track, encoding } => {
                self.core.request_keyframe(id, *track, *encoding, now);
            }
        }
    }

    fn handle_core_events(&mut self, now: Instant) {
        for index in 0..self.io.events.len() {
            let Some(event) = self.io.events.get(index).copied() else { break };
            match event {
                Event::KeyframeNeeded { publisher, track, encoding } => {
                    let room = self.io.room_of.get(&publisher).copied();
                    let home = room.and_then(|room| self.io.rooms.get(&room)?.home);
                    if let (Some(room), Some(home)) = (room, home) {
                        let what = RelayedKind::KeyframeNeeded { track, encoding };
                        self.io.relay(home, Relayed { room, what });
                    }
                }
                Event::TrackActive { publisher, .. } | Event::TrackInactive { publisher, .. } => {
                    if let Some(room) = self.io.room_of.get(&publisher).copied() {
                        self.report_media(room, now);
                    }
                }
                _ => {}
            }
        }
        self.io.events.clear();
    }

    /// Tells the control plane what a publisher on this shard sends.
    fn report_media(&mut self, room: BroadcastId, now: Instant) {
        let Some(entry) = self.io.rooms.get(&room) else { return };
        let (Some(id), Some(published)) = (entry.publisher, entry.published.clone()) else { return };
        let current = self.io.participants.iter().find(|(_, participant)| {
            participant.room == room && matches!(participant.role, Role::Publisher { current: true, .. })
        });
        let Some(key) = current.map(|(_, participant)| participant.key) else { return };
        let Some(stats) = self.core.publisher_stats(id, now) else { return };
        let slots = SOURCES.into_iter().zip(published.formats).zip(&stats.tracks);
        let states = slots.filter_map(|((source, format), track)| {
            Some(TrackState { source, codec: format?.name(), active: track.active })
        });
        let states = states.collect();
        self.say(ShardEvent::Media { key, states, last_media: stats.last_media });
    }

    /// Tells the control plane. Nothing is lost: what the channel does not take is tried again. There is one
    /// connect and one end a session, and media reports make room for newer ones.
    fn say(&mut self, event: ShardEvent) {
        if let ShardEvent::Media { key, .. } = &event {
            self.backlog
                .retain(|other| !matches!(other, ShardEvent::Media { key: waiting, .. } if waiting == key));
        }
        self.backlog.push_back(event);
        self.flush_backlog();
    }

    fn flush_backlog(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.backlog.push_front(event);
                    return;
                }
                // The service is gone; so is this thread in a moment.
                Err(mpsc::error::TrySendError::Closed(_)) => return self.backlog.clear(),
            }
        }
    }
}

fn core_room(room: BroadcastId) -> sfu_core::Room {
    // Broadcast ids are positive.
    sfu_core::Room(room.0.unsigned_abs())
}

fn publisher_config(room: BroadcastId, origin: Origin, published: &Published) -> PublisherConfig {
    PublisherConfig {
        room: core_room(room),
        origin,
        extensions: published.extensions,
        tracks: published.tracks.clone(),
        reduced_size: true,
        remb: false,
    }
}

fn end_reason(reason: &CloseReason) -> EndReason {
    match reason {
        CloseReason::IceTimeout => EndReason::IceTimeout,
        CloseReason::ConsentLost => EndReason::ConsentLost,
        CloseReason::PeerClosed => EndReason::ClosedByPeer,
        CloseReason::Local => EndReason::Removed,
        CloseReason::HandshakeTimeout
        | CloseReason::FingerprintMismatch
        | CloseReason::UnsupportedCertificate
        | CloseReason::NoSrtp
        | CloseReason::Alert(_)
        | CloseReason::Dtls(_) => EndReason::Dtls,
    }
}
