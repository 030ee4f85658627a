//! An offer or an answer as a whole, and what its m-lines have to agree on.

use std::collections::HashSet;
use std::ops::Deref;

use rtp::{Extension, MediaKind, Mid};

use super::lines::{Lines, MediaLines};
use super::remote::{Bundle, Remote, TransportAttributes};
use super::section::{MediaSection, Written};
use super::types::mid_of_line;
use super::{CodecFormat, SdpError, Setup};

/// What an offer and an answer have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The other side is ICE-lite.
    pub ice_lite: bool,
    /// It trickles candidates (`a=ice-options:trickle`).
    pub trickle: bool,
    /// It takes header extensions of the two-byte form among others (`a=extmap-allow-mixed`).
    pub extmap_mixed: bool,
    /// It has a BUNDLE group.
    pub bundled: bool,
    /// The m-lines in order; at least one.
    pub media: Vec<MediaSection>,
}

/// An offer: every m-line that is not rejected is bundled and multiplexes RTCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer(Description);

/// An answer, with a decided DTLS role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(Description);

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
        Description::parse(text, Written::Offer).map(Self)
    }

    /// The m-lines that an answer accepts, the one that gives the transport first: in the order of the BUNDLE group
    /// (RFC 9143, 7.3.1), or of the offer where there is none. `accepts` takes the place of an m-line in the offer.
    pub(super) fn bundle(&self, accepts: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut accepted: Vec<(Option<usize>, usize)> = self
            .media
            .iter()
            .enumerate()
            .filter(|(index, section)| section.remote.is_some() && accepts(*index))
            .map(|(index, section)| (section.bundle_position, index))
            .collect();
        accepted.sort_unstable();
        accepted.into_iter().map(|(_, index)| index).collect()
    }

    /// The other side of the session's transport, of the m-lines that [`Offer::bundle`] gives.
    pub(super) fn remote(&self, accepted: &[usize]) -> Result<Remote, SdpError> {
        let first = accepted.first().and_then(|index| self.media.get(*index));
        first.and_then(|section| section.remote.clone()).ok_or(SdpError::NoUsableMedia)
    }

    /// The names in the BUNDLE group of an answer: none if the offer has no group (RFC 9143, 7.3).
    pub(super) fn bundle_mids(&self, accepted: &[usize]) -> Vec<&str> {
        let sections = accepted.iter().filter(|_| self.bundled).filter_map(|index| self.media.get(*index));
        sections.filter_map(|section| section.written_mid.as_deref()).collect()
    }

    /// We send no connectivity checks, so the other side has to.
    pub(super) fn require_full_agent(&self) -> Result<(), SdpError> {
        if self.ice_lite { Err(SdpError::BothLite) } else { Ok(()) }
    }

    /// Refuses an offer whose m-lines of one kind, as far as they are `wanted`, have no codec that we carry.
    pub(super) fn require_carried(&self, wanted: impl Fn(&MediaSection) -> bool) -> Result<(), SdpError> {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let of_kind = |section: &&MediaSection| {
                section.kind == Some(kind) && section.remote.is_some() && wanted(section)
            };
            let sections = || self.media.iter().filter(of_kind);
            if sections().next().is_none() || sections().any(|section| !section.codecs.is_empty()) {
                continue;
            }
            let mut offered: Vec<&str> = Vec::new();
            for name in sections().flat_map(|section| &section.offered) {
                if !offered.contains(&name.as_str()) {
                    offered.push(name);
                }
            }
            let offered = if offered.is_empty() { "nothing with a name".into() } else { offered.join(", ") };
            let carried = CodecFormat::carried(kind == MediaKind::Audio);
            return Err(SdpError::NotCarried { kind: kind.as_str(), offered, carried });
        }
        Ok(())
    }
}

impl Answer {
    /// Parses an answer.
    ///
    /// # Errors
    /// As [`Offer::parse`]; besides, the DTLS role must be decided.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let description = Description::parse(text, Written::Answer)?;
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
        let used = self.media.iter().filter(|section| section.remote.is_some());
        used.min_by_key(|section| section.bundle_position).and_then(|section| section.remote.as_ref())
    }
}

impl Description {
    /// The m-line of data channels and its place: the first in use, a session has one association.
    pub(super) fn data_section(&self) -> Option<(usize, &MediaSection)> {
        self.media.iter().enumerate().find(|(_, section)| section.data.is_some())
    }

    fn parse(text: &str, written: Written) -> Result<Self, SdpError> {
        let Lines { session, media: lines } = Lines::parse(text)?;
        let bundle = Bundle::new(&session);
        let mids = mids(&lines)?;
        let mut media = Vec::with_capacity(lines.len());
        for (line, mid) in lines.iter().zip(mids) {
            let position = bundle.position(line.attributes.value("mid"));
            let transport = TransportAttributes::new(line, &lines, &bundle, &session);
            media.push(MediaSection::parse(line, mid, position, &transport, &session, written)?);
        }
        check_bundle(&media)?;
        check_extensions(&media)?;
        check_ssrcs(&media)?;
        let levels = || std::iter::once(&session).chain(lines.iter().map(|line| &line.attributes));
        let options = levels().flat_map(|level| level.values("ice-options"));
        let trickle = options
            // With commas between them, as libdatachannel writes it, too.
            .flat_map(|value| value.split([' ', ',']))
            .any(|option| option.eq_ignore_ascii_case("trickle"));
        Ok(Self {
            ice_lite: session.has("ice-lite"),
            trickle,
            extmap_mixed: levels().any(|level| level.has("extmap-allow-mixed")),
            bundled: bundle.exists(),
            media,
        })
    }
}

/// The names of the m-lines. RFC 5888 asks for none where nothing is grouped, nor RFC 8829 on rejected m-lines, and
/// puts no limit to their length: whoever has none that fits a header extension gets one of ours, the first number
/// from its place on that nobody has.
fn mids(lines: &[MediaLines]) -> Result<Vec<Mid>, SdpError> {
    let mut taken: HashSet<Mid> = HashSet::new();
    let mut written: HashSet<&str> = HashSet::new();
    let mut names: Vec<Option<Mid>> = Vec::with_capacity(lines.len());
    for line in lines {
        let Some(mid) = line.attributes.value("mid") else {
            names.push(None);
            continue;
        };
        let name = mid_of_line(mid)?;
        if !written.insert(mid) {
            return Err(SdpError::DuplicateMid(mid.to_owned()));
        }
        taken.extend(name);
        names.push(name);
    }
    let named = names.into_iter().enumerate().map(|(index, name)| match name {
        Some(name) => name,
        None => {
            let mut numbers = (index..).filter_map(|number| number.to_string().parse::<Mid>().ok());
            let free =
                numbers.find(|mid| !taken.contains(mid)).expect("fewer names are taken than there are");
            taken.insert(free);
            free
        }
    });
    Ok(named.collect())
}

/// Every m-line in use is in the BUNDLE group; a single one needs no group.
fn check_bundle(media: &[MediaSection]) -> Result<(), SdpError> {
    let used: Vec<&MediaSection> = media.iter().filter(|section| section.remote.is_some()).collect();
    if used.len() < 2 {
        return Ok(());
    }
    match used.iter().find(|section| section.bundle_position.is_none()) {
        Some(MediaSection { written_mid: None, .. }) => Err(SdpError::Missing("mid")),
        Some(MediaSection { written_mid: Some(mid), .. }) => Err(SdpError::NotBundled(mid.clone())),
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
