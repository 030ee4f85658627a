//! RTP and RTCP as bytes: read in place, written in place. No state but where a format needs it.
//!
//! | What | Where |
//! |---|---|
//! | a packet: header, extensions, payload, padding (RFC 3550, RFC 8285) | [`RtpPacket`] reads, [`HeaderWriter`] writes |
//! | retransmissions (RFC 4588) | [`unwrap_rtx`] |
//! | RTCP (RFC 3550, 4585, 5104, 3611) | [`rtcp`] reads, [`rtcp::write`] writes |
//! | transport-wide feedback | [`twcc`] |
//! | sequence numbers and timestamps over their wrap | [`seq`] |
//! | which header extension has which URI and id | [`Extension`], [`Extensions`] |
//!
//! Every parser takes any bytes: what is malformed is an error, `None` or the end of a list, never a panic.

#![forbid(unsafe_code)]

mod bytes;
mod codec;
mod extension;
mod header;
mod packet;
pub mod rtcp;
mod rtx;
pub mod seq;
mod tag;
pub mod twcc;

pub use codec::{Codec, MediaKind};
pub use extension::{Extension, Extensions};
pub use header::{Header, HeaderWriter, MAX_HEADER};
pub use packet::{Elements, FIXED_HEADER, ParseError, RtpPacket};
pub use rtx::unwrap_rtx;
pub use tag::{Mid, Rid, TagError};
