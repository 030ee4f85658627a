//! RTP header extensions (RFC 8285).

/// The header extensions that Madang knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Extension {
    /// Name of the m-line (RFC 9143).
    Mid,
    /// Name of the encoding (RFC 8852).
    Rid,
    /// On an RTX stream: name of the encoding that it repairs (RFC 8852).
    RepairedRid,
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportCc,
    /// Sending time, 6.18 fixed point seconds.
    AbsSendTime,
    /// Capture time as NTP timestamp.
    AbsCaptureTime,
    /// Level of the audio in the packet (RFC 6464).
    AudioLevel,
    /// Rotation of the picture (3GPP TS 26.114).
    VideoOrientation,
    /// Layers of the frame (AV1 RTP specification, appendix A).
    DependencyDescriptor,
}

impl Extension {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::TransportCc,
        Self::AbsSendTime,
        Self::AbsCaptureTime,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::DependencyDescriptor,
    ];

    /// Its URI in `a=extmap`.
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
        }
    }

    pub(super) fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.uri() == uri)
    }
}

/// Which id each extension has in a session: 1 to 14, those of the one-byte form. Extensions that a browser numbers
/// higher are not negotiated, because our writers make the one-byte form only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtensionMap {
    ids: [Option<u8>; Extension::ALL.len()],
}

impl ExtensionMap {
    /// Highest id of the one-byte form (RFC 8285, 4.2: 15 is reserved).
    pub const MAX_ID: u8 = 14;

    /// `extensions` with the ids 1, 2, 3 and so on.
    #[must_use]
    pub fn numbered(extensions: &[Extension]) -> Self {
        let mut map = Self::default();
        for (id, extension) in (1..).zip(extensions) {
            map.insert(*extension, id);
        }
        map
    }

    /// The id of `extension`, if negotiated.
    #[must_use]
    pub fn id(&self, extension: Extension) -> Option<u8> {
        self.ids.get(extension as usize).copied().flatten()
    }

    /// The extension that has this id.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<Extension> {
        Extension::ALL.into_iter().find(|extension| self.id(*extension) == Some(id))
    }

    /// Gives `extension` an id. Returns whether that is possible: the id is 1 to 14, no other extension has it, and
    /// `extension` has no other id yet.
    pub fn insert(&mut self, extension: Extension, id: u8) -> bool {
        let free = self.extension(id).is_none_or(|other| other == extension);
        let same = self.id(extension).is_none_or(|other| other == id);
        let fits = (1..=Self::MAX_ID).contains(&id) && free && same;
        if fits && let Some(slot) = self.ids.get_mut(extension as usize) {
            *slot = Some(id);
        }
        fits
    }

    /// The negotiated extensions with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (Extension, u8)> + '_ {
        Extension::ALL.into_iter().filter_map(|extension| Some((extension, self.id(extension)?)))
    }

    /// Whether none is negotiated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// All but one.
    #[must_use]
    pub fn without(mut self, extension: Extension) -> Self {
        if let Some(slot) = self.ids.get_mut(extension as usize) {
            *slot = None;
        }
        self
    }

    /// Only those that `keep` lists.
    #[must_use]
    pub fn only(&self, keep: &[Extension]) -> Self {
        let mut kept = Self::default();
        for (extension, id) in self.iter().filter(|(extension, _)| keep.contains(extension)) {
            kept.insert(extension, id);
        }
        kept
    }
}
