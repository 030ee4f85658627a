//! The rooms of calls: their homes speak, members hear and command, and nobody else does.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::group::RoomRules;
use contract::room_state::{NodeReply, NodeRoom, Right, RoomCommand, RoomUpdate, WhyGone};
use contract::token::{Grant, Role};
use room::{Applied, Joining, Replica, Room, Rules};
use serde_json::{Value, json};
use service_kit::config::Secret;
use signaling_service::Config;
use signaling_service::bus::InMemoryBus;
use stomp_proto::Frame;
use support::{Peer, Service, config, join_token, token};

const ROOM: &str = "grp_a";
const STATE: &str = "/topic/-/room/grp_a";
const COMMANDS: &str = "/app/-/room/grp_a";

/// The home of a room: a node with its connection.
struct Home {
    peer: Peer,
    node: &'static str,
    room: Room,
    now: Instant,
    /// What is said of the rules with everything.
    rules: Option<RoomRules>,
}

impl Home {
    async fn start(service: &Service, node: &'static str, epoch: u64) -> Self {
        let mut peer = Peer::with_token(service, &token(node, Role::Service)).await;
        peer.subscribe("queue", &format!("/queue/sfu/{node}")).await;
        Self { peer, node, room: Room::new(epoch, 500, Rules::default()), now: Instant::now(), rules: None }
    }

    fn join(&mut self, who: &str, name: &str) {
        self.join_with(who, name, &[Right::Camera, Right::Chat]);
    }

    fn join_with(&mut self, who: &str, name: &str, rights: &[Right]) {
        let joining = Joining {
            participant: who.parse().unwrap(),
            name: name.into(),
            name_is_fixed: false,
            granted: rights.iter().copied().collect(),
        };
        self.room.join(joining, self.now).unwrap();
    }

    async fn say(&mut self, update: RoomUpdate) {
        let said = NodeRoom { room: ROOM.parse().unwrap(), update, rules: self.rules.clone() };
        let to = format!("/app/-/sfu/{}/rooms", self.node);
        self.peer.send_to(&to, &serde_json::to_string(&said).unwrap()).await;
        self.peer.sync().await;
    }

    async fn say_snapshot(&mut self) {
        self.say(RoomUpdate::Snapshot(self.room.snapshot())).await;
    }

    async fn say_delta(&mut self) {
        self.now += Duration::from_secs(1);
        let delta = self.room.poll_delta(self.now).unwrap();
        self.say(RoomUpdate::Delta(delta)).await;
    }

    async fn answer(&mut self, connection: &str, request: &str) {
        let reply = contract::destination::Reply::done(request.into());
        let said = NodeReply { connection: connection.into(), reply };
        let to = format!("/app/-/sfu/{}/replies", self.node);
        self.peer.send_to(&to, &serde_json::to_string(&said).unwrap()).await;
        self.peer.sync().await;
    }
}

fn header<'a>(frame: &'a Frame, name: &str) -> &'a str {
    frame.headers.get(name).unwrap_or_default()
}

fn member(who: &str) -> String {
    join_token(who, ROOM, &[Grant::Subscribe], None)
}

fn hand() -> String {
    serde_json::to_string(&RoomCommand::Hand { up: true, participant: None }).unwrap()
}

async fn next(peer: &mut Peer, replica: &mut Replica) -> Applied {
    let update = serde_json::from_value(peer.json().await).unwrap();
    replica.apply(&update)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_gets_the_state_first_and_then_what_changes() {
    let service = Service::start(config(false)).await;
    let mut early = Peer::with_token(&service, &member("par_1")).await;
    early.subscribe("s", STATE).await;
    let mut home = Home::start(&service, "nod_1", 1).await;
    home.say_snapshot().await;
    home.join("par_1", "Ann");
    home.say_delta().await;
    let mut late = Peer::with_token(&service, &member("par_2")).await;
    late.subscribe("s", STATE).await;
    home.join("par_2", "Bob");
    home.say_delta().await;
    // The same again is news to nobody.
    home.say_snapshot().await;
    home.room.leave(&"par_1".parse().unwrap(), WhyGone::Left, home.now);
    home.say_delta().await;
    for (peer, messages) in [(&mut early, 4), (&mut late, 3)] {
        let mut replica = Replica::default();
        for _ in 0..messages {
            assert_eq!(next(peer, &mut replica).await, Applied::Changed);
        }
        assert_eq!(replica.snapshot(), Some(home.room.snapshot()));
        peer.nothing_else().await;
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_to_the_home_with_its_sender_and_is_answered_where_it_came_from() {
    let service = Service::start(config(false)).await;
    let mut home = Home::start(&service, "nod_1", 1).await;
    home.say_snapshot().await;
    let mut one = Peer::with_token(&service, &member("par_1")).await;
    let mut other = Peer::with_token(&service, &member("par_1")).await;
    one.replies().await;
    other.replies().await;
    let frame = format!(
        "SEND\ndestination:{COMMANDS}\nrequest-id:r1\nsender:par_2\nsender-room:grp_b\nsender-connection:x/1\n\n{}\0",
        hand()
    );
    one.send(&frame).await;
    one.sync().await;
    one.nothing_else().await;
    let message = home.peer.message().await;
    assert_eq!(
        (header(&message, "sender"), header(&message, "sender-room"), header(&message, "request-id")),
        ("par_1", ROOM, "r1")
    );
    let stamps = message.headers.iter().filter(|(name, _)| *name == "sender-connection").count();
    assert_eq!((stamps, &message.body[..]), (1, hand().as_bytes()));
    let connection = header(&message, "sender-connection").to_owned();
    assert_ne!(connection, "x/1");
    home.answer(&connection, "r1").await;
    assert_eq!(one.reply().await, json!({"outcome": "done", "request": "r1"}));
    other.nothing_else().await;
    // Nobody reads an answer to a connection that is not there, or is gone.
    let (replica, _) = connection.split_once('/').unwrap();
    for unknown in
        ["", "x", "x/1", &format!("{replica}/999999"), &format!("{replica}/"), &format!("{replica}x/1")]
    {
        home.answer(unknown, "r1").await;
    }
    one.nothing_else().await;
    service.stop().await;
}

const CHAT_STATE: &str = "/topic/-/chat/grp_a";
const CHAT: &str = "/app/-/chat/grp_a";

fn talker(who: &str) -> String {
    join_token(who, ROOM, &[Grant::Subscribe, Grant::Chat], None)
}

/// A SUBSCRIBE of a new connection ends in ERROR.
async fn may_not_read(service: &Service, who: &str, destination: &str) {
    let mut peer = Peer::with_token(service, &talker(who)).await;
    peer.send(&format!("SUBSCRIBE\nid:1\ndestination:{destination}\n\n\0")).await;
    assert_eq!(peer.error().await.1, 1008, "{destination}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_reads_and_writes_nothing_more_in_the_room() {
    let bus = Arc::new(InMemoryBus::default());
    let one = Service::on_bus(config(false), bus.clone()).await;
    let two = Service::on_bus(config(false), bus).await;
    let mut home = Home::start(&one, "nod_1", 1).await;
    home.say_snapshot().await;
    home.join("par_1", "Ann");
    home.join("par_2", "Bob");
    home.say_delta().await;
    // Two connections of the one, at two replicas; and the other.
    let (mut here, mut there) =
        (Peer::with_token(&one, &talker("par_1")).await, Peer::with_token(&two, &talker("par_1")).await);
    let mut other = Peer::with_token(&one, &talker("par_2")).await;
    for peer in [&mut here, &mut there, &mut other] {
        peer.replies().await;
        peer.subscribe("s", STATE).await;
        assert_eq!(peer.json().await["type"], "snapshot");
        peer.subscribe("c", CHAT_STATE).await;
    }
    home.room.leave(&"par_1".parse().unwrap(), WhyGone::Removed, home.now);
    home.say_delta().await;
    for peer in [&mut here, &mut there, &mut other] {
        assert_eq!(peer.json().await["gone"], json!([{"participant": "par_1", "why": "removed"}]));
    }
    let text = json!({"text": "a"}).to_string();
    for peer in [&mut here, &mut there] {
        for (destination, body) in [(CHAT, &text), (COMMANDS, &hand())] {
            peer.request("r", destination, body).await;
            assert_eq!(peer.reply().await["reason"], "right", "{destination}");
        }
    }
    for service in [&one, &two] {
        for destination in [STATE, CHAT_STATE] {
            may_not_read(service, "par_1", destination).await;
        }
    }
    // The others go on, unheard by who is out.
    other.request("r", CHAT, &text).await;
    assert_eq!(other.reply().await["outcome"], "done");
    assert_eq!(other.json().await["text"], "a");
    home.join("par_3", "Cho");
    home.say_delta().await;
    assert_eq!(other.json().await["joined"][0]["participant"], "par_3");
    here.nothing_else().await;
    there.nothing_else().await;
    // To have left by oneself is another thing, and whom the home lets in again is in again.
    home.room.leave(&"par_3".parse().unwrap(), WhyGone::Left, home.now);
    home.join("par_1", "Ann");
    home.say_delta().await;
    for who in ["par_1", "par_3"] {
        let mut peer = Peer::with_token(&two, &talker(who)).await;
        peer.subscribe("s", STATE).await;
        assert_eq!(peer.json().await["type"], "snapshot", "{who}");
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_or_writes_in_the_room_of_a_deleted_group() {
    let service = Service::start(config(false)).await;
    let mut home = Home::start(&service, "nod_1", 1).await;
    home.say_snapshot().await;
    let mut peer = Peer::with_token(&service, &talker("par_1")).await;
    peer.replies().await;
    for (id, destination) in [("s", STATE), ("c", CHAT_STATE), ("g", "/topic/-/group/grp_a")] {
        peer.subscribe(id, destination).await;
    }
    assert_eq!(peer.json().await["type"], "snapshot");
    let news = |deleted: bool| {
        json!({"version": 1, "deleted": deleted, "group": {
            "id": ROOM, "name": "n", "max_participants": 9, "admission": "link", "metadata": {},
            "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
        }})
    };
    let tell = async |news: &Value| {
        let told = reqwest::Client::new().post(service.url("/internal/events")).json(news);
        let told = told.bearer_auth(token("meta", Role::Service)).send().await.unwrap();
        assert_eq!(told.status().as_u16(), 204);
    };
    let text = json!({"text": "a"}).to_string();
    tell(&news(false)).await;
    assert_eq!(peer.json().await, news(false));
    peer.request("r", CHAT, &text).await;
    assert_eq!(peer.reply().await["outcome"], "done");
    assert_eq!(peer.json().await["text"], "a");
    tell(&news(true)).await;
    assert_eq!(peer.json().await, news(true));
    for (destination, body) in [(CHAT, &text), (COMMANDS, &hand())] {
        peer.request("r", destination, body).await;
        assert_eq!(peer.reply().await["reason"], "state", "{destination}");
    }
    for destination in [STATE, CHAT_STATE] {
        may_not_read(&service, "par_2", destination).await;
    }
    // The home may go on for a moment.
    home.join("par_2", "Bob");
    home.say_delta().await;
    peer.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_one_is_refused_here() {
    let service = Service::start(config(false)).await;
    let mut peer = Peer::with_token(&service, &member("par_1")).await;
    peer.replies().await;
    peer.request("early", COMMANDS, &hand()).await;
    let reply = peer.reply().await;
    assert_eq!((&reply["request"], &reply["reason"]), (&json!("early"), &json!("state")), "{reply}");
    let mut home = Home::start(&service, "nod_1", 1).await;
    home.say_snapshot().await;
    peer.send_to(COMMANDS, &hand()).await;
    assert_eq!(peer.reply().await["reason"], "body");
    for body in
        ["", "{", "{\"type\":\"explode\"}", "{\"type\":\"mute\",\"participant\":\"x\",\"source\":\"camera\"}"]
    {
        peer.request("bad", COMMANDS, body).await;
        assert_eq!(peer.reply().await["reason"], "body", "{body}");
    }
    peer.request(&"x".repeat(65), COMMANDS, &hand()).await;
    assert_eq!(peer.reply().await["reason"], "body");
    home.peer.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_hear_and_command_and_only_nodes_speak_for_themselves() {
    // The development mode opens nothing here.
    for dev in [false, true] {
        let service = Service::start(config(dev)).await;
        let mut home = Home::start(&service, "nod_1", 1).await;
        home.say_snapshot().await;
        let stranger = join_token("par_9", "grp_b", &[Grant::Subscribe, Grant::Moderate], None);
        for token in [None, Some(&stranger)] {
            let connect = async || match token {
                None => Peer::guest(&service).await,
                Some(token) => Peer::with_token(&service, token).await,
            };
            let mut peer = connect().await;
            peer.replies().await;
            peer.request("r", COMMANDS, &hand()).await;
            assert_eq!(peer.reply().await["reason"], "right");
            for path in ["rooms", "replies"] {
                peer.request("r", &format!("/app/-/sfu/nod_1/{path}"), "{}").await;
                assert_eq!(peer.reply().await["reason"], "right", "{path}");
            }
            for destination in [STATE, "/queue/sfu/nod_1", "/topic/-/sfu/nod_1/rooms"] {
                let mut peer = connect().await;
                peer.send(&format!("SUBSCRIBE\nid:1\ndestination:{destination}\n\n\0")).await;
                assert_eq!(peer.error().await.1, 1008, "{destination}");
            }
        }
        let mut other = Peer::with_token(&service, &token("nod_2", Role::Service)).await;
        other.replies().await;
        other.request("r", "/app/-/sfu/nod_1/rooms", "{}").await;
        assert_eq!(other.reply().await["reason"], "right");
        home.peer.nothing_else().await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_commands_and_answers_cross_replicas() {
    let bus = Arc::new(InMemoryBus::default());
    let one = Service::on_bus(config(false), bus.clone()).await;
    let two = Service::on_bus(config(false), bus).await;
    let mut home = Home::start(&one, "nod_1", 1).await;
    let mut peer = Peer::with_token(&two, &member("par_1")).await;
    peer.subscribe("s", STATE).await;
    peer.replies().await;
    home.say_snapshot().await;
    let mut replica = Replica::default();
    assert_eq!(next(&mut peer, &mut replica).await, Applied::Changed);
    home.join("par_1", "Ann");
    home.say_delta().await;
    assert_eq!(next(&mut peer, &mut replica).await, Applied::Changed);
    peer.request("r1", COMMANDS, &hand()).await;
    let message = home.peer.message().await;
    home.answer(header(&message, "sender-connection"), "r1").await;
    assert_eq!(peer.reply().await["outcome"], "done");
    peer.nothing_else().await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_none_any_more_is_not_believed() {
    let service = Service::start(config(false)).await;
    let mut old = Home::start(&service, "nod_1", 1).await;
    let mut new = Home::start(&service, "nod_2", 2).await;
    old.say_snapshot().await;
    new.say_snapshot().await;
    let mut peer = Peer::with_token(&service, &member("par_1")).await;
    peer.subscribe("s", STATE).await;
    peer.replies().await;
    assert_eq!(peer.json().await["epoch"], 2);
    old.join("par_1", "Ann");
    old.say_delta().await;
    old.say_snapshot().await;
    peer.nothing_else().await;
    peer.request("r1", COMMANDS, &hand()).await;
    assert_eq!(header(&new.peer.message().await, "request-id"), "r1");
    old.peer.nothing_else().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_too_slow_gets_the_whole_state_instead() {
    let service = Service::start(config(false)).await;
    let mut home = Home::start(&service, "nod_1", 1).await;
    home.say_snapshot().await;
    let mut slow = Peer::with_token(&service, &member("par_1")).await;
    slow.subscribe("s", STATE).await;
    let mut told = 0;
    for round in 0..60 {
        // 200 people with other names: some 60 KB.
        (0..200).for_each(|who| home.join(&format!("par_{who}"), &format!("{round:02}{}", "한".repeat(60))));
        home.say_delta().await;
        told += 1;
    }
    let want = home.room.snapshot();
    let mut replica = Replica::default();
    let (mut heard, mut snapshots) = (0, 0);
    while replica.snapshot().as_ref() != Some(&want) {
        let json: Value = slow.json().await;
        snapshots += u32::from(json["type"] == "snapshot");
        heard += 1;
        let applied = replica.apply(&serde_json::from_value(json).unwrap());
        assert_ne!(applied, Applied::Gap, "whoever is too slow need not ask");
    }
    assert!(heard < told && snapshots >= 2, "{heard} of {told}, {snapshots} snapshots");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_right_to_chat_in_the_call_does_not_chat() {
    let service = Service::start(config(false)).await;
    let mut home = Home::start(&service, "nod_1", 1).await;
    home.say_snapshot().await;
    let token = |who| join_token(who, ROOM, &[Grant::Subscribe, Grant::Chat], None);
    let mut peers = [
        Peer::with_token(&service, &token("par_1")).await,
        Peer::with_token(&service, &token("par_2")).await,
    ];
    let (chat, text) = (format!("/app/-/chat/{ROOM}"), json!({"text": "a"}).to_string());
    for peer in &mut peers {
        peer.replies().await;
        peer.request("before", &chat, &text).await;
        assert_eq!(peer.reply().await["outcome"], "done");
    }
    // One of them is in the call, with the right to a camera and to nothing else.
    home.join_with("par_1", "Ann", &[Right::Camera]);
    home.say_delta().await;
    for (peer, outcome) in peers.iter_mut().zip(["refused", "done"]) {
        peer.request("after", &chat, &text).await;
        let reply = peer.reply().await;
        assert_eq!(reply["outcome"], outcome, "{reply}");
        assert!(outcome == "done" || reply["reason"] == "right", "{reply}");
    }
    home.room.leave(&"par_1".parse().unwrap(), WhyGone::Left, home.now);
    home.say_delta().await;
    peers[0].request("left", &chat, &text).await;
    assert_eq!(peers[0].reply().await["outcome"], "done");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_messages_reach_their_two_people_alone_at_every_replica() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signaling.db").display().to_string();
    let of_one = || Config { database_url: Secret::new(path.clone()), ..config(false) };
    let bus = Arc::new(InMemoryBus::default());
    let one = Service::on_bus(of_one(), bus.clone()).await;
    let two = Service::on_bus(of_one(), bus).await;
    let mut home = Home::start(&one, "nod_1", 1).await;
    home.say_snapshot().await;
    home.join("par_1", "Ann");
    home.join("par_2", "Bob");
    home.join_with("par_m", "Mod", &[Right::Chat, Right::Moderate]);
    home.say_delta().await;
    let mut heard_by_two = Peer::with_token(&two, &talker("par_1")).await;
    heard_by_two.subscribe("s", STATE).await;
    heard_by_two.json().await;
    let mut peers = Vec::new();
    for (service, who) in
        [(&one, "par_1"), (&two, "par_1"), (&two, "par_2"), (&one, "par_m"), (&two, "par_3")]
    {
        let mut peer = Peer::with_token(service, &talker(who)).await;
        peer.replies().await;
        peer.chat(ROOM).await;
        peers.push(peer);
    }
    let [ann, _, bob, ..] = &mut peers[..] else { panic!() };
    let sent = ann.ask(CHAT, &json!({"text": "psst", "to": "par_2"})).await;
    assert_eq!(sent["outcome"], "done", "{sent}");
    let answer = bob.ask(CHAT, &json!({"text": "yes?", "to": "par_1", "reply_to": sent["seq"]})).await;
    assert_eq!(answer["outcome"], "done", "{answer}");
    for (peer, body, reason) in [
        // Not in the call, nobody, oneself.
        (0, json!({"text": "a", "to": "par_3"}), "state"),
        (0, json!({"text": "a", "to": "par_1"}), "state"),
        (0, json!({"text": "a", "to": ""}), "body"),
        // What was said to one is quoted to nobody else, and is nobody else's to act on.
        (0, json!({"text": "a", "reply_to": sent["seq"]}), "state"),
        (0, json!({"text": "a", "reply_to": sent["seq"], "to": "par_m"}), "state"),
        (3, json!({"text": "a", "reply_to": sent["seq"]}), "state"),
        (3, json!({"type": "delete", "seq": sent["seq"]}), "state"),
        (3, json!({"type": "ban", "seq": sent["seq"]}), "state"),
        (3, json!({"type": "pin", "seq": sent["seq"]}), "state"),
        (4, json!({"type": "edit", "seq": sent["seq"], "text": "b"}), "state"),
    ] {
        let reply = peers[peer].ask(CHAT, &body).await;
        assert_eq!(
            (&reply["outcome"], &reply["reason"]),
            (&json!("refused"), &json!(reason)),
            "{body} {reply}"
        );
    }
    let edit = json!({"type": "edit", "seq": sent["seq"], "text": "psst!"});
    assert_eq!(peers[0].ask(CHAT, &edit).await["outcome"], "done");
    assert_eq!(peers[2].ask(CHAT, &json!({"type": "delete", "seq": answer["seq"]})).await["outcome"], "done");
    assert_eq!(peers[3].ask(CHAT, &json!({"text": "to all"})).await["outcome"], "done");
    let mut heard = Vec::new();
    for peer in &mut peers {
        let mut own = Vec::new();
        loop {
            let event: Value = peer.json().await;
            own.push(event["type"].as_str().unwrap().to_owned());
            if event["text"] == "to all" {
                break;
            }
        }
        heard.push(own);
    }
    let all = ["message", "message", "edited", "deleted", "message"].as_slice();
    assert_eq!(heard, [all, all, all, &["message"], &["message"]]);
    // Who comes later, and who pages back.
    for (service, who, count) in
        [(&two, "par_1", 3), (&one, "par_2", 3), (&one, "par_m", 1), (&two, "par_3", 1)]
    {
        let mut late = Peer::with_token(service, &talker(who)).await;
        late.replies().await;
        late.chat(ROOM).await;
        let mut read = 1;
        while late.json().await["text"] != "to all" {
            read += 1;
        }
        let page = late.ask(CHAT, &json!({"type": "history", "before": 99})).await;
        let page = page["history"]["messages"].as_array().unwrap().len();
        assert_eq!((read, page), (count, count), "{who}");
    }
    one.stop().await;
    two.stop().await;
}

/// A home that says rules with everything.
async fn home_with_rules(service: &Service, rules: Value) -> Home {
    let mut home = Home::start(service, "nod_1", 1).await;
    home.rules = Some(serde_json::from_value(rules).unwrap());
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_that_is_given_or_taken_is_so_on_every_connection_whoever_is_in() {
    let service = Service::start(config(false)).await;
    let text = json!({"text": "a"}).to_string();
    let chats = async |peer: &mut Peer| {
        peer.request("r", CHAT, &text).await;
        let reply = peer.reply().await;
        if reply["outcome"] == "done" { Ok(()) } else { Err(reply["reason"].clone()) }
    };
    let right = Err(json!("right"));
    let (mut quiet, mut loud) = (
        Peer::with_token(&service, &member("par_1")).await,
        Peer::with_token(&service, &talker("par_2")).await,
    );
    for peer in [&mut quiet, &mut loud] {
        peer.replies().await;
    }
    assert_eq!((chats(&mut quiet).await, chats(&mut loud).await), (right.clone(), Ok(())));
    // Neither is in the call.
    let people =
        json!([{"subject": "par_1", "given": ["chat"]}, {"subject": "par_2", "taken": ["chat", "draw"]}]);
    let mut home = home_with_rules(&service, json!({ "people": people })).await;
    home.say_snapshot().await;
    assert_eq!((chats(&mut quiet).await, chats(&mut loud).await), (Ok(()), right.clone()));
    let mut later = Peer::with_token(&service, &talker("par_2")).await;
    later.replies().await;
    assert_eq!(chats(&mut later).await, right);
    // What is stored holds before anybody reads a delta of it, for who is in as well.
    home.join_with("par_1", "Ann", &[Right::Camera, Right::Chat]);
    home.say_delta().await;
    let said = json!([{"subject": "par_1", "taken": ["chat"]}, {"subject": "par_2", "given": ["chat"]}]);
    home.rules = Some(serde_json::from_value(json!({ "people": said })).unwrap());
    home.say(RoomUpdate::Delta(home.room.nothing_new())).await;
    assert_eq!((chats(&mut quiet).await, chats(&mut later).await), (right.clone(), Ok(())));
    // A node that is no home rules nothing, nor does a home of an earlier release that says none.
    let mut other = Home::start(&service, "nod_2", 1).await;
    other.rules = Some(RoomRules::default());
    other.say_snapshot().await;
    home.rules = None;
    home.say_snapshot().await;
    assert_eq!((chats(&mut quiet).await, chats(&mut later).await), (right, Ok(())));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_anew_learns_of_the_home_who_was_removed() {
    let service = Service::start(config(false)).await;
    let text = json!({"text": "a"}).to_string();
    let mut removed = Peer::with_token(&service, &talker("par_1")).await;
    let mut member = Peer::with_token(&service, &talker("par_2")).await;
    for peer in [&mut removed, &mut member] {
        peer.replies().await;
        peer.subscribe("s", STATE).await;
        peer.subscribe("c", CHAT_STATE).await;
    }
    let mut home =
        home_with_rules(&service, json!({"people": [{"subject": "par_1", "removed": true}]})).await;
    home.join("par_2", "Bob");
    home.now += Duration::from_secs(1);
    home.room.poll_delta(home.now).unwrap();
    for _ in 0..3 {
        home.say_snapshot().await;
    }
    assert_eq!(member.json().await["type"], "snapshot");
    removed.request("r", CHAT, &text).await;
    assert_eq!(removed.reply().await["reason"], "right");
    member.request("r", CHAT, &text).await;
    assert_eq!(member.reply().await["outcome"], "done");
    assert_eq!(member.json().await["text"], "a");
    removed.nothing_else().await;
    for destination in [STATE, CHAT_STATE] {
        may_not_read(&service, "par_1", destination).await;
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_call_keeps_newcomers_out_of_state_and_chat() {
    let service = Service::start(config(false)).await;
    let text = json!({"text": "a"}).to_string();
    let mut home =
        home_with_rules(&service, json!({"people": [{"subject": "par_mod", "given": ["moderate"]}]})).await;
    home.join_with("par_host", "Ann", &[Right::Moderate, Right::Chat]);
    home.join("par_in", "Bob");
    home.join("par_goes", "Cho");
    home.now += Duration::from_secs(1);
    home.room.poll_delta(home.now).unwrap();
    home.say_snapshot().await;
    let mut peers = Vec::new();
    for who in ["par_in", "par_goes", "par_out"] {
        let mut peer = Peer::with_token(&service, &talker(who)).await;
        peer.replies().await;
        peer.subscribe("s", STATE).await;
        peer.subscribe("c", CHAT_STATE).await;
        assert_eq!(peer.json().await["type"], "snapshot");
        peers.push(peer);
    }
    // Through the room itself: the lock comes with a delta.
    let host = "par_host".parse().unwrap();
    home.room.command(&host, "c", "r", RoomCommand::Lock { on: true }, home.now);
    let write = std::iter::from_fn(|| home.room.poll_effect()).find_map(|effect| match effect {
        room::Effect::Store { write, .. } => Some(write),
        _ => None,
    });
    home.room.stored(write.unwrap(), true, home.now);
    home.say_delta().await;
    let [inside, goes, outside] = peers.as_mut_slice() else { panic!() };
    for peer in [&mut *inside, &mut *goes] {
        assert_eq!(peer.json().await["locked"], true);
    }
    // Who listened without being in hears nothing more, and is told why when it tries.
    outside.request("r", CHAT, &text).await;
    let reply = outside.reply().await;
    assert_eq!((&reply["reason"], &reply["message"]), (&json!("right"), &json!("this call is locked")));
    inside.request("r", CHAT, &text).await;
    assert_eq!(inside.reply().await["outcome"], "done");
    for peer in [&mut *inside, &mut *goes] {
        assert_eq!(peer.json().await["text"], "a");
    }
    home.room.leave(&"par_goes".parse().unwrap(), WhyGone::Left, home.now);
    home.say_delta().await;
    assert_eq!(goes.json().await["gone"][0]["participant"], "par_goes");
    assert_eq!(inside.json().await["gone"][0]["participant"], "par_goes");
    home.join("par_in", "Bob again");
    home.say_delta().await;
    assert_eq!(inside.json().await["type"], "delta");
    for peer in [goes, outside] {
        peer.nothing_else().await;
    }
    for destination in [STATE, CHAT_STATE] {
        may_not_read(&service, "par_new", destination).await;
    }
    // Moderators come in, by their token or made so.
    let by_token = join_token("par_new", ROOM, &[Grant::Subscribe, Grant::Moderate], None);
    for token in [by_token, talker("par_mod"), token("admin", Role::Admin)] {
        let mut peer = Peer::with_token(&service, &token).await;
        peer.subscribe("s", STATE).await;
        assert_eq!(peer.json().await["locked"], true);
    }
    service.stop().await;
}
