//! Keyframe requests: merged, spaced, repeated until one comes; and joining without one.

mod common;

use common::*;
use sfu_core::*;

struct Scene {
    world: World,
    publisher: PublisherId,
    source: Source,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
        Self { world, publisher, source: Source::new(1000, "0") }
    }

    fn join(&mut self, peer: u32) -> SubscriberId {
        let now = self.world.now;
        let id = self.world.shard.add_subscriber(subscriber(1, peer), now).unwrap();
        let config = video_subscription(FIRST, 1000 * peer);
        self.world.shard.subscribe(id, config, now).unwrap();
        self.world.settle();
        id
    }

    /// Plays `frames` frames at 25 per second and returns the PLIs that came meanwhile.
    fn play(&mut self, frames: usize, answer: bool) -> usize {
        let mut requests = 0;
        for _ in 0..frames {
            self.world.send_frame(self.publisher, &mut self.source);
            self.world.advance(ms(40));
            let rtcp = self.world.out.take_rtcp(Peer(1));
            requests += plis(&rtcp);
            if answer {
                rtcp.iter().for_each(|rtcp| drop(self.source.handle_rtcp(rtcp)));
            }
        }
        requests
    }
}

fn pli(ssrc: u32) -> Vec<u8> {
    let mut out = Vec::new();
    rtp::rtcp::write::pli(&mut out, 1, ssrc);
    out
}

#[test]
fn however_many_ask_one_request_goes_out_per_half_second() {
    let mut scene = Scene::new();
    scene.play(100, true);
    let viewers: Vec<_> = (2..52).map(|peer| (scene.join(peer), peer)).collect();
    let mut requests = 0;
    for _ in 0..50 {
        for &(viewer, peer) in &viewers {
            scene.world.viewer_rtcp(viewer, &pli(1000 * peer));
        }
        requests += scene.play(1, false);
    }
    // Two seconds with a request at once and every 550 ms.
    assert!((4..=5).contains(&requests), "{requests} requests in 2 s");
    let stats = scene.world.shard.publisher_stats(scene.publisher, scene.world.now).unwrap();
    assert_eq!(stats.tracks[0].encodings[0].keyframe_requests, requests as u64);
}

#[test]
fn a_request_is_repeated_until_the_keyframe_comes_and_not_after() {
    let mut scene = Scene::new();
    scene.play(100, true);
    scene.join(2);
    assert_eq!(scene.play(44, false), 4, "at 0, 550, 1100 and 1650 ms");
    scene.source.keyframe_wanted = true;
    scene.world.out.take_rtp(Peer(2));
    assert_eq!(scene.play(60, false), 0);
    assert_eq!(scene.world.out.take_rtp(Peer(2)).len(), 9 + 59 * 3);
}

#[test]
fn a_camera_that_is_off_is_asked_once() {
    let mut scene = Scene::new();
    scene.play(100, true);
    scene.world.advance(ms(5000));
    scene.join(2);
    scene.world.advance(ms(5000));
    scene.join(3);
    scene.world.advance(ms(5000));
    assert_eq!(plis(&scene.world.out.take_rtcp(Peer(1))), 1, "it may be a picture that does not change");
    assert_eq!(scene.play(1, true), 1, "again with the first frame");
    assert_eq!(scene.play(25, true), 0);
}

#[test]
fn requests_end_with_the_viewer_who_wanted_them() {
    let mut scene = Scene::new();
    scene.play(100, true);
    let viewer = scene.join(2);
    assert_eq!(scene.play(15, false), 2, "at 0 and 550 ms");
    scene.world.shard.remove_subscriber(viewer);
    assert!(scene.play(30, false) <= 2, "what was wanted lasts a moment");
    assert_eq!(scene.play(250, false), 0, "nobody is there");
}

#[test]
fn sound_has_no_keyframes() {
    let mut scene = Scene::new();
    let tracks = vec![audio_track("0")];
    let speaker = scene.world.shard.add_publisher(publisher(1, 9, tracks), scene.world.now).unwrap();
    let now = scene.world.now;
    let viewer = scene.world.shard.add_subscriber(subscriber(1, 2), now).unwrap();
    scene.world.shard.subscribe(viewer, audio_subscription(SourceId(9), 0, 7000), now).unwrap();
    let mut fir = vec![0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
    fir.extend(7000u32.to_be_bytes());
    fir.extend([1, 0, 0, 0]);
    for number in 0..100 {
        scene.world.rtp(speaker, &sound_packet("0", number));
        if number == 10 {
            scene.world.viewer_rtcp(viewer, &pli(7000));
            scene.world.viewer_rtcp(viewer, &fir);
            let (track, encoding) = (TrackIndex(0), EncodingIndex(0));
            let (purpose, now) = (KeyframePurpose::Both, scene.world.now);
            scene.world.shard.request_keyframe(speaker, track, encoding, purpose, now);
        }
        scene.world.advance(ms(20));
    }
    assert_eq!(plis(&scene.world.out.take_rtcp(Peer(9))), 0);
    assert_eq!(scene.world.shard.totals().keyframe_requests_sent, 0);
}

#[test]
fn who_joins_soon_after_a_keyframe_starts_from_the_ring() {
    let mut scene = Scene::new();
    scene.play(100, true);
    scene.source.keyframe_wanted = true;
    scene.play(10, true);
    scene.join(2);
    // 9 packets of the keyframe and 9 frames of 3, at once.
    let sent = scene.world.out.take_rtp(Peer(2));
    assert_eq!(sent.len(), 9 + 27);
    assert_eq!(scene.play(10, true), 0, "no keyframe was needed");
    let mut viewer = Viewer::default();
    for packet in sent.into_iter().chain(scene.world.out.take_rtp(Peer(2))) {
        viewer.receive(&packet.bytes, 2000);
    }
    assert_eq!((viewer.packets.len(), viewer.missing().len()), (9 + 57, 0));
    viewer.check_continuity();
}

#[test]
fn who_joins_late_asks_for_a_keyframe() {
    let mut scene = Scene::new();
    scene.play(100, true);
    scene.join(2);
    assert!(scene.world.out.take_rtp(Peer(2)).is_empty());
    assert_eq!(scene.play(5, true), 1);
    assert_eq!(scene.world.out.take_rtp(Peer(2)).len(), 9 + 3 * 3);
}

#[test]
fn who_joins_a_publisher_that_answers_nobody_starts_from_an_older_keyframe() {
    let mut scene = Scene::new();
    scene.join(2);
    // It encodes before it sends: a keyframe every 2 s, whatever is asked.
    for _ in 0..3 {
        scene.source.keyframe_wanted = true;
        scene.play(50, false);
    }
    scene.source.keyframe_wanted = true;
    scene.play(45, false);
    scene.join(3);
    assert!(scene.world.out.take_rtp(Peer(3)).is_empty(), "nobody has asked yet");
    assert_eq!(scene.play(20, false), 2, "at 0 and 500 ms");
    for _ in 0..3 {
        scene.source.keyframe_wanted = true;
        scene.play(50, false);
    }
    scene.join(4);
    // As fast as its line may be asked to take it.
    scene.world.advance(ms(150));
    let sent = scene.world.out.take_rtp(Peer(4));
    let mut viewer = Viewer::default();
    sent.iter().for_each(|packet| viewer.receive(&packet.bytes, 4000));
    assert_eq!((viewer.packets.len(), viewer.missing().len()), (9 + 49 * 3, 0));
    viewer.check_continuity();
    assert_eq!(scene.play(1, false), 0, "no keyframe was needed");
}

#[test]
fn a_keyframe_whose_start_comes_late_is_forwarded_whole() {
    let mut scene = Scene::new();
    scene.join(2);
    let mut packets = scene.source.frame(scene.world.now);
    packets.swap(0, 4);
    for packet in &packets {
        scene.world.rtp(scene.publisher, packet);
    }
    let mut viewer = Viewer::default();
    scene.world.out.take_rtp(Peer(2)).iter().for_each(|packet| viewer.receive(&packet.bytes, 2000));
    assert_eq!((viewer.packets.len(), viewer.missing().len()), (9, 0));
    viewer.check_continuity();
}
