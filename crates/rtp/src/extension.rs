//! RTP header extensions that Madang knows, and the ids that a connection negotiated for them (RFC 8285).

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
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`: 24 bits, 6 of them whole seconds.
    AbsSendTime,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`: an NTP time, and the offset of its clock.
    AbsCaptureTime,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// `urn:3gpp:video-orientation`.
    VideoOrientation,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`.
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

/// The ids that one connection negotiated, by extension: 1 to 14, or 16 to 255 where the two-byte form is understood
/// (RFC 8285, sections 4.2 and 4.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// 0 is "not negotiated".
    ids: [u8; Extension::ALL.len()],
}

impl Extensions {
    /// Highest id of the one-byte form.
    pub const MAX_ONE_BYTE_ID: u8 = 14;
    /// Has no meaning in the one-byte form, and so is not used at all.
    pub const RESERVED_ID: u8 = 15;

    /// None negotiated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `extensions` with the ids 1, 2, 3 and so on, without the one that is reserved.
    #[must_use]
    pub fn numbered(extensions: &[Extension]) -> Self {
        let ids = (1..=u8::MAX).filter(|&id| id != Self::RESERVED_ID);
        ids.zip(extensions).fold(Self::default(), |map, (id, &extension)| map.with(extension, id))
    }

    /// Also `extension` under `id`. Ids that are reserved (0, 15) leave it out.
    #[must_use]
    pub fn with(mut self, extension: Extension, id: u8) -> Self {
        if let Some(slot) = self.ids.get_mut(extension as usize) {
            *slot = if id == Self::RESERVED_ID { 0 } else { id };
        }
        self
    }

    /// Gives `extension` an id. Returns whether that is possible: the id is not reserved, no other extension has it,
    /// and `extension` has no other id yet.
    pub fn insert(&mut self, extension: Extension, id: u8) -> bool {
        let free = self.extension(id).is_none_or(|other| other == extension);
        let same = self.id(extension).is_none_or(|other| other == id);
        let fits = id != 0 && id != Self::RESERVED_ID && free && same;
        if fits {
            *self = self.with(extension, id);
        }
        fits
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

    /// The negotiated extensions with their ids, in the order of [`Extension::ALL`].
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
    pub fn without(self, extension: Extension) -> Self {
        self.with(extension, 0)
    }

    /// Only those that `keep` wants.
    #[must_use]
    pub fn only(&self, keep: impl Fn(Extension, u8) -> bool) -> Self {
        let kept = self.iter().filter(|&(extension, id)| keep(extension, id));
        kept.fold(Self::default(), |map, (extension, id)| map.with(extension, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_has_a_place_and_a_uri_of_its_own() {
        for (index, extension) in Extension::ALL.into_iter().enumerate() {
            assert_eq!(extension as usize, index);
            assert_eq!(Extension::from_uri(extension.uri()), Some(extension));
        }
        assert_eq!(Extension::from_uri("urn:ietf:params:rtp-hdrext:toffset"), None);
    }

    #[test]
    fn extensions_are_numbered_in_their_order() {
        let map = Extensions::numbered(&[Extension::Rid, Extension::Mid]);
        assert_eq!((map.id(Extension::Rid), map.id(Extension::Mid)), (Some(1), Some(2)));
        assert_eq!(map.iter().count(), 2);
    }

    #[test]
    fn an_id_means_one_thing_and_an_extension_has_one_id() {
        let mut map = Extensions::new();
        assert!(map.insert(Extension::Mid, 3) && map.insert(Extension::Mid, 3));
        assert!(!map.insert(Extension::Mid, 4), "another id");
        assert!(!map.insert(Extension::Rid, 3), "another meaning");
        assert!(!map.insert(Extension::Rid, 0) && !map.insert(Extension::Rid, 15), "reserved");
        assert!(map.insert(Extension::Rid, 16) && map.insert(Extension::ColorSpace, 255));
        assert_eq!(map.extension(16), Some(Extension::Rid));
        let low = map.only(|_, id| id <= Extensions::MAX_ONE_BYTE_ID);
        assert_eq!(low.iter().collect::<Vec<_>>(), [(Extension::Mid, 3)]);
        assert!(low.without(Extension::Mid).is_empty());
    }
}
