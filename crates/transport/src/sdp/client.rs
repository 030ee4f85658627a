//! The client's side: an offer of our own, and what an answer made of it. For the demo publisher, the probe and
//! links between nodes.

use std::net::SocketAddr;

use rand::CryptoRng;
use rtp::{Extensions, MediaKind, Mid, Rid};

use crate::{ClientConfig, DataParameters, IceCredentials, Identity};

use super::write::{Line, Writer};
use super::{
    Answer, Candidate, Direction, Local, MAX_ENCODINGS, Msid, PayloadFormat, Remote, SdpError, Setup, Source,
    SsrcPair,
};

/// An offer to publish (m-lines that send) or to play (m-lines that receive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOffer {
    /// Our ICE and DTLS parameters.
    pub local: Local,
    /// The m-lines, at least one, with distinct mids.
    pub media: Vec<ClientMedia>,
}

/// One m-line of a [`ClientOffer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMedia {
    /// Its name.
    pub mid: Mid,
    /// Audio or video; `None` for data channels, which have none of the rest.
    pub kind: Option<MediaKind>,
    /// What we do.
    pub direction: Direction,
    /// Said with `a=content`, when given.
    pub source: Option<Source>,
    /// Codecs, the preferred first; payload types are distinct over all of the offer.
    pub codecs: Vec<PayloadFormat>,
    /// Header extensions; the same id means the same on all m-lines.
    pub extensions: Extensions,
    /// Stream and track of what we send.
    pub msid: Option<Msid>,
    /// The SSRCs of what we send, without simulcast.
    pub ssrc: Option<SsrcPair>,
    /// Simulcast encodings that we send, at most [`MAX_ENCODINGS`].
    pub rids: Vec<Rid>,
}

/// What the answer agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The other side of the transport.
    pub remote: Remote,
    /// We open the DTLS handshake.
    pub dtls_client: bool,
    /// Every m-line of the offer, in order.
    pub media: Vec<NegotiatedMedia>,
    /// What the answer says about data channels, if both have them.
    pub data: Option<DataParameters>,
}

/// One m-line after the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedMedia {
    /// Its name.
    pub mid: Mid,
    /// What we do now; inactive where the answer rejected it.
    pub direction: Direction,
    /// Codecs that both know, in the answer's order.
    pub codecs: Vec<PayloadFormat>,
    /// Header extensions that both know.
    pub extensions: Extensions,
    /// What the other side sends: stream and track.
    pub msid: Option<Msid>,
    /// What the other side sends: SSRCs.
    pub ssrcs: Vec<SsrcPair>,
    /// What the other side says about the source.
    pub content: Option<Source>,
    /// Encodings that the answer wants of what we offered.
    pub rids: Vec<Rid>,
}

impl ClientMedia {
    /// An m-line that says nothing of what is sent on it: whoever sends adds source, msid, and SSRCs or rids.
    #[must_use]
    pub fn new(
        mid: Mid,
        kind: MediaKind,
        direction: Direction,
        codecs: Vec<PayloadFormat>,
        extensions: Extensions,
    ) -> Self {
        Self {
            mid,
            kind: Some(kind),
            direction,
            source: None,
            codecs,
            extensions,
            msid: None,
            ssrc: None,
            rids: Vec::new(),
        }
    }

    /// The m-line of data channels.
    #[must_use]
    pub fn data_channels(mid: Mid) -> Self {
        let direction = Direction::SendRecv;
        Self { kind: None, ..Self::new(mid, MediaKind::Video, direction, Vec::new(), Extensions::default()) }
    }
}

impl ClientOffer {
    /// An offer of `media` with credentials of its own. It names no candidates: a server that is ICE-lite, as ours,
    /// learns our address from our checks.
    pub fn new(identity: &Identity, media: Vec<ClientMedia>, rng: &mut impl CryptoRng) -> Self {
        let local = Local {
            session_id: rng.next_u64() >> 1,
            version: 1,
            ice: IceCredentials::random(rng),
            fingerprint: identity.fingerprint().clone(),
            addresses: Vec::new(),
            tcp_addresses: Vec::new(),
        };
        Self { local, media }
    }

    /// What the transport of the session is made of, once an answer was agreed to. `identity` is that of the offer,
    /// `local_address` that of the socket, and `remote_candidates` are where to try:
    /// [`Negotiated::udp_candidates`], or some of them.
    #[must_use]
    pub fn transport(
        &self,
        identity: &Identity,
        negotiated: &Negotiated,
        local_address: SocketAddr,
        remote_candidates: Vec<SocketAddr>,
    ) -> ClientConfig {
        ClientConfig {
            identity: identity.clone(),
            local: self.local.ice.clone(),
            remote: negotiated.remote.ice.clone(),
            remote_fingerprint: negotiated.remote.fingerprint.clone(),
            dtls_client: negotiated.dtls_client,
            local_address,
            remote_candidates,
        }
    }

    /// The SDP text.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        let mids: Vec<&str> = self.media.iter().map(|media| media.mid.as_str()).collect();
        let mut out = Writer::default();
        out.session(&self.local, &mids, false);
        for (index, media) in self.media.iter().enumerate() {
            let line = Line::offer(media.kind, &media.mid);
            if media.kind.is_none() {
                out.data_channels(line, &self.local, Setup::ActPass);
                if index == 0 {
                    out.candidates(&self.local);
                }
                continue;
            }
            out.media(line, &media.codecs, &self.local, Setup::ActPass);
            out.line(format_args!("a={}", media.direction.as_str()));
            out.extensions(&media.extensions);
            out.rtcp(true);
            out.codecs(&media.codecs);
            if let Some(source) = media.source {
                out.content(source);
            }
            self.write_sender(&mut out, media);
            if index == 0 {
                out.candidates(&self.local);
            }
        }
        out.finish()
    }

    fn write_sender(&self, out: &mut Writer, media: &ClientMedia) {
        let rids = media.rids.get(..media.rids.len().min(MAX_ENCODINGS)).unwrap_or_default();
        if let (Some(msid), Some(ssrc)) = (&media.msid, media.ssrc) {
            let track = msid.track.as_deref().unwrap_or_default();
            out.sender(&msid.stream, track, &self.local.ice.ufrag, ssrc.media, ssrc.rtx);
        } else if let Some(msid) = &media.msid {
            out.line(format_args!("a=msid:{} {}", msid.stream, msid.track.as_deref().unwrap_or_default()));
        }
        if !rids.is_empty() {
            for rid in rids {
                out.line(format_args!("a=rid:{rid} send"));
            }
            let list: Vec<&str> = rids.iter().map(Rid::as_str).collect();
            out.line(format_args!("a=simulcast:send {}", list.join(";")));
        }
    }

    /// Compares `answer` with this offer.
    ///
    /// # Errors
    /// [`SdpError::Mismatch`] if the answer has other m-lines, [`SdpError::NoUsableMedia`] if it rejects all.
    pub fn negotiate(&self, answer: &Answer) -> Result<Negotiated, SdpError> {
        let same = self.media.len() == answer.media.len()
            && self.media.iter().zip(&answer.media).all(|(ours, theirs)| {
                // A rejected m-line need not repeat its mid.
                theirs.rejected || (ours.mid == theirs.mid && ours.kind == theirs.kind)
            });
        if !same {
            return Err(SdpError::Mismatch("it has other media sections"));
        }
        let remote = answer.remote().cloned().ok_or(SdpError::NoUsableMedia)?;
        let mut media = Vec::with_capacity(self.media.len());
        for (ours, theirs) in self.media.iter().zip(&answer.media) {
            // A payload type of the answer means what the offer said (RFC 3264, 6.1): take what we wrote.
            let known = |theirs: &PayloadFormat| {
                let mut codec =
                    ours.codecs.iter().find(|codec| codec.payload_type == theirs.payload_type)?.clone();
                codec.feedback = codec.feedback.and(theirs.feedback);
                codec.rtx = codec.rtx.filter(|rtx| theirs.rtx == Some(*rtx));
                Some(codec)
            };
            let codecs: Vec<PayloadFormat> = theirs.codecs.iter().filter_map(known).collect();
            let sends = ours.direction.sends() && theirs.direction.receives();
            let receives = ours.direction.receives() && theirs.direction.sends();
            let direction = match (sends, receives) {
                _ if theirs.rejected || codecs.is_empty() => Direction::Inactive,
                (true, true) => Direction::SendRecv,
                (true, false) => Direction::SendOnly,
                (false, true) => Direction::RecvOnly,
                (false, false) => Direction::Inactive,
            };
            let mut extensions = Extensions::default();
            for (extension, id) in ours.extensions.iter() {
                if theirs.extensions.iter().any(|(other, theirs, _)| (*other, *theirs) == (extension, id)) {
                    extensions.insert(extension, id);
                }
            }
            media.push(NegotiatedMedia {
                mid: ours.mid,
                direction,
                codecs,
                extensions,
                msid: theirs.msid.clone(),
                ssrcs: theirs.ssrcs.clone(),
                content: theirs.content,
                rids: theirs.rids.iter().filter(|rid| ours.rids.contains(rid)).cloned().collect(),
            });
        }
        let dtls_client = remote.setup == Setup::Passive;
        let offered = self.media.iter().any(|media| media.kind.is_none());
        let data = answer.data_section().filter(|_| offered).and_then(|(_, section)| section.data);
        Ok(Negotiated { remote, dtls_client, media, data })
    }
}

impl Negotiated {
    /// Where the other side takes UDP, in the order of its answer.
    #[must_use]
    pub fn udp_candidates(&self) -> Vec<SocketAddr> {
        self.remote.candidates.iter().filter_map(Candidate::udp_address).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rtp::Extension;

    use super::super::{CodecFormat, Feedback, Offer, PublishOptions, TcpType, answer_publish};
    use super::*;
    use crate::{AddressPair, Protocol, Received, ServerConfig, Transport};

    fn offer(identity: &Identity) -> ClientOffer {
        let format = CodecFormat::Vp8;
        let codec = PayloadFormat {
            payload_type: 96,
            format,
            fmtp: String::new(),
            feedback: Feedback::VIDEO,
            rtx: Some(97),
        };
        let extensions = Extensions::numbered(&[Extension::Mid, Extension::TransportCc]);
        let mid = "0".parse().unwrap();
        let media = ClientMedia::new(mid, MediaKind::Video, Direction::SendOnly, vec![codec], extensions);
        ClientOffer::new(identity, vec![media], &mut rand::rng())
    }

    #[test]
    fn each_offer_has_credentials_of_its_own() {
        let identity = Identity::generate().unwrap();
        let (one, other) = (offer(&identity), offer(&identity));
        assert_ne!(one.local.ice, other.local.ice);
        assert_ne!(one.local.session_id, other.local.session_id);
        assert!(!one.to_sdp().contains("a=candidate:"));
    }

    /// From an offer to two transports that have found each other.
    #[test]
    fn an_offer_and_its_answer_make_a_connection() {
        let (ours, theirs) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let offer = offer(&ours);
        let (here, there): (SocketAddr, SocketAddr) =
            (([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 2).into());
        let local = Local {
            addresses: vec![there],
            tcp_addresses: vec![there],
            ..ClientOffer::new(&theirs, Vec::new(), &mut rand::rng()).local
        };
        let parsed = Offer::parse(&offer.to_sdp()).unwrap();
        let answer = answer_publish(&parsed, &local, &PublishOptions::default()).unwrap();
        let negotiated = offer.negotiate(&Answer::parse(&answer.text).unwrap()).unwrap();
        assert_eq!(negotiated.udp_candidates(), [there], "the one over TCP is left out");
        assert!(negotiated.remote.candidates.iter().any(|c| c.tcp_type == Some(TcpType::Passive)));

        let now = Instant::now();
        let config = offer.transport(&ours, &negotiated, here, negotiated.udp_candidates());
        let mut client = Transport::client(config, [7; 32], now);
        let config = ServerConfig {
            identity: theirs,
            local: local.ice,
            remote: answer.remote.ice,
            remote_fingerprint: answer.remote.fingerprint,
            dtls_client: !negotiated.dtls_client && answer.remote.setup.answer() == Setup::Active,
        };
        let mut server = Transport::server(config, now);
        client.handle_timeout(now);
        let carry = |from: &mut Transport, to: &mut Transport, remote, local| {
            let path = AddressPair { protocol: Protocol::Udp, local, remote };
            let mut count = 0;
            while let Some(mut transmit) = from.poll_transmit() {
                assert_eq!(to.handle_packet(path, &mut transmit.bytes, now), Received::Nothing);
                count += 1;
            }
            count
        };
        let mut exchanged = 0;
        while !(client.is_connected() && server.is_connected()) {
            let round =
                carry(&mut client, &mut server, here, there) + carry(&mut server, &mut client, there, here);
            assert_ne!(round, 0, "nobody says anything after {exchanged} datagrams");
            exchanged += round;
        }
    }
}
