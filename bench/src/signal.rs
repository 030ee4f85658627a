//! WHIP and WHEP: from an offer to a transport's configuration.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rand::Rng as _;
use rtp::{Extension, Extensions, MediaKind};
use transport::sdp::{
    Answer, ClientMedia, ClientOffer, CodecFormat, Direction, Feedback, Msid, PayloadFormat, Source, SsrcPair,
};
use transport::{ClientConfig, Identity};

/// Id of the extension with the transport-wide number, in every offer of ours.
pub(crate) const TRANSPORT_CC: u8 = 3;
/// Id of the mid extension.
pub(crate) const MID: u8 = 1;
/// How long a viewer tries while the broadcast is not there yet.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it takes to connect.
pub(crate) struct Session {
    pub(crate) socket: UdpSocket,
    pub(crate) config: ClientConfig,
    /// SSRC that we send, for a publisher.
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) extensions: Extensions,
}

/// Publishes (`/whip/..`) or plays (`/whep/..`), with the stub's stream key.
pub(crate) async fn open(
    http: &reqwest::Client,
    url: &str,
    identity: &Identity,
    direction: Direction,
) -> anyhow::Result<Session> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let (offer, ssrc) = offer(identity, direction)?;
    let give_up = Instant::now() + PATIENCE;
    let answer = loop {
        let request = http.post(url).header("content-type", "application/sdp");
        // In the development mode viewers need no token.
        let request = if direction.sends() { request.bearer_auth(crate::server::KEY) } else { request };
        let response = request.body(offer.to_sdp()).send().await?;
        let status = response.status();
        let text = response.text().await?;
        if status.as_u16() == 201 {
            break text;
        }
        // No publisher yet, or too many at once.
        if !matches!(status.as_u16(), 409 | 429 | 503) || Instant::now() > give_up {
            bail!("{url} answers {status}: {text}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let negotiated = offer.negotiate(&Answer::parse(&answer)?)?;
    let media = negotiated.media.first().context("an m-line")?;
    let config = offer.transport(identity, &negotiated, socket.local_addr()?, negotiated.udp_candidates());
    let payload_type = media.codecs.first().context("VP8 was refused")?.payload_type;
    Ok(Session { socket, config, ssrc, payload_type, extensions: media.extensions })
}

fn offer(identity: &Identity, direction: Direction) -> anyhow::Result<(ClientOffer, u32)> {
    let mut rng = rand::rng();
    let ssrc = rng.next_u32() | 1;
    let mut extensions = Extensions::default();
    extensions.insert(Extension::Mid, MID);
    extensions.insert(Extension::AbsSendTime, 2);
    extensions.insert(Extension::TransportCc, TRANSPORT_CC);
    let codec = PayloadFormat {
        payload_type: 96,
        format: CodecFormat::Vp8,
        fmtp: String::new(),
        feedback: Feedback::VIDEO,
        rtx: Some(97),
    };
    let sends = direction.sends();
    let media = ClientMedia {
        source: sends.then_some(Source::Camera),
        msid: sends.then(|| Msid { stream: "bench".into(), track: Some("camera".into()) }),
        ssrc: sends.then_some(SsrcPair { media: ssrc, rtx: Some(ssrc.wrapping_add(2)) }),
        ..ClientMedia::new("0".parse()?, MediaKind::Video, direction, vec![codec], extensions)
    };
    Ok((ClientOffer::new(identity, vec![media], &mut rng), ssrc))
}
