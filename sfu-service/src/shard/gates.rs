//! What moderators closed of a publisher's sources. The state of a room is changed by many requests at once, each of which
//! tells the shard by itself, so what is said may come in another order than it was decided in. Pure.

use crate::published::SOURCES;

/// The gates of a publisher, by slot of a source: open until it is said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gates([Gate; SOURCES.len()]);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Gate {
    is_closed: bool,
    /// Of what was said of it last.
    number: u64,
}

impl Gates {
    /// Takes what is said of a gate, unless something later was.
    pub(super) fn set(&mut self, slot: usize, is_open: bool, number: u64) {
        if let Some(gate) = self.0.get_mut(slot)
            && gate.number < number
        {
            *gate = Gate { is_closed: !is_open, number };
        }
    }

    /// By slot: whatever it sends of it, nobody gets it.
    pub(super) fn closed(&self) -> [bool; SOURCES.len()] {
        self.0.map(|gate| gate.is_closed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said, in the order in which it was decided: of which source, and whether it is open.
    fn said() -> impl Strategy<Value = Vec<(usize, bool)>> {
        proptest::collection::vec((0..SOURCES.len(), any::<bool>()), 0..24)
    }

    proptest! {
        #[test]
        fn in_any_order_and_however_often_the_last_decision_holds(
            (said, order) in said().prop_flat_map(|said| {
                let all: Vec<usize> = (0..said.len()).chain(0..said.len()).collect();
                (Just(said), Just(all).prop_shuffle())
            })
        ) {
            let mut last = [false; SOURCES.len()];
            for (slot, is_open) in &said {
                last[*slot] = !is_open;
            }
            let mut gates = Gates::default();
            for at in order {
                let (slot, is_open) = said[at];
                gates.set(slot, is_open, at as u64 + 1);
            }
            prop_assert_eq!(gates.closed(), last);
        }
    }
}
