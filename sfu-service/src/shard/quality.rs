//! How good a connection is, from what is measured of it, for the bars that others see. Pure.
//!
//! What gets worse is said at the next look; what gets better when it has lasted, and is clearly better: a line that is at
//! a limit would have the bars flicker otherwise, and each change is told to the whole room.

use std::time::Duration;

use contract::room_state::Quality;
use sfu_core::{PublisherStats, SubscriberStats};

/// How often it is looked at all connections of calls, together: what changes for many is told to their rooms at once.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Looks in a row that have to be better.
const LOOKS_TO_RISE: u8 = 3;
/// Better is what would be so if everything measured were larger by this.
const MARGIN: f32 = 1.4;
/// Fewer packets say nothing of what share is lost.
const LEAST_PACKETS: u64 = 20;

/// From which share of lost packets on it is fair, or poor. What is repaired counts: it comes late.
const LOSS: [f32; 2] = [0.03, 0.10];
/// The same of the round trip and of what packets wait on the line, in seconds.
const ROUND_TRIP: [f32; 2] = [0.3, 0.7];
const QUEUE: [f32; 2] = [0.15, 0.5];

/// What is measured of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Line {
    /// Share of packets that did not come at the first try, 0 to 1.
    loss: f32,
    round_trip: Duration,
    /// How long packets wait on it.
    queue: Duration,
    /// It does not carry the least of what it is to carry.
    too_slow: bool,
}

/// Packets of a publisher that came, and that did not come at the first try, in all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    came: u64,
    missed: u64,
}

impl Line {
    /// Of a connection that publishes, since it was `counted` last.
    pub(super) fn of_publisher(stats: &PublisherStats, counted: &mut Counted) -> Self {
        let mut all = Counted::default();
        for encoding in stats.tracks.iter().flat_map(|track| &track.encodings) {
            all.came += encoding.packets.saturating_sub(encoding.recovered);
            all.missed += encoding.lost.saturating_add(encoding.recovered);
        }
        let before = std::mem::replace(counted, all);
        // A stream that begins anew counts from nothing.
        let came = all.came.saturating_sub(before.came);
        let missed = all.missed.saturating_sub(before.missed);
        let share = missed as f32 / (came + missed).max(1) as f32;
        let loss = if came + missed < LEAST_PACKETS { 0.0 } else { share };
        Self { loss, round_trip: stats.round_trip.unwrap_or_default(), ..Self::default() }
    }

    /// Of a connection that receives.
    pub(super) fn of_subscriber(stats: &SubscriberStats) -> Self {
        Self {
            loss: stats.loss,
            round_trip: stats.round_trip.unwrap_or_default(),
            queue: stats.queue,
            too_slow: stats.subscriptions.iter().any(|subscription| subscription.too_slow),
        }
    }

    /// How good it is if everything measured counts `scale` times.
    fn grade(&self, scale: f32) -> Quality {
        let measured = [
            (self.loss, LOSS),
            (self.round_trip.as_secs_f32(), ROUND_TRIP),
            (self.queue.as_secs_f32(), QUEUE),
        ];
        let grade = |(value, [fair, poor]): (f32, [f32; 2])| match value * scale {
            value if value >= poor => Quality::Poor,
            value if value >= fair => Quality::Fair,
            _ => Quality::Good,
        };
        let too_slow = if self.too_slow { Quality::Poor } else { Quality::Good };
        measured.into_iter().map(grade).fold(too_slow, Quality::max)
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rating {
    quality: Quality,
    better: u8,
}

impl Rating {
    /// How good it is.
    pub(super) fn quality(&self) -> Quality {
        self.quality
    }

    /// Takes in what is measured now, at each [`LOOK_INTERVAL`].
    pub(super) fn look(&mut self, line: &Line) {
        let (now, at_least) = (line.grade(1.0), line.grade(MARGIN));
        if now > self.quality {
            (self.quality, self.better) = (now, 0);
        } else if at_least < self.quality {
            self.better += 1;
            if self.better >= LOOKS_TO_RISE {
                (self.quality, self.better) = (at_least, 0);
            }
        } else {
            self.better = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use Quality::{Fair, Good, Poor};
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use sfu_core::{EncodingStats, TrackStats};

    use super::*;

    fn lossy(loss: f32) -> Line {
        Line { loss, ..Line::default() }
    }

    fn after(looks: &[Line]) -> Vec<Quality> {
        let mut rating = Rating::default();
        let look = |line: &Line| {
            rating.look(line);
            rating.quality()
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn worse_is_said_at_once_and_better_when_it_has_lasted() {
        let looks = [0.0, 0.05, 0.2, 0.0, 0.0, 0.0, 0.0].map(lossy);
        assert_eq!(after(&looks), [Good, Fair, Poor, Poor, Poor, Good, Good]);
        let looks = [0.2, 0.0, 0.0, 0.2, 0.0, 0.0, 0.05].map(lossy);
        assert_eq!(after(&looks), [Poor; 6].into_iter().chain([Fair]).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_at_a_limit_does_not_flicker() {
        let looks: Vec<Line> =
            (0..100).map(|look| lossy(if look % 2 == 0 { 0.031 } else { 0.026 })).collect();
        assert_eq!(after(&looks), [Fair; 100]);
    }

    #[test]
    fn each_measure_counts() {
        let ms = Duration::from_millis;
        let line = Line::default();
        assert_eq!(line.grade(1.0), Good);
        assert_eq!(Line { round_trip: ms(299), ..line }.grade(1.0), Good);
        assert_eq!(Line { round_trip: ms(300), ..line }.grade(1.0), Fair);
        assert_eq!(Line { round_trip: ms(700), ..line }.grade(1.0), Poor);
        assert_eq!(Line { queue: ms(200), ..line }.grade(1.0), Fair);
        assert_eq!(Line { too_slow: true, ..line }.grade(1.0), Poor);
        assert_eq!(Line { loss: 0.04, round_trip: ms(800), ..line }.grade(1.0), Poor, "the worst");
    }

    #[test]
    fn what_a_publisher_loses_counts_since_the_last_look_repaired_or_not() {
        let stats = |packets, lost, recovered| {
            let encoding = EncodingStats { packets, lost, recovered, ..EncodingStats::default() };
            let track = TrackStats { active: true, encodings: vec![encoding] };
            PublisherStats { tracks: vec![track], first_media: None, last_media: None, round_trip: None }
        };
        let mut counted = Counted::default();
        let mut loss = |packets, lost, recovered| {
            Line::of_publisher(&stats(packets, lost, recovered), &mut counted).loss
        };
        assert_eq!(loss(1_000, 0, 0), 0.0);
        assert_eq!(loss(1_100, 0, 50), 0.5, "half of it came at the second try");
        assert_eq!(loss(1_100, 0, 50), 0.0, "nothing since");
        assert_eq!(loss(1_105, 5, 50), 0.0, "too little to say");
        assert_eq!(loss(1_155, 55, 50), 0.5);
        assert_eq!(loss(10, 0, 0), 0.0, "another stream");
        assert_eq!(loss(110, 0, 0), 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(13), ..ProptestConfig::default() })]

        /// Whatever is measured: never better than it is, and of three changes in a row one takes three looks at least.
        #[test]
        fn it_changes_seldom_and_never_flatters(losses in prop::collection::vec(0.0f32..0.2, 1..200)) {
            let looks: Vec<Line> = losses.into_iter().map(lossy).collect();
            let qualities = after(&looks);
            for (line, quality) in looks.iter().zip(&qualities) {
                prop_assert!(*quality >= line.grade(1.0));
            }
            let rises: Vec<usize> = (1..qualities.len()).filter(|at| qualities[*at] < qualities[at - 1]).collect();
            prop_assert!(rises.windows(2).all(|pair| pair[1] - pair[0] >= usize::from(LOOKS_TO_RISE)));
        }
    }
}
