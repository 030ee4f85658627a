//! One connection as the server sees it: versions, heart-beats, receipts, subscriptions, acknowledgements,
//! transactions, and ERROR followed by the end.
//!
//! [`Session::poll_event`] handles one frame at a time, so a SUBSCRIBE has taken effect before the next frame of
//! the connection is looked at, and a RECEIPT follows what the caller has done. Whatever is wrong goes one way:
//! [`Session::fail`] queues an ERROR frame and ends the session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::decode::{DecodeError, Decoder, Item, Limits};
use crate::ending::Refused;
use crate::frame::{Command, Frame, Headers, Version, encode_parts};
use crate::heart_beat::{HeartBeat, Pulse};
use crate::subscriptions::{AckMode, Subscriptions};
use crate::transactions::{Operation, Transactions};

pub use crate::ending::Close;
pub use crate::subscriptions::{MAX_SUBSCRIPTIONS, SubscriptionKey};
pub use crate::transactions::Outgoing;

/// A client has this long to send CONNECT.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A frame is whole within this time of its first byte: what has come of it is held in memory until then.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// Receipts, replies and other answers that wait for a client that does not read; at the limit no more frames are
/// handled until it reads ([`Session::wants_bytes`]). The answers to the frame that reached it still fit.
pub const MAX_QUEUED_ANSWERS: usize = 256;
/// Bytes of them; at the limit as with [`MAX_QUEUED_ANSWERS`].
pub const MAX_QUEUED_ANSWER_BYTES: usize = 64 * 1024;
/// Longest name that a client gives to a subscription, a transaction or a receipt, in bytes: the server remembers it,
/// and repeats it in what it sends.
pub const MAX_ID_LEN: usize = 512;

/// What a server offers.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it can send and wants to hear.
    pub heart_beat: HeartBeat,
    /// What it takes in a frame until [`Session::accept`] says otherwise.
    pub limits: Limits,
    /// The `server` header of CONNECTED.
    pub server: String,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// CONNECT came: call [`Session::accept`] or [`Session::fail`]; nothing else happens before.
    Connect(Connect),
    /// A subscription begins.
    Subscribe {
        /// Its name between the session and the caller.
        key: SubscriptionKey,
        /// What it reads.
        destination: String,
    },
    /// A subscription has ended.
    Unsubscribe {
        /// Its name between the session and the caller.
        key: SubscriptionKey,
        /// What it read.
        destination: String,
    },
    /// Messages to handle: one of a SEND, or all of a transaction, of which none may take effect if one may not.
    Send(Vec<Outgoing>),
}

/// What a client says of itself in CONNECT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connect {
    /// `host`; 1.2 demands it, but clients of 1.2 that leave it out exist and are let in.
    pub host: Option<String>,
    /// `login`.
    pub login: Option<String>,
    /// `passcode`.
    pub passcode: Option<String>,
    /// `Authorization: Bearer ..` without the scheme, or `token`.
    pub token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for CONNECT.
    Opening { since: Instant },
    /// Waits for the caller's answer to CONNECT.
    Deciding { version: Version, theirs: HeartBeat },
    /// Connected.
    Open { version: Version },
    /// DISCONNECT is being answered.
    Leaving { version: Version },
    /// Over; answers may still wait to be sent.
    Over(Close),
}

/// One connection of a client.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    decoder: Decoder,
    /// When the latest bytes came.
    fed: Instant,
    /// When the frame began that is not whole yet.
    begun: Option<Instant>,
    pulse: Pulse,
    beat: bool,
    /// The receipt of the frame that the caller is handling.
    receipt: Option<String>,
    answers: VecDeque<Bytes>,
    answer_bytes: usize,
    subscriptions: Subscriptions,
    transactions: Transactions,
}

impl Session {
    /// A session that waits for CONNECT.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            state: State::Opening { since: now },
            decoder: Decoder::new(config.limits),
            fed: now,
            begun: None,
            pulse: Pulse::idle(now),
            beat: false,
            receipt: None,
            answers: VecDeque::new(),
            answer_bytes: 0,
            subscriptions: Subscriptions::default(),
            transactions: Transactions::default(),
            config,
        }
    }

    /// Takes bytes of the socket: the payload of a WebSocket message or any piece of the stream. Then drain
    /// [`Session::poll_event`].
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if !matches!(self.state, State::Over(_)) {
            self.pulse.received(now);
            self.decoder.feed(bytes);
            self.fed = now;
        }
    }

    /// Whether the socket should be read: not while answers pile up, and not after the end.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        let has_room = self.answers.len() < MAX_QUEUED_ANSWERS && self.answer_bytes < MAX_QUEUED_ANSWER_BYTES;
        has_room && !matches!(self.state, State::Over(_))
    }

    /// Looks at the timers. Call it when [`Session::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Opening { since } if now >= since + CONNECT_TIMEOUT => {
                self.fail(Close::Policy, "no CONNECT within 10 s");
            }
            State::Open { .. } if self.pulse.is_lost(now) => {
                self.fail(Close::Silent, "the heart-beat stopped")
            }
            State::Open { .. } if self.frame_deadline().is_some_and(|deadline| now >= deadline) => {
                self.fail(Close::Policy, "a frame that is not whole after 30 s");
            }
            State::Open { .. } if self.pulse.is_due(now) => self.beat = true,
            _ => {}
        }
    }

    /// When to call [`Session::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Opening { since } => Some(since + CONNECT_TIMEOUT),
            State::Open { .. } => {
                let pulse = self.pulse.poll_timeout(self.beat);
                [pulse, self.frame_deadline()].into_iter().flatten().min()
            }
            State::Deciding { .. } | State::Leaving { .. } | State::Over(_) => None,
        }
    }

    /// The next answer or heart-beat for the socket.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        let bytes = match self.answers.pop_front() {
            Some(answer) => {
                self.answer_bytes = self.answer_bytes.saturating_sub(answer.len());
                answer
            }
            None if self.beat => Bytes::from_static(b"\n"),
            None => return None,
        };
        self.beat = false;
        self.pulse.sent(now);
        Some(bytes)
    }

    /// Whether [`Session::poll_transmit`] has something.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        self.beat || !self.answers.is_empty()
    }

    /// How it ended, once it has. Send what [`Session::poll_transmit`] still has, then close the socket.
    #[must_use]
    pub fn closed(&self) -> Option<Close> {
        if let State::Over(close) = self.state { Some(close) } else { None }
    }

    /// The agreed version, while the session is open.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self.state {
            State::Open { version } | State::Leaving { version } => Some(version),
            _ => None,
        }
    }

    /// The next thing to do. It first answers the receipt of the event before, which counts as done.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            self.finish_frame();
            if !self.wants_bytes() || matches!(self.state, State::Deciding { .. }) {
                // It is not read, so its end cannot come.
                self.begun = None;
                return None;
            }
            let frame = match self.decoder.next_item() {
                Ok(None) => {
                    let begun = self.begun.unwrap_or(self.fed);
                    self.begun = self.decoder.is_inside().then_some(begun);
                    return None;
                }
                Ok(Some(Item::HeartBeat)) => continue,
                Ok(Some(Item::Frame(frame))) => {
                    self.begun = None;
                    frame
                }
                Err(error) => {
                    let close = match error {
                        DecodeError::BodyTooLarge(_) => Close::TooLarge,
                        _ => Close::Protocol,
                    };
                    self.fail(close, error.to_string());
                    return None;
                }
            };
            match self.handle_frame(frame) {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(Refused(close, message)) => self.fail(close, message),
            }
        }
    }

    /// Lets the client in, as `session`; `limits` are its own from now on.
    pub fn accept(&mut self, session: &str, limits: Limits, now: Instant) {
        let State::Deciding { version, theirs } = self.state else { return };
        let mut connected = Frame::new(Command::Connected)
            .header("version", version.as_str())
            .header("session", session)
            .header("server", self.config.server.clone());
        self.pulse = Pulse::idle(now);
        if version != Version::V1_0 {
            connected = connected.header("heart-beat", self.config.heart_beat.to_string());
            self.pulse = Pulse::negotiated(self.config.heart_beat, theirs, now);
        }
        self.decoder.set_version(version);
        self.decoder.set_limits(limits);
        self.queue(connected.encode(version));
        self.state = State::Open { version };
    }

    /// Ends the session with an ERROR frame that says `message`; it names the receipt of the frame that the
    /// caller is handling. Nothing more is read.
    pub fn fail(&mut self, close: Close, message: impl Into<String>) {
        if matches!(self.state, State::Over(_)) {
            return;
        }
        let message = message.into();
        let version = match self.state {
            State::Open { version } | State::Leaving { version } | State::Deciding { version, .. } => version,
            State::Opening { .. } | State::Over(_) => Version::V1_2,
        };
        let mut error = Frame::new(Command::Error)
            .header("message", message.clone())
            .header("content-type", "text/plain");
        if matches!(self.state, State::Opening { .. }) {
            error = error.header("version", "1.0,1.1,1.2");
        }
        if let Some(receipt) = self.receipt.take() {
            error = error.header("receipt-id", receipt);
        }
        self.queue(error.with_body(message).encode(version));
        self.beat = false;
        self.state = State::Over(close);
    }

    /// A MESSAGE frame for the subscription `key`, or `None` if that has ended meanwhile.
    pub fn message(
        &mut self,
        key: SubscriptionKey,
        destination: &str,
        headers: &Headers,
        body: &[u8],
        now: Instant,
    ) -> Option<Bytes> {
        let version = self.version()?;
        let stamp = self.subscriptions.stamp(key)?;
        let number = stamp.number.to_string();
        let own = [("destination", destination), ("message-id", number.as_str())];
        let subscription = stamp.id.map(|id| ("subscription", id));
        let ack =
            (stamp.ack != AckMode::Auto && version == Version::V1_2).then_some(("ack", number.as_str()));
        let all = own.into_iter().chain(subscription).chain(ack).chain(headers.iter());
        let bytes = encode_parts(Command::Message, all, body, version);
        self.beat = false;
        self.pulse.sent(now);
        Some(bytes)
    }

    /// Queues a MESSAGE frame of ours for the subscription `key` among the answers, which go out before anything
    /// else; nothing happens if the subscription has ended. A client that does not read its answers is not read
    /// either, so they need no limit of their own.
    pub fn answer(
        &mut self,
        key: SubscriptionKey,
        destination: &str,
        headers: &Headers,
        body: &[u8],
        now: Instant,
    ) {
        if let Some(bytes) = self.message(key, destination, headers, body, now) {
            self.queue(bytes);
        }
    }

    /// The caller has not read the socket for a while by its own choice: the silence is not the client's.
    pub fn excuse_silence(&mut self, now: Instant) {
        self.pulse.received(now);
        self.begun = self.begun.map(|_| now);
    }

    fn frame_deadline(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + FRAME_TIMEOUT)
    }

    fn queue(&mut self, answer: Bytes) {
        self.answer_bytes = self.answer_bytes.saturating_add(answer.len());
        self.answers.push_back(answer);
    }

    /// The frame before is done: answers its receipt, or ends after DISCONNECT.
    fn finish_frame(&mut self) {
        let Some(version) = self.version() else { return };
        if let Some(receipt) = self.receipt.take() {
            let answer = Frame::new(Command::Receipt).header("receipt-id", receipt);
            self.queue(answer.encode(version));
        }
        if matches!(self.state, State::Leaving { .. }) {
            self.state = State::Over(Close::Goodbye);
        }
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<Option<Event>, Refused> {
        let State::Open { version } = self.state else { return self.open(&frame).map(Some) };
        if let Some(receipt) = frame.headers.get("receipt") {
            let receipt = short("a receipt", receipt)?;
            self.receipt = Some(receipt.to_owned());
        }
        match frame.command {
            Command::Send => self.send(frame),
            Command::Subscribe => self.subscribe(&frame.headers, version).map(Some),
            Command::Unsubscribe => self.unsubscribe(&frame.headers, version).map(Some),
            Command::Ack | Command::Nack => self.acknowledge(&frame, version),
            Command::Begin => {
                self.transactions.begin(short("a transaction", required(&frame, "transaction")?)?)?;
                Ok(None)
            }
            Command::Abort => {
                self.transactions.end(required(&frame, "transaction")?)?;
                Ok(None)
            }
            Command::Commit => self.commit(required(&frame, "transaction")?),
            Command::Disconnect => {
                self.state = State::Leaving { version };
                Ok(None)
            }
            Command::Connect | Command::Stomp => Err(Refused::protocol("already connected")),
            other => Err(Refused::protocol(format!("{other} is not a frame of clients"))),
        }
    }

    fn open(&mut self, frame: &Frame) -> Result<Event, Refused> {
        if !matches!(frame.command, Command::Connect | Command::Stomp) {
            return Err(Refused::protocol("the first frame must be CONNECT"));
        }
        let header = |name| frame.headers.get(name).map(str::to_owned);
        let Some(version) = Version::negotiate(frame.headers.get("accept-version")) else {
            return Err(Refused::protocol("supported protocol versions are 1.0, 1.1 and 1.2"));
        };
        let theirs = match frame.headers.get("heart-beat") {
            Some(text) if version != Version::V1_0 => text
                .parse()
                .map_err(|error: crate::ParseHeartBeatError| Refused::protocol(error.to_string()))?,
            _ => HeartBeat::NONE,
        };
        self.state = State::Deciding { version, theirs };
        let authorization = frame.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let bearer = authorization.map(|(_, value)| match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
            _ => value.trim().to_owned(),
        });
        Ok(Event::Connect(Connect {
            host: header("host"),
            login: header("login"),
            passcode: header("passcode"),
            token: bearer.or_else(|| header("token")),
        }))
    }

    fn send(&mut self, frame: Frame) -> Result<Option<Event>, Refused> {
        let destination = required(&frame, "destination")?.to_owned();
        let transaction = frame.headers.get("transaction").map(str::to_owned);
        let headers = frame.headers.iter().filter(|(name, _)| passes_on(name)).collect();
        let message = Outgoing { destination, headers, body: frame.body };
        match transaction {
            Some(id) => {
                self.transactions.add(&id, Operation::Send(message))?;
                Ok(None)
            }
            None => Ok(Some(Event::Send(vec![message]))),
        }
    }

    fn subscribe(&mut self, headers: &Headers, version: Version) -> Result<Event, Refused> {
        let missing = |name| Refused::protocol(format!("SUBSCRIBE needs the header {name}"));
        let destination = headers.get("destination").ok_or_else(|| missing("destination"))?;
        let id = match headers.get("id") {
            None if version != Version::V1_0 => return Err(missing("id")),
            id => id,
        };
        let ack = AckMode::parse(headers.get("ack"), version)
            .ok_or_else(|| Refused::protocol("ack must be auto, client or client-individual"))?;
        short("a subscription", id.unwrap_or(destination))?;
        let key = self.subscriptions.insert(id, destination, ack)?;
        Ok(Event::Subscribe { key, destination: destination.to_owned() })
    }

    fn unsubscribe(&mut self, headers: &Headers, version: Version) -> Result<Event, Refused> {
        let name = match (headers.get("id"), headers.get("destination")) {
            (Some(id), _) => id,
            (None, Some(destination)) if version == Version::V1_0 => destination,
            _ => return Err(Refused::protocol("UNSUBSCRIBE needs the header id")),
        };
        let (key, destination) = self.subscriptions.remove(name)?;
        Ok(Event::Unsubscribe { key, destination })
    }

    fn acknowledge(&mut self, frame: &Frame, version: Version) -> Result<Option<Event>, Refused> {
        if version == Version::V1_0 && frame.command == Command::Nack {
            return Err(Refused::protocol("1.0 has no NACK"));
        }
        let id = match version {
            Version::V1_2 => required(frame, "id")?,
            Version::V1_1 => {
                required(frame, "subscription")?;
                required(frame, "message-id")?
            }
            Version::V1_0 => required(frame, "message-id")?,
        };
        let number = id.parse().map_err(|_| Refused::protocol("no message with this id was sent"))?;
        match frame.headers.get("transaction") {
            Some(transaction) => self.transactions.add(transaction, Operation::Acknowledge(number))?,
            None => self.subscriptions.acknowledge(number)?,
        }
        Ok(None)
    }

    fn commit(&mut self, transaction: &str) -> Result<Option<Event>, Refused> {
        let mut messages = Vec::new();
        for operation in self.transactions.end(transaction)? {
            match operation {
                Operation::Send(message) => messages.push(message),
                Operation::Acknowledge(number) => self.subscriptions.acknowledge(number)?,
            }
        }
        Ok((!messages.is_empty()).then_some(Event::Send(messages)))
    }
}

fn required<'a>(frame: &'a Frame, name: &str) -> Result<&'a str, Refused> {
    let missing = || Refused::protocol(format!("{} needs the header {name}", frame.command));
    frame.headers.get(name).ok_or_else(missing)
}

/// `name`, unless it is longer than the server remembers.
fn short<'a>(what: &str, name: &'a str) -> Result<&'a str, Refused> {
    let too_long = || Refused::policy(format!("the name of {what} has at most {MAX_ID_LEN} bytes"));
    if name.len() <= MAX_ID_LEN { Ok(name) } else { Err(too_long()) }
}

/// Whether a header of SEND goes on to the readers. What STOMP or the server itself defines on either side does
/// not, nor do credentials that a client repeats on every frame. A name with white space does not either: many readers
/// trim names (1.0 has them do so, StompJS always does), and to them `subscription ` is `subscription`.
fn passes_on(name: &str) -> bool {
    const OWN: [&str; 11] = [
        "destination",
        "content-length",
        "receipt",
        "transaction",
        "message-id",
        "subscription",
        "ack",
        "login",
        "passcode",
        "token",
        "authorization",
    ];
    // JavaScript trims a byte order mark too.
    let is_trimmed = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    !name.contains(is_trimmed) && !OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}
