//! Which encoding of a track a subscription should get.
//!
//! The policy of now: the one that was asked for if it flows, else the best that flows. Bandwidth allocation
//! will choose among the same candidates with one more bound, so it belongs here and nowhere else.

use crate::ids::Rid;

/// Steps of a ladder: what one track can be had in. More layers than that are told apart no further.
pub(crate) const MAX_STEPS: usize = 12;

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
    pub(crate) fn new(spatial: u8, temporal: u8) -> Self {
        Self((spatial.min(3) << 2) | temporal.min(3))
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

/// An encoding as a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) rid: Option<Rid>,
    /// Whether it flows.
    pub(crate) active: bool,
    /// Bits per second, measured; 0 before the first measurement.
    pub(crate) bitrate: u64,
}

/// A better encoding must have this much more bitrate than the current one, in percent: two that are nearly
/// equal are not switched between.
const MARGIN_PERCENT: u64 = 130;

/// The encoding to forward, by index. `current` stays unless there is a reason to leave it.
pub(crate) fn select(candidates: &[Candidate], wanted: Option<Rid>, current: u8) -> u8 {
    let active = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.active);
    let position = |index: usize| u8::try_from(index).unwrap_or(current);
    if let Some(wanted) = wanted
        && let Some((index, _)) = active().find(|(_, candidate)| candidate.rid == Some(wanted))
    {
        return position(index);
    }
    // Pages list their encodings in either order, so what is measured decides, and the order only before that.
    let Some((index, best)) = active().max_by_key(|(index, candidate)| (candidate.bitrate, *index)) else {
        return current;
    };
    let current_candidate = candidates.get(usize::from(current)).filter(|candidate| candidate.active);
    match current_candidate {
        // A wanted one that does not flow is replaced by the best; nothing else holds the current one back.
        Some(now) if best.bitrate * 100 <= now.bitrate * MARGIN_PERCENT && now.bitrate > 0 => current,
        Some(now) if now.bitrate == 0 && best.bitrate == 0 && index <= usize::from(current) => current,
        _ => position(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(bitrates: &[Option<u64>]) -> Vec<Candidate> {
        let rid = |index: usize| Rid::new(&[b'a' + index as u8]).ok();
        bitrates
            .iter()
            .enumerate()
            .map(|(i, b)| Candidate { rid: rid(i), active: b.is_some(), bitrate: b.unwrap_or(0) })
            .collect()
    }

    #[test]
    fn the_best_that_flows_is_taken() {
        assert_eq!(select(&candidates(&[Some(100), Some(500), Some(2000)]), None, 0), 2);
        assert_eq!(select(&candidates(&[Some(2000), Some(500), Some(100)]), None, 2), 0);
        assert_eq!(select(&candidates(&[Some(100), Some(500), None]), None, 2), 1);
        assert_eq!(
            select(&candidates(&[Some(0), Some(0), Some(0)]), None, 0),
            2,
            "the order, before measuring"
        );
    }

    #[test]
    fn nearly_equal_ones_are_not_switched_between() {
        assert_eq!(select(&candidates(&[Some(500), Some(600)]), None, 0), 0);
        assert_eq!(select(&candidates(&[Some(500), Some(700)]), None, 0), 1);
    }

    #[test]
    fn the_wanted_one_wins_while_it_flows() {
        let wanted = Rid::new(b"a").ok();
        assert_eq!(select(&candidates(&[Some(100), Some(900)]), wanted, 1), 0);
        assert_eq!(select(&candidates(&[None, Some(900)]), wanted, 0), 1);
        assert_eq!(select(&candidates(&[None, None]), wanted, 1), 1, "nothing flows: stay");
    }
}
