//! What congestion control costs per packet sent: `cargo run --release -p sfu-core --example congestion_cost`.
//!
//! A thousand viewers at 250 packets/s, on virtual time, each answering every 80 ms as browsers do. Printed are ns
//! per packet for noting what is sent, for that and the feedback, and bytes per viewer.

use std::time::{Duration, Instant};

use rtp::twcc::{Feedback, Recorder};
use sfu_core::cc::Controller;

const VIEWERS: usize = 1_000;
const PACKETS: u32 = 2_000;
const INTERVAL: Duration = Duration::from_millis(4);
const ANSWER: u32 = 20;

fn main() {
    let start = Instant::now();
    // All viewers have the same numbers, so one recording answers for all of them.
    let mut recorder = Recorder::new(start);
    let mut answers = Vec::new();
    let first = Controller::new(start).number();
    for packet in 0..PACKETS {
        let jitter = Duration::from_micros(u64::from(packet * 7919 % 900));
        let at = start + INTERVAL * packet + Duration::from_millis(20) + jitter;
        recorder.record(first.wrapping_add(packet as u16), at);
        if packet % ANSWER == ANSWER - 1 {
            let mut bytes = Vec::new();
            recorder.write(&mut bytes, 1, 2);
            answers.push(bytes);
        }
    }
    let run = |answered: bool| {
        let mut controllers: Vec<_> = (0..VIEWERS).map(|_| Box::new(Controller::new(start))).collect();
        let began = Instant::now();
        for packet in 0..PACKETS {
            let now = start + INTERVAL * packet;
            for controller in &mut controllers {
                controller.on_sent(1_080, now);
            }
            let answer = answers.get((packet / ANSWER) as usize).filter(|_| packet % ANSWER == ANSWER - 1);
            // 4 bytes of RTCP header and two SSRCs come before the body.
            let Some(body) = answer.filter(|_| answered).and_then(|bytes| bytes.get(12..)) else { continue };
            for controller in &mut controllers {
                let Some(feedback) = Feedback::parse(body) else { continue };
                controller.on_feedback(&feedback, None, now + Duration::from_millis(40));
            }
        }
        let nanos = began.elapsed().as_nanos() / (u128::from(PACKETS) * VIEWERS as u128);
        let memory = controllers.iter().map(|controller| controller.memory()).max().unwrap_or(0);
        let target = controllers.first().and_then(|c| c.target(start + INTERVAL * PACKETS));
        (nanos, memory, target)
    };
    for _ in 0..3 {
        let (sent, ..) = run(false);
        let (all, memory, target) = run(true);
        println!(
            "sent {sent} ns, with feedback {all} ns a packet; {memory} bytes a viewer; target {target:?}"
        );
    }
}
