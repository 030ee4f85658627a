//! `/broadcasts`, `/broadcasts/{id}`, `/broadcasts/{id}/key`.

use contract::token::Role;
use meta_service::Config;
use serde_json::{Value, json};

use crate::support::{Api, Backend, Database, ask, config, on_both};

on_both!(
    a_created_broadcast_is_read_and_listed,
    what_the_original_pages_send_and_get,
    wrong_bodies_are_refused,
    the_list_pages_with_links,
    a_search_with_parameters,
    wrong_parameters_are_refused,
    an_edit_is_partial_and_conditional,
    an_unchanged_broadcast_is_not_sent_again,
    statuses_do_not_go_back,
    a_repeated_idempotency_key_shows_no_key,
    the_stream_key_can_be_replaced,
    edits_at_the_same_time_lose_nothing,
    no_stored_key_is_readable,
);

async fn a_created_broadcast_is_read_and_listed(backend: Backend) {
    let api = Api::dev(backend).await;
    let body = json!({ "name": "Morning <b>", "description": "좋은 아침" });
    let made = ask(api.post("/broadcasts").json(&body)).await;
    assert_eq!(made.status, 201);
    let created = made.json();
    let id = created["id"].as_i64().expect("a JSON number");
    assert_eq!(made.header("location"), format!("/broadcasts/{id}"));
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(created["stream_key"].as_str().unwrap().starts_with("sk_"));
    assert_eq!(created["whip_url"], format!("{}/whip/{id}", api.base));
    assert_eq!(created["whep_url"], format!("{}/whep/{id}", api.base));
    assert_eq!(created["watch_url"], format!("{}/watch/{id}", api.base));
    assert_eq!(created["ice_servers"][0]["urls"], json!(["stun:stun.example:3478"]));
    assert_eq!(created["ice_servers"][1]["urls"], json!(["turn:127.0.0.1:3478?transport=udp"]));

    let read = ask(api.get(&format!("/broadcasts/{id}"))).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.header("etag"), made.header("etag"));
    let broadcast = read.json();
    let fields: Vec<&str> = broadcast.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "created_at",
        "description",
        "ended_at",
        "id",
        "modified_at",
        "name",
        "started_at",
        "status",
        "viewer_count",
    ];
    assert_eq!(fields, expected);
    assert_eq!((&broadcast["name"], &broadcast["status"]), (&body["name"], &json!("READY")));
    assert_eq!((&broadcast["started_at"], &broadcast["viewer_count"]), (&Value::Null, &json!(0)));
    assert_eq!(ask(api.get("/broadcasts")).await.json(), json!([broadcast]));
    for missing in
        ["/broadcasts/999999", "/broadcasts/0", "/broadcasts/x", "/broadcasts/99999999999999999999"]
    {
        ask(api.get(missing)).await.is_problem(404);
    }
}

async fn what_the_original_pages_send_and_get(backend: Backend) {
    let api = Api::dev(backend).await;
    for (name, description) in [("", ""), ("a", ""), ("", "b")] {
        let request = api.post("/broadcasts").header("origin", "http://pages.other");
        let made = ask(request.json(&json!({ "name": name, "description": description }))).await;
        assert_eq!(made.status, 201);
        assert_eq!(made.header("access-control-allow-origin"), "http://pages.other");
        for exposed in ["etag", "link", "location"] {
            assert!(made.header("access-control-expose-headers").contains(exposed));
        }
    }
    let list = ask(api.get("/broadcasts")).await.json();
    let ids: Vec<i64> = list.as_array().unwrap().iter().map(|b| b["id"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted() && ids.len() == 3, "{ids:?}");
    // A parameter that means nothing changes nothing.
    assert_eq!(ask(api.get("/broadcasts?_=1")).await.json(), list);
    let preflight = api.request(reqwest::Method::OPTIONS, "/broadcasts/1").header("origin", "http://x");
    let preflight = ask(preflight.header("access-control-request-method", "PUT")).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, "http://x"));
}

async fn wrong_bodies_are_refused(backend: Backend) {
    let api = Api::dev(backend).await;
    let long = "x".repeat(256);
    for body in [
        json!({}),
        json!({ "name": "a" }),
        json!({ "description": "a" }),
        json!({ "name": 1, "description": "" }),
        json!({ "name": null, "description": "" }),
        json!({ "name": long, "description": "" }),
        json!({ "name": "", "description": "한".repeat(256) }),
        json!({ "name": "a\u{0}", "description": "" }),
        json!([]),
        json!(["a", "b"]),
        json!("text"),
        Value::Null,
    ] {
        ask(api.post("/broadcasts").json(&body)).await.is_problem(400);
    }
    let fits = json!({ "name": "한".repeat(255), "description": "x".repeat(255) });
    assert_eq!(ask(api.post("/broadcasts").json(&fits)).await.status, 201);
    let raw =
        |text: &'static str| api.post("/broadcasts").header("content-type", "application/json").body(text);
    for text in ["", "{", "{\"name\":", "\u{feff}{}", "{\"name\":\"\\ud800\",\"description\":\"\"}"] {
        ask(raw(text)).await.is_problem(400);
    }
    ask(raw(Box::leak("[".repeat(60_000).into_boxed_str()))).await.is_problem(400);
    ask(api.post("/broadcasts").body("name=a")).await.is_problem(415);
    let form = api.post("/broadcasts").header("content-type", "application/x-www-form-urlencoded");
    ask(form.body("name=a&description=b")).await.is_problem(415);
    let with_charset = api.post("/broadcasts").header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(ask(with_charset.body("{\"name\":\"\",\"description\":\"\"}")).await.status, 201);
    let large = json!({ "name": "", "description": "", "more": "x".repeat(65_536) });
    ask(api.post("/broadcasts").json(&large)).await.is_problem(413);
}

async fn the_list_pages_with_links(backend: Backend) {
    let api = Api::dev(backend).await;
    for n in 0..5 {
        api.create(&format!("b{n}")).await;
    }
    let mut names = Vec::new();
    let mut next = "/broadcasts?limit=2&q=b".to_owned();
    loop {
        let page = ask(api.get(&next)).await;
        assert_eq!(page.status, 200);
        let rows = page.json();
        names.extend(rows.as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap().to_owned()));
        let link = page.header("link");
        if link.is_empty() {
            break;
        }
        let (path, relation) = link.split_once(">; ").unwrap();
        assert_eq!(relation, "rel=\"next\"");
        next = path.trim_start_matches('<').to_owned();
    }
    assert_eq!(names, ["b4", "b3", "b2", "b1", "b0"]);
    // A page that ends exactly at the last row has no next one.
    assert_eq!(ask(api.get("/broadcasts?limit=5")).await.header("link"), "");
}

async fn a_search_with_parameters(backend: Backend) {
    let api = Api::dev(backend).await;
    api.create("Cats & dogs").await;
    api.create("100%").await;
    let found = async |query: &str| {
        let answer = ask(api.get(&format!("/broadcasts?{query}"))).await;
        answer.json().as_array().unwrap().len()
    };
    assert_eq!(found("q=cats+%26").await, 1);
    assert_eq!(found("q=%25").await, 1);
    assert_eq!(found("q=").await, 2);
    assert_eq!(found("status=READY").await, 2);
    assert_eq!(found("status=STREAMING").await, 0);
    assert_eq!(found("q=%27%20OR%20%271%27%3D%271").await, 0);
    let (id, _) = api.create("busy").await;
    let body = json!({ "viewer_count": 9 });
    let put = api.put(&format!("/broadcasts/{id}")).bearer_auth(api.token(Role::Service)).json(&body);
    assert_eq!(ask(put).await.status, 200);
    api.create("latest").await;
    let first = async |sort: &str| {
        ask(api.get(&format!("/broadcasts?sort={sort}&limit=1"))).await.json()[0]["name"].clone()
    };
    assert_eq!(first("viewers").await, "busy");
    assert_eq!(first("newest").await, "latest");
}

async fn wrong_parameters_are_refused(backend: Backend) {
    let api = Api::dev(backend).await;
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "limit=",
        "status=ready",
        "status=",
        "sort=oldest",
        "cursor=x",
        "cursor=1",
        "cursor=1-",
        "q=%00",
        "limit=1&limit=2",
        "limit=99999999999999999999",
    ] {
        ask(api.get(&format!("/broadcasts?{query}"))).await.is_problem(400);
    }
    let long = format!("/broadcasts?q={}", "x".repeat(256));
    ask(api.get(&long)).await.is_problem(400);
}

async fn an_edit_is_partial_and_conditional(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("before").await;
    let path = format!("/broadcasts/{id}");
    let etag = ask(api.get(&path)).await.header("etag").to_owned();
    let put = |body: Value| api.put(&path).bearer_auth(&key).json(&body);
    let edited = ask(put(json!({ "name": "after" })).header("if-match", &etag)).await;
    assert_eq!(edited.status, 200);
    assert_eq!((&edited.json()["name"], &edited.json()["description"]), (&json!("after"), &json!("")));
    assert_ne!(edited.header("etag"), etag);
    ask(put(json!({ "name": "late" })).header("if-match", &etag)).await.is_problem(412);
    ask(put(json!({ "name": "late" })).header("if-match", "rubbish")).await.is_problem(412);
    assert_eq!(ask(put(json!({ "description": "d" })).header("if-match", "*")).await.status, 200);
    let now = edited.header("etag");
    // Nothing asked, nothing changed; null asks nothing.
    let same = ask(put(json!({ "name": null }))).await;
    assert_eq!((same.status, &same.json()["name"]), (200, &json!("after")));
    assert_ne!(same.header("etag"), now);
    assert_eq!(ask(put(json!({}))).await.header("etag"), same.header("etag"));
    for body in
        [json!({ "name": "x".repeat(256) }), json!({ "name": 1 }), json!({ "status": "OPEN" }), json!([])]
    {
        ask(put(body)).await.is_problem(400);
    }
    for body in [
        json!({ "viewer_count": 5 }),
        json!({ "started_at": "2026-01-01T00:00:00Z" }),
        json!({ "status": "STREAMING" }),
    ] {
        ask(put(body)).await.is_problem(403);
    }
    ask(api.put("/broadcasts/999").bearer_auth(&key).json(&json!({}))).await.is_problem(404);
    ask(api.put("/broadcasts/999").json(&json!({}))).await.is_problem(401);
    // What was read may be sent back whole.
    let whole = api.broadcast(id).await;
    assert_eq!(ask(put(whole)).await.status, 200);
    assert_eq!(api.broadcast(id).await["description"], "d");
}

async fn an_unchanged_broadcast_is_not_sent_again(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}");
    let etag = ask(api.get(&path)).await.header("etag").to_owned();
    let same = ask(api.get(&path).header("if-none-match", format!("\"x\", W/{etag}"))).await;
    assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", etag.as_str()));
    // Viewers come and go without it.
    let service = api.token(Role::Service);
    api.report("/internal/rooms/report", &rooms(id, 4)).await;
    api.pass(1).await;
    assert_eq!(api.broadcast(id).await["viewer_count"], 4);
    assert_eq!(ask(api.get(&path).header("if-none-match", &etag)).await.status, 304);
    let edit = api.put(&path).bearer_auth(&key).json(&json!({ "description": "new" }));
    assert_eq!(ask(edit).await.status, 200);
    let changed = ask(api.get(&path).header("if-none-match", &etag)).await;
    assert_eq!((changed.status, &changed.json()["description"]), (200, &json!("new")));
    let started = api.put(&path).bearer_auth(service).json(&json!({ "status": "STREAMING" }));
    let started = ask(started).await;
    assert_ne!(started.header("etag"), changed.header("etag"));
}

fn rooms(id: i64, viewers: i64) -> Value {
    let room = json!({ "room": id.to_string(), "viewer_count": viewers, "p2p_streamer": false });
    json!({ "replica": "one", "rooms": [room] })
}

async fn statuses_do_not_go_back(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}");
    let service = api.token(Role::Service);
    let set =
        |token: &str, status: &str| api.put(&path).bearer_auth(token).json(&json!({ "status": status }));
    let streaming = ask(set(&service, "STREAMING")).await.json();
    assert!(streaming["started_at"].is_string() && streaming["ended_at"].is_null());
    ask(set(&service, "READY")).await.is_problem(409);
    assert_eq!(ask(set(&service, "STREAMING")).await.status, 200);
    let closed = ask(set(&key, "CLOSED")).await.json();
    assert_eq!((&closed["status"], closed["ended_at"].is_string()), (&json!("CLOSED"), true));
    for status in ["READY", "STREAMING"] {
        ask(set(&service, status)).await.is_problem(409);
        ask(set(&key, status)).await.is_problem(409);
    }
    assert_eq!(ask(set(&key, "CLOSED")).await.status, 200);
    let times = json!({ "ended_at": "2001-01-01T00:00:00Z" });
    ask(api.put(&path).bearer_auth(&service).json(&times)).await.is_problem(400);
    ask(api.put(&path).bearer_auth(&service).json(&json!({ "viewer_count": -1 }))).await.is_problem(400);
    let viewers = ask(api.put(&path).bearer_auth(&service).json(&json!({ "viewer_count": 5 }))).await;
    assert_eq!(viewers.json()["viewer_count"], 0);
}

async fn a_repeated_idempotency_key_shows_no_key(backend: Backend) {
    let api = Api::dev(backend).await;
    let body = json!({ "name": "a", "description": "" });
    let post = |key: &str, body: &Value| api.post("/broadcasts").header("idempotency-key", key).json(body);
    let first = ask(post("k1", &body)).await;
    let second = ask(post("k1", &body)).await;
    assert_eq!((first.status, second.status), (201, 201));
    let (first, second) = (first.json(), second.json());
    assert_eq!(first["id"], second["id"]);
    assert!(first["stream_key"].is_string() && second["stream_key"].is_null());
    ask(post("k1", &json!({ "name": "b", "description": "" }))).await.is_problem(422);
    // Another caller's key is another key, and so is the key of a group.
    let other = ask(post("k1", &body).bearer_auth(api.token(Role::Creator))).await.json();
    assert_ne!(other["id"], first["id"]);
    assert!(other["stream_key"].is_string());
    let group = api.post("/groups").header("idempotency-key", "k1").json(&json!({ "name": "a" }));
    assert_eq!(ask(group).await.status, 201);
    assert_eq!(ask(api.get("/broadcasts")).await.json().as_array().unwrap().len(), 2);
    for bad in ["", "with space", &"x".repeat(256)] {
        ask(post(bad, &body)).await.is_problem(400);
    }
}

async fn the_stream_key_can_be_replaced(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, old) = api.create("a").await;
    let path = format!("/broadcasts/{id}/key");
    let replaced = ask(api.post(&path).bearer_auth(&old)).await;
    assert_eq!((replaced.status, replaced.header("cache-control")), (200, "no-store"));
    let new = replaced.json()["stream_key"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    ask(api.post(&path).bearer_auth(&old)).await.is_problem(401);
    let edit =
        |key: &str| api.put(&format!("/broadcasts/{id}")).bearer_auth(key).json(&json!({ "name": "b" }));
    ask(edit(&old)).await.is_problem(401);
    assert_eq!(ask(edit(&new)).await.status, 200);
    assert_eq!(ask(api.post(&path).bearer_auth(api.token(Role::Admin))).await.status, 200);
    ask(edit(&new)).await.is_problem(401);
    ask(api.post("/broadcasts/999/key").bearer_auth(&new)).await.is_problem(404);
}

async fn edits_at_the_same_time_lose_nothing(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}");
    let put = |body: Value| ask(api.put(&path).bearer_auth(&key).json(&body));
    let (name, description) = tokio::join!(put(json!({ "name": "n" })), put(json!({ "description": "d" })));
    assert_eq!((name.status, description.status), (200, 200));
    let read = api.broadcast(id).await;
    assert_eq!((&read["name"], &read["description"]), (&json!("n"), &json!("d")));
    // With If-Match one of two wins.
    let etag = ask(api.get(&path)).await.header("etag").to_owned();
    let put = |name: &str| {
        ask(api.put(&path).bearer_auth(&key).header("if-match", &etag).json(&json!({ "name": name })))
    };
    let (a, b) = tokio::join!(put("x"), put("y"));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

async fn no_stored_key_is_readable(backend: Backend) {
    let api = Api::dev(backend).await;
    let (_, key) = api.create("a").await;
    let secret = key.strip_prefix("sk_").unwrap();
    let database = api.stop().await;
    let stored = match backend {
        Backend::Sqlite => {
            let bytes = std::fs::read(&database.url).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Backend::Postgres => {
            let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
            sqlx::query_scalar("SELECT string_agg(b::text, ' ') FROM broadcast b")
                .fetch_one(&pool)
                .await
                .unwrap()
        }
    };
    assert!(stored.contains("about") || stored.contains('a'));
    assert!(!stored.contains(secret));
    let encoded: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!stored.contains(&encoded));
}

#[tokio::test]
async fn one_address_creates_ten_a_minute() {
    let config = Config { create_per_minute: 10, ..config() };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    let post = |address: &str| {
        let body = json!({ "name": "", "description": "" });
        ask(api.post("/broadcasts").header("x-forwarded-for", address).json(&body))
    };
    for _ in 0..10 {
        assert_eq!(post("198.51.100.1").await.status, 201);
    }
    let refused = post("198.51.100.1").await;
    refused.is_problem(429);
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    // A group counts too; a wrong request and another address do not.
    let group = api.post("/groups").header("x-forwarded-for", "198.51.100.1").json(&json!({}));
    ask(group).await.is_problem(429);
    assert_eq!(post("198.51.100.2").await.status, 201);
    let wrong = api.post("/broadcasts").header("x-forwarded-for", "198.51.100.1").json(&json!({}));
    ask(wrong).await.is_problem(400);
}

#[tokio::test]
async fn public_urls_come_from_the_settings() {
    let config = Config {
        public_url: "https://live.example/".into(),
        sfu_public_url: "https://sfu.example".into(),
        ..config()
    };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    let made = ask(api.post("/broadcasts").json(&json!({ "name": "", "description": "" }))).await.json();
    let id = &made["id"];
    assert_eq!(made["watch_url"], format!("https://live.example/watch/{id}"));
    assert_eq!(made["whip_url"], format!("https://sfu.example/whip/{id}"));
}
