//! Mute, camera off, silence: said, and nothing ends.

mod common;

use common::*;
use rtp::Codec;
use sfu_core::*;

#[test]
fn a_track_is_active_until_it_is_silent_by_its_own_pace() {
    let mut world = World::new();
    let id = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    let mut source = Source::new(1000, "0");
    let track = TrackIndex(0);
    let told = |world: &mut World| {
        let of_track = |e: &Event| matches!(e, Event::TrackActive { .. } | Event::TrackInactive { .. });
        std::mem::take(&mut world.out.events).into_iter().filter(of_track).collect::<Vec<_>>()
    };
    world.advance(ms(10_000));
    assert_eq!(told(&mut world), []);
    for first in [true, false, false] {
        for _ in 0..30 {
            world.send_frame(id, &mut source);
            world.advance(ms(33));
        }
        let last_media = world.now - ms(33);
        assert_eq!(told(&mut world), [Event::TrackActive { publisher: id, track, first }]);
        assert!(world.shard.publisher_stats(id, world.now).unwrap().tracks[0].active);
        world.advance(ms(2_499 - 33));
        assert_eq!(told(&mut world), []);
        world.advance(ms(1));
        assert_eq!(told(&mut world), [Event::TrackInactive { publisher: id, track, last_media }]);
        let stats = world.shard.publisher_stats(id, world.now).unwrap();
        assert_eq!((stats.tracks[0].active, stats.last_media), (false, Some(last_media)));
        // An hour of silence later the same session goes on.
        world.advance(ms(3_600_000));
        world.out.rtcp.clear();
    }
    world.send_frame(id, &mut source);
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 9 + 90 * 3);
}

#[test]
fn a_viewer_who_cannot_decode_is_told_once() {
    let mut world = World::new();
    let id = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    let h264 = Format { codec: Codec::H264, ..video_format(102, 103) };
    let config = SubscriptionConfig { formats: vec![h264], ..video_subscription(FIRST, 5000) };
    let subscription = world.shard.subscribe(viewer, config, world.now).unwrap();
    let mut source = Source::new(1000, "0");
    for _ in 0..100 {
        world.send_frame(id, &mut source);
        world.advance(ms(40));
    }
    let mismatch = Event::FormatMismatch { subscriber: viewer, subscription, payload_type: VIDEO_PT };
    assert_eq!(world.out.events.iter().filter(|event| **event == mismatch).count(), 1);
    assert!(world.out.take_rtp(Peer(2)).is_empty());
    assert_eq!(plis(&world.out.take_rtcp(Peer(1))), 0, "no keyframe would help");
}

#[test]
fn sound_starts_with_its_next_packet_and_goes_on_after_a_pause() {
    let mut world = World::new();
    let id = world.shard.add_publisher(publisher(1, 1, vec![audio_track("0")]), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    let subscription = world.shard.subscribe(viewer, audio_subscription(FIRST, 0, 7000), world.now).unwrap();
    let packet = |sequence: u16| {
        let header = rtp::Header {
            marker: false,
            payload_type: AUDIO_PT,
            sequence,
            timestamp: u32::from(sequence) * 960,
            ssrc: 5,
            padded: false,
        };
        let mut writer = rtp::HeaderWriter::new();
        writer.start(&header, false);
        [writer.bytes(), &[1, 2, 3]].concat()
    };
    let mut numbers = Vec::new();
    for sequence in 0..30 {
        world.shard.set_paused(subscription, (10..20).contains(&sequence), world.now);
        world.rtp(id, &packet(sequence));
        for sent in world.out.take_rtp(Peer(2)) {
            let packet = rtp::RtpPacket::parse(&sent.bytes).unwrap();
            numbers.push((packet.sequence, packet.timestamp));
        }
        world.advance(ms(20));
    }
    assert_eq!(numbers.len(), 20);
    assert!(numbers.windows(2).all(|pair| pair[1].0 == pair[0].0.wrapping_add(1)));
    let steps: Vec<_> = numbers.windows(2).map(|pair| pair[1].1.wrapping_sub(pair[0].1)).collect();
    assert!(
        steps.iter().enumerate().all(|(i, step)| *step == if i == 9 { 11 * 960 } else { 960 }),
        "{steps:?}"
    );
}
