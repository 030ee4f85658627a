//! Live viewer counts: what each signaling replica says, summed, and what has to be written. Pure.
//!
//! A replica's part that is not renewed for [`PART_TTL`] counts as nothing, so that a count is never stuck. After
//! a start the counts of the last run stand for [`PART_TTL`], then they go unless somebody renewed them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use contract::id::BroadcastId;
use contract::rest::RoomsReport;

/// How long a part lives without being renewed.
pub const PART_TTL: TimeDelta = TimeDelta::seconds(4);
/// Most parts held. A part of one more room is left out until others go: its count stays as it was.
pub const MAX_PARTS: usize = 200_000;
/// Most viewers that one part may claim; more is taken as this many.
const MAX_VIEWERS: i64 = 1 << 40;

#[derive(Debug)]
struct Part {
    viewers: i64,
    peer_to_peer: bool,
    at: DateTime<Utc>,
}

/// The counts of every broadcast.
#[derive(Debug)]
pub struct Counts {
    parts: HashMap<BroadcastId, HashMap<String, Part>>,
    held: usize,
    /// What the store says, as far as it is not zero or not known.
    written: HashMap<BroadcastId, i64>,
    /// Counts of the last run that nobody has renewed or ended yet; none after [`PART_TTL`].
    carried: HashSet<BroadcastId>,
    started: DateTime<Utc>,
}

impl Counts {
    /// Counts as the store has them at the start.
    #[must_use]
    pub fn new(written: impl IntoIterator<Item = (BroadcastId, i64)>, now: DateTime<Utc>) -> Self {
        let written: HashMap<_, _> = written.into_iter().collect();
        let carried = written.keys().copied().collect();
        Self { parts: HashMap::new(), held: 0, written, carried, started: now }
    }

    /// A signaling replica reports. Rooms of groups and of no broadcast are left out.
    pub fn report(&mut self, report: &RoomsReport, now: DateTime<Utc>) {
        for room in &report.rooms {
            let Some(id) = room.room.broadcast() else { continue };
            self.carried.remove(&id);
            let viewers = room.viewer_count.clamp(0, MAX_VIEWERS);
            if viewers == 0 && !room.p2p_streamer {
                self.remove(id, &report.replica);
                continue;
            }
            let part = Part { viewers, peer_to_peer: room.p2p_streamer, at: now };
            let known = self.parts.get(&id).is_some_and(|parts| parts.contains_key(&report.replica));
            if !known && self.held >= MAX_PARTS {
                continue;
            }
            if self.parts.entry(id).or_default().insert(report.replica.clone(), part).is_none() {
                self.held += 1;
            }
        }
    }

    fn remove(&mut self, id: BroadcastId, replica: &str) {
        if let Some(parts) = self.parts.get_mut(&id) {
            self.held -= usize::from(parts.remove(replica).is_some());
            if parts.is_empty() {
                self.parts.remove(&id);
            }
        }
    }

    /// Drops the parts that nobody renewed.
    fn expire(&mut self, now: DateTime<Utc>) {
        let mut dropped = 0;
        self.parts.retain(|_, parts| {
            let before = parts.len();
            // A part from the future is a clock that stepped back: it would never end.
            parts.retain(|_, part| part.at <= now && now - part.at < PART_TTL);
            dropped += before - parts.len();
            !parts.is_empty()
        });
        self.held -= dropped;
    }

    /// The counts that differ from what is written, each once.
    pub fn changes(&mut self, now: DateTime<Utc>) -> Vec<(BroadcastId, i64)> {
        self.expire(now);
        let total = |parts: &HashMap<String, Part>| parts.values().map(|part| part.viewers).sum::<i64>();
        let mut changes: Vec<(BroadcastId, i64)> = self
            .parts
            .iter()
            .map(|(id, parts)| (*id, total(parts)))
            .filter(|(id, count)| self.written.get(id) != Some(count))
            .collect();
        if now - self.started >= PART_TTL || now < self.started {
            self.carried.clear();
        }
        let stands = |id: &BroadcastId| self.parts.contains_key(id) || self.carried.contains(id);
        let gone = self.written.iter().filter(|(id, count)| **count != 0 && !stands(id));
        changes.extend(gone.map(|(id, _)| (*id, 0)));
        changes
    }

    /// These counts are in the store now.
    pub fn written(&mut self, counts: &[(BroadcastId, i64)]) {
        for (id, count) in counts {
            if *count == 0 && !self.parts.contains_key(id) {
                self.written.remove(id);
            } else {
                self.written.insert(*id, *count);
            }
        }
    }

    /// The store's count of `id` was changed by another hand: the next report writes it again.
    pub fn forget(&mut self, id: BroadcastId) {
        self.written.remove(&id);
    }

    /// Viewers of all broadcasts, as written.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.written.values().sum()
    }

    /// The broadcasts with a peer-to-peer streamer.
    #[must_use]
    pub fn peer_to_peer(&self) -> HashSet<BroadcastId> {
        let streams = |parts: &HashMap<String, Part>| parts.values().any(|part| part.peer_to_peer);
        self.parts.iter().filter(|(_, parts)| streams(parts)).map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use contract::rest::{RoomReport, Subjects};

    use super::*;

    const ID: BroadcastId = BroadcastId(7);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn report(replica: &str, viewer_count: i64, p2p_streamer: bool) -> RoomsReport {
        let room = RoomReport { room: ID.into(), viewer_count, subjects: Subjects::default(), p2p_streamer };
        RoomsReport { replica: replica.into(), rooms: vec![room] }
    }

    /// One tick whose writes succeed.
    fn tick(counts: &mut Counts, now: DateTime<Utc>) -> Vec<(BroadcastId, i64)> {
        let changes = counts.changes(now);
        counts.written(&changes);
        changes
    }

    #[test]
    fn parts_of_replicas_add_up_and_are_written_once() {
        let mut counts = Counts::new([], at(0));
        counts.report(&report("a", 2, false), at(0));
        counts.report(&report("b", 3, false), at(0));
        assert_eq!(tick(&mut counts, at(0)), [(ID, 5)]);
        assert_eq!(tick(&mut counts, at(1)), []);
        counts.report(&report("b", 0, false), at(1));
        assert_eq!(tick(&mut counts, at(1)), [(ID, 2)]);
    }

    #[test]
    fn a_part_that_nobody_renews_is_dropped_after_four_seconds() {
        let mut counts = Counts::new([], at(0));
        counts.report(&report("a", 2, false), at(0));
        tick(&mut counts, at(0));
        assert_eq!(tick(&mut counts, at(3)), []);
        assert_eq!(tick(&mut counts, at(4)), [(ID, 0)]);
        assert_eq!(tick(&mut counts, at(5)), []);
        assert_eq!(counts.held, 0);
    }

    #[test]
    fn a_count_of_the_last_run_stands_four_seconds_unless_renewed() {
        let mut counts = Counts::new([(ID, 9), (BroadcastId(8), 1)], at(0));
        counts.report(&report("a", 2, false), at(1));
        assert_eq!(tick(&mut counts, at(1)), [(ID, 2)]);
        counts.report(&report("a", 2, false), at(3));
        assert_eq!(tick(&mut counts, at(4)), [(BroadcastId(8), 0)]);
    }

    #[test]
    fn a_room_that_empties_right_after_a_start_is_empty_at_once() {
        let mut counts = Counts::new([(ID, 9)], at(0));
        counts.report(&report("a", 0, false), at(1));
        assert_eq!(tick(&mut counts, at(1)), [(ID, 0)]);
    }

    #[test]
    fn a_write_that_failed_is_tried_again() {
        let mut counts = Counts::new([], at(0));
        counts.report(&report("a", 2, false), at(0));
        assert_eq!(counts.changes(at(0)), [(ID, 2)]);
        assert_eq!(counts.changes(at(1)), [(ID, 2)]);
    }

    #[test]
    fn no_count_is_negative_and_groups_have_none() {
        let mut counts = Counts::new([], at(0));
        counts.report(&report("a", -4, false), at(0));
        let group = RoomReport { room: "grp_x".parse().unwrap(), ..report("a", 4, true).rooms[0].clone() };
        counts.report(&RoomsReport { replica: "a".into(), rooms: vec![group] }, at(0));
        counts.report(&report("b", i64::MAX, false), at(0));
        counts.report(&report("c", i64::MAX, false), at(0));
        assert_eq!(tick(&mut counts, at(0)), [(ID, 2 * MAX_VIEWERS)]);
    }

    #[test]
    fn a_peer_to_peer_streamer_is_seen_while_it_is_renewed() {
        let mut counts = Counts::new([], at(0));
        counts.report(&report("a", 0, true), at(0));
        counts.changes(at(3));
        assert_eq!(counts.peer_to_peer(), HashSet::from([ID]));
        counts.changes(at(4));
        assert!(counts.peer_to_peer().is_empty());
    }

    #[test]
    fn a_clock_that_steps_back_leaves_nothing_stuck() {
        let mut counts = Counts::new([], at(0));
        counts.report(&report("a", 2, false), at(1_000));
        tick(&mut counts, at(1_000));
        assert_eq!(tick(&mut counts, at(10)), [(ID, 0)]);
    }
}
