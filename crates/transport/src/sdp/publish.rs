//! The answer to a publisher (WHIP).

use rtp::{Extension, Extensions, MediaKind, Mid, Rid};

use crate::DataParameters;

use super::codec::parameter;
use super::section::one_byte;
use super::types::kind_of;
use super::write::{Line, Writer};
use super::{
    CodecFormat, Direction, Feedback, Local, MediaSection, Msid, Offer, PayloadFormat, Remote, SdpError,
    Setup, Source, SsrcPair,
};

/// What a publish answer is free to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOptions {
    /// Header extensions to accept. Without [`Extension::TransportCc`] its feedback is left out, too.
    pub extensions: Vec<Extension>,
    /// Rate in kbit/s at which a Chromium publisher starts its bandwidth estimation: without it a 720p camera needs
    /// 20 s to reach full quality.
    pub start_bitrate_kbps: Option<u32>,
    /// Which m-line is which source, by `a=mid`: the others are rejected. Without it, all that send are taken, and their
    /// sources are told by `a=content` and by their order.
    pub sources: Option<Vec<(String, Source)>>,
    /// Codecs of pictures, the first the one to begin with: of those that are offered all are agreed to, so that the
    /// publisher may change from one to the other without negotiation. Where none of them is offered, or none is named
    /// here, it is the publisher's first.
    pub picture_codecs: Vec<CodecFormat>,
    /// Whether data channels are taken where they are offered.
    pub data_channels: bool,
    /// Whether redundant audio is asked for where a microphone offers it.
    pub redundancy: bool,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            extensions: Extension::ALL.to_vec(),
            start_bitrate_kbps: Some(2_000),
            sources: None,
            picture_codecs: Vec::new(),
            data_channels: true,
            redundancy: false,
        }
    }
}

/// An answer to a publisher, and what was agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishAnswer {
    /// The SDP to send back.
    pub text: String,
    /// The publisher's side of the transport.
    pub remote: Remote,
    /// The m-lines that will carry media, in order.
    pub media: Vec<PublishMedia>,
    /// Header extension ids that hold on every m-line (an id means one thing in a bundle).
    pub extensions: Extensions,
    /// It takes RTCP of reduced size on every m-line.
    pub reduced_size: bool,
    /// What the publisher says about data channels, if it offers them.
    pub data: Option<DataParameters>,
}

/// One agreed m-line of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishMedia {
    /// Position among the m-lines of the offer.
    pub index: usize,
    /// Name of the m-line, in the mid extension of its packets.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// Where it comes from: `a=content`, else the first of a kind is microphone or camera and the others are the
    /// screen's.
    pub source: Source,
    /// The codec that the publisher will send, unless it is told otherwise.
    pub codec: PayloadFormat,
    /// Others that it may change to, one payload type a codec.
    pub others: Vec<PayloadFormat>,
    /// Redundant audio of it, which comes before it in the answer: that is what has browsers send it.
    pub redundancy: Option<PayloadFormat>,
    /// Header extensions of this m-line.
    pub extensions: Extensions,
    /// Simulcast encodings by rid, in the publisher's order; empty for a single one.
    pub rids: Vec<Rid>,
    /// Declared SSRCs; empty where the publisher declares none (always so with rids).
    pub ssrcs: Vec<SsrcPair>,
    /// The publisher's own stream and track ids.
    pub msid: Option<Msid>,
}

/// Answers a publisher's offer.
///
/// Each sending m-line gets exactly one codec, unless `options` name more: the first in the publisher's own order that we
/// carry. Its pages (or `setCodecPreferences` in them) thus decide, and a viewer can be told before media flows whether it
/// will be able to decode. M-lines that do not send are rejected, and so are those without a codec that we carry, if there is another
/// m-line of their kind.
///
/// # Errors
/// [`SdpError::NotCarried`] when all pictures or all sound that are offered are in codecs that we do not carry,
/// [`SdpError::NoUsableMedia`] when nothing is offered, [`SdpError::BothLite`], [`SdpError::NoSuchMedia`] where
/// `options` name an m-line that does not send what they say.
pub fn answer_publish(
    offer: &Offer,
    local: &Local,
    options: &PublishOptions,
) -> Result<PublishAnswer, SdpError> {
    offer.require_full_agent()?;
    offer.require_carried(|section| section.direction.sends())?;
    let sources = match &options.sources {
        None => sources(&offer.media),
        Some(named) => named_sources(&offer.media, named)?,
    };
    let mut media: Vec<PublishMedia> = Vec::new();
    let mut bundle = Extensions::default();
    let mut reduced_size = true;
    for ((index, section), source) in offer.media.iter().enumerate().zip(sources) {
        let mut chosen = choose(section, options).into_iter();
        let (Some(source), Some(kind), Some(codec)) = (source, section.kind, chosen.next()) else { continue };
        let mut codec = publish_codec(codec, source, options);
        let others = chosen.map(|codec| publish_codec(codec, source, options)).collect();
        let mut extensions =
            section.extensions(true).only(|extension, _| options.extensions.contains(&extension));
        if !offer.extmap_mixed {
            extensions = one_byte(extensions);
        }
        if kind == MediaKind::Audio && codec.feedback.nack && codec.rtx.is_none() {
            extensions = repeatable(extensions);
            codec.feedback.transport_cc = false;
        }
        for (extension, id) in extensions.iter() {
            if !bundle.insert(extension, id) {
                return Err(SdpError::ExtensionConflict(id));
            }
        }
        reduced_size &= section.reduced_size;
        let redundancy = section.redundancy.clone().filter(|redundancy| {
            let is_of_it = redundancy.redundant() == Some(codec.payload_type);
            options.redundancy && source == Source::Microphone && is_of_it
        });
        media.push(PublishMedia {
            redundancy,
            index,
            mid: section.mid,
            kind,
            source,
            codec,
            others,
            extensions,
            rids: section.rids.clone(),
            ssrcs: section.ssrcs.clone(),
            msid: section.msid.clone(),
        });
    }
    if media.is_empty() {
        return Err(SdpError::NoUsableMedia);
    }
    let data = offer.data_section().filter(|_| options.data_channels);
    let takes = |index| data.is_some_and(|(data, _)| data == index);
    let accepted = offer.bundle(|index| takes(index) || media.iter().any(|media| media.index == index));
    let remote = offer.remote(&accepted)?;
    let text = write(offer, local, remote.setup.answer(), &media, &accepted);
    let data = data.and_then(|(_, section)| section.data);
    Ok(PublishAnswer { text, remote, media, extensions: bundle, reduced_size, data })
}

/// Leaves out what a sender changes when it repeats a packet. Sound has no retransmission stream in browsers: the
/// packet goes out again under its own SRTP index, and other bytes there would use the cipher's nonce twice, which
/// with GCM gives its authentication key away (RFC 7714, section 8.1).
fn repeatable(extensions: Extensions) -> Extensions {
    extensions.without(Extension::TransportCc).without(Extension::AbsSendTime)
}

/// The source of each m-line that sends audio or video.
fn sources(media: &[MediaSection]) -> Vec<Option<Source>> {
    let mut seen_audio = false;
    let mut seen_video = false;
    let mut source = |section: &MediaSection| {
        if section.remote.is_none() || !section.direction.sends() {
            return None;
        }
        let (seen, first, other) = match section.kind {
            Some(MediaKind::Audio) => (&mut seen_audio, Source::Microphone, Source::ScreenAudio),
            Some(MediaKind::Video) => (&mut seen_video, Source::Camera, Source::Screen),
            None => return None,
        };
        let by_order = if *seen { other } else { first };
        let source = section.content.unwrap_or(by_order);
        *seen |= source == first;
        Some(source)
    };
    media.iter().map(&mut source).collect()
}

/// The source of each m-line where they are named. Each source is named once.
fn named_sources(
    media: &[MediaSection],
    named: &[(String, Source)],
) -> Result<Vec<Option<Source>>, SdpError> {
    let mut sources: Vec<Option<Source>> = vec![None; media.len()];
    for (mid, source) in named {
        let kind = kind_of(*source);
        let is_it = |section: &MediaSection| {
            let sends = section.remote.is_some() && section.direction.sends();
            section.written_mid.as_deref() == Some(mid) && section.kind == Some(kind) && sends
        };
        let found = media.iter().position(is_it).filter(|_| !sources.contains(&Some(*source)));
        match found.and_then(|index| sources.get_mut(index)) {
            Some(place @ None) => *place = Some(*source),
            _ => return Err(SdpError::NoSuchMedia { mid: mid.clone(), does: "send", kind: kind.as_str() }),
        }
    }
    Ok(sources)
}

/// The codecs that an m-line may carry, the first the one to begin with.
fn choose<'a>(section: &'a MediaSection, options: &PublishOptions) -> Vec<&'a PayloadFormat> {
    let of = |wanted: &CodecFormat| {
        // What everybody who decodes `wanted` decodes.
        let suits = section.codecs.iter().filter_map(|codec| Some((wanted.decodes(codec.format)?, codec)));
        suits.min_by_key(|(distance, _)| *distance).map(|(_, codec)| codec)
    };
    let named: Vec<&PayloadFormat> = match section.kind {
        Some(MediaKind::Video) => options.picture_codecs.iter().filter_map(of).collect(),
        _ => Vec::new(),
    };
    if named.is_empty() { section.codecs.first().into_iter().collect() } else { named }
}

/// The codec as the answer writes it: our feedback, and parameters that say what we want to receive.
fn publish_codec(offered: &PayloadFormat, source: Source, options: &PublishOptions) -> PayloadFormat {
    let ours = if offered.format == CodecFormat::Opus { Feedback::AUDIO } else { Feedback::VIDEO };
    let mut feedback = offered.feedback.and(ours);
    feedback.transport_cc &= options.extensions.contains(&Extension::TransportCc);
    let mut fmtp = offered.fmtp.clone();
    let mut add = |name: &str, value: &str| {
        if parameter(&fmtp, name).is_none() {
            let separator = if fmtp.is_empty() { "" } else { ";" };
            fmtp = format!("{fmtp}{separator}{name}={value}");
        }
    };
    match offered.format {
        CodecFormat::Opus => {
            add("useinbandfec", "1");
            // A microphone stays mono unless its page wants otherwise; the sound of a screen is stereo.
            if source == Source::ScreenAudio {
                add("stereo", "1");
            }
        }
        _ => {
            if let Some(rate) = options.start_bitrate_kbps {
                add("x-google-start-bitrate", &rate.to_string());
            }
        }
    }
    PayloadFormat { fmtp, feedback, ..offered.clone() }
}

fn write(offer: &Offer, local: &Local, setup: Setup, media: &[PublishMedia], accepted: &[usize]) -> String {
    let mut out = Writer::default();
    out.session(local, &offer.bundle_mids(accepted), true);
    out.extmap_mixed(offer);
    for (index, section) in offer.media.iter().enumerate() {
        let line = Line::answer(section);
        match media.iter().find(|media| media.index == index) {
            Some(agreed) => write_media(&mut out, line, section, agreed, local, setup),
            None if accepted.contains(&index) => out.data_channels(line, local, setup),
            None => out.rejected(section),
        }
        if accepted.first() == Some(&index) {
            out.candidates(local);
        }
    }
    out.finish()
}

fn write_media(
    out: &mut Writer,
    line: Line<'_>,
    section: &MediaSection,
    agreed: &PublishMedia,
    local: &Local,
    setup: Setup,
) {
    let codecs = agreed.redundancy.iter().chain([&agreed.codec]).chain(&agreed.others);
    let codecs: Vec<PayloadFormat> = codecs.cloned().collect();
    out.media(line, &codecs, local, setup);
    out.line(format_args!("a={}", Direction::RecvOnly.as_str()));
    out.answer_extensions(&agreed.extensions, section);
    out.rtcp(section.reduced_size);
    out.codecs(&codecs);
    out.content(agreed.source);
    if !agreed.rids.is_empty() {
        for rid in &agreed.rids {
            out.line(format_args!("a=rid:{rid} recv"));
        }
        let list: Vec<&str> = agreed.rids.iter().map(Rid::as_str).collect();
        out.line(format_args!("a=simulcast:recv {}", list.join(";")));
    }
}
