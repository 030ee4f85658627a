//! What a subscription can get of its track, worst first.

use rtp::Rid;

use super::{Layers, MAX_STEPS};
use crate::config::{MAX_ENCODINGS, Wanted, WantedEncoding};

/// Something that a subscription can get of its track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// By index.
    pub(crate) encoding: u8,
    pub(crate) layers: Layers,
    /// Bits per second, measured; 0 before the first measurement.
    pub(crate) bitrate: u64,
}

/// Everything that a subscription can get, worst first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ladder {
    steps: [Step; MAX_STEPS],
    len: usize,
}

impl Ladder {
    /// Adds a better step; beyond [`MAX_STEPS`] it takes the place of the best.
    pub(crate) fn push(&mut self, step: Step) {
        self.len = (self.len + 1).min(MAX_STEPS);
        if let Some(slot) = self.steps.get_mut(self.len - 1) {
            *slot = step;
        }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        self.steps.get(..self.len).unwrap_or_default()
    }

    /// Without the steps that cost as much as a better one: more frames of a smaller picture, mostly.
    fn without_dearer(self) -> Self {
        let mut kept = Self::default();
        for (step, index) in self.steps().iter().zip(1..) {
            let better = self.steps().get(index..).unwrap_or_default();
            if !better.iter().any(|better| (1..=step.bitrate).contains(&better.bitrate)) {
                kept.push(*step);
            }
        }
        kept
    }

    /// Where a step is.
    pub(crate) fn position(&self, encoding: u8, layers: Layers) -> Option<usize> {
        self.steps().iter().position(|step| (step.encoding, step.layers) == (encoding, layers))
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    pub(crate) fn rate(&self, layers: Layers) -> u64 {
        self.rates.get(layers.index()).copied().unwrap_or(0)
    }

    /// The shorter side in pixels of a spatial layer: what "720p" means however a phone is held. Each layer is
    /// twice as large as the one below it.
    pub(super) fn height(&self, spatial: u8) -> Option<u16> {
        let (width, height) = self.size?;
        Some(width.min(height) >> self.top.0.saturating_sub(spatial))
    }
}

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

/// What is given up last where the line is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Favours {
    /// Of a camera: that it moves.
    Motion,
    /// Of a screen: that it can be read.
    Detail,
}

/// What a subscriber that wants `wanted` and decodes spatial layers up to `most_spatial` may get, worst first. Empty if
/// nothing can be had.
pub(crate) fn ladder(
    candidates: &[Candidate],
    wanted: &Wanted,
    most_spatial: u8,
    favours: Favours,
) -> Ladder {
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
        add(&mut ladder, candidates, index, wanted, (most_spatial, favours));
    }
    if ladder.steps().is_empty()
        && let Some(lowest) = usable.clone().next()
    {
        // Nothing is as small as asked for: the smallest there is.
        let any = Wanted { encoding: WantedEncoding::Auto, ..*wanted };
        add(&mut ladder, candidates, lowest, &any, (0, favours));
    }
    match favours {
        Favours::Motion => ladder,
        Favours::Detail => ladder.without_dearer(),
    }
}

/// Adds the steps of an encoding, with spatial layers up to `most_spatial`.
fn add(
    ladder: &mut Ladder,
    candidates: &[Candidate],
    encoding: u8,
    wanted: &Wanted,
    (most_spatial, favours): (u8, Favours),
) {
    let Some(candidate) = candidates.get(usize::from(encoding)) else { return };
    let (top_spatial, top_temporal) = candidate.top;
    let most = wanted.max_temporal.unwrap_or(u8::MAX).min(top_temporal);
    for spatial in 0..=top_spatial.min(most_spatial) {
        if let (WantedEncoding::MaxHeight(most), Some(height)) = (wanted.encoding, candidate.height(spatial))
            && height > most
        {
            break;
        }
        // A larger picture at less than half of its frames is no better than a smaller one with all of them, if it moves.
        let all = ladder.steps().is_empty() || favours == Favours::Detail;
        let least = if all { 0 } else { top_temporal.saturating_sub(1).min(most) };
        for temporal in least..=most {
            let top = (spatial, temporal) == candidate.top;
            let layers = if top { Layers::ALL } else { Layers::new(spatial, temporal) };
            ladder.push(Step { encoding, layers, bitrate: candidate.rate(layers) });
        }
    }
}

/// The encoding that goes on whoever watches, so that who joins has a picture at once: the worst that there is.
pub(crate) fn worst(candidates: &[Candidate]) -> Option<u8> {
    let flows = |index: &u8| candidates.get(usize::from(*index)).is_some_and(|c| c.flow != Flow::Stopped);
    ranked(candidates).find(flows).or(ranked(candidates).next())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const AUTO: Wanted = Wanted { encoding: WantedEncoding::Auto, max_temporal: None };

    /// Encodings of these bitrates; those without one do not flow.
    pub(crate) fn candidates(bitrates: &[Option<u64>]) -> Vec<Candidate> {
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

    #[test]
    fn frames_are_given_up_before_size_but_only_half_of_them() {
        let mut all = candidates(&[Some(100), Some(900)]);
        all.iter_mut().for_each(|candidate| candidate.top = (0, 2));
        let steps = |wanted: Wanted| {
            let ladder = ladder(&all, &wanted, u8::MAX, Favours::Motion);
            ladder.steps().iter().map(|s| (s.encoding, s.layers)).collect::<Vec<_>>()
        };
        let (t0, t1) = (Layers::new(0, 0), Layers::new(0, 1));
        assert_eq!(steps(AUTO), [(0, t0), (0, t1), (0, Layers::ALL), (1, t1), (1, Layers::ALL)]);
        assert_eq!(steps(Wanted { max_temporal: Some(1), ..AUTO }), [(0, t0), (0, t1), (1, t1)]);
        assert_eq!(steps(Wanted { max_temporal: Some(0), ..AUTO }), [(0, t0), (1, t0)]);
    }

    #[test]
    fn a_screen_gives_up_frames_before_anything_that_can_be_read() {
        // Bits per second of 7.5, 15 and 30 frames of a small and of a large picture.
        let rates = [[60_000, 90_000, 150_000], [240_000, 420_000, 800_000]];
        let mut all = candidates(&[Some(0), Some(0)]);
        for (candidate, rates) in all.iter_mut().zip(rates) {
            candidate.top = (0, 2);
            for (layers, rate) in [Layers::new(0, 0), Layers::new(0, 1), Layers::ALL].into_iter().zip(rates) {
                candidate.rates[layers.index()] = rate;
            }
        }
        let steps = |all: &[Candidate], favours| {
            let ladder = ladder(all, &AUTO, u8::MAX, favours);
            ladder.steps().iter().map(|step| (step.encoding, step.bitrate / 1_000)).collect::<Vec<_>>()
        };
        let on = |line: u64, favours| {
            steps(&all, favours).into_iter().take_while(|(_, rate)| *rate <= line).last()
        };
        assert_eq!(on(400, Favours::Motion), Some((0, 150)), "a camera moves");
        assert_eq!(on(400, Favours::Detail), Some((1, 240)), "a screen can be read, at fewer frames");
        assert_eq!(on(600, Favours::Detail), Some((1, 420)));
        // Frames of the small picture that cost more than the large one are no step towards it.
        all[0].rates[Layers::ALL.index()] = 300_000;
        assert_eq!(steps(&all, Favours::Detail), [(0, 60), (0, 90), (1, 240), (1, 420), (1, 800)]);
    }
}
