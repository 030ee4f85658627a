//! The other side of a transport, from wherever in the description its attributes stand.

use super::lines::{Attributes, MediaLines};
use super::types::ice_credentials;
use super::{Candidate, MAX_CANDIDATES, SdpError, Setup};
use crate::{Fingerprint, FingerprintError, IceCredentials};

/// The other side of the transport, as it holds for one m-line.
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

/// The BUNDLE group of a description: the first, where there are several (a session has one transport).
pub(super) struct Bundle<'a> {
    mids: Option<Vec<&'a str>>,
}

impl<'a> Bundle<'a> {
    /// Group lines have no order, and other semantics (`LS`) may stand between them (RFC 5888).
    pub(super) fn new(session: &'a Attributes) -> Self {
        let group = |value: &'a str| {
            let mut words = value.split_ascii_whitespace();
            words.next().filter(|semantics| semantics.eq_ignore_ascii_case("BUNDLE")).map(|_| words.collect())
        };
        Self { mids: session.values("group").find_map(group) }
    }

    /// Whether the description has a group at all.
    pub(super) fn exists(&self) -> bool {
        self.mids.is_some()
    }

    /// The place of an m-line in the group.
    pub(super) fn position(&self, mid: Option<&str>) -> Option<usize> {
        self.mids.as_ref()?.iter().position(|member| Some(*member) == mid)
    }
}

/// Where the attributes of an m-line's transport may stand: on the m-line, on the one that the bundle takes its
/// transport from (the others need not repeat them: categories TRANSPORT and IDENTICAL of RFC 8859, RFC 9143 section
/// 7.1.3), or, for some of them, in the session part.
pub(super) struct TransportAttributes<'a> {
    own: &'a Attributes,
    tagged: Option<&'a Attributes>,
    session: &'a Attributes,
}

impl<'a> TransportAttributes<'a> {
    pub(super) fn new(
        own: &'a MediaLines,
        media: &'a [MediaLines],
        bundle: &Bundle<'_>,
        session: &'a Attributes,
    ) -> Self {
        let position = |media: &MediaLines| bundle.position(media.attributes.value("mid"));
        let tagged = if position(own).is_none() {
            None
        } else {
            // The first of the group that is in use by itself; a `bundle-only` m-line is so only through it.
            let candidates = media.iter().filter(|media| media.port != 0);
            let members = candidates.filter_map(|media| Some((position(media)?, &media.attributes)));
            members.min_by_key(|(position, _)| *position).map(|(_, attributes)| attributes)
        };
        Self { own: &own.attributes, tagged, session }
    }

    /// The levels in the order in which they count.
    fn levels(&self) -> impl Iterator<Item = &'a Attributes> {
        [Some(self.own), self.tagged, Some(self.session)].into_iter().flatten()
    }

    fn has(&self, key: &str) -> bool {
        self.levels().any(|level| level.has(key))
    }

    fn required(&self, key: &'static str) -> Result<&'a str, SdpError> {
        self.levels().find_map(|level| level.value(key)).ok_or(SdpError::Missing(key))
    }

    /// RTCP on the port of RTP (RFC 5761). `rtcp-mux-only` (RFC 8858) asks for the same.
    pub(super) fn multiplexes_rtcp(&self) -> bool {
        self.has("rtcp-mux") || self.has("rtcp-mux-only")
    }

    /// RTCP of reduced size (RFC 5506) may be sent.
    pub(super) fn takes_reduced_size(&self) -> bool {
        self.has("rtcp-rsize")
    }

    /// The other side of the transport.
    pub(super) fn remote(&self) -> Result<Remote, SdpError> {
        let ice = ice_credentials(self.required("ice-ufrag")?, self.required("ice-pwd")?)?;
        let fingerprints = self.levels().find(|level| level.has("fingerprint"));
        let fingerprint = match fingerprints {
            Some(level) => parse_fingerprint(level.values("fingerprint"))?,
            None => return Err(SdpError::Missing("fingerprint:sha-256")),
        };
        let setup = match self.required("setup") {
            // RFC 8842, 5.2: without it, an offer leaves the choice to the answer.
            Err(_) => Setup::ActPass,
            Ok(value) => Setup::parse(value).ok_or(SdpError::Invalid { attribute: "setup" })?,
        };
        // Credentials of its own belong to candidates of its own.
        let own = self.tagged.filter(|_| !self.own.has("ice-ufrag")).unwrap_or(self.own);
        // RFC 8839, 5.1: candidates that are not understood are ignored.
        let candidates = own.values("candidate").filter_map(|value| Candidate::parse(value).ok());
        Ok(Remote { ice, fingerprint, setup, candidates: candidates.take(MAX_CANDIDATES).collect() })
    }
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
