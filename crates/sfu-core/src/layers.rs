//! Layers of an encoding, and which encoding and layers of a track a subscription should get.
//!
//! [`ladder`] lists what a subscriber may get of a track, worst first, within what it asked for. [`pick`] takes
//! the best of it that its share of the bandwidth allows. Everything else follows.

use rtp::Rid;

use crate::allocate::{Ladder, Step};
use crate::config::{MAX_ENCODINGS, Wanted, WantedEncoding};

/// Steps of a ladder: what one track can be had in. More layers than that are told apart no further.
pub(crate) const MAX_STEPS: usize = 12;
/// Spatial and temporal layers that are told apart.
pub(crate) const MAX_LAYERS: u8 = 4;

/// Which layers of an encoding are forwarded: spatial ones up to one (0 to 3), temporal ones up to one (0 to 3).
/// Both at their highest are everything there is, however many layers that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Layers(u8);

impl Layers {
    /// How many there are.
    pub(crate) const COUNT: usize = 16;
    /// Everything.
    pub(crate) const ALL: Self = Self(15);

    /// The layers up to these, which are included.
    pub(crate) const fn new(spatial: u8, temporal: u8) -> Self {
        let spatial = if spatial < MAX_LAYERS { spatial } else { MAX_LAYERS - 1 };
        let temporal = if temporal < MAX_LAYERS { temporal } else { MAX_LAYERS - 1 };
        Self((spatial << 2) | temporal)
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    pub(crate) fn spatial(self) -> u8 {
        self.0 >> 2
    }

    pub(crate) fn temporal(self) -> u8 {
        self.0 & 3
    }

    /// Its place among all.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Layers {
    fn default() -> Self {
        Self::ALL
    }
}

/// A set of [`Layers`]: those that a packet is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask(u16);

impl Mask {
    /// Part of every choice of layers.
    pub(crate) const ALL: Self = Self(u16::MAX);
    /// Only part of everything.
    pub(crate) const ONLY_ALL: Self = Self(1 << 15);
    pub(crate) const NONE: Self = Self(0);

    /// A packet of these layers. One that is `not_for_upper` is of no use to higher spatial layers.
    pub(crate) const fn of(spatial: u8, temporal: u8, not_for_upper: bool) -> Self {
        let at = Layers::new(spatial, temporal).0;
        let (spatial, temporal) = (at >> 2, at & 3);
        let mut mask = Self::ONLY_ALL.0;
        let mut layers = 0;
        while layers < Layers::COUNT as u8 {
            let (s, t) = (layers >> 2, layers & 3);
            if temporal <= t && (spatial == s || (spatial < s && !not_for_upper)) {
                mask |= 1 << layers;
            }
            layers += 1;
        }
        Self(mask)
    }

    pub(crate) fn contains(self, layers: Layers) -> bool {
        self.0 & (1 << layers.0) != 0
    }

    pub(crate) fn with(self, layers: Layers) -> Self {
        Self(self.0 | (1 << layers.0))
    }
}

/// Whether an encoding can be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It flows.
    Flows,
    /// It does not, because nobody wanted it: it comes when somebody does.
    OnDemand,
    /// The publisher stopped it, or never sent it.
    #[default]
    Stopped,
}

/// An encoding as a candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) rid: Option<Rid>,
    pub(crate) flow: Flow,
    /// Width and height, once a keyframe has shown them.
    pub(crate) size: Option<(u16, u16)>,
    /// The highest layers there are.
    pub(crate) top: (u8, u8),
    /// Bits per second of each choice of layers, measured; 0 before the first measurement.
    pub(crate) rates: [u64; Layers::COUNT],
}

impl Candidate {
    pub(crate) const NONE: Self =
        Self { rid: None, flow: Flow::Stopped, size: None, top: (0, 0), rates: [0; Layers::COUNT] };

    fn rate(&self, layers: Layers) -> u64 {
        self.rates.get(layers.index()).copied().unwrap_or(0)
    }

    /// The shorter side in pixels of a spatial layer: what "720p" means however a phone is held. Each layer is
    /// twice as large as the one below it.
    fn height(&self, spatial: u8) -> Option<u16> {
        let (width, height) = self.size?;
        Some(width.min(height) >> self.top.0.saturating_sub(spatial))
    }
}

/// A better encoding must have this much more bitrate than the current one, in percent, while their sizes are not
/// known: two that are nearly equal are not switched between.
const MARGIN_PERCENT: u64 = 130;

/// The encodings by index, worst first. Pages list their encodings in either order, so the size of the picture
/// decides, or else what is measured, and the order only before that.
pub(crate) fn ranked(candidates: &[Candidate]) -> impl DoubleEndedIterator<Item = u8> + Clone {
    let mut order = [0, 1, 2];
    const { assert!(MAX_ENCODINGS == 3) };
    let sized = candidates.iter().filter(|c| c.flow != Flow::Stopped).all(|c| c.size.is_some());
    let key = |index: u8| {
        let candidate = candidates.get(usize::from(index)).unwrap_or(&Candidate::NONE);
        let area = candidate.size.filter(|_| sized).map_or(0, |(w, h)| u32::from(w) * u32::from(h));
        (area, candidate.rate(Layers::ALL), index)
    };
    order.sort_unstable_by_key(|&index| key(index));
    let count = candidates.len();
    order.into_iter().filter(move |&index| usize::from(index) < count)
}

/// What a subscriber that wants `wanted` and decodes spatial layers up to `most_spatial` may get, worst first. Empty if
/// nothing can be had.
pub(crate) fn ladder(candidates: &[Candidate], wanted: &Wanted, most_spatial: u8) -> Ladder {
    let at = |index: u8| candidates.get(usize::from(index));
    let order = ranked(candidates);
    let usable = order.clone().filter(|&i| at(i).is_some_and(|c| c.flow != Flow::Stopped));
    let highest = match wanted.encoding {
        // One that never flowed has no rank, and bounds nothing.
        WantedEncoding::Rid(rid) => {
            let known = |c: &Candidate| c.flow != Flow::Stopped || c.rate(Layers::ALL) > 0;
            order.clone().position(|i| at(i).is_some_and(|c| c.rid == Some(rid) && known(c)))
        }
        WantedEncoding::Auto | WantedEncoding::MaxHeight(_) => None,
    };
    let within = |index: u8| {
        highest.is_none_or(|highest| order.clone().take(highest + 1).any(|within| within == index))
    };
    let mut ladder = Ladder::default();
    for index in usable.clone().filter(|&index| within(index)) {
        add(&mut ladder, candidates, index, wanted, most_spatial);
    }
    if ladder.steps().is_empty()
        && let Some(lowest) = usable.clone().next()
    {
        // Nothing is as small as asked for: the smallest there is.
        let any = Wanted { encoding: WantedEncoding::Auto, ..*wanted };
        add(&mut ladder, candidates, lowest, &any, 0);
    }
    ladder
}

/// Adds the steps of an encoding, with spatial layers up to `most_spatial`.
fn add(ladder: &mut Ladder, candidates: &[Candidate], encoding: u8, wanted: &Wanted, most_spatial: u8) {
    let Some(candidate) = candidates.get(usize::from(encoding)) else { return };
    let (top_spatial, top_temporal) = candidate.top;
    let most = wanted.max_temporal.unwrap_or(u8::MAX).min(top_temporal);
    for spatial in 0..=top_spatial.min(most_spatial) {
        if let (WantedEncoding::MaxHeight(most), Some(height)) = (wanted.encoding, candidate.height(spatial))
            && height > most
        {
            break;
        }
        // A larger picture at less than half of its frames is no better than a smaller one with all of them.
        let least = if ladder.steps().is_empty() { 0 } else { top_temporal.saturating_sub(1).min(most) };
        for temporal in least..=most {
            let top = (spatial, temporal) == candidate.top;
            let layers = if top { Layers::ALL } else { Layers::new(spatial, temporal) };
            ladder.push(Step { encoding, layers, bitrate: candidate.rate(layers) });
        }
    }
}

/// What the bandwidth of a subscriber leaves for one subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Share {
    /// Nothing is known of the line: everything.
    #[default]
    Unbounded,
    /// Up to this step.
    Upto(Step),
    /// Nothing.
    Nothing,
}

/// The step to forward. `current` stays unless there is a reason to leave it.
pub(crate) fn pick(
    ladder: &Ladder,
    candidates: &[Candidate],
    wanted: &Wanted,
    share: Share,
    current: Option<u8>,
) -> Option<Step> {
    let steps = ladder.steps();
    let best = *steps.last()?;
    match share {
        Share::Nothing => None,
        Share::Upto(step) => {
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
        Share::Unbounded => {
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
pub(crate) fn awaits(ladder: &Ladder, candidate: &Candidate, wanted: &Wanted, aim: Option<Step>) -> bool {
    let has_best =
        ladder.steps().last().is_none_or(|best| aim.is_some_and(|aim| aim.encoding == best.encoding));
    let wished = match wanted.encoding {
        WantedEncoding::Auto => true,
        WantedEncoding::Rid(rid) => candidate.rid == Some(rid),
        WantedEncoding::MaxHeight(most) => candidate.height(0).is_none_or(|height| height <= most),
    };
    candidate.flow == Flow::Stopped && has_best && wished
}

/// The encoding that goes on whoever watches, so that who joins has a picture at once: the worst that there is.
pub(crate) fn worst(candidates: &[Candidate]) -> Option<u8> {
    let flows = |index: &u8| candidates.get(usize::from(*index)).is_some_and(|c| c.flow != Flow::Stopped);
    ranked(candidates).find(flows).or(ranked(candidates).next())
}

/// The step to forward until the encoding of `aim` flows: what there is goes on, or else the best below it.
pub(crate) fn meanwhile(ladder: &Ladder, candidates: &[Candidate], aim: Step, current: Option<u8>) -> Step {
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

    const AUTO: Wanted = Wanted { encoding: WantedEncoding::Auto, max_temporal: None };

    fn candidates(bitrates: &[Option<u64>]) -> Vec<Candidate> {
        let rid = |index: usize| Rid::new(&[b'a' + index as u8]).ok();
        bitrates
            .iter()
            .enumerate()
            .map(|(i, b)| Candidate {
                rid: rid(i),
                flow: if b.is_some() { Flow::Flows } else { Flow::Stopped },
                rates: [b.unwrap_or(0); Layers::COUNT],
                ..Candidate::NONE
            })
            .collect()
    }

    fn only(rid: &[u8]) -> Wanted {
        Wanted { encoding: WantedEncoding::Rid(Rid::new(rid).unwrap()), max_temporal: None }
    }

    fn select(candidates: &[Candidate], wanted: Wanted, current: u8) -> Option<u8> {
        let ladder = ladder(candidates, &wanted, u8::MAX);
        pick(&ladder, candidates, &wanted, Share::Unbounded, Some(current)).map(|step| step.encoding)
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
        let layers = |height| ladder(&one, &upto(height), u8::MAX).steps().last().map(|step| step.layers);
        assert_eq!(layers(720), Some(Layers::ALL));
        assert_eq!([layers(400), layers(90)], [Some(Layers::new(1, 0)), Some(Layers::new(0, 0))]);
    }

    #[test]
    fn frames_are_given_up_before_size_but_only_half_of_them() {
        let mut all = candidates(&[Some(100), Some(900)]);
        all.iter_mut().for_each(|candidate| candidate.top = (0, 2));
        let steps = |wanted: Wanted| {
            let ladder = ladder(&all, &wanted, u8::MAX);
            ladder.steps().iter().map(|s| (s.encoding, s.layers)).collect::<Vec<_>>()
        };
        let (t0, t1) = (Layers::new(0, 0), Layers::new(0, 1));
        assert_eq!(steps(AUTO), [(0, t0), (0, t1), (0, Layers::ALL), (1, t1), (1, Layers::ALL)]);
        assert_eq!(steps(Wanted { max_temporal: Some(1), ..AUTO }), [(0, t0), (0, t1), (1, t1)]);
        assert_eq!(steps(Wanted { max_temporal: Some(0), ..AUTO }), [(0, t0), (1, t0)]);
    }

    #[test]
    fn a_share_holds_until_it_cannot_be_had() {
        let all = candidates(&[Some(100), Some(500), Some(900)]);
        let share = |encoding| Share::Upto(Step { encoding, layers: Layers::ALL, bitrate: 0 });
        let get = |all: &[Candidate], share| {
            pick(&ladder(all, &AUTO, u8::MAX), all, &AUTO, share, None).map(|step| step.encoding)
        };
        assert_eq!((get(&all, share(1)), get(&all, Share::Nothing)), (Some(1), None));
        assert_eq!(get(&candidates(&[Some(100), None, Some(900)]), share(1)), Some(0), "the least");
        assert_eq!(get(&candidates(&[Some(100), Some(500), None]), share(1)), Some(1));
    }

    #[test]
    fn masks_follow_the_layers() {
        let base = Mask::of(0, 0, false);
        assert_eq!(base, Mask::ALL);
        let top = Mask::of(2, 1, false);
        assert!(
            top.contains(Layers::new(2, 1)) && top.contains(Layers::ALL) && top.contains(Layers::new(2, 2))
        );
        assert!(!top.contains(Layers::new(1, 1)) && !top.contains(Layers::new(2, 0)));
        let lone = Mask::of(0, 0, true);
        assert!(
            lone.contains(Layers::new(0, 2))
                && !lone.contains(Layers::new(1, 2))
                && lone.contains(Layers::ALL)
        );
    }
}
