//! What a publisher's sources do, as its room has it. The state of a room is changed by many requests at once, each of which
//! tells the shard by itself, so what is said may come in another order than it was decided in. Pure.

use contract::room_state::SourceState;
use sfu_core::Gate;

use crate::published::{SOURCES, SourceGates};

/// The gates of a publisher, by slot of a source, each with the number of what was said of it last: open until it is said
/// otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gates([(Gate, u64); SOURCES.len()]);

impl Gates {
    /// Takes what is said of a source, unless something later was.
    pub(super) fn set(&mut self, slot: usize, state: SourceState, number: u64) {
        if let Some(gate) = self.0.get_mut(slot)
            && gate.1 < number
        {
            *gate = (gate_of(state), number);
        }
    }

    /// The gates without the numbers.
    pub(super) fn by_slot(&self) -> SourceGates {
        self.0.map(|(gate, _)| gate)
    }
}

fn gate_of(state: SourceState) -> Gate {
    match state {
        SourceState::On => Gate::Open,
        SourceState::Off => Gate::Off,
        SourceState::Muted => Gate::Closed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said, in the order in which it was decided: of which source, and what it does.
    fn said() -> impl Strategy<Value = Vec<(usize, SourceState)>> {
        let state = prop_oneof![Just(SourceState::On), Just(SourceState::Off), Just(SourceState::Muted)];
        proptest::collection::vec((0..SOURCES.len(), state), 0..24)
    }

    proptest! {
        #[test]
        fn in_any_order_and_however_often_the_last_decision_holds(
            (said, order) in said().prop_flat_map(|said| {
                let all: Vec<usize> = (0..said.len()).chain(0..said.len()).collect();
                (Just(said), Just(all).prop_shuffle())
            })
        ) {
            let mut last = SourceGates::default();
            for (slot, state) in &said {
                last[*slot] = gate_of(*state);
            }
            let mut gates = Gates::default();
            for at in order {
                let (slot, state) = said[at];
                gates.set(slot, state, at as u64 + 1);
            }
            prop_assert_eq!(gates.by_slot(), last);
        }
    }
}
