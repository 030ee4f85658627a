//! Who may do what: the one place that says so. Its table of tests is the table of `docs/signaling.md`.

use contract::destination::Source;
use contract::room_state::{Person, Right, RoomCommand};

/// How high somebody stands in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// May not moderate.
    Guest,
    /// Was given the right to moderate in the room.
    Moderator,
    /// Moderates by its own token.
    Host,
}

impl Rank {
    /// The rank of somebody.
    #[must_use]
    pub fn of(person: &Person) -> Self {
        match (person.host, person.rights.contains(&Right::Moderate)) {
            (true, true) => Self::Host,
            (false, true) => Self::Moderator,
            (_, false) => Self::Guest,
        }
    }
}

/// The right that it takes to send `source`.
#[must_use]
pub fn right_to(source: Source) -> Right {
    match source {
        Source::Camera => Right::Camera,
        Source::Microphone => Right::Microphone,
        Source::Screen | Source::ScreenAudio => Right::Screen,
    }
}

/// Whom a command is about, seen from who gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nobody, or itself.
    Own,
    /// Somebody else of this rank.
    Other(Rank),
}

/// Whether a person with `rank` and `rights` may give `command` about `target`.
pub(crate) fn may(from: &Person, command: &RoomCommand, target: Target) -> bool {
    let rank = Rank::of(from);
    let moderates = rank >= Rank::Moderator;
    let is_above = matches!(target, Target::Other(other) if rank > other);
    match command {
        RoomCommand::Switch { source, on } => !on || from.rights.contains(&right_to(*source)),
        RoomCommand::Rename { .. } | RoomCommand::React { .. } => true,
        RoomCommand::Hand { up, .. } => match target {
            Target::Own => true,
            // Nobody raises another's hand.
            Target::Other(_) => moderates && !up,
        },
        // Whoever is muted can switch it on again, so hosts are muted too: a host's open microphone disturbs no less.
        RoomCommand::Mute { .. } => moderates,
        RoomCommand::Lock { .. } => moderates,
        RoomCommand::Remove { .. } => moderates && is_above,
        RoomCommand::Grant { right: Right::Moderate, .. }
        | RoomCommand::Revoke { right: Right::Moderate, .. } => rank == Rank::Host && is_above,
        RoomCommand::Grant { .. } | RoomCommand::Revoke { .. } => moderates && is_above,
    }
}

#[cfg(test)]
mod tests {
    use contract::room_state::{Quality, ReactionKind};

    use super::*;

    fn person(rank: Rank, rights: &[Right]) -> Person {
        let mut rights: contract::room_state::Rights = rights.iter().copied().collect();
        if rank > Rank::Guest {
            rights.insert(Right::Moderate);
        }
        Person {
            participant: "par_a".parse().unwrap(),
            order: 1,
            name: String::new(),
            host: rank == Rank::Host,
            rights,
            sources: Vec::new(),
            quality: Quality::Good,
            hand: 0,
        }
    }

    /// Columns: about nobody or oneself, a guest, a moderator, a host. Rows: a guest, a moderator, a host.
    const TABLE: [(&str, [&str; 3]); 14] = [
        ("switch off", ["x...", "x...", "x..."]),
        ("rename", ["x...", "x...", "x..."]),
        ("react", ["x...", "x...", "x..."]),
        ("hand up", ["x...", "x...", "x..."]),
        ("hand down", ["x...", "xxxx", "xxxx"]),
        ("mute microphone", ["....", "xxxx", "xxxx"]),
        ("mute screen", ["....", "xxxx", "xxxx"]),
        ("lock", ["....", "x...", "x..."]),
        ("unlock", ["....", "x...", "x..."]),
        ("remove", ["....", ".x..", ".xx."]),
        ("grant screen", ["....", ".x..", ".xx."]),
        ("revoke microphone", ["....", ".x..", ".xx."]),
        ("grant moderate", ["....", "....", ".xx."]),
        ("revoke moderate", ["....", "....", ".xx."]),
    ];

    fn command(name: &str, about_other: bool) -> Option<RoomCommand> {
        let participant: contract::id::ParticipantId = "par_b".parse().unwrap();
        let other = about_other.then(|| participant.clone());
        let named = match name {
            "hand up" => return Some(RoomCommand::Hand { up: true, participant: other }),
            "hand down" => return Some(RoomCommand::Hand { up: false, participant: other }),
            "mute microphone" => RoomCommand::Mute { participant, source: Source::Microphone },
            "mute screen" => RoomCommand::Mute { participant, source: Source::Screen },
            "remove" => RoomCommand::Remove { participant },
            "grant screen" => RoomCommand::Grant { participant, right: Right::Screen },
            "revoke microphone" => RoomCommand::Revoke { participant, right: Right::Microphone },
            "grant moderate" => RoomCommand::Grant { participant, right: Right::Moderate },
            "revoke moderate" => RoomCommand::Revoke { participant, right: Right::Moderate },
            // These are about nobody else.
            _ if about_other => return None,
            "switch off" => RoomCommand::Switch { source: Source::Camera, on: false },
            "rename" => RoomCommand::Rename { name: "a".into() },
            "react" => RoomCommand::React { reaction: ReactionKind::Like },
            "lock" => RoomCommand::Lock { on: true },
            "unlock" => RoomCommand::Lock { on: false },
            _ => panic!("{name}"),
        };
        Some(named)
    }

    #[test]
    fn the_table_of_who_may_what() {
        let ranks = [Rank::Guest, Rank::Moderator, Rank::Host];
        for (name, rows) in TABLE {
            for (rank, row) in ranks.into_iter().zip(rows) {
                let targets = [Target::Own].into_iter().chain(ranks.map(Target::Other));
                let from = person(rank, &[]);
                let found: String = targets
                    .map(|target| {
                        let command = command(name, target != Target::Own);
                        let allowed = command.is_some_and(|command| may(&from, &command, target));
                        if allowed { 'x' } else { '.' }
                    })
                    .collect();
                assert_eq!(found, row, "{name} by a {rank:?}");
            }
        }
    }

    #[test]
    fn to_switch_a_source_on_takes_the_right_to_it() {
        let all = [Right::Camera, Right::Microphone, Right::Screen];
        let sources = [
            (Source::Camera, Right::Camera),
            (Source::Microphone, Right::Microphone),
            (Source::Screen, Right::Screen),
            (Source::ScreenAudio, Right::Screen),
        ];
        for (source, right) in sources {
            for rank in [Rank::Guest, Rank::Host] {
                let on = RoomCommand::Switch { source, on: true };
                assert!(may(&person(rank, &[right]), &on, Target::Own), "{source:?}");
                let others: Vec<Right> = all.into_iter().filter(|other| *other != right).collect();
                assert!(!may(&person(rank, &others), &on, Target::Own), "{source:?}");
            }
        }
    }

    #[test]
    fn a_host_whose_right_was_taken_is_a_guest() {
        let mut host = person(Rank::Host, &[]);
        host.rights.clear();
        assert_eq!(Rank::of(&host), Rank::Guest);
    }
}
