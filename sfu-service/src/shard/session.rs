//! Sessions of a shard: whose a datagram is, what a transport wants, and the boundary around each.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use contract::room_state::Quality;

use transport::{AddressPair, CloseReason, DatagramKind, Protocol, Received, ServerConfig, Transport};

use super::channels::Channels;
use super::command::{Join, JoinRole, ShardEvent};
use super::gates::Gates;
use super::hearing::Hearing;
use super::participant::{MediaPath, Participant, Role};
use super::quality::{Counted, Rating};
use super::thread::ShardThread;
use crate::end::EndReason;
use crate::metrics::ShardCounters;

impl ShardThread {
    /// Finds whom a datagram belongs to: a check by the user name that it carries, anything else by an address that ICE
    /// has validated.
    pub(super) fn datagram(&mut self, from: SocketAddr, local: SocketAddr, data: &mut [u8], now: Instant) {
        let slot = match transport::classify(data) {
            DatagramKind::Stun => match transport::peek_binding_username(data) {
                Some((ufrag, _)) => self.by_ufrag.get(ufrag),
                // An answer names nobody: it is for whoever asked that address.
                None => self.by_address.owner(&from),
            },
            DatagramKind::Other => None,
            DatagramKind::Dtls | DatagramKind::Rtp | DatagramKind::Rtcp => self.by_address.owner(&from),
        };
        let Some(&slot) = slot else {
            ShardCounters::add(&self.io.counters.unvalidated, 1);
            return;
        };
        let path = AddressPair { protocol: Protocol::Udp, local, remote: from };
        self.take_in(slot, now, |shard| shard.session_packet(slot, path, data, now));
    }

    /// The boundary of a session: a panic inside ends it alone.
    pub(super) fn guarded(&mut self, slot: usize, now: Instant, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            ShardCounters::add(&self.io.counters.panics, 1);
            tracing::error!(shard = self.settings.index, "a session ended by a fault inside");
            self.io.sending = None;
            self.end_faulty(slot, now);
        }
        self.handle_core_events(now);
    }

    /// Takes a packet of a session in, inside of its boundary. What waits is forwarded before if no more may wait: a
    /// fault in what others sent must not end this session.
    pub(super) fn take_in(&mut self, slot: usize, now: Instant, work: impl FnOnce(&mut Self)) {
        if self.core.is_full() {
            self.forward(now);
        }
        self.guarded(slot, now, work);
    }

    /// Ends the session that a fault happened in.
    pub(super) fn end_faulty(&mut self, slot: usize, now: Instant) {
        if catch_unwind(AssertUnwindSafe(|| self.remove(slot, EndReason::Panic, now))).is_err() {
            tracing::error!(shard = self.settings.index, "a faulty session could not be removed cleanly");
        }
    }

    pub(super) fn session_packet(&mut self, slot: usize, path: AddressPair, data: &mut [u8], now: Instant) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let room = participant.room;
        let received = participant.transport.handle_packet(path, data, now);
        if matches!(received, Received::Rtp(_) | Received::Rtcp(_)) && participant.transport.has_events() {
            self.drain_transport(slot, now);
        }
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        match received {
            Received::Rtp(packet) => {
                participant.hearing.media();
                self.publisher_rtp(slot, packet, now);
            }
            Received::Rtcp(packet) => match participant.role {
                Role::Publisher { current: true, source, .. } => {
                    participant.hearing.reports();
                    if let Some((id, _)) =
                        self.io.rooms.publisher((room, source)).and_then(|entry| entry.core)
                    {
                        self.core.handle_publisher_rtcp(id, packet, now, &mut self.io);
                    }
                }
                Role::Viewer { subscriber: Some(id), .. } => {
                    self.core.handle_subscriber_rtcp(id, packet, now, &mut self.io);
                }
                Role::Member(ref member) => {
                    if let Some(id) = member.subscriber {
                        self.core.handle_subscriber_rtcp(id, packet, now, &mut self.io);
                    }
                }
                Role::Publisher { .. } | Role::Viewer { .. } => {}
            },
            Received::Nothing => self.drain_transport(slot, now),
            Received::Refused(refusal) => {
                match refusal {
                    transport::Refusal::Srtp(_) => ShardCounters::add(&self.io.counters.srtp_failures, 1),
                    _ => ShardCounters::add(&self.io.counters.unvalidated, 1),
                }
                self.drain_transport(slot, now);
            }
        }
    }

    /// Takes a packet of a publisher; one whose place another connection has taken is not listened to.
    pub(super) fn publisher_rtp(&mut self, slot: usize, packet: &[u8], now: Instant) {
        let Some(participant) = self.io.participants.get(slot) else { return };
        let Role::Publisher { current: true, source, .. } = participant.role else { return };
        if let Some((id, _)) =
            self.io.rooms.publisher((participant.room, source)).and_then(|entry| entry.core)
        {
            self.core.handle_rtp(id, packet, now, &mut self.io);
        }
    }

    /// Carries out what a transport wants after a call.
    pub(super) fn drain_transport(&mut self, slot: usize, now: Instant) {
        self.send_transmits(slot);
        while let Some(event) = self.io.participants.get_mut(slot).and_then(|p| p.transport.poll_event()) {
            match event {
                transport::Event::Validated(address) => {
                    let participants = &self.io.participants;
                    let holds = |owner| {
                        participants
                            .get(owner)
                            .is_some_and(|owner: &Participant| owner.transport.holds(address, now))
                    };
                    self.by_address.claim(address, slot, holds);
                }
                transport::Event::Invalidated(address) => self.by_address.release(address, slot),
                transport::Event::AddressChanged(pair) => {
                    if let Some(path) = self.io.paths.of(slot) {
                        path.pair = Some(pair);
                    }
                }
                transport::Event::Connected(_) => {
                    self.take_keys(slot);
                    self.connected(slot, now);
                }
                transport::Event::DataChannelOpened { channel, label, .. } => {
                    self.call_channel_opened(slot, channel, &label);
                    if let Some(participant) = self.io.participants.get_mut(slot) {
                        participant.channels.opened(channel, label);
                    }
                }
                transport::Event::DataChannelClosed(channel) => {
                    self.call_channel_closed(slot, channel);
                    if let Some(participant) = self.io.participants.get_mut(slot) {
                        participant.channels.closed(channel);
                    }
                }
                transport::Event::Data { channel, bytes, binary } => {
                    self.room_data(slot, channel, bytes, binary, now);
                }
                transport::Event::Closed(reason) => {
                    if reason == CloseReason::PeerClosed {
                        tracing::debug!("the client has closed its connection");
                    } else {
                        tracing::info!(%reason, "a client's connection has failed");
                    }
                    return self.remove(slot, EndReason::from(&reason), now);
                }
            }
        }
        self.schedule(slot);
    }

    fn send_transmits(&mut self, slot: usize) {
        while let Some(transmit) =
            self.io.participants.get_mut(slot).and_then(|p| p.transport.poll_transmit())
        {
            self.io.transmit(&transmit);
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

    /// Takes a session in; a fault inside ends it alone. Nothing if there was one.
    pub(super) fn join_guarded(&mut self, join: Join, now: Instant) -> Option<()> {
        let key = join.key;
        if catch_unwind(AssertUnwindSafe(|| self.join(join, now))).is_ok() {
            return Some(());
        }
        ShardCounters::add(&self.io.counters.panics, 1);
        tracing::error!(shard = self.settings.index, "a session could not begin: a fault inside");
        if let Some(&slot) = self.by_key.get(&key) {
            self.end_faulty(slot, now);
        }
        None
    }

    pub(super) fn join(&mut self, join: Join, now: Instant) {
        let Join { key, room, participant, local, remote, remote_fingerprint, dtls_client, data, role } =
            join;
        let config = ServerConfig {
            identity: self.settings.identity.clone(),
            local: local.clone(),
            remote,
            remote_fingerprint,
            dtls_client,
        };
        let mut transport = Transport::server(config, now);
        if let Some(data) = data {
            transport.enable_data_channels(data, now);
        }
        let (role, watches) = match role {
            JoinRole::Publisher { source, published } => {
                (Role::Publisher { source, published, current: false, gates: Gates::default() }, None)
            }
            JoinRole::Viewer { published, extensions, reduced_size, sections } => {
                let role = Role::Viewer { extensions, reduced_size, sections, subscriber: None };
                (role, Some(published))
            }
            JoinRole::Member { published, member } => (Role::Member(member), Some(published)),
        };
        let is_member = matches!(role, Role::Member(_));
        let ufrag = local.ufrag;
        let slot = self.io.participants.insert(Participant {
            key,
            room,
            id: participant,
            transport,
            timer: None,
            ufrags: vec![ufrag.clone()],
            channels: Channels::default(),
            hearing: Hearing::default(),
            rating: Rating::default(),
            counted: Counted::default(),
            said_quality: Quality::default(),
            role,
        });
        self.by_key.insert(key, slot);
        self.by_ufrag.insert(ufrag, slot);
        if let Some(published) = watches {
            self.io.rooms.viewer_came(room, published);
            if is_member {
                self.member_came(slot, now);
            }
            self.viewers_changed(room, now);
        }
        self.fault_point("join");
        self.schedule(slot);
    }

    pub(super) fn restart_ice(
        &mut self,
        slot: usize,
        local: &transport::IceCredentials,
        remote: &transport::IceCredentials,
        now: Instant,
    ) {
        self.fault_point("restart");
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        participant.transport.restart_ice(local, remote, now);
        // The transport takes checks of one generation before the current one.
        while participant.ufrags.len() > 1 {
            self.by_ufrag.remove(&participant.ufrags.remove(0));
        }
        participant.ufrags.push(local.ufrag.clone());
        self.by_ufrag.insert(local.ufrag.clone(), slot);
        self.drain_transport(slot, now);
    }

    /// Ends a session from our side: the client is told.
    pub(super) fn close(&mut self, slot: usize, reason: EndReason, now: Instant) {
        if let Some(participant) = self.io.participants.get_mut(slot) {
            participant.transport.close(now);
        }
        self.remove(slot, reason, now);
    }

    /// Puts the keys for what is sent where media needs them.
    fn take_keys(&mut self, slot: usize) {
        let participant = self.io.participants.get_mut(slot);
        let sender = participant.and_then(|participant| participant.transport.take_srtp_sender());
        if let Some(path) = self.io.paths.of(slot) {
            path.sender = sender.map(|sender| *sender);
        }
    }

    pub(super) fn connected(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get(slot) else { return };
        let key = participant.key;
        match participant.role {
            Role::Publisher { .. } => self.attach_publisher(slot, now),
            Role::Viewer { .. } => self.attach_viewer(slot, now),
            Role::Member(_) => self.attach_member(slot, now),
        }
        self.outbox.say(ShardEvent::Connected(key));
    }

    /// A session is over: nothing of it stays.
    pub(super) fn remove(&mut self, slot: usize, reason: EndReason, now: Instant) {
        self.send_transmits(slot);
        let Some(participant) = self.io.participants.try_remove(slot) else { return };
        if let Some(path) = self.io.paths.of(slot) {
            *path = MediaPath::default();
        }
        let Participant { key, room, ufrags, role, transport, .. } = participant;
        self.by_key.remove(&key);
        for ufrag in ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for address in transport.validated_addresses() {
            self.by_address.release(address, slot);
        }
        self.io.tcp.forget(slot);
        self.io.rooms.member_left(room, slot);
        self.outbox.say(ShardEvent::Ended(key, reason));
        self.left(room, key, &role, now);
        self.handle_core_events(now);
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
