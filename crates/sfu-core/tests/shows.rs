//! One outgoing stream that shows one track after another: its numbers, timestamps and pictures go on.

mod common;

use common::*;
use rtp::RtpPacket;
use sfu_core::*;

const SSRC: u32 = 5000;

struct Scene {
    world: World,
    /// Publisher 1 with two cameras, publisher 2 with one.
    publishers: [PublisherId; 2],
    sources: [(usize, Source); 3],
    subscriber: SubscriberId,
    subscription: SubscriptionId,
    viewer: Viewer,
    /// Packets that publishers were asked to send again.
    asked: usize,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let cameras = |mids: &[&str]| {
            mids.iter().map(|mid| video_track(mid, vec![EncodingConfig::default()])).collect::<Vec<_>>()
        };
        let publishers = [(1, cameras(&["0", "1"])), (2, cameras(&["0"]))]
            .map(|(peer, tracks)| world.shard.add_publisher(publisher(1, peer, tracks), world.now).unwrap());
        let sources = [(0, Source::new(11, "0")), (0, Source::new(12, "1")), (1, Source::new(21, "0"))];
        let subscriber = world.shard.add_subscriber(subscriber(1, 9), world.now).unwrap();
        let config = SubscriptionConfig { shows: None, ..video_subscription(FIRST, SSRC) };
        let subscription = world.shard.subscribe(subscriber, config, world.now).unwrap();
        Self { world, publishers, sources, subscriber, subscription, viewer: Viewer::default(), asked: 0 }
    }

    fn show(&mut self, name: Option<TrackName>) {
        self.world.shard.show(self.subscription, name, self.world.now);
        self.world.settle();
    }

    /// A frame of each camera. Returns the tags of what the viewer got.
    fn frame(&mut self) -> Vec<u8> {
        for (publisher, source) in &mut self.sources {
            self.world.send_frame(self.publishers[*publisher], source);
            for rtcp in self.world.out.take_rtcp(Peer(1 + *publisher as u32)) {
                self.asked += source.handle_rtcp(&rtcp).len();
            }
        }
        self.world.advance(ms(33));
        self.world.shard.check();
        let sent = self.world.out.take_rtp(Peer(9));
        let tag = |sent: &Sent| {
            assert_eq!(sent.subscription, self.subscription);
            RtpPacket::parse(&sent.bytes).unwrap().payload()[5]
        };
        let tags = sent.iter().map(tag).collect();
        sent.iter().for_each(|sent| self.viewer.receive(&sent.bytes, SSRC));
        tags
    }

    fn frames(&mut self, count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| self.frame()).collect()
    }
}

#[test]
fn what_is_shown_changes_and_the_stream_goes_on() {
    let mut scene = Scene::new();
    assert_eq!(scene.frames(3), [], "it shows nothing");
    let shown = [
        (Some(track(SourceId(1), 0)), 11),
        (Some(track(SourceId(1), 1)), 12),
        (Some(track(SourceId(2), 0)), 21),
        (None, 0),
        (Some(track(SourceId(1), 0)), 11),
    ];
    for (name, tag) in shown {
        scene.show(name);
        let tags = scene.frames(20);
        assert!(tags.iter().all(|&got| got == tag), "{name:?}: {tags:?}");
        assert_eq!(tags.is_empty(), name.is_none(), "{name:?}");
    }
    assert_eq!((scene.viewer.missing(), scene.viewer.duplicates), (Vec::new(), 0));
    scene.viewer.check_continuity();
    let stamps: Vec<u32> =
        scene.viewer.packets.values().map(|bytes| RtpPacket::parse(bytes).unwrap().timestamp).collect();
    let spent = stamps.last().unwrap().wrapping_sub(stamps[0]);
    assert!((95 * 2970..=103 * 2970).contains(&spent), "{spent}: as much as has passed");
}

#[test]
fn it_waits_for_a_track_that_is_not_there_and_for_one_that_went() {
    let mut scene = Scene::new();
    scene.show(Some(track(SourceId(7), 0)));
    assert_eq!(scene.frames(3), [], "nobody has that name");
    let late = scene.world.shard.add_publisher(video_publisher(1, 7), scene.world.now).unwrap();
    let mut camera = Source::new(70, "0");
    scene.world.settle();
    scene.world.send_frame(late, &mut camera);
    assert_eq!(scene.world.out.take_rtp(Peer(9)).len(), 9, "from its first packet on");
    let taken = scene.world.shard.add_publisher(video_publisher(1, 7), scene.world.now);
    assert_eq!(taken, Err(AddError::Taken));
    scene.world.shard.remove_publisher(late, scene.world.now);
    scene.world.send_frame(late, &mut camera);
    assert!(scene.world.out.take_rtp(Peer(9)).is_empty());
    // Another one of that name, with more tracks than are shown.
    let tracks = vec![video_track("0", vec![EncodingConfig::default()]), audio_track("1")];
    let again = scene.world.shard.add_publisher(publisher(1, 7, tracks), scene.world.now).unwrap();
    scene.world.settle();
    camera.keyframe_wanted = true;
    scene.world.send_frame(again, &mut camera);
    assert_eq!(scene.world.out.take_rtp(Peer(9)).len(), 9);
}

#[test]
fn it_waits_for_a_track_that_its_publisher_does_not_have_yet() {
    let mut scene = Scene::new();
    scene.show(Some(track(SourceId(2), 1)));
    assert_eq!(scene.frames(3), []);
    let tracks = ["0", "1"].map(|mid| video_track(mid, vec![EncodingConfig::default()]));
    let config = publisher(1, 2, tracks.to_vec());
    scene.world.shard.resume_publisher(scene.publishers[1], config, scene.world.now).unwrap();
    scene.world.settle();
    scene.world.send_frame(scene.publishers[1], &mut Source::new(22, "1"));
    assert_eq!(scene.world.out.take_rtp(Peer(9)).len(), 9);
}

/// The wire numbers of the newest `count` packets, with what they carry.
fn newest(viewer: &Viewer, count: usize) -> Vec<(u16, Vec<u8>)> {
    let newest = viewer.packets.iter().rev().take(count);
    newest.map(|(&seq, bytes)| (seq as u16, RtpPacket::parse(bytes).unwrap().payload().to_vec())).collect()
}

impl Scene {
    /// What is sent again for these numbers: the numbers and the payloads of the packets.
    fn ask(&mut self, numbers: &[u16]) -> Vec<(u16, Vec<u8>)> {
        let mut nack = Vec::new();
        rtp::rtcp::write::nack(&mut nack, 99, SSRC, numbers);
        self.world.viewer_rtcp(self.subscriber, &nack);
        let sent = self.world.out.take_rtp(Peer(9));
        let answer = |sent: &Sent| {
            let packet = RtpPacket::parse(&sent.bytes).unwrap();
            let (number, payload) = packet.payload().split_first_chunk::<2>().unwrap();
            (u16::from_be_bytes(*number), payload.to_vec())
        };
        sent.iter().filter(|sent| sent.retransmission).map(answer).collect()
    }
}

#[test]
fn what_was_sent_before_a_change_is_sent_again_from_where_it_came() {
    let mut scene = Scene::new();
    scene.show(Some(track(SourceId(1), 0)));
    scene.frames(10);
    let before = newest(&scene.viewer, 3);
    scene.show(Some(track(SourceId(2), 0)));
    scene.frames(3);
    let numbers: Vec<u16> = before.iter().map(|(number, _)| *number).collect();
    let mut answers = scene.ask(&numbers);
    answers.sort_unstable();
    let mut expected = before.clone();
    expected.sort_unstable();
    assert_eq!(answers, expected, "of the publisher that was shown then, under the old numbers");
    // It has started over since: what its numbers were is not known any more.
    scene.world.advance(ms(200));
    let config = publisher(1, 1, vec![video_track("0", vec![EncodingConfig::default()])]);
    scene.world.shard.resume_publisher(scene.publishers[0], config, scene.world.now).unwrap();
    assert_eq!(scene.ask(&numbers), []);
    // It is gone.
    scene.world.advance(ms(200));
    scene.world.shard.remove_publisher(scene.publishers[0], scene.world.now);
    assert_eq!(scene.ask(&numbers), []);
    let stats = scene.world.shard.subscription_stats(scene.subscription).unwrap();
    assert_eq!((stats.retransmitted, stats.unanswered), (3, 6));
}

#[test]
fn one_moment_has_one_timestamp_whoever_is_shown() {
    let mut scene = Scene::new();
    scene.show(Some(track(SourceId(1), 0)));
    scene.frames(5);
    // Both publishers report; the clock of the second is an hour ahead.
    for (publisher, source, ahead) in [(0, 0, 0), (1, 2, 3_600)] {
        let now = scene.world.now;
        let passed = now.duration_since(scene.world.start);
        let seconds: u64 = 3_900_000_000 + ahead + passed.as_secs();
        let ntp = (seconds << 32) | ((u64::from(passed.subsec_nanos()) << 32) / 1_000_000_000);
        let stream = &mut scene.sources[source].1;
        let info = rtp::rtcp::SenderInfo { ntp, rtp: stream.timestamp(now), packets: 1, octets: 1 };
        let mut report = Vec::new();
        rtp::rtcp::write::sender_report(&mut report, stream.ssrc, &info);
        scene.world.shard.handle_publisher_rtcp(
            scene.publishers[publisher],
            &report,
            now,
            &mut scene.world.out,
        );
    }
    // The viewer is told.
    scene.frames(40);
    let newest = |scene: &Scene| {
        let (_, bytes) = scene.viewer.packets.last_key_value().unwrap();
        RtpPacket::parse(bytes).unwrap().timestamp
    };
    let before = newest(&scene);
    // The first frame of the other one comes 200 ms after it was captured.
    scene.show(Some(track(SourceId(2), 0)));
    let (publisher, camera) = (scene.publishers[1], &mut scene.sources[2].1);
    camera.keyframe_wanted = true;
    let packets = camera.frame(scene.world.now);
    scene.world.advance(ms(200));
    packets.iter().for_each(|packet| scene.world.rtp(publisher, packet));
    for sent in scene.world.out.take_rtp(Peer(9)) {
        scene.viewer.receive(&sent.bytes, SSRC);
    }
    let step = newest(&scene).wrapping_sub(before);
    assert!((2_900..=3_040).contains(&step), "{step}: 33 ms later, as it was captured");
}

#[test]
fn what_is_closed_reaches_nobody_and_nothing_of_it_comes_afterwards() {
    // A viewer without feedback is not trusted for long, so each is a scene of its own.
    for frames in [1, 5, 25] {
        let mut scene = Scene::new();
        scene.show(Some(track(SourceId(1), 0)));
        assert!(scene.frames(10).contains(&11));
        scene.world.shard.set_gate(scene.publishers[0], TrackIndex(0), Gate::Closed, scene.world.now);
        let before = scene.sources[0].1.sequence;
        assert_eq!(scene.frames(frames), [], "closed");
        assert_ne!(scene.sources[0].1.sequence, before, "the publisher sends all the same");
        // The other camera of the same publisher is not concerned.
        scene.show(Some(track(SourceId(1), 1)));
        assert!(scene.frames(10).contains(&12));
        scene.show(Some(track(SourceId(1), 0)));
        assert!(!scene.frames(5).contains(&11));
        scene.world.shard.set_gate(scene.publishers[0], TrackIndex(0), Gate::Open, scene.world.now);
        assert!(scene.frames(20).contains(&11), "open again");
        assert_eq!(scene.asked, 0, "what was sent meanwhile is not asked for");
    }
}
