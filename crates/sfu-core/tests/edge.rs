//! A publisher on one shard, its viewers on another: each packet crosses once, requests go back, and what is lost on
//! the way is repaired.

mod common;

use common::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtp::rtcp::{Compound, RtcpPacket, SenderInfo};
use sfu_core::*;

struct Pair {
    origin: World,
    edge: World,
    local: PublisherId,
    remote: PublisherId,
    crossed: usize,
    /// Packets that the edge asked for.
    asked: u32,
}

impl Pair {
    fn new() -> Self {
        let mut origin = World::new();
        let mut edge = World::at(origin.start, 2);
        let local = origin.shard.add_publisher(video_publisher(1, 1), origin.now).unwrap();
        origin.shard.set_pulled(local, true);
        let config = PublisherConfig { origin: Origin::Remote, ..video_publisher(1, 1) };
        let remote = edge.shard.add_publisher(config, edge.now).unwrap();
        Self { origin, edge, local, remote, crossed: 0, asked: 0 }
    }

    fn watch(&mut self, peer: u32) {
        let now = self.edge.now;
        let viewer = self.edge.shard.add_subscriber(subscriber(1, peer), now).unwrap();
        self.edge.shard.subscribe(viewer, video_subscription(FIRST, 1000 * peer), now).unwrap();
        self.edge.settle();
    }

    /// Moves what the shards have for each other, and lets `ms` pass.
    fn exchange(&mut self, pass: u64) {
        self.exchange_some(pass, |_| true);
    }

    /// The same, where only those packets cross that `crosses` takes.
    fn exchange_some(&mut self, pass: u64, mut crosses: impl FnMut(&ToEdgeOwned) -> bool) {
        for (id, what) in std::mem::take(&mut self.origin.out.to_edges) {
            assert_eq!(id, self.local);
            if crosses(&what) {
                self.crossed += 1;
                self.cross(&what);
            }
        }
        self.edge.shard.forward(self.edge.now, &mut self.edge.out);
        for _ in 0..pass.max(1) {
            let step = ms(pass.min(1));
            self.edge.advance(step);
            self.origin.advance(step);
            for event in std::mem::take(&mut self.edge.out.events) {
                self.ask(event, &mut crosses);
            }
            self.edge.shard.forward(self.edge.now, &mut self.edge.out);
        }
    }

    fn cross(&mut self, what: &ToEdgeOwned) {
        self.edge.shard.handle_from_origin(self.remote, what.borrow(), self.edge.now, &mut self.edge.out);
    }

    fn ask(&mut self, event: Event, crosses: &mut impl FnMut(&ToEdgeOwned) -> bool) {
        match event {
            Event::KeyframeNeeded { publisher, track, encoding, purpose } => {
                assert_eq!(publisher, self.remote);
                let World { shard, now, .. } = &mut self.origin;
                shard.request_keyframe(self.local, track, encoding, purpose, *now);
            }
            Event::Missing { publisher, missing } => {
                assert_eq!(publisher, self.remote);
                self.asked += missing.count();
                let mut again: Vec<ToEdgeOwned> = Vec::new();
                self.origin.shard.repeat(self.local, missing, |what| again.push(what.into()));
                again.iter().filter(|what| crosses(what)).for_each(|what| self.cross(what));
            }
            _ => {}
        }
    }

    /// What the viewer `peer` got so far.
    fn seen(&mut self, viewer: &mut Viewer, peer: u32) {
        self.edge.out.take_rtp(Peer(peer)).iter().for_each(|p| viewer.receive(&p.bytes, 1000 * peer));
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
    pair.origin.shard.set_pulled(pair.local, false);
    let mut source = Source::new(1000, "0");
    for _ in 0..10 {
        pair.origin.send_frame(pair.local, &mut source);
        pair.exchange(40);
    }
    assert_eq!(pair.crossed, 0);
    pair.watch(2);
    pair.origin.shard.set_pulled(pair.local, true);
    let (track, encoding, now) = (TrackIndex(0), EncodingIndex(0), pair.origin.now);
    let open = |from| pair.origin.shard.open_cursor(pair.local, track, encoding, from, ms(0), now).unwrap();
    let mut cursor = open(ReadFrom::Keyframe);
    let mut behind = Vec::new();
    while let Read::Packet { run, number, packet, .. } = pair.origin.shard.read(&mut cursor, now) {
        behind.push(ToEdgeOwned::Packet {
            track,
            encoding,
            run,
            began: number,
            number,
            packet: packet.to_vec(),
        });
    }
    behind.iter().for_each(|what| pair.cross(what));
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

/// What a viewer on the publisher's own shard got, by its frames' bytes, as one beside it does.
fn local_viewer(pair: &mut Pair) {
    let viewer = pair.origin.shard.add_subscriber(subscriber(1, 9), pair.origin.now).unwrap();
    pair.origin.shard.subscribe(viewer, video_subscription(FIRST, 9000), pair.origin.now).unwrap();
}

fn start_over(change: impl Fn(&mut Source), wait: u64) {
    let mut pair = Pair::new();
    pair.watch(2);
    local_viewer(&mut pair);
    let mut source = Source::new(1000, "0");
    let (mut there, mut here) = (Viewer::default(), Viewer::default());
    for frame in 0..32 {
        if frame == 16 {
            pair.exchange(wait);
            change(&mut source);
        }
        pair.origin.send_frame(pair.local, &mut source);
        pair.exchange(40);
        for rtcp in pair.origin.out.take_rtcp(Peer(1)) {
            source.handle_rtcp(&rtcp);
        }
    }
    pair.seen(&mut there, 2);
    pair.origin.out.take_rtp(Peer(9)).iter().for_each(|p| here.receive(&p.bytes, 9000));
    there.check_continuity();
    here.check_continuity();
    assert!(here.packets.len() >= 90, "{} of it at the publisher", here.packets.len());
    assert_eq!((there.packets.len(), there.missing().len()), (here.packets.len(), 0));
    let time = |viewer: &Viewer| {
        let mut stamps = viewer.packets.values().map(|bytes| rtp::RtpPacket::parse(bytes).unwrap().timestamp);
        let first = stamps.next().unwrap();
        stamps.next_back().unwrap().wrapping_sub(first)
    };
    assert!(time(&there).abs_diff(time(&here)) < 9_000, "{} and {}", time(&there), time(&here));
    let passed = (31 * 40 + wait as u32) * 90;
    assert!(time(&here).abs_diff(passed) < 9_000, "{} where {passed} have passed", time(&here));
}

#[test]
fn a_stream_with_another_ssrc_goes_on_there_as_it_does_here() {
    // Numbers that look as if the old stream went on.
    start_over(
        |source| {
            let sequence = source.sequence.wrapping_add(100);
            *source = Source::new(4711, "0");
            source.sequence = sequence;
        },
        600,
    );
    start_over(|source| *source = Source::new(4711, "0"), 600);
}

#[test]
fn a_jump_of_the_numbers_goes_on_there_as_it_does_here() {
    start_over(
        |source| {
            source.sequence = source.sequence.wrapping_add(20_000);
            source.keyframe_wanted = true;
        },
        40,
    );
}

#[test]
fn a_jump_of_the_timestamps_with_another_ssrc_is_none_for_the_viewer_there() {
    let jump = |source: &mut Source| {
        let sequence = source.sequence.wrapping_add(1);
        *source = Source::new(4711, "0");
        (source.sequence, source.timestamp_start) = (sequence, 60 * 90_000);
    };
    start_over(jump, 600);
}

#[test]
fn a_jump_of_the_timestamps_alone_is_none_for_any_viewer() {
    for jump in [60 * 90_000, 1 << 31, 0u32.wrapping_sub(11 * 90_000), 0u32.wrapping_sub(60 * 90_000)] {
        start_over(|source| source.timestamp_start = source.timestamp_start.wrapping_add(jump), 40);
    }
}

#[test]
fn what_the_publisher_lost_is_asked_for_in_vain_a_few_times_only() {
    let mut pair = Pair::new();
    pair.watch(2);
    let mut source = Source::new(1000, "0");
    pair.origin.send_frame(pair.local, &mut source);
    let frame = source.frame(pair.origin.now);
    pair.origin.rtp(pair.local, &frame[0]);
    pair.origin.rtp(pair.local, &frame[2]);
    for _ in 0..50 {
        pair.exchange(40);
        pair.origin.send_frame(pair.local, &mut source);
    }
    assert_eq!(pair.asked, u32::from(MAX_TRIES));
    let totals = pair.edge.shard.totals();
    assert_eq!((totals.crossing_given_up, totals.crossing_repaired), (1, 0));
    assert_eq!(totals.crossing_asked, u64::from(MAX_TRIES));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: RngSeed::Fixed(8), ..ProptestConfig::default() })]

    /// Whatever does not cross, in whatever bursts, a viewer there misses nothing of what the origin has.
    #[test]
    fn what_is_lost_between_shards_is_repaired(
        seed in any::<u64>(),
        loss in 0u64..40,
        restarts in prop::collection::vec((5usize..30, any::<u32>()), 1..4),
    ) {
        let mut pair = Pair::new();
        pair.watch(2);
        let mut rng = Rng(seed);
        let mut viewer = Viewer::default();
        let mut sent = 0;
        for (index, (frames, ssrc)) in (0..).zip(restarts) {
            let mut source = Source::new((ssrc >> 4) | index << 28, "0");
            for _ in 0..frames {
                pair.origin.send_frame(pair.local, &mut source);
                let mut burst = rng.below(100) < loss;
                pair.exchange_some(33, |_| {
                    burst ^= rng.below(100) < 20 && (burst || rng.below(100) < loss);
                    !burst
                });
            }
            sent += 3 * frames + 6;
            // Nothing is lost in the end: so the last packets are noticed to be missing as well.
            pair.origin.send_frame(pair.local, &mut source);
            sent += 3;
            pair.exchange(1_000);
            pair.seen(&mut viewer, 2);
        }
        prop_assert_eq!(viewer.missing(), vec![0u64; 0]);
        prop_assert_eq!(viewer.packets.len(), sent);
        prop_assert_eq!(viewer.duplicates, 0);
        viewer.check_continuity();
        let totals = pair.edge.shard.totals();
        prop_assert!(loss == 0 || totals.crossing_repaired <= totals.crossing_asked);
        prop_assert_eq!(totals.crossing_given_up, 0);
    }
}
