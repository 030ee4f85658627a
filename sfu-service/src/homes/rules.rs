//! The rules of a room as meta keeps them.

use std::collections::{BTreeMap, BTreeSet};

use contract::group::{MAX_RULED_PEOPLE, PersonRule, RoomRules};
use contract::id::ParticipantId;
use contract::room_state::Right;
use contract::token::Grant;
use room::Rules;

/// As meta keeps them.
pub(super) fn to_meta(rules: &Rules) -> RoomRules {
    let mut subjects: BTreeSet<&ParticipantId> = rules.removed.iter().chain(rules.rights.keys()).collect();
    // Where there is no place for them all, what was decided of somebody comes first.
    let room = MAX_RULED_PEOPLE.saturating_sub(subjects.len());
    subjects.extend(rules.seated.iter().take(room));
    let person = |who: &ParticipantId| {
        let rights = rules.rights.get(who);
        let with = |wanted: bool| -> Vec<Grant> {
            let chosen = rights.into_iter().flatten().filter(|(_, is_given)| **is_given == wanted);
            chosen.map(|(right, _)| right.grant()).collect()
        };
        PersonRule {
            subject: who.to_string(),
            removed: rules.removed.contains(who),
            given: with(true),
            taken: with(false),
            seated: rules.seated.contains(who),
        }
    };
    RoomRules { locked: rules.locked, people: subjects.into_iter().map(person).collect() }
}

/// As the room holds them. Whoever is no participant cannot come in anyway.
pub(super) fn from_meta(rules: &RoomRules) -> Rules {
    let mut held = Rules { locked: rules.locked, ..Rules::default() };
    for PersonRule { subject, removed, given, taken, seated } in &rules.people {
        let Ok(who) = subject.parse::<ParticipantId>() else { continue };
        let given = Right::of(given).into_iter().map(|right| (right, true));
        let taken = Right::of(taken).into_iter().map(|right| (right, false));
        let rights: BTreeMap<Right, bool> = given.chain(taken).collect();
        if !rights.is_empty() {
            held.rights.insert(who.clone(), rights);
        }
        if *seated {
            held.seated.insert(who.clone());
        }
        if *removed {
            held.removed.insert(who);
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_back_as_they_went() {
        let par = |name: &str| -> ParticipantId { name.parse().unwrap() };
        let rules = Rules {
            locked: true,
            seated: [par("par_c"), par("par_d")].into_iter().collect(),
            removed: [par("par_a"), par("par_b")].into_iter().collect(),
            rights: [
                (par("par_b"), Right::ALL.map(|right| (right, false)).into_iter().collect()),
                (par("par_c"), [(Right::Moderate, true), (Right::Chat, false)].into_iter().collect()),
            ]
            .into_iter()
            .collect(),
        };
        let stored = to_meta(&rules);
        let subjects: Vec<&str> = stored.people.iter().map(|person| person.subject.as_str()).collect();
        assert_eq!(subjects, ["par_a", "par_b", "par_c", "par_d"], "each once, in order");
        assert_eq!(from_meta(&stored), rules);
        let nobody =
            PersonRule { subject: "ann".into(), removed: true, given: vec![], taken: vec![], seated: true };
        let stranger = RoomRules { locked: false, people: vec![nobody] };
        assert_eq!(from_meta(&stranger), Rules::default());
    }
}
