//! Codec bytes in and out: where keyframes start and how large they are, layers, RTP payload formats, and the two file formats of the demo clip.
//! Pure: bytes in, values out; nothing panics on what it is fed, nothing but the readers allocates.

#![forbid(unsafe_code)]

pub mod av1;
mod bits;
pub mod dependency;
pub mod h264;
pub mod ivf;
pub mod ogg;
mod picture;
pub mod red;
pub mod vp8;
pub mod vp9;

pub use picture::{Picture, PictureId};

/// A video codec, as far as payload formats differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// RFC 6184.
    H264,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// AV1 RTP specification 1.0.
    Av1,
}

/// Whether an RTP payload is the first packet of a frame from which decoding can start. Looks at a few bytes (H.264
/// STAP-A: at the lengths inside), allocates nothing. Anything malformed is no keyframe.
#[must_use]
pub fn starts_keyframe(codec: VideoCodec, payload: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => h264::starts_keyframe(payload),
        VideoCodec::Vp8 => vp8::starts_keyframe(payload),
        VideoCodec::Vp9 => vp9::starts_keyframe(payload),
        VideoCodec::Av1 => av1::starts_keyframe(payload),
    }
}

/// Width and height of the picture, from the first packet of a keyframe; with spatial layers, of the highest. `None`
/// for any other packet, and for what cannot be read.
#[must_use]
pub fn picture_size(codec: VideoCodec, payload: &[u8]) -> Option<(u16, u16)> {
    match codec {
        VideoCodec::H264 => h264::picture_size(payload),
        VideoCodec::Vp8 => vp8::picture_size(payload),
        VideoCodec::Vp9 => vp9::picture_size(payload),
        VideoCodec::Av1 => av1::picture_size(payload),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2_000,
            rng_seed: proptest::test_runner::RngSeed::Fixed(11),
            ..ProptestConfig::default()
        })]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for codec in [VideoCodec::H264, VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::Av1] {
                let _ = (starts_keyframe(codec, &bytes), picture_size(codec, &bytes));
            }
            let _ = vp8::Descriptor::parse(&bytes);
            let _ = vp9::Descriptor::parse(&bytes);
            for start in [[0x18, 0x0A], [0x08, 0x0A], [0x67, 100], [0x67, 66]] {
                let bytes = [&start, &bytes[..]].concat();
                let _ = (av1::picture_size(&bytes), h264::picture_size(&bytes), h264::discardable(&bytes));
            }
            let _ = ivf::Reader::new(&bytes).map(|reader| reader.count());
            let _ = ogg::opus_packets(&bytes);
        }
    }
}
