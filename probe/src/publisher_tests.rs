use rtp::RtpPacket;

use super::*;
use crate::call::talk::Conversation;
use crate::scenario::{Call, Talk};

const SSRC: u32 = 7;

fn stream(ssrc: u32, rid: Option<&str>) -> StreamParams {
    StreamParams {
        ssrc,
        payload_type: 96,
        rtx: Some((97, ssrc + 100)),
        mid: "1".into(),
        rid: rid.map(str::to_owned),
        extensions: ExtensionIds {
            mid: Some(1),
            rid: Some(2),
            repaired_rid: Some(3),
            transport_cc: Some(4),
            capture_time: Some(5),
            level: None,
        },
        first_sequence: 100,
        first_timestamp: 1_000,
    }
}

fn publisher(publish: Publish, rids: &[Option<&str>], now: Instant) -> Publisher {
    publisher_of(publish, rids, None, now)
}

fn publisher_of(publish: Publish, rids: &[Option<&str>], seat: Option<Arc<Seat>>, now: Instant) -> Publisher {
    let video = rids.iter().zip(SSRC..).map(|(rid, ssrc)| stream(ssrc, *rid)).collect();
    let mut audio = publish.audio.then(|| StreamParams { ssrc: 1, rtx: None, ..stream(1, None) });
    if let (Some(audio), Some(_)) = (&mut audio, &seat) {
        audio.extensions.level = Some(6);
    }
    let params = PublisherParams { video, audio, cname: "c".into(), seat };
    let epoch = Epoch::new(now, Duration::from_secs(1));
    Publisher::new(params, Arc::new(publish), Arc::new(Clip::load(None).unwrap()), epoch, now)
}

/// Runs from deadline to deadline until `end`; gives the RTP packets with their times.
fn run(publisher: &mut Publisher, start: Instant, end: Duration) -> Vec<(Duration, Vec<u8>)> {
    let (mut sent, mut out) = (Vec::new(), Vec::new());
    loop {
        let now = publisher.poll_timeout().max(start);
        if now.duration_since(start) >= end {
            return sent;
        }
        while let Some(due) = publisher.poll(now, &mut out) {
            if due != Due::Rtcp {
                sent.push((now.duration_since(start), out.clone()));
            }
        }
    }
}

fn silent(publish: Publish) -> Publish {
    Publish { audio: false, ..publish }
}

#[test]
fn packets_are_spread_evenly_at_the_wanted_rate() {
    let start = Instant::now();
    let publish = silent(Publish {
        kbps: 2_160,
        fps: 50,
        packet_bytes: 1_080,
        spacing: Spacing::Even,
        ..Publish::default()
    });
    let mut publisher = publisher(publish, &[None], start);
    let sent = run(&mut publisher, start, Duration::from_secs(2));
    assert_eq!(sent.len(), 500);
    let gaps: Vec<Duration> = sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    // The first packet of all tells how many there are to spread.
    assert!(gaps.iter().skip(1).all(|gap| *gap == Duration::from_millis(4)), "{gaps:?}");
    for (index, (_, bytes)) in sent.iter().enumerate() {
        let packet = RtpPacket::parse(bytes).unwrap();
        assert_eq!(packet.sequence, 100 + index as u16);
        assert_eq!(packet.marker, index % 5 == 4);
        assert_eq!(packet.timestamp, 1_000 + (index / 5) as u32 * 1_800);
        assert_eq!(packet.payload().len(), 1_080);
    }
}

#[test]
fn frames_leave_at_once_and_sound_every_20_ms() {
    let start = Instant::now();
    let publish = Publish { kbps: 1_000, fps: 25, ..Publish::default() };
    let mut publisher = publisher(publish, &[None], start);
    let sent = run(&mut publisher, start, Duration::from_secs(1));
    let of = |ssrc| sent.iter().filter(move |(_, bytes)| RtpPacket::parse(bytes).unwrap().ssrc == ssrc);
    assert_eq!(of(1).count(), 50);
    assert_eq!(of(SSRC).count(), 125);
    assert!(of(SSRC).all(|(at, _)| at.as_millis().is_multiple_of(40)));
}

#[test]
fn every_encoding_names_itself_and_repeats_under_the_repaired_rid() {
    let start = Instant::now();
    let mut publisher = publisher(silent(Publish::default()), &[Some("q"), Some("f")], start);
    let sent = run(&mut publisher, start, Duration::from_millis(10));
    let first = RtpPacket::parse(&sent[0].1).unwrap();
    let elements: Vec<(u8, Vec<u8>)> = first.elements().map(|(id, value)| (id, value.to_vec())).collect();
    assert_eq!(elements[0], (1, b"1".to_vec()));
    assert_eq!(elements[1], (2, b"q".to_vec()));
    assert_eq!(elements[2], (4, vec![0, 0]));
    assert_eq!(elements[3].0, 5);
    assert!(sent.iter().any(|(_, bytes)| RtpPacket::parse(bytes).unwrap().ssrc == SSRC + 1));

    let mut nack = Vec::new();
    rtcp::write::nack(&mut nack, 9, SSRC, &[100]);
    publisher.handle_rtcp(&nack, start);
    let mut out = Vec::new();
    assert_eq!(publisher.poll(start, &mut out), Some(Due::Rtp));
    let again = RtpPacket::parse(&out).unwrap();
    assert_eq!((again.ssrc, again.payload_type, again.sequence), (SSRC + 100, 97, 100));
    assert_eq!(again.payload()[..2], 100u16.to_be_bytes());
    assert_eq!(&again.payload()[2..], first.payload());
    assert!(again.elements().any(|(id, value)| (id, value) == (3, b"q")));
    assert_eq!(publisher.resent, 1);
    // What was never sent cannot be repeated.
    nack.clear();
    rtcp::write::nack(&mut nack, 9, SSRC, &[99]);
    publisher.handle_rtcp(&nack, start);
    assert_eq!(publisher.poll(start, &mut out), None);
}

#[test]
fn sound_is_repeated_as_it_was() {
    let start = Instant::now();
    let mut publisher = publisher(Publish::default(), &[None], start);
    let sent = run(&mut publisher, start, Duration::from_millis(30));
    let (_, first) = sent.iter().find(|(_, bytes)| RtpPacket::parse(bytes).unwrap().ssrc == 1).unwrap();
    let mut nack = Vec::new();
    rtcp::write::nack(&mut nack, 9, 1, &[100]);
    publisher.handle_rtcp(&nack, start);
    let mut out = Vec::new();
    assert_eq!(publisher.poll(start, &mut out), Some(Due::Repeatable));
    assert_eq!(out, *first);
}

#[test]
fn a_keyframe_comes_at_first_in_turn_and_when_asked_for() {
    let start = Instant::now();
    let publish = silent(Publish { keyframe_interval_s: 2.0, kbps: 100, fps: 10, ..Publish::default() });
    let mut publisher = publisher(publish, &[None], start);
    let keys = |publisher: &mut Publisher, end| -> Vec<u128> {
        let sent = run(publisher, start, Duration::from_millis(end));
        let is_key = |bytes: &[u8]| media::vp8::starts_keyframe(RtpPacket::parse(bytes).unwrap().payload());
        sent.iter().filter(|(_, bytes)| is_key(bytes)).map(|(at, _)| at.as_millis()).collect()
    };
    assert_eq!(keys(&mut publisher, 1_000), [0]);
    let mut pli = Vec::new();
    rtcp::write::pli(&mut pli, 9, SSRC);
    publisher.handle_rtcp(&pli, start);
    assert_eq!(keys(&mut publisher, 1_500), [1_000]);
    // Asked for twice within 300 ms, it comes once.
    publisher.handle_rtcp(&pli, start);
    publisher.handle_rtcp(&pli, start);
    assert_eq!(keys(&mut publisher, 4_000), [1_500, 3_500]);
}

fn seat(talk: Talk) -> Arc<Seat> {
    let call = Call { talk_joining: talk, ..Call::default() };
    Arc::new(Seat::new(3, 0, &Arc::new(Conversation::new(&call)), &Arc::default(), false))
}

#[test]
fn what_nobody_watches_is_off_and_begins_anew_with_a_keyframe() {
    let (start, seat) = (Instant::now(), seat(Talk::None));
    let publish = silent(Publish { keyframe_interval_s: 100.0, kbps: 50, fps: 10, ..Publish::default() });
    let rids = [Some("q"), Some("f")];
    let mut publisher = publisher_of(publish, &rids, Some(Arc::clone(&seat)), start);
    let mut next = |end| {
        let sent = run(&mut publisher, start, Duration::from_millis(end));
        let of = |(_, bytes): &(Duration, Vec<u8>)| {
            let packet = RtpPacket::parse(bytes).unwrap();
            let tag = Tag::read(packet.payload(), STAMP_LEN).unwrap();
            assert_eq!(tag, Tag { caller: 3, utterance: 0, packet: 0 });
            (packet.ssrc - SSRC, media::vp8::starts_keyframe(packet.payload()))
        };
        sent.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(next(150), [(0, true), (1, true), (0, false), (1, false)]);
    seat.want(0b01);
    assert_eq!(next(550), [(0, false), (0, false), (0, false), (0, false)]);
    seat.want(0b10);
    assert_eq!(next(750), [(1, true), (1, false)]);
}

#[test]
fn a_caller_says_how_loud_it_is_and_which_word_it_is_at() {
    let start = Instant::now();
    let publish = Publish { video: crate::scenario::Video::None, ..Publish::default() };
    let mut publisher = publisher_of(publish, &[], Some(seat(Talk::All)), start);
    let sent = run(&mut publisher, start, Duration::from_millis(50));
    for (index, (_, bytes)) in sent.iter().enumerate() {
        let packet = RtpPacket::parse(bytes).unwrap();
        let tag = Tag::read(packet.payload(), STAMP_LEN).unwrap();
        assert_eq!((tag.caller, tag.utterance, usize::from(tag.packet)), (3, 0, index + 1));
        let level = packet.elements().find(|(id, _)| *id == 6).and_then(|(_, value)| AudioLevel::read(value));
        assert!(level.is_some_and(|level| level.voice && level.level < 45), "{level:?}");
    }
    assert_eq!((sent.len(), publisher.utterances), (3, 1));
}

#[test]
fn keyframes_that_are_asked_for_too_often_are_counted() {
    let (start, seat) = (Instant::now(), seat(Talk::None));
    let mut publisher =
        publisher_of(silent(Publish::default()), &[Some("q"), Some("f")], Some(Arc::clone(&seat)), start);
    let mut ask = |ssrc, ms| {
        let mut pli = Vec::new();
        rtcp::write::pli(&mut pli, 9, ssrc);
        publisher.handle_rtcp(&pli, start + Duration::from_millis(ms));
    };
    ask(SSRC, 0);
    ask(SSRC + 1, 100);
    ask(SSRC, 499);
    ask(SSRC, 999);
    assert_eq!(seat.keys_asked(), (4, 1));
}

#[test]
fn a_late_publisher_leaves_frames_out() {
    let start = Instant::now();
    let mut publisher = publisher(silent(Publish { kbps: 100, ..Publish::default() }), &[None], start);
    run(&mut publisher, start, Duration::from_millis(10));
    let mut out = Vec::new();
    let late = start + Duration::from_secs(10);
    let mut count = 0;
    while publisher.poll(late, &mut out).is_some() {
        count += 1;
    }
    assert_eq!(count, 2, "a report and one packet");
    assert_eq!(publisher.skipped, 249);
}
