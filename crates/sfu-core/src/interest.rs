//! Whether anybody wants an encoding: what nobody wants, its publisher need not send.

use std::time::{Duration, Instant};

/// An encoding that nobody wants for this long is given up; one that is wanted again is asked for at once.
const UNWANTED_AFTER: Duration = Duration::from_secs(2);
/// How long a publisher may take to bring an encoding back before it counts as stopped.
const COMING: Duration = Duration::from_secs(3);

/// The interest in one encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Interest {
    /// What was said last; nothing was said to a publisher that is new.
    told: Option<bool>,
    /// Since when nobody wants it.
    unwanted: Option<Instant>,
    /// When it was asked for again.
    asked: Option<Instant>,
    /// The other shards that want it, a bit each, once one has said anything. Until then all do.
    edges: Option<u64>,
}

impl Interest {
    /// The publisher has a new connection, and sends everything until it hears otherwise; the edges say anew what they
    /// want.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Notes what another shard wants, by its number; there are 64, and what others say is left out.
    pub(crate) fn at_edge(&mut self, shard: u8, wanted: bool) {
        let bit = 1u64.checked_shl(u32::from(shard)).unwrap_or(0);
        let edges = self.edges.get_or_insert(0);
        *edges = if wanted { *edges | bit } else { *edges & !bit };
    }

    /// Whether another shard wants it, given that others get this publisher's packets at all.
    pub(crate) fn is_wanted_elsewhere(&self) -> bool {
        self.edges.is_none_or(|edges| edges != 0)
    }

    /// Whether the publisher was told that nobody wants it.
    pub(crate) fn is_off(&self) -> bool {
        self.told == Some(false)
    }

    /// Whether it was asked for again so lately that it may be on its way.
    pub(crate) fn is_coming(&self, now: Instant) -> bool {
        self.asked.is_some_and(|at| now.saturating_duration_since(at) < COMING)
    }

    /// Takes whether somebody wants it now, and returns what the publisher is to be told. A `remote` one has to
    /// be told once what it is, since its own shard does not know.
    pub(crate) fn update(&mut self, wanted: bool, remote: bool, now: Instant) -> Option<bool> {
        if wanted {
            self.unwanted = None;
            if self.told == Some(false) {
                self.asked = Some(now);
            }
            let news = self.told != Some(true) && (remote || self.told.is_some());
            self.told = Some(true);
            return news.then_some(true);
        }
        let since = *self.unwanted.get_or_insert(now);
        let over = now.saturating_duration_since(since) >= UNWANTED_AFTER;
        if !over || self.is_off() {
            return None;
        }
        self.told = Some(false);
        self.asked = None;
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_after_two_seconds_and_on_at_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut interest = Interest::default();
        assert_eq!(interest.update(true, false, at(0)), None, "it is on: nothing to say");
        assert_eq!(interest.update(false, false, at(100)), None);
        assert_eq!(interest.update(true, false, at(2000)), None);
        assert_eq!(interest.update(false, false, at(2100)), None);
        assert_eq!(interest.update(false, false, at(4100)), Some(false));
        assert_eq!(interest.update(false, false, at(9000)), None);
        assert!(interest.is_off());
        assert_eq!(interest.update(true, false, at(9001)), Some(true));
        assert!(!interest.is_off() && interest.is_coming(at(10_000)) && !interest.is_coming(at(13_000)));
    }

    #[test]
    fn another_shard_is_told_what_is_wanted_from_the_start() {
        let mut interest = Interest::default();
        assert_eq!(interest.update(true, true, Instant::now()), Some(true));
        assert_eq!(interest.update(true, true, Instant::now()), None);
        assert!(interest.is_wanted_elsewhere(), "who has said nothing wants everything");
        interest.at_edge(3, false);
        assert!(!interest.is_wanted_elsewhere());
        interest.at_edge(5, true);
        interest.at_edge(200, true);
        assert!(interest.is_wanted_elsewhere());
        interest.at_edge(5, false);
        assert!(!interest.is_wanted_elsewhere());
    }
}
