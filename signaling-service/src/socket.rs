//! One WebSocket: bytes between the socket and its STOMP session, and messages from its queue.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_ws::{CloseCode, CloseReason, Item, Message as Ws, MessageStream, ProtocolError};
use bytes::Bytes;
use contract::token::TokenKeys;
use futures_util::Sink;
use stomp_proto::session::{Close, Config, Connect, Event, FRAME_TIMEOUT, Session};
use stomp_proto::{HeartBeat, Limits};

use crate::guard::FrameLimit;
use crate::hub::Hub;
use crate::mailbox::Mailbox;
use crate::member::Member;
use crate::rights::{Identity, Rights};
use crate::utf8::Utf8Check;
use crate::window::Window;

/// A connection that agreed on no STOMP heart-beat is asked for a sign of life (WebSocket ping) this often, and is
/// lost after two without any.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// After the end, this long for the last frames to leave; then the socket is dropped with them.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A reader that takes nothing for this long, although something waits for it, is closed.
const READER_PATIENCE: Duration = Duration::from_secs(10);
/// What a WebSocket frame needs beside its STOMP body: command and headers.
pub(crate) const FRAME_OVERHEAD: usize = 64 * 1024;

/// Longest WebSocket frame before CONNECTED: the head of CONNECT. Who has not said who they are makes the server hold
/// no more than that.
pub(crate) const OPENING_FRAME: usize = 20 * 1024;

/// What all connections of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) keys: TokenKeys,
    pub(crate) rights: Rights,
}

struct Socket {
    shared: Shared,
    /// Where the client is, for limits.
    address: IpAddr,
    limit: Arc<FrameLimit>,
    window: Arc<Window>,
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
    reader: Reader,
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
    address: IpAddr,
    limit: Arc<FrameLimit>,
    window: Arc<Window>,
    mut ws: actix_ws::Session,
    mut stream: MessageStream,
) {
    let hub = shared.hub.clone();
    let mut socket = Socket::new(shared, address, limit, window);
    let end = socket.drive(&mut ws, &mut stream).await;
    let label = match (&end, socket.session.closed()) {
        _ if socket.reader.is_lost => "slow",
        (_, Some(Close::Goodbye)) => "goodbye",
        (_, Some(Close::Policy)) => "policy",
        (_, Some(Close::Protocol | Close::TooLarge)) => "protocol",
        (_, Some(Close::Silent)) => "silent",
        (End::Gone, None) => "gone",
        (End::Close(_), None) => "closed",
    };
    hub.metrics.closed(label);
    // What it read and joined is free at once, however long the last words take.
    drop(socket);
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
    fn new(shared: Shared, address: IpAddr, limit: Arc<FrameLimit>, window: Arc<Window>) -> Self {
        let now = Instant::now();
        let config = Config {
            heart_beat: HeartBeat::DEFAULT,
            limits: Limits::OPENING,
            server: concat!("madang/", env!("CARGO_PKG_VERSION")).into(),
        };
        Self {
            shared,
            address,
            limit,
            window,
            session: Session::new(config, now),
            member: None,
            utf8: Utf8Check::default(),
            in_text: false,
            pong: None,
            ping: false,
            heard: now,
            pinged: now,
            reader: Reader::new(),
            over: None,
        }
    }

    async fn drive(&mut self, ws: &mut actix_ws::Session, stream: &mut MessageStream) -> End {
        loop {
            let now = Instant::now();
            self.handle_timeout(now);
            self.handle_events(now);
            let has_output = self.has_output();
            self.reader.waits(has_output, now);
            if let Some((since, reason)) = &self.over
                && (!has_output || now >= *since + LAST_WORDS)
            {
                return End::Close(reason.clone());
            }
            let open = self.over.is_none();
            let window = self.window.clone();
            let has_room = window.has_room();
            let deadline = self.deadline();
            let draining = &self.shared.hub.draining;
            let mailbox = self.member.as_ref().map(|member| member.mailbox().clone());
            tokio::select! {
                ready = poll_fn(|cx| Pin::new(&mut *ws).poll_ready(cx)), if has_output && has_room => {
                    if ready.is_err() {
                        return End::Gone;
                    }
                    let now = Instant::now();
                    self.reader.took(now);
                    if let Some(message) = self.next_output(now) {
                        window.wrote(length(&message));
                        if Pin::new(&mut *ws).start_send(message).is_err() {
                            return End::Gone;
                        }
                    }
                }
                () = window.sent(), if !has_room => {}
                message = stream.recv(), if open && self.wants_bytes() => match message {
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

    /// Handles the frames that have come in, until one has to be held back.
    fn handle_events(&mut self, now: Instant) {
        loop {
            if let Some(member) = &mut self.member {
                member.release(&mut self.session, now);
                if member.held_until().is_some() {
                    break;
                }
            }
            let Some(event) = self.session.poll_event() else { break };
            if let Err(reason) = self.handle_event(event, now) {
                self.session.fail(Close::Policy, reason);
            }
        }
        if let Some(closed) = self.session.closed() {
            self.finish(closed.code().into(), "");
        }
    }

    /// An error ends the connection with its text.
    fn handle_event(&mut self, event: Event, now: Instant) -> Result<(), String> {
        let member = self.member.as_mut();
        match (event, member) {
            (Event::Connect(connect), _) => return self.connect(&connect, now),
            (Event::Subscribe { key, destination }, Some(member)) => member.subscribe(key, destination, now),
            (Event::Unsubscribe { key, .. }, Some(member)) => {
                member.unsubscribe(key);
                Ok(())
            }
            (Event::Send(messages), Some(member)) => member.send(&mut self.session, messages, now),
            // The session lets nothing through before CONNECT is accepted.
            (_, None) => Ok(()),
        }
        .map_err(|refusal| refusal.to_string())
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
        let membership = self.shared.hub.enter(&who, self.address).map_err(|error| error.to_string())?;
        let limits = if who.is_service() { Limits::SERVICE } else { Limits::CLIENT };
        self.limit.set(limits.body + FRAME_OVERHEAD);
        self.session.accept(&name, limits, now);
        self.member = Some(Member::new(membership, who, self.shared.rights));
        Ok(())
    }

    /// The token in CONNECT. In the development mode a passcode that does not look like a token is what generic
    /// clients send by habit (`guest`), and means a guest.
    fn token<'a>(&self, connect: &'a Connect) -> Option<&'a str> {
        let passcode = connect.passcode.as_deref().filter(|passcode| {
            let habit = self.shared.rights.dev && !passcode.contains('.');
            !passcode.is_empty() && !habit
        });
        connect.token.as_deref().filter(|token| !token.is_empty()).or(passcode)
    }

    /// Whether the socket should be read.
    fn wants_bytes(&self) -> bool {
        self.held_until().is_none() && self.session.wants_bytes()
    }

    fn held_until(&self) -> Option<Instant> {
        self.member.as_ref().and_then(Member::held_until)
    }

    fn has_output(&self) -> bool {
        let messages =
            self.over.is_none() && self.member.as_ref().is_some_and(|member| !member.mailbox().is_empty());
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
        member.next_frame(&mut self.session, now).map(message)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.held_until().is_some() {
            // It is not read, so it cannot be heard.
            self.session.excuse_silence(now);
            self.limit.excuse(now);
            self.heard = now;
        }
        self.session.handle_timeout(now);
        if self.over.is_none() && self.reader.is_lost(now) {
            self.session.fail(Close::Policy, "too slow: you took nothing for 10 s");
        }
        let begun = self.limit.begun();
        if self.over.is_none() && begun.is_some_and(|begun| now >= begun + FRAME_TIMEOUT) {
            self.session.fail(Close::Policy, "a WebSocket frame that is not whole after 30 s");
        }
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
        let live = over.is_none().then(|| [Some(self.ping_at()), self.held_until(), self.reader.deadline()]);
        let live = live.into_iter().flatten().flatten();
        let all = live.map(Some).chain([over, self.session.poll_timeout()]);
        all.flatten().min().unwrap_or_else(|| Instant::now() + PING_INTERVAL)
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

/// Bytes of a message of ours.
fn length(message: &Ws) -> usize {
    match message {
        Ws::Text(text) => text.len(),
        Ws::Binary(bytes) | Ws::Ping(bytes) | Ws::Pong(bytes) => bytes.len(),
        Ws::Continuation(_) | Ws::Close(_) | Ws::Nop => 0,
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

/// Whether the peer takes what is sent to it.
#[derive(Debug)]
struct Reader {
    /// Since when something has waited and nothing was taken.
    waiting_since: Option<Instant>,
    is_lost: bool,
}

impl Reader {
    fn new() -> Self {
        Self { waiting_since: None, is_lost: false }
    }

    /// Whether something waits for the peer now.
    fn waits(&mut self, something: bool, now: Instant) {
        if something {
            self.waiting_since.get_or_insert(now);
        } else {
            self.waiting_since = None;
        }
    }

    /// The peer has room for one more message.
    fn took(&mut self, now: Instant) {
        self.waiting_since = Some(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + READER_PATIENCE)
    }

    fn is_lost(&mut self, now: Instant) -> bool {
        self.is_lost |= self.deadline().is_some_and(|deadline| now >= deadline);
        self.is_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_lost_when_it_takes_nothing_and_not_when_it_is_slow() {
        let second = Duration::from_secs(1);
        let now = Instant::now();
        let mut reader = Reader::new();
        assert!(!reader.is_lost(now + 60 * second), "nothing waits for it");
        for n in 0..10 {
            reader.waits(true, now + n * 9 * second);
            assert!(!reader.is_lost(now + n * 9 * second));
            reader.took(now + n * 9 * second);
        }
        reader.waits(true, now + 85 * second);
        assert_eq!(reader.deadline(), Some(now + 91 * second));
        assert!(!reader.is_lost(now + 90 * second));
        assert!(reader.is_lost(now + 91 * second));
    }
}
