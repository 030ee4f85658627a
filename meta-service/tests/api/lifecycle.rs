//! What reports and time do to a broadcast.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Api, Backend, Database, ask, on_both};

on_both!(
    first_media_starts_and_an_end_closes,
    a_lost_publisher_has_thirty_seconds,
    an_unreported_publisher_has_thirty_seconds,
    a_publisher_that_comes_back_goes_on,
    an_owner_who_closes_ends_it_on_the_node,
    a_replaced_key_cuts_the_publisher_and_not_the_broadcast,
    a_day_without_media_closes,
    a_peer_to_peer_streamer_streams,
    viewer_counts_follow_and_fall,
    a_restart_leaves_no_viewer_behind,
    two_processes_on_one_database_agree,
    a_person_at_two_replicas_counts_once,
    a_restart_gives_publishers_time_to_report,
    retention_is_a_setting,
);

fn media(api: &Api, id: i64, revision: i64, state: &str, started: DateTime<Utc>) -> Value {
    json!({
        "broadcast_id": id, "key_revision": revision, "state": state,
        "started_at": started, "last_media_at": api.clock.now(),
    })
}

async fn report(api: &Api, media: Vec<Value>, watched: Vec<i64>) -> Value {
    let body = json!({ "public_url": "", "broadcasts": media, "watched": watched });
    api.report("/internal/nodes/nod_1/report", &body).await["close"].clone()
}

/// A broadcast that streams since now: its id, key and start.
async fn streaming(api: &Api) -> (i64, String, DateTime<Utc>) {
    let (id, key) = api.create("live").await;
    let started = api.clock.now();
    assert_eq!(report(api, vec![media(api, id, 1, "live", started)], vec![]).await, json!([]));
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    (id, key, started)
}

fn time(value: &Value) -> DateTime<Utc> {
    serde_json::from_value(value.clone()).unwrap()
}

async fn rooms(api: &Api, replica: &str, id: i64, viewers: i64, streamer: bool) {
    let room = json!({ "room": id.to_string(), "viewer_count": viewers, "p2p_streamer": streamer });
    api.report("/internal/rooms/report", &json!({ "replica": replica, "rooms": [room] })).await;
}

async fn first_media_starts_and_an_end_closes(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, _, started) = streaming(&api).await;
    let read = api.broadcast(id).await;
    assert_eq!((time(&read["started_at"]), &read["ended_at"]), (started, &Value::Null));
    api.pass(3).await;
    let end = api.clock.now();
    // The end is in the catalogue when the report is answered, and the node is told what it knows.
    assert_eq!(report(&api, vec![media(&api, id, 1, "ended", started)], vec![]).await, json!([]));
    let read = api.broadcast(id).await;
    assert_eq!((&read["status"], time(&read["ended_at"])), (&json!("CLOSED"), end));
    let told = report(&api, vec![media(&api, id, 1, "ended", started)], vec![id]).await;
    assert_eq!(told, json!([{ "broadcast_id": id, "reason": "closed" }]));
    // Between creation and the first report a whole broadcast may fit.
    let (short, _) = api.create("short").await;
    report(&api, vec![media(&api, short, 1, "ended", end)], vec![]).await;
    let read = api.broadcast(short).await;
    assert_eq!((&read["status"], time(&read["started_at"])), (&json!("CLOSED"), end));
}

async fn a_lost_publisher_has_thirty_seconds(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, _, started) = streaming(&api).await;
    let last = api.clock.now();
    let mut lost = media(&api, id, 1, "lost", started);
    lost["last_media_at"] = json!(last);
    for _ in 0..29 {
        api.pass(1).await;
        report(&api, vec![lost.clone()], vec![]).await;
    }
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    api.pass(2).await;
    let read = api.broadcast(id).await;
    assert_eq!((&read["status"], time(&read["ended_at"])), (&json!("CLOSED"), last));
}

async fn an_unreported_publisher_has_thirty_seconds(backend: Backend) {
    let api = Api::dev(backend).await;
    // Steady watching comes first.
    api.pass(31).await;
    let (id, _, _) = streaming(&api).await;
    let last = api.clock.now();
    rooms(&api, "one", id, 3, false).await;
    api.pass(29).await;
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    api.pass(1).await;
    let read = api.broadcast(id).await;
    assert_eq!((&read["status"], time(&read["ended_at"])), (&json!("CLOSED"), last));
    assert_eq!(read["viewer_count"], 0);
}

async fn a_publisher_that_comes_back_goes_on(backend: Backend) {
    let api = Api::dev(backend).await;
    api.pass(31).await;
    let (id, _, started) = streaming(&api).await;
    for _ in 0..3 {
        api.pass(29).await;
        report(&api, vec![media(&api, id, 1, "live", api.clock.now())], vec![]).await;
    }
    let read = api.broadcast(id).await;
    // The start is the first one.
    assert_eq!((&read["status"], time(&read["started_at"])), (&json!("STREAMING"), started));
}

async fn an_owner_who_closes_ends_it_on_the_node(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key, started) = streaming(&api).await;
    api.pass(1).await;
    let close = api.put(&format!("/broadcasts/{id}")).bearer_auth(key).json(&json!({ "status": "CLOSED" }));
    let closed = ask(close).await.json();
    assert_eq!(time(&closed["ended_at"]), api.clock.now());
    let order = json!([{ "broadcast_id": id, "reason": "closed" }]);
    assert_eq!(report(&api, vec![media(&api, id, 1, "live", started)], vec![id]).await, order);
    // Repeated until it is done, for viewers too; and what never was is over too.
    assert_eq!(report(&api, vec![], vec![id]).await, order);
    assert_eq!(report(&api, vec![], vec![]).await, json!([]));
    let unknown = json!([{ "broadcast_id": 999, "reason": "closed" }]);
    assert_eq!(report(&api, vec![media(&api, 999, 1, "live", started)], vec![]).await, unknown);
    assert_eq!(api.broadcast(id).await["ended_at"], closed["ended_at"]);
    let (ready, _) = api.create("waiting").await;
    assert_eq!(report(&api, vec![], vec![ready]).await, json!([]));
}

async fn a_replaced_key_cuts_the_publisher_and_not_the_broadcast(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key, started) = streaming(&api).await;
    assert_eq!(ask(api.post(&format!("/broadcasts/{id}/key")).bearer_auth(key)).await.status, 200);
    let order = json!([{ "broadcast_id": id, "reason": "key_revoked" }]);
    assert_eq!(report(&api, vec![media(&api, id, 1, "live", started)], vec![id]).await, order);
    // The old key ends nothing either.
    assert_eq!(report(&api, vec![media(&api, id, 1, "ended", started)], vec![id]).await, order);
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    assert_eq!(report(&api, vec![media(&api, id, 2, "live", started)], vec![id]).await, json!([]));
}

async fn a_day_without_media_closes(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, _) = api.create("a").await;
    api.clock.turn(TimeDelta::hours(24) - TimeDelta::milliseconds(1));
    api.meta.sweep().await;
    assert_eq!(api.broadcast(id).await["status"], "READY");
    api.clock.turn(TimeDelta::milliseconds(1));
    api.meta.sweep().await;
    let read = api.broadcast(id).await;
    assert_eq!((&read["status"], &read["started_at"]), (&json!("CLOSED"), &Value::Null));
}

async fn a_peer_to_peer_streamer_streams(backend: Backend) {
    let api = Api::dev(backend).await;
    api.pass(31).await;
    let (id, _) = api.create("p2p").await;
    rooms(&api, "one", id, 2, true).await;
    api.pass(1).await;
    let read = api.broadcast(id).await;
    assert_eq!((&read["status"], time(&read["started_at"])), (&json!("STREAMING"), api.clock.now()));
    assert_eq!(read["viewer_count"], 2);
    for _ in 0..20 {
        rooms(&api, "one", id, 2, true).await;
        api.pass(2).await;
    }
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    rooms(&api, "one", id, 2, false).await;
    let last = api.clock.now();
    api.pass(29).await;
    assert_eq!(api.broadcast(id).await["status"], "STREAMING");
    api.pass(1).await;
    let read = api.broadcast(id).await;
    assert_eq!((&read["status"], time(&read["ended_at"])), (&json!("CLOSED"), last));
    // Closed is closed, whoever subscribes.
    rooms(&api, "one", id, 2, true).await;
    api.pass(1).await;
    let read = api.broadcast(id).await;
    assert_eq!((&read["status"], &read["viewer_count"]), (&json!("CLOSED"), &json!(0)));
}

async fn viewer_counts_follow_and_fall(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, _, _) = streaming(&api).await;
    let viewers = async || api.broadcast(id).await["viewer_count"].clone();
    rooms(&api, "one", id, 2, false).await;
    rooms(&api, "two", id, 3, false).await;
    api.pass(1).await;
    assert_eq!(viewers().await, 5);
    rooms(&api, "one", id, 0, false).await;
    api.pass(1).await;
    assert_eq!(viewers().await, 3);
    rooms(&api, "two", id, -7, false).await;
    api.pass(1).await;
    assert_eq!(viewers().await, 0);
    rooms(&api, "one", id, 4, false).await;
    api.pass(3).await;
    assert_eq!(viewers().await, 4);
    api.pass(1).await;
    assert_eq!(viewers().await, 0);
}

async fn a_restart_leaves_no_viewer_behind(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, _, _) = streaming(&api).await;
    let (renewed, _) = api.create("b").await;
    rooms(&api, "one", id, 4, false).await;
    rooms(&api, "two", renewed, 6, false).await;
    api.pass(1).await;
    let clock = api.clock.clone();
    let api = Api::with(api.stop().await, crate::support::config()).await;
    api.clock.turn(clock.now() - api.clock.now());
    assert_eq!(api.broadcast(id).await["viewer_count"], 4);
    rooms(&api, "two", renewed, 5, false).await;
    api.pass(3).await;
    rooms(&api, "two", renewed, 5, false).await;
    api.pass(3).await;
    assert_eq!(api.broadcast(id).await["viewer_count"], 0);
    assert_eq!(api.broadcast(renewed).await["viewer_count"], 5);
}

async fn two_processes_on_one_database_agree(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, _, _) = streaming(&api).await;
    let viewers = async || api.broadcast(id).await["viewer_count"].clone();
    rooms(&api, "one", id, 7, false).await;
    api.pass(1).await;
    assert_eq!(viewers().await, 7);
    // A second process starts: what it has not heard itself is there all the same.
    let second = Api::with(Database::at(api.database.url.clone()), crate::support::config()).await;
    let together = |by: TimeDelta| {
        second.clock.turn(api.clock.now() + by - second.clock.now());
        api.clock.turn(by);
    };
    for _ in 0..6 {
        together(TimeDelta::seconds(1));
        rooms(&api, "one", id, 7, false).await;
        second.meta.sweep().await;
        assert_eq!(viewers().await, 7);
        api.meta.sweep().await;
        assert_eq!(viewers().await, 7);
    }
    // Reports may go to either of them, and both drop what runs out.
    rooms(&second, "two", id, 2, false).await;
    rooms(&second, "one", id, 0, false).await;
    together(TimeDelta::seconds(1));
    api.meta.sweep().await;
    assert_eq!(viewers().await, 2);
    // One report that is lost changes nothing.
    together(TimeDelta::seconds(2));
    second.meta.sweep().await;
    assert_eq!(viewers().await, 2);
    together(TimeDelta::seconds(2));
    second.meta.sweep().await;
    assert_eq!(viewers().await, 0);
}

async fn a_person_at_two_replicas_counts_once(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, _, _) = streaming(&api).await;
    for (replica, count, people) in [("one", 3, ["kim", "lee"]), ("two", 2, ["lee", "park"])] {
        let subjects: contract::rest::Subjects = people.into_iter().collect();
        let room = json!({
            "room": id.to_string(), "viewer_count": count, "subjects": subjects, "p2p_streamer": false,
        });
        api.report("/internal/rooms/report", &json!({ "replica": replica, "rooms": [room] })).await;
    }
    api.pass(1).await;
    // Kim, Lee, Park, and somebody without a name.
    assert_eq!(api.broadcast(id).await["viewer_count"], 4);
}

async fn a_restart_gives_publishers_time_to_report(backend: Backend) {
    let api = Api::dev(backend).await;
    let (kept, _, started) = streaming(&api).await;
    let (gone, _, _) = streaming(&api).await;
    let last = api.clock.now();
    let api = Api::with(api.stop().await, crate::support::config()).await;
    // Away for an hour: nobody could report meanwhile.
    api.clock.turn(last + TimeDelta::hours(1) - api.clock.now());
    api.pass(20).await;
    assert_eq!(api.broadcast(gone).await["status"], "STREAMING");
    report(&api, vec![media(&api, kept, 1, "live", started)], vec![]).await;
    api.pass(11).await;
    let read = api.broadcast(gone).await;
    assert_eq!((&read["status"], time(&read["ended_at"])), (&json!("CLOSED"), last));
    assert_eq!(api.broadcast(kept).await["status"], "STREAMING");
}

async fn retention_is_a_setting(backend: Backend) {
    let config =
        meta_service::Config { keep_closed_days: 2, keep_unstarted_days: 1, ..crate::support::config() };
    let api = Api::with(Database::new(backend).await, config).await;
    let (ended, key, _) = streaming(&api).await;
    let close =
        api.put(&format!("/broadcasts/{ended}")).bearer_auth(key).json(&json!({ "status": "CLOSED" }));
    assert_eq!(ask(close).await.status, 200);
    let (unstarted, key) = api.create("never").await;
    let close =
        api.put(&format!("/broadcasts/{unstarted}")).bearer_auth(key).json(&json!({ "status": "CLOSED" }));
    assert_eq!(ask(close).await.status, 200);
    let status = async |id: i64| ask(api.get(&format!("/broadcasts/{id}"))).await.status;
    api.meta.sweep().await;
    assert_eq!((status(ended).await, status(unstarted).await), (200, 200));
    api.clock.turn(TimeDelta::days(1));
    // One sweep deletes, the next finds nothing more.
    api.meta.sweep().await;
    api.meta.sweep().await;
    assert_eq!((status(ended).await, status(unstarted).await), (200, 404));
    api.clock.turn(TimeDelta::days(1));
    api.meta.sweep().await;
    assert_eq!((status(ended).await, status(unstarted).await), (404, 404));
}
