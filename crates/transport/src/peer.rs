//! One peer: ICE, DTLS and SRTP put together.

mod channels;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::binding::{self, Binding, Class};
use crate::classify::{DatagramKind, classify};
use crate::close::CloseReason;
use crate::config::{ClientConfig, ServerConfig};
use crate::controlling::ControllingAgent;
use crate::credentials::IceCredentials;
use crate::data::{DataChannels, DataEvent};
use crate::dtls::{DtlsAssociation, DtlsOutput};
use crate::identity::{Fingerprint, Identity};
use crate::lite::{CONSENT_TIMEOUT, LiteAgent};
use crate::output::{Counters, Event, Received, Refusal, Transmit};
use crate::pairs::{AddressPair, Check, PairChange, Pairs, Protocol};
use crate::srtp::{self, SrtpError};

/// Datagrams that wait to be sent. What does not fit is dropped: STUN and DTLS repeat themselves.
const MAX_TRANSMITS: usize = 64;

/// Events that wait to be polled. Beyond it, address events are dropped; `Connected` and `Closed` come
/// once each and are always kept.
const MAX_EVENTS: usize = 64;

enum Agent {
    Lite(LiteAgent),
    Controlling(Box<ControllingAgent>),
}

/// The transport of one peer. See the [crate] for the contract.
pub struct Transport {
    identity: Identity,
    remote_fingerprint: Fingerprint,
    dtls_client: bool,
    agent: Agent,
    /// What carries the checks of a client.
    protocol: Protocol,
    pairs: Pairs,
    dtls: Option<Box<DtlsAssociation>>,
    sender: Option<Box<srtp::Sender>>,
    receiver: Option<Box<srtp::Receiver>>,
    /// Only where the SDP agreed on data channels.
    data: Option<Box<DataChannels>>,
    is_connected: bool,
    is_closed: bool,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl Transport {
    /// The server's side: ICE-lite. It is closed when no authenticated check comes within
    /// 15 s, at first or later.
    pub fn server(config: ServerConfig, now: Instant) -> Self {
        let agent = LiteAgent::new(config.identity.clone(), &config.local, &config.remote, now);
        Self::new(config.identity, config.remote_fingerprint, config.dtls_client, Agent::Lite(agent))
    }

    /// The client's side: controlling ICE. `seed` must come from a generator of
    /// cryptographic quality: transaction ids are made of it.
    ///
    /// The first checks are due at once: call [`Transport::handle_timeout`].
    pub fn client(config: ClientConfig, seed: [u8; 32], now: Instant) -> Self {
        let mut agent = ControllingAgent::new(&config.local, &config.remote, config.local_address, seed, now);
        for candidate in config.remote_candidates {
            agent.add_candidate(candidate, now);
        }
        let agent = Agent::Controlling(Box::new(agent));
        Self::new(config.identity, config.remote_fingerprint, config.dtls_client, agent)
    }

    /// A client whose candidates are streams: `remote_candidates` are where they were opened to, `local_address` where
    /// from.
    #[must_use]
    pub fn over_tcp(mut self) -> Self {
        self.protocol = Protocol::Tcp;
        self
    }

    fn new(identity: Identity, remote_fingerprint: Fingerprint, dtls_client: bool, agent: Agent) -> Self {
        Self {
            identity,
            remote_fingerprint,
            dtls_client,
            agent,
            protocol: Protocol::Udp,
            pairs: Pairs::default(),
            dtls: None,
            sender: None,
            receiver: None,
            data: None,
            is_connected: false,
            is_closed: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes a datagram that came `from` an address to the socket address `to_local`; media is
    /// decrypted in place.
    ///
    /// STUN is taken from any address, everything else from validated ones only.
    pub fn handle_datagram<'a>(
        &mut self,
        from: SocketAddr,
        to_local: SocketAddr,
        datagram: &'a mut [u8],
        now: Instant,
    ) -> Received<'a> {
        self.handle_packet(
            AddressPair { protocol: Protocol::Udp, local: to_local, remote: from },
            datagram,
            now,
        )
    }

    /// Takes a packet that came over `path`, a datagram or a frame of a stream; like
    /// [`Transport::handle_datagram`].
    pub fn handle_packet<'a>(
        &mut self,
        path: AddressPair,
        datagram: &'a mut [u8],
        now: Instant,
    ) -> Received<'a> {
        if self.is_closed {
            return Received::Refused(Refusal::Closed);
        }
        let kind = classify(datagram);
        let is_gated = matches!(kind, DatagramKind::Dtls | DatagramKind::Rtp | DatagramKind::Rtcp);
        if is_gated && !self.pairs.allows(path) {
            self.counters.unvalidated += 1;
            return Received::Refused(Refusal::Unvalidated);
        }
        match kind {
            DatagramKind::Stun => self.handle_stun(path, datagram, now),
            DatagramKind::Dtls => {
                self.drive_dtls(Some(path), now, |dtls, out| dtls.handle_packet(datagram, now, out));
                Received::Nothing
            }
            DatagramKind::Rtp => match &mut self.receiver {
                Some(receiver) => match receiver.unprotect_rtp(datagram) {
                    Ok(packet) => {
                        self.heard(path);
                        Received::Rtp(packet)
                    }
                    Err(error) => self.refuse_media(error),
                },
                None => self.refuse_media(SrtpError::NoKeys),
            },
            DatagramKind::Rtcp => match &mut self.receiver {
                Some(receiver) => match receiver.unprotect_rtcp(datagram) {
                    Ok(packet) => {
                        self.heard(path);
                        Received::Rtcp(packet)
                    }
                    Err(error) => self.refuse_media(error),
                },
                None => self.refuse_media(SrtpError::NoKeys),
            },
            DatagramKind::Other => {
                self.counters.malformed += 1;
                Received::Refused(Refusal::Malformed)
            }
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let next = self.transmits.pop_front();
        if next.is_none() {
            // Thousands of sessions have nothing to say most of the time: then a queue keeps no memory.
            self.transmits.shrink_to_fit();
        }
        next
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_some() || self.is_closed {
            return event;
        }
        self.events.shrink_to_fit();
        Some(match self.data.as_mut()?.poll_event()? {
            DataEvent::Opened { channel, label, protocol } => {
                Event::DataChannelOpened { channel, label, protocol }
            }
            DataEvent::Data { channel, bytes, binary } => Event::Data { channel, bytes, binary },
            DataEvent::Closed(channel) => Event::DataChannelClosed(channel),
        })
    }

    /// When to call [`Transport::handle_timeout`]; `None` once closed. An earlier call does no harm.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let (deadline, check) = match &self.agent {
            Agent::Lite(agent) => (agent.deadline(), None),
            Agent::Controlling(agent) => (agent.deadline(), agent.next_check()),
        };
        let dtls = self.dtls.as_ref().and_then(|dtls| dtls.timeout());
        let data = self.data.as_ref().and_then(|data| data.poll_timeout());
        [Some(deadline), check, dtls, data, self.pairs.next_expiry()].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        let deadline = match &self.agent {
            Agent::Lite(agent) => agent.deadline(),
            Agent::Controlling(agent) => agent.deadline(),
        };
        if now >= deadline {
            let had_connectivity = self.pairs.selected().is_some();
            let reason = if had_connectivity { CloseReason::ConsentLost } else { CloseReason::IceTimeout };
            return self.end(reason);
        }
        while let Agent::Controlling(agent) = &mut self.agent {
            let Some(check) = agent.poll_check(now) else { break };
            let local = agent.local_address();
            let pair = AddressPair { protocol: self.protocol, local, remote: check.to };
            self.transmit(pair, check.message);
        }
        while let Some(gone) = self.pairs.expire(now) {
            self.invalidated(gone);
        }
        if self.dtls.as_ref().and_then(|dtls| dtls.timeout()).is_some_and(|at| at <= now) {
            self.drive_dtls(None, now, |dtls, out| dtls.handle_timeout(now, out));
        }
        if let Some(data) = &mut self.data {
            data.handle_timeout(now);
            self.send_sctp(now);
        }
    }

    /// The pair that media takes: the nominated one, before that the latest that was validated.
    pub fn remote_address(&self) -> Option<AddressPair> {
        if self.is_closed { None } else { self.pairs.selected() }
    }

    /// Whether packets of any kind are taken from the remote address of `path`.
    pub fn is_validated(&self, path: AddressPair) -> bool {
        self.pairs.allows(path)
    }

    /// The addresses whose datagrams belong to this transport; some may come twice.
    pub fn validated_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.pairs.remotes().filter(|(protocol, _)| *protocol == Protocol::Udp).map(|(_, remote)| remote)
    }

    /// Whether an address is this transport's, whoever else validates it: datagrams of the authenticated peer have come
    /// from there, and a check not long ago. An address that several transports have validated belongs to the one that
    /// holds it, else to the one that validated it last.
    pub fn holds(&self, remote: SocketAddr, now: Instant) -> bool {
        !self.is_closed && self.pairs.holds(remote, now)
    }

    /// Whether [`Transport::poll_event`] has something.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The stream of `path` has ended: media takes another one, or waits for the next check.
    pub fn path_closed(&mut self, path: AddressPair, now: Instant) {
        let change = self.pairs.forget(path);
        if !self.is_closed {
            self.apply(change, now);
        }
    }

    /// Whether media can be protected and unprotected.
    pub fn is_connected(&self) -> bool {
        self.is_connected && !self.is_closed
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Protects the RTP packet `packet[..len]` in place and returns its new length, at most
    /// [`crate::SRTP_OVERHEAD`] more; allocates nothing. See [`srtp::Sender::protect_rtp`].
    ///
    /// # Errors
    /// Before `Connected`, and as the sender says.
    pub fn protect_rtp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.sender.as_mut().ok_or(SrtpError::NoKeys)?.protect_rtp(packet, len)
    }

    /// The same for a stream whose packets may be repeated as they were. See
    /// [`srtp::Sender::protect_rtp_repeatable`].
    ///
    /// # Errors
    /// Before `Connected`, and as the sender says.
    pub fn protect_rtp_repeatable(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.sender.as_mut().ok_or(SrtpError::NoKeys)?.protect_rtp_repeatable(packet, len)
    }

    /// Protects the (compound) RTCP packet `packet[..len]` in place; like [`Transport::protect_rtp`].
    ///
    /// # Errors
    /// Before `Connected`, and as [`srtp::Sender::protect_rtcp`] says.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.sender.as_mut().ok_or(SrtpError::NoKeys)?.protect_rtcp(packet, len)
    }

    /// Hands the sending keys out once, for a data plane that keeps them elsewhere; from then on
    /// `protect_*` of this transport find no keys.
    pub fn take_srtp_sender(&mut self) -> Option<Box<srtp::Sender>> {
        self.sender.take()
    }

    /// Restarts ICE with new credentials of both sides (RFC 8445 section 9). Media goes on over the
    /// selected pair until another is validated; DTLS is untouched. A server takes checks with the
    /// credentials before until the first with the new ones.
    pub fn restart_ice(&mut self, local: &IceCredentials, remote: &IceCredentials, now: Instant) {
        match &mut self.agent {
            Agent::Lite(agent) => agent.restart(local, remote),
            Agent::Controlling(agent) => agent.restart(local, remote, now),
        }
    }

    /// Adds a candidate of the peer (trickle). A server needs none: it learns addresses from checks.
    pub fn add_remote_candidate(&mut self, candidate: SocketAddr, now: Instant) {
        if let Agent::Controlling(agent) = &mut self.agent {
            agent.add_candidate(candidate, now);
        }
    }

    /// Ends the session; tells the peer with a DTLS close_notify, which waits in
    /// [`Transport::poll_transmit`].
    pub fn close(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        self.drive_dtls(None, now, |dtls, out| dtls.close(now, out));
        self.end(CloseReason::Local);
    }

    fn handle_stun(&mut self, pair: AddressPair, datagram: &[u8], now: Instant) -> Received<'static> {
        let Ok(message) = binding::parse(datagram) else {
            self.counters.malformed += 1;
            return Received::Refused(Refusal::Malformed);
        };
        match message.class {
            Class::Request => self.handle_request(pair, &message, datagram.len(), now),
            Class::Success | Class::Error => self.handle_response(pair, &message, now),
            // A keep-alive (RFC 8445 section 11), which asks for nothing and proves nothing.
            Class::Indication => Received::Nothing,
        }
    }

    fn handle_request(
        &mut self,
        pair: AddressPair,
        message: &Binding<'_>,
        len: usize,
        now: Instant,
    ) -> Received<'static> {
        let answer = match &mut self.agent {
            Agent::Lite(agent) => agent.handle_request(message, pair.remote, len, now),
            Agent::Controlling(agent) => agent.handle_request(message, pair.remote, len, now),
        };
        if let Some(response) = answer.response {
            self.transmit(pair, response);
        }
        if !answer.accepted {
            self.counters.stun_unauthenticated += 1;
            return Received::Refused(Refusal::Unauthenticated);
        }
        // A lite agent believes a check; a full one believes only the response to its own.
        if matches!(self.agent, Agent::Lite(_)) {
            let check = Check { nominates: message.use_candidate, proves: false };
            let change = self.pairs.checked(pair, check, CONSENT_TIMEOUT, now);
            // With each check: an address that belonged to somebody else may be free by now.
            if pair.protocol == Protocol::Udp {
                self.event(Event::Validated(pair.remote));
            }
            self.apply(change, now);
        }
        // Whoever sends nothing but checks, as a viewer may, is asked whether it is there.
        if self.pairs.wanted() == Some(pair)
            && let Agent::Lite(agent) = &mut self.agent
        {
            let check = agent.check(pair);
            self.transmit(pair, check);
        }
        Received::Nothing
    }

    fn handle_response(
        &mut self,
        pair: AddressPair,
        message: &Binding<'_>,
        now: Instant,
    ) -> Received<'static> {
        let validated = match &mut self.agent {
            Agent::Lite(agent) => {
                if agent.is_answer(message, pair) {
                    self.heard(pair);
                    return Received::Nothing;
                }
                None
            }
            Agent::Controlling(agent) => agent
                .handle_response(message, pair.remote, now)
                .map(|is_selected| (is_selected, agent.local_address())),
        };
        let Some((is_selected, local)) = validated else {
            self.counters.stun_unauthenticated += 1;
            return Received::Refused(Refusal::Unauthenticated);
        };
        let pair = AddressPair { local, ..pair };
        let check = Check { nominates: is_selected, proves: true };
        let change = self.pairs.checked(pair, check, CONSENT_TIMEOUT, now);
        if change.added.is_some() && pair.protocol == Protocol::Udp {
            self.event(Event::Validated(pair.remote));
        }
        self.apply(change, now);
        Received::Nothing
    }

    fn apply(&mut self, change: PairChange, now: Instant) {
        if let Some(gone) = change.removed {
            self.invalidated(gone);
        }
        if let Some(selected) = change.selected {
            self.event(Event::AddressChanged(selected));
        }
        if self.dtls.is_none() && !self.is_connected && self.pairs.selected().is_some() {
            let fingerprint = self.remote_fingerprint.clone();
            self.dtls =
                Some(Box::new(DtlsAssociation::new(&self.identity, self.dtls_client, fingerprint, now)));
            self.drive_dtls(None, now, |dtls, out| dtls.handle_timeout(now, out));
        }
    }

    /// The peer, and nobody else, has sent something over `path`.
    fn heard(&mut self, path: AddressPair) {
        if let Some(selected) = self.pairs.heard(path).selected {
            self.event(Event::AddressChanged(selected));
        }
    }

    fn invalidated(&mut self, gone: AddressPair) {
        if gone.protocol == Protocol::Udp {
            self.event(Event::Invalidated(gone.remote));
        }
    }

    /// A step of DTLS, and of SCTP on top of it. `path`: where the packet came from that caused it.
    fn drive_dtls(
        &mut self,
        path: Option<AddressPair>,
        now: Instant,
        step: impl FnOnce(&mut DtlsAssociation, &mut dyn FnMut(DtlsOutput)),
    ) {
        self.step_dtls(path, now, step);
        self.send_sctp(now);
    }

    fn step_dtls(
        &mut self,
        path: Option<AddressPair>,
        now: Instant,
        step: impl FnOnce(&mut DtlsAssociation, &mut dyn FnMut(DtlsOutput)),
    ) {
        let Some(mut dtls) = self.dtls.take() else { return };
        step(&mut dtls, &mut |output| match output {
            DtlsOutput::Packet(bytes) => {
                if let Some(pair) = self.pairs.selected() {
                    self.transmit(pair, bytes);
                }
            }
            DtlsOutput::Connected(sender, receiver) => {
                self.is_connected = true;
                let moved = path.or(self.pairs.selected()).map(|path| self.pairs.connected(path));
                if let Some(selected) = moved.and_then(|change| change.selected) {
                    self.event(Event::AddressChanged(selected));
                }
                self.event(Event::Connected(sender.profile()));
                self.sender = Some(sender);
                self.receiver = Some(receiver);
                if let Some(data) = &mut self.data {
                    data.connect();
                }
            }
            DtlsOutput::Data(packet) => {
                path.into_iter().for_each(|path| self.heard(path));
                if let Some(data) = &mut self.data {
                    data.handle_packet(&packet, now);
                }
            }
            DtlsOutput::Lost => {
                if let Some(data) = &mut self.data {
                    data.lose();
                }
            }
            DtlsOutput::Closed(reason) => self.end(reason),
        });
        if !self.is_closed {
            self.dtls = Some(dtls);
        }
    }

    /// What an error of DTLS after connecting does.
    #[cfg(test)]
    pub(crate) fn lose_dtls(&mut self, now: Instant) {
        self.step_dtls(None, now, DtlsAssociation::fail_after_connecting);
    }

    fn end(&mut self, reason: CloseReason) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        self.dtls = None;
        self.sender = None;
        self.receiver = None;
        self.data = None;
        self.events.push_back(Event::Closed(reason));
    }

    fn refuse_media(&mut self, error: SrtpError) -> Received<'static> {
        match error {
            SrtpError::NoKeys => self.counters.before_keys += 1,
            SrtpError::Authentication => self.counters.srtp_unauthenticated += 1,
            SrtpError::Replayed => self.counters.srtp_replayed += 1,
            _ => self.counters.malformed += 1,
        }
        Received::Refused(Refusal::Srtp(error))
    }

    fn transmit(&mut self, pair: AddressPair, bytes: Vec<u8>) {
        if self.transmits.len() >= MAX_TRANSMITS {
            self.counters.transmits_dropped += 1;
            return;
        }
        let AddressPair { protocol, local, remote } = pair;
        self.transmits.push_back(Transmit { protocol, to: remote, from_local: local, bytes });
    }

    fn event(&mut self, event: Event) {
        let is_droppable = !matches!(event, Event::Connected(_) | Event::Closed(_));
        if self.events.len() < MAX_EVENTS || !is_droppable {
            self.events.push_back(event);
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("is_connected", &self.is_connected)
            .field("is_closed", &self.is_closed)
            .field("pairs", &self.pairs)
            .finish_non_exhaustive()
    }
}
