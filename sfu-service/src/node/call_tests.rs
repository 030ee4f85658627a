//! Joining a call, step by step: the test is the shard, and decides what comes between.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::pin::pin;

use contract::call::OfferedSource;
use contract::destination::Source;
use contract::group::{GroupOrder, OpenedGroup, RoomRules};
use futures_util::FutureExt as _;
use mio::{Poll, Token, Waker};
use service_kit::config::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use transport::Identity;

use super::super::Parts;
use super::*;
use crate::config::{Config, Limits};
use crate::meta::MetaClient;
use crate::metrics::Metrics;
use crate::shard::{Inbox, inbox};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const HOST: &str = "par_host";
const GUEST: &str = "par_guest";

/// A node with one shard, which does nothing by itself, and a call that one person is in.
struct Fixture {
    node: Node,
    inbox: Inbox,
    /// The connections on the shard.
    there: BTreeSet<SessionKey>,
    _poll: Poll,
}

fn group() -> GroupId {
    "grp_a".parse().unwrap()
}

fn par(name: &str) -> ParticipantId {
    name.parse().unwrap()
}

fn opened(epoch: i64) -> OpenedGroup {
    let group = serde_json::json!({
        "id": "grp_a", "name": "", "max_participants": 3, "admission": "link", "metadata": {},
        "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
    });
    let group = serde_json::from_value(group).unwrap();
    OpenedGroup { group, version: 1, epoch, rules: RoomRules::default() }
}

fn offer(direction: &str) -> String {
    let transport = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
        10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
        a=setup:actpass\r\na=rtcp-mux\r\na=rtcp-rsize\r\n";
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n{transport}a=mid:0\r\na={direction}\r\n\
         a=rtpmap:111 opus/48000/2\r\n"
    )
}

/// A microphone, and a slot for a voice.
fn body(resume: Option<SessionId>) -> JoinCall {
    let source = OfferedSource { mid: "0".into(), source: Source::Microphone };
    let slot = OfferedSlot { mid: "0".into(), kind: SlotKind::Voice };
    JoinCall {
        publish: Some(PublishOffer { sdp: offer("sendonly"), sources: vec![source] }),
        receive: Some(ReceiveOffer { sdp: offer("recvonly"), slots: vec![slot] }),
        wants: Wants::default(),
        name: None,
        resume,
    }
}

impl Fixture {
    fn new() -> Self {
        // Nobody listens there.
        let fixture = Self::with("http://127.0.0.1:9");
        let host = Joining {
            participant: par(HOST),
            name: String::new(),
            name_is_fixed: true,
            granted: Right::of(&Grant::PARTICIPANT),
        };
        fixture.node.homes().open(&opened(1));
        fixture.node.homes().join(&group(), host, Instant::now()).unwrap();
        fixture
    }

    /// Without the call.
    fn with(meta: &str) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let (shard, inbox) = inbox(waker);
        let config = Config { dev: true, token_secret: Secret::new(SECRET.into()), ..Config::default() };
        let keys = config.token_keys().unwrap();
        let id = contract::id::NodeId::random(&mut rand::rng());
        let node = Node::new(Parts {
            meta: MetaClient::new(meta, id.clone(), "", keys.clone()).unwrap(),
            config,
            id,
            keys,
            metrics: Metrics::register(&mut prometheus_client::registry::Registry::default(), Vec::new()),
            identity: Identity::generate().unwrap(),
            shards: vec![shard],
            addresses: vec![vec!["127.0.0.1:5000".parse().unwrap()]],
            stores: mpsc::channel(1).0,
        });
        Self { node, inbox, there: BTreeSet::new(), _poll: poll }
    }

    fn caller(&self) -> Caller<'static> {
        self.caller_named(GUEST)
    }

    fn caller_named(&self, name: &str) -> Caller<'static> {
        let role = Role::Join { room: Room::from(&group()), name: None, grants: Grant::PARTICIPANT.to_vec() };
        let token = self.node.keys.mint(name, role, service_kit::unix_now(), 3_600);
        let claims = self.node.keys.verify(&token, service_kit::unix_now()).unwrap();
        Caller { claims: Some(claims), address: Ipv4Addr::LOCALHOST.into(), host: "localhost" }
    }
}

/// What the shard does with everything that it was told.
fn take_all(inbox: &Inbox, there: &mut BTreeSet<SessionKey>) {
    while let Some(command) = inbox.command() {
        match command {
            Command::Join(join, reply) => {
                there.insert(join.key);
                let _ = reply.send(Ok(()));
            }
            Command::Leave(key, _) => {
                there.remove(&key);
            }
            Command::ChooseSlots { key, reply, .. } => {
                let _ = reply.send(there.contains(&key).then(Bound::default));
            }
            _ => {}
        }
    }
}

/// Joins without anything in between.
fn joins(
    node: &Node,
    inbox: &Inbox,
    there: &mut BTreeSet<SessionKey>,
    caller: Caller<'_>,
    body: JoinCall,
) -> Result<JoinedCall, HttpProblem> {
    let group = group();
    let mut joining = pin!(node.join_call(&group, caller, body));
    // It waits three times at most.
    for _ in 0..4 {
        if let Some(joined) = joining.as_mut().now_or_never() {
            return joined.map(|(joined, _)| joined);
        }
        take_all(inbox, there);
    }
    panic!("it waits for something else than the shard");
}

/// Begins to join, and breaks it off after so many answers of the shard.
fn begins(
    node: &Node,
    inbox: &Inbox,
    there: &mut BTreeSet<SessionKey>,
    (caller, body): (Caller<'_>, JoinCall),
    answers: usize,
) {
    let group = group();
    {
        let mut joining = pin!(node.join_call(&group, caller, body));
        for _ in 0..answers {
            assert!(joining.as_mut().now_or_never().is_none());
            take_all(inbox, there);
        }
        assert!(joining.as_mut().now_or_never().is_none());
    }
    take_all(inbox, there);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    Leaves,
    GroupDeleted,
    JoinsAgain,
    Resumes,
}

#[tokio::test]
async fn a_session_that_goes_while_it_is_connected_leaves_no_connection() {
    use Meanwhile::{GroupDeleted, JoinsAgain, Leaves, Nothing, Resumes};
    for (meanwhile, after) in
        [Nothing, Leaves, GroupDeleted, JoinsAgain, Resumes].into_iter().flat_map(|one| [(one, 1), (one, 2)])
    {
        let what = format!("{meanwhile:?} after {after}");
        let mut fixture = Fixture::new();
        let (caller, second) = (fixture.caller(), fixture.caller());
        let Fixture { node, inbox, there, .. } = &mut fixture;
        let (group, guest) = (group(), par(GUEST));
        let mut joining = pin!(node.join_call(&group, caller, body(None)));
        for _ in 0..after {
            assert!(joining.as_mut().now_or_never().is_none());
            take_all(inbox, there);
        }
        let session = node.registry().session_of(&group, &guest).unwrap();
        match meanwhile {
            Nothing => {}
            Leaves => node.leave_call(&session, EndReason::Removed),
            GroupDeleted => node.group_order(&GroupOrder::Deleted { group_id: group.clone() }),
            JoinsAgain => drop(joins(node, inbox, there, second, body(None)).unwrap()),
            Resumes => drop(joins(node, inbox, there, second, body(Some(session.clone()))).unwrap()),
        }
        let joined = loop {
            take_all(inbox, there);
            if let Some(joined) = joining.as_mut().now_or_never() {
                break joined;
            }
        };
        take_all(inbox, there);
        let (publishers, receivers) = node.registry().counts();
        let of_guest = if matches!(meanwhile, Leaves | GroupDeleted) { 0 } else { 1 };
        assert_eq!((publishers, receivers, there.len()), (of_guest, of_guest, 2 * of_guest), "{what}");
        assert_eq!(joined.is_ok(), meanwhile == Nothing, "{what}");
        assert!(joined.err().is_none_or(|problem| problem.problem().status == 404), "{what}");
        assert_eq!(node.homes().is_in(&group, &guest), of_guest == 1, "{what}");
    }
}

#[tokio::test]
async fn a_request_whose_client_goes_leaves_nothing_behind() {
    for after in 0..3 {
        let mut fixture = Fixture::new();
        let (caller, second) = (fixture.caller(), fixture.caller());
        let (third, fourth) = (fixture.caller(), fixture.caller());
        let Fixture { node, inbox, there, .. } = &mut fixture;
        // Both connections of one person may be half open, and no more.
        let limits = Limits { max_half_open_per_source: 2, ..Limits::default() };
        *node.registry() = Registry::new(1, limits);
        let guest = par(GUEST);
        begins(node, inbox, there, (caller, body(None)), after);
        assert_eq!((node.registry().counts(), there.len()), ((0, 0), 0), "after {after}");
        assert!(!node.homes().is_in(&group(), &guest), "after {after}");

        // Its place is free again. A resume that is broken off may be repeated.
        let session = joins(node, inbox, there, second, body(None)).unwrap().session;
        there.iter().for_each(|key| assert!(node.registry().call_connected(*key).is_some()));
        begins(node, inbox, there, (third, body(Some(session.clone()))), after);
        assert_eq!((node.registry().counts(), there.len()), ((0, 0), 0), "after {after}");
        assert!(node.homes().is_in(&group(), &guest), "after {after}");
        let again = joins(node, inbox, there, fourth, body(Some(session.clone()))).unwrap();
        assert_eq!((again.session, there.len()), (session, 2), "after {after}");
    }
}

/// A meta service that opens rooms, each time with the next epoch, and counts.
async fn meta(listener: TcpListener, asked: &Cell<i64>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        asked.set(asked.get() + 1);
        let body = serde_json::to_string(&opened(asked.get())).unwrap();
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// Does something while meta and the shard are there. Returns how often meta was asked.
async fn with_meta<T>(act: impl AsyncFnOnce(&Fixture) -> T) -> (T, i64) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let fixture = Fixture::with(&format!("http://{}", listener.local_addr().unwrap()));
    let asked = Cell::new(0);
    let shard = async {
        let mut there = BTreeSet::new();
        loop {
            take_all(&fixture.inbox, &mut there);
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::select! {
        biased;
        done = act(&fixture) => done,
        () = meta(listener, &asked) => unreachable!("it goes on and on"),
        () = shard => unreachable!("it goes on and on"),
    };
    (done, asked.get())
}

#[tokio::test]
async fn those_who_join_an_empty_room_together_open_it_once() {
    let (epochs, asked) = with_meta(async |fixture| {
        let (group, node) = (group(), &fixture.node);
        let join = |name| node.join_call(&group, fixture.caller_named(name), body(None));
        let (one, two, three) = tokio::join!(join("par_one"), join("par_two"), join("par_three"));
        [one, two, three].map(|joined| joined.unwrap().0.room.epoch)
    })
    .await;
    assert_eq!((epochs, asked), ([1; 3], 1));
}

#[tokio::test]
async fn who_does_not_come_in_opens_no_room() {
    let (statuses, asked) = with_meta(async |fixture| {
        let (group, node) = (group(), &fixture.node);
        let mut nonsense = body(None);
        nonsense.receive = Some(ReceiveOffer { sdp: "v=0".into(), slots: Vec::new() });
        let malformed = node.join_call(&group, fixture.caller(), nonsense).await;
        let people = serde_json::json!({"people": [{"subject": GUEST, "removed": true}]});
        node.homes().open(&OpenedGroup { rules: serde_json::from_value(people).unwrap(), ..opened(1) });
        let removed = node.join_call(&group, fixture.caller(), body(None)).await;
        [malformed, removed].map(|refused| refused.unwrap_err().problem().status)
    })
    .await;
    assert_eq!((statuses, asked), ([400, 403], 0));
}

#[tokio::test]
async fn a_new_epoch_is_reported_from_the_answer_on() {
    let (epoch, asked) = with_meta(async |fixture| {
        let _asked = fixture.node.ask_for_room(&group()).await.unwrap().unwrap();
        fixture.node.group_reports().first().map(|report| report.epoch)
    })
    .await;
    assert_eq!((epoch, asked), (Some(1), 1));
}
