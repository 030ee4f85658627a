//! The recent packets of one encoding, kept once for all its subscribers: retransmissions and joiners are
//! served from here.
//!
//! Packets lie one after another in a byte ring, in the order of their arrival; a table finds them by number.
//! Nothing is ever freed: writing over a packet invalidates it, since positions only grow. Both grow by
//! doubling while packets that are to be kept would be written over, up to their caps; beyond the caps the oldest
//! packets are lost first. To be kept are packets that are young enough, and those from a held one on
//! ([`PacketRing::hold`]): the group that a viewer of a still picture starts from, however old it is.

use std::time::{Duration, Instant};

use rtp::seq::Seq;

/// Time that packets are kept if nothing else is said, as far as the caps allow.
pub(crate) const KEEP: Duration = Duration::from_millis(1_200);
/// Cap of a video ring in bytes: 1.2 s of 14 Mbit/s.
pub(crate) const MAX_VIDEO_BYTES: usize = 2 << 20;
/// Cap of an audio ring in bytes.
pub(crate) const MAX_AUDIO_BYTES: usize = 64 << 10;
/// Cap in packets.
pub(crate) const MAX_PACKETS: usize = 4096;
const FIRST_BYTES: usize = 32 << 10;
const FIRST_PACKETS: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Slot {
    seq: Seq,
    /// Position in the endless stream of bytes.
    at: u64,
    len: u32,
    arrival: Instant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PacketRing {
    bytes: Box<[u8]>,
    max_bytes: usize,
    /// Where the next packet goes, in the endless stream of bytes.
    head: u64,
    /// When the ring last began to write over old packets.
    turned: Option<Instant>,
    keep: Duration,
    /// Packets from this one on are kept whatever their age: its number and position.
    held: Option<(Seq, u64)>,
    slots: Box<[Option<Slot>]>,
}

impl PacketRing {
    /// An empty ring that grows to `max_bytes`. It takes no memory before the first packet.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let (bytes, slots) = (Box::default(), Box::default());
        Self { bytes, max_bytes, head: 0, turned: None, keep: KEEP, held: None, slots }
    }

    /// Keeps packets for this long from now on, as far as the caps allow.
    pub(crate) fn keep(&mut self, keep: Duration) {
        self.keep = keep;
    }

    /// Keeps the packet `from` and all that came after it whatever their age, as far as the caps allow; `None` ends
    /// that. The caller bounds how much that is.
    pub(crate) fn hold(&mut self, from: Option<Seq>) {
        self.held = from.and_then(|seq| Some((seq, self.slot(seq)?.at)));
    }

    /// Keeps a copy of `packet`; one that is longer than the whole ring is not kept.
    pub(crate) fn insert(&mut self, seq: Seq, packet: &[u8], now: Instant) {
        if packet.is_empty() || packet.len() > self.max_bytes {
            return;
        }
        self.make_room(seq, packet.len(), now);
        let at = self.place(packet.len());
        let start = self.offset(at);
        if let Some(place) = self.bytes.get_mut(start..start + packet.len()) {
            place.copy_from_slice(packet);
        }
        self.head = at + packet.len() as u64;
        let index = self.index(seq);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot { seq, at, len: packet.len() as u32, arrival: now });
        }
    }

    /// The packet with this number, if it is still kept.
    pub(crate) fn get(&self, seq: Seq) -> Option<&[u8]> {
        let slot = self.slot(seq)?;
        let start = self.offset(slot.at);
        self.bytes.get(start..start + slot.len as usize)
    }

    /// When the packet with this number came, if it is still kept.
    pub(crate) fn arrival(&self, seq: Seq) -> Option<Instant> {
        self.slot(seq).map(|slot| slot.arrival)
    }

    /// Whether the packet with this number is still kept.
    pub(crate) fn contains(&self, seq: Seq) -> bool {
        self.slot(seq).is_some()
    }

    fn slot(&self, seq: Seq) -> Option<&Slot> {
        let slot = self.slots.get(self.index(seq))?.as_ref()?;
        (slot.seq == seq && self.head - slot.at <= self.bytes.len() as u64).then_some(slot)
    }

    fn index(&self, seq: Seq) -> usize {
        // The length is a power of two, or zero: then no index is valid.
        (seq as usize) & self.slots.len().wrapping_sub(1)
    }

    fn offset(&self, at: u64) -> usize {
        (at % (self.bytes.len().max(1) as u64)) as usize
    }

    /// The position for `len` bytes: they do not wrap around the end of the ring.
    fn place(&self, len: usize) -> u64 {
        let start = self.offset(self.head);
        if start + len <= self.bytes.len() {
            self.head
        } else {
            self.head + (self.bytes.len() - start) as u64
        }
    }

    fn make_room(&mut self, seq: Seq, len: usize, now: Instant) {
        while self.bytes.len() < len {
            self.grow_bytes(now);
        }
        while self.covers_held(len) && self.bytes.len() < self.max_bytes {
            self.grow_bytes(now);
        }
        if self.turns(len) {
            // A turn that took less than the time to keep: the next would write over what is still wanted.
            let short = now.saturating_duration_since(self.turned.unwrap_or(now)) < self.keep;
            if short && self.bytes.len() < self.max_bytes {
                self.grow_bytes(now);
            } else {
                self.turned = Some(now);
            }
        }
        while self.slots.len() < MAX_PACKETS && self.slot_is_young(seq, now) {
            self.grow_slots();
        }
    }

    /// Whether `len` more bytes would be written over what is held.
    fn covers_held(&self, len: usize) -> bool {
        let end = self.place(len) + len as u64;
        self.held.is_some_and(|(_, at)| end.saturating_sub(at) > self.bytes.len() as u64)
    }

    /// Whether `len` more bytes begin a new turn of the ring.
    fn turns(&self, len: usize) -> bool {
        let size = self.bytes.len() as u64;
        (self.place(len) + len as u64 - 1) / size != self.head.saturating_sub(1) / size
    }

    fn slot_is_young(&self, seq: Seq, now: Instant) -> bool {
        let Some(slot) = self.slots.get(self.index(seq)) else { return true };
        // Numbers further apart than the cap meet in any table: growing would not part them.
        let parted = |slot: Slot| (1..MAX_PACKETS as u64).contains(&slot.seq.abs_diff(seq));
        let held = |slot: Slot| self.held.is_some_and(|(from, _)| slot.seq >= from);
        let young = |slot: Slot| now.saturating_duration_since(slot.arrival) < self.keep;
        slot.is_some_and(|slot| parted(slot) && (young(slot) || held(slot)))
    }

    /// Doubles the bytes and lays the packets out anew, oldest first.
    fn grow_bytes(&mut self, now: Instant) {
        self.turned = Some(now);
        let size = (self.bytes.len() * 2).clamp(FIRST_BYTES.min(self.max_bytes), self.max_bytes);
        let mut bytes = vec![0; size].into_boxed_slice();
        let old = self.bytes.len() as u64;
        let mut kept: Vec<Slot> =
            self.slots.iter().flatten().filter(|slot| self.head - slot.at <= old).copied().collect();
        kept.sort_unstable_by_key(|slot| slot.at);
        let mut at = 0;
        for slot in &mut kept {
            let (start, len) = (self.offset(slot.at), slot.len as usize);
            if let (Some(from), Some(to)) = (self.bytes.get(start..start + len), bytes.get_mut(at..at + len))
            {
                to.copy_from_slice(from);
            }
            slot.at = at as u64;
            at += len;
        }
        self.bytes = bytes;
        self.head = at as u64;
        self.held = self
            .held
            .and_then(|(seq, _)| kept.iter().find(|slot| slot.seq == seq).map(|slot| (seq, slot.at)));
        self.slots.fill(None);
        for slot in kept {
            let index = self.index(slot.seq);
            if let Some(place) = self.slots.get_mut(index) {
                *place = Some(slot);
            }
        }
    }

    fn grow_slots(&mut self) {
        let size = (self.slots.len() * 2).clamp(FIRST_PACKETS, MAX_PACKETS);
        let old = std::mem::replace(&mut self.slots, vec![None; size].into_boxed_slice());
        for slot in old.into_iter().flatten() {
            let index = self.index(slot.seq);
            if let Some(place) = self.slots.get_mut(index) {
                *place = Some(slot);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> (usize, usize) {
        (self.bytes.len(), self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(seq: Seq, len: usize) -> Vec<u8> {
        (0..len).map(|i| (seq as usize + i) as u8).collect()
    }

    fn holds(ring: &PacketRing, seq: Seq, len: usize) -> bool {
        ring.get(seq).is_some_and(|bytes| bytes == packet(seq, len))
    }

    #[test]
    fn it_keeps_more_than_a_second_at_any_rate_below_the_cap() {
        for rate in [10u64, 50, 250, 900] {
            let start = Instant::now();
            let mut ring = PacketRing::new(MAX_VIDEO_BYTES);
            let at = |i: u64| start + Duration::from_micros(i * 1_000_000 / rate);
            for i in 0..rate * 8 {
                ring.insert(i, &packet(i, 1100), at(i));
            }
            let newest = rate * 8 - 1;
            assert!((newest - rate..=newest).all(|seq| holds(&ring, seq, 1100)), "{rate} packets/s");
            let (bytes, slots) = ring.capacity();
            assert!(bytes <= MAX_VIDEO_BYTES && slots <= MAX_PACKETS);
        }
    }

    #[test]
    fn what_is_held_stays_whatever_its_age() {
        let start = Instant::now();
        let at = |seq: Seq| start + Duration::from_secs(seq);
        for hold in [true, false] {
            let mut ring = PacketRing::new(MAX_VIDEO_BYTES);
            for seq in 0..300 {
                ring.insert(seq, &packet(seq, 1100), at(seq));
                if seq == 10 {
                    ring.hold(hold.then_some(10));
                }
            }
            assert_eq!((10..300).all(|seq| holds(&ring, seq, 1100)), hold);
            let (bytes, slots) = ring.capacity();
            assert_eq!((bytes > FIRST_BYTES, slots > FIRST_PACKETS), (hold, hold));
            ring.hold(None);
            (300..2_000).for_each(|seq| ring.insert(seq, &packet(seq, 1100), at(seq)));
            assert_eq!(ring.capacity(), (bytes, slots), "it ends");
            assert!(!ring.contains(10) && ring.contains(1_999));
        }
    }

    #[test]
    fn what_is_held_does_not_pass_the_cap() {
        let now = Instant::now();
        let mut ring = PacketRing::new(64 << 10);
        for seq in 0..500 {
            ring.insert(seq, &packet(seq, 1000), now + Duration::from_secs(seq));
            ring.hold(Some(0));
        }
        assert_eq!(ring.capacity().0, 64 << 10);
        assert!(holds(&ring, 499, 1000) && !ring.contains(0));
    }

    #[test]
    fn beyond_the_cap_the_oldest_are_lost() {
        let now = Instant::now();
        let mut ring = PacketRing::new(64 << 10);
        for seq in 0..200 {
            ring.insert(seq, &packet(seq, 1000), now);
        }
        assert_eq!(ring.capacity().0, 64 << 10);
        assert!((140..200).all(|seq| holds(&ring, seq, 1000)));
        assert!((0..130).all(|seq| !ring.contains(seq)));
    }

    #[test]
    fn packets_come_in_any_order_and_size() {
        let now = Instant::now();
        let mut ring = PacketRing::new(MAX_VIDEO_BYTES);
        let order = [5u64, 3, 9, 4, 100, 7, 65_536 + 8];
        for (i, &seq) in order.iter().enumerate() {
            ring.insert(seq, &packet(seq, 1 + i * 400), now);
        }
        assert!(order.iter().enumerate().all(|(i, &seq)| holds(&ring, seq, 1 + i * 400)));
        assert!(!ring.contains(6) && !ring.contains(101));
        assert!(ring.capacity().1 <= 128, "a jump does not make the table grow");
        ring.insert(6, &vec![0; MAX_VIDEO_BYTES + 1], now);
        ring.insert(8, &[], now);
        assert!(!ring.contains(6) && !ring.contains(8));
        assert_eq!(PacketRing::new(100).get(0), None);
    }
}
