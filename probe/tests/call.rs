//! Callers against the real SFU and the real signaling service over loopback: what they see and hear is what they were
//! told, also while one of them floods. No figure of these runs is judged by time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use contract::group::{Admission, CreatedGroup, Group, Metadata, OpenedGroup, RoomRules};
use contract::id::{GroupId, ParticipantId};
use contract::rest::{JoinToken, NodeOrders};
use contract::room::Room;
use contract::token::{Grant, Role, TokenKeys};
use probe::call::report::CallReport;
use probe::scenario::Scenario;
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Routes, Server};
use sfu_service::SfuService;
use signaling_service::Signaling;
use signaling_service::bus::InMemoryBus;
use tokio::sync::watch;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const GROUP: &str = "grp_probe";
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn group() -> Group {
    Group {
        id: GROUP.parse().expect("an id"),
        name: String::new(),
        max_participants: 100,
        admission: Admission::Link,
        metadata: Metadata::default(),
        created_at: chrono::Utc::now(),
        modified_at: chrono::Utc::now(),
    }
}

/// A join token of somebody new.
fn token() -> JoinToken {
    let id: GroupId = GROUP.parse().expect("an id");
    let participant_id = ParticipantId::random(&mut rand::rng());
    let grants = Grant::PARTICIPANT.to_vec();
    let role = Role::Join { room: Room::from(&id), grants: grants.clone(), name: None };
    let keys = TokenKeys::new(SECRET, None).expect("a secret");
    let token = keys.mint(participant_id.as_str(), role, service_kit::unix_now(), 3_600);
    JoinToken { token, participant_id, grants, expires_at: chrono::Utc::now() }
}

/// A meta service with one group, which everybody may join.
fn meta() -> SocketAddr {
    let epoch = Arc::new(AtomicI64::new(0));
    let create = async || {
        let (owner_key, call_url) = ("ok_0123456789012345678901".into(), String::new());
        HttpResponse::Created().json(CreatedGroup { group: group(), owner_key, call_url })
    };
    let join = async || HttpResponse::Ok().json(token());
    let report = async || HttpResponse::Ok().json(NodeOrders::default());
    let server = HttpServer::new(move || {
        let epoch = Arc::clone(&epoch);
        let open = move || {
            let epoch = epoch.fetch_add(1, Ordering::Relaxed) + 1;
            let opened = OpenedGroup { group: group(), version: 1, epoch, rules: RoomRules::default() };
            async move { HttpResponse::Ok().json(opened) }
        };
        App::new()
            .route("/groups", web::post().to(create))
            .route("/groups/{id}/token", web::post().to(join))
            .route("/internal/groups/{id}/open", web::post().to(open))
            .route("/internal/nodes/{node}/report", web::post().to(report))
    });
    let server = server.workers(1).disable_signals().bind(ANY).expect("a free port");
    let address = server.addrs().first().copied().expect("it is bound");
    tokio::spawn(server.run());
    address
}

fn serve(
    server: Server,
    routes: Routes,
    registry: Registry,
    readiness: Readiness,
    keep: impl Send + 'static,
) {
    tokio::spawn(async move {
        let (stop, grace) = (CancellationToken::new(), Duration::from_secs(1));
        let _ = server.serve(vec![routes], Cors::Any, readiness, registry, stop, grace).await;
        drop(keep);
    });
}

/// All services that a call needs; they live as long as the test's runtime.
struct World {
    meta: SocketAddr,
    sfu: SocketAddr,
    signaling: SocketAddr,
    admin: SocketAddr,
}

impl World {
    async fn start() -> Self {
        let meta = meta();
        let listen = || Server::bind(Listen { http: ANY, https: None, admin: ANY }).expect("free ports");
        let secret = || Secret::new(SECRET.into());
        let mut registry = Registry::default();
        let config = signaling_service::Config {
            dev: true,
            token_secret: secret(),
            meta_url: "http://127.0.0.1:9".into(),
            ..signaling_service::Config::default()
        };
        let bus = Arc::new(InMemoryBus::default());
        let service = Signaling::start(config, bus, &mut registry).await.expect("it starts");
        let server = listen();
        let signaling = server.http_addr();
        serve(server, service.routes(), registry, Readiness::default(), service);

        let (mut registry, readiness) = (Registry::default(), Readiness::default());
        let config = sfu_service::Config {
            dev: true,
            media_bind: [127, 0, 0, 1].into(),
            media_port: 0,
            shards: 2,
            meta_url: format!("http://{meta}"),
            signaling_url: format!("ws://{signaling}/streaming"),
            token_secret: secret(),
            // A busy machine refuses nobody here.
            limits: sfu_service::Limits { max_cpu_percent: 0, ..sfu_service::Limits::default() },
            ..sfu_service::Config::default()
        };
        let server = listen();
        let (sfu, admin) = (server.http_addr(), server.admin_addr());
        let service = SfuService::start(config, &mut registry, readiness.clone()).await.expect("it starts");
        serve(server, service.routes(), registry, readiness, service);
        Self { meta, sfu, signaling, admin }
    }

    async fn play(&self, set: &[&str]) -> CallReport {
        let texts: HashMap<&str, &str> = probe::scenario::BUILT_IN.into_iter().collect();
        let mut assignments = vec![
            format!("server.meta_url=http://{}", self.meta),
            format!("server.rooms_url=http://{}", self.sfu),
            format!("server.signaling_url=ws://{}/streaming", self.signaling),
            // Longer than any machine needs; a test that waits for it has failed.
            "run.join_timeout_s=60".to_owned(),
            // Little enough for a machine that has other things to do.
            "publish.kbps=90".to_owned(),
            "publish.fps=10".to_owned(),
            "run.settle_s=0".to_owned(),
            "view.decrypt=all".to_owned(),
        ];
        assignments.extend(set.iter().map(|text| (*text).to_owned()));
        let scenario = Scenario::parse(texts["call"], &assignments).expect("the scenario is valid");
        let (_stop, stopped) = watch::channel(false);
        probe::call::run(&scenario, |_| {}, stopped).await.expect("it runs")
    }

    /// The value of a metric without labels.
    async fn metric(&self, name: &str) -> u64 {
        let text = reqwest::get(format!("http://{}/metrics", self.admin)).await.expect("it answers");
        let text = text.text().await.expect("it is text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name}")).parse().expect("a number")
    }
}

/// What no call may do, whoever takes part.
fn is_right(report: &CallReport) {
    assert_eq!((report.foreign_packets, report.nameless, report.heard_itself), (0, 0, 0), "{report}");
    assert_eq!((report.failed_joins, report.dropped), (0, 0), "{report}");
    assert_eq!(report.goals_missed, 0, "{report}");
    assert!(report.judged_frames > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_see_and_hear_whom_they_were_told_of() {
    let world = World::start().await;
    let set = ["call.callers=5", "call.tiles=3", "call.rejoins=2", "call.page_turns=2", "run.duration_s=3"];
    let report = world.play(&set).await;
    is_right(&report);
    assert_eq!((report.people, report.joins, report.join_ms.count), (5, 2, 2), "{report}");
    assert_eq!(report.join_together_ms.count, 5, "{report}");
    assert_eq!(report.page_ms.count, 10, "{report}");
    assert!(report.utterances > 0 && report.onset_lost_ms.count > 0, "{report}");
    assert!(report.messages_per_join.is_some_and(|messages| messages > 0.0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_and_forges_hurts_nobody_else() {
    let world = World::start().await;
    let set = [
        "call.callers=4",
        "call.tiles=3",
        "call.hostile=1",
        "call.rejoins=1",
        "call.page_turns=1",
        "run.duration_s=3",
    ];
    let report = world.play(&set).await;
    is_right(&report);
    assert_eq!((report.people, report.join_ms.count), (4, 1), "{report}");
    assert!(report.page_ms.count >= 3, "{report}");
    assert_eq!(world.metric("sfu_session_panics_total").await, 0);
}
