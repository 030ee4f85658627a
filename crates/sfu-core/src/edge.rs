//! The edge: what a shard does with the packets of a publisher whose connection is on another one, its origin.
//!
//! Each packet says which run of its encoding it belongs to and its number there, both as the origin counts them. So
//! the edge knows at once that a stream has started over, and keeps the numbers that it gives to packets apart from
//! those of every run before. What did not cross is asked for again by the rules of NACKs.

use rtp::MediaKind;
use rtp::seq::{Seq, extend};

use crate::crossing::{Crossing, MAX_ASKED};
use crate::ids::{EncodingIndex, TrackIndex};
use crate::publisher::{Context, Publisher};
use crate::sink::{Event, Missing, Sink};

impl Publisher {
    /// Asks the shard that has the publisher for keyframes, and for what did not cross.
    pub(crate) fn ask_origin<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        let (publisher, round_trip) = (self.id, self.round_trip);
        for (track, index) in self.tracks.iter_mut().zip(0u8..) {
            let kind = track.config.kind;
            for (encoding, number) in track.encodings.iter_mut().zip(0u8..) {
                let (track, name) = (TrackIndex(index), EncodingIndex(number));
                let mut list = [0; MAX_ASKED];
                let polled = encoding.nack.poll(cx.now, round_trip, false, &mut list);
                cx.totals.crossing_asked += polled.count as u64;
                cx.totals.crossing_given_up += polled.given_up as u64;
                if polled.given_up > 0 && kind == MediaKind::Video {
                    encoding.keyframes.want(cx.now);
                }
                if let (Some(Crossing { run, moved, .. }), Some(highest)) =
                    (encoding.crossing, encoding.receive.highest())
                {
                    let numbers = list.iter().take(polled.count).map(|&wire| extend(highest, wire));
                    let at_origin = numbers.map(|seq| seq.wrapping_sub(moved));
                    gather(at_origin, |first, more| {
                        let missing = Missing { track, encoding: name, run, first, more };
                        cx.sink.event(Event::Missing { publisher, missing });
                    });
                }
                if let Some(purpose) = encoding.poll_request(cx.now) {
                    cx.sink.event(Event::KeyframeNeeded { publisher, track, encoding: name, purpose });
                }
            }
        }
    }
}

/// Puts ascending numbers together: each with those of the 64 that follow it.
fn gather(numbers: impl Iterator<Item = Seq>, mut take: impl FnMut(Seq, u64)) {
    let mut open: Option<(Seq, u64)> = None;
    for number in numbers {
        match &mut open {
            Some((first, more)) if (1..=64).contains(&number.wrapping_sub(*first)) => {
                *more |= 1 << (number.wrapping_sub(*first) - 1);
            }
            _ => {
                if let Some((first, more)) = open.replace((number, 0)) {
                    take(first, more);
                }
            }
        }
    }
    if let Some((first, more)) = open {
        take(first, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_are_put_together_and_come_apart_again() {
        let numbers = [5, 6, 69, 70, 200, u64::from(u32::MAX)];
        let mut gathered = Vec::new();
        gather(numbers.into_iter(), |first, more| {
            let (track, encoding) = (TrackIndex(0), EncodingIndex(0));
            gathered.push(Missing { track, encoding, run: 0, first, more });
        });
        assert_eq!(gathered.iter().map(|missing| missing.count()).collect::<Vec<_>>(), [3, 1, 1, 1]);
        let apart: Vec<u64> = gathered.into_iter().flat_map(Missing::numbers).collect();
        assert_eq!(apart, numbers);
        gather(std::iter::empty(), |_, _| panic!("nothing is missing"));
    }
}
