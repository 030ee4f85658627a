//! SDP: what a browser offers, what we answer, and the same from the client's side.
//!
//! Text goes in through [`Offer::parse`] or [`Answer::parse`] and becomes a typed view with every bound checked;
//! text comes out of [`answer_publish`] (WHIP), [`answer_play`] (WHEP), [`answer_slots`] (calls) and
//! [`ClientOffer::to_sdp`], from a fixed codec list ([`CodecFormat`]) and a fixed header-extension list
//! ([`rtp::Extension`]).
//!
//! ```text
//! lines        the text as lines: `rtc-sdp`, whose types stay there
//! remote       ICE and DTLS of the other side, wherever in a bundle they stand
//! section      one m-line
//! description  all of them, and what they have to agree on
//! publish, play, slots, client   answers and offers; write: their lines
//! ```
//! Every session is one transport: all m-lines bundled (RFC 9143), RTCP multiplexed (RFC 5761). What clients may write
//! otherwise, they may: see the table of offers in `offers_tests.rs`.
//!
//! References: RFC 8866 (SDP), RFC 8829 (JSEP), RFC 8839 (ICE), RFC 8122 and 8842 (DTLS), RFC 8285 (header
//! extensions), RFC 8851 and 8853 (rid, simulcast), RFC 5576 (ssrc), RFC 4588 (rtx), RFC 4796 (content).

mod client;
mod codec;
mod description;
mod lines;
mod play;
mod publish;
mod remote;
mod section;
mod slots;
mod trickle;
mod types;
mod write;

#[cfg(test)]
mod extension_tests;
#[cfg(test)]
mod offers_tests;
#[cfg(test)]
mod slots_tests;
#[cfg(test)]
mod tests;

pub use client::{ClientMedia, ClientOffer, Negotiated, NegotiatedMedia};
pub use codec::{CodecFormat, Feedback, H264Profile, PayloadFormat};
pub use contract::destination::Source;
pub use description::{Answer, Description, Offer};
pub use play::{
    PLAY_EXTENSIONS, PlayAnswer, PlayMedia, PlayTrack, Undecodable, UndecodableReason, answer_play,
};
pub use publish::{PublishAnswer, PublishMedia, PublishOptions, answer_publish};
pub use remote::Remote;
pub use section::MediaSection;
pub use slots::{Slot, SlotStream, SlotsAnswer, answer_slots};
pub use trickle::{Fragment, FragmentMedia};
pub use types::{
    Candidate, CandidateKind, Direction, Local, Msid, Setup, SsrcPair, TcpType, ice_credentials,
};

/// Longest SDP text in bytes; more is refused before it is parsed. Twenty slots in all codecs of Chromium are 80 KiB, in
/// two codecs 30.
pub const MAX_SDP_LEN: usize = 128 * 1024;
/// Most m-lines of a session.
pub const MAX_MEDIA: usize = 64;
/// Most candidates of a session, over all m-lines.
pub const MAX_CANDIDATES: usize = 32;
/// Most simulcast encodings of a track.
pub const MAX_ENCODINGS: usize = 3;
/// Most header extensions of an m-line.
pub const MAX_EXTENSIONS: usize = 32;
/// Most payload types of an m-line. Chromium offers about 40 for video.
pub const MAX_PAYLOAD_TYPES: usize = 96;
/// Most attribute lines of an m-line.
pub const MAX_ATTRIBUTES: usize = 512;

/// Why an SDP text is refused. The messages are for the client that sent it: they name what is wrong, never what
/// the server holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Longer than [`MAX_SDP_LEN`].
    #[error("the SDP has {0} bytes; at most 131072 are accepted")]
    TooLong(usize),
    /// Not SDP.
    #[error("this is not SDP: {0}")]
    Syntax(String),
    /// One of the limits of this module.
    #[error("too many {what}; at most {limit} are accepted")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// There is no m-line.
    #[error("the SDP has no media section")]
    NoMedia,
    /// A line that must be there is not.
    #[error("`a={0}` is missing")]
    Missing(&'static str),
    /// A line has a value that is not in its grammar.
    #[error("`a={attribute}` has an invalid value")]
    Invalid {
        /// The attribute.
        attribute: &'static str,
    },
    /// Two m-lines have the same mid.
    #[error("two media sections have the mid `{0}`")]
    DuplicateMid(String),
    /// An m-line outside the BUNDLE group.
    #[error("media section `{0}` is not in the BUNDLE group; a session has one transport")]
    NotBundled(String),
    /// Two m-lines of the bundle use one header-extension id for different extensions (RFC 9143, 7.2).
    #[error("header extension id {0} has two meanings in one bundle")]
    ExtensionConflict(u8),
    /// Two m-lines of the bundle declare the same SSRC.
    #[error("SSRC {0} is declared twice")]
    DuplicateSsrc(u32),
    /// No m-line is left after codecs and directions were compared.
    #[error(
        "no media section can be used: offer Opus, and H.264 (packetization-mode 1), VP9 (profile 0), VP8 or AV1"
    )]
    NoUsableMedia,
    /// All that the offer sends (or, of a viewer, receives) of a kind is in codecs that we do not carry. It is refused as
    /// a whole: whoever offers a picture is not served by an answer of sound.
    #[error("the offer has {kind} as {offered} only, which this server does not carry: offer {carried}")]
    NotCarried {
        /// `audio` or `video`.
        kind: &'static str,
        /// Names of what is offered, with commas between.
        offered: String,
        /// Names of what is carried.
        carried: &'static str,
    },
    /// The m-line that the client names does not do what it says.
    #[error("the offer has no media section `{mid}` that can {does} {kind}, or it is named twice")]
    NoSuchMedia {
        /// The name.
        mid: String,
        /// `send` or `receive`.
        does: &'static str,
        /// `audio` or `video`.
        kind: &'static str,
    },
    /// Both sides are ICE-lite: nobody would send a connectivity check.
    #[error("the offer says `a=ice-lite`, as this server does: one side has to be a full ICE agent")]
    BothLite,
    /// The answer does not fit the offer that it answers.
    #[error("the answer does not match the offer: {0}")]
    Mismatch(&'static str),
}

impl From<rtp::TagError> for SdpError {
    fn from(error: rtp::TagError) -> Self {
        Self::Invalid { attribute: error.name }
    }
}
