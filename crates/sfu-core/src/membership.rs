//! Which numbers of a stream belong to which of its layers, so that what is left out leaves no gap.
//!
//! Kept once per encoding, for all its subscribers: a subscriber that gets some layers only counts the packets
//! of those layers, whatever it was sent before. Nothing is kept per subscriber but where it is ([`Count`]).
//!
//! A number whose packet did not come yet belongs to all layers: its place is kept free. If it turns out to be
//! of a layer that a subscriber does not get, that place is filled with padding.

use media::PictureId;

use crate::layers::{Layers, Mask};

/// Numbers that are remembered: as many as a ring has packets. A power of two.
const LEN: usize = 4096;
/// Pictures and frames begin to be counted here, so that nothing is ever below zero.
pub(crate) const FIRST: u64 = 1 << 16;

/// See the module. It takes no memory for a stream without layers.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    masks: Box<[Mask]>,
    highest: u64,
}

impl Membership {
    /// The stream starts over: numbers from here on have nothing to do with those before.
    pub(crate) fn restart(&mut self) {
        self.masks.fill(Mask::ALL);
        self.highest = 0;
    }

    /// Notes the layers that `number` is part of. Only the first time counts, and only if it is the highest: a
    /// place that was kept free stays so.
    pub(crate) fn note(&mut self, number: u64, mask: Mask) {
        if number <= self.highest {
            return;
        }
        let before = std::mem::replace(&mut self.highest, number);
        if self.masks.is_empty() {
            if mask == Mask::ALL {
                return;
            }
            self.masks = vec![Mask::ALL; LEN].into_boxed_slice();
        }
        let missing = (number - before - 1).min(LEN as u64);
        for gap in number - missing..number {
            self.set(gap, Mask::ALL);
        }
        self.set(number, mask);
    }

    /// Whether `number` is one that subscribers of `layers` count.
    pub(crate) fn contains(&self, number: u64, layers: Layers) -> bool {
        let known = number <= self.highest && self.highest - number < LEN as u64;
        let mask = self.masks.get(Self::place(number)).filter(|_| known);
        mask.is_none_or(|mask| mask.contains(layers))
    }

    /// The highest number noted.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// How many numbers of `range` are counted.
    fn count(&self, range: std::ops::Range<u64>, layers: Layers) -> u64 {
        if self.masks.is_empty() {
            return range.end.saturating_sub(range.start);
        }
        range.filter(|&number| self.contains(number, layers)).count() as u64
    }

    fn set(&mut self, number: u64, mask: Mask) {
        if let Some(slot) = self.masks.get_mut(Self::place(number)) {
            *slot = mask;
        }
    }

    fn place(number: u64) -> usize {
        number as usize & (LEN - 1)
    }
}

/// What is known of the numbers of a stream: which of them belong to which layers.
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

/// How a subscriber numbers a piece of a stream: one after another, what is left out not counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    layers: Layers,
    /// First number of the piece, and what it is to the subscriber.
    from: u64,
    to: u64,
    /// The highest number of the piece so far, and what the next one will be.
    last: u64,
    next: u64,
    /// Whether something was left out: until then both sides count alike.
    thinned: bool,
}

impl Count {
    /// A piece that begins with `from`, which the subscriber sees as `to`.
    pub(crate) fn new(layers: Layers, from: u64, to: u64) -> Self {
        Self { layers, from, to, last: from.saturating_sub(1), next: to, thinned: false }
    }

    pub(crate) fn layers(&self) -> Layers {
        self.layers
    }

    /// What the number after the highest so far will be.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// First number that the subscriber sees of it.
    pub(crate) fn start(&self) -> u64 {
        self.to
    }

    /// Whether `number` lies in the piece as far as it has come.
    pub(crate) fn covers(&self, number: u64) -> bool {
        (self.from..=self.last).contains(&number)
    }

    /// Whether `number` is after all that the piece has come to.
    pub(crate) fn is_ahead(&self, number: u64) -> bool {
        number > self.last
    }

    /// The subscriber's number for `number`; `None` if it is from before the piece or left out.
    pub(crate) fn map(&mut self, number: u64, membership: &Membership) -> Option<u64> {
        if number < self.from || !membership.contains(number, self.layers) {
            return None;
        }
        if number > self.last {
            let mapped = self.reach(number, membership);
            (self.last, self.next) = (number, mapped + 1);
            return Some(mapped);
        }
        if !self.thinned {
            return Some(self.to + (number - self.from));
        }
        Some(self.next - membership.count(number..self.last + 1, self.layers))
    }

    /// Brings the piece up to `number`, which is not part of it any more, and returns what that would have been.
    pub(crate) fn reach(&mut self, number: u64, membership: &Membership) -> u64 {
        let between = number.saturating_sub(self.last + 1);
        let counted = membership.count(self.last + 1..number, self.layers);
        self.thinned |= counted < between;
        self.last = self.last.max(number.saturating_sub(1));
        self.next += counted;
        self.next
    }

    /// The number that the subscriber sees as `mapped`.
    pub(crate) fn unmap(&self, mapped: u64, membership: &Membership) -> Option<u64> {
        if !(self.to..self.next).contains(&mapped) {
            return None;
        }
        if !self.thinned {
            return Some(self.from + (mapped - self.to));
        }
        if membership.highest() < self.last {
            // The stream has started over: what belonged to which layers is forgotten.
            return None;
        }
        let kept = membership.highest().saturating_sub(LEN as u64 - 1);
        let counted =
            (self.from.max(kept)..=self.last).rev().filter(|&n| membership.contains(n, self.layers));
        counted.take(LEN).nth((self.next - 1 - mapped) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Layers = Layers::new(0, 0);
    const HIGH: Mask = Mask::of(0, 1, false);
    const BASE: Mask = Mask::of(0, 0, false);

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        let mut membership = Membership::default();
        let mut count = Count::new(LOW, 100, 5000);
        let mut seen = Vec::new();
        for number in 100..200u64 {
            membership.note(number, if number % 3 == 0 { BASE } else { HIGH });
            seen.extend(count.map(number, &membership).map(|mapped| (number, mapped)));
        }
        assert_eq!(seen.len(), 33);
        for (index, &(number, mapped)) in seen.iter().enumerate() {
            assert_eq!(mapped, 5000 + index as u64);
            assert_eq!(count.unmap(mapped, &membership), Some(number));
            assert_eq!(count.map(number, &membership), Some(mapped), "again, and late");
        }
        assert_eq!(count.unmap(5033, &membership), None);
        let mut again = Membership::default();
        again.restart();
        assert_eq!(count.unmap(5001, &again), None, "forgotten, not guessed");
        assert_eq!(count.map(101, &membership), None);
    }

    #[test]
    fn what_did_not_come_keeps_its_place() {
        let mut membership = Membership::default();
        let mut count = Count::new(LOW, 10, 0);
        for (number, mask) in [(10, BASE), (11, HIGH), (14, BASE), (15, HIGH), (16, BASE)] {
            membership.note(number, mask);
        }
        let map: Vec<_> = [10, 14, 16].map(|number| count.map(number, &membership)).into();
        assert_eq!(map, [Some(0), Some(3), Some(4)]);
        // It comes: its place is there, whatever it is.
        membership.note(12, HIGH);
        assert_eq!((count.map(12, &membership), count.map(13, &membership)), (Some(1), Some(2)));
        assert_eq!(count.unmap(1, &membership), Some(12));
    }

    #[test]
    fn a_stream_without_layers_takes_no_memory_and_counts_straight() {
        let mut membership = Membership::default();
        let mut count = Count::new(LOW, 10, 70);
        (10..9000).for_each(|number| membership.note(number, Mask::ALL));
        assert!(membership.masks.is_empty());
        assert_eq!((count.map(8000, &membership), count.map(20, &membership)), (Some(8060), Some(80)));
        assert_eq!(count.unmap(80, &membership), Some(20));
    }

    #[test]
    fn the_memory_is_bounded_and_far_jumps_are_short() {
        let mut membership = Membership::default();
        membership.note(5, HIGH);
        membership.note(1 << 40, HIGH);
        assert_eq!(membership.masks.len(), LEN);
        assert!(!membership.contains(1 << 40, LOW) && membership.contains((1 << 40) - 1, LOW));
        assert!(membership.contains(5, LOW), "forgotten");
        membership.restart();
        assert!(membership.contains(1 << 40, LOW));
    }

    #[test]
    fn numbers_are_unwrapped_to_the_nearest() {
        assert_eq!(nearest(65_536 + 100, 90, 15), 65_536 + 90);
        assert_eq!(nearest(65_536 + 0x7ffe, 1, 15), 65_536 + 0x8001);
        assert_eq!(nearest(65_536 + 0x8001, 0x7ffe, 15), 65_536 + 0x7ffe);
        assert_eq!(nearest(65_536, 127, 7), 65_535);
    }
}
