//! A scenario against a real SFU on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use contract::id::BroadcastId;
use contract::rest::{Admitted, Broadcast, NodeOrders, Status};
use probe::report::Report;
use probe::scenario::Scenario;
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Server};
use sfu_service::{Config, SfuService};
use tokio::sync::watch;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "sk_0123456789012345678901";

/// A meta service that admits everybody to every broadcast.
fn meta() -> SocketAddr {
    let broadcast = async |id: web::Path<i64>| {
        let now = chrono::Utc::now();
        HttpResponse::Ok().json(Broadcast {
            id: BroadcastId(*id),
            name: String::new(),
            description: String::new(),
            status: Status::Ready,
            viewer_count: 0,
            started_at: None,
            ended_at: None,
            planned_at: None,
            created_at: now,
            modified_at: now,
        })
    };
    let admit = async |id: web::Path<i64>| {
        HttpResponse::Ok().json(Admitted { broadcast_id: BroadcastId(*id), key_revision: 1 })
    };
    let report = async || HttpResponse::Ok().json(NodeOrders::default());
    let server = HttpServer::new(move || {
        App::new()
            .route("/internal/broadcasts/{id}/admit", web::post().to(admit))
            .route("/internal/nodes/{node}/report", web::post().to(report))
            .route("/broadcasts/{id}", web::get().to(broadcast))
    });
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a free port");
    let address = server.addrs().first().copied().expect("it is bound");
    tokio::spawn(server.run());
    address
}

/// An SFU on two shards; its HTTP address. It lives as long as the test's runtime.
async fn sfu() -> SocketAddr {
    let config = Config {
        dev: true,
        media_bind: [127, 0, 0, 1].into(),
        media_port: 0,
        shards: 2,
        meta_url: format!("http://{}", meta()),
        // Nobody listens there: signaling is away.
        signaling_url: "ws://127.0.0.1:9/streaming".into(),
        token_secret: Secret::new(SECRET.into()),
        ..Config::default()
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(Listen { http: any, https: None, admin: any }).expect("free ports");
    let address = server.http_addr();
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let cors = Cors::new(true, &[]);
    let service = SfuService::start(config, &mut registry, readiness.clone()).await.expect("it starts");
    let routes = vec![service.routes()];
    tokio::spawn(async move {
        let stop = CancellationToken::new();
        let _ = server.serve(routes, cors, readiness, registry, stop, Duration::from_secs(1)).await;
        drop(service);
    });
    address
}

async fn play(server: SocketAddr, name: &str, set: &[&str]) -> Report {
    let texts: HashMap<&str, &str> = probe::scenario::BUILT_IN.into_iter().collect();
    let mut assignments = vec![
        format!("server.whip_url=http://{server}/whip/{{n}}"),
        format!("server.whep_url=http://{server}/whep/{{n}}"),
        format!("server.whip_bearer={KEY}"),
        // Longer than any machine needs; a test that waits for it has failed.
        "run.join_timeout_s=60".to_owned(),
    ];
    assignments.extend(set.iter().map(|text| (*text).to_owned()));
    let scenario = Scenario::parse(texts[name], &assignments).expect("the scenario is valid");
    let (_stop, stopped) = watch::channel(false);
    probe::run::run(&scenario, |_| {}, stopped).await.expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_viewers_get_every_frame() {
    // Little enough that a machine which stands still for a second loses nothing of it.
    let set = [
        "run.duration_s=5",
        "view.viewers=20",
        "view.decrypt=all",
        "view.freeze_ms=60000",
        "publish.kbps=100",
        "publish.fps=10",
        "publish.audio=false",
    ];
    let report = play(sfu().await, "broadcast", &set).await;
    assert_eq!((report.publishers, report.viewers, report.served), (1, 20, 20), "{report}");
    assert_eq!((report.lost, report.refused, report.failed_joins, report.dropped), (0, 0, 0, 0), "{report}");
    // What was published, less what was on its way at the two ends of the measurement.
    let published = (report.published_per_s * report.measured_s) as u64;
    assert!(report.expected > 20 * published * 8 / 10, "{report}");
    assert_eq!(report.delay_ms.count + report.recovered, report.expected, "{report}");
    assert_eq!(report.first_frame_ms.count, 20, "{report}");
    assert_eq!(report.missed, Vec::<String>::new(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_see_each_other_and_lost_packets_are_repaired() {
    let set = [
        "run.duration_s=3",
        "mesh.callers=3",
        "view.freeze_ms=60000",
        "publish.kbps=300",
        "view.sockets=own",
        "loss.down=0.02",
    ];
    let report = play(sfu().await, "mesh", &set).await;
    assert_eq!((report.publishers, report.viewers, report.served), (3, 6, 6), "{report}");
    assert!(report.dropped_on_purpose > 0 && report.recovered > 0, "{report}");
    assert!(report.loss < report.raw_loss, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_ends_at_its_most_or_where_a_bound_breaks() {
    let server = sfu().await;
    let mut set = vec![
        "ramp.start=2",
        "ramp.step=2",
        "ramp.max=4",
        "ramp.hold_s=0.5",
        "ramp.max_loss=1",
        "run.settle_s=0",
        "publish.kbps=100",
    ];
    let kept = set.len();
    set.push("ramp.max_delay_p99_ms=60000");
    let report = play(server, "ramp", &set).await;
    assert_eq!((report.carried, report.steps.len(), &report.broke), (Some(4), 2, &None), "{report}");
    assert_eq!((report.viewers, report.served), (4, 4), "{report}");
    // No delay is below nothing.
    set.truncate(kept);
    set.extend(["ramp.max_delay_p99_ms=-1", "expect.min_ramp=1"]);
    let report = play(server, "ramp", &set).await;
    assert_eq!((report.carried, report.steps.len()), (Some(0), 1), "{report}");
    assert!(report.broke.as_ref().is_some_and(|why| why.starts_with("delay p99")), "{report}");
    assert_eq!(report.missed.len(), 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_come_and_go_and_refused_ones_are_told() {
    let server = sfu().await;
    let set =
        ["run.duration_s=1", "run.settle_s=0", "view.viewers=4", "churn.per_second=10", "publish.kbps=100"];
    let report = play(server, "churn", &set).await;
    assert!(report.joined > 4, "{report}");
    assert_eq!((report.failed_joins, report.dropped), (0, 0), "{report}");

    // Nobody listens there.
    let set = ["run.duration_s=0.2", "view.viewers=3", "server.whep_url=http://127.0.0.1:9/{n}"];
    let report = play(server, "broadcast", &set).await;
    assert_eq!((report.joined, report.served, report.failed_joins), (0, 0, 3), "{report}");
    assert_eq!(report.failed_reasons.values().sum::<u64>(), 3, "{report}");
    assert!(report.missed.iter().any(|missed| missed.contains("failed joins is 3")), "{report}");
}

#[cfg(feature = "webrtc")]
#[tokio::test(flavor = "multi_thread")]
async fn peer_connections_watch_too() {
    let set =
        ["engine=webrtc", "run.duration_s=1", "view.viewers=2", "publish.kbps=100", "expect.max_loss=1"];
    let report = play(sfu().await, "broadcast", &set).await;
    assert_eq!((report.viewers, report.served, report.failed_joins), (2, 2, 0), "{report}");
    assert!(report.expected > 0 && report.delay_ms.count > 0, "{report}");
}
