//! `/internal/groups/...` and the groups in a node's report: what the home of a room asks, writes and is told.

use chrono::TimeDelta;
use contract::group::{GroupOrder, HOME_LEASE_SECS, MAX_RULED_PEOPLE, OpenedGroup};
use contract::rest::NodeOrders;
use contract::token::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Backend, ask, on_both};

on_both!(
    a_home_keeps_its_epoch_and_no_other_node_takes_its_room,
    a_node_that_leaves_or_starts_anew_keeps_nobody_out,
    an_opening_that_arrives_late_changes_nothing,
    a_home_writes_until_the_next_one_opens,
    a_report_is_told_what_is_different,
    a_removed_person_gets_no_token_also_after_the_home_died,
    wrong_rules_are_refused,
);

struct Group {
    id: String,
    key: String,
}

async fn group(api: &Api) -> Group {
    let made = ask(api.post("/groups").bearer_auth(api.token(Role::Admin)).json(&json!({}))).await.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Group { id: text("id"), key: text("owner_key") }
}

async fn open(api: &Api, id: &str, node: &str) -> OpenedGroup {
    let body = json!({ "node_id": node });
    serde_json::from_value(api.report(&format!("/internal/groups/{id}/open"), &body).await).unwrap()
}

/// An opening as a node of this release asks.
fn asked(node: &str, process: &str, number: i64, epoch: Option<i64>) -> Value {
    let opening = json!({ "process": process, "number": number });
    let url = format!("https://{node}.example");
    json!({ "node_id": node, "public_url": url, "opening": opening, "epoch": epoch })
}

/// The epoch, or where the room is open.
async fn opens(api: &Api, id: &str, asked: &Value) -> Result<i64, String> {
    let open = api.post(&format!("/internal/groups/{id}/open")).bearer_auth(api.token(Role::Service));
    let answer = ask(open.json(asked)).await;
    if answer.status == 200 {
        return Ok(serde_json::from_value::<OpenedGroup>(answer.json()).unwrap().epoch);
    }
    answer.is_problem(409);
    assert_eq!(answer.json()["type"], "/problems/other-home");
    Err(answer.header("location").to_owned())
}

async fn put(api: &Api, id: &str, body: &Value) -> Answer {
    let put = api.put(&format!("/internal/groups/{id}/rules")).bearer_auth(api.token(Role::Service));
    ask(put.json(body)).await
}

async fn orders(api: &Api, reported: &[Value]) -> Vec<GroupOrder> {
    let report = json!({ "public_url": "", "broadcasts": [], "groups": reported });
    let orders = api.report("/internal/nodes/nod_1/report", &report).await;
    serde_json::from_value::<NodeOrders>(orders).unwrap().groups
}

/// So much later every lease has run out, and whoever lives could have renewed its own.
async fn wait_for_leases(api: &Api) {
    watch(api, HOME_LEASE_SECS).await;
}

/// So many seconds pass while the service looks at its database.
async fn watch(api: &Api, seconds: i64) {
    api.meta.sweep().await;
    for _ in 0..seconds {
        api.clock.turn(TimeDelta::seconds(1));
        api.meta.sweep().await;
    }
}

async fn a_home_keeps_its_epoch_and_no_other_node_takes_its_room(backend: Backend) {
    let api = Api::production(backend).await;
    let Group { id, .. } = group(&api).await;
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 1, None)).await, Ok(1));
    let rules = json!({ "epoch": 1, "version": 3, "rules": { "locked": true } });
    assert_eq!(put(&api, &id, &rules).await.status, 204);
    // It holds the room: the same epoch, and the versions in it go on.
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 2, Some(1))).await, Ok(1));
    assert_eq!(put(&api, &id, &json!({ "epoch": 1, "version": 2, "rules": {} })).await.status, 409);
    let other = asked("nod_2", "q", 1, None);
    assert_eq!(opens(&api, &id, &other).await, Err("https://nod_1.example".into()));

    // Its report says that it lives, however long; it changes nothing where it is of another epoch.
    let report = |epoch: i64| json!({ "group_id": id, "version": 1, "epoch": epoch });
    for _ in 0..4 {
        watch(&api, HOME_LEASE_SECS - 2).await;
        assert_eq!(orders(&api, &[report(1)]).await, []);
        opens(&api, &id, &other).await.unwrap_err();
    }
    watch(&api, HOME_LEASE_SECS - 2).await;
    orders(&api, &[report(7)]).await;
    watch(&api, 2).await;
    assert_eq!(opens(&api, &id, &other).await, Ok(2));
    assert_eq!(
        opens(&api, &id, &asked("nod_1", "p", 3, Some(1))).await.unwrap_err(),
        "https://nod_2.example"
    );
    assert_eq!(
        orders(&api, &[report(1)]).await,
        [GroupOrder::NotHome { group_id: id.parse().unwrap(), epoch: 1 }]
    );
}

async fn a_node_that_leaves_or_starts_anew_keeps_nobody_out(backend: Backend) {
    let api = Api::production(backend).await;
    let Group { id, .. } = group(&api).await;
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 9, None)).await, Ok(1));
    // Another process of the same node has nothing of what was there.
    assert_eq!(opens(&api, &id, &asked("nod_1", "q", 1, None)).await, Ok(2));
    let report = json!({ "public_url": "", "broadcasts": [], "leaving": true,
        "groups": [{ "group_id": id, "version": 1, "epoch": 2 }] });
    api.report("/internal/nodes/nod_1/report", &report).await;
    assert_eq!(opens(&api, &id, &asked("nod_2", "r", 1, None)).await, Ok(3));
}

async fn an_opening_that_arrives_late_changes_nothing(backend: Backend) {
    let api = Api::production(backend).await;
    let Group { id, .. } = group(&api).await;
    // The first was given up, and arrives after the second.
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 2, None)).await, Ok(1));
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 1, None)).await, Ok(1));
    assert_eq!(put(&api, &id, &json!({ "epoch": 1, "version": 1, "rules": {} })).await.status, 204);
    // Or before it: the second is the one that counts.
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 3, None)).await, Ok(2));
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 4, None)).await, Ok(3));
    assert_eq!(opens(&api, &id, &asked("nod_1", "p", 3, None)).await, Ok(3));
}

async fn a_home_writes_until_the_next_one_opens(backend: Backend) {
    let api = Api::production(backend).await;
    let Group { id, .. } = group(&api).await;
    let first = open(&api, &id, "nod_1").await;
    assert_eq!((first.epoch, first.version, first.group.max_participants), (1, 1, 100));
    assert!(!first.rules.locked && first.rules.people.is_empty());
    let rules = json!({ "locked": true, "people": [{ "subject": "par_a", "removed": true }] });
    let body = json!({ "epoch": 1, "version": 3, "rules": rules });
    for _ in 0..2 {
        assert_eq!(put(&api, &id, &body).await.status, 204);
    }
    let late = put(&api, &id, &json!({ "epoch": 1, "version": 2, "rules": {} })).await;
    late.is_problem(409);
    assert_eq!(late.json()["type"], "/problems/late");
    wait_for_leases(&api).await;
    let second = open(&api, &id, "nod_2").await;
    assert_eq!((second.epoch, second.rules.locked, second.rules.people.len()), (2, true, 1));
    let over = put(&api, &id, &json!({ "epoch": 1, "version": 4, "rules": {} })).await;
    over.is_problem(409);
    assert_eq!(over.json()["type"], "/problems/not-home");
    assert_eq!(open(&api, &id, "nod_2").await.rules, second.rules);
    let body = json!({ "node_id": "nod_1" });
    let service = api.token(Role::Service);
    let unknown = api.post("/internal/groups/grp_unknown/open").bearer_auth(&service).json(&body);
    ask(unknown).await.is_problem(404);
    put(&api, "grp_unknown", &json!({ "epoch": 1, "version": 1, "rules": {} })).await.is_problem(404);
}

async fn a_report_is_told_what_is_different(backend: Backend) {
    let api = Api::production(backend).await;
    let (kept, gone) = (group(&api).await, group(&api).await);
    let report = |group: &Group, version: i64, epoch: i64| json!({ "group_id": group.id, "version": version, "epoch": epoch });
    for group in [&kept, &gone] {
        open(&api, &group.id, "nod_1").await;
    }
    assert_eq!(orders(&api, &[report(&kept, 1, 1), report(&gone, 1, 1)]).await, []);
    let patch = api.request(reqwest::Method::PATCH, &format!("/groups/{}", kept.id)).bearer_auth(&kept.key);
    assert_eq!(ask(patch.json(&json!({ "max_participants": 9 }))).await.status, 200);
    let delete = api.delete(&format!("/groups/{}", gone.id)).bearer_auth(&gone.key);
    assert_eq!(ask(delete).await.status, 204);
    // Said again until the node says so too.
    for _ in 0..2 {
        let told = orders(&api, &[report(&kept, 1, 1), report(&gone, 1, 1)]).await;
        let [GroupOrder::Changed { group, version: 2 }, GroupOrder::Deleted { group_id }] = told.as_slice()
        else {
            panic!("{told:?}");
        };
        assert_eq!((group.id.as_str(), group.max_participants), (kept.id.as_str(), 9));
        assert_eq!(group_id.as_str(), gone.id);
    }
    assert_eq!(orders(&api, &[report(&kept, 2, 1)]).await, []);
    wait_for_leases(&api).await;
    open(&api, &kept.id, "nod_2").await;
    let over = GroupOrder::NotHome { group_id: kept.id.parse().unwrap(), epoch: 1 };
    assert_eq!(orders(&api, &[report(&kept, 1, 1)]).await, [over]);
    assert_eq!(orders(&api, &[report(&kept, 2, 2)]).await, []);
}

async fn a_removed_person_gets_no_token_also_after_the_home_died(backend: Backend) {
    let api = Api::production(backend).await;
    let Group { id, .. } = group(&api).await;
    let path = format!("/groups/{id}/token");
    let token = ask(api.post(&path)).await.json();
    let (bearer, subject) = (token["token"].as_str().unwrap(), token["participant_id"].as_str().unwrap());
    let epoch = open(&api, &id, "nod_1").await.epoch;
    let taken = json!([{ "subject": subject, "taken": ["publish_screen", "chat"] }]);
    let write = |version: i64, people: &Value| json!({ "epoch": epoch, "version": version, "rules": { "people": people } });
    assert_eq!(put(&api, &id, &write(1, &taken)).await.status, 204);
    let renewed = ask(api.post(&path).bearer_auth(bearer)).await.json();
    assert_eq!(renewed["participant_id"], subject);
    assert_eq!(renewed["grants"], json!(["publish_camera", "publish_microphone", "subscribe", "draw"]));
    let removed = json!([{ "subject": subject, "removed": true }]);
    assert_eq!(put(&api, &id, &write(2, &removed)).await.status, 204);
    // The home is gone without a word; so is this process of meta.
    let database = api.stop().await;
    let api = Api::with(database, meta_service::Config { dev: false, ..crate::support::config() }).await;
    for token in [bearer, renewed["token"].as_str().unwrap()] {
        let refused = ask(api.post(&path).bearer_auth(token)).await;
        refused.is_problem(403);
        assert_eq!(refused.json()["type"], "/problems/removed");
    }
    wait_for_leases(&api).await;
    let opened = open(&api, &id, "nod_2").await;
    assert!(opened.rules.people.iter().any(|rule| rule.removed && rule.subject == subject));
    // Let in again.
    let none = json!({ "epoch": opened.epoch, "version": 1, "rules": { "people": [] } });
    assert_eq!(put(&api, &id, &none).await.status, 204);
    assert_eq!(ask(api.post(&path).bearer_auth(bearer)).await.status, 200);
}

async fn wrong_rules_are_refused(backend: Backend) {
    let api = Api::dev(backend).await;
    let Group { id, .. } = group(&api).await;
    let people = |people: Value| json!({ "epoch": 0, "version": 1, "rules": { "people": people } });
    let many = |n: usize| {
        people((0..n).map(|n| json!({ "subject": format!("par_{n:04}"), "removed": true })).collect())
    };
    for bad in [
        json!({ "epoch": 0, "version": 0, "rules": {} }),
        json!({ "epoch": 0, "version": 1 }),
        people(json!([{ "removed": true }])),
        people(json!([{ "subject": "" }])),
        people(json!([{ "subject": "a\u{0}" }])),
        people(json!([{ "subject": "x".repeat(129) }])),
        people(json!([{ "subject": "a", "removed": true }, { "subject": "a", "taken": ["chat"] }])),
        many(MAX_RULED_PEOPLE + 1),
    ] {
        put(&api, &id, &bad).await.is_problem(400);
    }
    assert_eq!(put(&api, &id, &many(MAX_RULED_PEOPLE)).await.status, 204);
    assert_eq!(open(&api, &id, "nod_1").await.rules.people.len(), MAX_RULED_PEOPLE);
    // A right of a later release is none here.
    let later = people(json!([{ "subject": "a", "given": ["levitate", "chat"] }]));
    let later = json!({ "epoch": 1, "version": 1, "rules": later["rules"] });
    assert_eq!(put(&api, &id, &later).await.status, 204);
    assert_eq!(open(&api, &id, "nod_1").await.rules.people[0].given, [contract::token::Grant::Chat]);
    ask(api
        .post("/internal/groups/x/open")
        .bearer_auth(api.token(Role::Service))
        .json(&json!({ "node_id": "nod_1" })))
    .await
    .is_problem(404);
}
