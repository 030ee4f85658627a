//! Compound RTCP with everything inside, and transport-wide feedback.
#![no_main]

use rtp::rtcp::{Compound, RtcpPacket};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for packet in Compound::new(data) {
        match packet {
            RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks, .. } => {
                assert!(blocks.iter().count() <= 31);
            }
            RtcpPacket::Nack { missing, .. } => assert!(missing.iter().count() <= data.len() * 17),
            RtcpPacket::Fir(list) => assert!(list.iter().count() <= data.len()),
            RtcpPacket::TransportFeedback { body } => {
                if let Some(feedback) = rtp::twcc::Feedback::parse(body) {
                    let mut packets = 0;
                    feedback.for_each(|_, _| packets += 1);
                    assert!(packets <= 1 << 16);
                }
            }
            _ => {}
        }
    }
});
