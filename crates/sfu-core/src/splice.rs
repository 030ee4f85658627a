//! The numbers that a subscriber sees: one stream without a seam, made of pieces of the streams that publishers send.
//!
//! A [`Splice`] says how the numbers of one piece map. A piece ends when another stream is shown (another encoding,
//! track or publisher, one that came back, a pause) or when other layers of it are forwarded. The next one goes on
//! with the next sequence number, a later timestamp, the next picture and frame number, so that the subscriber's
//! decoder sees one sender. Which stream goes on now, if any, the feed knows; the newest piece is of it.
//!
//! # Timestamps
//! A piece begins where the timestamps would have gone on by this node's clock. Once a sender report has told the
//! subscriber how they lie on that clock, and the publisher of the new piece has reported too, that line is kept: what
//! was captured at one moment has one timestamp, whatever is shown and however long it was on its way. A picture that was
//! captured before the last one that was shown must come after it all the same: its first moments are squeezed until it
//! is on the line. So the sender reports go on as they were, of which browsers remember the last twenty.

use std::time::{Duration, Instant};

use rtp::ntp::Ntp;
use rtp::seq::{Seq, timestamp_before};

use crate::clock::ClockMapping;
use crate::codec::FrameInfo;
use crate::encoding::Entry;
use crate::ids::StreamId;
use crate::layers::Layers;
use crate::membership::{Count, FIRST, Numbers};
use crate::packet::Media;

/// Pieces remembered for retransmissions: a NACK comes within a second, what is shown and its layers change less often.
const HISTORY: usize = 6;
/// How far the line of the sender reports may lie from what the time of arrival says. A clock further off is wrong.
const MAX_LINE_SHIFT: Duration = Duration::from_secs(1);

/// How the numbers of one piece map.
#[derive(Debug, Clone, Copy)]
struct Splice {
    stream: StreamId,
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
    /// The source that the piece is of, where packets say it.
    csrc: Option<u32>,
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
            csrc: self.csrc,
            begins: seq == self.packets.start(),
        }
    }
}

/// The numbers of one packet as the subscriber sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// It is the first of its piece.
    pub(crate) begins: bool,
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
    /// To be said as the contributing source.
    pub(crate) csrc: Option<u32>,
}

/// The mapping of one subscription.
#[derive(Debug)]
pub(crate) struct SpliceMap {
    /// The newest piece.
    newest: Option<Splice>,
    /// Those before it, newest first; allocated with the second piece. Apart, as nothing of them is looked at for a
    /// packet that is on time.
    older: Vec<Splice>,
    /// Whether the newest packet was the last of its picture, as the subscriber sees it.
    whole: bool,
    next: Seq,
    last_timestamp: u32,
    last_at: Option<Instant>,
    /// The timestamp at a moment of this node's clock, as the subscriber was told last.
    line: Option<(Ntp, u32)>,
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
            whole: true,
            // One cycle up, so that nothing is ever below zero.
            next: (1 << 16) + Seq::from(seq),
            last_timestamp: timestamp,
            last_at: None,
            line: None,
            next_picture: 0,
            last_tl0: 0,
            next_frame: 0,
            next_template: 0,
        }
    }

    /// The stream of the newest piece.
    pub(crate) fn newest(&self) -> Option<StreamId> {
        self.newest.as_ref().map(|splice| splice.stream)
    }

    /// The source that the packets of the newest piece say.
    pub(crate) fn csrc(&self) -> Option<u32> {
        self.newest.as_ref().and_then(|splice| splice.csrc)
    }

    /// The layers of the newest piece.
    pub(crate) fn layers(&self) -> Option<Layers> {
        self.newest.as_ref().map(|splice| splice.packets.layers())
    }

    /// Whether the last picture is complete, so that another stream can follow.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether nothing after `seq` was forwarded of the newest piece.
    pub(crate) fn is_newest(&self, seq: Seq) -> bool {
        self.newest.as_ref().is_some_and(|splice| splice.packets.is_ahead(seq))
    }

    /// When the newest packet was forwarded.
    pub(crate) fn last_at(&self) -> Option<Instant> {
        self.last_at
    }

    /// Begins a piece at `entry`.
    pub(crate) fn begin(
        &mut self,
        stream: StreamId,
        csrc: Option<u32>,
        layers: Layers,
        entry: &Entry,
        now: Instant,
    ) {
        let squeeze = entry.squeeze();
        let squeezed = entry.live.wrapping_sub(entry.timestamp) >> squeeze;
        let (live, from) = match self.last_at {
            None => (self.last_timestamp.wrapping_add(squeezed), entry.live),
            Some(at) => {
                // The timestamp of now, as the stream would have gone on; the first packet is after the last.
                let elapsed =
                    now.saturating_duration_since(at).as_micros() * u128::from(entry.clock_rate) / 1_000_000;
                let now = self.last_timestamp.wrapping_add(elapsed as u32);
                let on_line = self.on_line(entry, now);
                let now = on_line.unwrap_or(now);
                let least = self.last_timestamp.wrapping_add(squeezed).wrapping_add(entry.least_step());
                if !timestamp_before(now, least) {
                    (now, entry.live)
                } else if entry.is_sound || on_line.is_none() {
                    (least, entry.live)
                } else {
                    // It was captured before the last picture that was shown: so much time of it is squeezed as well
                    // that it comes to lie on the line, of which squeezing itself takes an eighth at most.
                    let behind = least.wrapping_sub(now);
                    let more = behind + behind / 8 + 2;
                    (now.wrapping_add(more), entry.live.wrapping_add(more))
                }
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
            stream,
            packets: Count::new(layers, entry.seq, self.next),
            pictures: Count::new(layers, picture, self.next_picture),
            timestamp_offset: live.wrapping_sub(from),
            live: from,
            squeeze: squeeze as u8,
            tl0_offset,
            frame_offset,
            template_offset,
            csrc,
        });
    }

    /// The timestamp of the newest packet that a piece starts with, on the line that the subscriber was told; `None`
    /// if there is none or it would be far from `expected`.
    fn on_line(&self, entry: &Entry, expected: u32) -> Option<u32> {
        let ((ntp, rtp), live_at) = (self.line?, entry.live_at?);
        let line = ClockMapping { ntp, rtp, offset: 0 };
        let timestamp = line.rtp_at(live_at, entry.clock_rate);
        let shift = u128::from((timestamp.wrapping_sub(expected) as i32).unsigned_abs());
        let most = MAX_LINE_SHIFT.as_micros() * u128::from(entry.clock_rate) / 1_000_000;
        (shift <= most).then_some(timestamp)
    }

    /// A sender report tells the subscriber that the timestamp at `ntp` is `rtp`.
    pub(crate) fn told(&mut self, ntp: Ntp, rtp: u32) {
        self.line = Some((ntp, rtp));
    }

    /// Goes on with other layers of the same stream from this packet on, the first of its frame.
    pub(crate) fn change_layers(
        &mut self,
        layers: Layers,
        seq: Seq,
        picture: Option<u64>,
        numbers: &Numbers,
    ) {
        let Some(splice) = self.newest.as_mut() else { return };
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

    /// The numbers of a packet of the stream that goes on; `None` if it is from before, or left out.
    pub(crate) fn map(&mut self, media: &Media<'_>, numbers: &Numbers, now: Instant) -> Option<Mapped> {
        let (seq, timestamp) = (media.seq, media.packet.timestamp);
        let newest = self.newest.as_mut()?;
        debug_assert_eq!(newest.stream, media.stream, "only the stream that goes on is mapped");
        if let Some(seq) = newest.packets.map(seq, &numbers.packets) {
            let mapped = newest.mapped(seq, timestamp, media.picture, numbers);
            let next_picture = newest.pictures.next();
            if seq >= self.next {
                self.advance(&mapped, &media.info, next_picture, media.ends_picture(mapped.layers), now);
            }
            return Some(mapped);
        }
        // A late one, from before the layers changed.
        let mut of_stream = self.older.iter_mut().filter(|splice| splice.stream == media.stream);
        let splice = of_stream.find(|splice| splice.packets.covers(seq))?;
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

    /// Where the packet that the subscriber saw as `seq` came from. `numbers` gives what is known of a stream.
    pub(crate) fn unmap<'a>(
        &self,
        seq: Seq,
        numbers: impl FnOnce(StreamId) -> Option<&'a Numbers>,
    ) -> Option<Original> {
        if seq >= self.next {
            return None;
        }
        let splice = *self.newest.iter().chain(&self.older).find(|splice| splice.packets.start() <= seq)?;
        let numbers = numbers(splice.stream)?;
        Some(Original { stream: splice.stream, seq: splice.packets.unmap(seq, &numbers.packets)?, splice })
    }

    /// The number after the highest one sent.
    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    /// The subscriber's timestamp for a timestamp of the newest piece, not squeezed.
    pub(crate) fn live_timestamp(&self, timestamp: u32) -> Option<u32> {
        self.newest.as_ref().map(|splice| timestamp.wrapping_add(splice.timestamp_offset))
    }
}

/// Where a packet came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original {
    pub(crate) stream: StreamId,
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
