//! Against an implementation that is not ours, over loopback: a `PeerConnection` of the `webrtc` crate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_VP8;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use transport::{
    ClientConfig, CloseReason, Event, Fingerprint, IceCredentials, Identity, Received, SRTP_OVERHEAD,
    ServerConfig, Transport,
};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCCertificate,
    RTCConfigurationBuilder, RTCIceGatheringState, RTCSessionDescription, crypto,
};

/// A test that hangs ends here.
const DEADLINE: Duration = Duration::from_secs(30);
const THEIR_SSRC: u32 = 0x00DE_CAFE;
const OUR_SSRC: u32 = 0x00C0_FFEE;
/// Packets that must arrive in each direction.
const PACKETS: usize = 50;

struct Handler {
    gathered: watch::Sender<bool>,
    packets: mpsc::UnboundedSender<Vec<u8>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state == RTCIceGatheringState::Complete);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let packets = self.packets.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    packets.send(packet.payload.to_vec()).ok();
                }
            }
        });
    }
}

/// Their peer with one VP8 track to send.
struct Theirs {
    connection: Arc<dyn PeerConnection>,
    track: Arc<TrackLocalStaticRTP>,
    gathered: watch::Receiver<bool>,
    packets: mpsc::UnboundedReceiver<Vec<u8>>,
}

fn vp8() -> RTCRtpCodec {
    RTCRtpCodec { mime_type: MIME_TYPE_VP8.to_owned(), clock_rate: 90_000, ..Default::default() }
}

async fn theirs(certificate: Option<RTCCertificate>) -> Theirs {
    let mut engine = MediaEngine::default();
    let codec = RTCRtpCodecParameters { rtp_codec: vp8(), payload_type: 96 };
    engine.register_codec(codec, RtpCodecKind::Video).unwrap();
    let (gathered_in, gathered) = watch::channel(false);
    let (packets_in, packets) = mpsc::unbounded_channel();
    let mut configuration = RTCConfigurationBuilder::default();
    if let Some(certificate) = certificate {
        configuration = configuration.with_certificates(vec![certificate]);
    }
    let connection = PeerConnectionBuilder::new()
        .with_configuration(configuration.build())
        .with_media_engine(engine)
        .with_handler(Arc::new(Handler { gathered: gathered_in, packets: packets_in }))
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .build()
        .await
        .unwrap();
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(THEIR_SSRC), ..Default::default() },
        codec: vp8(),
        ..Default::default()
    };
    let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
        "stream".to_owned(),
        "track".to_owned(),
        "label".to_owned(),
        RtpCodecKind::Video,
        vec![encoding],
    )));
    let connection: Arc<dyn PeerConnection> = Arc::new(connection);
    connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await.unwrap();
    Theirs { connection, track, gathered, packets }
}

impl Theirs {
    /// Their description once it holds their candidates.
    async fn description(&mut self) -> String {
        self.gathered.wait_for(|complete| *complete).await.unwrap();
        self.connection.local_description().await.unwrap().sdp
    }

    async fn send(&self, sequence: u16) {
        let packet = rtc::rtp::Packet {
            header: rtc::rtp::Header {
                version: 2,
                payload_type: 96,
                sequence_number: sequence,
                timestamp: u32::from(sequence) * 3000,
                ssrc: THEIR_SSRC,
                ..Default::default()
            },
            payload: format!("theirs {sequence}").into_bytes().into(),
        };
        self.track.write_rtp(packet).await.ok();
    }
}

fn value<'a>(sdp: &'a str, attribute: &str) -> &'a str {
    let prefix = format!("a={attribute}:");
    sdp.lines()
        .find_map(|line| line.trim().strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("{prefix}\n{sdp}"))
}

fn credentials(sdp: &str) -> IceCredentials {
    IceCredentials { ufrag: value(sdp, "ice-ufrag").into(), pwd: value(sdp, "ice-pwd").into() }
}

/// Our description: one VP8 line in both directions.
fn our_sdp(
    local: &IceCredentials,
    identity: &Identity,
    setup: &str,
    lite: bool,
    address: SocketAddr,
) -> String {
    let lite = if lite { "a=ice-lite\r\n" } else { "" };
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{lite}a=group:BUNDLE 0\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n\
         a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:{setup}\r\n\
         a=rtpmap:96 VP8/90000\r\na=msid:ours video\r\na=ssrc:{OUR_SSRC} cname:ours\r\n\
         a=candidate:1 1 udp 2130706431 {} {} typ host\r\na=end-of-candidates\r\n",
        local.ufrag,
        local.pwd,
        identity.fingerprint(),
        address.ip(),
        address.port(),
    )
}

/// Our peer and its socket.
struct Ours {
    socket: UdpSocket,
    transport: Transport,
    events: Vec<Event>,
    payloads: Vec<Vec<u8>>,
    /// The fatal alerts that it sent before it was connected.
    alerts: Vec<u8>,
}

impl Ours {
    /// Waits for one datagram or the next deadline, and does what follows from it.
    async fn step(&mut self) {
        let local = self.socket.local_addr().unwrap();
        self.drain().await;
        let mut buffer = [0; 2048];
        let deadline = self.transport.poll_timeout().unwrap_or_else(|| Instant::now() + DEADLINE);
        tokio::select! {
            received = self.socket.recv_from(&mut buffer) => {
                let (len, from) = received.unwrap();
                match self.transport.handle_datagram(from, local, &mut buffer[..len], Instant::now()) {
                    Received::Rtp(packet) => self.payloads.push(packet[12..].to_vec()),
                    Received::Rtcp(_) | Received::Nothing | Received::Refused(_) => {}
                }
            }
            () = tokio::time::sleep_until(deadline.into()) => self.transport.handle_timeout(Instant::now()),
        }
        self.drain().await;
    }

    async fn drain(&mut self) {
        while let Some(transmit) = self.transport.poll_transmit() {
            if let [21, _, _, 0, 0, .., level, description] = transmit.bytes[..] {
                assert_eq!(level, 2, "fatal");
                self.alerts.push(description);
            }
            self.socket.send_to(&transmit.bytes, transmit.to).await.unwrap();
        }
        while let Some(event) = self.transport.poll_event() {
            self.events.push(event);
        }
    }

    async fn send(&mut self, sequence: u16) {
        let mut packet =
            [&[0x80, 96][..], &sequence.to_be_bytes(), &[0; 4], &OUR_SSRC.to_be_bytes()].concat();
        packet.extend(format!("ours {sequence}").into_bytes());
        let len = packet.len();
        packet.resize(len + SRTP_OVERHEAD, 0);
        let len = self.transport.protect_rtp(&mut packet, len).unwrap();
        let to = self.transport.remote_address().unwrap().remote;
        self.socket.send_to(&packet[..len], to).await.unwrap();
    }

    fn closed(&self) -> Option<&CloseReason> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(reason),
            _ => None,
        })
    }
}

/// Both send until both have enough.
async fn exchange(ours: &mut Ours, theirs: &mut Theirs) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let mut sequence = 0;
    let mut received = Vec::new();
    while ours.payloads.len() < PACKETS || received.len() < PACKETS {
        assert_eq!(ours.closed(), None);
        tokio::select! {
            () = ours.step() => {}
            packet = theirs.packets.recv() => received.push(packet.unwrap()),
            _ = tick.tick() => {
                sequence += 1;
                theirs.send(sequence).await;
                if ours.transport.is_connected() {
                    ours.send(sequence).await;
                }
            }
        }
    }
    assert!(ours.payloads.iter().all(|payload| payload.starts_with(b"theirs ")));
    assert!(received.iter().all(|payload| payload.starts_with(b"ours ")));
    assert_eq!(ours.transport.counters().srtp_unauthenticated, 0);
}

async fn our_server(theirs: &mut Theirs) -> Ours {
    let identity = Identity::generate().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let offer = theirs.connection.create_offer(None).await.unwrap();
    theirs.connection.set_local_description(offer).await.unwrap();
    let offer = theirs.description().await;
    let local = IceCredentials::random(&mut StdRng::seed_from_u64(1));
    let answer = our_sdp(&local, &identity, "passive", true, socket.local_addr().unwrap());
    let config = ServerConfig {
        identity,
        local,
        remote: credentials(&offer),
        remote_fingerprint: Fingerprint::parse(value(&offer, "fingerprint")).unwrap(),
        dtls_client: false,
    };
    let transport = Transport::server(config, Instant::now());
    theirs.connection.set_remote_description(RTCSessionDescription::answer(answer).unwrap()).await.unwrap();
    Ours { socket, transport, events: vec![], payloads: vec![], alerts: vec![] }
}

#[tokio::test]
async fn their_client_talks_to_our_server() {
    tokio::time::timeout(DEADLINE, async {
        let mut theirs = theirs(None).await;
        let mut ours = our_server(&mut theirs).await;
        exchange(&mut ours, &mut theirs).await;
        assert!(ours.events.iter().any(|event| matches!(event, Event::Connected(_))));

        // A close_notify ends it at their side as well: their connection says so by ending ours.
        theirs.connection.close().await.unwrap();
        while ours.closed().is_none() {
            ours.step().await;
        }
        assert_eq!(ours.closed(), Some(&CloseReason::PeerClosed));
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn our_client_talks_to_their_server() {
    tokio::time::timeout(DEADLINE, async {
        let mut theirs = theirs(None).await;
        let identity = Identity::generate().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local_address = socket.local_addr().unwrap();
        let local = IceCredentials::random(&mut StdRng::seed_from_u64(2));
        let offer = our_sdp(&local, &identity, "active", false, local_address);
        let offer = RTCSessionDescription::offer(offer).unwrap();
        theirs.connection.set_remote_description(offer).await.unwrap();
        let answer = theirs.connection.create_answer(None).await.unwrap();
        theirs.connection.set_local_description(answer).await.unwrap();
        let answer = theirs.description().await;
        let candidate: Vec<&str> = value(&answer, "candidate").split(' ').collect();
        let config = ClientConfig {
            identity,
            local,
            remote: credentials(&answer),
            remote_fingerprint: Fingerprint::parse(value(&answer, "fingerprint")).unwrap(),
            dtls_client: true,
            local_address,
            remote_candidates: vec![SocketAddr::new(
                candidate[4].parse().unwrap(),
                candidate[5].parse().unwrap(),
            )],
        };
        let transport = Transport::client(config, [3; 32], Instant::now());
        let mut ours = Ours { socket, transport, events: vec![], payloads: vec![], alerts: vec![] };
        exchange(&mut ours, &mut theirs).await;
        theirs.connection.close().await.unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_peer_with_an_rsa_certificate_is_told_apart() {
    tokio::time::timeout(DEADLINE, async {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
        let certificate = RTCCertificate::from_pkcs8(
            crypto::default_provider().unwrap().crypto(),
            crypto::SignatureScheme::RsaPkcs1Sha256,
            vec![certificate.der().clone()],
            &key.serialize_der(),
            std::time::SystemTime::now() + Duration::from_secs(3600),
        )
        .unwrap();
        let mut theirs = theirs(Some(certificate)).await;
        let mut ours = our_server(&mut theirs).await;
        while ours.closed().is_none() {
            ours.step().await;
        }
        assert_eq!(ours.closed(), Some(&CloseReason::UnsupportedCertificate));
        let [alert] = ours.alerts[..] else { panic!("one alert: {:?}", ours.alerts) };
        assert!(matches!(alert, 40 | 43), "handshake_failure or unsupported_certificate: {alert}");
        theirs.connection.close().await.unwrap();
    })
    .await
    .unwrap();
}
