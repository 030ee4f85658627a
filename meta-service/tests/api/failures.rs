//! Writes that do not happen: a commit that fails, a disk that is full, a database that is read-only, under every write
//! of the API. Nothing is acknowledged, nothing half changed, readiness tells, and all goes on when it is over.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use contract::token::Role;
use reqwest::RequestBuilder;
use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnectOptions;

use crate::support::{Api, Backend, Created, Database, ask, config, on_both};

on_both!(a_commit_that_fails_is_no_success);

/// Every write of the API.
const WRITES: [&str; 16] = [
    "create broadcast",
    "create broadcast, repeatable",
    "edit broadcast",
    "close broadcast",
    "delete broadcast",
    "replace key",
    "put thumbnail",
    "create group",
    "create group, repeatable",
    "edit group",
    "open group",
    "rules of a group",
    "delete group",
    "first media",
    "sign of life",
    "report of rooms",
];
const TABLES: [&str; 7] =
    ["broadcast", "call_group", "group_person", "thumbnail", "idempotency", "viewer_part", "write_probe"];

/// What a write acts on, fresh for each.
struct Things {
    broadcast: Created,
    streaming: Created,
    group: String,
    group_key: String,
}

async fn things(api: &Api) -> Things {
    let (broadcast, streaming) = (api.created("a").await, api.created("b").await);
    let report = media(api, streaming.id);
    api.report("/internal/nodes/nod_1/report", &report).await;
    let group = api.post("/groups").bearer_auth(api.token(Role::Admin)).json(&json!({}));
    let group = ask(group).await.json();
    Things {
        broadcast,
        streaming,
        group: group["id"].as_str().unwrap().to_owned(),
        group_key: group["owner_key"].as_str().unwrap().to_owned(),
    }
}

fn media(api: &Api, id: i64) -> serde_json::Value {
    let now = api.clock.now();
    let media = json!({
        "broadcast_id": id, "key_revision": 1, "state": "live", "started_at": now, "last_media_at": now,
    });
    json!({ "public_url": "", "broadcasts": [media] })
}

fn write(api: &Api, operation: &str, things: &Things) -> RequestBuilder {
    let Created { id, owner_key, .. } = &things.broadcast;
    let path = format!("/broadcasts/{id}");
    let service = api.token(Role::Service);
    // One key for each thing, so that a second try is the same request.
    let repeat = format!("{:032}", things.streaming.id);
    let body = json!({ "name": "new", "description": "" });
    match operation {
        "create broadcast" => api.post("/broadcasts").json(&body),
        "create broadcast, repeatable" => {
            api.post("/broadcasts").header("idempotency-key", repeat).json(&body)
        }
        "edit broadcast" => api.put(&path).bearer_auth(owner_key).json(&json!({ "name": "changed" })),
        "close broadcast" => api.put(&path).bearer_auth(owner_key).json(&json!({ "status": "CLOSED" })),
        "delete broadcast" => api.delete(&path).bearer_auth(owner_key),
        "replace key" => api.post(&format!("{path}/key")).bearer_auth(owner_key),
        "put thumbnail" => {
            let put = api.put(&format!("{path}/thumbnail")).bearer_auth(owner_key);
            put.header("content-type", "image/jpeg")
                .body([&[0xff, 0xd8, 0xff], [7; 9_000].as_slice()].concat())
        }
        "create group" => api.post("/groups").json(&json!({ "name": "new" })),
        "create group, repeatable" => {
            api.post("/groups").header("idempotency-key", repeat).json(&json!({ "name": "new" }))
        }
        "edit group" => api
            .request(reqwest::Method::PATCH, &format!("/groups/{}", things.group))
            .bearer_auth(&things.group_key)
            .json(&json!({ "name": "changed" })),
        "open group" => api
            .post(&format!("/internal/groups/{}/open", things.group))
            .bearer_auth(service)
            .json(&json!({ "node_id": "nod_1" })),
        "rules of a group" => {
            let people = json!([{ "subject": "par_a", "removed": true }]);
            let body = json!({ "epoch": 0, "version": 1, "rules": { "people": people } });
            api.put(&format!("/internal/groups/{}/rules", things.group)).bearer_auth(service).json(&body)
        }
        "delete group" => api.delete(&format!("/groups/{}", things.group)).bearer_auth(&things.group_key),
        "first media" => api.post("/internal/nodes/nod_1/report").bearer_auth(service).json(&media(api, *id)),
        "sign of life" => {
            let report = media(api, things.streaming.id);
            api.post("/internal/nodes/nod_1/report").bearer_auth(service).json(&report)
        }
        "report of rooms" => {
            let room = json!({ "room": id.to_string(), "viewer_count": 3, "p2p_streamer": false });
            let report = json!({ "replica": "one", "rooms": [room] });
            api.post("/internal/rooms/report").bearer_auth(service).json(&report)
        }
        other => panic!("{other}"),
    }
}

/// Everything that is stored, but for the row that is written to try it.
async fn stored(database: &Database) -> String {
    let mut all = String::new();
    for table in TABLES.iter().filter(|table| **table != "write_probe") {
        let rows: Vec<String> = if database.url.starts_with("postgres:") {
            let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
            let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} t ORDER BY 1"));
            let rows = sqlx::query_scalar(rows).fetch_all(&pool).await.unwrap();
            pool.close().await;
            rows
        } else {
            let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", database.url)).await.unwrap();
            let columns = format!(
                "SELECT group_concat('quote(' || name || ')', ' || ') FROM pragma_table_info('{table}')"
            );
            let columns: String = sqlx::query_scalar(AssertSqlSafe(columns)).fetch_one(&pool).await.unwrap();
            let rows = AssertSqlSafe(format!("SELECT {columns} FROM {table} ORDER BY 1"));
            let rows = sqlx::query_scalar(rows).fetch_all(&pool).await.unwrap();
            pool.close().await;
            rows
        };
        all += &format!("{table}: {}\n", rows.join("\n"));
    }
    all
}

async fn readyz(api: &Api) -> u16 {
    api.meta.sweep().await;
    reqwest::get(format!("{}/readyz", api.admin)).await.unwrap().status().as_u16()
}

/// Runs every write while `fail` holds and again after `recover`.
async fn every_write(api: &Api, expected: u16, fail: impl AsyncFn(), recover: impl AsyncFn()) {
    let mut all = Vec::new();
    for operation in WRITES {
        all.push((operation, things(api).await));
    }
    // A second later the signs of life are new ones.
    api.clock.turn(chrono::TimeDelta::seconds(1));
    assert_eq!(readyz(api).await, 200);
    fail().await;
    let before = stored(&api.database).await;
    for (operation, things) in &all {
        let refused = ask(write(api, operation, things)).await;
        assert_eq!(refused.status, expected, "{operation}: {}", refused.text);
        refused.is_problem(expected);
        assert!(expected == 500 || !refused.header("retry-after").is_empty(), "{operation}");
        assert_eq!(stored(&api.database).await, before, "{operation} was half done");
    }
    // What only reads goes on, and readiness tells.
    assert_eq!(ask(api.get("/broadcasts")).await.status, 200);
    assert_eq!(readyz(api).await, 503);
    recover().await;
    assert_eq!(readyz(api).await, 200);
    for (operation, things) in &all {
        let done = ask(write(api, operation, things)).await;
        assert!((200..300).contains(&done.status), "{operation} afterwards: {} {}", done.status, done.text);
        let after = stored(&api.database).await;
        assert_ne!(after, before, "{operation} did nothing");
    }
}

async fn a_commit_that_fails_is_no_success(backend: Backend) {
    let api = Api::dev(backend).await;
    let (mut fail, mut recover) = (String::new(), String::new());
    match backend {
        Backend::Sqlite => {
            fail += "CREATE TABLE nowhere (id INTEGER PRIMARY KEY); CREATE TABLE fault (id INTEGER REFERENCES \
                     nowhere (id) DEFERRABLE INITIALLY DEFERRED);";
            for table in TABLES {
                for event in ["INSERT", "UPDATE", "DELETE"] {
                    let name = format!("fault_{table}_{event}");
                    fail += &format!(
                        "CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN \
                                      INSERT INTO fault VALUES (1); END;"
                    );
                    recover += &format!("DROP TRIGGER {name};");
                }
            }
            recover += "DROP TABLE fault; DROP TABLE nowhere;";
        }
        Backend::Postgres => {
            fail += "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;";
            for table in TABLES {
                fail += &format!(
                    "CREATE CONSTRAINT TRIGGER fault AFTER INSERT OR UPDATE OR DELETE ON {table} \
                                  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fault();"
                );
                recover += &format!("DROP TRIGGER fault ON {table};");
            }
        }
    }
    // SQLite has no way to make a commit fail for want of space; a constraint is checked at the same place.
    let expected = if backend == Backend::Sqlite { 500 } else { 503 };
    every_write(
        &api,
        expected,
        async || api.database.run(&fail).await,
        async || api.database.run(&recover).await,
    )
    .await;
}

#[tokio::test]
async fn a_postgres_that_only_reads_is_no_success() {
    let api = Api::dev(Backend::Postgres).await;
    let switch = async |to: &str| {
        let options: PgConnectOptions = api.database.url.parse().unwrap();
        let options = options.options([("default_transaction_read_only", "off")]);
        let pool = sqlx::PgPool::connect_with(options).await.unwrap();
        let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&pool).await.unwrap();
        let alter = format!("ALTER DATABASE {name} SET default_transaction_read_only = {to}");
        sqlx::raw_sql(AssertSqlSafe(alter)).execute(&pool).await.unwrap();
        // It holds for new connections: the old ones end, and the pool opens others.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(end).execute(&pool).await.unwrap();
        pool.close().await;
    };
    every_write(&api, 503, async || switch("on").await, async || switch("off").await).await;
}

/// A file system of its own, of 16 MiB (a log alone has 4), for who may mount one.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self { folder })
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for size in [65_536, 4_096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
    }
}

#[tokio::test]
async fn a_full_disk_is_no_success() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not run: mounting a small file system needs root");
        return;
    };
    let path: &Path = disk.folder.path();
    let url = path.join("meta.db").to_str().unwrap().to_owned();
    let api = Api::with(Database::at(url), config()).await;
    let fail = async || {
        // An empty log has no room that a write could use again.
        api.database.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
        disk.fill();
    };
    every_write(&api, 503, fail, async || std::fs::remove_file(disk.filler()).unwrap()).await;
    // A connection that saw the failure is as good as any other: many more writes than there are connections.
    for n in 0..20 {
        api.create(&format!("after {n}")).await;
    }
    api.stop().await;
}
