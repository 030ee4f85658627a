//! What one subscription should get: a pure decision.

use super::allocate::Allowance;
use super::ladder::{Candidate, Flow, Ladder, Step, ranked};
use super::{EncodingSet, Layers};
use crate::config::{Wanted, WantedEncoding};

/// A better encoding must have this much more bitrate than the current one, in percent, while their sizes are not
/// known: two that are nearly equal are not switched between.
const MARGIN_PERCENT: u64 = 130;

/// Everything that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// The encodings of the track.
    pub(crate) candidates: &'a [Candidate],
    /// What the subscription may get of them.
    pub(crate) ladder: &'a Ladder,
    pub(crate) wanted: &'a Wanted,
    pub(crate) paused: bool,
    pub(crate) allowance: Allowance,
    /// The encoding that is forwarded now.
    pub(crate) current: Option<u8>,
    /// What the last decision told it to forward.
    pub(crate) target: Option<Target>,
}

/// What is to be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) encoding: u8,
    pub(crate) layers: Layers,
}

impl Target {
    /// All of the first encoding: what there is of sound, and what is taken of pictures until something is decided.
    pub(crate) const FIRST: Self = Self { encoding: 0, layers: Layers::ALL };
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What it should get, were everything there.
    pub(crate) aim: Option<Step>,
    /// What it gets from now on; nothing if it is paused, or the line leaves nothing for it.
    pub(crate) target: Option<Target>,
    /// Only whole keyframes of it.
    pub(crate) slides: bool,
    /// The encodings that its publisher should send because of it.
    pub(crate) interest: EncodingSet,
}

/// Decides what a subscription to pictures gets.
pub(crate) fn decide(inputs: &Inputs<'_>) -> Plan {
    let &Inputs { candidates, ladder, wanted, paused, allowance, current, target } = inputs;
    let mut interest = EncodingSet::default();
    if paused || allowance == Allowance::Nothing {
        return Plan { aim: None, target: None, slides: false, interest };
    }
    if let (Allowance::Slides(_), Some(&Step { encoding, layers, .. })) = (allowance, ladder.steps().first())
    {
        // What flows ends at once: it is what the line does not carry.
        interest.add(encoding);
        let target = Some(Target { encoding, layers });
        return Plan { aim: None, target, slides: true, interest };
    }
    current.into_iter().for_each(|current| interest.add(current));
    let aim = pick(ladder, candidates, wanted, allowance, current);
    for (candidate, index) in candidates.iter().zip(0u8..) {
        if awaits(ladder, candidate, wanted, aim) {
            interest.add(index);
        }
    }
    let Some(aim) = aim else {
        // Nothing can be had: what was to be forwarded starts as soon as it comes.
        return Plan { aim: None, target: Some(target.unwrap_or(Target::FIRST)), slides: false, interest };
    };
    interest.add(aim.encoding);
    let Step { encoding, layers, .. } = meanwhile(ladder, candidates, aim, current);
    Plan { aim: Some(aim), target: Some(Target { encoding, layers }), slides: false, interest }
}

/// The step to forward. `current` stays unless there is a reason to leave it.
fn pick(
    ladder: &Ladder,
    candidates: &[Candidate],
    wanted: &Wanted,
    allowance: Allowance,
    current: Option<u8>,
) -> Option<Step> {
    let steps = ladder.steps();
    let best = *steps.last()?;
    match allowance {
        Allowance::Nothing | Allowance::Slides(_) => None,
        Allowance::Upto(step) => {
            if let Some(found) = ladder.position(step.encoding, step.layers) {
                return steps.get(found).copied();
            }
            // It cannot be had any more: the best below it, or the least.
            let rank = |encoding: u8| ranked(candidates).position(|index| index == encoding);
            let below = steps.iter().rev().find(|s| {
                let (ours, theirs) = (rank(s.encoding), rank(step.encoding));
                ours < theirs || (ours == theirs && s.layers.index() <= step.layers.index())
            });
            below.or(steps.first()).copied()
        }
        Allowance::Unbounded => {
            let of_current = steps.iter().rev().find(|step| Some(step.encoding) == current);
            let sized = candidates.iter().all(|c| c.size.is_some() || c.flow == Flow::Stopped);
            match of_current {
                Some(now) if wanted.encoding == WantedEncoding::Auto && !sized && now.bitrate > 0 => {
                    let better = best.bitrate * 100 > now.bitrate * MARGIN_PERCENT;
                    Some(if better { best } else { *now })
                }
                _ => Some(best),
            }
        }
    }
}

/// Whether a subscriber that wants `wanted` and gets `aim` would rather have an encoding that does not flow, should it
/// ever: only who has the best of what there is waits for more.
fn awaits(ladder: &Ladder, candidate: &Candidate, wanted: &Wanted, aim: Option<Step>) -> bool {
    let has_best =
        ladder.steps().last().is_none_or(|best| aim.is_some_and(|aim| aim.encoding == best.encoding));
    let wished = match wanted.encoding {
        WantedEncoding::Auto => true,
        WantedEncoding::Rid(rid) => candidate.rid == Some(rid),
        WantedEncoding::MaxHeight(most) => candidate.height(0).is_none_or(|height| height <= most),
    };
    candidate.flow == Flow::Stopped && has_best && wished
}

/// The step to forward until the encoding of `aim` flows: what there is goes on, or else the best below it.
fn meanwhile(ladder: &Ladder, candidates: &[Candidate], aim: Step, current: Option<u8>) -> Step {
    let flows = |encoding: u8| candidates.get(usize::from(encoding)).is_some_and(|c| c.flow == Flow::Flows);
    if flows(aim.encoding) {
        return aim;
    }
    let mut flowing = ladder.steps().iter().rev().filter(|step| flows(step.encoding));
    let of_current = flowing.clone().find(|step| Some(step.encoding) == current);
    of_current.or(flowing.next()).copied().unwrap_or(aim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::ladder::tests::{AUTO, candidates};
    use crate::layers::ladder::{Favours, ladder};
    use rtp::Rid;

    fn only(rid: &[u8]) -> Wanted {
        Wanted { encoding: WantedEncoding::Rid(Rid::new(rid).unwrap()), max_temporal: None }
    }

    fn plan(candidates: &[Candidate], wanted: Wanted, allowance: Allowance, current: Option<u8>) -> Plan {
        let ladder = ladder(candidates, &wanted, u8::MAX, Favours::Motion);
        let (paused, target) = (false, None);
        let wanted = &wanted;
        decide(&Inputs { candidates, ladder: &ladder, wanted, paused, allowance, current, target })
    }

    fn select(candidates: &[Candidate], wanted: Wanted, current: u8) -> Option<u8> {
        plan(candidates, wanted, Allowance::Unbounded, Some(current)).aim.map(|step| step.encoding)
    }

    #[test]
    fn the_best_that_flows_is_taken() {
        assert_eq!(select(&candidates(&[Some(100), Some(500), Some(2000)]), AUTO, 0), Some(2));
        assert_eq!(select(&candidates(&[Some(2000), Some(500), Some(100)]), AUTO, 2), Some(0));
        assert_eq!(select(&candidates(&[Some(100), Some(500), None]), AUTO, 2), Some(1));
        let unmeasured = candidates(&[Some(0), Some(0), Some(0)]);
        assert_eq!(select(&unmeasured, AUTO, 0), Some(2), "the order, before measuring");
        assert_eq!(select(&candidates(&[None, None]), AUTO, 1), None);
    }

    #[test]
    fn nearly_equal_ones_are_not_switched_between_unless_one_is_larger() {
        let mut near = candidates(&[Some(500), Some(600)]);
        assert_eq!(select(&near, AUTO, 0), Some(0));
        assert_eq!(select(&candidates(&[Some(500), Some(700)]), AUTO, 0), Some(1));
        near[0].size = Some((640, 360));
        near[1].size = Some((1280, 720));
        assert_eq!(select(&near, AUTO, 0), Some(1));
    }

    #[test]
    fn the_wanted_one_wins_while_it_flows() {
        assert_eq!(select(&candidates(&[Some(100), Some(900)]), only(b"a"), 1), Some(0));
        assert_eq!(select(&candidates(&[None, Some(900)]), only(b"a"), 0), Some(1));
        assert_eq!(select(&candidates(&[Some(100), Some(500), None]), only(b"c"), 0), Some(1));
        let mut off = candidates(&[Some(100), Some(900)]);
        off[1].flow = Flow::OnDemand;
        assert_eq!(select(&off, AUTO, 0), Some(1), "it comes when it is wanted");
    }

    #[test]
    fn heights_bound_the_shorter_side() {
        let mut all = candidates(&[Some(100), Some(500), Some(900)]);
        for (candidate, size) in all.iter_mut().zip([(180, 320), (360, 640), (720, 1280)]) {
            candidate.size = Some(size);
        }
        let upto = |height| Wanted { encoding: WantedEncoding::MaxHeight(height), max_temporal: None };
        let got = [100, 180, 480, 720, 1080].map(|height| select(&all, upto(height), 0));
        assert_eq!(got, [Some(0), Some(0), Some(1), Some(2), Some(2)]);
        // One encoding with three spatial layers is chosen from alike.
        let mut one = candidates(&[Some(900)]);
        one[0] = Candidate { size: Some((1280, 720)), top: (2, 0), ..one[0] };
        let layers = |height| {
            ladder(&one, &upto(height), u8::MAX, Favours::Motion).steps().last().map(|step| step.layers)
        };
        assert_eq!(layers(720), Some(Layers::ALL));
        assert_eq!([layers(400), layers(90)], [Some(Layers::new(1, 0)), Some(Layers::new(0, 0))]);
    }

    #[test]
    fn an_allowance_holds_until_it_cannot_be_had() {
        let all = candidates(&[Some(100), Some(500), Some(900)]);
        let upto = |encoding| Allowance::Upto(Step { encoding, layers: Layers::ALL, bitrate: 0 });
        let get =
            |all: &[Candidate], allowance| plan(all, AUTO, allowance, None).aim.map(|step| step.encoding);
        assert_eq!((get(&all, upto(1)), get(&all, Allowance::Nothing)), (Some(1), None));
        assert_eq!(get(&candidates(&[Some(100), None, Some(900)]), upto(1)), Some(0), "the least");
        assert_eq!(get(&candidates(&[Some(100), Some(500), None]), upto(1)), Some(1));
    }

    /// Encodings as bits.
    fn bits(set: EncodingSet) -> u8 {
        (0..8).filter(|&encoding| set.contains(encoding)).map(|encoding| 1 << encoding).sum()
    }

    #[test]
    fn what_goes_on_until_the_aim_flows_and_what_the_publisher_should_send() {
        use Flow::{Flows, OnDemand, Stopped};
        let low = Allowance::Upto(Step { encoding: 0, layers: Layers::ALL, bitrate: 100 });
        // Flows, what is wanted, what is allowed, what goes out: the aim, the target, what is to be sent.
        let table = [
            ([Flows, Flows, Flows], AUTO, Allowance::Unbounded, None, Some(2), Some(2), 0b100),
            ([Flows, Flows, Flows], AUTO, Allowance::Unbounded, Some(0), Some(2), Some(2), 0b101),
            ([Flows, Flows, OnDemand], AUTO, Allowance::Unbounded, Some(1), Some(2), Some(1), 0b110),
            ([Flows, OnDemand, OnDemand], AUTO, Allowance::Unbounded, None, Some(2), Some(0), 0b100),
            ([Flows, Flows, Stopped], AUTO, Allowance::Unbounded, Some(1), Some(1), Some(1), 0b110),
            ([Flows, Flows, Flows], AUTO, low, Some(2), Some(0), Some(0), 0b101),
            ([Flows, Flows, Stopped], AUTO, low, Some(0), Some(0), Some(0), 0b001),
            ([Flows, Flows, Flows], AUTO, Allowance::Nothing, Some(0), None, None, 0),
            ([Flows, Flows, Flows], AUTO, Allowance::Slides(30), Some(2), None, Some(0), 0b001),
            ([Stopped, Flows, Flows], AUTO, Allowance::Slides(30), None, None, Some(1), 0b010),
            ([Stopped, Stopped, Stopped], only(b"a"), Allowance::Unbounded, None, None, Some(0), 0b001),
        ];
        for (row, (flows, wanted, allowance, current, aim, target, interest)) in table.into_iter().enumerate()
        {
            let mut all = candidates(&[Some(100), Some(500), Some(2000)]);
            all.iter_mut().zip(flows).for_each(|(candidate, flow)| candidate.flow = flow);
            let plan = plan(&all, wanted, allowance, current);
            let got = (plan.aim.map(|step| step.encoding), plan.target.map(|target| target.encoding));
            assert_eq!((got, bits(plan.interest)), ((aim, target), interest), "row {row}");
        }
    }

    #[test]
    fn who_is_paused_gets_nothing_and_wants_nothing() {
        let all = candidates(&[Some(100), Some(500)]);
        let ladder = ladder(&all, &AUTO, u8::MAX, Favours::Motion);
        let inputs = Inputs {
            candidates: &all,
            ladder: &ladder,
            wanted: &AUTO,
            paused: true,
            allowance: Allowance::Unbounded,
            current: Some(1),
            target: Some(Target::FIRST),
        };
        let nothing = Plan { aim: None, target: None, slides: false, interest: EncodingSet::default() };
        assert_eq!(decide(&inputs), nothing);
        let all = Layers::ALL;
        let nothing_flows =
            decide(&Inputs { paused: false, candidates: &[], ladder: &Ladder::default(), ..inputs });
        assert_eq!(nothing_flows.target, Some(Target { encoding: 0, layers: all }), "as before");
    }
}
