//! Hostile floods at the media port while a call runs: who is there loses nothing, and what a flood causes is bounded.
//! A burst is sent only when the one before has been taken, so that nothing here depends on how fast the machine is,
//! and the kernel drops none of it.

#[path = "common/call.rs"]
mod call;
mod common;
#[path = "common/light.rs"]
mod light;

use std::net::SocketAddr;
use std::time::Instant;

use call::{Call, Watcher};
use common::Sfu;
use light::{Light, SSRC};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;

/// One test at a time: what a flood costs in memory is seen in that of the process.
static ALONE: Mutex<()> = Mutex::const_new(());

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
    let _alone = ALONE.lock().await;
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

/// A STUN Binding request to `user`, signed with nothing that anybody knows.
fn binding_request(rng: &mut StdRng, user: &str) -> Vec<u8> {
    let name = format!("{user}:abcd");
    let mut attributes = vec![0, 6];
    attributes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
    attributes.extend(name.bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    // USE-CANDIDATE, PRIORITY, MESSAGE-INTEGRITY.
    attributes.extend([0, 0x25, 0, 0, 0, 0x24, 0, 4, 1, 2, 3, 4, 0, 8, 0, 20]);
    attributes.extend(rng.random::<[u8; 20]>());
    let len = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    [&[0, 1], &len[..], &[0x21, 0x12, 0xA4, 0x42], &rng.random::<[u8; 12]>(), &attributes].concat()
}

/// A DTLS 1.2 record of `content` with a random sequence number.
fn record(rng: &mut StdRng, kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 0xFE, 0xFD, 0, epoch], &rng.random::<[u8; 6]>()[..], &len, content].concat()
}

/// The handshake message that opens an association, with a body that says nothing.
fn client_hello(rng: &mut StdRng) -> Vec<u8> {
    let body = noise(rng, 200);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &len[1..], &[0, 0], &[0, 0, 0], &len[1..], &body[..]].concat();
    record(rng, 22, 0, &message)
}

fn noise(rng: &mut StdRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(0..=most)];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Clear RTP or RTCP of the publisher's stream.
fn clear_rtp(rng: &mut StdRng) -> Vec<u8> {
    let kind = [96, 0x80 | 96, 97, 200, 201, 205, 206][rng.random_range(0..7)];
    let head = [&[0x80, kind][..], &rng.random::<[u8; 6]>(), &SSRC.to_be_bytes()].concat();
    [head, noise(rng, 300)].concat()
}

/// The first bytes of a packet, as many as chance will have.
fn cut(rng: &mut StdRng, packet: &[u8]) -> Vec<u8> {
    packet[..rng.random_range(0..packet.len())].to_vec()
}

/// Resident memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_forge_datagrams_reach_nobody() {
    let _alone = ALONE.lock().await;
    const ROUNDS: usize = 300;
    const BURST: usize = 100;
    let mut call = Call::start(Sfu::start().await, 2).await;
    call.film().await;
    let mut rng = StdRng::seed_from_u64(7);
    let shards: Vec<SocketAddr> = call.sfu.service.media_addresses().to_vec();
    let strangers =
        [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.2:0").await.unwrap()];
    let user = |light: &Light| light.negotiated.remote.ice.ufrag.clone();
    let mut users: Vec<String> = call.watchers.iter().map(|watcher| user(&watcher.light)).collect();
    users.push(user(&call.publisher));
    let (before, sessions_opened) = (
        call.sfu.metric("sfu_datagrams_refused_total").await,
        call.sfu.metric("sfu_sessions_opened_total{role=\"Viewer\"}").await,
    );
    let (mut sent, mut largest) = (0, 0);
    for round in 0..ROUNDS {
        for _ in 0..BURST {
            let user = &users[rng.random_range(0..users.len())];
            let forged = match rng.random_range(0..8) {
                0 => noise(&mut rng, 1400),
                1 => binding_request(&mut rng, "nobody"),
                2 => binding_request(&mut rng, user),
                3 => {
                    let request = binding_request(&mut rng, user);
                    cut(&mut rng, &request)
                }
                4 => client_hello(&mut rng),
                5 => {
                    let content = noise(&mut rng, 300);
                    let (kind, epoch) = (rng.random_range(20..64), rng.random_range(0..3));
                    record(&mut rng, kind, epoch, &content)
                }
                6 => clear_rtp(&mut rng),
                _ => {
                    let packet = clear_rtp(&mut rng);
                    cut(&mut rng, &packet)
                }
            };
            let stranger = &strangers[rng.random_range(0..strangers.len())];
            stranger.send_to(&forged, shards[rng.random_range(0..shards.len())]).await.unwrap();
            sent += 1;
        }
        call.sfu.metric_reaches("sfu_datagrams_refused_total", before + sent).await;
        call.film().await;
        // Once warm, it stays as large as it is.
        match round {
            20 => largest = resident(),
            _ if round > 20 => assert!(resident() < largest + 16 * 1024, "{} of {largest} KiB", resident()),
            _ => {}
        }
    }
    assert_eq!(call.sfu.metric("sfu_datagrams_refused_total").await, before + sent, "each counts once");
    assert_eq!(call.sfu.metric("sfu_sessions_opened_total{role=\"Viewer\"}").await, sessions_opened);
    assert_eq!(call.sfu.metric("sfu_srtp_failures_total").await, 0, "none of it came as far as a key");
    call.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forgeries_from_the_right_address_end_no_session() {
    let _alone = ALONE.lock().await;
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
