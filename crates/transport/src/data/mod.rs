//! Data channels (RFC 8831) of one transport: SCTP over DTLS, and DCEP to open them.
//!
//! ```text
//! abort        the end of an association, said to a peer that does not keep to the limits
//! association  SCTP, the one file that names `sctp-proto`
//! dcep         OPEN and ACK
//! guard        bounds what a peer can make the SCTP implementation keep
//! ```
//! Whoever opened the DTLS handshake begins the association and has the even channel numbers (RFC 8832, section 6).
//! Nothing is allocated before the first packet of a peer, or before [`DataChannels::connect`].

mod abort;
mod association;
mod dcep;
mod guard;

use std::collections::VecDeque;
use std::time::Instant;

use self::association::{Association, Happened, Kind};
use self::dcep::Message;
use self::guard::{Guard, Screened};

/// The SCTP port of both sides (RFC 8841); it means nothing inside of DTLS.
pub const SCTP_PORT: u16 = 5000;
/// Longest message in bytes, both ways: what every implementation sends in one piece. Announced in SDP.
pub const MAX_MESSAGE_LEN: usize = 16 * 1024;
/// Channels of one transport; a peer's OPEN beyond is refused by resetting its stream.
pub const MAX_CHANNELS: usize = 16;
/// Bytes that wait to be sent or acknowledged on all channels of a transport together; a message that would go
/// beyond is refused with [`DataError::Full`].
pub const MAX_BUFFERED: usize = 64 * 1024;
/// Longest label and protocol name in bytes.
pub const MAX_LABEL_LEN: usize = 128;
/// Events that are made ahead of being polled, besides closed channels; beyond, messages stay in SCTP's window.
const MAX_EVENTS: usize = 16;
/// Streams that we offer, so that channel numbers are below.
const MAX_STREAMS: u16 = 64;

/// Number of a data channel within its transport: the SCTP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u16);

/// What the other side's SDP says about data channels (RFC 8841).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataParameters {
    /// `a=sctp-port`.
    pub port: u16,
    /// `a=max-message-size` in bytes, at most what we send anyway.
    pub max_message_size: usize,
}

impl Default for DataParameters {
    fn default() -> Self {
        Self { port: SCTP_PORT, max_message_size: MAX_MESSAGE_LEN }
    }
}

/// How hard a channel tries (RFC 8832, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reliability {
    /// Until the message is there.
    #[default]
    Reliable,
    /// At most so many repetitions.
    MaxRetransmits(u16),
    /// At most so many milliseconds.
    MaxLifetimeMs(u16),
}

/// A channel to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Its name, at most [`MAX_LABEL_LEN`] bytes.
    pub label: String,
    /// Name of the protocol spoken on it, often empty; at most [`MAX_LABEL_LEN`] bytes.
    pub protocol: String,
    /// Whether messages arrive in order.
    pub ordered: bool,
    /// How hard it tries.
    pub reliability: Reliability,
}

impl ChannelConfig {
    /// An ordered and reliable channel, as a browser opens without options.
    #[must_use]
    pub fn reliable(label: &str) -> Self {
        let reliability = Reliability::Reliable;
        Self { label: label.to_owned(), protocol: String::new(), ordered: true, reliability }
    }
}

/// Why a message or a channel is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The SDP agreed on no data channels, or the association has ended.
    #[error("the connection has no data channels")]
    Unavailable,
    /// No such channel, or it is not open yet.
    #[error("the data channel is not open")]
    NotOpen,
    /// Longer than [`MAX_MESSAGE_LEN`] or than the peer takes; or the label is too long.
    #[error("the message is longer than the peer takes")]
    TooLong,
    /// [`MAX_BUFFERED`] bytes wait already, or [`MAX_CHANNELS`] channels exist.
    #[error("the buffer of the data channels is full")]
    Full,
}

/// What happened on the channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataEvent {
    Opened { channel: ChannelId, label: String, protocol: String },
    Data { channel: ChannelId, bytes: Vec<u8>, binary: bool },
    Closed(ChannelId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The association does not stand yet.
    Waiting,
    /// OPEN is on its way.
    Opening,
    Open,
}

struct Channel {
    id: u16,
    config: ChannelConfig,
    state: State,
}

/// All channels of one transport.
pub(crate) struct DataChannels {
    remote: DataParameters,
    /// We opened the DTLS handshake.
    begins: bool,
    association: Option<Association>,
    is_established: bool,
    is_lost: bool,
    guard: Guard,
    /// At most [`MAX_CHANNELS`].
    channels: Vec<Channel>,
    /// See [`MAX_EVENTS`].
    events: VecDeque<DataEvent>,
    /// Streams that may have a message; at most [`MAX_STREAMS`].
    readable: VecDeque<u16>,
    /// When a peer was last heard or a timer ran.
    now: Instant,
    /// SCTP was given something to send since it was last asked for packets.
    wants_to_send: bool,
    /// What a peer is told whose association has ended here.
    aborts: Option<Vec<u8>>,
    /// What the peer knows our packets by, once there was one.
    tag: Option<[u8; 4]>,
}

impl DataChannels {
    pub(crate) fn new(remote: DataParameters, begins: bool, now: Instant) -> Self {
        Self {
            remote,
            begins,
            association: None,
            is_established: false,
            is_lost: false,
            guard: Guard::new(now),
            channels: Vec::new(),
            events: VecDeque::new(),
            readable: VecDeque::new(),
            now,
            wants_to_send: false,
            aborts: None,
            tag: None,
        }
    }

    /// DTLS is there: whoever began it begins the association.
    pub(crate) fn connect(&mut self) {
        if self.begins && self.association.is_none() && !self.is_lost {
            self.association = Association::connect(self.remote);
        }
    }

    pub(crate) fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        self.now = now;
        match self.guard.check(packet, now) {
            _ if self.is_lost => {}
            Screened::Drop => return,
            Screened::End => self.lose(),
            Screened::Pass => {
                match &mut self.association {
                    Some(association) => association.handle_packet(packet, now),
                    None => self.association = Association::accept(self.remote, packet, now),
                }
                self.process();
            }
        }
        if self.is_lost {
            // The one that ends it, and each that comes after: the answer may be lost.
            self.aborts = self.tag.and_then(|tag| abort::abort(packet, tag));
        }
    }

    /// SCTP packets to send. Call until `None`.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Vec<bytes::Bytes>> {
        if let Some(abort) = self.aborts.take() {
            return Some(vec![abort.into()]);
        }
        let packets = self.association.as_mut()?.poll_transmit(now);
        self.wants_to_send &= packets.is_some();
        let last = packets.as_ref().and_then(|packets| packets.last());
        self.tag = last.and_then(|packet| abort::tag(packet)).or(self.tag);
        packets
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let at_once = self.wants_to_send.then_some(self.now);
        let timer = self.association.as_ref().and_then(Association::poll_timeout);
        [at_once, timer].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(association) = &mut self.association
            && association.poll_timeout().is_some_and(|at| at <= now)
        {
            self.now = now;
            association.handle_timeout(now);
            self.process();
        }
    }

    /// The next event. Whoever stops asking slows the peer down: messages stay in the receive window then.
    pub(crate) fn poll_event(&mut self) -> Option<DataEvent> {
        if self.events.is_empty() {
            self.process();
        }
        self.events.pop_front()
    }

    /// Reads what came, as far as there is room for events.
    fn process(&mut self) {
        self.take_happened();
        while self.events.len() < MAX_EVENTS
            && let Some(&id) = self.readable.front()
        {
            match self.association.as_mut().and_then(|association| association.read(id)) {
                Some(message) => {
                    self.guard.read(message.chunks);
                    self.message(id, message);
                }
                None => drop(self.readable.pop_front()),
            }
        }
    }

    /// Opens a channel; it is open when the event says so.
    pub(crate) fn open(&mut self, config: ChannelConfig) -> Result<ChannelId, DataError> {
        if self.is_lost {
            return Err(DataError::Unavailable);
        }
        if config.label.len().max(config.protocol.len()) > MAX_LABEL_LEN {
            return Err(DataError::TooLong);
        }
        if self.channels.len() >= MAX_CHANNELS {
            return Err(DataError::Full);
        }
        let mut ids = (0..MAX_STREAMS).filter(|id| id.is_multiple_of(2) == self.begins);
        let id = ids.find(|id| self.channel(*id).is_none()).ok_or(DataError::Full)?;
        self.channels.push(Channel { id, config, state: State::Waiting });
        if self.is_established {
            self.announce();
        }
        Ok(ChannelId(id))
    }

    /// Ends a channel.
    pub(crate) fn close(&mut self, channel: ChannelId) {
        self.channels.retain(|other| other.id != channel.0);
        if let Some(association) = &mut self.association {
            association.close(channel.0);
            self.wants_to_send = true;
        }
    }

    pub(crate) fn send(&mut self, channel: ChannelId, bytes: &[u8], binary: bool) -> Result<(), DataError> {
        if self.is_lost {
            return Err(DataError::Unavailable);
        }
        if self.channel(channel.0).is_none_or(|channel| channel.state != State::Open) {
            return Err(DataError::NotOpen);
        }
        if bytes.len() > MAX_MESSAGE_LEN.min(self.remote.max_message_size) {
            return Err(DataError::TooLong);
        }
        let association = self.association.as_mut().ok_or(DataError::NotOpen)?;
        let buffered: usize = self.channels.iter().map(|channel| association.buffered(channel.id)).sum();
        if buffered.saturating_add(bytes.len()) > MAX_BUFFERED {
            return Err(DataError::Full);
        }
        let kind = if binary { Kind::Binary } else { Kind::Text };
        association.write(channel.0, bytes, kind).ok_or(DataError::NotOpen)
    }

    fn channel(&self, id: u16) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.id == id)
    }

    fn take_happened(&mut self) {
        while let Some(happened) = self.association.as_mut().and_then(Association::poll) {
            match happened {
                Happened::Established => {
                    self.is_established = true;
                    self.announce();
                }
                Happened::Readable(id) => {
                    if !self.readable.contains(&id) {
                        self.readable.push_back(id);
                    }
                }
                Happened::Finished(id) => {
                    let known = self.channels.len();
                    self.channels.retain(|channel| channel.id != id);
                    if self.channels.len() != known {
                        self.events.push_back(DataEvent::Closed(ChannelId(id)));
                    }
                }
                Happened::Lost => self.lose(),
            }
        }
    }

    /// Sends OPEN for the channels that waited for the association.
    fn announce(&mut self) {
        let Some(association) = &mut self.association else { return };
        for channel in self.channels.iter_mut().filter(|channel| channel.state == State::Waiting) {
            let ChannelConfig { ordered, reliability, .. } = channel.config;
            let open = Message::Open(channel.config.clone()).to_bytes();
            let sent = association
                .prepare(channel.id, ordered, reliability)
                .and_then(|()| association.write(channel.id, &open, Kind::Dcep));
            // A stream whose number is still being reset stays waiting and never opens; there are others.
            if sent.is_some() {
                channel.state = State::Opening;
                self.wants_to_send = true;
            }
        }
    }

    fn message(&mut self, id: u16, message: association::Message) {
        let dcep = (message.kind == Kind::Dcep).then(|| Message::parse(&message.bytes));
        match dcep {
            None => {
                // Data may overtake the ACK on an unordered channel (RFC 8832, section 6): it says the same.
                self.acknowledged(id);
                if self.channel(id).is_some() {
                    let binary = message.kind == Kind::Binary;
                    let (channel, bytes) = (ChannelId(id), message.bytes);
                    self.events.push_back(DataEvent::Data { channel, bytes, binary });
                }
            }
            Some(Some(Message::Ack)) => self.acknowledged(id),
            Some(Some(Message::Open(config))) => self.opened_by_peer(id, config),
            Some(None) => self.close(ChannelId(id)),
        }
    }

    fn acknowledged(&mut self, id: u16) {
        let opening = |channel: &&mut Channel| channel.id == id && channel.state == State::Opening;
        if let Some(channel) = self.channels.iter_mut().find(opening) {
            channel.state = State::Open;
            self.events.push_back(opened(channel));
        }
    }

    fn opened_by_peer(&mut self, id: u16, config: ChannelConfig) {
        // The other half of the numbers is ours to give, and a second OPEN changes nothing.
        let foreign = id.is_multiple_of(2) != self.begins;
        if !foreign || self.channel(id).is_some() {
            return;
        }
        let Some(association) = self.association.as_mut().filter(|_| self.channels.len() < MAX_CHANNELS)
        else {
            return self.close(ChannelId(id));
        };
        let answered = association
            .prepare(id, config.ordered, config.reliability)
            .and_then(|()| association.write(id, &Message::Ack.to_bytes(), Kind::Dcep));
        if answered.is_some() {
            self.wants_to_send = true;
            let channel = Channel { id, config, state: State::Open };
            self.events.push_back(opened(&channel));
            self.channels.push(channel);
        }
    }

    /// The association is no more: its channels are closed, and no more open.
    pub(crate) fn lose(&mut self) {
        self.is_lost = true;
        self.association = None;
        self.wants_to_send = false;
        self.readable.clear();
        for channel in self.channels.drain(..) {
            self.events.push_back(DataEvent::Closed(ChannelId(channel.id)));
        }
    }
}

/// For the fuzz target: what DCEP reads, it writes the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn round_trip(bytes: &[u8]) {
    if let Some(message) = Message::parse(bytes) {
        assert_eq!(Message::parse(&message.to_bytes()), Some(message));
    }
}

fn opened(channel: &Channel) -> DataEvent {
    let ChannelConfig { label, protocol, .. } = channel.config.clone();
    DataEvent::Opened { channel: ChannelId(channel.id), label, protocol }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Brings everything that either has to say to the other, for a while.
    fn settle(both: &mut [DataChannels; 2], now: &mut Instant) -> Vec<DataEvent> {
        let mut events = Vec::new();
        for _ in 0..400 {
            for (from, to) in [(0, 1), (1, 0)] {
                both[from].handle_timeout(*now);
                while let Some(packets) = both[from].poll_transmit(*now) {
                    packets.iter().for_each(|packet| both[to].handle_packet(packet, *now));
                }
            }
            events.extend(std::iter::from_fn(|| both[0].poll_event()));
            while both[1].poll_event().is_some() {}
            *now += Duration::from_millis(5);
        }
        events
    }

    #[test]
    fn who_sends_longer_messages_than_were_agreed_is_told_that_its_channels_are_gone() {
        let mut now = Instant::now();
        let side = |begins| DataChannels::new(DataParameters::default(), begins, now);
        let mut both = [side(true), side(false)];
        both[0].connect();
        let channel = both[0].open(ChannelConfig::reliable("-/call")).unwrap();
        let events = settle(&mut both, &mut now);
        assert!(matches!(&events[..], [DataEvent::Opened { .. }]), "{events:?}");
        both[0].send(channel, &[7; MAX_MESSAGE_LEN], true).unwrap();
        assert_eq!(settle(&mut both, &mut now), []);

        // As a client that keeps to nothing.
        let association = both[0].association.as_mut().unwrap();
        association.write(channel.0, &[7; 60_000], Kind::Binary).unwrap();
        let events = settle(&mut both, &mut now);
        assert_eq!(events, [DataEvent::Closed(channel)]);
        assert!(both.iter().all(|side| side.is_lost && side.poll_timeout().is_none()));
        assert_eq!(both[0].send(channel, b"more", true), Err(DataError::Unavailable));
        assert_eq!(settle(&mut both, &mut now), [], "neither says any more");
    }
}
