//! The state that everybody knows, the difference between two of them, and a difference applied.

use std::collections::{BTreeMap, BTreeSet};

use contract::id::ParticipantId;
use contract::room_state::{Gone, Person, PersonChange, RoomDelta, RoomSnapshot, WhyGone};

/// The state of a room without its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) locked: bool,
    pub(crate) people: BTreeMap<ParticipantId, Person>,
}

impl State {
    pub(crate) fn snapshot(&self, epoch: u64, seq: u64) -> RoomSnapshot {
        RoomSnapshot { epoch, seq, locked: self.locked, people: self.people.values().cloned().collect() }
    }

    pub(crate) fn of(snapshot: &RoomSnapshot) -> Self {
        let person = |person: &Person| (person.participant.clone(), person.clone());
        Self { locked: snapshot.locked, people: snapshot.people.iter().map(person).collect() }
    }

    /// What leads from `self` to `now`, where only people of `touched` differ. Epoch and number are the caller's.
    pub(crate) fn difference(
        &self,
        now: &Self,
        touched: &BTreeSet<ParticipantId>,
        why: impl Fn(&ParticipantId) -> WhyGone,
    ) -> RoomDelta {
        let locked = (self.locked != now.locked).then_some(now.locked);
        let mut delta = RoomDelta { locked, ..RoomDelta::default() };
        for id in touched {
            match (self.people.get(id), now.people.get(id)) {
                (None, Some(new)) => delta.joined.push(new.clone()),
                (Some(_), None) => delta.gone.push(Gone { participant: id.clone(), why: why(id) }),
                (Some(old), Some(new)) if old != new => delta.changed.push(change(old, new)),
                _ => {}
            }
        }
        delta
    }

    /// Applies a difference. People that it changes or takes away and that are not here are passed over.
    pub(crate) fn apply(&mut self, delta: &RoomDelta) {
        self.locked = delta.locked.unwrap_or(self.locked);
        for gone in &delta.gone {
            self.people.remove(&gone.participant);
        }
        for person in &delta.joined {
            self.people.insert(person.participant.clone(), person.clone());
        }
        for change in &delta.changed {
            if let Some(person) = self.people.get_mut(&change.participant) {
                merge(person, change);
            }
        }
    }
}

/// Whether a difference says anything.
pub(crate) fn is_empty(delta: &RoomDelta) -> bool {
    let RoomDelta { epoch: _, seq: _, locked, joined, changed, gone, reactions } = delta;
    locked.is_none() && joined.is_empty() && changed.is_empty() && gone.is_empty() && reactions.is_empty()
}

fn change(old: &Person, new: &Person) -> PersonChange {
    fn of<T: PartialEq + Clone>(old: &T, new: &T) -> Option<T> {
        (old != new).then(|| new.clone())
    }
    let Person { participant, order, name, host, rights, sources, quality, hand } = new;
    PersonChange {
        participant: participant.clone(),
        order: of(&old.order, order),
        name: of(&old.name, name),
        host: of(&old.host, host),
        rights: of(&old.rights, rights),
        sources: of(&old.sources, sources),
        quality: of(&old.quality, quality),
        hand: of(&old.hand, hand),
    }
}

fn merge(person: &mut Person, change: &PersonChange) {
    fn set<T: Clone>(to: &mut T, from: &Option<T>) {
        if let Some(value) = from {
            *to = value.clone();
        }
    }
    let PersonChange { participant: _, order, name, host, rights, sources, quality, hand } = change;
    set(&mut person.order, order);
    set(&mut person.name, name);
    set(&mut person.host, host);
    set(&mut person.rights, rights);
    set(&mut person.sources, sources);
    set(&mut person.quality, quality);
    set(&mut person.hand, hand);
}
