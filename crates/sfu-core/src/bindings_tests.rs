use proptest::prelude::*;

use super::*;
use crate::ids::{SourceId, SubscriberId, TrackIndex};

fn name(source: u32) -> TrackName {
    TrackName { source: SourceId(source), track: TrackIndex(0) }
}

fn slot(index: u32, kind: SlotKind, shows: Option<u32>) -> Slot {
    let id = SubscriptionId { subscriber: SubscriberId { index: 0, generation: 0 }, index, generation: 0 };
    Slot { id, kind, shows: shows.map(name), held: false }
}

fn tiles(shown: &[Option<u32>]) -> Vec<Slot> {
    shown.iter().zip(0..).map(|(shows, index)| slot(index, SlotKind::Tile, *shows)).collect()
}

fn want(source: u32) -> Want {
    Want { track: name(source), slot: SlotKind::Tile, height: 0, priority: 0, pinned: false }
}

fn always(_: &Slot, _: &Want) -> Fit {
    Fit::Shows
}

fn shown(assigned: &Assigned) -> Vec<Option<u32>> {
    assigned.shown.iter().map(|want| want.map(|want| want.track.source.0)).collect()
}

fn why(assigned: &Assigned) -> Vec<(u32, WhyMissing)> {
    assigned.missing.iter().map(|missing| (missing.track.source.0, missing.why)).collect()
}

#[test]
fn what_is_shown_stays_where_it_is() {
    let slots = tiles(&[Some(1), Some(2), Some(3)]);
    let assigned = assign(&slots, &[want(3), want(4), want(1)], always);
    assert_eq!(shown(&assigned), [Some(1), Some(4), Some(3)]);
    assert_eq!(why(&assigned), []);
    let assigned = assign(&slots, &[want(2)], always);
    assert_eq!(shown(&assigned), [None, Some(2), None], "what nobody wants goes");
}

#[test]
fn the_most_wanted_come_first() {
    let pinned = Want { pinned: true, ..want(9) };
    let urgent = Want { priority: 5, ..want(8) };
    let assigned = assign(&tiles(&[Some(1), Some(2)]), &[want(1), want(2), urgent, pinned], always);
    assert_eq!(shown(&assigned), [Some(9), Some(8)]);
    assert_eq!(why(&assigned), [(1, WhyMissing::Slots), (2, WhyMissing::Slots)]);
    let assigned = assign(&tiles(&[None, Some(2)]), &[want(1), want(2), want(2), want(3)], always);
    assert_eq!(shown(&assigned), [Some(1), Some(2)], "named twice, wanted once");
    assert_eq!(why(&assigned), [(3, WhyMissing::Slots)]);
}

#[test]
fn who_is_not_there_wastes_no_slot() {
    let fit = |_: &Slot, want: &Want| match want.track.source.0 {
        1 => Fit::Not(WhyMissing::Absent),
        2 => Fit::Not(WhyMissing::Codec),
        _ => Fit::Shows,
    };
    let assigned = assign(&tiles(&[None, None]), &[want(1), want(2), want(3), want(4)], fit);
    assert_eq!(shown(&assigned), [Some(3), Some(4)]);
    assert_eq!(why(&assigned), [(1, WhyMissing::Absent), (2, WhyMissing::Codec)]);
}

#[test]
fn a_camera_that_is_off_keeps_its_slot_only_where_nobody_else_needs_it() {
    let fit = |_: &Slot, want: &Want| if want.track.source.0 == 1 { Fit::Dark } else { Fit::Shows };
    let slots = tiles(&[Some(1), Some(2)]);
    let first = Want { pinned: true, ..want(1) };
    assert_eq!(shown(&assign(&slots, &[first, want(2)], fit)), [Some(1), Some(2)]);
    let assigned = assign(&slots, &[first, want(2), want(3)], fit);
    assert_eq!(shown(&assigned), [Some(3), Some(2)]);
    assert_eq!(why(&assigned), [(1, WhyMissing::Slots)]);
}

#[test]
fn on_a_full_line_what_was_just_bound_stays_as_long_as_it_is_wanted() {
    let held = |shown| tiles(shown).into_iter().map(|slot| Slot { held: true, ..slot }).collect::<Vec<_>>();
    let assigned = assign(&held(&[Some(1), Some(2)]), &[want(3), want(1), want(2)], always);
    assert_eq!(shown(&assigned), [Some(1), Some(2)], "who is wanted more waits");
    assert_eq!(why(&assigned), [(3, WhyMissing::Line)]);
    let assigned = assign(&held(&[Some(1), Some(2)]), &[want(3), want(1)], always);
    assert_eq!(shown(&assigned), [Some(1), None], "what is not wanted only fills the line");
    assert_eq!(why(&assigned), [(3, WhyMissing::Line)]);
}

#[test]
fn kinds_have_their_own_slots() {
    let slots = [slot(0, SlotKind::Tile, None), slot(1, SlotKind::Stage, None)];
    let stage = |source| Want { slot: SlotKind::Stage, ..want(source) };
    let screen = Want { slot: SlotKind::Screen, ..want(3) };
    let assigned = assign(&slots, &[stage(1), want(1), stage(2), screen], always);
    assert_eq!(shown(&assigned), [Some(1), Some(1)]);
    assert_eq!(why(&assigned), [(2, WhyMissing::Slots), (3, WhyMissing::Slots)]);
}

#[test]
fn wants_are_bounded() {
    let wants: Vec<_> = (0..10 * MAX_WANTS as u32).map(want).collect();
    let assigned = assign(&tiles(&[None]), &wants, always);
    assert_eq!(assigned.missing.len(), MAX_WANTS - 1);
}

const KINDS: [SlotKind; 3] = [SlotKind::Tile, SlotKind::Stage, SlotKind::Screen];

fn slots() -> impl Strategy<Value = Vec<Slot>> {
    let one = (0usize..3, prop::option::of(0u32..12), any::<bool>());
    prop::collection::vec(one, 0..9).prop_map(|list| {
        let slots = list.into_iter().zip(0..);
        slots.map(|((kind, shows, held), index)| Slot { held, ..slot(index, KINDS[kind], shows) }).collect()
    })
}

fn wants() -> impl Strategy<Value = Vec<Want>> {
    let one = (0u32..12, 0usize..3, 0u8..3, any::<bool>());
    let make = |(source, kind, priority, pinned): (u32, usize, u8, bool)| Want {
        slot: KINDS[kind],
        priority,
        pinned,
        ..want(source)
    };
    prop::collection::vec(one.prop_map(make), 0..20)
}

proptest! {
    #[test]
    fn bindings_are_right_whatever_is_wanted(
        slots in slots(),
        wants in wants(),
        fits in prop::collection::vec(0u8..5, 12),
    ) {
        let fit = |_: &Slot, want: &Want| match fits[want.track.source.0 as usize] {
            0 => Fit::Not(WhyMissing::Absent),
            1 => Fit::Not(WhyMissing::Codec),
            2 => Fit::Dark,
            _ => Fit::Shows,
        };
        let assigned = assign(&slots, &wants, fit);
        prop_assert_eq!(assigned.shown.len(), slots.len());
        for want in &wants {
            let fits = fit(&slots.first().copied().unwrap_or_else(|| slot(0, want.slot, None)), want);
            let is_it = |other: &&Option<Want>| {
                other.is_some_and(|other| (other.track, other.slot) == (want.track, want.slot))
            };
            let shown = assigned.shown.iter().filter(is_it).count();
            let of_it = assigned.missing.iter().filter(|m| (m.track, m.slot) == (want.track, want.slot));
            prop_assert_eq!(shown + of_it.count(), 1, "{:?} is in one slot, or missing once", want);
            prop_assert!(shown == 0 || !matches!(fits, Fit::Not(_)));
        }
        for (slot, shown) in slots.iter().zip(&assigned.shown) {
            let Some(shown) = shown else {
                let waits = |m: &MissingSource| m.slot == slot.kind && m.why == WhyMissing::Slots;
                prop_assert!(!assigned.missing.iter().any(waits), "a slot is free, and something waits for one");
                continue;
            };
            prop_assert!(wants.contains(shown));
            prop_assert_eq!(shown.slot, slot.kind);
            prop_assert!(!slot.held || slot.shows == Some(shown.track), "a held slot takes nothing new");
        }
        // Where nothing is held, nobody waits while who is wanted less, or is off, has a slot.
        if !slots.iter().any(|slot| slot.held) {
            let first = |track, kind| {
                let mut same = wants.iter().filter(|want| (want.track, want.slot) == (track, kind));
                same.next().copied()
            };
            for missing in assigned.missing.iter().filter(|missing| missing.why == WhyMissing::Slots) {
                let Some(waiting) = first(missing.track, missing.slot) else { continue };
                for shown in assigned.shown.iter().flatten().filter(|shown| shown.slot == missing.slot) {
                    let dark = |want: &Want| fits[want.track.source.0 as usize] == 2;
                    let order = |want: &Want| (dark(want), Reverse(want.rank()));
                    prop_assert!(order(shown) <= order(&waiting));
                }
            }
        }
        // Bound once more, nothing moves.
        let again: Vec<Slot> = slots.iter().zip(&assigned.shown)
            .map(|(slot, shown)| Slot { shows: shown.map(|want| want.track), ..*slot }).collect();
        prop_assert_eq!(assign(&again, &wants, fit), assigned);
    }
}
