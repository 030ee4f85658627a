//! The packets on their way: when each left, how long it was, and whether it came.
//!
//! ```text
//! | left at, 16 us units, 32 bits | bytes, 16 bits | probe, 8 bits | state, 8 bits |
//! ```
//!
//! Eight bytes a packet in a ring by transport-wide number. It starts small and doubles only while it would
//! forget a packet whose fate is unknown and that is younger than [`KEEP_US`], so a stream of ten packets a
//! second keeps half a kilobyte.

use rtp::seq::{Seq, extend};

/// Most packets kept (16 KiB): 1 s of 20 Mbit/s. Beyond it the oldest are forgotten: feedback about them is
/// not taken.
pub(super) const MAX_SLOTS: usize = 2048;
const FIRST_SLOTS: usize = 64;
/// Feedback about packets older than this comes too late to be of use.
const KEEP_US: i64 = 1_000_000;
/// A whole turn of the ring that took this long: half of it does.
const SLOW_TURN_US: i64 = 8 * KEEP_US;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
enum State {
    #[default]
    InFlight,
    /// Reported as missing; it may still have been late.
    Missing,
    Arrived,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    left: u32,
    bytes: u16,
    probe: u8,
    state: State,
}

/// A packet as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at_us: i64,
    pub(super) bytes: u32,
    /// The probe that it was a part of; 0 is none.
    pub(super) probe: u8,
    /// It had been reported as missing.
    pub(super) was_missing: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct History {
    slots: Box<[Slot]>,
    /// The number of the next packet.
    next: Seq,
    /// How many before it are kept.
    len: usize,
    turned_us: i64,
}

impl History {
    /// Empty, without memory of its own.
    pub(super) fn new() -> Self {
        // One cycle up: feedback about numbers before the first one finds nothing.
        Self { slots: Box::default(), next: 1 << 16, len: 0, turned_us: 0 }
    }

    /// The transport-wide number of the next packet.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    /// The next packet leaves.
    pub(super) fn push(&mut self, now_us: i64, bytes: u16, probe: u8) {
        if self.index(self.next) == 0 {
            self.turn(now_us);
        }
        if self.len == self.slots.len() {
            self.make_room(now_us);
        }
        let index = self.index(self.next);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot { left: ticks(now_us), bytes, probe, state: State::InFlight };
            self.len = (self.len + 1).min(self.slots.len());
        }
        self.next += 1;
    }

    /// The packet with this number came; `None` if it is unknown, or known to have come.
    pub(super) fn arrived(&mut self, number: u16, now_us: i64) -> Option<(Seq, Sent)> {
        let (seq, slot) = self.slot(number)?;
        let was_missing = match slot.state {
            State::Arrived => return None,
            State::Missing => true,
            State::InFlight => false,
        };
        slot.state = State::Arrived;
        let at_us = now_us - age_us(now_us, slot.left);
        Some((seq, Sent { at_us, bytes: u32::from(slot.bytes), probe: slot.probe, was_missing }))
    }

    /// The packet with this number is reported as missing; if that is news, when it left.
    pub(super) fn missing(&mut self, number: u16, now_us: i64) -> Option<i64> {
        let (_, slot) = self.slot(number).filter(|(_, slot)| slot.state == State::InFlight)?;
        slot.state = State::Missing;
        Some(now_us - age_us(now_us, slot.left))
    }

    /// Bytes of memory that the ring takes.
    pub(super) fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    fn slot(&mut self, number: u16) -> Option<(Seq, &mut Slot)> {
        let seq = extend(self.next.saturating_sub(1), number);
        let kept = seq < self.next && self.next - seq <= self.len as u64;
        let index = self.index(seq);
        Some((seq, self.slots.get_mut(index).filter(|_| kept)?))
    }

    fn index(&self, seq: Seq) -> usize {
        // The length is a power of two, or zero: then no index is valid.
        (seq as usize) & self.slots.len().wrapping_sub(1)
    }

    fn make_room(&mut self, now_us: i64) {
        let oldest = self.index(self.next.saturating_sub(self.len as u64));
        let wanted = self
            .slots
            .get(oldest)
            .is_none_or(|slot| slot.state == State::InFlight && age_us(now_us, slot.left) < KEEP_US);
        if wanted && self.slots.len() < MAX_SLOTS {
            self.resize((self.slots.len() * 2).max(FIRST_SLOTS));
        }
    }

    /// The ring begins anew: one that is far too long for its stream is halved.
    fn turn(&mut self, now_us: i64) {
        let slow = now_us - self.turned_us > SLOW_TURN_US;
        self.turned_us = now_us;
        if slow && self.slots.len() > FIRST_SLOTS {
            self.resize(self.slots.len() / 2);
        }
    }

    fn resize(&mut self, size: usize) {
        let mut slots = vec![Slot::default(); size].into_boxed_slice();
        let kept = self.len.min(size);
        for seq in self.next.saturating_sub(kept as u64)..self.next {
            let old = self.slots.get(self.index(seq));
            if let (Some(old), Some(new)) = (old, slots.get_mut((seq as usize) & (size - 1))) {
                *new = *old;
            }
        }
        (self.slots, self.len) = (slots, kept);
    }
}

/// 16 us each; they wrap after 19 hours, and only differences count.
fn ticks(us: i64) -> u32 {
    (us >> 4) as u32
}

fn age_us(now_us: i64, left: u32) -> i64 {
    i64::from(ticks(now_us).wrapping_sub(left)) << 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_arrives_once_and_may_be_missing_before() {
        let mut history = History::new();
        for i in 0..10 {
            history.push(i * 1_000, 100 + i as u16, 7);
        }
        assert!(history.missing(3, 50_000).is_some() && history.missing(3, 50_000).is_none());
        let (seq, sent) = history.arrived(3, 50_000).expect("known");
        assert_eq!((seq, sent.bytes, sent.probe, sent.was_missing), ((1 << 16) + 3, 103, 7, true));
        assert!((sent.at_us - 3_000).abs() <= 16, "{sent:?}");
        assert_eq!(history.arrived(3, 50_000), None);
        assert!(history.missing(3, 50_000).is_none());
        assert!(!history.arrived(4, 50_000).expect("known").1.was_missing);
        assert_eq!(history.arrived(10, 50_000), None, "never sent");
        assert_eq!(history.arrived(0xffff, 50_000), None, "before the first");
    }

    #[test]
    fn it_grows_with_what_is_in_flight_and_shrinks_again() {
        let mut history = History::new();
        assert_eq!(history.memory(), 0);
        // 10 packets a second, nobody answers.
        (0..1_000).for_each(|i| history.push(i * 100_000, 1_000, 0));
        assert_eq!(history.memory(), 64 * 8);
        // 250 a second, answered after 200 ms.
        let start = 100_000_000;
        for i in 0..10_000 {
            history.push(start + i * 4_000, 1_000, 0);
            let answered = history.next() - 51;
            history.arrived(answered as u16, start + i * 4_000);
        }
        assert_eq!(history.memory(), 64 * 8);
        // 5,000 a second without an answer.
        let start = 200_000_000;
        (0..70_000).for_each(|i| history.push(start + i * 200, 1_000, 0));
        assert_eq!(history.memory(), MAX_SLOTS * 8);
        let newest = history.next() - 1;
        assert!(history.arrived((newest - MAX_SLOTS as u64 + 1) as u16, start + 14_000_000).is_some());
        assert!(history.arrived((newest - MAX_SLOTS as u64) as u16, start + 14_000_000).is_none());
        // And slow again.
        (0..10_000).for_each(|i| history.push(300_000_000 + i * 100_000, 1_000, 0));
        assert!(history.memory() <= 128 * 8, "{}", history.memory());
        assert!(history.arrived((history.next() - 40) as u16, 1_400_000_000).is_some());
    }
}
