//! Who may read and write what, what becomes of those who may not, and who a message says that it is from.

mod support;

use contract::token::{Grant, Role};
use serde_json::json;
use stomp_proto::Command;
use support::{Peer, Service, config, join_token, token};

const VIEWER: [Grant; 2] = [Grant::Subscribe, Grant::Chat];

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It takes effect.
    Allowed,
    /// It is refused with a reply, and the connection goes on.
    Refused,
    /// ERROR, and the connection ends.
    Closed,
}

#[tokio::test(flavor = "multi_thread")]
async fn production_asks_for_a_join_token_of_the_room() {
    use Fate::{Allowed, Closed, Refused};
    let service = Service::start(config(false)).await;
    let bob = join_token("par_bob", "7", &VIEWER, None);
    let subscribe = |to: &str| format!("SUBSCRIBE\nid:1\ndestination:{to}\nreceipt:1\n\n\0");
    let send = |to: &str| format!("SEND\ndestination:{to}\nreceipt:1\n\n{{\"text\":\"a\"}}\0");
    for (frame, guest, member) in [
        (subscribe("/topic/-/chat/7"), Closed, Allowed),
        (subscribe("/topic/-/presence/7"), Allowed, Allowed),
        (subscribe("/topic/7/k/offer"), Closed, Allowed),
        (subscribe("/topic/7"), Closed, Closed),
        (subscribe("/topic/8/k/offer"), Closed, Closed),
        (subscribe("/app/7"), Closed, Closed),
        (subscribe("/app/-/chat/7"), Closed, Closed),
        (subscribe("/queue/participant/par_bob"), Closed, Allowed),
        (subscribe("/queue/participant/par_ann"), Closed, Closed),
        (subscribe("/queue/sfu/nod_1"), Closed, Closed),
        (subscribe("/topic/nothing/like/this"), Closed, Closed),
        (subscribe("/user/queue/other"), Closed, Closed),
        (send("/app/-/chat/7"), Refused, Allowed),
        (send("/app/-/chat/8"), Refused, Refused),
        (send("/app/-/sfu/nod_1/viewers"), Refused, Refused),
        (send("/app/-/sfu/nod_1/tracks"), Refused, Refused),
        (send("/app/-/no"), Closed, Closed),
        (send("/topic/-/chat/7"), Closed, Closed),
        (send("/app/7"), Closed, Allowed),
        (send("/topic/7"), Closed, Allowed),
        (send("/app/8"), Closed, Closed),
        (send("/app/7/k/answer"), Closed, Allowed),
        (send("/app/7/k/offer"), Closed, Closed),
        (send("/topic/-/broadcasts"), Closed, Closed),
        (send("/user/queue/replies"), Closed, Closed),
        (send("/queue/sfu/nod_1"), Closed, Refused),
        (send("/queue/participant/par_bob"), Closed, Closed),
    ] {
        for (fate, token) in [(guest, None), (member, Some(&bob))] {
            let mut peer = match token {
                None => Peer::guest(&service).await,
                Some(token) => Peer::with_token(&service, token).await,
            };
            peer.replies().await;
            peer.send(&frame).await;
            match fate {
                Allowed => {
                    peer.receipt("1").await;
                    peer.sync().await;
                }
                Refused => {
                    assert_eq!(peer.reply().await["outcome"], "refused", "{frame}");
                    peer.receipt("1").await;
                    peer.nothing_else().await;
                }
                Closed => {
                    let (message, code) = peer.error().await;
                    assert!(message.contains('/') && code == 1008, "{frame}: {message} {code}");
                }
            }
        }
    }
    assert_eq!(service.count("8").await, 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_says_and_hears_is_its_own() {
    let service = Service::start(config(false)).await;
    let viewers = json!({"rooms": [{"room": "7", "subjects": ["par_1"], "anonymous": 0}]}).to_string();
    for (subject, reads, refused) in [("nod_1", true, false), ("nod_2", false, true), ("sfu", false, true)] {
        let mut peer = Peer::with_token(&service, &token(subject, Role::Service)).await;
        peer.replies().await;
        peer.request("r", "/app/-/sfu/nod_1/viewers", &viewers).await;
        let reply = peer.reply().await;
        assert_eq!(reply["outcome"] == "refused", refused, "{subject}: {reply}");
        peer.send("SUBSCRIBE\nid:1\ndestination:/queue/sfu/nod_1\nreceipt:1\n\n\0").await;
        if reads {
            peer.receipt("1").await;
        } else {
            assert!(peer.error().await.0.contains("no right"), "{subject}");
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_members_of_its_rooms_and_knows_who_they_are() {
    let service = Service::start(config(false)).await;
    let mut node = Peer::with_token(&service, &token("nod_1", Role::Service)).await;
    node.subscribe("q", "/queue/sfu/nod_1").await;
    let mut member = Peer::with_token(&service, &join_token("par_1", "7", &VIEWER, None)).await;
    member.replies().await;
    member.request("early", "/queue/sfu/nod_1", "a").await;
    let reply = member.reply().await;
    assert_eq!((&reply["request"], &reply["reason"]), (&json!("early"), &json!("state")), "{reply}");

    let viewers = json!({"rooms": [{"room": "7", "subjects": [], "anonymous": 1}]}).to_string();
    node.send_to("/app/-/sfu/nod_1/viewers", &viewers).await;
    node.sync().await;
    // Whatever it says of itself is not believed.
    member
        .send(
            "SEND\ndestination:/queue/sfu/nod_1\nsender:par_2\nSender:par_2\nsender :par_2\nsender-room:8\nsender-role:service\n\
             mine:yes\n\nbody\0",
        )
        .await;
    let message = node.message().await;
    let header = |name: &'static str| {
        message.headers.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value)
    };
    assert_eq!(header("sender").collect::<Vec<_>>(), ["par_1"]);
    assert_eq!(header("sender-room").collect::<Vec<_>>(), ["7"]);
    assert_eq!(header("sender-role").collect::<Vec<_>>(), ["join"]);
    // StompJS trims names.
    let named = |(name, _): &(&str, &str)| name.trim().eq_ignore_ascii_case("sender");
    assert_eq!(message.headers.iter().filter(named).count(), 1);
    assert_eq!((header("mine").next(), &message.body[..]), (Some("yes"), &b"body"[..]));

    let mut stranger = Peer::with_token(&service, &join_token("par_2", "8", &VIEWER, None)).await;
    stranger.replies().await;
    stranger.send_to("/queue/sfu/nod_1", "b").await;
    assert_eq!(stranger.reply().await["reason"], "state");
    node.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_message_names_its_sender() {
    let service = Service::start(config(true)).await;
    let mut streamer = Peer::guest(&service).await;
    streamer.subscribe("s", "/topic/7").await;
    let mut guest = Peer::guest(&service).await;
    guest.send("SEND\ndestination:/app/7\nsender:par_host\n\n{\"key\":\"k\"}\0").await;
    let message = streamer.message().await;
    assert_eq!(&message.body[..], b"{\"key\":\"k\"}");
    let sender = message.headers.get("sender").unwrap();
    assert!(sender.starts_with("par_") && sender != "par_host", "{sender}");
    assert_eq!(
        (message.headers.get("sender-role"), message.headers.get("sender-room")),
        (Some("guest"), None)
    );
    let mut member = Peer::with_token(&service, &join_token("par_1", "7", &VIEWER, None)).await;
    member.send_to("/app/7", "{}").await;
    let message = streamer.message().await;
    assert_eq!(
        (message.headers.get("sender"), message.headers.get("sender-room")),
        (Some("par_1"), Some("7"))
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_spelling_reaches_a_broadcast() {
    let service = Service::start(config(true)).await;
    let mut viewer = Peer::guest(&service).await;
    viewer.send_to("/app/1", "{}").await;
    viewer.sync().await;
    assert_eq!(service.count("1").await, 1);
    for room in ["01", "001", "0"] {
        let status = reqwest::get(service.url(&format!("/room/{room}/count"))).await.unwrap().status();
        assert_eq!(status.as_u16(), 404, "{room}");
    }
    for destination in ["/topic/01", "/topic/-/broadcast/01", "/topic/-/presence/01", "/topic/-/chat/01"] {
        let mut peer = Peer::guest(&service).await;
        peer.send(&format!("SUBSCRIBE\nid:1\ndestination:{destination}\n\n\0")).await;
        let frame = peer.frame().await;
        assert_eq!(frame.command, Command::Error, "{destination}");
    }
    service.stop().await;
}
