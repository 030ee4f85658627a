//! `engine = "webrtc"`: viewers that are PeerConnections of the `webrtc` crate, a stack that is not ours. Publishers
//! stay light clients. The only module that names that crate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::shared::marshal::Marshal as _;
use rtp::rtcp::{Compound, RtcpPacket};
use tokio::sync::watch;
use transport::sdp::{CodecFormat, H264Profile};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState,
};

use crate::client::Shared;
use crate::http::{Broadcast, Http, Session};
use crate::scenario::View;
use crate::totals::Totals;
use crate::viewer::{StreamConfig, Viewer, ViewerConfig};
use crate::worker::Snapshot;

/// Time to gather candidates: only host candidates are.
const GATHER: Duration = Duration::from_secs(5);

/// All viewers of a run.
pub(crate) struct Peers {
    shared: Arc<Shared>,
    open: Mutex<HashMap<u32, Peer>>,
    /// What those that left have seen.
    left: Mutex<Snapshot>,
}

struct Peer {
    connection: Box<dyn PeerConnection>,
    seen: Arc<Seen>,
}

/// What one viewer has seen.
struct Seen {
    shared: Arc<Shared>,
    number: u32,
    gathered: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Option<Instant>,
    viewer: Option<Viewer>,
    totals: Totals,
    /// Why it ended, unless by us.
    ended: Option<&'static str>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts stay true whatever a thread that panicked was about to add.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: Mutex::default(), left: Mutex::default() }
    }

    /// Opens a session as viewer `number`; tells how long the answer took.
    pub(crate) async fn view(
        &self,
        http: &Http,
        broadcast: &Broadcast,
        number: u32,
    ) -> Result<(Session, Duration), String> {
        let (gathered, mut watched) = watch::channel(false);
        let state = Mutex::default();
        let seen = Arc::new(Seen { shared: Arc::clone(&self.shared), number, gathered, state });
        let failed = |error: webrtc::error::Error| error.to_string();
        let connection = build(Arc::clone(&seen), is_local(&broadcast.whep)).await.map_err(failed)?;
        let offer = connection.create_offer(None).await.map_err(failed)?;
        connection.set_local_description(offer).await.map_err(failed)?;
        let waiting = tokio::time::timeout(GATHER, watched.wait_for(|gathered| *gathered)).await;
        waiting.map_err(|_| "no candidates were gathered in time")?.map_err(|error| error.to_string())?;
        let offer = connection.local_description().await.ok_or("there is no local description")?;
        let asked = Instant::now();
        lock(&seen.state).asked = Some(asked);
        let session = http.open(&broadcast.whep, broadcast.whep_bearer.as_deref(), offer.sdp).await;
        let session = session.map_err(|error| error.to_string())?;
        let took = asked.elapsed();
        let answer =
            RTCSessionDescription::answer(session.answer.clone()).map_err(|error| error.to_string())?;
        connection.set_remote_description(answer).await.map_err(failed)?;
        lock(&self.open).insert(number, Peer { connection, seen });
        Ok((session, took))
    }

    /// Ends the session of viewer `number`.
    pub(crate) async fn leave(&self, number: u32) {
        let Some(peer) = lock(&self.open).remove(&number) else { return };
        peer.seen.add_to(&mut lock(&self.left));
        // It is over for us, whatever the stack says about it.
        let _ = peer.connection.close().await;
    }

    /// The state of all viewers together.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = lock(&self.left).clone();
        snapshot.connected = 0;
        snapshot.connecting = 0;
        snapshot.viewers.clear();
        for peer in lock(&self.open).values() {
            peer.seen.add_to(&mut snapshot);
        }
        snapshot
    }
}

impl Seen {
    fn add_to(&self, snapshot: &mut Snapshot) {
        let state = lock(&self.state);
        snapshot.totals.merge(&state.totals);
        let summary = state.viewer.as_ref().map(|viewer| viewer.summary(Instant::now()));
        snapshot.totals.served += u64::from(summary.is_some_and(|summary| summary.served));
        match (state.ended, summary) {
            (Some(reason), Some(_)) => snapshot.dropped.add(reason),
            (Some(reason), None) => snapshot.failed.add(reason),
            (None, Some(summary)) => {
                snapshot.connected += 1;
                snapshot.viewers.push(summary);
            }
            (None, None) => snapshot.connecting += 1,
        }
    }

    fn connected(&self) {
        let mut state = lock(&self.state);
        let (Some(asked), None) = (state.asked, &state.viewer) else { return };
        let now = Instant::now();
        state.totals.connected += 1;
        state.totals.connect_time.record(now.saturating_duration_since(asked).as_micros() as u64);
        // The stack asks again for lost packets by itself.
        let view = View { nack_share: 0.0, ..self.shared.view.clone() };
        state.viewer = Some(Viewer::new(config(), &view, self.number, self.shared.epoch, asked, now));
    }

    /// Takes a packet; gives the SSRC of the stream that needs a keyframe, if one does.
    fn packet(&self, bytes: &[u8]) -> Option<u32> {
        let mut state = lock(&self.state);
        let State { viewer: Some(viewer), totals, .. } = &mut *state else { return None };
        let now = Instant::now();
        viewer.handle_rtp(bytes, true, now, totals);
        if viewer.poll_timeout() > now {
            return None;
        }
        // Its reports are the stack's business; what nobody but the application asks for is a keyframe.
        let mut said = Vec::new();
        viewer.handle_timeout(now, &mut said, totals);
        Compound::new(&said).find_map(|packet| match packet {
            RtcpPacket::Pli { media_ssrc } => Some(media_ssrc),
            _ => None,
        })
    }
}

struct Handler(Arc<Seen>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected => self.0.connected(),
            RTCPeerConnectionState::Failed => lock(&self.0.state).ended = Some("the PeerConnection failed"),
            RTCPeerConnectionState::Closed => {
                lock(&self.0.state).ended = Some("the PeerConnection was closed")
            }
            _ => {}
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let seen = Arc::clone(&self.0);
        // Ends with the track, which ends with its PeerConnection.
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event
                    && let Ok(bytes) = packet.marshal()
                    && let Some(media_ssrc) = seen.packet(&bytes)
                {
                    let request = PictureLossIndication { sender_ssrc: 0, media_ssrc };
                    // Asked for again, if the picture still stands.
                    let _ = track.write_rtcp(vec![Box::new(request)]).await;
                }
            }
        });
    }
}

/// The codecs by payload type; which of them is sent shows in the packets.
const CODECS: [(u8, CodecFormat, &str, &str); 3] = [
    (96, CodecFormat::Vp8, "video/VP8", ""),
    (98, CodecFormat::Vp9, "video/VP9", "profile-id=0"),
    (
        102,
        CodecFormat::H264(H264Profile::ConstrainedBaseline),
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
];
const OPUS: u8 = 111;

fn config() -> ViewerConfig {
    let video = CODECS.iter().map(|(payload_type, format, ..)| (*payload_type, *format)).collect();
    let stream = |codecs| StreamConfig { codecs, ..StreamConfig::default() };
    let streams = vec![stream(vec![(OPUS, CodecFormat::Opus)]), stream(video)];
    ViewerConfig { streams, ..ViewerConfig::default() }
}

async fn build(seen: Arc<Seen>, local: bool) -> Result<Box<dyn PeerConnection>, webrtc::error::Error> {
    let mut engine = MediaEngine::default();
    let codec = |mime: &str, clock_rate, channels, fmtp: &str| RTCRtpCodec {
        mime_type: mime.into(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.into(),
        rtcp_feedback: vec![],
    };
    for (payload_type, _, mime, fmtp) in CODECS {
        let rtp_codec = codec(mime, 90_000, 0, fmtp);
        engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, RtpCodecKind::Video)?;
    }
    let rtp_codec = codec("audio/opus", 48_000, 2, "minptime=10;useinbandfec=1");
    engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type: OPUS }, RtpCodecKind::Audio)?;
    let registry = register_default_interceptors(Registry::new(), &mut engine)?;
    let any = if local { "127.0.0.1:0" } else { "0.0.0.0:0" };
    let runtime = webrtc::runtime::default_runtime();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler(seen)))
        .with_runtime(runtime.ok_or(webrtc::error::Error::ErrUnknownType)?)
        .with_udp_addrs(vec![any.to_owned()])
        .build()
        .await?;
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        let direction = RTCRtpTransceiverDirection::Recvonly;
        let init = RTCRtpTransceiverInit { direction, ..Default::default() };
        connection.add_transceiver_from_kind(kind, Some(init)).await?;
    }
    Ok(Box::new(connection))
}

/// Whether a URL is of this machine.
fn is_local(url: &str) -> bool {
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host == "localhost" || host.starts_with("127."))
}
