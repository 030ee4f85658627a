//! Transport-wide feedback and receiver reports to the publisher.

mod common;

use common::*;
use rtp::rtcp::{Compound, RtcpPacket};
use rtp::twcc::Feedback;
use rtp::{Extension, Extensions};
use sfu_core::*;

/// All statuses in some feedback packets, by number, on the wire's 16 bits.
fn read(packets: &[Vec<u8>]) -> Vec<(u16, Option<i64>)> {
    let mut all = Vec::new();
    for packet in packets.iter().flat_map(|bytes| Compound::new(bytes)) {
        if let RtcpPacket::TransportFeedback { body } = packet {
            Feedback::parse(body).expect("well formed").for_each(|seq, arrival| all.push((seq, arrival)));
        }
    }
    all
}

#[test]
fn a_publisher_gets_feedback_twenty_times_a_second_about_everything() {
    let mut world = World::new();
    let id = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let mut source = Source::new(1000, "0");
    let mut sent = 0;
    for _ in 0..100 {
        sent += source.frame(world.now).iter().inspect(|packet| world.rtp(id, packet)).count();
        world.advance(ms(20));
    }
    world.advance(ms(60));
    let rtcp = world.out.take_rtcp(Peer(1));
    let packets = count(&rtcp, |packet| matches!(packet, RtcpPacket::TransportFeedback { .. }));
    assert!((30..=41).contains(&packets), "{packets} feedback packets in 2 s");
    let statuses = read(&rtcp);
    assert_eq!(statuses.len(), sent);
    assert!(statuses.iter().zip(1..).all(|((seq, at), expected)| *seq == expected && at.is_some()));
    assert_eq!(
        count(&rtcp, |packet| matches!(packet, RtcpPacket::Remb { .. })),
        0,
        "REMB is for those without"
    );
}

#[test]
fn a_publisher_without_transport_numbers_gets_remb() {
    let config =
        PublisherConfig { extensions: Extensions::new().with(Extension::Mid, 4), ..video_publisher(1, 1) };
    let mut world = World::new();
    let id = world.shard.add_publisher(config, world.now).unwrap();
    let mut source = Source::new(1000, "0");
    for _ in 0..100 {
        world.send_frame(id, &mut source);
        world.advance(ms(40));
    }
    let rtcp = world.out.take_rtcp(Peer(1));
    let remb =
        count(&rtcp, |packet| matches!(packet, RtcpPacket::Remb { bitrate, .. } if *bitrate >= 1_000_000));
    assert!((3..=4).contains(&remb), "{remb} in 4 s");
}

#[test]
fn receiver_reports_tell_loss_once_a_second() {
    let mut world = World::new();
    let id = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let mut source = Source::new(1000, "0");
    for frame in 0..100 {
        for (index, packet) in source.frame(world.now).iter().enumerate() {
            if frame < 10 || index != 1 {
                world.rtp(id, packet);
            }
        }
        world.advance(ms(40));
    }
    let rtcp = world.out.take_rtcp(Peer(1));
    let mut fractions = Vec::new();
    for packet in rtcp.iter().flat_map(|bytes| Compound::new(bytes)) {
        if let RtcpPacket::ReceiverReport { blocks, .. } = packet {
            fractions
                .extend(blocks.iter().filter(|block| block.ssrc == 1000).map(|block| block.fraction_lost));
        }
    }
    assert!((4..=5).contains(&fractions.len()), "{fractions:?}");
    // One of three packets was lost.
    assert!((80..=90).contains(fractions.last().expect("one at least")), "{fractions:?}");
}

#[test]
fn without_reduced_size_every_compound_begins_with_a_report() {
    let mut world = World::new();
    let config = PublisherConfig { reduced_size: false, ..video_publisher(1, 1) };
    let id = world.shard.add_publisher(config, world.now).unwrap();
    let mut source = Source::new(1000, "0");
    for _ in 0..50 {
        let mut packets = source.frame(world.now);
        packets.remove(1);
        packets.iter().for_each(|packet| world.rtp(id, packet));
        world.advance(ms(40));
    }
    let rtcp = world.out.take_rtcp(Peer(1));
    assert!(count(&rtcp, |packet| matches!(packet, RtcpPacket::Nack { .. })) > 10);
    for bytes in rtcp {
        assert!(matches!(Compound::new(&bytes).next(), Some(RtcpPacket::ReceiverReport { .. })));
    }
}
