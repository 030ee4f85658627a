//! Limits by person and by address, and what a flood does to those it is aimed at: `docs/limits.md`.

mod support;

use std::collections::BTreeMap;

use contract::token::{Grant, Role};
use serde_json::json;
use stomp_proto::Command;
use support::{Got, Peer, Service, config, join_token, token};

const VIEWER: [Grant; 2] = [Grant::Subscribe, Grant::Chat];

fn viewer(n: usize) -> String {
    join_token(&format!("par_{n}"), "7", &VIEWER, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_reaches_a_streamer_at_a_pace_and_others_reach_it_meanwhile() {
    let service = Service::start(config(false)).await;
    let host = join_token("par_host", "7", &[Grant::Publish], None);
    let mut streamer = Peer::with_token_from(9, &service, &host).await;
    streamer.subscribe("a", "/topic/7/k/answer").await;
    let mut flood = Peer::with_token_from(1, &service, &viewer(1)).await;
    // A burst of 500 KiB goes at once, the rest at 200 KiB a second: nothing of it is lost.
    for n in 0..16 {
        flood.send_to("/app/7/k/answer", &format!("flood {n} {}", "x".repeat(60_000))).await;
    }
    let mut other = Peer::with_token_from(2, &service, &viewer(2)).await;
    other.send_to("/app/7/k/answer", "other").await;
    let mut bodies = Vec::new();
    for _ in 0..17 {
        let message = streamer.message().await;
        bodies.push(String::from_utf8_lossy(&message.body).chars().take(8).collect::<String>());
    }
    let at = bodies.iter().position(|body| body == "other").unwrap();
    assert!(at < 16, "the flood was not held back: {bodies:?}");
    bodies.remove(at);
    let sent: Vec<String> = (0..16).map(|n| format!("flood {n} x").chars().take(8).collect()).collect();
    assert_eq!(bodies, sent, "in order, and whole");
    streamer.nothing_else().await;
    assert!(service.metrics().await.contains("signaling_messages_held_total"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_its_sender_and_keeps_its_reader() {
    let service = Service::start(config(false)).await;
    let host = join_token("par_host", "7", &[Grant::Publish], None);
    let mut streamer = Peer::with_token(&service, &host).await;
    streamer.subscribe("a", "/topic/7/k/answer").await;
    // A sender that no pace holds back, so that the streamer's sockets and queue fill while it reads nothing.
    let mut flood = Peer::with_token(&service, &token("nod_1", Role::Service)).await;
    flood.replies().await;
    let body = "x".repeat(60_000);
    let mut taken = 0;
    let refused = loop {
        flood.request("r", "/app/7/k/answer", &body).await;
        let reply = flood.reply().await;
        if reply["outcome"] == "refused" {
            break reply;
        }
        taken += 1;
        assert!(taken < 2_000, "a queue without a limit");
    };
    assert_eq!(refused["reason"], "full");
    // The queue has eight of them, the sockets a few.
    assert!(taken < 30, "{taken}: much waits behind the queue");
    let mut other = Peer::with_token(&service, &viewer(1)).await;
    other.replies().await;
    other.request("mine", "/app/7/k/answer", "other").await;
    assert_eq!(other.reply().await["outcome"], "done", "one sender does not fill the queue for the others");
    for _ in 0..taken {
        assert_eq!(streamer.message().await.body.len(), body.len());
    }
    assert_eq!(&streamer.message().await.body[..], b"other");
    streamer.nothing_else().await;
    flood.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_closed_and_nobody_waits_for_it() {
    let service = Service::start(config(false)).await;
    let mut slow = Peer::with_token(&service, &viewer(1)).await;
    slow.subscribe("s", "/topic/7/k/offer").await;
    let mut quick = Peer::with_token(&service, &viewer(2)).await;
    quick.subscribe("s", "/topic/7/k/offer").await;
    let mut writer = Peer::with_token(&service, &token("nod_1", Role::Service)).await;
    writer.replies().await;
    let body = "x".repeat(60_000);
    // Far more than the sockets' buffers and the queue hold together; `slow` reads nothing of it for ten seconds.
    let mut refused = 0;
    for _ in 0..400 {
        writer.request("r", "/app/7/k/offer", &body).await;
        refused += usize::from(writer.reply().await["outcome"] == "refused");
        assert_eq!(quick.message().await.body.len(), body.len());
    }
    assert!(refused > 0);
    // By this service or by the HTTP server below it, which has the same patience.
    let until = std::time::Instant::now() + support::PATIENCE;
    while !service.metrics().await.contains("signaling_connections 2\n") {
        assert!(std::time::Instant::now() < until, "the reader is still there");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    quick.nothing_else().await;
    // It finds what the sockets held, and the end.
    let end = loop {
        match slow.got().await {
            Got::Frame(frame) if frame.command == Command::Message => {}
            end => break end,
        }
    };
    assert!(!matches!(&end, Got::Frame(frame) if frame.command != Command::Error), "{end:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_from_many_connections_of_one_address_is_one_addresss_chat() {
    let service = Service::start(config(false)).await;
    let say = |n: usize| json!({"text": n.to_string()}).to_string();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut peers = Vec::new();
    for n in 0..50 {
        let mut peer = Peer::with_token(&service, &viewer(n)).await;
        peer.replies().await;
        for _ in 0..10 {
            peer.request("r", "/app/-/chat/7", &say(n)).await;
        }
        peers.push(peer);
    }
    for peer in &mut peers {
        for _ in 0..10 {
            let outcome = peer.reply().await["outcome"].as_str().unwrap().to_owned();
            *outcomes.entry(outcome).or_default() += 1;
        }
        peer.nothing_else().await;
    }
    // 30 at once and 3 a second while this test ran; of 500.
    assert!((30..100).contains(&outcomes["done"]), "{outcomes:?}");
    let mut elsewhere = Peer::with_token_from(2, &service, &viewer(99)).await;
    elsewhere.replies().await;
    elsewhere.request("r", "/app/-/chat/7", &say(99)).await;
    assert_eq!(elsewhere.reply().await["outcome"], "done");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_one_address_make_no_audience() {
    let service = Service::start(config(true)).await;
    let mut peers = Vec::new();
    for _ in 0..60 {
        let mut peer = Peer::guest(&service).await;
        peer.send_to("/app/7", "{}").await;
        peer.sync().await;
        peers.push(peer);
    }
    assert_eq!(service.count("7").await, 50);
    let mut elsewhere = Peer::upgrade_from(2, &service, &[]).await.unwrap();
    elsewhere.send("CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:/app/7\nreceipt:1\n\n\0").await;
    assert_eq!(elsewhere.frame().await.command, Command::Connected);
    elsewhere.receipt("1").await;
    assert_eq!(service.count("7").await, 51);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_takes_its_share_of_the_seats() {
    let limited = signaling_service::Config { max_connections_per_address: 3, ..config(true) };
    let service = Service::start(limited).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(Peer::guest(&service).await);
    }
    assert_eq!(Peer::upgrade(&service, &[]).await.err(), Some(503));
    held.push(Peer::upgrade_from(2, &service, &[]).await.unwrap());
    // All services may sit on one machine.
    let bearer = format!("Bearer {}", token("nod_1", Role::Service));
    held.push(Peer::upgrade(&service, &[("authorization", &bearer)]).await.unwrap());
    let forged = format!("Bearer {}", join_token("par_1", "7", &VIEWER, None));
    assert_eq!(Peer::upgrade(&service, &[("authorization", &forged)]).await.err(), Some(503));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_a_set_number_of_connections() {
    let service = Service::start(config(false)).await;
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(Peer::with_token(&service, &viewer(1)).await);
    }
    let mut more = Peer::open(&service).await;
    more.send(&format!("CONNECT\naccept-version:1.2\nAuthorization:Bearer {}\n\n\0", viewer(1))).await;
    assert_eq!(more.error().await, ("too many connections with this token".into(), 1008));
    let _other = Peer::with_token(&service, &viewer(2)).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_one_person_are_one_in_a_chat() {
    let service = Service::start(config(false)).await;
    let mut watcher = Peer::guest(&service).await;
    watcher.subscribe("p", "/topic/-/presence/7").await;
    let mut people = Vec::new();
    for n in [1, 1, 1, 2] {
        let mut peer = Peer::with_token(&service, &viewer(n)).await;
        peer.chat("7").await;
        people.push(peer);
    }
    let presence = watcher.json_where(|body| body["chatting"].as_i64() >= Some(2)).await;
    assert_eq!(presence["chatting"], 2);
    people.pop().unwrap().leave().await;
    people.pop().unwrap().leave().await;
    watcher.json_where(|body| body["chatting"] == 1).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_bring_history_have_a_pace() {
    let service = Service::start(config(true)).await;
    let mut peer = Peer::guest(&service).await;
    let pair = "SUBSCRIBE\nid:c\ndestination:/topic/-/chat/7\n\n\0UNSUBSCRIBE\nid:c\n\n\0";
    peer.send(&pair.repeat(20)).await;
    peer.nothing_else().await;
    assert!(service.metrics().await.contains("signaling_messages_held_total 0\n"));
    peer.send(&pair.repeat(20)).await;
    peer.nothing_else().await;
    assert!(!service.metrics().await.contains("signaling_messages_held_total 0\n"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_joins_a_set_number_of_rooms() {
    let service = Service::start(config(true)).await;
    let mut peer = Peer::with_token(&service, &token("nod_1", Role::Service)).await;
    peer.replies().await;
    for room in 1..=101 {
        peer.request(&room.to_string(), &format!("/app/{room}"), "{}").await;
    }
    for room in 1..=101 {
        let reply = peer.reply().await;
        let (outcome, request) = (&reply["outcome"], reply["request"].as_str().unwrap());
        assert_eq!(request, room.to_string());
        assert_eq!(outcome == "refused", room == 101, "{reply}");
    }
    peer.request("again", "/app/100", "{}").await;
    assert_eq!(peer.reply().await["outcome"], "done");
    service.stop().await;
}
