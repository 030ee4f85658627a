//! `/groups`, `/groups/{id}`.

use contract::token::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Backend, ask, on_both};

on_both!(
    a_group_is_created_read_and_deleted,
    settings_have_defaults_and_bounds,
    a_change_is_made_to_what_was_read,
    of_many_changes_at_once_none_is_lost,
    what_a_page_has_is_not_sent_again,
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

/// A group made with `body`: its path and owner key.
async fn group(api: &Api, body: &Value) -> (String, String) {
    let made = ask(api.post("/groups").json(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    (made.header("location").to_owned(), made.json()["owner_key"].as_str().unwrap().to_owned())
}

async fn settings_have_defaults_and_bounds(backend: Backend) {
    let api = Api::dev(backend).await;
    let made = ask(api.post("/groups").json(&json!({}))).await;
    let created = made.json();
    let id = created["id"].as_str().unwrap();
    assert_eq!(
        (&created["name"], &created["max_participants"], &created["admission"], &created["metadata"]),
        (&json!(""), &json!(100), &json!("link"), &json!({}))
    );
    assert_eq!(created["call_url"], format!("{}/call/{id}", api.base));
    let metadata = json!({ "room": 7, "한국": ["a", null, 1.5] });
    let wanted = json!({ "max_participants": 3, "admission": "key", "metadata": metadata });
    let (path, _) = group(&api, &wanted).await;
    let read = ask(api.get(&path)).await.json();
    assert_eq!(
        (&read["max_participants"], &read["admission"], &read["metadata"]),
        (&json!(3), &json!("key"), &metadata)
    );
    assert_eq!(read["created_at"], read["modified_at"]);
    for bad in [
        json!({ "max_participants": 0 }),
        json!({ "max_participants": 1001 }),
        json!({ "admission": "all" }),
        json!({ "metadata": [] }),
        json!({ "metadata": { "a": "x".repeat(4_096) } }),
        json!({ "metadata": { "a": [[[[[[[[1]]]]]]]] } }),
    ] {
        ask(api.post("/groups").json(&bad)).await.is_problem(400);
    }
}

async fn a_change_is_made_to_what_was_read(backend: Backend) {
    let api = Api::production(backend).await;
    let creator = api.token(Role::Creator);
    let body = json!({ "name": "first", "metadata": { "a": 1 } });
    let made = ask(api.post("/groups").bearer_auth(&creator).json(&body)).await;
    let (path, etag) = (made.header("location").to_owned(), made.header("etag").to_owned());
    let key = made.json()["owner_key"].as_str().unwrap().to_owned();
    let patch = |body: Value| api.request(Method::PATCH, &path).bearer_auth(&key).json(&body);
    api.clock.turn(chrono::TimeDelta::seconds(1));
    let changed =
        ask(patch(json!({ "name": " second\u{202e} ", "max_participants": 5 })).header("if-match", &etag))
            .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let group = changed.json();
    // What is not named stays.
    assert_eq!(
        (&group["name"], &group["max_participants"], &group["metadata"]),
        (&json!("second"), &json!(5), &json!({ "a": 1 }))
    );
    assert_ne!(group["created_at"], group["modified_at"]);
    let now = changed.header("etag");
    assert!(now != etag && ask(api.get(&path)).await.header("etag") == now);
    ask(patch(json!({ "name": "third" })).header("if-match", &etag)).await.is_problem(412);
    ask(api.delete(&path).bearer_auth(&key).header("if-match", &etag)).await.is_problem(412);
    // What says nothing new is no change.
    let same = ask(patch(json!({ "name": "second" }))).await;
    assert_eq!((same.status, same.header("etag"), same.json()), (200, now, group));
    let replaced = ask(patch(json!({ "metadata": { "b": 2 }, "admission": "key" }))).await.json();
    assert_eq!((&replaced["metadata"], &replaced["admission"]), (&json!({ "b": 2 }), &json!("key")));
    for bad in
        [json!({ "name": "x".repeat(256) }), json!({ "max_participants": 0 }), json!({ "metadata": 1 })]
    {
        ask(patch(bad)).await.is_problem(400);
    }
    let unknown = api.request(Method::PATCH, "/groups/grp_unknown").bearer_auth(&key);
    ask(unknown.json(&json!({}))).await.is_problem(404);
    let now = ask(api.get(&path)).await.header("etag").to_owned();
    assert_eq!(ask(api.delete(&path).bearer_auth(&key).header("if-match", now)).await.status, 204);
    ask(patch(json!({ "name": "late" }))).await.is_problem(404);
}

async fn of_many_changes_at_once_none_is_lost(backend: Backend) {
    let api = Api::dev(backend).await;
    let (path, key) = group(&api, &json!({})).await;
    let patches = (1..=60).map(|n| {
        let patch = api.request(Method::PATCH, &path).bearer_auth(&key);
        ask(patch.json(&json!({ "max_participants": n })))
    });
    let mut etags: Vec<String> = Vec::new();
    for answer in futures_util::future::join_all(patches).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
        etags.push(answer.header("etag").to_owned());
    }
    etags.sort_unstable();
    etags.dedup();
    assert_eq!(etags.len(), 60);
}

async fn what_a_page_has_is_not_sent_again(backend: Backend) {
    let api = Api::dev(backend).await;
    let (path, _) = group(&api, &json!({})).await;
    let etag = ask(api.get(&path)).await.header("etag").to_owned();
    let same = ask(api.get(&path).header("if-none-match", &etag)).await;
    assert_eq!((same.status, same.bytes.len(), same.header("etag")), (304, 0, etag.as_str()));
    assert_eq!(ask(api.get(&path).header("if-none-match", "\"other\"")).await.status, 200);
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
