//! Hostile floods at the media port while a call runs: who is there loses nothing, and what a flood causes is bounded.
//! A burst is sent only when the one before has been taken, so that nothing here depends on how fast the machine is,
//! and the kernel drops none of it.

#[path = "common/call.rs"]
mod call;
mod common;
#[path = "common/forge.rs"]
mod forge;
#[path = "common/light.rs"]
mod light;

use std::time::Instant;

use call::{Call, Watcher};
use common::Sfu;
use forge::{binding_request, client_hello, noise, record};
use light::SSRC;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const PLI: u8 = 1;
const NACK: u8 = 1;
const FIR: u8 = 4;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// A feedback message (RFC 4585, section 6.1).
fn feedback(kind: u8, format: u8, ssrc: u32, information: &[u8]) -> Vec<u8> {
    let words = u16::try_from(2 + information.len() / 4).unwrap();
    [&[0x80 | format, kind], &words.to_be_bytes()[..], &[0, 0, 0, 1], &ssrc.to_be_bytes(), information]
        .concat()
}

/// Every packet before `next`, as far back as one datagram can ask.
fn everything_again(ssrc: u32, next: u16) -> Vec<u8> {
    let pairs = (1..=40u16).flat_map(|run| {
        let first = next.wrapping_sub(17 * run).to_be_bytes();
        [first[0], first[1], 0xFF, 0xFF]
    });
    feedback(TRANSPORT_FEEDBACK, NACK, ssrc, &pairs.collect::<Vec<u8>>())
}

/// Keyframe requests in a compound (RFC 4585, section 6.3.1).
fn keyframe_requests(compound: &[u8]) -> usize {
    let mut rest = compound;
    let mut count = 0;
    while let [head, kind, high, low, ..] = *rest {
        count += usize::from((kind, head & 0x1F) == (PAYLOAD_FEEDBACK, PLI));
        rest = &rest[4 * (1 + usize::from(u16::from_be_bytes([high, low])))..];
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_feedback_reaches_neither_the_publisher_nor_the_other_viewers() {
    const ROUNDS: usize = 150;
    /// Of each kind in a round: few enough for the smallest receive buffer.
    const BURST: usize = 10;
    let mut call = Call::start(Sfu::start().await, 4).await;
    call.film().await;
    call.publisher.reports.clear();
    let asked = call.sfu.metric("sfu_keyframe_requests_received_total").await;
    let begin = Instant::now();
    for round in 0..ROUNDS {
        // The first two are on different shards, and so are the others.
        for attacker in &mut call.watchers[..2] {
            let ssrc = attacker.ssrc();
            let fir = feedback(
                PAYLOAD_FEEDBACK,
                FIR,
                0,
                &[&ssrc.to_be_bytes()[..], &[round as u8, 0, 0, 0]].concat(),
            );
            let again = everything_again(ssrc, attacker.expected);
            for _ in 0..BURST {
                attacker.light.report(&again).await;
                attacker.light.report(&feedback(PAYLOAD_FEEDBACK, PLI, ssrc, &[])).await;
                attacker.light.report(&fir).await;
            }
        }
        let sent = 2 * 2 * BURST * (round + 1);
        call.sfu.metric_reaches("sfu_keyframe_requests_received_total", asked + sent as u64).await;
        call.film().await;
    }
    let requests: usize = call.publisher.reports.iter().map(|compound| keyframe_requests(compound)).sum();
    // One may have been on its way when this began.
    let allowed = 2 + begin.elapsed().as_millis() / 500;
    assert!((1..=allowed).contains(&(requests as u128)), "{requests} keyframe requests, {allowed} allowed");
    for (index, watcher) in call.watchers.iter().enumerate() {
        let Watcher { bytes, repeated_bytes, .. } = *watcher;
        if index < 2 {
            // A fifth of the stream, and what a stream begins with.
            assert!(
                (1..=bytes / 5 + 8 * 1024).contains(&repeated_bytes),
                "{repeated_bytes} of {bytes} again"
            );
        } else {
            assert_eq!(repeated_bytes, 0, "nobody else gets what was asked for");
        }
    }
    assert!(call.sfu.metric("sfu_nacks_unanswered_total").await > 0);
    call.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forgeries_from_the_right_address_end_no_session() {
    const ROUNDS: usize = 150;
    const BURST: usize = 8;
    let mut call = Call::start(Sfu::start().await, 2).await;
    call.film().await;
    let mut rng = StdRng::seed_from_u64(8);
    let (refused, failed) = (
        call.sfu.metric("sfu_datagrams_refused_total").await,
        call.sfu.metric("sfu_srtp_failures_total").await,
    );
    let (mut nothing, mut bad) = (0, 0);
    for _ in 0..ROUNDS {
        let frame = call.publisher.next_frame;
        let sealed = call.publisher.film().await;
        for _ in 0..BURST {
            // A wrong tag, a packet again, one cut short, and clear text that looks like reports.
            let mut wrong = sealed.clone();
            let at = rng.random_range(12..wrong.len());
            wrong[at] ^= 1 << rng.random_range(0..8);
            let short = sealed[..rng.random_range(2..sealed.len())].to_vec();
            let mut report = feedback(PAYLOAD_FEEDBACK, PLI, SSRC, &noise(&mut rng, 40));
            report.truncate(rng.random_range(2..report.len()));
            for packet in [&wrong, &sealed, &short, &report] {
                call.publisher.send_raw(packet).await;
                bad += 1;
            }
            // For those who look on: reports with wrong tags.
            for watcher in &mut call.watchers {
                let report =
                    [feedback(PAYLOAD_FEEDBACK, PLI, watcher.ssrc(), &[]), noise(&mut rng, 40)].concat();
                watcher.light.send_raw(&report).await;
                bad += 1;
                let user = watcher.light.negotiated.remote.ice.ufrag.clone();
                let request = binding_request(&mut rng, &user);
                watcher.light.send_raw(&request).await;
                nothing += 1;
            }
            let request = binding_request(&mut rng, "nobody");
            call.publisher.send_raw(&request).await;
            nothing += 1;
        }
        call.sfu.metric_reaches("sfu_srtp_failures_total", failed + bad).await;
        call.sfu.metric_reaches("sfu_datagrams_refused_total", refused + nothing).await;
        for watcher in &mut call.watchers {
            watcher.sees(frame).await;
        }
        call.publisher.catch_up().await;
    }
    assert_eq!(call.sfu.metric("sfu_srtp_failures_total").await, failed + bad);
    call.is_whole().await;

    // Records that nobody encrypted: media does without DTLS once it has its keys.
    for _ in 0..ROUNDS {
        for kind in 20..26 {
            let content = noise(&mut rng, 100);
            let forged = record(&mut rng, kind, kind % 2, &content);
            call.publisher.send_raw(&forged).await;
            call.watchers[0].light.send_raw(&forged).await;
            call.watchers[1].light.send_raw(&client_hello(&mut rng)).await;
        }
        call.film().await;
    }
    call.is_whole().await;
}
