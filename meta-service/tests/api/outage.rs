//! The database goes away: 503 in time, recovery, and nothing lost that was acknowledged.

use std::time::Duration;

use serde_json::json;

use crate::support::postgres::Server;
use crate::support::{Answer, Api, Database, ask, config};

/// A test that waits for this long has failed. What is promised, an answer within 2.5 s, is what the store gives the
/// calls of a request; its own tests say so without a clock.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests that may be refused when the database is back. With what each may take that is within the promised 5 s.
const REFUSED_BEFORE_RECOVERY: u32 = 5_000 / meta_service::store::CALL_TIMEOUT.as_millis() as u32;

async fn create(api: &Api, name: &str) -> Answer {
    let create = ask(api.post("/broadcasts").json(&json!({ "name": name, "description": "" })));
    tokio::time::timeout(PATIENCE, create).await.expect("no answer")
}

async fn recover(api: &Api, acknowledged: &mut Vec<i64>) {
    for _ in 0..=REFUSED_BEFORE_RECOVERY {
        let made = create(api, "back").await;
        if made.status == 201 {
            acknowledged.push(made.json()["id"].as_i64().unwrap());
            return;
        }
        made.is_problem(503);
    }
    panic!("refused {REFUSED_BEFORE_RECOVERY} times and again");
}

async fn all_there(api: &Api, acknowledged: &[i64]) {
    let list = ask(api.get("/broadcasts")).await.json();
    let ids: Vec<i64> = list.as_array().unwrap().iter().map(|b| b["id"].as_i64().unwrap()).collect();
    for id in acknowledged {
        assert!(ids.contains(id), "{id} was acknowledged and is not in {ids:?}");
    }
}

#[tokio::test]
async fn a_database_that_restarts_or_hangs_loses_no_acknowledged_write() {
    let mut postgres = Server::start().await;
    let database = Database::at(postgres.new_database().await);
    let api = Api::with(database, config()).await;
    let mut acknowledged = Vec::new();
    recover(&api, &mut acknowledged).await;

    // Stopped under load: each request is answered, with success or 503.
    let writes = futures_util::future::join_all((0..40).map(|n| {
        let api = &api;
        async move { create(api, &format!("w{n}")).await }
    }));
    let stopping = tokio::task::spawn_blocking(move || {
        postgres.stop();
        postgres
    });
    let (answers, postgres) = tokio::join!(writes, stopping);
    let mut postgres = postgres.unwrap();
    for answer in &answers {
        match answer.status {
            201 => acknowledged.push(answer.json()["id"].as_i64().unwrap()),
            _ => answer.is_problem(503),
        }
    }
    let refused = create(&api, "while stopped").await;
    refused.is_problem(503);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    ask(api.get("/broadcasts")).await.is_problem(503);
    ask(api.get("/broadcasts?q=a")).await.is_problem(503);
    // What needs no database goes on; readiness tells.
    assert_eq!(ask(api.get("/openapi.json")).await.status, 200);
    api.meta.sweep().await;
    let ready = reqwest::get(format!("{}/readyz", api.admin)).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(reqwest::get(format!("{}/livez", api.admin)).await.unwrap().status(), 200);

    postgres.resume().await;
    recover(&api, &mut acknowledged).await;
    all_there(&api, &acknowledged).await;
    api.meta.sweep().await;
    let ready = reqwest::get(format!("{}/readyz", api.admin)).await.unwrap();
    assert_eq!(ready.status(), 200);

    // Frozen: connections stay open and nothing answers.
    postgres.freeze(true);
    let answers = futures_util::future::join_all((0..12).map(|_| create(&api, "while frozen"))).await;
    answers.iter().for_each(|answer| answer.is_problem(503));
    postgres.freeze(false);
    recover(&api, &mut acknowledged).await;
    all_there(&api, &acknowledged).await;
    api.stop().await;
}

#[tokio::test]
async fn a_saturated_pool_refuses_and_recovers() {
    let postgres = Server::start().await;
    let url = postgres.new_database().await;
    let api = Api::with(Database::at(url.clone()), config()).await;
    let (id, _) = api.create("a").await;
    // Somebody holds a lock on the row: every edit waits for it, and holds a connection of the pool meanwhile.
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE broadcast IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let reads = futures_util::future::join_all((0..20).map(|_| async {
        let read = ask(api.get(&format!("/broadcasts/{id}")));
        tokio::time::timeout(PATIENCE, read).await.expect("no answer")
    }))
    .await;
    reads.iter().for_each(|answer| answer.is_problem(503));
    holder.rollback().await.unwrap();
    let mut acknowledged = vec![id];
    recover(&api, &mut acknowledged).await;
    all_there(&api, &acknowledged).await;
}

#[tokio::test]
async fn an_outage_closes_nothing_that_streams() {
    let mut postgres = Server::start().await;
    let database = Database::at(postgres.new_database().await);
    let api = Api::with(database, config()).await;
    let (id, _) = api.create("a").await;
    api.pass(31).await;
    let media = || {
        let now = api.clock.now();
        json!({ "public_url": "", "broadcasts": [{
            "broadcast_id": id, "key_revision": 1, "state": "live", "started_at": now, "last_media_at": now,
        }]})
    };
    api.report("/internal/nodes/nod_1/report", &media()).await;
    postgres.stop();
    api.pass(1).await;
    let token = api.token(contract::token::Role::Service);
    ask(api.post("/internal/nodes/nod_1/report").bearer_auth(token).json(&media())).await.is_problem(503);
    postgres.resume().await;
    // A minute later: nobody could report, so silence does not count yet.
    api.clock.turn(chrono::TimeDelta::seconds(60));
    let mut acknowledged = Vec::new();
    recover(&api, &mut acknowledged).await;
    api.pass(5).await;
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    api.report("/internal/nodes/nod_1/report", &media()).await;
    api.pass(28).await;
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
}

#[tokio::test]
async fn an_outage_takes_no_room_from_its_home() {
    let mut postgres = Server::start().await;
    let database = Database::at(postgres.new_database().await);
    let api = Api::with(database, config()).await;
    let made = ask(api.post("/groups").json(&json!({}))).await;
    let (path, made) = (made.header("location").to_owned(), made.json());
    let id = made["id"].as_str().unwrap();
    let home = api.report(&format!("/internal/groups/{id}/open"), &json!({ "node_id": "nod_1" })).await;
    let service = || api.token(contract::token::Role::Service);
    let rules = json!({ "locked": true, "people": [{ "subject": "par_a", "removed": true }] });
    let put = || {
        let put = api.put(&format!("/internal/groups/{id}/rules")).bearer_auth(service());
        ask(put.json(&json!({ "epoch": home["epoch"], "version": 1, "rules": rules })))
    };
    let group = json!({ "group_id": id, "version": home["version"], "epoch": home["epoch"] });
    let report = json!({ "public_url": "", "broadcasts": [], "groups": [group] });
    let key = made["owner_key"].as_str().unwrap();
    let change = || {
        let patch = api.request(reqwest::Method::PATCH, &path).bearer_auth(key);
        ask(patch.json(&json!({ "max_participants": 5 })))
    };
    postgres.stop();
    // No answer is no order: the room goes on, and nothing that was asked is said to be stored.
    ask(api.post("/internal/nodes/nod_1/report").bearer_auth(service()).json(&report)).await.is_problem(503);
    put().await.is_problem(503);
    change().await.is_problem(503);
    // So long that the lease of the home runs out. It serves the room all the same: nobody takes it before the home had the
    // time of a lease to say so.
    api.meta.sweep().await;
    let lease = contract::group::HOME_LEASE_SECS;
    api.clock.turn(chrono::TimeDelta::seconds(3 * lease));
    postgres.resume().await;
    recover(&api, &mut Vec::new()).await;
    let open_elsewhere = || {
        let open = api.post(&format!("/internal/groups/{id}/open")).bearer_auth(service());
        ask(open.json(&json!({ "node_id": "nod_2" })))
    };
    for _ in 0..lease / 2 {
        api.meta.sweep().await;
        open_elsewhere().await.is_problem(409);
        api.clock.turn(chrono::TimeDelta::seconds(1));
    }
    assert_eq!(api.report("/internal/nodes/nod_1/report", &report).await["groups"], json!([]));
    open_elsewhere().await.is_problem(409);
    // Asked again it is stored, also if it was already.
    for _ in 0..2 {
        assert_eq!(put().await.status, 204);
        assert_eq!(change().await.status, 200);
    }
    let told = api.report("/internal/nodes/nod_1/report", &report).await;
    assert_eq!(told["groups"][0]["group"]["max_participants"], 5);
    // The home says nothing any more.
    for _ in 0..=lease {
        api.clock.turn(chrono::TimeDelta::seconds(1));
        api.meta.sweep().await;
    }
    let next = api.report(&format!("/internal/groups/{id}/open"), &json!({ "node_id": "nod_2" })).await;
    assert_eq!(
        (&next["rules"]["locked"], &next["rules"]["people"][0]["subject"]),
        (&json!(true), &json!("par_a"))
    );
    api.stop().await;
}
