//! One light client, without I/O: ICE, DTLS and SRTP of `transport`, and the media of a publisher or a viewer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transport::{CloseReason, DatagramKind, Event, Identity, Received, SRTP_OVERHEAD, Transport, classify};

use crate::call::{Media, Order};
use crate::epoch::Epoch;
use crate::impair::{Fate, Impairment};
use crate::offer::Agreed;
use crate::publisher::{Due, Publisher, PublisherParams};
use crate::scenario::{Delay, Loss, Publish, View};
use crate::source::Clip;
use crate::totals::Totals;
use crate::viewer::{Viewer, ViewerConfig, ViewerSummary};

/// What all clients of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Certificate of all clients.
    pub identity: Identity,
    /// Clock of the stamps.
    pub epoch: Epoch,
    /// What publishers send.
    pub publish: Arc<Publish>,
    /// How viewers behave.
    pub view: View,
    /// What is lost on purpose.
    pub loss: Loss,
    /// What is delayed on purpose.
    pub delay: Delay,
    /// The clip, if one is sent.
    pub clip: Arc<Clip>,
}

/// Where a client's datagrams go.
pub trait Sink {
    /// Sends `bytes` to the server.
    fn send(&mut self, to: SocketAddr, bytes: &[u8]);
}

#[derive(Debug)]
enum Role {
    /// Until the transport is connected.
    Publishing(Option<PublisherParams>),
    Watching(Option<ViewerConfig>),
    Publisher(Box<Publisher>),
    Viewer(Box<Viewer>),
    /// What a caller receives, from the start on.
    Caller(Box<Media>),
}

/// A client. After each call that takes `now`, its next deadline is [`Client::poll_timeout`].
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    role: Role,
    shared: Arc<Shared>,
    number: u32,
    local: SocketAddr,
    asked: Instant,
    impairment: Option<Impairment>,
    /// The publisher's counts that were added to the totals.
    counted: [u64; 4],
    closed: Option<CloseReason>,
    was_connected: bool,
    scratch: Vec<u8>,
}

impl Client {
    /// A client of the session that `agreed` describes, on a socket with the address `local`. `asked` is when the
    /// POST was made, `number` its number among all clients.
    #[must_use]
    pub fn new(
        agreed: Agreed,
        shared: Arc<Shared>,
        number: u32,
        local: SocketAddr,
        asked: Instant,
        now: Instant,
    ) -> Self {
        let params = agreed.publisher();
        let publishes = params.is_some();
        let role = match (params, agreed.seat.clone(), agreed.viewer()) {
            (Some(params), ..) => Role::Publishing(Some(params)),
            (None, Some(seat), Some(config)) => {
                let viewer = Viewer::new(config, &shared.view, number, shared.epoch, asked, now);
                let rids = shared.publish.simulcast.clone();
                Role::Caller(Box::new(Media::new(seat, asked, viewer, agreed.slots(), rids)))
            }
            (None, _, config) => Role::Watching(config),
        };
        let config = agreed.transport(&shared.identity, local);
        let impairment = Impairment::new(&shared.loss, &shared.delay, publishes, number);
        let mut transport = Transport::client(config, agreed.proposal.seed, now);
        if let Some(data) = agreed.negotiated.data {
            transport.enable_data_channels(data, now);
        }
        Self {
            transport,
            role,
            shared,
            number,
            local,
            asked,
            impairment,
            counted: [0; 4],
            closed: None,
            was_connected: false,
            scratch: Vec::new(),
        }
    }

    /// Takes a datagram from the server; sends what follows from it.
    pub fn handle_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &mut [u8],
        now: Instant,
        totals: &mut Totals,
        sink: &mut dyn Sink,
    ) {
        match self.impairment.as_mut().map_or(Fate::Passes, |line| line.arrives(from, datagram, now)) {
            Fate::Passes => self.take(from, datagram, now, totals, sink),
            Fate::Held => {}
            Fate::Lost => totals.dropped_on_purpose += 1,
        }
    }

    fn take(
        &mut self,
        from: SocketAddr,
        datagram: &mut [u8],
        now: Instant,
        totals: &mut Totals,
        sink: &mut dyn Sink,
    ) {
        let kind = classify(datagram);
        let is_media =
            kind == DatagramKind::Rtp && self.transport.remote_address().is_some_and(|p| p.remote == from);
        let skips = is_media
            && match &mut self.role {
                Role::Viewer(viewer) => datagram.get(1).is_some_and(|byte| viewer.skips(byte & 0x7F)),
                Role::Caller(media) => media.skips(datagram),
                _ => false,
            };
        if skips {
            // The length of the padding is encrypted: without the bit the header parses alone.
            if let Some(first) = datagram.first_mut() {
                *first &= !0x20;
            }
            match &mut self.role {
                Role::Viewer(viewer) => drop(viewer.handle_rtp(datagram, false, now, totals)),
                Role::Caller(media) => media.handle_rtp(datagram, false, now, totals),
                _ => {}
            }
            return;
        }
        match (self.transport.handle_datagram(from, self.local, datagram, now), &mut self.role) {
            (Received::Rtp(packet), Role::Viewer(viewer)) => {
                viewer.handle_rtp(packet, true, now, totals);
            }
            (Received::Rtp(packet), Role::Caller(media)) => media.handle_rtp(packet, true, now, totals),
            (Received::Rtcp(compound), Role::Caller(media)) => media.viewer.handle_rtcp(compound, now),
            (Received::Rtcp(compound), Role::Viewer(viewer)) => viewer.handle_rtcp(compound, now),
            (Received::Rtcp(compound), Role::Publisher(publisher)) => publisher.handle_rtcp(compound, now),
            (Received::Refused(_), _) => totals.refused += u64::from(self.was_connected),
            _ => {}
        }
        if !matches!(kind, DatagramKind::Rtp) {
            self.drain(now, totals, sink);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, totals: &mut Totals, sink: &mut dyn Sink) {
        while let Some((from, mut datagram)) = self.impairment.as_mut().and_then(|line| line.arrived(now)) {
            self.take(from, &mut datagram, now, totals, sink);
        }
        if self.transport.poll_timeout().is_some_and(|at| at <= now) {
            self.transport.handle_timeout(now);
        }
        self.drain(now, totals, sink);
        while let Some((to, bytes)) = self.impairment.as_mut().and_then(|line| line.left(now)) {
            sink.send(to, &bytes);
        }
    }

    /// When to call [`Client::handle_timeout`]; `None` once it is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let media = match &self.role {
            Role::Publisher(publisher) => Some(publisher.poll_timeout()),
            Role::Viewer(viewer) => Some(viewer.poll_timeout()),
            Role::Caller(media) if self.was_connected => {
                media.poll_timeout().into_iter().chain([media.viewer.poll_timeout()]).min()
            }
            Role::Caller(_) => None,
            Role::Publishing(_) | Role::Watching(_) => None,
        };
        let transport = self.transport.poll_timeout()?;
        let line = self.impairment.as_ref().and_then(Impairment::poll_timeout);
        [Some(transport), media, line].into_iter().flatten().min()
    }

    /// Does what the run says to a caller.
    pub(crate) fn order(&mut self, order: Order, now: Instant, totals: &mut Totals, sink: &mut dyn Sink) {
        if let Role::Caller(media) = &mut self.role {
            media.order(order, &mut self.transport, now, totals);
        }
        self.drain(now, totals, sink);
    }

    /// Whether it is a caller's and has everything that it waits for; `None` for others.
    pub(crate) fn is_settled(&self) -> Option<bool> {
        if let Role::Caller(media) = &self.role { Some(!media.is_waiting()) } else { None }
    }

    /// Jitter of everything that a caller gets.
    pub(crate) fn jitters(&self) -> impl Iterator<Item = Duration> + '_ {
        let media = if let Role::Caller(media) = &self.role { Some(media) } else { None };
        media.into_iter().flat_map(|media| media.viewer.jitters())
    }

    /// Says goodbye, at once: nobody waits for what is on its way.
    pub fn close(&mut self, now: Instant, totals: &mut Totals, sink: &mut dyn Sink) {
        self.impairment = None;
        self.transport.close(now);
        self.drain(now, totals, sink);
    }

    /// Why it is over, if it is.
    #[must_use]
    pub fn closed(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    /// Whether the transport was ever connected.
    #[must_use]
    pub fn was_connected(&self) -> bool {
        self.was_connected
    }

    /// What a connected viewer saw so far.
    #[must_use]
    pub fn summary(&self, now: Instant) -> Option<ViewerSummary> {
        if let Role::Viewer(viewer) = &self.role { Some(viewer.summary(now)) } else { None }
    }

    fn drain(&mut self, now: Instant, totals: &mut Totals, sink: &mut dyn Sink) {
        while let Some(event) = self.transport.poll_event() {
            match event {
                Event::Connected(_) => self.connected(now, totals),
                Event::Closed(reason) => self.closed = Some(reason),
                other => {
                    if let Role::Caller(media) = &mut self.role {
                        media.happened(&other, &mut self.transport, now, totals);
                    }
                }
            }
        }
        while let Some(transmit) = self.transport.poll_transmit() {
            send(&mut self.impairment, transmit.to, &transmit.bytes, now, totals, sink);
        }
        if self.transport.is_connected() {
            self.send_media(now, totals, sink);
        }
    }

    fn connected(&mut self, now: Instant, totals: &mut Totals) {
        self.was_connected = true;
        let shared = &self.shared;
        match &mut self.role {
            Role::Publishing(params) => {
                let Some(params) = params.take() else { return };
                let (publish, clip) = (Arc::clone(&shared.publish), Arc::clone(&shared.clip));
                self.role =
                    Role::Publisher(Box::new(Publisher::new(params, publish, clip, shared.epoch, now)));
            }
            Role::Watching(config) => {
                let Some(config) = config.take() else { return };
                totals.connected += 1;
                let asked = now.saturating_duration_since(self.asked);
                totals.connect_time.record(asked.as_micros() as u64);
                let viewer = Viewer::new(config, &shared.view, self.number, shared.epoch, self.asked, now);
                self.role = Role::Viewer(Box::new(viewer));
            }
            Role::Caller(media) => {
                totals.connected += 1;
                let asked = now.saturating_duration_since(self.asked);
                totals.connect_time.record(asked.as_micros() as u64);
                media.connected(&mut self.transport, now);
            }
            Role::Publisher(_) | Role::Viewer(_) => {}
        }
    }

    fn send_media(&mut self, now: Instant, totals: &mut Totals, sink: &mut dyn Sink) {
        let Some(pair) = self.transport.remote_address() else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        match &mut self.role {
            Role::Publisher(publisher) => {
                while publisher.poll_timeout() <= now {
                    let Some(due) = publisher.poll(now, &mut scratch) else { continue };
                    let sent = protect_and_send(
                        &mut self.transport,
                        &mut self.impairment,
                        due,
                        &mut scratch,
                        pair.remote,
                        now,
                        totals,
                        sink,
                    );
                    if due != Due::Rtcp {
                        totals.sent_packets += 1;
                        totals.sent_bytes += sent as u64;
                    }
                }
                let counts = [publisher.skipped, publisher.resent, publisher.keys, publisher.utterances];
                let [skipped, resent, keys, utterances] = std::mem::replace(&mut self.counted, counts);
                totals.skipped_frames += publisher.skipped - skipped;
                totals.resent += publisher.resent - resent;
                totals.keys_sent += publisher.keys - keys;
                totals.utterances += publisher.utterances - utterances;
            }
            Role::Caller(_) | Role::Viewer(_) => {
                let viewer = match &mut self.role {
                    Role::Caller(media) => {
                        if let Some(mut forged) = media.flood(&mut self.transport, now) {
                            protect_and_send(
                                &mut self.transport,
                                &mut self.impairment,
                                Due::Rtp,
                                &mut forged,
                                pair.remote,
                                now,
                                totals,
                                sink,
                            );
                        }
                        &mut media.viewer
                    }
                    Role::Viewer(viewer) => viewer,
                    _ => return,
                };
                if viewer.poll_timeout() <= now {
                    scratch.clear();
                    viewer.handle_timeout(now, &mut scratch, totals);
                    if !scratch.is_empty() {
                        protect_and_send(
                            &mut self.transport,
                            &mut self.impairment,
                            Due::Rtcp,
                            &mut scratch,
                            pair.remote,
                            now,
                            totals,
                            sink,
                        );
                    }
                }
            }
            Role::Publishing(_) | Role::Watching(_) => {}
        }
        self.scratch = scratch;
        // Thousands of idle clients need not keep their largest packet's worth.
        self.scratch.shrink_to(256);
    }
}

/// Sends `bytes` over the line as it is.
fn send(
    impairment: &mut Option<Impairment>,
    to: SocketAddr,
    bytes: &[u8],
    now: Instant,
    totals: &mut Totals,
    sink: &mut dyn Sink,
) {
    match impairment.as_mut().map_or(Fate::Passes, |line| line.leaves(to, bytes, now)) {
        Fate::Passes => sink.send(to, bytes),
        Fate::Held => {}
        Fate::Lost => totals.dropped_on_purpose += 1,
    }
}

/// Encrypts `packet` and sends it; returns its length.
#[allow(clippy::too_many_arguments, reason = "the parts of a client that are borrowed one by one")]
fn protect_and_send(
    transport: &mut Transport,
    impairment: &mut Option<Impairment>,
    due: Due,
    packet: &mut Vec<u8>,
    to: SocketAddr,
    now: Instant,
    totals: &mut Totals,
    sink: &mut dyn Sink,
) -> usize {
    let length = packet.len();
    packet.resize(length + SRTP_OVERHEAD, 0);
    let protected = match due {
        Due::Rtp => transport.protect_rtp(packet, length),
        Due::Repeatable => transport.protect_rtp_repeatable(packet, length),
        Due::Rtcp => transport.protect_rtcp(packet, length),
    };
    let Some(bytes) = protected.ok().and_then(|length| packet.get(..length)) else { return 0 };
    send(impairment, to, bytes, now, totals, sink);
    bytes.len()
}
