//! From what SDP agreed on to what a shard's core works with.

use contract::destination::Source;
use rtp::{Codec, MediaKind, Mid};
use sfu_core::{EncodingConfig, Format, TrackConfig, TrackIndex};
use transport::sdp;

use crate::published::{SOURCES, slot};

/// Index of a source's track: the same for every publisher of a room, so that its subscriptions survive the
/// publisher's reconnect.
pub(crate) fn track_index(source: Source) -> TrackIndex {
    TrackIndex(slot(source) as u8)
}

/// The tracks of a publisher by slot. A source that it does not offer keeps its place, with a media section that
/// no packet can name.
pub(crate) fn tracks(media: &[sdp::PublishMedia]) -> Vec<TrackConfig> {
    let track = |source: &Source| match media.iter().find(|media| media.source == *source) {
        Some(media) => track(media),
        None => absent(*source),
    };
    SOURCES.iter().map(track).collect()
}

fn track(media: &sdp::PublishMedia) -> TrackConfig {
    let encodings = if media.rids.is_empty() {
        let ssrc = media.ssrcs.first();
        let encoding = EncodingConfig {
            rid: None,
            ssrc: ssrc.map(|pair| pair.media),
            rtx_ssrc: ssrc.and_then(|pair| pair.rtx),
        };
        vec![encoding]
    } else {
        media.rids.iter().map(|rid| EncodingConfig { rid: Some(*rid), ..EncodingConfig::default() }).collect()
    };
    let formats = std::iter::once(&media.codec).chain(&media.others).chain(&media.redundancy);
    let formats = formats.map(format).collect();
    let kind = kind(media.source);
    TrackConfig { kind, mid: media.mid, formats, encodings, csrc: None }
}

fn absent(source: Source) -> TrackConfig {
    // A space is in no mid: `token` of RFC 8866 does not have it.
    let name = format!(" {}", slot(source));
    let (codec, clock_rate) = match kind(source) {
        MediaKind::Audio => (Codec::Opus, 48_000),
        MediaKind::Video => (Codec::Vp8, 90_000),
    };
    TrackConfig {
        kind: kind(source),
        mid: Mid::new(name.as_bytes()).expect("two bytes fit a mid"),
        // No packet has this payload type: RTCP would be taken for it (RFC 5761, section 4).
        formats: vec![Format {
            payload_type: 64,
            rtx: None,
            nack: false,
            codec,
            clock_rate,
            redundant: None,
        }],
        encodings: vec![EncodingConfig::default()],
        csrc: None,
    }
}

/// Audio or video.
pub(crate) fn kind(source: Source) -> MediaKind {
    match source {
        Source::Microphone | Source::ScreenAudio => MediaKind::Audio,
        Source::Camera | Source::Screen => MediaKind::Video,
    }
}

/// A payload type. Profiles are left out: which decoder suits a stream was decided when the answer was written,
/// which has one payload type a codec.
pub(crate) fn format(codec: &sdp::PayloadFormat) -> Format {
    Format {
        payload_type: codec.payload_type,
        rtx: codec.rtx,
        nack: codec.feedback.nack,
        codec: codec.format.codec(),
        clock_rate: codec.format.clock_rate(),
        redundant: codec.redundant(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_keeps_its_place_whoever_offers_what() {
        let tracks = tracks(&[]);
        assert_eq!(tracks.len(), SOURCES.len());
        for (index, source) in SOURCES.into_iter().enumerate() {
            assert_eq!(track_index(source), TrackIndex(index as u8));
            assert_eq!(tracks[index].kind, kind(source));
        }
    }
}
