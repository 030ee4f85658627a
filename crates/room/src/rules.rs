//! What holds in a room whichever node is its home: it is stored outside.

use std::collections::{BTreeMap, BTreeSet};

use contract::id::ParticipantId;
use contract::room_state::{Right, Rights};

use crate::limits::MAX_RULES;

/// One change of the rules. To make it twice is to make it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Locked, with those who are in, or open.
    Lock(Option<BTreeSet<ParticipantId>>),
    /// Somebody may not come back.
    Remove(ParticipantId),
    /// Somebody has a right, whatever its token says.
    Grant(ParticipantId, Right),
    /// Somebody does not have a right, whatever its token says.
    Revoke(ParticipantId, Right),
}

/// What holds in a room whichever node is its home. Both kinds of people together are at most [`MAX_RULES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Nobody new comes in but moderators.
    pub locked: bool,
    /// Who was in when it was locked: no one new, also where another node has become the home since.
    pub seated: BTreeSet<ParticipantId>,
    /// Who was removed.
    pub removed: BTreeSet<ParticipantId>,
    /// Whom moderators gave rights or took them: true for each right given, false for each taken.
    pub rights: BTreeMap<ParticipantId, BTreeMap<Right, bool>>,
}

impl Rules {
    /// Whether `change` can be made: what it names is known, or there is room for one more.
    pub(crate) fn fits(&self, change: &Change) -> bool {
        let is_known = match change {
            Change::Lock(_) => true,
            Change::Remove(who) => self.removed.contains(who),
            Change::Grant(who, _) | Change::Revoke(who, _) => self.rights.contains_key(who),
        };
        is_known || self.removed.len().saturating_add(self.rights.len()) < MAX_RULES
    }

    /// Makes a change.
    pub(crate) fn make(&mut self, change: &Change) {
        let mut set = |who: &ParticipantId, right: Right, is_given: bool| {
            self.rights.entry(who.clone()).or_default().insert(right, is_given);
        };
        match change {
            // Who locks what is locked changes nothing.
            Change::Lock(Some(_)) if self.locked => {}
            Change::Lock(seated) => {
                self.locked = seated.is_some();
                self.seated = seated.clone().unwrap_or_default();
            }
            Change::Remove(who) => {
                self.removed.insert(who.clone());
                self.seated.remove(who);
            }
            Change::Grant(who, right) => set(who, *right, true),
            Change::Revoke(who, right) => set(who, *right, false),
        }
    }

    /// What `who` may do whose token gives it `granted`.
    pub(crate) fn rights_of(&self, who: &ParticipantId, granted: &Rights) -> Rights {
        let mut rights = granted.clone();
        for (right, given) in self.rights.get(who).into_iter().flatten() {
            if *given {
                rights.insert(*right)
            } else {
                rights.remove(right)
            };
        }
        rights
    }
}
