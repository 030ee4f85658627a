//! Transport-wide feedback and receiver reports to the publisher.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::*;
use proptest::prelude::*;
use sfu_core::rtcp::{Compound, RtcpPacket};
use sfu_core::twcc::{Feedback, Recorder};
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

fn drain(recorder: &mut Recorder) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while recorder.is_pending() {
        let mut out = Vec::new();
        if !recorder.write(&mut out, 1, 2) {
            break;
        }
        assert!(out.len() <= 1200 && out.len().is_multiple_of(4));
        packets.push(out);
    }
    packets
}

proptest! {
    #[test]
    fn what_came_is_reported_with_its_time(
        first in any::<u16>(),
        // Steps of the number (above 1: lost between), and of the time in us.
        steps in prop::collection::vec((1u16..6, 0u64..200_000), 1..900),
        runs in any::<bool>(),
    ) {
        let epoch = Instant::now();
        let mut recorder = Recorder::new(epoch);
        let (mut seq, mut time) = (first, 0);
        let mut came = BTreeMap::new();
        for (step, wait) in steps {
            // A third of the steps as they are, else a run of packets in a row: both kinds of chunks.
            seq = seq.wrapping_add(if runs && step > 1 { 1 } else { step });
            time += if runs { wait / 300 } else { wait };
            recorder.record(seq, epoch + Duration::from_micros(time));
            came.insert(seq.wrapping_sub(first), time as i64);
        }
        // At most the history is reported.
        let newest = seq.wrapping_sub(first);
        came.retain(|&seq, _| newest - seq < 1024);
        let read = read(&drain(&mut recorder));
        let reported: BTreeMap<_, _> =
            read.iter().filter_map(|(seq, at)| Some((seq.wrapping_sub(first), (*at)?))).collect();
        prop_assert_eq!(reported.keys().collect::<Vec<_>>(), came.keys().collect::<Vec<_>>());
        for (seq, at) in &reported {
            prop_assert!((at - came[seq]).abs() <= 250, "{} us for {} us", at, came[seq]);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(feedback) = Feedback::parse(&bytes) {
            let mut statuses = 0;
            feedback.for_each(|_, _| statuses += 1);
            prop_assert!(statuses <= usize::from(u16::MAX));
        }
    }
}

#[test]
fn a_packet_that_comes_late_is_reported_late() {
    let epoch = Instant::now();
    let mut recorder = Recorder::new(epoch);
    recorder.record(65_534, epoch);
    recorder.record(1, epoch + ms(10));
    let statuses = |recorder: &mut Recorder| {
        let read = read(&drain(recorder));
        read.into_iter().map(|(seq, at)| (seq, at.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&mut recorder), [(65_534, true), (65_535, false), (0, false), (1, true)]);
    assert!(!recorder.is_pending());
    recorder.record(0, epoch + ms(20));
    assert_eq!(statuses(&mut recorder), [(0, true), (1, true)]);
    recorder.record(0, epoch + ms(30));
    assert!(!recorder.is_pending(), "a duplicate is no news");
}

#[test]
fn the_draft_example_of_chunks_is_written_and_read() {
    // A run of 20 received, then a lost one among a few, 250 us apart.
    let epoch = Instant::now();
    let mut recorder = Recorder::new(epoch);
    for seq in (0..20).chain([21, 22]) {
        recorder.record(seq, epoch + Duration::from_micros(u64::from(seq) * 250));
    }
    let mut out = Vec::new();
    assert!(recorder.write(&mut out, 1, 2));
    let expected = [
        &[0x8f, 205, 0, 11, 0, 0, 0, 1, 0, 0, 0, 2][..],
        &[0, 0, 0, 23, 0, 0, 0, 0],
        // 20 small deltas in a run; then a vector of one bit each: lost, small, small.
        &[0x20, 20, 0b1001_1000, 0],
        &[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 0, 0],
    ]
    .concat();
    assert_eq!(out, expected);
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
    let remb = count(&rtcp, |packet| matches!(packet, RtcpPacket::Remb { bitrate } if *bitrate >= 1_000_000));
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

proptest! {
    #[test]
    fn another_implementation_reads_the_same(
        steps in prop::collection::vec((1u16..4, 0u64..100_000), 1..300),
    ) {
        use rtc_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
        use rtc_shared::marshal::Unmarshal;

        let epoch = Instant::now();
        let mut recorder = Recorder::new(epoch);
        let (mut seq, mut time) = (100, 0);
        for (step, wait) in steps {
            seq += step;
            time += wait;
            recorder.record(seq, epoch + Duration::from_micros(time));
        }
        for bytes in drain(&mut recorder) {
            let other = TransportLayerCc::unmarshal(&mut bytes.as_slice()).expect("well formed");
            let ours = read(std::slice::from_ref(&bytes));
            prop_assert_eq!(usize::from(other.packet_status_count), ours.len());
            prop_assert_eq!(other.base_sequence_number, ours[0].0);
            let mut received = Vec::new();
            for chunk in &other.packet_chunks {
                match chunk {
                    PacketStatusChunk::RunLengthChunk(run) => received.extend(std::iter::repeat_n(
                        run.packet_status_symbol != SymbolTypeTcc::PacketNotReceived,
                        run.run_length.into(),
                    )),
                    PacketStatusChunk::StatusVectorChunk(vector) => received
                        .extend(vector.symbol_list.iter().map(|s| *s != SymbolTypeTcc::PacketNotReceived)),
                }
            }
            received.truncate(ours.len());
            prop_assert_eq!(received, ours.iter().map(|(_, at)| at.is_some()).collect::<Vec<_>>());
            let mut time = i64::from(other.reference_time) * 64_000;
            let mut times = Vec::new();
            for delta in &other.recv_deltas {
                time += delta.delta;
                times.push(time);
            }
            prop_assert_eq!(times, ours.iter().filter_map(|(_, at)| *at).collect::<Vec<_>>());
        }
    }
}
