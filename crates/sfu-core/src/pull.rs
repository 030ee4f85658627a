//! What others take of the publishers of a shard: edges, which pull them for their own viewers, and readers of a ring.

use std::time::{Duration, Instant};

use rtp::MediaKind;

use crate::cursor::{Cursor, Read, ReadFrom};
use crate::encoding::Encoding;
use crate::ids::{EncodingIndex, PublisherId, TrackIndex};
use crate::shard::Shard;
use crate::sink::{ClockReport, KeyframePurpose, Missing, ToEdge};

impl Shard {
    /// Whether other shards want this publisher: its packets then also go to [`crate::Sink::to_edges`].
    pub fn set_pulled(&mut self, id: PublisherId, pulled: bool) {
        if let Some(publisher) = self.publishers.get_mut(id.key()) {
            publisher.pulled = pulled;
        }
    }

    /// A cursor to read an encoding with, or none if there is no such encoding. A hole is waited for `patience` long at
    /// most: [`crate::TAP_PATIENCE`], or nothing where whoever reads repairs it.
    #[must_use]
    pub fn open_cursor(
        &self,
        id: PublisherId,
        track: TrackIndex,
        encoding: EncodingIndex,
        from: ReadFrom,
        patience: Duration,
        now: Instant,
    ) -> Option<Cursor> {
        let of = self.encoding(id, track, encoding)?;
        Some(Cursor::open(id, (track, encoding), of, from, patience, now))
    }

    /// What `cursor` meets next. Read until it says [`Read::Wait`], or as much as there is room for: it goes on from
    /// there. Nothing is kept for it but what the ring keeps for everybody: about a second.
    pub fn read(&self, cursor: &mut Cursor, now: Instant) -> Read<'_> {
        match self.encoding(cursor.publisher, cursor.track, cursor.encoding) {
            Some(encoding) => cursor.read(encoding, now),
            None => Read::Gone,
        }
    }

    /// The clocks of a publisher's encodings as far as they are known, for a shard that begins to pull it.
    pub fn clocks(&self, id: PublisherId, mut take: impl FnMut(ToEdge<'_>)) {
        let Some(publisher) = self.publishers.get(id.key()) else { return };
        for (track, index) in publisher.tracks.iter().zip(0u8..) {
            for (encoding, number) in track.encodings.iter().zip(0u8..) {
                if let Some(clock) = encoding.clock {
                    let (track, encoding) = (TrackIndex(index), EncodingIndex(number));
                    take(ToEdge::Report(ClockReport { track, encoding, clock }));
                }
            }
        }
    }

    /// Hands out again what did not reach an edge ([`crate::Event::Missing`] there), as far as the ring has it.
    pub fn repeat(&self, id: PublisherId, missing: Missing, mut take: impl FnMut(ToEdge<'_>)) {
        let Missing { track, encoding, run, .. } = missing;
        let Some(of) = self.encoding(id, track, encoding).filter(|of| of.run == run) else { return };
        for number in missing.numbers() {
            if let Some(packet) = of.ring.get(number) {
                let began = of.began.unwrap_or(number);
                take(ToEdge::Packet { track, encoding, run, began, number, packet });
            }
        }
    }

    fn encoding(&self, id: PublisherId, track: TrackIndex, encoding: EncodingIndex) -> Option<&Encoding> {
        let track = self.publishers.get(id.key())?.tracks.get(usize::from(track.0))?;
        track.encodings.get(usize::from(encoding.0))
    }

    /// Another shard wants a keyframe ([`crate::Event::KeyframeNeeded`] there).
    pub fn request_keyframe(
        &mut self,
        id: PublisherId,
        track: TrackIndex,
        encoding: EncodingIndex,
        purpose: KeyframePurpose,
        now: Instant,
    ) {
        let publisher = self.publishers.get_mut(id.key());
        let track = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(track.0)));
        let track = track.filter(|track| track.config.kind == MediaKind::Video);
        if let Some(encoding) = track.and_then(|track| track.encodings.get_mut(usize::from(encoding.0))) {
            encoding.keyframes.want_for(purpose, now);
            self.arm_publisher(id, now);
        }
    }

    /// Another shard, which gets this publisher's packets through [`crate::Sink::to_edges`], wants an encoding or does not
    /// want it any more ([`crate::Event::EncodingWanted`] there). `shard` is its number, below 64. Until the first
    /// such call every encoding counts as wanted by whoever gets the packets.
    pub fn set_encoding_wanted(
        &mut self,
        id: PublisherId,
        track: TrackIndex,
        encoding: EncodingIndex,
        shard: u8,
        wanted: bool,
        now: Instant,
    ) {
        let publisher = self.publishers.get_mut(id.key());
        let track = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(track.0)));
        let Some(track) = track else { return };
        if let Some(encoding) = track.encodings.get_mut(usize::from(encoding.0)) {
            encoding.interest.at_edge(shard, wanted);
            track.interest_moved = true;
            self.arm_publisher(id, now);
        }
    }
}
