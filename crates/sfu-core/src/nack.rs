//! Which packets of an encoding to ask for again, and when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtp::seq::Seq;

/// Missing packets tracked; of more, the oldest are given up.
pub const MAX_MISSING: usize = 1_000;
/// Times that one packet is asked for.
pub const MAX_TRIES: u8 = 10;
/// A packet that comes this much late was reordered, not lost.
pub const REORDER_TOLERANCE: Duration = Duration::from_millis(10);
/// Where much is lost a request is sent again after this time: one may be lost like anything else, and a round trip is
/// long. Who has answered the first ignores the second, since it comes before a round trip has passed.
const ECHO: Duration = Duration::from_millis(10);
/// How much later than a round trip an answer may come.
const SLACK: Duration = Duration::from_millis(5);
/// Least time between two requests for one packet.
const MIN_INTERVAL: Duration = Duration::from_millis(20);
/// Round trip before any was measured.
const DEFAULT_ROUND_TRIP: Duration = Duration::from_millis(80);
/// Numbers in one request: more would not fit a datagram in the worst case.
pub(crate) const MAX_PER_REQUEST: usize = 200;

#[derive(Debug, Clone, Copy)]
struct Missing {
    seq: Seq,
    tries: u8,
    /// The last request is sent once more.
    echo: bool,
    /// When it was asked for, the time before and the last time; before that, when it was missed.
    asked: [Instant; 2],
    due: Instant,
}

/// The round trip to a publisher, learnt from retransmissions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RoundTrip(Option<Duration>);

impl RoundTrip {
    pub(crate) fn sample(&mut self, sample: Duration) {
        let sample = sample.min(Duration::from_secs(2));
        self.0 = Some(self.0.map_or(sample, |mean| (mean * 7 + sample) / 8));
    }

    pub(crate) fn get(self) -> Option<Duration> {
        self.0
    }
}

/// The missing packets of one encoding, oldest first.
#[derive(Debug, Default)]
pub(crate) struct NackTracker {
    missing: VecDeque<Missing>,
    /// Not after the first due time; may be before it.
    due: Option<Instant>,
    /// Numbers asked for, repetitions counted.
    pub(crate) nacked: u64,
}

/// A missing packet that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repaired {
    /// How long after the request that it answers it came, if that is known.
    pub(crate) round_trip: Option<Duration>,
    /// Whether it was asked for at all.
    pub(crate) asked: bool,
}

/// What [`NackTracker::poll`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    /// Numbers written to the list.
    pub(crate) count: usize,
    /// Packets given up: only a keyframe helps.
    pub(crate) given_up: usize,
}

impl NackTracker {
    /// Numbers from `from` to before `to` are missing. False if they are more than are tracked: the stream is
    /// too broken to be repaired.
    pub(crate) fn gap(&mut self, from: Seq, to: Seq, now: Instant) -> bool {
        if to.saturating_sub(from) > MAX_MISSING as u64 {
            self.clear();
            return false;
        }
        if self.missing.capacity() == 0 {
            self.missing.reserve(MAX_MISSING);
        }
        for seq in from..to {
            if self.missing.len() == MAX_MISSING {
                self.missing.pop_front();
            }
            let due = now + REORDER_TOLERANCE;
            self.missing.push_back(Missing { seq, tries: 0, echo: false, asked: [now; 2], due });
            self.due = Some(self.due.map_or(due, |first| first.min(due)));
        }
        true
    }

    /// The stream turns out to have begun earlier than it seemed: numbers from `from` to before `to`, its beginning so
    /// far, are missing unless they came already. None of them is after any that is tracked and was not found so.
    pub(crate) fn gap_before(&mut self, from: Seq, to: Seq, came: impl Fn(Seq) -> bool, now: Instant) {
        for seq in (from..to).rev().filter(|&seq| !came(seq)) {
            let tracked = self.missing.front().is_some_and(|first| first.seq <= seq);
            if tracked || self.missing.len() == MAX_MISSING {
                continue;
            }
            let due = now + REORDER_TOLERANCE;
            self.missing.push_front(Missing { seq, tries: 0, echo: false, asked: [now; 2], due });
            self.due = Some(self.due.map_or(due, |first| first.min(due)));
        }
    }

    /// `seq` came after all; `None` if it was not missing.
    pub(crate) fn arrived(&mut self, seq: Seq, now: Instant) -> Option<Repaired> {
        let place = self.missing.binary_search_by_key(&seq, |missing| missing.seq).ok()?;
        let missing = self.missing.remove(place)?;
        if self.missing.is_empty() {
            self.due = None;
        }
        let [before, last] = missing.asked;
        let (waited, interval) =
            (now.saturating_duration_since(last), last.saturating_duration_since(before));
        // After two requests nobody knows which one was answered, but one that has only just left was not.
        let round_trip = match missing.tries {
            0 => None,
            1 => Some(waited),
            _ => (waited < interval / 2).then_some(waited + interval),
        };
        Some(Repaired { round_trip, asked: missing.tries > 0 })
    }

    /// Whether this packet is missing and has not been given up.
    pub(crate) fn awaits(&self, seq: Seq) -> bool {
        self.missing.iter().any(|missing| missing.seq == seq)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.missing.clear();
        self.due = None;
    }

    /// When [`NackTracker::poll`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the numbers to ask for now, ascending, at most [`MAX_PER_REQUEST`]; the rest stays due. `lossy` is
    /// whether requests may well be lost.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        round_trip: RoundTrip,
        lossy: bool,
        list: &mut [u16],
    ) -> Polled {
        let mut polled = Polled::default();
        if self.due.is_none_or(|due| due > now) {
            return polled;
        }
        let interval = round_trip.get().unwrap_or(DEFAULT_ROUND_TRIP).max(MIN_INTERVAL);
        let mut next: Option<Instant> = None;
        self.missing.retain_mut(|missing| {
            if missing.due <= now {
                if missing.tries == MAX_TRIES && !missing.echo {
                    polled.given_up += 1;
                    return false;
                }
                if let Some(slot) = list.get_mut(polled.count) {
                    *slot = missing.seq as u16;
                    polled.count += 1;
                    if !missing.echo {
                        missing.asked = [missing.asked[1], now];
                    }
                    missing.tries += u8::from(!missing.echo);
                    missing.echo = lossy && !missing.echo;
                    // A little more than a round trip: an answer that is on its way is not asked for again.
                    missing.due = now + if missing.echo { ECHO } else { interval + interval / 16 + SLACK };
                }
            }
            next = Some(next.map_or(missing.due, |first| first.min(missing.due)));
            true
        });
        self.due = next;
        self.nacked += polled.count as u64;
        polled
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.missing.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_reordered_packet_is_not_asked_for() {
        let now = Instant::now();
        let (mut nack, mut list) = (NackTracker::default(), [0; 8]);
        assert!(nack.gap(10, 12, now));
        assert_eq!(nack.arrived(10, now + ms(5)), Some(Repaired { round_trip: None, asked: false }));
        assert_eq!(nack.poll(now + ms(9), RoundTrip::default(), false, &mut list).count, 0);
        assert_eq!(nack.poll(now + ms(10), RoundTrip::default(), false, &mut list).count, 1);
        assert_eq!(list[0], 11);
        let repaired = nack.arrived(11, now + ms(40));
        let expected = Repaired { round_trip: Some(ms(30)), asked: true };
        assert_eq!(repaired, Some(expected), "from the request to the answer");
        assert_eq!(nack.arrived(11, now + ms(41)), None, "once");
        assert_eq!(nack.due(), None);
    }

    #[test]
    fn a_round_trip_longer_than_the_first_guess_is_learnt() {
        let start = Instant::now();
        let (mut nack, mut list) = (NackTracker::default(), [0; 8]);
        nack.gap(1, 3, start);
        assert_eq!(nack.poll(start + ms(10), RoundTrip::default(), false, &mut list).count, 2);
        assert_eq!(nack.poll(start + ms(100), RoundTrip::default(), false, &mut list).count, 2);
        let soon = nack.arrived(1, start + ms(130)).and_then(|repaired| repaired.round_trip);
        assert_eq!(soon, Some(ms(120)), "the answer to the first request");
        let later = nack.arrived(2, start + ms(170)).and_then(|repaired| repaired.round_trip);
        assert_eq!(later, None, "of either");
    }

    #[test]
    fn it_asks_ten_times_at_the_pace_of_the_round_trip_and_gives_up() {
        let times = asked_at(false);
        assert_eq!(times, (0..10).map(|i| Duration::from_micros(10_000 + 47_500 * i)).collect::<Vec<_>>());
    }

    #[test]
    fn where_much_is_lost_it_asks_each_time_twice() {
        let times = asked_at(true);
        assert_eq!(
            times,
            (0..10)
                .flat_map(|i| [10_000, 20_000].map(|first| Duration::from_micros(first + 57_500 * i)))
                .collect::<Vec<_>>()
        );
    }

    /// When a packet that never comes is asked for, at a round trip of 40 ms.
    fn asked_at(lossy: bool) -> Vec<Duration> {
        let start = Instant::now();
        let (mut nack, mut list) = (NackTracker::default(), [0; 8]);
        let mut round_trip = RoundTrip::default();
        round_trip.sample(ms(40));
        nack.gap(1, 2, start);
        let (mut times, mut given_up) = (Vec::new(), 0);
        while let Some(due) = nack.due() {
            let polled = nack.poll(due, round_trip, lossy, &mut list);
            given_up += polled.given_up;
            times.extend((polled.count > 0).then(|| due - start));
        }
        assert_eq!((given_up, nack.nacked), (1, times.len() as u64));
        times
    }

    #[test]
    fn at_most_a_thousand_are_tracked_and_a_longer_gap_is_given_up() {
        let now = Instant::now();
        let mut nack = NackTracker::default();
        assert!(nack.gap(0, 600, now));
        assert!(nack.gap(700, 1500, now));
        assert_eq!(nack.len(), MAX_MISSING);
        assert_eq!(nack.arrived(399, now), None, "the oldest were dropped");
        assert!(!nack.gap(2000, 3001, now));
        assert_eq!((nack.len(), nack.due()), (0, None));
    }

    #[test]
    fn one_request_has_a_limit_and_the_rest_follows() {
        let now = Instant::now();
        let (mut nack, mut list) = (NackTracker::default(), [0; MAX_PER_REQUEST]);
        nack.gap(0, 300, now);
        let due = now + REORDER_TOLERANCE;
        assert_eq!(nack.poll(due, RoundTrip::default(), false, &mut list).count, MAX_PER_REQUEST);
        assert_eq!(nack.due(), Some(due), "more is due at once");
        assert_eq!(nack.poll(due, RoundTrip::default(), false, &mut list).count, 100);
        assert_eq!(list[..2], [200, 201]);
    }
}
