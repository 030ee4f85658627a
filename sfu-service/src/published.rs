//! What a publisher is to the control plane and to the shards: its connection, its sources, what it sends.

use contract::destination::Source;
use contract::id::{BroadcastId, ParticipantId};
use contract::layer::{EncodingWanted, EncodingsWanted, MediaEncodings};
use rtp::{Codec, Extensions};
use sfu_core::{Gate, SourceId, TrackConfig, TrackIndex, TrackName};
use transport::sdp::CodecFormat;

/// Names a session inside this process, for good: keys are not used twice, and later ones are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(crate) u64);

/// Names a room inside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RoomKey {
    /// The room of a broadcast.
    Broadcast(BroadcastId),
    /// The room of a group, by a number that this process gives it while somebody is in it. Numbers are not used twice.
    Group(u64),
}

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

/// The number of a source in a call, which its packets carry as CSRC: never 0, and unique in the room as the publisher's
/// name is. None for names beyond what the numbers reach.
pub(crate) fn csrc(source: SourceId, slot: usize) -> Option<u32> {
    let slot = u32::try_from(slot).ok().filter(|slot| *slot < SOURCES.len() as u32)?;
    source.0.checked_mul(SOURCES.len() as u32)?.checked_add(slot + 1)
}

/// The track that a number is of; see [`csrc`].
pub(crate) fn by_csrc(csrc: u32) -> Option<TrackName> {
    let index = csrc.checked_sub(1)?;
    let (source, slot) = (index / SOURCES.len() as u32, index % SOURCES.len() as u32);
    Some(TrackName { source: SourceId(source), track: TrackIndex(u8::try_from(slot).ok()?) })
}

/// The codec of each slot that is published.
pub(crate) type Formats = [Option<CodecFormat>; SOURCES.len()];

/// Whether others get a source, by slot.
pub(crate) type SourceGates = [Gate; SOURCES.len()];

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
    /// Who it is, in a call: what its packets are bound with.
    pub(crate) participant: Option<ParticipantId>,
}

impl Published {
    /// Whether it may send a picture in VP8 or in H.264, as it is told.
    pub(crate) fn has_picture_choice(&self) -> bool {
        let takes = |track: &TrackConfig, codec| track.formats.iter().any(|format| format.codec == codec);
        let both = |track: &&TrackConfig| takes(track, Codec::Vp8) && takes(track, Codec::H264);
        self.tracks.iter().any(|track| both(&track))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_source_and_back() {
        assert_eq!((csrc(SourceId(0), 0), csrc(SourceId(1), 3)), (Some(1), Some(8)));
        assert_eq!((by_csrc(0), csrc(SourceId(0), 4), csrc(SourceId(u32::MAX), 0)), (None, None, None));
        for number in [1, 2, 7, 1_000, u32::MAX - 1] {
            let name = by_csrc(number).unwrap();
            assert_eq!(csrc(name.source, usize::from(name.track.0)), Some(number));
        }
    }
}
