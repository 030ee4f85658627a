//! Commands and their replies: what is refused is answered, and the connection goes on.

mod support;

use contract::token::{Grant, Role};
use serde_json::{Value, json};
use support::{Peer, Service, config, join_token, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_message_is_answered_and_the_connection_goes_on() {
    let service = Service::start(config(true)).await;
    let mut reader = Peer::guest(&service).await;
    reader.chat("7").await;
    let mut writer = Peer::guest(&service).await;
    writer.replies().await;
    for (n, (body, message)) in [
        (json!({"text": "한".repeat(501)}).to_string(), "at most 500 characters"),
        (json!({"text": " \u{202e}\u{200b} "}).to_string(), "needs text"),
        (json!({"txt": "a"}).to_string(), "missing field `text`"),
        ("{".into(), "not what belongs there"),
    ]
    .into_iter()
    .enumerate()
    {
        writer.request(&format!("r{n}"), "/app/-/chat/7", &body).await;
        let reply = writer.reply().await;
        assert_eq!(
            (&reply["outcome"], &reply["request"], &reply["reason"], &reply["destination"]),
            (&json!("refused"), &json!(format!("r{n}")), &json!("body"), &json!("/app/-/chat/7"))
        );
        assert!(reply["message"].as_str().unwrap().contains(message), "{reply}");
    }
    // Without a request id a refusal is told all the same, and success is silent.
    writer.send_to("/app/-/chat/7", "{").await;
    assert_eq!(writer.reply().await.get("request"), None);
    writer.send_to("/app/-/chat/7", &json!({"text": "a\u{202e}b"}).to_string()).await;
    writer.request("done", "/app/-/chat/7", &json!({"text": "c"}).to_string()).await;
    assert_eq!(writer.reply().await, json!({"outcome": "done", "request": "done", "seq": 2}));
    assert_eq!(reader.json().await["text"], "ab");
    assert_eq!(reader.json().await["text"], "c");
    reader.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_too_fast_loses_that_message_and_nothing_else() {
    let service = Service::start(config(true)).await;
    let mut reader = Peer::guest(&service).await;
    reader.chat("7").await;
    let mut writer = Peer::guest(&service).await;
    writer.replies().await;
    let mut refused = Vec::new();
    for n in 0..20 {
        writer.request(&n.to_string(), "/app/-/chat/7", &json!({"text": n.to_string()}).to_string()).await;
    }
    for _ in 0..20 {
        let reply = writer.reply().await;
        if reply["outcome"] == "refused" {
            assert_eq!(reply["reason"], "rate");
            assert!(reply["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0 && ms <= 1_000), "{reply}");
            refused.push(reply["request"].as_str().unwrap().to_owned());
        }
    }
    assert!(refused.len() >= 5, "{refused:?}");
    for n in (0..20).filter(|n| !refused.contains(&n.to_string())) {
        assert_eq!(reader.json().await["text"], n.to_string());
    }
    writer.nothing_else().await;
    reader.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_takes_effect_whole_or_not_at_all() {
    let service = Service::start(config(true)).await;
    let mut reader = Peer::guest(&service).await;
    reader.chat("7").await;
    let transaction = |second: &str| {
        format!(
            "BEGIN\ntransaction:t\n\n\0\
             SEND\ndestination:/app/-/chat/7\ntransaction:t\nrequest-id:1\n\n{{\"text\":\"b\"}}\0\
             SEND\ndestination:{second}\ntransaction:t\nrequest-id:2\n\n{{\"text\":\" \"}}\0\
             COMMIT\ntransaction:t\nreceipt:t\n\n\0"
        )
    };
    let mut writer = Peer::guest(&service).await;
    writer.replies().await;
    writer.send(&transaction("/app/-/chat/7")).await;
    for request in ["1", "2"] {
        let reply = writer.reply().await;
        assert_eq!((&reply["request"], &reply["reason"]), (&json!(request), &json!("body")));
    }
    writer.receipt("t").await;
    writer.send(&transaction("/app/-/no")).await;
    assert!(writer.error().await.0.contains("unknown destination /app/-/no"));
    reader.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_the_connections_own_and_guests_have_them() {
    let service = Service::start(config(false)).await;
    let mut guest = Peer::guest(&service).await;
    guest.replies().await;
    let mut other = Peer::guest(&service).await;
    other.replies().await;
    guest.request("r1", "/app/-/chat/7", "{\"text\":\"a\"}").await;
    let reply = guest.reply().await;
    assert_eq!((&reply["request"], &reply["reason"]), (&json!("r1"), &json!("right")));
    assert!(reply["message"].as_str().unwrap().contains("needs a join token"), "{reply}");
    // Whoever does not read them is not closed either.
    guest.send("UNSUBSCRIBE\nid:replies\n\n\0").await;
    guest.request("r2", "/app/-/chat/7", "{\"text\":\"a\"}").await;
    guest.nothing_else().await;
    other.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_no_way_around_the_rate_of_chat() {
    let service = Service::start(config(true)).await;
    let mut guest = Peer::guest(&service).await;
    guest.replies().await;
    for (messages, outcome) in [(11, "refused"), (10, "done")] {
        guest.send("BEGIN\ntransaction:t\n\n\0").await;
        let message = "SEND\ndestination:/app/-/chat/7\ntransaction:t\nrequest-id:r\n\n{\"text\":\"a\"}\0";
        guest.send(&message.repeat(messages)).await;
        guest.send("COMMIT\ntransaction:t\n\n\0").await;
        for _ in 0..messages {
            let reply = guest.reply().await;
            assert_eq!(reply["outcome"], outcome, "{reply}");
            assert!(reply["retry_after_ms"].is_null(), "it would never be within the rate: {reply}");
        }
    }
    guest.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_repeats_little_of_what_was_sent() {
    let service = Service::start(config(true)).await;
    let mut guest = Peer::guest(&service).await;
    guest.replies().await;
    guest.send("BEGIN\ntransaction:t\n\n\0").await;
    for body in ["{\"text\":\"a\"}", "{\"text\":\"a\"}", &format!("\"{}\"", "x".repeat(60_000))] {
        guest.send(&format!("SEND\ndestination:/app/-/chat/7\ntransaction:t\n\n{body}\0")).await;
    }
    guest.send("COMMIT\ntransaction:t\n\n\0").await;
    for _ in 0..3 {
        let reply = guest.reply().await;
        assert_eq!(reply["reason"], "body");
        assert!(reply.to_string().len() < 1_000, "{}", reply.to_string().len());
    }
    guest.nothing_else().await;
    service.stop().await;
}

async fn announce(service: &Service, status: &str, version: i64) {
    let body: Value = json!({"version": version, "broadcast": {
        "id": 7, "name": "n", "description": "d", "status": status, "viewer_count": 0, "started_at": null,
        "ended_at": null, "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
    }});
    let request = reqwest::Client::new().post(service.url("/internal/events")).json(&body);
    let answer = request.bearer_auth(token("meta", Role::Service)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_that_is_over_takes_no_chat() {
    let service = Service::start(config(false)).await;
    let viewer = join_token("par_1", "7", &[Grant::Subscribe, Grant::Chat], None);
    let mut peer = Peer::with_token(&service, &viewer).await;
    peer.replies().await;
    for (status, version, outcome) in
        [("READY", 1, "done"), ("STREAMING", 2, "done"), ("CLOSED", 3, "refused")]
    {
        announce(&service, status, version).await;
        peer.request("chat", "/app/-/chat/7", "{\"text\":\"a\"}").await;
        let reply = peer.reply().await;
        assert_eq!(reply["outcome"], outcome, "{status}: {reply}");
    }
    // The original pages know nothing of CLOSED: a streamer who comes back to such a room is found.
    peer.request("join", "/app/7", "{}").await;
    assert_eq!(peer.reply().await["outcome"], "done");
    let mut late = Peer::with_token(&service, &viewer).await;
    late.chat("7").await;
    for _ in 0..2 {
        assert_eq!(late.json().await["text"], "a");
    }
    late.nothing_else().await;
    service.stop().await;
}
