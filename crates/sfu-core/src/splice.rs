//! The numbers that a subscriber sees: one stream without a seam, made of pieces of the streams that a
//! publisher sends.
//!
//! A [`Splice`] says how the numbers of one piece map. A piece ends when the source changes: another encoding,
//! a publisher that came back, a pause. The next one goes on with the next sequence number, a later timestamp
//! and the next picture id, so that the subscriber's decoder sees one sender.

use std::time::Instant;

use crate::codec::Picture;
use crate::rewrite::Media;
use crate::seq::{Seq, timestamp_before};

/// Pieces remembered for retransmissions: a NACK comes within a second, a source changes less often.
const HISTORY: usize = 4;
/// How much time is squeezed when a piece begins with packets of the ring: 16 ms of stream become 1 ms.
const SQUEEZE_SHIFT: u32 = 4;

/// A stream of a publisher: an encoding, and which run of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) encoding: u8,
    /// Counts the times that the encoding started over.
    pub(crate) run: u32,
}

/// How the numbers of one piece map.
#[derive(Debug, Clone, Copy)]
struct Splice {
    source: Source,
    /// First sequence number of the piece, as the publisher counts and as the subscriber sees it.
    from: Seq,
    to: Seq,
    timestamp_offset: u32,
    /// Timestamps before this one are squeezed against it, so that a backlog plays at once instead of
    /// delaying everything after it.
    live: u32,
    picture_offset: u16,
    tl0_offset: u8,
}

impl Splice {
    fn timestamp(&self, timestamp: u32) -> u32 {
        let moved = |timestamp: u32| timestamp.wrapping_add(self.timestamp_offset);
        if timestamp_before(timestamp, self.live) {
            moved(self.live).wrapping_sub(self.live.wrapping_sub(timestamp) >> SQUEEZE_SHIFT)
        } else {
            moved(timestamp)
        }
    }
}

/// The numbers of one packet as the subscriber sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) seq: Seq,
    pub(crate) timestamp: u32,
    /// To be added to the picture id.
    pub(crate) picture_offset: u16,
    /// To be added to the TL0PICIDX.
    pub(crate) tl0_offset: u8,
}

/// A point of a source where a piece can begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// First packet.
    pub(crate) seq: Seq,
    /// Its timestamp.
    pub(crate) timestamp: u32,
    /// The newest timestamp that is there already: later than `timestamp` if the piece begins in the ring.
    pub(crate) live: u32,
    /// Picture numbers of the first packet.
    pub(crate) picture: Picture,
    pub(crate) clock_rate: u32,
}

impl Entry {
    /// A piece that begins with this packet, not before it.
    pub(crate) fn at(media: &Media<'_>) -> Self {
        let timestamp = media.packet.timestamp;
        let (picture, clock_rate) = (media.info.picture, media.format.clock_rate);
        Self { seq: media.seq, timestamp, live: timestamp, picture, clock_rate }
    }
}

/// The mapping of one subscription.
#[derive(Debug)]
pub(crate) struct SpliceMap {
    /// Newest first.
    splices: [Option<Splice>; HISTORY],
    /// Whether the newest piece goes on.
    open: bool,
    next: Seq,
    last_timestamp: u32,
    last_at: Option<Instant>,
    last_picture: u16,
    last_tl0: u8,
}

impl SpliceMap {
    /// A stream that will begin at `seq` and `timestamp`.
    pub(crate) fn new(seq: u16, timestamp: u32) -> Self {
        Self {
            splices: [None; HISTORY],
            open: false,
            // One cycle up, so that nothing is ever below zero.
            next: (1 << 16) + Seq::from(seq),
            last_timestamp: timestamp,
            last_at: None,
            last_picture: 0,
            last_tl0: 0,
        }
    }

    /// The source of the piece that goes on.
    pub(crate) fn source(&self) -> Option<Source> {
        self.splices.first().copied().flatten().filter(|_| self.open).map(|splice| splice.source)
    }

    /// Ends the piece: what follows needs a new one.
    pub(crate) fn end(&mut self) {
        self.open = false;
    }

    /// Begins a piece at `entry`.
    pub(crate) fn begin(&mut self, source: Source, entry: &Entry, now: Instant) {
        let squeezed = entry.live.wrapping_sub(entry.timestamp) >> SQUEEZE_SHIFT;
        let live = match self.last_at {
            None => self.last_timestamp.wrapping_add(squeezed),
            Some(at) => {
                // The timestamp of now, as the stream would have gone on; the first packet is after the last.
                let elapsed =
                    now.saturating_duration_since(at).as_micros() * u128::from(entry.clock_rate) / 1_000_000;
                let now = self.last_timestamp.wrapping_add(elapsed as u32);
                let least = self.last_timestamp.wrapping_add(squeezed).wrapping_add(1);
                if timestamp_before(now, least) { least } else { now }
            }
        };
        let picture_offset = match entry.picture.id {
            Some((_, id)) if self.last_at.is_some() => {
                self.last_picture.wrapping_add(1).wrapping_sub(id.value())
            }
            _ => 0,
        };
        let tl0_offset = match entry.picture.tl0 {
            Some((_, tl0)) if self.last_at.is_some() => self.last_tl0.wrapping_add(1).wrapping_sub(tl0),
            _ => 0,
        };
        self.splices.rotate_right(1);
        if let Some(newest) = self.splices.first_mut() {
            *newest = Some(Splice {
                source,
                from: entry.seq,
                to: self.next,
                timestamp_offset: live.wrapping_sub(entry.live),
                live: entry.live,
                picture_offset,
                tl0_offset,
            });
        }
        self.open = true;
    }

    /// The numbers of a packet of the piece that goes on; `None` if it is from before the piece.
    pub(crate) fn map(
        &mut self,
        seq: Seq,
        timestamp: u32,
        picture: &Picture,
        now: Instant,
    ) -> Option<Mapped> {
        let splice = self.splices.first()?.as_ref().filter(|_| self.open)?;
        let mapped = Mapped {
            seq: splice.to + seq.checked_sub(splice.from)?,
            timestamp: splice.timestamp(timestamp),
            picture_offset: splice.picture_offset,
            tl0_offset: splice.tl0_offset,
        };
        if mapped.seq >= self.next {
            self.next = mapped.seq + 1;
            self.last_timestamp = mapped.timestamp;
            self.last_at = Some(now);
            if let Some((_, id)) = picture.id {
                self.last_picture = id.value().wrapping_add(splice.picture_offset);
            }
            if let Some((_, tl0)) = picture.tl0 {
                self.last_tl0 = tl0.wrapping_add(splice.tl0_offset);
            }
        }
        Some(mapped)
    }

    /// Where the packet that the subscriber saw as `seq` came from, and how its timestamp maps.
    pub(crate) fn unmap(&self, seq: Seq) -> Option<Original<'_>> {
        if seq >= self.next {
            return None;
        }
        let splice = self.splices.iter().flatten().find(|splice| splice.to <= seq)?;
        Some(Original { source: splice.source, seq: seq - splice.to + splice.from, splice })
    }

    /// The number after the highest one sent.
    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    /// The subscriber's timestamp for a timestamp of the piece that goes on, not squeezed.
    pub(crate) fn live_timestamp(&self, timestamp: u32) -> Option<u32> {
        let splice = self.splices.first()?.as_ref().filter(|_| self.open)?;
        Some(timestamp.wrapping_add(splice.timestamp_offset))
    }
}

/// Where a packet came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original<'a> {
    pub(crate) source: Source,
    pub(crate) seq: Seq,
    splice: &'a Splice,
}

impl Original<'_> {
    /// The numbers of the packet, as the subscriber saw it under `seq` with the publisher's `timestamp`.
    pub(crate) fn mapped(&self, seq: Seq, timestamp: u32) -> Mapped {
        Mapped {
            seq,
            timestamp: self.splice.timestamp(timestamp),
            picture_offset: self.splice.picture_offset,
            tl0_offset: self.splice.tl0_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use media::PictureId;

    use super::*;

    const A: Source = Source { encoding: 0, run: 1 };
    const B: Source = Source { encoding: 1, run: 1 };

    fn picture(id: u16) -> Picture {
        Picture { id: Some((2, PictureId::Long(id))), tl0: Some((4, id as u8)) }
    }

    fn entry(seq: Seq, timestamp: u32, id: u16) -> Entry {
        Entry { seq, timestamp, live: timestamp, picture: picture(id), clock_rate: 90_000 }
    }

    #[test]
    fn the_next_piece_goes_on_without_a_gap() {
        let now = Instant::now();
        let mut map = SpliceMap::new(1000, 5000);
        map.begin(A, &entry(70_000, 100, 7), now);
        let first = map.map(70_000, 100, &picture(7), now).expect("mapped");
        assert_eq!((first.seq as u16, first.timestamp, first.picture_offset), (1000, 5000, 0));
        let lost_one = map.map(70_002, 3100, &picture(8), now).expect("mapped");
        assert_eq!(lost_one.seq as u16, 1002, "what the publisher lost stays a gap");
        assert_eq!(map.map(69_999, 0, &picture(6), now), None, "from before the piece");
        let later = now + Duration::from_millis(100);
        map.begin(B, &entry(900_000, 4_000_000_000, 500), later);
        let next = map.map(900_000, 4_000_000_000, &picture(500), later).expect("mapped");
        assert_eq!(next.seq, lost_one.seq + 1);
        assert_eq!(next.timestamp, lost_one.timestamp + 9000, "100 ms later");
        assert_eq!(500u16.wrapping_add(next.picture_offset), 9);
        assert_eq!((500u16 as u8).wrapping_add(next.tl0_offset), 9);
        // A NACK finds both pieces.
        assert_eq!(map.unmap(lost_one.seq - 1).map(|o| (o.source, o.seq)), Some((A, 70_001)));
        assert_eq!(map.unmap(next.seq).map(|o| (o.source, o.seq)), Some((B, 900_000)));
        assert!(map.unmap(next.seq + 1).is_none());
    }

    #[test]
    fn a_backlog_is_squeezed_and_stays_in_order() {
        let now = Instant::now();
        let mut map = SpliceMap::new(0, 0);
        // A keyframe 800 ms ago, 24 frames since.
        let live = 1_000_000;
        map.begin(A, &Entry { live, ..entry(10, live - 72_000, 0) }, now);
        let stamps: Vec<_> = (0..=26)
            .filter_map(|frame| {
                map.map(10 + u64::from(frame), live - 72_000 + frame * 3000, &picture(0), now)
            })
            .map(|mapped| mapped.timestamp)
            .collect();
        assert!(stamps.is_sorted_by(|a, b| a < b));
        assert_eq!(stamps[24] - stamps[0], 72_000 / 16);
        assert_eq!([stamps[25] - stamps[24], stamps[26] - stamps[25]], [3000, 3000], "live from there on");
        let original = map.unmap((1 << 16) + 5).expect("sent");
        assert_eq!(original.mapped((1 << 16) + 5, live - 72_000 + 15_000).timestamp, stamps[5]);
    }

    #[test]
    fn after_the_end_nothing_maps() {
        let now = Instant::now();
        let mut map = SpliceMap::new(0, 0);
        map.begin(A, &entry(10, 0, 0), now);
        map.map(10, 0, &picture(0), now).expect("mapped");
        map.end();
        assert_eq!((map.source(), map.map(11, 0, &picture(0), now)), (None, None));
        assert!(map.unmap(1 << 16).is_some(), "what was sent can be sent again");
    }
}
