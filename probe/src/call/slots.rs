//! What the slots of a caller show, beside what was said of them. Pure: packets and messages in, judgements out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::call::{Bound, SlotKind, WhyMissing};

use super::seat::{Seat, Tag};
use crate::totals::Totals;

/// Length of a packet of sound.
const SOUND: Duration = Duration::from_millis(20);
/// Sources of one slot that no message has named yet; of further ones nothing is known.
const MAX_EARLY: usize = 8;

/// A packet that came for a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// Which slot, in the order of the m-lines.
    pub(crate) slot: usize,
    pub(crate) csrc: Option<u32>,
    pub(crate) timestamp: u32,
    /// Its number, extended.
    pub(crate) sequence: u64,
    /// A frame that decoding can start from begins with it.
    pub(crate) starts_key: bool,
    /// It is the last of its frame.
    pub(crate) ends_frame: bool,
    /// The last packet of the last frame that could be shown, extended.
    pub(crate) shown: u64,
    /// What its payload says, where it was looked at.
    pub(crate) tag: Option<Tag>,
    /// Time since it was sent, where that is known.
    pub(crate) delay: Option<Duration>,
}

/// What is waited for, from a moment on.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(crate) asked: Instant,
    /// A whole keyframe of each of these.
    pub(crate) pictures: Vec<u32>,
    /// So many voices.
    pub(crate) voices: usize,
    pub(crate) kind: GoalKind,
}

/// What is reached with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GoalKind {
    Join,
    Page,
}

#[derive(Debug)]
struct Slot {
    mid: String,
    kind: SlotKind,
    /// What the last message says: the source, and from which timestamp on.
    bound: Option<(u32, Option<u32>)>,
    /// What it said before.
    before: Option<u32>,
    /// The source of the last packet.
    showing: Option<u32>,
    /// A keyframe of that source began with this packet.
    key: Option<u64>,
    /// That source was shown: from a whole keyframe on.
    is_shown: bool,
    /// Sources that came before any message named them.
    early: Vec<u32>,
}

/// The slots of one caller.
#[derive(Debug)]
pub(crate) struct Slots {
    seat: Arc<Seat>,
    slots: Vec<Slot>,
    generation: Option<u32>,
    /// The channel was open once: before, no message could name a voice.
    is_told: bool,
    goal: Option<Goal>,
    /// The last utterance that was heard of each caller.
    heard: HashMap<u32, u16>,
}

impl Slots {
    pub(crate) fn new(seat: Arc<Seat>, slots: impl IntoIterator<Item = (String, SlotKind)>) -> Self {
        let slot = |(mid, kind)| Slot {
            mid,
            kind,
            bound: None,
            before: None,
            showing: None,
            key: None,
            is_shown: false,
            early: Vec::new(),
        };
        Self {
            seat,
            slots: slots.into_iter().map(slot).collect(),
            generation: None,
            is_told: false,
            goal: None,
            heard: HashMap::new(),
        }
    }

    /// Whether a packet's header is not enough to judge it.
    pub(crate) fn is_curious(&self, slot: usize, csrc: Option<u32>) -> bool {
        let slot = self.slots.get(slot);
        slot.is_none_or(|slot| slot.kind.is_audio() || !slot.is_shown || slot.showing != csrc)
    }

    /// Messages can come from now on.
    pub(crate) fn hears(&mut self) {
        self.is_told = true;
    }

    /// What is waited for from now on; what was not reached before is given up.
    pub(crate) fn aim(&mut self, goal: Goal, now: Instant, totals: &mut Totals) {
        totals.goals_missed += u64::from(self.goal.is_some());
        self.goal = Some(goal);
        self.look(now, totals);
    }

    /// What is waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.goal.is_some()
    }

    /// Takes what the server says of the slots.
    pub(crate) fn bind(&mut self, bound: &Bound, now: Instant, totals: &mut Totals) {
        if self.generation.is_some_and(|known| bound.generation < known) {
            return;
        }
        self.generation = Some(bound.generation);
        for slot in &mut self.slots {
            let binding = bound.slots.iter().find(|binding| binding.mid == slot.mid);
            let new = binding.map(|binding| (binding.source, binding.from));
            if new.map(|(source, _)| source) != slot.bound.map(|(source, _)| source) {
                slot.before = slot.bound.map(|(source, _)| source);
            }
            slot.bound = new;
            if let Some((source, _)) = new
                && let Some(place) = slot.early.iter().position(|early| *early == source)
            {
                // What came before it and was never named was shown under no name.
                totals.unnamed_sources += place as u64;
                slot.early.drain(..=place);
            }
        }
        if let Some(goal) = &mut self.goal {
            let gone = |source: &u32| {
                let mut missing = bound.missing.iter();
                missing.any(|missing| missing.source == *source && missing.why == WhyMissing::Absent)
            };
            goal.pictures.retain(|source| !gone(source));
        }
        self.look(now, totals);
    }

    /// Takes a packet that came for the first time.
    pub(crate) fn take(&mut self, taken: Taken, now: Instant, totals: &mut Totals) {
        let Some(slot) = self.slots.get_mut(taken.slot) else { return };
        let Some(csrc) = taken.csrc else {
            totals.nameless += 1;
            return;
        };
        if slot.showing != Some(csrc) {
            slot.showing = Some(csrc);
            slot.key = None;
            slot.is_shown = false;
        }
        if taken.starts_key && slot.key.is_none() {
            slot.key = Some(taken.sequence);
        }
        let was_shown = slot.is_shown;
        slot.is_shown |= slot.key.is_some_and(|key| taken.shown >= key);
        if taken.ends_frame {
            totals.judged_frames += 1;
            let is_early = u64::from(slot.is_early(csrc, taken.timestamp));
            if !self.is_told {
                totals.untold += is_early;
            } else if slot.kind.is_audio() {
                totals.early_sounds += is_early;
            } else {
                totals.early_frames += is_early;
            }
        }
        if let Some(tag) = taken.tag {
            let is_right = self.seat.owners.of(csrc).is_none_or(|owner| owner == tag.caller);
            totals.foreign_packets += u64::from(!is_right);
            let is_voice = slot.kind == SlotKind::Voice;
            totals.heard_itself += u64::from(is_voice && tag.caller == self.seat.number);
            if is_voice
                && tag.packet > 0
                && self.heard.insert(tag.caller, tag.utterance) != Some(tag.utterance)
            {
                totals.utterances_heard += 1;
                let lost = SOUND * u32::from(tag.packet - 1);
                totals.onset_lost.record(lost.as_micros() as u64);
                if let Some(delay) = taken.delay {
                    totals.onset_delay.record(delay.as_micros() as u64);
                }
            }
        }
        if !was_shown && self.goal.is_some() {
            self.look(now, totals);
        }
    }

    /// Whether what is waited for is there.
    fn look(&mut self, now: Instant, totals: &mut Totals) {
        let Some(goal) = &self.goal else { return };
        let shows = |slot: &Slot, source: u32| {
            let is_bound = slot.bound.is_some_and(|(bound, _)| bound == source);
            slot.is_shown && is_bound && slot.showing == Some(source)
        };
        let is_there =
            |source: &u32| self.slots.iter().any(|slot| !slot.kind.is_audio() && shows(slot, *source));
        // A voice has no place that could be somebody else's: its CSRC names it.
        let is_voice = |slot: &&Slot| slot.kind == SlotKind::Voice && slot.is_shown;
        if goal.pictures.iter().all(is_there) && self.slots.iter().filter(is_voice).count() >= goal.voices {
            let took = now.saturating_duration_since(goal.asked).as_micros() as u64;
            match goal.kind {
                GoalKind::Join => totals.join_time.record(took),
                GoalKind::Page => totals.page_time.record(took),
            }
            self.goal = None;
        }
    }
}

impl Slot {
    /// Whether a packet shows something that no message has named for this slot.
    fn is_early(&mut self, csrc: u32, timestamp: u32) -> bool {
        let is_named = match self.bound {
            Some((source, _)) if source == csrc => true,
            // What it showed before, until the new source is there.
            Some((_, from)) if self.before == Some(csrc) => {
                from.is_none_or(|from| (timestamp.wrapping_sub(from) as i32) < 0)
            }
            // Unbound since a moment: what was on its way.
            None => self.before == Some(csrc),
            Some(_) => false,
        };
        if !is_named && !self.early.contains(&csrc) && self.early.len() < MAX_EARLY {
            self.early.push(csrc);
        }
        !is_named
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
