//! RTP packets, headers of encrypted ones, and originals inside of retransmissions.
#![no_main]

use rtp::{ClearHeader, RtpPacket, unwrap_rtx, wrap_rtx};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(header) = ClearHeader::parse(data) else {
        assert!(RtpPacket::parse(data).is_err());
        return;
    };
    assert!((12..=data.len()).contains(&header.len));
    for (id, value) in header.elements() {
        // Of several with one id the first counts.
        assert!(
            header.element(id).is_some_and(|first| first.len() <= data.len()) && value.len() <= data.len()
        );
    }
    // Wrapped, it is a packet with the same header but for who and which it is.
    let mut wrapped = Vec::new();
    assert!(wrap_rtx(data, 7, 100, 9, &mut wrapped));
    let outer = ClearHeader::parse(&wrapped).expect("a retransmission is a packet");
    assert_eq!((outer.ssrc, outer.payload_type, outer.sequence), (7, 100, 9));
    assert_eq!((outer.len, outer.marker, outer.timestamp), (header.len, header.marker, header.timestamp));

    let Ok(packet) = RtpPacket::parse(data) else { return };
    assert!(packet.payload().len() <= packet.padded_payload().len());
    assert!(packet.elements().map(|(_, value)| value.len()).sum::<usize>() <= data.len());
    let mut out = [0; 4096];
    if let Some(len) = unwrap_rtx(data, 7, 100, &mut out) {
        let original = RtpPacket::parse(&out[..len]).expect("an original is a packet");
        assert_eq!((original.ssrc, original.payload_type), (7, 100));
    }
    if !packet.payload().is_empty() {
        let len = unwrap_rtx(&wrapped, header.ssrc, header.payload_type, &mut out);
        assert_eq!(len.map(|len| &out[..len]), Some(data), "what was wrapped is what comes out");
    }
});
