//! Where the payloads of a publisher come from: synthetic video of a wanted size, or a real clip.

use std::sync::Arc;

use media::{ivf, ogg, vp9};
use transport::sdp::{CodecFormat, H264Profile};

use crate::epoch::STAMP_LEN;
use crate::scenario::{Publish, SyntheticCodec, Video};

static DEMO_VIDEO: &[u8] = include_bytes!("../../madang/assets/demo.ivf");
static DEMO_AUDIO: &[u8] = include_bytes!("../../madang/assets/demo.ogg");

/// Widest picture that a synthetic keyframe claims; each smaller encoding halves it.
const FULL_SIZE: (u16, u16) = (1280, 720);
/// Filler of synthetic payloads: no start code of any codec.
const FILLER: u8 = 0xAA;

/// Why a clip cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The file.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// Not IVF.
    #[error(transparent)]
    Ivf(#[from] ivf::IvfError),
    /// The sound of the demo clip.
    #[error(transparent)]
    Ogg(#[from] ogg::OggError),
    /// Another codec, or nothing to start from.
    #[error("the clip is not VP8 or VP9 that begins with a keyframe")]
    Format,
}

/// Frames and sound in memory, shared by all publishers.
#[derive(Debug)]
pub struct Clip {
    codec: CodecFormat,
    frames: Vec<(Vec<u8>, bool)>,
    sound: Vec<Vec<u8>>,
}

impl Clip {
    /// Reads `path`, or the demo clip. The sound is the demo clip's in both cases.
    ///
    /// # Errors
    /// [`ClipError`].
    pub fn load(path: Option<&str>) -> Result<Self, ClipError> {
        let read = path.map(|path| std::fs::read(path).map_err(|error| ClipError::File(path.into(), error)));
        let file = read.transpose()?;
        let reader = ivf::Reader::new(file.as_deref().unwrap_or(DEMO_VIDEO))?;
        let codec = match &reader.codec() {
            b"VP80" => CodecFormat::Vp8,
            b"VP90" => CodecFormat::Vp9,
            _ => return Err(ClipError::Format),
        };
        let is_key = |frame: &[u8]| match codec {
            CodecFormat::Vp8 => frame.first().is_some_and(|byte| byte & 1 == 0),
            _ => vp9::frame_is_key(frame),
        };
        let frames: Vec<_> = reader.map(|frame| (frame.data.to_vec(), is_key(frame.data))).collect();
        if frames.first().is_none_or(|(_, key)| !key) {
            return Err(ClipError::Format);
        }
        Ok(Self { codec, frames, sound: ogg::opus_packets(DEMO_AUDIO)? })
    }
}

/// A frame as RTP payloads, in order.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) is_key: bool,
    /// The payloads end with room for a stamp.
    pub(crate) stamped: bool,
}

/// The video of one encoding.
#[derive(Debug)]
pub(crate) enum Source {
    Synthetic {
        codec: SyntheticCodec,
        frame_bytes: usize,
        key_bytes: usize,
        packet_bytes: usize,
        size: (u16, u16),
    },
    Clip {
        clip: Arc<Clip>,
        position: usize,
        packetizer: vp9::Packetizer,
        packet_bytes: usize,
    },
}

impl Source {
    /// For the encoding that is `steps` below the largest one.
    pub(crate) fn new(publish: &Publish, clip: &Arc<Clip>, steps: u32) -> Self {
        let packet_bytes = publish.packet_bytes;
        if publish.video == Video::Clip {
            let packetizer = vp9::Packetizer::new(0, packet_bytes);
            return Self::Clip { clip: Arc::clone(clip), position: 0, packetizer, packet_bytes };
        }
        let bytes = publish.kbps as usize * 125 / publish.fps.max(1) as usize / 3usize.pow(steps);
        let frame_bytes = bytes.max(STAMP_LEN * 2);
        let key_bytes = (frame_bytes as f64 * publish.keyframe_factor) as usize;
        let size = (FULL_SIZE.0 >> steps, FULL_SIZE.1 >> steps);
        Self::Synthetic { codec: publish.codec, frame_bytes, key_bytes, packet_bytes, size }
    }

    /// What is in it.
    pub(crate) fn format(publish: &Publish, clip: &Clip) -> CodecFormat {
        match (publish.video, publish.codec) {
            (Video::Clip, _) => clip.codec,
            (_, SyntheticCodec::Vp8) => CodecFormat::Vp8,
            (_, SyntheticCodec::H264) => CodecFormat::H264(H264Profile::ConstrainedBaseline),
        }
    }

    /// The next frame. A clip goes to its next keyframe where one is wanted.
    pub(crate) fn frame(&mut self, key: bool, picture_id: u16) -> Frame {
        match self {
            Self::Synthetic { codec, frame_bytes, key_bytes, packet_bytes, size } => {
                let bytes = if key { *key_bytes } else { *frame_bytes };
                let payloads = synthetic(*codec, bytes, *packet_bytes, *size, key, picture_id);
                Frame { payloads, is_key: key, stamped: true }
            }
            Self::Clip { clip, position, packetizer, packet_bytes } => {
                let count = clip.frames.len().max(1);
                if key {
                    let ahead = (0..count).map(|step| (*position + step) % count);
                    let is_key = |at: &usize| clip.frames.get(*at).is_some_and(|(_, key)| *key);
                    *position = ahead.into_iter().find(is_key).unwrap_or(0);
                }
                let Some((data, is_key)) = clip.frames.get(*position) else { return Frame::default() };
                *position = (*position + 1) % count;
                let mut payloads: Vec<Vec<u8>> = Vec::new();
                if clip.codec == CodecFormat::Vp8 {
                    let chunks = data.chunks(packet_bytes.saturating_sub(4).max(1));
                    payloads.extend(
                        chunks
                            .enumerate()
                            .map(|(n, data)| [&vp8_descriptor(n == 0, picture_id), data].concat()),
                    );
                } else {
                    payloads.extend(packetizer.frame(data).map(|payload| {
                        let mut bytes = Vec::with_capacity(*packet_bytes);
                        payload.write(&mut bytes);
                        bytes
                    }));
                }
                Frame { payloads, is_key: *is_key, stamped: false }
            }
        }
    }
}

/// The Opus packet number `index`.
pub(crate) fn sound(publish: &Publish, clip: &Clip, index: u64) -> Vec<u8> {
    if publish.video == Video::Clip {
        let count = clip.sound.len().max(1) as u64;
        return clip.sound.get((index % count) as usize).cloned().unwrap_or_default();
    }
    // 20 ms, CELT, one frame (RFC 6716, 3.1).
    let mut packet = vec![FILLER; (publish.audio_kbps as usize * 125 / 50).max(STAMP_LEN + 1)];
    if let Some(toc) = packet.first_mut() {
        *toc = 0xFC;
    }
    packet
}

/// With a picture id of 15 bits, as the picture's first packet or not.
fn vp8_descriptor(first: bool, picture_id: u16) -> [u8; 4] {
    let [high, low] = picture_id.to_be_bytes();
    [if first { 0x90 } else { 0x80 }, 0x80, high | 0x80, low]
}

/// Payloads of equal length, `bytes` in all.
fn synthetic(
    codec: SyntheticCodec,
    bytes: usize,
    packet_bytes: usize,
    size: (u16, u16),
    key: bool,
    picture_id: u16,
) -> Vec<Vec<u8>> {
    let count = bytes.div_ceil(packet_bytes.max(1)).max(1);
    let length = bytes.div_ceil(count).max(STAMP_LEN * 2);
    let mut payloads: Vec<Vec<u8>> = (0..count)
        .map(|index| {
            let mut payload = Vec::with_capacity(length);
            match codec {
                SyntheticCodec::Vp8 => vp8_head(&mut payload, index == 0, key, size, picture_id),
                SyntheticCodec::H264 => h264_head(&mut payload, index, count, key),
            }
            payload.resize(length, FILLER);
            payload
        })
        .collect();
    if key && codec == SyntheticCodec::H264 {
        payloads.insert(0, parameter_sets());
    }
    payloads
}

/// Descriptor, and in front of a frame its header (RFC 6386, 9.1).
fn vp8_head(payload: &mut Vec<u8>, first: bool, key: bool, (width, height): (u16, u16), picture_id: u16) {
    payload.extend_from_slice(&vp8_descriptor(first, picture_id));
    if first {
        // not a keyframe 1, version 3, show 1, length of the first partition 19.
        payload.extend_from_slice(&[u8::from(!key) | 0x10, 1, 0]);
        if key {
            payload.extend_from_slice(&[0x9D, 0x01, 0x2A]);
            payload.extend_from_slice(&(width & 0x3FFF).to_le_bytes());
            payload.extend_from_slice(&(height & 0x3FFF).to_le_bytes());
        }
    }
}

/// A single NAL unit, or fragments of one (FU-A; RFC 6184, 5.8).
fn h264_head(payload: &mut Vec<u8>, index: usize, count: usize, key: bool) {
    let kind = if key { 5 } else { 1 };
    if count == 1 {
        payload.push(0x60 | kind);
    } else {
        let start = if index == 0 { 0x80 } else { 0 };
        let end = if index + 1 == count { 0x40 } else { 0 };
        payload.extend_from_slice(&[0x60 | 28, start | end | kind]);
    }
}

/// A STAP-A of the parameter sets of constrained baseline at 1280 x 720.
fn parameter_sets() -> Vec<u8> {
    let sps =
        [0x67, 0x42, 0xC0, 0x1F, 0xDA, 0x01, 0x40, 0x16, 0xEC, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40];
    let pps = [0x68, 0xCE, 0x3C, 0x80];
    [&[0x60 | 24, 0, sps.len() as u8][..], &sps, &[0, pps.len() as u8], &pps].concat()
}

#[cfg(test)]
mod tests {
    use media::{VideoCodec, starts_keyframe, vp8};

    use super::*;

    fn source(publish: &Publish, steps: u32) -> Source {
        Source::new(publish, &Arc::new(Clip::load(None).unwrap()), steps)
    }

    #[test]
    fn synthetic_frames_have_the_wanted_size_and_valid_descriptors() {
        let publish = Publish { kbps: 2_160, fps: 50, packet_bytes: 1_080, ..Publish::default() };
        let mut source = source(&publish, 0);
        let frame = source.frame(true, 0x1234);
        assert_eq!(frame.payloads.iter().map(Vec::len).collect::<Vec<_>>(), [1_080; 5]);
        assert!(starts_keyframe(VideoCodec::Vp8, &frame.payloads[0]));
        assert!(!starts_keyframe(VideoCodec::Vp8, &frame.payloads[1]));
        for (index, payload) in frame.payloads.iter().enumerate() {
            let (descriptor, _) = vp8::Descriptor::parse(payload).unwrap();
            assert_eq!(descriptor.start_of_partition, index == 0);
            assert_eq!(descriptor.picture.id.unwrap().1, media::PictureId::Long(0x1234));
        }
        assert!(!starts_keyframe(VideoCodec::Vp8, &source.frame(false, 1).payloads[0]));
    }

    #[test]
    fn smaller_encodings_have_a_third_of_the_next() {
        let publish = Publish { kbps: 900, fps: 10, packet_bytes: 1_200, ..Publish::default() };
        let bytes =
            |steps| source(&publish, steps).frame(false, 1).payloads.iter().map(Vec::len).sum::<usize>();
        assert!(bytes(0).abs_diff(11_250) < 12);
        assert!(bytes(1).abs_diff(3_750) < 12);
        assert!(bytes(2).abs_diff(1_250) < 12);
    }

    #[test]
    fn h264_is_told_by_its_nal_units() {
        let publish = Publish { codec: SyntheticCodec::H264, kbps: 1_000, ..Publish::default() };
        let mut source = source(&publish, 0);
        let key = source.frame(true, 0);
        assert!(starts_keyframe(VideoCodec::H264, &key.payloads[0]));
        let other = source.frame(false, 0);
        assert!(other.payloads.iter().all(|payload| !starts_keyframe(VideoCodec::H264, payload)));
        assert_eq!(other.payloads[0][1], 0x80 | 1);
        assert_eq!(other.payloads.last().unwrap()[1], 0x40 | 1);
    }

    #[test]
    fn the_clip_jumps_to_a_keyframe_when_asked_and_loops() {
        let publish = Publish { video: Video::Clip, ..Publish::default() };
        let mut source = source(&publish, 0);
        assert!(source.frame(false, 0).is_key, "it begins with one");
        assert!(!source.frame(false, 1).is_key);
        let key = source.frame(true, 2);
        assert!(key.is_key && starts_keyframe(VideoCodec::Vp9, &key.payloads[0]));
        let keys = (0..600).filter(|n| source.frame(false, *n).is_key).count();
        assert_eq!(keys, 12);
        assert!(!sound(&publish, &Clip::load(None).unwrap(), 601).is_empty());
    }
}
