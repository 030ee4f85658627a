//! The service on a real loopback port, and a small STOMP client of the tests.
#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::room::Room;
use contract::token::{Grant, Role, TokenKeys};
use futures_util::{SinkExt as _, StreamExt as _};
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Server};
use signaling_service::bus::{Bus, InMemoryBus};
use signaling_service::{Config, Signaling};
use stomp_proto::{Command, Decoder, Frame, Item, Limits, Version};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A wait that only ends a test that has failed already.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn keys() -> TokenKeys {
    TokenKeys::new(SECRET, None).unwrap()
}

pub fn token(sub: &str, role: Role) -> String {
    keys().mint(sub, role, service_kit::unix_now(), 3600)
}

pub fn join_token(sub: &str, room: &str, grants: &[Grant], name: Option<&str>) -> String {
    let room: Room = room.parse().unwrap();
    token(sub, Role::Join { room, grants: grants.to_vec(), name: name.map(str::to_owned) })
}

pub fn config(dev: bool) -> Config {
    Config {
        dev,
        allowed_origins: vec!["https://live.example.org".into()],
        token_secret: Secret::new(SECRET.into()),
        database_url: Secret::new("sqlite::memory:".into()),
        ..Config::default()
    }
}

/// A running service.
pub struct Service {
    pub address: std::net::SocketAddr,
    pub admin: std::net::SocketAddr,
    pub signaling: Arc<Signaling>,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Service {
    pub async fn start(config: Config) -> Self {
        Self::on_bus(config, Arc::new(InMemoryBus::default())).await
    }

    pub async fn on_bus(config: Config, bus: Arc<dyn Bus>) -> Self {
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(Listen { http: any, https: None, admin: any }).unwrap();
        let (address, admin) = (server.http_addr(), server.admin_addr());
        let mut registry = Registry::default();
        let signaling = Arc::new(Signaling::start(config, bus, &mut registry).await.unwrap());
        let stop = CancellationToken::new();
        let serving = server.serve(
            vec![signaling.routes()],
            Cors::Any,
            Readiness::default(),
            registry,
            stop.clone(),
            Duration::from_secs(1),
        );
        Self { address, admin, signaling, stop, serving: tokio::spawn(serving) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn count(&self, room: &str) -> i64 {
        let url = self.url(&format!("/room/{room}/count"));
        let body: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        body["userCount"].as_i64().unwrap()
    }

    /// Waits until the count of `room` is `want`.
    pub async fn wait_count(&self, room: &str, want: i64) {
        let until = Instant::now() + PATIENCE;
        loop {
            let count = self.count(room).await;
            if count == want {
                return;
            }
            assert!(Instant::now() < until, "the count of {room} is {count}, not {want}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn metrics(&self) -> String {
        reqwest::get(format!("http://{}/metrics", self.admin)).await.unwrap().text().await.unwrap()
    }

    pub async fn stop(self) {
        self.signaling.drain(Instant::now() + Duration::from_secs(5)).await;
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

/// What a socket brought.
#[derive(Debug, PartialEq)]
pub enum Got {
    Frame(Frame),
    Closed(u16),
}

/// A connection.
pub struct Peer {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub protocol: Option<String>,
    decoder: Decoder,
    ready: VecDeque<Frame>,
}

impl Peer {
    /// A WebSocket with these headers; the HTTP status if it is refused.
    pub async fn upgrade(service: &Service, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        Self::upgrade_from(1, service, headers).await
    }

    /// The same from the address 127.0.0.`last`.
    pub async fn upgrade_from(
        last: u8,
        service: &Service,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        Self::upgrade_to(service.address, last, headers).await
    }

    async fn upgrade_to(
        address: std::net::SocketAddr,
        last: u8,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(std::net::SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        let mut request = format!("ws://{address}/streaming").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.map(|value| value.to_str().unwrap().to_owned());
                Ok(Self { socket, protocol, decoder: Decoder::new(Limits::SERVICE), ready: VecDeque::new() })
            }
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A socket that has sent nothing.
    pub async fn open(service: &Service) -> Self {
        Self::upgrade(service, &[("sec-websocket-protocol", "v12.stomp")]).await.unwrap()
    }

    /// A guest's session.
    pub async fn guest(service: &Service) -> Self {
        Self::connect(service, "").await
    }

    pub async fn with_token(service: &Service, token: &str) -> Self {
        Self::connect(service, &format!("Authorization:Bearer {token}\n")).await
    }

    /// A session of a client at 127.0.0.`last`.
    pub async fn with_token_from(last: u8, service: &Service, token: &str) -> Self {
        let peer = Self::upgrade_from(last, service, &[]).await.unwrap();
        peer.begin(&format!("Authorization:Bearer {token}\n")).await
    }

    /// A session at a process of its own.
    pub async fn at(address: std::net::SocketAddr, token: &str) -> Self {
        let peer = Self::upgrade_to(address, 1, &[]).await.unwrap();
        peer.begin(&format!("Authorization:Bearer {token}\n")).await
    }

    /// Asks something, and waits for the answer; what else comes meanwhile is kept.
    pub async fn ask(&mut self, destination: &str, body: &serde_json::Value) -> serde_json::Value {
        self.request("ask", destination, &body.to_string()).await;
        let mut before = VecDeque::new();
        loop {
            let frame = self.frame().await;
            if frame.headers.get("destination") == Some("/user/queue/replies") {
                before.append(&mut self.ready);
                self.ready = before;
                return serde_json::from_slice(&frame.body).unwrap();
            }
            before.push_back(frame);
        }
    }

    async fn connect(service: &Service, headers: &str) -> Self {
        Self::open(service).await.begin(headers).await
    }

    async fn begin(mut self, headers: &str) -> Self {
        let peer = &mut self;
        peer.send(&format!("CONNECT\naccept-version:1.2\n{headers}\n\0")).await;
        assert_eq!(peer.frame().await.command, Command::Connected);
        self
    }

    /// Sends `text` as one WebSocket message.
    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_to(&mut self, destination: &str, body: &str) {
        self.send(&format!("SEND\ndestination:{destination}\n\n{body}\0")).await;
    }

    /// Subscribes and waits until it has taken effect; the messages that came before the receipt are kept.
    pub async fn subscribe(&mut self, id: &str, destination: &str) {
        self.send(&format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:{id}\n\n\0")).await;
        self.receipt(id).await;
    }

    /// Reads the chat of `room`, under the subscription `c`: what it begins with.
    pub async fn chat(&mut self, room: &str) -> serde_json::Value {
        self.send(&format!("SUBSCRIBE\nid:c\ndestination:/topic/-/chat/{room}\n\n\0")).await;
        let mut before = VecDeque::new();
        loop {
            match self.got().await {
                Got::Frame(frame) if is_open(&frame) => {
                    before.append(&mut self.ready);
                    self.ready = before;
                    return serde_json::from_slice(&frame.body).unwrap();
                }
                Got::Frame(frame) => before.push_back(frame),
                Got::Closed(code) => panic!("closed with {code}"),
            }
        }
    }

    pub async fn receipt(&mut self, id: &str) {
        let mut before = VecDeque::new();
        loop {
            let frame = self.frame().await;
            if frame.command == Command::Receipt && frame.headers.get("receipt-id") == Some(id) {
                before.append(&mut self.ready);
                self.ready = before;
                return;
            }
            assert_eq!(frame.command, Command::Message, "{frame:?}");
            before.push_back(frame);
        }
    }

    /// Everything sent before has been handled.
    pub async fn sync(&mut self) {
        self.send("BEGIN\ntransaction:sync\nreceipt:sync\n\n\0ABORT\ntransaction:sync\n\n\0").await;
        self.receipt("sync").await;
    }

    pub async fn got(&mut self) -> Got {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Got::Frame(frame);
            }
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("nothing came") {
                Some(Ok(Message::Text(text))) => self.take(text.as_bytes()),
                Some(Ok(Message::Binary(bytes))) => self.take(&bytes),
                Some(Ok(Message::Close(close))) => {
                    return Got::Closed(close.map_or(1005, |close| close.code.into()));
                }
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return Got::Closed(1006),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.decoder.set_version(Version::V1_2);
        self.decoder.feed(bytes);
        while let Some(item) = self.decoder.next_item().unwrap() {
            if let Item::Frame(frame) = item {
                self.ready.push_back(frame);
            }
        }
    }

    /// The next frame, but for the beginnings of chats: those are for [`Peer::chat`].
    pub async fn frame(&mut self) -> Frame {
        loop {
            match self.got().await {
                Got::Frame(frame) if is_open(&frame) => {}
                Got::Frame(frame) => return frame,
                Got::Closed(code) => panic!("closed with {code}"),
            }
        }
    }

    /// The next MESSAGE.
    pub async fn message(&mut self) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Message, "{frame:?}");
        frame
    }

    /// The JSON body of the next MESSAGE.
    pub async fn json(&mut self) -> serde_json::Value {
        serde_json::from_slice(&self.message().await.body).unwrap()
    }

    /// Reads messages until one fits.
    pub async fn json_where(&mut self, fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        loop {
            let body = self.json().await;
            if fits(&body) {
                return body;
            }
        }
    }

    /// The next frame is an ERROR, then the socket closes; gives back the message and the close code.
    pub async fn error(&mut self) -> (String, u16) {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Error, "{frame:?}");
        let message = frame.headers.get("message").unwrap().to_owned();
        match self.got().await {
            Got::Closed(code) => (message, code),
            Got::Frame(frame) => panic!("after ERROR came {frame:?}"),
        }
    }

    /// Reads the connection's own replies from now on.
    pub async fn replies(&mut self) {
        self.subscribe("replies", "/user/queue/replies").await;
    }

    /// The next message is a reply: its body.
    pub async fn reply(&mut self) -> serde_json::Value {
        let message = self.message().await;
        assert_eq!(message.headers.get("destination"), Some("/user/queue/replies"), "{message:?}");
        serde_json::from_slice(&message.body).unwrap()
    }

    /// Sends with a request id.
    pub async fn request(&mut self, id: &str, destination: &str, body: &str) {
        self.send(&format!("SEND\ndestination:{destination}\nrequest-id:{id}\n\n{body}\0")).await;
    }

    /// Nothing has come that was not read: the next frame answers what is asked now.
    pub async fn nothing_else(&mut self) {
        self.send("BEGIN\ntransaction:last\nreceipt:last\n\n\0ABORT\ntransaction:last\n\n\0").await;
        let frame = self.frame().await;
        assert_eq!((frame.command, frame.headers.get("receipt-id")), (Command::Receipt, Some("last")));
    }

    pub async fn leave(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

fn is_open(frame: &Frame) -> bool {
    let is_chat = frame.headers.get("destination").is_some_and(|to| to.starts_with("/topic/-/chat/"));
    is_chat && frame.body.starts_with(b"{\"type\":\"open\"")
}
