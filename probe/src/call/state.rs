//! A caller's ear for the state of the room: over STOMP, as pages hear it. It keeps the page full, and turns it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use contract::destination::Source;
use contract::id::ParticipantId;
use contract::room_state::{RoomCommand, RoomUpdate};
use futures_util::{SinkExt as _, StreamExt as _};
use room::{Applied, Replica};
use stomp_proto::client::{Client, Config, Event};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Order;
use super::group::{Group, Joined, wants};
use super::page::Page;
use super::seat::Seat;
use super::settings::Call;
use super::slots::{Goal, GoalKind};
use crate::worker::Fleet;

/// A connection that is not up by then has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What one caller heard and said over signaling.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    messages: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
}

impl Heard {
    /// Messages of the room's state, and bytes of everything that came.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Times that something was missing between two messages.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }
}

/// Why somebody hears nothing any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Deaf {
    #[error("signaling: {0}")]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("signaling: {0}")]
    Stomp(#[from] stomp_proto::client::Reason),
    #[error("signaling: {0}")]
    Queue(#[from] stomp_proto::client::SendError),
    #[error("signaling did not answer in time")]
    Timeout,
    #[error("signaling closed the connection")]
    Closed,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A caller as its page.
pub(crate) struct Life {
    pub(crate) group: Arc<Group>,
    pub(crate) call: Call,
    pub(crate) seat: Arc<Seat>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) heard: Arc<Heard>,
    /// The number of the page that everybody turns to.
    pub(crate) turns: watch::Receiver<usize>,
}

impl Life {
    /// Lives until the task is aborted, or signaling is lost.
    pub(crate) async fn live(mut self, joined: Joined) -> Result<(), Deaf> {
        let mut socket = connect(&self.group, &joined.token.token).await?;
        let token = Some(joined.token.token.clone());
        let mut client = Client::new(Config { token, ..Config::default() }, Instant::now());
        let topic = client.subscribe(&self.group.topic())?;
        let mut subscription = topic;
        let me = joined.answer.participant.clone();
        let mut replica = Replica::default();
        replica.apply(&RoomUpdate::Snapshot(joined.answer.room.clone()));
        let shown: Vec<u32> = joined.wants.sources.iter().map(|want| want.source).collect();
        let mut page = Page::new(self.call.tiles, &shown);
        let mut generation = joined.wants.generation;
        let mut is_greeted = false;
        loop {
            let now = Instant::now();
            while let Some(event) = client.poll_event() {
                match event {
                    Event::Message(message) => {
                        self.heard.messages.fetch_add(1, Ordering::Relaxed);
                        let update = serde_json::from_slice::<RoomUpdate>(&message.body);
                        match update.map(|update| replica.apply(&update)) {
                            Ok(Applied::Changed) => {
                                if page.follow(&others(&replica, &me)) {
                                    self.say(&page, &mut generation);
                                }
                            }
                            Ok(Applied::Stale) => {}
                            Ok(Applied::Gap) | Err(_) => {
                                // Whoever subscribes gets a snapshot first.
                                self.heard.gaps.fetch_add(1, Ordering::Relaxed);
                                client.unsubscribe(subscription)?;
                                subscription = client.subscribe(&self.group.topic())?;
                            }
                        }
                    }
                    Event::Closed(reason) => return Err(reason.into()),
                    Event::Connected { .. } | Event::Receipt(_) => {}
                }
            }
            while let Some(bytes) = client.poll_transmit(now) {
                write(&mut socket, &bytes).await?;
            }
            if client.is_connected() && !std::mem::replace(&mut is_greeted, true) {
                for source in [Source::Microphone, Source::Camera] {
                    write(&mut socket, self.switch_on(source).as_bytes()).await?;
                }
            }
            let wake = client.poll_timeout().unwrap_or(now + CONNECT_TIMEOUT);
            tokio::select! {
                Ok(()) = self.turns.changed() => {
                    let number = *self.turns.borrow_and_update();
                    page.turn(number, &after(&replica, &me));
                    let (asked, pictures) = (Instant::now(), page.shown().to_vec());
                    let goal = Goal { asked, pictures, voices: 0, kind: GoalKind::Page };
                    self.fleet.order(self.seat.number, Order::Aim(goal));
                    self.say(&page, &mut generation);
                }
                () = tokio::time::sleep_until(wake.into()) => client.handle_timeout(Instant::now()),
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.take(&mut client, text.as_bytes()),
                    Some(Ok(Message::Binary(bytes))) => self.take(&mut client, &bytes),
                    Some(Ok(Message::Close(_))) | None => return Err(Deaf::Closed),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(Box::new(error).into()),
                },
            }
        }
    }

    fn take(&self, client: &mut Client, bytes: &[u8]) {
        self.heard.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        client.handle_bytes(bytes, Instant::now());
    }

    /// Says on the channel what the page shows.
    fn say(&self, page: &Page, generation: &mut u32) {
        *generation += 1;
        let wants = wants(*generation, page.shown(), self.call.height);
        self.fleet.order(self.seat.number, Order::Say(Box::new(wants)));
    }

    fn switch_on(&self, source: Source) -> String {
        let command = RoomCommand::Switch { source, on: true };
        let body = serde_json::to_string(&command).unwrap_or_default();
        let (to, request) = (self.group.commands(), format!("{}-{source:?}", self.seat.number));
        format!("SEND\ndestination:{to}\ncontent-type:application/json\nrequest-id:{request}\n\n{body}\0")
    }
}

async fn connect(group: &Group, token: &str) -> Result<Socket, Deaf> {
    let mut request = group.signaling.as_str().into_client_request().map_err(Box::new)?;
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(stomp_proto::SUBPROTOCOLS[0]));
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let connecting = tokio_tungstenite::connect_async(request);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| Deaf::Timeout)?;
    Ok(connected.map_err(Box::new)?.0)
}

async fn write(socket: &mut Socket, bytes: &[u8]) -> Result<(), Deaf> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    Ok(socket.send(Message::text(text)).await.map_err(Box::new)?)
}

/// The cameras of all others, in the order in which they came.
fn others(replica: &Replica, me: &ParticipantId) -> Vec<u32> {
    let mut people = replica.snapshot().map(|room| room.people).unwrap_or_default();
    people.sort_by_key(|person| person.order);
    let others = people.iter().filter(|person| person.participant != *me);
    let cameras = others.flat_map(|person| &person.sources).filter(|source| source.source == Source::Camera);
    cameras.map(|source| source.csrc).collect()
}

/// The same, beginning with who came after this one.
fn after(replica: &Replica, me: &ParticipantId) -> Vec<u32> {
    let mut others = others(replica, me);
    let own = replica.person(me).map(|person| person.order).unwrap_or_default();
    let people = replica.snapshot().map(|room| room.people).unwrap_or_default();
    let before = |person: &&contract::room_state::Person| {
        person.order < own && person.sources.iter().any(|source| source.source == Source::Camera)
    };
    let before = people.iter().filter(before).count();
    let places = others.len();
    others.rotate_left(if places == 0 { 0 } else { before % places });
    others
}
