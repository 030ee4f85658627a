//! RTP packets, and originals inside of retransmissions.
#![no_main]


use rtp::{RtpPacket, unwrap_rtx};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(packet) = RtpPacket::parse(data) else { return };
    assert!(packet.payload().len() <= packet.padded_payload().len());
    assert!(packet.elements().map(|(_, value)| value.len()).sum::<usize>() <= data.len());
    let mut out = [0; 2048];
    if let Some(len) = unwrap_rtx(data, 7, 100, &mut out) {
        let original = RtpPacket::parse(&out[..len]).expect("an original is a packet");
        assert_eq!((original.ssrc, original.payload_type), (7, 100));
    }
});
