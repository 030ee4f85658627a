//! A packet of a publisher, understood once for all its subscribers, and the ring that it is read from.

use std::time::Instant;

use rtp::ntp::Ntp;
use rtp::seq::Seq;
use rtp::{Extension, Extensions, FIXED_HEADER, MediaKind, RtpPacket};

use crate::clock::ClockMapping;
use crate::codec::{self, FrameInfo};
use crate::config::Format;
use crate::encoding::{Encoding, Entry};
use crate::ids::StreamId;
use crate::layers::{Layers, Mask};

/// Extensions that go on to subscribers as they came.
pub(crate) const PASSED: [Extension; 7] = [
    Extension::AbsCaptureTime,
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::DependencyDescriptor,
    Extension::ColorSpace,
    Extension::VideoContentType,
];

/// Packets of sound that are gone back at most: 100 ms of 10 each.
const MAX_BACK: u64 = 10;

/// A packet of a publisher, understood once for all its subscribers.
#[derive(Debug)]
pub(crate) struct Media<'a> {
    pub(crate) packet: RtpPacket<'a>,
    pub(crate) seq: Seq,
    pub(crate) stream: StreamId,
    pub(crate) format: Format,
    pub(crate) info: FrameInfo,
    /// The picture id without its wrap.
    pub(crate) picture: Option<u64>,
    pub(crate) passed: [Option<&'a [u8]>; PASSED.len()],
    /// The capture time with its offset moved to this node's clock.
    pub(crate) capture: Option<[u8; 16]>,
    /// Whether a value needs the two-byte form of header extensions, for a subscriber that takes it.
    long: bool,
    /// So many bytes of the payload were sent before: redundant audio.
    redundancy: usize,
}

impl<'a> Media<'a> {
    pub(crate) fn new(packet: RtpPacket<'a>, seq: Seq, format: Format, view: &StreamView<'_>) -> Self {
        let &StreamView { id: stream, encoding, ids, clock_offset, .. } = view;
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
        let payload = packet.payload();
        let redundancy = format.primary(payload).map_or(0, |primary| payload.len() - primary.len());
        Self { packet, seq, stream, format, info, picture, passed, capture, long, redundancy }
    }

    /// A packet that carries nothing for viewers, but has a number of the stream, whose format this is.
    fn nothing(packet: RtpPacket<'a>, seq: Seq, format: Format, view: &StreamView<'_>) -> Self {
        let info = FrameInfo { mask: Mask::NONE, ..FrameInfo::default() };
        let (stream, passed) = (view.id, [None; PASSED.len()]);
        Self {
            packet,
            seq,
            stream,
            format,
            info,
            picture: None,
            passed,
            capture: None,
            long: false,
            redundancy: 0,
        }
    }

    /// The payload with its padding as it came, or without what was sent before.
    pub(crate) fn payload(&self, strips: bool) -> &'a [u8] {
        let whole = self.packet.padded_payload();
        if strips { whole.get(self.redundancy..).unwrap_or_default() } else { whole }
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
    pub(crate) fn is_long(&self, ids: &Extensions) -> bool {
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

/// A stream as the ring has it, with what is needed to read its packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamView<'a> {
    pub(crate) id: StreamId,
    pub(crate) encoding: &'a Encoding,
    pub(crate) formats: &'a [Format],
    pub(crate) ids: &'a Extensions,
    /// This node's time less the publisher's, if its reports have told it.
    pub(crate) clock_offset: Option<i64>,
    /// The source that it is, in a call.
    pub(crate) csrc: Option<u32>,
}

impl<'a> StreamView<'a> {
    /// Reads a packet of the ring; `None` if it never came or is no longer kept.
    pub(crate) fn read(&self, seq: Seq) -> Option<Media<'a>> {
        let packet = RtpPacket::parse(self.encoding.ring.get(seq)?).ok()?;
        let format = self.formats.iter().find(|format| format.payload_type == packet.payload_type);
        match format.filter(|format| format.primary(packet.payload()).is_some()) {
            Some(&format) => Some(Media::new(packet, seq, format, self)),
            None => Some(Media::nothing(packet, seq, self.encoding.format?, self)),
        }
    }

    /// Whether this is what the encoding sends now: it has not started over since.
    pub(crate) fn is_current(&self) -> bool {
        self.encoding.run == self.id.run
    }

    /// How the timestamps lie on this node's clock, by the publisher's reports. Its offset of now, not that of the
    /// encoding's last report: one for sound and picture.
    pub(crate) fn clock(&self) -> Option<ClockMapping> {
        Some(ClockMapping { offset: self.clock_offset?, ..self.encoding.clock? })
    }

    /// Where a piece can begin that starts with what the ring has: at the last keyframe.
    pub(crate) fn entry(&self, now: Instant) -> Option<Entry> {
        let entry = self.encoding.entry(now)?;
        Some(Entry { live_at: self.time_of(entry.live, entry.clock_rate), ..entry })
    }

    /// Where the last keyframe begins, whatever came since: for a viewer who gets that one picture.
    pub(crate) fn keyframe(&self) -> Option<Entry> {
        let entry = self.encoding.keyframe_entry()?;
        Some(Entry { live_at: self.time_of(entry.live, entry.clock_rate), ..entry })
    }

    /// Where a piece begins that starts with `media` and nothing before it.
    pub(crate) fn entry_at(&self, media: &Media<'_>) -> Entry {
        let (timestamp, clock_rate) = (media.packet.timestamp, media.format.clock_rate);
        Entry {
            seq: media.seq,
            timestamp,
            live: timestamp,
            live_at: self.time_of(timestamp, clock_rate),
            picture: media.picture,
            tl0: media.info.picture.tl0.map(|(_, tl0)| tl0),
            frame: media.info.described.map(|described| described.number),
            template: media.info.described.and_then(|d| d.templates).map(|(first, _)| first),
            clock_rate,
            is_sound: media.format.codec.kind() == MediaKind::Audio,
        }
    }

    /// Where a piece of sound begins that goes back from `media` to what came since `from`.
    pub(crate) fn entry_since(&self, from: Instant, media: &Media<'_>) -> Entry {
        let entry = self.entry_at(media);
        let oldest = media.seq.saturating_sub(MAX_BACK).max(self.encoding.began.unwrap_or(media.seq));
        let came_since = |seq: &Seq| self.encoding.ring.arrival(*seq).is_some_and(|at| at >= from);
        let first = (oldest..media.seq).find(came_since).and_then(|seq| self.read(seq));
        // What a clock that jumped has sent before is not gone back to.
        let is_near = |first: &Media<'_>| {
            media.packet.timestamp.wrapping_sub(first.packet.timestamp) <= media.format.clock_rate / 2
        };
        match first.filter(is_near) {
            Some(first) => Entry { seq: first.seq, timestamp: first.packet.timestamp, ..entry },
            None => entry,
        }
    }

    fn time_of(&self, timestamp: u32, clock_rate: u32) -> Option<Ntp> {
        self.clock().map(|clock| clock.ntp_at(timestamp, clock_rate))
    }
}
