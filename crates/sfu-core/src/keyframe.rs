//! Keyframe requests to a publisher: merged over all who ask, repeated until one comes.

use std::time::{Duration, Instant};

/// Least time between two requests for one encoding, however many ask; also the time after which an unanswered
/// one is repeated.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// The requests of one encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyframeRequests {
    wanted: bool,
    sent: Option<Instant>,
    /// Requests that went out.
    pub(crate) count: u64,
}

impl KeyframeRequests {
    /// Somebody needs a keyframe.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A keyframe came, or nobody needs one any more.
    pub(crate) fn satisfied(&mut self) {
        self.wanted = false;
    }

    /// The publisher is a new one: the first request need not wait.
    pub(crate) fn restart(&mut self) {
        self.sent = None;
    }

    /// When a request is due, while one is wanted.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.wanted.then(|| self.sent.map_or(now, |sent| sent + REQUEST_INTERVAL))
    }

    /// Whether to send a request now; it counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let due = self.due(now).is_some_and(|due| due <= now);
        if due {
            self.sent = Some(now);
            self.count += 1;
        }
        due
    }
}
