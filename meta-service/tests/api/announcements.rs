//! What meta tells signaling: a small real HTTP server stands where signaling would.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use contract::rest::{BroadcastChanged, Status};
use contract::token::{Role, TokenKeys};
use meta_service::Config;
use prometheus_client::registry::Registry;
use serde_json::json;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Routes, Server};
use tokio::sync::mpsc;

use crate::support::{Api, Backend, Database, SECRET, ask, config};

/// Takes announcements, or refuses them while `refusing`.
struct Signaling {
    url: String,
    refusing: Arc<Mutex<bool>>,
    heard: mpsc::UnboundedReceiver<BroadcastChanged>,
    _stop: tokio_util::sync::DropGuard,
}

impl Signaling {
    fn start() -> Self {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(Listen { http: loopback, https: None, admin: loopback }).unwrap();
        let url = format!("http://{}", server.http_addr());
        let (tell, heard) = mpsc::unbounded_channel();
        let refusing = Arc::new(Mutex::new(false));
        let refuse = Arc::clone(&refusing);
        let routes = Routes::new(move |config| {
            let (tell, refuse) = (tell.clone(), Arc::clone(&refuse));
            let take = move |request: HttpRequest, body: web::Json<BroadcastChanged>| {
                let (tell, refuse) = (tell.clone(), Arc::clone(&refuse));
                async move {
                    let token = request.headers().get("authorization").unwrap().to_str().unwrap();
                    let token = token.strip_prefix("Bearer ").unwrap();
                    let keys = TokenKeys::new(SECRET, None).unwrap();
                    assert!(matches!(keys.verify(token, 0).unwrap().role, Role::Service));
                    if *refuse.lock().unwrap() {
                        return HttpResponse::ServiceUnavailable().finish();
                    }
                    tell.send(body.into_inner()).unwrap();
                    HttpResponse::NoContent().finish()
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
        Self { url, refusing, heard, _stop: stop.drop_guard() }
    }

    async fn next(&mut self) -> contract::rest::Broadcast {
        self.next_news().await.broadcast
    }

    async fn next_news(&mut self) -> BroadcastChanged {
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
    *signaling.refusing.lock().unwrap() = true;
    let (id, key) = api.create("v0").await;
    for n in 1..=5 {
        let name = format!("v{n}");
        let edit = api.put(&format!("/broadcasts/{id}")).bearer_auth(&key).json(&json!({ "name": name }));
        assert_eq!(ask(edit).await.status, 200);
    }
    *signaling.refusing.lock().unwrap() = false;
    // At most the one that was under way comes before the latest.
    let mut told = signaling.next().await;
    if told.name != "v5" {
        told = signaling.next().await;
    }
    assert_eq!(told.name, "v5");
    assert!(signaling.heard.try_recv().is_err());
}
