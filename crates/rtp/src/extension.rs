//! RTP header extensions that this SFU knows, and the ids that a connection negotiated for them.

/// A header extension by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Extension {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    RepairedRid,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`: stamped by this SFU.
    AbsSendTime,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`: passed on, its clock offset corrected.
    AbsCaptureTime,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// `urn:3gpp:video-orientation`.
    VideoOrientation,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`: a number of our own.
    TransportCc,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`.
    PlayoutDelay,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`.
    DependencyDescriptor,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/color-space`.
    ColorSpace,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/video-content-type`.
    VideoContentType,
}

impl Extension {
    /// Every extension that is known.
    pub const ALL: [Self; 12] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AbsSendTime,
        Self::AbsCaptureTime,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::TransportCc,
        Self::PlayoutDelay,
        Self::DependencyDescriptor,
        Self::ColorSpace,
        Self::VideoContentType,
    ];

    /// The URI that stands for it in SDP.
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
            Self::VideoContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
        }
    }

    /// The extension that `uri` stands for in SDP.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.uri() == uri)
    }
}

/// The ids (1 to 255, 15 excepted) that one connection negotiated, by extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    ids: [u8; Extension::ALL.len()],
}

impl Extensions {
    /// None negotiated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also `extension` under `id`. Ids that RFC 8285 reserves (0, 15) leave it out.
    #[must_use]
    pub fn with(mut self, extension: Extension, id: u8) -> Self {
        if let Some(slot) = self.ids.get_mut(extension as usize) {
            *slot = if id == 15 { 0 } else { id };
        }
        self
    }

    /// The id of `extension`, if negotiated.
    #[must_use]
    #[inline]
    pub fn id(&self, extension: Extension) -> Option<u8> {
        self.ids.get(extension as usize).copied().filter(|&id| id != 0)
    }

    /// The extension under `id`, if negotiated.
    #[must_use]
    #[inline]
    pub fn extension(&self, id: u8) -> Option<Extension> {
        Extension::ALL.into_iter().find(|&extension| id != 0 && self.id(extension) == Some(id))
    }
}
