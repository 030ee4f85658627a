//! The ways to a session besides plain UDP from one address: TCP, other addresses, ICE restarts. With a light client
//! that sees every packet.

mod common;
#[path = "common/light.rs"]
mod light;

use std::io::Read as _;
use std::net::TcpStream;

use common::Sfu;
use contract::rest::Status;
use light::{Light, Wire, is_keyframe};
use transport::sdp::Direction;

async fn sfu() -> Sfu {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    sfu
}

/// Films until the viewer has `count` more packets, which may begin before this call.
async fn flows(publisher: &mut Light, viewer: &mut Light, count: usize) {
    viewer.packets.clear();
    let flowing = async {
        while viewer.packets.len() < count {
            publisher.film().await;
            publisher.step().await;
            viewer.step().await;
        }
    };
    tokio::time::timeout(common::PATIENCE, flowing).await.expect("no media flows");
}

#[tokio::test(flavor = "multi_thread")]
async fn media_flows_over_any_mix_of_udp_and_tcp() {
    for (publisher_tcp, viewer_tcp) in [(true, true), (true, false), (false, true)] {
        let sfu = sfu().await;
        let mut publisher = Light::publish(&sfu, "/whip/1", publisher_tcp).await;
        assert!(publisher.answer.contains("tcptype passive"), "{}", publisher.answer);
        publisher.film().await;
        // On two shards: one of them is not the publisher's. Both stay until the end.
        let mut first = Light::play(&sfu, "/whep/1", viewer_tcp).await;
        flows(&mut publisher, &mut first, 50).await;
        let mut second = Light::play(&sfu, "/whep/1", viewer_tcp).await;
        flows(&mut publisher, &mut second, 50).await;
        assert_eq!(sfu.metric("sfu_tcp_packets_dropped_total").await, 0);
        assert_eq!(sfu.metric("sfu_session_panics_total").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_nobody_listens_on_tcp() {
    let sfu = Sfu::with(|config| config.ice_tcp = false).await;
    sfu.meta.set(1, Status::Ready);
    let publisher = Light::publish(&sfu, "/whip/1", false).await;
    assert!(!publisher.answer.contains("tcptype"), "{}", publisher.answer);
    for address in sfu.service.media_addresses() {
        assert!(TcpStream::connect(address).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_make_no_sense_are_closed_and_their_number_is_bounded() {
    let sfu = sfu().await;
    let mut publisher = Light::publish(&sfu, "/whip/1", true).await;
    let mut viewer = Light::play(&sfu, "/whep/1", true).await;
    let address = sfu.service.media_addresses()[0];
    let ended = |mut stream: TcpStream| {
        tokio::task::spawn_blocking(move || {
            stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
            // A reset says the same as an end.
            !matches!(stream.read(&mut [0]), Ok(1..))
        })
    };
    // A frame longer than any packet.
    let mut stream = TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, &[0xFF, 0xFF, 0, 0]).unwrap();
    assert!(ended(stream).await.unwrap());
    // Frames of nobody are refused one by one; the stream may still turn out to be somebody's.
    let before = sfu.metric("sfu_datagrams_refused_total").await;
    let mut stream = TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, &[0, 4, 0x80, 96, 0, 0, 0, 0, 0, 2, 22, 0xFE]).unwrap();
    sfu.metric_reaches("sfu_datagrams_refused_total", before + 2).await;
    // More streams than one source may have: those beyond are closed at once.
    let streams: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    let last = streams.last().unwrap().try_clone().unwrap();
    assert!(ended(last).await.unwrap());
    // Who was there goes on.
    flows(&mut publisher, &mut viewer, 50).await;
    drop(streams);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_moves_a_publisher_and_a_viewer_to_other_addresses() {
    let sfu = sfu().await;
    let mut publisher = Light::publish(&sfu, "/whip/1", false).await;
    publisher.film().await;
    let mut viewer = Light::play(&sfu, "/whep/1", false).await;
    flows(&mut publisher, &mut viewer, 20).await;
    viewer.restart(&sfu, Wire::udp().await).await;
    flows(&mut publisher, &mut viewer, 50).await;
    publisher.restart(&sfu, Wire::udp().await).await;
    flows(&mut publisher, &mut viewer, 50).await;
    // Again: entity tag and credentials are those of the restart before.
    viewer.restart(&sfu, Wire::udp().await).await;
    flows(&mut publisher, &mut viewer, 50).await;
    assert_eq!(sfu.metric("sfu_session_panics_total").await, 0);
}

/// Whoever has a session can send its checks with the address of somebody else as their source. Here they come from that
/// very socket, which looks the same to the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_with_a_borrowed_address_takes_nothing_away() {
    let sfu = Sfu::with(|config| config.shards = 1).await;
    sfu.meta.set(1, Status::Ready);
    let mut publisher = Light::publish(&sfu, "/whip/1", false).await;
    publisher.film().await;
    let mut viewer = Light::play(&sfu, "/whep/1", false).await;
    flows(&mut publisher, &mut viewer, 20).await;
    for check in Light::checks_of_another(&sfu, "/whep/1").await {
        publisher.send_raw(&check).await;
        viewer.send_raw(&check).await;
    }
    flows(&mut publisher, &mut viewer, 100).await;
    // What went to the other session would have failed there, which has no keys.
    assert_eq!(sfu.metric("sfu_srtp_failures_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_announced_address_can_be_used_alone() {
    let sfu = Sfu::with(|config| {
        config.media_bind = [0, 0, 0, 0].into();
        config.public_ips = vec![[127, 0, 0, 2].into(), [127, 0, 0, 1].into()];
    })
    .await;
    sfu.meta.set(1, Status::Ready);
    let mut publisher = Light::publish(&sfu, "/whip/1", false).await;
    let hosts: Vec<&str> = publisher.negotiated.remote.candidates.iter().map(|c| c.host.as_str()).collect();
    assert_eq!(hosts, ["127.0.0.2", "127.0.0.1", "127.0.0.2", "127.0.0.1"], "UDP, then TCP");
    publisher.film().await;
    for host in ["127.0.0.1", "127.0.0.2"] {
        for over_tcp in [false, true] {
            let only = |candidate: &transport::sdp::Candidate| candidate.host == host;
            let mut viewer = Light::open(&sfu, "/whep/1", None, Direction::RecvOnly, over_tcp, only).await;
            flows(&mut publisher, &mut viewer, 20).await;
            assert_eq!(viewer.transport.remote_address().unwrap().remote.ip().to_string(), host);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_frame_a_viewer_gets_is_a_keyframe() {
    let sfu = sfu().await;
    let mut publisher = Light::publish(&sfu, "/whip/1", false).await;
    for _ in 0..10 {
        publisher.film().await;
    }
    for _ in 0..6 {
        let mut viewer = Light::play(&sfu, "/whep/1", false).await;
        let first = async {
            loop {
                publisher.film().await;
                publisher.step().await;
                viewer.step().await;
                if let Some(first) = viewer.packets.front() {
                    return first.clone();
                }
            }
        };
        let first = tokio::time::timeout(common::PATIENCE, first).await.expect("no media flows");
        assert!(is_keyframe(&first), "{:02x?}", &first[..40]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_of_the_clock_that_its_answer_names() {
    let sfu = sfu().await;
    let mut publisher = Light::publish(&sfu, "/whip/1", false).await;
    publisher.film().await;
    let mut viewer = Light::play(&sfu, "/whep/1", false).await;
    let ssrc = viewer.negotiated.media[0].ssrcs[0].media;
    let line = format!("a=ssrc:{ssrc} cname:");
    let cname = viewer.answer.lines().find_map(|text| text.strip_prefix(&line)).expect("a CNAME").to_owned();
    assert!(cname.starts_with("par_"), "{cname}");
    // RFC 3550, section 6.5: the SSRC, the item CNAME, its length.
    let chunk = [&ssrc.to_be_bytes()[..], &[1, cname.len() as u8], cname.as_bytes()].concat();
    // The publisher says how its timestamps lie on its clock, as it does every second or so.
    let info = rtp::rtcp::SenderInfo { ntp: 5 << 32, rtp: 0, packets: 1, octets: 1 };
    let mut report = Vec::new();
    rtp::rtcp::write::sender_report(&mut report, light::SSRC, &info);
    publisher.report(&report).await;
    let named = async {
        while !viewer.reports.iter().any(|report| report.windows(chunk.len()).any(|part| part == chunk)) {
            publisher.film().await;
            publisher.step().await;
            viewer.step().await;
        }
    };
    tokio::time::timeout(common::PATIENCE, named).await.expect("no report names the clock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_hears_of_the_server_while_nobody_sends_anything() {
    let sfu = sfu().await;
    for over_tcp in [false, true] {
        let mut publisher = Light::publish(&sfu, "/whip/1", over_tcp).await;
        // A receiver report without blocks: there is nothing to report.
        let is_empty = |report: &&Vec<u8>| report.len() == 8 && report[..4] == [0x80, 201, 0, 1];
        let count = |client: &mut Light| client.reports.iter().filter(is_empty).count();
        publisher.until("eight reports", |client| (count(client) >= 8).then_some(())).await;
        assert!(publisher.packets.is_empty());
    }
}
