//! Any bytes from the network: no panic, no loop.

mod common;

use common::*;
use proptest::prelude::*;
use sfu_core::*;

proptest! {
    #[test]
    fn a_shard_takes_any_bytes(packets in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..120)), 1..60)) {
        let mut world = World::new();
        let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
        let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
        world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
        let mut source = Source::new(1000, "0");
        world.send_frame(publisher, &mut source);
        let good = source.frame(world.now);
        for (kind, bytes) in packets {
            match kind {
                0 => world.rtp(publisher, &bytes),
                1 => world.shard.handle_publisher_rtcp(publisher, &bytes, world.now, &mut world.out),
                2 => world.viewer_rtcp(viewer, &bytes),
                _ => {
                    // A real packet with some bytes replaced: it gets further.
                    let mut packet = good[0].clone();
                    let at = usize::from(bytes.first().copied().unwrap_or(0)) % packet.len();
                    packet.iter_mut().skip(at).zip(&bytes).for_each(|(to, from)| *to = *from);
                    world.rtp(publisher, &packet);
                    let (track, encoding) = (TrackIndex(0), EncodingIndex(0));
                    let (run, number) = (u32::from(packet.len() as u16 / 64), u64::MAX - 3);
                    let what = ToEdge::Packet { track, encoding, run, began: number, number, packet: &packet };
                    world.shard.handle_from_origin(publisher, what, world.now, &mut world.out);
                    world.shard.forward(world.now, &mut world.out);
                }
            }
            world.advance(ms(5));
        }
    }
}
