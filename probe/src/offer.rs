//! Offers of publishers and viewers, and what their answers made of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use contract::call::SlotKind;
use rand::Rng as _;
use rtp::{Extension, Extensions, MediaKind, Rid};
use transport::sdp::{
    Answer, ClientMedia, ClientOffer, CodecFormat, Direction, Feedback, H264Profile, Msid, Negotiated,
    NegotiatedMedia, PayloadFormat, SdpError, Source, SsrcPair,
};
use transport::{ClientConfig, Identity};

use crate::call::seat::Seat;
use crate::publisher::{ExtensionIds, PublisherParams, StreamParams};
use crate::scenario::{Publish, Video};
use crate::viewer::{StreamConfig, ViewerConfig};

const OPUS: u8 = 111;

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It does not parse, or does not fit the offer.
    #[error("the answer is refused: {0}")]
    Sdp(#[from] SdpError),
    /// It takes nothing of what was offered.
    #[error("the answer accepts none of the offered media")]
    NoMedia,
    /// It names no UDP address to send to.
    #[error("the answer has no UDP candidate")]
    NoCandidate,
}

/// An offer that waits for its answer.
#[derive(Debug, Clone)]
pub struct Proposal {
    offer: ClientOffer,
    /// Seed of the ICE agent, SSRC base and so on.
    pub(crate) seed: [u8; 32],
    publishes: bool,
    ssrc: u32,
    /// In a call: what the m-lines are for.
    slots: Vec<SlotKind>,
}

/// What an answer agreed to.
#[derive(Debug)]
pub struct Agreed {
    pub(crate) proposal: Proposal,
    pub(crate) negotiated: Negotiated,
    pub(crate) candidates: Vec<SocketAddr>,
    /// In a call: whose it is.
    pub(crate) seat: Option<Arc<Seat>>,
}

impl Proposal {
    /// An offer to publish what `publish` says, video in `format`.
    #[must_use]
    pub fn publish(identity: &Identity, publish: &Publish, format: CodecFormat) -> Self {
        let mut proposal = Self::new(identity, true);
        let extensions = Extensions::numbered(&[
            Extension::Mid,
            Extension::Rid,
            Extension::RepairedRid,
            Extension::TransportCc,
            Extension::AbsCaptureTime,
            Extension::AudioLevel,
        ]);
        let base = proposal.ssrc;
        let pair = |offset: u32, rtx: bool| SsrcPair {
            media: base.wrapping_add(offset),
            rtx: rtx.then(|| base.wrapping_add(offset + 1)),
        };
        let media = |mid: &str, kind, source, codecs| ClientMedia {
            source: Some(source),
            msid: Some(Msid { stream: "probe".into(), track: Some(format!("probe-{mid}")) }),
            ..line(mid, kind, Direction::SendOnly, codecs, extensions)
        };
        if publish.audio {
            let audio = media("0", MediaKind::Audio, Source::Microphone, vec![opus()]);
            // Sound is repeated as it was, so nothing that changes may be in it.
            let fixed = [Extension::Mid, Extension::AbsCaptureTime, Extension::AudioLevel];
            let extensions = extensions.only(|extension, _| fixed.contains(&extension));
            proposal.offer.media.push(ClientMedia { ssrc: Some(pair(0, false)), extensions, ..audio });
        }
        if publish.video != Video::None {
            let codec = video_codecs().into_iter().find(|codec| codec.format == format);
            let video = media("1", MediaKind::Video, Source::Camera, codec.into_iter().collect());
            let extensions = extensions.only(|extension, _| extension != Extension::AudioLevel);
            let rids: Vec<Rid> = publish.simulcast.iter().filter_map(|rid| rid.parse().ok()).collect();
            let ssrc = rids.is_empty().then(|| pair(2, true));
            proposal.offer.media.push(ClientMedia { ssrc, rids, extensions, ..video });
        }
        proposal
    }

    /// An offer to watch one picture and one sound, in any codec.
    #[must_use]
    pub fn view(identity: &Identity, transport_cc: bool) -> Self {
        let mut proposal = Self::new(identity, false);
        let mut wanted = vec![Extension::Mid, Extension::AbsCaptureTime];
        wanted.extend(transport_cc.then_some(Extension::TransportCc));
        let extensions = Extensions::numbered(&wanted);
        for (mid, kind, codecs) in
            [("0", MediaKind::Audio, vec![opus()]), ("1", MediaKind::Video, video_codecs())]
        {
            let codecs = codecs.into_iter().map(|codec| with_transport_cc(codec, transport_cc)).collect();
            proposal.offer.media.push(line(mid, kind, Direction::RecvOnly, codecs, extensions));
        }
        proposal
    }

    /// An offer to receive through slots, and to say what they show, as pages should make it: in few codecs.
    #[must_use]
    pub fn slots(identity: &Identity, transport_cc: bool, slots: &[SlotKind]) -> Self {
        let mut proposal = Self::new(identity, false);
        let mut wanted = vec![Extension::Mid, Extension::AbsCaptureTime];
        wanted.extend(transport_cc.then_some(Extension::TransportCc));
        let extensions = Extensions::numbered(&wanted);
        let mut video = video_codecs();
        video.retain(|codec| matches!(codec.format, CodecFormat::Vp8 | CodecFormat::H264(_)));
        for (index, slot) in slots.iter().enumerate() {
            let kind = if slot.is_audio() { MediaKind::Audio } else { MediaKind::Video };
            let codecs = if slot.is_audio() { vec![opus()] } else { video.clone() };
            let codecs = codecs.into_iter().map(|codec| with_transport_cc(codec, transport_cc)).collect();
            proposal.offer.media.push(line(
                &index.to_string(),
                kind,
                Direction::RecvOnly,
                codecs,
                extensions,
            ));
        }
        let mid = slots.len().to_string().parse().expect("digits are a mid");
        proposal.offer.media.push(ClientMedia::data_channels(mid));
        proposal.slots = slots.to_vec();
        proposal
    }

    fn new(identity: &Identity, publishes: bool) -> Self {
        let mut rng = rand::rng();
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let offer = ClientOffer::new(identity, Vec::new(), &mut rng);
        // Room for the streams above it without a wrap to 0, which some receivers take for "none".
        let ssrc = (rng.next_u32() | 1) & 0x7FFF_FFFF;
        Self { offer, seed, publishes, ssrc, slots: Vec::new() }
    }

    /// The offer as text.
    #[must_use]
    pub fn sdp(&self) -> String {
        self.offer.to_sdp()
    }

    /// Compares the server's answer with the offer.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn accept(self, answer: &str) -> Result<Agreed, AnswerError> {
        let negotiated = self.offer.negotiate(&Answer::parse(answer)?)?;
        let wanted = if self.publishes { Direction::SendOnly } else { Direction::RecvOnly };
        if negotiated.media.iter().all(|media| media.direction != wanted) {
            return Err(AnswerError::NoMedia);
        }
        let all = negotiated.udp_candidates();
        // A server on this machine: over loopback, where many clients share a socket.
        let near: Vec<SocketAddr> = all.iter().copied().filter(|address| is_loopback(*address)).collect();
        let candidates = if near.is_empty() { all } else { near };
        if candidates.is_empty() {
            return Err(AnswerError::NoCandidate);
        }
        Ok(Agreed { proposal: self, negotiated, candidates, seat: None })
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback())
}

impl Agreed {
    /// The same of a caller.
    pub(crate) fn of(self, seat: &Arc<Seat>) -> Self {
        Self { seat: Some(Arc::clone(seat)), ..self }
    }

    /// The slots that were agreed to, by mid, in the order of [`ViewerConfig::streams`].
    pub(crate) fn slots(&self) -> Vec<(String, SlotKind)> {
        let media = self.proposal.slots.iter().zip(&self.negotiated.media);
        let agreed = media.filter(|(_, media)| media.direction == Direction::RecvOnly);
        agreed.map(|(kind, media)| (media.mid.to_string(), *kind)).collect()
    }

    /// What its transport is made of, on a socket with the address `local`.
    pub(crate) fn transport(&self, identity: &Identity, local: SocketAddr) -> ClientConfig {
        self.proposal.offer.transport(identity, &self.negotiated, local, self.candidates.clone())
    }

    /// Whether the server is reached over IPv4 loopback.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.candidates.iter().any(|address| is_loopback(*address))
    }

    /// Any address of the server: its family is that of the socket to use.
    #[must_use]
    pub fn server(&self) -> Option<SocketAddr> {
        self.candidates.first().copied()
    }

    /// What to send; `None` for a viewer.
    pub(crate) fn publisher(&self) -> Option<PublisherParams> {
        if !self.proposal.publishes {
            return None;
        }
        let mut params = PublisherParams {
            video: Vec::new(),
            audio: None,
            cname: self.proposal.offer.local.ice.ufrag.clone(),
            seat: self.seat.clone(),
        };
        // The server may want fewer encodings than were offered; a WHIP server that ignores simulcast gets all of
        // them without rids refused, so it gets the largest only.
        for (ours, theirs) in self.proposal.offer.media.iter().zip(&self.negotiated.media) {
            if theirs.direction != Direction::SendOnly {
                continue;
            }
            let Some(codec) = theirs.codecs.first() else { continue };
            if ours.kind == Some(MediaKind::Audio) {
                params.audio = ours.ssrc.map(|ssrc| stream(theirs, codec, ssrc, None));
            } else if let Some(ssrc) = ours.ssrc {
                params.video.push(stream(theirs, codec, ssrc, None));
            } else {
                for (index, rid) in (0u32..).zip(&ours.rids).filter(|(_, rid)| theirs.rids.contains(rid)) {
                    let media = self.proposal.ssrc.wrapping_add(2 + 2 * index);
                    let ssrc = SsrcPair { media, rtx: Some(media.wrapping_add(1)) };
                    params.video.push(stream(theirs, codec, ssrc, Some(rid.to_string())));
                }
                if theirs.rids.is_empty() {
                    let media = self.proposal.ssrc.wrapping_add(2);
                    let ssrc = SsrcPair { media, rtx: Some(media.wrapping_add(1)) };
                    params.video.push(stream(theirs, codec, ssrc, None));
                }
            }
        }
        Some(params)
    }

    /// What to expect; `None` for a publisher.
    pub(crate) fn viewer(&self) -> Option<ViewerConfig> {
        if self.proposal.publishes {
            return None;
        }
        let mut config = ViewerConfig { ssrc: self.proposal.ssrc, ..ViewerConfig::default() };
        for media in self.negotiated.media.iter().filter(|media| media.direction == Direction::RecvOnly) {
            config.transport_cc = config.transport_cc.or(media.extensions.id(Extension::TransportCc));
            config.capture_time = config.capture_time.or(media.extensions.id(Extension::AbsCaptureTime));
            let declared = media.ssrcs.first();
            config.streams.push(StreamConfig {
                ssrc: declared.map(|pair| pair.media),
                rtx_ssrc: declared.and_then(|pair| pair.rtx),
                codecs: media.codecs.iter().map(|codec| (codec.payload_type, codec.format)).collect(),
                rtx_payload_types: media.codecs.iter().filter_map(|codec| codec.rtx).collect(),
            });
        }
        Some(config)
    }
}

fn stream(
    media: &NegotiatedMedia,
    codec: &PayloadFormat,
    ssrc: SsrcPair,
    rid: Option<String>,
) -> StreamParams {
    let mut rng = rand::rng();
    let id = |extension| media.extensions.id(extension);
    StreamParams {
        ssrc: ssrc.media,
        payload_type: codec.payload_type,
        rtx: codec.rtx.zip(ssrc.rtx),
        mid: media.mid.to_string(),
        rid,
        extensions: ExtensionIds {
            mid: id(Extension::Mid),
            rid: id(Extension::Rid),
            repaired_rid: id(Extension::RepairedRid),
            transport_cc: id(Extension::TransportCc),
            capture_time: id(Extension::AbsCaptureTime),
            level: id(Extension::AudioLevel),
        },
        // Below 2^15, so that an early loss cannot be taken for a wrap (RFC 3711, 3.3.1).
        first_sequence: (rng.next_u32() & 0x7FFF) as u16,
        first_timestamp: rng.next_u32(),
    }
}

fn line(
    mid: &str,
    kind: MediaKind,
    direction: Direction,
    codecs: Vec<PayloadFormat>,
    extensions: Extensions,
) -> ClientMedia {
    ClientMedia::new(mid.parse().expect("a digit is a mid"), kind, direction, codecs, extensions)
}

fn opus() -> PayloadFormat {
    PayloadFormat {
        payload_type: OPUS,
        format: CodecFormat::Opus,
        fmtp: "minptime=10;useinbandfec=1".into(),
        feedback: Feedback::AUDIO,
        rtx: None,
    }
}

/// What can be published, and what a viewer takes.
fn video_codecs() -> Vec<PayloadFormat> {
    let h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    [
        (96, CodecFormat::Vp8, ""),
        (98, CodecFormat::Vp9, "profile-id=0"),
        (102, CodecFormat::H264(H264Profile::ConstrainedBaseline), h264),
        (45, CodecFormat::Av1, ""),
    ]
    .into_iter()
    .map(|(payload_type, format, fmtp)| PayloadFormat {
        payload_type,
        format,
        fmtp: fmtp.into(),
        feedback: Feedback::VIDEO,
        rtx: Some(payload_type + 1),
    })
    .collect()
}

fn with_transport_cc(mut codec: PayloadFormat, transport_cc: bool) -> PayloadFormat {
    codec.feedback.transport_cc &= transport_cc;
    codec
}
