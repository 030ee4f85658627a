//! Parsing an offer or an answer into the typed view. The only file that names `rtc-sdp`.

use std::collections::HashSet;
use std::io::Cursor;
use std::ops::Deref;

use rtc_sdp::description::common::Attribute;
use rtc_sdp::{MediaDescription, SessionDescription};

use super::codec::parameter;
use super::types::ice_credentials;
use super::{
    Candidate, Codec, CodecFormat, Direction, Extension, ExtensionMap, Feedback, MAX_ATTRIBUTES,
    MAX_CANDIDATES, MAX_ENCODINGS, MAX_EXTENSIONS, MAX_MEDIA, MAX_PAYLOAD_TYPES, MAX_SDP_LEN, MediaKind, Mid,
    Msid, Rid, SdpError, Setup, Source, SsrcPair,
};
use crate::{DataParameters, Fingerprint, FingerprintError, IceCredentials, MAX_MESSAGE_LEN};

/// What an offer and an answer have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The other side is ICE-lite.
    pub ice_lite: bool,
    /// It trickles candidates (`a=ice-options:trickle`).
    pub trickle: bool,
    /// It takes header extensions of the two-byte form among others (`a=extmap-allow-mixed`).
    pub extmap_mixed: bool,
    /// The m-lines in order; at least one.
    pub media: Vec<MediaSection>,
}

/// An offer: every m-line that is not rejected is bundled and multiplexes RTCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer(Description);

/// An answer, with a decided DTLS role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(Description);

/// One m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSection {
    /// Audio, video or other.
    pub kind: MediaKind,
    /// Its name.
    pub mid: Mid,
    /// Port 0 without `bundle-only`: not in use.
    pub rejected: bool,
    /// Direction, seen from the writer.
    pub direction: Direction,
    /// The payload types that we understand, in the writer's order of preference; their retransmission types are
    /// inside them.
    pub codecs: Vec<Codec>,
    /// Simulcast encodings that the writer sends (in an answer: receives), in its order.
    pub rids: Vec<Rid>,
    /// Stream and track of what the writer sends.
    pub msid: Option<Msid>,
    /// Declared SSRCs of what the writer sends, without simulcast by rid.
    pub ssrcs: Vec<SsrcPair>,
    /// What `a=content` says about the source.
    pub content: Option<Source>,
    /// Where the other side of the transport is.
    pub remote: Option<Remote>,
    /// What the writer says about data channels, on the m-line that has them.
    pub data: Option<DataParameters>,
    /// `a=extmap` lines that we know, with their direction seen from the writer.
    pub(super) extensions: Vec<(Extension, u8, Direction)>,
    /// The words of the m-line, to be repeated where it is rejected.
    pub(super) media_word: String,
    pub(super) protocol: String,
    pub(super) formats: Vec<String>,
}

/// The other side of the transport, as one m-line describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// ICE credentials.
    pub ice: IceCredentials,
    /// Of its certificate; SHA-256 where several are given.
    pub fingerprint: Fingerprint,
    /// DTLS role.
    pub setup: Setup,
    /// The first [`MAX_CANDIDATES`]; the rest is dropped: an ICE-lite side does not need them.
    pub candidates: Vec<Candidate>,
}

impl MediaSection {
    /// The known header extensions that the writer of the description sends, or receives.
    #[must_use]
    pub fn extensions(&self, writer_sends: bool) -> ExtensionMap {
        let mut map = ExtensionMap::default();
        for (extension, id, direction) in &self.extensions {
            let flows = if writer_sends { direction.sends() } else { direction.receives() };
            if flows {
                map.insert(*extension, *id);
            }
        }
        map
    }
}

impl Deref for Offer {
    type Target = Description;

    fn deref(&self) -> &Description {
        &self.0
    }
}

impl Deref for Answer {
    type Target = Description;

    fn deref(&self) -> &Description {
        &self.0
    }
}

impl Offer {
    /// Parses an offer. Unknown lines, codecs and extensions are ignored; m-lines that are neither audio nor video
    /// nor data channels are kept, so that an answer can reject them.
    ///
    /// # Errors
    /// [`SdpError`]: no SDP, beyond a limit, or not one transport with ICE, DTLS (SHA-256) and multiplexed RTCP.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        Description::parse(text).map(Self)
    }
}

impl Answer {
    /// Parses an answer.
    ///
    /// # Errors
    /// As [`Offer::parse`]; besides, the DTLS role must be decided.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let description = Description::parse(text)?;
        let undecided = |section: &MediaSection| {
            section.remote.as_ref().is_some_and(|remote| remote.setup == Setup::ActPass)
        };
        if description.media.iter().any(undecided) {
            return Err(SdpError::Invalid { attribute: "setup" });
        }
        Ok(Self(description))
    }

    /// The transport of the session: that of the first m-line in use.
    #[must_use]
    pub fn remote(&self) -> Option<&Remote> {
        self.media.iter().find_map(|section| section.remote.as_ref())
    }
}

impl Description {
    /// The m-line of data channels: the first in use, a session has one association.
    pub(super) fn data_section(&self) -> Option<&MediaSection> {
        self.media.iter().find(|section| section.data.is_some())
    }

    fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_SDP_LEN {
            return Err(SdpError::TooLong(text.len()));
        }
        if text.trim().is_empty() {
            return Err(SdpError::Syntax("the text is empty".into()));
        }
        let parsed = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
            .map_err(|error| SdpError::Syntax(in_words(&error.to_string())))?;
        if parsed.media_descriptions.is_empty() {
            return Err(SdpError::NoMedia);
        }
        limit("media sections", MAX_MEDIA, parsed.media_descriptions.len())?;
        let session = Attributes::new(&parsed.attributes)?;
        let mut media = Vec::with_capacity(parsed.media_descriptions.len());
        for description in &parsed.media_descriptions {
            media.push(parse_media(description, &session)?);
        }
        check_mids(&media)?;
        check_bundle(&media, session.value("group"))?;
        check_extensions(&media)?;
        check_ssrcs(&media)?;
        let options = session.values("ice-options").chain(
            parsed.media_descriptions.iter().flat_map(|media| values(&media.attributes, "ice-options")),
        );
        let trickle = options.flat_map(str::split_ascii_whitespace).any(|option| option == "trickle");
        let mixed = |media: &MediaDescription| media.attributes.iter().any(|a| a.key == "extmap-allow-mixed");
        let extmap_mixed = session.has("extmap-allow-mixed") || parsed.media_descriptions.iter().any(mixed);
        Ok(Self { ice_lite: session.has("ice-lite"), trickle, extmap_mixed, media })
    }
}

/// The parser names its error and the piece of the input that it stumbled over: one short printable line of it goes
/// back to the client.
fn in_words(error: &str) -> String {
    let piece = error.split_once(':').map_or(error, |(_, piece)| piece);
    let piece: String = piece.trim().chars().filter(|c| !c.is_control()).take(120).collect();
    if piece.is_empty() {
        "it ends too early".to_owned()
    } else {
        format!("`{piece}` was not expected there")
    }
}

fn limit(what: &'static str, limit: usize, found: usize) -> Result<(), SdpError> {
    if found > limit { Err(SdpError::TooMany { what, limit }) } else { Ok(()) }
}

fn values<'a>(attributes: &'a [Attribute], key: &'a str) -> impl Iterator<Item = &'a str> {
    attributes.iter().filter(move |a| a.key == key).filter_map(|a| a.value.as_deref())
}

/// The attributes of the session or of one m-line.
struct Attributes<'a>(&'a [Attribute]);

impl<'a> Attributes<'a> {
    fn new(attributes: &'a [Attribute]) -> Result<Self, SdpError> {
        limit("attributes", MAX_ATTRIBUTES, attributes.len())?;
        Ok(Self(attributes))
    }

    fn values(&self, key: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        values(self.0, key)
    }

    fn value(&self, key: &'a str) -> Option<&'a str> {
        self.values(key).next()
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|attribute| attribute.key == key)
    }

    /// The last direction attribute, as browsers read it.
    fn direction(&self) -> Option<Direction> {
        self.0.iter().rev().find_map(|attribute| Direction::parse(&attribute.key))
    }
}

fn parse_media(media: &MediaDescription, session: &Attributes<'_>) -> Result<MediaSection, SdpError> {
    let attributes = Attributes::new(&media.attributes)?;
    let name = &media.media_name;
    let kind = match name.media.as_str() {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => MediaKind::Application,
    };
    let mid: Mid = attributes.value("mid").ok_or(SdpError::Missing("mid"))?.trim().parse()?;
    let rejected = name.port.value == 0 && !attributes.has("bundle-only");
    let in_use = !rejected && kind != MediaKind::Application;
    let protocol = name.protos.join("/");
    let data = (!rejected && is_data(kind, &protocol, &name.formats)).then(|| parse_data(&attributes));
    limit("payload types", MAX_PAYLOAD_TYPES, name.formats.len())?;
    let mut section = MediaSection {
        kind,
        mid,
        rejected,
        direction: attributes.direction().or(session.direction()).unwrap_or_default(),
        codecs: Vec::new(),
        rids: Vec::new(),
        msid: None,
        ssrcs: Vec::new(),
        content: None,
        remote: None,
        data: data.transpose()?,
        extensions: Vec::new(),
        media_word: name.media.clone(),
        protocol,
        formats: name.formats.clone(),
    };
    if section.data.is_some() {
        section.remote = Some(parse_remote(&attributes, session)?);
    }
    if in_use {
        if !attributes.has("rtcp-mux") {
            return Err(SdpError::Missing("rtcp-mux"));
        }
        section.remote = Some(parse_remote(&attributes, session)?);
        section.codecs = parse_codecs(&attributes, &name.formats, kind);
        section.extensions = parse_extensions(&attributes, session)?;
        section.rids = parse_rids(&attributes)?;
        section.msid = attributes.value("msid").and_then(parse_msid);
        section.ssrcs = if section.rids.is_empty() { parse_ssrcs(&attributes)? } else { Vec::new() };
        section.content = attributes.value("content").and_then(|content| parse_content(content, kind));
    }
    Ok(section)
}

/// Data channels as RFC 8841 writes them; what came before it is rejected like any other m-line that is not known.
fn is_data(kind: MediaKind, protocol: &str, formats: &[String]) -> bool {
    let over_dtls = matches!(protocol, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP");
    kind == MediaKind::Application && over_dtls && formats.iter().any(|format| format == "webrtc-datachannel")
}

fn parse_data(attributes: &Attributes<'_>) -> Result<DataParameters, SdpError> {
    let port = attributes.value("sctp-port").ok_or(SdpError::Missing("sctp-port"))?;
    let port: u16 = port.trim().parse().map_err(|_| SdpError::Invalid { attribute: "sctp-port" })?;
    if port == 0 {
        return Err(SdpError::Invalid { attribute: "sctp-port" });
    }
    let size = match attributes.value("max-message-size").map(|size| size.trim().parse::<u64>()) {
        // RFC 8841, 6.1: 64 KiB if it is not said, and 0 for "any". We never send as much.
        None | Some(Ok(0)) => u64::MAX,
        Some(Ok(size)) => size,
        Some(Err(_)) => return Err(SdpError::Invalid { attribute: "max-message-size" }),
    };
    let max_message_size = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_MESSAGE_LEN);
    Ok(DataParameters { port, max_message_size })
}

fn parse_remote(attributes: &Attributes<'_>, session: &Attributes<'_>) -> Result<Remote, SdpError> {
    let either = |key: &'static str| {
        attributes.value(key).or_else(|| session.value(key)).map(str::trim).ok_or(SdpError::Missing(key))
    };
    let ice = ice_credentials(either("ice-ufrag")?, either("ice-pwd")?)?;
    let own = if attributes.has("fingerprint") { attributes } else { session };
    let fingerprint = parse_fingerprint(own.values("fingerprint"))?;
    let setup = match either("setup") {
        // RFC 8842, 5.2: without it, an offer leaves the choice to the answer.
        Err(_) => Setup::ActPass,
        Ok(value) => Setup::parse(value).ok_or(SdpError::Invalid { attribute: "setup" })?,
    };
    // RFC 8839, 5.1: candidates that are not understood are ignored.
    let candidates = attributes.values("candidate").filter_map(|value| Candidate::parse(value).ok());
    Ok(Remote { ice, fingerprint, setup, candidates: candidates.take(MAX_CANDIDATES).collect() })
}

/// RFC 8122, 5: of several hashes of one certificate any will do; what is weaker than SHA-256 is not looked at.
fn parse_fingerprint<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Fingerprint, SdpError> {
    let mut found: Option<Fingerprint> = None;
    for line in lines {
        match Fingerprint::parse(line) {
            Ok(fingerprint) if found.is_none() || fingerprint.hash_name() == "sha-256" => {
                found = Some(fingerprint);
            }
            Ok(_) | Err(FingerprintError::UnsupportedHash) => {}
            Err(_) => return Err(SdpError::Invalid { attribute: "fingerprint" }),
        }
    }
    found.ok_or(SdpError::Missing("fingerprint:sha-256"))
}

/// `96 VP8/90000` and so on: (payload type, rest).
fn numbered<'a>(attributes: &Attributes<'a>, key: &'a str) -> Vec<(u8, &'a str)> {
    let entry = |value: &'a str| {
        let (number, rest) = value.split_once(' ')?;
        Some((number.parse().ok()?, rest.trim()))
    };
    attributes.values(key).filter_map(entry).collect()
}

fn parse_codecs(attributes: &Attributes<'_>, formats: &[String], kind: MediaKind) -> Vec<Codec> {
    let maps = numbered(attributes, "rtpmap");
    let fmtps = numbered(attributes, "fmtp");
    let mut any_feedback = Feedback::default();
    attributes
        .values("rtcp-fb")
        .filter_map(|value| value.trim().strip_prefix("* "))
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
    let mut codecs: Vec<Codec> = Vec::new();
    let mut retransmissions: Vec<(u8, u8)> = Vec::new();
    for payload_type in payload_types {
        let map = find(&maps, payload_type);
        let mut parts = map.split('/');
        let (Some(name), Some(Ok(clock_rate))) = (parts.next(), parts.next().map(str::parse::<u32>)) else {
            continue;
        };
        let fmtp = find(&fmtps, payload_type);
        if name.eq_ignore_ascii_case("rtx") {
            if let Some(Ok(original)) = parameter(&fmtp, "apt").map(str::parse) {
                retransmissions.push((original, payload_type));
            }
            continue;
        }
        let Some(format) = CodecFormat::recognise(name, clock_rate, &fmtp) else { continue };
        let fits = (format == CodecFormat::Opus) == (kind == MediaKind::Audio);
        if !fits || codecs.iter().any(|codec| codec.payload_type == payload_type) {
            continue;
        }
        let mut feedback = any_feedback;
        let own = feedbacks.iter().filter(|(number, _)| *number == payload_type);
        own.for_each(|(_, value)| feedback.add(value));
        codecs.push(Codec { payload_type, format, fmtp, feedback, rtx: None });
    }
    for (original, payload_type) in retransmissions {
        if let Some(codec) = codecs.iter_mut().find(|codec| codec.payload_type == original) {
            codec.rtx.get_or_insert(payload_type);
        }
    }
    codecs
}

/// `a=extmap:9/sendonly urn:... attributes`; session level counts for every m-line (RFC 8285, 5).
fn parse_extensions(
    attributes: &Attributes<'_>,
    session: &Attributes<'_>,
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
        // Offers may use 4096 and up to say "any free id" (RFC 8285, 7); those we leave out, like all beyond 14.
        let id: u16 = id.parse().map_err(|_| invalid.clone())?;
        let Some(extension) = Extension::from_uri(uri) else { continue };
        let Ok(id) = u8::try_from(id) else { continue };
        let fits = (1..=ExtensionMap::MAX_ID).contains(&id);
        if fits && !known.iter().any(|(other, _, _)| *other == extension) {
            known.push((extension, id, direction));
        }
    }
    Ok(known)
}

/// The encodings that `a=simulcast` lists and `a=rid` declares, in the order of `a=simulcast`.
fn parse_rids(attributes: &Attributes<'_>) -> Result<Vec<Rid>, SdpError> {
    let mut declared: Vec<(Rid, &str)> = Vec::new();
    for value in attributes.values("rid") {
        let mut words = value.split_ascii_whitespace();
        let (Some(id), Some(direction)) = (words.next(), words.next()) else {
            return Err(SdpError::Invalid { attribute: "rid" });
        };
        declared.push((id.parse()?, direction));
        limit("encodings", 2 * MAX_ENCODINGS, declared.len())?;
    }
    let Some(simulcast) = attributes.value("simulcast") else {
        let rids: Vec<Rid> = declared.into_iter().map(|(rid, _)| rid).collect();
        limit("encodings", MAX_ENCODINGS, rids.len())?;
        return Ok(rids);
    };
    // RFC 8853, 5.1: `send h;m;~l recv a,b`: streams, alternatives, `~` for paused. An offer that sends has `send`,
    // our answer to it `recv`; nobody who talks to us does both.
    let words: Vec<&str> = simulcast.split_ascii_whitespace().collect();
    let list = match words.as_slice() {
        ["send" | "recv", list, ..] => list,
        _ => return Err(SdpError::Invalid { attribute: "simulcast" }),
    };
    let mut rids: Vec<Rid> = Vec::new();
    for stream in list.split(';') {
        let first = stream.split(',').next().unwrap_or_default();
        let rid: Rid = first.strip_prefix('~').unwrap_or(first).parse()?;
        if declared.iter().any(|(other, _)| *other == rid) && !rids.contains(&rid) {
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

fn parse_ssrcs(attributes: &Attributes<'_>) -> Result<Vec<SsrcPair>, SdpError> {
    let invalid = || SdpError::Invalid { attribute: "ssrc" };
    let mut groups: Vec<(u32, u32)> = Vec::new();
    let mut spare: Vec<u32> = Vec::new();
    for value in attributes.values("ssrc-group") {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next();
        let members: Vec<u32> =
            words.take(2 * MAX_ENCODINGS).map(str::parse).collect::<Result<_, _>>().map_err(|_| invalid())?;
        match (semantics, members.as_slice()) {
            (Some("FID"), [media, rtx]) if media != rtx => groups.push((*media, *rtx)),
            // Forward error correction that we do not carry: its SSRC is not one of media.
            (Some("FEC-FR" | "FEC"), [_, fec]) => spare.push(*fec),
            (Some("SIM"), _) => {}
            _ => return Err(SdpError::Invalid { attribute: "ssrc-group" }),
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
    value.split(',').find_map(|content| match (content.trim(), kind) {
        ("slides", MediaKind::Video) => Some(Source::Screen),
        ("slides", MediaKind::Audio) => Some(Source::ScreenAudio),
        ("main" | "speaker" | "alt", MediaKind::Video) => Some(Source::Camera),
        ("main" | "speaker" | "alt", MediaKind::Audio) => Some(Source::Microphone),
        _ => None,
    })
}

fn check_mids(media: &[MediaSection]) -> Result<(), SdpError> {
    let mut seen = HashSet::new();
    match media.iter().find(|section| !seen.insert(&section.mid)) {
        Some(section) => Err(SdpError::DuplicateMid(section.mid.clone())),
        None => Ok(()),
    }
}

/// Every m-line in use is in the (first) BUNDLE group; a single one needs no group.
fn check_bundle(media: &[MediaSection], group: Option<&str>) -> Result<(), SdpError> {
    let used: Vec<&MediaSection> = media.iter().filter(|section| section.remote.is_some()).collect();
    if used.len() < 2 {
        return Ok(());
    }
    let mut words = group.unwrap_or_default().split_ascii_whitespace();
    let bundle = words.next() == Some("BUNDLE");
    let members: HashSet<&str> = if bundle { words.collect() } else { HashSet::new() };
    match used.iter().find(|section| !members.contains(section.mid.as_str())) {
        Some(section) => Err(SdpError::NotBundled(section.mid.clone())),
        None => Ok(()),
    }
}

fn check_extensions(media: &[MediaSection]) -> Result<(), SdpError> {
    let mut meanings: [Option<Extension>; 256] = [None; 256];
    for (extension, id, _) in media.iter().flat_map(|section| &section.extensions) {
        let Some(meaning) = meanings.get_mut(usize::from(*id)) else { continue };
        if meaning.is_some_and(|other| other != *extension) {
            return Err(SdpError::ExtensionConflict(*id));
        }
        *meaning = Some(*extension);
    }
    Ok(())
}

fn check_ssrcs(media: &[MediaSection]) -> Result<(), SdpError> {
    let mut seen = HashSet::new();
    let pairs = media.iter().flat_map(|section| &section.ssrcs);
    let mut all = pairs.flat_map(|pair| std::iter::once(pair.media).chain(pair.rtx));
    match all.find(|ssrc| !seen.insert(*ssrc)) {
        Some(ssrc) => Err(SdpError::DuplicateSsrc(ssrc)),
        None => Ok(()),
    }
}
