//! RTP packets (RFC 3550, section 5.1) with header extensions (RFC 8285), read in place and written in place.
//!
//! ```text
//!  0                   1                   2                   3
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! |                        CSRC (CC times)                        |
//! |   profile 0xBEDE or 0x100n    |  length in words  | elements  |
//! ```

use crate::extension::{Extension, Extensions};

/// Length of the fixed header in bytes.
pub const FIXED_HEADER: usize = 12;
/// Longest header that [`HeaderWriter`] writes, extensions included.
pub const MAX_HEADER: usize = 512;

const ONE_BYTE_PROFILE: u16 = 0xbede;
/// The low four bits of the two-byte profile are for the application.
const TWO_BYTE_PROFILE: u16 = 0x1000;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

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

/// A parsed view of an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
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
    profile: u16,
    elements: &'a [u8],
    payload: &'a [u8],
    padding: u8,
}

impl<'a> RtpPacket<'a> {
    /// Parses `bytes`.
    ///
    /// # Errors
    /// [`ParseError`]; any bytes may be given.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let fixed: &[u8; FIXED_HEADER] = bytes.first_chunk().ok_or(ParseError::Truncated)?;
        let [first, second, rest @ ..] = *fixed;
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let [s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = rest;
        let mut at = FIXED_HEADER + usize::from(first & 0x0f) * 4;
        let (mut profile, mut elements) = (0, &[][..]);
        if first & 0x10 != 0 {
            profile = u16_at(bytes, at).ok_or(ParseError::Truncated)?;
            let words = u16_at(bytes, at + 2).ok_or(ParseError::Truncated)?;
            let end = at + 4 + usize::from(words) * 4;
            elements = bytes.get(at + 4..end).ok_or(ParseError::Truncated)?;
            at = end;
        }
        let payload = bytes.get(at..).ok_or(ParseError::Truncated)?;
        let padded = first & 0x20 != 0;
        let padding = if padded { *payload.last().ok_or(ParseError::Padding)? } else { 0 };
        if padded && (padding == 0 || usize::from(padding) > payload.len()) {
            return Err(ParseError::Padding);
        }
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
            padded,
            profile,
            elements,
            payload,
            padding,
        })
    }

    /// Everything after the header, padding included.
    #[must_use]
    pub fn padded_payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The payload without padding; empty for a packet that only probes.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload.get(..self.payload.len() - usize::from(self.padding)).unwrap_or_default()
    }

    /// The header extension elements, by id. Stops at the first that is malformed.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        let two_byte = self.profile & 0xfff0 == TWO_BYTE_PROFILE;
        let known = two_byte || self.profile == ONE_BYTE_PROFILE;
        Elements { rest: if known { self.elements } else { &[] }, two_byte }
    }

    /// The value of `extension` under the negotiated `ids`.
    #[must_use]
    pub fn extension(&self, ids: &Extensions, extension: Extension) -> Option<&'a [u8]> {
        let wanted = ids.id(extension)?;
        self.elements().find(|&(id, _)| id == wanted).map(|(_, value)| value)
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

/// The fields of a header to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
    /// Whether the payload that follows ends with padding.
    pub padded: bool,
}

/// Writes a header with extensions into memory of its own, in the one-byte form, or the two-byte form when an
/// id or a length asks for it.
#[derive(Debug)]
pub struct HeaderWriter {
    bytes: [u8; MAX_HEADER],
    len: usize,
    two_byte: bool,
    has_elements: bool,
}

impl Default for HeaderWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl HeaderWriter {
    /// Nothing written yet.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: [0; MAX_HEADER], len: 0, two_byte: false, has_elements: false }
    }

    /// Starts a packet: forgets what was there. `two_byte` must be true if an element will have an id above 14
    /// or a value of other than 1 to 16 bytes.
    pub fn start(&mut self, header: &Header, two_byte: bool) {
        let first = 0x80 | (u8::from(header.padded) << 5);
        let second = (u8::from(header.marker) << 7) | (header.payload_type & 0x7f);
        let [s0, s1] = header.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = header.timestamp.to_be_bytes();
        let [r0, r1, r2, r3] = header.ssrc.to_be_bytes();
        let fixed = [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
        self.len = 0;
        self.two_byte = two_byte;
        self.has_elements = false;
        self.append(&fixed);
    }

    /// Adds an extension element. What the form or the memory cannot carry is left out.
    pub fn element(&mut self, id: u8, value: &[u8]) {
        let len = value.len();
        let fits = if self.two_byte {
            len <= 255 && id != 0
        } else {
            (1..=16).contains(&len) && (1..15).contains(&id)
        };
        // Room for the extension header, this element and the final alignment.
        if !fits || self.len + 4 + 2 + len + 3 > MAX_HEADER {
            return;
        }
        if !self.has_elements {
            self.has_elements = true;
            let profile = if self.two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
            let [p0, p1] = profile.to_be_bytes();
            self.append(&[p0, p1, 0, 0]);
        }
        if self.two_byte {
            self.append(&[id, len as u8]);
        } else {
            self.append(&[(id << 4) | (len as u8 - 1)]);
        }
        self.append(value);
    }

    /// Ends the extensions: aligns them and writes their length.
    pub fn finish(&mut self) {
        if !self.has_elements {
            return;
        }
        while !self.len.is_multiple_of(4) {
            self.append(&[0]);
        }
        let words = ((self.len - FIXED_HEADER - 4) / 4) as u16;
        if let Some(place) = self.bytes.get_mut(FIXED_HEADER + 2..FIXED_HEADER + 4) {
            place.copy_from_slice(&words.to_be_bytes());
        }
        if let Some(first) = self.bytes.first_mut() {
            *first |= 0x10;
        }
    }

    /// Appends bytes of the payload, after [`HeaderWriter::finish`]. What does not fit is left out.
    pub fn append(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    /// What was written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The last `len` bytes written, to be changed.
    pub(crate) fn tail_mut(&mut self, len: usize) -> &mut [u8] {
        self.bytes.get_mut(self.len.saturating_sub(len)..self.len).unwrap_or_default()
    }
}

/// Unwraps a retransmission (RFC 4588, section 4) into `buffer`: the packet as it was first sent, with the SSRC
/// and payload type of the media and the header extensions of the retransmission. Returns its length, or
/// `None` if `packet` carries no original (a probe) or is too long.
pub fn unwrap_rtx(packet: &[u8], ssrc: u32, payload_type: u8, buffer: &mut [u8]) -> Option<usize> {
    let view = RtpPacket::parse(packet).ok()?;
    if view.payload().len() < 3 {
        // The original number and at least one byte.
        return None;
    }
    let payload = view.padded_payload();
    let original = payload.first_chunk::<2>()?;
    let header_len = packet.len().checked_sub(payload.len())?;
    let len = packet.len().checked_sub(2)?;
    let out = buffer.get_mut(..len)?;
    let (header, rest) = out.split_at_mut_checked(header_len)?;
    header.copy_from_slice(packet.get(..header_len)?);
    rest.copy_from_slice(payload.get(2..)?);
    let second = header.get_mut(1)?;
    *second = (*second & 0x80) | (payload_type & 0x7f);
    header.get_mut(2..4)?.copy_from_slice(original);
    header.get_mut(8..12)?.copy_from_slice(&ssrc.to_be_bytes());
    Some(len)
}
