//! The service as a process that is killed the moment it has answered: what was acknowledged is there.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use contract::token::{Role, TokenKeys};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{Backend, Database, SECRET};

/// A process that is killed when a test gives it up.
struct Process {
    child: Child,
    base: String,
}

impl Process {
    /// Starts one and waits until it answers.
    async fn start(database: &Database) -> Self {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_meta-service"))
            .args([
                "--dev",
                "--http",
                &port.to_string(),
                "--admin",
                "127.0.0.1:0",
                "--database",
                &database.url,
            ])
            .env("META_TOKEN_SECRET", SECRET)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { child, base: format!("http://{port}") };
        let give_up = Instant::now() + Duration::from_secs(60);
        while reqwest::get(format!("{}/groups", this.base)).await.is_err() {
            assert!(Instant::now() < give_up, "it does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        this
    }

    async fn post(&self, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        let request = Client::new().post(format!("{}{path}", self.base)).bearer_auth(bearer).json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn rules_of_a_room_that_were_answered_hold_after_the_process_was_killed() {
    let database = Database::new(Backend::Postgres).await;
    let keys = TokenKeys::new(SECRET, None).unwrap();
    let (service, admin) = (
        keys.mint_service("sfu", service_kit::unix_now()),
        keys.mint("ann", Role::Admin, service_kit::unix_now(), 3_600),
    );
    let mut meta = Process::start(&database).await;
    let (status, group) = meta.post("/groups", &admin, &json!({})).await;
    assert_eq!(status, 201);
    let id = group["id"].as_str().unwrap().to_owned();
    let (open, tokens) = (format!("/internal/groups/{id}/open"), format!("/groups/{id}/token"));
    let mut people = Vec::new();
    for round in 1..=3 {
        let (status, token) = meta.post(&tokens, &admin, &json!({})).await;
        assert_eq!(status, 200, "{token}");
        let bearer = token["token"].as_str().unwrap().to_owned();
        // Its node was killed as well, and holds nothing.
        let (_, home) = meta.post(&open, &service, &json!({ "node_id": "nod_1" })).await;
        assert_eq!(home["epoch"], 2 * round - 1);
        people.push(json!({ "subject": token["participant_id"], "removed": true, "taken": ["chat"] }));
        let rules = json!({ "locked": round % 2 == 1, "people": people });
        let put =
            Client::new().put(format!("{}/internal/groups/{id}/rules", meta.base)).bearer_auth(&service);
        let body = json!({ "epoch": home["epoch"], "version": 1, "rules": rules });
        let stored = put.json(&body).send().await.unwrap();
        assert_eq!(stored.status().as_u16(), 204);
        drop(meta);
        meta = Process::start(&database).await;
        let (status, problem) = meta.post(&tokens, &bearer, &json!({})).await;
        assert_eq!((status, problem["type"].as_str()), (403, Some("/problems/removed")));
        let (_, next) = meta.post(&open, &service, &json!({ "node_id": "nod_1" })).await;
        assert_eq!(next["rules"]["locked"], round % 2 == 1);
        assert_eq!(next["rules"]["people"].as_array().unwrap().len(), people.len());
    }
}
