//! A light client on the transport crate: it decides which packet leaves when and over what, and sees every packet
//! that comes.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rtp::{Extension, Extensions, MediaKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use transport::sdp::{
    Answer, Candidate, ClientMedia, ClientOffer, CodecFormat, Direction, Feedback, Fragment, FragmentMedia,
    Msid, Negotiated, PayloadFormat, SsrcPair,
};
use transport::{
    Deframer, Event, IceCredentials, Identity, Received, SRTP_OVERHEAD, Transport, frame_header,
};

use super::common::{KEY, PATIENCE, Sfu};

/// What carries a client's packets.
pub(crate) enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Deframer),
}

impl Wire {
    pub(crate) async fn udp() -> Self {
        Self::Udp(UdpSocket::bind("127.0.0.1:0").await.unwrap())
    }

    async fn recv(&mut self, buffer: &mut Vec<u8>) -> Vec<(SocketAddr, Vec<u8>)> {
        buffer.resize(4096, 0);
        match self {
            Self::Udp(socket) => {
                let (len, from) = socket.recv_from(buffer).await.unwrap();
                vec![(from, buffer[..len].to_vec())]
            }
            Self::Tcp(stream, deframer) => {
                let len = stream.read(buffer).await.unwrap();
                assert_ne!(len, 0, "the server closed the stream");
                let from = stream.peer_addr().unwrap();
                let mut packets = Vec::new();
                deframer.push(&mut buffer[..len], |packet| packets.push((from, packet.to_vec()))).unwrap();
                packets
            }
        }
    }

    async fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        match self {
            Self::Udp(socket) => drop(socket.send_to(bytes, to).await.unwrap()),
            Self::Tcp(stream, _) => {
                let frame = [&frame_header(bytes.len()).unwrap()[..], bytes].concat();
                stream.write_all(&frame).await.unwrap();
            }
        }
    }
}

/// A connected client.
pub(crate) struct Light {
    pub(crate) transport: Transport,
    pub(crate) wire: Wire,
    pub(crate) negotiated: Negotiated,
    /// The answer.
    pub(crate) answer: String,
    /// Path and entity tag of the session.
    pub(crate) url: String,
    pub(crate) etag: String,
    bearer: Option<&'static str>,
    local: SocketAddr,
    /// RTP packets that came.
    pub(crate) packets: VecDeque<Vec<u8>>,
    /// Compounds of RTCP that came.
    pub(crate) reports: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
    /// Number of the next frame that [`Light::film`] sends.
    pub(crate) next_frame: u32,
    /// The same for [`Light::speak`].
    pub(crate) next_sound: u32,
}

/// What a publisher sends under.
pub(crate) const SSRC: u32 = 0x5000;
pub(crate) const PAYLOAD_TYPE: u8 = 96;
/// What a publisher speaks under.
pub(crate) const SOUND_SSRC: u32 = 0x6000;
pub(crate) const SOUND_PAYLOAD_TYPE: u8 = 111;
/// Retransmissions, for viewers.
pub(crate) const RTX_PAYLOAD_TYPE: u8 = 97;

fn offer(identity: &Identity, direction: Direction) -> ClientOffer {
    let extensions = Extensions::numbered(&[Extension::Mid]);
    let feedback = Feedback { transport_cc: false, ..Feedback::VIDEO };
    let sends = direction.sends();
    let rtx = (!sends).then_some(RTX_PAYLOAD_TYPE);
    let format = CodecFormat::Vp8;
    let codec = PayloadFormat { payload_type: PAYLOAD_TYPE, format, fmtp: String::new(), feedback, rtx };
    let media = ClientMedia {
        msid: sends.then(|| Msid { stream: "s".into(), track: Some("t".into()) }),
        ssrc: sends.then_some(SsrcPair { media: SSRC, rtx: None }),
        ..ClientMedia::new("0".parse().unwrap(), MediaKind::Video, direction, vec![codec], extensions)
    };
    ClientOffer::new(identity, vec![media], &mut rand::rng())
}

impl Light {
    pub(crate) async fn publish(sfu: &Sfu, path: &str, over_tcp: bool) -> Self {
        Self::open(sfu, path, Some(KEY), Direction::SendOnly, over_tcp, |_| true).await
    }

    pub(crate) async fn play(sfu: &Sfu, path: &str, over_tcp: bool) -> Self {
        Self::open(sfu, path, None, Direction::RecvOnly, over_tcp, |_| true).await
    }

    /// Negotiates and connects over the candidates that `use_candidate` takes.
    pub(crate) async fn open(
        sfu: &Sfu,
        path: &str,
        bearer: Option<&'static str>,
        direction: Direction,
        over_tcp: bool,
        use_candidate: impl Fn(&Candidate) -> bool,
    ) -> Self {
        let identity = Identity::generate().unwrap();
        let offer = offer(&identity, direction);
        let response = sfu.post_when_live(path, bearer, &offer.to_sdp()).await;
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, etag) = (header("location"), header("etag"));
        let status = response.status().as_u16();
        let answer = response.text().await.unwrap();
        assert_eq!(status, 201, "{answer}");
        let url = format!("{}{}", sfu.base, location.unwrap());
        let mut client =
            Self::connect(&identity, &offer, answer, over_tcp, use_candidate, (url, etag.unwrap())).await;
        client.bearer = bearer;
        client
    }

    /// Connects after an answer.
    pub(crate) async fn connect(
        identity: &Identity,
        offer: &ClientOffer,
        answer: String,
        over_tcp: bool,
        use_candidate: impl Fn(&Candidate) -> bool,
        (url, etag): (String, String),
    ) -> Self {
        let negotiated = offer.negotiate(&Answer::parse(&answer).unwrap()).unwrap();
        let candidates = negotiated.remote.candidates.iter().filter(|candidate| use_candidate(candidate));
        let remote_candidates: Vec<SocketAddr> = if over_tcp {
            candidates.filter_map(Candidate::tcp_address).take(1).collect()
        } else {
            candidates.filter_map(Candidate::udp_address).collect()
        };
        let (wire, local) = match (over_tcp, remote_candidates.first()) {
            (true, Some(to)) => {
                let stream = TcpStream::connect(to).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let local = stream.local_addr().unwrap();
                (Wire::Tcp(stream, Deframer::default()), local)
            }
            (true, None) => panic!("the answer has no TCP candidate: {answer}"),
            (false, _) => {
                let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
                let local = socket.local_addr().unwrap();
                (Wire::Udp(socket), local)
            }
        };
        let config = offer.transport(identity, &negotiated, local, remote_candidates);
        let mut transport = Transport::client(config, rand::rng().random(), Instant::now());
        if let Some(data) = negotiated.data {
            transport.enable_data_channels(data, Instant::now());
        }
        if over_tcp {
            transport = transport.over_tcp();
        }
        let mut client = Self {
            transport,
            wire,
            negotiated,
            answer,
            url,
            etag,
            bearer: None,
            local,
            packets: VecDeque::new(),
            reports: Vec::new(),
            events: Vec::new(),
            next_frame: 0,
            next_sound: 0,
        };
        client.until("a connection", |client| client.transport.is_connected().then_some(())).await;
        client
    }

    /// The first checks of a session of its own that is never connected: for whoever sends them from where it is not.
    pub(crate) async fn checks_of_another(sfu: &Sfu, path: &str) -> Vec<Vec<u8>> {
        let identity = Identity::generate().unwrap();
        let offer = offer(&identity, Direction::RecvOnly);
        let response = sfu.post_when_live(path, None, &offer.to_sdp()).await;
        let negotiated = offer.negotiate(&Answer::parse(&response.text().await.unwrap()).unwrap()).unwrap();
        let nowhere = ([127, 0, 0, 1], 9).into();
        let config = offer.transport(&identity, &negotiated, nowhere, negotiated.udp_candidates());
        let mut transport = Transport::client(config, [7; 32], Instant::now());
        transport.handle_timeout(Instant::now());
        std::iter::from_fn(|| transport.poll_transmit()).map(|transmit| transmit.bytes).collect()
    }

    /// Sends what waits, and handles one packet, or the timer when nothing comes.
    pub(crate) async fn step(&mut self) {
        self.step_within(Duration::from_millis(20)).await;
    }

    /// Handles what has come already.
    pub(crate) async fn catch_up(&mut self) {
        while self.step_within(Duration::ZERO).await {}
    }

    /// Returns whether something came.
    async fn step_within(&mut self, longest: Duration) -> bool {
        self.settle().await;
        let mut due = self.transport.poll_timeout().expect("the transport is open");
        if due <= Instant::now() {
            // Packets that come without a pause must not keep the timer waiting: consent would be lost.
            self.transport.handle_timeout(Instant::now());
            self.settle().await;
            due = self.transport.poll_timeout().expect("the transport is open");
        }
        let wait = due.saturating_duration_since(Instant::now()).min(longest);
        let mut buffer = Vec::new();
        let Ok(packets) = tokio::time::timeout(wait, self.wire.recv(&mut buffer)).await else {
            self.transport.handle_timeout(Instant::now());
            self.settle().await;
            return false;
        };
        for (from, mut packet) in packets {
            let protocol = match &self.wire {
                Wire::Udp(_) => transport::Protocol::Udp,
                Wire::Tcp(..) => transport::Protocol::Tcp,
            };
            let path = transport::AddressPair { protocol, local: self.local, remote: from };
            match self.transport.handle_packet(path, &mut packet, Instant::now()) {
                Received::Rtp(packet) => self.packets.push_back(packet.to_vec()),
                Received::Rtcp(compound) => self.reports.push(compound.to_vec()),
                Received::Nothing | Received::Refused(_) => {}
            }
            self.settle().await;
        }
        true
    }

    fn remote(&self) -> SocketAddr {
        self.transport.remote_address().expect("the transport is connected").remote
    }

    /// Encrypts and sends a compound of RTCP.
    pub(crate) async fn report(&mut self, compound: &[u8]) {
        let mut packet = [compound, &[0; SRTP_OVERHEAD]].concat();
        let len = self.transport.protect_rtcp(&mut packet, compound.len()).unwrap();
        self.wire.send(self.remote(), &packet[..len]).await;
    }

    /// Sends bytes as they are, from the address that ICE has validated.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.wire.send(self.remote(), bytes).await;
    }

    async fn settle(&mut self) {
        while let Some(transmit) = self.transport.poll_transmit() {
            self.wire.send(transmit.to, &transmit.bytes).await;
        }
        while let Some(event) = self.transport.poll_event() {
            self.events.push(event);
        }
    }

    /// Steps until `look` finds something.
    pub(crate) async fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = look(self) {
                    return found;
                }
                self.step().await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// The next RTP packet.
    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        self.until("a packet", |client| client.packets.pop_front()).await
    }

    /// Sends the next VP8 frame, each in one packet that ends with its number; every 30th is a keyframe. Returns the
    /// datagram.
    pub(crate) async fn film(&mut self) -> Vec<u8> {
        self.film_with(&[]).await
    }

    /// The same with a packet that says that it is of another source (RFC 3550, section 5.1: CSRC).
    pub(crate) async fn film_as(&mut self, csrc: u32) -> Vec<u8> {
        self.film_with(&csrc.to_be_bytes()).await
    }

    async fn film_with(&mut self, csrcs: &[u8]) -> Vec<u8> {
        let number = self.next_frame;
        self.next_frame += 1;
        let mut packet = vec![0x90 | (csrcs.len() / 4) as u8, 0x80 | PAYLOAD_TYPE];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(number.wrapping_mul(3000).to_be_bytes());
        packet.extend(SSRC.to_be_bytes());
        packet.extend(csrcs);
        // One-byte header extension: the mid "0".
        packet.extend([0xBE, 0xDE, 0, 1, 0x10, b'0', 0, 0]);
        packet.extend([0x90, 0x80]);
        packet.extend((number as u16 & 0x7FFF | 0x8000).to_be_bytes());
        if number.is_multiple_of(30) {
            packet.extend([0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xB4, 0x00]);
        } else {
            packet.extend([0x11, 0x02, 0x00]);
        }
        packet.extend([0; 200]);
        packet.extend(number.to_be_bytes());
        let len = packet.len();
        packet.extend([0; SRTP_OVERHEAD]);
        let len = self.transport.protect_rtp(&mut packet, len).unwrap();
        packet.truncate(len);
        self.wire.send(self.remote(), &packet).await;
        packet
    }

    /// Sends a packet of sound, 20 ms after the one before, on the m-line "1".
    pub(crate) async fn speak(&mut self) {
        let number = self.next_sound;
        self.next_sound += 1;
        let mut packet = vec![0x90, SOUND_PAYLOAD_TYPE];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(number.wrapping_mul(960).to_be_bytes());
        packet.extend(SOUND_SSRC.to_be_bytes());
        packet.extend([0xBE, 0xDE, 0, 1, 0x10, b'1', 0, 0]);
        packet.extend([7; 60]);
        let len = packet.len();
        packet.extend([0; SRTP_OVERHEAD]);
        let len = self.transport.protect_rtp(&mut packet, len).unwrap();
        self.wire.send(self.remote(), &packet[..len]).await;
    }

    /// Restarts ICE by PATCH and goes on from `wire`; the checks with the new credentials have to succeed from there.
    pub(crate) async fn restart(&mut self, sfu: &Sfu, wire: Wire) {
        let ice = IceCredentials::random(&mut rand::rng());
        let media = FragmentMedia { mid: "0".parse().unwrap(), candidates: vec![], end_of_candidates: false };
        let fragment = Fragment { ice: Some(ice.clone()), media: vec![media] };
        let mut request = sfu
            .http
            .patch(&self.url)
            .header("content-type", "application/trickle-ice-sdpfrag")
            .header("if-match", &self.etag)
            .body(fragment.to_text());
        if let Some(bearer) = self.bearer {
            request = request.bearer_auth(bearer);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let etag = response.headers().get("etag").unwrap().to_str().unwrap().to_owned();
        assert_ne!(std::mem::replace(&mut self.etag, etag.clone()), etag);
        let answer = Fragment::parse(&response.text().await.unwrap()).unwrap();
        let remote = answer.ice.unwrap();
        assert_ne!(remote, self.negotiated.remote.ice);
        assert!(!answer.media[0].candidates.is_empty());
        self.wire = wire;
        self.transport.restart_ice(&ice, &remote, Instant::now());
        self.negotiated.remote.ice = remote;
        self.transport.handle_timeout(Instant::now());
        self.settle().await;
    }
}

/// The number of the frame of [`Light::film`] in a packet, as it reaches a viewer.
pub(crate) fn frame_number(packet: &[u8]) -> u32 {
    let is_padded = packet[0] & 0x20 != 0;
    let padding = if is_padded { usize::from(packet[packet.len() - 1]) } else { 0 };
    let (_, number) = packet[..packet.len() - padding].split_last_chunk().unwrap();
    u32::from_be_bytes(*number)
}

/// Whether an RTP packet of [`Light::film`], as it reaches a viewer, begins a keyframe.
pub(crate) fn is_keyframe(packet: &[u8]) -> bool {
    let extension = if packet[0] & 0x10 != 0 { 4 + 4 * usize::from(packet[15]) } else { 0 };
    let payload = &packet[12 + 4 * usize::from(packet[0] & 0x0F) + extension..];
    // Start of the first partition, and the inverse keyframe bit of the frame header after a 15-bit picture id.
    payload[0] & 0x10 != 0 && payload[4] & 1 == 0
}
