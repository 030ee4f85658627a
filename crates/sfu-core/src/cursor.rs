//! Reading the ring of an encoding from outside, packet by packet and in order: for recording, playlists and mixes, and
//! for the shards that pull a publisher.
//!
//! A [`Cursor`] is a place in a stream and nothing more: it may be kept anywhere and dropped at any time. It waits for a
//! hole to be repaired, as long as it was told at most, and for nothing else; it says what it passes over. Whoever reads
//! too late loses what the ring has lost.

use std::time::{Duration, Instant};

use crate::encoding::Encoding;
use crate::ids::{EncodingIndex, PublisherId, TrackIndex};
use crate::nack::REORDER_TOLERANCE;
use crate::ring::MAX_PACKETS;
use rtp::seq::Seq;

/// The longest that a tap waits for a hole to be repaired.
pub const TAP_PATIENCE: Duration = Duration::from_millis(300);
/// Packets after a hole that are looked at to see how old it is: one of them came before anything was repaired.
const LOOKED_AT: u64 = 64;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the last keyframe, if it and what followed is still kept; else with the next packet.
    Keyframe,
    /// With the next packet.
    Live,
}

/// A place in the stream of one encoding. See [`crate::Shard::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) publisher: PublisherId,
    /// The track.
    pub track: TrackIndex,
    /// The encoding.
    pub encoding: EncodingIndex,
    run: u32,
    /// The next number; none is the first of the run that comes.
    next: Option<Seq>,
    /// The last packet that was read of this run.
    last: Option<Seq>,
    patience: Duration,
}

/// What a [`Cursor`] meets next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<'a> {
    /// A packet.
    Packet {
        /// Counts how often the stream has started over; goes up, and wraps.
        run: u32,
        /// The packet's sequence number without the wrap. Each run is above the one before.
        number: u64,
        /// When it came.
        arrival: Instant,
        /// The packet as the publisher sent it.
        packet: &'a [u8],
    },
    /// The stream has started over (a new connection, SSRC or codec, or a jump): what follows does not go on from
    /// what was read. Said once if it did so several times since the last look.
    StartedOver,
    /// So many packets are missing and were waited for in vain.
    Gap(u64),
    /// So many packets, or a few more or less, were in the ring and are no longer: it was read too late.
    Lag(u64),
    /// Nothing yet: read again when packets have come, or at this time, when a hole will be given up.
    Wait(Option<Instant>),
    /// There is no such publisher, track or encoding any more.
    Gone,
}

impl Cursor {
    pub(crate) fn open(
        publisher: PublisherId,
        (track, encoding): (TrackIndex, EncodingIndex),
        of: &Encoding,
        from: ReadFrom,
        patience: Duration,
        now: Instant,
    ) -> Self {
        let keyframe = of.entry(now).filter(|_| from == ReadFrom::Keyframe).map(|entry| entry.seq);
        let next = keyframe.or_else(|| of.newest().map(|newest| newest + 1));
        Self { publisher, track, encoding, run: of.run, next, last: None, patience }
    }

    /// Whether a packet that has just come with this number is ahead, so that the cursor will meet it.
    #[must_use]
    pub fn will_meet(&self, run: u32, number: u64) -> bool {
        run != self.run || self.next.is_none_or(|next| number >= next)
    }

    /// What comes next, which is passed over by this.
    pub(crate) fn read<'a>(&mut self, encoding: &'a Encoding, now: Instant) -> Read<'a> {
        let mut newest = encoding.newest();
        if self.run != encoding.run {
            // What is left of the run that has ended comes first.
            newest = encoding.ended.filter(|(run, _)| *run == self.run).map(|(_, newest)| newest);
            let left = self.next.zip(newest).is_some_and(|(next, newest)| next <= newest);
            if !left {
                let has_read = self.last.is_some();
                (self.run, self.next, self.last) = (encoding.run, None, None);
                if has_read {
                    return Read::StartedOver;
                }
                newest = encoding.newest();
            }
        }
        let Some(newest) = newest else { return Read::Wait(None) };
        let Some(next) = self.next.or(encoding.began) else { return Read::Wait(None) };
        self.next = Some(next);
        if next > newest {
            return Read::Wait(None);
        }
        if let Some((packet, arrival)) = encoding.ring.get(next).zip(encoding.ring.arrival(next)) {
            (self.next, self.last) = (Some(next + 1), Some(next));
            return Read::Packet { run: self.run, number: next, arrival, packet };
        }
        self.pass_over(encoding, next, newest, now)
    }

    /// The next packet is not there: it did not come, or is no longer kept.
    fn pass_over(&mut self, encoding: &Encoding, next: Seq, newest: Seq, now: Instant) -> Read<'static> {
        let kept = |seq: &Seq| encoding.ring.contains(*seq);
        let from = next.max(newest.saturating_sub(MAX_PACKETS as u64));
        let Some(after) = (from..=newest).find(kept) else {
            self.next = Some(newest + 1);
            return Read::Lag(newest + 1 - next);
        };
        // The ring loses the oldest first: while it has the packet before, this one cannot have been lost by it.
        if !self.last.is_some_and(|last| encoding.ring.contains(last)) {
            self.next = Some(after);
            return Read::Lag(after - next);
        }
        let over = self.run != encoding.run;
        let awaited = |seq: Seq| !over && encoding.nack.awaits(seq);
        let patience = if awaited(next) { self.patience } else { self.patience.min(REORDER_TOLERANCE) };
        let came =
            (after..=newest).take(LOOKED_AT as usize).filter_map(|seq| encoding.ring.arrival(seq)).min();
        let until = came.unwrap_or(now) + patience;
        if !over && now < until {
            return Read::Wait(Some(until));
        }
        let end =
            if awaited(next) { after } else { (next..after).find(|&seq| awaited(seq)).unwrap_or(after) };
        self.next = Some(end);
        Read::Gap(end - next)
    }
}
