//! The small values of an SDP: names, addresses, credentials.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use rtp::{MediaKind, Mid};

use super::{SdpError, Source};
use crate::{Fingerprint, IceCredentials};

/// Audio or video, from the word in an m-line; `None` for data channels and whatever else may stand there.
pub(super) fn media_kind(word: &str) -> Option<MediaKind> {
    [MediaKind::Audio, MediaKind::Video].into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word))
}

/// The word in an m-line.
pub(super) fn media_word(kind: Option<MediaKind>) -> &'static str {
    kind.map_or("application", MediaKind::as_str)
}

/// Whether a source is sound or a picture.
pub(super) fn kind_of(source: Source) -> MediaKind {
    match source {
        Source::Microphone | Source::ScreenAudio => MediaKind::Audio,
        Source::Camera | Source::Screen => MediaKind::Video,
    }
}

/// Direction of an m-line, seen from whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both ways; the default (RFC 8866, 6.7).
    #[default]
    SendRecv,
    /// The writer sends.
    SendOnly,
    /// The writer receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether the writer sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str().eq_ignore_ascii_case(text))
    }
}

/// Who opens the DTLS handshake (RFC 8842).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Either; what an offer says.
    ActPass,
    /// The writer is the DTLS client.
    Active,
    /// The writer is the DTLS server.
    Passive,
}

impl Setup {
    /// The value of `a=setup`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }

    /// What our answer to an offer says. We are the DTLS server for whoever leaves the choice to us; an offer of
    /// `passive` leaves none (RFC 8842, 5.3), and some encoders can only listen.
    #[must_use]
    pub fn answer(self) -> Self {
        match self {
            Self::ActPass | Self::Active => Self::Passive,
            Self::Passive => Self::Active,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::ActPass, Self::Active, Self::Passive]
            .into_iter()
            .find(|setup| setup.as_str().eq_ignore_ascii_case(text))
    }
}

/// The name in `a=mid`: `None` if it is too long for a header extension, and so for a name of ours.
pub(super) fn mid_of_line(text: &str) -> Result<Option<Mid>, SdpError> {
    if text.is_empty() || !text.bytes().all(Mid::allows) {
        return Err(SdpError::Invalid { attribute: "mid" });
    }
    Ok(text.parse().ok())
}

/// Checks lengths and alphabet of ICE credentials (RFC 8839, 5.4), which did not come in an SDP.
///
/// # Errors
/// [`SdpError::Invalid`] names the attribute that they would be.
pub fn ice_credentials(ufrag: &str, pwd: &str) -> Result<IceCredentials, SdpError> {
    // Some clients put `-` and `_` (base64url) into them; no known one anything else outside `ice-char`.
    let chars = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(&b));
    if !(4..=256).contains(&ufrag.len()) || !chars(ufrag) {
        return Err(SdpError::Invalid { attribute: "ice-ufrag" });
    }
    if !(22..=256).contains(&pwd.len()) || !chars(pwd) {
        return Err(SdpError::Invalid { attribute: "ice-pwd" });
    }
    Ok(IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
}

/// How a candidate was found (RFC 8445, 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of the machine itself, or one that is forwarded to it.
    Host,
    /// Seen by a STUN server.
    ServerReflexive,
    /// Seen by the peer.
    PeerReflexive,
    /// On a TURN server.
    Relay,
}

impl CandidateKind {
    const ALL: [Self; 4] = [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relay];

    fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relay => "relay",
        }
    }
}

/// Who opens the stream of a TCP candidate (RFC 6544, 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// The writer.
    Active,
    /// The other side.
    Passive,
    /// Both.
    SimultaneousOpen,
}

impl TcpType {
    const ALL: [Self; 3] = [Self::Active, Self::Passive, Self::SimultaneousOpen];

    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        }
    }
}

/// An ICE candidate (RFC 8839, 5.1), without its extension attributes but for `tcptype`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Foundation, 1 to 32 characters.
    pub foundation: String,
    /// 1 for RTP; others are kept, nobody uses them.
    pub component: u16,
    /// UDP rather than TCP.
    pub udp: bool,
    /// Priority.
    pub priority: u32,
    /// An IP address, or the `.local` name of a browser that hides it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Host, reflexive or relayed.
    pub kind: CandidateKind,
    /// Who opens the stream, of a TCP candidate.
    pub tcp_type: Option<TcpType>,
}

impl Candidate {
    /// The host candidate of address number `index` of an ICE-lite side: the first has the highest priority.
    #[must_use]
    pub fn host(address: SocketAddr, index: usize) -> Self {
        // RFC 8445, 5.1.2.1: type preference 126, local preference, component 1.
        let local = 65535u32.saturating_sub(u32::try_from(index).unwrap_or(65535));
        Self {
            foundation: (index.saturating_add(1)).to_string(),
            component: 1,
            udp: true,
            priority: (126 << 24) + (local << 8) + 255,
            host: address.ip().to_string(),
            port: address.port(),
            kind: CandidateKind::Host,
            tcp_type: None,
        }
    }

    /// The same for TCP: the other side opens the stream. Any UDP candidate is preferred.
    #[must_use]
    pub fn tcp_host(address: SocketAddr, index: usize) -> Self {
        // RFC 6544, 4.2: type preference below UDP's (90, as browsers have it); in the local preference the direction
        // (passive: 4) goes first.
        let other = 8191u32.saturating_sub(u32::try_from(index).unwrap_or(8191));
        Self {
            foundation: format!("tcp{}", index.saturating_add(1)),
            udp: false,
            priority: (90 << 24) + (((4 << 13) + other) << 8) + 255,
            tcp_type: Some(TcpType::Passive),
            ..Self::host(address, index)
        }
    }

    /// Where to send, if the host is an address and the transport UDP.
    #[must_use]
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.address().filter(|_| self.udp)
    }

    /// Where to open a stream to, if the host is an address and the candidate passive TCP.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.address().filter(|_| !self.udp && self.tcp_type == Some(TcpType::Passive))
    }

    fn address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        (self.port != 0).then_some(SocketAddr::new(ip, self.port))
    }

    /// Parses the value of `a=candidate:`, with or without the word in front (browsers' JSON has it).
    ///
    /// # Errors
    /// [`SdpError::Invalid`].
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        Self::fields(text.strip_prefix("candidate:").unwrap_or(text))
            .ok_or(SdpError::Invalid { attribute: "candidate" })
    }

    fn fields(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let foundation = fields.next().filter(|f| f.len() <= 32)?;
        let component = fields.next()?.parse().ok()?;
        let udp = fields.next()?.eq_ignore_ascii_case("udp");
        let priority = fields.next()?.parse().ok()?;
        let host = fields.next().filter(|host| host.len() <= 253 && is_host(host))?;
        let port = fields.next()?.parse().ok()?;
        fields.next().filter(|word| word.eq_ignore_ascii_case("typ"))?;
        let word = fields.next()?;
        let kind = CandidateKind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word))?;
        if !foundation.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        // The extension attributes are pairs of words.
        let mut tcp_type = None;
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            if name.eq_ignore_ascii_case("tcptype") {
                tcp_type = TcpType::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(value));
            }
        }
        let (foundation, host) = (foundation.into(), host.into());
        Some(Self { foundation, component, udp, priority, host, port, kind, tcp_type })
    }
}

fn is_host(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_%".contains(&b))
}

impl fmt::Display for Candidate {
    /// The value after `a=candidate:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, priority, host, port, kind, .. } = self;
        let transport = if self.udp { "udp" } else { "tcp" };
        write!(f, "{foundation} {component} {transport} {priority} {host} {port} typ {}", kind.as_str())?;
        match self.tcp_type {
            Some(kind) => write!(f, " tcptype {}", kind.as_str()),
            None => Ok(()),
        }
    }
}

/// Stream and track of an m-line (RFC 8830).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Msid {
    /// Stream id; in our answers the owner's participant id. `-` is "no stream".
    pub stream: String,
    /// Track id; browsers may leave it out.
    pub track: Option<String>,
}

/// The SSRC of an encoding and of its retransmissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SsrcPair {
    /// The media.
    pub media: u32,
    /// The RTX stream that repairs it, if `a=ssrc-group:FID` names one.
    pub rtx: Option<u32>,
}

/// Our side of a transport: what every m-line of an answer or client offer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Session id for `o=`: random, below 2^63 (RFC 8829, 5.2.1).
    pub session_id: u64,
    /// Session version for `o=`: 1 first, one more at each new description of the session.
    pub version: u64,
    /// Our ICE credentials.
    pub ice: IceCredentials,
    /// Our certificate.
    pub fingerprint: Fingerprint,
    /// Where we are reached, the preferred first. May be empty for a client.
    pub addresses: Vec<SocketAddr>,
    /// Where we wait for streams (ICE over TCP), the preferred first.
    pub tcp_addresses: Vec<SocketAddr>,
}
