//! RTP packets (RFC 3550, section 5.1) with header extensions (RFC 8285), read in place.
//!
//! ```text
//!  0                   1                   2                   3
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! |                        CSRC (CC times)                        |
//! |   profile 0xBEDE or 0x100n    |  length in words  | elements  |
//! ```

use std::ops::Deref;

use crate::bytes::u16_at;
use crate::extension::{Extension, Extensions};

/// Length of the fixed header in bytes.
pub const FIXED_HEADER: usize = 12;

pub(crate) const ONE_BYTE_PROFILE: u16 = 0xbede;
/// The low four bits of the two-byte profile are for the application.
pub(crate) const TWO_BYTE_PROFILE: u16 = 0x1000;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Another version than 2.
    #[error("not RTP version 2")]
    Version,
    /// A header, CSRC list or extension that goes on past the end.
    #[error("the packet ends within its header")]
    Truncated,
    /// A padding length of 0 or more than the payload.
    #[error("the padding is longer than the payload")]
    Padding,
}

/// The header of a packet: all that is readable while the packet is encrypted, since SRTP leaves it in the clear (RFC
/// 3711, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClearHeader<'a> {
    /// The marker bit: for video, the last packet of a frame.
    pub marker: bool,
    /// The payload type.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in units of the format's clock rate.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
    /// Whether the payload ends with padding.
    pub padded: bool,
    /// Length of the header in bytes, CSRCs and extensions included: the payload begins here.
    pub len: usize,
    contributing: &'a [u8],
    profile: u16,
    elements: &'a [u8],
}

impl<'a> ClearHeader<'a> {
    /// Reads the header of `packet`, encrypted or not.
    ///
    /// # Errors
    /// [`ParseError::Version`] or [`ParseError::Truncated`]; any bytes may be given.
    #[inline]
    pub fn parse(packet: &'a [u8]) -> Result<Self, ParseError> {
        let fixed: &[u8; FIXED_HEADER] = packet.first_chunk().ok_or(ParseError::Truncated)?;
        let [first, second, rest @ ..] = *fixed;
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let [s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = rest;
        let listed = FIXED_HEADER + usize::from(first & 0x0f) * 4;
        let mut len = listed;
        let (mut profile, mut elements) = (0, &[][..]);
        if first & 0x10 != 0 {
            profile = u16_at(packet, len).ok_or(ParseError::Truncated)?;
            let words = u16_at(packet, len + 2).ok_or(ParseError::Truncated)?;
            let end = len + 4 + usize::from(words) * 4;
            elements = packet.get(len + 4..end).ok_or(ParseError::Truncated)?;
            len = end;
        }
        if packet.len() < len {
            return Err(ParseError::Truncated);
        }
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
            padded: first & 0x20 != 0,
            len,
            contributing: packet.get(FIXED_HEADER..listed).unwrap_or_default(),
            profile,
            elements,
        })
    }

    /// The contributing sources (CSRC list), at most 15.
    pub fn contributing(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.contributing.as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// The header extension elements, by id. Stops at the first that is malformed.
    #[must_use]
    #[inline]
    pub fn elements(&self) -> Elements<'a> {
        let two_byte = self.profile & 0xfff0 == TWO_BYTE_PROFILE;
        let known = two_byte || self.profile == ONE_BYTE_PROFILE;
        Elements { rest: if known { self.elements } else { &[] }, two_byte }
    }

    /// The value of the element with this id.
    #[must_use]
    #[inline]
    pub fn element(&self, id: u8) -> Option<&'a [u8]> {
        self.elements().find(|&(found, _)| found == id).map(|(_, value)| value)
    }

    /// The value of `extension` under the negotiated `ids`.
    #[must_use]
    #[inline]
    pub fn extension(&self, ids: &Extensions, extension: Extension) -> Option<&'a [u8]> {
        self.element(ids.id(extension)?)
    }
}

/// A parsed view of an RTP packet that is not encrypted. The fields of its header are its own, by `Deref`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    header: ClearHeader<'a>,
    payload: &'a [u8],
    padding: u8,
}

impl<'a> Deref for RtpPacket<'a> {
    type Target = ClearHeader<'a>;

    #[inline]
    fn deref(&self) -> &ClearHeader<'a> {
        &self.header
    }
}

impl<'a> RtpPacket<'a> {
    /// Parses `bytes`.
    ///
    /// # Errors
    /// [`ParseError`]; any bytes may be given.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = ClearHeader::parse(bytes)?;
        let payload = bytes.get(header.len..).ok_or(ParseError::Truncated)?;
        let padding = if header.padded { *payload.last().ok_or(ParseError::Padding)? } else { 0 };
        if header.padded && (padding == 0 || usize::from(padding) > payload.len()) {
            return Err(ParseError::Padding);
        }
        Ok(Self { header, payload, padding })
    }

    /// Everything after the header, padding included.
    #[must_use]
    #[inline]
    pub fn padded_payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The payload without padding; empty for a packet that only probes.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload.get(..self.payload.len() - usize::from(self.padding)).unwrap_or_default()
    }
}

/// Iterates over header extension elements: (id, value).
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == 0 {
                // A padding byte stands alone in both forms.
                self.rest = rest;
                continue;
            }
            let (id, len, rest) = if self.two_byte {
                let (&len, rest) = rest.split_first()?;
                (first, usize::from(len), rest)
            } else {
                (first >> 4, usize::from(first & 0x0f) + 1, rest)
            };
            if !self.two_byte && (id == 15 || id == 0) {
                // RFC 8285, section 4.2: 15 ends the list; 0 with a length is malformed.
                self.rest = &[];
                return None;
            }
            let value = rest.get(..len);
            self.rest = rest.get(len..).unwrap_or_default();
            return value.map(|value| (id, value));
        }
    }
}
