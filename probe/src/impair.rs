//! Datagrams lost on purpose, the same ones in each run.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::scenario::Loss;

/// What one client loses.
#[derive(Debug, Clone)]
pub(crate) struct Impairment {
    incoming: f64,
    outgoing: f64,
    rng: SmallRng,
}

impl Impairment {
    /// For client `number`; `None` where nothing is to be lost.
    pub(crate) fn new(loss: &Loss, publishes: bool, number: u32) -> Option<Self> {
        let (incoming, outgoing) = if publishes { (loss.back, loss.up) } else { (loss.down, loss.back) };
        let rng = SmallRng::seed_from_u64(loss.seed.wrapping_mul(1 << 32).wrapping_add(u64::from(number)));
        (incoming > 0.0 || outgoing > 0.0).then_some(Self { incoming, outgoing, rng })
    }

    pub(crate) fn loses_incoming(&mut self) -> bool {
        self.incoming > 0.0 && self.rng.random_bool(self.incoming)
    }

    pub(crate) fn loses_outgoing(&mut self) -> bool {
        self.outgoing > 0.0 && self.rng.random_bool(self.outgoing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_share_is_lost_and_the_same_in_each_run() {
        let loss = Loss { down: 0.05, up: 0.2, back: 0.0, seed: 7 };
        let run = |publishes, number| {
            let mut impairment = Impairment::new(&loss, publishes, number).unwrap();
            (0..10_000)
                .map(|_| (impairment.loses_incoming(), impairment.loses_outgoing()))
                .fold((0, 0), |(i, o), (lost_in, lost_out)| (i + u32::from(lost_in), o + u32::from(lost_out)))
        };
        let (incoming, outgoing) = run(false, 1);
        assert!((400..600).contains(&incoming));
        assert_eq!(outgoing, 0);
        assert!((1_800..2_200).contains(&run(true, 2).1));
        assert_eq!(run(false, 1), run(false, 1));
        assert_ne!(run(false, 1), run(false, 3));
        assert!(Impairment::new(&Loss::default(), true, 1).is_none());
    }
}
