//! Several encodings of a track: one is forwarded, and changes are invisible in the numbers.

mod common;

use common::*;
use rtp::RtpPacket;
use sfu_core::*;

struct Scene {
    world: World,
    publisher: PublisherId,
    subscription: SubscriptionId,
    sources: [Source; 3],
    viewer: Viewer,
    tags: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let tracks = vec![video_track("0", vec![rid("q"), rid("h"), rid("f")])];
        let publisher = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
        let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
        let subscription = world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
        let mut sources = [
            Source::new(10, "0").with_rid("q"),
            Source::new(20, "0").with_rid("h"),
            Source::new(30, "0").with_rid("f"),
        ];
        for (source, packets) in sources.iter_mut().zip([1, 2, 4]) {
            source.packets_per_frame = packets;
        }
        Self { world, publisher, subscription, sources, viewer: Viewer::default(), tags: Vec::new() }
    }

    /// Plays the encodings in `flowing` for a while.
    fn play(&mut self, frames: usize, flowing: &[usize]) {
        for _ in 0..frames {
            for &index in flowing {
                self.world.send_frame(self.publisher, &mut self.sources[index]);
            }
            self.world.advance(ms(40));
            for rtcp in self.world.out.take_rtcp(Peer(1)) {
                self.sources.iter_mut().for_each(|source| drop(source.handle_rtcp(&rtcp)));
            }
            for sent in self.world.out.take_rtp(Peer(2)) {
                self.tags.push(RtpPacket::parse(&sent.bytes).unwrap().payload()[5]);
                self.viewer.receive(&sent.bytes, 5000);
            }
        }
    }

    /// The encoding of the last packet that the viewer got.
    fn current(&self) -> Option<u8> {
        self.tags.last().copied()
    }

    fn check(&self) {
        assert_eq!(self.viewer.missing(), [0u64; 0]);
        assert_eq!(self.viewer.duplicates, 0);
        self.viewer.check_continuity();
    }
}

#[test]
fn the_best_that_flows_is_forwarded() {
    let mut scene = Scene::new();
    // This viewer says nothing of its line: after 3 s that means that there is no bound.
    scene.play(100, &[0, 1, 2]);
    assert_eq!(scene.current(), Some(30));
    // The browser stops the highest: within 800 ms the next one is there.
    scene.play(20, &[0, 1]);
    assert_eq!(scene.current(), Some(20));
    scene.play(20, &[0]);
    assert_eq!(scene.current(), Some(10));
    scene.play(75, &[0, 1, 2]);
    assert_eq!(scene.current(), Some(30));
    scene.check();
}

#[test]
fn a_viewer_gets_the_encoding_that_it_wants() {
    let mut scene = Scene::new();
    // This viewer says nothing of its line: after 3 s that means that there is no bound.
    scene.play(100, &[0, 1, 2]);
    scene.tags.clear();
    for (wanted, tag) in [("q", 10), ("h", 20), ("f", 30)] {
        scene.world.shard.set_wanted(scene.subscription, only(wanted), scene.world.now);
        scene.play(30, &[0, 1, 2]);
        assert_eq!(scene.current(), Some(tag));
    }
    scene.check();
    // The old one goes on until the keyframe of the new one: no frame is missing on the way.
    let switches = scene.tags.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((3..=5).contains(&switches), "{switches} switches");
}

#[test]
fn a_pause_costs_nothing_and_ends_with_a_keyframe() {
    let mut scene = Scene::new();
    scene.play(50, &[0, 1, 2]);
    let before = scene.tags.len();
    scene.world.shard.set_paused(scene.subscription, true, scene.world.now);
    scene.play(50, &[0, 1, 2]);
    assert_eq!(scene.tags.len(), before);
    scene.world.shard.set_paused(scene.subscription, false, scene.world.now);
    scene.play(20, &[0, 1, 2]);
    assert!(scene.tags.len() > before);
    scene.check();
}

#[test]
fn what_was_sent_before_a_switch_can_be_sent_again() {
    let mut scene = Scene::new();
    scene.play(50, &[0, 1, 2]);
    let before = *scene.viewer.packets.last_key_value().unwrap().0;
    scene.world.shard.set_wanted(scene.subscription, only("q"), scene.world.now);
    scene.play(10, &[0, 1, 2]);
    assert_eq!(scene.current(), Some(10));
    let mut nack = Vec::new();
    rtp::rtcp::write::nack(&mut nack, 1, 5000, &[before as u16]);
    scene.world.viewer_rtcp(scene.subscription.subscriber(), &nack);
    let again = scene.world.out.take_rtp(Peer(2));
    assert_eq!(again.len(), 1);
    let original = RtpPacket::parse(&scene.viewer.packets[&before]).unwrap();
    assert_eq!(RtpPacket::parse(&again[0].bytes).unwrap().payload()[2..], *original.payload());
}

#[test]
fn the_encoding_that_a_viewer_has_left_is_given_up() {
    let mut scene = Scene::new();
    for (source, height) in scene.sources.iter_mut().zip([180, 360, 720]) {
        source.size = Some((height * 16 / 9, height));
    }
    scene.play(100, &[0, 1, 2]);
    assert_eq!(scene.current(), Some(30));
    scene.world.shard.set_wanted(scene.subscription, only("h"), scene.world.now);
    scene.world.out.events.clear();
    scene.play(75, &[0, 1, 2]);
    assert_eq!(scene.current(), Some(20));
    let given_up = |event: &Event| match *event {
        Event::EncodingWanted { encoding, wanted, .. } => Some((encoding.0, wanted)),
        _ => None,
    };
    let told: Vec<_> = scene.world.out.events.iter().filter_map(given_up).collect();
    assert_eq!(told, [(2, false)], "within three seconds, although nothing else has changed");
}

#[test]
fn after_a_pause_nothing_lower_comes_in_between() {
    let mut scene = Scene::new();
    scene.play(100, &[0, 1, 2]);
    assert_eq!(scene.current(), Some(30));
    scene.world.shard.set_paused(scene.subscription, true, scene.world.now);
    scene.play(5, &[0, 1, 2]);
    scene.world.shard.set_paused(scene.subscription, false, scene.world.now);
    scene.tags.clear();
    // A keyframe of the lowest comes before anything is decided.
    scene.sources[0].keyframe_wanted = true;
    scene.play(10, &[0, 1, 2]);
    assert!(scene.tags.iter().all(|&tag| tag == 30), "{:?}", scene.tags);
    assert!(!scene.tags.is_empty());
}
