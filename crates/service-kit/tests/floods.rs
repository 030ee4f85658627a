//! Clients by the hundred that ask and do not read, against a server in a process of its own: others are answered,
//! memory stays bounded, and after a while the flood is gone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use prometheus_client::registry::Registry;
use service_kit::shutdown::CancellationToken;
use service_kit::{ConnectionLimits, Cors, Listen, Options, Readiness, Routes, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A test that waits for this long has failed.
const PATIENCE: Duration = Duration::from_secs(90);
/// Names the role of the child process.
const ROLE: &str = "SERVICE_KIT_TEST_SERVER";
/// What the flood asks for: as much as a page's scripts.
const PAGE: usize = 2 << 20;
const PER_ADDRESS: usize = 1_000;
/// Memory that the whole flood may cost: so much for each connection, and not a copy of the page.
const MEMORY_PER_CONNECTION: u64 = 64 << 10;

/// The child: serves until it is killed. Does nothing when it runs as a test.
#[tokio::test]
async fn server_process() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let connections = ConnectionLimits { total: 10_000, per_address: PER_ADDRESS };
    let options = Options { connections, ..Options::default() };
    let server = Server::bind(Listen { http: any, https: None, admin: any }).unwrap().with(options);
    let (http, admin) = (server.http_addr(), server.admin_addr());
    let page = Bytes::from((0..PAGE).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
    let routes = Routes::new(move |config| {
        let page = page.clone();
        let whole = move || {
            let page = page.clone();
            async { HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain")).body(page) }
        };
        config.route("/page", web::get().to(whole)).route("/small", web::get().to(|| async { "small" }));
    });
    writeln!(std::io::stderr(), "serving {} {}", http.port(), admin.port()).unwrap();
    let (readiness, never) = (Readiness::default(), CancellationToken::new());
    let grace = Duration::from_secs(1);
    server.serve(vec![routes], Cors::Any, readiness, Registry::default(), never, grace).await.unwrap();
}

struct Running {
    child: Child,
    http: u16,
    admin: u16,
}

impl Running {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server_process", "--nocapture"])
            .env(ROLE, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.map(Result::unwrap).find(|line| line.starts_with("serving ")).unwrap();
        let mut ports = line.split(' ').skip(1).map(|port| port.parse().unwrap());
        let (http, admin) = (ports.next().unwrap(), ports.next().unwrap());
        Self { child, http, admin }
    }

    async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    async fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics().await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric is as it should be.
    async fn until(&self, name: &str, holds: impl Fn(f64) -> bool) {
        let wait = async {
            while !holds(self.metric(name).await) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{name}: {}", self.metric(name).await);
    }

    async fn memory(&self) -> u64 {
        self.metric("process_resident_memory_bytes").await as u64
    }

    /// A connection from another address than that of the flood.
    fn neighbour(&self) -> reqwest::Client {
        let from = IpAddr::from([127, 0, 0, 2]);
        reqwest::Client::builder().local_address(from).pool_max_idle_per_host(0).build().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects with a small receive buffer, asks and never reads.
async fn ask(port: u16, request: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

const GET_PAGE: &str = "GET /page HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n";

#[tokio::test]
async fn who_does_not_read_costs_little_and_is_dropped() {
    let server = Running::start();
    let small = format!("http://127.0.0.1:{}/small", server.http);
    let neighbour = server.neighbour();
    assert_eq!(neighbour.get(&small).send().await.unwrap().text().await.unwrap(), "small");
    let before = server.memory().await;

    let mut flood = Vec::new();
    for _ in 0..PER_ADDRESS {
        flood.push(ask(server.http, GET_PAGE).await.unwrap());
    }
    server.until("http_connections", |open| open >= PER_ADDRESS as f64).await;
    assert_eq!(server.metric("http_connections_refused_total{reason=\"address\"}").await, 0.0);
    for _ in 0..20 {
        assert_eq!(neighbour.get(&small).send().await.unwrap().text().await.unwrap(), "small");
    }
    let grown = server.memory().await.saturating_sub(before);
    assert!(grown < PER_ADDRESS as u64 * MEMORY_PER_CONNECTION, "{grown} bytes");

    // Nobody has read anything: all of them are dropped, and their memory is not taken twice by the next flood.
    server.until("http_connections_cut_total{reason=\"stalled\"}", |cut| cut >= PER_ADDRESS as f64).await;
    drop(flood);
    let mut again = Vec::new();
    for _ in 0..PER_ADDRESS {
        again.push(ask(server.http, GET_PAGE).await.unwrap());
    }
    server
        .until("http_connections_cut_total{reason=\"stalled\"}", |cut| cut >= 2.0 * PER_ADDRESS as f64)
        .await;
    let grown = server.memory().await.saturating_sub(before);
    assert!(grown < PER_ADDRESS as u64 * MEMORY_PER_CONNECTION, "{grown} bytes after both");
    server.until("http_connections", |open| open == 0.0).await;
}

#[tokio::test]
async fn who_goes_on_asking_without_reading_is_not_listened_to() {
    const CONNECTIONS: usize = 20;
    /// Heads and answers of what was read before the client's buffers were full, in a debug build.
    const MOST_EACH: u64 = 3 << 20;
    let server = Running::start();
    let before = server.memory().await;
    // Answers without a body, many in one packet: the server would have them wait in memory.
    let requests = "HEAD /small HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50_000);
    let mut flood = Vec::new();
    for _ in 0..CONNECTIONS {
        let (port, requests) = (server.http, requests.clone());
        flood.push(tokio::spawn(async move { ask(port, &requests).await }));
    }
    server.until("http_connections_cut_total{reason=\"stalled\"}", |cut| cut >= CONNECTIONS as f64).await;
    let grown = server.memory().await.saturating_sub(before);
    assert!(grown < CONNECTIONS as u64 * MOST_EACH, "{grown} bytes");
    drop(flood);
}

#[tokio::test]
async fn one_address_does_not_take_the_seats_of_another_nor_of_its_own_newcomers() {
    let server = Running::start();
    let small = format!("http://127.0.0.1:{}/small", server.http);
    // Connections that say nothing at all.
    let mut silent = Vec::new();
    for _ in 0..PER_ADDRESS {
        silent.push(ask(server.http, "").await.unwrap());
    }
    server.until("http_connections", |open| open >= PER_ADDRESS as f64).await;
    let neighbour = server.neighbour();
    assert_eq!(neighbour.get(&small).send().await.unwrap().text().await.unwrap(), "small");
    // From the crowded address: refused while the others have only just come, then one of them gives way.
    let own = reqwest::Client::new();
    let answered = async {
        loop {
            if let Ok(answer) = own.get(&small).send().await {
                break answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, answered).await.unwrap(), "small");
    // In the end nobody who says nothing is left.
    server.until("http_connections", |open| open == 0.0).await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for_however_often_it_starts() {
    let server = Running::start();
    let request = "GET /small HTTP/1.1\r\nhost: x\r\n";
    let mut slow = ask(server.http, &format!("{request}\r\n{request}x-more: ")).await.unwrap();
    let read = async {
        let mut bytes = [0; 1024];
        loop {
            // One more byte of the second head after each look at the answer.
            match tokio::time::timeout(Duration::from_millis(200), slow.read(&mut bytes)).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(_)) => {}
                Err(_) => drop(slow.write_all(b"x").await),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the connection is closed");
    server.until("http_connections", |open| open == 0.0).await;
}

#[tokio::test]
async fn http2_is_not_spoken_where_its_streams_cannot_be_counted() {
    let server = Running::start();
    let mut stream = ask(server.http, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
}
