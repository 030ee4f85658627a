//! `/broadcasts/{id}/token`, `/groups/{id}/token`, `/ice-servers`.

use contract::room::Room;
use contract::token::{Grant, JOIN_TTL_SECS, Role, TokenKeys};
use contract::turn::{TurnSecret, parse_username};
use meta_service::Config;
use serde_json::{Value, json};
use service_kit::config::Secret;

use crate::support::{Api, Backend, Database, SECRET, ask, config, on_both};

on_both!(
    anyone_watches_and_chats,
    more_needs_the_key,
    a_group_is_joined_by_its_link,
    a_group_that_admits_with_a_key,
    a_token_of_a_group_is_renewed,
    ice_servers_for_who_holds_something,
);

fn claims(api: &Api, token: &Value) -> contract::token::Claims {
    let now = u64::try_from(api.clock.now().timestamp()).unwrap();
    TokenKeys::new(SECRET, None).unwrap().verify(token.as_str().unwrap(), now).unwrap()
}

async fn anyone_watches_and_chats(backend: Backend) {
    let api = Api::production(backend).await;
    let (id, _) = api.create("a").await;
    let path = format!("/broadcasts/{id}/token");
    let room: Room = id.to_string().parse().unwrap();
    for request in
        [api.post(&path), api.post(&path).json(&json!({})), api.post(&path).json(&json!({ "name": "Kim" }))]
    {
        let answer = ask(request).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
        let answer = answer.json();
        assert_eq!(answer["grants"], json!(["subscribe", "chat"]));
        let claims = claims(&api, &answer["token"]);
        assert_eq!(claims.sub, answer["participant_id"].as_str().unwrap());
        assert_eq!(claims.exp - claims.iat, JOIN_TTL_SECS);
        assert!(claims.may(&room, Grant::Subscribe) && claims.may(&room, Grant::Chat));
        assert!(!claims.may(&room, Grant::Publish) && !claims.may(&room, Grant::Moderate));
    }
    let (a, b) = (ask(api.post(&path)).await.json(), ask(api.post(&path)).await.json());
    assert_ne!(a["participant_id"], b["participant_id"]);
    let only = ask(api.post(&path).json(&json!({ "grants": ["chat", "chat"] }))).await.json();
    assert_eq!(only["grants"], json!(["chat"]));
    for body in [
        json!({ "grants": ["everything"] }),
        json!({ "grants": [] }),
        json!({ "name": "x".repeat(65) }),
        json!([1]),
    ] {
        ask(api.post(&path).json(&body)).await.is_problem(400);
    }
    ask(api.post(&path).body("{}")).await.is_problem(415);
    ask(api.post("/broadcasts/999/token")).await.is_problem(404);
    ask(api.post(&path).bearer_auth("nonsense")).await.is_problem(401);
}

async fn more_needs_the_key(backend: Backend) {
    let api = Api::production(backend).await;
    let (id, key) = api.create("a").await;
    let (_, other) = api.create("b").await;
    let path = format!("/broadcasts/{id}/token");
    let hidden = api.post(&path).json(&json!({ "name": "Ki\u{202e}m\n" }));
    let named = claims(&api, &ask(hidden).await.json()["token"]);
    assert!(matches!(named.role, Role::Join { name: Some(name), .. } if name == "Kim"));
    let all = json!({ "grants": ["publish", "subscribe", "chat", "moderate"], "name": "Host" });
    ask(api.post(&path).json(&all)).await.is_problem(401);
    ask(api.post(&path).bearer_auth(&other).json(&all)).await.is_problem(401);
    ask(api.post(&path).bearer_auth(api.token(Role::Creator)).json(&all)).await.is_problem(403);
    let guest = api.join(&id.to_string(), &[Grant::Subscribe]);
    ask(api.post(&path).bearer_auth(guest).json(&all)).await.is_problem(403);
    for bearer in [key, api.token(Role::Admin)] {
        let answer = ask(api.post(&path).bearer_auth(bearer).json(&all)).await;
        assert_eq!(answer.status, 200);
        let claims = claims(&api, &answer.json()["token"]);
        assert!(claims.may(&id.to_string().parse().unwrap(), Grant::Moderate));
        assert!(matches!(claims.role, Role::Join { name: Some(name), .. } if name == "Host"));
    }
}

/// A group made with `body`: the path of its tokens, its room, its owner key.
async fn group(api: &Api, body: &Value) -> (String, Room, String) {
    let made = ask(api.post("/groups").bearer_auth(api.token(Role::Admin)).json(body)).await.json();
    let id = made["id"].as_str().unwrap();
    (format!("/groups/{id}/token"), id.parse().unwrap(), made["owner_key"].as_str().unwrap().to_owned())
}

const PARTICIPANT: [&str; 6] =
    ["publish_camera", "publish_microphone", "publish_screen", "subscribe", "chat", "draw"];

async fn a_group_is_joined_by_its_link(backend: Backend) {
    let api = Api::production(backend).await;
    let (path, room, key) = group(&api, &json!({})).await;
    let answer = ask(api.post(&path)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let answer = answer.json();
    assert_eq!(answer["grants"], json!(PARTICIPANT));
    let guest = claims(&api, &answer["token"]);
    assert_eq!(guest.sub, answer["participant_id"].as_str().unwrap());
    assert!(Grant::PARTICIPANT.iter().all(|grant| guest.may(&room, *grant)));
    assert!(!guest.may(&room, Grant::Moderate) && !guest.may(&room, Grant::Publish));
    assert_ne!(ask(api.post(&path)).await.json()["participant_id"], answer["participant_id"]);
    let less = ask(api.post(&path).json(&json!({ "grants": ["subscribe"], "name": "Kim" }))).await.json();
    assert_eq!(less["grants"], json!(["subscribe"]));
    for more in ["moderate", "publish"] {
        ask(api.post(&path).json(&json!({ "grants": ["subscribe", more] }))).await.is_problem(401);
    }
    // Who opened the call moderates it.
    let owner = ask(api.post(&path).bearer_auth(&key)).await.json();
    assert!(claims(&api, &owner["token"]).may(&room, Grant::Moderate));
    let asked =
        ask(api.post(&path).bearer_auth(&key).json(&json!({ "grants": ["publish", "moderate"] }))).await;
    assert_eq!(asked.json()["grants"], json!(["publish", "moderate"]));
    let unknown = ask(api.post("/groups/grp_unknown/token")).await;
    unknown.is_problem(404);
}

async fn a_group_that_admits_with_a_key(backend: Backend) {
    let api = Api::production(backend).await;
    let (path, room, key) = group(&api, &json!({ "admission": "key" })).await;
    ask(api.post(&path)).await.is_problem(401);
    ask(api.post(&path).bearer_auth(api.token(Role::Creator))).await.is_problem(403);
    let (elsewhere, _, _) = group(&api, &json!({})).await;
    let other = ask(api.post(&elsewhere)).await.json()["token"].as_str().unwrap().to_owned();
    ask(api.post(&path).bearer_auth(other)).await.is_problem(403);
    let stream_key = api.created("a").await.stream_key;
    ask(api.post(&path).bearer_auth(stream_key)).await.is_problem(401);
    let wanted = json!({ "grants": ["subscribe", "publish_microphone"], "name": "Kim" });
    let given = ask(api.post(&path).bearer_auth(&key).json(&wanted)).await.json();
    let guest = claims(&api, &given["token"]);
    assert!(guest.may(&room, Grant::PublishMicrophone) && !guest.may(&room, Grant::PublishCamera));
    // That one is renewed without the key.
    let bearer = given["token"].as_str().unwrap();
    assert_eq!(ask(api.post(&path).bearer_auth(bearer)).await.json()["grants"], given["grants"]);
}

async fn a_token_of_a_group_is_renewed(backend: Backend) {
    let api = Api::production(backend).await;
    let (path, _, key) = group(&api, &json!({})).await;
    let named = json!({ "grants": ["publish", "subscribe", "moderate"], "name": "Kim" });
    let first = ask(api.post(&path).bearer_auth(&key).json(&named)).await.json();
    let bearer = first["token"].as_str().unwrap();
    api.clock.turn(chrono::TimeDelta::seconds(i64::try_from(JOIN_TTL_SECS).unwrap() - 1));
    let renewed = ask(api.post(&path).bearer_auth(bearer)).await.json();
    assert_eq!(
        (&renewed["participant_id"], &renewed["grants"]),
        (&first["participant_id"], &first["grants"])
    );
    let fresh = claims(&api, &renewed["token"]);
    assert_eq!(fresh.exp - u64::try_from(api.clock.now().timestamp()).unwrap(), JOIN_TTL_SECS);
    assert!(matches!(&fresh.role, Role::Join { name: Some(name), .. } if name == "Kim"));
    // Fewer rights may be asked for, also a part of one; never more, and no other name.
    let less = json!({ "grants": ["publish_screen", "subscribe"], "name": "Kim" });
    let less = ask(api.post(&path).bearer_auth(bearer).json(&less)).await.json();
    assert_eq!(less["grants"], json!(["publish_screen", "subscribe"]));
    let narrow = less["token"].as_str().unwrap();
    for more in ["publish", "publish_camera", "chat", "moderate"] {
        ask(api.post(&path).bearer_auth(narrow).json(&json!({ "grants": [more] }))).await.is_problem(403);
    }
    ask(api.post(&path).bearer_auth(bearer).json(&json!({ "name": "Lee" }))).await.is_problem(403);
    // In time.
    api.clock.turn(chrono::TimeDelta::seconds(1));
    ask(api.post(&path).bearer_auth(bearer)).await.is_problem(401);
    assert_eq!(ask(api.post(&path).bearer_auth(narrow)).await.status, 200);
    // A token of elsewhere is nobody's here: it gets one of somebody new.
    let other = api.join("grp_other", &[Grant::Moderate]);
    let stranger = ask(api.post(&path).bearer_auth(&other)).await.json();
    assert_eq!(stranger["grants"], json!(PARTICIPANT));
    assert_ne!(stranger["participant_id"], "par_tester");
    // Nothing is renewed of a group that is gone.
    assert_eq!(ask(api.delete(path.trim_end_matches("/token")).bearer_auth(&key)).await.status, 204);
    ask(api.post(&path).bearer_auth(narrow)).await.is_problem(404);
}

async fn ice_servers_for_who_holds_something(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let group = ask(api.post("/groups").json(&json!({}))).await.json();
    ask(api.get("/ice-servers")).await.is_problem(401);
    ask(api.get("/ice-servers").bearer_auth("sk_0000000000000000000000")).await.is_problem(401);
    let guest = ask(api.post(&format!("/broadcasts/{id}/token"))).await.json();
    let guest = guest["token"].as_str().unwrap().to_owned();
    for bearer in [guest, key, group["owner_key"].as_str().unwrap().to_owned()] {
        let answer =
            ask(api.get("/ice-servers").bearer_auth(bearer).header("host", "live.example:8080")).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
        let answer = answer.json();
        assert_eq!(answer["ttl"], 43_200);
        let turn = &answer["ice_servers"][1];
        assert_eq!(turn["urls"], json!(["turn:live.example:3478?transport=udp"]));
        let username = turn["username"].as_str().unwrap();
        assert_eq!(turn["credential"], TurnSecret::new("north".into()).password(username));
        let (expiry, user) = parse_username(username).unwrap();
        assert_eq!(i64::try_from(expiry).unwrap() - api.clock.now().timestamp(), 43_200);
        assert!(!user.is_empty() && !user.contains(':'));
        assert!(answer["ice_servers"][0].get("username").is_none());
    }
}

#[tokio::test]
async fn tokens_of_the_previous_secret_are_accepted_and_expired_ones_are_not() {
    let old = "fedcba9876543210fedcba9876543210";
    let config = Config { token_secret_previous: Secret::new(old.into()), ..config() };
    let api = Api::with(Database::new(Backend::Sqlite).await, config).await;
    let now = u64::try_from(api.clock.now().timestamp()).unwrap();
    let mint =
        |secret: &str, at: u64| TokenKeys::new(secret, None).unwrap().mint("someone", Role::Admin, at, 60);
    let ask_with = |token: String| ask(api.get("/ice-servers").bearer_auth(token));
    assert_eq!(ask_with(mint(old, now)).await.status, 200);
    assert_eq!(ask_with(mint(SECRET, now)).await.status, 200);
    ask_with(mint(SECRET, now - 60)).await.is_problem(401);
    ask_with(mint("00000000000000000000000000000000", now)).await.is_problem(401);
    let basic = api.get("/ice-servers").header("authorization", "Basic YTpi");
    ask(basic).await.is_problem(401);
}
