//! A node as the home of a call, with the real signaling service: who is there and what holds, moderation, and what is
//! kept by meta.

#[path = "common/caller.rs"]
mod caller;
mod common;
#[path = "common/light.rs"]
mod light;
#[path = "common/signaling.rs"]
mod signaling;

use std::time::{Duration, Instant};

use caller::Caller;
use common::{PATIENCE, Sfu, eventually, keys, offer};
use contract::call::{JoinedCall, Wants};
use contract::destination::{Reason, Reply, Source};
use contract::group::GroupOrder;
use contract::room_state::{Person, Right, RoomCommand, RoomSnapshot, RoomUpdate, SourceState};
use contract::token::{Grant, Role};
use futures_util::{SinkExt as _, StreamExt as _};
use room::{Applied, Replica};
use serde_json::json;
use stomp_proto::{Command, Decoder, Frame, Item, Limits, Version};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const ROOM: &str = "grp_a";

fn token(who: &str, extra: &[Grant]) -> String {
    let grants = Grant::PARTICIPANT.iter().chain(extra).copied().collect();
    let role = Role::Join { room: ROOM.parse().unwrap(), grants, name: None };
    keys().mint(who, role, service_kit::unix_now(), 3_600)
}

/// Joins with a microphone and a camera; the answer, or the status and type of the problem.
async fn join(sfu: &Sfu, who: &str, extra: &[Grant]) -> Result<JoinedCall, (u16, String)> {
    let sources = json!([{"mid": "0", "source": "microphone"}, {"mid": "1", "source": "camera"}]);
    let body = json!({"publish": {"sdp": offer("sendonly"), "sources": sources}, "name": who});
    let request = sfu.http.post(format!("{}/rooms/{ROOM}/sessions", sfu.base)).bearer_auth(token(who, extra));
    let answer = request.json(&body).send().await.unwrap();
    let status = answer.status().as_u16();
    if status == 201 {
        return Ok(answer.json().await.unwrap());
    }
    let problem: serde_json::Value = answer.json().await.unwrap();
    Err((status, problem["type"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_at_another_node_than_the_home_is_sent_there_and_the_call_goes_on() {
    let sfu = Sfu::start().await;
    let direct = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let asked = |body: &serde_json::Value| {
        let url = format!("{}/rooms/{ROOM}/sessions", sfu.base);
        direct.post(url).bearer_auth(token("par_a", &[])).json(body).send()
    };
    let slots = json!([{"mid": "0", "kind": "voice"}]);
    let body = json!({"receive": {"sdp": offer("recvonly"), "slots": slots}});
    sfu.meta.state.lock().unwrap().elsewhere = Some("https://other.example/".into());
    let sent = asked(&body).await.unwrap();
    assert_eq!(sent.status().as_u16(), 307);
    assert_eq!(sent.headers()["location"], format!("https://other.example/rooms/{ROOM}/sessions").as_str());
    // Browsers reach it at the origin of the pages, as they reach this one.
    sfu.meta.state.lock().unwrap().elsewhere = Some(String::new());
    let sent = asked(&body).await.unwrap();
    assert_eq!((sent.status().as_u16(), sent.headers().contains_key("retry-after")), (503, true));
    assert_eq!(sfu.meta.state.lock().unwrap().opened, 0);
}

/// Whether a session is still there.
async fn is_there(sfu: &Sfu, joined: &JoinedCall) -> bool {
    let url = format!("{}/rooms/{ROOM}/sessions/{}", sfu.base, joined.session);
    sfu.http.patch(url).json(&json!({})).send().await.unwrap().status().as_u16() == 200
}

/// Somebody who hears of the room, and commands.
struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: Decoder,
    state: Replica,
    replies: Vec<Reply>,
    requests: u32,
    /// What it was told of the room: messages and their bytes.
    told: (usize, usize),
}

impl Page {
    async fn connect(url: &str, token: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let mut decoder = Decoder::new(Limits::SERVICE);
        decoder.set_version(Version::V1_2);
        let mut page = Self {
            socket,
            decoder,
            state: Replica::default(),
            replies: Vec::new(),
            requests: 0,
            told: (0, 0),
        };
        page.send(format!("CONNECT\naccept-version:1.2\nhost:x\ntoken:{token}\n\n\0")).await;
        page.send(format!("SUBSCRIBE\nid:s\ndestination:/topic/-/room/{ROOM}\n\n\0")).await;
        page.send("SUBSCRIBE\nid:r\ndestination:/user/queue/replies\n\n\0".into()).await;
        page
    }

    async fn send(&mut self, frame: String) {
        self.socket.send(Message::Text(frame.into())).await.unwrap();
    }

    /// Gives a command and waits for its answer.
    async fn ask(&mut self, command: &RoomCommand) -> Result<(), Reason> {
        self.requests += 1;
        let request = self.requests.to_string();
        self.ask_as(&request, command).await
    }

    async fn ask_as(&mut self, request: &str, command: &RoomCommand) -> Result<(), Reason> {
        let body = serde_json::to_string(command).unwrap();
        self.send(format!("SEND\ndestination:/app/-/room/{ROOM}\nrequest-id:{request}\n\n{body}\0")).await;
        loop {
            if let Some(reply) = self.replies.pop() {
                return match reply {
                    Reply::Done { request: of, .. } => {
                        assert_eq!(of, request);
                        Ok(())
                    }
                    Reply::Refused { reason, .. } => Err(reason),
                };
            }
            self.hear().await;
        }
    }

    /// Hears until the state is as wanted.
    async fn until(&mut self, wanted: impl Fn(&RoomSnapshot) -> bool) -> RoomSnapshot {
        loop {
            if let Some(state) = self.state.snapshot().filter(|state| wanted(state)) {
                return state;
            }
            self.hear().await;
        }
    }

    async fn hear(&mut self) {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("waited in vain");
        let Message::Text(text) = message.unwrap().unwrap() else { return };
        self.decoder.feed(text.as_bytes());
        while let Some(item) = self.decoder.next_item().unwrap() {
            let Item::Frame(Frame { command: Command::Message, headers, body }) = item else { continue };
            if headers.get("subscription") == Some("r") {
                self.replies.push(serde_json::from_slice(&body).unwrap());
                continue;
            }
            self.told = (self.told.0 + 1, self.told.1 + body.len());
            let update: RoomUpdate = serde_json::from_slice(&body).unwrap();
            assert_ne!(self.state.apply(&update), Applied::Gap);
        }
    }
}

fn person<'a>(state: &'a RoomSnapshot, who: &str) -> Option<&'a Person> {
    state.people.iter().find(|person| person.participant.as_str() == who)
}

fn microphone(state: &RoomSnapshot, who: &str) -> Option<SourceState> {
    let sources = person(state, who)?.sources.iter();
    sources.filter(|source| source.source == Source::Microphone).map(|source| source.state).next()
}

fn par(who: &str) -> contract::id::ParticipantId {
    who.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn moderation_is_done_here_and_kept_by_meta() {
    let (service, url, stop) = signaling::start(signaling::ANYWHERE).await;
    let sfu = Sfu::with(|config| config.signaling_url = url.clone()).await;
    let host = join(&sfu, "par_host", &[Grant::Moderate]).await.unwrap();
    assert_eq!(host.room.epoch, 1);
    let guest = join(&sfu, "par_guest", &[]).await.unwrap();
    assert!(person(&guest.room, "par_host").is_some_and(|host| host.host), "who was there before");
    let mut moderator = Page::connect(&url, &token("par_host", &[Grant::Moderate])).await;
    let mut other = Page::connect(&url, &token("par_guest", &[])).await;
    for page in [&mut moderator, &mut other] {
        let state = page.until(|state| state.people.len() == 2).await;
        assert_eq!(microphone(&state, "par_guest"), Some(SourceState::Off));
    }

    let switch = RoomCommand::Switch { source: Source::Microphone, on: true };
    assert_eq!(other.ask(&switch).await, Ok(()));
    let mute = RoomCommand::Mute { participant: par("par_guest"), source: Source::Microphone };
    assert_eq!(other.ask(&mute).await, Err(Reason::Right));
    assert_eq!(moderator.ask(&mute).await, Ok(()));
    for page in [&mut moderator, &mut other] {
        page.until(|state| microphone(state, "par_guest") == Some(SourceState::Muted)).await;
    }

    // What meta does not store is not done, and is done when it is asked again.
    sfu.meta.state.lock().unwrap().is_full = true;
    let lock = RoomCommand::Lock { on: true };
    assert_eq!(moderator.ask_as("lock", &lock).await, Err(Reason::State));
    sfu.meta.state.lock().unwrap().is_full = false;
    assert_eq!(moderator.ask_as("lock", &lock).await, Ok(()));
    assert_eq!(join(&sfu, "par_late", &[]).await.unwrap_err(), (403, "/problems/locked".to_owned()));
    let right = Right::Camera;
    assert_eq!(moderator.ask(&RoomCommand::Revoke { participant: par("par_guest"), right }).await, Ok(()));
    assert!(is_there(&sfu, &guest).await);
    assert_eq!(moderator.ask(&RoomCommand::Remove { participant: par("par_guest") }).await, Ok(()));
    moderator.until(|state| state.locked && person(state, "par_guest").is_none()).await;
    let ended = async {
        while is_there(&sfu, &guest).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("its session ends");
    assert!(is_there(&sfu, &host).await);
    assert_eq!(join(&sfu, "par_guest", &[]).await.unwrap_err(), (403, "/problems/removed".to_owned()));
    // Signaling has heard of it.
    assert_eq!(other.ask(&switch).await, Err(Reason::Right));

    let rules = sfu.meta.state.lock().unwrap().rules[ROOM].clone();
    let [kept, host] = &rules.people[..] else { panic!("{rules:?}") };
    assert!(rules.locked);
    assert_eq!((kept.subject.as_str(), kept.removed, kept.seated), ("par_guest", true, false));
    assert_eq!((host.subject.as_str(), host.seated), ("par_host", true), "in when it was locked");
    assert_eq!(kept.taken, [Grant::PublishCamera]);
    service.drain(Instant::now() + Duration::from_secs(5)).await;
    stop.cancel();

    // A signaling process that starts anew hears of the home who was removed, and that the room is locked.
    let address = url.trim_start_matches("ws://").split('/').next().unwrap().parse().unwrap();
    let (_signaling, url, stop) = signaling::start_when_free(address).await;
    let mut moderator = Page::connect(&url, &token("par_host", &[Grant::Moderate])).await;
    moderator.until(|state| state.locked).await;
    for who in ["par_guest", "par_late"] {
        let mut page = Page::connect(&url, &token(who, &[])).await;
        let ended = async {
            while let Some(Ok(message)) = page.socket.next().await {
                assert!(!matches!(&message, Message::Text(text) if text.contains("snapshot")), "{message}");
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("an ERROR and the end");
    }
    stop.cancel();
}

/// Whether one person sees the camera of another within a while in which both send.
async fn sees(watcher: &mut Caller, sender: &mut Caller, turns: usize) -> bool {
    let camera = sender.csrc(Source::Camera);
    watcher.take_seen();
    for _ in 0..turns {
        sender.turn().await;
        watcher.turn().await;
        if watcher.take_seen().contains(&camera) {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_sent_is_the_rooms_to_say_while_the_session_goes_on() {
    let (_signaling, url, stop) = signaling::start(signaling::ANYWHERE).await;
    let sfu = Sfu::with(|config| config.signaling_url = url.clone()).await;
    let room = ROOM.parse().unwrap();
    let grants = [Grant::Publish, Grant::Subscribe, Grant::Moderate];
    let mut host = Caller::join_with(&sfu, &room, "par_host", &grants).await;
    // Its token lets it watch, and no more; it offers a camera all the same.
    let mut guest = Caller::join_with(&sfu, &room, "par_guest", &[Grant::Subscribe]).await;
    let camera = guest.csrc(Source::Camera);
    host.want(&[camera]);
    let state_of = |state: &RoomSnapshot, source| {
        let sources = person(state, "par_guest")?.sources.iter();
        sources.filter(|own| own.source == source).map(|own| own.state).next()
    };
    let grants = |grants: &[Grant]| {
        let role = Role::Join { room: ROOM.parse().unwrap(), grants: grants.to_vec(), name: None };
        keys().mint("par_guest", role, service_kit::unix_now(), 3_600)
    };
    let mut moderator = Page::connect(&url, &token("par_host", &[Grant::Moderate])).await;
    let mut page = Page::connect(&url, &grants(&[Grant::Subscribe])).await;
    let muted = Some(SourceState::Muted);
    moderator.until(|state| state_of(state, Source::Camera) == muted).await;
    assert!(!sees(&mut host, &mut guest, 40).await, "without the right");
    let on = RoomCommand::Switch { source: Source::Camera, on: true };
    assert_eq!(page.ask(&on).await, Err(Reason::Right));

    let participant = par("par_guest");
    let grant = RoomCommand::Grant { participant: participant.clone(), right: Right::Camera };
    assert_eq!(page.ask(&grant).await, Err(Reason::Right), "nobody gives it to itself");
    assert_eq!(moderator.ask(&grant).await, Ok(()));
    assert!(!sees(&mut host, &mut guest, 20).await, "given, and not switched on");
    assert_eq!(page.ask(&on).await, Ok(()));
    assert!(sees(&mut host, &mut guest, 1_000).await, "the same session, the right given");

    let revoke = RoomCommand::Revoke { participant, right: Right::Camera };
    assert_eq!(moderator.ask(&revoke).await, Ok(()));
    moderator.until(|state| state_of(state, Source::Camera) == muted).await;
    // What was on its way.
    sees(&mut host, &mut guest, 5).await;
    assert!(!sees(&mut host, &mut guest, 40).await, "taken away again");
    // Nor does a resumed session bring it back.
    let secret = guest.joined.session.clone();
    drop(guest);
    let mut guest = Caller::resume(&sfu, &room, &secret, Wants::default()).await;
    assert!(!sees(&mut host, &mut guest, 40).await, "resumed without it");
    assert_eq!(moderator.ask_as("again", &grant).await, Ok(()));
    assert_eq!(page.ask(&on).await, Ok(()));
    assert!(sees(&mut host, &mut guest, 1_000).await, "resumed, and given again");
    stop.cancel();
}

/// So many people fill a room at once while the first of them listens: what it was told, and for how long they came.
async fn joins_at_once(people: usize) -> (usize, usize, Duration) {
    let (_signaling, url, stop) = signaling::start(signaling::ANYWHERE).await;
    let sfu = Sfu::with(|config| config.signaling_url = url.clone()).await;
    join(&sfu, "par_first", &[]).await.unwrap();
    let mut page = Page::connect(&url, &token("par_first", &[])).await;
    page.until(|state| state.people.len() == 1).await;
    let before = page.told;
    let begin = Instant::now();
    let names: Vec<String> = (1..people).map(|n| format!("par_{n:03}")).collect();
    let all = futures_util::future::join_all(names.iter().map(|who| join(&sfu, who, &[])));
    let everybody = |state: &RoomSnapshot| {
        state.people.len() == people && state.people.iter().all(|person| person.sources.len() == 2)
    };
    let all = async { all.await.into_iter().for_each(|joined| drop(joined.unwrap())) };
    tokio::join!(all, page.until(everybody));
    let took = begin.elapsed();
    stop.cancel();
    (page.told.0 - before.0, page.told.1 - before.1, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_join_at_once_cost_everybody_few_messages_and_bytes_in_proportion() {
    let mut by_person = Vec::new();
    for people in [10, 30, 100] {
        let (messages, bytes, took) = joins_at_once(people).await;
        println!("{people} people: {messages} messages, {bytes} bytes in {} ms", took.as_millis());
        // Four that are 100 ms apart and then one each 250 ms: ten where they come within a second and a half, more where
        // a busy machine takes longer to let them in.
        let paced = 5 + usize::try_from(took.saturating_sub(4 * room::GATHER).as_millis() / 250).unwrap();
        assert!(messages <= paced.max(10), "{people}: {messages} messages in {took:?}");
        by_person.push(bytes / people);
    }
    assert!(by_person[2] < 2 * by_person[0], "bytes for each: {by_person:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_home_knows_what_meta_keeps() {
    let sfu = Sfu::start().await;
    let removed = json!({"locked": true, "people": [{"subject": "par_out", "removed": true}]});
    sfu.meta.state.lock().unwrap().rules.insert(ROOM.into(), serde_json::from_value(removed).unwrap());
    assert_eq!(
        join(&sfu, "par_out", &[Grant::Moderate]).await.unwrap_err(),
        (403, "/problems/removed".to_owned())
    );
    assert_eq!(join(&sfu, "par_new", &[]).await.unwrap_err(), (403, "/problems/locked".to_owned()));
    let host = join(&sfu, "par_host", &[Grant::Moderate]).await.unwrap();
    assert!(host.room.locked);
    // Whoever joins anew takes the place that it had.
    let again = join(&sfu, "par_host", &[Grant::Moderate]).await.unwrap();
    assert!(!is_there(&sfu, &host).await && is_there(&sfu, &again).await);
    assert_eq!(again.sources, host.sources);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_gone_and_a_deleted_group_ends_everybody() {
    let (_signaling, url, stop) = signaling::start(signaling::ANYWHERE).await;
    let sfu = Sfu::with(|config| config.signaling_url = url.clone()).await;
    let one = join(&sfu, "par_one", &[]).await.unwrap();
    let two = join(&sfu, "par_two", &[]).await.unwrap();
    let mut page = Page::connect(&url, &token("par_one", &[])).await;
    page.until(|state| state.people.len() == 2).await;
    let gone = format!("{}/rooms/{ROOM}/sessions/{}", sfu.base, two.session);
    assert_eq!(sfu.http.delete(gone).send().await.unwrap().status().as_u16(), 200);
    page.until(|state| person(state, "par_two").is_none()).await;
    sfu.meta.reported(|report| report.groups.iter().any(|group| group.group_id.as_str() == ROOM)).await;
    let deleted = GroupOrder::Deleted { group_id: ROOM.parse().unwrap() };
    sfu.meta.state.lock().unwrap().group_orders.push(deleted);
    sfu.meta.reported(|report| report.groups.is_empty()).await;
    assert!(!is_there(&sfu, &one).await);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn signaling_may_come_back_at_any_time() {
    // A port that is free, so that signaling can come to it later.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let sfu = Sfu::with(|config| config.signaling_url = format!("ws://{port}/streaming")).await;
    join(&sfu, "par_one", &[]).await.unwrap();
    let two = join(&sfu, "par_two", &[]).await.unwrap();
    // Nobody was told, and who joins knows all the same.
    assert!(person(&two.room, "par_one").is_some());
    let (_signaling, url, stop) = signaling::start(port).await;
    let mut page = Page::connect(&url, &token("par_one", &[])).await;
    let state = page.until(|state| state.people.len() == 2).await;
    assert_eq!(state.epoch, 1);
    assert_eq!(page.ask(&RoomCommand::Hand { up: true, participant: None }).await, Ok(()));
    page.until(|state| person(state, "par_one").is_some_and(|one| one.hand > 0)).await;
    eventually("the room in a report", || {
        let state = sfu.meta.state.lock().unwrap();
        state.report.as_ref().filter(|report| report.groups.len() == 1).map(|_| ())
    })
    .await;
    stop.cancel();
}
