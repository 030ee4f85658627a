//! Heart-beats: the header, the negotiation, and the two timers of a connection.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A peer is lost after this many of its intervals without a byte: clocks and networks jitter.
const TOLERANCE: u32 = 2;

/// Longest interval that is taken from a header, one day: longer ones are cut to it, so that no arithmetic on
/// instants can overflow.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// What one side offers in its `heart-beat` header, in milliseconds there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartBeat {
    /// It can send this often; zero: it cannot.
    pub send: Duration,
    /// It wants to hear this often; zero: it does not care.
    pub receive: Duration,
}

impl HeartBeat {
    /// None in either direction: what a missing header means.
    pub const NONE: Self = Self { send: Duration::ZERO, receive: Duration::ZERO };
    /// 4 s in both directions (L8).
    pub const DEFAULT: Self = Self { send: Duration::from_secs(4), receive: Duration::from_secs(4) };
}

/// The text is not two numbers with a comma between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("heart-beat must be two numbers of milliseconds with a comma between")]
pub struct ParseHeartBeatError;

impl FromStr for HeartBeat {
    type Err = ParseHeartBeatError;

    fn from_str(text: &str) -> Result<Self, ParseHeartBeatError> {
        let millis = |part: &str| {
            let part = part.trim();
            let digits = !part.is_empty() && part.len() <= 18 && part.bytes().all(|b| b.is_ascii_digit());
            let millis = part.parse().ok().filter(|_| digits).ok_or(ParseHeartBeatError)?;
            Ok(Duration::from_millis(millis).min(MAX_INTERVAL))
        };
        let (send, receive) = text.split_once(',').ok_or(ParseHeartBeatError)?;
        Ok(Self { send: millis(send)?, receive: millis(receive)? })
    }
}

impl fmt::Display for HeartBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.send.as_millis(), self.receive.as_millis())
    }
}

/// The timers of one connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    send_every: Option<Duration>,
    expect_within: Option<Duration>,
    last_sent: Instant,
    last_received: Instant,
}

impl Pulse {
    /// No heart-beats: before the connection is agreed.
    pub(crate) fn idle(now: Instant) -> Self {
        Self { send_every: None, expect_within: None, last_sent: now, last_received: now }
    }

    /// The slower of both wishes in each direction; none where one side says zero.
    pub(crate) fn negotiated(ours: HeartBeat, theirs: HeartBeat, now: Instant) -> Self {
        let both = |one: Duration, other: Duration| {
            (!one.is_zero() && !other.is_zero()).then(|| one.max(other).min(MAX_INTERVAL))
        };
        Self {
            send_every: both(ours.send, theirs.receive),
            expect_within: both(ours.receive, theirs.send).map(|interval| interval * TOLERANCE),
            last_sent: now,
            last_received: now,
        }
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    pub(crate) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    pub(crate) fn is_lost(&self, now: Instant) -> bool {
        self.lost_at().is_some_and(|at| now >= at)
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due_at().is_some_and(|at| now >= at)
    }

    /// The next moment to look. A beat that waits for a slow socket already is no reason to look again.
    pub(crate) fn poll_timeout(&self, beat_waits: bool) -> Option<Instant> {
        let due = if beat_waits { None } else { self.due_at() };
        [self.lost_at(), due].into_iter().flatten().min()
    }

    fn lost_at(&self) -> Option<Instant> {
        self.expect_within.map(|within| self.last_received + within)
    }

    fn due_at(&self) -> Option<Instant> {
        self.send_every.map(|every| self.last_sent + every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_two_numbers() {
        assert_eq!("4000,0".parse(), Ok(HeartBeat { receive: Duration::ZERO, ..HeartBeat::DEFAULT }));
        assert_eq!(HeartBeat::DEFAULT.to_string(), "4000,4000");
        assert_eq!("999999999999999999,1".parse::<HeartBeat>().map(|beat| beat.send), Ok(MAX_INTERVAL));
        for bad in ["", "4000", "4000,", ",", "-1,2", "+1,2", "a,b", "1,2,3", "9999999999999999999,0"] {
            assert_eq!(bad.parse::<HeartBeat>(), Err(ParseHeartBeatError), "{bad:?}");
        }
    }

    #[test]
    fn the_slower_wish_counts_and_twice_its_time_is_tolerated() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let theirs = HeartBeat { send: 10 * second, receive: second };
        let pulse = Pulse::negotiated(HeartBeat::DEFAULT, theirs, now);
        assert!(!pulse.is_due(now + 3 * second) && pulse.is_due(now + 4 * second));
        assert!(!pulse.is_lost(now + 19 * second) && pulse.is_lost(now + 20 * second));
        assert_eq!(pulse.poll_timeout(false), Some(now + 4 * second));
        assert_eq!(pulse.poll_timeout(true), Some(now + 20 * second));
        assert_eq!(Pulse::negotiated(HeartBeat::DEFAULT, HeartBeat::NONE, now).poll_timeout(false), None);
    }
}
