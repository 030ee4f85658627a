//! Signaling: what a STOMP message costs the service, by the way it goes, and what a connection holds.
//!
//! The service runs in a process of its own whose CPU is read from the kernel; clients are plain WebSockets in this one,
//! whose CPU is not counted. The senders have a service's token, which no rate limits; readers are guests of the
//! development mode.

mod board;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use contract::token::{Role, TokenKeys};
use futures_util::{SinkExt as _, StreamExt as _};
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Server};
use signaling_service::bus::InMemoryBus;
use signaling_service::{Config, Signaling};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::cpu;
use crate::results::Results;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Where the child process keeps what it keeps.
const DATABASE: &str = "BENCH_SIGNALING_DATABASE";
/// A body as long as an ICE candidate or a line of chat.
const BODY: usize = 200;
/// Readers of one destination.
const READERS: usize = 100;
/// Messages at a time. What waits for a reader is never more, so that none is dropped or refused.
const AT_ONCE: usize = 10;
/// Pause between those: 2,000 deliveries a second to a hundred readers, and 2,000 messages to one.
const PAUSE_OF_MANY: Duration = Duration::from_millis(500);
const PAUSE_OF_ONE: Duration = Duration::from_millis(5);
/// Connections whose memory is measured.
const HELD: usize = 500;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child process with the service; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    fn start() -> anyhow::Result<Self> {
        Self::start_with("sqlite::memory:")
    }

    /// With what it keeps in `database`.
    pub(crate) fn start_with(database: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("signaling")
            .env(DATABASE, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("the output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().context("signaling did not start")?;
        Ok(Self { child, address })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child process: prints its address and runs until its standard input ends.
pub(crate) fn run() -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let config = Config {
            dev: true,
            token_secret: Secret::new(SECRET.into()),
            database_url: Secret::new(std::env::var(DATABASE)?),
            ..Config::default()
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(Listen { http: any, https: None, admin: any })?;
        let address = server.http_addr();
        let mut registry = Registry::default();
        let signaling = Signaling::start(config, Arc::new(InMemoryBus::default()), &mut registry).await?;
        let routes = vec![signaling.routes()];
        let stop = CancellationToken::new();
        let (readiness, grace) = (Readiness::default(), Duration::from_secs(1));
        let serving = server.serve(routes, Cors::Any, readiness, registry, stop, grace);
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
        println!("{address}");
        serving.await?;
        Ok(())
    })
}

/// All figures of signaling.
pub(crate) async fn figures(rounds: usize, window: Duration, results: &mut Results) -> anyhow::Result<()> {
    let process = Process::start()?;
    let keys = TokenKeys::new(SECRET, None)?;
    let token = keys.mint("bench", Role::Service, service_kit::unix_now(), 3600);
    let mut sender = Client::connect(process.address, &format!("Authorization:Bearer {token}\n")).await?;
    let mut many = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        many.push(Client::reader(process.address, "/topic/7/k/offer").await?);
    }
    let mut one = vec![Client::reader(process.address, "/topic/8/k/offer").await?];
    for _ in 0..rounds {
        let pid = process.pid();
        let cost = flow(pid, &mut sender, "/app/7/k/offer", &mut many, PAUSE_OF_MANY, window).await?;
        results.add("stomp_us_per_delivery_n100", cost);
        let cost = flow(pid, &mut sender, "/app/8/k/offer", &mut one, PAUSE_OF_ONE, window).await?;
        results.add("stomp_us_per_message_to_one", cost);
    }
    drop((sender, many, one));
    board::figures(&token, results).await?;
    // Each in a process that has not grown yet.
    let idle = || "CONNECT\naccept-version:1.2\n\n\0".to_owned();
    results.add("stomp_bytes_per_connection", held(idle()).await?);
    let half = format!("CONNECT\naccept-version:1.2\n{}", format!("x:{}\n", "y".repeat(500)).repeat(30));
    results.add("stomp_bytes_per_half_a_frame", held(half).await?);
    Ok(())
}

/// CPU microseconds of the service for each message that a reader gets.
async fn flow(
    pid: u32,
    sender: &mut Client,
    destination: &str,
    readers: &mut [Client],
    pause: Duration,
    window: Duration,
) -> anyhow::Result<f64> {
    let frame = format!("SEND\ndestination:{destination}\n\n{}\0", "x".repeat(BODY));
    let (begin, before) = (Instant::now(), cpu::time(pid)?);
    let mut delivered = 0;
    while begin.elapsed() < window {
        let next = tokio::time::Instant::now() + pause;
        for _ in 0..AT_ONCE {
            sender.send(&frame).await?;
        }
        for reader in &mut *readers {
            for _ in 0..AT_ONCE {
                reader.expect("MESSAGE\n").await?;
                delivered += 1;
            }
        }
        tokio::time::sleep_until(next).await;
    }
    let spent = cpu::time(pid)?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / f64::from(delivered))
}

/// Growth of the resident set for each of [`HELD`] connections that have sent `text`.
async fn held(text: String) -> anyhow::Result<f64> {
    let process = Process::start()?;
    // What the first connections allocate for all is not theirs.
    let _warm = Client::connect(process.address, "").await?;
    let before = cpu::resident(process.pid())?;
    let mut clients = Vec::with_capacity(HELD);
    for _ in 0..HELD {
        let mut client = Client::open(process.address).await?;
        client.send(&text).await?;
        clients.push(client);
    }
    // A ping is answered after everything before it was taken in.
    for client in &mut clients {
        client.socket.send(Message::Ping(Vec::new().into())).await?;
        while !matches!(client.next().await?, Message::Pong(_)) {}
    }
    let grown = cpu::resident(process.pid())?.saturating_sub(before);
    Ok(grown as f64 * 1024.0 / clients.len() as f64)
}

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Self::open_from(1, address).await
    }

    /// From the address 127.0.0.`last`.
    async fn open_from(last: u8, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{address}/streaming");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Self { socket })
    }

    pub(crate) async fn connect(address: SocketAddr, headers: &str) -> anyhow::Result<Self> {
        Self::connect_from(1, address, headers).await
    }

    pub(crate) async fn connect_from(last: u8, address: SocketAddr, headers: &str) -> anyhow::Result<Self> {
        let mut client = Self::open_from(last, address).await?;
        client.send(&format!("CONNECT\naccept-version:1.2\n{headers}\n\0")).await?;
        client.expect("CONNECTED\n").await?;
        Ok(client)
    }

    /// A guest who reads `destination`.
    async fn reader(address: SocketAddr, destination: &str) -> anyhow::Result<Self> {
        let mut client = Self::connect(address, "").await?;
        client.send(&format!("SUBSCRIBE\nid:1\ndestination:{destination}\nreceipt:1\n\n\0")).await?;
        client.expect("RECEIPT\n").await?;
        Ok(client)
    }

    /// The socket alone; what was read of it and not taken is lost.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.socket.into_inner()
    }

    pub(crate) async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next message of the socket, which begins with `start`.
    pub(crate) async fn expect(&mut self, start: &str) -> anyhow::Result<()> {
        let message = self.next().await?;
        ensure!(message.to_text()?.starts_with(start), "instead of {start:?} came {message}");
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<Message> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.context("nothing came")?;
        Ok(next.context("the service closed the connection")??)
    }
}
