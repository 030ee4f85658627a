//! Which slot shows what. Pure: slots and wants in, bindings out.
//!
//! The most wanted come first: pinned ones, then by priority, then as they were named. What a slot shows already stays
//! in it, so that who joins, goes or is wanted less moves nobody else. Cameras that are off, or whose connection is lost, come last: they give their
//! slot to who sends, and keep it where nobody else needs it. On a full line a slot that was bound a moment ago takes
//! nothing new: every binding costs a keyframe, and the picture after next would be late, too.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::config::SlotKind;
use crate::ids::{SubscriptionId, TrackName};

/// Most wants of one subscriber; what comes after is not looked at. Pages ask for what they show.
pub const MAX_WANTS: usize = 64;

/// On a full line a slot that was bound takes nothing new for this long.
pub const HOLD: Duration = Duration::from_secs(2);

/// Something that a subscriber wants to see, or to hear of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// What.
    pub track: TrackName,
    /// In which kind of slot. For voices see [`crate::Shard::set_wants`].
    pub slot: SlotKind,
    /// How high it is shown, in pixels: no encoding is sent that is higher, if there is a lower one. 0 is any height.
    pub height: u16,
    /// Greater goes first, for slots and for bandwidth.
    pub priority: u8,
    /// It goes before all that are not.
    pub pinned: bool,
}

impl Want {
    /// Its place among others in what the line carries: greater goes first.
    pub(crate) fn rank(&self) -> u16 {
        u16::from(self.pinned) << 8 | u16::from(self.priority)
    }
}

/// A want that is in no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingSource {
    /// What.
    pub track: TrackName,
    /// In which kind of slot it was wanted.
    pub slot: SlotKind,
    /// Why it is in none.
    pub why: WhyMissing,
}

/// Why a want is in no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhyMissing {
    /// Nobody publishes it. It is bound when somebody does.
    Absent,
    /// It does not fit that kind of slot, or it is one's own sound.
    Kind,
    /// The receiver does not decode it.
    Codec,
    /// All slots of that kind show what is wanted more.
    Slots,
    /// The line is full: it is bound in a moment.
    Line,
}

/// What a subscriber wants in its slots.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// At most [`MAX_WANTS`].
    pub(crate) list: Vec<Want>,
    /// What of it is in no slot.
    pub(crate) missing: Vec<MissingSource>,
    /// When slots that take nothing new for now are bound.
    pub(crate) due: Option<Instant>,
    /// Who publishes has changed since the slots were bound.
    pub(crate) stale: bool,
}

/// A slot, as far as bindings depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) id: SubscriptionId,
    pub(crate) kind: SlotKind,
    pub(crate) shows: Option<TrackName>,
    /// It takes nothing new for now.
    pub(crate) held: bool,
}

/// Whether a slot can show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It can.
    Shows,
    /// It can, but there is nothing to see: the camera is off, or its connection is lost.
    Dark,
    /// It cannot.
    Not(WhyMissing),
}

/// What the slots show, and what is in none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// What each slot shows, in their order.
    pub(crate) shown: Vec<Option<Want>>,
    pub(crate) missing: Vec<MissingSource>,
}

/// Assigns `wants` to `slots`; `fit` says whether one can show the other.
pub(crate) fn assign(slots: &[Slot], wants: &[Want], fit: impl Fn(&Slot, &Want) -> Fit) -> Assigned {
    let mut assigned = Assigned { shown: vec![None; slots.len()], missing: Vec::new() };
    let mut kinds: Vec<SlotKind> = slots.iter().map(|slot| slot.kind).collect();
    kinds.extend(wants.iter().map(|want| want.slot));
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let mut bound: Vec<(&Slot, Option<Want>)> =
            slots.iter().filter(|slot| slot.kind == kind).map(|slot| (slot, None)).collect();
        let fitting = fitting(&bound, wants, kind, &fit, &mut assigned.missing);
        let waiting = place(&mut bound, &fitting, &fit);
        assigned.missing.extend(waiting.into_iter().map(|(want, why)| missing(&want, why)));
        for (slot, shown) in bound {
            let place = slots.iter().position(|other| other.id == slot.id);
            if let Some(place) = place.and_then(|place| assigned.shown.get_mut(place)) {
                *place = shown;
            }
        }
    }
    assigned
}

fn missing(want: &Want, why: WhyMissing) -> MissingSource {
    MissingSource { track: want.track, slot: want.slot, why }
}

/// The wants of a kind that one of its slots can show, each once, the most wanted first. Notes the others as missing.
fn fitting(
    slots: &[(&Slot, Option<Want>)],
    wants: &[Want],
    kind: SlotKind,
    fit: impl Fn(&Slot, &Want) -> Fit,
    others: &mut Vec<MissingSource>,
) -> Vec<Want> {
    let mut ranked: Vec<(bool, Want)> = Vec::new();
    for want in wants.iter().take(MAX_WANTS).filter(|want| want.slot == kind) {
        if ranked.iter().any(|(_, other)| other.track == want.track) {
            continue;
        }
        let mut best = Fit::Not(WhyMissing::Slots);
        for (slot, _) in slots {
            best = fit(slot, want);
            if !matches!(best, Fit::Not(_)) {
                break;
            }
        }
        match best {
            Fit::Not(why) if others.iter().any(|other| *other == missing(want, why)) => {}
            Fit::Not(why) => others.push(missing(want, why)),
            Fit::Shows => ranked.push((false, *want)),
            Fit::Dark => ranked.push((true, *want)),
        }
    }
    ranked.sort_by_key(|(dark, want)| (*dark, Reverse(want.rank())));
    ranked.into_iter().map(|(_, want)| want).collect()
}

/// Gives `wants`, the most wanted first, their slots. Returns those that got none, and why.
fn place(
    slots: &mut [(&Slot, Option<Want>)],
    wants: &[Want],
    fit: impl Fn(&Slot, &Want) -> Fit,
) -> Vec<(Want, WhyMissing)> {
    let can = |slot: &Slot, want: &Want| !matches!(fit(slot, want), Fit::Not(_));
    let mut waiting = Vec::new();
    let (first, rest) = wants.split_at_checked(slots.len()).unwrap_or((wants, &[]));
    // The rest gets what the first cannot use.
    for wants in [first, rest] {
        let mut moving = Vec::new();
        for want in wants {
            let shown = |(slot, taken): &(&Slot, Option<Want>)| {
                taken.is_none() && slot.shows == Some(want.track) && can(slot, want)
            };
            match slots.iter_mut().find(|place| shown(place)) {
                Some((_, place)) => *place = Some(*want),
                None => moving.push(*want),
            }
        }
        for want in moving {
            let open = |(slot, taken): &(&Slot, Option<Want>)| taken.is_none() && can(slot, &want);
            let why = if slots.iter().any(open) { WhyMissing::Line } else { WhyMissing::Slots };
            match slots.iter_mut().find(|place| open(place) && !place.0.held) {
                Some((_, place)) => *place = Some(want),
                None => waiting.push((want, why)),
            }
        }
    }
    waiting
}

#[cfg(test)]
#[path = "bindings_tests.rs"]
mod tests;
