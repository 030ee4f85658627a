//! The clip that the demo broadcast plays, see `assets/generate-demo.sh`. It is part of the binary.

use std::time::Duration;

use media::{ivf, ogg, vp9};

static VIDEO: &[u8] = include_bytes!("../../assets/demo.ivf");
static AUDIO: &[u8] = include_bytes!("../../assets/demo.ogg");

/// Picture for lists: JPEG, 640x360.
pub(super) static POSTER: &[u8] = include_bytes!("../../assets/demo.jpg");

/// Duration of an Opus packet of the clip.
pub(super) const AUDIO_TICK: Duration = Duration::from_millis(20);
/// Duration of a video frame of the clip.
pub(super) const VIDEO_TICK: Duration = Duration::from_millis(40);

/// One VP9 frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) data: &'static [u8],
    pub(super) key: bool,
}

/// A loop of pictures and a loop of sound. Neither is empty, the first frame is a keyframe.
#[derive(Debug)]
pub(super) struct Clip {
    pub(super) video: Vec<Frame>,
    pub(super) audio: Vec<Vec<u8>>,
}

/// The files in the binary are not what this module expects.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClipError {
    /// The picture.
    #[error("demo.ivf: {0}")]
    Video(#[from] ivf::IvfError),
    /// The sound.
    #[error("demo.ogg: {0}")]
    Audio(#[from] ogg::OggError),
    /// Not VP9 at 25 frames/s that begins with a keyframe, or no sound.
    #[error("the demo clip is not VP9 at 25 frames/s with Opus")]
    Format,
}

impl Clip {
    pub(super) fn load() -> Result<Self, ClipError> {
        let reader = ivf::Reader::new(VIDEO)?;
        let vp9 = &reader.codec() == b"VP90" && reader.time_base() == (1, 25);
        let video: Vec<Frame> =
            reader.map(|frame| Frame { data: frame.data, key: vp9::frame_is_key(frame.data) }).collect();
        let audio = ogg::opus_packets(AUDIO)?;
        let begins = video.first().is_some_and(|frame| frame.key);
        if vp9 && begins && !audio.is_empty() { Ok(Self { video, audio }) } else { Err(ClipError::Format) }
    }

    /// The keyframe nearest to `position`, before or after it on the loop.
    pub(super) fn nearest_keyframe(&self, position: usize) -> usize {
        let count = self.video.len();
        let ahead = |steps: usize| (position + steps) % count;
        let behind = |steps: usize| (position + count - steps % count) % count;
        let key = |at: usize| self.video.get(at).is_some_and(|frame| frame.key);
        (0..count).flat_map(|steps| [ahead(steps), behind(steps)]).find(|at| key(*at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_loops_in_twelve_seconds_with_a_keyframe_every_two() {
        let clip = Clip::load().unwrap();
        assert_eq!(clip.video.len(), 300);
        assert_eq!(clip.audio.len(), 600);
        let keys: Vec<usize> =
            clip.video.iter().enumerate().filter(|(_, frame)| frame.key).map(|(index, _)| index).collect();
        assert_eq!(keys, [0, 50, 100, 150, 200, 250]);
        // show_frame: every frame is a picture.
        assert!(clip.video.iter().all(|frame| frame.data[0] & 0b10 != 0));
        // TOC byte (RFC 6716, 3.1): 20 ms frames, stereo, one frame in the packet.
        assert!(clip.audio.iter().all(|packet| packet[0] & 0b111 == 0b100));
        assert!(VIDEO.len() + AUDIO.len() + POSTER.len() < 1 << 20);
    }

    #[test]
    fn the_nearest_keyframe_lies_before_or_after() {
        let clip = Clip::load().unwrap();
        for (position, key) in [(0, 0), (10, 0), (24, 0), (26, 50), (50, 50), (290, 0), (260, 250)] {
            assert_eq!(clip.nearest_keyframe(position), key, "{position}");
        }
    }
}
