//! Whiteboards over real sockets: who reads and draws, what is kept, and what hostile updates cost.

#[path = "support/page.rs"]
mod page;
mod support;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contract::token::{Grant, Role};
use page::{APP, DRAWS, Page, ROOM, TOPIC, document, drawn, keys, stored, take};
use serde_json::{Value, json};
use service_kit::config::Secret;
use support::{Peer, Service, config, join_token, token};
use yrs::updates::encoder::Encode as _;
use yrs::{ClientID, Map, MapPrelim, ReadTxn, StateVector, Transact};

/// Makes an update of a client.
type Make = Box<dyn Fn(u64) -> Vec<u8>>;

/// A database file that is removed with the value.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("madang-board-{name}-{}.db", std::process::id()));
        Self(file)
    }

    fn config(&self) -> signaling_service::Config {
        let path = self.0.display().to_string();
        signaling_service::Config { database_url: Secret::new(path), ..config(false) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_draws_the_others_have_and_who_comes_late_too() {
    let service = Service::start(config(false)).await;
    let mut anna = Page::open(&service, "par_anna").await;
    let mut bert = Page::open(&service, "par_bert").await;
    assert_ne!(anna.client, bert.client);
    anna.draw("a").await;
    bert.draw("b").await;
    let first = bert.hear("update").await;
    assert_eq!(
        (&first["n"], &first["from"], &first["client"]),
        (&json!(1), &json!("par_anna"), &json!(anna.client))
    );
    assert_eq!(anna.hear("update").await["n"], 1, "one's own as well");
    assert_eq!(anna.hear("update").await["n"], 2);
    assert_eq!(keys(&anna.doc), ["a", "b"]);
    let late = Page::reading(&service, &join_token("par_cleo", ROOM, &[Grant::Subscribe], None)).await;
    assert_eq!(stored(&late, &service).await, ["a", "b"]);
    // What is missing, by a state vector.
    let known = anna.doc.transact().state_vector().encode_v1();
    bert.draw("c").await;
    let path = format!("document?state={}", URL_SAFE_NO_PAD.encode(known));
    let missing = late.get(&service, &path).await;
    assert_eq!(missing.headers()["board-n"], "3");
    assert_eq!(missing.headers()["board-epoch"], anna.epoch.to_string().as_str());
    let missing = missing.bytes().await.unwrap();
    assert!(missing.len() < 60, "{}", missing.len());
    take(&anna.doc, &missing);
    assert_eq!(keys(&anna.doc), ["a", "b", "c"]);
    // The same again changes nothing, and nobody hears of it.
    let again = bert
        .doc
        .transact()
        .encode_state_as_update_v1(&StateVector::from_iter([(ClientID::new(anna.client), 99)]));
    let again = bert.update(&again);
    assert_eq!(bert.ask(again).await["board"]["has"], 4);
    assert_eq!(late.get(&service, "document").await.headers()["board-n"], "3");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_stroke_outlives_the_process_and_so_does_the_id() {
    let file = File::new("restart");
    let service = Service::start(file.config()).await;
    let mut anna = Page::open(&service, "par_anna").await;
    for n in 0..3 {
        anna.draw(&format!("s{n}")).await;
    }
    let (doc, client, epoch) = (anna.doc.clone(), anna.client, anna.epoch);
    let token = anna.token.clone();
    service.stop().await;

    let service = Service::start(file.config()).await;
    let mut anna = Page::reading(&service, &token).await;
    assert_eq!(anna.epoch, epoch);
    assert_eq!(stored(&anna, &service).await, ["s0", "s1", "s2"]);
    let done = anna.ask(json!({"type": "open", "client": client, "epoch": epoch})).await;
    assert_eq!((&done["board"]["client"], &done["board"]["has"]), (&json!(client), &json!(6)));
    anna.took(&done);
    anna.doc = doc;
    anna.draw("s3").await;
    assert_eq!(stored(&anna, &service).await.len(), 4);
    // An id of somebody else is not given.
    let mut bert = Page::reading(&service, &join_token("par_bert", ROOM, DRAWS, None)).await;
    let done = bert.ask(json!({"type": "open", "client": client, "epoch": epoch})).await;
    assert_ne!(done["board"]["client"], client);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_has_its_id_and_the_connection_before_has_it_no_more() {
    let service = Service::start(config(false)).await;
    let mut first = Page::open(&service, "par_anna").await;
    let mut reader = Page::reading(&service, &join_token("par_bert", ROOM, DRAWS, None)).await;
    let mut second = Page::reading(&service, &first.token.clone()).await;
    let open = json!({"type": "open", "client": first.client, "epoch": first.epoch});
    let done = second.ask(open).await;
    assert_eq!(done["board"]["client"], first.client);
    second.took(&done);
    let lost = first.update(&drawn(&first.doc, "lost"));
    let refused = first.ask(lost).await;
    assert_eq!((&refused["reason"], &refused["board"]), (&json!("state"), &json!({"type": "client"})));
    second.draw("kept").await;
    first.peer.leave().await;
    // The id is still held: nobody has left.
    second.draw("and this").await;
    assert_eq!(reader.hear("update").await["n"], 1);
    assert_eq!(reader.hear("update").await["n"], 2);
    second.peer.leave().await;
    assert_eq!(reader.hear("left").await["client"], done["board"]["client"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_draw_reads_and_is_told_so() {
    let service = Service::start(config(false)).await;
    let reads = join_token("par_reads", ROOM, &[Grant::Subscribe], None);
    let mut reader = Page::reading(&service, &reads).await;
    for command in [
        json!({"type": "open"}),
        json!({"type": "update", "epoch": reader.epoch, "client": 2, "update": "AAA="}),
        json!({"type": "presence", "client": 2, "state": {}}),
    ] {
        let refused = reader.ask(command).await;
        assert_eq!(
            (&refused["outcome"], &refused["reason"]),
            (&json!("refused"), &json!("right")),
            "{refused}"
        );
    }
    for path in ["updates?epoch=1&client=2&holder=0", "images"] {
        assert_eq!(reader.call(&service, reqwest::Method::POST, path, Vec::new()).await.status(), 403);
    }
    let put = reader.call(&service, reqwest::Method::PUT, "snapshot", b"{}".to_vec()).await;
    assert_eq!(put.status(), 403);
    assert_eq!(stored(&reader, &service).await, [""; 0]);
    // Of another room, and without a token.
    let elsewhere = join_token("par_else", "grp_other", DRAWS, None);
    let mut other = Peer::with_token(&service, &elsewhere).await;
    other.send(&format!("SUBSCRIBE\nid:1\ndestination:{TOPIC}\n\n\0")).await;
    assert!(other.error().await.0.contains("no right"));
    let mut guest = Peer::guest(&service).await;
    guest.replies().await;
    guest.request("r", APP, &json!({"type": "open"}).to_string()).await;
    assert_eq!(guest.reply().await["reason"], "right");
    let url = service.url(&format!("/boards/{ROOM}/document"));
    let client = reqwest::Client::new();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(client.get(&url).bearer_auth(&elsewhere).send().await.unwrap().status(), 403);
    let problem = client.get(&url).bearer_auth("x").send().await.unwrap();
    assert_eq!(problem.headers()["content-type"], "application/problem+json");
    // In a broadcast its host draws, its viewers read.
    let topic = "/topic/-/board/7";
    for (grants, may_draw) in [(&[Grant::Publish][..], true), (&[Grant::Subscribe, Grant::Chat], false)] {
        let mut peer = Peer::with_token(&service, &join_token("par_b", "7", grants, None)).await;
        peer.subscribe("b", topic).await;
        assert_eq!(peer.json().await["may_draw"], may_draw);
    }
    let admin = token("ops", Role::Admin);
    let mut admin = Peer::with_token(&service, &admin).await;
    admin.subscribe("b", topic).await;
    assert_eq!(admin.json().await["may_draw"], true);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_development_anyone_draws_as_anyone_chats() {
    let service = Service::start(config(true)).await;
    let mut guest = Peer::guest(&service).await;
    guest.replies().await;
    guest.request("r", "/app/-/board/any", &json!({"type": "open"}).to_string()).await;
    let done = guest.reply().await;
    let (epoch, client) = (&done["board"]["epoch"], done["board"]["client"].as_u64().unwrap());
    let update = drawn(&document(client), "x");
    let holder = done["board"]["holder"].as_str().unwrap();
    let url = format!("/boards/any/updates?epoch={epoch}&client={client}&holder={holder}");
    let answer = reqwest::Client::new().post(service.url(&url)).body(update).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["has"], 2);
    let wrong = format!("/boards/any/updates?epoch={epoch}&client={client}&holder=1");
    let answer = reqwest::Client::new().post(service.url(&wrong)).body(vec![0, 0]).send().await.unwrap();
    assert_eq!(answer.status(), 409);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_updates_cost_their_sender_the_right_to_draw_and_nobody_else_anything() {
    let file = File::new("hostile");
    let service = Service::start(file.config()).await;
    let mut witness = Page::open(&service, "par_witness").await;
    witness.draw("before").await;
    let deep = {
        // One value under a key: 6,000 lists inside of each other.
        let mut bytes = vec![1, 1, 0, 0, 0x28, 1, 7];
        bytes.extend(b"objects");
        bytes.extend([1, b'a', 1]);
        bytes.extend([117, 1].repeat(6_000));
        bytes.extend([126, 0]);
        bytes
    };
    let hostile: Vec<(&str, Make)> = vec![
        (
            "deep",
            Box::new(move |client| {
                let mut bytes = deep.clone();
                bytes[2] = u8::try_from(client).unwrap();
                bytes
            }),
        ),
        ("claims", Box::new(|_| vec![0x80, 0x84, 0xaf, 0x5f])),
        ("foreign", Box::new(|client| drawn(&document(client + 40), "x"))),
        ("noise", Box::new(|_| (0..2_000_u32).map(|n| (n * 7 % 251) as u8).collect())),
        ("empty", Box::new(|_| Vec::new())),
        (
            "root",
            Box::new(|client| {
                let doc = document(client);
                let other = doc.get_or_insert_map("elsewhere");
                let mut change = doc.transact_mut();
                other.insert(&mut change, "k", 1);
                change.encode_update_v1()
            }),
        ),
    ];
    for (name, make) in &hostile {
        let person = format!("par_{name}");
        let mut bad = Page::open(&service, &person).await;
        assert!(stored(&bad, &service).await.contains(&"before".to_owned()));
        let update = bad.update(&make(bad.client));
        let refused = bad.ask(update).await;
        assert_eq!(
            (&refused["reason"], &refused["board"]),
            (&json!("body"), &json!({"type": "barred"})),
            "{name}"
        );
        assert_eq!(bad.hear("rights").await["may_draw"], false, "{name}");
        let honest = bad.update(&drawn(&document(bad.client), "honest"));
        assert_eq!(bad.ask(honest).await["reason"], "right", "{name}");
        // On another connection too, with another token.
        let again = join_token(&person, ROOM, &[Grant::Draw, Grant::Chat], None);
        let mut again = Page::reading(&service, &again).await;
        assert_eq!(again.ask(json!({"type": "open"})).await["board"], json!({"type": "barred"}), "{name}");
    }
    // To use the id of somebody else.
    let mut thief = Page::open(&service, "par_thief").await;
    thief.client = witness.client;
    let stolen = thief.update(&drawn(&document(witness.client), "stolen"));
    assert_eq!(thief.ask(stolen).await["board"], json!({"type": "barred"}));
    witness.draw("after").await;
    assert_eq!(stored(&witness, &service).await, ["after", "before"]);
    let token = witness.token.clone();
    service.stop().await;
    // It is remembered.
    let service = Service::start(file.config()).await;
    let again = join_token("par_deep", ROOM, DRAWS, None);
    let mut again = Peer::with_token(&service, &again).await;
    again.subscribe("b", TOPIC).await;
    assert_eq!(again.json().await["may_draw"], false);
    let witness = Page::reading(&service, &token).await;
    assert_eq!(stored(&witness, &service).await, ["after", "before"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_honest_but_early_is_refused_and_costs_nothing() {
    let service = Service::start(config(false)).await;
    let mut anna = Page::open(&service, "par_anna").await;
    let first = drawn(&anna.doc, "first");
    let second = drawn(&anna.doc, "second");
    // It overtakes the first: then both again, in order.
    let early = anna.update(&second);
    assert_eq!(anna.ask(early.clone()).await["board"], json!({"type": "gap", "has": 0}));
    let first = anna.update(&first);
    assert_eq!(anna.ask(first.clone()).await["board"]["has"], 2);
    assert_eq!(anna.ask(early).await["board"]["has"], 4);
    assert_eq!(anna.ask(first).await["board"]["has"], 4, "twice is once");
    let other = json!({"type": "update", "epoch": 1, "client": anna.client, "update": "AAA="});
    assert_eq!(anna.ask(other).await["board"], json!({"type": "epoch", "epoch": anna.epoch}));
    for (command, message) in [
        (json!({"type": "update", "epoch": 1, "client": 2, "update": "%"}), "no base64"),
        (json!({"type": "dance"}), "unknown variant"),
        (
            json!({"type": "update", "epoch": 1, "client": 2, "update": STANDARD.encode(vec![0; 33_000])}),
            "goes by HTTP",
        ),
        (json!({"type": "presence", "client": 2, "state": {"x": "y".repeat(9_000)}}), "more than 8 KiB"),
    ] {
        let refused = anna.ask(command).await;
        assert_eq!(refused["reason"], "body");
        assert!(refused["message"].as_str().unwrap().contains(message), "{refused}");
    }
    anna.draw("third").await;
    assert_eq!(stored(&anna, &service).await, ["first", "second", "third"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_slowed_down_and_then_ends() {
    let service = Service::start(config(false)).await;
    let mut flooder = Page::open(&service, "par_flood").await;
    let mut witness = Page::open(&service, "par_witness").await;
    let mut last = Value::Null;
    let (mut taken, mut slowed) = (0, 0);
    for burst in 0..30 {
        let mut ids = Vec::new();
        for n in 0..100 {
            let update = flooder.update(&drawn(&flooder.doc, &format!("{burst}/{n}")));
            ids.push(flooder.send(update).await);
        }
        for id in ids {
            last = flooder.answer(&id).await;
            taken += u32::from(last["outcome"] == "done");
            slowed += u32::from(last["reason"] == "rate");
        }
    }
    assert!(taken >= 200 && slowed >= 1_900, "{taken} {slowed}");
    assert_eq!((&last["reason"], &last["board"]), (&json!("right"), &json!({"type": "barred"})));
    witness.draw("w").await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_shown_to_the_others_and_kept_nowhere() {
    let service = Service::start(config(false)).await;
    let named = join_token("par_anna", ROOM, DRAWS, Some("Anna"));
    let mut anna = Page::with_token(&service, &named).await;
    let mut bert = Page::open(&service, "par_bert").await;
    let presence = json!({"type": "presence", "client": anna.client, "state": {"cursor": [1, 2]}});
    anna.send(presence).await;
    let shown = bert.hear("presence").await;
    assert_eq!(
        shown,
        json!({"type": "presence", "from": "par_anna", "name": "Anna", "client": anna.client, "state": {"cursor": [1, 2]}})
    );
    // Under the id of somebody else: no.
    let forged = json!({"type": "presence", "client": bert.client, "state": {}});
    assert_eq!(anna.ask(forged).await["board"], json!({"type": "client"}));
    // Far too many: those that are too many are not shown, and nobody hears a word of it.
    for n in 0..300 {
        anna.send(json!({"type": "presence", "client": anna.client, "state": {"n": n}})).await;
    }
    anna.draw("done").await;
    anna.peer.leave().await;
    bert.hear("left").await;
    let mut late = Page::open(&service, "par_cleo").await;
    late.draw("late").await;
    late.hear("update").await;
    assert!(late.heard.iter().all(|event| event["type"] != "presence"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_update_goes_by_http_and_its_readers_fetch_it() {
    let service = Service::start(config(false)).await;
    let mut anna = Page::open(&service, "par_anna").await;
    let mut bert = Page::open(&service, "par_bert").await;
    let update = {
        let objects = anna.doc.get_or_insert_map("objects");
        let mut change = anna.doc.transact_mut();
        for n in 0..200 {
            objects.insert(&mut change, format!("o{n}"), MapPrelim::from([("text", "x".repeat(1_000))]));
        }
        change.encode_update_v1()
    };
    let path = format!("updates?epoch={}&client={}&holder={}", anna.epoch, anna.client, anna.holder);
    let done = anna.call(&service, reqwest::Method::POST, &path, update.clone()).await;
    assert_eq!(done.status(), 200);
    assert_eq!(done.json::<Value>().await.unwrap()["has"], 400);
    let told = bert.hear("update").await;
    assert!(told.get("update").is_none() && told["n"] == 1, "{told}");
    assert_eq!(stored(&bert, &service).await.len(), 200);
    anna.draw("more").await;
    assert_eq!(anna.call(&service, reqwest::Method::POST, &path, vec![0; (1 << 20) + 1]).await.status(), 413);
    let old = format!("updates?epoch=1&client={}&holder={}", anna.client, anna.holder);
    let problem = anna.call(&service, reqwest::Method::POST, &old, vec![0, 0]).await;
    assert_eq!(
        (problem.status().as_u16(), problem.headers()["board-epoch"].to_str().unwrap()),
        (409, anna.epoch.to_string().as_str())
    );
    assert!(problem.json::<Value>().await.unwrap()["type"].as_str().unwrap().ends_with("board-epoch"));
    // Somebody else's holder.
    let path = format!("updates?epoch={}&client={}&holder={}", anna.epoch, bert.client, anna.holder);
    assert_eq!(bert.call(&service, reqwest::Method::POST, &path, vec![0, 0]).await.status(), 409);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_leaves_as_json_and_comes_back_as_a_new_document() {
    let service = Service::start(config(false)).await;
    let mut anna = Page::open(&service, "par_anna").await;
    anna.draw("a").await;
    let json: Value = anna.get(&service, "snapshot").await.json().await.unwrap();
    assert_eq!(json["objects"], json!({"a": {"kind": "pen"}}));
    anna.draw("b").await;
    let host = join_token("par_host", ROOM, &[Grant::Draw, Grant::Moderate], None);
    let mut host = Page::with_token(&service, &host).await;
    let put = host.call(&service, reqwest::Method::PUT, "snapshot", json.to_string().into_bytes()).await;
    assert_eq!(put.status(), 204);
    let epoch = anna.hear("epoch").await["epoch"].as_u64().unwrap();
    assert!(epoch > anna.epoch);
    assert_eq!(stored(&anna, &service).await, ["a"]);
    // What was drawn on the one before does not belong to it; who asks for an id goes on.
    let late = anna.update(&drawn(&anna.doc, "late"));
    assert_eq!(anna.ask(late).await["board"], json!({"type": "epoch", "epoch": epoch}));
    let done = anna.ask(json!({"type": "open", "client": anna.client, "epoch": anna.epoch})).await;
    anna.took(&done);
    anna.draw("late").await;
    assert_eq!(stored(&host, &service).await, ["a", "late"]);
    for bad in ["{", "{}", "[]", "{\"format\":\"madang-board\",\"version\":1,\"objects\":[1]}"] {
        let put = host.call(&service, reqwest::Method::PUT, "snapshot", bad.into()).await;
        assert_eq!(put.status(), 400, "{bad}");
    }
    let done = host.ask(json!({"type": "open"})).await;
    host.took(&done);
    host.draw("still").await;
    service.stop().await;
}

/// A PNG of one red pixel, as an encoder writes it.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_stored_if_it_is_one() {
    let service = Service::start(config(false)).await;
    let anna = Page::open(&service, "par_anna").await;
    let png = STANDARD.decode(PNG).unwrap();
    let post = |body: Vec<u8>| anna.call(&service, reqwest::Method::POST, "images", body);
    let made = post(png.clone()).await;
    assert_eq!(made.status(), 201);
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    let image: Value = made.json().await.unwrap();
    assert_eq!((&image["width"], &image["height"], &image["url"]), (&json!(1), &json!(1), &json!(location)));
    // Whoever knows its name sees it.
    let shown = reqwest::get(service.url(&location)).await.unwrap();
    let header = |name: &str| shown.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((shown.status().as_u16(), header("content-type")), (200, "image/png".into()));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(
        header("content-security-policy").contains("sandbox")
            && header("cache-control").contains("immutable")
    );
    assert_eq!(shown.bytes().await.unwrap(), png);
    for (body, status) in [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>".to_vec(), 415),
        (b"GIF89a".to_vec(), 415),
        (png[..30].to_vec(), 400),
        (vec![0; (5 << 20) + 1], 413),
    ] {
        assert_eq!(post(body).await.status(), status);
    }
    for name in ["img_0", "img_00000000000000000000000000000000", "../document", "%2e%2e"] {
        let status =
            reqwest::get(service.url(&format!("/boards/{ROOM}/images/{name}"))).await.unwrap().status();
        assert!(status == 404 || status == 401, "{name} {status}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_draws_no_more_stores_no_image_and_replaces_no_board() {
    let file = File::new("barred");
    let service = Service::start(file.config()).await;
    let mut witness = Page::open(&service, "par_witness").await;
    witness.draw("before").await;
    let host = join_token("par_host", ROOM, &[Grant::Draw, Grant::Moderate], None);
    let mut host = Page::with_token(&service, &host).await;
    let png = STANDARD.decode(PNG).unwrap();
    let snapshot = host.get(&service, "snapshot").await.bytes().await.unwrap().to_vec();
    let images = ("images", reqwest::Method::POST, png.clone());
    let import = ("snapshot", reqwest::Method::PUT, snapshot);
    assert_eq!(host.call(&service, images.1.clone(), images.0, images.2.clone()).await.status(), 201);
    let hostile = host.update(&drawn(&document(host.client + 40), "x"));
    assert_eq!(host.ask(hostile).await["board"], json!({"type": "barred"}));
    for (path, method, body) in [&images, &import] {
        let problem = host.call(&service, method.clone(), path, body.clone()).await;
        assert_eq!(problem.status(), 403, "{path}");
        let problem: Value = problem.json().await.unwrap();
        assert!(problem["type"].as_str().unwrap().ends_with("board-barred"), "{path} {problem}");
    }
    assert_eq!(witness.call(&service, images.1.clone(), "images", png).await.status(), 201);
    assert_eq!(stored(&host, &service).await, ["before"]);
    service.stop().await;
    // It is remembered, also while nobody has the board open.
    let service = Service::start(file.config()).await;
    for (path, method, body) in [&images, &import] {
        let problem = host.call(&service, method.clone(), path, body.clone()).await;
        assert_eq!(problem.status(), 403, "{path}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_that_is_over_takes_no_image_and_no_board() {
    let service = Service::start(config(false)).await;
    let http = reqwest::Client::new();
    let host = join_token("par_host", "7", &[Grant::Publish], None);
    let png = STANDARD.decode(PNG).unwrap();
    let snapshot = json!({"format": "madang-board", "version": 1, "objects": {}, "pages": {}}).to_string();
    for (version, status, image, import) in [(1, "STREAMING", 201, 204), (2, "CLOSED", 409, 409)] {
        let told = json!({"version": version, "broadcast": {
            "id": 7, "name": "n", "description": "d", "status": status, "viewer_count": 0, "started_at": null,
            "ended_at": null, "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
        }});
        let told = http.post(service.url("/internal/events")).json(&told);
        assert_eq!(told.bearer_auth(token("meta", Role::Service)).send().await.unwrap().status(), 204);
        let added = http.post(service.url("/boards/7/images")).bearer_auth(&host).body(png.clone());
        assert_eq!(added.send().await.unwrap().status(), image, "{status}");
        let put = http.put(service.url("/boards/7/snapshot")).bearer_auth(&host).body(snapshot.clone());
        assert_eq!(put.send().await.unwrap().status(), import, "{status}");
    }
    service.stop().await;
}
