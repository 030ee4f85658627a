//! One m-line: its codecs, header extensions, encodings and SSRCs.

use rtp::{Extension, Extensions, MediaKind, Mid, Rid};

use super::codec::parameter;
use super::lines::{Attributes, MediaLines, limit};
use super::remote::{Remote, TransportAttributes};
use super::types::media_kind;
use super::{
    CodecFormat, Direction, Feedback, H264Profile, MAX_ENCODINGS, MAX_EXTENSIONS, Msid, PayloadFormat,
    SdpError, Source, SsrcPair,
};
use crate::{DataParameters, MAX_MESSAGE_LEN};

/// Codec names of an m-line that are kept for words to whoever offered them.
const MAX_OFFERED: usize = 8;
/// Longest of these names in bytes.
const MAX_OFFERED_LEN: usize = 40;

/// One m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSection {
    /// Audio or video; `None` for data channels and whatever else there may be.
    pub kind: Option<MediaKind>,
    /// Its name; one of ours where it has none or one that is too long for a header extension (more than 16 bytes).
    pub mid: Mid,
    /// Port 0 without `bundle-only`: not in use.
    pub rejected: bool,
    /// Direction, seen from the writer.
    pub direction: Direction,
    /// The payload types that we understand, in the writer's order of preference; their retransmission types are
    /// inside them.
    pub codecs: Vec<PayloadFormat>,
    /// Redundant audio of one of them.
    pub redundancy: Option<PayloadFormat>,
    /// Names of the codecs that the writer offers, for words to it: those that we understand and others, not
    /// retransmission and error correction.
    pub offered: Vec<String>,
    /// Simulcast encodings that the writer sends (in an answer: receives), in its order.
    pub rids: Vec<Rid>,
    /// Stream and track of what the writer sends.
    pub msid: Option<Msid>,
    /// Declared SSRCs of what the writer sends, without simulcast by rid.
    pub ssrcs: Vec<SsrcPair>,
    /// What `a=content` says about the source.
    pub content: Option<Source>,
    /// The writer takes RTCP of reduced size (RFC 5506).
    pub reduced_size: bool,
    /// Where the other side of the transport is.
    pub remote: Option<Remote>,
    /// What the writer says about data channels, on the m-line that has them.
    pub data: Option<DataParameters>,
    /// `a=extmap` lines that we know, with their direction seen from the writer.
    pub(super) extensions: Vec<(Extension, u8, Direction)>,
    /// The words of the m-line, for the answer.
    pub(super) media_word: String,
    pub(super) protocol: String,
    pub(super) formats: Vec<String>,
    /// What `a=mid` says, for the answer.
    pub(super) written_mid: Option<String>,
    /// Its place in the BUNDLE group.
    pub(super) bundle_position: Option<usize>,
}

/// Who wrote a description: a writer sends the encodings that its offer lists as sent, and receives those that its
/// answer lists as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Offer,
    Answer,
}

impl MediaSection {
    /// The known header extensions that the writer of the description sends, or receives.
    #[must_use]
    pub fn extensions(&self, writer_sends: bool) -> Extensions {
        let mut map = Extensions::default();
        for (extension, id, direction) in &self.extensions {
            let flows = if writer_sends { direction.sends() } else { direction.receives() };
            if flows {
                map.insert(*extension, *id);
            }
        }
        map
    }

    /// The name in a header extension, where it fits one.
    pub(super) fn has_short_mid(&self) -> bool {
        self.written_mid.as_deref() == Some(self.mid.as_str())
    }

    /// Parses an m-line. `mid` is the name that it goes by here, `bundle_position` its place in the BUNDLE group.
    pub(super) fn parse(
        media: &MediaLines,
        mid: Mid,
        bundle_position: Option<usize>,
        transport: &TransportAttributes<'_>,
        session: &Attributes,
        written: Written,
    ) -> Result<Self, SdpError> {
        let attributes = &media.attributes;
        let kind = media_kind(&media.media);
        // Outside of a bundle, `bundle-only` means nothing (RFC 9143, 6).
        let rejected = media.port == 0 && !(attributes.has("bundle-only") && bundle_position.is_some());
        let is_rtp = media.protocol.split('/').any(|part| part.eq_ignore_ascii_case("RTP"));
        let is_data = is_data(kind, &media.protocol, &media.formats);
        let mut section = Self {
            kind,
            mid,
            rejected,
            direction: attributes.direction().or(session.direction()).unwrap_or_default(),
            codecs: Vec::new(),
            redundancy: None,
            offered: Vec::new(),
            rids: Vec::new(),
            msid: None,
            ssrcs: Vec::new(),
            content: None,
            reduced_size: false,
            remote: None,
            data: None,
            extensions: Vec::new(),
            media_word: media.media.clone(),
            protocol: media.protocol.clone(),
            formats: media.formats.clone(),
            written_mid: attributes.value("mid").map(str::to_owned),
            bundle_position,
        };
        if rejected {
            return Ok(section);
        }
        if is_data {
            section.data = Some(parse_data(attributes)?);
            section.remote = Some(transport.remote()?);
        }
        if let Some(kind) = kind.filter(|_| is_rtp) {
            if !transport.multiplexes_rtcp() {
                return Err(SdpError::Missing("rtcp-mux"));
            }
            section.reduced_size = transport.takes_reduced_size();
            section.remote = Some(transport.remote()?);
            (section.codecs, section.redundancy, section.offered) =
                parse_codecs(attributes, &media.formats, kind);
            section.extensions = parse_extensions(attributes, session)?;
            if !section.has_short_mid() {
                section.extensions.retain(|(extension, _, _)| *extension != Extension::Mid);
            }
            section.rids = parse_rids(attributes, written)?;
            section.msid = attributes.value("msid").and_then(parse_msid);
            section.ssrcs = if section.rids.is_empty() { parse_ssrcs(attributes)? } else { Vec::new() };
            section.content = attributes.value("content").and_then(|content| parse_content(content, kind));
        }
        Ok(section)
    }
}

/// Data channels as RFC 8841 writes them; what came before it is rejected like any other m-line that is not known.
fn is_data(kind: Option<MediaKind>, protocol: &str, formats: &[String]) -> bool {
    let is = |other: &str| protocol.eq_ignore_ascii_case(other);
    let over_dtls = is("UDP/DTLS/SCTP") || is("TCP/DTLS/SCTP");
    kind.is_none() && over_dtls && formats.iter().any(|format| format == "webrtc-datachannel")
}

fn parse_data(attributes: &Attributes) -> Result<DataParameters, SdpError> {
    let port = attributes.value("sctp-port").ok_or(SdpError::Missing("sctp-port"))?;
    let port: u16 = port.parse().map_err(|_| SdpError::Invalid { attribute: "sctp-port" })?;
    if port == 0 {
        return Err(SdpError::Invalid { attribute: "sctp-port" });
    }
    let size = match attributes.value("max-message-size").map(str::parse::<u64>) {
        // RFC 8841, 6.1: 64 KiB if it is not said, and 0 for "any". We never send as much.
        None | Some(Ok(0)) => u64::MAX,
        Some(Ok(size)) => size,
        Some(Err(_)) => return Err(SdpError::Invalid { attribute: "max-message-size" }),
    };
    let max_message_size = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_MESSAGE_LEN);
    Ok(DataParameters { port, max_message_size })
}

/// `96 VP8/90000` and so on: (payload type, rest).
fn numbered<'a>(attributes: &'a Attributes, key: &'a str) -> Vec<(u8, &'a str)> {
    let entry = |value: &'a str| {
        let (number, rest) = value.split_once([' ', '\t'])?;
        Some((number.parse().ok()?, rest.trim()))
    };
    attributes.values(key).filter_map(entry).collect()
}

/// The codecs that we carry, redundant audio of one, and the names of all that are offered.
fn parse_codecs(
    attributes: &Attributes,
    formats: &[String],
    kind: MediaKind,
) -> (Vec<PayloadFormat>, Option<PayloadFormat>, Vec<String>) {
    let maps = numbered(attributes, "rtpmap");
    let fmtps = numbered(attributes, "fmtp");
    let mut any_feedback = Feedback::default();
    attributes
        .values("rtcp-fb")
        .filter_map(|value| value.strip_prefix("* "))
        .for_each(|value| any_feedback.add(value.trim()));
    let feedbacks = numbered(attributes, "rtcp-fb");
    let find = |list: &[(u8, &'_ str)], wanted: u8| -> String {
        list.iter()
            .find(|(number, _)| *number == wanted)
            .map_or_else(String::new, |(_, rest)| (*rest).to_owned())
    };

    // RFC 5761, 4: 64 to 95 with the marker bit look like RTCP.
    let payload_types: Vec<u8> = formats
        .iter()
        .filter_map(|format| format.parse().ok())
        .filter(|number: &u8| *number < 128 && !(64..96).contains(number))
        .collect();
    let mut codecs: Vec<PayloadFormat> = Vec::new();
    let mut offered: Vec<String> = Vec::new();
    let mut retransmissions: Vec<(u8, u8)> = Vec::new();
    let mut redundancy: Vec<PayloadFormat> = Vec::new();
    for payload_type in payload_types {
        let map = find(&maps, payload_type);
        let mut parts = map.split('/');
        let (Some(name), Some(Ok(clock_rate))) = (parts.next(), parts.next().map(str::parse::<u32>)) else {
            offered.extend(static_name(payload_type).map(str::to_owned));
            continue;
        };
        let fmtp = find(&fmtps, payload_type);
        if name.eq_ignore_ascii_case("rtx") {
            if let Some(Ok(original)) = parameter(&fmtp, "apt").map(str::parse) {
                retransmissions.push((original, payload_type));
            }
            continue;
        }
        if name.eq_ignore_ascii_case("red") && clock_rate == CodecFormat::Red.clock_rate() {
            let (format, feedback) = (CodecFormat::Red, Feedback::default());
            redundancy.push(PayloadFormat { payload_type, format, fmtp, feedback, rtx: None });
            continue;
        }
        let words = offered_name(name, &fmtp);
        if !is_auxiliary(name) && offered.len() < MAX_OFFERED && !offered.contains(&words) {
            offered.push(words);
        }
        let Some(format) = CodecFormat::recognise(name, clock_rate, &fmtp) else { continue };
        let fits = (format == CodecFormat::Opus) == (kind == MediaKind::Audio);
        if !fits || codecs.iter().any(|codec| codec.payload_type == payload_type) {
            continue;
        }
        let mut feedback = any_feedback;
        let own = feedbacks.iter().filter(|(number, _)| *number == payload_type);
        own.for_each(|(_, value)| feedback.add(value));
        codecs.push(PayloadFormat { payload_type, format, fmtp, feedback, rtx: None });
    }
    for (original, payload_type) in retransmissions {
        if let Some(codec) = codecs.iter_mut().find(|codec| codec.payload_type == original) {
            codec.rtx.get_or_insert(payload_type);
        }
    }
    let is_known = |found: &PayloadFormat| {
        let of = found.redundant();
        codecs.iter().any(|codec| codec.format == CodecFormat::Opus && Some(codec.payload_type) == of)
    };
    let redundancy = redundancy.into_iter().find(is_known);
    (codecs, redundancy, offered)
}

/// The payload types that mean something without `a=rtpmap` and are in use (RFC 3551, table 4).
fn static_name(payload_type: u8) -> Option<&'static str> {
    match payload_type {
        0 => Some("PCMU"),
        8 => Some("PCMA"),
        9 => Some("G722"),
        _ => None,
    }
}

/// What is no codec of its own: redundancy, error correction, comfort noise, dialled digits.
fn is_auxiliary(name: &str) -> bool {
    let names = ["red", "ulpfec", "flexfec-03", "flexfec", "CN", "telephone-event"];
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// A codec's name as its writer reads it, with the parameter that may be why we do not carry it.
fn offered_name(name: &str, fmtp: &str) -> String {
    let printable: String = name.chars().filter(|c| c.is_ascii_graphic()).take(MAX_OFFERED_LEN).collect();
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let number =
        |name| parameter(fmtp, name).filter(|v| v.len() <= 3 && v.bytes().all(|b| b.is_ascii_digit()));
    if is("H264") {
        match (number("packetization-mode"), parameter(fmtp, "profile-level-id")) {
            // RFC 6184, 8.1: 0 if it is not said.
            (None | Some("0"), _) => format!("{printable} with packetization-mode 0"),
            (_, Some(id)) if H264Profile::parse(id).is_none() => format!("{printable} of another profile"),
            _ => printable,
        }
    } else if let Some(profile) = number("profile-id").or(number("profile")).filter(|profile| *profile != "0")
    {
        format!("{printable} profile {profile}")
    } else {
        printable
    }
}

/// What can be sent where the two-byte form of header extensions is not understood (RFC 8285, section 4.2): ids up to 14,
/// and values of 16 bytes at most.
pub(super) fn one_byte(extensions: Extensions) -> Extensions {
    let long = [Extension::DependencyDescriptor, Extension::ColorSpace];
    extensions.only(|extension, id| id <= Extensions::MAX_ONE_BYTE_ID && !long.contains(&extension))
}

/// `a=extmap:9/sendonly urn:... attributes`; session level counts for every m-line (RFC 8285, 5).
fn parse_extensions(
    attributes: &Attributes,
    session: &Attributes,
) -> Result<Vec<(Extension, u8, Direction)>, SdpError> {
    let lines: Vec<&str> = session.values("extmap").chain(attributes.values("extmap")).collect();
    limit("header extensions", MAX_EXTENSIONS, lines.len())?;
    let mut known: Vec<(Extension, u8, Direction)> = Vec::new();
    for line in lines {
        let invalid = SdpError::Invalid { attribute: "extmap" };
        let mut words = line.split_ascii_whitespace();
        let (Some(id), Some(uri)) = (words.next(), words.next()) else { return Err(invalid) };
        let (id, direction) = match id.split_once('/') {
            Some((id, direction)) => (id, Direction::parse(direction).ok_or(invalid.clone())?),
            None => (id, Direction::SendRecv),
        };
        // Offers may use 4096 and up to say "any free id" (RFC 8285, 7); those we leave out, like the reserved ones.
        let id: u16 = id.parse().map_err(|_| invalid.clone())?;
        let Some(extension) = Extension::from_uri(uri) else { continue };
        let Ok(id) = u8::try_from(id) else { continue };
        let fits = id != 0 && id != Extensions::RESERVED_ID;
        if fits && !known.iter().any(|(other, _, _)| *other == extension) {
            known.push((extension, id, direction));
        }
    }
    Ok(known)
}

/// The encodings that `a=simulcast` lists and `a=rid` declares, in the order of `a=simulcast`.
fn parse_rids(attributes: &Attributes, written: Written) -> Result<Vec<Rid>, SdpError> {
    let wanted = match written {
        Written::Offer => "send",
        Written::Answer => "recv",
    };
    let mut declared: Vec<Rid> = Vec::new();
    for value in attributes.values("rid") {
        let mut words = value.split_ascii_whitespace();
        let (Some(id), Some(direction)) = (words.next(), words.next()) else {
            return Err(SdpError::Invalid { attribute: "rid" });
        };
        let id: Rid = id.parse()?;
        if direction.eq_ignore_ascii_case(wanted) {
            declared.push(id);
        }
        limit("encodings", 2 * MAX_ENCODINGS, declared.len())?;
    }
    let Some(simulcast) = attributes.value("simulcast") else {
        limit("encodings", MAX_ENCODINGS, declared.len())?;
        return Ok(declared);
    };
    // RFC 8853, 5.1: `send h;m;~l recv a,b`, in any order: streams, alternatives, `~` for paused.
    let words: Vec<&str> = simulcast.split_ascii_whitespace().collect();
    let mut list = None;
    for pair in words.chunks(2) {
        match pair {
            [direction, streams] if direction.eq_ignore_ascii_case(wanted) => list = Some(*streams),
            [direction, _] if ["send", "recv"].iter().any(|d| direction.eq_ignore_ascii_case(d)) => {}
            _ => return Err(SdpError::Invalid { attribute: "simulcast" }),
        }
    }
    let mut rids: Vec<Rid> = Vec::new();
    for stream in list.into_iter().flat_map(|streams| streams.split(';')) {
        let first = stream.split(',').next().unwrap_or_default();
        let rid: Rid = first.strip_prefix('~').unwrap_or(first).parse()?;
        if declared.contains(&rid) && !rids.contains(&rid) {
            rids.push(rid);
        }
        limit("encodings", MAX_ENCODINGS, rids.len())?;
    }
    Ok(rids)
}

fn parse_msid(value: &str) -> Option<Msid> {
    let mut words = value.split_ascii_whitespace();
    let stream = words.next().filter(|stream| stream.len() <= 128)?;
    let track = words.next().filter(|track| track.len() <= 128);
    Some(Msid { stream: stream.to_owned(), track: track.map(str::to_owned) })
}

fn parse_ssrcs(attributes: &Attributes) -> Result<Vec<SsrcPair>, SdpError> {
    let invalid = || SdpError::Invalid { attribute: "ssrc" };
    let mut groups: Vec<(u32, u32)> = Vec::new();
    let mut spare: Vec<u32> = Vec::new();
    for value in attributes.values("ssrc-group") {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next().unwrap_or_default().to_ascii_uppercase();
        let members: Vec<u32> = words.take(2 * MAX_ENCODINGS).filter_map(|word| word.parse().ok()).collect();
        match (semantics.as_str(), members.as_slice()) {
            ("FID", [media, rtx]) if media != rtx => groups.push((*media, *rtx)),
            // Forward error correction that we do not carry: its SSRC is not one of media.
            ("FEC-FR" | "FEC", [_, fec]) => spare.push(*fec),
            // Semantics that are not known are ignored (RFC 5576, 4.2), and so is what known ones make no sense of.
            _ => {}
        }
        limit("SSRC groups", 2 * MAX_ENCODINGS + 1, groups.len().max(spare.len()))?;
    }
    let mut pairs: Vec<SsrcPair> = Vec::new();
    for value in attributes.values("ssrc") {
        let number = value.split_ascii_whitespace().next().unwrap_or_default();
        let ssrc: u32 = number.parse().map_err(|_| invalid())?;
        let repairs = groups.iter().any(|(_, rtx)| *rtx == ssrc) || spare.contains(&ssrc);
        if repairs || pairs.iter().any(|pair| pair.media == ssrc) {
            continue;
        }
        let rtx = groups.iter().find(|(media, _)| *media == ssrc).map(|(_, rtx)| *rtx);
        pairs.push(SsrcPair { media: ssrc, rtx });
        limit("encodings", MAX_ENCODINGS, pairs.len())?;
    }
    Ok(pairs)
}

/// RFC 4796: `slides` is a screen; everything else that it names is a person or a stage.
fn parse_content(value: &str, kind: MediaKind) -> Option<Source> {
    let content = value.to_ascii_lowercase();
    content.split(',').find_map(|content| match (content.trim(), kind) {
        ("slides", MediaKind::Video) => Some(Source::Screen),
        ("slides", MediaKind::Audio) => Some(Source::ScreenAudio),
        ("main" | "speaker" | "alt", MediaKind::Video) => Some(Source::Camera),
        ("main" | "speaker" | "alt", MediaKind::Audio) => Some(Source::Microphone),
        _ => None,
    })
}
