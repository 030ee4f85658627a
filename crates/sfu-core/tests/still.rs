//! Pictures that hardly change: a frame a second, or one in five.

mod common;

use std::time::Duration;

use common::*;
use rtp::Extension;
use sfu_core::*;

struct Scene {
    world: World,
    publisher: PublisherId,
    sources: Vec<Source>,
}

impl Scene {
    /// A publisher with these encodings, without simulcast if there are none.
    fn new(rids: &[&'static str]) -> Self {
        let encodings = if rids.is_empty() {
            vec![EncodingConfig::default()]
        } else {
            rids.iter().map(|r| rid(r)).collect()
        };
        let mut world = World::new();
        let config = publisher(1, 1, vec![video_track("0", encodings)]);
        let publisher = world.shard.add_publisher(config, world.now).unwrap();
        let mut sources: Vec<_> =
            rids.iter().zip(1u32..).map(|(rid, n)| Source::new(n, "0").with_rid(rid)).collect();
        if sources.is_empty() {
            sources.push(Source::new(1000, "0"));
        }
        // The better ones have more packets a frame.
        sources.iter_mut().zip(1..).for_each(|(source, n)| source.packets_per_frame = n);
        Self { world, publisher, sources }
    }

    fn join(&mut self, peer: u32) -> (SubscriberId, SubscriptionId) {
        let now = self.world.now;
        let mut config = subscriber(1, peer);
        // A client that says nothing of its line, and is not expected to: there is no bound. 15 is a reserved id.
        config.extensions = config.extensions.with(Extension::TransportCc, 15);
        let id = self.world.shard.add_subscriber(config, now).unwrap();
        let config = video_subscription(FIRST, 1000 * peer);
        let subscription = self.world.shard.subscribe(id, config, now).unwrap();
        self.world.settle();
        (id, subscription)
    }

    /// A frame of all encodings each `gap`, all requests answered by the next frame.
    fn play(&mut self, frames: usize, gap: Duration) -> usize {
        let mut requests = 0;
        for _ in 0..frames {
            for index in 0..self.sources.len() {
                self.frame(index);
                // The packets of the encodings come one after another.
                self.world.advance(ms(3));
            }
            self.world.advance(gap.saturating_sub(ms(3 * self.sources.len() as u64)));
            requests += self.answer();
        }
        requests
    }

    fn frame(&mut self, index: usize) {
        let Self { world, publisher, sources } = self;
        world.send_frame(*publisher, &mut sources[index]);
    }

    /// Lets the encoders see what was asked; how many keyframes that were.
    fn answer(&mut self) -> usize {
        let rtcp = self.world.out.take_rtcp(Peer(1));
        for source in &mut self.sources {
            rtcp.iter().for_each(|rtcp| drop(source.handle_rtcp(rtcp)));
        }
        plis(&rtcp)
    }

    fn events(&mut self) -> Vec<Event> {
        let wanted = |e: &Event| {
            matches!(
                e,
                Event::TrackActive { .. } | Event::TrackInactive { .. } | Event::EncodingWanted { .. }
            )
        };
        std::mem::take(&mut self.world.out.events).into_iter().filter(wanted).collect()
    }
}

fn viewer(world: &mut World, peer: u32) -> Viewer {
    let mut viewer = Viewer::default();
    let sent = world.out.take_rtp(Peer(peer));
    sent.iter().for_each(|sent| viewer.receive(&sent.bytes, 1000 * peer));
    viewer
}

#[test]
fn who_joins_a_still_picture_sees_it_at_once() {
    for gap in [900, 1_500, 5_000] {
        let mut scene = Scene::new(&[]);
        scene.play(30, ms(33));
        scene.play(6, ms(gap));
        // Half a pause after a frame.
        scene.frame(0);
        scene.world.advance(ms(gap / 2));
        scene.join(2);
        scene.world.advance(ms(400));
        let got = viewer(&mut scene.world, 2);
        assert_eq!((got.packets.len(), got.missing().len()), (3 + 36, 0), "a frame each {gap} ms");
        got.check_continuity();
        assert_eq!(scene.answer(), 0, "no keyframe was needed");
    }
}

#[test]
fn the_pictures_before_are_shown_in_a_tenth_of_a_second() {
    let mut scene = Scene::new(&[]);
    scene.play(10, ms(33));
    scene.play(20, ms(5_000));
    scene.join(2);
    scene.world.advance(ms(100));
    let got = viewer(&mut scene.world, 2);
    assert_eq!(got.packets.len(), 3 + 29);
    got.check_continuity();
    let timestamp = |packet: Option<&Vec<u8>>| rtp::RtpPacket::parse(packet.unwrap()).unwrap().timestamp;
    let span = timestamp(got.packets.values().last()).wrapping_sub(timestamp(got.packets.values().next()));
    assert!(span <= 9_000, "{span} ticks");
}

#[test]
fn what_costs_too_much_is_not_sent_whatever_its_age() {
    let mut scene = Scene::new(&[]);
    // 60 frames within half a second.
    scene.play(60, ms(8));
    scene.join(2);
    assert_eq!(viewer(&mut scene.world, 2).packets.len(), 0);
    assert_eq!(scene.answer(), 1);
}

#[test]
fn a_group_that_cannot_be_started_from_is_followed_by_a_keyframe() {
    let mut scene = Scene::new(&[]);
    scene.play(150, ms(33));
    scene.play(3, ms(3_000));
    scene.join(2);
    assert_eq!(scene.answer(), 1, "a screen share may answer while nothing changes");
    scene.world.advance(ms(60_000));
    assert_eq!(scene.answer(), 0, "one request into silence");
    scene.frame(0);
    let got = viewer(&mut scene.world, 2);
    assert_eq!(got.packets.len(), 3, "the next frame is its answer");
    got.check_continuity();
}

#[test]
fn a_slow_picture_is_not_off_between_its_frames() {
    for gap in [900, 1_000, 1_500, 5_000] {
        let mut scene = Scene::new(&["a", "b", "c"]);
        scene.join(2);
        // Until it has been said that nobody wants the middle one.
        scene.play(6, ms(gap));
        scene.events();
        scene.world.out.take_rtp(Peer(2));
        let mut got = Vec::new();
        for _ in 0..20 {
            scene.play(1, ms(gap));
            let stats = scene.world.shard.publisher_stats(scene.publisher, scene.world.now).unwrap();
            let active: Vec<_> = stats.tracks[0].encodings.iter().map(|encoding| encoding.active).collect();
            assert_eq!((stats.tracks[0].active, active), (true, vec![true; 3]), "a frame each {gap} ms");
            got.push(scene.world.out.take_rtp(Peer(2)).iter().filter(|sent| !sent.retransmission).count());
        }
        assert_eq!(scene.events(), [], "a frame each {gap} ms");
        assert_eq!(got, [3; 20], "the best encoding goes on, frame by frame, each {gap} ms");
    }
}

#[test]
fn a_camera_that_becomes_slow_is_at_most_once_taken_for_off() {
    let mut scene = Scene::new(&[]);
    scene.play(60, ms(33));
    scene.play(20, ms(5_000));
    let inactive = |e: &&Event| matches!(e, Event::TrackInactive { .. });
    assert!(scene.events().iter().filter(inactive).count() <= 1);
    scene.play(60, ms(33));
    scene.events();
    scene.world.advance(ms(2_600));
    assert_eq!(scene.events().iter().filter(inactive).count(), 1, "a camera that stops is noticed soon");
}

#[test]
fn a_dead_encoding_is_noticed_by_the_frames_of_the_others() {
    let mut scene = Scene::new(&["a", "b", "c"]);
    let (_, subscription) = scene.join(2);
    scene.play(60, ms(33));
    let showing = |scene: &Scene| scene.world.shard.subscription_stats(subscription).unwrap().encoding;
    assert_eq!(showing(&scene), Some(2));
    // The best one dies.
    for _ in 0..30 {
        (0..2).for_each(|index| scene.frame(index));
        scene.world.advance(ms(33));
        scene.answer();
    }
    assert_eq!(showing(&scene), Some(1), "within a second");
    let stats = scene.world.shard.publisher_stats(scene.publisher, scene.world.now).unwrap();
    let active: Vec<_> = stats.tracks[0].encodings.iter().map(|encoding| encoding.active).collect();
    assert_eq!(active, [true, true, false]);
}
