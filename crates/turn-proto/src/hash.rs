//! The hash of the tables that each packet looks into: a few multiplications, with a random key. The standard one
//! costs more than the rest of the look-up; one without a key would let clients choose addresses that collide.

use std::hash::{BuildHasher, Hasher};

use rand::Rng;

/// Makes hashers with one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed {
    start: u64,
    factor: u64,
}

impl Keyed {
    pub(crate) fn new(rng: &mut impl Rng) -> Self {
        // An even factor would lose bits.
        Self { start: rng.next_u64(), factor: rng.next_u64() | 1 }
    }
}

impl BuildHasher for Keyed {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding { state: self.start, factor: self.factor }
    }
}

/// Multiplies to 128 bits and folds the halves together, word by word.
#[derive(Debug)]
pub(crate) struct Folding {
    state: u64,
    factor: u64,
}

impl Folding {
    fn word(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        self.state = ((product >> 64) as u64 ^ product as u64).wrapping_add(self.factor);
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.word(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.word(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.word(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::SocketAddr;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn neighbours_are_spread_and_the_key_matters() {
        let mut rng = StdRng::seed_from_u64(4);
        let (one, other) = (Keyed::new(&mut rng), Keyed::new(&mut rng));
        let addresses = (0..4_096u32).map(|i| SocketAddr::from(([10, 0, (i >> 8) as u8, 1], i as u16)));
        let mut low_bits = HashSet::new();
        let mut high_bits = HashSet::new();
        for address in addresses {
            let hash = one.hash_one(address);
            assert_ne!(hash, other.hash_one(address));
            low_bits.insert(hash & 0xFFF);
            high_bits.insert(hash >> 52);
        }
        // 4,096 balls into as many boxes leave about 37 % of them empty.
        for spread in [low_bits.len(), high_bits.len()] {
            assert!((2_300..2_900).contains(&spread), "{spread} of 4096");
        }
    }
}
