//! Peer-to-peer rooms and viewer counts: L8, L9, L10.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use actix_web::{App, HttpResponse, HttpServer, web};
use contract::id::BroadcastId;
use contract::rest::RoomsReport;
use contract::token::{Grant, Role};
use signaling_service::bus::InMemoryBus;
use support::{Got, PATIENCE, Peer, Service, config, join_token, token};
use tokio::sync::mpsc::UnboundedSender;

#[tokio::test(flavor = "multi_thread")]
async fn the_original_flow_passes_byte_for_byte_and_counts_viewers() {
    let service = Service::start(config(true)).await;
    let mut streamer = Peer::guest(&service).await;
    streamer.subscribe("s", "/topic/7").await;
    let mut viewer = Peer::guest(&service).await;
    viewer.subscribe("o", "/topic/7/k1/offer").await;
    viewer.subscribe("i", "/topic/7/k1/ice/streamer").await;
    assert_eq!(service.count("7").await, 0);

    viewer.send_to("/app/7", "{\"key\":\"k1\"}").await;
    let joined = streamer.message().await;
    assert_eq!(joined.headers.get("destination"), Some("/topic/7"));
    assert_eq!(&joined.body[..], b"{\"key\":\"k1\"}");
    assert_eq!(service.count("7").await, 1);

    streamer.subscribe("a", "/topic/7/k1/answer").await;
    streamer.subscribe("c", "/topic/7/k1/ice/client").await;
    // 6 KB, and nothing that JSON would keep: bodies are opaque.
    let offer = format!("{{ \"offer\" : \"{}\u{1F3A5}\\r\\n\" }}  ", "x".repeat(6_000));
    streamer.send_to("/topic/7/k1/offer", &offer).await;
    streamer.send_to("/app/7/k1/ice/streamer", "not json").await;
    assert_eq!(viewer.message().await.body, offer.as_bytes());
    assert_eq!(&viewer.message().await.body[..], b"not json");
    viewer.send_to("/app/7/k1/answer", "{\"key\":\"k1\",\"answer\":1}").await;
    viewer.send_to("/topic/7/k1/ice/client", "{\"key\":\"k1\",\"ice\":2}").await;
    assert_eq!(&streamer.message().await.body[..], b"{\"key\":\"k1\",\"answer\":1}");
    assert_eq!(&streamer.message().await.body[..], b"{\"key\":\"k1\",\"ice\":2}");

    viewer.nothing_else().await;
    streamer.nothing_else().await;
    viewer.leave().await;
    service.wait_count("7", 0).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_and_a_subscription_takes_effect_before_later_frames() {
    let service = Service::start(config(true)).await;
    let mut reader = Peer::guest(&service).await;
    reader.subscribe("r", "/topic/9/k/offer").await;
    let mut writer = Peer::guest(&service).await;
    let sends: String = (0..500).map(|n| format!("SEND\ndestination:/app/9/k/offer\n\n{n}\0")).collect();
    // Two WebSocket messages, cut inside a frame.
    let (first, second) = sends.split_at(sends.len() / 2);
    writer.send(&format!("SUBSCRIBE\nid:w\ndestination:/topic/9/k/offer\n\n\0{first}")).await;
    writer.send(second).await;
    for peer in [&mut reader, &mut writer] {
        for n in 0..500 {
            assert_eq!(peer.message().await.body, n.to_string().as_bytes());
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_with_nul_and_headers_of_the_sender_arrive() {
    let service = Service::start(config(true)).await;
    let mut peer = Peer::guest(&service).await;
    peer.subscribe("a", "/topic/9/k/answer").await;
    peer.send("SEND\ndestination:/app/9/k/answer\ncontent-type:x/y\nmine:a\\cb\ncontent-length:3\n\na\0b\0")
        .await;
    let message = peer.message().await;
    assert_eq!(&message.body[..], b"a\0b");
    assert_eq!(
        (message.headers.get("content-type"), message.headers.get("mine")),
        (Some("x/y"), Some("a:b"))
    );
    for header in ["subscription", "message-id", "destination"] {
        assert!(message.headers.get(header).is_some(), "StompJS needs {header}");
    }
    service.stop().await;
}

fn viewers(subjects: &[&str], anonymous: u32) -> String {
    serde_json::json!({"rooms": [{"room": "7", "subjects": subjects, "anonymous": anonymous}]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_nodes_and_of_peer_to_peer_count_once_and_a_silent_node_is_dropped() {
    let service = Service::start(config(true)).await;
    let mut node = Peer::with_token(&service, &token("nod_1", Role::Service)).await;
    let grants = [Grant::Subscribe, Grant::Chat];
    let mut ann = Peer::with_token(&service, &join_token("par_ann", "7", &grants, None)).await;
    let mut chatter = Peer::guest(&service).await;
    chatter.chat("7").await;
    ann.send_to("/app/7", "{}").await;
    ann.send_to("/app/7", "{}").await;
    ann.sync().await;
    assert_eq!(service.count("7").await, 1);
    node.send_to("/app/-/sfu/nod_1/viewers", &viewers(&["par_ann", "par_bob"], 3)).await;
    node.sync().await;
    assert_eq!(service.count("7").await, 5);
    ann.leave().await;
    node.send_to("/app/-/sfu/nod_1/viewers", &viewers(&["par_ann"], 0)).await;
    node.sync().await;
    service.wait_count("7", 1).await;
    // The node is still connected, but says nothing any more.
    service.wait_count("7", 0).await;
    node.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_send_large_reports_and_a_client_may_not() {
    let service = Service::start(config(true)).await;
    let mut node = Peer::with_token(&service, &token("nod_1", Role::Service)).await;
    let subjects: Vec<String> = (0..20_000).map(|n| format!("par_{n:022}")).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    node.send_to("/app/-/sfu/nod_1/viewers", &viewers(&subjects, 0)).await;
    node.sync().await;
    assert_eq!(service.count("7").await, 20_000);
    let mut client = Peer::guest(&service).await;
    client.send_to("/app/7", &"x".repeat(65_536)).await;
    client.sync().await;
    client.send_to("/app/7", &"x".repeat(65_537)).await;
    assert_eq!(client.error().await, ("a body of more than 65536 bytes".into(), 1009));
    service.stop().await;
}

/// The receiving end of meta, which fails at first.
async fn meta(reports: UnboundedSender<RoomsReport>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(Mutex::new(0));
    let server = HttpServer::new(move || {
        let (reports, calls) = (reports.clone(), calls.clone());
        App::new().route(
            "/internal/rooms/report",
            web::post().to(move |report: web::Json<RoomsReport>, request: actix_web::HttpRequest| {
                let header = request.headers().get("authorization").unwrap().to_str().unwrap();
                let claims =
                    support::keys().verify(header.strip_prefix("Bearer ").unwrap(), service_kit::unix_now());
                assert_eq!(claims.unwrap().role, Role::Service);
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                let fails = *calls <= 2;
                if !fails {
                    // After its end the test wants no more of them.
                    let _ = reports.send(report.into_inner());
                }
                async move {
                    if fails { HttpResponse::InternalServerError() } else { HttpResponse::NoContent() }
                        .finish()
                }
            }),
        )
    });
    tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_learns_numbers_and_the_streamer_even_if_it_was_away() {
    let (reports, mut told) = tokio::sync::mpsc::unbounded_channel();
    let meta_url = meta(reports).await;
    let service = Service::start(signaling_service::Config { meta_url, ..config(true) }).await;
    let mut streamer = Peer::guest(&service).await;
    streamer.subscribe("s", "/topic/7").await;
    let mut other = Peer::guest(&service).await;
    other.subscribe("s", "/topic/lobby").await;
    let mut viewer = Peer::guest(&service).await;
    viewer.send_to("/app/7", "{}").await;
    let mut wait = async |count: i64, streaming: bool| {
        let learned = async {
            loop {
                let report: RoomsReport = told.recv().await.unwrap();
                assert!(report.rooms.iter().all(|room| room.room.broadcast().is_some()), "only broadcasts");
                let room = report.rooms.iter().find(|room| room.room == BroadcastId(7).into());
                if room.is_some_and(|room| (room.viewer_count, room.p2p_streamer) == (count, streaming)) {
                    return;
                }
            }
        };
        let learned = tokio::time::timeout(PATIENCE, learned).await;
        learned.unwrap_or_else(|_| panic!("meta does not learn of {count} viewers, streamer {streaming}"));
    };
    wait(1, true).await;
    streamer.send("UNSUBSCRIBE\nid:s\n\n\0").await;
    wait(1, false).await;
    viewer.leave().await;
    wait(0, false).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_on_one_replica_reaches_the_other() {
    let bus = Arc::new(InMemoryBus::default());
    let one = Service::on_bus(config(true), bus.clone()).await;
    let two = Service::on_bus(config(true), bus).await;
    let mut here = Peer::guest(&one).await;
    let mut there = Peer::guest(&two).await;
    there.subscribe("s", "/topic/7").await;
    here.subscribe("s", "/topic/7").await;
    here.send_to("/app/7", "hello").await;
    assert_eq!(&there.message().await.body[..], b"hello");
    assert_eq!(&here.message().await.body[..], b"hello");
    here.nothing_else().await;
    there.nothing_else().await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_tells_the_clients_and_takes_no_new_ones() {
    let service = Service::start(config(true)).await;
    let mut peer = Peer::guest(&service).await;
    let signaling = service.signaling.clone();
    let draining = tokio::spawn(async move { signaling.drain(Instant::now() + PATIENCE).await });
    assert_eq!(peer.got().await, Got::Closed(1012));
    assert_eq!(Peer::upgrade(&service, &[]).await.err(), Some(503));
    drop(peer);
    draining.await.unwrap();
    service.stop().await;
}
