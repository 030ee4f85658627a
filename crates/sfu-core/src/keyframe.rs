//! Keyframe requests to a publisher: merged over all who ask, repeated until one comes. Whoever encodes before it
//! sends (OBS, ffmpeg) answers none: such a publisher is found out.

use std::time::{Duration, Instant};

/// Least time between two requests for one encoding, however many ask; also the time after which an unanswered
/// one is repeated.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// Requests in a row that must be answered before a publisher that left one unanswered counts as one that answers.
const DEAF: u8 = 4;

/// The requests of one encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyframeRequests {
    wanted: bool,
    sent: Option<Instant>,
    /// Requests since the last keyframe.
    asked: u8,
    /// Set by a request that was not answered in time, taken down by each that was: a keyframe that comes by itself
    /// may look like an answer.
    deaf: u8,
    /// Requests that went out.
    pub(crate) count: u64,
}

impl KeyframeRequests {
    /// Somebody needs a keyframe.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A keyframe came.
    pub(crate) fn came(&mut self, now: Instant) {
        let in_time = self.sent.is_some_and(|sent| now.saturating_duration_since(sent) < REQUEST_INTERVAL);
        self.deaf = match self.asked {
            0 => self.deaf,
            1 if in_time => self.deaf.saturating_sub(1),
            _ => DEAF,
        };
        self.satisfied();
    }

    /// Nobody needs a keyframe any more.
    pub(crate) fn satisfied(&mut self) {
        (self.wanted, self.asked) = (false, 0);
    }

    /// Whether the publisher sends keyframes when it likes, not when it is asked.
    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf > 0
    }

    /// The publisher is a new one: the first request need not wait.
    pub(crate) fn restart(&mut self) {
        (self.sent, self.asked, self.deaf) = (None, 0, 0);
    }

    /// When a request is due, while one is wanted.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.wanted.then(|| self.sent.map_or(now, |sent| sent + REQUEST_INTERVAL))
    }

    /// Whether to send a request now; it counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let due = self.due(now).is_some_and(|due| due <= now);
        if due {
            if self.asked > 0 {
                self.deaf = DEAF;
            }
            self.asked = self.asked.saturating_add(1);
            self.sent = Some(now);
            self.count += 1;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_no_request_in_time_is_deaf_until_it_answers_some() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        requests.want();
        assert!(requests.poll(start) && !requests.is_deaf());
        assert!(requests.poll(start + REQUEST_INTERVAL) && requests.is_deaf());
        requests.came(start + REQUEST_INTERVAL);
        requests.came(start + 2 * REQUEST_INTERVAL);
        assert!(requests.is_deaf(), "a keyframe that came by itself");
        for answered in 1..=u32::from(DEAF) {
            assert!(requests.is_deaf());
            requests.want();
            let at = start + 4 * answered * REQUEST_INTERVAL;
            assert!(requests.poll(at));
            requests.came(at + REQUEST_INTERVAL / 2);
        }
        assert!(!requests.is_deaf());
        requests.want();
        assert!(requests.poll(start + 40 * REQUEST_INTERVAL));
        requests.came(start + 42 * REQUEST_INTERVAL);
        assert!(requests.is_deaf(), "nobody asked again, and it came late");
    }
}
