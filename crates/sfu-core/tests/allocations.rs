//! After warm-up a packet is forwarded without an allocation, whoever watches.

mod common;
mod layered;

use std::time::Instant;

use common::*;
use rtp::Codec;
use sfu_core::*;

/// Sends `frames`, each when it is due, and lets the shard do what is due meanwhile.
fn play(world: &mut World, publisher: PublisherId, frames: &[(Instant, Vec<Vec<u8>>)], wire: &mut Wire) {
    for (at, packets) in frames {
        while world.now < *at {
            world.now += ms(1);
            world.shard.handle_timeout(world.now, wire);
        }
        for packet in packets {
            world.shard.handle_rtp(publisher, packet, world.now, wire);
        }
        world.shard.forward(world.now, wire);
    }
}

#[test]
fn forwarding_does_not_allocate() {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    world.shard.set_pulled(publisher, true);
    for peer in 2..102 {
        let viewer = world.shard.add_subscriber(subscriber(1, peer), world.now).unwrap();
        world.shard.subscribe(viewer, video_subscription(FIRST, 1000 * peer), world.now).unwrap();
    }
    let mut source = Source::new(1000, "0");
    let mut wire = Wire::new();
    let now = world.now;
    // The packets are made before, so that only the shard is measured: 6 s to warm up, 4 s to count.
    let mut frames = Vec::new();
    for frame in 0..300u64 {
        frames.push((now + ms(33 * frame), source.frame(now + ms(33 * frame))));
    }
    let (warm_up, measured) = frames.split_at(180);
    play(&mut world, publisher, warm_up, &mut wire);
    wire.packets = 0;
    let one = allocation_counter::measure(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(100))));
    assert_eq!(one.count_total, 1, "the counter counts");
    let counted = allocation_counter::measure(|| play(&mut world, publisher, measured, &mut wire));
    assert_eq!(wire.packets, 120 * 3 * 100);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn leaving_out_layers_does_not_allocate() {
    let mode = layered::Mode { codec: Codec::Av1, spatial: 3, temporal: 3, key: false, described: true };
    let mut world = World::new();
    let format = |payload_type, rtx| vec![layered::format(mode.codec, payload_type, rtx)];
    let track = TrackConfig {
        formats: format(VIDEO_PT, RTX_PT),
        ..video_track("0", vec![EncodingConfig::default()])
    };
    let extensions = layered::publisher_ids();
    let config = PublisherConfig { extensions, ..publisher(1, 1, vec![track]) };
    let publisher = world.shard.add_publisher(config, world.now).unwrap();
    for peer in 2..22u32 {
        let config = SubscriberConfig { extensions: layered::viewer_ids(), ..subscriber(1, peer) };
        let viewer = world.shard.add_subscriber(config, world.now).unwrap();
        let formats = format(VIEWER_VIDEO_PT, VIEWER_RTX_PT);
        let config = SubscriptionConfig { formats, ..video_subscription(FIRST, 1000 * peer) };
        let subscription = world.shard.subscribe(viewer, config, world.now).unwrap();
        let encoding = WantedEncoding::MaxHeight([180, 360, 720][peer as usize % 3]);
        let wanted = Wanted { encoding, max_temporal: Some((peer % 4) as u8) };
        world.shard.set_wanted(subscription, wanted, world.now);
    }
    let mut encoder = layered::Encoder::new(mode, 0, &layered::Truths::default());
    let mut wire = Wire::new();
    let now = world.now;
    // It answers no request for a keyframe, so that the ring grows to reach back to its own.
    let pictures: Vec<_> = (0..450u64)
        .map(|picture| {
            let at = now + ms(33 * picture);
            encoder.keyframe_wanted |= picture % 100 == 0;
            (at, encoder.picture(at))
        })
        .collect();
    let (warm_up, measured) = pictures.split_at(300);
    play(&mut world, publisher, warm_up, &mut wire);
    wire.packets = 0;
    let counted = allocation_counter::measure(|| play(&mut world, publisher, measured, &mut wire));
    assert!(wire.packets > 5000, "{} packets", wire.packets);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
