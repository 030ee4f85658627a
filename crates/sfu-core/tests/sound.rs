//! Lost sound: asked for again where that was negotiated, and repeated as it was.

mod common;

use common::*;
use rtp::RtpPacket;
use rtp::rtcp::{Compound, RtcpPacket};
use sfu_core::*;

const VIEWER_SSRC: u32 = 5000;

/// A second of sound in 20 ms packets to a viewer; packet `lost` does not reach the shard. Returns what the
/// publisher was asked for, and what the viewer got.
fn sound(nack: bool, lost: u16) -> (Vec<u16>, Vec<Vec<u8>>) {
    let mut world = World::new();
    let mut track = audio_track("a");
    track.formats[0].nack = nack;
    let publisher = world.shard.add_publisher(publisher(1, 1, vec![track]), world.now).unwrap();
    let subscriber = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(subscriber, audio_subscription(FIRST, 0, VIEWER_SSRC), world.now).unwrap();
    let mut asked = Vec::new();
    for number in 0..50 {
        if number != lost {
            world.rtp(publisher, &sound_packet("a", number));
        }
        world.advance(ms(20));
        for rtcp in world.out.take_rtcp(Peer(1)) {
            for part in Compound::new(&rtcp) {
                if let RtcpPacket::Nack { missing, .. } = part {
                    for wanted in missing.iter() {
                        asked.push(wanted);
                        // As it was: browsers have no retransmission stream for sound.
                        world.rtp(publisher, &sound_packet("a", wanted));
                        world.rtp(publisher, &sound_packet("a", wanted));
                    }
                }
            }
        }
    }
    (asked, world.out.take_rtp(Peer(2)).into_iter().map(|sent| sent.bytes).collect())
}

#[test]
fn sound_is_asked_for_again_where_that_was_negotiated() {
    let payloads = |packets: &[Vec<u8>]| {
        let mut numbers: Vec<u8> =
            packets.iter().map(|bytes| RtpPacket::parse(bytes).unwrap().payload()[0]).collect();
        numbers.sort_unstable();
        numbers
    };
    let (asked, packets) = sound(true, 20);
    assert_eq!(asked, [20], "once");
    assert_eq!(payloads(&packets), (0..50).collect::<Vec<_>>(), "all of them, none twice");
    let (asked, packets) = sound(false, 20);
    assert_eq!((asked.len(), packets.len()), (0, 49), "nobody would answer");
}

#[test]
fn sound_repeated_to_a_viewer_is_the_same_bytes() {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(publisher(1, 1, vec![audio_track("a")]), world.now).unwrap();
    let subscriber = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(subscriber, audio_subscription(FIRST, 0, VIEWER_SSRC), world.now).unwrap();
    world.rtp(publisher, &sound_packet("a", 1));
    let first = world.out.take_rtp(Peer(2)).remove(0).bytes;
    world.advance(ms(60));
    let mut nack = Vec::new();
    rtp::rtcp::write::nack(&mut nack, 9, VIEWER_SSRC, &[RtpPacket::parse(&first).unwrap().sequence]);
    world.viewer_rtcp(subscriber, &nack);
    let again = world.out.take_rtp(Peer(2)).remove(0);
    assert!(again.retransmission && again.repeatable);
    assert_eq!(again.bytes, first, "other bytes would use the nonce of its SRTP index twice");
}
