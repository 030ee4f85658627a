//! Transport-wide feedback: any bytes, and what a receiver that saw packets in any order and at any time writes.
#![no_main]

use std::time::{Duration, Instant};

use rtp::rtcp::{Compound, RtcpPacket};
use rtp::twcc::{Feedback, Recorder};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(feedback) = Feedback::parse(data) {
        let mut statuses = 0u32;
        feedback.for_each(|_, _| statuses += 1);
        assert!(statuses <= 4_096);
    }
    let epoch = Instant::now();
    let mut recorder = Recorder::new(epoch);
    let mut last = None;
    for (index, step) in data.chunks_exact(4).take(512).enumerate() {
        let (number, time) = (u16::from_be_bytes([step[0], step[1]]), u16::from_be_bytes([step[2], step[3]]));
        recorder.record(number, epoch + Duration::from_micros(index as u64 * 1_000 + u64::from(time)));
        last = Some(number);
    }
    let mut out = Vec::new();
    // Each packet says something new, so they end.
    for _ in 0..1_024 {
        if !recorder.is_pending() || !recorder.write(&mut out, 1, 2) {
            break;
        }
    }
    for packet in Compound::new(&out) {
        let RtcpPacket::TransportFeedback { body } = packet else { panic!("{packet:?}") };
        let feedback = Feedback::parse(body).expect("it is ours");
        let mut arrived = 0;
        feedback.for_each(|_, arrival| arrived += u32::from(arrival.is_some()));
        assert!(arrived > 0, "feedback about nothing");
    }
    assert!(out.is_empty() || last.is_some());
});
