//! Strangers who forge datagrams, while a call runs: who is there loses nothing, and nothing is kept of what they send.
//!
//! Alone in its process, because what is kept is measured as the heap that is in use there. Resident memory would not do:
//! it also counts what the allocator holds back, of this test and of those that ran before.

#[path = "common/call.rs"]
mod call;
mod common;
#[path = "common/forge.rs"]
mod forge;
#[path = "common/light.rs"]
mod light;

use std::net::SocketAddr;

use call::Call;
use common::Sfu;
use forge::{binding_request, client_hello, noise, record};
use light::{Light, SSRC};
use peak_alloc::PeakAlloc;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::net::UdpSocket;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

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

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_forge_datagrams_reach_nobody() {
    const ROUNDS: usize = 300;
    const BURST: usize = 100;
    /// By then everything has been done once.
    const WARM: usize = 20;
    const MAY_GROW: usize = 1024 * 1024;
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
    let (mut sent, mut warm) = (0, 0);
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
        // What answers and packets of now take comes and goes; anything kept of each forgery would add up.
        match round {
            WARM => warm = HEAP.current_usage(),
            _ if round > WARM => {
                let grown = HEAP.current_usage().saturating_sub(warm);
                assert!(grown < MAY_GROW, "{grown} bytes more after {} datagrams", round * BURST);
            }
            _ => {}
        }
    }
    assert_eq!(call.sfu.metric("sfu_datagrams_refused_total").await, before + sent, "each counts once");
    assert_eq!(call.sfu.metric("sfu_sessions_opened_total{role=\"Viewer\"}").await, sessions_opened);
    assert_eq!(call.sfu.metric("sfu_srtp_failures_total").await, 0, "none of it came as far as a key");
    call.is_whole().await;
}
