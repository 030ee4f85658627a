//! The codecs that Madang carries, and what can decode what.

use rtp::Codec;

/// What a payload type decodes as. Opus for sound; for video H.264 (packetization-mode 1), VP9, VP8 and AV1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecFormat {
    /// Opus (RFC 7587).
    Opus,
    /// H.264 (RFC 6184), packetization-mode 1.
    H264(H264Profile),
    /// VP9 (RFC 9628), profile 0: 8 bit, 4:2:0.
    Vp9,
    /// VP8 (RFC 7741).
    Vp8,
    /// AV1, main profile.
    Av1,
    /// Redundant audio (RFC 2198) of Opus: never a codec of its own, see [`PayloadFormat::redundant`].
    Red,
}

/// Profile of an H.264 stream, as far as `profile-level-id` tells them apart (RFC 6184, table 5). Levels are not
/// compared: decoders of browsers go far beyond the one that they declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum H264Profile {
    /// What every decoder decodes.
    ConstrainedBaseline,
    /// Declared by old encoders; in practice constrained baseline.
    Baseline,
    /// Main.
    Main,
    /// High without interlacing and B frames; Safari's name for its high profile.
    ConstrainedHigh,
    /// High.
    High,
}

impl H264Profile {
    /// From the six hex digits of `profile-level-id`.
    #[must_use]
    pub fn parse(profile_level_id: &str) -> Option<Self> {
        if profile_level_id.len() != 6 || !profile_level_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let [_, idc, constraints, _level] = u32::from_str_radix(profile_level_id, 16).ok()?.to_be_bytes();
        // RFC 6184, table 5: constraint_set1 makes baseline constrained, and main (with set0) likewise.
        match idc {
            0x42 if constraints & 0x40 != 0 => Some(Self::ConstrainedBaseline),
            0x42 => Some(Self::Baseline),
            0x4D if constraints & 0x80 != 0 => Some(Self::ConstrainedBaseline),
            0x4D => Some(Self::Main),
            0x64 if constraints & 0x0C == 0x0C => Some(Self::ConstrainedHigh),
            0x64 => Some(Self::High),
            _ => None,
        }
    }

    /// What a decoder needs: each rank decodes the lower ones. Baseline counts as constrained baseline and high as
    /// constrained high, because no encoder of this century uses what they have more (slice groups, interlacing).
    fn rank(self) -> u8 {
        match self {
            Self::ConstrainedBaseline | Self::Baseline => 0,
            Self::Main => 1,
            Self::ConstrainedHigh | Self::High => 2,
        }
    }
}

impl CodecFormat {
    /// The name in `a=rtpmap`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::H264(_) => "H264",
            Self::Vp9 => "VP9",
            Self::Vp8 => "VP8",
            Self::Av1 => "AV1",
            Self::Red => "red",
        }
    }

    /// The codec without its profile.
    #[must_use]
    pub fn codec(self) -> Codec {
        match self {
            Self::Opus | Self::Red => Codec::Opus,
            Self::H264(_) => Codec::H264,
            Self::Vp9 => Codec::Vp9,
            Self::Vp8 => Codec::Vp8,
            Self::Av1 => Codec::Av1,
        }
    }

    /// Ticks a second of its RTP timestamps.
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        if self.codec() == Codec::Opus { 48_000 } else { 90_000 }
    }

    /// How well a decoder of `self` suits a stream of `stream`: `None` if it cannot decode it, else the lower the
    /// better (0 is exactly this).
    #[must_use]
    pub fn decodes(self, stream: Self) -> Option<u8> {
        match (self, stream) {
            (Self::H264(decoder), Self::H264(profile)) if decoder == profile => Some(0),
            (Self::H264(decoder), Self::H264(profile)) => {
                decoder.rank().checked_sub(profile.rank()).map(|distance| distance + 1)
            }
            _ => (self == stream).then_some(0),
        }
    }

    /// Our own order of preference, for whatever the other side leaves open: H.264 first (hardware everywhere, and
    /// fMP4), then VP9, VP8, AV1.
    pub(super) fn preference(self) -> u8 {
        match self {
            Self::Opus | Self::Red | Self::H264(_) => 0,
            Self::Vp9 => 1,
            Self::Vp8 => 2,
            Self::Av1 => 3,
        }
    }

    /// Among payload types of one codec: the higher, the more streams it decodes.
    pub(super) fn ability(self) -> u8 {
        if let Self::H264(profile) = self { profile.rank() } else { 0 }
    }

    /// Every format of a kind that we carry, in words.
    #[must_use]
    pub fn carried(audio: bool) -> &'static str {
        if audio {
            "Opus"
        } else {
            "H.264 (packetization-mode 1), VP9 (profile 0), VP8 or AV1 (main profile)"
        }
    }

    /// From what `a=rtpmap` and `a=fmtp` say; `None` for everything that we do not carry.
    pub(super) fn recognise(name: &str, clock_rate: u32, fmtp: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let format = if is("opus") {
            Self::Opus
        } else if is("H264") && parameter(fmtp, "packetization-mode") == Some("1") {
            // RFC 6184, 8.1: without a profile-level-id it is baseline.
            match parameter(fmtp, "profile-level-id") {
                Some(id) => Self::H264(H264Profile::parse(id)?),
                None => Self::H264(H264Profile::Baseline),
            }
        } else if is("VP9") && matches!(parameter(fmtp, "profile-id"), None | Some("0")) {
            Self::Vp9
        } else if is("VP8") {
            Self::Vp8
        } else if is("AV1") && matches!(parameter(fmtp, "profile"), None | Some("0")) {
            Self::Av1
        } else {
            return None;
        };
        (format.clock_rate() == clock_rate).then_some(format)
    }
}

/// The value of one parameter in an `a=fmtp` value: `a=1;b=2`.
pub(super) fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| key.trim_end().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_start())
}

/// What a receiver of a payload type sends back (RFC 4585, RFC 5104).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// Generic NACK.
    pub nack: bool,
    /// Picture loss indication.
    pub pli: bool,
    /// Full intra request.
    pub fir: bool,
    /// Transport-wide congestion control.
    pub transport_cc: bool,
    /// `goog-remb`: the receiver's estimate of the bandwidth, for who has no transport-wide feedback.
    pub remb: bool,
    /// `rrtr`: receiver reference times (RFC 3611, section 4.4), from which who only receives learns the round trip. The
    /// name that libwebrtc gives it; browsers do it, and do not offer it by themselves.
    pub reference_time: bool,
}

impl Feedback {
    /// What we do for video.
    pub const VIDEO: Self =
        Self { nack: true, pli: true, fir: true, transport_cc: true, remb: true, reference_time: false };
    /// What we do for audio.
    pub const AUDIO: Self =
        Self { nack: true, pli: false, fir: false, transport_cc: true, remb: false, reference_time: false };

    /// What both sides do.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            nack: self.nack && other.nack,
            pli: self.pli && other.pli,
            fir: self.fir && other.fir,
            transport_cc: self.transport_cc && other.transport_cc,
            remb: self.remb && other.remb,
            reference_time: self.reference_time && other.reference_time,
        }
    }

    /// Adds the value of one `a=rtcp-fb`; unknown ones are ignored.
    pub(super) fn add(&mut self, value: &str) {
        match value.to_ascii_lowercase().as_str() {
            "nack" => self.nack = true,
            "nack pli" => self.pli = true,
            "ccm fir" => self.fir = true,
            "transport-cc" => self.transport_cc = true,
            "goog-remb" => self.remb = true,
            "rrtr" => self.reference_time = true,
            _ => {}
        }
    }

    /// The values to write.
    pub(super) fn values(self) -> impl Iterator<Item = &'static str> {
        [
            (self.remb, "goog-remb"),
            (self.transport_cc, "transport-cc"),
            (self.fir, "ccm fir"),
            (self.reference_time, "rrtr"),
            (self.nack, "nack"),
            (self.pli, "nack pli"),
        ]
        .into_iter()
        .filter_map(|(on, value)| on.then_some(value))
    }
}

/// One payload type of an m-line that carries a codec we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFormat {
    /// Payload type, 0 to 127 without 64 to 95 (which RTCP would be taken for, RFC 5761).
    pub payload_type: u8,
    /// What it is.
    pub format: CodecFormat,
    /// The value of `a=fmtp` as written, empty if there is none.
    pub fmtp: String,
    /// Feedback.
    pub feedback: Feedback,
    /// Payload type of its retransmissions (RFC 4588), if any.
    pub rtx: Option<u8>,
}

impl PayloadFormat {
    /// The payload type of the blocks of redundant audio (`a=fmtp:63 111/111`), where this is it and all are of one.
    #[must_use]
    pub fn redundant(&self) -> Option<u8> {
        let mut blocks = self.fmtp.split('/').map(|block| block.trim().parse::<u8>().ok());
        let first = blocks.next()??;
        (self.format == CodecFormat::Red && blocks.all(|block| block == Some(first))).then_some(first)
    }
}
