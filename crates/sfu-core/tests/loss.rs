//! Loss and reordering both ways: everything arrives, within the retransmission budget.

mod common;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use common::*;
use sfu_core::*;

const VIEWER_SSRC: u32 = 5000;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    PublisherToShard(Vec<u8>),
    ShardToPublisher(Vec<u8>),
    ShardToViewer(Vec<u8>),
    ViewerToShard(Vec<u8>),
}

struct Network {
    rng: Rng,
    loss_per_mille: u64,
    queue: BinaryHeap<Reverse<(Instant, u64, Way)>>,
    sent: u64,
}

impl Network {
    fn send(&mut self, now: Instant, way: Way) {
        self.sent += 1;
        if self.rng.below(1000) < self.loss_per_mille {
            return;
        }
        // 20 ms each way; one packet in fifty takes a few milliseconds more and is overtaken.
        let late = if self.rng.below(50) == 0 { self.rng.below(8) } else { 0 };
        self.queue.push(Reverse((now + ms(20 + late), self.sent, way)));
    }
}

struct Run {
    viewer: Viewer,
    publisher: PublisherStats,
    subscriber: SubscriberStats,
}

/// A 25 fps stream for `time` over a network that loses `loss_per_mille` of everything, then 2 s without loss.
/// The first 200 ms are without loss too: a viewer that misses the first packet cannot know and asks for another
/// keyframe.
fn run(seed: u64, loss_per_mille: u64, time: Duration) -> Run {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let subscriber = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(subscriber, video_subscription(FIRST, VIEWER_SSRC), world.now).unwrap();
    let mut network = Network { rng: Rng(seed), loss_per_mille, queue: BinaryHeap::new(), sent: 0 };
    let (mut source, mut viewer) = (Source::new(1000, "0"), Viewer::default());
    let end = world.start + time;
    let mut frame = world.start;
    while world.now < end + ms(2000) {
        let lossy = world.now >= world.start + ms(200) && world.now < end;
        network.loss_per_mille = if lossy { loss_per_mille } else { 0 };
        if world.now >= frame {
            frame += ms(40);
            source
                .frame(world.now)
                .into_iter()
                .for_each(|p| network.send(world.now, Way::PublisherToShard(p)));
        }
        while network.queue.peek().is_some_and(|Reverse((at, ..))| *at <= world.now) {
            let Some(Reverse((_, _, way))) = network.queue.pop() else { break };
            match way {
                Way::PublisherToShard(packet) => world.rtp(publisher, &packet),
                Way::ShardToPublisher(rtcp) => {
                    for packet in source.handle_rtcp(&rtcp) {
                        network.send(world.now, Way::PublisherToShard(packet));
                    }
                }
                Way::ShardToViewer(packet) => viewer.receive(&packet, VIEWER_SSRC),
                Way::ViewerToShard(rtcp) => world.viewer_rtcp(subscriber, &rtcp),
            }
        }
        if let Some(nack) = viewer.nack(world.now, VIEWER_SSRC) {
            network.send(world.now, Way::ViewerToShard(nack));
        }
        for packet in world.out.take_rtp(Peer(2)) {
            network.send(world.now, Way::ShardToViewer(packet.bytes));
        }
        for rtcp in world.out.take_rtcp(Peer(1)) {
            network.send(world.now, Way::ShardToPublisher(rtcp));
        }
        world.advance(ms(1));
    }
    let publisher = world.shard.publisher_stats(publisher, world.now).unwrap();
    Run { viewer, publisher, subscriber: world.shard.subscriber_stats(subscriber).unwrap() }
}

#[test]
fn at_two_percent_both_ways_everything_arrives_within_the_budget() {
    for seed in 1..=3 {
        let run = run(seed, 20, Duration::from_secs(20));
        let stats = run.subscriber.subscriptions[0];
        assert!(run.viewer.packets.len() > 1400, "only {} packets arrived", run.viewer.packets.len());
        assert_eq!(run.viewer.missing(), [0u64; 0], "seed {seed}");
        run.viewer.check_continuity();
        assert!(stats.retransmitted > 0, "nothing was lost: this test proves nothing");
        assert!(stats.retransmitted_bytes * 5 <= stats.bytes, "{stats:?}");
        let encoding = run.publisher.tracks[0].encodings[0];
        assert!(encoding.recovered > 0 && encoding.lost == 0, "{encoding:?}");
        let round_trip = run.publisher.round_trip.unwrap();
        assert!((ms(40)..ms(60)).contains(&round_trip), "{round_trip:?}");
    }
}

#[test]
fn at_ten_percent_it_still_recovers() {
    let run = run(7, 100, Duration::from_secs(20));
    assert_eq!(run.viewer.missing(), [0u64; 0]);
    run.viewer.check_continuity();
}

#[test]
fn without_loss_nothing_is_sent_twice() {
    let run = run(3, 0, Duration::from_secs(10));
    let encoding = run.publisher.tracks[0].encodings[0];
    run.viewer.check_continuity();
    assert_eq!((run.viewer.duplicates, run.viewer.retransmitted), (0, 0));
    assert_eq!((encoding.nacked, encoding.lost, encoding.recovered), (0, 0, 0), "reordering is not loss");
}
