//! Payloads of RTP, as the core reads them for keyframes, picture sizes, picture ids and layers.
#![no_main]

use media::VideoCodec;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for codec in [VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::H264, VideoCodec::Av1] {
        let _ = media::starts_keyframe(codec, data);
        let _ = media::picture_size(codec, data);
    }
    let _ = media::vp8::Descriptor::parse(data);
    let _ = media::vp9::Descriptor::parse(data);
    let _ = media::h264::starts_picture(data);
    let _ = media::h264::discardable(data);
});
