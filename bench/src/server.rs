//! The SFU service in a process of its own, with a meta service that admits everybody.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use contract::id::BroadcastId;
use contract::rest::{Admitted, Broadcast, NodeOrders, Status};
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Server};
use sfu_service::{Config, SfuService};

/// The stream key that publishers show.
pub(crate) const KEY: &str = "sk_0123456789012345678901";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Allocations of all media threads of this process.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// A child process with a server; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) base: String,
    meta: String,
}

impl Process {
    /// Starts one of `program` with that many shards.
    pub(crate) fn start(program: &Path, shards: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["server", "--shards", &shards.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("the output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let (base, meta) = line.trim().split_once(' ').context("the server did not start")?;
        let (base, meta) = (base.to_owned(), meta.to_owned());
        Ok(Self { child, base, meta })
    }

    /// Allocations of its media threads so far.
    pub(crate) async fn allocations(&self, http: &reqwest::Client) -> anyhow::Result<u64> {
        let text = http.get(format!("{}/allocations", self.meta)).send().await?.text().await?;
        text.parse().context("a number")
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

/// The child process: prints its base URL and runs until its standard input ends.
pub(crate) fn run(shards: usize) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(serve(shards))
}

async fn serve(shards: usize) -> anyhow::Result<()> {
    let meta = HttpServer::new(|| {
        App::new()
            .route("/internal/broadcasts/{id}/admit", web::post().to(admit))
            .route("/internal/nodes/{node}/report", web::post().to(report))
            .route("/broadcasts/{id}", web::get().to(broadcast))
            .route("/allocations", web::get().to(allocations))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")?;
    let meta_url = format!("http://{}", meta.addrs().first().context("it is bound")?);
    actix_web::rt::spawn(meta.run());
    let mut config = Config {
        dev: true,
        media_bind: [127, 0, 0, 1].into(),
        media_port: 0,
        shards,
        meta_url: meta_url.clone(),
        // Nobody listens there: viewers are counted, and nobody is told.
        signaling_url: "ws://127.0.0.1:9/streaming".into(),
        token_secret: Secret::new(SECRET.into()),
        ..Config::default()
    };
    // What it can do is measured here, not what it admits.
    config.limits.max_cpu_percent = 0;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(Listen { http: any, https: None, admin: any })?;
    let base = format!("http://{}", server.http_addr());
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let cors = Cors::new(config.dev, &config.allowed_origins);
    let service = SfuService::start_around(config, &mut registry, readiness.clone(), counted).await?;
    let stop = CancellationToken::new();
    let routes = vec![service.routes()];
    let serving = server.serve(routes, cors, readiness, registry, stop, Duration::from_secs(1));
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    println!("{base} {meta_url}");
    serving.await?;
    Ok(())
}

/// A turn of a media thread's loop, with its allocations counted.
fn counted(turn: &mut dyn FnMut()) {
    let allocations = allocation_counter::measure(turn);
    ALLOCATIONS.fetch_add(allocations.count_total, Ordering::Relaxed);
}

async fn allocations() -> String {
    ALLOCATIONS.load(Ordering::Relaxed).to_string()
}

async fn admit(id: web::Path<i64>) -> HttpResponse {
    HttpResponse::Ok().json(Admitted { broadcast_id: BroadcastId(*id), key_revision: 1 })
}

async fn report() -> HttpResponse {
    HttpResponse::Ok().json(NodeOrders::default())
}

async fn broadcast(id: web::Path<i64>) -> HttpResponse {
    let now = chrono::Utc::now();
    HttpResponse::Ok().json(Broadcast {
        id: BroadcastId(*id),
        name: String::new(),
        description: String::new(),
        status: Status::Streaming,
        viewer_count: 0,
        started_at: Some(now),
        ended_at: None,
        planned_at: None,
        created_at: now,
        modified_at: now,
    })
}
