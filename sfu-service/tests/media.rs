//! Media through the SFU between peers of an implementation that we did not write.

mod common;
#[path = "common/peer.rs"]
mod peer;

use std::net::UdpSocket;
use std::time::Duration;

use common::{KEY, Sfu};
use contract::destination::Source;
use contract::id::BroadcastId;
use contract::layer::{LayerList, WantedLayer};
use contract::rest::{CloseOrder, CloseReason, MediaState, Status};
use peer::{Camera, Peer};
use rtc::rtp;

fn number(packet: &rtp::Packet) -> u32 {
    let tail = packet.payload.last_chunk().expect("a frame ends with its number");
    u32::from_be_bytes(*tail)
}

/// Takes `count` packets and checks that none is missing: neither at the viewer nor of the camera.
async fn continuous(viewer: &mut Peer, count: usize) -> Vec<rtp::Packet> {
    let mut packets = Vec::new();
    for _ in 0..count {
        packets.push(viewer.packet().await);
    }
    packets.sort_by_key(number);
    for pair in packets.windows(2) {
        let step = pair[1].header.sequence_number.wrapping_sub(pair[0].header.sequence_number);
        assert_eq!((number(&pair[1]) - number(&pair[0]), step), (1, 1));
        assert_eq!(pair[1].header.ssrc, pair[0].header.ssrc);
        assert_eq!(pair[1].header.payload_type, pair[0].header.payload_type);
    }
    packets
}

async fn live(sfu: &Sfu) -> (Peer, Camera) {
    sfu.meta.set(1, Status::Ready);
    let (publisher, track) = Peer::publish(sfu, "/whip/1").await;
    let camera = Camera::start(track, 0);
    sfu.meta.reported(|report| report.broadcasts.iter().any(|one| one.state == MediaState::Live)).await;
    (publisher, camera)
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_reach_every_viewer_in_sequence() {
    let sfu = Sfu::start().await;
    let (_publisher, _camera) = live(&sfu).await;
    // On two shards: one of these is on the publisher's, one is not.
    let mut first = Peer::play(&sfu, "/whep/1").await;
    let mut second = Peer::play(&sfu, "/whep/1").await;
    let seen = continuous(&mut first, 200).await;
    let also = continuous(&mut second, 200).await;
    assert_ne!(seen[0].header.ssrc, also[0].header.ssrc, "each viewer has a stream of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_cannot_decode_the_picture_is_told_in_words() {
    let sfu = Sfu::start().await;
    let (_publisher, _camera) = live(&sfu).await;
    let recvonly = common::offer("recvonly");
    for name in ["H265", "H264", "VP9"] {
        let offer = recvonly.replace("a=rtpmap:96 VP8", &format!("a=rtpmap:96 {name}"));
        let response = sfu.post("/whep/1", None, &offer).await;
        assert_eq!(response.status(), reqwest::StatusCode::NOT_ACCEPTABLE, "{name}");
        let problem: contract::problem::Problem = response.json().await.unwrap();
        assert!(problem.detail.unwrap().contains("VP8"), "what it is sent as: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_who_comes_back_goes_on_for_the_viewers() {
    let sfu = Sfu::start().await;
    let (publisher, camera) = live(&sfu).await;
    let mut viewer = Peer::play(&sfu, "/whep/1").await;
    let before = continuous(&mut viewer, 100).await;
    drop(camera);
    publisher.connection.close().await.unwrap();
    sfu.meta.reported(|report| report.broadcasts.iter().any(|one| one.state == MediaState::Lost)).await;

    let (_again, track) = Peer::publish(&sfu, "/whip/1").await;
    let _camera = Camera::start(track, 1_000_000);
    sfu.meta.reported(|report| report.broadcasts.iter().any(|one| one.state == MediaState::Live)).await;
    let mut packets = Vec::new();
    while packets.len() < 100 {
        let packet = viewer.packet().await;
        if number(&packet) >= 1_000_000 {
            packets.push(packet);
        }
    }
    packets.sort_by_key(number);
    let (last, first) = (before.last().unwrap(), &packets[0]);
    assert_eq!(first.header.ssrc, last.header.ssrc);
    assert_eq!(first.header.payload_type, last.header.payload_type);
    assert!(first.payload[4] & 1 == 0, "the new stream begins with a keyframe");
    // What the first camera sent in the end came in between: numbers only move forward.
    let step = first.header.sequence_number.wrapping_sub(last.header.sequence_number);
    assert!((1..0x8000).contains(&step), "{step}");
    assert!(first.header.timestamp.wrapping_sub(last.header.timestamp) < 1 << 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_while_the_publisher_is_away_sees_it_when_it_is_back_on_another_shard() {
    let sfu = Sfu::start().await;
    let (publisher, camera) = live(&sfu).await;
    drop(camera);
    publisher.connection.close().await.unwrap();
    sfu.meta.reported(|report| report.broadcasts.iter().any(|one| one.state == MediaState::Lost)).await;
    // Nobody else is there. One viewer on each shard, and one more, so that the publisher goes where it was not.
    let mut viewers = Vec::new();
    for _ in 0..3 {
        viewers.push(Peer::play(&sfu, "/whep/1").await);
    }
    let (_again, track) = Peer::publish(&sfu, "/whip/1").await;
    let _camera = Camera::start(track, 1_000_000);
    for viewer in &mut viewers {
        let packets = continuous(viewer, 100).await;
        assert!(packets.iter().all(|packet| number(packet) >= 1_000_000));
    }
    for nothing in ["sfu_session_panics_total", "sfu_format_mismatches_total"] {
        assert_eq!(sfu.metric(nothing).await, 0, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_comes_later_reaches_those_who_watch_already() {
    let sfu = Sfu::start().await;
    // One video, as an encoder sends it; the viewer has a line more than that.
    let (publisher, camera) = live(&sfu).await;
    let mut viewer = Peer::play_lines(&sfu, "/whep/1", 2).await;
    let first = viewer.packet().await.header.ssrc;
    drop(camera);
    publisher.connection.close().await.unwrap();
    sfu.meta.reported(|report| report.broadcasts.iter().any(|one| one.state == MediaState::Lost)).await;

    // The same key comes back with a camera and a screen.
    let (_again, tracks) = Peer::publish_tracks(&sfu, "/whip/1", 2).await;
    let _cameras: Vec<Camera> = tracks.into_iter().map(|track| Camera::start(track, 1_000_000)).collect();
    let both = async {
        let mut seen = [false; 2];
        while seen != [true; 2] {
            let packet = viewer.packet().await;
            if number(&packet) >= 1_000_000 {
                seen[usize::from(packet.header.ssrc != first)] = true;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, both).await.expect("the screen has not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_at_its_limit_refuses_newcomers_and_keeps_who_is_there() {
    let sfu = Sfu::with(|config| config.limits.max_packets_per_second = 50).await;
    let (publisher, _camera) = live(&sfu).await;
    let mut viewer = Peer::play(&sfu, "/whep/1").await;
    // The camera sends 200 packets a second: soon that is measured.
    let refused = async {
        loop {
            let response = sfu.post("/whep/1", None, &common::offer("recvonly")).await;
            if response.status().as_u16() == 503 {
                return response;
            }
            assert_eq!(response.status().as_u16(), 201);
        }
    };
    let response = tokio::time::timeout(common::PATIENCE, refused).await.expect("nobody is refused");
    assert!(response.headers().get("retry-after").is_some());
    let words: contract::problem::Problem = response.json().await.unwrap();
    assert_eq!(words.detail.as_deref(), Some("this server is at the limit of its packet rate"));
    sfu.meta.set(2, Status::Ready);
    let other = sfu.post("/whip/2", Some(KEY), &common::offer("sendonly")).await;
    assert_eq!(other.status().as_u16(), 503, "a new room is a newcomer, too");
    continuous(&mut viewer, 50).await;
    publisher.connection.close().await.unwrap();
    let (_again, _track) = Peer::publish(&sfu, "/whip/1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_chooses_what_it_gets() {
    let sfu = Sfu::start().await;
    let (_publisher, _camera) = live(&sfu).await;
    let mut viewer = Peer::play(&sfu, "/whep/1").await;
    continuous(&mut viewer, 50).await;
    let url = format!("{}/layer", viewer.url);
    let layers: LayerList = sfu.http.get(&url).send().await.unwrap().json().await.unwrap();
    let [video] = &layers.media[..] else { panic!("{layers:?}") };
    assert_eq!((video.source, video.paused), (Source::Camera, false));
    assert_eq!(video.wanted, WantedLayer::default());
    assert!(video.current.is_some());
    assert!(video.encodings[0].active && video.encodings[0].encoding_id.is_none());

    let ask = async |request: &str| {
        let post = sfu.http.post(&url).header("content-type", "application/json").body(request.to_owned());
        let response = post.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for bad in [
        "",
        "7",
        r#"{"height":480}"#,
        r#"{"mediaId":"9"}"#,
        r#"{"encodingId":"f"}"#,
        r#"{"encodingId":"f","maxHeight":480}"#,
    ] {
        let (status, words) = ask(bad).await;
        assert_eq!(status, 400, "{bad}: {words}");
    }
    let (status, text) = ask(r#"{"paused":true,"maxHeight":480}"#).await;
    let state: LayerList = serde_json::from_str(&text).unwrap();
    assert_eq!((status, state.media[0].paused), (200, true));
    assert_eq!(state.media[0].wanted.max_height, Some(480));
    // What was on its way still comes; then nothing does, while the camera goes on.
    while tokio::time::timeout(Duration::from_millis(500), viewer.packet()).await.is_ok() {}
    let (status, text) = ask(r#"{"paused":false}"#).await;
    let state: LayerList = serde_json::from_str(&text).unwrap();
    assert_eq!((status, state.media[0].paused, state.media[0].wanted.max_height), (200, false, None));
    let first = viewer.packet().await;
    assert_eq!(first.payload[4] & 1, 0, "what comes after a pause begins with a keyframe");
    continuous(&mut viewer, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_asked_for_and_counted() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    let (_publisher, track) = Peer::publish(&sfu, "/whip/1").await;
    // The peer has never had the packet, so every request is in vain.
    let _camera = Camera::losing(track, 0, 20);
    sfu.metric_reaches("sfu_packets_given_up_total", 1).await;
    assert_eq!(sfu.metric("sfu_packets_given_up_total").await, 1);
    assert_eq!(sfu.metric("sfu_nacks_sent_total").await, u64::from(sfu_core::MAX_TRIES));
    assert!(sfu.metric("sfu_keyframe_requests_sent_total").await >= 1, "only a keyframe helps then");
    for nothing in ["sfu_packets_refused_total", "sfu_packets_unsent_total", "sfu_session_panics_total"] {
        assert_eq!(sfu.metric(nothing).await, 0, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_and_orders_of_meta_end_everybody() {
    let sfu = Sfu::start().await;
    let (publisher, camera) = live(&sfu).await;
    let viewer = Peer::play(&sfu, "/whep/1").await;
    let answer = sfu.http.delete(&publisher.url).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(
        sfu.http.delete(&viewer.url).send().await.unwrap().status().as_u16(),
        404,
        "the viewer has gone"
    );
    drop(camera);
    sfu.meta.reported(|report| report.broadcasts.is_empty()).await;

    let (_publisher, _camera) = live(&sfu).await;
    let viewer = Peer::play(&sfu, "/whep/1").await;
    sfu.meta.order(CloseOrder { broadcast_id: BroadcastId(1), reason: CloseReason::Closed });
    sfu.meta.reported(|report| report.broadcasts.is_empty() && report.watched.is_empty()).await;
    assert_eq!(sfu.http.delete(&viewer.url).send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_from_elsewhere_do_nothing() {
    let sfu = Sfu::start().await;
    let (_publisher, _camera) = live(&sfu).await;
    let mut viewer = Peer::play(&sfu, "/whep/1").await;
    continuous(&mut viewer, 20).await;
    let before = sfu.metric("sfu_datagrams_refused_total").await;

    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let mut rtp = vec![0x80, 96, 0, 1, 0, 0, 0, 1, 0x12, 0x34, 0x56, 0x78];
    rtp.extend([0; 64]);
    let mut client_hello = vec![22, 0xFE, 0xFD];
    client_hello.extend([0; 64]);
    // A Binding request to a user fragment that nobody has.
    let mut binding = vec![0, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42];
    binding.extend([7; 12]);
    binding.extend([0, 6, 0, 5, b'x', b'y', b':', b'a', b'b', 0, 0, 0]);
    let forged = [rtp, vec![0x80, 200, 0, 1, 0, 0, 0, 1], client_hello, binding, vec![0xFF; 50]];
    let addresses = sfu.service.media_addresses();
    let mut sent = 0;
    for address in &addresses {
        for datagram in &forged {
            for _ in 0..20 {
                stranger.send_to(datagram, address).unwrap();
                sent += 1;
            }
        }
    }
    sfu.metric_reaches("sfu_datagrams_refused_total", before + sent).await;
    assert_eq!(sfu.metric("sfu_datagrams_refused_total").await, before + sent);
    let mut buffer = [0; 2048];
    let nothing = stranger.recv_from(&mut buffer).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "nobody answers a stranger");
    continuous(&mut viewer, 50).await;
    assert_eq!(sfu.metric("sfu_session_panics_total").await, 0);
}
