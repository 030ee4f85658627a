//! Live viewer counts from the parts that signaling replicas report (L9): a subject counts once, whoever says that it
//! is there; viewers without a name are each somebody else. Pure.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use contract::id::BroadcastId;
use contract::rest::{RoomReport, Subjects};

/// How long a part lives without being renewed.
pub const PART_TTL: TimeDelta = TimeDelta::seconds(4);
/// Most viewers without a name that one part may claim; more is taken as this many.
const MAX_OTHERS: i64 = 1 << 40;

/// A part to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// The broadcast.
    pub id: BroadcastId,
    /// Viewers with a token.
    pub subjects: Subjects,
    /// Viewers without.
    pub others: i64,
    /// A peer-to-peer streamer is there.
    pub p2p_streamer: bool,
}

impl NewPart {
    /// Nobody is there any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.subjects.is_empty() && self.others == 0 && !self.p2p_streamer
    }
}

/// A stored part: what one replica says of one broadcast.
#[derive(Debug, Clone)]
pub struct Part {
    /// The broadcast.
    pub id: BroadcastId,
    /// Viewers with a token.
    pub subjects: Subjects,
    /// Viewers without.
    pub others: i64,
    /// A peer-to-peer streamer is there.
    pub p2p_streamer: bool,
    /// It has not run out.
    pub is_live: bool,
    /// The broadcast's count in the catalogue.
    pub written: i64,
}

/// The viewers of one broadcast, by all its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The broadcast.
    pub id: BroadcastId,
    /// How many.
    pub viewers: i64,
    /// What the catalogue says.
    pub written: i64,
    /// A peer-to-peer streamer is there.
    pub p2p_streamer: bool,
    /// A part has run out or was taken back.
    pub has_ended: bool,
}

impl Count {
    /// Whether the catalogue says so already.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.viewers == self.written
    }
}

/// The part that a replica reports of a room; `None` for rooms of groups and of no broadcast.
#[must_use]
pub fn reported(room: &RoomReport) -> Option<NewPart> {
    let named = i64::try_from(room.subjects.len()).unwrap_or(i64::MAX);
    Some(NewPart {
        id: room.room.broadcast()?,
        subjects: room.subjects.clone(),
        others: room.viewer_count.saturating_sub(named).clamp(0, MAX_OTHERS),
        p2p_streamer: room.p2p_streamer,
    })
}

/// The counts of the broadcasts that have parts; the parts of a broadcast follow each other.
#[must_use]
pub fn counts(parts: &[Part]) -> Vec<Count> {
    let by_broadcast = parts.chunk_by(|a, b| a.id == b.id);
    by_broadcast.filter_map(|parts| parts.first().map(|first| count(first, parts))).collect()
}

fn count(first: &Part, parts: &[Part]) -> Count {
    let mut subjects = Subjects::default();
    let (mut others, mut p2p_streamer) = (0_i64, false);
    for part in parts.iter().filter(|part| part.is_live) {
        subjects.extend(&part.subjects);
        others = others.saturating_add(part.others.max(0));
        p2p_streamer |= part.p2p_streamer;
    }
    Count {
        id: first.id,
        viewers: others.saturating_add(i64::try_from(subjects.len()).unwrap_or(i64::MAX)),
        written: first.written,
        p2p_streamer,
        has_ended: parts.iter().any(|part| !part.is_live),
    }
}

/// The broadcasts with a peer-to-peer streamer.
#[must_use]
pub fn peer_to_peer(counts: &[Count]) -> HashSet<BroadcastId> {
    counts.iter().filter(|count| count.p2p_streamer).map(|count| count.id).collect()
}

/// Whether parts that ran out count on. After a start, and after the database was away, nobody could renew them: for
/// [`PART_TTL`] they stand.
#[derive(Debug, Default)]
pub struct Patience {
    well_since: Option<DateTime<Utc>>,
}

impl Patience {
    /// A sweep finds the database well at `now`.
    pub fn good(&mut self, now: DateTime<Utc>) -> bool {
        let since = *self.well_since.get_or_insert(now);
        if now < since {
            // A clock that stepped back: patience would last as long as the step.
            self.well_since = Some(now);
        }
        now - since < PART_TTL
    }

    /// A sweep finds the database away.
    pub fn bad(&mut self) {
        self.well_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BroadcastId = BroadcastId(7);

    fn part(subjects: &[&str], others: i64) -> Part {
        let subjects = subjects.iter().copied().collect();
        Part { id: ID, subjects, others, p2p_streamer: false, is_live: true, written: 5 }
    }

    fn report(room: &str, viewer_count: i64, subjects: &[&str]) -> RoomReport {
        let subjects = subjects.iter().copied().collect();
        RoomReport { room: room.parse().unwrap(), viewer_count, subjects, p2p_streamer: false }
    }

    #[test]
    fn a_person_counts_once_over_replicas_and_the_nameless_add_up() {
        let counted = counts(&[part(&["a", "b"], 2), part(&["b", "c"], 1)]);
        let [count] = counted.as_slice() else { panic!("{counted:?}") };
        assert_eq!((count.viewers, count.written, count.is_written(), count.has_ended), (6, 5, false, false));
        let other = Part { id: BroadcastId(8), ..part(&["a"], 0) };
        assert_eq!(counts(&[part(&["a"], 0), other]).len(), 2);
        assert!(counts(&[]).is_empty());
    }

    #[test]
    fn what_ran_out_counts_no_more_and_is_known_to_have_ended() {
        let ended = Part { is_live: false, p2p_streamer: true, ..part(&["a"], 9) };
        let counted = counts(&[ended.clone(), part(&["b"], 0)]);
        assert_eq!((counted[0].viewers, counted[0].has_ended, counted[0].p2p_streamer), (1, true, false));
        assert_eq!(counts(&[ended])[0].viewers, 0);
    }

    #[test]
    fn a_report_is_taken_within_bounds() {
        assert_eq!(reported(&report("7", 3, &["a"])).unwrap().others, 2);
        assert_eq!(reported(&report("7", -4, &[])).unwrap().others, 0);
        assert_eq!(reported(&report("7", i64::MIN, &["a"])).unwrap().others, 0);
        assert_eq!(reported(&report("7", i64::MAX, &[])).unwrap().others, MAX_OTHERS);
        let most = part(&[], i64::MAX);
        assert_eq!(counts(&[most.clone(), most])[0].viewers, i64::MAX);
        for nothing in ["grp_x", "lobby"] {
            assert!(reported(&report(nothing, 4, &[])).is_none(), "{nothing}");
        }
    }

    #[test]
    fn a_streamer_is_found() {
        let streams = Part { p2p_streamer: true, ..part(&[], 0) };
        assert_eq!(peer_to_peer(&counts(&[streams])), HashSet::from([ID]));
    }

    #[test]
    fn patience_lasts_while_nobody_could_renew() {
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
        let mut patience = Patience::default();
        assert!(patience.good(at(0)) && patience.good(at(3)));
        assert!(!patience.good(at(4)) && !patience.good(at(100)));
        patience.bad();
        assert!(patience.good(at(101)));
        assert!(!patience.good(at(105)));
        // A clock that stepped back an hour costs seconds, not an hour.
        assert!(patience.good(at(-3_600)));
        assert!(!patience.good(at(-3_590)));
    }
}
