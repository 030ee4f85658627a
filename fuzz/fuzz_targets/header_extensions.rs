//! The extension block of an RTP packet in either form; the first byte says which.
#![no_main]

use rtp::RtpPacket;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((form, block)) = data.split_first() else { return };
    let words = block.len().min(1024) / 4;
    let profile: [u8; 2] = if form & 1 == 0 { [0xBE, 0xDE] } else { [0x10, form >> 4] };
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7];
    packet.extend(profile);
    packet.extend((words as u16).to_be_bytes());
    packet.extend(&block[..words * 4]);
    let packet = RtpPacket::parse(&packet).expect("the block is as long as it says");
    let mut total = 0;
    for (id, value) in packet.elements() {
        assert_ne!(id, 0);
        total += value.len();
    }
    assert!(total <= block.len());
});
