//! Keyframe requests to a publisher: merged over all who ask, repeated until one comes or nobody asks any more. A
//! publisher that encodes before it sends (OBS, ffmpeg) answers none: it is recognised by that.

use std::time::{Duration, Instant};

use crate::sink::KeyframePurpose;
use crate::slides;

/// Least time between two requests for one encoding, however many ask; also the time after which an unanswered
/// one is repeated. A publisher is to get no two of them within 500 ms, and what comes behind a busy turn of ours, or a
/// queue of the line, may be so much later than the next one: the rest is for that.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(550);

/// A wish ends after this time unless it is repeated: whoever still waits repeats it with each packet that does not
/// help, so that the requests end with those who wanted them.
const WISH_LASTS: Duration = Duration::from_millis(1_200);

/// Requests in a row that must be answered before a publisher that left one unanswered counts as one that answers.
const DEAF: u8 = 4;

/// The requests of one encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyframeRequests {
    /// When somebody last said that a keyframe is needed.
    wanted: Option<Instant>,
    sent: Option<Instant>,
    /// When somebody last said that a keyframe is needed as a slide, and when one was last asked for as such.
    slide_wanted: Option<Instant>,
    slide_sent: Option<Instant>,
    /// A request was sent while nothing flowed: one may wake the publisher up (a screen that does not change), more
    /// would only be ignored (a camera that is off).
    asked_in_silence: bool,
    /// Nobody gets what would come.
    is_closed: bool,
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
    pub(crate) fn want(&mut self, now: Instant) {
        self.wanted = Some(now);
    }

    /// A slow line needs a keyframe as a slide: asked for now and then, for all of them together.
    pub(crate) fn want_slide(&mut self, now: Instant) {
        self.slide_wanted = Some(now);
    }

    /// Another shard needs a keyframe, which it has merged the wishes of its own viewers for.
    pub(crate) fn want_for(&mut self, purpose: KeyframePurpose, now: Instant) {
        match purpose {
            KeyframePurpose::Picture => self.want(now),
            KeyframePurpose::Slide => self.want_slide(now),
            KeyframePurpose::Both => {
                self.want(now);
                self.want_slide(now);
            }
        }
    }

    /// Whether there are slow lines that are shown slides.
    pub(crate) fn has_slides(&self, now: Instant) -> bool {
        self.slide_sent.is_some_and(|at| now.saturating_duration_since(at) < 2 * slides::INTERVAL)
    }

    /// Media came.
    pub(crate) fn media_came(&mut self) {
        self.asked_in_silence = false;
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
        (self.wanted, self.slide_wanted, self.asked) = (None, None, 0);
    }

    /// The source is off: nobody waits for it, and nothing is asked of it until something comes. One that is `closed` is
    /// asked for nothing at all until it is not.
    pub(crate) fn rest(&mut self, closed: bool) {
        self.satisfied();
        (self.asked_in_silence, self.is_closed) = (true, closed);
    }

    /// The source is on again.
    pub(crate) fn rise(&mut self) {
        (self.asked_in_silence, self.is_closed) = (false, false);
    }

    /// Whether the publisher sends keyframes when it likes, not when it is asked.
    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf > 0
    }

    /// The publisher is a new one: the first request need not wait.
    pub(crate) fn restart(&mut self) {
        (self.sent, self.asked, self.deaf, self.asked_in_silence) = (None, 0, 0, false);
    }

    /// When [`KeyframeRequests::poll`] has something to do. `flows` is whether media comes.
    pub(crate) fn due(&self, flows: bool, now: Instant) -> Option<Instant> {
        if self.is_closed || (!flows && self.asked_in_silence) {
            return None;
        }
        let after = |last: Option<Instant>, interval| last.map_or(now, |last| last + interval);
        let due = self.wanted.map(|_| after(self.sent, REQUEST_INTERVAL));
        let slide = self
            .slide_wanted
            .map(|_| after(self.slide_sent, slides::INTERVAL).max(after(self.sent, REQUEST_INTERVAL)));
        [due, slide].into_iter().flatten().min()
    }

    /// What to send a request for now, if one is due; it counts as sent.
    pub(crate) fn poll(&mut self, flows: bool, now: Instant) -> Option<KeyframePurpose> {
        if self.due(flows, now).is_none_or(|due| due > now) {
            return None;
        }
        let is_over = |at: &mut Instant| now.saturating_duration_since(*at) >= WISH_LASTS;
        self.wanted.take_if(is_over);
        self.slide_wanted.take_if(is_over);
        if self.due(flows, now).is_none_or(|due| due > now) {
            return None;
        }
        let purpose = match (self.wanted, self.slide_wanted) {
            (_, None) => KeyframePurpose::Picture,
            (None, Some(_)) => KeyframePurpose::Slide,
            (Some(_), Some(_)) => KeyframePurpose::Both,
        };
        if self.slide_wanted.is_some() {
            self.slide_sent = Some(now);
        }
        if flows && self.wanted.is_some() {
            if self.asked > 0 {
                self.deaf = DEAF;
            }
            self.asked = self.asked.saturating_add(1);
        }
        // Silence is no proof that a publisher ignores requests: it may have nothing to encode.
        self.asked_in_silence = !flows;
        self.sent = Some(now);
        self.count += 1;
        Some(purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_not_asked_and_what_is_closed_never() {
        let now = Instant::now();
        for closed in [false, true] {
            let mut requests = KeyframeRequests::default();
            requests.want(now);
            requests.rest(closed);
            assert_eq!(requests.due(true, now), None, "nobody waits for it");
            requests.want(now);
            assert_eq!((requests.due(false, now), requests.poll(false, now)), (None, None));
            assert_eq!(requests.due(true, now).is_some(), !closed, "it comes nevertheless");
            requests.media_came();
            assert_eq!(requests.poll(false, now).is_some(), !closed);
            requests.rise();
            requests.want(now);
            assert!(requests.due(false, now).is_some(), "on again");
        }
    }

    #[test]
    fn who_answers_no_request_in_time_is_deaf_until_it_answers_some() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        requests.want(start);
        assert!(requests.poll(true, start).is_some() && !requests.is_deaf());
        assert!(requests.poll(true, start + REQUEST_INTERVAL).is_some() && requests.is_deaf());
        requests.came(start + REQUEST_INTERVAL);
        requests.came(start + 2 * REQUEST_INTERVAL);
        assert!(requests.is_deaf(), "a keyframe that came by itself");
        for answered in 1..=u32::from(DEAF) {
            assert!(requests.is_deaf());
            let at = start + 4 * answered * REQUEST_INTERVAL;
            requests.want(at);
            assert!(requests.poll(true, at).is_some());
            requests.came(at + REQUEST_INTERVAL / 2);
        }
        assert!(!requests.is_deaf());
        let at = start + 40 * REQUEST_INTERVAL;
        requests.want(at);
        assert!(requests.poll(true, at).is_some());
        requests.came(at + 2 * REQUEST_INTERVAL);
        assert!(requests.is_deaf(), "nobody asked again, and it came late");
    }

    /// What may happen to the requests of one encoding.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Wish,
        Slide,
        Both,
        Keyframe,
        Media,
        Rest(bool),
        Rise,
    }

    proptest::proptest! {
        #[test]
        fn whatever_happens_no_two_requests_are_close(
            happens in proptest::collection::vec((0..300u64, 0..8u8, proptest::bool::ANY), 1..300)
        ) {
            let mut now = Instant::now();
            let mut requests = KeyframeRequests::default();
            let mut last: Option<Instant> = None;
            let mut polled = 0;
            for (ms, what, flows) in happens {
                let what = match what {
                    0 | 1 => Happens::Wish,
                    2 => Happens::Slide,
                    3 => Happens::Both,
                    4 => Happens::Keyframe,
                    5 => Happens::Media,
                    6 => Happens::Rest(flows),
                    _ => Happens::Rise,
                };
                match what {
                    Happens::Wish => requests.want(now),
                    Happens::Slide => requests.want_slide(now),
                    Happens::Both => requests.want_for(KeyframePurpose::Both, now),
                    Happens::Keyframe => requests.came(now),
                    Happens::Media => requests.media_came(),
                    Happens::Rest(closed) => requests.rest(closed),
                    Happens::Rise => requests.rise(),
                }
                // As the shard does it: now, and when it said that something is due.
                for at in [Some(now), requests.due(flows, now)].into_iter().flatten() {
                    if requests.poll(flows, at).is_some() {
                        let gap = last.map(|last| at.saturating_duration_since(last));
                        proptest::prop_assert!(gap.is_none_or(|gap| gap >= REQUEST_INTERVAL), "{:?}", gap);
                        last = Some(at);
                        polled += 1;
                    }
                    now = now.max(at);
                }
                now += Duration::from_millis(ms);
            }
            proptest::prop_assert_eq!(requests.count, polled);
        }
    }

    /// When requests go out, each ms looked at.
    fn sent(requests: &mut KeyframeRequests, flows: bool, from: Instant, ms: u64) -> Vec<u64> {
        (0..ms).filter(|&at| requests.poll(flows, from + Duration::from_millis(at)).is_some()).collect()
    }

    #[test]
    fn requests_end_with_those_who_wanted_them() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        requests.want(start);
        assert_eq!(sent(&mut requests, true, start, 60_000), [0, 550, 1_100]);
        assert_eq!(requests.due(true, start + Duration::from_secs(60)), None);
    }

    #[test]
    fn silence_is_asked_once_until_media_comes() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            requests.want(now);
            let expected: &[u64] = if second == 0 { &[0] } else { &[] };
            assert_eq!(sent(&mut requests, false, now, 1_000), expected);
            assert_eq!(requests.due(false, now), None, "nothing is due that will not be done");
        }
        assert!(!requests.is_deaf());
        requests.media_came();
        requests.want(start + Duration::from_secs(10));
        assert!(requests.poll(true, start + Duration::from_secs(10)).is_some());
    }

    #[test]
    fn slides_are_asked_for_every_other_second_however_many_lines_need_them() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        let mut times = Vec::new();
        for at in 0..7_000u64 {
            let now = start + Duration::from_millis(at);
            requests.want_slide(now);
            if let Some(purpose) = requests.poll(true, now) {
                assert_eq!(purpose, KeyframePurpose::Slide);
                times.push(at);
                if at != 2_000 {
                    requests.came(now);
                }
            }
        }
        assert_eq!(times, [0, 2_000, 4_000, 6_000]);
        assert!(!requests.is_deaf(), "one that was not answered says nothing");
        // Whoever needs one to start is not made to wait for that.
        let now = start + Duration::from_millis(7_000);
        requests.want(now);
        assert_eq!(requests.poll(true, now), Some(KeyframePurpose::Both));
        requests.came(now);
        let now = now + REQUEST_INTERVAL;
        requests.want(now);
        assert_eq!(requests.poll(true, now), Some(KeyframePurpose::Picture));
    }
}
