//! One WHIP session: the offer, the transport over a UDP socket, and the clip on it until somebody ends it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rand::Rng as _;
use rtp::{Extension, Extensions, MediaKind, Mid, ntp};
use tokio::net::UdpSocket;
use tokio::time::{Instant as TokioInstant, sleep_until};
use tokio_util::sync::CancellationToken;
use transport::sdp::{
    Answer, ClientMedia, ClientOffer, CodecFormat, Direction, Feedback, Msid, Negotiated, PayloadFormat,
    SdpError, Source, SsrcPair,
};
use transport::{CloseReason, Event, Identity, Received, SRTP_OVERHEAD, Transport};

use super::clip::Clip;
use super::stream::{Outgoing, Params, Stream, Track};

/// Largest datagram that is read.
const MAX_DATAGRAM: usize = 2_048;
/// Until ICE and DTLS must have connected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the answer is refused: {0}")]
    Answer(#[from] SdpError),
    #[error("the server does not take VP9 and Opus")]
    Codecs,
    #[error("the answer has no usable candidate")]
    NoCandidate,
    #[error("no connection within 15 s")]
    NotConnected,
    #[error("the transport ended: {0}")]
    Closed(CloseReason),
    #[error("the socket failed: {0}")]
    Socket(#[from] io::Error),
}

/// What was offered, until the answer is there.
pub(super) struct Proposal {
    offer: ClientOffer,
    seed: [u8; 32],
}

impl Proposal {
    /// Fresh credentials, SSRCs and numbers.
    pub(super) fn new(identity: &Identity) -> Self {
        let mut rng = rand::rng();
        // Three different ones; 0 is avoided because some receivers take it for "none".
        let ssrc = rng.next_u32() | 1;
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let extensions = Extensions::numbered(&[Extension::Mid, Extension::AbsCaptureTime]);
        let media = |mid: &str, kind, source, codec, ssrc| {
            let name = mid.parse().expect("a digit is a mid");
            ClientMedia {
                source: Some(source),
                msid: Some(Msid { stream: "demo".into(), track: Some(format!("demo-{mid}")) }),
                ssrc: Some(ssrc),
                ..ClientMedia::new(name, kind, Direction::SendOnly, vec![codec], extensions)
            }
        };
        let opus = PayloadFormat {
            payload_type: 111,
            format: CodecFormat::Opus,
            fmtp: "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1".into(),
            feedback: Feedback::default(),
            rtx: None,
        };
        let vp9 = PayloadFormat {
            payload_type: 98,
            format: CodecFormat::Vp9,
            fmtp: "profile-id=0".into(),
            feedback: Feedback { transport_cc: false, ..Feedback::VIDEO },
            rtx: Some(99),
        };
        let audio_ssrc = SsrcPair { media: ssrc, rtx: None };
        let video_ssrc = SsrcPair { media: ssrc.wrapping_add(2), rtx: Some(ssrc.wrapping_add(4)) };
        let media = vec![
            media("0", MediaKind::Audio, Source::Microphone, opus, audio_ssrc),
            media("1", MediaKind::Video, Source::Camera, vp9, video_ssrc),
        ];
        Self { offer: ClientOffer::new(identity, media, &mut rng), seed }
    }

    pub(super) fn sdp(&self) -> String {
        self.offer.to_sdp()
    }

    /// What the answer made of it.
    fn params(&self, negotiated: &Negotiated) -> Result<Params, SessionError> {
        let mut rng = rand::rng();
        let mut track = |index: usize| {
            let (ours, theirs) = (self.offer.media.get(index)?, negotiated.media.get(index)?);
            let codec = theirs.codecs.first()?;
            let ssrc = ours.ssrc?;
            let mid = theirs.extensions.id(Extension::Mid);
            (theirs.direction == Direction::SendOnly).then(|| Track {
                ssrc: ssrc.media,
                payload_type: codec.payload_type,
                rtx: codec.rtx.zip(ssrc.rtx),
                mid: mid.zip(Mid::new(ours.mid.as_str().as_bytes()).ok()),
                capture_time: theirs.extensions.id(Extension::AbsCaptureTime),
                // Below 2^15, so that an early loss cannot be taken for a wrap (RFC 3711, 3.3.1).
                first_sequence: (rng.next_u32() & 0x7FFF) as u16,
                first_timestamp: rng.next_u32(),
            })
        };
        let (audio, video) = (track(0), track(1));
        let (Some(audio), Some(video)) = (audio, video) else { return Err(SessionError::Codecs) };
        let cname = self.offer.local.ice.ufrag.clone();
        let seed = (rng.next_u32() & 0x7FFF) as u16;
        Ok(Params { video, audio, cname, seed })
    }

    /// Connects and sends the clip until `shutdown` (which is no error) or the end of the transport. Tells
    /// `on_connected` once when media begins to flow.
    pub(super) async fn send(
        &self,
        identity: &Identity,
        answer: &str,
        server: Option<IpAddr>,
        clip: Arc<Clip>,
        shutdown: &CancellationToken,
        on_connected: impl FnOnce(),
    ) -> Result<(), SessionError> {
        let negotiated = self.offer.negotiate(&Answer::parse(answer)?)?;
        let params = self.params(&negotiated)?;
        let candidates = candidates(&negotiated, server);
        let family = candidates.first().ok_or(SessionError::NoCandidate)?;
        let any: IpAddr = match family {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        // The local address is only a label here: the kernel chooses the source address by destination.
        let config = self.offer.transport(identity, &negotiated, socket.local_addr()?, candidates);
        let transport = Transport::client(config, self.seed, Instant::now());
        let mut pump = Pump { socket, transport, stream: None, clip, params: Some(params) };
        pump.run(shutdown, on_connected).await
    }
}

/// Where to try, best first. The server's HTTP address with the media port comes first: on the machine itself it works
/// even where the announced public address does not lead back.
fn candidates(negotiated: &Negotiated, server: Option<IpAddr>) -> Vec<SocketAddr> {
    let announced = negotiated.udp_candidates();
    let port = announced.first().map(SocketAddr::port);
    let near = server.zip(port).map(|(ip, port)| SocketAddr::new(ip, port));
    let mut all: Vec<SocketAddr> = near.into_iter().collect();
    for address in announced {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

struct Pump {
    socket: UdpSocket,
    transport: Transport,
    stream: Option<Stream>,
    clip: Arc<Clip>,
    params: Option<Params>,
}

impl Pump {
    async fn run(
        &mut self,
        shutdown: &CancellationToken,
        on_connected: impl FnOnce(),
    ) -> Result<(), SessionError> {
        let local = self.socket.local_addr()?;
        let give_up = Instant::now() + CONNECT_TIMEOUT;
        let mut on_connected = Some(on_connected);
        let mut buffer = vec![0; MAX_DATAGRAM];
        self.transport.handle_timeout(Instant::now());
        loop {
            if self.drain().await?
                && let Some(tell) = on_connected.take()
            {
                tell();
            }
            let mut deadline = self.transport.poll_timeout();
            match &self.stream {
                Some(stream) => deadline = deadline.into_iter().chain([stream.poll_timeout()]).min(),
                None if Instant::now() >= give_up => return Err(SessionError::NotConnected),
                None => deadline = deadline.into_iter().chain([give_up]).min(),
            }
            let wake = deadline.unwrap_or(give_up);
            tokio::select! {
                () = shutdown.cancelled() => {
                    self.transport.close(Instant::now());
                    self.transmit().await;
                    return Ok(());
                }
                () = sleep_until(TokioInstant::from_std(wake)) => {}
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.receive(from, local, buffer.get_mut(..length).unwrap_or_default()),
                    // An ICMP error of an earlier datagram: ICE decides whether the path is lost.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error.into()),
                },
            }
            let now = Instant::now();
            self.transport.handle_timeout(now);
            if let Some(stream) = &mut self.stream {
                stream.handle_timeout(now);
            }
        }
    }

    fn receive(&mut self, from: SocketAddr, local: SocketAddr, datagram: &mut [u8]) {
        let received = self.transport.handle_datagram(from, local, datagram, Instant::now());
        if let (Received::Rtcp(compound), Some(stream)) = (received, &mut self.stream) {
            stream.handle_rtcp(compound);
        }
    }

    /// Sends what waits and takes events. Returns whether the transport is connected.
    async fn drain(&mut self) -> Result<bool, SessionError> {
        while let Some(event) = self.transport.poll_event() {
            match event {
                Event::Connected(_) => self.start(),
                Event::Closed(reason) => {
                    self.transmit().await;
                    return Err(SessionError::Closed(reason));
                }
                // Addresses, and data channels, which the demo does not offer.
                _ => {}
            }
        }
        self.transmit().await;
        self.send_media().await;
        Ok(self.stream.is_some())
    }

    fn start(&mut self) {
        let Some(params) = self.params.take() else { return };
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = Instant::now();
        let mut stream = Stream::new(Arc::clone(&self.clip), params, now, ntp::from_unix(unix));
        stream.handle_timeout(now);
        self.stream = Some(stream);
    }

    async fn transmit(&mut self) {
        while let Some(transmit) = self.transport.poll_transmit() {
            self.send_to(&transmit.bytes, transmit.to).await;
        }
    }

    async fn send_media(&mut self) {
        let Some(pair) = self.transport.remote_address() else { return };
        while let Some(outgoing) = self.stream.as_mut().and_then(Stream::poll_packet) {
            let (mut bytes, is_rtp) = match outgoing {
                Outgoing::Rtp(bytes) => (bytes, true),
                Outgoing::Rtcp(bytes) => (bytes, false),
            };
            let length = bytes.len();
            bytes.resize(length + SRTP_OVERHEAD, 0);
            let protected = if is_rtp {
                self.transport.protect_rtp(&mut bytes, length)
            } else {
                self.transport.protect_rtcp(&mut bytes, length)
            };
            match protected {
                Ok(length) => self.send_to(bytes.get(..length).unwrap_or_default(), pair.remote).await,
                Err(error) => tracing::debug!(%error, "demo packet not protected"),
            }
        }
    }

    /// A datagram that the network does not take now is lost like any other: checks and NACKs make up for it.
    async fn send_to(&self, bytes: &[u8], to: SocketAddr) {
        if let Err(error) = self.socket.send_to(bytes, to).await {
            tracing::trace!(%error, "demo datagram not sent");
        }
    }
}
