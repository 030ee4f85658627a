//! How the bandwidth of one subscriber is shared out over the tracks that it receives.
//!
//! Sound comes first, then screens, then cameras. Within a kind everybody climbs one step per round, so that
//! nobody has the best picture while another one has none. A step above the one that flows must fit with room
//! to spare ([`CLIMB_PERCENT`]), or an estimate that wavers would make the picture waver; a step down is taken
//! at once. What does not fit at all is paused.
//!
//! One exception keeps a subscriber without sound alive: if nothing at all would flow, the cheapest step goes
//! on, since without packets there is no feedback, and without feedback the estimate would never rise again.

use crate::layers::{Layers, MAX_STEPS};

/// What a step above the current one must be able to cost, in percent of its measured bitrate.
const CLIMB_PERCENT: u64 = 115;
/// What the lowest step may cost while it flows: it is paused only when it clearly does not fit, since what is
/// measured has keyframes in it and a pause costs one more.
const HOLD_PERCENT: u64 = 75;

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

    /// Where a step is.
    pub(crate) fn position(&self, encoding: u8, layers: Layers) -> Option<usize> {
        self.steps().iter().position(|step| (step.encoding, step.layers) == (encoding, layers))
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
    /// Without the steps that the subscriber does not want; none if it wants nothing now.
    pub(crate) ladder: Ladder,
    /// The step that it has.
    pub(crate) current: Option<usize>,
}

impl Demand {
    /// What the step at `index` counts.
    pub(crate) fn cost(&self, index: usize) -> u64 {
        let bitrate = self.ladder.steps().get(index).map_or(0, |step| step.bitrate);
        let percent = match self.current {
            Some(0) if index == 0 => HOLD_PERCENT,
            None if index == 0 => 100,
            Some(current) if index <= current => 100,
            _ => CLIMB_PERCENT,
        };
        bitrate.saturating_mul(percent) / 100
    }
}

/// What a subscription gets: nothing, or a step of its ladder.
pub(crate) type Choice = Option<Step>;

/// Shares `bandwidth`, in bits per second, out over `demands`: one choice for each, in their order. Sound is
/// always chosen, whatever it costs.
pub(crate) fn allocate(bandwidth: u64, demands: &[Demand], choices: &mut Vec<Choice>) {
    choices.clear();
    let mut left = bandwidth;
    for demand in demands {
        let sound = demand.ladder.steps().last().filter(|_| demand.priority == Priority::Audio).copied();
        left = left.saturating_sub(sound.map_or(0, |step| step.bitrate));
        choices.push(sound);
    }
    for priority in [Priority::Screen, Priority::Camera] {
        for round in 0..MAX_STEPS {
            for (demand, choice) in demands.iter().zip(choices.iter_mut()) {
                let Some(step) = demand.ladder.steps().get(round).filter(|_| demand.priority == priority)
                else {
                    continue;
                };
                let below = round.checked_sub(1);
                let at_it = match below.and_then(|below| demand.ladder.steps().get(below)) {
                    None => true,
                    Some(below) => *choice == Some(*below),
                };
                let extra = demand.cost(round).saturating_sub(below.map_or(0, |below| demand.cost(below)));
                if at_it && extra <= left {
                    left -= extra;
                    *choice = Some(*step);
                }
            }
        }
    }
    if choices.iter().all(Option::is_none)
        && let Some((step, choice)) = demands
            .iter()
            .zip(choices.iter_mut())
            .filter_map(|(demand, choice)| Some((*demand.ladder.steps().first()?, choice)))
            .min_by_key(|(step, _)| step.bitrate)
    {
        *choice = Some(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(bitrates: &[u64]) -> Ladder {
        let mut ladder = Ladder::default();
        for (&bitrate, encoding) in bitrates.iter().zip(0u8..) {
            ladder.push(Step { encoding, layers: Layers::ALL, bitrate });
        }
        ladder
    }

    fn demand(priority: Priority, bitrates: &[u64], current: Option<usize>) -> Demand {
        Demand { priority, ladder: ladder(bitrates), current }
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
    fn something_always_flows() {
        let demands = [demand(Priority::Camera, &CAMERA, None), demand(Priority::Camera, &[100], None)];
        assert_eq!(run(0, &demands), [None, Some(0)], "the cheapest keeps the feedback going");
        assert_eq!(run(0, &[demand(Priority::Camera, &[], None)]), [None]);
        assert_eq!(run(0, &[]), []);
    }
}
