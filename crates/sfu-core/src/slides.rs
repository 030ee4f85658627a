//! A slide show: what a line gets that does not carry even the least of a moving picture. Whole keyframes of the lowest
//! encoding leave as far as they fit beside the sound, packet by packet at the rate that is left, so that sound never
//! waits for them.

use std::time::{Duration, Instant};

use rtp::seq::Seq;

use crate::ids::StreamId;

/// Keyframes that are asked for are at least this far apart, for all slow lines together, on whatever shards.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);
/// Packets of an encoding that has slide shows are kept this long: a keyframe may take that long to leave.
pub(crate) const KEEP: Duration = Duration::from_secs(4);
/// With less than this, in bits per second, a picture would take too long to be of any use.
pub(crate) const LEAST: u64 = 12_000;
/// What is added to a packet on its way, in bytes: UDP, IP, the tag of the encryption.
const OVERHEAD: u64 = 44;

/// The slides of one feed.
#[derive(Debug)]
pub(crate) struct SlideShow {
    /// Bits per second.
    rate: u64,
    /// When what has left so far will have passed the line at that rate.
    free_at: Option<Instant>,
    /// The keyframe that was shown last: where it begins, its timestamp, and when it began to leave.
    shown: Option<(StreamId, Seq, u32, Instant)>,
}

impl SlideShow {
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, free_at: None, shown: None }
    }

    /// The line leaves another rate.
    pub(crate) fn set_rate(&mut self, rate: u64) {
        self.rate = rate;
    }

    /// Whether another packet may leave.
    pub(crate) fn is_free(&self, now: Instant) -> bool {
        self.free_at.is_none_or(|at| at <= now)
    }

    /// Whether the keyframe that begins there may be shown now.
    pub(crate) fn may_show(&self, stream: StreamId, seq: Seq, now: Instant) -> bool {
        self.is_free(now) && self.shown.is_none_or(|(of, at, ..)| (of, at) != (stream, seq))
    }

    /// Whether a keyframe is to be asked for: the last slide has left, and is old enough.
    pub(crate) fn needs_keyframe(&self, now: Instant) -> bool {
        let old = |at: Instant| now.saturating_duration_since(at) >= INTERVAL;
        self.is_free(now) && self.shown.is_none_or(|(.., at)| old(at))
    }

    /// A keyframe begins to leave.
    pub(crate) fn begins(&mut self, stream: StreamId, seq: Seq, timestamp: u32, now: Instant) {
        self.shown = Some((stream, seq, timestamp, now));
    }

    /// Whether a packet with this timestamp belongs to the slide that leaves now.
    pub(crate) fn is_of_slide(&self, at: u32) -> bool {
        self.shown.is_some_and(|(_, _, timestamp, _)| timestamp == at)
    }

    /// A packet of `bytes` leaves.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        let nanos = (bytes as u64).saturating_add(OVERHEAD).saturating_mul(8_000_000_000);
        let takes = Duration::from_nanos(nanos / self.rate.max(LEAST));
        self.free_at = Some(self.free_at.map_or(now, |at| at.max(now)) + takes);
    }
}

/// What a moving picture that comes back must be able to cost, in percent of its bitrate.
const COMEBACK_PERCENT: u64 = 115;
/// The same after one that did not last: by so much the line has really become wider.
const DOUBTFUL_PERCENT: u64 = 160;
/// A moving picture that lasts this long has come back.
const LASTS: Duration = Duration::from_secs(20);
/// How long one that did not last is not believed again, doubled each time up to the longest.
const FIRST_DOUBT: Duration = Duration::from_secs(10);
const LONGEST_DOUBT: Duration = Duration::from_secs(64);

/// Whether a line that was too slow for a moving picture may be believed to carry one again: a picture that comes and
/// goes every other second is worse than slides.
#[derive(Debug, Default)]
pub(crate) struct Comebacks {
    is_slow: bool,
    came_back: Option<Instant>,
    doubt: Option<(Instant, Duration)>,
}

impl Comebacks {
    /// What the lowest step must be able to cost for it to come back, in percent.
    pub(crate) fn percent(&self, now: Instant) -> u64 {
        let doubtful = self.doubt.is_some_and(|(until, _)| now < until);
        if doubtful { DOUBTFUL_PERCENT } else { COMEBACK_PERCENT }
    }

    /// The line is, or is not, too slow for a moving picture.
    pub(crate) fn update(&mut self, is_slow: bool, now: Instant) {
        match (std::mem::replace(&mut self.is_slow, is_slow), is_slow) {
            (true, false) => self.came_back = Some(now),
            (false, true) => {
                let lasted = self.came_back.map(|at| now.saturating_duration_since(at));
                self.doubt = lasted.filter(|&lasted| lasted < LASTS).map(|_| {
                    let doubt = self.doubt.map_or(FIRST_DOUBT, |(_, doubt)| (doubt * 2).min(LONGEST_DOUBT));
                    (now + doubt, doubt)
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_came_back_and_did_not_last_is_doubted_longer_each_time() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut comebacks = Comebacks::default();
        comebacks.update(true, at(0));
        assert_eq!(comebacks.percent(at(1)), COMEBACK_PERCENT);
        comebacks.update(false, at(5));
        comebacks.update(true, at(7));
        assert_eq!([8, 16, 17].map(|s| comebacks.percent(at(s))), [160, 160, 115]);
        comebacks.update(false, at(20));
        comebacks.update(true, at(22));
        assert_eq!([23, 41, 42].map(|s| comebacks.percent(at(s))), [160, 160, 115]);
        comebacks.update(false, at(50));
        comebacks.update(true, at(90));
        assert_eq!(comebacks.percent(at(91)), COMEBACK_PERCENT, "it had lasted");
    }
    use crate::ids::PublisherId;

    #[test]
    fn slides_leave_at_the_rate_that_is_left() {
        let (start, mut slides) = (Instant::now(), SlideShow::new(40_000));
        let publisher = PublisherId { index: 0, generation: 0 };
        let stream = StreamId { publisher, track: 0, encoding: 0, run: 1 };
        assert!(slides.may_show(stream, 10, start) && slides.needs_keyframe(start));
        slides.begins(stream, 10, 900, start);
        let mut sent = 0;
        for at in 0..1_000 {
            let now = start + Duration::from_millis(at);
            while slides.is_free(now) {
                slides.sent(956, now);
                sent += 1_000 * 8;
            }
        }
        assert!((40_000..48_000).contains(&sent), "{sent} bits in a second");
        let later = start + Duration::from_millis(1_900);
        assert!(!slides.may_show(stream, 10, later), "the same again");
        assert!(slides.may_show(stream, 20, later) && !slides.needs_keyframe(later));
        assert!(slides.needs_keyframe(start + INTERVAL));
        assert!(slides.is_of_slide(900) && !slides.is_of_slide(901));
    }
}
