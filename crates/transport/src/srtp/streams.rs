//! Packet indices per stream: rollover counter and replay window.

use super::SrtpError;

/// Packets behind the newest that are still told apart. 64, the usual size, refuses packets that real
/// networks reorder.
pub(super) const REPLAY_WINDOW: u64 = 1024;

/// Streams (SSRCs) per direction. A publisher of 64 m-lines with three encodings and their
/// retransmissions has 384; one stream more is refused, as forgetting one would let it be replayed.
pub(super) const MAX_STREAMS: usize = 512;

/// Which indices up to the highest were seen.
#[derive(Debug, Clone)]
struct Window {
    highest: u64,
    /// One bit per index, at the index modulo the window.
    seen: [u64; (REPLAY_WINDOW / 64) as usize],
}

impl Window {
    fn new(first: u64) -> Self {
        let mut window = Self { highest: first, seen: [0; _] };
        window.set(first, true);
        window
    }

    fn set(&mut self, index: u64, seen: bool) {
        let bit = index % REPLAY_WINDOW;
        let word = &mut self.seen[(bit / 64) as usize];
        *word = if seen { *word | 1 << (bit % 64) } else { *word & !(1 << (bit % 64)) };
    }

    fn is_fresh(&self, index: u64) -> bool {
        let bit = index % REPLAY_WINDOW;
        index > self.highest
            || (self.highest - index < REPLAY_WINDOW
                && self.seen[(bit / 64) as usize] & (1 << (bit % 64)) == 0)
    }

    fn accept(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= REPLAY_WINDOW {
                self.seen = [0; _];
            } else {
                for skipped in self.highest + 1..index {
                    self.set(skipped, false);
                }
            }
            self.highest = index;
        }
        self.set(index, true);
    }
}

/// The index windows of all streams of one direction by SSRC, at most [`MAX_STREAMS`].
///
/// A session has few, and packets of one come in rows: the last one is looked at first, then all in turn.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<(u32, Window)>,
    last: usize,
}

/// Where the packet at hand belongs; to be given back to [`Streams::accept`] once it is authentic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    slot: Option<usize>,
    ssrc: u32,
    pub(super) index: u64,
}

impl Streams {
    /// The place of a packet by its 16-bit sequence number.
    pub(super) fn place_sequence(&self, ssrc: u32, sequence: u16) -> Result<Place, SrtpError> {
        let slot = self.slot(ssrc);
        let index = match self.window(slot) {
            Some(window) => estimate(window.highest, sequence)?,
            None => u64::from(sequence),
        };
        self.fresh(slot, ssrc, index)
    }

    /// The index of a packet by its 16-bit sequence number, whether it was used or not.
    pub(super) fn index(&self, ssrc: u32, sequence: u16) -> Result<u64, SrtpError> {
        self.window(self.slot(ssrc))
            .map_or(Ok(u64::from(sequence)), |window| estimate(window.highest, sequence))
    }

    /// The place of a packet that carries its whole index.
    pub(super) fn place_index(&self, ssrc: u32, index: u64) -> Result<Place, SrtpError> {
        self.fresh(self.slot(ssrc), ssrc, index)
    }

    fn slot(&self, ssrc: u32) -> Option<usize> {
        let is = |(known, _): &(u32, Window)| *known == ssrc;
        if self.streams.get(self.last).is_some_and(is) {
            return Some(self.last);
        }
        self.streams.iter().position(is)
    }

    fn window(&self, slot: Option<usize>) -> Option<&Window> {
        self.streams.get(slot?).map(|(_, window)| window)
    }

    fn fresh(&self, slot: Option<usize>, ssrc: u32, index: u64) -> Result<Place, SrtpError> {
        match self.window(slot) {
            Some(window) if !window.is_fresh(index) => Err(SrtpError::Replayed),
            None if self.streams.len() >= MAX_STREAMS => Err(SrtpError::TooManyStreams),
            _ => Ok(Place { slot, ssrc, index }),
        }
    }

    /// Remembers an authentic packet.
    pub(super) fn accept(&mut self, place: Place) {
        match place.slot.and_then(|slot| Some((slot, self.streams.get_mut(slot)?))) {
            Some((slot, (_, window))) => {
                window.accept(place.index);
                self.last = slot;
            }
            None => {
                // Most sessions have one or two: room for more would be memory of thousands for nothing.
                self.streams.reserve_exact(1);
                self.streams.push((place.ssrc, Window::new(place.index)));
            }
        }
    }
}

/// The index nearest to the highest one that ends in `sequence` (RFC 3711 section 3.3.1, appendix A).
fn estimate(highest: u64, sequence: u16) -> Result<u64, SrtpError> {
    let rollover = highest >> 16;
    let last = highest as u16;
    let rollover = if last < 0x8000 {
        if i32::from(sequence) - i32::from(last) > 0x8000 {
            rollover.checked_sub(1).ok_or(SrtpError::Replayed)?
        } else {
            rollover
        }
    } else if i32::from(last) - 0x8000 > i32::from(sequence) {
        rollover + 1
    } else {
        rollover
    };
    if rollover > u64::from(u32::MAX) {
        return Err(SrtpError::KeysUsedUp);
    }
    Ok(rollover << 16 | u64::from(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn indices_follow_the_rollover_both_ways() {
        for (highest, sequence, expected) in [
            (0, 1, Ok(1)),
            (0, 0xFFFF, Err(SrtpError::Replayed)),
            (0xFFFF, 0, Ok(0x1_0000)),
            (0x1_0000, 0xFFFF, Ok(0xFFFF)),
            (0x1_7FFF, 0xFFFF, Ok(0x1_FFFF)),
            (0x1_8000, 0, Ok(0x1_0000)),
            (0x1_8001, 0, Ok(0x2_0000)),
            (0xFFFF_FFFF_FFFF, 0, Err(SrtpError::KeysUsedUp)),
        ] {
            assert_eq!(estimate(highest, sequence), expected, "{highest:#x} {sequence:#x}");
        }
    }

    #[test]
    fn streams_are_capped() {
        let mut streams = Streams::default();
        for ssrc in 0..MAX_STREAMS as u32 {
            streams.accept(streams.place_sequence(ssrc, 1).unwrap());
        }
        assert_eq!(streams.place_sequence(9999, 1).unwrap_err(), SrtpError::TooManyStreams);
        assert!(streams.place_sequence(5, 2).is_ok());
    }

    proptest! {
        /// The window agrees with a set that remembers everything.
        #[test]
        fn the_window_is_a_set_of_the_newest(steps in prop::collection::vec(-1500i64..1500, 1..300)) {
            let mut streams = Streams::default();
            let mut seen = std::collections::BTreeSet::new();
            let mut at = 100_000i64;
            for step in steps {
                at = (at + step).max(0);
                let index = at as u64;
                let highest = seen.last().copied().unwrap_or(0);
                let expected = !seen.contains(&index)
                    && (seen.is_empty() || index > highest || highest - index < REPLAY_WINDOW);
                let place = streams.place_index(7, index);
                prop_assert_eq!(place.is_ok(), expected, "index {} highest {}", index, highest);
                if let Ok(place) = place {
                    streams.accept(place);
                    seen.insert(index);
                }
            }
        }

        /// Whatever arrives at most half a cycle away from the newest is placed right.
        #[test]
        fn estimates_are_right_within_half_a_cycle(highest in 0x1_0000u64..0xFFFF_FFFF, away in -0x7FFFi64..0x7FFF) {
            let index = highest.saturating_add_signed(away);
            prop_assert_eq!(estimate(highest, index as u16), Ok(index));
        }
    }
}
