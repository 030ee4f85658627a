//! RTP and RTCP as bytes: read in place, written in place. No state but where a format needs it.
//!
//! | What | Where |
//! |---|---|
//! | a packet: header, extensions, payload, padding (RFC 3550, RFC 8285) | [`RtpPacket`] reads, [`HeaderWriter`] writes |
//! | the header of a packet that is encrypted | [`ClearHeader`] |
//! | retransmissions (RFC 4588) | [`wrap_rtx`], [`unwrap_rtx`] |
//! | RTCP (RFC 3550, 4585, 5104, 3611) | [`rtcp`] reads, [`rtcp::write`] writes |
//! | transport-wide feedback | [`twcc`] |
//! | sequence numbers and timestamps over their wrap | [`seq`] |
//! | times of day in reports | [`ntp`] |
//! | which header extension has which URI and id | [`Extension`], [`Extensions`] |
//! | how loud a packet is (RFC 6464) | [`AudioLevel`] |
//!
//! Every parser takes any bytes: what is malformed is an error, `None` or the end of a list, never a panic.

#![forbid(unsafe_code)]

mod bytes;
mod codec;
mod extension;
mod header;
mod level;
pub mod ntp;
mod packet;
pub mod rtcp;
mod rtx;
pub mod seq;
mod tag;
pub mod twcc;

pub use codec::{Codec, MediaKind};
pub use extension::{Extension, Extensions};
pub use header::{CSRC_LEN, Header, HeaderWriter, MAX_HEADER};
pub use level::AudioLevel;
pub use packet::{ClearHeader, Elements, FIXED_HEADER, ParseError, RtpPacket};
pub use rtx::{unwrap_rtx, wrap_rtx};
pub use tag::{Mid, Rid, TagError};
