//! What a publisher is to the control plane and to the shards: its connection, its sources, what it sends.

use contract::destination::Source;
use contract::layer::{EncodingWanted, EncodingsWanted, MediaEncodings};
use rtp::Extensions;
use sfu_core::TrackConfig;
use transport::sdp::CodecFormat;

/// Names a session inside this process, for good: keys are not used twice, and later ones are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(crate) u64);

/// The sources that a broadcast can carry, in the order of their slots.
pub(crate) const SOURCES: [Source; 4] =
    [Source::Microphone, Source::Camera, Source::Screen, Source::ScreenAudio];

/// Slot of a source.
pub(crate) fn slot(source: Source) -> usize {
    match source {
        Source::Microphone => 0,
        Source::Camera => 1,
        Source::Screen => 2,
        Source::ScreenAudio => 3,
    }
}

/// The codec of each slot that is published.
pub(crate) type Formats = [Option<CodecFormat>; SOURCES.len()];

/// What a publisher sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Header extension ids.
    pub(crate) extensions: Extensions,
    /// Its tracks by slot.
    pub(crate) tracks: Vec<TrackConfig>,
    /// Its codecs by slot; none where it sends nothing.
    pub(crate) formats: Formats,
    /// It listens to `goog-remb`.
    pub(crate) remb: bool,
    /// It takes RTCP of reduced size.
    pub(crate) reduced_size: bool,
}

impl Published {
    /// Every encoding of its simulcast tracks, wanted: what a publisher starts with.
    pub(crate) fn every_encoding(&self) -> EncodingsWanted {
        self.wanted(|_, _| true)
    }

    /// The encodings of its simulcast tracks, by index of track and encoding.
    pub(crate) fn wanted(&self, is_wanted: impl Fn(usize, usize) -> bool) -> EncodingsWanted {
        let simulcast = self.tracks.iter().enumerate().filter(|(_, track)| track.encodings.len() > 1);
        let media = simulcast.map(|(slot, track)| {
            let encodings = track.encodings.iter().enumerate().filter_map(|(index, encoding)| {
                let encoding_id = encoding.rid?.to_string();
                Some(EncodingWanted { encoding_id, wanted: is_wanted(slot, index) })
            });
            MediaEncodings { media_id: track.mid.to_string(), encodings: encodings.collect() }
        });
        EncodingsWanted { media: media.collect() }
    }
}

/// What a shard says of a publisher's track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackState {
    /// Where it comes from.
    pub(crate) source: Source,
    /// Codec name as in SDP.
    pub(crate) codec: &'static str,
    /// Media arrived within the last second.
    pub(crate) active: bool,
}
