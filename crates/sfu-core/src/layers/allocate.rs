//! How the bandwidth of one subscriber is shared out over the tracks that it receives.
//!
//! Sound comes first, then screens, then cameras; of a screen frames are given up before size ([`super::ladder`]).
//! Within a kind everybody gets the lowest step, so that nobody has the best picture while another one has none; then
//! those climb that are wanted most, one step per round. A step above the one that flows must fit with room to spare
//! ([`CLIMB_PERCENT`]), or an estimate that wavers would make the picture waver; a step down is taken at once. Pictures
//! of which not even the lowest step fits share what is left: it goes into single keyframes ([`crate::slides`]), which
//! keep the feedback going, too.

use super::MAX_STEPS;
use super::ladder::{Ladder, Step};
use crate::slides;

/// What a step above the current one must be able to cost, in percent of its measured bitrate.
const CLIMB_PERCENT: u64 = 115;
/// What the lowest step may cost while it flows and the line has no queue: it is paused only when it clearly does not
/// fit, since what is measured has keyframes in it and a pause costs one more.
const HOLD_PERCENT: u64 = 75;
/// What single keyframes may take of what is left, in percent: the rest is headers, and padding that finds out whether the
/// line has become wider.
const SLIDES_PERCENT: u64 = 70;

/// What the bandwidth of a subscriber leaves for one subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Nothing is known of the line: everything.
    #[default]
    Unbounded,
    /// Up to this step.
    Upto(Step),
    /// Not even the least of it: whole keyframes, as far as they fit into this rate in bits per second.
    Slides(u64),
    /// Nothing.
    Nothing,
}

impl Allowance {
    /// Of a line that leaves `rate` to a picture whose lowest step it does not carry.
    pub(crate) fn too_slow(rate: u64) -> Self {
        if rate >= slides::LEAST { Self::Slides(rate) } else { Self::Nothing }
    }

    /// Whether the line does not carry even the least of the picture.
    pub(crate) fn is_too_slow(self) -> bool {
        matches!(self, Self::Slides(_) | Self::Nothing)
    }

    /// Whether both allow the same, whatever it costs at the moment.
    pub(crate) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Upto(a), Self::Upto(b)) => (a.encoding, a.layers) == (b.encoding, b.layers),
            (Self::Slides(_), Self::Slides(_)) => true,
            (a, b) => a == b,
        }
    }
}

/// Who comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    Audio,
    Screen,
    Camera,
}

/// What one subscription could get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) priority: Priority,
    /// Among those of its kind: greater goes first.
    pub(crate) rank: u16,
    /// Without the steps that the subscriber does not want; none if it wants nothing now.
    pub(crate) ladder: Ladder,
    /// The step that it has.
    pub(crate) current: Option<usize>,
    /// It has none because the line was too slow: what the lowest one must be able to cost, in percent.
    pub(crate) comeback: Option<u64>,
    /// Packets wait on the line: what flows is no proof that it fits.
    pub(crate) is_queued: bool,
}

impl Demand {
    /// What the step at `index` counts.
    pub(crate) fn cost(&self, index: usize) -> u64 {
        let bitrate = self.ladder.steps().get(index).map_or(0, |step| step.bitrate);
        let percent = match self.current {
            _ if self.priority == Priority::Audio => 100,
            Some(0) if index == 0 && !self.is_queued => HOLD_PERCENT,
            None if index == 0 => self.comeback.unwrap_or(100),
            Some(current) if index <= current => 100,
            _ => CLIMB_PERCENT,
        };
        bitrate.saturating_mul(percent) / 100
    }
}

/// Shares `bandwidth`, in bits per second, out over `demands`: nothing or a step of its ladder for each, in their
/// order. Sound always gets its step, whatever it costs. Returns the rate of single keyframes for each of those that get
/// nothing.
pub(crate) fn allocate(bandwidth: u64, demands: &[Demand], choices: &mut Vec<Option<Step>>) -> u64 {
    choices.clear();
    let mut left = bandwidth;
    for demand in demands {
        let sound = demand.ladder.steps().last().filter(|_| demand.priority == Priority::Audio).copied();
        left = left.saturating_sub(sound.map_or(0, |step| step.bitrate));
        choices.push(sound);
    }
    for priority in [Priority::Screen, Priority::Camera] {
        for rounds in [0..1, 1..MAX_STEPS] {
            for rank in ranks(demands, priority) {
                rounds.clone().for_each(|round| climb(demands, choices, (priority, rank), round, &mut left));
            }
        }
    }
    let too_slow = choices.iter().filter(|choice| choice.is_none()).count() as u64;
    (left.saturating_mul(SLIDES_PERCENT) / 100).checked_div(too_slow).unwrap_or(0)
}

/// The ranks of a kind, the greatest first.
fn ranks(demands: &[Demand], priority: Priority) -> impl Iterator<Item = u16> {
    let of_kind = move || demands.iter().filter(move |demand| demand.priority == priority);
    let greatest = of_kind().map(|demand| demand.rank).max();
    std::iter::successors(greatest, move |last| {
        of_kind().map(|demand| demand.rank).filter(|rank| rank < last).max()
    })
}

/// Gives each demand of a kind and rank that has the step below `round` that step, if `left` is enough for it.
fn climb(
    demands: &[Demand],
    choices: &mut [Option<Step>],
    group: (Priority, u16),
    round: usize,
    left: &mut u64,
) {
    let of_group = demands.iter().zip(choices).filter(|(demand, _)| (demand.priority, demand.rank) == group);
    for (demand, choice) in of_group {
        let Some(step) = demand.ladder.steps().get(round) else { continue };
        let below = round.checked_sub(1);
        let at_it = match below.and_then(|below| demand.ladder.steps().get(below)) {
            None => true,
            Some(below) => *choice == Some(*below),
        };
        let extra = demand.cost(round).saturating_sub(below.map_or(0, |below| demand.cost(below)));
        if at_it && extra <= *left {
            *left -= extra;
            *choice = Some(*step);
        }
    }
}

/// What the best of everything costs.
pub(crate) fn best(demands: &[Demand]) -> u64 {
    let cost = |demand: &Demand| demand.cost(demand.ladder.steps().len().saturating_sub(1));
    demands.iter().map(cost).fold(0, u64::saturating_add)
}

/// What the lowest step of everything costs.
pub(crate) fn least(demands: &[Demand]) -> u64 {
    demands.iter().map(|demand| demand.cost(0)).fold(0, u64::saturating_add)
}

/// What one step more than `choices` would cost; `None` if everybody has the best.
pub(crate) fn need(demands: &[Demand], choices: &[Option<Step>]) -> Option<u64> {
    let (mut used, mut extra) = (0u64, None::<u64>);
    for (demand, choice) in demands.iter().zip(choices) {
        let at = choice.and_then(|step| demand.ladder.position(step.encoding, step.layers));
        let cost = at.map_or(0, |at| demand.cost(at));
        used = used.saturating_add(cost);
        let next = at.map_or(0, |at| at + 1);
        if next < demand.ladder.steps().len() && demand.priority != Priority::Audio {
            let step = demand.cost(next).saturating_sub(cost);
            extra = Some(extra.map_or(step, |extra| extra.min(step)));
        }
    }
    Some(used.saturating_add(extra?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Layers;

    fn ladder(bitrates: &[u64]) -> Ladder {
        let mut ladder = Ladder::default();
        for (&bitrate, encoding) in bitrates.iter().zip(0u8..) {
            ladder.push(Step { encoding, layers: Layers::ALL, bitrate });
        }
        ladder
    }

    fn demand(priority: Priority, bitrates: &[u64], current: Option<usize>) -> Demand {
        let (comeback, is_queued) = (None, false);
        Demand { priority, rank: 0, ladder: ladder(bitrates), current, comeback, is_queued }
    }

    /// The encodings chosen.
    fn run(bandwidth: u64, demands: &[Demand]) -> Vec<Option<u8>> {
        let mut choices = Vec::new();
        allocate(bandwidth, demands, &mut choices);
        assert_eq!(choices.len(), demands.len());
        choices.iter().map(|choice| choice.map(|step| step.encoding)).collect()
    }

    const CAMERA: [u64; 3] = [150, 500, 1500];

    #[test]
    fn sound_comes_first_then_screens_then_cameras() {
        let demands = [
            demand(Priority::Camera, &CAMERA, None),
            demand(Priority::Screen, &[300, 1000], None),
            demand(Priority::Audio, &[40], None),
        ];
        assert_eq!(run(10_000, &demands), [Some(2), Some(1), Some(0)]);
        assert_eq!(run(1_400, &demands), [Some(0), Some(1), Some(0)]);
        assert_eq!(run(400, &demands), [None, Some(0), Some(0)]);
        assert_eq!(run(10, &demands), [None, None, Some(0)], "sound goes on whatever the line carries");
    }

    #[test]
    fn cameras_climb_together() {
        let demands = [demand(Priority::Camera, &CAMERA, None); 4];
        assert_eq!(run(600, &demands), [Some(0); 4]);
        assert_eq!(run(1_030, &demands), [Some(1), Some(0), Some(0), Some(0)]);
        assert_eq!(run(2_500, &demands), [Some(1); 4]);
        assert_eq!(run(400, &demands), [Some(0), Some(0), None, None]);
    }

    #[test]
    fn who_is_wanted_most_climbs_first_once_everybody_has_something() {
        let tile = demand(Priority::Camera, &CAMERA, None);
        let demands = [tile, tile, Demand { rank: 7, ..tile }, Demand { rank: 9, ..tile }];
        assert_eq!(run(1_030, &demands), [Some(0), Some(0), Some(0), Some(1)]);
        assert_eq!(run(2_600, &demands), [Some(0), Some(0), Some(1), Some(2)]);
        assert_eq!(run(400, &demands), [None, None, Some(0), Some(0)]);
    }

    #[test]
    fn down_at_once_and_up_with_room_to_spare() {
        let at = |current| [demand(Priority::Camera, &CAMERA, Some(current))];
        assert_eq!(run(1_600, &at(2)), [Some(2)], "it fits, so it stays");
        assert_eq!(run(1_600, &at(1)), [Some(1)], "too tight to climb");
        assert_eq!(run(1_499, &at(2)), [Some(1)]);
        assert_eq!(run(1_725, &at(1)), [Some(2)]);
    }

    #[test]
    fn video_pauses_below_the_lowest_step_and_comes_back_above_it() {
        let sound = demand(Priority::Audio, &[40], None);
        let at = |current| [sound, demand(Priority::Camera, &CAMERA, current)];
        assert_eq!(run(160, &at(Some(0))), [Some(0), Some(0)], "nearly fits: held");
        assert_eq!(run(140, &at(Some(0))), [Some(0), None]);
        assert_eq!(run(185, &at(None)), [Some(0), None]);
        assert_eq!(run(190, &at(None)), [Some(0), Some(0)]);
    }

    #[test]
    fn a_line_with_a_queue_does_not_carry_what_flows() {
        let sound = demand(Priority::Audio, &[40], None);
        let queued = Demand { is_queued: true, ..demand(Priority::Camera, &CAMERA, Some(0)) };
        assert_eq!(run(189, &[sound, queued]), [Some(0), None]);
        assert_eq!(run(190, &[sound, queued]), [Some(0), Some(0)]);
        let back = Demand { comeback: Some(115), ..demand(Priority::Camera, &CAMERA, None) };
        assert_eq!(run(200, &[sound, back]), [Some(0), None], "what just fits would not last");
        assert_eq!(run(213, &[sound, back]), [Some(0), Some(0)]);
    }

    #[test]
    fn what_is_needed_is_what_is_enough() {
        let sound = demand(Priority::Audio, &[40], Some(0));
        let demands = [sound, demand(Priority::Camera, &CAMERA, Some(0))];
        let mut choices = Vec::new();
        allocate(300, &demands, &mut choices);
        let need = need(&demands, &choices).expect("a better step");
        assert_eq!(run(need, &demands), [Some(0), Some(1)]);
        assert_eq!(run(need - 1, &demands), [Some(0), Some(0)]);
    }

    #[test]
    fn what_is_left_goes_into_single_keyframes() {
        let demands = [
            demand(Priority::Audio, &[40], None),
            demand(Priority::Camera, &CAMERA, None),
            demand(Priority::Camera, &CAMERA, None),
            demand(Priority::Camera, &[], None),
        ];
        let mut choices = Vec::new();
        assert_eq!(allocate(140, &demands[..2], &mut choices), 70);
        assert_eq!(allocate(140, &demands[..3], &mut choices), 35);
        assert_eq!(allocate(30, &demands[..3], &mut choices), 0);
        assert_eq!(allocate(10_000, &demands[..2], &mut choices), 0);
        assert_eq!(run(0, &[]), []);
    }
}
