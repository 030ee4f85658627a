use rtp::{Header, HeaderWriter};

use super::*;

const VIDEO: u32 = 10;
const RTX: u32 = 11;
const SOUND: u32 = 20;
const US: u32 = 99;

fn config() -> ViewerConfig {
    let video = StreamConfig {
        ssrc: Some(VIDEO),
        rtx_ssrc: Some(RTX),
        codecs: vec![(96, CodecFormat::Vp8)],
        rtx_payload_types: vec![97],
    };
    let sound =
        StreamConfig { ssrc: Some(SOUND), codecs: vec![(111, CodecFormat::Opus)], ..StreamConfig::default() };
    ViewerConfig { ssrc: US, streams: vec![sound, video], transport_cc: Some(3), capture_time: Some(4) }
}

struct Bed {
    viewer: Viewer,
    totals: Totals,
    epoch: Epoch,
    start: Instant,
}

impl Bed {
    fn new(config: ViewerConfig, view: &View) -> Self {
        let start = Instant::now();
        let epoch = Epoch::new(start, Duration::from_secs(100));
        // Number 0: its first report is due at once.
        let viewer = Viewer::new(config, view, 0, epoch, start, start);
        Self { viewer, totals: Totals::default(), epoch, start }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Packet `index` of frames of two packets each, 40 ms apart; the first is a keyframe. Sent 5 ms ago.
    fn video(&self, index: u16, ms: u64, with_extensions: bool) -> Vec<u8> {
        let (first, key) = (index.is_multiple_of(2), index < 2);
        let descriptor = if first { 0x10 } else { 0 };
        let payload = [descriptor, u8::from(!key), 1, 2];
        let timestamp = u32::from(index / 2) * 3_600;
        self.packet(VIDEO, 96, index, !first, timestamp, &payload, ms, with_extensions)
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a header")]
    fn packet(
        &self,
        ssrc: u32,
        payload_type: u8,
        sequence: u16,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        ms: u64,
        with_extensions: bool,
    ) -> Vec<u8> {
        let mut writer = HeaderWriter::new();
        writer.start(&Header { marker, payload_type, sequence, timestamp, ssrc, padded: false }, false);
        if with_extensions {
            writer.element(3, &sequence.to_be_bytes());
            let sent = self.at(ms).checked_sub(Duration::from_millis(5)).unwrap_or(self.start);
            writer.element(4, &self.epoch.ntp(sent).to_be_bytes());
        }
        writer.finish();
        [writer.bytes(), payload].concat()
    }

    fn take(&mut self, bytes: &[u8], ms: u64) {
        let now = self.at(ms);
        self.viewer.handle_rtp(bytes, true, now, &mut self.totals);
    }

    /// What it says at `ms`.
    fn says(&mut self, ms: u64) -> Vec<u8> {
        let (mut out, now) = (Vec::new(), self.at(ms));
        self.viewer.handle_timeout(now, &mut out, &mut self.totals);
        out
    }
}

fn nacked(compound: &[u8]) -> Vec<u16> {
    let numbers = |packet| match packet {
        RtcpPacket::Nack { media_ssrc, missing } => {
            assert_eq!(media_ssrc, VIDEO);
            missing.iter().collect()
        }
        _ => Vec::new(),
    };
    Compound::new(compound).flat_map(numbers).collect()
}

fn plis(compound: &[u8]) -> usize {
    Compound::new(compound).filter(|packet| matches!(packet, RtcpPacket::Pli { media_ssrc: VIDEO })).count()
}

#[test]
fn frames_delay_and_reports_of_a_stream_without_loss() {
    let mut bed = Bed::new(config(), &View::default());
    for index in 0..50u16 {
        let ms = 10 + u64::from(index / 2) * 40;
        let bytes = bed.video(index, ms, true);
        bed.take(&bytes, ms);
    }
    let totals = &bed.totals;
    assert_eq!((totals.packets, totals.expected, totals.arrived, totals.frames), (50, 50, 50, 25));
    assert_eq!((totals.first_packet_time.quantile(1.0), totals.first_frame_time.count()), (Some(10_239), 1));
    assert!((4_990..=5_120).contains(&totals.delay.quantile(0.5).unwrap()));
    assert!((4_990..=5_120).contains(&totals.delay.quantile(1.0).unwrap()));
    let summary = bed.viewer.summary(bed.at(1_000));
    assert!(summary.served && !summary.frozen);
    assert_eq!(summary.jitter, Duration::ZERO);

    let said = bed.says(1_000);
    let packets: Vec<RtcpPacket<'_>> = Compound::new(&said).collect();
    let RtcpPacket::ReceiverReport { ssrc: US, blocks } = packets[0] else { panic!("{packets:?}") };
    let block = blocks.iter().next().unwrap();
    assert_eq!((block.ssrc, block.lost, block.fraction_lost, block.highest & 0xFFFF), (VIDEO, 0, 0, 49));
    let RtcpPacket::TransportFeedback { body } = packets[1] else { panic!("{packets:?}") };
    let mut came = 0;
    twcc::Feedback::parse(body).unwrap().for_each(|_, arrival| came += u32::from(arrival.is_some()));
    assert_eq!(came, 50);
    assert_eq!(packets.len(), 2);
    assert!(bed.says(1_001).is_empty(), "nothing is due twice");
}

#[test]
fn what_is_missing_is_asked_for_and_a_retransmission_repairs_it() {
    let mut bed = Bed::new(config(), &View::default());
    for index in (0..10).filter(|index| ![4, 5].contains(index)) {
        let bytes = bed.video(index, 10, false);
        bed.take(&bytes, 10);
    }
    assert_eq!(bed.totals.frames, 2);
    assert!(nacked(&bed.says(15)).is_empty(), "it may only be late");
    assert_eq!(nacked(&bed.says(20)), [4, 5]);
    assert!(nacked(&bed.says(60)).is_empty());
    assert_eq!(nacked(&bed.says(80)), [4, 5]);
    for index in [4u16, 5] {
        let original = bed.video(index, 10, false);
        let view = RtpPacket::parse(&original).unwrap();
        let payload = [&index.to_be_bytes(), view.payload()].concat();
        let bytes = bed.packet(RTX, 97, 7 + index, view.marker, view.timestamp, &payload, 90, false);
        bed.take(&bytes, 90);
    }
    let totals = &bed.totals;
    assert_eq!((totals.frames, totals.arrived, totals.recovered, totals.lost()), (5, 8, 2, 0));
    assert_eq!(totals.nacked, 4);
    assert!(nacked(&bed.says(200)).is_empty());
}

#[test]
fn what_never_came_came_again_or_came_late_is_told_apart() {
    const LATE: u16 = 60;
    let mut bed = Bed::new(config(), &View::default());
    for index in (0..100u16).filter(|index| ![20, 21, 40, LATE].contains(index)) {
        let ms = 10 + u64::from(index / 2) * 40;
        let bytes = bed.video(index, ms, true);
        bed.take(&bytes, ms);
        // Overtaken by the next frame.
        if index == LATE + 3 {
            let bytes = bed.video(LATE, ms - 40, true);
            bed.take(&bytes, ms);
        }
    }
    let original = bed.video(40, 810, true);
    let view = RtpPacket::parse(&original).unwrap();
    let payload = [&40u16.to_be_bytes(), view.payload()].concat();
    let again = bed.packet(RTX, 97, 7, view.marker, view.timestamp, &payload, 2_000, true);
    bed.take(&again, 2_100);

    let totals = &bed.totals;
    assert_eq!((totals.expected, totals.arrived, totals.recovered, totals.lost()), (100, 97, 1, 2));
    assert!((totals.loss() - 0.02).abs() < 1e-9 && (totals.raw_loss() - 0.03).abs() < 1e-9);
    assert_eq!(totals.delay.count(), 97, "a retransmission says nothing of the way");
    assert!((44_900..=47_000).contains(&totals.delay.quantile(1.0).unwrap()), "the late one");
    assert!((4_990..=5_120).contains(&totals.delay.quantile(0.95).unwrap()));
    assert_eq!(bed.viewer.summary(bed.at(2_100)).jitter, Duration::ZERO, "the late one is left out");
    let said = bed.says(2_100);
    let Some(RtcpPacket::ReceiverReport { blocks, .. }) = Compound::new(&said).next() else {
        panic!("{said:?}")
    };
    let block = blocks.iter().next().unwrap();
    assert_eq!((block.ssrc, block.lost, block.fraction_lost), (VIDEO, 2, (2 * 256 / 100) as u8));
}

#[test]
fn sound_that_comes_again_as_it_was_is_repaired() {
    let mut bed = Bed::new(config(), &View::default());
    let sound = |bed: &Bed, index: u16, ms| {
        bed.packet(SOUND, 111, index, false, u32::from(index) * 960, &[1], ms, true)
    };
    for index in (0..10u16).filter(|index| *index != 4) {
        let ms = 10 + u64::from(index) * 20;
        let bytes = sound(&bed, index, ms);
        bed.take(&bytes, ms);
    }
    let asked = Compound::new(&bed.says(300))
        .any(|packet| matches!(packet, RtcpPacket::Nack { media_ssrc: SOUND, .. }));
    assert!(asked);
    let again = sound(&bed, 4, 90);
    bed.take(&again, 320);
    let totals = &bed.totals;
    assert_eq!((totals.expected, totals.arrived, totals.recovered, totals.lost()), (10, 9, 1, 0));
    assert_eq!(totals.delay.count(), 9, "its capture time says nothing of the way");
}

#[test]
fn whoever_does_not_ask_again_asks_for_a_keyframe_once_the_picture_stands() {
    let mut bed = Bed::new(config(), &View { nack_share: 0.0, ..View::default() });
    for index in (0..10).filter(|index| *index != 4) {
        let bytes = bed.video(index, 10, false);
        bed.take(&bytes, 10);
    }
    assert!(nacked(&bed.says(50)).is_empty());
    assert_eq!(plis(&bed.says(100)), 0);
    assert_eq!(plis(&bed.says(210)), 1);
    assert_eq!(plis(&bed.says(220)), 0);
    assert_eq!(plis(&bed.says(710)), 1);
    assert!(bed.viewer.summary(bed.at(900)).frozen);
    // A keyframe frees it.
    let key = [bed.packet(VIDEO, 96, 10, true, 90_000, &[0x10, 0, 1, 2], 900, false)];
    bed.take(&key[0], 900);
    assert!(!bed.viewer.summary(bed.at(901)).frozen);
    assert_eq!(bed.totals.freezes, 1);
    assert_eq!(plis(&bed.says(2_000)), 0);
}

#[test]
fn never_means_never() {
    let mut bed = Bed::new(config(), &View { pli: Pli::Never, ..View::default() });
    let bytes = bed.video(2, 10, false);
    bed.take(&bytes, 10);
    assert_eq!(plis(&bed.says(5_000)), 0);
    let mut bed = Bed::new(config(), &View { pli: Pli::Join, ..View::default() });
    assert_eq!(plis(&bed.says(0)), 1);
}

#[test]
fn packets_are_looked_into_until_the_first_frame_and_while_the_picture_stands() {
    let mut bed = Bed::new(config(), &View { decrypt: Decrypt::OneIn(4), ..View::default() });
    assert!(!bed.viewer.skips(96));
    for index in 0..2 {
        let bytes = bed.video(index, 10, false);
        bed.take(&bytes, 10);
    }
    let looked = (0..100).filter(|_| !bed.viewer.skips(96)).count();
    assert_eq!(looked, 25);
    assert!(!bed.viewer.skips(97), "retransmissions always");
    let bytes = bed.video(3, 50, false);
    bed.take(&bytes, 50);
    assert!((0..10).all(|_| !bed.viewer.skips(96)));
    let mut bed = Bed::new(config(), &View { decrypt: Decrypt::All, ..View::default() });
    assert!((0..10).all(|_| !bed.viewer.skips(96)));
}

#[test]
fn undeclared_streams_are_known_by_their_payload_type_and_sound_alone_is_shown() {
    let mut undeclared = config();
    undeclared.streams.pop();
    undeclared.streams[0].ssrc = None;
    let mut bed = Bed::new(undeclared, &View::default());
    for index in 0..10u16 {
        let bytes = bed.packet(77, 111, index, false, u32::from(index) * 960, &[1, 2, 3], 0, false);
        bed.take(&bytes, u64::from(index) * 20);
    }
    assert_eq!((bed.totals.frames, bed.totals.expected), (10, 10));
    assert_eq!(bed.totals.first_frame_time.count(), 1);
    // A payload type that was never agreed on is nobody's.
    let bytes = bed.packet(78, 50, 1, false, 0, &[1, 2, 3], 0, false);
    bed.take(&bytes, 300);
    assert_eq!((bed.totals.packets, bed.totals.expected), (11, 10));
}

#[test]
fn any_bytes_are_taken() {
    let mut bed = Bed::new(config(), &View::default());
    for length in 0..40usize {
        for first in [0x80u8, 0x90, 0xB0, 0x0F, 0xFF] {
            let mut bytes = vec![0xFF; length];
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            bed.take(&bytes, 1);
            bed.viewer.handle_rtcp(&bytes, bed.start);
        }
    }
    assert!(bed.totals.refused > 0);
}
