//! Boards in a Postgres that two processes share, and that is away.

#[path = "support/page.rs"]
mod page;
#[path = "../../meta-service/tests/api/support/postgres.rs"]
#[allow(dead_code)]
mod postgres;
mod support;

use std::time::{Duration, Instant};

use page::{Page, drawn, keys, stored};
use serde_json::{Value, json};
use service_kit::config::Secret;
use signaling_service::Config;
use support::{Service, config};

fn on(database: &str) -> Config {
    Config { database_url: Secret::new(database.into()), ..config(false) }
}

/// Draws, and goes on when it is told to try again.
async fn draw_on(page: &mut Page, key: &str) {
    let update = page.update(&drawn(&page.doc, key));
    for _ in 0..50 {
        let answer = page.ask(update.clone()).await;
        if answer["outcome"] == "done" {
            return;
        }
        assert_eq!(answer["board"], json!({"type": "away"}), "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{key} is not taken");
}

/// Hears updates up to a number.
async fn hear_to(page: &mut Page, n: u64) {
    while page.hear("update").await["n"] != n {}
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_database_draw_on_one_board() {
    const STROKES: u64 = 40;
    let server = postgres::shared().await;
    let database = server.new_database().await;
    let (here, there) = (Service::start(on(&database)).await, Service::start(on(&database)).await);
    let mut anna = Page::open(&here, "par_anna").await;
    let mut bert = Page::open(&there, "par_bert").await;
    assert_eq!(anna.epoch, bert.epoch);
    assert_ne!(anna.client, bert.client);
    let by_anna = async {
        for n in 0..STROKES {
            draw_on(&mut anna, &format!("anna{n}")).await;
        }
    };
    let by_bert = async {
        for n in 0..STROKES {
            draw_on(&mut bert, &format!("bert{n}")).await;
        }
    };
    tokio::join!(by_anna, by_bert);
    // Each hears the strokes of the other, in one order, without a bus between the processes.
    hear_to(&mut anna, 2 * STROKES).await;
    hear_to(&mut bert, 2 * STROKES).await;
    let all = keys(&anna.doc);
    assert_eq!(all.len() as u64, 2 * STROKES);
    assert_eq!(keys(&bert.doc), all);
    assert_eq!(stored(&anna, &here).await, all);
    assert_eq!(stored(&bert, &there).await, all);
    // An id is held in one place: who claims it elsewhere has it, and who had it has not.
    let mut again = Page::reading(&there, &anna.token.clone()).await;
    let done = again.ask(json!({"type": "open", "client": anna.client, "epoch": anna.epoch})).await;
    assert_eq!((&done["board"]["client"], &done["board"]["has"]), (&json!(anna.client), &json!(2 * STROKES)));
    let late = anna.update(&drawn(&anna.doc, "late"));
    assert_eq!(anna.ask(late).await["board"], json!({"type": "client"}));
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_database_that_hangs_does_not_take_is_refused_in_time_and_taken_later_once() {
    let server = postgres::Server::start().await;
    let database = server.new_database().await;
    let service = Service::start(on(&database)).await;
    let mut anna = Page::open(&service, "par_anna").await;
    let mut bert = Page::open(&service, "par_bert").await;
    draw_on(&mut anna, "before").await;
    hear_to(&mut bert, 1).await;
    server.freeze(true);
    let update = anna.update(&drawn(&anna.doc, "during"));
    let begun = Instant::now();
    let refused = anna.ask(update.clone()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((&refused["reason"], &refused["board"]), (&json!("state"), &json!({"type": "away"})));
    // The rest of the service goes on.
    assert_eq!(service.count("7").await, 0);
    server.freeze(false);
    let mut answer = Value::Null;
    for _ in 0..100 {
        answer = anna.ask(update.clone()).await;
        if answer["outcome"] == "done" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(answer["board"]["has"], 4, "{answer}");
    draw_on(&mut anna, "after").await;
    // Whether or not the first attempt was stored, it is there once.
    hear_to(&mut bert, 3).await;
    assert_eq!(keys(&bert.doc), ["after", "before", "during"]);
    assert_eq!(stored(&bert, &service).await, ["after", "before", "during"]);
    service.stop().await;
}
