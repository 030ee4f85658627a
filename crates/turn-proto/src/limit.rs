//! How often one source may be challenged.

use std::net::{IpAddr, SocketAddr};
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

/// Counts 401 and 438 answers in each second: those to one address and port, and those to one address (an IPv6 /64 is
/// one). These answers go to addresses that have proved nothing and are longer than the question, so without a limit
/// they could be aimed at a third party. A NAT has one address and a port for each of its people: one of them who asks
/// too often takes nothing from the others, until the larger budget of the address is used up.
#[derive(Debug)]
pub(crate) struct ChallengeLimit {
    clients: Budgets,
    sources: Budgets,
}

impl ChallengeLimit {
    /// `per_client` answers to an address and port, `per_source` to an address.
    pub(crate) fn new(per_client: u16, per_source: u16, rng: &mut impl Rng) -> Self {
        Self { clients: Budgets::new(per_client, rng), sources: Budgets::new(per_source, rng) }
    }

    /// Takes one answer from the budgets of `client` in this second; false when one is used up.
    pub(crate) fn allow(&self, client: SocketAddr, second: u32) -> bool {
        let Source(source) = Source::of(client.ip());
        self.clients.take(source, client.port(), second) && self.sources.take(source, 0, second)
    }
}

/// A budget for each key that begins anew with each second.
#[derive(Debug)]
struct Budgets {
    per_second: u16,
    /// Second (upper half) and number of answers in it (lower half).
    slots: Box<[AtomicU64]>,
    /// Keyed at random, so that nobody can aim at the slot of a victim.
    keys: [u64; 3],
}

impl Budgets {
    fn new(per_second: u16, rng: &mut impl Rng) -> Self {
        Self {
            per_second,
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            keys: [rng.next_u64(), rng.next_u64() | 1, rng.next_u64()],
        }
    }

    fn take(&self, source: u64, port: u16, second: u32) -> bool {
        let Some(slot) = self.slots.get(self.slot(source, port)) else { return false };
        let take = |value: u64| {
            let (at, count) = (value >> 32, value & 0xFFFF_FFFF);
            let count = if at == u64::from(second) { count } else { 0 };
            (count < u64::from(self.per_second)).then_some((u64::from(second) << 32) | (count + 1))
        };
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn slot(&self, source: u64, port: u16) -> usize {
        let mixed = (source ^ self.keys[0]).wrapping_add(u64::from(port).wrapping_mul(self.keys[2]));
        let product = u128::from(mixed) * u128::from(self.keys[1]);
        ((product >> 64) as u64 ^ product as u64) as usize % SLOTS
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_client_has_its_share_each_second_and_so_has_its_address() {
        let limit = ChallengeLimit::new(10, 35, &mut StdRng::seed_from_u64(5));
        let answers = |client: &str, second| {
            (0..100).filter(|_| limit.allow(client.parse().expect("address"), second)).count()
        };
        assert_eq!(answers("192.0.2.1:1", 7), 10);
        assert_eq!(answers("192.0.2.2:1", 7), 10);
        assert_eq!(answers("192.0.2.1:1", 7), 0);
        assert_eq!(answers("192.0.2.1:1", 8), 10);
        // Four behind one NAT: the last finds what the address has left.
        assert_eq!(
            ["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::3]:3", "[2001:db8::4]:4"]
                .map(|c| answers(c, 8)),
            [10, 10, 10, 5]
        );
        assert_eq!(answers("[2001:db8:0:1::1]:1", 8), 10, "another /64");
    }
}
