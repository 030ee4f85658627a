//! What meta tells signaling: a small real HTTP server stands where signaling would.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use contract::group::GroupChanged;
use contract::rest::{Announced, BroadcastChanged, Status};
use contract::token::{Role, TokenKeys};
use meta_service::Config;
use prometheus_client::registry::Registry;
use serde_json::json;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Routes, Server};
use tokio::sync::mpsc;

use crate::support::{Api, Backend, Database, SECRET, ask, config};

/// Answers announcements with `answer`, and takes them if that is 204.
struct Signaling {
    url: String,
    answer: Arc<Mutex<u16>>,
    heard: mpsc::UnboundedReceiver<Announced>,
    _stop: tokio_util::sync::DropGuard,
}

impl Signaling {
    fn start() -> Self {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(Listen { http: loopback, https: None, admin: loopback }).unwrap();
        let url = format!("http://{}", server.http_addr());
        let (tell, heard) = mpsc::unbounded_channel();
        let answer = Arc::new(Mutex::new(204));
        let answers = Arc::clone(&answer);
        let routes = Routes::new(move |config| {
            let (tell, answers) = (tell.clone(), Arc::clone(&answers));
            let take = move |request: HttpRequest, body: web::Json<Announced>| {
                let (tell, answers) = (tell.clone(), Arc::clone(&answers));
                async move {
                    let token = request.headers().get("authorization").unwrap().to_str().unwrap();
                    let token = token.strip_prefix("Bearer ").unwrap();
                    let keys = TokenKeys::new(SECRET, None).unwrap();
                    assert!(matches!(keys.verify(token, 0).unwrap().role, Role::Service));
                    let status = StatusCode::from_u16(*answers.lock().unwrap()).unwrap();
                    if status == StatusCode::NO_CONTENT {
                        tell.send(body.into_inner()).unwrap();
                    }
                    HttpResponse::build(status).finish()
                }
            };
            config.route("/internal/events", web::post().to(take));
        });
        let stop = CancellationToken::new();
        tokio::spawn(server.serve(
            vec![routes],
            Cors::Any,
            Readiness::default(),
            Registry::default(),
            stop.clone(),
            Duration::from_secs(1),
        ));
        Self { url, answer, heard, _stop: stop.drop_guard() }
    }

    async fn next(&mut self) -> contract::rest::Broadcast {
        self.next_news().await.broadcast
    }

    async fn next_news(&mut self) -> BroadcastChanged {
        match self.heard().await {
            Announced::Broadcast(news) => *news,
            Announced::Group(news) => panic!("{news:?}"),
        }
    }

    async fn next_group(&mut self) -> GroupChanged {
        match self.heard().await {
            Announced::Group(news) => *news,
            Announced::Broadcast(news) => panic!("{news:?}"),
        }
    }

    async fn heard(&mut self) -> Announced {
        let next = tokio::time::timeout(Duration::from_secs(20), self.heard.recv()).await;
        next.expect("an announcement").unwrap()
    }
}

#[tokio::test]
async fn every_change_is_told_and_viewers_are_not() {
    let mut signaling = Signaling::start();
    let config = Config { signaling_url: signaling.url.clone(), ..config() };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    let (id, key) = api.create("first").await;
    let told = signaling.next().await;
    assert_eq!((told.id.0, told.name.as_str(), told.status), (id, "first", Status::Ready));
    let room = json!({ "room": id.to_string(), "viewer_count": 3, "p2p_streamer": false });
    api.report("/internal/rooms/report", &json!({ "replica": "one", "rooms": [room] })).await;
    api.pass(1).await;
    let edit = api.put(&format!("/broadcasts/{id}")).bearer_auth(&key).json(&json!({ "name": "second" }));
    assert_eq!(ask(edit).await.status, 200);
    assert_eq!(signaling.next().await.name, "second");
    let now = api.clock.now();
    let media = json!({
        "broadcast_id": id, "key_revision": 1, "state": "live", "started_at": now, "last_media_at": now,
    });
    let report = json!({ "public_url": "", "broadcasts": [media] });
    api.report("/internal/nodes/nod_1/report", &report).await;
    assert_eq!(signaling.next().await.status, Status::Streaming);
    api.report("/internal/nodes/nod_1/report", &report).await;
    let close = api.put(&format!("/broadcasts/{id}")).bearer_auth(&key).json(&json!({ "status": "CLOSED" }));
    assert_eq!(ask(close).await.status, 200);
    assert_eq!(signaling.next().await.status, Status::Closed);
    // Deleting a live one tells its end, and that it is gone: at the latest with one announcement for both.
    let (id, key) = api.create("third").await;
    assert_eq!(ask(api.delete(&format!("/broadcasts/{id}")).bearer_auth(&key)).await.status, 204);
    let told = loop {
        let told = signaling.next_news().await;
        if told.deleted {
            break told;
        }
    };
    assert_eq!((told.broadcast.id.0, told.broadcast.status), (id, Status::Closed));
}

#[tokio::test]
async fn while_signaling_is_away_the_latest_waits() {
    let mut signaling = Signaling::start();
    let config = Config { signaling_url: signaling.url.clone(), ..config() };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    *signaling.answer.lock().unwrap() = 503;
    let (id, key) = api.create("v0").await;
    for n in 1..=5 {
        let name = format!("v{n}");
        let edit = api.put(&format!("/broadcasts/{id}")).bearer_auth(&key).json(&json!({ "name": name }));
        assert_eq!(ask(edit).await.status, 200);
    }
    *signaling.answer.lock().unwrap() = 204;
    // At most the one that was under way comes before the latest.
    let mut told = signaling.next().await;
    if told.name != "v5" {
        told = signaling.next().await;
    }
    assert_eq!(told.name, "v5");
    assert!(signaling.heard.try_recv().is_err());
}

#[tokio::test]
async fn changes_and_ends_of_groups_are_told() {
    let mut signaling = Signaling::start();
    let config = Config { signaling_url: signaling.url.clone(), ..config() };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    let made = ask(api.post("/groups").json(&json!({ "name": "first" }))).await;
    let (path, key) = (made.header("location"), made.json()["owner_key"].as_str().unwrap().to_owned());
    let told = signaling.next_group().await;
    assert_eq!((told.group.name.as_str(), told.version, told.deleted), ("first", 1, false));
    let patch = |body: serde_json::Value| {
        ask(api.request(reqwest::Method::PATCH, path).bearer_auth(&key).json(&body))
    };
    // What changes nothing is no news.
    assert_eq!(patch(json!({ "name": "first" })).await.status, 200);
    assert_eq!(patch(json!({ "name": "second" })).await.status, 200);
    let told = signaling.next_group().await;
    assert_eq!((told.group.name.as_str(), told.version, told.deleted), ("second", 2, false));
    // It ends while signaling is away.
    *signaling.answer.lock().unwrap() = 503;
    assert_eq!(ask(api.delete(path).bearer_auth(&key)).await.status, 204);
    *signaling.answer.lock().unwrap() = 204;
    let told = signaling.next_group().await;
    assert_eq!((told.group.name.as_str(), told.version, told.deleted), ("second", 2, true));
}

#[tokio::test]
async fn what_an_earlier_signaling_does_not_understand_holds_nothing_up() {
    let mut signaling = Signaling::start();
    let config = Config { signaling_url: signaling.url.clone(), ..config() };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    *signaling.answer.lock().unwrap() = 400;
    assert_eq!(ask(api.post("/groups").json(&json!({}))).await.status, 201);
    let refused = async || {
        let metrics = reqwest::get(format!("{}/metrics", api.admin)).await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| line.starts_with("meta_announcements") && line.contains("refused"))
    };
    let patient = async {
        while !refused().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), patient).await.expect("it was refused");
    *signaling.answer.lock().unwrap() = 204;
    api.create("next").await;
    assert_eq!(signaling.next().await.name, "next");
    assert!(signaling.heard.try_recv().is_err());
}
