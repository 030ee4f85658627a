//! What a forwarded packet costs the core alone, encryption and the kernel left out:
//! `cargo run --release -p sfu-core --example forward_cost`.
//!
//! On virtual time, CPU time of the thread; between frames other memory is touched, as between two packets of a stream
//! in a server that has other work. Printed are ns per packet that goes out, median of the rounds.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use common::*;
use sfu_core::*;

const ROUNDS: usize = 9;
const FRAMES: usize = 300;
/// More than the second level of cache.
const OTHER_MEMORY: usize = 4 << 20;

/// Writes each packet where a shell would.
struct Wire {
    buffer: [u8; 1_500],
    packets: u64,
}

impl Sink for Wire {
    fn rtp(&mut self, packet: Outgoing<'_>) {
        assert!(packet.write(&mut self.buffer) > 12);
        self.packets += 1;
    }

    fn rtcp(&mut self, _: Peer, _: &[u8]) {}

    fn to_edges(&mut self, _: PublisherId, _: ToEdge<'_>) {}

    fn event(&mut self, _: Event) {}
}

/// CPU time of this thread in ns.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number")
}

fn round(viewers: u32, whole_frames: bool, other: &mut [u8]) -> f64 {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).expect("there is room");
    for peer in 2..viewers + 2 {
        let viewer = world.shard.add_subscriber(subscriber(1, peer), world.now).expect("there is room");
        let subscription = video_subscription(FIRST, 1_000 * peer);
        world.shard.subscribe(viewer, subscription, world.now).expect("there is room");
    }
    let mut source = Source::new(1_000, "0");
    let mut wire = Wire { buffer: [0; 1_500], packets: 0 };
    let start = world.now;
    let mut used = 0;
    for frame in 0..FRAMES {
        world.now = start + ms(33 * frame as u64);
        let packets = source.frame(world.now);
        world.shard.handle_timeout(world.now, &mut wire);
        other.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
        if frame == FRAMES / 3 {
            (wire.packets, used) = (0, 0);
        }
        let before = cpu();
        for packet in &packets {
            world.shard.handle_rtp(publisher, packet, world.now, &mut wire);
            if !whole_frames {
                world.shard.forward(world.now, &mut wire);
            }
        }
        world.shard.forward(world.now, &mut wire);
        used += cpu() - before;
    }
    assert!(wire.packets > 0, "nothing went out");
    used as f64 / wire.packets as f64
}

fn main() {
    let mut other = vec![0u8; OTHER_MEMORY];
    for (viewers, whole_frames) in [(100, false), (300, false), (100, true), (300, true)] {
        let began = Instant::now();
        let mut costs: Vec<f64> = (0..ROUNDS).map(|_| round(viewers, whole_frames, &mut other)).collect();
        costs.sort_by(f64::total_cmp);
        let (median, least) =
            (costs.get(ROUNDS / 2).copied().unwrap_or(0.0), costs.first().copied().unwrap_or(0.0));
        let what = if whole_frames { "whole frames" } else { "one by one" };
        println!(
            "{viewers} viewers, {what}: {median:.0} ns a packet, {least:.0} at least ({:.1} s)",
            began.elapsed().as_secs_f64()
        );
    }
}
