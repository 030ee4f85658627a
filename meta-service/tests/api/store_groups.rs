//! The store of groups and of the rules of their rooms: the same tests on both databases.

use chrono::{DateTime, TimeDelta, Utc};
use contract::group::{Admission, Metadata, PersonRule, PutRules, RoomRules};
use contract::id::GroupId;
use contract::token::Grant;
use meta_service::record::Owner;
use meta_service::store::{
    GroupRecord, GroupSettings, Inserted, NewGroup, Opened, Opening, Put, Repeatable, Store, StoreError,
};

use crate::store::{now, owner, store};
use crate::support::{Backend, Database, on_both};

on_both!(
    groups_come_and_go,
    a_deleted_group_is_not_repeated,
    changes_at_once_are_made_one_after_the_other,
    the_newest_home_writes_and_nothing_late_counts,
    rules_last_as_long_as_the_tokens_that_they_are_about,
    a_deleted_group_has_no_rules,
    what_a_later_release_stores_is_read_as_far_as_it_is_known,
);

fn settings(name: &str) -> GroupSettings {
    let metadata: Metadata = serde_json::from_str("{\"a\":[\"한국 ' \\\\\",1.5,null]}").unwrap();
    GroupSettings { name: name.into(), max_participants: 7, admission: Admission::Link, metadata }
}

fn new(name: &str) -> NewGroup {
    NewGroup {
        id: GroupId::random(&mut rand::rng()),
        settings: settings(name),
        owner: owner(),
        created_at: now(),
    }
}

async fn insert(store: &Store, new: NewGroup) -> GroupRecord {
    match store.groups.create(new, None).await.unwrap() {
        Inserted::New(record) => record,
        other => panic!("{other:?}"),
    }
}

async fn delete(store: &Store, id: &GroupId) -> Option<GroupRecord> {
    let deleted = store.groups.delete(id.clone(), |_| Ok::<(), ()>(())).await.unwrap();
    deleted.map(Result::unwrap)
}

async fn groups_come_and_go(backend: Backend) {
    let (store, database) = store(backend).await;
    let first = NewGroup { owner: Owner { subject: None, ..owner() }, ..new("g0") };
    let (id, key) = (first.id.clone(), first.owner.key);
    let made = insert(&store, first).await;
    for name in ["g1", "g2"] {
        insert(&store, new(name)).await;
    }
    assert_eq!((made.version, made.epoch, made.owner.clone()), (1, 0, Owner { key, subject: None }));
    assert_eq!(GroupSettings::of(&made.group), settings("g0"));
    assert_eq!((made.group.created_at, made.group.modified_at), (now(), now()));
    assert_eq!(store.groups.of_key(key).await.unwrap(), Some(id.clone()));
    let page = store.groups.page(None, 2).await.unwrap();
    assert_eq!(page.iter().map(|g| g.group.name.as_str()).collect::<Vec<_>>(), ["g2", "g1"]);
    let rest = store.groups.page(Some(page[1].seq), 2).await.unwrap();
    assert_eq!(rest, std::slice::from_ref(&made));
    // Another process sees the same.
    store.close().await;
    let store = Store::open(&database.url, 4).await.unwrap();
    assert_eq!(store.groups.find(id.clone()).await.unwrap(), Some(made.clone()));
    let unknown = GroupId::random(&mut rand::rng());
    assert_eq!(
        store.groups.find_all(vec![id.clone(), unknown.clone()]).await.unwrap(),
        std::slice::from_ref(&made)
    );
    let refused = store.groups.delete(id.clone(), |_| Err("not now")).await.unwrap();
    assert_eq!(refused, Some(Err("not now")));
    assert_eq!(delete(&store, &id).await, Some(made));
    assert_eq!((delete(&store, &id).await, delete(&store, &unknown).await), (None, None));
    assert!(store.groups.find(id).await.unwrap().is_none());
}

async fn a_deleted_group_is_not_repeated(backend: Backend) {
    let (store, _database) = store(backend).await;
    let repeat = Repeatable { scope: "a".into(), key: [1; 32], request: [1; 32], sealed: vec![7] };
    let Inserted::New(made) = store.groups.create(new("g"), Some(repeat.clone())).await.unwrap() else {
        panic!("new");
    };
    let Inserted::Repeated { made: same, .. } =
        store.groups.create(new("g"), Some(repeat.clone())).await.unwrap()
    else {
        panic!("repeated");
    };
    assert_eq!(same, made);
    assert!(delete(&store, &made.group.id).await.is_some());
    assert!(matches!(store.groups.create(new("g"), Some(repeat)).await.unwrap(), Inserted::Mismatch));
}

async fn changes_at_once_are_made_one_after_the_other(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = insert(&store, new("g")).await.group.id;
    let later = now() + TimeDelta::seconds(5);
    let grow = |record: &GroupRecord| -> Result<GroupSettings, StoreError> {
        let was = GroupSettings::of(&record.group);
        Ok(GroupSettings { max_participants: was.max_participants + 1, ..was })
    };
    let changes = (0..40).map(|_| store.groups.change(id.clone(), later, grow));
    let mut versions = Vec::new();
    for changed in futures_util::future::join_all(changes).await {
        let changed = changed.unwrap().unwrap().unwrap();
        assert_eq!(changed.was.unwrap().version + 1, changed.record.version);
        versions.push(changed.record.version);
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..=41).collect::<Vec<_>>());
    let read = store.groups.find(id.clone()).await.unwrap().unwrap();
    assert_eq!((read.group.max_participants, read.group.modified_at), (47, later));
    // What is so already is no change, and what is refused neither.
    let same = store
        .groups
        .change(id.clone(), now(), |record| Ok::<_, StoreError>(GroupSettings::of(&record.group)));
    let same = same.await.unwrap().unwrap().unwrap();
    assert_eq!((same.was, same.record), (None, read.clone()));
    let refused = store.groups.change(id.clone(), now(), |_| Err("no")).await.unwrap();
    assert_eq!(refused.unwrap().unwrap_err(), "no");
    assert_eq!(store.groups.find(id).await.unwrap().unwrap(), read);
    let unknown = GroupId::random(&mut rand::rng());
    assert!(store.groups.change(unknown, now(), grow).await.unwrap().is_none());
}

fn person(subject: &str) -> PersonRule {
    PersonRule {
        subject: subject.into(),
        removed: false,
        given: Vec::new(),
        taken: Vec::new(),
        seated: false,
    }
}

fn removed(subject: &str) -> PersonRule {
    PersonRule { removed: true, ..person(subject) }
}

fn rules(locked: bool, people: &[PersonRule]) -> RoomRules {
    RoomRules { locked, people: people.to_vec() }
}

/// Until when what is new in these tests is remembered.
fn until() -> DateTime<Utc> {
    now() + TimeDelta::hours(13)
}

async fn put(store: &Store, id: &GroupId, epoch: i64, version: i64, rules: RoomRules) -> Put {
    store.rules.put(id.clone(), PutRules { epoch, version, rules }, until()).await.unwrap()
}

/// What holds in the room, as the next home is told; a new epoch.
async fn reopened(store: &Store, id: &GroupId, at: DateTime<Utc>) -> (i64, RoomRules) {
    let opened = open(store, id, at).await.unwrap();
    (opened.record.epoch, opened.rules)
}

/// A node that holds nothing opens the room.
async fn open(store: &Store, id: &GroupId, at: DateTime<Utc>) -> Option<Opened> {
    let asked = serde_json::from_value(serde_json::json!({ "node_id": "nod_a" })).unwrap();
    match store.homes.open(id.clone(), asked, at, true).await.unwrap()? {
        Opening::Home(opened) => Some(*opened),
        Opening::Elsewhere { url } => panic!("another home at {url:?}"),
    }
}

async fn the_newest_home_writes_and_nothing_late_counts(backend: Backend) {
    let (store, database) = store(backend).await;
    let made = insert(&store, new("g")).await;
    let id = &made.group.id;
    assert_eq!(put(&store, id, 0, 1, rules(true, &[])).await, Put::Stored);
    let opened = open(&store, id, now()).await.unwrap();
    assert_eq!((opened.record.epoch, opened.record.version), (1, made.version));
    assert_eq!(opened.rules, rules(true, &[]));

    let given = PersonRule {
        given: vec![Grant::Moderate],
        taken: vec![Grant::PublishScreen, Grant::Chat],
        ..person("par_b")
    };
    let first = rules(false, &[removed("par_a"), given.clone(), person("par_c")]);
    assert_eq!(put(&store, id, 1, 5, first.clone()).await, Put::Stored);
    // Again is the same, an earlier one is late, also where it says something else.
    assert_eq!(put(&store, id, 1, 5, first).await, Put::Stored);
    assert_eq!(put(&store, id, 1, 4, rules(true, &[])).await, Put::Late);
    assert_eq!(put(&store, id, 2, 6, rules(true, &[])).await, Put::NotHome);
    assert_eq!(store.rules.of_person(id.clone(), "par_b").await.unwrap(), Some(given.clone()));
    assert_eq!(store.rules.of_person(id.clone(), "par_z").await.unwrap(), None);

    // The home is killed: another process becomes the home and knows it all; who has no rules is not among them.
    let other = Store::open(&database.url, 2).await.unwrap();
    let (epoch, known) = reopened(&other, id, now()).await;
    assert_eq!((epoch, known), (2, rules(false, &[removed("par_a"), given])));
    // What the old one still writes changes nothing; the new one begins at 1 again.
    assert_eq!(put(&store, id, 1, 9, rules(true, &[])).await, Put::NotHome);
    assert_eq!(put(&other, id, 2, 1, rules(true, &[removed("par_d")])).await, Put::Stored);
    assert_eq!(reopened(&store, id, now()).await, (3, rules(true, &[removed("par_d")])));

    // Of many at once the highest version is what stays.
    let puts = (1..=30).map(|version| {
        put(&store, id, 3, version, rules(version % 2 == 0, &[removed(&format!("par_{version}"))]))
    });
    let outcomes = futures_util::future::join_all(puts).await;
    assert!(outcomes.iter().all(|put| matches!(put, Put::Stored | Put::Late)) && outcomes[29] == Put::Stored);
    assert_eq!(reopened(&store, id, now()).await, (4, rules(true, &[removed("par_30")])));
    let unknown = GroupId::random(&mut rand::rng());
    assert!(open(&store, &unknown, now()).await.is_none());
    assert_eq!(put(&store, &unknown, 1, 1, rules(false, &[])).await, Put::Missing);
}

async fn rules_last_as_long_as_the_tokens_that_they_are_about(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = &insert(&store, new("g")).await.group.id;
    let second = TimeDelta::seconds(1);
    let (epoch, _) = reopened(&store, id, now()).await;
    let people = [removed("par_a"), PersonRule { taken: vec![Grant::Chat], seated: true, ..person("par_b") }];
    assert_eq!(put(&store, id, epoch, 1, rules(false, &people)).await, Put::Stored);
    // Said again later it lasts no longer; what changes does.
    let put_later = async |version, people: &[PersonRule]| {
        let put = PutRules { epoch, version, rules: rules(false, people) };
        assert_eq!(store.rules.put(id.clone(), put, until() + second * 10).await.unwrap(), Put::Stored);
    };
    put_later(2, &people).await;
    assert_eq!(reopened(&store, id, until() - second).await.1.people, people);
    assert!(reopened(&store, id, until()).await.1.people.is_empty());

    let (epoch, _) = reopened(&store, id, now()).await;
    let put_at = async |version, people: &[PersonRule], until: DateTime<Utc>| {
        let put = PutRules { epoch, version, rules: rules(false, people) };
        assert_eq!(store.rules.put(id.clone(), put, until).await.unwrap(), Put::Stored);
    };
    put_at(1, &people, until()).await;
    let changed = [removed("par_a"), PersonRule { taken: vec![Grant::Draw], ..person("par_b") }];
    put_at(2, &changed, until() + second * 10).await;
    store.rules.purge(until()).await.unwrap();
    assert_eq!(reopened(&store, id, now()).await.1.people, changed[1..]);
    // A renewed token is one more that it is about; an older end never counts again.
    store.rules.extend(id.clone(), "par_b", until() + second * 20).await.unwrap();
    store.rules.extend(id.clone(), "par_b", until()).await.unwrap();
    store.rules.purge(until() + second * 19).await.unwrap();
    assert!(store.rules.of_person(id.clone(), "par_b").await.unwrap().is_some());
    store.rules.purge(until() + second * 20).await.unwrap();
    assert_eq!(store.rules.of_person(id.clone(), "par_b").await.unwrap(), None);
}

async fn a_deleted_group_has_no_rules(backend: Backend) {
    let (store, _database) = store(backend).await;
    let (mine, other) = (insert(&store, new("g")).await.group.id, insert(&store, new("h")).await.group.id);
    for id in [&mine, &other] {
        assert_eq!(put(&store, id, 0, 1, rules(true, &[removed("par_a")])).await, Put::Stored);
    }
    assert!(delete(&store, &mine).await.is_some());
    assert_eq!(store.rules.of_person(mine.clone(), "par_a").await.unwrap(), None);
    assert!(store.rules.of_person(other, "par_a").await.unwrap().is_some());
    store.rules.extend(mine.clone(), "par_a", until()).await.unwrap();
    assert_eq!(put(&store, &mine, 0, 2, rules(false, &[])).await, Put::Missing);
}

async fn what_a_later_release_stores_is_read_as_far_as_it_is_known(backend: Backend) {
    let (store, database) = store(backend).await;
    let id = insert(&store, new("g")).await.group.id;
    later_release(&database, &id).await;
    let rule = store.rules.of_person(id, "par_a").await.unwrap().unwrap();
    assert_eq!((rule.given, rule.taken), (vec![Grant::Chat], Vec::new()));
}

async fn later_release(database: &Database, id: &GroupId) {
    let insert = format!(
        "INSERT INTO group_person (group_id, subject, removed, given, taken, expires_at) VALUES \
         ('{id}', 'par_a', false, '[\"levitate\",\"chat\"]', '[\"levitate\"]', '2030-01-01 00:00:00+00')"
    );
    database.run(&insert).await;
}
