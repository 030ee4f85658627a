//! `/internal/...`: who may, and what is refused. What the reports do is in `lifecycle`.

use contract::token::Role;
use serde_json::json;

use crate::support::{Api, Backend, Created, ask, on_both};

on_both!(a_publisher_is_admitted_by_its_key, only_services_come_in, wrong_reports_are_refused);

async fn a_publisher_is_admitted_by_its_key(backend: Backend) {
    let api = Api::production(backend).await;
    let made = api.created("a").await;
    let (id, key) = (made.id, made.stream_key);
    let other = api.created("b").await.stream_key;
    let service = api.token(Role::Service);
    let admit = |id: i64, key: &str| {
        let body = json!({ "stream_key": key, "node_id": "nod_1" });
        ask(api.post(&format!("/internal/broadcasts/{id}/admit")).bearer_auth(&service).json(&body))
    };
    let admitted = admit(id, &key).await;
    assert_eq!((admitted.status, admitted.json()), (200, json!({ "broadcast_id": id, "key_revision": 1 })));
    for wrong in [other.as_str(), made.owner_key.as_str(), "", "sk_", "x", &key[..key.len() - 1]] {
        admit(id, wrong).await.is_problem(401);
    }
    admit(999, &key).await.is_problem(404);
    let replaced = ask(api.post(&format!("/broadcasts/{id}/key")).bearer_auth(&made.owner_key)).await.json();
    admit(id, &key).await.is_problem(401);
    let key = replaced["stream_key"].as_str().unwrap();
    assert_eq!(admit(id, key).await.json()["key_revision"], 2);
    let close = api.put(&format!("/broadcasts/{id}")).bearer_auth(&made.owner_key);
    assert_eq!(ask(close.json(&json!({ "status": "CLOSED" }))).await.status, 200);
    admit(id, key).await.is_problem(409);
}

async fn only_services_come_in(backend: Backend) {
    let api = Api::dev(backend).await;
    let Created { id, stream_key: key, .. } = api.created("a").await;
    let admit =
        (format!("/internal/broadcasts/{id}/admit"), json!({ "stream_key": key, "node_id": "nod_1" }));
    let node = ("/internal/nodes/nod_1/report".to_owned(), json!({ "public_url": "", "broadcasts": [] }));
    let rooms = ("/internal/rooms/report".to_owned(), json!({ "replica": "one", "rooms": [] }));
    for (path, body) in [admit, node, rooms] {
        ask(api.post(&path).json(&body)).await.is_problem(401);
        for bearer in [api.token(Role::Admin), api.token(Role::Creator), key.clone()] {
            ask(api.post(&path).bearer_auth(bearer).json(&body)).await.is_problem(403);
        }
        let answer = ask(api.post(&path).bearer_auth(api.token(Role::Service)).json(&body)).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
        ask(api.get(&path)).await.is_problem(405);
    }
}

async fn wrong_reports_are_refused(backend: Backend) {
    let api = Api::dev(backend).await;
    let service = api.token(Role::Service);
    let post = |path: &str, body: serde_json::Value| ask(api.post(path).bearer_auth(&service).json(&body));
    post("/internal/nodes/par_1/report", json!({ "public_url": "", "broadcasts": [] })).await.is_problem(404);
    post("/internal/nodes/nod_1/report", json!({ "broadcasts": [] })).await.is_problem(400);
    post("/internal/rooms/report", json!({ "replica": "", "rooms": [] })).await.is_problem(400);
    let room = json!({ "room": "a/b", "viewer_count": 1, "p2p_streamer": false });
    post("/internal/rooms/report", json!({ "replica": "one", "rooms": [room] })).await.is_problem(400);
    post("/internal/broadcasts/x/admit", json!({ "stream_key": "", "node_id": "nod_1" }))
        .await
        .is_problem(404);
}
