//! A WebRTC peer that we did not write: the PeerConnection of the `webrtc` crate.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState,
};

use super::common::{KEY, PATIENCE, Sfu};

/// What happens at a peer.
#[derive(Debug)]
pub(crate) enum Event {
    Gathered,
    Connected,
    Ended,
    Packet(rtp::Packet),
}

struct Handler(mpsc::UnboundedSender<Event>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.0.send(Event::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let event = match state {
            RTCPeerConnectionState::Connected => Event::Connected,
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => Event::Ended,
            _ => return,
        };
        let _ = self.0.send(event);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let events = self.0.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event
                    && events.send(Event::Packet(packet)).is_err()
                {
                    return;
                }
            }
        });
    }
}

fn vp8() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "video/VP8".into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: String::new(),
        rtcp_feedback: vec![],
    }
}

/// A track that a peer sends.
pub(crate) struct Published {
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
}

impl Published {
    fn new(ssrc: u32) -> Self {
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: vp8(),
            ..Default::default()
        };
        let name = format!("track-{ssrc}");
        let track =
            MediaStreamTrack::new("stream".into(), name.clone(), name, RtpCodecKind::Video, vec![encoding]);
        Self { track: Arc::new(TrackLocalStaticRTP::new(track)), ssrc }
    }
}

/// A peer and what happens at it.
pub(crate) struct Peer {
    pub(crate) connection: Box<dyn PeerConnection>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    /// The session's URL.
    pub(crate) url: String,
}

async fn build() -> (Box<dyn PeerConnection>, mpsc::UnboundedReceiver<Event>) {
    let mut engine = MediaEngine::default();
    let parameters = RTCRtpCodecParameters { rtp_codec: vp8(), payload_type: 96 };
    engine.register_codec(parameters, RtpCodecKind::Video).unwrap();
    let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
    let (events, received) = mpsc::unbounded_channel();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler(events)))
        .with_runtime(webrtc::runtime::default_runtime().unwrap())
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .build()
        .await
        .unwrap();
    (Box::new(connection), received)
}

impl Peer {
    async fn negotiate(
        sfu: &Sfu,
        path: &str,
        bearer: Option<&str>,
        (connection, mut events): (Box<dyn PeerConnection>, mpsc::UnboundedReceiver<Event>),
    ) -> Self {
        let offer = connection.create_offer(None).await.unwrap();
        connection.set_local_description(offer).await.unwrap();
        while !matches!(next(&mut events).await, Event::Gathered) {}
        let offer = connection.local_description().await.unwrap();
        let response = sfu.post_when_live(path, bearer, &offer.sdp).await;
        let status = response.status();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        assert_eq!(status.as_u16(), 201, "{text}");
        connection.set_remote_description(RTCSessionDescription::answer(text).unwrap()).await.unwrap();
        Self { connection, events, url: format!("{}{}", sfu.base, location.unwrap()) }
    }

    /// A publisher of one VP8 track, connected.
    pub(crate) async fn publish(sfu: &Sfu, path: &str) -> (Self, Published) {
        let (peer, mut tracks) = Self::publish_tracks(sfu, path, 1).await;
        (peer, tracks.remove(0))
    }

    /// A publisher of VP8 tracks, connected.
    pub(crate) async fn publish_tracks(sfu: &Sfu, path: &str, count: u32) -> (Self, Vec<Published>) {
        let (connection, events) = build().await;
        let mut tracks = Vec::new();
        for ssrc in (0x1234_5678..).take(count as usize) {
            let published = Published::new(ssrc);
            connection.add_track(published.track.clone() as Arc<dyn TrackLocal>).await.unwrap();
            tracks.push(published);
        }
        let mut peer = Self::negotiate(sfu, path, Some(KEY), (connection, events)).await;
        peer.connected().await;
        (peer, tracks)
    }

    /// A viewer of one video track, connected.
    pub(crate) async fn play(sfu: &Sfu, path: &str) -> Self {
        Self::play_lines(sfu, path, 1).await
    }

    /// A viewer that takes up to `count` video tracks, connected.
    pub(crate) async fn play_lines(sfu: &Sfu, path: &str, count: u32) -> Self {
        let (connection, events) = build().await;
        for _ in 0..count {
            let direction = RTCRtpTransceiverDirection::Recvonly;
            let init = RTCRtpTransceiverInit { direction, ..Default::default() };
            connection.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).await.unwrap();
        }
        let mut peer = Self::negotiate(sfu, path, None, (connection, events)).await;
        peer.connected().await;
        peer
    }

    /// A publisher of one VP8 track that opens a data channel besides, connected.
    pub(crate) async fn publish_data(sfu: &Sfu, path: &str, label: &str) -> (Self, Published, Channel) {
        let (connection, events) = build().await;
        let published = Published::new(0x1234_5678);
        connection.add_track(published.track.clone() as Arc<dyn TrackLocal>).await.unwrap();
        let channel = connection.create_data_channel(label, None).await.unwrap();
        let mut peer = Self::negotiate(sfu, path, Some(KEY), (connection, events)).await;
        peer.connected().await;
        (peer, published, Channel::open(channel).await)
    }

    /// A viewer of one video track that opens a data channel besides, connected.
    pub(crate) async fn play_data(sfu: &Sfu, path: &str, label: &str) -> (Self, Channel) {
        let (connection, events) = build().await;
        let init =
            RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
        connection.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).await.unwrap();
        let channel = connection.create_data_channel(label, None).await.unwrap();
        let mut peer = Self::negotiate(sfu, path, None, (connection, events)).await;
        peer.connected().await;
        (peer, Channel::open(channel).await)
    }

    async fn connected(&mut self) {
        while !matches!(next(&mut self.events).await, Event::Connected) {}
    }

    /// The next media packet.
    pub(crate) async fn packet(&mut self) -> rtp::Packet {
        loop {
            if let Event::Packet(packet) = next(&mut self.events).await {
                return packet;
            }
        }
    }
}

/// An open data channel.
pub(crate) struct Channel(Arc<dyn DataChannel>);

impl Channel {
    async fn open(channel: Arc<dyn DataChannel>) -> Self {
        let channel = Self(channel);
        while !matches!(channel.next().await, DataChannelEvent::OnOpen) {}
        channel
    }

    async fn next(&self) -> DataChannelEvent {
        let event = tokio::time::timeout(PATIENCE, self.0.poll()).await;
        event.expect("nothing happened on the data channel").expect("the data channel is gone")
    }

    pub(crate) async fn send(&self, text: &str) {
        self.0.send_text(text).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn message(&self) -> String {
        loop {
            if let DataChannelEvent::OnMessage(message) = self.next().await {
                assert!(message.is_string);
                return String::from_utf8(message.data.to_vec()).unwrap();
            }
        }
    }
}

/// Frames of one packet each, numbered in their last four bytes, every 30th a keyframe.
pub(crate) struct Camera {
    stop: tokio::task::JoinHandle<()>,
}

impl Camera {
    pub(crate) fn start(published: Published, first: u32) -> Self {
        Self::film(published, first, None)
    }

    /// One that never sends frame `lost`.
    pub(crate) fn losing(published: Published, first: u32, lost: u32) -> Self {
        Self::film(published, first, Some(lost))
    }

    fn film(published: Published, first: u32, lost: Option<u32>) -> Self {
        let stop = tokio::spawn(async move {
            // The pace of a camera; nothing waits for it.
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            for number in first.. {
                pace.tick().await;
                if lost == Some(number) {
                    continue;
                }
                if published.track.write_rtp(frame(number, published.ssrc)).await.is_err() {
                    return;
                }
            }
        });
        Self { stop }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.abort();
    }
}

/// A VP8 frame in one packet (RFC 7741): descriptor with a 15-bit picture id, frame header, number.
fn frame(number: u32, ssrc: u32) -> rtp::Packet {
    let picture = (number & 0x7FFF) as u16 | 0x8000;
    let mut payload = vec![0x90, 0x80];
    payload.extend(picture.to_be_bytes());
    if number.is_multiple_of(30) {
        // Keyframe: frame tag, start code, 320 x 180.
        payload.extend([0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xB4, 0x00]);
    } else {
        payload.extend([0x11, 0x02, 0x00]);
    }
    payload.extend([0; 100]);
    payload.extend(number.to_be_bytes());
    let mut packet = rtp::Packet::default();
    packet.header.version = 2;
    packet.header.marker = true;
    packet.header.payload_type = 96;
    packet.header.sequence_number = number as u16;
    packet.header.timestamp = number.wrapping_mul(450);
    packet.header.ssrc = ssrc;
    packet.payload = payload.into();
    packet
}

async fn next(events: &mut mpsc::UnboundedReceiver<Event>) -> Event {
    tokio::time::timeout(PATIENCE, events.recv()).await.expect("nothing happened").expect("the peer is gone")
}
