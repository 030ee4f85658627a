//! Transport-wide feedback, written and read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rtp::rtcp::{Compound, RtcpPacket};
use rtp::twcc::{Feedback, Recorder};

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
    recorder.record(1, epoch + Duration::from_millis(10));
    let statuses = |recorder: &mut Recorder| {
        let read = read(&drain(recorder));
        read.into_iter().map(|(seq, at)| (seq, at.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&mut recorder), [(65_534, true), (65_535, false), (0, false), (1, true)]);
    assert!(!recorder.is_pending());
    recorder.record(0, epoch + Duration::from_millis(20));
    assert_eq!(statuses(&mut recorder), [(0, true), (1, true)]);
    recorder.record(0, epoch + Duration::from_millis(30));
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
