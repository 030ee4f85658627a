//! What forwarding needs to know of a payload: where keyframes begin, and the picture numbers of VP8 and VP9. How the
//! bytes are read is known to [`media`].

pub(crate) use media::Picture;
use media::{VideoCodec, vp8, vp9};

use crate::config::Codec;

/// What a payload says about its frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameInfo {
    /// A keyframe begins with this packet: a decoder can start here.
    pub(crate) keyframe: bool,
    /// The picture numbers, with VP8 and VP9.
    pub(crate) picture: Picture,
}

/// Looks into a payload (without padding). One that cannot be read is no keyframe and has no numbers.
pub(crate) fn inspect(codec: Codec, payload: &[u8]) -> FrameInfo {
    let by_payload =
        |codec| FrameInfo { keyframe: media::starts_keyframe(codec, payload), picture: Picture::default() };
    match codec {
        Codec::Vp8 => vp8::Descriptor::parse(payload)
            .map(|(descriptor, frame)| FrameInfo {
                keyframe: descriptor.starts_keyframe(frame),
                picture: descriptor.picture,
            })
            .unwrap_or_default(),
        Codec::Vp9 => vp9::Descriptor::parse(payload)
            .map(|(descriptor, frame)| FrameInfo {
                keyframe: descriptor.starts_keyframe(frame),
                picture: descriptor.picture,
            })
            .unwrap_or_default(),
        Codec::H264 => by_payload(VideoCodec::H264),
        Codec::Av1 => by_payload(VideoCodec::Av1),
        Codec::Opus | Codec::OtherAudio => FrameInfo::default(),
    }
}

#[cfg(test)]
mod tests {
    use media::PictureId;

    use super::*;

    #[test]
    fn vp8_keyframes_begin_with_partition_zero() {
        let keyframe = |payload: &[u8]| inspect(Codec::Vp8, payload).keyframe;
        assert!(keyframe(&[0x10, 0x00]));
        assert!(!keyframe(&[0x10, 0x01]), "a delta frame");
        assert!(!keyframe(&[0x00, 0x00]), "not the start");
        assert!(!keyframe(&[0x11, 0x00]), "another partition");
        assert!(keyframe(&[0x90, 0xe0, 0x81, 0x02, 0x07, 0x20, 0x00]));
        assert!(!keyframe(&[0x90, 0xe0, 0x81]), "cut off");
    }

    #[test]
    fn vp8_picture_numbers_are_found_and_moved() {
        let payload = [0x90, 0xe0, 0xff, 0xfe, 0xff, 0x20, 0x00];
        let picture = inspect(Codec::Vp8, &payload).picture;
        assert_eq!(picture.id, Some((2, PictureId::Long(0x7ffe))));
        assert_eq!((picture.tl0, picture.len()), (Some((4, 0xff)), 5));
        let mut start = payload;
        picture.rewrite(&mut start, 3, 2);
        assert_eq!(start, [0x90, 0xe0, 0x80, 0x01, 0x01, 0x20, 0x00]);
        let short = [0x90, 0x80, 0x7f, 0x00];
        let picture = inspect(Codec::Vp8, &short).picture;
        assert_eq!((picture.id, picture.len()), (Some((2, PictureId::Short(0x7f))), 3));
        let mut start = short;
        picture.rewrite(&mut start, 1, 9);
        assert_eq!(start, [0x90, 0x80, 0x00, 0x00]);
    }

    #[test]
    fn vp9_keyframes_are_not_predicted_and_lowest() {
        let info = inspect(Codec::Vp9, &[0xa8, 0x80, 0x05, 0x00, 0x09, 0x00]);
        assert!(info.keyframe);
        assert_eq!(info.picture.id, Some((1, PictureId::Long(5))));
        assert_eq!(info.picture.tl0, Some((4, 9)));
        assert!(!inspect(Codec::Vp9, &[0xe8, 0x80, 0x05, 0x00, 0x09]).keyframe, "predicted");
        assert!(!inspect(Codec::Vp9, &[0xa8, 0x80, 0x05, 0x02, 0x09]).keyframe, "a higher spatial layer");
        assert!(!inspect(Codec::Vp9, &[0xa0, 0x80, 0x05, 0x00, 0x09]).keyframe, "not the beginning");
    }

    #[test]
    fn h264_keyframes_begin_with_sps_or_idr() {
        let keyframe = |payload: &[u8]| inspect(Codec::H264, payload).keyframe;
        assert!(keyframe(&[0x67, 0x42]));
        assert!(keyframe(&[0x65, 0x88]));
        assert!(!keyframe(&[0x61, 0x88]));
        assert!(keyframe(&[24, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(!keyframe(&[24, 0, 2, 0x61, 0x42, 0, 9, 0x61]));
        assert!(keyframe(&[28, 0x85, 0x88]) && !keyframe(&[28, 0x05, 0]) && !keyframe(&[28, 0x81, 0]));
        assert!(!keyframe(&[]) && !keyframe(&[24]) && !keyframe(&[28]));
    }

    #[test]
    fn av1_keyframes_begin_a_sequence() {
        assert!(inspect(Codec::Av1, &[0x18, 0x0a]).keyframe);
        assert!(!inspect(Codec::Av1, &[0x10, 0x32]).keyframe);
        assert!(!inspect(Codec::Av1, &[]).keyframe);
    }
}
