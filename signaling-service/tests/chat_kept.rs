//! What is written in a chat stays: processes that are killed, two of them on one database, and a database that is away.

#[path = "../../meta-service/tests/api/support/postgres.rs"]
#[allow(dead_code)]
mod postgres;
mod support;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use contract::token::{Grant, Role};
use serde_json::{Value, json};
use service_kit::config::Secret;
use signaling_service::Config;
use support::{Got, PATIENCE, Peer, SECRET, Service, config, join_token, token};

const CHAT: &str = "/app/-/chat/7";

/// A process that is killed when a test gives it up.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    async fn start(database: &str) -> Self {
        let address = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_signaling-service"))
            .args(["--dev", "--http", &address.to_string(), "--admin", "127.0.0.1:0"])
            .env("SIGNALING_TOKEN_SECRET", SECRET)
            .env("SIGNALING_DATABASE_URL", database)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { child, address };
        let give_up = Instant::now() + Duration::from_secs(60);
        while reqwest::get(format!("http://{address}/room/7/count")).await.is_err() {
            assert!(Instant::now() < give_up, "it does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        this
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A connection without limits.
    async fn bot(&self, name: &str) -> Peer {
        let mut peer = Peer::at(self.address, &token(name, Role::Service)).await;
        peer.replies().await;
        peer
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id(writer: usize, n: usize) -> String {
    format!("message-{writer:04}-{n:08}")
}

/// Sends one message after the other, several on their way at a time, until the connection ends; what was acknowledged:
/// number by id.
async fn write_until_killed(mut peer: Peer, writer: usize, from: usize) -> BTreeMap<String, u64> {
    let mut acknowledged = BTreeMap::new();
    let mut next = from;
    loop {
        for _ in 0..8 {
            let (id, to) = (id(writer, next), CHAT);
            let body = json!({"text": id, "id": id}).to_string();
            let frame = format!("SEND\ndestination:{to}\nrequest-id:{id}\n\n{body}\0");
            if futures_util::SinkExt::send(&mut peer.socket, frame.into()).await.is_err() {
                return acknowledged;
            }
            next += 1;
        }
        for _ in 0..8 {
            let Got::Frame(frame) = peer.got().await else { return acknowledged };
            let reply: Value = serde_json::from_slice(&frame.body).unwrap();
            if reply["outcome"] == "done" {
                let id = reply["request"].as_str().unwrap().to_owned();
                acknowledged.insert(id, reply["seq"].as_u64().unwrap());
            }
        }
    }
}

/// All that is kept, oldest first.
async fn everything(peer: &mut Peer) -> Vec<Value> {
    let (mut all, mut before) = (Vec::new(), u64::from(u32::MAX));
    loop {
        let reply = peer.ask(CHAT, &json!({"type": "history", "before": before})).await;
        let page = reply["history"]["messages"].as_array().unwrap_or_else(|| panic!("{reply}")).clone();
        before = page.first().map_or(0, |first| first["seq"].as_u64().unwrap());
        all.splice(0..0, page);
        if reply["history"]["more"] == false {
            return all;
        }
    }
}

/// Writers that are cut off by kill -9, again and again: nothing acknowledged is lost or has another number, no number
/// is given twice, and what is sent again is there once.
async fn killed(database: &str) {
    const WRITERS: usize = 3;
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut epochs = HashSet::new();
    for round in 0..4 {
        let mut process = Process::start(database).await;
        let mut reader = process.bot("reader").await;
        let open = reader.chat("7").await;
        epochs.insert(open["epoch"].as_u64().unwrap());
        let highest = acknowledged.values().max().copied().unwrap_or(0);
        assert!(open["last"].as_u64().unwrap() >= highest, "{open} after {highest}");
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let peer = process.bot(&format!("bot{writer}")).await;
            writers.push(tokio::spawn(write_until_killed(peer, writer, round * 100_000)));
        }
        // In the middle of it.
        let mut seen: Vec<u64> = Vec::new();
        while seen.len() < 150 + 70 * round {
            seen.push(reader.json().await["seq"].as_u64().unwrap());
        }
        process.kill();
        for writer in writers {
            for (id, seq) in writer.await.unwrap() {
                assert_eq!(acknowledged.insert(id, seq), None);
            }
        }
    }
    assert_eq!(epochs.len(), 1, "{epochs:?}");
    let process = Process::start(database).await;
    let mut peer = process.bot("reader").await;
    let all = everything(&mut peer).await;
    let numbers: Vec<u64> = all.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "no number is there twice");
    let kept: BTreeMap<&str, (u64, &str)> = all
        .iter()
        .map(|message| {
            let text = message["text"].as_str().unwrap();
            (message["id"].as_str().unwrap(), (message["seq"].as_u64().unwrap(), text))
        })
        .collect();
    assert_eq!(kept.len(), all.len(), "no id is there twice");
    for (id, seq) in &acknowledged {
        assert_eq!(kept.get(id.as_str()), Some(&(*seq, id.as_str())), "{id} was acknowledged");
    }
    assert!(acknowledged.len() > 300, "{}", acknowledged.len());
    // Who got no answer sends again.
    for (id, (seq, _)) in kept.iter().take(50) {
        let reply = peer.ask(CHAT, &json!({"text": id, "id": id})).await;
        assert_eq!((&reply["outcome"], &reply["seq"]), (&json!("done"), &json!(seq)), "{reply}");
    }
    assert_eq!(everything(&mut peer).await.len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    killed(&folder.path().join("signaling.db").display().to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9_on_postgres() {
    killed(&postgres::shared().await.new_database().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_postgres_give_no_number_twice_and_show_all_of_it() {
    const EACH: usize = 120;
    let database = postgres::shared().await.new_database().await;
    // Both at once: one makes the schema, the other one waits.
    let (one, two) = tokio::join!(Process::start(&database), Process::start(&database));
    let mut readers = Vec::new();
    for process in [&one, &two] {
        let mut reader = process.bot("reader").await;
        readers.push((reader.chat("7").await["epoch"].clone(), reader));
    }
    assert_eq!(readers[0].0, readers[1].0, "it is one database");
    let mut writers = Vec::new();
    for (n, process) in [&one, &two, &one, &two].into_iter().enumerate() {
        let mut peer = process.bot(&format!("bot{n}")).await;
        writers.push(tokio::spawn(async move {
            let mut given = Vec::new();
            for m in 0..EACH {
                // Half of them are also sent by the neighbour at the other process.
                let id = if m % 2 == 0 { id(n / 2, m) } else { id(10 + n, m) };
                let reply = peer.ask(CHAT, &json!({"text": id, "id": id})).await;
                assert_eq!(reply["outcome"], "done", "{reply}");
                given.push((id, reply["seq"].as_u64().unwrap()));
            }
            given
        }));
    }
    let mut given: BTreeMap<String, u64> = BTreeMap::new();
    for writer in writers {
        for (id, seq) in writer.await.unwrap() {
            assert_eq!(*given.entry(id).or_insert(seq), seq, "one message, one number");
        }
    }
    let numbers: HashSet<u64> = given.values().copied().collect();
    assert_eq!((numbers.len(), given.len()), (3 * EACH, 3 * EACH));
    for (_, reader) in &mut readers {
        let mut heard = HashSet::new();
        while heard.len() < 3 * EACH {
            let message = tokio::time::timeout(PATIENCE, reader.json()).await;
            let message = message.unwrap_or_else(|_| panic!("{} of {}", heard.len(), numbers.len()));
            assert!(heard.insert(message["seq"].as_u64().unwrap()), "{message} came twice");
        }
        assert_eq!(heard, numbers);
    }
    // A moderator at one process, the person at the other.
    let person = |process: &Process| {
        let token = join_token("par_eve", "7", &[Grant::Subscribe, Grant::Chat], None);
        let address = process.address;
        async move { Peer::at(address, &token).await }
    };
    let mut eve = person(&two).await;
    eve.replies().await;
    assert_eq!(eve.ask(CHAT, &json!({"text": "hm"})).await["outcome"], "done");
    let host = join_token("par_host", "7", &[Grant::Publish, Grant::Chat], None);
    let mut host = Peer::at(one.address, &host).await;
    host.replies().await;
    let ban = host.ask(CHAT, &json!({"type": "ban", "person": "par_eve"})).await;
    assert_eq!(ban["outcome"], "done", "{ban}");
    let reply = eve.ask(CHAT, &json!({"text": "at once, without a look"})).await;
    assert_eq!(reply["reason"], "right", "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_stops_writing_and_nothing_else() {
    let mut server = postgres::Server::start().await;
    let database_url = Secret::new(server.new_database().await);
    let service = Service::start(Config { database_url, ..config(false) }).await;
    let bot = || token("bot", Role::Service);
    let mut writer = Peer::with_token(&service, &bot()).await;
    writer.replies().await;
    let mut reader = Peer::with_token(&service, &bot()).await;
    reader.chat("7").await;
    assert_eq!(writer.ask(CHAT, &json!({"text": "before"})).await["seq"], 1);
    assert_eq!(reader.json().await["text"], "before");
    for frozen in [false, true] {
        if frozen {
            server.freeze(true)
        } else {
            server.stop()
        }
        let begun = Instant::now();
        // Many at once are told in time, all of them.
        for n in 0..40 {
            writer.request(&n.to_string(), CHAT, &json!({"text": "lost"}).to_string()).await;
        }
        for _ in 0..40 {
            let reply = writer.reply().await;
            assert_eq!(
                (&reply["outcome"], &reply["reason"]),
                (&json!("refused"), &json!("state")),
                "{reply}"
            );
            assert!(reply["retry_after_ms"].as_u64().is_some());
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let history = writer.ask(CHAT, &json!({"type": "history", "before": 99})).await;
        assert_eq!(history["reason"], "state", "{history}");
        // What is held is read, and the rest of signaling does not notice.
        let mut late = Peer::with_token(&service, &bot()).await;
        assert!(late.chat("7").await["last"].as_u64().is_some());
        late.json_where(|message| message["text"] == "before").await;
        late.subscribe("p", "/topic/-/presence/7").await;
        late.json_where(|body| body.get("viewer_count").is_some()).await;
        late.subscribe("o", "/topic/7/k1/offer").await;
        writer.send_to("/app/7/k1/offer", "{\"offer\":1}").await;
        late.json_where(|body| body["offer"] == 1).await;
        if frozen {
            server.freeze(false)
        } else {
            server.resume().await
        }
        let give_up = Instant::now() + PATIENCE;
        while writer.ask(CHAT, &json!({"text": "after"})).await["outcome"] != "done" {
            assert!(Instant::now() < give_up, "it does not recover");
        }
        let mut heard = reader.json().await;
        // A commit whose answer was lost may have happened: then it is shown, when it is found.
        while heard["text"] == "lost" {
            heard = reader.json().await;
        }
        assert_eq!(heard["text"], "after");
    }
    let mut late = Peer::with_token(&service, &bot()).await;
    late.replies().await;
    let kept = everything(&mut late).await;
    let shown: Vec<&Value> = kept.iter().filter(|message| message["text"] != "lost").collect();
    assert_eq!(shown.len(), 3, "{kept:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_stays_closed_when_the_process_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("chat.db").display().to_string();
    let settings = || Config { database_url: Secret::new(database.clone()), ..config(false) };
    let rooms = [("7", "/app/-/chat/7"), ("grp_a", "/app/-/chat/grp_a")];
    let writer = async |service: &Service, room: &str| {
        let token = join_token("par_1", room, &[Grant::Subscribe, Grant::Chat], None);
        let mut peer = Peer::with_token(service, &token).await;
        peer.replies().await;
        peer
    };
    let service = Service::start(settings()).await;
    let times = json!({"created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z"});
    let group = json!({"version": 2, "deleted": true, "group": {
        "id": "grp_a", "name": "n", "max_participants": 9, "admission": "link", "metadata": {},
        "created_at": times["created_at"], "modified_at": times["modified_at"],
    }});
    let broadcast = json!({"version": 2, "deleted": true, "broadcast": {
        "id": 7, "name": "n", "description": "d", "status": "CLOSED", "viewer_count": 0, "started_at": null,
        "ended_at": null, "created_at": times["created_at"], "modified_at": times["modified_at"],
    }});
    for (room, chat) in rooms {
        let mut peer = writer(&service, room).await;
        assert_eq!(peer.ask(chat, &json!({"text": "secret"})).await["outcome"], "done");
    }
    for news in [group, broadcast] {
        let told = reqwest::Client::new().post(service.url("/internal/events")).json(&news);
        let told = told.bearer_auth(token("meta", Role::Service)).send().await.unwrap();
        assert_eq!(told.status().as_u16(), 204);
    }
    service.stop().await;
    let service = Service::start(settings()).await;
    for (room, chat) in rooms {
        let mut peer = writer(&service, room).await;
        let reply = peer.ask(chat, &json!({"type": "history", "before": 9})).await;
        assert_ne!(reply["history"]["messages"][0]["text"], "secret", "{reply}");
        let reply = peer.ask(chat, &json!({"text": "on"})).await;
        assert_eq!((&reply["outcome"], &reply["reason"]), (&json!("refused"), &json!("state")), "{room}");
        // Of the broadcast's chat only the beginning comes, of the group's nothing.
        if room == "7" {
            let open = peer.chat(room).await;
            assert_eq!((&open["type"], &open["last"]), (&json!("open"), &json!(1)));
        } else {
            for kind in ["chat", "board", "room"] {
                let mut peer = writer(&service, room).await;
                peer.send(&format!("SUBSCRIBE\nid:c\ndestination:/topic/-/{kind}/{room}\n\n\0")).await;
                assert_eq!(peer.error().await.0, "the group of this call is no more", "{kind}");
            }
        }
        peer.nothing_else().await;
    }
    service.stop().await;
}
