//! Role x operation x owner: every operation with every credential, in production and in dev.

use contract::token::{Grant, Role};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{Api, Backend, Created, ask, on_both};

on_both!(nobody_does_more_than_allowed);

/// The credentials, in the order of the columns of [`OPERATIONS`].
const CALLERS: [&str; 11] = [
    "none",
    "garbage",
    "owner key",
    "stream key",
    "other key",
    "guest",
    "host",
    "creator",
    "other creator",
    "admin",
    "service",
];

/// What an operation answers to each caller in production; in dev, creating and listing groups are open.
/// `2` any success, `1` 401, `3` 403.
const OPERATIONS: [(&str, &str, &str); 23] = [
    // operation, production, dev
    ("list broadcasts", "22222222222", "22222222222"),
    ("create broadcast", "11333332223", "21222222222"),
    ("read broadcast", "22222222222", "22222222222"),
    ("edit broadcast", "11231332322", "11231332322"),
    ("reserved field", "11331333332", "11331333332"),
    ("delete broadcast", "11231332323", "11231332323"),
    ("replace key", "11231332323", "11231332323"),
    ("guest token", "21222222222", "21222222222"),
    ("host token", "11231332323", "11231332323"),
    ("put thumbnail", "11231332333", "11231332333"),
    ("get thumbnail", "22222222222", "22222222222"),
    ("ice servers", "11222222222", "11222222222"),
    ("list groups", "11333333323", "21222222222"),
    ("read group", "22222222222", "22222222222"),
    // The link is the invitation; who shows a join token of the group renews it.
    ("group token", "21222222222", "21222222222"),
    ("group token, with a key", "11211222323", "11211222323"),
    ("moderating group token", "11211322323", "11211322323"),
    ("edit group", "11211332323", "11211332323"),
    ("delete group", "11211332323", "11211332323"),
    ("open group", "11333333332", "11333333332"),
    ("rules of a group", "11333333332", "11333333332"),
    ("admit publisher", "11333333332", "11333333332"),
    ("node report", "11333333332", "11333333332"),
];

/// Things of one owner, fresh for each cell.
struct Things {
    broadcast: i64,
    owner_key: String,
    stream_key: String,
    group: String,
    group_key: String,
    /// Of the same owner, admitting with a key.
    closed: String,
    closed_key: String,
}

/// Made by the creator `tester`.
async fn things(api: &Api) -> Things {
    let creator = api.token(Role::Creator);
    let body = json!({ "name": "mine", "description": "" });
    let made = ask(api.post("/broadcasts").bearer_auth(&creator).json(&body)).await.json();
    let made: Created = serde_json::from_value(made).unwrap();
    let put = api.put(&format!("/broadcasts/{}/thumbnail", made.id)).bearer_auth(&made.owner_key);
    let put = put.header("content-type", "image/jpeg").body(vec![0xff, 0xd8, 0xff]);
    assert_eq!(ask(put).await.status, 204);
    let group = async |body: serde_json::Value| {
        let made = ask(api.post("/groups").bearer_auth(&creator).json(&body)).await.json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("owner_key"))
    };
    let (closed, closed_key) = group(json!({ "admission": "key" })).await;
    let (group, group_key) = group(json!({ "name": "mine" })).await;
    Things {
        broadcast: made.id,
        owner_key: made.owner_key,
        stream_key: made.stream_key,
        group,
        group_key,
        closed,
        closed_key,
    }
}

fn request(api: &Api, operation: &str, things: &Things) -> RequestBuilder {
    let broadcast = |rest: &str| format!("/broadcasts/{}{rest}", things.broadcast);
    let group = |rest: &str| format!("/groups/{}{rest}", things.group);
    match operation {
        "list broadcasts" => api.get("/broadcasts"),
        "create broadcast" => api.post("/broadcasts").json(&json!({ "name": "", "description": "" })),
        "read broadcast" => api.get(&broadcast("")),
        "edit broadcast" => api.put(&broadcast("")).json(&json!({ "name": "changed" })),
        "reserved field" => api.put(&broadcast("")).json(&json!({ "viewer_count": 77 })),
        "delete broadcast" => api.delete(&broadcast("")),
        "admit publisher" => {
            let body = json!({ "stream_key": things.stream_key, "node_id": "nod_1" });
            api.post(&format!("/internal/broadcasts/{}/admit", things.broadcast)).json(&body)
        }
        "replace key" => api.post(&broadcast("/key")),
        "guest token" => api.post(&broadcast("/token")),
        "host token" => api.post(&broadcast("/token")).json(&json!({ "grants": ["publish"] })),
        "put thumbnail" => api
            .put(&broadcast("/thumbnail"))
            .header("content-type", "image/jpeg")
            .body(vec![0xff, 0xd8, 0xff]),
        "get thumbnail" => api.get(&broadcast("/thumbnail")),
        "ice servers" => api.get("/ice-servers"),
        "list groups" => api.get("/groups"),
        "read group" => api.get(&group("")),
        "group token" => api.post(&group("/token")),
        "group token, with a key" => api.post(&format!("/groups/{}/token", things.closed)),
        "moderating group token" => {
            api.post(&group("/token")).json(&json!({ "grants": ["subscribe", "moderate"] }))
        }
        "edit group" => api.request(Method::PATCH, &group("")).json(&json!({ "name": "changed" })),
        "open group" => {
            api.post(&format!("/internal/groups/{}/open", things.group)).json(&json!({ "node_id": "nod_1" }))
        }
        "rules of a group" => {
            let body = json!({ "epoch": 0, "version": 1, "rules": { "locked": true } });
            api.put(&format!("/internal/groups/{}/rules", things.group)).json(&body)
        }
        "delete group" => api.request(Method::DELETE, &group("")),
        "node report" => {
            api.post("/internal/nodes/nod_1/report").json(&json!({ "public_url": "", "broadcasts": [] }))
        }
        other => panic!("{other}"),
    }
}

fn bearer(api: &Api, caller: &str, operation: &str, own: &Things, other: &Things) -> Option<String> {
    let of_group = operation.contains("group");
    let is_closed = operation == "group token, with a key";
    let key = |things: &Things| match (of_group, is_closed) {
        (false, _) => things.owner_key.clone(),
        (true, false) => things.group_key.clone(),
        (true, true) => things.closed_key.clone(),
    };
    let room = match (of_group, is_closed) {
        (false, _) => own.broadcast.to_string(),
        (true, false) => own.group.clone(),
        (true, true) => own.closed.clone(),
    };
    match caller {
        "none" => None,
        "garbage" => Some("garbage".into()),
        "owner key" => Some(key(own)),
        "stream key" => Some(own.stream_key.clone()),
        "other key" => Some(key(other)),
        "guest" => Some(api.join(&room, &[Grant::Subscribe, Grant::Chat])),
        "host" => Some(api.join(&room, &[Grant::Publish, Grant::Subscribe, Grant::Chat, Grant::Moderate])),
        "creator" => Some(api.token(Role::Creator)),
        "other creator" => Some(api.token_of("somebody else", Role::Creator)),
        "admin" => Some(api.token(Role::Admin)),
        "service" => Some(api.token(Role::Service)),
        other => panic!("{other}"),
    }
}

async fn nobody_does_more_than_allowed(backend: Backend) {
    let mut wrong = Vec::new();
    for dev in [false, true] {
        let api = if dev { Api::dev(backend).await } else { Api::production(backend).await };
        let other = things(&api).await;
        for (operation, production, open) in OPERATIONS {
            for (caller, expected) in CALLERS.iter().zip(if dev { open } else { production }.chars()) {
                let own = things(&api).await;
                let mut asked = request(&api, operation, &own);
                if let Some(bearer) = bearer(&api, caller, operation, &own, &other) {
                    asked = asked.bearer_auth(bearer);
                }
                let answer = ask(asked).await;
                let class = match answer.status {
                    200..300 => '2',
                    401 => '1',
                    403 => '3',
                    _ => '?',
                };
                if class != expected {
                    wrong.push(format!(
                        "dev {dev}, {operation} by {caller}: {} not {expected}",
                        answer.status
                    ));
                }
                if class != '2' && operation != "list groups" && operation != "create broadcast" {
                    unchanged(&api, &own).await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A refusal changed nothing: the texts, the keys, the picture and the group are what they were.
async fn unchanged(api: &Api, own: &Things) {
    let read = api.broadcast(own.broadcast).await;
    assert_eq!((&read["name"], &read["viewer_count"]), (&json!("mine"), &json!(0)));
    let group = ask(api.get(&format!("/groups/{}", own.group))).await;
    assert_eq!((group.status, &group.json()["name"]), (200, &json!("mine")));
    for key in [&own.stream_key, &own.owner_key] {
        assert_eq!(ask(api.get("/ice-servers").bearer_auth(key)).await.status, 200);
    }
}
