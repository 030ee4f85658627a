//! Whiteboards: what an update costs the service with fifty people who read, what a board of 2,000 strokes holds, and how
//! long it takes to open.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use yrs::{Any, ClientID, Doc, Map, MapPrelim, OffsetKind, Options, Transact as _};

use super::{Client, Process};
use crate::cpu;
use crate::results::Results;

/// Strokes of the board.
const STROKES: usize = 2_000;
/// Bytes of a stroke's points: 120 of them.
const POINTS: usize = 508;
/// People who have it open.
const READERS: usize = 50;
const TOPIC: &str = "/topic/-/board/9";
const APP: &str = "/app/-/board/9";

pub(super) async fn figures(token: &str, results: &mut Results) -> anyhow::Result<()> {
    let process = Process::start()?;
    let mut drawer = Client::connect(process.address, &format!("Authorization:Bearer {token}\n")).await?;
    drawer.send("SUBSCRIBE\nid:r\ndestination:/user/queue/replies\nreceipt:r\n\n\0").await?;
    drawer.expect("RECEIPT\n").await?;
    let mut readers = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readers.push(Client::reader(process.address, TOPIC).await?);
    }
    for reader in &mut readers {
        // How the board is.
        reader.expect("MESSAGE\n").await?;
    }
    let done = ask(&mut drawer, &json!({"type": "open"})).await?;
    let (epoch, client) = (&done["board"]["epoch"], done["board"]["client"].as_u64().context("an id")?);
    let options =
        Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(ClientID::new(client)) };
    let doc = Doc::with_options(options);
    let (memory, before) = (cpu::resident(process.pid())?, cpu::time(process.pid())?);
    for n in 0..STROKES {
        let update = STANDARD.encode(stroke(&doc, n));
        let command = json!({"type": "update", "epoch": epoch, "client": client, "update": update});
        let answer = ask(&mut drawer, &command).await?;
        ensure!(answer["outcome"] == "done", "{answer}");
        for reader in &mut readers {
            reader.expect("MESSAGE\n").await?;
        }
    }
    let spent = cpu::time(process.pid())?.saturating_sub(before);
    results.add("board_us_per_update_n50", spent.as_secs_f64() * 1e6 / STROKES as f64);
    let grown = cpu::resident(process.pid())?.saturating_sub(memory);
    results.add("board_mb_2000_strokes", grown as f64 / 1024.0);
    for _ in 0..5 {
        let begun = Instant::now();
        let url = format!("http://{}/boards/9/document", process.address);
        let whole = reqwest::Client::builder().no_proxy().build()?.get(url).send().await?.bytes().await?;
        ensure!(whole.len() > STROKES * POINTS, "the board has {} bytes", whole.len());
        results.add("board_open_ms", begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Draws one, as a page does.
fn stroke(doc: &Doc, n: usize) -> Vec<u8> {
    let objects = doc.get_or_insert_map("objects");
    let mut change = doc.transact_mut();
    let points: Vec<u8> = (0..POINTS).map(|at| (at * 31 + n) as u8).collect();
    let place: Vec<Any> = [n as f64, 0.5, 1.0, 1.0, 0.0].map(Any::from).to_vec();
    let fields = MapPrelim::from([
        ("type", yrs::In::from("pen")),
        ("page", yrs::In::from("p0")),
        ("order", yrs::In::from(format!("a{n:04}"))),
        ("t", yrs::In::Any(Any::Array(place.into()))),
        ("color", yrs::In::from("#1e1e1e")),
        ("points", yrs::In::Any(Any::Buffer(points.into()))),
    ]);
    objects.insert(&mut change, format!("stroke-{n:012}"), fields);
    change.encode_update_v1()
}

/// Asks the board, and waits for the answer.
async fn ask(drawer: &mut Client, command: &Value) -> anyhow::Result<Value> {
    drawer.send(&format!("SEND\ndestination:{APP}\nrequest-id:q\n\n{command}\0")).await?;
    let message = drawer.next().await?;
    let text = message.to_text()?;
    let (_, body) = text.split_once("\n\n").context("a frame has a body")?;
    Ok(serde_json::from_str(body.trim_end_matches('\0'))?)
}
