//! `/broadcasts`, `/broadcasts/{id}`, `/broadcasts/{id}/key`.

use chrono::TimeDelta;
use contract::token::Role;
use meta_service::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Backend, Created, Database, ask, config, on_both};

on_both!(
    of_many_edits_at_once_none_is_lost,
    a_created_broadcast_is_read_and_listed,
    what_the_original_pages_send_and_get,
    wrong_bodies_are_refused,
    the_list_pages_with_links,
    a_plan_is_kept_moved_and_listed_soonest_first,
    a_search_with_parameters,
    wrong_parameters_are_refused,
    an_edit_is_partial_and_conditional,
    an_unchanged_broadcast_is_not_sent_again,
    statuses_do_not_go_back,
    a_repeated_request_gets_its_whole_answer,
    the_owner_replaces_the_stream_key,
    of_many_who_replace_a_key_one_does,
    the_creator_owns_what_it_creates,
    a_deleted_broadcast_is_gone,
    texts_lose_what_nobody_sees,
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
    for missing in [
        "/broadcasts/999999",
        "/broadcasts/0",
        "/broadcasts/01",
        "/broadcasts/x",
        "/broadcasts/99999999999999999999",
    ] {
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

async fn a_plan_is_kept_moved_and_listed_soonest_first(backend: Backend) {
    let api = Api::dev(backend).await;
    let now = api.get("/broadcasts").send().await.unwrap().headers()["date"].to_str().unwrap().to_owned();
    let now = chrono::DateTime::parse_from_rfc2822(&now).unwrap().to_utc();
    let at = |hours: i64| (now + TimeDelta::hours(hours)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let make = async |name: &str, planned: Value| {
        let made = ask(api
            .post("/broadcasts")
            .json(&json!({ "name": name, "description": "", "planned_at": planned })));
        made.await
    };
    api.create("unplanned").await;
    for (name, hours) in [("c", 3), ("a", 1), ("d", 4), ("b", 2)] {
        assert_eq!(make(name, json!(at(hours))).await.status, 201);
    }
    let mut names = Vec::new();
    let mut next = "/broadcasts?sort=planned&status=READY&limit=1".to_owned();
    while !next.is_empty() {
        let page = ask(api.get(&next)).await;
        let rows = page.json();
        assert!(rows[0]["planned_at"].is_string());
        names.push(rows[0]["name"].as_str().unwrap().to_owned());
        let link = page.header("link");
        next =
            link.split_once(">; ").map_or(String::new(), |(path, _)| path.trim_start_matches('<').to_owned());
    }
    assert_eq!(names, ["a", "b", "c", "d"]);
    let found = ask(api.get("/broadcasts?sort=planned&q=c")).await.json();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["name"]), (1, &json!("c")));

    let made = make("moved", json!(at(5))).await.json();
    let (path, key) = (format!("/broadcasts/{}", made["id"]), made["owner_key"].as_str().unwrap().to_owned());
    let put = async |body: Value| ask(api.put(&path).bearer_auth(&key).json(&body)).await;
    let moved = put(json!({ "planned_at": at(6) })).await;
    assert_eq!((moved.status, moved.json()["planned_at"].clone()), (200, json!(at(6))));
    assert_eq!(put(json!({ "name": "other" })).await.json()["planned_at"], json!(at(6)));
    // A client that knows no plans reads one more field; nothing is there where nothing is planned.
    let back = put(json!({ "planned_at": null })).await.json();
    assert!(back.as_object().unwrap().get("planned_at").is_none(), "{back}");
    let wrong =
        [(json!(at(-25)), 422), (json!(at(24 * 367)), 422), (json!("tomorrow"), 400), (json!(5), 400)];
    for (wrong, status) in wrong {
        put(json!({ "planned_at": wrong })).await.is_problem(status);
        make("wrong", wrong).await.is_problem(status);
    }
    let anybody = ask(api.put(&path).json(&json!({ "planned_at": at(1) }))).await;
    anybody.is_problem(401);
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

async fn a_repeated_request_gets_its_whole_answer(backend: Backend) {
    let api = Api::dev(backend).await;
    let body = json!({ "name": "a", "description": "" });
    let (k1, k2) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let post = |key: &str, body: &Value| api.post("/broadcasts").header("idempotency-key", key).json(body);
    let first = ask(post(k1, &body)).await;
    let second = ask(post(k1, &body)).await;
    assert_eq!((first.status, second.status), (201, 201));
    for name in ["location", "etag", "cache-control"] {
        assert_eq!(first.header(name), second.header(name));
    }
    let (first, second) = (first.json(), second.json());
    assert_eq!(first, second);
    assert!(first["stream_key"].as_str().unwrap().starts_with("sk_"));
    assert!(first["owner_key"].as_str().unwrap().starts_with("ok_"));
    ask(post(k1, &json!({ "name": "b", "description": "" }))).await.is_problem(422);
    assert_ne!(ask(post(k2, &body)).await.json()["id"], first["id"]);
    // Another caller's key is another key, and so is the key of a group.
    let other = ask(post(k1, &body).bearer_auth(api.token(Role::Creator))).await.json();
    assert_ne!(other["id"], first["id"]);
    let group = api.post("/groups").header("idempotency-key", k1).json(&json!({ "name": "a" }));
    assert_eq!(ask(group).await.status, 201);
    assert_eq!(ask(api.get("/broadcasts")).await.json().as_array().unwrap().len(), 3);
    for bad in ["", "k1", &"x".repeat(21), "with space in the middle", &"x".repeat(256)] {
        ask(post(bad, &body)).await.is_problem(400);
    }
    // Many at once make one, and all have its keys.
    let k3 = "00112233445566778899aabbccddeeff";
    let answers = futures_util::future::join_all((0..8).map(|_| ask(post(k3, &body)))).await;
    let answers: Vec<Value> = answers.iter().map(Answer::json).collect();
    assert!(answers.iter().all(|answer| answer["owner_key"] == answers[0]["owner_key"]), "{answers:?}");
    // It is as it is now; the keys are those of the answer.
    let path = format!("/broadcasts/{}", first["id"]);
    let owner_key = first["owner_key"].as_str().unwrap();
    let close = api.put(&path).bearer_auth(owner_key).json(&json!({ "status": "CLOSED" }));
    assert_eq!(ask(close).await.status, 200);
    let third = ask(post(k1, &body)).await.json();
    assert_eq!((&third["status"], &third["owner_key"]), (&json!("CLOSED"), &first["owner_key"]));
    assert_eq!(ask(api.delete(&path).bearer_auth(owner_key)).await.status, 204);
    ask(post(k1, &body)).await.is_problem(422);
}

async fn the_owner_replaces_the_stream_key(backend: Backend) {
    let api = Api::dev(backend).await;
    let Created { id, stream_key: old, owner_key } = api.created("a").await;
    let path = format!("/broadcasts/{id}/key");
    ask(api.post(&path).bearer_auth(&old)).await.is_problem(403);
    let replaced = ask(api.post(&path).bearer_auth(&owner_key)).await;
    assert_eq!((replaced.status, replaced.header("cache-control")), (200, "no-store"));
    let new = replaced.json()["stream_key"].as_str().unwrap().to_owned();
    assert!(new.starts_with("sk_") && new != old);
    // The old key is nothing any more, the new one publishes, and the owner stays the owner.
    let ice = |key: &str| ask(api.get("/ice-servers").bearer_auth(key));
    ice(&old).await.is_problem(401);
    assert_eq!(ice(&new).await.status, 200);
    let edit = api.put(&format!("/broadcasts/{id}")).bearer_auth(&owner_key).json(&json!({ "name": "b" }));
    assert_eq!(ask(edit).await.status, 200);
    // Who names what is replaced replaces nothing else.
    let named = |key: &str| api.post(&path).bearer_auth(&owner_key).json(&json!({ "stream_key": key }));
    ask(named(&old)).await.is_problem(409);
    ask(named("nothing")).await.is_problem(400);
    assert_eq!(ask(named(&new)).await.status, 200);
    ice(&new).await.is_problem(401);
    assert_eq!(ask(api.post(&path).bearer_auth(api.token(Role::Admin))).await.status, 200);
    ask(api.post("/broadcasts/999/key").bearer_auth(&owner_key)).await.is_problem(404);
}

async fn of_many_who_replace_a_key_one_does(backend: Backend) {
    let api = Api::dev(backend).await;
    let Created { id, stream_key, owner_key } = api.created("a").await;
    let path = format!("/broadcasts/{id}/key");
    let body = json!({ "stream_key": stream_key });
    let asked = (0..100).map(|_| ask(api.post(&path).bearer_auth(&owner_key).json(&body)));
    let mut answers = futures_util::future::join_all(asked).await;
    answers.retain(|answer| {
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
        answer.status == 200
    });
    let [won] = answers.as_slice() else { panic!("{} answered 200", answers.len()) };
    let key = won.json()["stream_key"].as_str().unwrap().to_owned();
    assert_eq!(ask(api.get("/ice-servers").bearer_auth(&key)).await.status, 200);
    // The same where none of them names a key: a second success would make the first one's key a dead one.
    let asked = (0..20).map(|_| ask(api.post(&path).bearer_auth(&owner_key)));
    let mut answers = futures_util::future::join_all(asked).await;
    answers.retain(|answer| {
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
        answer.status == 200
    });
    let [won] = answers.as_slice() else { panic!("{} answered 200", answers.len()) };
    let key = won.json()["stream_key"].as_str().unwrap().to_owned();
    assert_eq!(ask(api.get("/ice-servers").bearer_auth(&key)).await.status, 200);
    assert_eq!(api.stored_revision(id).await, 3);
    // Who names the key, somebody else, and the same person later are not held up.
    let named = json!({ "stream_key": key });
    assert_eq!(ask(api.post(&path).bearer_auth(&owner_key).json(&named)).await.status, 200);
    let unnamed = |bearer: &str| ask(api.post(&path).bearer_auth(bearer));
    assert_eq!(unnamed(&owner_key).await.status, 200);
    unnamed(&owner_key).await.is_problem(409);
    assert_eq!(unnamed(&api.token(Role::Admin)).await.status, 200);
    assert_eq!(unnamed(&owner_key).await.status, 200);
    api.clock.turn(TimeDelta::seconds(5));
    assert_eq!(unnamed(&owner_key).await.status, 200);
}

async fn the_creator_owns_what_it_creates(backend: Backend) {
    let api = Api::production(backend).await;
    let body = json!({ "name": "a", "description": "" });
    let (mine, other) = (api.token_of("me", Role::Creator), api.token_of("you", Role::Creator));
    let made = ask(api.post("/broadcasts").bearer_auth(&mine).json(&body)).await.json();
    let path = format!("/broadcasts/{}", made["id"]);
    // Whoever saw the stream key cannot take it over, and who created it can take it back, also without its keys.
    let leaked = made["stream_key"].as_str().unwrap();
    for (method, path, body) in [
        (Method::PUT, path.clone(), json!({ "name": "taken" })),
        (Method::PUT, path.clone(), json!({ "status": "CLOSED" })),
        (Method::POST, format!("{path}/key"), json!({})),
        (Method::POST, format!("{path}/token"), json!({ "grants": ["moderate"] })),
        (Method::DELETE, path.clone(), json!({})),
    ] {
        ask(api.request(method.clone(), &path).bearer_auth(leaked).json(&body)).await.is_problem(403);
        ask(api.request(method, &path).bearer_auth(&other).json(&body)).await.is_problem(403);
    }
    assert_eq!(ask(api.post(&format!("{path}/key")).bearer_auth(&mine)).await.status, 200);
    ask(api.get("/ice-servers").bearer_auth(leaked)).await.is_problem(401);
    let edit = api.put(&path).bearer_auth(&mine).json(&json!({ "name": "still mine" }));
    assert_eq!(ask(edit).await.json()["name"], "still mine");
    let host = api.post(&format!("{path}/token")).bearer_auth(&mine).json(&json!({ "grants": ["moderate"] }));
    assert_eq!(ask(host).await.status, 200);
}

async fn a_deleted_broadcast_is_gone(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}");
    let media = json!({
        "broadcast_id": id, "key_revision": 1, "state": "live",
        "started_at": api.clock.now(), "last_media_at": api.clock.now(),
    });
    let report = json!({ "public_url": "", "broadcasts": [media], "watched": [id] });
    api.report("/internal/nodes/nod_1/report", &report).await;
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    let stale = api.delete(&path).bearer_auth(&key).header("if-match", "\"stale\"");
    ask(stale).await.is_problem(412);
    let deleted = ask(api.delete(&path).bearer_auth(&key)).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    ask(api.get(&path)).await.is_problem(404);
    ask(api.delete(&path).bearer_auth(&key)).await.is_problem(404);
    ask(api.put(&path).bearer_auth(&key).json(&json!({ "name": "b" }))).await.is_problem(404);
    assert_eq!(ask(api.get("/broadcasts")).await.json(), json!([]));
    // The node that sends it is told to stop.
    let told = api.report("/internal/nodes/nod_1/report", &report).await;
    assert_eq!(told["close"], json!([{ "broadcast_id": id, "reason": "closed" }]));
    // Its id is never given again.
    assert!(api.create("b").await.0 > id);
}

async fn texts_lose_what_nobody_sees(backend: Backend) {
    let api = Api::dev(backend).await;
    let body = json!({ "name": " evil\u{202e}gpj.exe\u{0}\n ", "description": "one\r\ntwo\u{2066}\u{7}" });
    let made = ask(api.post("/broadcasts").json(&body)).await.json();
    assert_eq!((&made["name"], &made["description"]), (&json!("evilgpj.exe"), &json!("one\ntwo")));
    let path = format!("/broadcasts/{}", made["id"]);
    let put = api.put(&path).bearer_auth(made["owner_key"].as_str().unwrap());
    let edited = ask(put.json(&json!({ "name": "a\u{2069}b\u{85}" }))).await.json();
    assert_eq!(edited["name"], "ab");
    let group = ask(api.post("/groups").json(&json!({ "name": "g\u{202d}" }))).await.json();
    assert_eq!(group["name"], "g");
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
    // Repeatable, so that the keys are stored sealed as well.
    let post = api.post("/broadcasts").header("idempotency-key", "0123456789abcdef0123456789abcdef");
    let made = ask(post.json(&json!({ "name": "a", "description": "" }))).await.json();
    let secrets = ["stream_key", "owner_key"].map(|key| made[key].as_str().unwrap()[3..].to_owned());
    let database = api.stop().await;
    let stored = match backend {
        Backend::Sqlite => {
            let bytes = std::fs::read(&database.url).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Backend::Postgres => {
            let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
            let rows = "SELECT string_agg(b::text, ' ') || (SELECT string_agg(i::text, ' ') FROM idempotency i) \
                        FROM broadcast b";
            sqlx::query_scalar(rows).fetch_one(&pool).await.unwrap()
        }
    };
    assert!(stored.contains("about") || stored.contains('a'));
    for secret in secrets.iter().map(String::as_str).chain(["0123456789abcdef0123456789abcdef"]) {
        assert!(!stored.contains(secret));
        let encoded: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!stored.contains(&encoded));
    }
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
async fn one_address_gets_so_many_tokens_and_searches_a_minute() {
    let config = Config { tokens_per_minute: 120, searches_per_minute: 60, ..config() };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}/token");
    let granted = async |answers: Vec<Answer>| {
        let refused = answers.iter().filter(|answer| answer.status == 429);
        refused.for_each(|answer| assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1));
        answers.iter().filter(|answer| answer.status == 200).count()
    };
    let tokens = futures_util::future::join_all((0..300).map(|_| ask(api.post(&path)))).await;
    // A little more than the bucket: it fills while they are asked.
    let all = granted(tokens).await;
    assert!((120..180).contains(&all), "{all}");
    // Its owner is somebody, and not stopped by guests.
    assert_eq!(ask(api.post(&path).bearer_auth(key)).await.status, 200);
    let searches = (0..200).map(|n| ask(api.get(&format!("/broadcasts?q=word{n}"))));
    let all = granted(futures_util::future::join_all(searches).await).await;
    assert!((60..120).contains(&all), "{all}");
    assert_eq!(ask(api.get("/broadcasts?limit=1")).await.status, 200);
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

/// Changes of one broadcast at the same time, more than there are connections to the database.
async fn of_many_edits_at_once_none_is_lost(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}");
    let edit = |n: u32| api.put(&path).bearer_auth(&key).json(&json!({ "name": format!("edit {n}") }));
    let mut etags = std::collections::BTreeSet::new();
    for answer in futures_util::future::join_all((0..60).map(|n| ask(edit(n)))).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
        etags.insert(answer.header("etag").to_owned());
    }
    assert_eq!(etags.len(), 60);
    // Of those who saw the same one changes it, and the others are told.
    let etag = ask(api.get(&path)).await.header("etag").to_owned();
    let edits = (100..160).map(|n| ask(edit(n).header("if-match", &etag)));
    let answers = futures_util::future::join_all(edits).await;
    let changed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(changed, 1);
    answers.iter().filter(|answer| answer.status != 200).for_each(|answer| answer.is_problem(412));
}
