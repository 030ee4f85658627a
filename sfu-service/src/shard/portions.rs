//! Whose turn it is to be sent what this shard has missed.
//!
//! A shard that begins to pull publishers may have missed hundreds of packets of each. It asks for them in portions, few
//! at a time, so that they never fill the inbox that the live packets of all other rooms come through.

use std::collections::VecDeque;

/// Packets in a portion.
pub(super) const PORTION: usize = 64;
/// Portions that are on their way at a time: together a quarter of an inbox.
const MAX_GRANTED: usize = 4;

/// The turns, by the name of what is pulled.
#[derive(Debug)]
pub(super) struct Portions<K> {
    waiting: VecDeque<K>,
    granted: Vec<K>,
}

impl<K> Default for Portions<K> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), granted: Vec::new() }
    }
}

impl<K: Copy + PartialEq> Portions<K> {
    /// `key` has missed something.
    pub(super) fn want(&mut self, key: K) {
        if !self.waiting.contains(&key) && !self.granted.contains(&key) {
            self.waiting.push_back(key);
        }
    }

    /// Its portion has come; `more` is whether it has missed more than that.
    pub(super) fn came(&mut self, key: K, more: bool) {
        let before = self.granted.len();
        self.granted.retain(|granted| *granted != key);
        if more && self.granted.len() < before {
            self.waiting.push_back(key);
        }
    }

    /// Those that `is_gone` says so of get none.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&K) -> bool) {
        self.waiting.retain(|key| !is_gone(key));
        self.granted.retain(|key| !is_gone(key));
    }

    /// The next that may ask for a portion: it counts as granted.
    pub(super) fn grant(&mut self) -> Option<K> {
        if self.granted.len() >= MAX_GRANTED {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.granted.push(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_on_their_way_and_everybody_has_a_turn() {
        let mut portions = Portions::default();
        (0..10).for_each(|key| portions.want(key));
        let mut left = [3; 10];
        let mut granted = Vec::new();
        let mut order = Vec::new();
        loop {
            granted.extend(std::iter::from_fn(|| portions.grant()));
            assert!(granted.len() <= MAX_GRANTED);
            let Some(key) = (!granted.is_empty()).then(|| granted.remove(0)) else { break };
            order.push(key);
            left[key] -= 1;
            portions.came(key, left[key] > 0);
        }
        assert_eq!(left, [0; 10]);
        // In turn: nobody has a second portion before all had one.
        assert_eq!(order[..10], (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_gone_takes_no_turn_and_keeps_none() {
        let mut portions = Portions::default();
        (0..6).for_each(|key| portions.want(key));
        assert_eq!(std::iter::from_fn(|| portions.grant()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        portions.forget(|key| *key < 3 || *key == 4);
        assert_eq!((portions.grant(), portions.grant()), (Some(5), None));
        // The answer to one that was forgotten says nothing.
        portions.came(0, true);
        assert_eq!(portions.grant(), None);
        portions.want(3);
        assert_eq!(portions.grant(), None, "it is on its way already");
    }
}
