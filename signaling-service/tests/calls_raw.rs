//! A client that we did not write, without rights, against everything of a call: each command, forged stamps, foreign
//! rooms, other people's queues, bodies of every wrong kind. Nothing of it reaches the home, a member, or another's queue.

mod support;

use contract::room_state::{NodeRoom, RoomSnapshot, RoomUpdate};
use contract::token::{Grant, Role};
use serde_json::{Value, json};
use support::{Peer, Service, config, join_token, token};

const ROOM: &str = "grp_a";

/// Every command, as a client would give it.
fn commands() -> Vec<Value> {
    let about = |kind: &str, extra: Value| {
        let mut command = json!({"type": kind, "participant": "par_in"});
        command.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        command
    };
    vec![
        json!({"type": "switch", "source": "camera", "on": true}),
        json!({"type": "rename", "name": "a"}),
        json!({"type": "hand", "up": true}),
        about("hand", json!({"up": false})),
        json!({"type": "react", "reaction": "heart"}),
        about("mute", json!({"source": "microphone"})),
        json!({"type": "lock", "on": true}),
        about("remove", json!({})),
        about("grant", json!({"right": "moderate"})),
        about("revoke", json!({"right": "chat"})),
    ]
}

/// Bodies that are none.
const BAD_BODIES: [&str; 12] = [
    "",
    "\u{0}",
    "null",
    "[]",
    "7",
    "\"lock\"",
    "{",
    "{}",
    "{\"type\":\"lock\"}",
    "{\"type\":\"lock\",\"on\":\"yes\"}",
    "{\"type\":\"remove\",\"participant\":\"grp_a\"}",
    "{\"type\":\"mute\",\"participant\":\"par_in\",\"source\":\"everything\"}",
];

/// Stamps that are the server's to set, in the spellings that readers take for the same.
const FORGED: &str = "sender:par_in\nsender-role:service\nsender-room:grp_a\nsender-connection:x/1\n sender:par_in\n\
                      sender\\c:par_in\n";

/// Who tries: a guest, a member of another room that has every right there, and a viewer of a broadcast.
fn strangers() -> [Option<String>; 3] {
    let all: Vec<Grant> =
        Grant::PARTICIPANT.iter().copied().chain([Grant::Publish, Grant::Moderate]).collect();
    [None, Some(join_token("par_x", "grp_b", &all, None)), Some(join_token("par_x", "7", &all, None))]
}

async fn connect(service: &Service, token: Option<&String>) -> Peer {
    match token {
        None => Peer::guest(service).await,
        Some(token) => Peer::with_token(service, token).await,
    }
}

/// The home of the room, and a member who listens to all that it may.
async fn call(service: &Service) -> (Peer, Peer) {
    let mut home = Peer::with_token(service, &token("nod_1", Role::Service)).await;
    home.subscribe("q", "/queue/sfu/nod_1").await;
    let update = RoomUpdate::Snapshot(RoomSnapshot { epoch: 1, ..RoomSnapshot::default() });
    let said = NodeRoom { room: ROOM.parse().unwrap(), update, rules: None };
    home.send_to("/app/-/sfu/nod_1/rooms", &serde_json::to_string(&said).unwrap()).await;
    home.sync().await;
    let mut member = Peer::with_token(service, &join_token("par_in", ROOM, &Grant::PARTICIPANT, None)).await;
    member.replies().await;
    for (id, destination) in [
        ("s", "/topic/-/room/grp_a"),
        ("c", "/topic/-/chat/grp_a"),
        ("g", "/topic/-/group/grp_a"),
        ("p", "/queue/participant/par_in"),
    ] {
        member.subscribe(id, destination).await;
    }
    assert_eq!(member.json().await["type"], "snapshot");
    (home, member)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_part_in_a_call_does_and_hears_nothing_there() {
    // In the development mode too: what is open there is chat.
    for dev in [false, true] {
        let service = Service::start(config(dev)).await;
        let (mut home, mut member) = call(&service).await;
        for stranger in &strangers() {
            let mut peer = connect(&service, stranger.as_ref()).await;
            peer.replies().await;
            let bodies = commands().into_iter().map(|command| command.to_string());
            let bad = BAD_BODIES.iter().skip(2).map(|body| (*body).to_owned());
            for (refused, body) in bodies.chain(bad).enumerate() {
                let frame =
                    format!("SEND\ndestination:/app/-/room/grp_a\n{FORGED}request-id:r{refused}\n\n{body}\0");
                peer.send(&frame).await;
                let reply = peer.reply().await;
                assert_eq!(
                    (&reply["outcome"], &reply["reason"]),
                    (&json!("refused"), &json!("right")),
                    "{body}"
                );
                assert_eq!(reply["request"], format!("r{refused}"));
            }
            // What only the node itself says, and what only services send.
            for path in ["viewers", "tracks", "rooms", "replies"] {
                for body in ["{}", "{\"connection\":\"x/1\",\"reply\":{}}"] {
                    peer.request("r", &format!("/app/-/sfu/nod_1/{path}"), body).await;
                    assert_eq!(peer.reply().await["reason"], "right", "{path}");
                }
            }
            if !dev {
                peer.request("r", "/app/-/chat/grp_a", "{\"text\":\"a\"}").await;
                assert_eq!(peer.reply().await["reason"], "right");
            }
            peer.nothing_else().await;
            for frame in [
                "SUBSCRIBE\nid:1\ndestination:/topic/-/room/grp_a\n\n\0",
                "SUBSCRIBE\nid:1\ndestination:/queue/sfu/nod_1\n\n\0",
                "SUBSCRIBE\nid:1\ndestination:/queue/sfu/nod_2\n\n\0",
                "SUBSCRIBE\nid:1\ndestination:/queue/participant/par_in\n\n\0",
                "SUBSCRIBE\nid:1\ndestination:/user/par_in/queue/replies\n\n\0",
                "SUBSCRIBE\nid:1\ndestination:/app/-/room/grp_a\n\n\0",
                "SUBSCRIBE\nid:1\ndestination:/app/-/sfu/nod_1/rooms\n\n\0",
                "SUBSCRIBE\nid:1\ndestination:/topic/-/room/*\n\n\0",
                "SEND\ndestination:/topic/-/room/grp_a\n\n{\"type\":\"snapshot\"}\0",
                "SEND\ndestination:/topic/-/group/grp_a\n\n{}\0",
                "SEND\ndestination:/topic/-/chat/grp_a\n\n{}\0",
                "SEND\ndestination:/user/queue/replies\n\n{}\0",
                "SEND\ndestination:/queue/participant/par_in\n\n{}\0",
            ] {
                let mut peer = connect(&service, stranger.as_ref()).await;
                peer.send(frame).await;
                assert_eq!(peer.error().await.1, 1008, "{frame}");
            }
        }
        home.nothing_else().await;
        member.nothing_else().await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_sends_nonsense_and_forges_is_one_person_that_sends_nonsense() {
    let service = Service::start(config(false)).await;
    let (mut home, mut member) = call(&service).await;
    let mut peer = Peer::with_token(&service, &join_token("par_x", ROOM, &[Grant::Subscribe], None)).await;
    peer.replies().await;
    for body in BAD_BODIES {
        let length = body.len();
        peer.send(&format!(
            "SEND\ndestination:/app/-/room/grp_a\nrequest-id:r\ncontent-length:{length}\n\n{body}\0"
        ))
        .await;
        assert_eq!(peer.reply().await["reason"], "body", "{body:?}");
    }
    for id in ["", "request-id:\n", &format!("request-id:{}\n", "x".repeat(65))] {
        peer.send(&format!("SEND\ndestination:/app/-/room/grp_a\n{id}\n{{\"type\":\"lock\",\"on\":true}}\0"))
            .await;
        assert_eq!(peer.reply().await["reason"], "body", "{id:?}");
    }
    home.nothing_else().await;
    // What is a command goes on as its own, whatever it says of itself.
    for command in commands() {
        peer.send(&format!("SEND\ndestination:/app/-/room/grp_a\n{FORGED}request-id:r\n\n{command}\0")).await;
        let message = home.message().await;
        for (name, value) in [("sender", "par_x"), ("sender-role", "join"), ("sender-room", ROOM)] {
            let stamps: Vec<_> = message
                .headers
                .iter()
                .filter(|(own, _)| own.trim() == name)
                .map(|(_, value)| value)
                .collect();
            assert_eq!(stamps, [value], "{command}");
        }
        let connections: Vec<_> =
            message.headers.iter().filter(|(name, _)| name.trim() == "sender-connection").collect();
        assert!(connections.len() == 1 && connections[0].1 != "x/1", "{connections:?}");
    }
    home.nothing_else().await;
    member.nothing_else().await;
    service.stop().await;
}
