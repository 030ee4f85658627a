//! What of one RTP stream has come, what is missing, and which frames are complete.

/// Packets that are remembered. What is older counts as lost.
const WINDOW: u64 = 1_024;
/// A jump of the sequence number by more is another source, not loss (RFC 3550, appendix A.1).
const MAX_DROPOUT: i64 = 3_000;
const WORDS: usize = (WINDOW / 64) as usize;

/// One bit for each packet of the window.
#[derive(Debug, Clone, Default)]
struct Bits([u64; WORDS]);

impl Bits {
    fn place(seq: u64) -> (usize, u64) {
        ((seq % WINDOW / 64) as usize, 1 << (seq % 64))
    }

    fn get(&self, seq: u64) -> bool {
        let (word, bit) = Self::place(seq);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn put(&mut self, seq: u64, value: bool) {
        let (word, bit) = Self::place(seq);
        if let Some(word) = self.0.get_mut(word) {
            *word = if value { *word | bit } else { *word & !bit };
        }
    }
}

/// A packet, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) sequence: u16,
    /// Last of its frame.
    pub(crate) ends_frame: bool,
    /// First of a frame that decoding can start from. False where the payload was not looked at.
    pub(crate) starts_key: bool,
}

/// What a packet changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// It was not there before.
    pub(crate) is_new: bool,
    /// It came after one with a higher number.
    pub(crate) is_late: bool,
    /// By how much the number of packets that should have come has grown.
    pub(crate) expected: u64,
    /// Frames that can be shown since.
    pub(crate) frames: u32,
}

/// One stream. Frames are shown in order: a hole holds back all that follows, until it is filled or a complete
/// keyframe comes after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reception {
    /// The highest number, extended; 0 before the first packet.
    highest: u64,
    /// The first number.
    first: u64,
    received: Bits,
    ends: Bits,
    keys: Bits,
    /// The next packet to show; none before the first keyframe.
    head: Option<u64>,
    /// The last packet of the last frame that was shown; 0 before.
    shown: u64,
}

impl Reception {
    /// Takes a packet.
    pub(crate) fn packet(&mut self, packet: Packet) -> Arrival {
        let mut arrival = Arrival::default();
        let step = i64::from(packet.sequence.wrapping_sub(self.highest as u16) as i16);
        let seq = if self.highest == 0 || step.abs() > MAX_DROPOUT {
            let head = self.head.is_some();
            // Two cycles up, so that numbers before the first one exist.
            let seq = (2 << 16) + u64::from(packet.sequence);
            *self = Self { highest: seq, first: seq, head: head.then_some(seq), ..Self::default() };
            arrival.expected = 1;
            seq
        } else {
            self.highest.saturating_add_signed(step)
        };
        if seq > self.highest {
            arrival.expected = seq - self.highest;
            let fresh = arrival.expected.min(WINDOW);
            for seq in (seq - fresh + 1)..=seq {
                self.received.put(seq, false);
            }
            self.highest = seq;
        } else {
            arrival.is_late = seq < self.highest;
        }
        if seq + WINDOW <= self.highest || seq < self.first || self.received.get(seq) {
            return arrival;
        }
        arrival.is_new = true;
        self.received.put(seq, true);
        self.ends.put(seq, packet.ends_frame);
        self.keys.put(seq, packet.starts_key);
        if self.head.is_none() && packet.starts_key {
            self.head = Some(seq);
        }
        arrival.frames = self.advance();
        if arrival.frames == 0 && packet.ends_frame && self.is_blocked() && self.skip_to_keyframe() {
            arrival.frames = self.advance();
        }
        arrival
    }

    /// Whether a hole holds back what came after it.
    pub(crate) fn is_blocked(&self) -> bool {
        self.head.is_some_and(|head| head <= self.highest)
    }

    /// The extended highest number.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// The last packet of the last frame that could be shown, extended; 0 before the first.
    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    /// Extends a number near the highest one.
    pub(crate) fn extend(&self, sequence: u16) -> u64 {
        let step = i64::from(sequence.wrapping_sub(self.highest as u16) as i16);
        self.highest.saturating_add_signed(step)
    }

    /// Shows what follows without a hole; returns how many frames.
    fn advance(&mut self) -> u32 {
        let Some(mut head) = self.head else { return 0 };
        // What left the window will never be filled.
        head = head.max((self.highest + 1).saturating_sub(WINDOW));
        let mut frames = 0;
        while head <= self.highest && self.received.get(head) {
            if self.ends.get(head) {
                frames += 1;
                self.shown = head;
            }
            head += 1;
        }
        self.head = Some(head);
        frames
    }

    /// Goes on with the last keyframe that is complete and has no hole after it.
    fn skip_to_keyframe(&mut self) -> bool {
        let Some(head) = self.head else { return false };
        let unbroken = (head..=self.highest).rev().take_while(|seq| self.received.get(*seq));
        let key = unbroken.filter(|seq| self.keys.get(*seq)).last();
        if let Some(key) = key {
            self.head = Some(key);
        }
        key.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames of three packets; every tenth frame is a keyframe.
    fn packet(index: u16) -> Packet {
        let starts_key = index.is_multiple_of(30);
        Packet { sequence: index.wrapping_add(65_500), ends_frame: index % 3 == 2, starts_key }
    }

    fn feed(reception: &mut Reception, indices: impl IntoIterator<Item = u16>) -> (u64, u64, u32) {
        let (mut expected, mut new, mut frames) = (0, 0, 0);
        for index in indices {
            let arrival = reception.packet(packet(index));
            expected += arrival.expected;
            new += u64::from(arrival.is_new);
            frames += arrival.frames;
        }
        (expected, new, frames)
    }

    #[test]
    fn in_order_every_packet_and_every_frame_counts_over_the_wrap() {
        let mut reception = Reception::default();
        assert_eq!(feed(&mut reception, 0..300), (300, 300, 100));
        assert!(!reception.is_blocked());
    }

    #[test]
    fn nothing_is_shown_before_a_keyframe() {
        let mut reception = Reception::default();
        assert_eq!(feed(&mut reception, 15..36), (21, 21, 2));
    }

    #[test]
    fn a_hole_holds_back_until_it_is_filled() {
        let mut reception = Reception::default();
        assert_eq!(feed(&mut reception, (0..12).filter(|i| *i != 4)), (12, 11, 1));
        assert!(reception.is_blocked());
        let arrival = reception.packet(packet(4));
        assert_eq!(arrival, Arrival { is_new: true, is_late: true, expected: 0, frames: 3 });
        assert!(!reception.is_blocked());
        assert!(!reception.packet(packet(4)).is_new, "twice");
    }

    #[test]
    fn a_complete_keyframe_ends_a_hole() {
        let mut reception = Reception::default();
        let (expected, new, frames) = feed(&mut reception, (0..36).filter(|i| *i != 4));
        assert_eq!((expected, new), (36, 35));
        // Frame 0, then the keyframe of 30..33 and the one after it.
        assert_eq!(frames, 3);
        // A keyframe with a hole in it does not help.
        let mut reception = Reception::default();
        assert_eq!(feed(&mut reception, (0..36).filter(|i| *i != 4 && *i != 31)).2, 1);
    }

    #[test]
    fn a_hole_that_left_the_window_is_given_up() {
        let mut reception = Reception::default();
        let plain = |index: u16| Packet { starts_key: index == 0, ..packet(index) };
        let frames: u32 = (0..3_000).filter(|i| *i != 4).map(|i| reception.packet(plain(i)).frames).sum();
        assert!(!reception.is_blocked());
        assert!(frames > 300);
    }

    #[test]
    fn a_jump_is_another_source() {
        let mut reception = Reception::default();
        feed(&mut reception, 0..30);
        let arrival = reception.packet(Packet { sequence: 30_000, ends_frame: true, starts_key: true });
        assert_eq!(arrival, Arrival { is_new: true, is_late: false, expected: 1, frames: 1 });
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(2),
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_numbers_are_taken_and_never_counted_twice(numbers in prop::collection::vec(any::<u16>(), 1..300)) {
            let mut reception = Reception::default();
            let (mut expected, mut new) = (0, 0);
            for sequence in numbers {
                let arrival = reception.packet(Packet { sequence, ends_frame: true, starts_key: true });
                expected += arrival.expected;
                new += u64::from(arrival.is_new);
            }
            prop_assert!(new <= expected);
        }

        #[test]
        fn reordering_within_the_window_loses_nothing(swaps in prop::collection::vec((1usize..299, 1usize..299), 0..100)) {
            let mut order: Vec<u16> = (0..300).collect();
            swaps.iter().for_each(|(a, b)| order.swap(*a, *b));
            let mut reception = Reception::default();
            let (mut expected, mut new, mut frames) = (0, 0, 0);
            for index in order {
                // Only the first is a keyframe, so that none is skipped to.
                let arrival = reception.packet(Packet { starts_key: index == 0, ..packet(index) });
                expected += arrival.expected;
                new += u64::from(arrival.is_new);
                frames += arrival.frames;
            }
            prop_assert_eq!((expected, new, frames), (300, 300, 100));
        }
    }
}
