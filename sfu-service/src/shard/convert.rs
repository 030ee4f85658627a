//! From what SDP agreed on to what a shard's core works with.

use contract::destination::Source;
use rtp::{Codec, Extension, Extensions, MediaKind, Mid, Rid};
use sfu_core::{EncodingConfig, Format, TrackConfig, TrackIndex};
use transport::sdp;

use crate::registry::{SOURCES, slot};

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
        let rid = |rid: &sdp::Rid| Rid::new(rid.as_str().as_bytes()).ok();
        media.rids.iter().map(|name| EncodingConfig { rid: rid(name), ..EncodingConfig::default() }).collect()
    };
    TrackConfig {
        kind: kind(media.source),
        mid: mid(&media.mid),
        formats: vec![format(&media.codec)],
        encodings,
    }
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
        formats: vec![Format { payload_type: 64, rtx: None, nack: false, codec, profile: 0, clock_rate }],
        encodings: vec![EncodingConfig::default()],
    }
}

/// Audio or video.
pub(crate) fn kind(source: Source) -> MediaKind {
    match source {
        Source::Microphone | Source::ScreenAudio => MediaKind::Audio,
        Source::Camera | Source::Screen => MediaKind::Video,
    }
}

/// Name of a media section.
pub(crate) fn mid(mid: &sdp::Mid) -> Mid {
    Mid::new(mid.as_str().as_bytes()).expect("SDP's mids have 1 to 16 bytes as well")
}

/// A payload type. Profiles are left out: which decoder suits a stream was decided when the answer was written,
/// which has one payload type a codec.
pub(crate) fn format(codec: &sdp::Codec) -> Format {
    Format {
        payload_type: codec.payload_type,
        rtx: codec.rtx,
        nack: codec.feedback.nack,
        codec: match codec.format {
            sdp::CodecFormat::Opus => Codec::Opus,
            sdp::CodecFormat::H264(_) => Codec::H264,
            sdp::CodecFormat::Vp9 => Codec::Vp9,
            sdp::CodecFormat::Vp8 => Codec::Vp8,
            sdp::CodecFormat::Av1 => Codec::Av1,
        },
        profile: 0,
        clock_rate: codec.format.clock_rate(),
    }
}

/// Header extension ids.
pub(crate) fn extensions(map: &sdp::ExtensionMap) -> Extensions {
    map.iter().fold(Extensions::new(), |known, (extension, id)| match Extension::from_uri(extension.uri()) {
        Some(extension) => known.with(extension, id),
        None => known,
    })
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

    #[test]
    fn every_negotiated_extension_is_known_to_the_core() {
        let mut map = sdp::ExtensionMap::default();
        for (index, extension) in sdp::Extension::ALL.into_iter().enumerate() {
            assert!(map.insert(extension, index as u8 + 1));
        }
        let converted = extensions(&map);
        for (extension, id) in map.iter() {
            let known = Extension::from_uri(extension.uri()).unwrap_or_else(|| panic!("{extension:?}"));
            assert_eq!(converted.id(known), Some(id));
        }
    }
}
