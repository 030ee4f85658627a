//! RTP headers written, extensions included.

use crate::packet::{FIXED_HEADER, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};

/// Longest header that [`HeaderWriter`] writes, extensions included.
pub const MAX_HEADER: usize = 512;

/// What [`HeaderWriter::contributing`] adds to a packet, in bytes.
pub const CSRC_LEN: usize = 4;

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
    /// Where extensions begin: after the fixed header and the contributing source.
    extensions_at: usize,
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
        Self {
            bytes: [0; MAX_HEADER],
            len: 0,
            extensions_at: FIXED_HEADER,
            two_byte: false,
            has_elements: false,
        }
    }

    /// Starts a packet: forgets what was there. `two_byte` must be true if an element will have an id above 14
    /// or a value of other than 1 to 16 bytes.
    #[inline]
    pub fn start(&mut self, header: &Header, two_byte: bool) {
        let first = 0x80 | (u8::from(header.padded) << 5);
        let second = (u8::from(header.marker) << 7) | (header.payload_type & 0x7f);
        let [s0, s1] = header.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = header.timestamp.to_be_bytes();
        let [r0, r1, r2, r3] = header.ssrc.to_be_bytes();
        let fixed = [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
        self.len = 0;
        self.extensions_at = FIXED_HEADER;
        self.two_byte = two_byte;
        self.has_elements = false;
        self.append(&fixed);
    }

    /// Names the source that the packet is of, right after [`HeaderWriter::start`] and once: a list of one contributing
    /// source (RFC 3550, section 5.1), [`CSRC_LEN`] bytes.
    #[inline]
    pub fn contributing(&mut self, csrc: u32) {
        debug_assert_eq!(self.len, FIXED_HEADER, "the list follows the fixed header");
        self.append(&csrc.to_be_bytes());
        self.extensions_at = self.len;
        if let Some(first) = self.bytes.first_mut() {
            *first |= 1;
        }
    }

    /// Adds an extension element. What the form or the memory cannot carry is left out.
    #[inline]
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
    #[inline]
    pub fn finish(&mut self) {
        if !self.has_elements {
            return;
        }
        while !self.len.is_multiple_of(4) {
            self.append(&[0]);
        }
        let at = self.extensions_at;
        let words = (self.len.saturating_sub(at + 4) / 4) as u16;
        if let Some(place) = self.bytes.get_mut(at + 2..at + 4) {
            place.copy_from_slice(&words.to_be_bytes());
        }
        if let Some(first) = self.bytes.first_mut() {
            *first |= 0x10;
        }
    }

    /// Appends bytes of the payload, after [`HeaderWriter::finish`]. What does not fit is left out.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    /// What was written.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The last `len` bytes written, to be changed.
    #[must_use]
    #[inline]
    pub fn tail_mut(&mut self, len: usize) -> &mut [u8] {
        self.bytes.get_mut(self.len.saturating_sub(len)..self.len).unwrap_or_default()
    }
}
