//! One packet of a publisher, and how it is written for a subscriber.

use std::time::Instant;

use media::dependency;
use rtp::seq::Seq;
use rtp::{Extension, Extensions, FIXED_HEADER, Header, HeaderWriter, Mid, RtpPacket};

use crate::clock::WallClock;
use crate::codec::{self, FrameInfo};
use crate::config::Format;
use crate::layers::{Layers, Mask};
use crate::splice::{Mapped, Source};
use crate::track::Encoding;

/// Extensions that go on to subscribers as they came.
const PASSED: [Extension; 7] = [
    Extension::AbsCaptureTime,
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::DependencyDescriptor,
    Extension::ColorSpace,
    Extension::VideoContentType,
];

/// A packet of a publisher, understood once for all its subscribers.
#[derive(Debug)]
pub(crate) struct Media<'a> {
    pub(crate) packet: RtpPacket<'a>,
    pub(crate) seq: Seq,
    pub(crate) source: Source,
    pub(crate) format: Format,
    pub(crate) info: FrameInfo,
    /// The picture id without its wrap.
    pub(crate) picture: Option<u64>,
    passed: [Option<&'a [u8]>; PASSED.len()],
    /// The capture time with its offset moved to this node's clock.
    capture: Option<[u8; 16]>,
    /// Whether a value needs the two-byte form of header extensions, for a subscriber that takes it.
    long: bool,
}

impl<'a> Media<'a> {
    pub(crate) fn new(
        packet: RtpPacket<'a>,
        seq: Seq,
        source: Source,
        format: Format,
        encoding: &Encoding,
        ids: &Extensions,
        clock_offset: Option<i64>,
    ) -> Self {
        let mut passed = [None; PASSED.len()];
        let mut long = false;
        for (id, value) in packet.elements() {
            let wanted =
                ids.extension(id).and_then(|found| PASSED.iter().position(|&passed| passed == found));
            if let Some(slot) = wanted.and_then(|place| passed.get_mut(place)) {
                long |= !(1..=16).contains(&value.len());
                *slot = Some(value);
            }
        }
        let [capture, .., descriptor, _, _] = passed;
        let capture = capture.and_then(|value| move_capture_time(value, clock_offset?));
        let info = codec::inspect(format.codec, packet.payload(), descriptor, encoding.structure());
        let picture = info.picture.id.map(|(_, id)| encoding.numbers.picture(id));
        Self { packet, seq, source, format, info, picture, passed, capture, long }
    }

    /// A packet that carries nothing for viewers, but has a number of the stream, whose format this is.
    pub(crate) fn nothing(packet: RtpPacket<'a>, seq: Seq, source: Source, format: Format) -> Self {
        let info = FrameInfo { mask: Mask::NONE, ..FrameInfo::default() };
        let passed = [None; PASSED.len()];
        Self { packet, seq, source, format, info, picture: None, passed, capture: None, long: false }
    }

    /// How long the packet is in the one-byte form of header extensions when `own` bytes of elements are of this hop.
    pub(crate) fn len(&self, ids: &Extensions, own: usize) -> usize {
        let passed = PASSED.iter().zip(&self.passed).filter(|(extension, _)| ids.id(**extension).is_some());
        let passed: usize = passed.filter_map(|(_, value)| value.map(|value| value.len() + 1)).sum();
        // An offset that this hop adds makes a capture time longer.
        let capture = self.passed.first().copied().flatten().zip(self.capture);
        let longer = capture.map_or(0, |(value, moved)| moved.len().saturating_sub(value.len()));
        let elements = (own + passed + longer).next_multiple_of(4);
        let header = if elements > 0 { FIXED_HEADER + 4 + elements } else { FIXED_HEADER };
        header + self.packet.padded_payload().len()
    }

    /// Whether it needs the two-byte form of header extensions for a subscriber with these ids, who else may not
    /// know that form.
    fn is_long(&self, ids: &Extensions) -> bool {
        let long = |value: &Option<&[u8]>| value.is_some_and(|value| !(1..=16).contains(&value.len()));
        let mut passed = PASSED.iter().zip(&self.passed);
        self.long && passed.any(|(extension, value)| long(value) && ids.id(*extension).is_some())
    }

    /// Whether a picture ends with this packet for a subscriber that gets `layers`: with its highest spatial layer.
    pub(crate) fn ends_picture(&self, layers: Layers) -> bool {
        let highest = layers != Layers::ALL && self.info.spatial == layers.spatial();
        self.packet.marker || (self.info.ends && highest)
    }
}

/// An abs-capture-time with the offset of the capturer's clock made relative to this node: the subscriber's
/// sender reports are on this node's clock, so without it the capture time would be on a clock that the
/// subscriber does not know.
///
/// ```text
/// | NTP time of the capture, 64 bits | offset of its clock, 32.32 signed, optional |
/// ```
fn move_capture_time(value: &[u8], clock_offset: i64) -> Option<[u8; 16]> {
    let (time, rest) = value.split_first_chunk::<8>()?;
    let offset = rest.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    let moved = offset.wrapping_add(clock_offset);
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(time.iter().chain(&moved.to_be_bytes())) {
        *to = *from;
    }
    Some(out)
}

/// How a subscription writes its packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dress {
    pub(crate) ids: Extensions,
    /// The media section, while the subscriber may not know the SSRC yet.
    pub(crate) mid: Option<Mid>,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    /// The original number, for a retransmission in a stream of its own.
    pub(crate) original: Option<u16>,
    /// The transport-wide number.
    pub(crate) transport: Option<u16>,
    /// Whether the packet must be the same bytes whenever it is written. Without a retransmission stream a
    /// repeated packet has the same SRTP index, so any other content would reuse the cipher's nonce.
    pub(crate) repeatable: bool,
    /// A packet that is a little shorter than this is padded.
    pub(crate) length: usize,
}

/// Writes the header of `media` as `dress` says, with the start of the payload as far as it changes. Returns
/// the rest of the payload.
pub(crate) fn write<'a>(
    writer: &mut HeaderWriter,
    media: &Media<'a>,
    mapped: &Mapped,
    dress: &Dress,
    clock: &WallClock,
    now: Instant,
) -> &'a [u8] {
    let header = Header {
        marker: media.ends_picture(mapped.layers),
        payload_type: dress.payload_type,
        sequence: dress.sequence,
        timestamp: mapped.timestamp,
        ssrc: dress.ssrc,
        padded: media.packet.padded,
    };
    begin(writer, &header, media.is_long(&dress.ids), dress, clock, now);
    let ids = &dress.ids;
    for (extension, value) in PASSED.iter().zip(&media.passed) {
        let (Some(id), Some(value)) = (ids.id(*extension), value) else { continue };
        match &media.capture {
            Some(moved) if *extension == Extension::AbsCaptureTime && !dress.repeatable => {
                writer.element(id, moved)
            }
            _ if *extension == Extension::DependencyDescriptor => {
                let before = writer.bytes().len();
                writer.element(id, value);
                let written = writer.bytes().len().saturating_sub(before);
                let value = writer.tail_mut(written.min(value.len()));
                dependency::rewrite(value, mapped.frame_offset, mapped.template_offset);
            }
            _ => writer.element(id, value),
        }
    }
    writer.finish();
    if let Some(original) = dress.original {
        writer.append(&original.to_be_bytes());
    }
    let payload = media.packet.padded_payload();
    if mapped.picture_offset == 0 && mapped.tl0_offset == 0 {
        return payload;
    }
    let picture = &media.info.picture;
    let Some((start, rest)) = payload.split_at_checked(picture.len()) else { return payload };
    writer.append(start);
    picture.rewrite(writer.tail_mut(start.len()), mapped.picture_offset, mapped.tl0_offset);
    rest
}

/// Writes a packet that keeps the place of one whose layer the subscriber does not get: one byte of padding.
pub(crate) fn write_filler(
    writer: &mut HeaderWriter,
    mapped: &Mapped,
    dress: &Dress,
    clock: &WallClock,
    now: Instant,
) {
    let Dress { payload_type, sequence, ssrc, .. } = *dress;
    let timestamp = mapped.timestamp;
    let header = Header { marker: false, payload_type, sequence, timestamp, ssrc, padded: true };
    begin(writer, &header, false, dress, clock, now);
    writer.finish();
    if let Some(original) = dress.original {
        writer.append(&original.to_be_bytes());
    }
    writer.append(&[1]);
}

/// Writes the header of a packet that is nothing but padding.
pub(crate) fn write_padding(writer: &mut HeaderWriter, dress: &Dress, clock: &WallClock, now: Instant) {
    let Dress { payload_type, sequence, ssrc, .. } = *dress;
    let header = Header { marker: false, payload_type, sequence, timestamp: 0, ssrc, padded: true };
    begin(writer, &header, false, dress, clock, now);
    writer.finish();
}

/// Starts a packet with the extensions that are of this hop.
fn begin(
    writer: &mut HeaderWriter,
    header: &Header,
    long: bool,
    dress: &Dress,
    clock: &WallClock,
    now: Instant,
) {
    let ids = &dress.ids;
    let high = Extension::ALL.iter().any(|&extension| ids.id(extension).is_some_and(|id| id > 14));
    writer.start(header, long || high);
    if let (Some(id), Some(mid)) = (ids.id(Extension::Mid), &dress.mid) {
        writer.element(id, mid.as_bytes());
    }
    if dress.repeatable {
        return;
    }
    if let Some(id) = ids.id(Extension::AbsSendTime) {
        let [_, time @ ..] = clock.abs_send_time(now).to_be_bytes();
        writer.element(id, &time);
    }
    if let (Some(id), Some(number)) = (ids.id(Extension::TransportCc), dress.transport) {
        writer.element(id, &number.to_be_bytes());
    }
}
