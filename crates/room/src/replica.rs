//! The state of a room as somebody has it who hears of it: by a snapshot and the deltas after it.

use contract::id::ParticipantId;
use contract::room_state::{Person, RoomSnapshot, RoomUpdate};

use crate::state::State;

/// What an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The state is another one.
    Changed,
    /// It says what is known, or what is over.
    Stale,
    /// Something before it is missing: a snapshot is needed. The state stays what it was.
    Gap,
}

/// The state of a room, as far as it was heard of. Updates may be lost and may come twice; each leads to the state that
/// it names, or is refused.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    known: Option<(u64, u64, State)>,
}

impl Replica {
    /// Takes an update in.
    ///
    /// A snapshot counts if it is newer: of a greater epoch, or of this one with a greater number. A delta counts if it is
    /// the next one. A delta of this epoch with a greater number, or of a greater epoch, is a gap.
    pub fn apply(&mut self, update: &RoomUpdate) -> Applied {
        match update {
            RoomUpdate::Snapshot(snapshot) => {
                let is_newer = match &self.known {
                    Some((epoch, seq, _)) => (snapshot.epoch, snapshot.seq) > (*epoch, *seq),
                    None => true,
                };
                if !is_newer {
                    return Applied::Stale;
                }
                self.known = Some((snapshot.epoch, snapshot.seq, State::of(snapshot)));
                Applied::Changed
            }
            RoomUpdate::Delta(delta) => {
                let Some((epoch, seq, state)) = &mut self.known else { return Applied::Gap };
                if (delta.epoch, delta.seq) <= (*epoch, *seq) {
                    return Applied::Stale;
                }
                if delta.epoch != *epoch || seq.checked_add(1) != Some(delta.seq) {
                    return Applied::Gap;
                }
                state.apply(delta);
                *seq = delta.seq;
                Applied::Changed
            }
        }
    }

    /// The whole state, once there was a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<RoomSnapshot> {
        self.known.as_ref().map(|(epoch, seq, state)| state.snapshot(*epoch, *seq))
    }

    /// Somebody, if it is there.
    #[must_use]
    pub fn person(&self, who: &ParticipantId) -> Option<&Person> {
        self.known.as_ref().and_then(|(_, _, state)| state.people.get(who))
    }

    /// Whether nobody new comes in.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.known.as_ref().is_some_and(|(_, _, state)| state.locked)
    }

    /// Epoch and number of the state, once there was a snapshot.
    #[must_use]
    pub fn version(&self) -> Option<(u64, u64)> {
        self.known.as_ref().map(|(epoch, seq, _)| (*epoch, *seq))
    }
}

#[cfg(test)]
mod tests {
    use contract::room_state::RoomDelta;

    use super::*;

    fn snapshot(epoch: u64, seq: u64, locked: bool) -> RoomUpdate {
        RoomUpdate::Snapshot(RoomSnapshot { epoch, seq, locked, people: Vec::new() })
    }

    fn delta(epoch: u64, seq: u64, locked: bool) -> RoomUpdate {
        RoomUpdate::Delta(RoomDelta { epoch, seq, locked: Some(locked), ..RoomDelta::default() })
    }

    #[test]
    fn the_next_delta_counts_and_no_other() {
        let mut replica = Replica::default();
        assert_eq!(replica.apply(&delta(1, 1, true)), Applied::Gap);
        assert!(replica.snapshot().is_none());
        assert_eq!(replica.apply(&snapshot(1, 4, false)), Applied::Changed);
        assert_eq!(replica.apply(&delta(1, 4, true)), Applied::Stale);
        assert_eq!(replica.apply(&delta(1, 6, true)), Applied::Gap);
        assert_eq!(replica.snapshot().map(|state| state.locked), Some(false));
        assert_eq!(replica.apply(&delta(1, 5, true)), Applied::Changed);
        assert_eq!(replica.apply(&delta(1, 5, false)), Applied::Stale);
        assert_eq!(
            (replica.version(), replica.snapshot().map(|state| state.locked)),
            (Some((1, 5)), Some(true))
        );
    }

    #[test]
    fn a_greater_epoch_begins_with_its_snapshot_and_a_lower_one_is_over() {
        let mut replica = Replica::default();
        replica.apply(&snapshot(2, 9, true));
        assert_eq!(replica.apply(&delta(3, 10, false)), Applied::Gap);
        assert_eq!(replica.apply(&delta(1, 10, false)), Applied::Stale);
        assert_eq!(replica.apply(&snapshot(1, 99, false)), Applied::Stale);
        assert_eq!(replica.apply(&snapshot(2, 9, false)), Applied::Stale);
        assert_eq!(replica.version(), Some((2, 9)));
        assert_eq!(replica.apply(&snapshot(3, 0, false)), Applied::Changed);
        assert_eq!(replica.version(), Some((3, 0)));
    }

    #[test]
    fn the_last_number_has_no_next() {
        let mut replica = Replica::default();
        replica.apply(&snapshot(1, u64::MAX, true));
        assert_eq!(replica.apply(&delta(2, 0, true)), Applied::Gap);
        assert_eq!(replica.apply(&delta(1, 0, false)), Applied::Stale);
    }
}
