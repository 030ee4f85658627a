//! Chat, presence, broadcast state, and rights.

mod support;

use contract::token::{Grant, Role};
use serde_json::json;
use support::{PATIENCE, Peer, SECRET, Service, config, join_token, token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const VIEWER: [Grant; 2] = [Grant::Subscribe, Grant::Chat];

#[tokio::test(flavor = "multi_thread")]
async fn chat_names_its_sender_and_late_joiners_get_the_last_hundred() {
    let service = Service::start(config(true)).await;
    let host_token = join_token("par_host", "7", &[Grant::Publish, Grant::Chat], Some("Hana"));
    let mut host = Peer::with_token(&service, &host_token).await;
    host.chat("7").await;
    host.send_to("/app/-/chat/7", "{\"text\":\"hi \u{1F3A5}\",\"name\":\"Someone else\"}").await;
    let message = host.json().await;
    assert_eq!(message["type"], "message");
    assert_eq!(
        (&message["seq"], &message["from"], &message["name"]),
        (&json!(1), &json!("par_host"), &json!("Hana"))
    );
    assert_eq!((&message["host"], &message["text"]), (&json!(true), &json!("hi \u{1F3A5}")));
    // A service may talk as fast as it likes.
    let mut viewer = Peer::with_token(&service, &token("bot", Role::Service)).await;
    for n in 0..140 {
        viewer
            .send_to("/app/-/chat/7", &json!({"text": n.to_string(), "name": " V\u{202e}ic "}).to_string())
            .await;
    }
    for n in 0..140 {
        let message = host.json().await;
        assert_eq!(
            (&message["seq"], &message["name"], &message["host"]),
            (&json!(n + 2), &json!("Vic"), &json!(true))
        );
    }
    let mut late = Peer::guest(&service).await;
    late.chat("7").await;
    for seq in 42..=141 {
        assert_eq!(late.json().await["seq"], seq);
    }
    late.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_sent_again_on_another_connection_is_read_once() {
    let service = Service::start(config(true)).await;
    let mut reader = Peer::guest(&service).await;
    reader.chat("7").await;
    let body = json!({"text": "a", "id": "0123456789abcdef"}).to_string();
    let mut first = Peer::guest(&service).await;
    first.send_to("/app/-/chat/7", &body).await;
    assert_eq!(reader.json().await["id"], "0123456789abcdef");
    // Its answer was lost with the connection.
    first.leave().await;
    let mut again = Peer::guest(&service).await;
    again.subscribe("r", "/user/queue/replies").await;
    again.request("q", "/app/-/chat/7", &body).await;
    assert_eq!(again.reply().await, json!({"outcome": "done", "request": "q", "seq": 1}));
    again.request("q", "/app/-/chat/7", &json!({"text": "b", "id": "short"}).to_string()).await;
    assert_eq!(again.reply().await["reason"], "body");
    again.send_to("/app/-/chat/7", &json!({"text": "c"}).to_string()).await;
    let next = reader.json().await;
    assert_eq!((&next["seq"], &next["text"], next.get("id")), (&json!(2), &json!("c"), None));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_comes_at_once_and_moves() {
    let service = Service::start(config(true)).await;
    let mut watcher = Peer::guest(&service).await;
    watcher.subscribe("p", "/topic/-/presence/7").await;
    assert_eq!(watcher.json().await, json!({"viewer_count": 0, "chatting": 0}));
    let mut viewer = Peer::guest(&service).await;
    viewer.send_to("/app/7", "{}").await;
    viewer.chat("7").await;
    watcher.json_where(|body| *body == json!({"viewer_count": 1, "chatting": 1})).await;
    viewer.leave().await;
    watcher.json_where(|body| *body == json!({"viewer_count": 0, "chatting": 0})).await;
    service.stop().await;
}

fn broadcast(name: &str, status: &str) -> serde_json::Value {
    json!({"broadcast": {
        "id": 7, "name": name, "description": "d", "status": status, "viewer_count": 0, "started_at": null,
        "ended_at": null, "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_told_of_to_who_reads_it() {
    let service = Service::start(config(false)).await;
    let (mut reader, mut other) = (Peer::guest(&service).await, Peer::guest(&service).await);
    reader.subscribe("g", "/topic/-/group/grp_a").await;
    other.subscribe("g", "/topic/-/group/grp_b").await;
    let http = reqwest::Client::new();
    let news = |id: &str, version: i64, deleted: bool| {
        json!({"version": version, "deleted": deleted, "group": {
            "id": id, "name": "n", "max_participants": 9, "admission": "link", "metadata": {"a": 1},
            "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
        }})
    };
    let tell = async |body: &serde_json::Value, bearer: String| {
        let told = http.post(service.url("/internal/events")).bearer_auth(bearer).json(body);
        told.send().await.unwrap().status().as_u16()
    };
    let service_token = || token("meta", Role::Service);
    assert_eq!(tell(&news("grp_a", 1, false), token("admin", Role::Admin)).await, 403);
    for (version, deleted) in [(2, false), (3, true)] {
        assert_eq!(tell(&news("grp_a", version, deleted), service_token()).await, 204);
        assert_eq!(reader.json().await, news("grp_a", version, deleted));
    }
    // To nobody else: the first that the other one reads is its own.
    assert_eq!(tell(&news("grp_b", 1, false), service_token()).await, 204);
    assert_eq!(other.json().await, news("grp_b", 1, false));
    assert_eq!(tell(&json!({"group": {}}), service_token()).await, 400);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_that_never_ends_is_given_up() {
    let service = Service::start(config(false)).await;
    let mut stream = tokio::net::TcpStream::connect(service.address).await.unwrap();
    let head = format!(
        "POST /internal/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        token("meta", Role::Service)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcast_state_merges_meta_nodes_and_counts() {
    let service = Service::start(config(false)).await;
    let http = reqwest::Client::new();
    let post = |bearer: Option<String>, body: serde_json::Value| {
        let request = http.post(service.url("/internal/events")).json(&body);
        async move {
            let request = if let Some(bearer) = bearer { request.bearer_auth(bearer) } else { request };
            let response = request.send().await.unwrap();
            let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            (response.status().as_u16(), kind.unwrap_or_default())
        }
    };
    let problem = "application/problem+json".to_owned();
    assert_eq!(post(None, broadcast("n", "READY")).await, (401, problem.clone()));
    assert_eq!(post(Some("x".into()), broadcast("n", "READY")).await, (401, problem.clone()));
    assert_eq!(post(Some(token("ann", Role::Admin)), broadcast("n", "READY")).await, (403, problem.clone()));
    let service_token = || Some(token("meta", Role::Service));
    assert_eq!(post(service_token(), json!({})).await, (400, problem));

    let mut all = Peer::guest(&service).await;
    all.subscribe("a", "/topic/-/broadcasts").await;
    let mut early = Peer::guest(&service).await;
    early.subscribe("b", "/topic/-/broadcast/7").await;
    assert_eq!(early.json().await, json!({"id": 7, "viewer_count": 0}));
    assert_eq!(post(service_token(), broadcast("news", "STREAMING")).await.0, 204);
    let state = early.json().await;
    assert_eq!((&state["name"], &state["status"]), (&json!("news"), &json!("STREAMING")));
    assert_eq!(all.json().await["name"], "news");

    let mut node = Peer::with_token(&service, &token("nod_1", Role::Service)).await;
    let tracks = json!({"rooms": [{"room": "7", "media": "live", "tracks": [
        {"id": "trk_1", "owner": "par_1", "source": "camera", "codec": "VP8", "active": true}]}]});
    node.send_to("/app/-/sfu/nod_1/tracks", &tracks.to_string()).await;
    let state = early.json().await;
    assert_eq!((&state["media"], &state["tracks"][0]["source"]), (&json!("live"), &json!("camera")));
    let brief = all.json().await;
    assert_eq!((&brief["media"], brief.get("tracks")), (&json!("live"), None));

    let viewers = json!({"rooms": [{"room": "7", "subjects": ["par_2"], "anonymous": 0}]});
    node.send_to("/app/-/sfu/nod_1/viewers", &viewers.to_string()).await;
    early.json_where(|state| state["viewer_count"] == 1 && state["name"] == "news").await;
    let mut late = Peer::guest(&service).await;
    late.subscribe("b", "/topic/-/broadcast/7").await;
    let state = late.json().await;
    assert_eq!(
        (&state["name"], &state["viewer_count"], &state["media"]),
        (&json!("news"), &json!(1), &json!("live"))
    );
    // The end comes with its times, and what is told later of an earlier time changes nothing.
    let mut over = broadcast("news", "CLOSED");
    over["version"] = json!(9);
    over["broadcast"]["started_at"] = json!("2026-01-01T00:00:01Z");
    over["broadcast"]["ended_at"] = json!("2026-01-01T00:10:00Z");
    assert_eq!(post(service_token(), over).await.0, 204);
    let state = late.json_where(|state| state["status"] == "CLOSED").await;
    assert_eq!(
        (&state["started_at"], &state["ended_at"], &state["created_at"]),
        (&json!("2026-01-01T00:00:01Z"), &json!("2026-01-01T00:10:00Z"), &json!("2026-01-01T00:00:00Z"))
    );
    let mut earlier = broadcast("olds", "STREAMING");
    earlier["version"] = json!(8);
    assert_eq!(post(service_token(), earlier).await.0, 204);
    let mut last = Peer::guest(&service).await;
    last.subscribe("b", "/topic/-/broadcast/7").await;
    assert_eq!(last.json().await["status"], "CLOSED");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_wherever_it_stands() {
    let expired = support::keys().mint("par_1", Role::Creator, 1_000, 60);
    let other = contract::token::TokenKeys::new(&SECRET.replace('0', "9"), None).unwrap();
    let foreign = other.mint("par_1", Role::Admin, service_kit::unix_now(), 60);
    for dev in [true, false] {
        let service = Service::start(config(dev)).await;
        for (header, message) in [
            (format!("Authorization:Bearer {expired}"), "the token has expired"),
            (format!("passcode:{foreign}"), "the token is not valid"),
            (format!("token:{foreign}"), "the token is not valid"),
            ("Authorization:Bearer x".into(), "the token is not valid"),
        ] {
            let mut peer = Peer::open(&service).await;
            peer.send(&format!("CONNECT\naccept-version:1.2\n{header}\n\n\0")).await;
            assert_eq!(peer.error().await, (message.into(), 1008));
        }
        let good = join_token("par_1", "7", &VIEWER, None);
        let mut peer = Peer::open(&service).await;
        peer.send(&format!("CONNECT\naccept-version:1.2\nlogin:x\npasscode:{good}\n\n\0")).await;
        assert_eq!(peer.frame().await.command, stomp_proto::Command::Connected);
        // A passcode out of habit makes a guest in the development mode only.
        let mut peer = Peer::open(&service).await;
        peer.send("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\0").await;
        let connected = peer.frame().await.command == stomp_proto::Command::Connected;
        assert_eq!(connected, dev);
        service.stop().await;
    }
}
