//! One connection of a client: connect, subscribe, send, and messages out.
//!
//! ```
//! use std::time::Instant;
//! use stomp_proto::client::{Client, Config, Event};
//!
//! let now = Instant::now();
//! let mut client = Client::new(Config { token: Some("ey..".into()), ..Config::default() }, now);
//! let news = client.subscribe("/topic/-/broadcasts").unwrap();
//! while let Some(message) = client.poll_transmit(now) {
//!     // write `message` as one WebSocket message
//! }
//! client.handle_bytes(b"CONNECTED\nversion:1.2\n\n\0", now);
//! while let Some(event) = client.poll_event() {
//!     match event {
//!         Event::Connected { .. } => {}
//!         Event::Message(message) => assert_eq!(message.subscription, news),
//!         Event::Closed(reason) => panic!("{reason}"), // drop the socket, make a new Client
//!         _ => {}
//!     }
//! }
//! // then wait for bytes, or until client.poll_timeout() and call handle_timeout
//! ```

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::decode::{Decoder, Item, Limits};
use crate::frame::{Command, Frame, Headers, Version};
use crate::heart_beat::{HeartBeat, Pulse};

/// Most bytes that wait for the socket; beyond, [`Client::send`] and [`Client::subscribe`] refuse.
pub const MAX_QUEUED_BYTES: usize = 8 * 1024 * 1024;
/// Most frames that wait for the socket; beyond, as with [`MAX_QUEUED_BYTES`].
pub const MAX_QUEUED_FRAMES: usize = 16_384;
/// The server has this long to answer CONNECT.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to connect.
#[derive(Debug, Clone)]
pub struct Config {
    /// The virtual host, which 1.2 demands.
    pub host: String,
    /// A token, sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// What this client offers.
    pub heart_beat: HeartBeat,
    /// What it takes from the server.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self { host: "madang".into(), token: None, heart_beat: HeartBeat::DEFAULT, limits: Limits::SERVICE }
    }
}

/// A subscription of this client; its `id` header is the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(u64);

/// A receipt that was asked for; its `receipt` header is the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptId(u64);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session is open.
    Connected {
        /// The agreed version.
        version: Version,
    },
    /// A message of a subscription.
    Message(Message),
    /// The server has handled the frame with this receipt.
    Receipt(ReceiptId),
    /// It is over: close the socket. Nothing comes after it.
    Closed(Reason),
}

/// A message of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The subscription that it belongs to.
    pub subscription: SubscriptionId,
    /// Where it was sent.
    pub destination: String,
    /// All its headers.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// [`Client::disconnect`] was called and the server has answered it.
    #[error("disconnected")]
    Disconnected,
    /// The server sent ERROR.
    #[error("server error: {message}")]
    ServerError {
        /// Its `message` header.
        message: String,
        /// Its body.
        details: String,
    },
    /// What the server sent is not STOMP, or not what a server sends.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// No CONNECTED in [`CONNECT_TIMEOUT`].
    #[error("the server did not answer CONNECT")]
    ConnectTimeout,
    /// No byte in twice the agreed interval.
    #[error("the server's heart-beat stopped")]
    HeartBeatLost,
}

/// A frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Too much waits for the socket; later it may pass.
    #[error("the send queue is full")]
    Full,
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Connecting { since: Instant },
    Connected { version: Version },
    Closed,
}

/// One connection of a client. Frames that are sent before CONNECTED wait for it.
#[derive(Debug)]
pub struct Client {
    state: State,
    decoder: Decoder,
    pulse: Pulse,
    heart_beat: HeartBeat,
    /// The CONNECT frame, until it is taken.
    opening: Option<Bytes>,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    /// A heart-beat is to be sent.
    beat: bool,
    events: VecDeque<Event>,
    subscriptions: HashMap<SubscriptionId, String>,
    next_id: u64,
    disconnect: Option<ReceiptId>,
}

impl Client {
    /// A client whose CONNECT is ready to be sent.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let mut connect = Frame::new(Command::Connect)
            .header("accept-version", "1.2,1.1")
            .header("host", config.host)
            .header("heart-beat", config.heart_beat.to_string());
        if let Some(token) = config.token {
            connect = connect.header("Authorization", format!("Bearer {token}"));
        }
        Self {
            state: State::Connecting { since: now },
            decoder: Decoder::new(config.limits),
            pulse: Pulse::idle(now),
            heart_beat: config.heart_beat,
            opening: Some(connect.encode(Version::V1_2)),
            queue: VecDeque::new(),
            queued_bytes: 0,
            beat: false,
            events: VecDeque::new(),
            subscriptions: HashMap::new(),
            next_id: 1,
            disconnect: None,
        }
    }

    /// Whether CONNECTED has come and nothing has ended the connection since.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }

    /// Takes bytes of the socket: the payload of a WebSocket message, or any piece of the stream.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if self.state == State::Closed {
            return;
        }
        self.pulse.received(now);
        self.decoder.feed(bytes);
        loop {
            match self.decoder.next_item() {
                Ok(None) => return,
                Ok(Some(Item::HeartBeat)) => {}
                Ok(Some(Item::Frame(frame))) => self.handle_frame(frame, now),
                Err(error) => self.close(Reason::Protocol(error.to_string())),
            }
            if self.state == State::Closed {
                return;
            }
        }
    }

    /// Looks at the timers. Call it when [`Client::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Connecting { since } if now >= since + CONNECT_TIMEOUT => {
                self.close(Reason::ConnectTimeout)
            }
            State::Connected { .. } if self.pulse.is_lost(now) => self.close(Reason::HeartBeatLost),
            State::Connected { .. } if self.pulse.is_due(now) => self.beat = true,
            _ => {}
        }
    }

    /// When to call [`Client::handle_timeout`] next; `None` when the connection is over or has no heart-beats.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Connecting { since } => Some(since + CONNECT_TIMEOUT),
            State::Connected { .. } => self.pulse.poll_timeout(self.beat),
            State::Closed => None,
        }
    }

    /// The next bytes for the socket: one WebSocket message.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        let State::Connected { version } = self.state else { return None };
        let bytes = if let Some(frame) = self.queue.pop_front() {
            self.queued_bytes = self.queued_bytes.saturating_sub(cost(&frame));
            frame.encode(version)
        } else if self.beat {
            Bytes::from_static(b"\n")
        } else {
            return None;
        };
        self.beat = false;
        self.pulse.sent(now);
        Some(bytes)
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Subscribes to `destination`, acknowledging by itself.
    ///
    /// # Errors
    /// [`SendError`]; nothing is subscribed then.
    pub fn subscribe(&mut self, destination: &str) -> Result<SubscriptionId, SendError> {
        let id = SubscriptionId(self.take_id());
        self.push(
            Frame::new(Command::Subscribe)
                .header("id", id.0.to_string())
                .header("destination", destination)
                .header("ack", "auto"),
        )?;
        self.subscriptions.insert(id, destination.to_owned());
        Ok(id)
    }

    /// Ends a subscription; messages on their way are dropped.
    ///
    /// # Errors
    /// [`SendError`]; the subscription stays then.
    pub fn unsubscribe(&mut self, id: SubscriptionId) -> Result<(), SendError> {
        if self.subscriptions.contains_key(&id) {
            self.push(Frame::new(Command::Unsubscribe).header("id", id.0.to_string()))?;
            self.subscriptions.remove(&id);
        }
        Ok(())
    }

    /// Sends `body` of the media type `content_type` to `destination`.
    ///
    /// # Errors
    /// [`SendError`]; nothing is sent then.
    pub fn send(
        &mut self,
        destination: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        self.push(send_frame(destination, content_type, body))
    }

    /// As [`Client::send`], and asks for a receipt: [`Event::Receipt`] tells that the server has handled it.
    ///
    /// # Errors
    /// [`SendError`]; nothing is sent then.
    pub fn send_with_receipt(
        &mut self,
        destination: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<ReceiptId, SendError> {
        let id = ReceiptId(self.take_id());
        self.push(send_frame(destination, content_type, body).header("receipt", id.0.to_string()))?;
        Ok(id)
    }

    /// Says goodbye after what is queued; [`Reason::Disconnected`] follows when the server has answered.
    ///
    /// # Errors
    /// [`SendError`]; close the socket then.
    pub fn disconnect(&mut self) -> Result<(), SendError> {
        if self.disconnect.is_none() {
            let id = ReceiptId(self.take_id());
            self.push(Frame::new(Command::Disconnect).header("receipt", id.0.to_string()))?;
            self.disconnect = Some(id);
        }
        Ok(())
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    fn push(&mut self, frame: Frame) -> Result<(), SendError> {
        if self.state == State::Closed || self.disconnect.is_some() {
            return Err(SendError::Closed);
        }
        let bytes = self.queued_bytes.saturating_add(cost(&frame));
        if bytes > MAX_QUEUED_BYTES || self.queue.len() >= MAX_QUEUED_FRAMES {
            return Err(SendError::Full);
        }
        self.queued_bytes = bytes;
        self.queue.push_back(frame);
        Ok(())
    }

    fn handle_frame(&mut self, frame: Frame, now: Instant) {
        let connecting = matches!(self.state, State::Connecting { .. });
        match frame.command {
            Command::Connected if connecting => self.connected(&frame.headers, now),
            Command::Message if !connecting => self.message(frame),
            Command::Receipt if !connecting => self.receipt(&frame.headers),
            Command::Error => {
                let message = frame.headers.get("message").unwrap_or("no message").to_owned();
                let details = String::from_utf8_lossy(&frame.body).into_owned();
                self.close(Reason::ServerError { message, details });
            }
            other => self.close(Reason::Protocol(format!("unexpected {other}"))),
        }
    }

    fn connected(&mut self, headers: &Headers, now: Instant) {
        let version = match headers.get("version") {
            Some("1.2") => Version::V1_2,
            Some("1.1") => Version::V1_1,
            other => {
                let other = other.unwrap_or("1.0");
                return self.close(Reason::Protocol(format!("unexpected version {other:?}")));
            }
        };
        let theirs = match headers.get("heart-beat").map(str::parse) {
            None => HeartBeat::NONE,
            Some(Ok(theirs)) => theirs,
            Some(Err(error)) => return self.close(Reason::Protocol(error.to_string())),
        };
        self.decoder.set_version(version);
        self.pulse = Pulse::negotiated(self.heart_beat, theirs, now);
        self.state = State::Connected { version };
        self.events.push_back(Event::Connected { version });
    }

    fn message(&mut self, frame: Frame) {
        let id = frame.headers.get("subscription").and_then(|id| id.parse().ok()).map(SubscriptionId);
        // A message that was on its way while its subscription ended is nobody's.
        let Some((subscription, destination)) =
            id.and_then(|id| self.subscriptions.get(&id).map(|destination| (id, destination)))
        else {
            return;
        };
        let destination = frame.headers.get("destination").unwrap_or(destination).to_owned();
        self.events.push_back(Event::Message(Message {
            subscription,
            destination,
            headers: frame.headers,
            body: frame.body,
        }));
    }

    fn receipt(&mut self, headers: &Headers) {
        let Some(id) = headers.get("receipt-id").and_then(|id| id.parse().ok()).map(ReceiptId) else {
            return;
        };
        if self.disconnect == Some(id) {
            self.close(Reason::Disconnected);
        } else {
            self.events.push_back(Event::Receipt(id));
        }
    }

    fn close(&mut self, reason: Reason) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.queue.clear();
            self.queued_bytes = 0;
            self.opening = None;
            self.events.push_back(Event::Closed(reason));
        }
    }
}

fn send_frame(destination: &str, content_type: &str, body: impl Into<Bytes>) -> Frame {
    Frame::new(Command::Send)
        .header("destination", destination)
        .header("content-type", content_type)
        .with_body(body)
}

/// What a frame counts against [`MAX_QUEUED_BYTES`].
fn cost(frame: &Frame) -> usize {
    let headers: usize = frame.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    frame.body.len().saturating_add(headers).saturating_add(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTED: &[u8] = b"CONNECTED\nversion:1.2\nheart-beat:4000,4000\n\n\0";

    fn drain(client: &mut Client, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| client.poll_transmit(now))
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
            .collect()
    }

    fn connected(now: Instant) -> Client {
        let mut client = Client::new(Config::default(), now);
        drain(&mut client, now);
        client.handle_bytes(CONNECTED, now);
        assert_eq!(client.poll_event(), Some(Event::Connected { version: Version::V1_2 }));
        client
    }

    #[test]
    fn frames_wait_for_connected() {
        let now = Instant::now();
        let mut client = Client::new(Config { token: Some("t.o.k".into()), ..Config::default() }, now);
        client.subscribe("/topic/a").unwrap();
        client.send("/app/a", "application/json", "{}").unwrap();
        assert_eq!(
            drain(&mut client, now),
            [
                "CONNECT\naccept-version:1.2,1.1\nhost:madang\nheart-beat:4000,4000\nAuthorization:Bearer t.o.k\n\n\0"
            ]
        );
        client.handle_bytes(CONNECTED, now);
        assert_eq!(
            drain(&mut client, now),
            [
                "SUBSCRIBE\nid:1\ndestination:/topic/a\nack:auto\n\n\0",
                "SEND\ndestination:/app/a\ncontent-type:application/json\ncontent-length:2\n\n{}\0"
            ]
        );
    }

    #[test]
    fn messages_and_receipts_come_out_and_strangers_do_not() {
        let now = Instant::now();
        let mut client = connected(now);
        let id = client.subscribe("/topic/a").unwrap();
        let receipt = client.send_with_receipt("/app/a", "text/plain", "x").unwrap();
        client.handle_bytes(b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/topic/a\n\nhi\0", now);
        client.handle_bytes(b"MESSAGE\nsubscription:7\nmessage-id:2\ndestination:/topic/b\n\nhi\0", now);
        client.handle_bytes(b"RECEIPT\nreceipt-id:2\n\n\0", now);
        match client.poll_event() {
            Some(Event::Message(message)) => {
                assert_eq!((message.subscription, &message.body[..]), (id, &b"hi"[..]));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.poll_event(), Some(Event::Receipt(receipt)));
        assert_eq!(client.poll_event(), None);
    }

    #[test]
    fn heart_beats_are_sent_and_expected() {
        let now = Instant::now();
        let mut client = connected(now);
        let due = client.poll_timeout().unwrap();
        assert_eq!(due, now + Duration::from_secs(4));
        client.handle_timeout(due);
        assert_eq!(drain(&mut client, due), ["\n"]);
        client.handle_bytes(b"\n", due);
        client.handle_timeout(due + Duration::from_secs(8));
        assert_eq!(client.poll_event(), Some(Event::Closed(Reason::HeartBeatLost)));
        assert_eq!(client.send("/app/a", "text/plain", ""), Err(SendError::Closed));
        assert_eq!(client.poll_timeout(), None);
    }

    #[test]
    fn a_server_that_says_nothing_or_nonsense_is_left() {
        let now = Instant::now();
        let mut client = Client::new(Config::default(), now);
        client.handle_timeout(now + CONNECT_TIMEOUT);
        assert_eq!(client.poll_event(), Some(Event::Closed(Reason::ConnectTimeout)));
        for nonsense in [&b"HTTP/1.1 200 OK\n"[..], b"MESSAGE\n\n\0", b"CONNECTED\nversion:9\n\n\0"] {
            let mut client = Client::new(Config::default(), now);
            client.handle_bytes(nonsense, now);
            assert!(matches!(client.poll_event(), Some(Event::Closed(Reason::Protocol(_)))), "{nonsense:?}");
        }
    }

    #[test]
    fn an_error_frame_and_a_goodbye_end_it() {
        let now = Instant::now();
        let mut client = connected(now);
        client.handle_bytes(b"ERROR\nmessage:no\n\nbecause\0", now);
        let reason = Reason::ServerError { message: "no".into(), details: "because".into() };
        assert_eq!(client.poll_event(), Some(Event::Closed(reason)));

        let mut client = connected(now);
        client.disconnect().unwrap();
        assert_eq!(drain(&mut client, now), ["DISCONNECT\nreceipt:1\n\n\0"]);
        client.handle_bytes(b"RECEIPT\nreceipt-id:1\n\n\0", now);
        assert_eq!(client.poll_event(), Some(Event::Closed(Reason::Disconnected)));
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut client = connected(Instant::now());
        let mebibyte = Bytes::from(vec![0; 1024 * 1024]);
        let sent = (0..100).take_while(|_| client.send("/app/a", "x/y", mebibyte.clone()).is_ok()).count();
        assert_eq!(sent, 7);
        assert_eq!(client.send("/app/a", "x/y", mebibyte), Err(SendError::Full));
    }
}
