//! Which shard takes a participant: the least loaded one.
//!
//! Load is what a shard will have to send. A participant that joins counts with an estimate at once, so that a
//! hundred who join within one report do not all land on the same shard; the measured load of the reports
//! replaces the estimates of those who are settled.

/// Number of a shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardIndex(pub u16);

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// Packets per second, as the shard last measured.
    measured: u64,
    /// Sum of the weights placed here since that measurement.
    expected: u64,
    /// Participants placed here.
    participants: u32,
}

/// The shards of a node with their loads.
#[derive(Debug, Clone)]
pub struct Placement {
    loads: Vec<Load>,
}

impl Placement {
    /// `shards` empty shards, at least one.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        Self { loads: vec![Load::default(); usize::from(shards.max(1))] }
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.loads.len() as u16
    }

    /// Places a participant that is expected to cost `packets_per_second` (in and out): on the shard with the
    /// least load, then with the fewest participants, then with the lowest number.
    pub fn assign(&mut self, packets_per_second: u64) -> ShardIndex {
        let order = |load: &Load| (load.measured.saturating_add(load.expected), load.participants);
        let best = self.loads.iter_mut().enumerate().min_by_key(|(_, load)| order(load));
        let Some((index, load)) = best else { return ShardIndex(0) };
        load.expected = load.expected.saturating_add(packets_per_second);
        load.participants += 1;
        ShardIndex(index as u16)
    }

    /// A participant of `shard` is gone.
    pub fn release(&mut self, shard: ShardIndex, packets_per_second: u64) {
        if let Some(load) = self.loads.get_mut(usize::from(shard.0)) {
            load.participants = load.participants.saturating_sub(1);
            load.expected = load.expected.saturating_sub(packets_per_second);
        }
    }

    /// What `shard` measured over the last second, packets in and out.
    pub fn report(&mut self, shard: ShardIndex, packets_per_second: u64) {
        if let Some(load) = self.loads.get_mut(usize::from(shard.0)) {
            // Half of the estimates stay: those who joined just now have not shown their load yet.
            load.measured = packets_per_second;
            load.expected /= 2;
        }
    }

    /// Participants on `shard`.
    #[must_use]
    pub fn participants(&self, shard: ShardIndex) -> u32 {
        self.loads.get(usize::from(shard.0)).map_or(0, |load| load.participants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_participants_spread_evenly() {
        let mut placement = Placement::new(4);
        for _ in 0..100 {
            placement.assign(250);
        }
        assert!((0..4).all(|shard| placement.participants(ShardIndex(shard)) == 25));
    }

    #[test]
    fn the_loaded_shard_is_spared_and_found_again() {
        let mut placement = Placement::new(2);
        placement.report(ShardIndex(0), 100_000);
        placement.report(ShardIndex(1), 10_000);
        assert!((0..10).all(|_| placement.assign(300) == ShardIndex(1)));
        placement.report(ShardIndex(0), 5_000);
        placement.report(ShardIndex(1), 10_000);
        assert_eq!(placement.assign(300), ShardIndex(0));
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut placement = Placement::new(2);
        let first = placement.assign(1000);
        assert_ne!(placement.assign(500), first);
        placement.release(first, 1000);
        assert_eq!(placement.assign(10), first);
        placement.release(ShardIndex(9), 1);
        assert_eq!(placement.participants(ShardIndex(9)), 0);
    }
}
