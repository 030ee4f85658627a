//! The store: the same tests on both databases.

use std::collections::HashSet;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::group::Admission;
use contract::id::BroadcastId;
use contract::key::SecretKey;
use contract::rest::{Status, UpdateBroadcast};
use futures_util::FutureExt as _;
use meta_service::counts::{NewPart, counts};
use meta_service::lifecycle::{Change, Editor, edit};
use meta_service::record::{Owner, Record, Seen};
use meta_service::store::{
    After, Expired, Inserted, Listing, NewBroadcast, Repeatable, Sort, Store, Thumbnail,
};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, Executor as _};

use crate::support::{Backend, Database, on_both};

on_both!(
    broadcasts_round_trip,
    pages_have_every_row_once,
    a_search_finds_words_and_nothing_by_accident,
    an_update_needs_the_version_that_was_read,
    one_idempotency_key_makes_one_broadcast_however_many_ask,
    signs_of_life_never_go_back,
    silence_and_age_are_found,
    a_sign_of_life_in_between_keeps_a_broadcast_open,
    a_search_does_not_read_every_row,
    viewers_are_written_once_a_second_and_a_closed_broadcast_has_none,
    the_databases_clock_counts_where_no_test_turns_it,
    deleting_takes_everything_that_belongs_to_it,
    retention_deletes_what_is_old_and_nothing_else,
    what_an_earlier_release_stored_means_the_same,
    thumbnails_are_replaced_and_purged,
    starts_at_the_same_time_migrate_once,
    a_newer_schema_is_accepted,
);

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_123).unwrap()
}

pub(crate) async fn store(backend: Backend) -> (Store, Database) {
    let database = Database::new(backend).await;
    (Store::open(&database.url, 4).await.unwrap(), database)
}

pub(crate) fn owner() -> Owner {
    Owner { key: SecretKey::owner(&mut rand::rng()).hash(), subject: Some("somebody".into()) }
}

fn new(name: &str) -> NewBroadcast {
    let key = SecretKey::stream(&mut rand::rng()).hash();
    NewBroadcast {
        name: name.into(),
        description: "about".into(),
        key,
        owner: owner(),
        planned_at: None,
        created_at: now(),
    }
}

async fn insert(store: &Store, name: &str) -> Record {
    match store.broadcasts.create(new(name), None).await.unwrap() {
        Inserted::New(record) => record,
        other => panic!("{other:?}"),
    }
}

fn all() -> Listing {
    Listing { search: None, status: None, sort: Sort::Newest, after: None, limit: 1_000 }
}

/// Writes counts as a service does.
async fn set_viewers(store: &Store, counts: Vec<(BroadcastId, i64)>) {
    for (id, viewers) in counts {
        let record = store.broadcasts.find(id).await.unwrap().unwrap();
        let counted =
            Change { viewer_count: Some(viewers), started_at: None, ..change(&record, Status::Ready) };
        store.broadcasts.update(id, record.version, counted, now()).await.unwrap().unwrap();
    }
}

fn change(record: &Record, status: Status) -> Change {
    Change {
        name: record.broadcast.name.clone(),
        description: record.broadcast.description.clone(),
        status,
        started_at: Some(now()),
        ended_at: None,
        planned_at: None,
        viewer_count: None,
        seen_at: None,
        unless_seen_after: None,
    }
}

async fn broadcasts_round_trip(backend: Backend) {
    let (store, database) = store(backend).await;
    let made = insert(&store, "한국 ' \" \\ é").await;
    let read = store.broadcasts.find(made.broadcast.id).await.unwrap().unwrap();
    assert_eq!(read.broadcast, made.broadcast);
    assert_eq!((read.broadcast.created_at, read.broadcast.status), (now(), Status::Ready));
    assert_eq!((read.version, read.key_revision, read.key), (1, 1, made.key));
    assert_eq!(store.broadcasts.of_key(made.key).await.unwrap(), Some(made.broadcast.id));
    assert!(store.broadcasts.find(BroadcastId(1 << 40)).await.unwrap().is_none());

    let other = SecretKey::stream(&mut rand::rng()).hash();
    assert_eq!(
        store.broadcasts.replace_key(made.broadcast.id, made.key, other, None).await.unwrap(),
        Some(2)
    );
    assert_eq!(store.broadcasts.replace_key(made.broadcast.id, made.key, other, None).await.unwrap(), None);
    assert_eq!(store.broadcasts.of_key(made.key).await.unwrap(), None);
    assert_eq!(
        store.broadcasts.replace_key(BroadcastId(1 << 40), other, made.key, None).await.unwrap(),
        None
    );
    assert_eq!(store.broadcasts.of_key(made.owner.key).await.unwrap(), Some(made.broadcast.id));
    assert_eq!(read.owner, made.owner);

    // Another process sees the same.
    store.close().await;
    let again = Store::open(&database.url, 4).await.unwrap();
    let read = again.broadcasts.find(made.broadcast.id).await.unwrap().unwrap();
    assert_eq!((read.broadcast, read.key_revision, read.key), (made.broadcast, 2, other));
}

async fn pages_have_every_row_once(backend: Backend) {
    let (store, _database) = store(backend).await;
    let mut ids = Vec::new();
    for n in 0..11 {
        ids.push(insert(&store, &format!("b{n}")).await.broadcast.id);
    }
    // Ties on purpose: the id decides.
    let counts = ids.iter().enumerate().map(|(n, id)| (*id, i64::try_from(n).unwrap() % 3)).collect();
    set_viewers(&store, counts).await;
    for (n, id) in ids.iter().enumerate() {
        let planned = now() + chrono::TimeDelta::minutes(i64::try_from(n).unwrap() % 4);
        let plan = UpdateBroadcast { planned_at: Some(Some(planned)), ..UpdateBroadcast::default() };
        let decide = |record: &Record| edit(record, &plan, Editor::Owner, now());
        store.broadcasts.change(*id, now(), decide).await.unwrap().unwrap().unwrap();
    }
    for sort in [Sort::Newest, Sort::Viewers, Sort::Planned] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.lists.page(Listing { sort, after, limit: 4, ..all() }).await.unwrap();
            let Some(last) = page.last() else { break };
            let planned = last.planned_at.unwrap().timestamp_millis();
            let key = if sort == Sort::Planned { planned } else { last.viewer_count };
            after = Some(After { key, id: last.id.0 });
            seen.extend(page.iter().map(|b| (b.viewer_count, b.id, b.planned_at)));
        }
        assert_eq!(seen.len(), 11);
        assert_eq!(seen.iter().map(|(_, id, _)| *id).collect::<HashSet<_>>().len(), 11);
        let ordered = match sort {
            Sort::Newest => seen.is_sorted_by_key(|(_, id, _)| std::cmp::Reverse(*id)),
            Sort::Viewers => seen.is_sorted_by_key(|(viewers, id, _)| std::cmp::Reverse((*viewers, *id))),
            Sort::Planned => seen.is_sorted_by_key(|(_, id, planned)| (*planned, *id)),
        };
        assert!(ordered, "{sort:?}: {seen:?}");
    }
    // Whoever is not planned is in no such list.
    insert(&store, "unplanned").await;
    assert_eq!(store.lists.page(Listing { sort: Sort::Planned, ..all() }).await.unwrap().len(), 11);
    let many =
        store.broadcasts.find_all(ids.iter().copied().chain([BroadcastId(1 << 40)]).collect()).await.unwrap();
    assert_eq!(many.len(), 11);
    assert!(store.broadcasts.find_all(Vec::new()).await.unwrap().is_empty());
}

async fn a_search_finds_words_and_nothing_by_accident(backend: Backend) {
    let (store, _database) = store(backend).await;
    for name in
        ["100% Élan", "under_score", "back\\slash", "plain", "'; DROP TABLE broadcast; --", "한국 방송"]
    {
        insert(&store, name).await;
    }
    let found = async |words: &str| {
        let listing = Listing { search: Some(words.into()), ..all() };
        let names = store.lists.page(listing).await.unwrap().into_iter().map(|b| b.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(found("%").await, ["100% Élan"]);
    assert_eq!(found("_").await, ["under_score"]);
    assert_eq!(found("\\").await, ["back\\slash"]);
    assert_eq!(found("éLAN").await, ["100% Élan"]);
    assert_eq!(found("PLAIN").await, ["plain"]);
    assert_eq!(found("'; drop table").await, ["'; DROP TABLE broadcast; --"]);
    assert_eq!(found("방송").await, ["한국 방송"]);
    assert_eq!(found("ABOUT").await.len(), 6);
    assert!(found("nowhere").await.is_empty());
    let closed = Listing { status: Some(Status::Closed), ..all() };
    assert!(store.lists.page(closed).await.unwrap().is_empty());
    let ready = Listing { status: Some(Status::Ready), search: Some("plain".into()), ..all() };
    assert_eq!(store.lists.page(ready).await.unwrap().len(), 1);
}

async fn a_search_does_not_read_every_row(backend: Backend) {
    let (store, database) = store(backend).await;
    // More rows than are looked at one by one; one of the first is what is searched.
    let fill = "INSERT INTO broadcast (name, description, search, status, created_at, modified_at, stream_key_hash) \
                SELECT 'n', 'd', CASE n WHEN 7 THEN 'a needle\n' WHEN 8 THEN '방송 중\n' ELSE 'hay ' || n || '\nmore hay' END, \
                'READY', $1, $1, CAST(";
    match backend {
        Backend::Sqlite => {
            let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", database.url)).await.unwrap();
            let rows = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 30000) ";
            let fill = format!("{rows}{fill}printf('%032d', n) AS BLOB) FROM numbers");
            sqlx::query(sqlx::AssertSqlSafe(fill)).bind(now()).execute(&pool).await.unwrap();
            pool.close().await;
        }
        Backend::Postgres => {
            let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
            let fill = format!("{fill}lpad(n::text, 32, '0') AS BYTEA) FROM generate_series(1, 30000) AS n");
            sqlx::query(sqlx::AssertSqlSafe(fill)).bind(now()).execute(&pool).await.unwrap();
            sqlx::query("ANALYZE broadcast").execute(&pool).await.unwrap();
            pool.close().await;
        }
    }
    let found = async |words: &str, sort: Sort| {
        let listing = Listing { search: Some(words.into()), sort, limit: 21, ..all() };
        store.lists.page(listing).await.unwrap().iter().map(|b| b.id.0).collect::<Vec<_>>()
    };
    for sort in [Sort::Newest, Sort::Viewers] {
        assert_eq!(found("needle", sort).await, [7]);
        assert_eq!(found("방송 중", sort).await, [8]);
        assert!(found("nowhere at all", sort).await.is_empty());
        assert_eq!(found("more hay", sort).await.len(), 21);
        // Too short for the index, and too old for the rows that are compared one by one.
        assert!(found("ee", sort).await.is_empty());
        assert_eq!(found("ay", sort).await.len(), 21);
        let listing = Listing { search: None, sort, limit: 21, ..all() };
        let plan = store.lists.explain(&listing, "needle").await.unwrap();
        let index = match backend {
            Backend::Sqlite => "VIRTUAL TABLE INDEX",
            Backend::Postgres => "broadcast_by_grams",
        };
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("SCAN broadcast\n") && !plan.contains("Seq Scan"), "{plan}");
    }
    assert_eq!(found("hay", Sort::Newest).await[..2], [30_000, 29_999]);
}

async fn an_update_needs_the_version_that_was_read(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&store, "a").await;
    let id = made.broadcast.id;
    let later = now() + TimeDelta::seconds(5);
    let mut edit = change(&made, Status::Streaming);
    edit.name = "NEW name".into();
    let updated = store.broadcasts.update(id, 1, edit.clone(), later).await.unwrap().unwrap();
    assert_eq!((updated.version, updated.broadcast.modified_at), (2, later));
    assert_eq!(updated.broadcast.created_at, now());
    assert!(store.broadcasts.update(id, 1, edit.clone(), later).await.unwrap().is_none());
    assert!(store.broadcasts.update(BroadcastId(1 << 40), 1, edit, later).await.unwrap().is_none());
    // The search follows the name.
    let listing = Listing { search: Some("new NAME".into()), ..all() };
    assert_eq!(store.lists.page(listing).await.unwrap().len(), 1);
}

async fn one_idempotency_key_makes_one_broadcast_however_many_ask(backend: Backend) {
    let (store, _database) = store(backend).await;
    let repeat = |scope: &str, request: u8| Repeatable {
        scope: scope.into(),
        key: [1; 32],
        request: [request; 32],
        sealed: b"sealed".to_vec(),
    };
    let asked = (0..8).map(|_| store.broadcasts.create(new("once"), Some(repeat("a", 1))));
    let outcomes = futures_util::future::join_all(asked).await;
    let mut ids = HashSet::new();
    let mut fresh = 0;
    for outcome in outcomes {
        match outcome.unwrap() {
            Inserted::New(record) => {
                fresh += 1;
                ids.insert(record.broadcast.id);
            }
            Inserted::Repeated { made, sealed } => {
                assert_eq!(sealed, b"sealed");
                ids.insert(made.broadcast.id);
            }
            Inserted::Mismatch => panic!("the same request"),
        }
    }
    assert_eq!((fresh, ids.len()), (1, 1));
    assert_eq!(store.lists.page(all()).await.unwrap().len(), 1);
    let other = store.broadcasts.create(new("other"), Some(repeat("a", 2))).await.unwrap();
    assert!(matches!(other, Inserted::Mismatch));
    let else_where = store.broadcasts.create(new("else"), Some(repeat("b", 2))).await.unwrap();
    assert!(matches!(else_where, Inserted::New(_)));
    // Forgotten after a while, and not before.
    store.upkeep.purge(now() - TimeDelta::seconds(1), now()).await.unwrap();
    let again = store.broadcasts.create(new("once"), Some(repeat("a", 1))).await.unwrap();
    assert!(matches!(again, Inserted::Repeated { .. }));
    store.upkeep.purge(now(), now()).await.unwrap();
    let again = store.broadcasts.create(new("once"), Some(repeat("a", 1))).await.unwrap();
    assert!(matches!(again, Inserted::New(_)));
}

async fn signs_of_life_never_go_back(backend: Backend) {
    let (store, _database) = store(backend).await;
    let (a, b) = (insert(&store, "a").await.broadcast.id, insert(&store, "b").await.broadcast.id);
    let seen =
        |id, seconds, present| Seen { id, last_media_at: now() + TimeDelta::seconds(seconds), present };
    store.broadcasts.touch(vec![seen(a, 2, true), seen(b, 1, false)], now()).await.unwrap();
    store.broadcasts.touch(vec![seen(a, 1, false)], now() + TimeDelta::seconds(9)).await.unwrap();
    store.broadcasts.touch(Vec::new(), now()).await.unwrap();
    let read = store.broadcasts.find(a).await.unwrap().unwrap();
    assert_eq!((read.seen_at, read.last_media_at), (Some(now()), Some(now() + TimeDelta::seconds(2))));
    assert_eq!(read.version, 1);
    let read = store.broadcasts.find(b).await.unwrap().unwrap();
    assert_eq!((read.seen_at, read.last_media_at), (None, Some(now() + TimeDelta::seconds(1))));
}

async fn silence_and_age_are_found(backend: Backend) {
    let (store, _database) = store(backend).await;
    let ready = insert(&store, "ready").await;
    let live = insert(&store, "live").await;
    let never = insert(&store, "never seen").await;
    for record in [&live, &never] {
        let updated =
            store.broadcasts.update(record.broadcast.id, 1, change(record, Status::Streaming), now()).await;
        assert!(updated.unwrap().is_some());
    }
    let seen = Seen { id: live.broadcast.id, last_media_at: now(), present: true };
    store.broadcasts.touch(vec![seen], now()).await.unwrap();
    let ids = |records: Vec<Record>| records.into_iter().map(|r| r.broadcast.id).collect::<Vec<_>>();
    let second = TimeDelta::milliseconds(1);
    assert_eq!(ids(store.broadcasts.unseen(now() - second).await.unwrap()), [never.broadcast.id]);
    assert_eq!(ids(store.broadcasts.unseen(now()).await.unwrap()), [live.broadcast.id, never.broadcast.id]);
    assert_eq!(ids(store.broadcasts.unstarted(now()).await.unwrap()), [ready.broadcast.id]);
    assert!(store.broadcasts.unstarted(now() - second).await.unwrap().is_empty());
}

async fn a_sign_of_life_in_between_keeps_a_broadcast_open(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&store, "a").await;
    let id = made.broadcast.id;
    let mut close = change(&made, Status::Closed);
    close.unless_seen_after = Some(now());
    store
        .broadcasts
        .touch(vec![Seen { id, last_media_at: now(), present: true }], now() + TimeDelta::seconds(1))
        .await
        .unwrap();
    assert!(store.broadcasts.update(id, 1, close.clone(), now()).await.unwrap().is_none());
    close.unless_seen_after = Some(now() + TimeDelta::seconds(1));
    assert!(store.broadcasts.update(id, 1, close, now()).await.unwrap().is_some());
}

fn part(id: BroadcastId, subjects: &[&str], others: i64) -> NewPart {
    NewPart { id, subjects: subjects.iter().copied().collect(), others, p2p_streamer: false }
}

/// What a sweep at `at` does; how many the catalogue says then.
async fn sweep(store: &Store, at: DateTime<Utc>, id: BroadcastId) -> i64 {
    let counts = counts(&store.viewers.parts(false, Some(at)).await.unwrap());
    store.viewers.write(counts, false, Some(at)).await.unwrap();
    store.broadcasts.find(id).await.unwrap().unwrap().broadcast.viewer_count
}

async fn viewers_are_written_once_a_second_and_a_closed_broadcast_has_none(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&store, "a").await;
    let id = made.broadcast.id;
    let at = |millis: i64| Some(now() + TimeDelta::milliseconds(millis));
    let reported = vec![part(id, &["x", "y"], 1), part(BroadcastId(1 << 40), &["x"], 1)];
    store.viewers.put("one", reported, at(0)).await.unwrap();
    store.viewers.put("two", vec![part(id, &["y", "z"], 0)], at(0)).await.unwrap();
    assert_eq!(sweep(&store, at(0).unwrap(), id).await, 4);
    assert_eq!(store.broadcasts.find(id).await.unwrap().unwrap().version, 1);
    // Whoever writes, once in a second: 123 ms of it are over.
    store.viewers.put("two", vec![part(id, &[], 0)], at(100)).await.unwrap();
    assert_eq!(sweep(&store, at(800).unwrap(), id).await, 4);
    assert_eq!(sweep(&store, at(900).unwrap(), id).await, 3);
    // It runs out four seconds after the last report, also where the writes come late.
    assert_eq!(sweep(&store, at(3_999).unwrap(), id).await, 3);
    assert_eq!(sweep(&store, at(4_000).unwrap(), id).await, 0);
    assert_eq!(sweep(&store, at(5_000).unwrap(), id).await, 0);
    assert!(store.viewers.parts(true, at(5_000)).await.unwrap().is_empty());

    store.viewers.put("one", vec![part(id, &["x"], 0)], at(6_000)).await.unwrap();
    let mut close = change(&made, Status::Closed);
    close.viewer_count = Some(0);
    store.broadcasts.update(id, 1, close, now()).await.unwrap().unwrap();
    store.viewers.put("two", vec![part(id, &["z"], 0)], at(6_000)).await.unwrap();
    assert_eq!(sweep(&store, at(6_000).unwrap(), id).await, 0);
}

async fn the_databases_clock_counts_where_no_test_turns_it(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = insert(&store, "a").await.broadcast.id;
    store.viewers.put("one", vec![part(id, &["x"], 0)], None).await.unwrap();
    let parts = store.viewers.parts(false, None).await.unwrap();
    assert!(parts.len() == 1 && parts[0].is_live);
    let told = store.upkeep.now().await.unwrap();
    assert!((Utc::now() - told).abs() < TimeDelta::minutes(1), "{told}");
    // By another clock, an hour later, it has run out.
    let later = Some(told + TimeDelta::hours(1));
    assert!(!store.viewers.parts(false, later).await.unwrap()[0].is_live);
    assert!(store.viewers.parts(true, later).await.unwrap()[0].is_live);
}

async fn deleting_takes_everything_that_belongs_to_it(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&store, "findable").await;
    let id = made.broadcast.id;
    let picture = Thumbnail { media_type: "image/webp".into(), etag: "\"1\"".into(), image: vec![1] };
    store.thumbnails.put(id, picture.clone()).await.unwrap();
    store.viewers.put("one", vec![part(id, &["x"], 0)], Some(now())).await.unwrap();
    assert!(store.broadcasts.delete(id).await.unwrap());
    assert!(!store.broadcasts.delete(id).await.unwrap());
    assert!(store.broadcasts.find(id).await.unwrap().is_none());
    assert_eq!(store.thumbnails.find(id).await.unwrap(), None);
    assert!(store.viewers.parts(true, Some(now())).await.unwrap().is_empty());
    let listing = Listing { search: Some("findable".into()), ..all() };
    assert!(store.lists.page(listing).await.unwrap().is_empty());
    // A picture that comes late makes no error and nothing else.
    store.thumbnails.put(id, picture).await.unwrap();
    assert_eq!(store.thumbnails.find(id).await.unwrap(), None);
}

async fn retention_deletes_what_is_old_and_nothing_else(backend: Backend) {
    let (store, _database) = store(backend).await;
    let day = |n| now() + TimeDelta::days(n);
    let mut ids = Vec::new();
    for (started, ended) in
        [(true, Some(1)), (true, Some(9)), (false, Some(1)), (false, Some(9)), (true, None)]
    {
        let made = insert(&store, "b").await;
        let status = if ended.is_some() { Status::Closed } else { Status::Streaming };
        let ended_at = ended.map(day);
        let started_at = started.then(now);
        let closed = Change { started_at, ended_at, ..change(&made, status) };
        store.broadcasts.update(made.broadcast.id, 1, closed, now()).await.unwrap().unwrap();
        ids.push(made.broadcast.id);
    }
    let left = async || {
        let kept = store.broadcasts.find_all(ids.clone()).await.unwrap();
        let mut kept: Vec<_> = kept.iter().map(|r| ids.iter().position(|id| *id == r.broadcast.id)).collect();
        kept.sort_unstable();
        kept.into_iter().flatten().collect::<Vec<_>>()
    };
    assert_eq!(store.broadcasts.delete_expired(Expired::default()).await.unwrap(), 0);
    let unstarted = Expired { unstarted_before: Some(day(5)), ..Expired::default() };
    assert_eq!(store.broadcasts.delete_expired(unstarted).await.unwrap(), 1);
    assert_eq!(left().await, [0, 1, 3, 4]);
    let ended = Expired { ended_before: Some(day(5)), ..Expired::default() };
    assert_eq!(store.broadcasts.delete_expired(ended).await.unwrap(), 1);
    assert_eq!(left().await, [1, 3, 4]);
    let everything = Expired { ended_before: Some(day(99)), unstarted_before: Some(day(99)) };
    assert_eq!(store.broadcasts.delete_expired(everything).await.unwrap(), 2);
    assert_eq!(left().await, [4]);
}

async fn thumbnails_are_replaced_and_purged(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&store, "a").await;
    let id = made.broadcast.id;
    let picture = |byte: u8| Thumbnail {
        media_type: "image/webp".into(),
        etag: format!("\"{byte}\""),
        image: vec![byte; 65_536],
    };
    assert_eq!(store.thumbnails.find(id).await.unwrap(), None);
    store.thumbnails.put(id, picture(0)).await.unwrap();
    store.thumbnails.put(id, picture(255)).await.unwrap();
    assert_eq!(store.thumbnails.find(id).await.unwrap(), Some(picture(255)));
    store.upkeep.purge(now(), now()).await.unwrap();
    assert!(store.thumbnails.find(id).await.unwrap().is_some());
    let mut close = change(&made, Status::Closed);
    close.ended_at = Some(now());
    store.broadcasts.update(id, 1, close, now()).await.unwrap().unwrap();
    store.upkeep.purge(now(), now()).await.unwrap();
    assert_eq!(store.thumbnails.find(id).await.unwrap(), None);
}

async fn starts_at_the_same_time_migrate_once(backend: Backend) {
    let database = Database::new(backend).await;
    let opened = futures_util::future::join_all((0..6).map(|_| Store::open(&database.url, 2))).await;
    for store in opened {
        let store = store.unwrap();
        insert(&store, "a").await;
    }
    let store = Store::open(&database.url, 2).await.unwrap();
    assert_eq!(store.lists.page(all()).await.unwrap().len(), 6);
}

async fn a_newer_schema_is_accepted(backend: Backend) {
    let database = Database::new(backend).await;
    Store::open(&database.url, 2).await.unwrap().close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'of a newer release', true, $1, 1)";
    match backend {
        Backend::Sqlite => {
            let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", database.url)).await.unwrap();
            sqlx::query(newer).bind(vec![0_u8]).execute(&pool).await.unwrap();
            pool.close().await;
        }
        Backend::Postgres => {
            let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
            sqlx::query(newer).bind(vec![0_u8]).execute(&pool).await.unwrap();
            pool.close().await;
        }
    }
    let store = Store::open(&database.url, 2).await.unwrap();
    insert(&store, "a").await;
}

/// Opens a database that the first release made, with rows of its own.
async fn what_an_earlier_release_stored_means_the_same(backend: Backend) {
    let database = Database::new(backend).await;
    let (stream, owner) =
        (SecretKey::stream(&mut rand::rng()).hash(), SecretKey::owner(&mut rand::rng()).hash());
    let broadcast = "INSERT INTO broadcast (name, description, search, status, viewer_count, created_at, \
                     modified_at, stream_key_hash) VALUES ('Old', '', 'old one\n', 'STREAMING', 5, $1, $1, $2)";
    let group =
        "INSERT INTO call_group (group_id, name, created_at, owner_key_hash) VALUES ('grp_old', 'g', $1, $2)";
    let repeated = "INSERT INTO idempotency (scope, key_hash, request_hash, target, created_at) \
                    VALUES ('a', $2, $2, '1', $1)";
    macro_rules! fill {
        ($pool:expr, $first:expr) => {{
            let pool = $pool;
            let mut old = Migrator::with_migrations(vec![$first]);
            old.set_ignore_missing(true);
            old.run(&pool).await.unwrap();
            for (insert, key) in [(broadcast, stream), (group, owner), (repeated, stream)] {
                let key = key.as_bytes().to_vec();
                sqlx::query(sqlx::AssertSqlSafe(insert)).bind(now()).bind(key).execute(&pool).await.unwrap();
            }
            pool.close().await;
        }};
    }
    match backend {
        Backend::Sqlite => {
            let options =
                sqlx::sqlite::SqliteConnectOptions::new().filename(&database.url).create_if_missing(true);
            let first = sqlx::migrate!("../migrations/sqlite").iter().next().unwrap().clone();
            fill!(sqlx::SqlitePool::connect_with(options).await.unwrap(), first);
        }
        Backend::Postgres => {
            let first = sqlx::migrate!("../migrations/postgres").iter().next().unwrap().clone();
            fill!(sqlx::PgPool::connect(&database.url).await.unwrap(), first);
        }
    }
    let store = Store::open(&database.url, 4).await.unwrap();
    let read = store.broadcasts.find(BroadcastId(1)).await.unwrap().unwrap();
    // Its stream key is its owner's key, and stays so when the stream key is replaced.
    assert_eq!((read.key, read.owner.key, read.owner.subject), (stream, stream, None));
    let fresh = SecretKey::stream(&mut rand::rng()).hash();
    assert_eq!(store.broadcasts.replace_key(BroadcastId(1), stream, fresh, None).await.unwrap(), Some(2));
    let read = store.broadcasts.find(BroadcastId(1)).await.unwrap().unwrap();
    assert_eq!((read.key, read.owner.key), (fresh, stream));
    assert_eq!(store.groups.of_key(owner).await.unwrap(), Some("grp_old".parse().unwrap()));
    // Its group needs a token of the owner, as it always did.
    let group = store.groups.find("grp_old".parse().unwrap()).await.unwrap().unwrap().group;
    assert_eq!((group.admission, group.max_participants, group.modified_at), (Admission::Key, 100, now()));
    // It is found, its viewers are counted until they run out, and its answer, never kept, is not repeated.
    let listing = Listing { search: Some("old one".into()), ..all() };
    assert_eq!(store.lists.page(listing).await.unwrap().len(), 1);
    assert_eq!(store.viewers.parts(true, Some(now())).await.unwrap()[0].others, 5);
    assert_eq!(sweep(&store, now(), BroadcastId(1)).await, 0);
    let key = *stream.as_bytes();
    let repeat = Repeatable { scope: "a".into(), key, request: key, sealed: vec![1] };
    assert!(matches!(store.broadcasts.create(new("again"), Some(repeat)).await.unwrap(), Inserted::Mismatch));
}

/// What is waited for a write that waits for a lock, before it is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(200);

/// Calls run out of time wherever they are: the connection that they had is as good as new for the next one.
#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_transaction_open() {
    let database = Database::new(Backend::Postgres).await;
    let store = Store::open(&database.url, 1).await.unwrap();
    let mut watcher = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let mut holder = sqlx::PgConnection::connect(&database.url).await.unwrap();
    for polls in 1..=16 {
        // Every other time the row's table is held, so that the write surely waits within its transaction.
        let held = polls % 2 == 0;
        if held {
            holder.execute("BEGIN; LOCK TABLE broadcast IN ACCESS EXCLUSIVE MODE").await.unwrap();
        }
        let mut write = store.broadcasts.delete(BroadcastId(1 << 40)).boxed();
        let mut left = polls;
        let done = std::future::poll_fn(|cx| match write.poll_unpin(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 1 => Poll::Ready(false),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        });
        // How often it is polled until it waits for the lock depends on how fast the answers come.
        let done = tokio::time::timeout(GIVEN_UP_AFTER, done).await.unwrap_or(false);
        assert!(!(held && done), "it went past a lock at poll {polls}");
        drop(write);
        if held {
            holder.execute("ROLLBACK").await.unwrap();
        }
        // There is one connection: this read comes after whatever the write left.
        store.broadcasts.find(BroadcastId(1)).await.unwrap();
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND application_name = 'madang-meta' AND state LIKE 'idle in transaction%'";
        // A connection that was given up in the middle of an answer is closed, and its process in the server is seen
        // until it has noticed.
        let closed = tokio::time::timeout(Duration::from_secs(5), async {
            while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut watcher).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(closed.await.is_ok(), "given up at poll {polls}");
    }
}
