//! The relay ports of one address.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt as _};

/// Which port a client asked for (EVEN-PORT, RFC 8656, section 18.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parity {
    Any,
    Even,
    /// An even port, and the next one with it.
    EvenPair,
}

/// Free and used ports of one relay address: a bit each. A port is chosen at random, so that an outsider
/// cannot guess the next one (RFC 8656, section 7.2), and looked for from there, so that the last free one is
/// found as well.
#[derive(Debug)]
pub(crate) struct PortPool {
    first: u16,
    used: Vec<bool>,
    free: usize,
}

impl PortPool {
    pub(crate) fn new(range: &RangeInclusive<u16>) -> Self {
        let used = vec![false; range.len()];
        Self { first: *range.start(), free: used.len(), used }
    }

    /// Takes a port (with [`Parity::EvenPair`] also the next one).
    pub(crate) fn take(&mut self, rng: &mut impl Rng, parity: Parity) -> Option<u16> {
        let count = self.used.len();
        if self.free == 0 || count == 0 {
            return None;
        }
        let start = rng.random_range(0..count);
        let index = (start..count).chain(0..start).find(|&index| self.fits(index, parity))?;
        self.mark(index, true);
        if parity == Parity::EvenPair {
            self.mark(index + 1, true);
        }
        u16::try_from(usize::from(self.first) + index).ok()
    }

    /// Gives a port back; false if it was not taken.
    pub(crate) fn release(&mut self, port: u16) -> bool {
        port.checked_sub(self.first).is_some_and(|index| self.mark(usize::from(index), false))
    }

    fn fits(&self, index: usize, parity: Parity) -> bool {
        let free = |index: usize| self.used.get(index) == Some(&false);
        let even = (usize::from(self.first) + index).is_multiple_of(2);
        match parity {
            Parity::Any => free(index),
            Parity::Even => even && free(index),
            Parity::EvenPair => even && free(index) && free(index + 1),
        }
    }

    /// True if that changed anything.
    fn mark(&mut self, index: usize, value: bool) -> bool {
        match self.used.get_mut(index) {
            Some(used) if *used != value => {
                *used = value;
                self.free = if value { self.free - 1 } else { self.free + 1 };
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn every_port_is_given_once_and_then_none() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut pool = PortPool::new(&(100..=119));
        let ports: HashSet<u16> = std::iter::from_fn(|| pool.take(&mut rng, Parity::Any)).collect();
        assert_eq!(ports, (100..=119).collect());
        assert!(pool.release(107));
        assert!(!pool.release(107));
        assert!(!pool.release(9));
        assert_eq!(pool.take(&mut rng, Parity::Even), None);
        assert_eq!(pool.take(&mut rng, Parity::Any), Some(107));
        assert_eq!(pool.take(&mut rng, Parity::Any), None);
    }

    #[test]
    fn a_pair_is_even_and_next_to_it() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut pool = PortPool::new(&(101..=106));
        let mut evens: Vec<u16> = std::iter::from_fn(|| pool.take(&mut rng, Parity::EvenPair)).collect();
        evens.sort_unstable();
        assert_eq!(evens, [102, 104], "106 has no 107 in the range");
        pool.release(102);
        assert_eq!(pool.take(&mut rng, Parity::EvenPair), None, "103 is still held");
        pool.release(103);
        assert_eq!(pool.take(&mut rng, Parity::EvenPair), Some(102));
    }

    #[test]
    fn the_whole_port_space_fits() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut pool = PortPool::new(&(65535..=65535));
        assert_eq!(pool.take(&mut rng, Parity::EvenPair), None);
        assert_eq!(pool.take(&mut rng, Parity::Any), Some(65535));
    }
}
