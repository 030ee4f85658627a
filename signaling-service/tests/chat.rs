//! What a chat knows beside messages: replies, edits, deletions, sanctions, settings, history, direct messages.

mod support;

use contract::token::{Grant, Role};
use serde_json::{Value, json};
use support::{Peer, Service, config, join_token, token};

const CHAT: &str = "/app/-/chat/7";
const VIEWER: [Grant; 2] = [Grant::Subscribe, Grant::Chat];

async fn reader(service: &Service, subject: &str, grants: &[Grant], last: u8) -> Peer {
    let token = join_token(subject, "7", grants, Some(subject));
    let mut peer = Peer::with_token_from(last, service, &token).await;
    peer.replies().await;
    peer.chat("7").await;
    peer
}

async fn host(service: &Service) -> Peer {
    reader(service, "par_host", &[Grant::Publish, Grant::Chat], 1).await
}

async fn viewer(service: &Service, subject: &str, last: u8) -> Peer {
    reader(service, subject, &VIEWER, last).await
}

async fn says(peer: &mut Peer, text: &str) -> Value {
    peer.ask(CHAT, &json!({"text": text})).await
}

fn refused(reply: &Value) -> &str {
    assert_eq!(reply["outcome"], "refused", "{reply}");
    reply["reason"].as_str().unwrap()
}

fn done(reply: &Value) -> u64 {
    assert_eq!(reply["outcome"], "done", "{reply}");
    reply["seq"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_answered_edited_and_deleted_by_who_may() {
    let service = Service::start(config(false)).await;
    let (mut ann, mut bob) = (viewer(&service, "par_ann", 1).await, viewer(&service, "par_bob", 1).await);
    let mut host = host(&service).await;
    assert_eq!(done(&says(&mut ann, "one").await), 1);
    assert_eq!(done(&bob.ask(CHAT, &json!({"text": "two", "reply_to": 1})).await), 2);
    for _ in 0..2 {
        let message = host.json().await;
        if message["seq"] == 2 {
            let quote = json!({"seq": 1, "from": "par_ann", "name": "par_ann", "text": "one"});
            assert_eq!(message["reply_to"], quote);
        }
    }
    assert_eq!(refused(&bob.ask(CHAT, &json!({"text": "x", "reply_to": 9})).await), "state");
    assert_eq!(refused(&bob.ask(CHAT, &json!({"type": "edit", "seq": 1, "text": "x"})).await), "right");
    assert_eq!(refused(&bob.ask(CHAT, &json!({"type": "delete", "seq": 1})).await), "right");
    assert_eq!(refused(&ann.ask(CHAT, &json!({"type": "edit", "seq": 9, "text": "x"})).await), "state");
    assert_eq!(refused(&ann.ask(CHAT, &json!({"type": "edit", "seq": 1, "text": " "})).await), "body");
    done(&ann.ask(CHAT, &json!({"type": "edit", "seq": 1, "text": "uno"})).await);
    let edited = host.json().await;
    assert_eq!(
        (&edited["type"], &edited["seq"], &edited["text"]),
        (&json!("edited"), &json!(1), &json!("uno"))
    );
    // A moderator deletes what is not its own; a second time changes nothing.
    for _ in 0..2 {
        done(&host.ask(CHAT, &json!({"type": "delete", "seq": 1})).await);
    }
    assert_eq!(host.json().await, json!({"type": "deleted", "seq": 1, "by": "moderator"}));
    done(&bob.ask(CHAT, &json!({"type": "delete", "seq": 2})).await);
    assert_eq!(host.json().await, json!({"type": "deleted", "seq": 2, "by": "author"}));
    assert_eq!(refused(&ann.ask(CHAT, &json!({"type": "edit", "seq": 1, "text": "back"})).await), "state");
    host.nothing_else().await;
    // Who comes later finds them as they are, from memory and from the database.
    let mut late = viewer(&service, "par_late", 1).await;
    let (one, two) = (late.json().await, late.json().await);
    assert_eq!((&one["text"], &one["deleted"], &two["deleted"]), (&json!(""), &json!(true), &json!(true)));
    assert_eq!((&two["reply_to"]["text"], &two["reply_to"]["deleted"]), (&json!(""), &json!(true)));
    let reply = late.ask(CHAT, &json!({"type": "history", "before": 99})).await;
    let kept = |mut message: Value| {
        message.as_object_mut().unwrap().remove("type");
        message
    };
    assert_eq!(reply["history"], json!({"messages": [kept(one), kept(two)], "more": false}));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_paged_backwards_without_holes() {
    let service = Service::start(config(false)).await;
    let mut bot = Peer::with_token(&service, &token("bot", Role::Service)).await;
    bot.replies().await;
    for n in 1..=250 {
        assert_eq!(done(&says(&mut bot, &n.to_string()).await), n);
    }
    // Also for who may not write.
    let mut quiet = reader(&service, "par_quiet", &[Grant::Subscribe], 1).await;
    let mut before = quiet.json().await["seq"].as_u64().unwrap();
    assert_eq!(before, 151);
    for _ in 0..99 {
        quiet.json().await;
    }
    let mut pages = Vec::new();
    loop {
        let reply = quiet.ask(CHAT, &json!({"type": "history", "before": before, "limit": 60})).await;
        let messages = reply["history"]["messages"].as_array().unwrap().clone();
        before = messages[0]["seq"].as_u64().unwrap();
        pages.push(messages.iter().map(|message| message["seq"].as_u64().unwrap()).collect::<Vec<_>>());
        if reply["history"]["more"] == false {
            break;
        }
    }
    assert_eq!(pages, [(91..=150).collect::<Vec<_>>(), (31..=90).collect(), (1..=30).collect()]);
    for (body, reason) in [
        (json!({"type": "history", "before": 1}), "done"),
        (json!({"type": "history", "before": 0, "limit": 0}), "body"),
        (json!({"type": "history", "before": -1}), "body"),
        (json!({"type": "history", "before": u64::MAX}), "done"),
        (json!({"type": "bans"}), "right"),
        (json!({"text": "may not"}), "right"),
    ] {
        let reply = quiet.ask(CHAT, &body).await;
        let got = if reply["outcome"] == "done" { "done" } else { refused(&reply) };
        assert_eq!(got, reason, "{body}: {reply}");
    }
    // A question without a request id could not be answered.
    quiet.send_to(CHAT, "{\"type\":\"bans\"}").await;
    assert_eq!(refused(&quiet.reply().await), "body");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_writes_nothing_on_any_connection_until_it_is_lifted() {
    let service = Service::start(config(false)).await;
    let mut host = host(&service).await;
    let (mut bob, mut eve) = (viewer(&service, "par_bob", 2).await, viewer(&service, "par_eve", 3).await);
    let seq = done(&says(&mut eve, "spam").await);
    done(&says(&mut bob, "fine").await);
    for order in [
        json!({"type": "timeout", "seq": seq, "seconds": 60}),
        json!({"type": "ban", "seq": seq}),
        json!({"type": "unban", "person": "par_eve"}),
        json!({"type": "slow", "seconds": 5}),
        json!({"type": "followers", "minutes": 1}),
        json!({"type": "pin", "seq": seq}),
        json!({"type": "bans"}),
    ] {
        assert_eq!(refused(&bob.ask(CHAT, &order).await), "right", "{order}");
    }
    for order in [
        json!({"type": "timeout", "seq": seq, "seconds": 0}),
        json!({"type": "timeout", "seq": seq, "person": "par_eve", "seconds": 5}),
        json!({"type": "ban"}),
        json!({"type": "ban", "person": ""}),
        json!({"type": "ban", "person": "a\u{0}b"}),
        json!({"type": "slow", "seconds": 601}),
        json!({"type": "followers", "minutes": 99_999}),
    ] {
        assert_eq!(refused(&host.ask(CHAT, &order).await), "body", "{order}");
    }
    assert_eq!(refused(&host.ask(CHAT, &json!({"type": "unban", "person": "par_eve"})).await), "state");
    let order = json!({"type": "timeout", "seq": seq, "seconds": 60, "reason": "spam"});
    done(&host.ask(CHAT, &order).await);
    let told = eve.json_where(|event| event["type"] == "sanction").await;
    assert_eq!((&told["kind"], &told["reason"]), (&json!("timeout"), &json!("spam")));
    let mut again = viewer(&service, "par_eve", 4).await;
    for peer in [&mut eve, &mut again] {
        let reply = says(peer, "more").await;
        assert_eq!(refused(&reply), "right");
        let wait = reply["retry_after_ms"].as_u64().unwrap();
        assert!(wait > 50_000 && wait <= 60_000, "{reply}");
        assert_eq!(refused(&peer.ask(CHAT, &json!({"type": "delete", "seq": seq})).await), "right");
    }
    // It reads on, and so does everybody else, who hear nothing of it.
    done(&says(&mut bob, "still here").await);
    eve.json_where(|event| event["text"] == "still here").await;
    bob.json_where(|event| event["text"] == "still here").await;
    // A ban takes the place of the time-out, with what was written.
    done(&host.ask(CHAT, &json!({"type": "ban", "person": "par_eve", "delete": true})).await);
    assert_eq!(bob.json().await, json!({"type": "deleted_from", "from": "par_eve", "by": "moderator"}));
    let reply = says(&mut eve, "more").await;
    assert_eq!((refused(&reply), reply.get("retry_after_ms")), ("right", None));
    let bans = host.ask(CHAT, &json!({"type": "bans"})).await["bans"].clone();
    assert_eq!(bans.as_array().unwrap().len(), 1);
    assert_eq!(
        (&bans[0]["person"], &bans[0]["kind"], &bans[0]["by"], &bans[0]["address"]),
        (&json!("par_eve"), &json!("ban"), &json!("par_host"), &json!(false))
    );
    let late = join_token("par_eve", "7", &VIEWER, None);
    let mut late = Peer::with_token(&service, &late).await;
    let open = late.chat("7").await;
    assert_eq!(open["you"], json!({"id": "par_eve", "moderator": false, "sanction": {"kind": "ban"}}));
    assert_eq!(late.json().await["deleted"], true);
    done(&host.ask(CHAT, &json!({"type": "unban", "person": "par_eve"})).await);
    late.json_where(|event| event["kind"] == "lifted").await;
    done(&says(&mut eve, "sorry").await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_of_an_address_holds_for_whoever_comes_from_there_but_moderators() {
    let service = Service::start(config(false)).await;
    let mut host = host(&service).await;
    let mut eve = viewer(&service, "par_eve", 9).await;
    let seq = done(&says(&mut eve, "spam").await);
    done(&host.ask(CHAT, &json!({"type": "ban", "seq": seq, "address": true})).await);
    for n in 0..5 {
        let mut fresh = viewer(&service, &format!("par_{n}"), 9).await;
        assert_eq!(refused(&says(&mut fresh, "again").await), "right");
    }
    let mut helper = reader(&service, "par_mod", &[Grant::Moderate, Grant::Chat], 9).await;
    done(&says(&mut helper, "I moderate").await);
    // What comes later makes it no shorter, and forgets no address.
    for later in [
        json!({"type": "timeout", "seq": seq, "seconds": 1}),
        json!({"type": "ban", "seq": seq}),
        json!({"type": "timeout", "person": "par_eve", "seconds": 2}),
    ] {
        done(&host.ask(CHAT, &later).await);
        let bans = host.ask(CHAT, &json!({"type": "bans"})).await["bans"].clone();
        assert_eq!((&bans[0]["kind"], &bans[0]["address"]), (&json!("ban"), &json!(true)), "{later}");
    }
    done(&says(&mut viewer(&service, "par_other", 8).await, "I am elsewhere").await);
    // The one who is named is banned from elsewhere too.
    assert_eq!(refused(&says(&mut viewer(&service, "par_eve", 8).await, "moved").await), "right");
    done(&host.ask(CHAT, &json!({"type": "unban", "person": "par_eve"})).await);
    done(&says(&mut viewer(&service, "par_5", 9).await, "free").await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_banned_from_below() {
    let service = Service::start(config(false)).await;
    let mut host = host(&service).await;
    let mut first = reader(&service, "par_m1", &[Grant::Moderate, Grant::Chat], 1).await;
    let mut second = reader(&service, "par_m2", &[Grant::Moderate, Grant::Chat], 1).await;
    let by_host = done(&says(&mut host, "mine").await);
    let by_second = done(&says(&mut second, "ours").await);
    for order in [
        json!({"type": "ban", "seq": by_host}),
        json!({"type": "ban", "person": "par_host"}),
        json!({"type": "timeout", "seq": by_second, "seconds": 5}),
        json!({"type": "ban", "person": "par_m1"}),
        json!({"type": "delete", "seq": by_host}),
    ] {
        assert_eq!(refused(&first.ask(CHAT, &order).await), "right", "{order}");
    }
    // One that has not been seen may be named; a host is none the less one when it comes.
    done(&first.ask(CHAT, &json!({"type": "ban", "person": "par_owner"})).await);
    let mut owner = reader(&service, "par_owner", &[Grant::Publish, Grant::Chat], 1).await;
    done(&says(&mut owner, "I publish").await);
    // What a host has decided a moderator does not undo.
    done(&host.ask(CHAT, &json!({"type": "ban", "person": "par_x"})).await);
    assert_eq!(refused(&first.ask(CHAT, &json!({"type": "unban", "person": "par_x"})).await), "right");
    let shorter = json!({"type": "timeout", "person": "par_x", "seconds": 1});
    assert_eq!(refused(&first.ask(CHAT, &shorter).await), "right");
    // And a moderator that is banned moderates no more.
    done(&host.ask(CHAT, &json!({"type": "ban", "person": "par_m2"})).await);
    assert_eq!(refused(&second.ask(CHAT, &json!({"type": "unban", "person": "par_m2"})).await), "right");
    let mut admin = Peer::with_token(&service, &token("root", Role::Admin)).await;
    admin.replies().await;
    done(&admin.ask(CHAT, &json!({"type": "timeout", "person": "par_host", "seconds": 5})).await);
    assert_eq!(refused(&says(&mut host, "hm").await), "right");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_mode_followers_and_the_pin_hold_for_everybody_and_are_told() {
    let service = Service::start(config(false)).await;
    let mut host = host(&service).await;
    let mut ann = viewer(&service, "par_ann", 1).await;
    let seq = done(&says(&mut ann, "first").await);
    done(&host.ask(CHAT, &json!({"type": "pin", "seq": seq})).await);
    let told = ann.json_where(|event| event["type"] == "settings").await;
    assert_eq!((&told["pinned"]["text"], &told["settings"]), (&json!("first"), &json!({"slow_seconds": 0})));
    done(&ann.ask(CHAT, &json!({"type": "edit", "seq": seq, "text": "1st"})).await);
    let told = ann.json_where(|event| event["type"] == "settings").await;
    assert_eq!(told["pinned"]["text"], "1st");
    assert_eq!(refused(&host.ask(CHAT, &json!({"type": "pin", "seq": 99})).await), "state");
    done(&host.ask(CHAT, &json!({"type": "slow", "seconds": 30})).await);
    let reply = says(&mut ann, "second").await;
    assert_eq!(refused(&reply), "rate");
    assert!(reply["retry_after_ms"].as_u64().is_some_and(|ms| ms > 20_000 && ms <= 30_000), "{reply}");
    // Edits are as slow, and one whose answer was lost is done.
    let edit = |text: &str| json!({"type": "edit", "seq": seq, "text": text});
    assert_eq!(refused(&ann.ask(CHAT, &edit("once more")).await), "rate");
    done(&ann.ask(CHAT, &edit("1st")).await);
    // Another connection, after the process forgot all of it: that is in the database.
    let mut other = viewer(&service, "par_ann", 1).await;
    assert_eq!(refused(&says(&mut other, "second").await), "rate");
    done(&says(&mut host, "hosts are not slow").await);
    done(&says(&mut host, "at all").await);
    done(&host.ask(CHAT, &json!({"type": "slow", "seconds": 0})).await);
    done(&host.ask(CHAT, &json!({"type": "followers", "minutes": 1})).await);
    let reply = says(&mut ann, "second").await;
    assert_eq!(refused(&reply), "right");
    assert!(reply["retry_after_ms"].as_u64().is_some_and(|ms| ms > 40_000 && ms <= 60_000), "{reply}");
    done(&host.ask(CHAT, &json!({"type": "followers", "minutes": 0})).await);
    done(&says(&mut ann, "second").await);
    // The pin goes with its message.
    done(&ann.ask(CHAT, &json!({"type": "delete", "seq": seq})).await);
    let told = ann.json_where(|event| event["type"] == "settings" && event.get("pinned").is_none()).await;
    assert_eq!(told["settings"], json!({"slow_seconds": 0, "followers_minutes": 0}));
    let mut late = Peer::with_token(&service, &join_token("par_late", "7", &VIEWER, None)).await;
    let open = late.chat("7").await;
    assert_eq!((&open["settings"], open.get("pinned")), (&told["settings"], None));
    assert!(open["epoch"].as_u64().unwrap() > 0 && open["last"] == 4, "{open}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_from_quotes_and_from_the_pin() {
    let service = Service::start(config(false)).await;
    let mut host = host(&service).await;
    let mut ann = viewer(&service, "par_ann", 1).await;
    let mut bob = viewer(&service, "par_bob", 2).await;
    assert_eq!(done(&says(&mut ann, "SECRET").await), 1);
    assert_eq!(done(&says(&mut ann, "SECRET TOO").await), 2);
    let mut bot = Peer::with_token(&service, &token("bot", Role::Service)).await;
    bot.replies().await;
    for n in 0..110 {
        done(&says(&mut bot, &n.to_string()).await);
    }
    let answer = done(&bob.ask(CHAT, &json!({"text": "to one", "reply_to": 1})).await);
    let other = done(&bob.ask(CHAT, &json!({"text": "to two", "reply_to": 2})).await);
    for (pinned, order) in [
        (answer, json!({"type": "delete", "seq": 1})),
        (other, json!({"type": "ban", "person": "par_ann", "delete": true})),
    ] {
        done(&host.ask(CHAT, &json!({"type": "pin", "seq": pinned})).await);
        bob.json_where(|event| {
            event["pinned"]["reply_to"]["text"].as_str().is_some_and(|text| !text.is_empty())
        })
        .await;
        done(&host.ask(CHAT, &order).await);
        let told = bob.json_where(|event| event["type"] == "settings").await;
        assert_eq!(
            (&told["pinned"]["seq"], &told["pinned"]["reply_to"]["text"]),
            (&json!(pinned), &json!(""))
        );
        let late = join_token("par_late", "7", &VIEWER, None);
        let mut late = Peer::with_token_from(3, &service, &late).await;
        let open = late.chat("7").await;
        assert_eq!(open["pinned"]["reply_to"]["deleted"], true);
        let shown = late.json_where(|message| message["seq"] == pinned).await;
        assert_eq!((&shown["reply_to"]["text"], &shown["reply_to"]["deleted"]), (&json!(""), &json!(true)));
    }
    // Without what they are to be set to, orders do nothing.
    for order in
        [json!({"type": "pin"}), json!({"type": "followers"}), json!({"type": "followers", "minute": 1})]
    {
        assert_eq!(refused(&host.ask(CHAT, &order).await), "body", "{order}");
    }
    let open = viewer_open(&service).await;
    assert_eq!(open["pinned"]["seq"], other);
    service.stop().await;
}

async fn viewer_open(service: &Service) -> Value {
    let mut late = Peer::with_token_from(4, service, &join_token("par_late", "7", &VIEWER, None)).await;
    late.chat("7").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_known_by_its_address_alone() {
    let service = Service::start(config(true)).await;
    let mut host = host(&service).await;
    let mut guest = Peer::guest(&service).await;
    guest.replies().await;
    let seq = done(&guest.ask(CHAT, &json!({"text": "spam", "name": "Me"})).await);
    done(&guest.ask(CHAT, &json!({"type": "edit", "seq": seq, "text": "ham"})).await);
    let mut other = Peer::guest(&service).await;
    other.replies().await;
    assert_eq!(refused(&other.ask(CHAT, &json!({"type": "delete", "seq": seq})).await), "right");
    done(&host.ask(CHAT, &json!({"type": "timeout", "seq": seq, "seconds": 60})).await);
    for peer in [&mut guest, &mut other] {
        assert_eq!(refused(&says(peer, "again").await), "right");
    }
    done(&says(&mut host, "I moderate from the same place").await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_connections_and_fifty_tokens_of_one_address_are_one_address() {
    let service = Service::start(config(false)).await;
    let mut reader = viewer(&service, "par_reader", 2).await;
    let begun = std::time::Instant::now();
    let mut flood = Vec::new();
    for n in 0..50 {
        let token = join_token(&format!("par_{n}"), "7", &VIEWER, None);
        let mut peer = Peer::with_token_from(9, &service, &token).await;
        for text in 0..4 {
            peer.send_to(CHAT, &json!({"text": format!("{n} {text}")}).to_string()).await;
        }
        flood.push(peer);
    }
    for peer in &mut flood {
        peer.sync().await;
    }
    // From elsewhere one is heard at once.
    let mut other = viewer(&service, "par_other", 3).await;
    done(&says(&mut other, "hello").await);
    let mut heard = 0;
    while reader.json().await["text"] != "hello" {
        heard += 1;
    }
    let most = 30 + 3 * (begun.elapsed().as_secs() + 1);
    assert!((30..=most).contains(&heard), "{heard} of 200, {most} at most");
    service.stop().await;
}
