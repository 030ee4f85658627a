//! What signaling asks meta for, and what is in the log for whoever runs both.

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use contract::token::Role;
use serde_json::json;
use support::{Peer, Service, config, token};

/// A meta that has the broadcasts below 100, fails `failing` times, and writes down what it is asked for.
async fn meta(failing: usize) -> (String, Arc<Mutex<Vec<i64>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (all, calls) = (asked.clone(), Arc::new(Mutex::new(0)));
    let server = HttpServer::new(move || {
        let (all, calls) = (all.clone(), calls.clone());
        let read = move |id: web::Path<i64>| {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            let answer = if *calls <= failing {
                HttpResponse::ServiceUnavailable().finish()
            } else {
                all.lock().unwrap().push(*id);
                answer(*id)
            };
            async move { answer }
        };
        App::new()
            .route("/internal/rooms/report", web::post().to(async || HttpResponse::NoContent().finish()))
            .route("/broadcasts/{id}", web::get().to(read))
    });
    tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
    (url, asked)
}

fn answer(id: i64) -> HttpResponse {
    if id >= 100 {
        return HttpResponse::NotFound().finish();
    }
    HttpResponse::Ok().json(json!({
        "id": id, "name": "n", "description": "d", "status": "READY", "viewer_count": 0, "started_at": null,
        "ended_at": null, "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_broadcasts_keep_no_real_one_waiting() {
    let (meta_url, asked) = meta(0).await;
    let service = Service::start(signaling_service::Config { meta_url, ..config(false) }).await;
    let mut flood = Vec::new();
    for n in 1..=4 {
        let mut peer = Peer::guest(&service).await;
        for id in n * 1_000..n * 1_000 + 99 {
            let frame = format!("SUBSCRIBE\nid:{id}\ndestination:/topic/-/broadcast/{id}\n\n\0");
            peer.send(&frame).await;
        }
        peer.sync().await;
        flood.push(peer);
    }
    let mut viewer = Peer::upgrade_from(2, &service, &[]).await.unwrap();
    viewer.send("CONNECT\naccept-version:1.2\n\n\0").await;
    viewer.frame().await;
    viewer.subscribe("b", "/topic/-/broadcast/7").await;
    let told = viewer.json_where(|state| state["status"] == "READY").await;
    assert_eq!(told["id"], 7);
    let asked = asked.lock().unwrap().clone();
    // Without turns it would be behind all 256 that wait, if it had a place at all.
    let before = asked.iter().position(|id| *id == 7).unwrap();
    assert!(before < 128, "{before} made-up ones came first");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_while_meta_was_away_is_asked_again() {
    let (meta_url, asked) = meta(1).await;
    let service = Service::start(signaling_service::Config { meta_url, ..config(false) }).await;
    let mut viewer = Peer::guest(&service).await;
    let ids = [1, 2, 3, 4, 5];
    let frames = ids.map(|id| format!("SUBSCRIBE\nid:{id}\ndestination:/topic/-/broadcast/{id}\n\n\0"));
    viewer.send(&frames.concat()).await;
    let mut told = std::collections::BTreeSet::new();
    while told.len() < ids.len() {
        let state = viewer.json_where(|state| state["status"] == "READY").await;
        told.insert(state["id"].as_i64().unwrap());
    }
    assert_eq!(asked.lock().unwrap().len(), ids.len(), "each once");
    service.stop().await;
}

/// What is written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_refused_is_in_the_log_once() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let service = Service::start(config(false)).await;
    // As nodes signed before they had names of their own; they read no replies.
    let mut old = Peer::with_token(&service, &token("sfu", Role::Service)).await;
    let mut guest = Peer::guest(&service).await;
    for _ in 0..3 {
        old.send_to("/app/-/sfu/nod_1/viewers", "{\"rooms\":[]}").await;
        guest.send_to("/app/-/sfu/nod_1/viewers", "{\"rooms\":[]}").await;
    }
    old.sync().await;
    guest.sync().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("refused")).collect();
    let [line] = lines[..] else { panic!("{text}") };
    assert!(line.contains("WARN") && line.contains("service=\"sfu\"") && line.contains("/viewers"), "{line}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_chats_in_a_broadcast_that_meta_does_not_have() {
    let (meta_url, _asked) = meta(0).await;
    let service = Service::start(signaling_service::Config { meta_url, ..config(true) }).await;
    let mut peer = Peer::guest(&service).await;
    peer.replies().await;
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        let reply = peer.ask("/app/-/chat/500", &json!({"text": "on"})).await;
        outcomes.push(reply["outcome"].clone());
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    }
    // Until meta has answered, talk goes on.
    assert_eq!(outcomes[2..], [json!("refused"), json!("refused"), json!("refused")]);
    assert_eq!(peer.ask("/app/-/chat/7", &json!({"text": "on"})).await["outcome"], "done");
    service.stop().await;
}
