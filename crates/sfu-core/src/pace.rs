//! How far apart the frames of an encoding are, and so after what time without one it counts as silent.
//!
//! A screen that does not change has a frame a second, or one in five: it is not off. So what counts as silence follows
//! the pace of the frames themselves. A camera that stops after 30 frames a second is noticed soon.

use std::time::{Duration, Instant};

use rtp::MediaKind;

/// Media that came within this time comes right now.
pub(crate) const FLOWS: Duration = Duration::from_secs(1);
/// Sound has a packet every 20 ms, and with discontinuous transmission every 400 ms.
const SOUND_SILENT: Duration = Duration::from_secs(1);
/// A picture is never called off sooner than this.
const LEAST: Duration = Duration::from_millis(2_500);
/// Nor later; also the time that holds before there is a pace. A longer pause between two frames is no pace.
const MOST: Duration = Duration::from_secs(15);
/// Pauses that the next frame may be late by.
const FACTOR: u32 = 3;
/// A pace of fewer than three frames a second is slow: who waits for the next frame waits long.
const SLOW: Duration = Duration::from_millis(350);

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// `None` for sound, whose pace is known.
    picture: bool,
    /// The longest pause of the last frames; it follows shorter ones within a second of frames.
    pause: Option<Duration>,
}

impl Pace {
    pub(crate) fn new(kind: MediaKind) -> Self {
        Self { picture: kind == MediaKind::Video, pause: None }
    }

    /// A frame begins at `now`; the packet before it came at `last`.
    pub(crate) fn frame(&mut self, last: Option<Instant>, now: Instant) {
        let Some(pause) = last.map(|last| now.saturating_duration_since(last)) else { return };
        let pause = pause.min(MOST / FACTOR);
        self.pause = Some(self.pause.map_or(pause, |before| pause.max((before * 7 + pause) / 8)));
    }

    /// After what time without media it counts as silent.
    pub(crate) fn silent_after(&self) -> Duration {
        if !self.picture {
            return SOUND_SILENT;
        }
        self.pause.map_or(MOST, |pause| (pause * FACTOR).clamp(LEAST, MOST))
    }

    /// Whether frames are few.
    pub(crate) fn is_slow(&self) -> bool {
        self.pause.is_some_and(|pause| pause >= SLOW)
    }

    /// Whether the next frame may be expected soon: the last one came at `last`.
    pub(crate) fn is_on_time(&self, last: Option<Instant>, now: Instant) -> bool {
        last.is_some_and(|last| now.saturating_duration_since(last) < SLOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace after frames with these pauses in ms.
    fn after(pauses: &[u64]) -> Pace {
        let (mut pace, mut now) = (Pace::new(MediaKind::Video), Instant::now());
        pace.frame(None, now);
        for &pause in pauses {
            let last = now;
            now += Duration::from_millis(pause);
            pace.frame(Some(last), now);
        }
        pace
    }

    #[test]
    fn silence_is_three_times_the_pause_between_frames() {
        assert_eq!(after(&[]).silent_after(), MOST, "no pace yet");
        assert_eq!(after(&[33; 100]).silent_after(), LEAST);
        assert_eq!(after(&[1_000]).silent_after(), Duration::from_secs(3));
        assert_eq!(after(&[5_000]).silent_after(), MOST);
        assert!(!after(&[33; 100]).is_slow() && after(&[1_000]).is_slow());
        assert_eq!(Pace::new(MediaKind::Audio).silent_after(), SOUND_SILENT);
    }

    #[test]
    fn a_camera_that_is_back_is_a_camera_again_after_a_second() {
        let frames = |count| [&[3_600_000][..], &vec![33; count]].concat();
        assert_eq!(after(&frames(0)).silent_after(), MOST);
        assert_eq!(after(&frames(15)).silent_after(), LEAST);
        assert!(!after(&frames(30)).is_slow());
    }
}
