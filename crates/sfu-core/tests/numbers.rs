//! Packets that carry nothing for viewers take numbers of the stream: nobody misses them.

mod common;

use common::*;
use rtp::rtcp::RtcpPacket;
use rtp::{Header, HeaderWriter, RtpPacket};
use sfu_core::*;

/// What a publisher sends beside its media, on the same SSRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// Of a payload type that was not negotiated: RED, ULPFEC, comfort noise, tones.
    Unknown,
    /// Of the codec's payload type, with nothing but padding.
    Padding,
}

fn packet(payload_type: u8, sequence: u16, beside: Beside) -> Vec<u8> {
    let padded = beside == Beside::Padding;
    let payload_type = if padded { payload_type } else { 126 };
    let mut writer = HeaderWriter::new();
    writer.start(&Header { marker: false, payload_type, sequence, timestamp: 1, ssrc: 1000, padded }, false);
    writer.finish();
    [writer.bytes(), &[0, 0, 0, 4]].concat()
}

fn nacks(world: &mut World) -> usize {
    count(&world.out.take_rtcp(Peer(1)), |packet| matches!(packet, RtcpPacket::Nack { .. }))
}

#[test]
fn what_carries_nothing_is_neither_asked_for_nor_missed() {
    for beside in [Beside::Unknown, Beside::Padding] {
        let mut world = World::new();
        let id = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
        let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
        world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
        let (mut source, mut got, mut frames) = (Source::new(1000, "0"), Viewer::default(), 0);
        for frame in 0..70 {
            world.send_frame(id, &mut source);
            frames += 3;
            source.sequence = source.sequence.wrapping_add(1);
            world.rtp(id, &packet(VIDEO_PT, source.sequence, beside));
            world.advance(ms(20));
            if frame == 30 {
                // One that is overtaken: it was missing for a moment.
                source.sequence = source.sequence.wrapping_add(1);
                let late = packet(VIDEO_PT, source.sequence, beside);
                world.send_frame(id, &mut source);
                frames += 3;
                world.rtp(id, &late);
            }
            world.advance(ms(20));
        }
        world.out.take_rtp(Peer(2)).iter().for_each(|sent| {
            if RtpPacket::parse(&sent.bytes).unwrap().payload().is_empty() {
                frames += 1;
            }
            got.receive(&sent.bytes, 5000);
        });
        assert_eq!(nacks(&mut world), 0, "{beside:?}: nothing is missing");
        assert_eq!((got.packets.len(), got.missing().len()), (6 + frames, 0), "{beside:?}");
        let stats = world.shard.publisher_stats(id, world.now).unwrap().tracks[0].encodings[0];
        assert_eq!((stats.lost, stats.nacked), (0, 0), "{beside:?}");
    }
}

#[test]
fn a_place_that_was_kept_for_what_carries_nothing_is_filled() {
    let mut world = World::new();
    let id = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    let mut source = Source::new(1000, "0");
    world.send_frame(id, &mut source);
    source.sequence = source.sequence.wrapping_add(1);
    let late = packet(VIDEO_PT, source.sequence, Beside::Unknown);
    world.send_frame(id, &mut source);
    world.rtp(id, &late);
    let sent = world.out.take_rtp(Peer(2));
    assert_eq!(sent.len(), 9 + 3 + 1);
    let filler = RtpPacket::parse(&sent.last().unwrap().bytes).unwrap();
    let numbers: Vec<_> = sent.iter().map(|sent| RtpPacket::parse(&sent.bytes).unwrap().sequence).collect();
    assert!(filler.payload().is_empty());
    assert_eq!(filler.sequence, numbers[9].wrapping_sub(1), "the place before the second frame");
    // It may be lost on the way to the viewer, too.
    world.advance(ms(100));
    let mut nack = Vec::new();
    rtp::rtcp::write::nack(&mut nack, 99, 5000, &[filler.sequence]);
    world.viewer_rtcp(viewer, &nack);
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 1);
}

#[test]
fn sound_between_comfort_noise_and_tones_has_no_hole() {
    let mut world = World::new();
    let id = world.shard.add_publisher(publisher(1, 1, vec![audio_track("0")]), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(viewer, audio_subscription(FIRST, 0, 7000), world.now).unwrap();
    for sequence in 0..100u16 {
        let sound = sound_packet("0", sequence);
        let mut other = packet(AUDIO_PT, sequence, Beside::Unknown);
        other[8..12].copy_from_slice(&77u32.to_be_bytes());
        world.rtp(id, if sequence % 10 == 9 { &other } else { &sound });
        world.advance(ms(20));
    }
    let sent = world.out.take_rtp(Peer(2));
    let numbers: Vec<_> = sent.iter().map(|sent| RtpPacket::parse(&sent.bytes).unwrap().sequence).collect();
    assert_eq!(numbers.len(), 90);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    let lost = world.shard.publisher_stats(id, world.now).unwrap().tracks[0].encodings[0].lost;
    assert_eq!(lost, 0);
}
