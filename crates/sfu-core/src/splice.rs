//! The numbers that a subscriber sees: one stream without a seam, made of pieces of the streams that a
//! publisher sends.
//!
//! A [`Splice`] says how the numbers of one piece map. A piece ends when the source changes (another encoding, a
//! publisher that came back, a pause) or when other layers of it are forwarded. The next one goes on with the next
//! sequence number, a later timestamp, the next picture and frame number, so that the subscriber's decoder sees one
//! sender.

use std::time::{Duration, Instant};

use media::PictureId;
use rtp::seq::{Seq, timestamp_before};

use crate::codec::FrameInfo;
use crate::layers::Layers;
use crate::membership::{Count, Membership};
use crate::rewrite::Media;

/// Pieces remembered for retransmissions: a NACK comes within a second, a source or its layers change less often.
const HISTORY: usize = 6;
/// How much time is squeezed when a piece begins with packets of the ring: 16 ms of stream become 1 ms, more where they
/// span so much time (a still picture) that what follows would be shown late. Not so much that two frames of 60 a second
/// get one timestamp.
const SQUEEZE_SHIFT: u32 = 4;
const MAX_SQUEEZE_SHIFT: u32 = 10;
/// What is squeezed takes a tenth of a second at most, where that is possible.
const SQUEEZED_PARTS: u32 = 10;
/// Pictures and frames begin to be counted here, so that nothing is ever below zero.
const FIRST: u64 = 1 << 16;

/// A stream of a publisher: an encoding, and which run of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) encoding: u8,
    /// Counts the times that the encoding started over.
    pub(crate) run: u32,
}

/// What is known of the numbers of a source: which of them belong to which layers.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) packets: Membership,
    /// Pictures of VP8, whose ids must have no gap either. Other codecs name what a frame needs by differences of
    /// such numbers, which therefore keep their gaps.
    pub(crate) pictures: Membership,
    /// Frames of the dependency descriptor.
    pub(crate) frames: Membership,
}

impl Numbers {
    /// The stream starts over.
    pub(crate) fn restart(&mut self) {
        self.packets.restart();
        self.pictures.restart();
        self.frames.restart();
    }

    /// The picture id without its wrap.
    pub(crate) fn picture(&self, id: PictureId) -> u64 {
        let bits = match id {
            PictureId::Short(_) => 7,
            PictureId::Long(_) => 15,
        };
        nearest(self.pictures.highest().max(FIRST), id.value(), bits)
    }

    /// The frame number without its wrap.
    pub(crate) fn frame(&self, number: u16) -> u64 {
        nearest(self.frames.highest().max(FIRST), number, 16)
    }
}

/// The number nearest to `near`, which is half a cycle or more, with the low `bits` of `wire`.
fn nearest(near: u64, wire: u16, bits: u32) -> u64 {
    let cycle = 1u64 << bits;
    let ahead = u64::from(wire).wrapping_sub(near) & (cycle - 1);
    if ahead < cycle / 2 { near + ahead } else { near + ahead - cycle }
}

/// How the numbers of one piece map.
#[derive(Debug, Clone, Copy)]
struct Splice {
    source: Source,
    packets: Count,
    pictures: Count,
    timestamp_offset: u32,
    /// Timestamps before this one are squeezed against it, so that a backlog plays at once instead of
    /// delaying everything after it.
    live: u32,
    squeeze: u8,
    tl0_offset: u8,
    frame_offset: u16,
    template_offset: u8,
}

impl Splice {
    fn timestamp(&self, timestamp: u32) -> u32 {
        let moved = |timestamp: u32| timestamp.wrapping_add(self.timestamp_offset);
        if timestamp_before(timestamp, self.live) {
            moved(self.live).wrapping_sub(self.live.wrapping_sub(timestamp) >> self.squeeze)
        } else {
            moved(timestamp)
        }
    }

    /// The numbers of the packet that is `seq` to the subscriber.
    fn mapped(&mut self, seq: Seq, timestamp: u32, picture: Option<u64>, numbers: &Numbers) -> Mapped {
        let moved = picture.and_then(|id| Some(self.pictures.map(id, &numbers.pictures)?.wrapping_sub(id)));
        Mapped {
            seq,
            layers: self.packets.layers(),
            timestamp: self.timestamp(timestamp),
            picture_offset: moved.unwrap_or(0) as u16,
            tl0_offset: self.tl0_offset,
            frame_offset: self.frame_offset,
            template_offset: self.template_offset,
        }
    }
}

/// The numbers of one packet as the subscriber sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) seq: Seq,
    /// The layers that the subscriber got at this packet.
    pub(crate) layers: Layers,
    pub(crate) timestamp: u32,
    /// To be added to the picture id.
    pub(crate) picture_offset: u16,
    /// To be added to the TL0PICIDX.
    pub(crate) tl0_offset: u8,
    /// To be added to the frame number and the template ids of the dependency descriptor.
    pub(crate) frame_offset: u16,
    pub(crate) template_offset: u8,
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
    /// Picture number of the first packet, without its wrap, and TL0PICIDX.
    pub(crate) picture: Option<u64>,
    pub(crate) tl0: Option<u8>,
    /// Its frame number, and the first template id of its structure.
    pub(crate) frame: Option<u16>,
    pub(crate) template: Option<u8>,
    pub(crate) clock_rate: u32,
}

impl Entry {
    /// How long before what is there now it begins.
    pub(crate) fn age(&self) -> Duration {
        let ticks = u64::from(self.live.wrapping_sub(self.timestamp));
        Duration::from_micros(ticks * 1_000_000 / u64::from(self.clock_rate.max(1)))
    }

    /// By how many bits the time before what is there now is squeezed.
    fn squeeze(&self) -> u32 {
        let span = self.live.wrapping_sub(self.timestamp);
        let fits = |&shift: &u32| span >> shift <= self.clock_rate / SQUEEZED_PARTS;
        (SQUEEZE_SHIFT..MAX_SQUEEZE_SHIFT).find(fits).unwrap_or(MAX_SQUEEZE_SHIFT)
    }

    /// A piece that begins with this packet, not before it.
    pub(crate) fn at(media: &Media<'_>) -> Self {
        let timestamp = media.packet.timestamp;
        Self {
            seq: media.seq,
            timestamp,
            live: timestamp,
            picture: media.picture,
            tl0: media.info.picture.tl0.map(|(_, tl0)| tl0),
            frame: media.info.described.map(|described| described.number),
            template: media.info.described.and_then(|d| d.templates).map(|(first, _)| first),
            clock_rate: media.format.clock_rate,
        }
    }
}

/// The mapping of one subscription.
#[derive(Debug)]
pub(crate) struct SpliceMap {
    /// The newest piece.
    newest: Option<Splice>,
    /// Those before it, newest first; allocated with the second piece. Apart, as nothing of them is looked at for a
    /// packet that is on time.
    older: Vec<Splice>,
    /// Whether the newest piece goes on.
    open: bool,
    /// Whether the newest packet was the last of its picture, as the subscriber sees it.
    whole: bool,
    next: Seq,
    last_timestamp: u32,
    last_at: Option<Instant>,
    next_picture: u64,
    last_tl0: u8,
    next_frame: u16,
    /// The template id after those of the last structure.
    next_template: u8,
}

impl SpliceMap {
    /// A stream that will begin at `seq` and `timestamp`.
    pub(crate) fn new(seq: u16, timestamp: u32) -> Self {
        Self {
            newest: None,
            older: Vec::new(),
            open: false,
            whole: true,
            // One cycle up, so that nothing is ever below zero.
            next: (1 << 16) + Seq::from(seq),
            last_timestamp: timestamp,
            last_at: None,
            next_picture: 0,
            last_tl0: 0,
            next_frame: 0,
            next_template: 0,
        }
    }

    /// The source of the piece that goes on.
    pub(crate) fn source(&self) -> Option<Source> {
        self.current().map(|splice| splice.source)
    }

    /// The layers of the piece that goes on.
    pub(crate) fn layers(&self) -> Option<Layers> {
        self.current().map(|splice| splice.packets.layers())
    }

    fn current(&self) -> Option<&Splice> {
        self.newest.as_ref().filter(|_| self.open)
    }

    /// Ends the piece: what follows needs a new one.
    pub(crate) fn end(&mut self) {
        self.open = false;
        self.whole = true;
    }

    /// Whether the last picture is complete, so that another source can follow.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether nothing after `seq` was forwarded from the source that goes on.
    pub(crate) fn is_newest(&self, seq: Seq) -> bool {
        self.current().is_some_and(|splice| splice.packets.is_ahead(seq))
    }

    /// When the newest packet was forwarded.
    pub(crate) fn last_at(&self) -> Option<Instant> {
        self.last_at
    }

    /// Begins a piece at `entry`.
    pub(crate) fn begin(&mut self, source: Source, layers: Layers, entry: &Entry, now: Instant) {
        let squeeze = entry.squeeze();
        let squeezed = entry.live.wrapping_sub(entry.timestamp) >> squeeze;
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
        let first = self.last_at.is_none();
        let picture = entry.picture.unwrap_or(FIRST);
        if first {
            // As the publisher counts: nothing has to be rewritten before the first change.
            self.next_picture = picture;
        }
        let tl0_offset = match entry.tl0 {
            Some(tl0) if !first => self.last_tl0.wrapping_add(1).wrapping_sub(tl0),
            _ => 0,
        };
        let frame_offset = match entry.frame {
            Some(frame) if !first => self.next_frame.wrapping_sub(frame),
            _ => 0,
        };
        let template_offset = match entry.template {
            Some(template) if !first => self.next_template.wrapping_sub(template) & 0x3f,
            _ => 0,
        };
        self.push(Splice {
            source,
            packets: Count::new(layers, entry.seq, self.next),
            pictures: Count::new(layers, picture, self.next_picture),
            timestamp_offset: live.wrapping_sub(entry.live),
            live: entry.live,
            squeeze: squeeze as u8,
            tl0_offset,
            frame_offset,
            template_offset,
        });
        self.open = true;
    }

    /// Goes on with other layers of the same source from this packet on, the first of its frame.
    pub(crate) fn change_layers(
        &mut self,
        layers: Layers,
        seq: Seq,
        picture: Option<u64>,
        numbers: &Numbers,
    ) {
        let Some(splice) = self.newest.as_mut().filter(|_| self.open) else { return };
        let to = splice.packets.reach(seq, &numbers.packets);
        let pictures = match picture {
            Some(picture) if splice.pictures.is_ahead(picture) => {
                Count::new(layers, picture, splice.pictures.reach(picture, &numbers.pictures))
            }
            // A lower spatial layer of the same picture has gone out already.
            _ => splice.pictures,
        };
        let next = Splice { packets: Count::new(layers, seq, to), pictures, ..*splice };
        self.push(next);
    }

    fn push(&mut self, splice: Splice) {
        let Some(before) = self.newest.replace(splice) else { return };
        self.older.truncate(HISTORY - 2);
        self.older.reserve_exact(HISTORY - 1 - self.older.len());
        self.older.insert(0, before);
    }

    /// The numbers of a packet of the source that goes on; `None` if it is from before, or left out.
    pub(crate) fn map(&mut self, media: &Media<'_>, numbers: &Numbers, now: Instant) -> Option<Mapped> {
        let (seq, timestamp) = (media.seq, media.packet.timestamp);
        let source = self.source()?;
        let newest = self.newest.as_mut()?;
        if let Some(seq) = newest.packets.map(seq, &numbers.packets) {
            let mapped = newest.mapped(seq, timestamp, media.picture, numbers);
            let next_picture = newest.pictures.next();
            if seq >= self.next {
                self.advance(&mapped, &media.info, next_picture, media.ends_picture(mapped.layers), now);
            }
            return Some(mapped);
        }
        // A late one, from before the layers changed.
        let splice =
            self.older.iter_mut().find(|splice| splice.source == source && splice.packets.covers(seq))?;
        let seq = splice.packets.map(seq, &numbers.packets)?;
        Some(splice.mapped(seq, timestamp, media.picture, numbers))
    }

    fn advance(&mut self, mapped: &Mapped, info: &FrameInfo, next_picture: u64, whole: bool, now: Instant) {
        self.next = mapped.seq + 1;
        self.last_timestamp = mapped.timestamp;
        self.last_at = Some(now);
        self.whole = whole;
        if info.picture.id.is_some() {
            self.next_picture = next_picture;
        }
        if let Some((_, tl0)) = info.picture.tl0 {
            self.last_tl0 = tl0.wrapping_add(mapped.tl0_offset);
        }
        if let Some(described) = info.described {
            self.next_frame = described.number.wrapping_add(mapped.frame_offset).wrapping_add(1);
            if let Some((first, count)) = described.templates {
                self.next_template = first.wrapping_add(mapped.template_offset).wrapping_add(count) & 0x3f;
            }
        }
    }

    /// Where the packet that the subscriber saw as `seq` came from. `numbers` gives what is known of an encoding.
    pub(crate) fn unmap<'a>(
        &self,
        seq: Seq,
        numbers: impl FnOnce(u8) -> Option<&'a Numbers>,
    ) -> Option<Original> {
        if seq >= self.next {
            return None;
        }
        let splice = *self.newest.iter().chain(&self.older).find(|splice| splice.packets.start() <= seq)?;
        let numbers = numbers(splice.source.encoding)?;
        Some(Original { source: splice.source, seq: splice.packets.unmap(seq, &numbers.packets)?, splice })
    }

    /// The number after the highest one sent.
    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    /// The subscriber's timestamp for a timestamp of the piece that goes on, not squeezed.
    pub(crate) fn live_timestamp(&self, timestamp: u32) -> Option<u32> {
        self.current().map(|splice| timestamp.wrapping_add(splice.timestamp_offset))
    }
}

/// Where a packet came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original {
    pub(crate) source: Source,
    pub(crate) seq: Seq,
    splice: Splice,
}

impl Original {
    /// The numbers of the packet, which is `media`, as the subscriber saw it under `seq`.
    pub(crate) fn mapped(mut self, seq: Seq, media: &Media<'_>, numbers: &Numbers) -> Mapped {
        self.splice.mapped(seq, media.packet.timestamp, media.picture, numbers)
    }
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;
