use std::net::Ipv4Addr;

use contract::call::CallSource;
use contract::destination::Source;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rtp::{Extensions, MediaKind};
use transport::sdp::{CodecFormat, Feedback, H264Profile, PayloadFormat, PublishMedia};

use super::super::pictures;
use super::*;
use crate::config::Limits;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Fixture {
    registry: Registry,
    rng: StdRng,
    now: Instant,
}

/// A camera that may be sent in VP8 or H.264.
fn camera() -> PublishMedia {
    let of = |payload_type, format| PayloadFormat {
        payload_type,
        format,
        fmtp: String::new(),
        feedback: Feedback::VIDEO,
        rtx: None,
    };
    PublishMedia {
        index: 0,
        mid: "c".parse().unwrap(),
        kind: MediaKind::Video,
        source: Source::Camera,
        codec: of(96, CodecFormat::Vp8),
        others: vec![of(102, CodecFormat::H264(H264Profile::ConstrainedBaseline))],
        redundancy: None,
        extensions: Extensions::new(),
        rids: Vec::new(),
        ssrcs: Vec::new(),
        msid: None,
    }
}

fn published(_: SourceId, participant: &ParticipantId) -> Arc<Published> {
    Arc::new(Published {
        extensions: Extensions::new(),
        tracks: crate::shard::tracks(&[camera()]),
        formats: [Some(CodecFormat::Opus), Some(CodecFormat::Vp8), None, None],
        remb: false,
        reduced_size: true,
        participant: Some(participant.clone()),
    })
}

fn group(name: &str) -> GroupId {
    format!("grp_{name}").parse().unwrap()
}

impl Fixture {
    fn new(limits: Limits) -> Self {
        Self { registry: Registry::new(2, limits), rng: StdRng::seed_from_u64(1), now: Instant::now() }
    }

    fn open(&mut self, room: &str, who: Who) -> Result<OpenedCall, CallRefused> {
        self.open_with(room, who, true)
    }

    fn open_with(&mut self, room: &str, who: Who, decodes_h264: bool) -> Result<OpenedCall, CallRefused> {
        let new = NewCall {
            group: group(room),
            who,
            address: ADDRESS,
            shard: self.registry.emptiest(),
            etag: "\"1\"".into(),
            receives: true,
            decodes_h264,
            now: self.now,
        };
        self.registry.open_call(new, Some(published), &mut self.rng)
    }

    fn join(&mut self, room: &str, who: &str) -> OpenedCall {
        let participant = format!("par_{who}").parse().unwrap();
        self.open(room, Who::Joins { participant, name: who.into(), may_receive: true }).unwrap()
    }

    fn lose(&mut self, call: &OpenedCall) {
        for key in connections(call) {
            assert!(self.registry.call_closed(key, self.now));
            assert!(!self.registry.call_closed(key, self.now), "once");
        }
    }
}

fn connections(call: &OpenedCall) -> Vec<SessionKey> {
    call.publish.iter().map(|(key, _)| *key).chain(call.receive).collect()
}

#[test]
fn everybody_sees_the_others_with_numbers_of_their_own() {
    let mut fixture = Fixture::new(Limits::default());
    let anna = fixture.join("a", "anna");
    assert_eq!((anna.people.len(), anna.known.len()), (0, 0));
    let bert = fixture.join("a", "bert");
    let elsewhere = fixture.join("b", "anna");
    assert!(elsewhere.people.is_empty() && elsewhere.room != anna.room && bert.room == anna.room);
    assert_ne!(anna.source, bert.source);
    let [person] = &bert.people[..] else { panic!("{:?}", bert.people) };
    assert_eq!((person.participant.as_str(), person.name.as_str()), ("par_anna", "anna"));
    let microphone = CallSource { source: Source::Microphone, csrc: csrc(anna.source, 0).unwrap() };
    let camera = CallSource { source: Source::Camera, csrc: csrc(anna.source, 1).unwrap() };
    assert_eq!(person.sources, [microphone, camera]);
    assert_eq!(bert.known.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [anna.source]);
    assert_eq!(fixture.registry.counts(), (3, 3));
}

#[test]
fn a_lost_session_is_resumed_as_the_same_participant_and_then_over() {
    let mut fixture = Fixture::new(Limits::default());
    let anna = fixture.join("a", "anna");
    let bert = fixture.join("a", "bert");
    fixture.lose(&anna);
    fixture.now += RESUME - Duration::from_millis(1);
    assert_eq!(fixture.registry.end_lost_calls(fixture.now), []);
    let again = fixture.open("a", Who::Resumes(anna.session.clone())).unwrap();
    let who = |call: &OpenedCall| (call.session.clone(), call.participant.clone(), call.source, call.room);
    assert_eq!(who(&again), who(&anna));
    assert!(again.replaced.is_empty(), "nothing was left of it");
    // The answer was lost: the same again, and its connections make room.
    let twice = fixture.open("a", Who::Resumes(anna.session.clone())).unwrap();
    let replaced: Vec<SessionKey> = twice.replaced.iter().map(|removal| removal.key).collect();
    assert_eq!(replaced, connections(&again));
    assert_eq!(fixture.registry.counts(), (2, 2));
    // Another room's secret is none here.
    let foreign = fixture.open("b", Who::Resumes(anna.session.clone()));
    assert_eq!(foreign.map(|_| ()), Err(CallRefused::NoSession));

    fixture.lose(&twice);
    fixture.now += RESUME;
    let gone = Gone { room: anna.room, source: anna.source };
    assert_eq!(fixture.registry.end_lost_calls(fixture.now), [gone]);
    let late = fixture.open("a", Who::Resumes(anna.session.clone()));
    assert_eq!(late.map(|_| ()), Err(CallRefused::NoSession));
    // Who comes again is somebody new, with numbers that nobody had.
    let new = fixture.join("a", "anna");
    assert!(new.source != anna.source && new.source != bert.source);
}

#[test]
fn the_same_subject_is_there_once() {
    let mut fixture = Fixture::new(Limits::default());
    let first = fixture.join("a", "anna");
    let second = fixture.join("a", "anna");
    assert_eq!((second.source, second.people.len()), (first.source, 0));
    let replaced: Vec<SessionKey> = second.replaced.iter().map(|removal| removal.key).collect();
    assert_eq!(replaced, connections(&first));
    assert!(fixture.registry.call(&first.session, &group("a")).is_none(), "its secret is none any more");
    let (removals, gone) = fixture.registry.leave_call(&second.session, EndReason::Deleted);
    assert_eq!((removals.len(), gone), (2, Some(Gone { room: first.room, source: first.source })));
    assert_eq!(fixture.registry.counts(), (0, 0));
    assert_eq!(fixture.registry.leave_call(&second.session, EndReason::Deleted), (Vec::new(), None));
    // The room is made anew.
    assert_ne!(fixture.join("a", "anna").room, first.room);
}

#[test]
fn rooms_and_the_node_have_limits() {
    let mut fixture = Fixture::new(Limits { max_half_open_per_source: 10_000, ..Limits::default() });
    let first = fixture.join("a", "0");
    for number in 1..MAX_PARTICIPANTS {
        fixture.join("a", &number.to_string());
    }
    let one_more =
        Who::Joins { participant: "par_more".parse().unwrap(), name: String::new(), may_receive: true };
    assert_eq!(fixture.open("a", one_more).map(|_| ()), Err(CallRefused::RoomFull));
    // Who is there already takes no place.
    fixture.open("a", Who::Resumes(first.session)).unwrap();
    fixture.join("a", "7");

    let mut fixture = Fixture::new(Limits { max_sessions: 3, ..Limits::default() });
    let first = fixture.join("a", "0");
    let second = Who::Joins { participant: "par_1".parse().unwrap(), name: String::new(), may_receive: true };
    let full = Err(CallRefused::Node(Refused::Full));
    assert_eq!(fixture.open("a", second).map(|_| ()), full);
    fixture.open("a", Who::Resumes(first.session)).unwrap();

    let mut fixture = Fixture::new(Limits { max_half_open_per_source: 2, ..Limits::default() });
    let first = fixture.join("a", "0");
    let second =
        || Who::Joins { participant: "par_1".parse().unwrap(), name: String::new(), may_receive: true };
    let half_open = Err(CallRefused::Node(Refused::HalfOpen));
    assert_eq!(fixture.open("a", second()).map(|_| ()), half_open);
    for key in connections(&first) {
        assert!(fixture.registry.call_connected(key).is_some());
    }
    fixture.open("a", second()).unwrap();
}

#[test]
fn somebody_is_as_good_as_the_worse_of_its_connections() {
    let mut fixture = Fixture::new(Limits::default());
    let call = fixture.join("a", "ann");
    let [publish, receive] = connections(&call)[..] else { panic!("both") };
    let mut quality =
        |key, quality| fixture.registry.call_quality(key, quality).map(|(_, _, quality)| quality);
    assert_eq!(quality(publish, Quality::Fair), Some(Quality::Fair));
    assert_eq!(quality(receive, Quality::Poor), Some(Quality::Poor));
    assert_eq!(quality(receive, Quality::Good), Some(Quality::Fair));
    assert_eq!(quality(publish, Quality::Lost), Some(Quality::Lost));
    assert_eq!(quality(publish, Quality::Good), Some(Quality::Good));
    fixture.registry.call_closed(publish, fixture.now);
    let mut quality =
        |key, quality| fixture.registry.call_quality(key, quality).map(|(_, _, quality)| quality);
    assert_eq!(quality(receive, Quality::Fair), Some(Quality::Lost), "half of it is gone");
    assert_eq!(quality(publish, Quality::Fair), None, "that one is gone");
}

#[test]
fn pictures_are_sent_in_what_everybody_decodes() {
    use contract::call::PictureCodec::{H264, Vp8};

    let mut fixture = Fixture::new(Limits::default());
    let codec = |call: &OpenedCall| call.pictures.map(|(codec, _)| codec);
    let told = |told: &[ToldPictures]| {
        let mut told: Vec<_> = told.iter().map(|told| (told.key, told.codec)).collect();
        told.sort_unstable_by_key(|(key, _)| *key);
        told
    };
    let anna = fixture.join("a", "anna");
    let bert = fixture.join("a", "bert");
    assert_eq!((codec(&anna), codec(&bert), bert.told.len()), (Some(H264), Some(H264), 0));
    let who = |name: &str| Who::Joins {
        participant: format!("par_{name}").parse().unwrap(),
        name: name.into(),
        may_receive: true,
    };
    let finn = fixture.open_with("a", who("finn"), false).unwrap();
    assert_eq!(codec(&finn), Some(Vp8));
    let [to_anna, to_bert] = [&anna, &bert].map(|call| call.receive.unwrap());
    assert_eq!(told(&finn.told), [(to_anna, Vp8), (to_bert, Vp8)]);
    // A second one changes nothing, nor does one of another room.
    let gita = fixture.open_with("a", who("gita"), false).unwrap();
    let elsewhere = fixture.join("b", "anna");
    assert_eq!((codec(&gita), gita.told.len(), codec(&elsewhere)), (Some(Vp8), 0, Some(H264)));
    fixture.registry.leave_call(&gita.session, EndReason::Deleted);
    // Who is lost may be back, and is waited for.
    fixture.lose(&finn);
    fixture.now += pictures::SETTLED / 2;
    assert!(fixture.registry.settle_pictures(fixture.now).is_empty());
    fixture.registry.leave_call(&finn.session, EndReason::Deleted);
    assert!(fixture.registry.settle_pictures(fixture.now).is_empty());
    fixture.now += pictures::SETTLED;
    // Who has no way to be told is told nothing.
    fixture.registry.call_closed(to_anna, fixture.now);
    let back = fixture.registry.settle_pictures(fixture.now);
    assert_eq!(told(&back), [(to_bert, H264)]);
    assert!(back[0].number > finn.told[0].number);
    assert!(fixture.registry.settle_pictures(fixture.now).is_empty(), "once");
    assert_eq!(fixture.registry.pictures_of(&bert.session), Some(back[0]));
}
