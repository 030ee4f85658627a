//! `/groups`, `/groups/{id}`.

use contract::token::Role;
use serde_json::{Value, json};

use crate::support::{Api, Backend, ask, on_both};

on_both!(
    a_group_is_created_read_and_deleted,
    groups_page,
    a_repeat_shows_the_same_key,
    production_lists_for_admins
);

async fn a_group_is_created_read_and_deleted(backend: Backend) {
    let api = Api::dev(backend).await;
    let made = ask(api.post("/groups").json(&json!({ "name": "팀" }))).await;
    assert_eq!(made.status, 201);
    let created = made.json();
    let id = created["id"].as_str().unwrap();
    let key = created["owner_key"].as_str().unwrap();
    assert!(id.starts_with("grp_") && key.starts_with("ok_"));
    let path = made.header("location");
    assert_eq!(path, format!("/groups/{id}"));
    let read = ask(api.get(path)).await.json();
    assert_eq!((&read["id"], &read["name"]), (&json!(id), &json!("팀")));
    assert!(read.get("owner_key").is_none());
    ask(api.delete(path)).await.is_problem(401);
    assert_eq!(ask(api.delete(path).bearer_auth(key)).await.status, 204);
    ask(api.get(path)).await.is_problem(404);
    ask(api.delete(path).bearer_auth(key)).await.is_problem(404);
    // The name may be left out; nothing else may be wrong.
    assert_eq!(ask(api.post("/groups").json(&json!({}))).await.status, 201);
    for body in
        [json!({ "name": 1 }), json!({ "name": "x".repeat(256) }), json!({ "name": null }), json!([1])]
    {
        ask(api.post("/groups").json(&body)).await.is_problem(400);
    }
    ask(api.get("/groups/1")).await.is_problem(404);
}

async fn groups_page(backend: Backend) {
    let api = Api::dev(backend).await;
    for n in 0..3 {
        ask(api.post("/groups").json(&json!({ "name": format!("g{n}") }))).await;
    }
    let names = |rows: &Value| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect()
    };
    let page = ask(api.get("/groups?limit=2")).await;
    assert_eq!(names(&page.json()), ["g2", "g1"]);
    let next = page.header("link").split_once('>').unwrap().0.trim_start_matches('<').to_owned();
    let page = ask(api.get(&next)).await;
    assert_eq!(names(&page.json()), ["g0"]);
    assert_eq!(page.header("link"), "");
    ask(api.get("/groups?limit=0")).await.is_problem(400);
    ask(api.get("/groups?cursor=x")).await.is_problem(400);
}

async fn a_repeat_shows_the_same_key(backend: Backend) {
    let api = Api::dev(backend).await;
    let key = "0123456789abcdef0123456789abcdef";
    let post = |name: &str| api.post("/groups").header("idempotency-key", key).json(&json!({ "name": name }));
    let (first, second) = (ask(post("a")).await.json(), ask(post("a")).await.json());
    assert_eq!(first, second);
    ask(post("b")).await.is_problem(422);
    let path = format!("/groups/{}", first["id"].as_str().unwrap());
    let owner_key = second["owner_key"].as_str().unwrap();
    assert_eq!(ask(api.delete(&path).bearer_auth(owner_key)).await.status, 204);
    // What it made is gone: another request needs another key.
    ask(post("a")).await.is_problem(422);
}

async fn production_lists_for_admins(backend: Backend) {
    let api = Api::production(backend).await;
    ask(api.get("/groups")).await.is_problem(401);
    ask(api.get("/groups").bearer_auth(api.token(Role::Creator))).await.is_problem(403);
    assert_eq!(ask(api.get("/groups").bearer_auth(api.token(Role::Admin))).await.status, 200);
}
