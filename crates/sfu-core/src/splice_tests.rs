use std::time::Duration;

use media::PictureId;
use rtp::{Codec, Extensions, MediaKind, RtpPacket};

use super::*;
use crate::config::{EncodingConfig, Format, TrackConfig};
use crate::ids::PublisherId;
use crate::packet::StreamView;
use crate::track::Track;

const A: StreamId =
    StreamId { publisher: PublisherId { index: 0, generation: 0 }, track: 0, encoding: 0, run: 1 };
const B: StreamId = StreamId { encoding: 1, ..A };
const FORMAT: Format = Format {
    payload_type: 96,
    rtx: None,
    nack: true,
    codec: Codec::Vp8,
    clock_rate: 90_000,
    redundant: None,
};

/// A VP8 packet with a picture id and a TL0PICIDX.
fn packet(timestamp: u32, id: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, 96, 0, 0];
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x90, 0xe0, (id >> 8) as u8 | 0x80, id as u8, id as u8, 0x20, 1]);
    bytes
}

/// What a packet that is `seq` to its publisher is to the subscriber.
fn map(
    map: &mut SpliceMap,
    stream: StreamId,
    seq: Seq,
    timestamp: u32,
    id: u16,
    now: Instant,
) -> Option<Mapped> {
    let config = TrackConfig {
        kind: MediaKind::Video,
        mid: "0".parse().unwrap(),
        formats: vec![FORMAT],
        encodings: vec![EncodingConfig::default()],
        csrc: None,
    };
    let track = Track::new(config);
    let bytes = packet(timestamp, id);
    let packet = RtpPacket::parse(&bytes).unwrap();
    let encoding = &track.encodings[0];
    let ids = Extensions::new();
    let view =
        StreamView { id: stream, encoding, formats: &[FORMAT], ids: &ids, clock_offset: None, csrc: None };
    let media = Media::new(packet, seq, FORMAT, &view);
    map.map(&media, &encoding.numbers, now)
}

fn entry(seq: Seq, timestamp: u32, id: u16) -> Entry {
    let numbers = Numbers::default();
    Entry {
        seq,
        timestamp,
        live: timestamp,
        is_sound: false,
        live_at: None,
        picture: Some(numbers.picture(PictureId::Long(id))),
        tl0: Some(id as u8),
        frame: None,
        template: None,
        clock_rate: 90_000,
    }
}

fn original(map: &SpliceMap, seq: Seq) -> Option<(StreamId, Seq)> {
    map.unmap(seq, |_| Some(Box::leak(Box::default()))).map(|original| (original.stream, original.seq))
}

#[test]
fn the_next_piece_goes_on_without_a_gap() {
    let now = Instant::now();
    let mut splice = SpliceMap::new(1000, 5000);
    splice.begin(A, None, Layers::ALL, &entry(70_000, 100, 7), now);
    let first = map(&mut splice, A, 70_000, 100, 7, now).unwrap();
    assert_eq!((first.seq as u16, first.timestamp, first.picture_offset), (1000, 5000, 0));
    let lost_one = map(&mut splice, A, 70_002, 3100, 8, now).unwrap();
    assert_eq!(lost_one.seq as u16, 1002, "what the publisher lost stays a gap");
    assert_eq!(map(&mut splice, A, 69_999, 0, 6, now), None, "from before the piece");
    let later = now + Duration::from_millis(100);
    splice.begin(B, None, Layers::ALL, &entry(900_000, 4_000_000_000, 500), later);
    let next = map(&mut splice, B, 900_000, 4_000_000_000, 500, later).unwrap();
    assert_eq!(next.seq, lost_one.seq + 1);
    assert_eq!(next.timestamp, lost_one.timestamp + 9000, "100 ms later");
    assert_eq!(500u16.wrapping_add(next.picture_offset) & 0x7fff, 9);
    assert_eq!((500u16 as u8).wrapping_add(next.tl0_offset), 9);
    // A NACK finds both pieces.
    assert_eq!(original(&splice, lost_one.seq - 1), Some((A, 70_001)));
    assert_eq!(original(&splice, next.seq), Some((B, 900_000)));
    assert_eq!(original(&splice, next.seq + 1), None);
}

#[test]
fn a_backlog_is_squeezed_and_stays_in_order() {
    let now = Instant::now();
    let mut splice = SpliceMap::new(0, 0);
    // A keyframe 800 ms ago, 24 frames since.
    let live = 1_000_000;
    splice.begin(A, None, Layers::ALL, &Entry { live, ..entry(10, live - 72_000, 0) }, now);
    let stamps: Vec<_> = (0..=26u32)
        .filter_map(|frame| map(&mut splice, A, 10 + u64::from(frame), live - 72_000 + frame * 3000, 0, now))
        .map(|mapped| mapped.timestamp)
        .collect();
    assert!(stamps.is_sorted_by(|a, b| a < b));
    assert_eq!(stamps[24] - stamps[0], 72_000 / 16);
    assert_eq!([stamps[25] - stamps[24], stamps[26] - stamps[25]], [3000, 3000], "live from there on");
    assert_eq!(original(&splice, (1 << 16) + 5), Some((A, 15)));
    assert_eq!(map(&mut splice, A, 15, live - 72_000 + 15_000, 0, now).map(|m| m.timestamp), Some(stamps[5]));
}

#[test]
fn a_piece_begins_on_the_line_of_the_sender_reports() {
    let now = Instant::now();
    let mut splice = SpliceMap::new(0, 0);
    splice.begin(A, None, Layers::ALL, &entry(10, 0, 0), now);
    map(&mut splice, A, 10, 0, 0, now).unwrap();
    // Its timestamp 9000 is 1 s after the epoch.
    splice.told(1 << 32, 9_000);
    let begin = |splice: &mut SpliceMap, live_at, seq| {
        let at = now + Duration::from_millis(100);
        splice.begin(B, None, Layers::ALL, &Entry { live_at, ..entry(seq, 7_000, 0) }, at);
        map(splice, B, seq, 7_000, 0, at).unwrap().timestamp
    };
    let quarter = 1 << 30;
    let captured = (1 << 32) + quarter;
    assert_eq!(
        begin(&mut splice, Some(captured), 500),
        31_500,
        "250 ms after what was told, whenever it came"
    );
    let wrong = 60 << 32;
    let last = splice.last_timestamp;
    assert_eq!(begin(&mut splice, Some(wrong), 600), last + 1, "a clock that is wrong counts for nothing");
    assert_eq!(begin(&mut splice, Some(0), 700), last + 2, "never back");
}

#[test]
fn a_picture_from_before_the_last_one_is_squeezed_onto_the_line() {
    let now = Instant::now();
    let mut splice = SpliceMap::new(0, 0);
    splice.begin(A, None, Layers::ALL, &entry(10, 0, 0), now);
    map(&mut splice, A, 10, 0, 0, now).unwrap();
    splice.told(1 << 32, 9_000);
    let last = map(&mut splice, A, 11, 90_000, 1, now).unwrap().timestamp;
    // It was captured 100 ms before the last one.
    let quarter = 1 << 30;
    let live_at = Some((1 << 32) + 4 * quarter - quarter * 4 / 10 - (9_000 << 32) / 90_000);
    let begins = 7_000;
    splice.begin(B, None, Layers::ALL, &Entry { live_at, ..entry(500, begins, 0) }, now);
    let line = splice.live_timestamp(begins).unwrap();
    assert!(timestamp_before(line, last), "{line}: before {last}");
    let stamps: Vec<u32> = (0..30u32)
        .map(|frame| {
            map(&mut splice, B, 500 + u64::from(frame), begins + frame * 3_000, 0, now).unwrap().timestamp
        })
        .collect();
    assert!(timestamp_before(last, stamps[0]), "after the last");
    assert!(stamps.is_sorted_by(|a, b| a < b));
    let on_line = |frame: usize| line + frame as u32 * 3_000;
    assert!(stamps[29] == on_line(29) && stamps[0] > on_line(0));
    let reached = (0..30).find(|&frame| stamps[frame] == on_line(frame)).unwrap();
    assert!(reached <= 8, "frame {reached}: it takes little longer than what it is behind");
}
