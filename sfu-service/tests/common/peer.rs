//! A WebRTC peer that we did not write: the PeerConnection of the `webrtc` crate.

use std::sync::Arc;

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
pub enum Event {
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

/// A peer and what happens at it.
pub struct Peer {
    pub connection: Box<dyn PeerConnection>,
    pub events: mpsc::UnboundedReceiver<Event>,
    /// The session's URL.
    pub url: String,
}

async fn build() -> (Box<dyn PeerConnection>, mpsc::UnboundedReceiver<Event>) {
    let mut engine = MediaEngine::default();
    let parameters = RTCRtpCodecParameters { rtp_codec: vp8(), payload_type: 96, ..Default::default() };
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
        let response = sfu.post(path, bearer, &offer.sdp).await;
        let status = response.status();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        assert_eq!(status.as_u16(), 201, "{text}");
        connection.set_remote_description(RTCSessionDescription::answer(text).unwrap()).await.unwrap();
        Self { connection, events, url: format!("{}{}", sfu.base, location.unwrap()) }
    }

    /// A publisher of one VP8 track, connected.
    pub async fn publish(sfu: &Sfu, path: &str) -> (Self, Arc<TrackLocalStaticRTP>) {
        let (connection, events) = build().await;
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(0x1234_5678), ..Default::default() },
            codec: vp8(),
            ..Default::default()
        };
        let track = MediaStreamTrack::new(
            "stream".into(),
            "track".into(),
            "camera".into(),
            RtpCodecKind::Video,
            vec![encoding],
        );
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        connection.add_track(track.clone() as Arc<dyn TrackLocal>).await.unwrap();
        let mut peer = Self::negotiate(sfu, path, Some(KEY), (connection, events)).await;
        peer.connected().await;
        (peer, track)
    }

    /// A viewer of one video track, connected.
    pub async fn play(sfu: &Sfu, path: &str) -> Self {
        let (connection, events) = build().await;
        let init =
            RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
        connection.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).await.unwrap();
        let mut peer = Self::negotiate(sfu, path, None, (connection, events)).await;
        peer.connected().await;
        peer
    }

    async fn connected(&mut self) {
        while !matches!(next(&mut self.events).await, Event::Connected) {}
    }

    /// The next media packet.
    pub async fn packet(&mut self) -> rtp::Packet {
        loop {
            if let Event::Packet(packet) = next(&mut self.events).await {
                return packet;
            }
        }
    }
}

async fn next(events: &mut mpsc::UnboundedReceiver<Event>) -> Event {
    tokio::time::timeout(PATIENCE, events.recv()).await.expect("nothing happened").expect("the peer is gone")
}
