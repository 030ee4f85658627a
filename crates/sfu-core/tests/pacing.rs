//! Bursts: what a line may not carry at once leaves little by little, in order, and once.

mod common;

use std::time::{Duration, Instant};

use common::*;
use rtp::RtpPacket;
use sfu_core::*;

/// What leaves at once for a client that has said nothing of its line: 40 ms at 10 Mbit/s.
const AT_ONCE: usize = 50_000;
/// Longest wait, of 3 s of media and more.
const LONGEST: Duration = Duration::from_millis(750);
/// Where a moment does.
const SHORT: Duration = Duration::from_millis(150);

struct Scene {
    world: World,
    publisher: PublisherId,
    subscriber: SubscriberId,
    subscription: SubscriptionId,
    sources: [Source; 2],
    viewer: Viewer,
    captured: Instant,
    /// Between two frames.
    interval: Duration,
}

impl Scene {
    /// A publisher of two encodings and a viewer of the first, which has not flowed yet.
    fn new() -> Self {
        let mut world = World::new();
        let tracks = vec![video_track("0", vec![rid("a"), rid("b")]), audio_track("1")];
        let publisher = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
        let subscriber = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
        let subscription =
            world.shard.subscribe(subscriber, video_subscription(FIRST, 5000), world.now).unwrap();
        world.shard.set_wanted(subscription, only("a"), world.now);
        let sources = [Source::new(10, "0").with_rid("a"), Source::new(20, "0").with_rid("b")];
        let captured = world.now;
        Self {
            world,
            publisher,
            subscriber,
            subscription,
            sources,
            viewer: Viewer::default(),
            captured,
            interval: ms(33),
        }
    }

    /// Takes what left for the viewer; its length on the line.
    fn take(&mut self) -> usize {
        let sent = self.world.out.take_rtp(Peer(2));
        let (mut len, mut last) = (0, None);
        for sent in sent {
            len += sent.bytes.len() + 44;
            let sequence = RtpPacket::parse(&sent.bytes).unwrap().sequence;
            assert!(last.is_none_or(|last: u16| sequence.wrapping_sub(last) == 1), "out of order");
            last = Some(sequence);
            self.viewer.receive(&sent.bytes, 5000);
        }
        len
    }

    /// Frames of one encoding that come in one batch.
    fn burst(&mut self, source: usize, frames: usize) -> usize {
        let packets: Vec<_> = (0..frames).flat_map(|_| self.frame(source)).collect();
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        self.world.rtp_batch(self.publisher, &packets);
        packets.len()
    }

    /// A frame an interval after the last, as its timestamp says: the network has held it back.
    fn frame(&mut self, source: usize) -> Vec<Vec<u8>> {
        self.captured += self.interval;
        self.sources[source].frame(self.captured)
    }

    /// What the publisher answers to what it is asked, and what the viewer asks.
    fn repair(&mut self) {
        for rtcp in self.world.out.take_rtcp(Peer(1)) {
            for source in 0..2 {
                for packet in self.sources[source].handle_rtcp(&rtcp) {
                    self.world.rtp(self.publisher, &packet);
                }
            }
        }
        for sent in self.world.out.take_rtp(Peer(2)) {
            self.viewer.receive(&sent.bytes, 5000);
        }
        if let Some(nack) = self.viewer.nack(self.world.now, 5000) {
            self.world.viewer_rtcp(self.subscriber, &nack);
        }
    }

    fn check(&self, packets: usize) {
        assert_eq!((self.viewer.packets.len(), self.viewer.duplicates), (packets, 0));
        assert_eq!(self.viewer.missing(), [0u64; 0]);
        self.viewer.check_continuity();
    }
}

#[test]
fn a_burst_leaves_little_by_little() {
    let mut scene = Scene::new();
    let packets = scene.burst(0, 50);
    let mut sent = scene.take();
    assert!((AT_ONCE - 2_000..AT_ONCE + 2_000).contains(&sent), "{sent} bytes at once");
    let from = scene.world.now;
    while scene.viewer.packets.len() < packets {
        scene.world.advance(ms(5));
        let step = scene.take();
        // 5 ms at 10 Mbit/s, and a packet.
        assert!((5_000..8_300).contains(&step) || scene.viewer.packets.len() == packets, "{step} bytes");
        sent += step;
    }
    let expected = Duration::from_secs_f64((sent - AT_ONCE) as f64 * 8.0 / 10e6);
    let took = scene.world.now - from;
    assert!(took <= expected + ms(10), "{took:?} for {sent} bytes");
    scene.check(packets);
}

#[test]
fn nothing_waits_for_longer_than_the_bound() {
    let mut scene = Scene::new();
    scene.sources[0].payload_len = 1_150;
    scene.interval = ms(1);
    // Far more than 10 Mbit/s carry in 150 ms.
    let packets = scene.burst(0, 80);
    let mut steps = vec![scene.take()];
    for _ in 0..SHORT.as_millis() / 5 {
        scene.world.advance(ms(5));
        steps.push(scene.take());
    }
    scene.check(packets);
    let steps = &steps[1..30];
    let (most, least) = (steps.iter().max().unwrap(), steps.iter().min().unwrap());
    assert!(*most < 2 * *least, "it leaves evenly: {steps:?}");
}

#[test]
fn an_old_start_may_take_longer() {
    let mut scene = Scene::new();
    scene.sources[0].packets_per_frame = 20;
    scene.world.shard.set_paused(scene.subscription, true, scene.world.now);
    let mut packets = 0;
    for _ in 0..25 {
        packets += scene.burst(0, 1);
        scene.world.advance(ms(33));
    }
    assert_eq!(scene.take(), 0);
    // The keyframe is 800 ms old: what came since may take a quarter of that.
    scene.world.shard.set_paused(scene.subscription, false, scene.world.now);
    scene.world.advance(SHORT);
    let early = scene.take();
    assert!(early > AT_ONCE && scene.viewer.packets.len() < packets, "{early} bytes in {SHORT:?}");
    scene.world.advance(ms(60));
    scene.take();
    scene.check(packets);
}

#[test]
fn what_follows_a_burst_comes_after_it() {
    let mut scene = Scene::new();
    let mut packets = scene.burst(0, 50);
    scene.take();
    for _ in 0..40 {
        packets += scene.burst(0, 1);
        scene.world.advance(ms(3));
        scene.take();
    }
    scene.world.advance(LONGEST);
    scene.take();
    scene.check(packets);
}

#[test]
fn a_late_packet_of_what_was_sent_does_not_wait() {
    let mut scene = Scene::new();
    let frames: Vec<_> = (0..50).flat_map(|_| scene.frame(0)).collect();
    let (late, waits) = (10, 100);
    let batch = frames.iter().enumerate().filter(|(index, _)| ![late, waits].contains(index));
    let batch: Vec<&[u8]> = batch.map(|(_, packet)| packet.as_slice()).collect();
    scene.world.rtp_batch(scene.publisher, &batch);
    for sent in scene.world.out.take_rtp(Peer(2)) {
        scene.viewer.receive(&sent.bytes, 5000);
    }
    let before = scene.viewer.packets.len();
    scene.world.rtp(scene.publisher, &frames[late]);
    let sent = scene.world.out.take_rtp(Peer(2));
    assert_eq!(sent.len(), 1, "the one that fills the gap, at once");
    scene.viewer.receive(&sent[0].bytes, 5000);
    scene.world.rtp(scene.publisher, &frames[waits]);
    assert_eq!(scene.world.out.take_rtp(Peer(2)).len(), 0, "one of those that wait");
    assert!(before < waits);
    scene.world.advance(LONGEST);
    scene.take();
    scene.check(frames.len());
}

#[test]
fn sound_waits_for_nothing() {
    let mut scene = Scene::new();
    let config = audio_subscription(FIRST, 1, 6000);
    scene.world.shard.subscribe(scene.subscriber, config, scene.world.now).unwrap();
    scene.burst(0, 100);
    assert!(scene.take() < AT_ONCE + 2_000);
    scene.world.rtp(scene.publisher, &sound_packet("1", 7));
    let sent = scene.world.out.take_rtp(Peer(2));
    let ssrcs: Vec<_> = sent.iter().map(|sent| RtpPacket::parse(&sent.bytes).unwrap().ssrc).collect();
    assert_eq!(ssrcs, [6000]);
}

#[test]
fn a_pause_ends_what_waits() {
    let mut scene = Scene::new();
    scene.burst(0, 50);
    scene.take();
    scene.world.shard.set_paused(scene.subscription, true, scene.world.now);
    scene.world.advance(ms(300));
    assert_eq!(scene.world.out.take_rtp(Peer(2)).len(), 0);
}

#[test]
fn bursts_losses_switches_and_pauses_leave_no_gap_and_repeat_nothing() {
    for seed in 1..=8 {
        let mut rng = Rng(seed);
        let mut scene = Scene::new();
        let mut waited = false;
        for _ in 0..300 {
            scene.world.advance(ms(rng.below(30)));
            let source = rng.below(2) as usize;
            let frames = if rng.below(8) == 0 { 30 } else { rng.below(3) as usize };
            let mut packets: Vec<_> = (0..frames).flat_map(|_| scene.frame(source)).collect();
            packets.retain(|_| rng.below(50) != 0);
            if rng.below(4) == 0 && packets.len() > 3 {
                let at = rng.below(packets.len() as u64 - 2) as usize;
                packets.swap(at, at + 2);
            }
            let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
            scene.world.rtp_batch(scene.publisher, &packets);
            let at_once: usize = scene.world.out.rtp.iter().map(|sent| sent.bytes.len()).sum();
            waited |= at_once > AT_ONCE - 5_000;
            scene.repair();
            match rng.below(30) {
                0 => scene.world.shard.set_wanted(scene.subscription, only("a"), scene.world.now),
                1 => scene.world.shard.set_wanted(scene.subscription, only("b"), scene.world.now),
                2 => {
                    scene.world.shard.set_paused(scene.subscription, true, scene.world.now);
                    scene.world.shard.set_paused(scene.subscription, false, scene.world.now);
                }
                _ => {}
            }
        }
        for _ in 0..40 {
            scene.world.advance(ms(50));
            scene.repair();
        }
        assert!(waited && scene.viewer.packets.len() > 500, "seed {seed}: {}", scene.viewer.packets.len());
        assert_eq!(scene.viewer.duplicates, 0, "seed {seed}");
        assert_eq!(scene.viewer.missing(), [0u64; 0], "seed {seed}");
    }
}
