//! The answer to a viewer (WHEP).

use rtp::{Extension, Extensions, MediaKind, Mid};

use crate::DataParameters;

use super::section::one_byte;
use super::types::kind_of;
use super::write::{Line, Writer};
use super::{
    CodecFormat, Direction, Feedback, Local, MediaSection, Offer, PayloadFormat, Remote, SdpError, Setup,
    Source,
};

/// Header extensions that a viewer gets: those of simulcast stay behind, it receives one encoding.
pub const PLAY_EXTENSIONS: [Extension; 10] = [
    Extension::Mid,
    Extension::TransportCc,
    Extension::AbsSendTime,
    Extension::AbsCaptureTime,
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::DependencyDescriptor,
    Extension::ColorSpace,
    Extension::VideoContentType,
];

/// A published track, and the SSRCs under which this viewer will get it. It need not flow yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayTrack {
    /// Track id: the second word of the msid.
    pub id: String,
    /// Participant id of its owner: the first word of the msid, and the CNAME (tracks of one owner are in sync).
    pub owner: String,
    /// Where it comes from; also says whether it is audio or video.
    pub source: Source,
    /// Its codec.
    pub format: CodecFormat,
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of its retransmissions, used if the viewer knows RTX.
    pub rtx_ssrc: u32,
}

/// An answer to a viewer, and what was agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayAnswer {
    /// The SDP to send back.
    pub text: String,
    /// The viewer's side of the transport.
    pub remote: Remote,
    /// The m-lines that carry a track, in the order of the offer.
    pub media: Vec<PlayMedia>,
    /// Header extension ids that hold on every m-line.
    pub extensions: Extensions,
    /// The viewer takes RTCP of reduced size on every m-line.
    pub reduced_size: bool,
    /// Tracks that found no m-line.
    pub undecodable: Vec<Undecodable>,
    /// What the viewer says about data channels, if it offers them.
    pub data: Option<DataParameters>,
}

/// One agreed m-line of a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayMedia {
    /// Position among the m-lines of the offer.
    pub index: usize,
    /// Name of the m-line.
    pub mid: Mid,
    /// Position of its track in the list that was passed in.
    pub track: usize,
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of the retransmissions, if the viewer knows RTX for the published codec.
    pub rtx_ssrc: Option<u32>,
    /// What may be sent: the published codec first, then one payload type of each other codec that the viewer decodes,
    /// so that a publisher who comes back with another codec goes on without renegotiation.
    pub codecs: Vec<PayloadFormat>,
    /// Header extensions of this m-line.
    pub extensions: Extensions,
}

impl PlayMedia {
    /// The payload type under which a stream of `format` is sent, if the viewer decodes it.
    #[must_use]
    pub fn codec(&self, format: CodecFormat) -> Option<&PayloadFormat> {
        best(&self.codecs, format)
    }
}

/// A track that this viewer cannot get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable {
    /// Position of the track in the list that was passed in.
    pub track: usize,
    /// Its codec.
    pub format: CodecFormat,
    /// Why.
    pub reason: UndecodableReason,
}

/// Why a viewer cannot get a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndecodableReason {
    /// The viewer offers too few receiving m-lines of the kind.
    NoMediaSection,
    /// The viewer has such m-lines, none with the codec.
    NoCodec,
}

impl PlayAnswer {
    /// The first of the `published` tracks that this viewer cannot decode, if it gets no other of them of that kind: the
    /// case for a refusal in words ("this browser cannot decode H264") rather than a black picture. They come first in
    /// the list that was answered; an m-line kept for a track that nobody sends yet shows nothing.
    #[must_use]
    pub fn refusal(&self, published: &[PlayTrack]) -> Option<Undecodable> {
        let kind = |track: usize| published.get(track).map(|track| kind_of(track.source));
        let is_played = |wanted| self.media.iter().any(|media| kind(media.track) == Some(wanted));
        let codec = self.undecodable.iter().filter(|track| track.reason == UndecodableReason::NoCodec);
        codec.copied().find(|track| kind(track.track).is_some_and(|kind| !is_played(kind)))
    }
}

/// Answers a viewer's offer.
///
/// Each track, in the order given, takes the first free receiving m-line of its kind that decodes it; a viewer may
/// ask for a source with `a=content` on its m-line. M-lines left over stay in the bundle as inactive. A publisher's
/// idle tracks (a screen not yet shared) are assigned like the others, so that they start without renegotiation.
///
/// # Errors
/// [`SdpError::NotCarried`] when all m-lines that receive pictures, or sound, have codecs only that we do not carry,
/// [`SdpError::NoUsableMedia`] when none receives, [`SdpError::BothLite`].
pub fn answer_play(offer: &Offer, local: &Local, tracks: &[PlayTrack]) -> Result<PlayAnswer, SdpError> {
    offer.require_full_agent()?;
    offer.require_carried(|section| section.direction.receives())?;
    let usable: Vec<(usize, &MediaSection)> =
        offer.media.iter().enumerate().filter(|(_, section)| usable(section)).collect();
    if usable.is_empty() {
        return Err(SdpError::NoUsableMedia);
    }
    let mut media: Vec<PlayMedia> = Vec::new();
    let mut undecodable = Vec::new();
    for (number, track) in tracks.iter().enumerate() {
        match assign(track, &usable, &media) {
            Ok((index, section)) => {
                let ssrcs = (track.ssrc, track.rtx_ssrc);
                media.push(agree(offer, (index, section), number, track.format, ssrcs));
            }
            Err(reason) => undecodable.push(Undecodable { track: number, format: track.format, reason }),
        }
    }
    media.sort_by_key(|media| media.index);
    let extensions = extensions_of(&media)?;
    let data = offer.data_section().map(|(index, _)| index);
    let accepted =
        offer.bundle(|index| data == Some(index) || usable.iter().any(|(usable, _)| *usable == index));
    let remote = offer.remote(&accepted)?;
    let text = write(offer, local, remote.setup.answer(), tracks, &media, &accepted);
    let reduced_size = usable.iter().all(|(_, section)| section.reduced_size);
    let data = offer.data_section().and_then(|(_, section)| section.data);
    Ok(PlayAnswer { text, remote, media, extensions, reduced_size, undecodable, data })
}

/// The header extensions of all m-lines: an id means one thing in a bundle.
pub(super) fn extensions_of(media: &[PlayMedia]) -> Result<Extensions, SdpError> {
    let mut extensions = Extensions::default();
    for (extension, id) in media.iter().flat_map(|media| media.extensions.iter()) {
        if !extensions.insert(extension, id) {
            return Err(SdpError::ExtensionConflict(id));
        }
    }
    Ok(extensions)
}

pub(super) fn usable(section: &MediaSection) -> bool {
    section.remote.is_some() && section.direction.receives() && !section.codecs.is_empty()
}

pub(super) fn best(codecs: &[PayloadFormat], format: CodecFormat) -> Option<&PayloadFormat> {
    let suits = codecs.iter().filter_map(|codec| Some((codec.format.decodes(format)?, codec)));
    suits.min_by_key(|(distance, _)| *distance).map(|(_, codec)| codec)
}

fn assign<'a>(
    track: &PlayTrack,
    usable: &[(usize, &'a MediaSection)],
    taken: &[PlayMedia],
) -> Result<(usize, &'a MediaSection), UndecodableReason> {
    let free = || {
        usable.iter().filter(|(index, section)| {
            let asked = section.content.is_none_or(|content| content == track.source);
            section.kind == Some(kind_of(track.source))
                && asked
                && taken.iter().all(|media| media.index != *index)
        })
    };
    if free().next().is_none() {
        return Err(UndecodableReason::NoMediaSection);
    }
    let decodes = |(_, section): &&(usize, &MediaSection)| best(&section.codecs, track.format).is_some();
    // An m-line that asks for this source first, then those that take any.
    let asked = free().filter(|(_, section)| section.content.is_some());
    let any = free().filter(|(_, section)| section.content.is_none());
    asked.chain(any).find(decodes).copied().ok_or(UndecodableReason::NoCodec)
}

/// What is agreed on an m-line of `offer` that carries stream `number`, in `format` first.
pub(super) fn agree(
    offer: &Offer,
    (index, section): (usize, &MediaSection),
    number: usize,
    format: CodecFormat,
    (ssrc, rtx_ssrc): (u32, u32),
) -> PlayMedia {
    let mut extensions = section.extensions(false).only(|extension, _| PLAY_EXTENSIONS.contains(&extension));
    if !offer.extmap_mixed {
        extensions = one_byte(extensions);
    }
    let ours = match section.kind {
        Some(MediaKind::Audio) => Feedback::AUDIO,
        _ => Feedback { reference_time: true, ..Feedback::VIDEO },
    };
    let answer = |codec: &PayloadFormat| {
        let mut feedback = codec.feedback.and(ours);
        feedback.transport_cc &= extensions.id(Extension::TransportCc).is_some();
        PayloadFormat { feedback, ..codec.clone() }
    };
    let mut codecs: Vec<PayloadFormat> = best(&section.codecs, format).map(answer).into_iter().collect();
    let mut others: Vec<&PayloadFormat> = section.codecs.iter().collect();
    // Of the payload types of one codec the most able one: it plays the others' streams, too.
    others.sort_by_key(|codec| (codec.format.preference(), std::cmp::Reverse(codec.format.ability())));
    for codec in others {
        let known = |other: &PayloadFormat| other.format.name() == codec.format.name();
        if !codecs.iter().any(known) {
            codecs.push(answer(codec));
        }
    }
    let rtx = codecs.first().is_some_and(|codec| codec.rtx.is_some());
    PlayMedia {
        index,
        mid: section.mid,
        track: number,
        ssrc,
        rtx_ssrc: rtx.then_some(rtx_ssrc),
        codecs,
        extensions,
    }
}

fn write(
    offer: &Offer,
    local: &Local,
    setup: Setup,
    tracks: &[PlayTrack],
    media: &[PlayMedia],
    accepted: &[usize],
) -> String {
    let mut out = Writer::default();
    out.session(local, &offer.bundle_mids(accepted), true);
    out.extmap_mixed(offer);
    for (index, section) in offer.media.iter().enumerate() {
        let line = Line::answer(section);
        let agreed = media.iter().find(|media| media.index == index);
        let with_track = agreed.and_then(|media| Some((media, tracks.get(media.track)?)));
        if !accepted.contains(&index) {
            out.rejected(section);
        } else if section.data.is_some() {
            out.data_channels(line, local, setup);
        } else if let Some((agreed, track)) = with_track {
            out.media(line, &agreed.codecs, local, setup);
            out.line(format_args!("a={}", Direction::SendOnly.as_str()));
            out.answer_extensions(&agreed.extensions, section);
            out.rtcp(section.reduced_size);
            out.codecs(&agreed.codecs);
            out.content(track.source);
            out.sender(&track.owner, &track.id, &track.owner, agreed.ssrc, agreed.rtx_ssrc);
        } else {
            let codecs = section.codecs.get(..1).unwrap_or_default();
            out.media(line, codecs, local, setup);
            out.line(format_args!("a={}", Direction::Inactive.as_str()));
            out.rtcp(section.reduced_size);
            out.codecs(codecs);
        }
        if accepted.first() == Some(&index) {
            out.candidates(local);
        }
    }
    out.finish()
}
