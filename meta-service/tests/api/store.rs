//! The store: the same tests on both databases.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use contract::id::{BroadcastId, GroupId};
use contract::key::SecretKey;
use contract::rest::Status;
use meta_service::lifecycle::Change;
use meta_service::store::{
    After, Inserted, Listing, NewBroadcast, NewGroup, Record, Repeatable, Seen, Sort, Store, Thumbnail, open,
};

use crate::support::{Backend, Database, on_both};

on_both!(
    broadcasts_round_trip,
    pages_have_every_row_once,
    a_search_finds_words_and_nothing_by_accident,
    an_update_needs_the_version_that_was_read,
    one_idempotency_key_makes_one_broadcast_however_many_ask,
    a_deleted_group_is_not_repeated,
    signs_of_life_never_go_back,
    silence_and_age_are_found,
    a_sign_of_life_in_between_keeps_a_broadcast_open,
    viewers_are_written_and_a_closed_broadcast_has_none,
    thumbnails_are_replaced_and_purged,
    groups_come_and_go,
    starts_at_the_same_time_migrate_once,
    a_newer_schema_is_accepted,
);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_123).unwrap()
}

async fn store(backend: Backend) -> (std::sync::Arc<dyn Store>, Database) {
    let database = Database::new(backend).await;
    (open(&database.url, 4).await.unwrap(), database)
}

fn new(name: &str) -> NewBroadcast {
    let key = SecretKey::stream(&mut rand::rng()).hash();
    NewBroadcast { name: name.into(), description: "about".into(), key, created_at: now() }
}

async fn insert(store: &dyn Store, name: &str) -> Record {
    match store.create_broadcast(new(name), None).await.unwrap() {
        Inserted::New(record) => record,
        other => panic!("{other:?}"),
    }
}

fn all() -> Listing {
    Listing { search: None, status: None, sort: Sort::Newest, after: None, limit: 1_000 }
}

fn change(record: &Record, status: Status) -> Change {
    Change {
        name: record.broadcast.name.clone(),
        description: record.broadcast.description.clone(),
        status,
        started_at: Some(now()),
        ended_at: None,
        viewer_count: None,
        seen_at: None,
        unless_seen_after: None,
    }
}

async fn broadcasts_round_trip(backend: Backend) {
    let (store, database) = store(backend).await;
    let made = insert(&*store, "한국 ' \" \\ é").await;
    let read = store.broadcast(made.broadcast.id).await.unwrap().unwrap();
    assert_eq!(read.broadcast, made.broadcast);
    assert_eq!((read.broadcast.created_at, read.broadcast.status), (now(), Status::Ready));
    assert_eq!((read.version, read.key_revision, read.key), (1, 1, made.key));
    assert_eq!(store.broadcast_of_key(made.key).await.unwrap(), Some(made.broadcast.id));
    assert!(store.broadcast(BroadcastId(1 << 40)).await.unwrap().is_none());

    let other = SecretKey::stream(&mut rand::rng()).hash();
    assert_eq!(store.replace_key(made.broadcast.id, other).await.unwrap(), Some(2));
    assert_eq!(store.broadcast_of_key(made.key).await.unwrap(), None);
    assert_eq!(store.replace_key(BroadcastId(1 << 40), made.key).await.unwrap(), None);

    // Another process sees the same.
    store.close().await;
    let again = open(&database.url, 4).await.unwrap();
    let read = again.broadcast(made.broadcast.id).await.unwrap().unwrap();
    assert_eq!((read.broadcast, read.key_revision, read.key), (made.broadcast, 2, other));
}

async fn pages_have_every_row_once(backend: Backend) {
    let (store, _database) = store(backend).await;
    let mut ids = Vec::new();
    for n in 0..11 {
        ids.push(insert(&*store, &format!("b{n}")).await.broadcast.id);
    }
    // Ties on purpose: the id decides.
    let counts = ids.iter().enumerate().map(|(n, id)| (*id, i64::try_from(n).unwrap() % 3)).collect();
    store.write_viewers(counts).await.unwrap();
    for sort in [Sort::Newest, Sort::Viewers] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(Listing { sort, after, limit: 4, ..all() }).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(After { viewers: last.viewer_count, id: last.id.0 });
            seen.extend(page.iter().map(|b| (b.viewer_count, b.id)));
        }
        assert_eq!(seen.len(), 11);
        assert_eq!(seen.iter().map(|(_, id)| *id).collect::<HashSet<_>>().len(), 11);
        let ordered = match sort {
            Sort::Newest => seen.is_sorted_by_key(|(_, id)| std::cmp::Reverse(*id)),
            Sort::Viewers => seen.is_sorted_by_key(|row| std::cmp::Reverse(*row)),
        };
        assert!(ordered, "{sort:?}: {seen:?}");
    }
    let many = store.broadcasts(ids.iter().copied().chain([BroadcastId(1 << 40)]).collect()).await.unwrap();
    assert_eq!(many.len(), 11);
    assert!(store.broadcasts(Vec::new()).await.unwrap().is_empty());
}

async fn a_search_finds_words_and_nothing_by_accident(backend: Backend) {
    let (store, _database) = store(backend).await;
    for name in
        ["100% Élan", "under_score", "back\\slash", "plain", "'; DROP TABLE broadcast; --", "한국 방송"]
    {
        insert(&*store, name).await;
    }
    let found = async |words: &str| {
        let listing = Listing { search: Some(words.into()), ..all() };
        let names = store.list(listing).await.unwrap().into_iter().map(|b| b.name);
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
    assert!(store.list(closed).await.unwrap().is_empty());
    let ready = Listing { status: Some(Status::Ready), search: Some("plain".into()), ..all() };
    assert_eq!(store.list(ready).await.unwrap().len(), 1);
}

async fn an_update_needs_the_version_that_was_read(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&*store, "a").await;
    let id = made.broadcast.id;
    let later = now() + TimeDelta::seconds(5);
    let mut edit = change(&made, Status::Streaming);
    edit.name = "NEW name".into();
    let updated = store.update(id, 1, edit.clone(), later).await.unwrap().unwrap();
    assert_eq!((updated.version, updated.broadcast.modified_at), (2, later));
    assert_eq!(updated.broadcast.created_at, now());
    assert!(store.update(id, 1, edit.clone(), later).await.unwrap().is_none());
    assert!(store.update(BroadcastId(1 << 40), 1, edit, later).await.unwrap().is_none());
    // The search follows the name.
    let listing = Listing { search: Some("new NAME".into()), ..all() };
    assert_eq!(store.list(listing).await.unwrap().len(), 1);
}

async fn one_idempotency_key_makes_one_broadcast_however_many_ask(backend: Backend) {
    let (store, _database) = store(backend).await;
    let repeat =
        |scope: &str, request: u8| Repeatable { scope: scope.into(), key: [1; 32], request: [request; 32] };
    let asked = (0..8).map(|_| store.create_broadcast(new("once"), Some(repeat("a", 1))));
    let outcomes = futures_util::future::join_all(asked).await;
    let mut ids = HashSet::new();
    let mut fresh = 0;
    for outcome in outcomes {
        match outcome.unwrap() {
            Inserted::New(record) => {
                fresh += 1;
                ids.insert(record.broadcast.id);
            }
            Inserted::Repeated(record) => {
                ids.insert(record.broadcast.id);
            }
            Inserted::Mismatch => panic!("the same request"),
        }
    }
    assert_eq!((fresh, ids.len()), (1, 1));
    assert_eq!(store.list(all()).await.unwrap().len(), 1);
    let other = store.create_broadcast(new("other"), Some(repeat("a", 2))).await.unwrap();
    assert!(matches!(other, Inserted::Mismatch));
    let else_where = store.create_broadcast(new("else"), Some(repeat("b", 2))).await.unwrap();
    assert!(matches!(else_where, Inserted::New(_)));
    // Forgotten after a while, and not before.
    store.purge(now() - TimeDelta::seconds(1), now()).await.unwrap();
    let again = store.create_broadcast(new("once"), Some(repeat("a", 1))).await.unwrap();
    assert!(matches!(again, Inserted::Repeated(_)));
    store.purge(now(), now()).await.unwrap();
    let again = store.create_broadcast(new("once"), Some(repeat("a", 1))).await.unwrap();
    assert!(matches!(again, Inserted::New(_)));
}

async fn a_deleted_group_is_not_repeated(backend: Backend) {
    let (store, _database) = store(backend).await;
    let repeat = Repeatable { scope: "a".into(), key: [1; 32], request: [1; 32] };
    let group = || NewGroup {
        id: GroupId::random(&mut rand::rng()),
        name: "g".into(),
        key: SecretKey::owner(&mut rand::rng()).hash(),
        created_at: now(),
    };
    let Inserted::New(made) = store.create_group(group(), Some(repeat.clone())).await.unwrap() else {
        panic!("new");
    };
    let Inserted::Repeated(same) = store.create_group(group(), Some(repeat.clone())).await.unwrap() else {
        panic!("repeated");
    };
    assert_eq!(same, made);
    assert!(store.delete_group(made.id).await.unwrap());
    assert!(matches!(store.create_group(group(), Some(repeat)).await.unwrap(), Inserted::Mismatch));
}

async fn signs_of_life_never_go_back(backend: Backend) {
    let (store, _database) = store(backend).await;
    let (a, b) = (insert(&*store, "a").await.broadcast.id, insert(&*store, "b").await.broadcast.id);
    let seen =
        |id, seconds, present| Seen { id, last_media_at: now() + TimeDelta::seconds(seconds), present };
    store.touch(vec![seen(a, 2, true), seen(b, 1, false)], now()).await.unwrap();
    store.touch(vec![seen(a, 1, false)], now() + TimeDelta::seconds(9)).await.unwrap();
    store.touch(Vec::new(), now()).await.unwrap();
    let read = store.broadcast(a).await.unwrap().unwrap();
    assert_eq!((read.seen_at, read.last_media_at), (Some(now()), Some(now() + TimeDelta::seconds(2))));
    assert_eq!(read.version, 1);
    let read = store.broadcast(b).await.unwrap().unwrap();
    assert_eq!((read.seen_at, read.last_media_at), (None, Some(now() + TimeDelta::seconds(1))));
}

async fn silence_and_age_are_found(backend: Backend) {
    let (store, _database) = store(backend).await;
    let ready = insert(&*store, "ready").await;
    let live = insert(&*store, "live").await;
    let never = insert(&*store, "never seen").await;
    for record in [&live, &never] {
        let updated = store.update(record.broadcast.id, 1, change(record, Status::Streaming), now()).await;
        assert!(updated.unwrap().is_some());
    }
    let seen = Seen { id: live.broadcast.id, last_media_at: now(), present: true };
    store.touch(vec![seen], now()).await.unwrap();
    let ids = |records: Vec<Record>| records.into_iter().map(|r| r.broadcast.id).collect::<Vec<_>>();
    let second = TimeDelta::milliseconds(1);
    assert_eq!(ids(store.unseen(now() - second).await.unwrap()), [never.broadcast.id]);
    assert_eq!(ids(store.unseen(now()).await.unwrap()), [live.broadcast.id, never.broadcast.id]);
    assert_eq!(ids(store.unstarted(now()).await.unwrap()), [ready.broadcast.id]);
    assert!(store.unstarted(now() - second).await.unwrap().is_empty());
}

async fn a_sign_of_life_in_between_keeps_a_broadcast_open(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&*store, "a").await;
    let id = made.broadcast.id;
    let mut close = change(&made, Status::Closed);
    close.unless_seen_after = Some(now());
    store
        .touch(vec![Seen { id, last_media_at: now(), present: true }], now() + TimeDelta::seconds(1))
        .await
        .unwrap();
    assert!(store.update(id, 1, close.clone(), now()).await.unwrap().is_none());
    close.unless_seen_after = Some(now() + TimeDelta::seconds(1));
    assert!(store.update(id, 1, close, now()).await.unwrap().is_some());
}

async fn viewers_are_written_and_a_closed_broadcast_has_none(backend: Backend) {
    let (store, _database) = store(backend).await;
    let a = insert(&*store, "a").await;
    let b = insert(&*store, "b").await;
    let (ida, idb) = (a.broadcast.id, b.broadcast.id);
    store.write_viewers(vec![(ida, 5), (idb, -3), (BroadcastId(1 << 40), 1)]).await.unwrap();
    assert_eq!(store.viewers().await.unwrap(), [(ida, 5)]);
    let mut close = change(&a, Status::Closed);
    close.viewer_count = Some(0);
    let closed = store.update(ida, 1, close, now()).await.unwrap().unwrap();
    assert_eq!(closed.broadcast.viewer_count, 0);
    store.write_viewers(vec![(ida, 7)]).await.unwrap();
    assert!(store.viewers().await.unwrap().is_empty());
    assert_eq!(store.broadcast(idb).await.unwrap().unwrap().version, 1);
}

async fn thumbnails_are_replaced_and_purged(backend: Backend) {
    let (store, _database) = store(backend).await;
    let made = insert(&*store, "a").await;
    let id = made.broadcast.id;
    let picture = |byte: u8| Thumbnail {
        media_type: "image/webp".into(),
        etag: format!("\"{byte}\""),
        image: vec![byte; 65_536],
    };
    assert_eq!(store.thumbnail(id).await.unwrap(), None);
    store.put_thumbnail(id, picture(0)).await.unwrap();
    store.put_thumbnail(id, picture(255)).await.unwrap();
    assert_eq!(store.thumbnail(id).await.unwrap(), Some(picture(255)));
    store.purge(now(), now()).await.unwrap();
    assert!(store.thumbnail(id).await.unwrap().is_some());
    let mut close = change(&made, Status::Closed);
    close.ended_at = Some(now());
    store.update(id, 1, close, now()).await.unwrap().unwrap();
    store.purge(now(), now()).await.unwrap();
    assert_eq!(store.thumbnail(id).await.unwrap(), None);
}

async fn groups_come_and_go(backend: Backend) {
    let (store, _database) = store(backend).await;
    let key = SecretKey::owner(&mut rand::rng()).hash();
    let id = GroupId::random(&mut rand::rng());
    for n in 0..3 {
        let first = n == 0;
        let group = NewGroup {
            id: if first { id.clone() } else { GroupId::random(&mut rand::rng()) },
            name: format!("g{n}"),
            key: if first { key } else { SecretKey::owner(&mut rand::rng()).hash() },
            created_at: now(),
        };
        store.create_group(group, None).await.unwrap();
    }
    let read = store.group(id.clone()).await.unwrap().unwrap();
    assert_eq!((read.group.name.as_str(), read.key, read.group.created_at), ("g0", key, now()));
    assert_eq!(store.group_of_key(key).await.unwrap(), Some(id.clone()));
    let page = store.groups(None, 2).await.unwrap();
    assert_eq!(page.iter().map(|g| g.group.name.as_str()).collect::<Vec<_>>(), ["g2", "g1"]);
    let rest = store.groups(Some(page[1].seq), 2).await.unwrap();
    assert_eq!(rest.iter().map(|g| g.group.name.as_str()).collect::<Vec<_>>(), ["g0"]);
    assert!(store.delete_group(id.clone()).await.unwrap());
    assert!(!store.delete_group(id.clone()).await.unwrap());
    assert!(store.group(id).await.unwrap().is_none());
}

async fn starts_at_the_same_time_migrate_once(backend: Backend) {
    let database = Database::new(backend).await;
    let opened = futures_util::future::join_all((0..6).map(|_| open(&database.url, 2))).await;
    for store in opened {
        let store = store.unwrap();
        insert(&*store, "a").await;
    }
    let store = open(&database.url, 2).await.unwrap();
    assert_eq!(store.list(all()).await.unwrap().len(), 6);
}

async fn a_newer_schema_is_accepted(backend: Backend) {
    let database = Database::new(backend).await;
    open(&database.url, 2).await.unwrap().close().await;
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
    let store = open(&database.url, 2).await.unwrap();
    insert(&*store, "a").await;
}
