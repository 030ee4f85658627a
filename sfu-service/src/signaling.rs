//! This node as a STOMP client of signaling: viewers and tracks, the whole part each time, at once on a change
//! (at most five times a second) and every second; the state of the calls whose home this is, a snapshot first and every
//! five seconds, and what changes at once; and the commands that come for them. Signaling may go away at any time: media
//! plays on, and the next connection begins with a snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::destination::{Address, Destination, NodeTracks, NodeViewers, Prefix};
use contract::id::NodeId;
use contract::room_state::{NodeRoom, SNAPSHOT_SECS};
use contract::token::TokenKeys;
use futures_util::{SinkExt as _, StreamExt as _};
use service_kit::shutdown::CancellationToken;
use stomp_proto::client::{Client, Config, Event, Message};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{self, Message as WebSocketMessage};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::homes::Said;
use crate::metrics::Metrics;

/// Wait before the next try to connect (L8): it doubles from the first one on. A signaling process that started anew knows
/// nothing of calls until their homes have told it.
const RECONNECT_AFTER: Duration = Duration::from_secs(5);
const FIRST_RECONNECT_AFTER: Duration = Duration::from_millis(500);
/// A connection that is not up by then has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Snapshots at least this far apart: five a second.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// Snapshots at most this far apart: signaling drops a part that is 4 s old.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
/// The states of calls are repeated so far apart.
const ROOMS_INTERVAL: Duration = Duration::from_secs(SNAPSHOT_SECS);
/// A socket that takes nothing for this long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where snapshots come from.
pub(crate) trait Snapshots: Send + Sync + 'static {
    /// This node's part of the viewer counts.
    fn viewers(&self) -> NodeViewers;
    /// What this node's publishers send.
    fn tracks(&self) -> NodeTracks;
    /// With what a connection begins: the state of each call whose home this is.
    fn begin(&self) -> Vec<NodeRoom>;
    /// The same, to be repeated.
    fn rooms(&self) -> Vec<NodeRoom>;
    /// What is to be told of calls now.
    fn poll_said(&self, now: Instant) -> Option<Said>;
    /// When that may have something.
    fn said_timeout(&self, now: Instant) -> Option<Instant>;
    /// A message in this node's queue.
    fn hear(&self, message: &Message, now: Instant);
}

/// What is told at once when it has changed.
#[derive(Debug)]
pub(crate) struct Changed {
    /// Viewers or tracks.
    pub(crate) parts: Arc<Notify>,
    /// Calls.
    pub(crate) calls: Arc<Notify>,
}

/// What a connection needs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) node: NodeId,
    pub(crate) keys: TokenKeys,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("{0}")]
    Stomp(#[from] stomp_proto::client::Reason),
    #[error("{0}")]
    Queue(#[from] stomp_proto::client::SendError),
    #[error("timed out")]
    Timeout,
    #[error("closed by signaling")]
    Closed,
}

const JSON: &str = "application/json";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, reports and reconnects until `stop`.
pub(crate) async fn run(
    settings: Settings,
    source: Arc<impl Snapshots>,
    changed: Changed,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut announced = false;
    let mut pause = FIRST_RECONNECT_AFTER;
    loop {
        let connection = connect(&settings);
        let lost = tokio::select! {
            () = stop.cancelled() => return,
            connected = connection => match connected {
                Ok(mut socket) => {
                    let ended = serve(&settings, &mut socket, &*source, &changed, &metrics, &stop).await;
                    metrics.signaling_connected.set(0);
                    announced = false;
                    pause = FIRST_RECONNECT_AFTER;
                    ended
                }
                Err(lost) => Err(lost),
            },
        };
        match lost {
            // Only `stop` ends a connection without an error.
            Ok(()) => return,
            Err(lost) => {
                metrics.signaling_failures.inc();
                // Once an outage, not once a try.
                if !std::mem::replace(&mut announced, true) {
                    tracing::warn!(reason = %lost, "signaling is away: media plays on, trying again, every 5 s at most");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(RECONNECT_AFTER),
        }
    }
}

async fn connect(settings: &Settings) -> Result<Socket, Lost> {
    let mut request = settings.url.as_str().into_client_request().map_err(Box::new)?;
    let token = settings.keys.mint_service(settings.node.as_str(), service_kit::unix_now());
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(stomp_proto::SUBPROTOCOLS[0]));
    // A JWT has no character that a header refuses.
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let connecting = tokio_tungstenite::connect_async(request);
    let (socket, _) = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| Lost::Timeout)?
        .map_err(Box::new)?;
    Ok(socket)
}

async fn serve(
    settings: &Settings,
    socket: &mut Socket,
    source: &impl Snapshots,
    changed: &Changed,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let token = Some(settings.keys.mint_service(settings.node.as_str(), service_kit::unix_now()));
    let mut client = Client::new(Config { token, ..Config::default() }, Instant::now());
    let destination = |path| Address { prefix: Prefix::App, path }.to_string();
    let viewers_at = destination(Destination::NodeViewers(settings.node.clone()));
    let tracks_at = destination(Destination::NodeTracks(settings.node.clone()));
    let rooms_at = destination(Destination::NodeRooms(settings.node.clone()));
    let replies_at = destination(Destination::NodeReplies(settings.node.clone()));
    let queue = Address { prefix: Prefix::Queue, path: Destination::SfuQueue(settings.node.clone()) };
    client.subscribe(&queue.to_string())?;
    let mut rooms_sent: Option<Instant> = None;
    let mut last: Option<Instant> = None;
    let mut dirty = false;
    loop {
        let now = Instant::now();
        while let Some(event) = client.poll_event() {
            match event {
                Event::Connected { .. } => {
                    tracing::info!("connected to signaling");
                    metrics.signaling_connected.set(1);
                }
                Event::Closed(reason) => return Err(reason.into()),
                Event::Message(message) => source.hear(&message, now),
                Event::Receipt(_) => {}
            }
        }
        let age = last.map(|at| now.saturating_duration_since(at));
        let due = age.is_none_or(|age| age >= MAX_INTERVAL || (dirty && age >= MIN_INTERVAL));
        if client.is_connected() && due {
            client.send(&viewers_at, JSON, json(&source.viewers()))?;
            client.send(&tracks_at, JSON, json(&source.tracks()))?;
            last = Some(now);
            dirty = false;
        }
        if client.is_connected() {
            let rooms = match rooms_sent.map(|at| now.saturating_duration_since(at)) {
                None => source.begin(),
                Some(age) if age >= ROOMS_INTERVAL => source.rooms(),
                Some(_) => Vec::new(),
            };
            if rooms_sent.is_none_or(|at| now.saturating_duration_since(at) >= ROOMS_INTERVAL) {
                rooms_sent = Some(now);
            }
            for room in &rooms {
                client.send(&rooms_at, JSON, json(room))?;
            }
            while let Some(said) = source.poll_said(now) {
                match said {
                    Said::Room(room) => client.send(&rooms_at, JSON, json(&room))?,
                    Said::Reply(reply) => client.send(&replies_at, JSON, json(&reply))?,
                };
            }
        }
        while let Some(bytes) = client.poll_transmit(now) {
            write(socket, bytes).await?;
        }
        let snapshot_at = last.map(|at| at + if dirty { MIN_INTERVAL } else { MAX_INTERVAL });
        let rooms_at_latest = rooms_sent.map(|at| at + ROOMS_INTERVAL);
        let ours = [snapshot_at, rooms_at_latest, source.said_timeout(now)];
        let ours = ours.into_iter().filter(|_| client.is_connected());
        let wake = ours.chain([client.poll_timeout()]).flatten().min().unwrap_or(now + MAX_INTERVAL);
        tokio::select! {
            () = stop.cancelled() => {
                // Signaling notices an end without goodbye as well: this one only spares it the wait.
                let _ = socket.close(None).await;
                return Ok(());
            }
            () = changed.parts.notified() => dirty = true,
            () = changed.calls.notified() => {}
            () = tokio::time::sleep_until(wake.into()) => client.handle_timeout(Instant::now()),
            message = socket.next() => match message {
                Some(Ok(WebSocketMessage::Text(text))) => client.handle_bytes(text.as_bytes(), Instant::now()),
                Some(Ok(WebSocketMessage::Binary(bytes))) => client.handle_bytes(&bytes, Instant::now()),
                Some(Ok(WebSocketMessage::Close(_))) | None => return Err(Lost::Closed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Box::new(error).into()),
            },
        }
    }
}

async fn write(socket: &mut Socket, bytes: Bytes) -> Result<(), Lost> {
    // Bodies are JSON and headers come from ids, so it is text; a broker for browsers expects text.
    let message = match tungstenite::Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => WebSocketMessage::Text(text),
        Err(_) => WebSocketMessage::Binary(bytes),
    };
    let sending = tokio::time::timeout(WRITE_TIMEOUT, socket.send(message));
    Ok(sending.await.map_err(|_| Lost::Timeout)?.map_err(Box::new)?)
}

fn json(body: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(body).expect("bodies of strings and numbers serialise").into()
}
