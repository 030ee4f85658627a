//! A publisher on one shard, its viewers on another: each packet crosses once, and requests go back.

mod common;

use common::*;
use rtp::rtcp::{Compound, RtcpPacket, SenderInfo};
use sfu_core::*;

struct Pair {
    origin: World,
    edge: World,
    local: PublisherId,
    remote: PublisherId,
    crossed: usize,
}

impl Pair {
    fn new() -> Self {
        let mut origin = World::new();
        let mut edge = World::at(origin.start, 2);
        let local = origin.shard.add_publisher(video_publisher(1, 1), origin.now).unwrap();
        origin.shard.set_relayed(local, true);
        let config = PublisherConfig { origin: Origin::Remote, ..video_publisher(1, 0) };
        let remote = edge.shard.add_publisher(config, edge.now).unwrap();
        Self { origin, edge, local, remote, crossed: 0 }
    }

    fn watch(&mut self, peer: u32) {
        let now = self.edge.now;
        let viewer = self.edge.shard.add_subscriber(subscriber(1, peer), now).unwrap();
        self.edge.shard.subscribe(viewer, video_subscription(self.remote, 1000 * peer), now).unwrap();
        self.edge.settle();
    }

    /// Moves what the shards have for each other, and lets `ms` pass.
    fn exchange(&mut self, pass: u64) {
        for (id, what) in std::mem::take(&mut self.origin.out.relayed) {
            assert_eq!(id, self.local);
            self.crossed += 1;
            self.edge.shard.handle_relayed(self.remote, what.borrow(), self.edge.now, &mut self.edge.out);
        }
        self.edge.shard.forward(self.edge.now, &mut self.edge.out);
        self.edge.advance(ms(pass));
        for event in std::mem::take(&mut self.edge.out.events) {
            if let Event::KeyframeNeeded { publisher, track, encoding } = event {
                assert_eq!(publisher, self.remote);
                self.origin.shard.request_keyframe(self.local, track, encoding, self.origin.now);
            }
        }
        self.origin.advance(ms(pass));
    }
}

#[test]
fn each_packet_crosses_once_however_many_watch_there() {
    let mut pair = Pair::new();
    (2..7).for_each(|peer| pair.watch(peer));
    let mut source = Source::new(1000, "0");
    for _ in 0..10 {
        pair.origin.send_frame(pair.local, &mut source);
        pair.exchange(40);
    }
    assert_eq!(pair.crossed, 9 + 9 * 3);
    for peer in 2..7 {
        let mut viewer = Viewer::default();
        pair.edge.out.take_rtp(Peer(peer)).iter().for_each(|p| viewer.receive(&p.bytes, 1000 * peer));
        assert_eq!((viewer.packets.len(), viewer.missing().len()), (36, 0));
        viewer.check_continuity();
    }
    assert!(pair.edge.out.rtcp.is_empty(), "the edge has no publisher to report to");
    assert!(pair.origin.out.rtp.is_empty(), "nobody watches at the origin");
}

#[test]
fn a_viewer_there_gets_its_keyframe_from_the_publisher_here() {
    let mut pair = Pair::new();
    let mut source = Source::new(1000, "0");
    for _ in 0..100 {
        pair.origin.send_frame(pair.local, &mut source);
        pair.exchange(40);
    }
    pair.origin.out.rtcp.clear();
    (2..7).for_each(|peer| pair.watch(peer));
    let mut requests = 0;
    for _ in 0..10 {
        pair.origin.send_frame(pair.local, &mut source);
        pair.exchange(40);
        let rtcp = pair.origin.out.take_rtcp(Peer(1));
        requests += plis(&rtcp);
        rtcp.iter().for_each(|rtcp| drop(source.handle_rtcp(rtcp)));
    }
    assert_eq!(requests, 1);
    assert!(pair.edge.out.take_rtp(Peer(6)).len() >= 9);
}

#[test]
fn a_viewer_there_starts_at_once_with_what_came_before_anybody_watched_there() {
    let mut pair = Pair::new();
    pair.origin.shard.set_relayed(pair.local, false);
    let mut source = Source::new(1000, "0");
    for _ in 0..10 {
        pair.origin.send_frame(pair.local, &mut source);
        pair.exchange(40);
    }
    assert_eq!(pair.crossed, 0);
    pair.watch(2);
    pair.origin.shard.set_relayed(pair.local, true);
    let (origin, edge) = (&pair.origin, &mut pair.edge);
    origin.shard.backlog(pair.local, origin.now, |what| {
        edge.shard.handle_relayed(pair.remote, what, edge.now, &mut edge.out);
    });
    pair.edge.shard.forward(pair.edge.now, &mut pair.edge.out);
    let mut viewer = Viewer::default();
    let mut receive = |pair: &mut Pair| {
        pair.edge.out.take_rtp(Peer(2)).iter().for_each(|p| viewer.receive(&p.bytes, 2000));
        (viewer.packets.len(), viewer.missing().len())
    };
    assert_eq!(receive(&mut pair), (9 + 9 * 3, 0));
    pair.origin.send_frame(pair.local, &mut source);
    pair.exchange(40);
    assert_eq!(receive(&mut pair), (9 + 10 * 3, 0));
    viewer.check_continuity();
}

#[test]
fn a_packet_that_was_lost_and_recovered_here_arrives_there() {
    let mut pair = Pair::new();
    pair.watch(2);
    let mut source = Source::new(1000, "0");
    pair.origin.send_frame(pair.local, &mut source);
    pair.exchange(40);
    let frame = source.frame(pair.origin.now);
    pair.origin.rtp(pair.local, &frame[0]);
    pair.origin.rtp(pair.local, &frame[2]);
    pair.exchange(20);
    let rtcp = pair.origin.out.take_rtcp(Peer(1));
    let answers: Vec<_> = rtcp.iter().flat_map(|rtcp| source.handle_rtcp(rtcp)).collect();
    assert_eq!(answers.len(), 1);
    pair.origin.rtp(pair.local, &answers[0]);
    pair.exchange(1);
    let mut viewer = Viewer::default();
    pair.edge.out.take_rtp(Peer(2)).iter().for_each(|p| viewer.receive(&p.bytes, 2000));
    assert_eq!((viewer.packets.len(), viewer.missing().len()), (12, 0));
}

#[test]
fn the_clock_of_the_publisher_crosses_too() {
    let mut pair = Pair::new();
    pair.watch(2);
    let mut source = Source::new(1000, "0");
    pair.origin.send_frame(pair.local, &mut source);
    let info = SenderInfo { ntp: 5 << 32, rtp: source.timestamp(pair.origin.now), packets: 1, octets: 1 };
    let mut report = Vec::new();
    rtp::rtcp::write::sender_report(&mut report, 1000, &info);
    pair.origin.shard.handle_publisher_rtcp(pair.local, &report, pair.origin.now, &mut pair.origin.out);
    pair.exchange(0);
    pair.exchange(1500);
    let rtcp = pair.edge.out.take_rtcp(Peer(2));
    let reports = rtcp.iter().flat_map(|bytes| Compound::new(bytes));
    let info = reports.filter_map(|packet| match packet {
        RtcpPacket::SenderReport { ssrc: 2000, info, .. } => Some(info),
        _ => None,
    });
    assert!(info.count() >= 1);
}
