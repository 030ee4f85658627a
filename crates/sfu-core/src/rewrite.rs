//! How a packet of a publisher is written for a subscriber.

use std::time::Instant;

use media::dependency;
use rtp::{Extension, Extensions, Header, HeaderWriter, MediaKind, Mid};

use crate::clock::WallClock;
use crate::packet::{Media, PASSED};
use crate::splice::Mapped;

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
    /// What was sent before is left out: redundant audio for who does not take it.
    pub(crate) strips: bool,
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
    let is_voice = mapped.csrc.is_some() && media.format.codec.kind() == MediaKind::Audio;
    let header = Header {
        // The marker of sound says that talk begins (RFC 3551, section 4.1): so it does with another voice.
        marker: media.ends_picture(mapped.layers) || (is_voice && mapped.begins),
        payload_type: dress.payload_type,
        sequence: dress.sequence,
        timestamp: mapped.timestamp,
        ssrc: dress.ssrc,
        padded: media.packet.padded,
    };
    begin(writer, &header, mapped.csrc, media.is_long(&dress.ids), dress, clock, now);
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
    let payload = media.payload(dress.strips);
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
    begin(writer, &header, mapped.csrc, false, dress, clock, now);
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
    begin(writer, &header, None, false, dress, clock, now);
    writer.finish();
}

/// Starts a packet with the extensions that are of this hop.
fn begin(
    writer: &mut HeaderWriter,
    header: &Header,
    csrc: Option<u32>,
    long: bool,
    dress: &Dress,
    clock: &WallClock,
    now: Instant,
) {
    let ids = &dress.ids;
    let high = Extension::ALL.iter().any(|&extension| ids.id(extension).is_some_and(|id| id > 14));
    writer.start(header, long || high);
    if let Some(csrc) = csrc {
        writer.contributing(csrc);
    }
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
