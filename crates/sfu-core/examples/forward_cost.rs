//! What a forwarded packet costs the core alone, encryption and the kernel left out:
//! `cargo run --release -p sfu-core --example forward_cost`.
//!
//! The shard is on virtual time. Between frames other memory is touched, as between two packets of a stream in a server
//! that has other work. Printed are ns per packet that goes out: the median over all frames, so that those in which the
//! machine did something else do not count.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use common::*;

const ROUNDS: usize = 9;
const FRAMES: usize = 300;
/// More than the second level of cache.
const OTHER_MEMORY: usize = 4 << 20;

/// Adds the cost of each frame after the first third, per packet that went out.
fn round(viewers: u32, whole_frames: bool, other: &mut [u8], costs: &mut Vec<f64>) {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).expect("there is room");
    for peer in 2..viewers + 2 {
        let viewer = world.shard.add_subscriber(subscriber(1, peer), world.now).expect("there is room");
        let subscription = video_subscription(FIRST, 1_000 * peer);
        world.shard.subscribe(viewer, subscription, world.now).expect("there is room");
    }
    let mut source = Source::new(1_000, "0");
    let mut wire = Wire::new();
    let start = world.now;
    for frame in 0..FRAMES {
        world.now = start + ms(33 * frame as u64);
        let packets = source.frame(world.now);
        world.shard.handle_timeout(world.now, &mut wire);
        other.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
        wire.packets = 0;
        let before = Instant::now();
        for packet in &packets {
            world.shard.handle_rtp(publisher, packet, world.now, &mut wire);
            if !whole_frames {
                world.shard.forward(world.now, &mut wire);
            }
        }
        world.shard.forward(world.now, &mut wire);
        let used = before.elapsed().as_nanos() as f64;
        if frame >= FRAMES / 3 && wire.packets > 0 {
            costs.push(used / wire.packets as f64);
        }
    }
}

fn main() {
    let mut other = vec![0u8; OTHER_MEMORY];
    for (viewers, whole_frames) in [(100, false), (300, false), (100, true), (300, true)] {
        let mut costs = Vec::new();
        (0..ROUNDS).for_each(|_| round(viewers, whole_frames, &mut other, &mut costs));
        costs.sort_by(f64::total_cmp);
        let median = costs.get(costs.len() / 2).copied().expect("packets went out");
        let what = if whole_frames { "whole frames" } else { "one by one" };
        println!("{viewers} viewers, {what}: {median:.0} ns a packet");
    }
}
