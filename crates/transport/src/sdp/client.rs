//! The client's side: an offer of our own, and what an answer made of it. For the demo publisher, the probe and
//! links between nodes.

use crate::DataParameters;

use super::description::Remote;
use super::write::Writer;
use super::{
    Answer, Codec, Direction, ExtensionMap, Local, MAX_ENCODINGS, MediaKind, Mid, Msid, Rid, SdpError, Setup,
    Source, SsrcPair,
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
    /// Audio, video, or [`MediaKind::Application`] for data channels, which has none of the rest.
    pub kind: MediaKind,
    /// What we do.
    pub direction: Direction,
    /// Said with `a=content`, when given.
    pub source: Option<Source>,
    /// Codecs, the preferred first; payload types are distinct over all of the offer.
    pub codecs: Vec<Codec>,
    /// Header extensions; the same id means the same on all m-lines.
    pub extensions: ExtensionMap,
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
    pub codecs: Vec<Codec>,
    /// Header extensions that both know.
    pub extensions: ExtensionMap,
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
    /// The m-line of data channels.
    #[must_use]
    pub fn data_channels(mid: Mid) -> Self {
        Self {
            mid,
            kind: MediaKind::Application,
            direction: Direction::SendRecv,
            source: None,
            codecs: Vec::new(),
            extensions: ExtensionMap::default(),
            msid: None,
            ssrc: None,
            rids: Vec::new(),
        }
    }
}

impl ClientOffer {
    /// The SDP text.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        let mids: Vec<&Mid> = self.media.iter().map(|media| &media.mid).collect();
        let mut out = Writer::default();
        out.session(&self.local, &mids, false);
        for (index, media) in self.media.iter().enumerate() {
            if media.kind == MediaKind::Application {
                out.data_channels(&media.mid, &self.local, Setup::ActPass);
                if index == 0 {
                    out.candidates(&self.local);
                }
                continue;
            }
            out.media(media.kind, &media.codecs, &media.mid, &self.local, Setup::ActPass);
            out.line(format_args!("a={}", media.direction.as_str()));
            out.extensions(&media.extensions);
            out.rtcp();
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
                ours.mid == theirs.mid && (ours.kind == theirs.kind || theirs.rejected)
            });
        if !same {
            return Err(SdpError::Mismatch("it has other media sections"));
        }
        let remote = answer.remote().cloned().ok_or(SdpError::NoUsableMedia)?;
        let mut media = Vec::with_capacity(self.media.len());
        for (ours, theirs) in self.media.iter().zip(&answer.media) {
            // A payload type of the answer means what the offer said (RFC 3264, 6.1): take what we wrote.
            let known = |theirs: &Codec| {
                let mut codec =
                    ours.codecs.iter().find(|codec| codec.payload_type == theirs.payload_type)?.clone();
                codec.feedback = codec.feedback.and(theirs.feedback);
                codec.rtx = codec.rtx.filter(|rtx| theirs.rtx == Some(*rtx));
                Some(codec)
            };
            let codecs: Vec<Codec> = theirs.codecs.iter().filter_map(known).collect();
            let sends = ours.direction.sends() && theirs.direction.receives();
            let receives = ours.direction.receives() && theirs.direction.sends();
            let direction = match (sends, receives) {
                _ if theirs.rejected || codecs.is_empty() => Direction::Inactive,
                (true, true) => Direction::SendRecv,
                (true, false) => Direction::SendOnly,
                (false, true) => Direction::RecvOnly,
                (false, false) => Direction::Inactive,
            };
            let mut extensions = ExtensionMap::default();
            for (extension, id) in ours.extensions.iter() {
                if theirs.extensions.iter().any(|(other, theirs, _)| (*other, *theirs) == (extension, id)) {
                    extensions.insert(extension, id);
                }
            }
            media.push(NegotiatedMedia {
                mid: ours.mid.clone(),
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
        let offered = self.media.iter().any(|media| media.kind == MediaKind::Application);
        let data = answer.data_section().filter(|_| offered).and_then(|section| section.data);
        Ok(Negotiated { remote, dtls_client, media, data })
    }
}
