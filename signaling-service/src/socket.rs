//! One WebSocket: bytes between the socket and its STOMP session, and messages from its queue.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_ws::{CloseCode, CloseReason, Item, Message as Ws, MessageStream, ProtocolError};
use bytes::Bytes;
use contract::destination::ChatEvent;
use contract::token::TokenKeys;
use futures_util::Sink;
use stomp_proto::outbox::Next;
use stomp_proto::session::{Close, Config, Connect, Event, Outgoing, Session, SubscriptionKey};
use stomp_proto::{HeartBeat, Limits};

use crate::access::{Access, Identity};
use crate::chat::Pace;
use crate::guard::FrameLimit;
use crate::hub::{Hub, Mailbox, Message};
use crate::utf8::Utf8Check;
use crate::viewers::ConnId;
use crate::work;

/// A connection that agreed on no STOMP heart-beat is asked for a sign of life (WebSocket ping) this often, and is
/// lost after two without any.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// After the end, this long for the last frames to leave; then the socket is dropped with them.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What a WebSocket frame needs beside its STOMP body: command and headers.
pub(crate) const FRAME_OVERHEAD: usize = 64 * 1024;

/// What all connections of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) keys: TokenKeys,
    pub(crate) access: Access,
}

/// A connection that has said who it is.
struct Member {
    id: ConnId,
    who: Identity,
    mailbox: Arc<Mailbox>,
    pace: Pace,
    destinations: HashMap<SubscriptionKey, String>,
}

struct Socket {
    shared: Shared,
    limit: Arc<FrameLimit>,
    session: Session,
    member: Option<Member>,
    utf8: Utf8Check,
    /// A text message is coming in fragments.
    in_text: bool,
    /// The payload of the latest ping that is not answered: RFC 6455 lets older ones go.
    pong: Option<Bytes>,
    ping: bool,
    heard: Instant,
    pinged: Instant,
    over: Option<(Instant, CloseReason)>,
}

/// Why a connection ends; its metric label and close frame.
enum End {
    /// Nothing to say: the peer has gone or closed.
    Gone,
    /// With this close frame.
    Close(CloseReason),
}

/// Runs a connection to its end.
pub(crate) async fn run(
    shared: Shared,
    limit: Arc<FrameLimit>,
    mut ws: actix_ws::Session,
    mut stream: MessageStream,
) {
    let hub = shared.hub.clone();
    let mut socket = Socket::new(shared, limit);
    let end = socket.drive(&mut ws, &mut stream).await;
    if let Some(member) = &socket.member {
        hub.leave(member.id);
    }
    let label = match (&end, socket.session.closed()) {
        (_, Some(Close::Goodbye)) => "goodbye",
        (_, Some(Close::Policy)) => "policy",
        (_, Some(Close::Protocol | Close::TooLarge)) => "protocol",
        (_, Some(Close::Silent)) => "silent",
        (End::Gone, None) => "gone",
        (End::Close(_), None) => "closed",
    };
    hub.metrics.closed(label);
    if let End::Close(reason) = end {
        let closing = async {
            if ws.close(Some(reason)).await.is_ok() {
                // The peer answers with its own close; leaving before would reset the connection under our last
                // words.
                while let Some(Ok(message)) = stream.recv().await {
                    if matches!(message, Ws::Close(_)) {
                        break;
                    }
                }
            }
        };
        // A peer that takes nothing within this time gets nothing more.
        let _ = tokio::time::timeout(LAST_WORDS, closing).await;
    }
}

impl Socket {
    fn new(shared: Shared, limit: Arc<FrameLimit>) -> Self {
        let now = Instant::now();
        let config = Config {
            heart_beat: HeartBeat::DEFAULT,
            limits: Limits::CLIENT,
            server: concat!("madang/", env!("CARGO_PKG_VERSION")).into(),
        };
        Self {
            shared,
            limit,
            session: Session::new(config, now),
            member: None,
            utf8: Utf8Check::default(),
            in_text: false,
            pong: None,
            ping: false,
            heard: now,
            pinged: now,
            over: None,
        }
    }

    async fn drive(&mut self, ws: &mut actix_ws::Session, stream: &mut MessageStream) -> End {
        loop {
            let now = Instant::now();
            self.handle_timeout(now);
            self.handle_events(now);
            let has_output = self.has_output();
            if let Some((since, reason)) = &self.over
                && (!has_output || now >= *since + LAST_WORDS)
            {
                return End::Close(reason.clone());
            }
            let open = self.over.is_none();
            let deadline = self.deadline();
            let draining = &self.shared.hub.draining;
            let mailbox = self.member.as_ref().map(|member| member.mailbox.clone());
            tokio::select! {
                ready = poll_fn(|cx| Pin::new(&mut *ws).poll_ready(cx)), if has_output => {
                    if ready.is_err() {
                        return End::Gone;
                    }
                    if let Some(message) = self.next_output(Instant::now())
                        && Pin::new(&mut *ws).start_send(message).is_err()
                    {
                        return End::Gone;
                    }
                }
                message = stream.recv(), if open && self.session.wants_bytes() => match message {
                    None => return End::Gone,
                    Some(Ok(message)) => {
                        if let Some(end) = self.handle_message(message) {
                            return end;
                        }
                    }
                    Some(Err(error)) => return self.protocol_error(&error),
                },
                () = ring(mailbox.as_deref()), if open => {}
                () = draining.cancelled(), if open => {
                    self.finish(CloseCode::Restart, "the service restarts: connect again");
                }
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
        }
    }

    fn handle_message(&mut self, message: Ws) -> Option<End> {
        let now = Instant::now();
        self.heard = now;
        match message {
            Ws::Text(text) => self.session.handle_bytes(text.as_bytes(), now),
            Ws::Binary(bytes) => self.session.handle_bytes(&bytes, now),
            Ws::Continuation(item) => {
                let (bytes, last) = match item {
                    Item::FirstText(bytes) => {
                        (self.in_text, self.utf8) = (true, Utf8Check::default());
                        (bytes, false)
                    }
                    Item::FirstBinary(bytes) => {
                        self.in_text = false;
                        (bytes, false)
                    }
                    Item::Continue(bytes) => (bytes, false),
                    Item::Last(bytes) => (bytes, true),
                };
                if self.in_text && !self.utf8.fragment(&bytes, last) {
                    return Some(close(CloseCode::Invalid, "a text message that is not UTF-8"));
                }
                self.session.handle_bytes(&bytes, now);
            }
            Ws::Ping(payload) => self.pong = Some(payload),
            Ws::Pong(_) | Ws::Nop => {}
            Ws::Close(reason) => {
                let code = reason.map_or(CloseCode::Normal, |reason| reason.code);
                return Some(close(code, ""));
            }
        }
        None
    }

    fn protocol_error(&self, error: &ProtocolError) -> End {
        if self.limit.is_exceeded() {
            return close(CloseCode::Size, "a WebSocket frame over the limit");
        }
        match error {
            ProtocolError::Overflow => close(CloseCode::Size, "a WebSocket frame over the limit"),
            ProtocolError::Io(error) => {
                let inner = error.get_ref();
                if inner.is_some_and(|inner| inner.is::<std::str::Utf8Error>()) {
                    close(CloseCode::Invalid, "text that is not UTF-8")
                } else if error.kind() == std::io::ErrorKind::InvalidData {
                    close(CloseCode::Protocol, "not a WebSocket frame of a client")
                } else {
                    End::Gone
                }
            }
            _ => close(CloseCode::Protocol, "not a WebSocket frame of a client"),
        }
    }

    /// Handles all frames that have come in.
    fn handle_events(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            let outcome = match event {
                Event::Connect(connect) => self.connect(&connect, now),
                Event::Subscribe { key, destination } => self.subscribe(key, destination),
                Event::Unsubscribe { key, .. } => {
                    if let Some(member) = &mut self.member {
                        member.destinations.remove(&key);
                        self.shared.hub.unsubscribe(member.id, key);
                    }
                    Ok(())
                }
                Event::Send(messages) => self.send(messages, now),
            };
            if let Err(message) = outcome {
                self.session.fail(Close::Policy, message);
            }
        }
        if self.member.as_ref().is_some_and(|member| member.mailbox.is_too_slow()) {
            self.session.fail(Close::Policy, "too slow: more messages wait than the limit");
        }
        if let Some(closed) = self.session.closed() {
            self.finish(closed.code().into(), "");
        }
    }

    fn connect(&mut self, connect: &Connect, now: Instant) -> Result<(), String> {
        let claims = match self.token(connect) {
            Some(token) => Some(
                self.shared.keys.verify(token, service_kit::unix_now()).map_err(|error| error.to_string())?,
            ),
            None => None,
        };
        let name = contract::id::ParticipantId::random(&mut rand::rng()).to_string();
        let who = Identity::new(claims, name.clone());
        let limits = if who.is_service() { Limits::SERVICE } else { Limits::CLIENT };
        self.limit.set(limits.body + FRAME_OVERHEAD);
        let (id, mailbox) = self.shared.hub.enter(&who);
        self.session.accept(&name, limits, now);
        let destinations = HashMap::new();
        self.member = Some(Member { id, who, mailbox, pace: Pace::new(now), destinations });
        Ok(())
    }

    /// The token in CONNECT. In the development mode a passcode that does not look like a token is what generic
    /// clients send by habit (`guest`), and means a guest.
    fn token<'a>(&self, connect: &'a Connect) -> Option<&'a str> {
        let passcode = connect.passcode.as_deref().filter(|passcode| {
            let habit = self.shared.access.dev && !passcode.contains('.');
            !passcode.is_empty() && !habit
        });
        connect.token.as_deref().filter(|token| !token.is_empty()).or(passcode)
    }

    fn subscribe(&mut self, key: SubscriptionKey, destination: String) -> Result<(), String> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let address = work::readable(self.shared.access, &member.who, &destination)
            .map_err(|refused| refused.to_string())?;
        member.destinations.insert(key, destination);
        self.shared.hub.subscribe(member.id, key, &address);
        Ok(())
    }

    fn send(&mut self, messages: Vec<Outgoing>, now: Instant) -> Result<(), String> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let Shared { hub, access, .. } = &self.shared;
        let checked = messages.into_iter().map(|message| work::check(*access, &member.who, message));
        let works: Vec<_> = checked.collect::<Result<_, _>>().map_err(|refused| refused.to_string())?;
        work::within_limits(hub, member.id, &mut member.pace, &works, now)
            .map_err(|refused| refused.to_string())?;
        works.into_iter().for_each(|work| work::perform(hub, member.id, &member.who, work, now));
        Ok(())
    }

    fn has_output(&self) -> bool {
        let messages =
            self.over.is_none() && self.member.as_ref().is_some_and(|member| !member.mailbox.is_empty());
        messages || self.session.has_transmit() || self.pong.is_some() || self.ping
    }

    /// The next WebSocket message: answers of the session first, then what subscriptions brought.
    fn next_output(&mut self, now: Instant) -> Option<Ws> {
        if let Some(payload) = self.pong.take() {
            return Some(Ws::Pong(payload));
        }
        if let Some(bytes) = self.session.poll_transmit(now) {
            return Some(message(bytes));
        }
        if std::mem::take(&mut self.ping) {
            return Some(Ws::Ping(Bytes::new()));
        }
        let member = self.member.as_ref().filter(|_| self.over.is_none())?;
        // Those of ended subscriptions are skipped.
        while let Some(next) = member.mailbox.pop() {
            let bytes = match next {
                Next::Message { subscription, message } => {
                    let Message { destination, headers, body } = &*message;
                    self.session.message(subscription, destination, headers, body, now)
                }
                Next::Gap { subscription, dropped } => {
                    let Some(destination) = member.destinations.get(&subscription) else { continue };
                    let gap = Message::json(destination.clone(), &ChatEvent::Gap { dropped });
                    self.session.message(subscription, destination, &gap.headers, &gap.body, now)
                }
            };
            if let Some(bytes) = bytes {
                return Some(message(bytes));
            }
        }
        None
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        if self.over.is_none() && now >= self.ping_at() {
            if now.saturating_duration_since(self.heard) >= 2 * PING_INTERVAL {
                self.session.fail(Close::Silent, "no sign of life");
            }
            self.ping = true;
            self.pinged = now;
        }
    }

    fn ping_at(&self) -> Instant {
        self.heard.max(self.pinged) + PING_INTERVAL
    }

    fn deadline(&self) -> Instant {
        let over = self.over.as_ref().map(|(since, _)| *since + LAST_WORDS);
        let live = if over.is_none() { Some(self.ping_at()) } else { None };
        let all = [over, live, self.session.poll_timeout()];
        all.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + PING_INTERVAL)
    }

    fn finish(&mut self, code: CloseCode, description: &str) {
        if self.over.is_none() {
            let description = Some(description.to_owned()).filter(|text| !text.is_empty());
            self.over = Some((Instant::now(), CloseReason { code, description }));
        }
    }
}

/// Text where it can be: some clients decode nothing else.
fn message(bytes: Bytes) -> Ws {
    match bytestring::ByteString::try_from(bytes.clone()) {
        Ok(text) => Ws::Text(text),
        Err(_) => Ws::Binary(bytes),
    }
}

fn close(code: CloseCode, description: &str) -> End {
    let description = Some(description.to_owned()).filter(|text| !text.is_empty());
    End::Close(CloseReason { code, description })
}

async fn ring(mailbox: Option<&Mailbox>) {
    match mailbox {
        Some(mailbox) => mailbox.ring().await,
        None => std::future::pending().await,
    }
}

/// Counts a connection for as long as it lives.
pub(crate) struct Seat(Arc<Hub>);

impl Seat {
    /// A seat, if one of `most` is free.
    pub(crate) fn take(hub: &Arc<Hub>, most: usize) -> Option<Self> {
        let before = hub.open.fetch_add(1, Ordering::AcqRel);
        let seat = Self(hub.clone());
        hub.metrics.connections.inc();
        // Dropping it on the way out gives it back.
        (before < most as u64).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.metrics.connections.dec();
    }
}
