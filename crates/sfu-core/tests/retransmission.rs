//! What NACKs may cost: unknown numbers, repeated requests, the budget, and giving up upstream.

mod common;

use common::*;
use rtp::RtpPacket;
use rtp::rtcp::{Compound, RtcpPacket};
use sfu_core::*;

fn nack(ssrc: u32, list: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    rtp::rtcp::write::nack(&mut out, 1, ssrc, list);
    out
}

fn scene(rtx_ssrc: Option<u32>) -> (World, PublisherId, SubscriberId, Source) {
    scene_with(|config| config.rtx_ssrc = rtx_ssrc)
}

fn scene_with(change: impl FnOnce(&mut SubscriptionConfig)) -> (World, PublisherId, SubscriberId, Source) {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    let mut config = video_subscription(FIRST, 5000);
    change(&mut config);
    world.shard.subscribe(viewer, config, world.now).unwrap();
    (world, publisher, viewer, Source::new(1000, "0"))
}

fn play(world: &mut World, publisher: PublisherId, source: &mut Source, frames: usize) -> Vec<Sent> {
    for _ in 0..frames {
        world.send_frame(publisher, source);
        world.advance(ms(40));
    }
    world.out.take_rtp(Peer(2))
}

fn sequence(sent: &Sent) -> u16 {
    RtpPacket::parse(&sent.bytes).unwrap().sequence
}

#[test]
fn retransmissions_are_not_sent_again_themselves() {
    let (mut world, publisher, viewer, mut source) = scene(Some(5001));
    let packets = play(&mut world, publisher, &mut source, 5);
    // The numbers of the two streams are others, but a NACK for one of them may hit a number of the other.
    let list: Vec<_> = packets.iter().map(sequence).collect();
    world.viewer_rtcp(viewer, &nack(5001, &list));
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 0);
    assert_eq!(world.shard.totals().nacks_received, 0);
    world.viewer_rtcp(viewer, &nack(5000, &list[..2]));
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 2);
}

#[test]
fn a_viewer_that_asks_for_everything_gets_a_fifth() {
    let (mut world, publisher, viewer, mut source) = scene(Some(5001));
    let mut sent = 0;
    for _ in 0..100 {
        let packets = play(&mut world, publisher, &mut source, 5);
        sent += packets.iter().filter(|p| !p.retransmission).map(|p| p.bytes.len()).sum::<usize>();
        let list: Vec<_> = packets.iter().filter(|p| !p.retransmission).map(sequence).collect();
        world.viewer_rtcp(viewer, &nack(5000, &list));
    }
    let stats = world.shard.subscriber_stats(viewer).unwrap().subscriptions[0];
    assert!(stats.retransmitted_bytes <= sent as u64 / 5 + (8 << 10), "{stats:?}");
    assert!(stats.retransmitted_bytes >= sent as u64 / 6, "{stats:?}");
    assert!(stats.unanswered > stats.retransmitted);
    world.shard.remove_subscriber(viewer);
    let totals = world.shard.totals();
    assert_eq!(
        (totals.retransmitted, totals.nacks_unanswered),
        (stats.retransmitted, stats.unanswered),
        "they outlive the viewer"
    );
    assert_eq!(totals.nacks_received, totals.retransmitted + totals.nacks_unanswered);
}

#[test]
fn a_repeated_request_is_answered_once_per_round_trip() {
    let (mut world, publisher, viewer, mut source) = scene(Some(5001));
    let last = sequence(play(&mut world, publisher, &mut source, 10).last().unwrap());
    for _ in 0..10 {
        world.viewer_rtcp(viewer, &nack(5000, &[last]));
    }
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 1);
    world.advance(ms(20));
    world.viewer_rtcp(viewer, &nack(5000, &[last]));
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 1);
}

#[test]
fn what_was_never_sent_or_is_long_gone_is_not_answered() {
    let (mut world, publisher, viewer, mut source) = scene(Some(5001));
    let sent = play(&mut world, publisher, &mut source, 400);
    let (first, last) = (sequence(&sent[0]), sequence(sent.last().unwrap()));
    let list = [first, last.wrapping_add(1), last.wrapping_add(500), first.wrapping_sub(1)];
    for number in list {
        world.viewer_rtcp(viewer, &nack(5000, &[number]));
    }
    world.viewer_rtcp(viewer, &nack(4711, &[last]));
    assert!(world.out.take_rtp(Peer(2)).is_empty());
    let stats = world.shard.subscriber_stats(viewer).unwrap().subscriptions[0];
    assert_eq!((stats.retransmitted, stats.unanswered), (0, 4));
}

#[test]
fn a_retransmission_carries_the_packet_as_it_was() {
    let (mut world, publisher, viewer, mut source) = scene(Some(5001));
    let sent = play(&mut world, publisher, &mut source, 10);
    let wanted = &sent[20];
    world.viewer_rtcp(viewer, &nack(5000, &[sequence(wanted)]));
    let again = world.out.take_rtp(Peer(2));
    assert_eq!(again.len(), 1);
    assert!(again[0].retransmission);
    let (original, repeated) =
        (RtpPacket::parse(&wanted.bytes).unwrap(), RtpPacket::parse(&again[0].bytes).unwrap());
    assert_eq!((repeated.ssrc, repeated.payload_type), (5001, VIEWER_RTX_PT));
    assert_eq!((repeated.timestamp, repeated.marker), (original.timestamp, original.marker));
    assert_eq!(repeated.payload()[..2], original.sequence.to_be_bytes());
    assert_eq!(repeated.payload()[2..], *original.payload());
}

#[test]
fn without_a_stream_for_it_a_packet_is_repeated_byte_for_byte() {
    // The SRTP index of the repeated packet is that of the first: other bytes would break the cipher.
    // A viewer may know a retransmission stream for another codec than the one that flows.
    let scenes = [scene(None), scene_with(|config| config.formats[0].rtx = None)];
    for (mut world, publisher, viewer, mut source) in scenes {
        let sent = play(&mut world, publisher, &mut source, 10);
        world.viewer_rtcp(viewer, &nack(5000, &[sequence(&sent[20])]));
        let again = world.out.take_rtp(Peer(2));
        assert_eq!((again.len(), &again[0].bytes), (1, &sent[20].bytes));
    }
}

#[test]
fn the_publisher_is_asked_ten_times_and_then_for_a_keyframe() {
    let (mut world, publisher, _, mut source) = scene(Some(5001));
    play(&mut world, publisher, &mut source, 20);
    let lost = source.frame(world.now);
    world.rtp(publisher, &lost[0]);
    world.rtp(publisher, &lost[2]);
    let missing = RtpPacket::parse(&lost[1]).unwrap().sequence;
    world.out.rtcp.clear();
    // The stream goes on with what is there; nobody answers.
    let mut rtcp = Vec::new();
    for _ in 0..60 {
        play(&mut world, publisher, &mut source, 1);
        rtcp.extend(world.out.take_rtcp(Peer(1)));
    }
    let asked = |packet: &RtcpPacket<'_>| match packet {
        RtcpPacket::Nack { media_ssrc: 1000, missing: list } => list.iter().eq([missing]),
        _ => false,
    };
    assert_eq!(count(&rtcp, asked), 10);
    assert_eq!(count(&rtcp, |packet| matches!(packet, RtcpPacket::Nack { .. })), 10);
    assert!(plis(&rtcp) >= 1);
    let totals = world.shard.totals();
    assert_eq!((totals.nacks_sent, totals.given_up, totals.refused), (10, 1, 0));
    assert!(totals.keyframe_requests_sent >= plis(&rtcp) as u64);
    world.rtp(publisher, &lost[0]);
    assert_eq!(world.shard.totals().refused, 1, "a repeated packet is not taken");
}

#[test]
fn a_hole_of_thousands_is_not_asked_for_packet_by_packet() {
    let (mut world, publisher, _, mut source) = scene(Some(5001));
    play(&mut world, publisher, &mut source, 5);
    source.sequence = source.sequence.wrapping_add(2_000);
    world.out.rtcp.clear();
    play(&mut world, publisher, &mut source, 5);
    let rtcp = world.out.take_rtcp(Peer(1));
    assert_eq!(count(&rtcp, |packet| matches!(packet, RtcpPacket::Nack { .. })), 0);
    assert_eq!(plis(&rtcp), 1);
    let bytes: usize = rtcp.iter().map(|packet| Compound::new(packet).count()).sum();
    assert!(bytes > 0);
}

#[test]
fn a_publisher_that_repeats_old_packets_does_not_make_them_go_out_twice() {
    // Browsers probe for bandwidth with packets of their history: sent on, they would use an SRTP index twice.
    let (mut world, publisher, _, mut source) = scene(Some(5001));
    let sent = play(&mut world, publisher, &mut source, 150);
    assert_eq!(sent.len(), 9 + 149 * 3);
    for back in 0..450u16 {
        let old = source.retransmit(source.sequence.wrapping_sub(back)).unwrap();
        world.rtp(publisher, &old);
    }
    assert!(world.out.take_rtp(Peer(2)).is_empty());
    let stats = world.shard.publisher_stats(publisher, world.now).unwrap().tracks[0].encodings[0];
    assert_eq!(stats.recovered, 0);
}
