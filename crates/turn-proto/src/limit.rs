//! How often one source may be challenged.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;

/// Slots of the table. Sources that share a slot share its budget: memory stays fixed however many source
/// addresses somebody forges, and the whole table answers at most `SLOTS` x the limit each second.
const SLOTS: usize = 16_384;

/// Who shares a budget: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(u64);

impl Source {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self(u64::from(ip.to_bits())),
            IpAddr::V6(ip) => Self((ip.to_bits() >> 64) as u64),
        }
    }
}

/// Counts 401 and 438 answers per source address (an IPv6 /64 is one source) and second. These answers go to
/// addresses that have proved nothing and are longer than the question, so without a limit they could be
/// aimed at a third party.
#[derive(Debug)]
pub(crate) struct ChallengeLimit {
    per_second: u16,
    /// Second (upper half) and number of answers in it (lower half).
    slots: Box<[AtomicU64]>,
    /// Keyed at random, so that nobody can aim at the slot of a victim.
    keys: [u64; 2],
}

impl ChallengeLimit {
    pub(crate) fn new(per_second: u16, rng: &mut impl Rng) -> Self {
        Self {
            per_second,
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            keys: [rng.next_u64(), rng.next_u64() | 1],
        }
    }

    /// Takes one answer from the budget of `source` in this second; false when it is used up.
    pub(crate) fn allow(&self, source: IpAddr, second: u32) -> bool {
        let Source(source) = Source::of(source);
        let Some(slot) = self.slots.get(self.slot(source)) else { return false };
        let take = |value: u64| {
            let (at, count) = (value >> 32, value & 0xFFFF_FFFF);
            let count = if at == u64::from(second) { count } else { 0 };
            (count < u64::from(self.per_second)).then_some((u64::from(second) << 32) | (count + 1))
        };
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn slot(&self, source: u64) -> usize {
        let product = u128::from(source ^ self.keys[0]) * u128::from(self.keys[1]);
        ((product >> 64) as u64 ^ product as u64) as usize % SLOTS
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_source_has_its_share_each_second_and_a_64_is_one_source() {
        let limit = ChallengeLimit::new(10, &mut StdRng::seed_from_u64(5));
        let answers =
            |ip: &str, second| (0..100).filter(|_| limit.allow(ip.parse().expect("address"), second)).count();
        assert_eq!(answers("192.0.2.1", 7), 10);
        assert_eq!(answers("192.0.2.2", 7), 10);
        assert_eq!(answers("192.0.2.1", 7), 0);
        assert_eq!(answers("192.0.2.1", 8), 10);
        assert_eq!(answers("2001:db8::1", 8), 10);
        assert_eq!(answers("2001:db8::2", 8), 0);
    }
}
