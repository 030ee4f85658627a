//! A publisher that is lost and comes back: its viewers see one stream.

mod common;

use common::*;
use proptest::prelude::*;
use sfu_core::*;

fn frames(world: &mut World, publisher: PublisherId, source: &mut Source, count: usize) {
    for _ in 0..count {
        world.send_frame(publisher, source);
        for rtcp in world.out.take_rtcp(Peer(1)) {
            source.handle_rtcp(&rtcp);
        }
        world.advance(ms(33));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_times_and_pictures_go_on(
        sessions in prop::collection::vec((1usize..40, 0u64..40_000, any::<u32>()), 1..6),
    ) {
        let mut world = World::new();
        let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
        let subscriber = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
        world.shard.subscribe(subscriber, video_subscription(FIRST, 5000), world.now).unwrap();
        let mut viewer = Viewer::default();
        let mut sent = 0;
        for (count, away, ssrc) in sessions {
            // Its SSRC, sequence numbers, timestamps and picture ids begin anywhere, or where they were.
            let mut source = Source::new(ssrc >> 1, "0");
            frames(&mut world, publisher, &mut source, count);
            sent += 3 * count + 6;
            world.shard.publisher_lost(publisher, world.now);
            world.advance(ms(away));
            for packet in world.out.take_rtp(Peer(2)) {
                viewer.receive(&packet.bytes, 5000);
            }
            world.shard.resume_publisher(publisher, video_publisher(1, 1), world.now).unwrap();
        }
        prop_assert_eq!(viewer.packets.len(), sent);
        prop_assert_eq!(viewer.missing(), vec![0u64; 0]);
        prop_assert_eq!(viewer.duplicates, 0);
        viewer.check_continuity();
    }
}

#[test]
fn nothing_flows_before_the_keyframe_of_the_new_session_and_one_is_asked_for() {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let subscriber = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(subscriber, video_subscription(FIRST, 5000), world.now).unwrap();
    frames(&mut world, publisher, &mut Source::new(77, "0"), 5);
    world.shard.publisher_lost(publisher, world.now);
    assert!(!world.out.take_rtp(Peer(2)).is_empty());
    world.shard.resume_publisher(publisher, video_publisher(1, 1), world.now).unwrap();
    let mut source = Source::new(78, "0");
    source.keyframe_wanted = false;
    world.out.take_rtcp(Peer(1));
    world.send_frame(publisher, &mut source);
    assert!(world.out.take_rtp(Peer(2)).is_empty());
    let rtcp = world.out.take_rtcp(Peer(1));
    assert_eq!(plis(&rtcp), 1);
    rtcp.iter().for_each(|rtcp| drop(source.handle_rtcp(rtcp)));
    world.advance(ms(33));
    world.send_frame(publisher, &mut source);
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 9);
}

#[test]
fn packets_of_the_lost_session_are_not_taken() {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let subscriber = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(subscriber, video_subscription(FIRST, 5000), world.now).unwrap();
    world.shard.publisher_lost(publisher, world.now);
    world.send_frame(publisher, &mut Source::new(77, "0"));
    assert!(world.out.take_rtp(Peer(2)).is_empty());
    assert_eq!(
        world.shard.resume_publisher(publisher, video_publisher(2, 1), world.now),
        Err(AddError::OtherRoom)
    );
}
